//! One HTTP request at a time, each over a connection of its own, with or without TLS.
//!
//! Reports are rare, and a connection that was kept may lead to a server that is gone. It must never log a header, and
//! never wait without an end.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Uri};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Bytes of an answer that are read: a catalogue of a big cloud is far below.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Where systems keep the certificates that they trust.
const CERTIFICATES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Why certificates cannot be checked.
#[derive(Debug, thiserror::Error)]
#[error("the certificates in {} cannot be used: {reason}", path.display())]
pub struct CertificatesError {
    path: PathBuf,
    reason: String,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The beginning of the answer, for a person.
    pub fn words(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        format!("{} {}", self.status, text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Makes requests.
#[derive(Clone)]
pub(crate) struct Http {
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// Trusts the certificates of a file, or those that the system trusts.
    pub fn new(certificates: Option<&Path>) -> Result<Http, CertificatesError> {
        let path = match certificates {
            Some(path) => path.to_owned(),
            None => match CERTIFICATES.iter().map(Path::new).find(|path| path.is_file()) {
                Some(path) => path.to_owned(),
                None => return Ok(Http { tls: None }),
            },
        };
        let failed = |reason: String| CertificatesError { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(&path).map_err(|error| failed(error.to_string()))?;
        // One certificate of a system that cannot be used is no reason to trust none.
        roots.add_parsable_certificates(found.filter_map(Result::ok));
        if roots.is_empty() {
            return Err(failed("there is none in it".into()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Http { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    pub async fn get(&self, url: &str, limit: Duration) -> Result<Answer, String> {
        self.call(Method::GET, url, &[], Vec::new(), limit).await
    }

    /// One request, from the name of the server to the last byte of its answer.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answer, String> {
        match tokio::time::timeout(limit, self.exchange(method, url, headers, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let url: Uri = url.parse().map_err(|_| format!("`{url}` is no address of a server"))?;
        let authority = url.authority().ok_or_else(|| format!("`{url}` names no server"))?;
        let is_tls = url.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| format!("`{path}` is no path"))?;
        let map = request.headers_mut();
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
        map.insert(HOST, host);
        map.insert(ACCEPT, HeaderValue::from_static("application/json"));
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(USER_AGENT, HeaderValue::from_static(concat!("ostler/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| format!("{name} cannot be sent"))?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        if !is_tls {
            return send(stream, request).await;
        }
        let tls = self.tls.as_ref().ok_or("there are no certificates to trust: name a `ca-file`")?;
        let server = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let stream = tls.connect(server, stream).await.map_err(|error| error.to_string())?;
        send(stream, request).await
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
    };
    // What ends the connection early is seen by the exchange that waits for it.
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}
