//! A server that takes notifications as the Masakari API does, and writes down what it was sent.
//!
//! It answers as it is told to, request by request, so that a test says what the monitor meets.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Status, headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, Value);

/// Writes an answer.
fn say(mut stream: &TcpStream, (status, headers, body): Answer, connection: &str) {
    // A text is sent as it is: files are no JSON.
    let body = match body {
        Value::String(text) => text,
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = body.len();
    text.push_str(&format!("Content-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}"));
    let _ = stream.write_all(text.as_bytes());
}

/// A server on a free port until it is dropped.
pub struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stops: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        // Wakes it up, so that it sees that it shall stop.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Server {
    /// Takes every notification.
    pub fn taking() -> Server {
        Server::answering(|request, _| taken(request))
    }

    /// Answers as told; the number is how many requests came before.
    pub fn answering(answer: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Server {
        Server::on("127.0.0.1:0", answer)
    }

    /// The same at an address.
    pub fn on(address: &str, answer: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let stops = Arc::new(AtomicBool::new(false));
        let (kept, stopping) = (Arc::clone(&requests), Arc::clone(&stops));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream
                    && let Some(request) = read(&stream)
                {
                    let before = kept.lock().unwrap().len();
                    let said = answer(&request, before);
                    kept.lock().unwrap().push(request);
                    say(&stream, said, "close");
                }
            }
        });
        Server { address, requests, stops }
    }

    /// Answers as told, request after request on one connection, as OpenStack's servers do.
    pub fn lasting(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stops = Arc::new(AtomicBool::new(false));
        let (answer, stopping) = (Arc::new(answer), Arc::clone(&stops));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), answer, stopping) = (stream, Arc::clone(&answer), Arc::clone(&stopping))
                else {
                    continue;
                };
                std::thread::spawn(move || {
                    while let Some(request) = read(&stream)
                        && !stopping.load(Ordering::SeqCst)
                    {
                        say(&stream, answer(&request), "keep-alive");
                    }
                });
            }
        });
        Server { address, requests: Arc::default(), stops }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address below which notifications are.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The notifications that came so far.
    pub fn notifications(&self) -> Vec<Value> {
        let all = self.requests();
        all.iter().filter(|request| request.path == "/v1/notifications").map(Request::json).collect()
    }

    /// Waits for a notification whose payload has these values.
    pub fn wait_for(&self, wanted: &[(&str, &str)]) -> Value {
        let is_wanted = |notification: &Value| {
            let payload = &notification["notification"]["payload"];
            wanted.iter().all(|(key, value)| payload[*key] == *value)
        };
        let begun = Instant::now();
        loop {
            if let Some(found) = self.notifications().into_iter().find(|one| is_wanted(one)) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{wanted:?} did not come, but {:#?}", self.notifications());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What the API answers to a notification that it takes.
pub fn taken(request: &Request) -> Answer {
    let mut notification = request.json()["notification"].clone();
    notification["status"] = json!("new");
    notification["notification_uuid"] = json!("2cb1f0a4-0000-0000-0000-000000000001");
    (202, Vec::new(), json!({"notification": notification}))
}

/// What the API answers when it refuses.
pub fn fault(status: u16, name: &str, message: &str) -> Answer {
    (status, Vec::new(), json!({name: {"code": status, "message": message}}))
}

fn read(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}
