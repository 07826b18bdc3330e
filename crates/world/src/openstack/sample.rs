//! Asks one service once, at a server's own address or at the virtual one, as the function-check matrix wants it.
//!
//! Each answer is an answer of the very server that was asked: its connections are its own, nothing is followed
//! elsewhere. TLS is checked against the name that clients know, whatever address is connected to. It must never show
//! a token, and never take what this machine lacks for a fault of the service.

use super::clouds_yaml::Credentials;
use super::http::{Call as Request, Connection};
use super::keystone::{KeystoneCloud, Token};
use crate::node::Connections;
use crate::web::Judge;
use hyper::Method;
use ostler_engine::seam::Fut;
use ostler_model::event::Why;
use ostler_model::function::{Asked, Mark, PROJECT_PLACE, Question, Sample};
use ostler_model::ids::HostName;
use ostler_model::step::Call;
use rustls::pki_types::ServerName;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Door {
    tls: bool,
    /// The name that clients know.
    name: String,
    /// The port, where the address names one.
    port: Option<u16>,
    /// The path before the version.
    prefix: String,
}

impl Door {
    fn of(url: &str) -> Result<Door, String> {
        let odd = || format!("the catalogue's address `{url}` is none of HTTP");
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(odd()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = match authority.rsplit_once(':') {
            // An address of IPv6 stands in brackets.
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse::<u16>().map_err(|_| odd())?))
            }
            _ => (authority, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() {
            return Err(odd());
        }
        let is_version = |part: &&str| {
            part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let parts: Vec<&str> = path.split('/').take_while(|part| !is_version(part)).collect();
        let prefix: String =
            parts.iter().filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
        Ok(Door { tls, name: name.to_owned(), port, prefix })
    }

    /// The port and the path before the version, for whom is asked: a server behind a load balancer that parts services
    /// by their path has a port of its own, and no such path.
    fn place(&self, asked: &Asked, usual: u16) -> (u16, &str) {
        match (asked, self.port) {
            (_, Some(port)) => (port, &self.prefix),
            (Asked::Virtual, None) => (if self.tls { 443 } else { 80 }, &self.prefix),
            (Asked::Server(_), None) => (usual, ""),
        }
    }
}

/// How a service could not be asked, or how it failed.
struct Bad(Mark, String);

/// Takes samples.
#[derive(Debug)]
pub(super) struct Sampler {
    nodes: Arc<Connections>,
    credentials: Credentials,
    judge: Mutex<Option<Arc<Judge>>>,
    /// Servers that speak plain HTTP although clients use TLS: their load balancer ends it.
    plain: Mutex<BTreeSet<(HostName, u16)>>,
}

impl Sampler {
    pub(super) fn new(credentials: Credentials, nodes: Arc<Connections>) -> Self {
        Self { nodes, credentials, judge: Mutex::default(), plain: Mutex::default() }
    }

    /// Asks once. `token` is what the calls are made with, unless they get one themselves; `project` is whose it is.
    pub(super) async fn sample(
        &self,
        keystone: &KeystoneCloud,
        question: &Question,
        token: impl Future<Output = Result<(Token, Option<String>), String>>,
    ) -> Sample {
        let begun = Instant::now();
        let took = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut lives = false;
        let asking = self.ask(keystone, question, token, &mut lives);
        let came = tokio::time::timeout(Duration::from_millis(question.limit_ms), asking).await;
        let Bad(mark, what) = match came {
            Ok(Ok(())) => return Sample { mark: Mark::Up, took_ms: took(), what: None },
            Ok(Err(bad)) => bad,
            Err(_) => {
                let mark = if lives { Mark::Refused } else { Mark::Down };
                Bad(mark, format!("no answer within {} ms", question.limit_ms))
            }
        };
        Sample { mark, took_ms: took(), what: Some(what) }
    }

    async fn ask(
        &self,
        keystone: &KeystoneCloud,
        question: &Question,
        token: impl Future<Output = Result<(Token, Option<String>), String>>,
        lives: &mut bool,
    ) -> Result<(), Bad> {
        let down = |what: String| Bad(Mark::Down, what);
        let unknown = |what: String| Bad(Mark::Unknown, what);
        let function = &question.function;
        let door = Door::of(&question.url).map_err(unknown)?;
        let (port, prefix) = door.place(&question.asked, function.port);
        let mut connection = self.open(question, &door, port).await?;
        let path = format!("{prefix}{}", function.live.path);
        let request = Request { method: Method::GET, path: &path, headers: Vec::new(), body: None };
        let answer = connection.call(request).await.map_err(|lost| down(lost.what))?;
        if !function.live.ok.contains(&answer.status.as_u16()) {
            return Err(down(format!("{path} answered {}", answer.status)));
        }
        *lives = true;
        if function.calls.is_empty() {
            return Ok(());
        }
        let issues = matches!(function.calls.first(), Some(Call::IssueToken {}));
        let (token, project) = match issues {
            true => (None, None),
            false => {
                let (token, project) =
                    token.await.map_err(|why| unknown(format!("it lives, but there is no token: {why}")))?;
                (Some(token), project)
            }
        };
        // The first connection may be closed by its server after one answer. When that of the calls is, what comes of
        // another one is the calls' affair.
        let connection = self.open(question, &door, port).await?;
        let reopen = || -> Fut<'_, Result<Connection, Why>> {
            let opened = self.open(question, &door, port);
            Box::pin(async { opened.await.map_err(|Bad(_, what)| Why::new(what)) })
        };
        let calls: Vec<Call> =
            function.calls.iter().map(|call| placed(call, project.as_deref().unwrap_or_default())).collect();
        let way = format!("port {port}");
        let made = keystone.make_over((connection, &reopen), &way, prefix, token, &calls).await;
        made.map(|_| ()).map_err(|why| Bad(Mark::Refused, why.what))
    }

    /// A connection of the question's own.
    async fn open(&self, question: &Question, door: &Door, port: u16) -> Result<Connection, Bad> {
        let host = match &question.asked {
            Asked::Server(host) => Some(host),
            Asked::Virtual => None,
        };
        let is_plain = |host: &HostName| {
            let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
            plain.contains(&(host.clone(), port))
        };
        let tls = door.tls && !host.is_some_and(is_plain);
        match self.open_as(question, door, port, tls).await {
            Err(Unopened::NotTls(what)) => {
                let Some(host) = host else { return Err(Bad(Mark::Down, what)) };
                let opened = self.open_as(question, door, port, false).await;
                let connection = opened.map_err(Unopened::bad)?;
                let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
                plain.insert((host.clone(), port));
                Ok(connection)
            }
            opened => opened.map_err(Unopened::bad),
        }
    }

    async fn open_as(
        &self,
        question: &Question,
        door: &Door,
        port: u16,
        tls: bool,
    ) -> Result<Connection, Unopened> {
        let down = |what: String| Unopened::Bad(Bad(Mark::Down, what));
        let authority = format!("{}:{port}", door.name);
        let address = match &question.asked {
            Asked::Virtual => door.name.clone(),
            Asked::Server(host) => {
                let declared = self.nodes.declared(host);
                let declared =
                    declared.map_err(|error| Unopened::Bad(Bad(Mark::Unknown, error.why().what)))?;
                declared.address.clone()
            }
        };
        if let (Asked::Server(host), true) = (&question.asked, question.by_ssh) {
            let opened = self.nodes.stream(host, &address, port).await.map_err(|error| {
                // The service is at fault only if its node says so.
                let mark = if error.is_no_listener() { Mark::Down } else { Mark::Unknown };
                Unopened::Bad(Bad(mark, error.why().what))
            })?;
            return self.greet(opened.channel, door, &authority, tls).await;
        }
        let stream = TcpStream::connect((address.as_str(), port))
            .await
            .map_err(|error| down(format!("{address}:{port}: {error}")))?;
        let _ = stream.set_nodelay(true);
        self.greet(stream, door, &authority, tls).await
    }

    async fn greet<S>(
        &self,
        stream: S,
        door: &Door,
        authority: &str,
        tls: bool,
    ) -> Result<Connection, Unopened>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let down = |what: String| Unopened::Bad(Bad(Mark::Down, what));
        let unknown = |what: String| Unopened::Bad(Bad(Mark::Unknown, what));
        if !tls {
            return Connection::new(stream, authority).await.map_err(down);
        }
        let config = self.judge().map_err(unknown)?.tls().map_err(|error| unknown(error.to_string()))?;
        let name = ServerName::try_from(door.name.clone())
            .map_err(|_| unknown(format!("`{}` is no name that a certificate bears", door.name)))?;
        match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            Ok(stream) => Connection::new(stream, authority).await.map_err(down),
            Err(error) => {
                let text = format!("TLS: {error}");
                // What answers a greeting of TLS with text speaks plain HTTP.
                match text.contains("InvalidContentType") {
                    true => Err(Unopened::NotTls(text)),
                    false => Err(down(text)),
                }
            }
        }
    }

    /// Reads the authorities' certificates when they are first needed.
    fn judge(&self) -> Result<Arc<Judge>, String> {
        let mut kept = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(judge) = kept.as_ref() {
            return Ok(Arc::clone(judge));
        }
        let judge = Arc::new(Judge::new(&self.credentials.trust).map_err(|error| error.to_string())?);
        *kept = Some(Arc::clone(&judge));
        Ok(judge)
    }
}

/// Why there is no connection.
enum Unopened {
    Bad(Bad),
    /// The server does not speak TLS.
    NotTls(String),
}

impl Unopened {
    fn bad(self) -> Bad {
        match self {
            Unopened::Bad(bad) => bad,
            Unopened::NotTls(what) => Bad(Mark::Down, what),
        }
    }
}

/// A call with the project in its path.
fn placed(call: &Call, project: &str) -> Call {
    match call {
        Call::List { path, key } => {
            Call::List { path: path.replace(PROJECT_PLACE, project), key: key.clone() }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_a_server_behind_it_has_its_own_place() {
        let server = Asked::Server("ctl1".into());
        for (url, tls, name, virtual_place, server_place) in [
            ("http://10.0.0.9:5000/v3", false, "10.0.0.9", (5000, ""), (5000, "")),
            ("https://api.example/compute/v2.1/abc", true, "api.example", (443, "/compute"), (7777, "")),
            ("https://api.example:8774/v2.1", true, "api.example", (8774, ""), (8774, "")),
            ("http://h/identity", false, "h", (80, "/identity"), (7777, "")),
            ("http://h:5000/identity/v3", false, "h", (5000, "/identity"), (5000, "/identity")),
            ("http://[fd00::9]:9292", false, "fd00::9", (9292, ""), (9292, "")),
            ("http://[fd00::9]", false, "fd00::9", (80, ""), (7777, "")),
        ] {
            let door = Door::of(url).unwrap();
            assert_eq!((door.tls, door.name.as_str()), (tls, name), "{url}");
            assert_eq!(door.place(&Asked::Virtual, 7777), virtual_place, "{url}");
            assert_eq!(door.place(&server, 7777), server_place, "{url}");
        }
        for url in ["", "ftp://h", "http://", "http://h:port/", "//h"] {
            assert!(Door::of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_project_stands_where_its_place_is() {
        let call = Call::List { path: "/v3/{project}/types".into(), key: "k".into() };
        assert_eq!(placed(&call, "abc"), Call::List { path: "/v3/abc/types".into(), key: "k".into() });
    }
}
