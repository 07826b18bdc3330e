//! `ostler bench api`: how many requests `ostler serve` answers, what each costs, and how long the slowest take.
//!
//! It starts this same binary as a server of its own, on a state of its own, and asks it over real connections. CPU time
//! is the server's, as the kernel counts it; it never makes a request cheaper than a client's.

use super::{Scratch, child};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

/// How long the server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Connections that one measurement may use.
const CONNECTIONS: &[usize] = &[1, 8, 32];

/// Hosts in the segment that reports are about.
const HOSTS: usize = 20;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Measure the server of instance HA; needs nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler bench api
  ostler bench api --seconds 20 --store mysql://ostler:…@10.0.0.10/bench
  ostler bench api --clouds-yaml lab.yaml --clouds-entry admin      by the token in OS_TOKEN")]
pub struct BenchApi {
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Where the server keeps its state, instead of a file that is thrown away. It is filled with reports.
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Callers are known by tokens: the clouds.yaml of the server's own account.
    #[arg(long, value_name = "FILE", requires = "clouds_entry")]
    clouds_yaml: Option<PathBuf>,
    /// The entry in it.
    #[arg(long, value_name = "NAME")]
    clouds_entry: Option<String>,
}

/// What one measurement came to.
struct Measured {
    what: &'static str,
    connections: usize,
    per_second: f64,
    cpu_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(super) async fn api(context: &Context, typed: BenchApi) -> Result<Exit, Failure> {
    let broke = |error: std::io::Error| Failure::failed(format!("the measurement broke off: {error}"));
    let home = Scratch::of("api").map_err(broke)?;
    measure_all(context, &typed, &home.0).await
}

async fn measure_all(context: &Context, typed: &BenchApi, home: &Path) -> Result<Exit, Failure> {
    let mut server = Server::start(typed, home).await?;
    let outcome = server.measure(context, typed).await;
    server.stop().await;
    let (measured, at_start_kb, at_end_kb) = outcome?;
    if context.printer.is_json() {
        let rows: Vec<_> = measured.iter().map(Measured::json).collect();
        let memory = json!({"start_kb": at_start_kb, "end_kb": at_end_kb});
        context.printer.json(&json!({"measured": rows, "resident": memory}))?;
    } else {
        let head = ["REQUEST", "CONNECTIONS", "PER SECOND", "CPU MS EACH", "P50 MS", "P99 MS"];
        context.printer.text(&table(&head, measured.iter().map(Measured::row).collect()))?;
        let megabytes = |kb: u64| format!("{:.1} MB", kb as f64 / 1_024.0);
        let (start, end) = (megabytes(at_start_kb), megabytes(at_end_kb));
        context
            .printer
            .text(&format!("resident memory of the server: {start} at its start, {end} at the end\n"))?;
    }
    Ok(Exit::Done)
}

impl Measured {
    fn row(&self) -> Vec<String> {
        vec![
            self.what.to_owned(),
            self.connections.to_string(),
            format!("{:.0}", self.per_second),
            format!("{:.3}", self.cpu_ms),
            format!("{:.2}", self.p50_ms),
            format!("{:.2}", self.p99_ms),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({"request": self.what, "connections": self.connections, "per_second": self.per_second,
            "cpu_ms": self.cpu_ms, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms})
    }
}

/// The server that is measured.
struct Server {
    child: Child,
    address: String,
    token: Option<String>,
}

impl Server {
    async fn start(typed: &BenchApi, home: &Path) -> Result<Server, Failure> {
        let failed = |what: String| Failure::failed(format!("the server to be measured {what}"));
        let auth = match (&typed.clouds_yaml, &typed.clouds_entry) {
            (Some(path), Some(entry)) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!(
                    "clouds-yaml = {:?}\nclouds-entry = {entry:?}\ncheck-hosts = false\n",
                    path.display().to_string()
                )
            }
            _ => "auth = \"noauth\"\n".to_owned(),
        };
        let settings = home.join("ostler.toml");
        let text = format!("[serve]\nlisten = \"127.0.0.1:0\"\n{auth}");
        std::fs::write(&settings, text).map_err(|error| failed(format!("has no settings: {error}")))?;
        let program = std::env::current_exe().map_err(|error| failed(format!("is not found: {error}")))?;
        let state = typed.store.clone().unwrap_or_else(|| home.join("state.db").display().to_string());
        let mut child = child::ends_with_us(&program)
            .args(["--no-progress", "--config"])
            .arg(&settings)
            .args(["--state", &state, "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("does not start: {error}")))?;
        let Some(said) = child.stdout.take() else { return Err(failed("says nothing".to_owned())) };
        let mut lines = BufReader::new(said).lines();
        let mut heard = Vec::new();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, rest)) = line.split_once("on http://") {
                    return rest.split_whitespace().next().map(str::to_owned);
                }
                heard.push(line);
            }
            None
        };
        let address = tokio::time::timeout(START_LIMIT, listening).await.ok().flatten();
        let address = address.ok_or_else(|| failed("does not listen".to_owned()).evidences(heard))?;
        // Whatever it says later is of no use here, but it must not block.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Server { child, address, token: std::env::var("OS_TOKEN").ok() })
    }

    async fn stop(&mut self) {
        let _ = self.child.kill().await;
    }

    async fn measure(
        &self,
        context: &Context,
        typed: &BenchApi,
    ) -> Result<(Vec<Measured>, u64, u64), Failure> {
        let broke = |error: std::io::Error| Failure::failed(format!("the measurement broke off: {error}"));
        let at_start_kb = self.resident_kb();
        let mut client = Client::connect(&self.address, self.token.as_deref()).await.map_err(broke)?;
        let name = format!("bench-{}-{}", std::process::id(), self.address.replace(':', "-"));
        let body = json!({"segment": {"name": name, "recovery_method": "auto", "service_type": "COMPUTE"}});
        let (status, made) = client.call("POST", "/v1/segments", &body.to_string()).await.map_err(broke)?;
        let made: serde_json::Value = serde_json::from_slice(&made).unwrap_or_default();
        let Some(segment) = made.pointer("/segment/uuid").and_then(|uuid| uuid.as_str()) else {
            return Err(Failure::failed(format!(
                "the server answered {status} to the first request: {made}"
            )));
        };
        for host in 0..HOSTS {
            let body = json!({"host": {"name": format!("{name}-{host}"), "type": "COMPUTE", "control_attributes": "SSH"}});
            let path = format!("/v1/segments/{segment}/hosts");
            client.call("POST", &path, &body.to_string()).await.map_err(broke)?;
        }
        let mut measured = Vec::new();
        for what in ["GET segments", "POST notification"] {
            for connections in CONNECTIONS {
                context.printer.note(&format!("{what} by {connections} for {} s", typed.seconds));
                measured.push(self.one(what, *connections, &name, typed.seconds).await.map_err(broke)?);
            }
        }
        Ok((measured, at_start_kb, self.resident_kb()))
    }

    async fn one(
        &self,
        what: &'static str,
        connections: usize,
        name: &str,
        seconds: u64,
    ) -> std::io::Result<Measured> {
        let cpu_before = self.cpu_ms();
        let begun = Instant::now();
        let until = begun + Duration::from_secs(seconds);
        let mut all = tokio::task::JoinSet::new();
        for index in 0..connections {
            let mut client = Client::connect(&self.address, self.token.as_deref()).await?;
            let host = format!("{name}-{}", index % HOSTS);
            all.spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < until {
                    let asked = Instant::now();
                    let status = match what {
                        "GET segments" => client.call("GET", "/v1/segments", "").await?.0,
                        _ => {
                            // Another instance each time: nothing is a duplicate, and each opens an incident.
                            let payload = json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED",
                                "instance_uuid": uuid::Uuid::new_v4().to_string()});
                            let body = json!({"notification": {"type": "VM", "hostname": host,
                                "generated_time": "2026-11-21T19:30:01", "payload": payload}});
                            client.call("POST", "/v1/notifications", &body.to_string()).await?.0
                        }
                    };
                    if !matches!(status, 200 | 202) {
                        return Err(std::io::Error::other(format!("the server answered {status} to {what}")));
                    }
                    times.push(asked.elapsed().as_secs_f64() * 1_000.0);
                }
                Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = all.join_next().await {
            times.extend(done.map_err(std::io::Error::other)??);
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let cpu_ms = self.cpu_ms().saturating_sub(cpu_before) as f64;
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
        Ok(Measured {
            what,
            connections,
            per_second: times.len() as f64 / elapsed,
            cpu_ms: cpu_ms / times.len().max(1) as f64,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        })
    }

    /// CPU time of the server so far, in the kernel's ticks of 10 ms.
    fn cpu_ms(&self) -> u64 {
        let stat = self.child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        let stat = stat.unwrap_or_default();
        // After the name in parentheses: the 12th and 13th are user and system time.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
            * 10
    }

    fn resident_kb(&self) -> u64 {
        let status =
            self.child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }
}

/// One connection that is kept.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Client {
    pub(super) async fn connect(address: &str, token: Option<&str>) -> std::io::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let token = token.map(|token| format!("X-Auth-Token: {token}\r\n")).unwrap_or_default();
        Ok(Client { stream: BufReader::new(stream), host: address.to_owned(), token })
    }

    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let Client { host, token, .. } = self;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{token}OpenStack-API-Version: instance-ha 1.3\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let mut head = String::new();
        let mut length = 0;
        loop {
            let before = head.len();
            if self.stream.read_line(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
                return Err(std::io::Error::other("the server hung up"));
            }
            let line = &head[before..];
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok((status, answer))
    }
}
