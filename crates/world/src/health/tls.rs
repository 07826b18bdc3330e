//! Looks at certificates as clients see them: one greeting by TLS with every address of the catalogue, by its public name, and
//! with the virtual address in its place, where another load balancer may stand before it.
//!
//! It must never send anything but the greeting. It believes nobody while it greets: what is shown is what it came for.

use super::Look;
use super::bucket::Bucket;
use super::rows::{Tables, row};
use crate::openstack::Credentials;
use crate::web::{Judge, Reader, Shown, Trust};
use futures_util::future::join_all;
use ostler_model::Timestamp;
use ostler_model::health::{Row, Value};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

/// How long a greeting may take, the connection included.
const LIMIT: Duration = Duration::from_secs(10);

/// Greetings under way at the same time.
const AT_ONCE: usize = 16;

/// Where one greets, and by which name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The name that the address of the catalogue has.
    name: String,
    /// What is connected to: the same, or the virtual address.
    at: String,
    port: u16,
}

/// What is there.
#[derive(Debug, Default)]
struct Behind {
    services: BTreeSet<String>,
    /// Whether Ostler's own questions go there: then it is a hole if nothing can be seen.
    is_asked: bool,
}

/// Greets all. Answers how many greetings that took.
pub(super) async fn look(
    look: &Look<'_>,
    credentials: &Credentials,
    bucket: &Bucket,
    tables: &Tables,
) -> u64 {
    let places = places(&tables.rows("endpoint"), credentials, look.cloud.virtual_address.as_deref());
    if places.is_empty() {
        return 0;
    }
    tables.seen("tls");
    let set_up = Judge::new(&Trust::Anyone)
        .and_then(|judge| Arc::new(judge).tls())
        .and_then(|tls| Ok((Arc::new(tls), Reader::new(&credentials.trust)?)));
    let (tls, reader) = match set_up {
        Ok(both) => both,
        Err(error) => {
            tables.gap("tls", None, &error.to_string());
            return 0;
        }
    };
    let gates = Semaphore::new(AT_ONCE);
    let each = places.iter().map(|(place, behind)| async {
        let _gate = gates.acquire().await;
        bucket.take().await;
        one(place, behind, &tls, &reader, tables).await;
    });
    join_all(each).await;
    places.len() as u64
}

/// Where one greets: every address with TLS, and the identity service, which is asked before there is a catalogue.
fn places(
    endpoints: &[Row],
    credentials: &Credentials,
    virtual_address: Option<&str>,
) -> BTreeMap<Place, Behind> {
    let mut found: BTreeMap<Place, Behind> = BTreeMap::new();
    let mut add = |name: &str, port: u16, service: &str, is_asked: bool| {
        let name = name.trim_matches(['[', ']']);
        let others = virtual_address.filter(|other| is_asked && *other != name);
        for (at, is_asked) in [(name, is_asked)].into_iter().chain(others.map(|at| (at, false))) {
            let place = Place { name: name.to_owned(), at: at.to_owned(), port };
            let behind = found.entry(place).or_default();
            behind.services.insert(service.to_owned());
            behind.is_asked |= is_asked;
        }
    };
    if credentials.auth_tls {
        add(&credentials.auth_host, credentials.auth_port, "identity", true);
    }
    for endpoint in endpoints.iter().filter(|row| row.get("tls") == Some(&Value::Bool(true))) {
        let text = |name: &str| endpoint.get(name).and_then(Value::text);
        let port = endpoint.get("port").and_then(Value::number);
        if let (Some(name), Some(port), Some(service)) = (text("name"), port, text("service")) {
            let is_asked = endpoint.get("asked") == Some(&Value::Bool(true));
            // Ports are read from addresses: whole, and below 65,536.
            add(name, port as u16, service, is_asked);
        }
    }
    found
}

async fn one(place: &Place, behind: &Behind, tls: &Arc<ClientConfig>, reader: &Reader, tables: &Tables) {
    let shown = async {
        let name = ServerName::try_from(place.name.clone()).map_err(|_| "it is no name of a server")?;
        let chain = match tokio::time::timeout(LIMIT, greet(place, &name, tls)).await {
            Ok(chain) => chain?,
            Err(_) => return Err(format!("no answer within {} s", LIMIT.as_secs())),
        };
        reader.read(&chain, &name, u64::try_from(Timestamp::now().as_second()).unwrap_or_default())
    };
    match shown.await {
        Ok(shown) => tables.add("tls", columns(place, behind, &shown)),
        // Other interfaces and the virtual address need not be within reach of who looks.
        Err(_) if !behind.is_asked => {}
        Err(why) => {
            tables.gap("tls", None, &format!("greeting {}:{}: {why}", place.name, place.port));
        }
    }
}

async fn greet(
    place: &Place,
    name: &ServerName<'static>,
    tls: &Arc<ClientConfig>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let stream =
        TcpStream::connect((place.at.as_str(), place.port)).await.map_err(|error| error.to_string())?;
    let greeted = TlsConnector::from(Arc::clone(tls))
        .connect(name.clone(), stream)
        .await
        .map_err(|error| error.to_string())?;
    let (_, session) = greeted.get_ref();
    Ok(session.peer_certificates().unwrap_or_default().to_vec())
}

fn columns(place: &Place, behind: &Behind, shown: &Shown) -> Row {
    let names = if shown.names.is_empty() { "no name".to_owned() } else { shown.names.join(", ") };
    let at = if place.at == place.name { String::new() } else { format!(" at {}", place.at) };
    row([
        ("place", format!("{}:{}{at}", place.name, place.port).into()),
        ("name", place.name.as_str().into()),
        ("at", place.at.as_str().into()),
        ("port", Value::Number(f64::from(place.port))),
        ("services", behind.services.iter().cloned().collect::<Vec<_>>().join(", ").into()),
        ("begins", shown.begins.into()),
        ("ends", shown.ends.into()),
        ("chain_ends", shown.chain_ends.unwrap_or(shown.ends).into()),
        ("names", names.into()),
        ("named", shown.is_named.into()),
        ("doubt", shown.doubt.as_deref().unwrap_or_default().into()),
    ])
}

#[cfg(test)]
mod tests;
