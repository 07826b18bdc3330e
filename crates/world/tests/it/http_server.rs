//! A small HTTP server of a test's own making: each request is answered by a function. It ends with the value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
pub(crate) enum Told {
    /// A status, headers and a body.
    Say(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed without a word.
    HangUp,
    /// A list that never ends.
    ForEver,
    /// After a while.
    Later(Duration, Box<Told>),
}

impl Told {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Told {
        Told::Say(status, Vec::new(), body.to_string())
    }
}

pub(crate) struct Server {
    pub url: String,
    /// What came in so far.
    pub asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                open.spawn(async move {
                    let _ = serve(stream, answer.as_ref(), &log).await;
                });
            }
        });
        Server { url, asked, task }
    }

    /// How many requests of a method have a path that begins like this.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| one.method == method && one.path.starts_with(path)).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&Asked) -> Told + Send + Sync),
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let body = String::from_utf8_lossy(&bytes[head_end + 4..]).into_owned();
    let asked = Asked { method, path, headers, body };
    let mut told = answer(&asked);
    log.lock().unwrap().push(asked);
    loop {
        match told {
            Told::HangUp => return Ok(()),
            Told::ForEver => {
                stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n[").await?;
                // Ends when nobody reads any more.
                loop {
                    stream.write_all(&[b' '; 64 << 10]).await?;
                }
            }
            Told::Later(pause, then) => {
                tokio::time::sleep(pause).await;
                told = *then;
            }
            Told::Say(status, headers, body) => {
                let mut text =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
                if status != 204 {
                    text.push_str(&body);
                }
                stream.write_all(text.as_bytes()).await?;
                return stream.shutdown().await;
            }
        }
    }
}
