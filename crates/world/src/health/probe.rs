//! Asks every API whether it answers: through its public address, and straight at each server behind it.
//!
//! No token is sent: what answers here answers to anybody. One failure is asked again before it counts.

use super::Look;
use super::bucket::Bucket;
use super::rows::{Tables, row};
use crate::node::Connections;
use crate::openstack::OpenStack;
use crate::openstack::http::{Call, Connection};
use futures_util::future::join_all;
use hyper::Method;
use ostler_model::cloud::Role;
use ostler_model::health::{Row, Value};
use ostler_model::ids::HostName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Pause before a failure is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Ways tried at the same time.
const AT_ONCE: usize = 16;

/// Characters of an answer that are kept as a reason.
const REASON_CHARS_MAX: usize = 200;

/// Types of services that answer `/healthcheck`. The others have their version document at `/` and no more.
const HEALTHCHECK: [&str; 6] = ["identity", "image", "network", "block-storage", "volumev3", "instance-ha"];

/// What one way answered.
struct Answer {
    status: u16,
    ms: f64,
    body: String,
}

/// Asks all ways. Answers how many requests that took.
pub(super) async fn look(look: &Look<'_>, openstack: &OpenStack, bucket: &Bucket, tables: &Tables) -> u64 {
    let fronts = fronts(&tables.rows("endpoint"));
    if fronts.is_empty() {
        return 0;
    }
    let places = Semaphore::new(AT_ONCE);
    let requests = AtomicU64::new(0);
    let through_front = fronts.iter().map(|(service, url)| async {
        let _place = places.acquire().await;
        let root = root_of(url);
        let ask = |path: &'static str| {
            let url = format!("{root}{path}");
            requests.fetch_add(1, Ordering::Relaxed);
            async move {
                bucket.take().await;
                let begun = Instant::now();
                let (status, body) = openstack.anybody(&url, LIMIT).await?;
                Ok(Answer { status, ms: begun.elapsed().as_millis() as f64, body })
            }
        };
        let row = way(service, &root, "front", None, ask).await;
        tables.add("api", row);
    });
    join_all(through_front).await;
    let backends = backends(look, &fronts, tables);
    let straight = backends.iter().map(|target| async {
        let (service, host, port) = target;
        let _place = places.acquire().await;
        let Some(node) = look.cloud.nodes.get(host) else { return };
        let url = format!("{}:{port}", node.address);
        let ask = |path: &'static str| {
            requests.fetch_add(1, Ordering::Relaxed);
            async move {
                bucket.take().await;
                direct(&look.nodes, host, &node.address, *port, path).await
            }
        };
        let row = way(service, &url, "backend", Some(host.as_str()), ask).await;
        tables.add("api", row);
    });
    join_all(straight).await;
    requests.into_inner()
}

/// The address that is asked, of each service that the catalogue has.
fn fronts(endpoints: &[Row]) -> BTreeMap<String, String> {
    let asked = endpoints.iter().filter(|row| row.get("asked") == Some(&Value::Bool(true)));
    asked
        .filter_map(|row| Some((row.get("service")?.text()?.to_owned(), row.get("url")?.text()?.to_owned())))
        .collect()
}

/// The servers behind each address: those that a load balancer names; where there is none, whoever listens there.
fn backends(
    look: &Look<'_>,
    fronts: &BTreeMap<String, String>,
    tables: &Tables,
) -> BTreeSet<(String, HostName, u16)> {
    let mut found = BTreeSet::new();
    let servers = tables.rows("haproxy.server");
    let listeners = tables.rows("listener");
    for (service, url) in fronts {
        let Some(port) = port_of(url) else { continue };
        for (host, node) in look.cloud.nodes.iter().filter(|(_, node)| node.roles.contains(&Role::Controller))
        {
            let place = format!("{}:{port}", node.address);
            let is_server = |row: &Row| row.get("address").and_then(Value::text) == Some(place.as_str());
            let listens = |row: &Row| {
                row.get("host").and_then(Value::text) == Some(host.as_str())
                    && row.get("port").and_then(Value::number) == Some(f64::from(port))
                    && row
                        .get("address")
                        .and_then(Value::text)
                        .is_some_and(|on| on == node.address || matches!(on, "0.0.0.0" | "*" | "[::]"))
            };
            let is_there = match servers.is_empty() {
                false => servers.iter().any(is_server),
                true => listeners.iter().any(listens),
            };
            if is_there {
                found.insert((service.clone(), host.clone(), port));
            }
        }
    }
    found
}

fn port_of(url: &str) -> Option<u16> {
    let rest = url.split_once("://")?.1;
    rest.split('/').next()?.rsplit_once(':')?.1.parse().ok()
}

/// An address without its version and project; a path before them is kept.
fn root_of(url: &str) -> String {
    let parts: Vec<&str> = url.trim_end_matches('/').split('/').collect();
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let end = parts.iter().skip(3).position(is_version).map_or(parts.len(), |at| at + 3);
    parts[..end].join("/")
}

/// One way: its version document, and its own opinion of itself where it has one.
async fn way<F, Fut>(service: &str, url: &str, kind: &str, host: Option<&str>, ask: F) -> Row
where
    F: Fn(&'static str) -> Fut,
    Fut: Future<Output = Result<Answer, String>>,
{
    let is_bad = |said: &Result<Answer, String>| !matches!(said, Ok(answer) if answer.status < 500);
    let mut said = ask("/").await;
    let mut tries = 1;
    if is_bad(&said) {
        tokio::time::sleep(PAUSE).await;
        said = ask("/").await;
        tries = 2;
    }
    let mut columns = row([
        ("service", service.into()),
        ("way", kind.into()),
        ("url", url.into()),
        ("tries", Value::Number(f64::from(tries))),
        ("answers", (!is_bad(&said)).into()),
    ]);
    if let Some(host) = host {
        columns.insert("host".to_owned(), host.into());
    }
    match &said {
        Ok(answer) => {
            columns.insert("status".to_owned(), Value::Number(f64::from(answer.status)));
            columns.insert("ms".to_owned(), Value::Number(answer.ms));
            columns.insert("why".to_owned(), format!("answered {}", answer.status).into());
            columns.insert("newest".to_owned(), newest(&answer.body).into());
        }
        Err(why) => {
            columns.insert("why".to_owned(), why.as_str().into());
        }
    }
    if HEALTHCHECK.contains(&service)
        && let Ok(answer) = ask("/healthcheck").await
        // Older ones and other servers in their place do not know the path.
        && !matches!(answer.status, 300 | 401 | 404)
    {
        let words: String = answer.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let words: String = words.chars().take(REASON_CHARS_MAX).collect();
        columns.insert("healthcheck".to_owned(), Value::Number(f64::from(answer.status)));
        columns.insert("healthcheck_says".to_owned(), words.into());
    }
    columns
}

/// The newest version that a version document names.
fn newest(body: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(body).ok()?;
    let listed = document.pointer("/versions/values").or_else(|| document.get("versions"))?.as_array()?;
    let mut words = listed.iter().filter_map(|one| {
        let text =
            |key: &str| one.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
        text("max_version").or_else(|| text("version")).or_else(|| text("id"))
    });
    words.next_back().map(str::to_owned)
}

async fn direct(
    nodes: &Connections,
    host: &HostName,
    address: &str,
    port: u16,
    path: &str,
) -> Result<Answer, String> {
    let begun = Instant::now();
    let asked = async {
        let opened = nodes.stream(host, address, port).await.map_err(|error| error.why().what)?;
        let mut connection = Connection::new(opened.channel, &format!("{address}:{port}")).await?;
        let call = Call { method: Method::GET, path, headers: Vec::new(), body: None };
        let answer = connection.call(call).await.map_err(|lost| lost.what)?;
        Ok(Answer {
            status: answer.status.as_u16(),
            ms: begun.elapsed().as_millis() as f64,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        })
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(said) => said,
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_an_address_has_no_version() {
        for (url, root) in [
            ("http://h:8774/v2.1", "http://h:8774"),
            ("https://h/compute/v2.1/abc", "https://h/compute"),
            ("http://h:9292", "http://h:9292"),
            ("http://h:5000/v3/", "http://h:5000"),
        ] {
            assert_eq!(root_of(url), root);
        }
    }

    #[test]
    fn the_newest_version_is_read_in_every_shape() {
        assert_eq!(
            newest(r#"{"versions": [{"id": "v2.0", "version": ""}, {"id": "v2.1", "version": "2.100"}]}"#)
                .as_deref(),
            Some("2.100")
        );
        assert_eq!(newest(r#"{"versions": {"values": [{"id": "v3.14"}]}}"#).as_deref(), Some("v3.14"));
        assert_eq!(
            newest(r#"{"versions": [{"id": "v1.0", "max_version": "1.39"}]}"#).as_deref(),
            Some("1.39")
        );
        assert_eq!(newest("<html>"), None);
    }
}
