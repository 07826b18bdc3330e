//! Tells other programs what happened: a webhook that is posted a document, and Alertmanager, which is told which alerts
//! stand, in its API, version 2.
//!
//! Each call sends once and says whether the same may work later. It must never put the secret of a webhook into a message.

use crate::power::SecretFile;
use crate::web::{Ask, Trust, TrustError, Web, WebError};
use hmac::{Hmac, KeyInit, Mac};
use ostler_model::Timestamp;
use reqwest::header::HeaderName;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long a receiver may take: what it does with a message should be done after its answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Names the event, so that a receiver that gets it twice can tell.
const ID_HEADER: HeaderName = HeaderName::from_static("x-ostler-event-id");

/// Shows who sent it: `sha256=` and the HMAC of the body with the shared secret.
const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-ostler-signature");

const JSON: &str = "application/json";

/// Where Alertmanager takes alerts.
const ALERTS_PATH: &str = "/api/v2/alerts";

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// What happened.
    pub what: String,
    /// Whether the same message may be taken later.
    pub may_pass: bool,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    secret: Option<SecretFile>,
    web: Web,
}

impl Webhook {
    /// At an address; with a secret, each message is signed.
    pub fn new(url: &str, secret: Option<SecretFile>, trust: &Trust) -> Result<Self, TrustError> {
        Ok(Self { url: url.to_owned(), secret, web: Web::new(trust)? })
    }

    /// Its address, without what stands behind the host: that part is often a secret.
    pub fn place(&self) -> &str {
        place(&self.url)
    }

    /// Sends one message.
    pub async fn send(&self, id: &str, body: &str) -> Result<(), NotTaken> {
        let mut headers = vec![(ID_HEADER, SecretString::from(id.to_owned()))];
        if let Some(secret) = &self.secret {
            let secret = secret.text().map_err(|what| NotTaken { what, may_pass: true })?;
            let signature = signature(secret.expose_secret(), body.as_bytes());
            headers.push((SIGNATURE_HEADER, SecretString::from(signature)));
        }
        post(&self.web, &self.url, self.place(), headers, body.to_owned()).await
    }
}

/// `sha256=` and the digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    // A key of any length is taken.
    if let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        for byte in mac.chain_update(body).finalize().into_bytes() {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    text
}

/// An alert as Alertmanager knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What it is: the same labels are the same alert.
    pub labels: BTreeMap<String, String>,
    /// What a person is told.
    pub annotations: BTreeMap<String, String>,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when, unless it is told again before; in the past: it is over.
    pub ends_at: Timestamp,
}

/// One Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    url: String,
    web: Web,
}

impl Alertmanager {
    /// At an address.
    pub fn new(url: &str, trust: &Trust) -> Result<Self, TrustError> {
        Ok(Self { url: format!("{}{ALERTS_PATH}", url.trim_end_matches('/')), web: Web::new(trust)? })
    }

    /// Its address.
    pub fn place(&self) -> &str {
        place(&self.url)
    }

    /// Tells which alerts stand, and which are over.
    pub async fn tell(&self, alerts: &[Alert]) -> Result<(), NotTaken> {
        let body = serde_json::to_string(alerts)
            .map_err(|error| NotTaken { what: error.to_string(), may_pass: false })?;
        post(&self.web, &self.url, self.place(), Vec::new(), body).await
    }
}

fn place(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| at + after_scheme);
    end.and_then(|end| url.get(..end)).unwrap_or(url)
}

async fn post(
    web: &Web,
    url: &str,
    place: &str,
    headers: Vec<(HeaderName, SecretString)>,
    body: String,
) -> Result<(), NotTaken> {
    let ask = Ask {
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body: Some((JSON, SecretString::from(body))),
        limit: LIMIT,
    };
    match web.ask(ask).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(NotTaken {
            what: format!("{place} answered {}", answer.status),
            may_pass: answer.status.is_server_error()
                || answer.status == StatusCode::TOO_MANY_REQUESTS
                || answer.status == StatusCode::REQUEST_TIMEOUT,
        }),
        Err(error) => Err(NotTaken {
            what: format!("{place}: {error}"),
            may_pass: !matches!(error, WebError::Impossible(_)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_host_is_not_shown() {
        assert_eq!(place("https://hooks.example.org/T0/B0/secret"), "https://hooks.example.org");
        assert_eq!(place("http://10.0.0.1:9093"), "http://10.0.0.1:9093");
    }

    /// The second example of RFC 4231.
    #[test]
    fn a_signature_is_the_hmac_of_the_body() {
        let signed = signature("Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn an_alert_has_the_names_that_alertmanager_knows() {
        let alert = Alert {
            labels: BTreeMap::from([("alertname".into(), "X".into())]),
            annotations: BTreeMap::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: Timestamp::UNIX_EPOCH,
        };
        let text = serde_json::to_string(&alert).unwrap();
        assert_eq!(
            text,
            r#"{"labels":{"alertname":"X"},"annotations":{},"startsAt":"1970-01-01T00:00:00Z","endsAt":"1970-01-01T00:00:00Z"}"#
        );
    }
}
