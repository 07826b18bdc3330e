//! Requests to the cloud's APIs with the administrator's token, as JSON.
//!
//! Must never repeat a request that may have had an effect; must never show a token or a password.

use crate::error::LabError;
use crate::http::{Ask, ask};
use crate::keystone::Keystone;
use crate::wait::{Seen, until};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long one request may take: the first one to a fresh service makes it import half of itself.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long a token may take to come.
const TOKEN_LIMIT: Duration = Duration::from_secs(60);
/// How much of an answer is shown when it is not the expected one.
const SHOWN: usize = 300;

/// Keystone's port.
pub(crate) const KEYSTONE: u16 = 5000;
/// Glance's port.
pub(crate) const GLANCE: u16 = 9292;
/// Neutron's port.
pub(crate) const NEUTRON: u16 = 9696;
/// Nova's port.
pub(crate) const NOVA: u16 = 8774;
/// Placement's port.
pub(crate) const PLACEMENT: u16 = 8778;

/// The cloud's APIs at the virtual address.
pub(crate) struct Api {
    address: Ipv4Addr,
    token: String,
}

/// A request's answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Api {
    /// Asks for a token, until keystone gives one.
    pub(crate) async fn log_in(address: Ipv4Addr, password: &str) -> Result<Self, LabError> {
        let keystone = Keystone::new(address, password);
        let todo = "read /var/log/keystone/keystone.log on the controllers";
        let token = until("a token for the administrator", todo, TOKEN_LIMIT, async || {
            match keystone.issue(REQUEST_LIMIT).await {
                Ok(answer) if answer.status == 201 => match answer.token {
                    Some(token) => Seen::Holds(token),
                    None => Seen::NotYet("no token in the answer".to_owned()),
                },
                Ok(answer) => Seen::NotYet(format!("HTTP {}", answer.status)),
                Err(error) => Seen::NotYet(error.word().to_owned()),
            }
        })
        .await?;
        Ok(Self { address, token })
    }

    /// The token that all requests are made with.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes one request; the status is for the caller to judge.
    pub(crate) async fn ask(
        &self,
        method: Method,
        port: u16,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, LabError> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.send(method, port, path, "application/json", bytes).await
    }

    /// The same with a body of another kind.
    pub(crate) async fn send(
        &self,
        method: Method,
        port: u16,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Reply, LabError> {
        let version = if port == PLACEMENT { "placement 1.10" } else { "compute 2.74" };
        let headers = vec![
            ("x-auth-token", self.token.clone()),
            ("content-type", kind.to_owned()),
            ("openstack-api-version", version.to_owned()),
        ];
        let request = Ask { method: method.clone(), path: path.to_owned().into(), headers, body };
        let answer = ask(SocketAddr::from((self.address, port)), &request, REQUEST_LIMIT).await;
        let answer = answer.map_err(|error| LabError::Service {
            what: format!("{method} {path} at port {port}"),
            why: format!("no answer ({})", error.word()),
        })?;
        let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&answer.body);
            Value::String(text.chars().take(SHOWN).collect())
        });
        Ok(Reply { status: answer.status, body })
    }

    /// A request that must be answered with one of these.
    pub(crate) async fn expect(
        &self,
        method: Method,
        port: u16,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, LabError> {
        let reply = self.ask(method.clone(), port, path, body).await?;
        match reply.status {
            200..=299 => Ok(reply.body),
            status => Err(LabError::Service {
                what: format!("{method} {path} at port {port}"),
                why: format!(
                    "HTTP {status}: {}",
                    reply.body.to_string().chars().take(SHOWN).collect::<String>()
                ),
            }),
        }
    }

    pub(crate) async fn get(&self, port: u16, path: &str) -> Result<Value, LabError> {
        self.expect(Method::GET, port, path, None).await
    }

    pub(crate) async fn post(&self, port: u16, path: &str, body: &Value) -> Result<Value, LabError> {
        self.expect(Method::POST, port, path, Some(body)).await
    }
}

/// A string somewhere in an answer.
pub(crate) fn text_at(answer: &Value, pointer: &str) -> Result<String, LabError> {
    answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| LabError::Service {
        what: format!("reading {pointer} of an answer"),
        why: "it is not there".to_owned(),
    })
}
