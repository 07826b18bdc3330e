//! Reads what a certificate that a server shows says of itself, and whether those who are believed vouch for it.
//!
//! There is no parser here: rustls' own verifier is asked, at moments before and behind every certificate's time, and its
//! reasons name dates and names. What it cannot read is an error, never a guess. It must never decide whether to connect.

use super::Trust;
use super::trust::{TrustError, roots};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use std::time::Duration;

/// Certificates of one chain: more are not looked through for the one that ends first.
const CHAIN_MAX: usize = 8;

/// A second that every certificate's time is before: the year 9999 is the last that one can name.
const BEHIND_ALL_S: u64 = 300_000_000_000;

/// A name that no certificate bears (RFC 2606).
const NOBODY: &str = "ostler.invalid";

/// What a server shows. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Since when it holds.
    pub begins: Option<u64>,
    /// Until when it holds.
    pub ends: u64,
    /// Until when all that vouch for it hold; no later than itself. None: nobody vouches for it, or that is not asked.
    pub chain_ends: Option<u64>,
    /// The names that it bears.
    pub names: Vec<String>,
    /// Whether it bears the name that was asked for.
    pub is_named: bool,
    /// Why nobody vouches for it; none: somebody does, or that is not asked.
    pub doubt: Option<String>,
}

/// Reads what servers show.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Who is believed; none: that is not asked.
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Reader {
    /// For servers that are trusted as said. Where anyone is trusted nobody is asked to vouch.
    pub(crate) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        Ok(Self { roots: roots(trust)?, algorithms })
    }

    /// Reads a chain, the server's own certificate first.
    pub(crate) fn read(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: u64,
    ) -> Result<Shown, String> {
        let (own, others) = chain.split_first().ok_or("it shows no certificate")?;
        let parsed = ParsedCertificate::try_from(own).map_err(|error| words(&error))?;
        // It need not be an authority: its dates are looked at first.
        let mut itself = RootCertStore::empty();
        itself.add(own.clone().into_owned()).map_err(|error| words(&error))?;
        let at = |roots: &RootCertStore, second: u64| {
            let moment = UnixTime::since_unix_epoch(Duration::from_secs(second));
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, moment, self.algorithms.all)
        };
        let ends = match at(&itself, BEHIND_ALL_S) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                not_after.as_secs()
            }
            Err(error) => return Err(words(&error)),
            Ok(()) => BEHIND_ALL_S,
        };
        let begins = match at(&itself, 0) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                Some(not_before.as_secs())
            }
            _ => None,
        };
        let names = match ServerName::try_from(NOBODY).map(|nobody| verify_server_name(&parsed, &nobody)) {
            Ok(Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented,
                ..
            }))) => presented.iter().map(|name| plain(name)).collect(),
            _ => Vec::new(),
        };
        // Its own dates are told apart: those who vouch are asked at a moment when it holds itself.
        let within = now.clamp(begins.unwrap_or(0).min(ends), ends);
        let (doubt, chain_ends) = match &self.roots {
            None => (None, None),
            Some(roots) => match at(roots, within) {
                Err(error) => (Some(words(&error)), None),
                Ok(()) => (None, Some(first_end(ends, |second| at(roots, second)))),
            },
        };
        Ok(Shown {
            begins,
            ends,
            chain_ends,
            names,
            is_named: verify_server_name(&parsed, name).is_ok(),
            doubt,
        })
    }
}

/// When the first certificate of a chain ends: the last second at which nothing has ended.
fn first_end(own: u64, at: impl Fn(u64) -> Result<(), Error>) -> u64 {
    let mut last = own;
    for _ in 0..CHAIN_MAX {
        match at(last) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }))
                if not_after.as_secs() < last =>
            {
                last = not_after.as_secs();
            }
            _ => break,
        }
    }
    last
}

/// `DnsName("a.example.org")` is what the verifier calls a name; `a.example.org` is what a person does.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody who is believed has issued it".to_owned()
        }
        Error::InvalidCertificate(CertificateError::ExpiredContext { .. } | CertificateError::Expired) => {
            "a certificate of those who vouch for it has ended".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "who is believed under the name of its issuer has not signed it".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(inner)) => inner.to_string(),
        other => other.to_string(),
    }
}
