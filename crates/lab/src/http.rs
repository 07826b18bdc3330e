//! One HTTP request over one connection of its own, as a client without a pool makes it.
//!
//! Must never repeat a request, nor follow a redirection.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header in which keystone hands out a token.
    pub(crate) token: Option<String>,
    /// The name under which the server's log has the request.
    pub(crate) request_id: Option<String>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No connection came about.
    Connect,
    /// Nothing within the limit.
    Timeout,
    /// The connection ended before the answer was complete.
    Cut,
    /// The request could not be made.
    Request,
}

impl NoAnswer {
    /// One word for reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Request => "request",
        }
    }
}

/// A request to make.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: String::new() }
    }
}

/// Makes the request and reads the whole answer.
pub(crate) async fn ask(server: SocketAddr, ask: &Ask, limit: Duration) -> Result<Answer, NoAnswer> {
    tokio::time::timeout(limit, ask_unbounded(server, ask)).await.unwrap_or(Err(NoAnswer::Timeout))
}

async fn ask_unbounded(server: SocketAddr, ask: &Ask) -> Result<Answer, NoAnswer> {
    let stream = TcpStream::connect(server).await.map_err(|_| NoAnswer::Connect)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Cut)?;
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(ask.path)
        .header("host", server.to_string())
        .header("accept", "application/json")
        .header("connection", "close");
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(ask.body.clone()))).map_err(|_| NoAnswer::Request)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| NoAnswer::Cut)?;
        let status = response.status().as_u16();
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (token, request_id) = (header("x-subject-token"), header("x-openstack-request-id"));
        response.into_body().collect().await.map_err(|_| NoAnswer::Cut)?;
        Ok(Answer { status, token, request_id })
    };
    let drive = async {
        // Its failure shows in the exchange.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = drive => Err(NoAnswer::Cut),
    }
}
