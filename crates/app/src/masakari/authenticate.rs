//! Who calls: by a token that the identity service vouches for, by a compute host's own key, or anybody where there is no
//! authentication.
//!
//! It must never show a token, and never let a call through because the identity service did not answer.

use super::fault::Fault;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use ostler_model::Timestamp;
use ostler_world::monitor::keys::ServerKeys;
use ostler_world::monitor::report::{HOST_HEADER, SIGNATURE_HEADER, Signed, TIME_HEADER, signer};
use ostler_world::openstack::{TokenError, Tokens};
use std::sync::Arc;

/// The role of whoever signs with a host's key.
const HOST_ROLE: &str = "ha-monitor";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's identity.
    pub user: String,
    /// The project that the token is for.
    pub project: Option<String>,
    /// The roles in it.
    pub roles: Vec<String>,
    /// Whether the token is for the cloud as a whole.
    pub is_for_system: bool,
    /// Whether there is no authentication, so that everybody may do everything.
    pub is_everybody: bool,
    /// The compute host whose key signed the call, if one did: it speaks for itself, and as a witness of other hosts.
    pub host: Option<String>,
}

/// The compute host that signed a request with its key. None: the request is not signed.
pub fn by_host_key(
    keys: Option<&ServerKeys>,
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Option<Result<Arc<Caller>, Fault>> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let (keys, signature) = (keys?, header(SIGNATURE_HEADER)?);
    let signed = Signed {
        host: header(HOST_HEADER).unwrap_or_default(),
        time: header(TIME_HEADER).unwrap_or_default(),
        signature,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        body,
    };
    Some(match signer(keys, &signed, now) {
        Ok(host) => Ok(Arc::new(Caller {
            user: format!("host {host}"),
            project: None,
            roles: vec![HOST_ROLE.to_owned()],
            is_for_system: false,
            is_everybody: false,
            host: Some(host.to_owned()),
        })),
        Err(error) => Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            format!("The request is signed with a host's key, and it is not believed: {error}."),
        )),
    })
}

/// How callers are known.
pub enum Authentication {
    /// By tokens.
    Keystone {
        /// Checks tokens.
        tokens: Arc<Tokens>,
        /// Where clients are told to get one.
        realm: String,
    },
    /// Not at all.
    Nobody,
}

impl Authentication {
    /// Who sends a request with these headers.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Fault> {
        let Authentication::Keystone { tokens, realm } = self else {
            let project = headers.get("x-project-id").and_then(|value| value.to_str().ok());
            return Ok(Arc::new(Caller {
                user: "noauth".to_owned(),
                project: project.map(str::to_owned),
                roles: vec!["admin".to_owned()],
                is_for_system: false,
                is_everybody: true,
                host: None,
            }));
        };
        let token = headers.get("x-auth-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if token.is_empty() {
            return Err(Fault::unauthorized(realm));
        }
        match tokens.check(token).await {
            Ok(holder) => Ok(Arc::new(Caller {
                user: holder.user.clone(),
                project: holder.project.clone(),
                roles: holder.roles.clone(),
                is_for_system: holder.is_for_system,
                is_everybody: false,
                host: None,
            })),
            Err(TokenError::Invalid) => Err(Fault::unauthorized(realm)),
            Err(TokenError::Unavailable(why)) => Err(Fault::unchecked(realm, &why)),
        }
    }
}
