//! The Masakari API, version 1, as clients know it: from a request to an answer.
//!
//! The way of a request: its place, its caller, its microversion, its project, whether the caller may, and only then
//! what it asks for. It decides nothing about recoveries: it keeps what is reported, and shows what became of it. It must
//! never answer "server error" for what a client sent.

mod authenticate;
mod body;
mod extensions;
mod fault;
mod hosts;
mod input;
mod microversion;
mod moves;
mod notifications;
mod openapi;
mod paging;
mod policy;
mod routes;
mod segments;
mod versions;

#[cfg(test)]
mod tests;

pub use authenticate::Authentication;
pub use notifications::DISABLED;
pub use openapi::DOCUMENT;
pub use policy::Policy;

use authenticate::Caller;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use fault::Fault;
use microversion::Microversion;
use ostler_engine::seam::{Clock, Store};
use ostler_model::Timestamp;
use ostler_world::monitor::keys::ServerKeys;
use routes::{Action, Found, Place};
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a call comes to.
pub type Answer = Result<Response<Body>, Fault>;

/// Says whether the compute service knows a host of this name.
pub type IsComputeHost =
    Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send>> + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
const API_VERSION: HeaderName = HeaderName::from_static(microversion::HEADER);

/// The API and what it needs.
pub struct Api {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How callers are known.
    pub authentication: Authentication,
    /// By what compute hosts are known that sign their reports; none: no host is.
    pub host_keys: Option<ServerKeys>,
    /// Who may do what.
    pub policy: Policy,
    /// Says whether a host is one of the compute service; none: every name is taken.
    pub is_compute_host: Option<IsComputeHost>,
    /// Where clients see this server, if not where they say.
    pub link_prefix: Option<String>,
    /// Rings when a report was kept, for whoever waits for work.
    pub reported: Arc<Notify>,
    /// Hears of failures of our own, for the log.
    pub complain: Box<dyn Fn(&str) + Send + Sync>,
}

/// A request on its way to what it asks for.
pub struct Request<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What is behind the question mark.
    pub query: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
    /// The microversion that it asks for.
    pub version: Microversion,
    /// Who sent it.
    pub caller: &'a Caller,
}

impl Api {
    /// Answers a request.
    pub async fn answer(&self, request: axum::http::Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut response = match axum::body::to_bytes(body, input::BODY_BYTES_MAX).await {
            Ok(bytes) => self.at(&parts, &bytes).await,
            Err(_) => Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("Request is too large, or broke off: {} bytes are taken.", input::BODY_BYTES_MAX),
            )
            .response(),
        };
        let id = format!("req-{}", self.identity());
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn at(&self, parts: &axum::http::request::Parts, bytes: &Bytes) -> Response<Body> {
        let base = || versions::base(&parts.headers, self.link_prefix.as_deref());
        let path = match paging::percent(parts.uri.path(), false) {
            Ok(path) => path,
            Err(fault) => return fault.response(),
        };
        let below = path.strip_prefix("/v1").and_then(|rest| match rest {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        });
        match below {
            None if path == "/" || path.is_empty() => finish(versions::list(&base()), None),
            None => versions::choices(&base(), &path),
            Some("") => finish(versions::show(&base()), Some(Microversion::FIRST)),
            Some(below) => {
                let (answer, version) = self.below(parts, below, bytes).await;
                if let Err(fault) = &answer
                    && fault.status.is_server_error()
                {
                    (self.complain)(&format!("{} {path}: {}", parts.method, fault.message));
                }
                finish(answer, version)
            }
        }
    }

    /// Answers what is asked for below the version, and says which microversion the answer has.
    async fn below(
        &self,
        parts: &axum::http::request::Parts,
        below: &str,
        bytes: &Bytes,
    ) -> (Answer, Option<Microversion>) {
        let signed = authenticate::by_host_key(self.host_keys.as_ref(), parts, bytes, self.now());
        let caller = match signed {
            Some(caller) => caller,
            None => self.authentication.caller(&parts.headers).await,
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(fault) => return (Err(fault), None),
        };
        let version = match Microversion::of(&parts.headers) {
            Ok(version) => version,
            Err(fault) => return (Err(fault), None),
        };
        let place = Place::of(below);
        let request = Request {
            headers: &parts.headers,
            query: parts.uri.query(),
            body: bytes,
            version,
            caller: &caller,
        };
        let answer = async {
            let found = place.find(&parts.method)?;
            if let (Some(asked), Some(own)) = (place.project, &caller.project)
                && asked != own
            {
                return Err(Fault::bad(format!(
                    "Malformed request URL: URL's project_id '{}' doesn't match the token's project_id '{}'.",
                    fault::shown(asked),
                    fault::shown(own)
                )));
            }
            if !self.policy.allows(found.route.rule, &caller, place.project) {
                return Err(Fault::new(
                    StatusCode::FORBIDDEN,
                    format!("Policy doesn't allow {} to be performed.", found.route.rule),
                ));
            }
            self.act(&request, &found).await
        };
        (answer.await, Some(version))
    }

    async fn act(&self, request: &Request<'_>, found: &Found<'_>) -> Answer {
        let name = |index: usize| found.names.get(index).copied().unwrap_or_default();
        match found.route.action {
            Action::SegmentList => segments::list(self, request).await,
            Action::SegmentCreate => segments::create(self, request).await,
            Action::SegmentShow => segments::show(self, name(0)).await,
            Action::SegmentUpdate => segments::update(self, request, name(0)).await,
            Action::SegmentDelete => segments::delete(self, name(0)).await,
            Action::HostList => hosts::list(self, request, name(0)).await,
            Action::HostCreate => hosts::create(self, request, name(0)).await,
            Action::HostShow => hosts::show(self, name(0), name(1)).await,
            Action::HostUpdate => hosts::update(self, request, name(0), name(1)).await,
            Action::HostDelete => hosts::delete(self, name(0), name(1)).await,
            Action::NotificationList => notifications::list(self, request).await,
            Action::NotificationCreate => notifications::create(self, request).await,
            Action::NotificationShow => notifications::show(self, request, name(0)).await,
            Action::MoveList => moves::list(self, request, name(0)).await,
            Action::MoveShow => moves::show(self, name(0), name(1)).await,
            Action::ExtensionList => extensions::list(),
            Action::ExtensionShow => extensions::show(name(0)),
            Action::VersionShow => {
                versions::show(&versions::base(request.headers, self.link_prefix.as_deref()))
            }
        }
    }

    /// The time, as the store keeps it.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// A new identity.
    fn identity(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
}

fn finish(answer: Answer, version: Option<Microversion>) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|fault| fault.response());
    if let Some(version) = version
        && let Ok(value) = HeaderValue::from_str(&version.header())
    {
        response.headers_mut().insert(API_VERSION, value);
        response.headers_mut().insert(VARY, HeaderValue::from_static("OpenStack-API-Version"));
    }
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(body).map_err(|error| {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, format!("The answer cannot be written: {error}"))
    })?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Here it is.
fn ok(body: &impl Serialize) -> Answer {
    json(StatusCode::OK, body)
}

/// It was made.
fn created(body: &impl Serialize) -> Answer {
    json(StatusCode::CREATED, body)
}

/// It was taken and is going to be worked on.
fn accepted(body: &impl Serialize) -> Answer {
    json(StatusCode::ACCEPTED, body)
}

/// It is gone.
fn gone() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
