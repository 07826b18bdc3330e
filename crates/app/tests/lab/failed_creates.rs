//! Servers that a real Nova fails to make: `ostler logs trace` names the phase, the host and the cause.
//!
//! Must never say more of a trace than that: its words are tested where they are made.

use crate::health::{Mended, mended_on, on, ostler, ready};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CONTROLLERS: [&str; 3] = ["ctl1", "ctl2", "ctl3"];
/// How long a server may take to end in error, and its last lines to be written.
const ENDED_LIMIT: Duration = Duration::from_secs(120);

/// A request with the administrator's rights to a service of the cloud.
#[track_caller]
pub fn ask(method: &str, port: u16, path: &str, body: &Value) -> Value {
    let data = if body.is_null() {
        String::new()
    } else {
        format!("-H 'Content-Type: application/json' -d '{body}'")
    };
    let script = format!(
        ". /root/openrc; curl -s -X {method} -H \"X-Auth-Token: $(lab-token)\" -H 'OpenStack-API-Version: compute 2.95' {data} \
         \"${{OS_AUTH_URL%:*}}:{port}{path}\""
    );
    serde_json::from_str(&on("ctl1", &script)).unwrap_or(Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Makes a server that cannot be made, and waits until Nova says so.
#[track_caller]
fn failed(flavor: &str, image: Option<&str>) -> String {
    let image = image.map_or_else(
        || text(&ask("GET", 9292, "/v2/images?name=blank", &Value::Null)["images"][0]["id"]),
        str::to_owned,
    );
    let network = text(&ask("GET", 9696, "/v2.0/networks?name=lab", &Value::Null)["networks"][0]["id"]);
    let server = json!({ "server": { "name": "doomed", "imageRef": image, "flavorRef": flavor, "networks": [{ "uuid": network }] } });
    let made = ask("POST", 8774, "/v2.1/servers", &server);
    let id = text(&made["server"]["id"]);
    let begun = Instant::now();
    loop {
        let seen = ask("GET", 8774, &format!("/v2.1/servers/{id}"), &Value::Null);
        if seen["server"]["status"] == "ERROR" {
            return id;
        }
        assert!(begun.elapsed() < ENDED_LIMIT, "it does not fail: {seen}");
    }
}

fn gone(id: &str) -> Mended {
    let path = format!("/v2.1/servers/{id}");
    Mended::by(move || drop(ask("DELETE", 8774, &path, &Value::Null)))
}

fn flavor(name: &str, ram: u64) -> String {
    let flavor = json!({ "flavor": { "name": name, "vcpus": 1, "ram": ram, "disk": 1 } });
    text(&ask("POST", 8774, "/v2.1/flavors", &flavor)["flavor"]["id"])
}

/// The trace of a server, once it says that it failed.
#[track_caller]
fn trace(id: &str) -> Value {
    let state = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    loop {
        let ended = ostler(state.path(), &["logs", "trace", id, "--since", "15m", "--format", "json"]);
        let seen: Value = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
        if ended.code == 4 && !seen["anomaly"].is_null() {
            return seen;
        }
        assert!(begun.elapsed() < ENDED_LIMIT, "no anomaly: {}{}", ended.out, ended.err);
    }
}

#[test]
#[ignore = "needs the lab"]
fn no_room_is_traced_to_the_scheduler() {
    ready();
    let huge = flavor("huge", 99_999_999);
    let path = format!("/v2.1/flavors/{huge}");
    let _flavor = Mended::by(move || drop(ask("DELETE", 8774, &path, &Value::Null)));
    let id = failed(&huge, None);
    let _gone = gone(&id);
    found(&trace(&id), "schedule", "nova-scheduler", "SCHED_NO_HOST", &CONTROLLERS);
}

/// What came first: the phase, the service, its cause, and a host that it may have been on.
#[track_caller]
fn found(trace: &Value, phase: &str, service: &str, cause: &str, hosts: &[&str]) {
    let first = &trace["anomaly"];
    let wanted = json!({ "phase": phase, "service": service, "cause": cause });
    let seen =
        json!({ "phase": first["phase"], "service": first["service"], "cause": first["known"]["code"] });
    assert_eq!(seen, wanted, "{first:#}");
    let host = first["host"].as_str().unwrap_or_default();
    assert!(hosts.contains(&host), "it was not on `{host}`: {first:#}");
}

/// Neutron's own driver for Open vSwitch, without one agent: it binds no port.
#[test]
#[ignore = "needs the lab"]
fn a_refused_port_is_traced_to_the_network() {
    ready();
    const BACK: &str = "sed -i 's/^mechanism_drivers = .*/mechanism_drivers = lab/' /etc/neutron/neutron.conf; systemctl restart neutron-api";
    let _back = mended_on(&CONTROLLERS, BACK);
    for node in CONTROLLERS {
        on(node, &BACK.replace("= lab", "= openvswitch"));
    }
    answers(9696);
    let id = failed(&tiny(), None);
    let _gone = gone(&id);
    found(&trace(&id), "network", "neutron-api", "NET_PORT_BINDING_FAILED", &CONTROLLERS);
}

/// The lab's hypervisor makes guests of nothing; here it downloads the image first, by Nova's own code, as others do.
#[test]
#[ignore = "needs the lab"]
fn an_image_without_data_is_traced_to_glance() {
    ready();
    const COMPUTES: &[&str] = &["cmp1", "cmp2"];
    const BACK: &str = "sed -i 's/^compute_driver = .*/compute_driver = lab_virt.LabFakeDriver/' /etc/nova/nova.conf; systemctl restart nova-compute";
    let _back = mended_on(COMPUTES, BACK);
    let driver = "import os
from nova.virt import images, lab_virt
class Downloading(lab_virt.LabFakeDriver):
    def spawn(self, context, instance, image_meta, *rest, **named):
        path = '/var/lib/nova/' + instance.uuid
        images.fetch(context, image_meta.id, path)
        os.unlink(path)
        return super().spawn(context, instance, image_meta, *rest, **named)";
    for node in COMPUTES {
        let script = format!(
            "place=$(find /opt/openstack/lib -name lab_virt.py | head -n 1); cat > \"${{place%/*}}/lab_download.py\" <<'MODULE'\n{driver}\nMODULE\n{}",
            BACK.replace("lab_virt.LabFakeDriver", "lab_download.Downloading")
        );
        on(node, &script);
    }
    reported(COMPUTES);
    let image = json!({ "name": "lost", "disk_format": "raw", "container_format": "bare" });
    let image = text(&ask("POST", 9292, "/v2/images", &image)["id"]);
    let path = format!("/v2/images/{image}");
    let unwanted = path.clone();
    let _image = Mended::by(move || drop(ask("DELETE", 9292, &unwanted, &Value::Null)));
    let upload = format!(
        ". /root/openrc; head -c 65536 /dev/zero | curl -sf -X PUT -H \"X-Auth-Token: $(lab-token)\" -H 'Content-Type: application/octet-stream' \
         --data-binary @- \"${{OS_AUTH_URL%:*}}:9292{path}/file\""
    );
    on("ctl1", &upload);
    for node in CONTROLLERS {
        on(node, &format!("rm -f /var/lib/glance/images/{image}"));
    }
    let id = failed(&tiny(), Some(&image));
    let _gone = gone(&id);
    let seen = trace(&id);
    // Glance says it first.
    found(&seen, "claim", "glance-api", "IMAGE_NO_DATA", &CONTROLLERS);
}

fn tiny() -> String {
    let all = ask("GET", 8774, "/v2.1/flavors", &Value::Null);
    let all = all["flavors"].as_array().expect("a list of flavors");
    text(&all.iter().find(|one| one["name"] == "tiny").expect("the lab has the flavor tiny")["id"])
}

/// Waits until these nova-computes have reported since now: one that was restarted counts as down for a while.
#[track_caller]
fn reported(hosts: &[&str]) {
    let since = on("ctl1", "date -u +%Y-%m-%dT%H:%M:%S");
    let begun = Instant::now();
    loop {
        let seen = ask("GET", 8774, "/v2.1/os-services?binary=nova-compute", &Value::Null);
        let has_reported = |host: &str| {
            let mut all = seen["services"].as_array().into_iter().flatten();
            all.any(|one| {
                one["host"] == host && one["updated_at"].as_str().is_some_and(|at| at > since.as_str())
            })
        };
        if hosts.iter().all(|host| has_reported(host)) {
            return;
        }
        assert!(begun.elapsed() < ENDED_LIMIT, "they do not report: {seen}");
    }
}

/// Waits until every controller's own server answers on a port.
#[track_caller]
fn answers(port: u16) {
    let script = format!(
        "for i in $(seq 60); do curl -s -o /dev/null \"http://$(hostname -I | cut -d ' ' -f 1):{port}/\" && exit 0; sleep 1; done; exit 1"
    );
    CONTROLLERS.iter().for_each(|node| drop(on(node, &script)));
}
