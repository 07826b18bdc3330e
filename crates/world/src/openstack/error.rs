//! What can go wrong when an API is asked, and whether something may have happened all the same.
//!
//! It must never turn "no answer" into "not done", and never show a token.

use super::version::{Microversion, Range};
use crate::node::redact::redact;
use crate::web::WebError;
use ostler_model::event::Why;
use serde_json::Value;

/// Characters of a service's complaint that are kept.
const WORDS_CHARS_MAX: usize = 400;

/// Why a call to an API came to nothing, or may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no token to be had.
    #[error("no token from {url}: {reason}")]
    NoToken {
        /// The identity service.
        url: String,
        /// What it said, or why it said nothing.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The catalogue has no such service for this region and interface.
    #[error(
        "the catalogue has no {interface} address of `{service}`{}; it has {there}",
        region_words(region)
    )]
    NoEndpoint {
        /// Type of the service.
        service: &'static str,
        /// The interface that was asked for.
        interface: &'static str,
        /// The region, where one is named.
        region: Option<String>,
        /// What the catalogue has.
        there: String,
    },
    /// The service does not speak the version that a call needs.
    #[error("{doing} needs {service} {needed}, but it speaks {least} to {most}")]
    Version {
        /// What was to be done.
        doing: String,
        /// Type of the service.
        service: &'static str,
        /// What is needed.
        needed: Range,
        /// The oldest it speaks.
        least: Microversion,
        /// The newest it speaks.
        most: Microversion,
    },
    /// The request was not sent.
    #[error("{doing}: {error}")]
    NotSent {
        /// What was to be done.
        doing: String,
        /// Why not.
        error: WebError,
    },
    /// The request may have been carried out, the answer is lost.
    #[error("{doing}: {error}")]
    Lost {
        /// What was to be done.
        doing: String,
        /// What happened.
        error: WebError,
    },
    /// The service said no, or that it cannot now.
    #[error("{doing}: answered {status}{}{}", colon(words), request_words(request))]
    Answered {
        /// What was to be done.
        doing: String,
        /// The status.
        status: u16,
        /// What it said.
        words: String,
        /// Its name for the request, by which its logs are searched.
        request: Option<String>,
    },
    /// The service said yes, but what it said cannot be understood.
    #[error("{doing}: the answer cannot be understood: {what}{}", request_words(request))]
    Odd {
        /// What was to be done.
        doing: String,
        /// What is odd.
        what: String,
        /// Its name for the request.
        request: Option<String>,
    },
}

fn region_words(region: &Option<String>) -> String {
    region.as_ref().map(|region| format!(" in region `{region}`")).unwrap_or_default()
}

fn colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

fn request_words(request: &Option<String>) -> String {
    request.as_ref().map(|request| format!(" ({request})")).unwrap_or_default()
}

impl ApiError {
    /// Whether it is known that the call changed nothing. An error of the server itself (500, 502, 503, 504) says
    /// nothing about that: a load balancer says it for a server that was working on the request when it died.
    pub fn changed_nothing(&self) -> bool {
        match self {
            ApiError::NoToken { .. }
            | ApiError::NoEndpoint { .. }
            | ApiError::Version { .. }
            | ApiError::NotSent { .. } => true,
            ApiError::Answered { status, .. } => (300..500).contains(status) && *status != 408,
            ApiError::Lost { .. } | ApiError::Odd { .. } => false,
        }
    }

    /// The status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            ApiError::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether asking again later may help without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            ApiError::Answered { status, .. } => matches!(status, 408 | 429 | 500..=599),
            ApiError::NotSent { error, .. } => matches!(error, WebError::Unreachable(_)),
            ApiError::Lost { .. } => true,
            ApiError::NoToken { .. } => true,
            _ => false,
        }
    }

    /// As a reason, with a way out.
    pub fn why(&self) -> Why {
        let why = Why::new(self.to_string());
        match self {
            ApiError::NoToken { hint, .. } => why.hint(hint.clone()),
            ApiError::NoEndpoint { .. } => why.hint(
                "see `openstack catalog list`; set `region_name`, `interface` or an override of the address in clouds.yaml",
            ),
            ApiError::NotSent { error: WebError::Untrusted { .. }, .. } => {
                why.hint("name the authority's certificate as `cacert` in clouds.yaml")
            }
            ApiError::Answered { status: 403, .. } => {
                why.hint("the credentials in clouds.yaml need the role `admin` in their project")
            }
            _ => why,
        }
    }
}

/// What a service said of its failure, in one short line. Each service wraps it differently.
pub(super) fn words_of(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(body) => {
            let said = body
                .pointer("/errors/0/detail")
                .or_else(|| body.pointer("/error/message"))
                .or_else(|| body.as_object()?.values().find_map(|value| value.get("message")))
                .or_else(|| body.get("message"));
            said.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        // A load balancer's page: its tags say nothing.
        Err(_) => untagged(&String::from_utf8_lossy(body)),
    };
    let line = redact(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(WORDS_CHARS_MAX).collect()
}

fn untagged(text: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for letter in text.chars().take(8 * WORDS_CHARS_MAX) {
        match letter {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                plain.push(' ');
            }
            letter if !inside => plain.push(letter),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_s_way_to_complain_is_understood() {
        for (body, words) in [
            (r#"{"badRequest": {"code": 400, "message": "in  use."}}"#, "in use."),
            (r#"{"error": {"code": 401, "message": "no", "title": "Unauthorized"}}"#, "no"),
            (r#"{"errors": [{"status": 409, "detail": "conflict", "title": "x"}]}"#, "conflict"),
            (
                "<html><body><h1>503 Service Unavailable</h1>\nNo server</body></html>",
                "503 Service Unavailable No server",
            ),
            ("[]", ""),
            ("{\"a\": 1}", ""),
            ("", ""),
        ] {
            assert_eq!(words_of(body.as_bytes()), words, "{body}");
        }
        assert_eq!(words_of("x".repeat(9_000).as_bytes()).len(), WORDS_CHARS_MAX);
    }

    #[test]
    fn only_what_is_certain_is_called_certain() {
        let answered =
            |status| ApiError::Answered { doing: String::new(), status, words: String::new(), request: None };
        for status in [400, 401, 403, 404, 409, 413, 429] {
            assert!(answered(status).changed_nothing(), "{status}");
        }
        for status in [408, 500, 502, 503, 504] {
            assert!(!answered(status).changed_nothing() && answered(status).may_pass(), "{status}");
        }
        let lost = WebError::Lost("the connection ended".to_owned());
        assert!(!ApiError::Lost { doing: String::new(), error: lost }.changed_nothing());
    }
}
