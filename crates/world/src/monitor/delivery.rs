//! Brings reports to a server: to each that is named in turn, until one has taken it or refused it for good.
//!
//! It must never drop a report because no server answers, and never let one that a server stumbles over hold up others.

use super::child::Pauses;
use super::keys::HostKey;
use super::report::{Report, sign};
use super::spool::{Complaints, Spool};
use super::token::{Account, Token};
use super::wire::Http;
use hyper::Method;
use ostler_model::Timestamp;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a server may take for one report. Upstream's own waits up to five seconds on purpose.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// The pause after a failure, at first.
const PAUSE: Duration = Duration::from_secs(1);

/// And at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How a report proves where it comes from.
#[derive(Clone, Debug)]
pub enum Access {
    /// Not at all: for a server without authentication.
    Open,
    /// By this host's own key: for our own servers.
    Key(HostKey),
    /// By a token: for any server.
    Token(Account),
}

/// What came of reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A server took it.
    Taken {
        /// What was reported.
        report: String,
        /// Which server.
        server: String,
    },
    /// A server knows it already, or wants none of it.
    Forgotten {
        /// What was reported.
        report: String,
        /// Which server.
        server: String,
        /// What it said.
        answer: String,
    },
    /// None took it; it waits.
    Waits {
        /// What was reported.
        report: String,
        /// Why, server by server.
        why: String,
        /// How many wait.
        waiting: usize,
    },
}

/// Where reports go in, and from where they are brought.
#[derive(Debug)]
pub struct Delivery {
    http: Http,
    servers: Vec<String>,
    access: Access,
    host: String,
    spool: Mutex<Spool>,
    token: Mutex<Option<Token>>,
    /// The server that answered last.
    good: Mutex<usize>,
    came: Notify,
}

enum Came {
    Taken(String),
    Refused(String, String),
    /// Some server answered, but did not take it.
    Stumbled(String),
    /// None answered at all.
    Silence(String),
}

impl Delivery {
    /// To these servers, each the address below which `/notifications` is. None: where the catalogue says.
    pub fn new(
        servers: Vec<String>,
        access: Access,
        host: &str,
        certificates: Option<&Path>,
        spool: Spool,
    ) -> Result<Delivery, super::wire::CertificatesError> {
        Ok(Delivery {
            http: Http::new(certificates)?,
            servers: servers.iter().map(|server| server.trim_end_matches('/').to_owned()).collect(),
            access,
            host: host.to_owned(),
            spool: Mutex::new(spool),
            token: Mutex::default(),
            good: Mutex::default(),
            came: Notify::new(),
        })
    }

    /// Takes a report in; it is on disk when this returns, unless the answer says why not.
    pub fn report(&self, report: Report) -> Complaints {
        let complaints = self.spool.lock().map(|mut spool| spool.keep(report)).unwrap_or_default();
        self.came.notify_one();
        complaints
    }

    /// Takes reports back that are no longer so.
    pub fn retain(&self, is_so: impl Fn(&Report) -> bool) -> Vec<Report> {
        self.spool.lock().map(|mut spool| spool.retain(is_so)).unwrap_or_default()
    }

    /// Whether a report waits of which this is so.
    pub fn waits(&self, is_meant: impl Fn(&Report) -> bool) -> bool {
        let waiting = self.spool.lock().map(|spool| spool.waiting()).unwrap_or_default();
        waiting.iter().any(|(_, report)| is_meant(report))
    }

    /// How many reports wait.
    pub fn waiting(&self) -> usize {
        self.spool.lock().map(|spool| spool.len()).unwrap_or_default()
    }

    /// Brings reports, without end. `tell` hears what came of them.
    pub async fn run(&self, tell: impl Fn(News)) -> std::convert::Infallible {
        let mut silence = Pauses::new(PAUSE, PAUSE_MAX);
        let mut held: BTreeMap<u64, (Pauses, Instant)> = BTreeMap::new();
        loop {
            let waiting = self.spool.lock().map(|spool| spool.waiting()).unwrap_or_default();
            held.retain(|number, _| waiting.iter().any(|(other, _)| other == number));
            let now = Instant::now();
            let due = waiting.iter().find(|(number, _)| held.get(number).is_none_or(|(_, at)| *at <= now));
            let Some((number, report)) = due else {
                let next = held.values().map(|(_, at)| at.saturating_duration_since(now)).min();
                let pause = async {
                    match next {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! { () = pause => {}, () = self.came.notified() => {} }
                continue;
            };
            let words = report.words();
            let done = |tell_of: News| {
                if let Ok(mut spool) = self.spool.lock() {
                    spool.done(*number, &report.subject());
                }
                tell(tell_of);
            };
            match self.offer(report).await {
                Came::Taken(server) => {
                    silence.reset();
                    done(News::Taken { report: words, server });
                }
                Came::Refused(server, answer) => {
                    silence.reset();
                    done(News::Forgotten { report: words, server, answer });
                }
                Came::Stumbled(why) => {
                    silence.reset();
                    let (pauses, at) =
                        held.entry(*number).or_insert_with(|| (Pauses::new(PAUSE, PAUSE_MAX), now));
                    *at = Instant::now() + pauses.after(Duration::ZERO);
                    tell(News::Waits { report: words, why, waiting: waiting.len() });
                }
                Came::Silence(why) => {
                    tell(News::Waits { report: words, why, waiting: waiting.len() });
                    tokio::time::sleep(silence.after(Duration::ZERO)).await;
                }
            }
        }
    }

    /// Offers a report to each server, beginning with the one that answered last.
    async fn offer(&self, report: &Report) -> Came {
        let body = report.body().to_string().into_bytes();
        let token = match self.token().await {
            Ok(token) => token,
            Err(why) => return Came::Silence(why),
        };
        let servers = match (&self.servers[..], &token) {
            ([], Some(token)) if token.servers.is_empty() => {
                return Came::Silence("the catalogue names no server for instance-ha".into());
            }
            ([], Some(token)) => {
                token.servers.iter().map(|one| one.trim_end_matches('/').to_owned()).collect()
            }
            _ => self.servers.clone(),
        };
        let first = self.good.lock().map(|good| *good).unwrap_or_default();
        let mut failures = Vec::new();
        let mut is_answered = false;
        for place in (0..servers.len()).map(|step| (first + step) % servers.len()) {
            let server = &servers[place];
            let url = format!("{server}/notifications");
            let answer = self.post(&url, &body, token.as_ref()).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    failures.push(format!("{server}: {error}"));
                    continue;
                }
            };
            is_answered = true;
            if let Ok(mut good) = self.good.lock() {
                *good = place;
            }
            match answer.status {
                202 => return Came::Taken(server.clone()),
                400 | 409 => return Came::Refused(server.clone(), answer.words()),
                401 => {
                    // It may have been revoked: the next try gets a new one.
                    if let Ok(mut token) = self.token.lock() {
                        *token = None;
                    }
                    failures.push(format!("{server}: {}", answer.words()));
                }
                _ => failures.push(format!("{server}: {}", answer.words())),
            }
        }
        let why = failures.join("; ");
        if is_answered { Came::Stumbled(why) } else { Came::Silence(why) }
    }

    async fn post(
        &self,
        url: &str,
        body: &[u8],
        token: Option<&Token>,
    ) -> Result<super::wire::Answer, String> {
        let signed = match &self.access {
            Access::Key(key) => {
                let path = url.parse::<hyper::Uri>().map(|url| url.path().to_owned()).unwrap_or_default();
                Some(sign(key, &self.host, Timestamp::now(), "POST", &path, body))
            }
            Access::Open | Access::Token(_) => None,
        };
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if let Some(token) = token {
            headers.push(("x-auth-token", token.secret.expose_secret()));
        }
        headers.extend(signed.iter().flatten().map(|(name, value)| (*name, value.as_str())));
        self.http.call(Method::POST, url, &headers, body.to_vec(), CALL_LIMIT).await
    }

    async fn token(&self) -> Result<Option<Token>, String> {
        let Access::Token(account) = &self.access else { return Ok(None) };
        let kept = self.token.lock().map(|token| token.clone()).unwrap_or_default();
        if let Some(token) = kept.filter(|token| token.is_good(Timestamp::now())) {
            return Ok(Some(token));
        }
        let token = Token::issue(&self.http, account).await?;
        if let Ok(mut kept) = self.token.lock() {
            *kept = Some(token.clone());
        }
        Ok(Some(token))
    }
}
