//! HTTP/1 over one stream, be it a socket or a channel through SSH.
//!
//! It must never log what goes over it.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long one call may take, from its first byte to the last of its answer.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read: a list of all users of a big cloud is far below.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What a server answered.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub headers: Vec<(HeaderName, &'a SecretString)>,
    pub body: Option<SecretString>,
}

impl Connection {
    /// Greets over a stream. `authority` is what the server is asked for.
    pub(crate) async fn new<S>(stream: S, authority: &str) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| reason(&error))?;
        let driver = tokio::spawn(async move {
            // What ends the connection is seen by the call that waits for it.
            let _ = connection.await;
        });
        Ok(Self { sender, authority: authority.to_owned(), driver })
    }

    /// Makes one call.
    pub(crate) async fn call(&mut self, call: Call<'_>) -> Result<Answer, String> {
        let bytes =
            call.body.map(|body| Bytes::copy_from_slice(body.expose_secret().as_bytes())).unwrap_or_default();
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = call.method;
        *request.uri_mut() = call.path.parse().map_err(|_| format!("`{}` is not a path", call.path))?;
        let headers = request.headers_mut();
        headers.insert(
            HOST,
            HeaderValue::from_str(&self.authority)
                .map_err(|_| format!("`{}` is not a host", self.authority))?,
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("ostler/", env!("CARGO_PKG_VERSION"))));
        for (name, secret) in call.headers {
            let mut value = HeaderValue::from_str(secret.expose_secret())
                .map_err(|_| format!("a value for {name} cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let exchange = async {
            self.sender.ready().await.map_err(|error| reason(&error))?;
            let answer = self.sender.send_request(request).await.map_err(|error| reason(&error))?;
            let (parts, body) = answer.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(CALL_LIMIT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", CALL_LIMIT.as_secs())),
        }
    }
}

/// An error with its cause, in one line.
fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
