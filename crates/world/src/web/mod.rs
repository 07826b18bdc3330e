//! HTTP to servers that are no nodes of ours: the APIs of a cloud, power controllers, MAAS.
//!
//! It must never follow a redirect, go through a proxy or repeat a request: whoever asks decides that. It tells what
//! certainly was not sent from what may have been carried out, because a lost answer is no failure.

mod shown;
mod trust;

pub(crate) use shown::{Reader, Shown};
pub(crate) use trust::Judge;
pub use trust::{Fingerprint, Trust, TrustError};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an answer that are read: a page of a thousand servers with all details is below 5 MB.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// How long a connection may take to come about, TLS included: the processor of a power controller needs seconds for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// Idle connections to one host that are kept: as many as requests to one service may be under way.
const IDLE_MAX: usize = 16;

/// How long an idle connection is kept. Shorter than servers and load balancers do, so that none is used that the
/// other end has just closed.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

/// One request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(HeaderName, SecretString)>,
    /// A body with its media type.
    pub body: Option<(&'static str, SecretString)>,
    /// How long it may take in all.
    pub limit: Duration,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the server wants to be left alone, where it says so in seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The request cannot be made at all.
    #[error("{0}")]
    Impossible(String),
    /// Nothing was sent: nobody listens, no way there, or the connection was refused.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing was sent: the certificate of the server is not trusted.
    #[error("{reason}; its certificate has the fingerprint {fingerprint}")]
    Untrusted {
        /// Why it is not trusted.
        reason: String,
        /// What it showed.
        fingerprint: Fingerprint,
    },
    /// The request may have been carried out; the answer is lost.
    #[error("{0}")]
    Lost(String),
}

impl WebError {
    /// Whether it is known that the server did nothing.
    pub fn nothing_was_sent(&self) -> bool {
        !matches!(self, WebError::Lost(_))
    }
}

/// A way to ask servers that are trusted alike.
#[derive(Clone)]
pub(crate) struct Web {
    client: reqwest::Client,
    judge: Arc<Judge>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

impl Web {
    /// For servers that are trusted as said.
    pub(crate) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let judge = Arc::new(Judge::new(trust)?);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(judge.tls()?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_LIMIT)
            .user_agent(concat!("ostler/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| TrustError::Tls { reason: causes(&error) })?;
        Ok(Self { client, judge })
    }

    /// Asks once.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, WebError> {
        let limit = ask.limit;
        let mut request = self.client.request(ask.method, &ask.url).timeout(limit);
        for (name, value) in &ask.headers {
            let mut sent = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| WebError::Impossible(format!("a value for the header {name} cannot be sent")))?;
            sent.set_sensitive(true);
            request = request.header(name, sent);
        }
        if let Some((kind, body)) = &ask.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, *kind)
                .body(body.expose_secret().as_bytes().to_vec());
        }
        let request = request.build().map_err(|error| WebError::Impossible(causes(&error)))?;
        let mut answer = self.client.execute(request).await.map_err(|error| self.failed(&error, limit))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failed(&error, limit))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(WebError::Lost(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    fn failed(&self, error: &reqwest::Error, limit: Duration) -> WebError {
        if error.is_builder() {
            return WebError::Impossible(causes(error));
        }
        if error.is_connect() {
            let reason = causes(error);
            let about_trust = reason.contains("certificate");
            return match self.judge.refused().filter(|_| about_trust) {
                Some(fingerprint) => WebError::Untrusted { reason, fingerprint },
                None if error.is_timeout() => WebError::Unreachable(format!(
                    "no connection within {} s",
                    CONNECT_LIMIT.min(limit).as_secs()
                )),
                None => WebError::Unreachable(reason),
            };
        }
        if error.is_timeout() {
            return WebError::Lost(format!("no answer within {} s", limit.as_secs()));
        }
        WebError::Lost(causes(error))
    }
}

/// The innermost causes of an error in one line, without the address: it may hold a password, and is known anyway.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    // The last one says what happened; the ones before it only who was told.
    texts.pop().unwrap_or_else(|| {
        if error.is_builder() {
            "the address cannot be used".to_owned()
        } else {
            "the connection failed".to_owned()
        }
    })
}

#[cfg(test)]
mod tests;
