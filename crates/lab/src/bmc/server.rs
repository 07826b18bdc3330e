//! The server of the power controllers, a process of its own on this machine.
//!
//! It is found by its command line, as nodes are. Must never answer anything but the root without a login.

use super::mood::{self, Mood};
use super::redfish::{self, Order, Wish};
use crate::command::Command;
use crate::error::LabError;
use crate::lab::Lab;
use crate::machine::processes;
use crate::secrets::{Secrets, base64, password};
use crate::wait::{Seen, until};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Where the server listens on the lab's bridge.
pub(crate) const PORT: u16 = 8000;
/// Who may use it.
pub(crate) const USER: &str = "admin";
/// Connections at a time: every fencing program of a lab at once uses a few.
const CONNECTIONS: usize = 128;
/// The largest request that is read; an order has fifty bytes.
const REQUEST_LIMIT: usize = 64 << 10;
/// How long a client may take to send its request.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// How long one that hangs holds a connection: longer than any client waits, not for ever.
const HANG: Duration = Duration::from_secs(600);
/// Sessions that are remembered; the oldest goes when another one comes.
const SESSIONS: usize = 64;
/// How long the server may take to begin or end.
const BEGIN_LIMIT: Duration = Duration::from_secs(20);
/// The words by which the program becomes the server; the lab's name follows.
const WORDS: [&str; 3] = ["lab", "power-controller", "--name"];

/// Starts the server of a lab. It outlives this process.
pub(crate) async fn start(lab: &Lab, address: Ipv4Addr) -> Result<(), LabError> {
    // A program that was replaced while it runs has no name any more, but it can still be run.
    let program = std::env::current_exe()
        .ok()
        .filter(|path| path.exists())
        .unwrap_or_else(|| format!("/proc/{}/exe", std::process::id()).into());
    let log = lab.state().join("power-controller.log");
    let out = std::fs::File::create(&log).map_err(LabError::file("creating", &log))?;
    let errors = out.try_clone().map_err(LabError::file("opening", &log))?;
    let mut command = tokio::process::Command::new("setsid");
    command.arg("--fork").arg(&program).args(WORDS).arg(lab.name());
    command.arg("--directory").arg(lab.state());
    command.current_dir("/").stdin(Stdio::null()).stdout(out).stderr(errors);
    command.status().await.map_err(LabError::file("starting", &program))?;
    let todo = format!("read {}", log.display());
    until("the power controller", &todo, BEGIN_LIMIT, async || {
        match TcpStream::connect((address, PORT)).await {
            Ok(_) => Seen::Holds(()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
}

/// Whether a lab's server runs.
pub(crate) fn is_running(lab: &str) -> bool {
    !servers(lab).is_empty()
}

/// Ends the server of a lab.
pub(crate) async fn end(lab: &str) -> Result<(), LabError> {
    until("the end of the power controller", "look for it with `ps`", BEGIN_LIMIT, async || {
        let found = servers(lab);
        if found.is_empty() {
            return Seen::Holds(());
        }
        let ids = found.iter().map(u32::to_string);
        // One that has just ended by itself makes `kill` fail; the next look tells.
        let _ = Command::new("ending it", "kill", BEGIN_LIMIT).arg("-KILL").args(ids).run().await;
        Seen::NotYet(format!("processes {found:?}"))
    })
    .await
}

fn servers(lab: &str) -> Vec<u32> {
    processes()
        .filter(|id| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            is_server(&line, lab)
        })
        .collect()
}

/// Whether a command line is that of a lab's server.
fn is_server(line: &[u8], lab: &str) -> bool {
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let mut wanted: Vec<&[u8]> = WORDS.map(str::as_bytes).into();
    wanted.push(std::ffi::OsStr::new(lab).as_bytes());
    words.get(1..5).is_some_and(|seen| seen == wanted.as_slice())
}

/// What the server remembers.
struct Desk {
    lab: Lab,
    nodes: Vec<String>,
    basic: String,
    password: String,
    sessions: Mutex<VecDeque<(String, String)>>,
    /// What a lying one says, by node.
    claims: Mutex<BTreeMap<String, bool>>,
    /// One order at a time for all nodes: each takes a moment.
    at_work: tokio::sync::Mutex<()>,
}

impl Lab {
    /// Serves as the lab's power controllers until the process ends.
    pub async fn serve_power(&self) -> Result<(), LabError> {
        let (_, ground) = self.record()?;
        let secrets = Secrets::read(&self.secrets_path())?;
        let password = secrets.bmc.reveal().to_owned();
        let address = ground.subnet.bridge_address();
        let listener = TcpListener::bind((address, PORT))
            .await
            .map_err(LabError::file("listening at", format!("{address}:{PORT}")))?;
        let basic = base64(format!("{USER}:{password}").as_bytes()).replace('-', "+").replace('_', "/");
        let desk = Arc::new(Desk {
            lab: self.clone(),
            nodes: ground.nodes.iter().map(|(node, _)| node.clone()).collect(),
            basic: format!("Basic {basic}"),
            password,
            sessions: Mutex::default(),
            claims: Mutex::default(),
            at_work: tokio::sync::Mutex::default(),
        });
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let Ok((stream, _)) = listener.accept().await else { continue };
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let desk = Arc::clone(&desk);
                    async move { Ok::<_, Infallible>(desk.answer(request).await) }
                });
                // A client that goes away in the middle is its own affair.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_LIMIT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(place);
            });
        }
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, REQUEST_LIMIT).collect().await else {
            return reply(413, &redfish::error("the request is too large"));
        };
        let wish = redfish::wish(&head.method, head.uri.path(), &body.to_bytes());
        match wish {
            Wish::Root => return reply(200, &redfish::root()),
            Wish::LogIn { user, password } => return self.log_in(&user, &password),
            _ if !self.is_known(&head.headers) => {
                let mut answer = reply(401, &redfish::error("log in first"));
                answer
                    .headers_mut()
                    .insert("www-authenticate", HeaderValue::from_static("Basic realm=\"redfish\""));
                return answer;
            }
            _ => {}
        }
        match wish {
            Wish::SessionService => reply(200, &redfish::session_service()),
            Wish::LogOut { session } => {
                self.sessions().retain(|(id, _)| *id != session);
                empty(204)
            }
            Wish::Systems => {
                let nodes: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
                reply(200, &redfish::systems(&nodes))
            }
            Wish::System { node } => self.about(&node, None).await,
            Wish::Reset { node, order } => self.about(&node, Some(order)).await,
            Wish::Wrong { status, message } => reply(status, &redfish::error(&message)),
            Wish::Root | Wish::LogIn { .. } => reply(200, &redfish::root()),
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, String)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, bool>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token = text("x-auth-token");
        text("authorization") == Some(self.basic.as_str())
            || token.is_some_and(|token| self.sessions().iter().any(|(_, known)| known == token))
    }

    fn log_in(&self, user: &str, given: &str) -> Response<Full<Bytes>> {
        let drawn = (password(), password());
        let (USER, true, (Ok(id), Ok(token))) = (user, given == self.password, drawn) else {
            return reply(401, &redfish::error("user or password is wrong"));
        };
        let (id, token) = (id.reveal().to_owned(), token.reveal().to_owned());
        let mut answer = reply(201, &redfish::session(&id, user));
        let place = format!("/redfish/v1/SessionService/Sessions/{id}");
        for (name, value) in [("x-auth-token", token.as_str()), ("location", place.as_str())] {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        let mut sessions = self.sessions();
        sessions.push_back((id, token));
        while sessions.len() > SESSIONS {
            sessions.pop_front();
        }
        answer
    }

    /// A question about a node, or an order to it, as its power controller is in the mood for.
    async fn about(&self, node: &str, order: Option<Order>) -> Response<Full<Bytes>> {
        if !self.nodes.iter().any(|known| known == node) {
            return reply(404, &redfish::error("there is no such system"));
        }
        let mood = mood::read(&self.lab.moods_path()).get(node).copied().unwrap_or_default();
        let is_on = self.lab.has_power(node);
        match (mood, order) {
            (Mood::Hang, _) => {
                tokio::time::sleep(HANG).await;
                reply(504, &redfish::error("it took too long"))
            }
            (Mood::Fail, _) => reply(503, &redfish::error("the power controller is out of order")),
            (Mood::Lie, None) => {
                let claimed = self.claims().get(node).copied();
                reply(200, &redfish::system(node, claimed.unwrap_or(is_on)))
            }
            (_, None) => reply(200, &redfish::system(node, is_on)),
            (Mood::Lie, Some(order)) => {
                self.claims().insert(node.to_owned(), matches!(order, Order::On | Order::Restart));
                empty(204)
            }
            (Mood::Stuck, Some(_)) => empty(204),
            (Mood::Honest, Some(order)) => {
                self.claims().remove(node);
                let _at_work = self.at_work.lock().await;
                match self.obey(node, order).await {
                    Ok(()) => empty(204),
                    Err(error) => reply(500, &redfish::error(&error.to_string())),
                }
            }
        }
    }

    async fn obey(&self, node: &str, order: Order) -> Result<(), LabError> {
        match order {
            Order::On => self.lab.power_on(node).await,
            Order::Off => self.lab.kill(node).await,
            Order::ShutDown => self.lab.shut_down(node).await,
            Order::Restart => {
                self.lab.kill(node).await?;
                self.lab.power_on(node).await
            }
        }
    }
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert("odata-version", HeaderValue::from_static("4.0"));
    answer
}

fn empty(status: u16) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_whole_command_line() {
        let line = b"/usr/bin/ostler\0lab\0power-controller\0--name\0nova\0--directory\0/x\0";
        assert!(is_server(line, "nova"));
        assert!(!is_server(line, "nov"), "another lab's");
        assert!(!is_server(b"less\0lab power-controller --name nova\0", "nova"));
        assert!(!is_server(b"", "nova"));
    }
}
