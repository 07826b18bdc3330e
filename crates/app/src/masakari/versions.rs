//! Which versions of the API there are, and where.
//!
//! Links lead to where the client came from, also through a proxy. It must never need a token: discovery comes first.

use super::microversion::Microversion;
use super::{Answer, ok};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

const MEDIA_TYPE: &str = "application/vnd.openstack.masakari+json;version=1";

/// Where the client sees this server, without a slash at the end.
pub fn base(headers: &HeaderMap, prefix: Option<&str>) -> String {
    if let Some(prefix) = prefix {
        return prefix.trim_end_matches('/').to_owned();
    }
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        // A chain of proxies appends; the first is the one the client spoke to.
        let first = value.split(',').next().unwrap_or_default().trim();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]/".contains(c);
        (!first.is_empty() && first.chars().all(is_plain)).then(|| first.to_owned())
    };
    let scheme = header("x-forwarded-proto").filter(|scheme| scheme == "https").map_or("http", |_| "https");
    let host = header("x-forwarded-host").or_else(|| header(HOST.as_str()));
    let path = header("x-forwarded-prefix").unwrap_or_default();
    format!("{scheme}://{}{}", host.unwrap_or_else(|| "localhost".to_owned()), path.trim_end_matches('/'))
}

fn version(base: &str) -> Value {
    json!({
        "id": "v1.0",
        "status": "CURRENT",
        "version": format!("1.{}", Microversion::LAST.0),
        "min_version": "1.0",
        "updated": "2016-07-01T11:33:21Z",
        "links": [{ "rel": "self", "href": format!("{base}/v1/") }],
    })
}

/// `GET /`
pub fn list(base: &str) -> Answer {
    ok(&json!({ "versions": [version(base)] }))
}

/// `GET /v1/`
pub fn show(base: &str) -> Answer {
    let mut version = version(base);
    if let Some(Value::Array(links)) = version.get_mut("links") {
        links.push(
            json!({ "rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/" }),
        );
    }
    version["media-types"] = json!([{ "base": "application/json", "type": MEDIA_TYPE }]);
    ok(&json!({ "version": version }))
}

/// Any other place outside of `/v1`.
pub fn choices(base: &str, path: &str) -> Response<Body> {
    let href = format!("{base}/v1{path}");
    let choice = json!({
        "id": "v1.0",
        "status": "CURRENT",
        "links": [{ "rel": "self", "href": href }],
        "media-types": [{ "base": "application/json", "type": MEDIA_TYPE }],
    });
    let mut response = Response::new(Body::from(json!({ "choices": [choice] }).to_string()));
    *response.status_mut() = StatusCode::MULTIPLE_CHOICES;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
