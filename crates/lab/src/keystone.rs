//! The two things that clients of keystone do all day: get a token, have one validated.
//!
//! Must never show a password or a token.

use crate::http::{Answer, Ask, NoAnswer, ask};
use hyper::Method;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Keystone's port, at the virtual address and on each node.
pub(crate) const PORT: u16 = 5000;

/// A keystone at one address, and the administrator's password for it.
#[derive(Clone)]
pub(crate) struct Keystone {
    server: SocketAddr,
    credentials: String,
}

impl Keystone {
    pub(crate) fn new(address: Ipv4Addr, password: &str) -> Self {
        let domain = serde_json::json!({ "name": "Default" });
        let user = serde_json::json!({ "name": "admin", "password": password, "domain": domain });
        let credentials = serde_json::json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": "admin", "domain": domain } },
        }});
        Self { server: SocketAddr::from((address, PORT)), credentials: credentials.to_string() }
    }

    /// The same cloud at another address.
    pub(crate) fn at(&self, address: Ipv4Addr) -> Self {
        Self { server: SocketAddr::from((address, PORT)), credentials: self.credentials.clone() }
    }

    /// Asks for a token with the password.
    pub(crate) async fn issue(&self, limit: Duration) -> Result<Answer, NoAnswer> {
        let request = Ask {
            method: Method::POST,
            path: "/v3/auth/tokens".into(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: self.credentials.clone().into(),
        };
        ask(self.server, &request, limit).await
    }

    /// Has a token validated, by the right of the token itself.
    pub(crate) async fn validate(&self, token: &str, limit: Duration) -> Result<Answer, NoAnswer> {
        let headers = vec![("x-auth-token", token.to_owned()), ("x-subject-token", token.to_owned())];
        ask(self.server, &Ask { headers, ..Ask::get("/v3/auth/tokens") }, limit).await
    }

    /// Whether the server says that it is healthy.
    pub(crate) async fn is_healthy(&self, limit: Duration) -> bool {
        ask(self.server, &Ask::get("/healthcheck"), limit).await.is_ok_and(|answer| answer.status == 200)
    }
}
