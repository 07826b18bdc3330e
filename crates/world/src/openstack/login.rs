//! One token for the whole program: renewed before it ends, by one request however many wait for it.
//!
//! It must never show the token, and never keep one that a service refused.

use super::catalogue::Catalogue;
use super::clouds_yaml::{Credentials, Identity};
use super::error::{ApiError, words_of};
use super::keystone::login;
use crate::web::{Ask, Web, WebError};
use ostler_model::Timestamp;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long the identity service may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long before its end a token is renewed, at most. A call that was begun with it may take as long.
const RENEW_BEFORE_S: i64 = 300;

/// A token and what came with it.
#[derive(Debug)]
pub(super) struct Session {
    pub token: SecretString,
    pub catalogue: Catalogue,
    /// The project that it is for.
    pub project: Option<String>,
    /// When it is to be renewed; never, where its end is not known.
    renew_at: Option<Timestamp>,
}

/// Logs in.
#[derive(Debug)]
pub(super) struct Login {
    pub credentials: Credentials,
    held: Mutex<Option<Arc<Session>>>,
}

impl Login {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, held: Mutex::new(None) }
    }

    /// A token that is good. Whoever comes while one is being issued waits for that one.
    pub(super) async fn session(&self, web: &Web, requests: &AtomicU64) -> Result<Arc<Session>, ApiError> {
        let mut held = self.held.lock().await;
        if let Some(session) = held.as_ref()
            && session.renew_at.is_none_or(|renew_at| Timestamp::now() < renew_at)
        {
            return Ok(Arc::clone(session));
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(self.issue(web).await?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A service refused this token: it is not used again, unless there is another already.
    pub(super) async fn forget(&self, refused: &Arc<Session>) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *held = None;
        }
    }

    async fn issue(&self, web: &Web) -> Result<Session, ApiError> {
        let url = self.credentials.auth_url();
        let failed = |reason: String, hint: String| ApiError::NoToken { url: url.clone(), reason, hint };
        let entry = &self.credentials.entry;
        let ask = Ask {
            method: Method::POST,
            url: format!("{url}/v3/auth/tokens"),
            headers: Vec::new(),
            body: Some(("application/json", login(&self.credentials))),
            limit: LIMIT,
        };
        let answer = web.ask(ask).await.map_err(|error| {
            let hint = match &error {
                WebError::Untrusted { .. } => {
                    format!("name the authority's certificate as `cacert` of `{entry}` in clouds.yaml")
                }
                _ => format!(
                    "see whether `auth_url` of `{entry}` in clouds.yaml can be reached from this machine"
                ),
            };
            failed(error.to_string(), hint)
        })?;
        if answer.status.as_u16() != 201 {
            let words = words_of(&answer.body);
            let hint = match (answer.status.as_u16(), &self.credentials.identity) {
                (401, Identity::Token { .. }) => {
                    format!("the token of `{entry}` in clouds.yaml has ended: put in another, or a password")
                }
                (401, _) => format!("check the credentials of `{entry}` in clouds.yaml"),
                (300..=399, _) => {
                    format!("`auth_url` of `{entry}` leads elsewhere: put in the address it leads to")
                }
                _ => format!("see to the identity service at {url}"),
            };
            return Err(failed(format!("answered {}: {words}", answer.status.as_u16()), hint));
        }
        let hint = || format!("see whether `auth_url` of `{entry}` in clouds.yaml is the identity service");
        let token = answer.header("x-subject-token").map(str::to_owned);
        let token = token.ok_or_else(|| failed("the answer holds no token".to_owned(), hint()))?;
        let body = answer.json().ok_or_else(|| failed("the answer is no JSON".to_owned(), hint()))?;
        Ok(Session {
            token: SecretString::from(token),
            catalogue: Catalogue::read(&body),
            project: body.pointer("/token/project/id").and_then(Value::as_str).map(str::to_owned),
            renew_at: renew_at(&body, Timestamp::now()),
        })
    }
}

/// When a token is renewed: five minutes before its end, but not in the first nine tenths of its life.
fn renew_at(body: &Value, now: Timestamp) -> Option<Timestamp> {
    let expires: Timestamp = body.pointer("/token/expires_at")?.as_str()?.parse().ok()?;
    let life = expires.as_second().saturating_sub(now.as_second()).max(0);
    let before = RENEW_BEFORE_S.min(life / 10);
    Timestamp::from_second(expires.as_second() - before).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_renewed_before_its_end_also_a_short_one() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let renew = |expires: &str| {
            renew_at(&json!({"token": {"expires_at": expires}}), now).map(|at| at.to_string())
        };
        assert_eq!(renew("2026-11-01T13:00:00.000000Z").as_deref(), Some("2026-11-01T12:55:00Z"));
        assert_eq!(renew("2026-11-01T12:01:40Z").as_deref(), Some("2026-11-01T12:01:30Z"));
        assert_eq!(renew("2026-11-01T11:00:00Z").as_deref(), Some("2026-11-01T11:00:00Z"));
        assert_eq!(renew("soon"), None);
    }
}
