//! The identity service, version 3: tokens are issued and validated, collections listed, as an operator would.
//!
//! A server may close a connection after any answer: then the next call opens another one. It must never print a token,
//! never ask again what may have been heard and changes something, and never call a cloud healthy because something
//! answered: an answer has to hold what was asked for.

use super::clouds_yaml::{Credentials, CredentialsError, Identity, Named, Scope};
use super::http::{Answer, CALL_LIMIT, Call as Request, Connection};
use crate::node::Connections;
use crate::node::redact::redact;
use crate::web::Judge;
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use ostler_engine::seam::{Called, Cloud as CloudSeam, Fut};
use ostler_model::Timestamp;
use ostler_model::cloud::Cloud;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use ostler_model::step::{Call, Through};
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Characters of a server's complaint that are shown.
const COMPLAINT_CHARS_MAX: usize = 300;

/// A token that ends within this time is not used as a witness any more.
const WITNESS_MARGIN_S: i64 = 30;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// A token, and when it ends.
#[derive(Clone)]
pub(super) struct Token {
    secret: SecretString,
    issued: Timestamp,
    expires: Option<Timestamp>,
}

impl Token {
    /// A token that somebody else holds: it is never a witness.
    pub(super) fn lent(secret: SecretString) -> Self {
        Self { secret, issued: Timestamp::now(), expires: None }
    }
}

/// The identity service of a cloud.
pub struct KeystoneCloud {
    credentials: Credentials,
    virtual_address: Option<String>,
    nodes: Arc<Connections>,
    /// The oldest token that is still good: it was issued before whatever happens now.
    witness: Mutex<Option<Token>>,
}

impl std::fmt::Debug for KeystoneCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeystoneCloud").field("entry", &self.credentials.entry).finish_non_exhaustive()
    }
}

impl KeystoneCloud {
    /// A cloud with an entry of a clouds file; backends are reached through the SSH servers of their nodes.
    pub fn new(
        cloud: &Cloud,
        clouds_yaml: &Path,
        entry: &str,
        nodes: Arc<Connections>,
    ) -> Result<Self, CredentialsError> {
        Ok(Self::with(cloud, Credentials::read(clouds_yaml, entry)?, nodes))
    }

    /// The same with credentials that were read before.
    pub fn with(cloud: &Cloud, credentials: Credentials, nodes: Arc<Connections>) -> Self {
        Self { credentials, virtual_address: cloud.virtual_address.clone(), nodes, witness: Mutex::new(None) }
    }

    /// The nodes behind the load balancers.
    pub(super) fn nodes(&self) -> Arc<Connections> {
        Arc::clone(&self.nodes)
    }

    async fn make(&self, through: &Through, calls: &[Call]) -> Result<Called, Why> {
        match through {
            Through::Backend { host, port } => {
                let way = format!("the server on {host} (port {port})");
                let open = || -> Fut<'_, _> { Box::pin(self.to_backend(host, *port, &way)) };
                let connection = open().await?;
                self.make_over((connection, &open), &way, "", None, calls).await
            }
            Through::Front { port } => {
                let host = self.virtual_address.as_deref().unwrap_or(&self.credentials.auth_host);
                let way = format!("the front door {host}:{port}");
                let prefix = if *port == self.credentials.auth_port {
                    self.credentials.auth_path.as_str()
                } else {
                    ""
                };
                let open = || -> Fut<'_, _> { Box::pin(self.to_front(host, *port, &way)) };
                let connection = open().await?;
                self.make_over((connection, &open), &way, prefix, None, calls).await
            }
        }
    }

    async fn to_backend(&self, host: &HostName, port: u16, way: &str) -> Result<Connection, Why> {
        let node = self.nodes.declared(host).map_err(|error| error.why())?;
        let opened = self.nodes.stream(host, &node.address, port).await.map_err(|error| {
            let why = error.why();
            Why { what: format!("{way} cannot be reached: {}", why.what), hint: why.hint }
        })?;
        let connection = Connection::new(opened.channel, &format!("{}:{port}", node.address)).await;
        connection.map_err(|reason| Why::new(format!("{way} does not speak HTTP: {reason}")))
    }

    async fn to_front(&self, host: &str, port: u16, way: &str) -> Result<Connection, Why> {
        let unreachable = |reason: String| {
            Why::new(format!("{way} does not answer: {reason}")).hint(
                "see whether a load balancer holds the virtual address, and whether this machine can reach it",
            )
        };
        let stream = match tokio::time::timeout(CALL_LIMIT, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("timed out after {} s", CALL_LIMIT.as_secs()))),
        };
        let _ = stream.set_nodelay(true);
        let authority = format!("{host}:{port}");
        let connection = match self.credentials.auth_tls {
            false => Connection::new(stream, &authority).await,
            true => {
                let stream = self.through_tls(host, stream).await.map_err(unreachable)?;
                Connection::new(stream, &authority).await
            }
        };
        connection.map_err(unreachable)
    }

    /// Makes calls over a connection that was opened elsewhere, and over others when its server closes it; without a
    /// token the first call that needs one gets it.
    pub(super) async fn make_over<'a>(
        &'a self,
        (connection, open): (Connection, Opens<'a>),
        way: &'a str,
        prefix: &'a str,
        token: Option<Token>,
        calls: &[Call],
    ) -> Result<Called, Why> {
        Session { cloud: self, connection, open, way, prefix, token }.make(calls).await
    }

    async fn through_tls(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let judge = Arc::new(Judge::new(&self.credentials.trust).map_err(|error| error.to_string())?);
        let tls = judge.tls().map_err(|error| error.to_string())?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is not a host"))?;
        let greeting = TlsConnector::from(Arc::new(tls)).connect(name, stream);
        match tokio::time::timeout(CALL_LIMIT, greeting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("TLS was not set up within {} s", CALL_LIMIT.as_secs())),
        }
    }

    /// Keeps a token as a witness if there is none that is still good.
    fn keep(&self, token: &Token) {
        if let Ok(mut witness) = self.witness.lock()
            && !witness.as_ref().is_some_and(is_good)
        {
            *witness = Some(token.clone());
        }
    }

    fn witness(&self) -> Option<Token> {
        self.witness.lock().ok().and_then(|witness| witness.clone()).filter(is_good)
    }
}

fn is_good(token: &Token) -> bool {
    token.expires.is_some_and(|expires| expires.as_second() - Timestamp::now().as_second() > WITNESS_MARGIN_S)
}

/// Opens another connection to the same server.
pub(super) type Opens<'a> = &'a (dyn Fn() -> Fut<'a, Result<Connection, Why>> + Send + Sync);

/// One sequence of calls, over one connection for as long as its server keeps it.
struct Session<'a> {
    cloud: &'a KeystoneCloud,
    connection: Connection,
    open: Opens<'a>,
    way: &'a str,
    prefix: &'a str,
    token: Option<Token>,
}

impl Session<'_> {
    async fn make(mut self, calls: &[Call]) -> Result<Called, Why> {
        let mut called = Called { calls: 0, slowest_ms: 0 };
        for call in calls {
            let begun = Instant::now();
            match call {
                Call::IssueToken {} => self.issue().await.map(|_| ())?,
                Call::ValidateToken {} => self.validate().await?,
                Call::List { path, key } => self.list(path, key).await?,
            }
            called.calls += 1;
            called.slowest_ms =
                called.slowest_ms.max(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        Ok(called)
    }

    fn failed(&self, doing: &str, reason: &str) -> Why {
        Why::new(format!("{doing} failed through {}: {}", self.way, redact(reason)))
    }

    async fn ask(&mut self, doing: &str, request: Request<'_>) -> Result<Answer, Why> {
        let path = format!("{}{}", self.prefix, request.path);
        let request = Request { path: &path, ..request };
        let mut answer = self.connection.call(request.clone()).await;
        // Once: a new connection that is closed without an answer is a server that does not answer.
        if answer.as_ref().is_err_and(|lost| lost.is_idle_close) {
            self.connection = (self.open)().await?;
            answer = self.connection.call(request).await;
        }
        answer.map_err(|lost| self.failed(doing, &lost.what))
    }

    /// The answer, if its status is the wanted one.
    fn wanted(&self, doing: &str, answer: Answer, status: StatusCode) -> Result<Answer, Why> {
        if answer.status == status {
            return Ok(answer);
        }
        let why = self.failed(doing, &format!("it answered {}{}", answer.status, complaint(&answer.body)));
        Err(match answer.status {
            StatusCode::UNAUTHORIZED => why.hint(format!(
                "check the credentials of `{}` in clouds.yaml; after a change of keys, whether all nodes have the same",
                self.cloud.credentials.entry
            )),
            _ => why,
        })
    }

    /// The token of this sequence; the first call that needs one issues it.
    async fn token(&mut self) -> Result<Token, Why> {
        match &self.token {
            Some(token) => Ok(token.clone()),
            None => self.issue().await,
        }
    }

    async fn issue(&mut self) -> Result<Token, Why> {
        let doing = "issuing a token";
        let body = Some(login(&self.cloud.credentials));
        let request = Request { method: Method::POST, path: "/v3/auth/tokens", headers: Vec::new(), body };
        let answer = self.ask(doing, request).await?;
        let answer = self.wanted(doing, answer, StatusCode::CREATED)?;
        let secret = answer.headers.get(&SUBJECT_TOKEN).and_then(|value| value.to_str().ok());
        let secret = secret.ok_or_else(|| self.failed(doing, "the answer holds no token"))?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let expires =
            body.pointer("/token/expires_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let token =
            Token { secret: SecretString::from(secret.to_owned()), issued: Timestamp::now(), expires };
        self.cloud.keep(&token);
        self.token = Some(token.clone());
        Ok(token)
    }

    async fn validate(&mut self) -> Result<(), Why> {
        let token = self.token().await?;
        self.validate_one("validating a token", &token, &token).await?;
        match self.cloud.witness() {
            Some(witness) if witness.secret.expose_secret() != token.secret.expose_secret() => {
                let doing = format!(
                    "validating the token that was issued at {}",
                    witness.issued.strftime("%H:%M:%S UTC")
                );
                self.validate_one(&doing, &token, &witness).await
            }
            _ => Ok(()),
        }
    }

    async fn validate_one(&mut self, doing: &str, token: &Token, subject: &Token) -> Result<(), Why> {
        let headers = vec![(AUTH_TOKEN, &token.secret), (SUBJECT_TOKEN, &subject.secret)];
        let request = Request { method: Method::GET, path: "/v3/auth/tokens", headers, body: None };
        let answer = self.ask(doing, request).await?;
        let answer = self.wanted(doing, answer, StatusCode::OK)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match body.pointer("/token/user") {
            Some(_) => Ok(()),
            None => Err(self.failed(doing, "the answer holds no token")),
        }
    }

    async fn list(&mut self, path: &str, key: &str) -> Result<(), Why> {
        let token = self.token().await?;
        let doing = format!("listing {path}");
        let headers = vec![(AUTH_TOKEN, &token.secret)];
        let answer = self.ask(&doing, Request { method: Method::GET, path, headers, body: None }).await?;
        let answer = self.wanted(&doing, answer, StatusCode::OK)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match body.get(key) {
            Some(Value::Array(_)) => Ok(()),
            _ => Err(self.failed(&doing, &format!("the answer holds no list `{key}`"))),
        }
    }
}

/// What a server said of its failure, shortened.
fn complaint(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(body) => body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(COMPLAINT_CHARS_MAX).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}

fn named(named: &Named) -> Value {
    match named {
        Named::Id(id) => json!({ "id": id }),
        Named::Name { name, domain: None } => json!({ "name": name }),
        Named::Name { name, domain: Some(domain) } => json!({ "name": name, "domain": self::named(domain) }),
    }
}

/// The body that asks for a token.
pub(super) fn login(credentials: &Credentials) -> SecretString {
    let identity = match &credentials.identity {
        Identity::Password { user, password } => {
            let mut user = named(user);
            user["password"] = json!(password.expose_secret());
            json!({ "methods": ["password"], "password": { "user": user } })
        }
        Identity::ApplicationCredential { credential, user, secret } => {
            let mut credential = named(credential);
            credential["secret"] = json!(secret.expose_secret());
            if let Some(user) = user {
                credential["user"] = named(user);
            }
            json!({ "methods": ["application_credential"], "application_credential": credential })
        }
        Identity::Token { token } => {
            json!({ "methods": ["token"], "token": { "id": token.expose_secret() } })
        }
    };
    let mut auth = json!({ "identity": identity });
    match &credentials.scope {
        Scope::Project(project) => auth["scope"] = json!({ "project": named(project) }),
        Scope::Domain(domain) => auth["scope"] = json!({ "domain": named(domain) }),
        Scope::System => auth["scope"] = json!({ "system": { "all": true } }),
        Scope::None => {}
    }
    SecretString::from(json!({ "auth": auth }).to_string())
}

impl CloudSeam for KeystoneCloud {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(self.make(through, calls))
    }
}
