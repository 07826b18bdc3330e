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
    /// Whether it has carried an answer: from then on its server may close it at any time, and means nothing by it.
    has_answered: bool,
}

/// A call that came to nothing.
#[derive(Debug)]
pub(crate) struct Lost {
    /// What happened.
    pub what: String,
    /// Whether it was only the connection: its server closed it after an answer, and either nothing of this request went
    /// out, or the request changes nothing and no answer came. The same may be asked over another connection.
    pub is_idle_close: bool,
}

impl Lost {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_idle_close: false }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request.
#[derive(Clone)]
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
        Ok(Self { sender, authority: authority.to_owned(), driver, has_answered: false })
    }

    /// Makes one call.
    pub(crate) async fn call(&mut self, call: Call<'_>) -> Result<Answer, Lost> {
        let changes_nothing = call.method.is_safe();
        let request = self.request(call).map_err(Lost::new)?;
        let has_answered = self.has_answered;
        let lost = |error: &hyper::Error, unheard: bool| Lost {
            what: reason(error),
            is_idle_close: has_answered && unheard,
        };
        let exchange = async {
            self.sender.ready().await.map_err(|error| lost(&error, error.is_closed()))?;
            let answer = self.sender.try_send_request(request).await.map_err(|mut error| {
                // A request that is handed back was never written.
                let unsent = error.take_message().is_some();
                lost(error.error(), unsent || (changes_nothing && !error.error().is_parse()))
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Lost::new(error.to_string()))?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        let answer = match tokio::time::timeout(CALL_LIMIT, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(Lost::new(format!("no answer within {} s", CALL_LIMIT.as_secs()))),
        };
        self.has_answered = true;
        Ok(answer)
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, String> {
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
        Ok(request)
    }
}

/// An error with its cause, in one line.
fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
