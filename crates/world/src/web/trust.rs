//! Whom to believe when a server shows a certificate: the machine's authorities, a file of them, or one certificate
//! known by its fingerprint, which is how a power controller with a certificate of its own making is told from another.
//!
//! It must never trust anybody because nothing was said.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

/// Whom to believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Whoever the machine's own certificate authorities vouch for.
    #[default]
    System,
    /// Whoever the authorities in a PEM file vouch for.
    File(PathBuf),
    /// The one server whose certificate has this fingerprint, whatever name and dates it bears.
    Pinned(Fingerprint),
    /// Anyone. Whoever can reach the network between can then read the passwords.
    Anyone,
}

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// With or without `sha256:` before it, with or without colons between the bytes, as `openssl` prints it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a SHA-256 fingerprint: 64 hexadecimal digits");
        let digits = text.trim().to_ascii_lowercase();
        let digits: String = digits.trim_start_matches("sha256:").chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities is of no use.
    #[error("the certificate authorities in {} cannot be read: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {reason}")]
    Tls {
        /// Why not.
        reason: String,
    },
}

/// Judges the certificates that servers show, and remembers the last one that was refused.
#[derive(Debug)]
pub(crate) struct Judge {
    by: By,
    provider: Arc<CryptoProvider>,
    refused: Mutex<Option<Fingerprint>>,
}

#[derive(Debug)]
enum By {
    Authorities(Arc<WebPkiServerVerifier>),
    Fingerprint(Fingerprint),
    Nothing,
    /// There are no authorities on this machine: plain HTTP still works.
    Nobody,
}

impl Judge {
    pub(crate) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let by = match trust {
            Trust::System | Trust::File(_) => match roots(trust)? {
                Some(roots) => By::Authorities(verifier(roots, &provider)?),
                None => By::Nobody,
            },
            Trust::Pinned(fingerprint) => By::Fingerprint(*fingerprint),
            Trust::Anyone => By::Nothing,
        };
        Ok(Self { by, provider, refused: Mutex::new(None) })
    }

    /// What a TLS connection is set up with.
    pub(crate) fn tls(self: &Arc<Self>) -> Result<ClientConfig, TrustError> {
        let provider = Arc::clone(&self.provider);
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Tls { reason: error.to_string() })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth())
    }

    /// The certificate that was refused last.
    pub(crate) fn refused(&self) -> Option<Fingerprint> {
        self.refused.lock().ok().and_then(|refused| *refused)
    }
}

/// The authorities that are believed; none: nobody is asked, or this machine has no list of them.
pub(super) fn roots(trust: &Trust) -> Result<Option<RootCertStore>, TrustError> {
    match trust {
        Trust::System => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Ok(Some(roots).filter(|roots| !roots.is_empty()))
        }
        Trust::File(path) => authorities(path).map(Some),
        Trust::Pinned(_) | Trust::Anyone => Ok(None),
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TrustError> {
    let failed = |reason: String| TrustError::File { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TrustError::Tls { reason: error.to_string() })
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        let judged = match &self.by {
            By::Authorities(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            By::Fingerprint(wanted) if *wanted == shown => Ok(ServerCertVerified::assertion()),
            By::Fingerprint(_) => {
                Err(rustls::Error::General("the certificate is not the pinned one".to_owned()))
            }
            By::Nothing => Ok(ServerCertVerified::assertion()),
            By::Nobody => Err(rustls::Error::General(
                "the certificate cannot be judged: this machine has no list of certificate authorities"
                    .to_owned(),
            )),
        };
        if judged.is_err()
            && let Ok(mut refused) = self.refused.lock()
        {
            *refused = Some(shown);
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        let read: Fingerprint = plain.parse().unwrap();
        assert_eq!(colons.parse::<Fingerprint>().unwrap(), read);
        assert_eq!(read.to_string().parse::<Fingerprint>().unwrap(), read);
        for wrong in ["", "ab", &plain[1..], &format!("{}zz", &plain[2..]), &"é".repeat(32)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "nothing here").unwrap();
        for path in [path.as_path(), Path::new("/nowhere/ca.pem")] {
            let error = Judge::new(&Trust::File(path.to_owned())).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
