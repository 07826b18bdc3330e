//! A token of the identity service for a user that may do nothing but report.
//!
//! It must never show a password or a token, and never keep one on disk.

use super::keys::{KeyError, read_secret};
use super::wire::{Answer, Http};
use hyper::Method;
use ostler_model::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long a token may take.
const TOKEN_LIMIT: Duration = Duration::from_secs(20);

/// A token that ends within this time is not used any more, in seconds.
const MARGIN_S: i64 = 60;

/// The types under which the API may stand in a catalogue.
const SERVICE_TYPES: &[&str] = &["instance-ha", "ha"];

/// Who logs in, and where.
#[derive(Clone, Debug)]
pub struct Account {
    /// The identity service's address, with or without `/v3`.
    pub auth_url: String,
    /// The user, its domain.
    pub user: (String, String),
    /// The project, its domain.
    pub project: (String, String),
    /// The password.
    password: SecretString,
    /// Which of the catalogue's addresses are used.
    pub interface: String,
    /// In which region, where there are several.
    pub region: Option<String>,
}

impl Account {
    /// With the password of a file that only its owner may read.
    pub fn new(
        auth_url: &str,
        user: (String, String),
        project: (String, String),
        password: &Path,
        interface: &str,
        region: Option<String>,
    ) -> Result<Account, KeyError> {
        let password = read_secret(password)?;
        let auth_url = auth_url.trim_end_matches('/').trim_end_matches("/v3").to_owned();
        Ok(Account { auth_url, user, project, password, interface: interface.to_owned(), region })
    }
}

/// A token, and where the API is.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub secret: SecretString,
    /// The API's addresses by the catalogue.
    pub servers: Vec<String>,
    expires: Option<Timestamp>,
}

impl Token {
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires.as_second() - now.as_second() > MARGIN_S)
    }

    /// Gets one.
    pub async fn issue(http: &Http, account: &Account) -> Result<Token, String> {
        let (user, user_domain) = &account.user;
        let (project, project_domain) = &account.project;
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": {"name": user_domain}, "password": account.password.expose_secret()}}},
            "scope": {"project": {"name": project, "domain": {"name": project_domain}}}}});
        let url = format!("{}/v3/auth/tokens", account.auth_url);
        let bytes = body.to_string().into_bytes();
        let answer = http
            .call(Method::POST, &url, &[], bytes, TOKEN_LIMIT)
            .await
            .map_err(|error| format!("the identity service {url} does not answer: {error}"))?;
        if answer.status != 201 {
            return Err(format!("the identity service {url} gives {user} no token: {}", answer.status));
        }
        read(&answer, account).ok_or_else(|| format!("{url} answers what is no token"))
    }
}

fn read(answer: &Answer, account: &Account) -> Option<Token> {
    let secret = answer.headers.get("x-subject-token")?.to_str().ok()?;
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let token = body.get("token")?;
    let expires = token.get("expires_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let none = Vec::new();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).unwrap_or(&none).clone();
    let servers = list(token, "catalog")
        .iter()
        .filter(|service| text(service, "type").is_some_and(|kind| SERVICE_TYPES.contains(&kind.as_str())))
        .flat_map(|service| list(service, "endpoints"))
        .filter(|endpoint| text(endpoint, "interface").as_deref() == Some(&account.interface))
        .filter(|endpoint| account.region.is_none() || text(endpoint, "region_id") == account.region)
        .filter_map(|endpoint| text(&endpoint, "url"))
        .collect();
    Some(Token { secret: SecretString::from(secret), servers, expires })
}
