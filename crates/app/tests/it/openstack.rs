//! A small cloud that a user can do everything in that a canary does: Keystone, Glance, Neutron, Nova on one port, told
//! apart by their path. It keeps names and states as the real ones do, and is as quick as they are slow.

use crate::environment::Home;
use crate::server::{Answer, Request, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What there is: collection, identity, body.
type Things = BTreeMap<String, BTreeMap<String, Value>>;

#[derive(Default)]
pub struct State {
    things: Things,
    files: BTreeMap<String, Vec<u8>>,
    made: u32,
    /// Paths below which everything is answered with this status.
    pub broken: Vec<(String, u16)>,
    /// Servers are never finished.
    pub building: bool,
    /// What is not in the catalogue.
    pub without: Vec<&'static str>,
}

pub struct Cloud {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Cloud {
    /// On a free port.
    pub fn start() -> Cloud {
        let state: Arc<Mutex<State>> = Arc::default();
        let port: Arc<Mutex<String>> = Arc::default();
        let (shared, own) = (Arc::clone(&state), Arc::clone(&port));
        let server = Server::lasting(move |request| {
            let address = own.lock().unwrap().clone();
            answer(&mut shared.lock().unwrap(), &address, request)
        });
        *port.lock().unwrap() = server.address().to_owned();
        Cloud { server, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Names of everything that there is.
    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        let all = state.things.values().flat_map(BTreeMap::values);
        all.filter_map(|thing| Some(thing.get("name")?.as_str()?.to_owned())).collect()
    }

    /// Adds somebody's server.
    pub fn add_server(&self, name: &str) {
        let thing = json!({"id": "foreign", "name": name});
        self.state().things.entry("servers".to_owned()).or_default().insert("foreign".to_owned(), thing);
    }

    /// Everything in a collection is called so from now on.
    pub fn rename(&self, collection: &str, name: &str) {
        let mut state = self.state();
        let all = state.things.get_mut(collection).into_iter().flat_map(BTreeMap::values_mut);
        all.for_each(|thing| thing["name"] = json!(name));
    }

    /// Settings and credentials for it, with these controllers: a name and an address.
    pub fn declare(&self, home: &Home, controllers: &[(&str, &str)]) {
        let address = self.server.address();
        let mut settings = crate::environment::SETTINGS.replace(
            "[clouds.lab.nodes.ctl1]\naddress = \"127.0.0.1\"\nport = 1\nroles = [\"controller\"]\n",
            "",
        );
        for (name, at) in controllers {
            settings.push_str(&format!(
                "[clouds.lab.nodes.{name}]\naddress = \"{at}\"\nport = 1\nroles = [\"controller\"]\n\n"
            ));
        }
        home.write("ostler.toml", settings);
        let clouds = crate::environment::CLOUDS.replace("127.0.0.1:5000", address);
        home.write("clouds.yaml", clouds);
    }
}

fn fault(status: u16) -> Answer {
    (status, Vec::new(), json!({"error": {"code": status, "message": "as it was told"}}))
}

fn answer(state: &mut State, address: &str, request: &Request) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some((_, status)) = state.broken.iter().find(|(below, _)| path.starts_with(below.as_str())) {
        return fault(*status);
    }
    let ok = |body: Value| (200, Vec::new(), body);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["v3", "auth", "tokens"]) => {
            (201, vec![("X-Subject-Token", "token".to_owned())], token(state, address))
        }
        ("GET", ["v3", "auth", "tokens"]) => ok(token(state, address)),
        ("GET", ["v3"]) => ok(json!({"version": {"id": "v3"}})),
        ("GET", ["v3", key]) => ok(json!({*key: []})),
        ("GET", ["compute" | "compute-root"]) => ok(versions()),
        ("GET", ["compute", "v2.1"]) => ok(versions()),
        ("GET", ["image", "versions"]) => ok(json!({"versions": []})),
        ("GET", ["network"]) => ok(json!({"versions": []})),
        ("GET", ["compute", "v2.1", "flavors"]) => ok(json!({"flavors": []})),
        ("GET", ["compute", "v2.1", "flavors", "detail"]) => ok(json!({"flavors": [
            {"id": "2", "name": "big", "vcpus": 8, "ram": 8192, "disk": 80, "os-flavor-access:is_public": true},
            {"id": "1", "name": "tiny", "vcpus": 1, "ram": 64, "disk": 1, "os-flavor-access:is_public": true},
        ]})),
        ("GET", ["compute", "v2.1", "os-services"]) => ok(json!({"services": [
            {"id": "1", "binary": "nova-compute", "host": "cmp1", "state": "up", "status": "enabled"},
        ]})),
        ("POST", ["compute", "v2.1", "servers", _, "action"]) => ok(json!({"output": "login:\n"})),
        ("PUT", ["image", "v2", "images", id, "file"]) => {
            state.files.insert((*id).to_owned(), request.body.clone());
            if let Some(image) = state.things.get_mut("images").and_then(|all| all.get_mut(*id)) {
                image["status"] = json!("active");
            }
            (204, Vec::new(), Value::Null)
        }
        ("GET", ["image", "v2", "images", id, "file"]) => {
            let file = state.files.get(*id).cloned().unwrap_or_default();
            (200, Vec::new(), json!(String::from_utf8_lossy(&file)))
        }
        (_, [_, _, "routers", _, "add_router_interface" | "remove_router_interface"]) => ok(json!({})),
        (method, [_, _, collection]) => collected(state, method, collection, query, request),
        (method, [_, _, collection, id]) => one(state, method, collection, id),
        _ => fault(404),
    }
}

fn versions() -> Value {
    json!({"version": {"id": "v2.1", "version": "2.96", "min_version": "2.1"}})
}

fn token(state: &State, address: &str) -> Value {
    let all = [("identity", "v3"), ("image", "image"), ("network", "network"), ("compute", "compute/v2.1")];
    let there = all.iter().filter(|(kind, _)| !state.without.contains(kind));
    let catalog: Vec<Value> = there
        .map(|(kind, path)| {
            json!({"type": kind, "endpoints": [
                {"interface": "public", "region": "RegionOne", "region_id": "RegionOne",
                 "url": format!("http://{address}/{path}")}]})
        })
        .collect();
    json!({"token": {"user": {"id": "u"}, "project": {"id": "p"}, "expires_at": "2099-01-01T00:00:00.000000Z",
        "catalog": catalog}})
}

fn singular(collection: &str) -> &str {
    collection.trim_end_matches('s')
}

fn collected(state: &mut State, method: &str, collection: &str, query: &str, request: &Request) -> Answer {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
    if method == "GET" {
        let all = state.things.get(collection).into_iter().flat_map(BTreeMap::values);
        let found: Vec<Value> =
            all.filter(|thing| name.is_none_or(|name| thing["name"] == name)).cloned().collect();
        return (200, Vec::new(), json!({collection: found}));
    }
    state.made += 1;
    let id = format!("{}-{}", singular(collection), state.made);
    let body = request.json();
    let mut thing = body.get(singular(collection)).cloned().unwrap_or(body);
    thing["id"] = json!(id);
    thing["status"] = json!(if collection == "images" { "queued" } else { "ACTIVE" });
    thing["OS-EXT-STS:vm_state"] = json!(if state.building { "building" } else { "active" });
    thing["OS-EXT-SRV-ATTR:host"] = json!("cmp1");
    state.things.entry(collection.to_owned()).or_default().insert(id, thing.clone());
    let body = if collection == "images" { thing } else { json!({singular(collection): thing}) };
    (201, Vec::new(), body)
}

fn one(state: &mut State, method: &str, collection: &str, id: &str) -> Answer {
    let of = state.things.entry(collection.to_owned()).or_default();
    let Some(thing) = of.get(id).cloned() else { return fault(404) };
    if method == "DELETE" {
        of.remove(id);
        return (204, Vec::new(), Value::Null);
    }
    (200, Vec::new(), if collection == "images" { thing } else { json!({singular(collection): thing}) })
}
