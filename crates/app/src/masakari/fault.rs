//! What a client is told when a request is not done.
//!
//! Clients look at the status and at the name of the fault. It must never tell a client of anything inside: a store that
//! does not answer is "unavailable", with its reason in the server's own output.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use ostler_engine::seam::StoreError;
use serde_json::json;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status.
    pub status: StatusCode,
    /// What happened, to what, and what to do now.
    pub message: String,
    form: Form,
}

/// How a fault is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// By its name.
    Named,
    /// As the token check in front of every OpenStack service writes it.
    Token {
        /// Where tokens are to be had.
        realm: String,
    },
    /// As the router in front of the resources writes it.
    Router,
}

impl Fault {
    /// A fault of a status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Fault {
        Fault { status, message: message.into(), form: Form::Named }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, message)
    }

    /// What is asked for is not there.
    pub fn missing(what: &str, name: &str) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, format!("{what} with id {} could not be found.", shown(name)))
    }

    /// It cannot be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::CONFLICT, message)
    }

    /// Such a thing cannot be done to such a thing.
    pub fn method() -> Fault {
        Fault::new(StatusCode::METHOD_NOT_ALLOWED, "The method specified is not allowed for this resource.")
    }

    /// There is no such place.
    pub fn nowhere() -> Fault {
        Fault { form: Form::Router, ..Fault::new(StatusCode::NOT_FOUND, "The resource could not be found.") }
    }

    /// The token is missing, or no good.
    pub fn unauthorized(realm: &str) -> Fault {
        Fault {
            form: Form::Token { realm: realm.to_owned() },
            ..Fault::new(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.")
        }
    }

    /// Tokens cannot be checked just now.
    pub fn unchecked(realm: &str, why: &str) -> Fault {
        let message = format!(
            "The identity service cannot be asked whether the token is good: {why}. Check that this server reaches it."
        );
        Fault {
            form: Form::Token { realm: realm.to_owned() },
            ..Fault::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// What a client is answered.
    pub fn response(&self) -> Response<Body> {
        let code = self.status.as_u16();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = match &self.form {
            Form::Named => json!({ name(self.status): { "code": code, "message": self.message } }),
            Form::Token { .. } => {
                json!({ "error": { "code": code, "title": title, "message": self.message } })
            }
            Form::Router => {
                json!({ "message": self.message, "code": format!("{code} {title}"), "title": title })
            }
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json; charset=UTF-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        if let (Form::Token { realm }, StatusCode::UNAUTHORIZED) = (&self.form, self.status)
            && let Ok(challenge) = HeaderValue::from_str(&format!("Keystone uri=\"{realm}\""))
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for Fault {
    fn from(_: StoreError) -> Fault {
        Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The register of instance HA cannot be read or written just now. Try again; the server's log says why.",
        )
    }
}

/// The name under which clients look for a fault of this status.
fn name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "masakariFault",
    }
}

/// Characters of a client's text that are said back to it.
const SHOWN_CHARS_MAX: usize = 120;

/// A client's text, shortened, to be said back.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
