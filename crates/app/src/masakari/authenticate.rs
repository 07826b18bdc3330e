//! Who calls: by a token that the identity service vouches for, or anybody where there is no authentication.
//!
//! It must never show a token, and never let a call through because the identity service did not answer.

use super::fault::Fault;
use axum::http::HeaderMap;
use ostler_world::openstack::{TokenError, Tokens};
use std::sync::Arc;

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
            })),
            Err(TokenError::Invalid) => Err(Fault::unauthorized(realm)),
            Err(TokenError::Unavailable(why)) => Err(Fault::unchecked(realm, &why)),
        }
    }
}
