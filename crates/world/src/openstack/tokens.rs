//! Checks the tokens of callers against the identity service, and remembers the answers for a while.
//!
//! A token that was revoked is still taken for as long as its answer is remembered; that time is the caller's to choose.
//! It must never show a token, never remember one beyond its end, and never take silence for a yes.

use super::clouds_yaml::Credentials;
use super::http::{Answer, CALL_LIMIT, Call, Connection};
use super::keystone::{login, through_tls};
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use ostler_model::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Tokens whose answers are remembered: every operator and every monitor of the largest cloud, several times.
const REMEMBERED_MAX: usize = 10_000;

/// Questions to the identity service at a time.
const QUESTIONS_MAX: usize = 16;

/// How long a refused token stays refused without being asked about again: a client in a loop must not become a load.
const REFUSED_S: i64 = 5;

/// Our own token is renewed this long before it ends.
const OWN_MARGIN_S: i64 = 120;

/// Bytes of a token: the longest that services issue is below.
const TOKEN_BYTES_MAX: usize = 16 << 10;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The account's identity.
    pub user: String,
    /// The project that the token is for.
    pub project: Option<String>,
    /// The roles in it.
    pub roles: Vec<String>,
    /// Whether the token is for the cloud as a whole.
    pub is_for_system: bool,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is unknown, has ended, or was revoked.
    #[error("the token is not valid")]
    Invalid,
    /// The identity service cannot be asked.
    #[error("{0}")]
    Unavailable(String),
}

struct Remembered {
    holder: Option<Arc<Holder>>,
    until: i64,
}

/// Our own token, with the services that its catalogue names.
struct Own {
    secret: SecretString,
    expires: i64,
    compute: Option<String>,
}

/// Checks tokens.
pub struct Tokens {
    credentials: Credentials,
    remember_s: i64,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    own: tokio::sync::Mutex<Option<Arc<Own>>>,
    idle: Mutex<Vec<Connection>>,
    questions: Semaphore,
}

impl Tokens {
    /// Checks by these credentials, which must be allowed to validate tokens. An answer is remembered for so long.
    pub fn new(credentials: Credentials, remember_s: u32) -> Self {
        Self {
            credentials,
            remember_s: i64::from(remember_s),
            remembered: Mutex::default(),
            own: tokio::sync::Mutex::new(None),
            idle: Mutex::default(),
            questions: Semaphore::new(QUESTIONS_MAX),
        }
    }

    /// Where the identity service is.
    pub fn place(&self) -> String {
        self.credentials.auth_url()
    }

    /// Who holds a token.
    pub async fn check(&self, token: &str) -> Result<Arc<Holder>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Invalid);
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = Timestamp::now().as_second();
        if let Some(known) = self.remembered().get(&key).filter(|known| known.until > now) {
            return known.holder.clone().ok_or(TokenError::Invalid);
        }
        let (holder, until) = match self.ask(&SecretString::from(token.to_owned())).await? {
            Some((holder, expires)) => (Some(Arc::new(holder)), expires.min(now + self.remember_s)),
            None => (None, now + REFUSED_S),
        };
        self.remember(key, Remembered { holder: holder.clone(), until }, now);
        holder.ok_or(TokenError::Invalid)
    }

    fn remember(&self, key: [u8; 32], answer: Remembered, now: i64) {
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, known| known.until > now);
        }
        if remembered.len() >= REMEMBERED_MAX {
            // All are good: whoever is forgotten is only asked about again.
            if let Some(some) = remembered.keys().next().copied() {
                remembered.remove(&some);
            }
        }
        remembered.insert(key, answer);
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<[u8; 32], Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds a token, and until when. None: the identity service does not know it.
    async fn ask(&self, subject: &SecretString) -> Result<Option<(Holder, i64)>, TokenError> {
        let doing = "validating a token";
        for is_first in [true, false] {
            let own = self.own(!is_first).await?;
            let path = format!("{}/v3/auth/tokens?nocatalog", self.credentials.auth_path);
            let headers = vec![(AUTH_TOKEN, &own.secret), (SUBJECT_TOKEN, subject)];
            let answer = self.call(Method::GET, &path, headers, None).await?;
            match answer.status {
                StatusCode::OK => {
                    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let held = holder(&body).ok_or_else(|| {
                        TokenError::Unavailable(format!("{doing}: {} answered something else", self.place()))
                    })?;
                    return Ok(Some(held).filter(|(_, expires)| *expires > Timestamp::now().as_second()));
                }
                StatusCode::NOT_FOUND => return Ok(None),
                // Our own token was revoked: one that is new decides.
                StatusCode::UNAUTHORIZED if is_first => {}
                status => {
                    return Err(TokenError::Unavailable(format!(
                        "{doing}: {} answered {status}",
                        self.place()
                    )));
                }
            }
        }
        Err(TokenError::Unavailable(format!("{doing}: {} refuses this server's own account", self.place())))
    }

    async fn own(&self, is_refused: bool) -> Result<Arc<Own>, TokenError> {
        let mut kept = self.own.lock().await;
        let is_good = |own: &&Arc<Own>| own.expires - OWN_MARGIN_S > Timestamp::now().as_second();
        if let Some(own) = kept.as_ref().filter(is_good).filter(|_| !is_refused) {
            return Ok(Arc::clone(own));
        }
        let path = format!("{}/v3/auth/tokens", self.credentials.auth_path);
        let answer = self.call(Method::POST, &path, Vec::new(), Some(login(&self.credentials))).await?;
        let secret = answer.headers.get(&SUBJECT_TOKEN).and_then(|value| value.to_str().ok());
        let (StatusCode::CREATED, Some(secret)) = (answer.status, secret) else {
            return Err(TokenError::Unavailable(format!(
                "this server's own account `{}` gets no token from {}: it answered {}",
                self.credentials.entry,
                self.place(),
                answer.status
            )));
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let own = Arc::new(Own {
            secret: SecretString::from(secret.to_owned()),
            expires: expires(&body).unwrap_or_else(|| Timestamp::now().as_second() + OWN_MARGIN_S + 60),
            compute: endpoint(&body, "compute"),
        });
        *kept = Some(Arc::clone(&own));
        Ok(own)
    }

    /// Whether the compute service has a service on a host of this name. None: the catalogue names no compute service.
    pub async fn is_compute_host(&self, name: &str) -> Result<Option<bool>, TokenError> {
        let own = self.own(false).await?;
        let Some(url) = &own.compute else { return Ok(None) };
        let wrong = |what: &str| TokenError::Unavailable(format!("the compute service at {url} {what}"));
        let (is_tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(wrong("has no address that can be used")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let escaped: String = name.bytes().map(escape).collect();
        let path = format!(
            "/{}{}os-services?binary=nova-compute&host={escaped}",
            path.trim_end_matches('/'),
            if path.is_empty() { "" } else { "/" }
        );
        let place = match authority.rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => authority.to_owned(),
            _ => format!("{authority}:{}", if is_tls { 443 } else { 80 }),
        };
        let stream = tokio::time::timeout(CALL_LIMIT, TcpStream::connect(place)).await;
        let stream = stream
            .map_err(|_| wrong("does not answer"))?
            .map_err(|error| wrong(&format!("does not answer: {error}")))?;
        let mut connection = self.greet(stream, is_tls, authority).await.map_err(|error| wrong(&error))?;
        let headers = vec![(AUTH_TOKEN, &own.secret)];
        let call = Call { method: Method::GET, path: &path, headers, body: None };
        let answer = connection.call(call).await.map_err(|error| wrong(&error))?;
        if answer.status != StatusCode::OK {
            return Err(wrong(&format!("answered {}", answer.status)));
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let services =
            body.get("services").and_then(Value::as_array).ok_or_else(|| wrong("answered no list"))?;
        Ok(Some(services.iter().any(|service| service.get("host").and_then(Value::as_str) == Some(name))))
    }

    async fn greet(&self, stream: TcpStream, is_tls: bool, authority: &str) -> Result<Connection, String> {
        if !is_tls {
            return Connection::new(stream, authority).await;
        }
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = through_tls(&self.credentials.trust, host, stream).await?;
        Connection::new(stream, authority).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(HeaderName, &SecretString)>,
        body: Option<SecretString>,
    ) -> Result<Answer, TokenError> {
        let _permit = self.questions.acquire().await;
        // A connection that was idle may have been closed: then, and only then, a new one is tried.
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            let again = Call { method: method.clone(), path, headers: headers.clone(), body: body.clone() };
            if let Ok(answer) = connection.call(again).await {
                self.idle().push(connection);
                return Ok(answer);
            }
        }
        let Credentials { auth_host, auth_port, .. } = &self.credentials;
        let silent =
            |why: String| TokenError::Unavailable(format!("{} does not answer: {why}", self.place()));
        let connecting = TcpStream::connect((auth_host.as_str(), *auth_port));
        let stream = match tokio::time::timeout(CALL_LIMIT, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(silent(error.to_string())),
            Err(_) => return Err(silent(format!("not within {} s", CALL_LIMIT.as_secs()))),
        };
        let _ = stream.set_nodelay(true);
        let authority = format!("{auth_host}:{auth_port}");
        let mut connection =
            self.greet(stream, self.credentials.auth_tls, &authority).await.map_err(silent)?;
        let answer = connection.call(Call { method, path, headers, body }).await.map_err(silent)?;
        self.idle().push(connection);
        Ok(answer)
    }
}

fn escape(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

fn expires(body: &Value) -> Option<i64> {
    let text = body.pointer("/token/expires_at")?.as_str()?;
    Some(text.parse::<Timestamp>().ok()?.as_second())
}

/// Who holds the token of a body, and until when.
fn holder(body: &Value) -> Option<(Holder, i64)> {
    let token = body.get("token")?;
    let text = |pointer: &str| token.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let roles = token.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let holder = Holder {
        user: text("/user/id")?,
        project: text("/project/id"),
        roles: roles.iter().filter_map(|role| Some(role.get("name")?.as_str()?.to_owned())).collect(),
        is_for_system: token.pointer("/system/all").and_then(Value::as_bool).unwrap_or(false),
    };
    Some((holder, expires(body)?))
}

/// The address of a service in the catalogue of a token's body: the inner one where there is one.
fn endpoint(body: &Value, kind: &str) -> Option<String> {
    let catalogue = body.pointer("/token/catalog")?.as_array()?;
    let service = catalogue.iter().find(|entry| entry.get("type").and_then(Value::as_str) == Some(kind))?;
    let endpoints = service.get("endpoints")?.as_array()?;
    let of = |interface: &str| {
        let found =
            endpoints.iter().find(|one| one.get("interface").and_then(Value::as_str) == Some(interface))?;
        Some(found.get("url")?.as_str()?.trim_end_matches('/').to_owned())
    };
    of("internal").or_else(|| of("public"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_holder_is_read_from_the_answer() {
        let body = json!({ "token": {
            "user": { "id": "u", "name": "n" }, "project": { "id": "p" }, "roles": [{ "name": "admin" }, { "id": "x" }],
            "expires_at": "2026-11-27T20:00:00.000000Z" } });
        let (held, until) = holder(&body).unwrap();
        assert_eq!((held.user.as_str(), held.project.as_deref()), ("u", Some("p")));
        assert_eq!(held.roles, ["admin"]);
        assert!(!held.is_for_system);
        assert_eq!(until, "2026-11-27T20:00:00Z".parse::<Timestamp>().unwrap().as_second());
        assert_eq!(holder(&json!({ "token": { "user": { "id": "u" } } })), None, "without an end");
    }

    #[test]
    fn the_inner_address_of_a_service_is_taken() {
        let body = json!({ "token": { "catalog": [{ "type": "compute", "endpoints": [
            { "interface": "public", "url": "http://out/v2.1" }, { "interface": "internal", "url": "http://in/v2.1/" }] }] } });
        assert_eq!(endpoint(&body, "compute").as_deref(), Some("http://in/v2.1"));
        assert_eq!(endpoint(&body, "volume"), None);
    }
}
