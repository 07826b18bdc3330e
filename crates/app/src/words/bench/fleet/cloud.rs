//! A pretended cloud over HTTP: Keystone, the Nova and Placement of `ostler_sim`, and a power controller for each host.
//!
//! It answers at once, remembers everything, and counts who was asked for what. What a hypervisor runs and what Nova's record
//! says are kept apart, so that an instance that runs twice is seen. It must never be told of a cloud that is really there.

use super::super::standin;
use super::{beside, bodies, broke};
use crate::failure::Failure;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use ostler_model::ids::HostName;
use ostler_sim::nova::{
    Caller, EvacuateRequest, HostSpec, Instance, InstanceId, MigrationFilter, MigrationId, MigrationKind,
    Nova, NovaError, Offer, Resources, ServerFilter, ServiceChange, ServiceId, Settings,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;

/// Bytes of a request: an order has a few hundred.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The microversion that is spoken: 2.96, of 2024.1.
const MICRO: u16 = 96;

/// How old the cloud is when it begins, so that services were heard and instances launched before.
const AGE_MS: u64 = 3_600_000;

/// What one instance needs.
const FLAVOUR: Resources = Resources { vcpus: 2, ram_mb: 4_096, disk_gb: 0 };

/// How big the cloud is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub hosts: usize,
    pub instances: usize,
    /// Those of them that are on the first host, which is the one that fails.
    pub on_first: usize,
}

/// What was asked for since the last look at it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Requests by what they were for.
    pub by: BTreeMap<&'static str, u64>,
    /// When the first evacuation was asked for.
    pub first: Option<Instant>,
    /// When the last one was.
    pub last: Option<Instant>,
}

impl Asked {
    pub fn all(&self) -> u64 {
        self.by.values().sum()
    }
}

/// A cloud that is only pretended.
#[derive(Debug)]
pub(super) struct Cloud {
    address: SocketAddr,
    began: Instant,
    names: Vec<HostName>,
    nova: Mutex<Nova>,
    asked: Mutex<Asked>,
}

/// A question to the cloud.
struct Question<'a> {
    method: &'a Method,
    path: &'a str,
    query: BTreeMap<&'a str, &'a str>,
    by: Caller,
    body: Value,
}

/// An answer: what it was for, status, body.
type Told = (&'static str, StatusCode, Value);

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    /// Begins to answer on a free port, until the program ends. Services count as down after six of their reports were missed,
    /// as with Nova's own defaults.
    pub fn begin(size: Size, report_ms: u64) -> Result<Arc<Cloud>, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(broke)?;
        listener.set_nonblocking(true).map_err(broke)?;
        let names: Vec<HostName> = (0..size.hosts).map(|at| HostName::new(standin::host(at))).collect();
        let cloud = Arc::new(Cloud {
            address: listener.local_addr().map_err(broke)?,
            began: Instant::now(),
            nova: Mutex::new(furnished(size, &names, report_ms)),
            names,
            asked: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&cloud));
        beside(move || async move {
            // Its end is seen by whoever asks it.
            if let Ok(listener) = TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        })?;
        Ok(cloud)
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn names(&self) -> &[HostName] {
        &self.names
    }

    /// What was asked for since this was last called.
    pub fn asked(&self) -> Asked {
        std::mem::take(&mut *held(&self.asked))
    }

    /// Cuts a host off the control plane: its guests run on until somebody takes its power.
    pub fn cut(&self, host: &HostName) {
        held(&self.nova).cut(self.now_ms(), host);
    }

    /// Looks at the truth.
    pub fn truth<T>(&self, look: impl FnOnce(&Nova) -> T) -> T {
        let now = self.now_ms();
        let mut nova = held(&self.nova);
        nova.advance(now);
        look(&nova)
    }

    fn now_ms(&self) -> u64 {
        AGE_MS + u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn answer(&self, question: &Question<'_>) -> Told {
        let path = question.path;
        if let Some(rest) = path.strip_prefix("/compute/v2.1") {
            let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
            let mut nova = held(&self.nova);
            return self.compute(&mut nova, question, &parts).unwrap_or_else(refused);
        }
        if let Some(rest) = path.strip_prefix("/placement") {
            let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
            return self.placement(&parts);
        }
        if let Some(rest) = path.strip_prefix("/redfish/v1/Systems/") {
            return self.power(question, rest);
        }
        nothing()
    }

    fn compute(&self, nova: &mut Nova, question: &Question<'_>, parts: &[&str]) -> Result<Told, NovaError> {
        let (now, by) = (self.now_ms(), question.by);
        let host = question.query.get("host").map(|host| HostName::new(*host));
        Ok(match (question.method, parts) {
            (&Method::GET, []) => good(
                "versions",
                json!({"version": {"id": "v2.1", "status": "CURRENT", "version": format!("2.{MICRO}"), "min_version": "2.1"}}),
            ),
            (&Method::GET, ["os-services"]) => {
                let mut seen = nova.list_services(now, by)?;
                seen.retain(|service| host.as_ref().is_none_or(|host| *host == service.host));
                let services: Vec<Value> = seen.iter().map(|one| bodies::service(one, now)).collect();
                good("services", json!({"services": services}))
            }
            (&Method::PUT, ["os-services", id]) => {
                let service = ServiceId(bodies::number(id).unwrap_or_default());
                let text = |key: &str| question.body.get(key).and_then(Value::as_str);
                let change = ServiceChange {
                    enabled: text("status").map(|status| status == "enabled"),
                    reason: text("disabled_reason").map(str::to_owned),
                    forced_down: question.body.get("forced_down").and_then(Value::as_bool),
                };
                nova.update_service(now, by, service, &change)?;
                let seen = nova.list_services(now, by)?;
                let seen = seen.iter().find(|seen| seen.id == service);
                good("service changes", json!({"service": seen.map(|one| bodies::service(one, now))}))
            }
            (&Method::GET, ["os-hypervisors", "detail"]) => {
                let one = |(at, name): (usize, &HostName)| bodies::hypervisor(at, name);
                let all: Vec<Value> = self.names.iter().enumerate().map(one).collect();
                good("hypervisors", json!({"hypervisors": all}))
            }
            (&Method::GET, ["os-aggregates"]) => good("aggregates", json!({"aggregates": []})),
            (&Method::GET, ["os-server-groups"]) => good("server groups", json!({"server_groups": []})),
            (&Method::GET, ["os-migrations"]) => {
                let filter = MigrationFilter {
                    instance: question.query.get("instance_uuid").and_then(|id| InstanceId::parse(id)),
                    source: question.query.get("source_compute").map(|host| HostName::new(*host)),
                    kind: Some(MigrationKind::Evacuation),
                    status: None,
                };
                let marker = question.query.get("marker").and_then(|id| bodies::number(id)).map(MigrationId);
                let found = nova.list_migrations(now, by, &filter, marker)?;
                let last = found.last().map(|last| bodies::migration_id(last.id));
                let next = last.filter(|_| found.len() >= nova.settings().page_limit);
                let listed = found.iter().map(|one| bodies::migration(one, now)).collect();
                good("move records", self.page("migrations", listed, question, next))
            }
            (&Method::GET, ["servers", "detail"]) => {
                let marker = question.query.get("marker").and_then(|id| InstanceId::parse(id));
                let filter = ServerFilter { host, vm_state: None };
                if question.query.contains_key("locked") {
                    let limit = question.query.get("limit").and_then(|limit| limit.parse().ok());
                    let found = locked(nova, (now, by), &filter, limit.unwrap_or(usize::MAX))?;
                    let listed = found.iter().map(|one| bodies::server(self.address, one, now)).collect();
                    return Ok(good("lists of servers", self.page("servers", listed, question, None)));
                }
                let found = nova.list_servers(now, by, &filter, None, marker)?;
                let listed = found.servers.iter().map(|one| bodies::server(self.address, one, now)).collect();
                let next = found.next.map(|id| id.to_string());
                good("lists of servers", self.page("servers", listed, question, next))
            }
            (&Method::GET, ["servers", id]) => match InstanceId::parse(id) {
                Some(id) => {
                    let found = nova.show_server(now, by, id)?;
                    good("servers", json!({"server": bodies::server(self.address, &found, now)}))
                }
                None => nothing(),
            },
            (&Method::POST, ["servers", id, "action"]) => match InstanceId::parse(id) {
                Some(id) => self.act(nova, question, id)?,
                None => nothing(),
            },
            _ => nothing(),
        })
    }

    fn act(&self, nova: &mut Nova, question: &Question<'_>, id: InstanceId) -> Result<Told, NovaError> {
        let (now, by) = (self.now_ms(), question.by);
        let verb = question.body.as_object().and_then(|body| body.iter().next());
        let (name, how) = verb.map_or(("", &Value::Null), |(name, how)| (name.as_str(), how));
        let text = |key: &str| how.get(key).and_then(Value::as_str);
        let what = match name {
            "evacuate" => {
                let mut asked = held(&self.asked);
                asked.last = Some(Instant::now());
                asked.first = asked.first.or(asked.last);
                drop(asked);
                let host = text("host").map(HostName::new);
                let force = how.get("force").and_then(Value::as_bool);
                nova.evacuate(now, by, id, &EvacuateRequest { host, force, on_shared_storage: None })?;
                "evacuations"
            }
            "lock" => {
                nova.lock(now, by, id, text("locked_reason"))?;
                "locks"
            }
            "unlock" => {
                nova.unlock(now, by, id)?;
                "locks"
            }
            "os-start" => {
                nova.start(now, by, id)?;
                "other actions"
            }
            "os-stop" => {
                nova.stop(now, by, id)?;
                "other actions"
            }
            "os-resetState" => {
                nova.reset_state(now, by, id, text("state") == Some("active"))?;
                "other actions"
            }
            _ => return Ok(nothing()),
        };
        Ok((what, StatusCode::ACCEPTED, Value::Null))
    }

    fn placement(&self, parts: &[&str]) -> Told {
        match parts {
            [] => good(
                "versions",
                json!({"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0"}]}),
            ),
            ["resource_providers", id, what] => {
                let name = bodies::number(id).and_then(|at| self.names.get(usize::try_from(at).ok()?));
                let usage = name.and_then(|name| held(&self.nova).placement().usage(name));
                match (usage, *what) {
                    (Some((all, _)), "inventories") => good("room", bodies::inventories(all)),
                    (Some((_, used)), "usages") => good("room", bodies::usages(used)),
                    _ => nothing(),
                }
            }
            _ => nothing(),
        }
    }

    fn power(&self, question: &Question<'_>, rest: &str) -> Told {
        let (name, order) = rest.split_once('/').map_or((rest, None), |(name, order)| (name, Some(order)));
        let (now, host) = (self.now_ms(), HostName::new(name));
        let mut nova = held(&self.nova);
        let Some(has_power) = nova.host(&host).map(|host| host.power) else { return nothing() };
        match (question.method, order) {
            (&Method::GET, None) => good("power", bodies::system(name, has_power)),
            (&Method::POST, Some("Actions/ComputerSystem.Reset")) => {
                match question.body.get("ResetType").and_then(Value::as_str) {
                    Some("ForceOff") => nova.power_off(now, &host),
                    Some("On") => nova.power_on(now, &host),
                    _ => return ("power", StatusCode::BAD_REQUEST, Value::Null),
                }
                ("power", StatusCode::NO_CONTENT, Value::Null)
            }
            _ => nothing(),
        }
    }

    /// A page of a list, with the link to the next one.
    fn page(&self, key: &str, listed: Vec<Value>, question: &Question<'_>, next: Option<String>) -> Value {
        let mut body = json!({key: listed});
        if let (Some(next), Some(fields)) = (next, body.as_object_mut()) {
            let others = question.query.iter().filter(|(name, _)| **name != "marker");
            let mut words: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
            words.push(format!("marker={next}"));
            let href = format!("http://{}{}?{}", self.address, question.path, words.join("&"));
            fields.insert(format!("{key}_links"), json!([{"rel": "next", "href": href}]));
        }
        body
    }
}

/// A Nova that answers and acts at once, with its hosts and instances.
fn furnished(size: Size, names: &[HostName], report_ms: u64) -> Nova {
    let settings = Settings {
        max_micro: MICRO,
        report_ms,
        down_ms: 6 * report_ms,
        schedule_ms: 0,
        cast_ms: 0,
        rebuild_ms: 0,
        guest_ms: 0,
        ..Settings::default()
    };
    let mut nova = Nova::new(settings, 1);
    let others = size.hosts.saturating_sub(1).max(1);
    let spread = size.instances.saturating_sub(size.on_first);
    // Room for all that one host has and as much again: a recovery is measured and not the lack of room.
    let most = spread.div_ceil(others) + 2 * size.on_first.div_ceil(others) + 1;
    let count = u64::try_from(most).unwrap_or(u64::MAX);
    for name in names {
        let mut spec = HostSpec::new(name.as_str());
        spec.hypervisor = name.to_string();
        spec.offer = Offer {
            total: Resources {
                vcpus: u32::try_from(most).unwrap_or(u32::MAX).saturating_mul(FLAVOUR.vcpus),
                ram_mb: count.saturating_mul(FLAVOUR.ram_mb),
                disk_gb: 4_000,
            },
            reserved: Resources::default(),
            vcpus_percent: 100,
            ..spec.offer
        };
        nova.add_host(0, spec);
    }
    for at in 0..size.instances {
        let on = if at < size.on_first { 0 } else { 1 + (at - size.on_first) % others };
        let instance = Instance::new(format!("instance-of-a-customer-{at}"), FLAVOUR);
        nova.place(0, instance, names.get(on));
    }
    nova
}

fn good(what: &'static str, body: Value) -> Told {
    (what, StatusCode::OK, body)
}

fn nothing() -> Told {
    (
        "unknown",
        StatusCode::NOT_FOUND,
        json!({"itemNotFound": {"code": 404, "message": "there is no such thing"}}),
    )
}

fn refused(error: NovaError) -> Told {
    let code = error.status().unwrap_or(500);
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ("refusals", status, json!({"badRequest": {"code": code, "message": error.to_string()}}))
}

/// The locked servers, at most so many.
fn locked(
    nova: &mut Nova,
    (now, by): (u64, Caller),
    filter: &ServerFilter,
    limit: usize,
) -> Result<Vec<Instance>, NovaError> {
    let (mut found, mut marker) = (Vec::new(), None);
    loop {
        let page = nova.list_servers(now, by, filter, None, marker)?;
        found.extend(page.servers.into_iter().filter(|one| one.locked));
        match page.next {
            Some(next) if found.len() < limit => marker = Some(next),
            _ => break,
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The microversion that a request asks for.
fn micro(headers: &HeaderMap) -> u16 {
    let header = headers.get("openstack-api-version").and_then(|value| value.to_str().ok());
    header.and_then(|text| text.rsplit('.').next()?.parse().ok()).unwrap_or(1)
}

async fn answer(State(cloud): State<Arc<Cloud>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.unwrap_or_default();
    let is_login = head.method == Method::POST && head.uri.path() == "/identity/v3/auth/tokens";
    let words = head.uri.query().unwrap_or_default().split('&');
    let question = Question {
        method: &head.method,
        path: head.uri.path(),
        query: words.filter_map(|word| word.split_once('=')).collect(),
        by: Caller::admin(micro(&head.headers)),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let (what, status, body) = match is_login {
        true => ("tokens", StatusCode::CREATED, standin::catalogue(cloud.address)),
        false => cloud.answer(&question),
    };
    *held(&cloud.asked).by.entry(what).or_default() += 1;
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_login {
        let token = HeaderName::from_static("x-subject-token");
        response.headers_mut().insert(token, HeaderValue::from_static("pretended"));
    }
    response
}
