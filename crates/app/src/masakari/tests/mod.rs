//! The API over the register in memory: what is answered to what, as clients of Masakari know it.

mod bad_input;
mod bodies;
mod hostile;
mod lists;
mod reports;
mod rules;

use super::{Api, Authentication, Policy};
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use ostler_engine::seam::{Clock, Fut, Store};
use ostler_model::Timestamp;
use ostler_sim::MemoryStore;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A clock that goes on by a second with each look.
#[derive(Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(1_790_000_000_500_000 + self.0.fetch_add(1_000_000, Ordering::Relaxed))
            .unwrap()
    }

    fn sleep(&self, _: u64) -> Fut<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The API with nobody in front of it.
pub struct Desk {
    pub api: Api,
    pub complaints: Arc<Mutex<Vec<String>>>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answered {
    /// Its message, by the name of its fault.
    #[track_caller]
    pub fn fault(&self, status: u16, name: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.body[name]["code"], status, "{}", self.body);
        assert_eq!(self.body.as_object().unwrap().len(), 1, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json; charset=UTF-8");
        self.body[name]["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        &self.body
    }
}

impl Desk {
    pub fn new() -> Desk {
        Desk::over(Arc::new(MemoryStore::default()))
    }

    pub fn over(store: Arc<dyn Store>) -> Desk {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        let api = Api {
            store,
            clock: Arc::new(Ticking::default()),
            authentication: Authentication::Nobody,
            host_keys: None,
            policy: Policy::default(),
            is_compute_host: None,
            link_prefix: None,
            reported: Arc::new(Notify::new()),
            complain: Box::new(move |line| heard.lock().unwrap().push(line.to_owned())),
        };
        Desk { api, complaints }
    }

    pub async fn raw(&self, request: Request<Body>) -> Answered {
        let answer = self.api.answer(request).await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert!(parts.headers["x-openstack-request-id"].to_str().unwrap().starts_with("req-"));
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).unwrap(),
        };
        Answered { status: parts.status, headers: parts.headers, body }
    }

    /// A call with the newest version.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answered {
        self.call_at("instance-ha 1.3", method, path, body).await
    }

    pub async fn call_at(&self, version: &str, method: &str, path: &str, body: Value) -> Answered {
        let request = Request::builder().method(method).uri(path).header("host", "ctl:15868");
        let request = match version {
            "" => request,
            version => request.header("OpenStack-API-Version", version),
        };
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        };
        self.raw(request.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.call("GET", path, Value::Null).await
    }

    /// Makes a segment and answers its identity.
    pub async fn segment(&self, name: &str) -> String {
        let body = json!({"segment": {"name": name, "recovery_method": "auto", "service_type": "COMPUTE"}});
        let made = self.call("POST", "/v1/segments", body).await;
        made.is(201)["segment"]["uuid"].as_str().unwrap().to_owned()
    }

    /// Adds a host to a segment and answers its identity.
    pub async fn host(&self, segment: &str, name: &str) -> String {
        let body = json!({"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}});
        let made = self.call("POST", &format!("/v1/segments/{segment}/hosts"), body).await;
        made.is(201)["host"]["uuid"].as_str().unwrap().to_owned()
    }

    /// Reports something of a host.
    pub async fn report(&self, kind: &str, hostname: &str, payload: Value) -> Answered {
        let body = json!({"notification": {"type": kind, "hostname": hostname,
            "generated_time": "2026-11-21T19:30:01.123456", "payload": payload}});
        self.call("POST", "/v1/notifications", body).await
    }

    /// Reports that a host is gone.
    pub async fn gone(&self, hostname: &str) -> Answered {
        let payload = json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"});
        self.report("COMPUTE_HOST", hostname, payload).await
    }

    /// Closes every open incident, as whoever works on them would.
    pub async fn close_all(&self) {
        for mut incident in self.api.store.open_incidents().await.unwrap() {
            incident.closed = Some(incident.opened);
            assert!(self.api.store.save_incident(&incident).await.unwrap().is_some());
        }
    }
}
