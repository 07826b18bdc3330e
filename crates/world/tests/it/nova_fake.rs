//! A small Keystone, Nova and Placement that keep the rules of the real ones as far as a recovery meets them: no
//! evacuation while the service is up, evacuations that take their time and leave a record, versions, pages.

use super::http_server::{Asked, Server, Told};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Servers on one page of a list.
const PAGE: usize = 7;

/// What a server is.
#[derive(Clone, Debug)]
pub(crate) struct Vm {
    pub host: String,
    pub state: String,
    pub task: Option<String>,
    pub lock: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub up: bool,
    pub forced_down: bool,
    pub enabled: bool,
}

/// The kind of a move that does not stop the guest.
const LIVE: &str = "live-migration";

#[derive(Clone, Debug)]
pub(crate) struct Record {
    kind: &'static str,
    pub server: String,
    pub source: String,
    pub target: String,
    pub status: &'static str,
    begun: Instant,
    was_active: bool,
    stays_stopped: bool,
}

/// What goes wrong with the next evacuations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is lost, with its answer.
    RequestLost,
    /// The load balancer says 503 and it was not carried out.
    Busy,
}

#[derive(Debug)]
pub(crate) struct State {
    pub newest: String,
    pub tokens: u32,
    pub good_token: String,
    pub vms: BTreeMap<String, Vm>,
    pub services: BTreeMap<String, Service>,
    pub records: Vec<Record>,
    pub aggregates: BTreeMap<String, Vec<String>>,
    pub trouble: Vec<Trouble>,
    /// Evacuations to this host fail after a while.
    pub bad_host: Option<String>,
    /// How long evacuations take, from the fastest to the slowest. None: until the records were looked at twice.
    pub takes: Option<(Duration, Duration)>,
    /// How long an evacuation waits before its host begins with it.
    pub waits: Option<Duration>,
    /// Whether cmp2 and cmp3 have room for everything.
    pub has_room: bool,
    /// Servers on one page of a list.
    pub page: usize,
    /// The next answers to reads.
    pub busy_reads: u32,
}

pub(crate) struct Fake {
    pub server: Server,
    pub state: Arc<Mutex<State>>,
}

impl Fake {
    /// Hosts cmp1 to cmp3, with so many servers on cmp1.
    pub(crate) async fn start(servers: usize) -> Fake {
        let vm = |at: usize| {
            let state = if at % 5 == 4 { "stopped" } else { "active" };
            (format!("vm-{at:04}"), Vm { host: "cmp1".into(), state: state.into(), task: None, lock: None })
        };
        let service = Service { up: true, forced_down: false, enabled: true };
        let state = Arc::new(Mutex::new(State {
            newest: "2.96".into(),
            tokens: 0,
            good_token: String::new(),
            vms: (0..servers).map(vm).collect(),
            services: ["cmp1", "cmp2", "cmp3"].map(|host| (host.to_owned(), service.clone())).into(),
            records: Vec::new(),
            aggregates: BTreeMap::from([("fast".to_owned(), vec!["cmp1".to_owned()])]),
            trouble: Vec::new(),
            bad_host: None,
            takes: None,
            waits: None,
            has_room: false,
            page: PAGE,
            busy_reads: 0,
        }));
        let held = Arc::clone(&state);
        let address = Arc::new(Mutex::new(String::new()));
        let own = Arc::clone(&address);
        let server =
            Server::start(move |asked| answer(&mut held.lock().unwrap(), asked, &own.lock().unwrap())).await;
        *address.lock().unwrap() = server.url.clone();
        Fake { server, state }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// The host dies.
    pub(crate) fn declare_down(&self, host: &str) {
        self.with(|state| state.services.get_mut(host).unwrap().forced_down = true);
    }

    pub(crate) fn live_moves_asked(&self) -> usize {
        let asked = self.server.asked.lock().unwrap();
        asked.iter().filter(|one| one.body.contains("os-migrateLive")).count()
    }

    pub(crate) fn evacuations_asked(&self) -> usize {
        let asked = self.server.asked.lock().unwrap();
        asked.iter().filter(|one| one.body.contains("\"evacuate\"")).count()
    }
}

fn no(status: u16, words: &str) -> Told {
    Told::json(status, &json!({"badRequest": {"code": status, "message": words}}))
}

fn answer(state: &mut State, asked: &Asked, own: &str) -> Told {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if path == "/v3/auth/tokens" {
        state.tokens += 1;
        state.good_token = format!("token-{}", state.tokens);
        let endpoint = |path: &str| json!([{"interface": "public", "region": "north", "region_id": "north", "url": format!("{own}{path}")}]);
        let body = json!({"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "user": {}, "catalog": [
            {"type": "compute", "endpoints": endpoint("/compute/v2.1/project")},
            {"type": "placement", "endpoints": endpoint("/placement")},
        ]}});
        return Told::Say(201, vec![("X-Subject-Token", state.good_token.clone())], body.to_string());
    }
    if asked.header("x-auth-token") != state.good_token {
        return Told::json(
            401,
            &json!({"error": {"code": 401, "message": "The request you have made requires authentication."}}),
        );
    }
    if asked.method == "GET" && state.busy_reads > 0 {
        state.busy_reads -= 1;
        return Told::Say(429, vec![("Retry-After", "1".to_owned())], "slow down".to_owned());
    }
    if path == "/compute/v2.1/" {
        return Told::json(
            200,
            &json!({"version": {"id": "v2.1", "version": state.newest, "min_version": "2.1"}}),
        );
    }
    if path == "/placement/" {
        return Told::json(
            200,
            &json!({"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0"}]}),
        );
    }
    if let Some(path) = path.strip_prefix("/placement") {
        return placement(path, state.has_room);
    }
    let Some(path) = path.strip_prefix("/compute/v2.1/project") else { return no(404, "not here") };
    let minor: u32 = asked
        .header("openstack-api-version")
        .rsplit('.')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    nova(state, asked, path, &query, minor, own)
}

fn placement(path: &str, has_room: bool) -> Told {
    let more = if has_room { 100 } else { 1 };
    match path {
        "/resource_providers" => {
            Told::json(200, &json!({"resource_providers": [{"uuid": "hv-cmp2", "name": "cmp2.example"}]}))
        }
        _ if path.ends_with("/inventories") => Told::json(
            200,
            &json!({"inventories": {
            "VCPU": {"total": 8 * more, "reserved": 0, "allocation_ratio": 2.0},
            "MEMORY_MB": {"total": 4096 * more, "reserved": 96, "allocation_ratio": 1.0}}}),
        ),
        _ if path.ends_with("/usages") => Told::json(200, &json!({"usages": {"VCPU": 6, "MEMORY_MB": 1000}})),
        _ if path.starts_with("/allocations/") => Told::json(
            200,
            &json!({"allocations": {"hv-cmp2": {"resources": {"VCPU": 1, "MEMORY_MB": 512}}}}),
        ),
        _ => Told::json(404, &json!({"errors": [{"status": 404, "detail": "no such thing"}]})),
    }
}

fn vm_json(id: &str, vm: &Vm) -> Value {
    json!({
        "id": id, "name": format!("name of {id}"), "tenant_id": "p", "locked": vm.lock.is_some(), "locked_reason": vm.lock,
        "OS-EXT-SRV-ATTR:host": vm.host, "OS-EXT-SRV-ATTR:hypervisor_hostname": format!("{}.example", vm.host),
        "OS-EXT-STS:vm_state": vm.state, "OS-EXT-STS:task_state": vm.task, "OS-EXT-STS:power_state": 1,
        "OS-SRV-USG:launched_at": "2026-01-01T00:00:00.000000", "metadata": {"HA_Enabled": "True"}, "image": "",
        "flavor": {"original_name": "small", "vcpus": 1, "ram": 512, "disk": 1, "extra_specs": {}},
        "fault": if vm.state == "error" { json!({"message": "the target broke"}) } else { Value::Null },
    })
}

fn service_json(host: &str, service: &Service) -> Value {
    let is_up = service.up && !service.forced_down;
    json!({
        "id": format!("service-{host}"), "binary": "nova-compute", "host": host, "zone": "nova",
        "status": if service.enabled { "enabled" } else { "disabled" }, "state": if is_up { "up" } else { "down" },
        "forced_down": service.forced_down, "updated_at": "2026-11-01T12:00:00.000000",
    })
}

/// Every look at the records is a moment that passes.
fn pass_time(state: &mut State) {
    let bad = state.bad_host.clone();
    let (takes, waits) = (state.takes, state.waits);
    for (at, record) in state.records.iter_mut().enumerate() {
        if record.status == "accepted" && waits.is_some_and(|waits| record.begun.elapsed() < waits) {
            continue;
        }
        if record.status == "accepted" && waits.is_some() {
            (record.status, record.begun) = ("pre-migrating", Instant::now());
        }
        // Fast and slow ones follow each other.
        let takes = takes.map(|(least, most)| least + (most - least) * (at as u32 * 7 % 11) / 10);
        if takes.is_some_and(|takes| record.begun.elapsed() < takes) {
            continue;
        }
        let Some(vm) = state.vms.get_mut(&record.server) else { continue };
        match record.status {
            "pre-migrating" if record.kind == LIVE => {
                let fails = bad.as_ref() == Some(&record.target);
                record.status = if fails { "error" } else { "completed" };
                vm.task = None;
                if !fails {
                    vm.host.clone_from(&record.target);
                }
            }
            "accepted" => record.status = "pre-migrating",
            "pre-migrating" if bad.as_ref() == Some(&record.target) => {
                record.status = "failed";
                (vm.state, vm.task) = ("error".into(), None);
            }
            "pre-migrating" => {
                record.status = "done";
                vm.host.clone_from(&record.target);
                let runs = record.was_active && !record.stays_stopped;
                (vm.state, vm.task) = (if runs { "active" } else { "stopped" }.into(), None);
            }
            _ => {}
        }
    }
}

fn nova(
    state: &mut State,
    asked: &Asked,
    path: &str,
    query: &BTreeMap<&str, &str>,
    minor: u32,
    own: &str,
) -> Told {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let host = query.get("host").copied();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["os-services"]) => {
            let services = state.services.iter().filter(|(name, _)| host.is_none_or(|host| host == *name));
            let listed: Vec<Value> = services.map(|(name, service)| service_json(name, service)).collect();
            Told::json(200, &json!({"services": listed}))
        }
        ("PUT", ["os-services", id]) => {
            let host = id.trim_start_matches("service-").to_owned();
            let body = asked.json();
            let left = state.records.iter().any(|record| record.source == host && record.status == "done");
            if body.get("forced_down") == Some(&json!(false)) && left {
                return no(400, "Unable to force up host: `done` evacuation migration records remain.");
            }
            let Some(service) = state.services.get_mut(&host) else { return no(404, "no such service") };
            if let Some(down) = body.get("forced_down").and_then(Value::as_bool) {
                service.forced_down = down;
            }
            if let Some(status) = body.get("status").and_then(Value::as_str) {
                service.enabled = status == "enabled";
            }
            Told::json(200, &json!({"service": service_json(&host, service)}))
        }
        ("GET", ["servers", "detail"]) => {
            let marker = query.get("marker").copied().unwrap_or_default();
            let on: Vec<(&String, &Vm)> = state
                .vms
                .iter()
                .filter(|(id, vm)| {
                    host.is_none_or(|host| host == vm.host)
                        && id.as_str() > marker
                        && (vm.lock.is_some() || !query.contains_key("locked"))
                })
                .collect();
            let listed: Vec<Value> = on.iter().take(state.page).map(|(id, vm)| vm_json(id, vm)).collect();
            let mut body = json!({"servers": listed});
            if on.len() > state.page {
                let next = format!(
                    "http://inside.example/compute/v2.1/servers/detail?all_tenants=1&host={}&marker={}",
                    host.unwrap_or_default(),
                    on[state.page - 1].0
                );
                body["servers_links"] = json!([{"rel": "next", "href": next}]);
            }
            let _ = own;
            Told::json(200, &body)
        }
        ("GET", ["servers", id]) => {
            // Of a server that is moved while it runs nobody looks at the record.
            if state.vms.get(*id).is_some_and(|vm| vm.task.as_deref() == Some("migrating")) {
                pass_time(state);
            }
            match state.vms.get(*id) {
                Some(vm) => Told::json(200, &json!({"server": vm_json(id, vm)})),
                None => no(404, "Instance could not be found."),
            }
        }
        ("GET", ["os-migrations"]) => {
            pass_time(state);
            let fits = |record: &Record| {
                query.get("source_compute").is_none_or(|source| record.source == *source)
                    && query.get("instance_uuid").is_none_or(|server| record.server == *server)
                    && query.get("migration_type").is_none_or(|kind| record.kind == *kind)
            };
            let numbered = state.records.iter().enumerate().filter(|(_, record)| fits(record));
            let listed: Vec<Value> = numbered
                .map(|(at, record)| json!({
                    "id": at + 1, "uuid": format!("migration-{at}"), "instance_uuid": record.server,
                    "migration_type": record.kind, "status": record.status, "source_compute": record.source,
                    "dest_compute": record.target, "created_at": "2026-11-01T12:00:00.000000",
                }))
                .collect();
            Told::json(200, &json!({"migrations": listed}))
        }
        ("GET", ["os-aggregates"]) => {
            let listed: Vec<Value> = state
                .aggregates
                .iter()
                .enumerate()
                .map(
                    |(at, (name, hosts))| json!({"id": at + 1, "name": name, "hosts": hosts, "metadata": {}}),
                )
                .collect();
            Told::json(200, &json!({"aggregates": listed}))
        }
        ("POST", ["os-aggregates", id, "action"]) => {
            let body = asked.json();
            let at: usize = id.parse().unwrap();
            let Some(hosts) = state.aggregates.values_mut().nth(at - 1) else {
                return no(404, "no such aggregate");
            };
            if let Some(host) = body.pointer("/add_host/host").and_then(Value::as_str) {
                if hosts.iter().any(|one| one == host) {
                    return no(409, "Cannot add host. It is already there.");
                }
                hosts.push(host.to_owned());
            }
            if let Some(host) = body.pointer("/remove_host/host").and_then(Value::as_str) {
                hosts.retain(|one| one != host);
            }
            Told::json(200, &json!({"aggregate": {}}))
        }
        ("GET", ["os-hypervisors", "detail"]) => {
            let hosts: &[&str] = if state.has_room { &["cmp2", "cmp3"] } else { &["cmp2"] };
            let listed: Vec<Value> = hosts
                .iter()
                .map(|host| json!({
                    "id": format!("hv-{host}"), "hypervisor_hostname": format!("{host}.example"), "state": "up",
                    "status": "enabled", "service": {"host": host},
                }))
                .collect();
            Told::json(200, &json!({"hypervisors": listed}))
        }
        ("GET", ["os-server-groups"]) => Told::json(
            200,
            &json!({"server_groups": [
            {"id": "g", "policy": "anti-affinity", "members": ["vm-0000", "vm-0001"]}]}),
        ),
        ("POST", ["servers", id, "action"]) => act(state, asked, id, minor),
        _ => no(404, "not here"),
    }
}

fn act(state: &mut State, asked: &Asked, id: &str, minor: u32) -> Told {
    let body = asked.json();
    let accepted = Told::Say(
        202,
        vec![("X-OpenStack-Request-Id", asked.header("x-openstack-request-id").to_owned())],
        String::new(),
    );
    let verb = body.as_object().and_then(|body| body.keys().next().cloned()).unwrap_or_default();
    if verb == "evacuate" {
        return evacuate(state, &body["evacuate"], id, minor, accepted);
    }
    let Some(vm) = state.vms.get_mut(id) else { return no(404, "Instance could not be found.") };
    match verb.as_str() {
        "lock" if minor >= 73 => {
            vm.lock = Some(
                body.pointer("/lock/locked_reason").and_then(Value::as_str).unwrap_or_default().to_owned(),
            )
        }
        "lock" if body["lock"].is_null() => vm.lock = Some(String::new()),
        "unlock" => vm.lock = None,
        "os-stop" if vm.state == "active" || vm.state == "error" => vm.state = "stopped".into(),
        "os-start" if vm.state == "stopped" => vm.state = "active".into(),
        "os-resetState" => {
            vm.state =
                body.pointer("/os-resetState/state").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        "os-migrateLive" if minor >= 25 && vm.task.is_some() => {
            return no(
                409,
                &format!("Cannot 'os-migrateLive' instance {id} while it is in task_state migrating"),
            );
        }
        "os-migrateLive" if minor >= 25 => {
            vm.task = Some("migrating".into());
            let target = body.pointer("/os-migrateLive/host").and_then(Value::as_str).unwrap_or("cmp2");
            let record = Record {
                kind: LIVE,
                server: id.to_owned(),
                source: vm.host.clone(),
                target: target.to_owned(),
                status: "accepted",
                begun: Instant::now(),
                was_active: true,
                stays_stopped: false,
            };
            state.records.push(record);
            if state.trouble.pop() == Some(Trouble::AnswerLost) {
                return Told::HangUp;
            }
        }
        _ => return no(409, &format!("Cannot '{verb}' instance while it is in vm_state {}", vm.state)),
    }
    accepted
}

fn evacuate(state: &mut State, how: &Value, id: &str, minor: u32, accepted: Told) -> Told {
    let trouble = state.trouble.pop();
    match trouble {
        Some(Trouble::RequestLost) => return Told::HangUp,
        Some(Trouble::Busy) => {
            return Told::Say(503, Vec::new(), "<h1>503 Service Unavailable</h1>".to_owned());
        }
        _ => {}
    }
    let extra = how.as_object().is_none_or(|how| how.keys().any(|key| key != "host"));
    if minor < 14 || extra {
        return no(400, "Additional properties are not allowed");
    }
    let Some(vm) = state.vms.get_mut(id) else { return no(404, "Instance could not be found.") };
    let service = &state.services[&vm.host];
    if service.up && !service.forced_down {
        return no(400, &format!("Compute service of {} is still in use.", vm.host));
    }
    if !["active", "stopped", "error"].contains(&vm.state.as_str()) {
        return no(409, &format!("Cannot 'evacuate' instance {id} while it is in vm_state {}", vm.state));
    }
    let target = how.get("host").and_then(Value::as_str).unwrap_or("cmp2");
    if !state.services.contains_key(target) {
        return no(404, &format!("Compute host {target} could not be found."));
    }
    state.records.push(Record {
        kind: "evacuation",
        server: id.to_owned(),
        source: vm.host.clone(),
        target: target.to_owned(),
        status: if state.takes.is_some() && state.waits.is_none() { "pre-migrating" } else { "accepted" },
        begun: Instant::now(),
        was_active: vm.state != "stopped",
        stays_stopped: minor >= 95,
    });
    vm.task = Some("rebuilding".into());
    if trouble == Some(Trouble::AnswerLost) { Told::HangUp } else { accepted }
}
