//! A cloud of three controllers with Nova in which something is broken for real: `ostler health` names that first, and
//! nothing beside it.
//!
//! What cannot be broken here for real is said at its test. The last two take the cloud longest to get over: their names keep
//! them last. Must never leave a fault behind for the next test.

use crate::ground::{Ended, binary, lab_named, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A lab of its own: three controllers with brokers, a database cluster and all services; two compute nodes.
pub const CLOUD: &str = "health";
const CONTROLLERS: [&str; 3] = ["ctl1", "ctl2", "ctl3"];

/// How long a fault may take until it is the only thing that is found, and how long until all is well again: the cloud itself
/// needs its time (a member joins, a service reconnects), and one look takes ten seconds.
const FOUND_LIMIT: Duration = Duration::from_secs(240);

pub fn directory() -> PathBuf {
    Path::new("/var/lib/ostler/lab").join(CLOUD)
}

pub fn lab(words: &[&str]) -> Ended {
    lab_named(CLOUD, words)
}

/// A command as root on a node.
#[track_caller]
pub fn on(node: &str, script: &str) -> String {
    lab(&["ssh", node, "--", script]).expect(0).out.trim().to_owned()
}

/// The cloud, with every node on.
#[track_caller]
pub fn ready() {
    if lab(&["status"]).code != 0 {
        lab(&["down"]).expect(0);
        let words = ["up", "--controllers", "3", "--release", "2025.1", "--with", "nova"];
        lab(&[&words[..], &["--computes", "2", "--instances", "4"]].concat()).expect(0);
    }
}

/// This binary on that cloud.
pub fn ostler(state: &Path, words: &[&str]) -> Ended {
    let mut command = Command::new(binary());
    command.arg("--config").arg(directory().join("ostler.toml"));
    command.arg("--state").arg(state.join("state.db")).args(words);
    run(command)
}

/// What takes a fault back, also when the test fails.
pub struct Mended(Option<Box<dyn FnOnce()>>);

impl Mended {
    pub fn by(undo: impl FnOnce() + 'static) -> Mended {
        Mended(Some(Box::new(undo)))
    }
}

impl Drop for Mended {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// The same command on these nodes when the test is over. What it says is not looked at: the next look at the cloud is.
pub fn mended_on(nodes: &'static [&'static str], script: &'static str) -> Mended {
    Mended::by(move || nodes.iter().for_each(|node| drop(lab(&["ssh", node, "--", script]))))
}

/// What counts in a report: code and objects, in its order.
fn counting(report: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().expect("a report has findings");
    let counts = all.iter().filter(|one| one["expected"] != true && one["severity"] != "info");
    counts
        .map(|one| {
            let objects = one["objects"].as_array().into_iter().flatten();
            (text(&one["code"]), objects.map(|object| text(&object["object"])).collect())
        })
        .collect()
}

/// One look, without what earlier looks have left.
#[track_caller]
fn look() -> (Ended, Value) {
    let state = tempfile::tempdir().unwrap();
    let ended = ostler(state.path(), &["health", "--format", "json"]);
    let report = serde_json::from_str(&ended.out)
        .unwrap_or_else(|error| panic!("no report ({error}): {}{}", ended.out, ended.err));
    (ended, report)
}

/// Looks until this code is found on this object, and nothing beside it.
#[track_caller]
fn finds(code: &str, object: &str) {
    let begun = Instant::now();
    loop {
        let (_, report) = look();
        let found = counting(&report);
        let is_it = |(named, objects): &(String, Vec<String>)| {
            named == code && objects.iter().any(|one| one.contains(object))
        };
        if found.len() == 1 && is_it(&found[0]) {
            return;
        }
        if begun.elapsed() > FOUND_LIMIT {
            panic!(
                "wanted {code} of {object} and nothing beside it; the last look found {found:#?}\n{report:#}"
            );
        }
    }
}

/// Where its controllers' addresses begin: which network a lab gets depends on which others there are.
#[track_caller]
pub fn network() -> String {
    let settings = std::fs::read_to_string(directory().join("ostler.toml")).unwrap();
    let front = settings.lines().find_map(|line| line.strip_prefix("virtual-address = \"")).unwrap();
    front.rsplit_once('.').unwrap().0.to_owned()
}

/// Packet filter rules within a node, gone again with what is returned. `nft` works in the network of the node.
#[track_caller]
fn filtered(node: &'static str, rules: &str) -> Mended {
    let nft = move |text: &str| {
        let named = format!("systemd-[n]spawn.*--machine={CLOUD}-{node} ");
        let script = format!(
            "set -e; outer=$(pgrep -f -- '{named}' | head -n 1); init=$(pgrep -P \"$outer\" | head -n 1)\n\
             nsenter --net=/proc/$init/ns/net -- nft -f - <<'RULES'\n{text}\nRULES"
        );
        Command::new("sh").args(["-c", &script]).output().unwrap()
    };
    let undo = Mended::by(move || drop(nft("delete table ip fault")));
    let said = nft(&format!("table ip fault {{\n{rules}\n}}"));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    undo
}

#[test]
#[ignore = "needs the lab"]
fn a_healthy_cloud_is_ok_ten_times() {
    ready();
    let begun = Instant::now();
    while look().0.code != 0 {
        assert!(begun.elapsed() < FOUND_LIMIT, "never well: {:#}", look().1);
    }
    for round in 1..=10 {
        let (ended, report) = look();
        assert_eq!(ended.code, 0, "look {round}: {report:#}");
        assert_eq!((&report["findings"], &report["unseen"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    }
}

#[test]
#[ignore = "needs the lab"]
fn without_power_a_controller_is_found() {
    ready();
    let _back = Mended::by(|| drop(lab(&["revive", "ctl3"])));
    lab(&["kill", "ctl3"]).expect(0);
    finds("HOST_UNREACHABLE", "ctl3");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_backend_that_answers_503() {
    ready();
    let answers = "from http.server import *
class Sick(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503); self.send_header('Content-Length', '0'); self.end_headers()
    do_OPTIONS = do_HEAD = do_POST = do_GET
ThreadingHTTPServer(('0.0.0.0', 9999), Sick).serve_forever()";
    let _stopped = mended_on(&["ctl2"], "systemctl stop sick");
    on("ctl2", &format!("systemd-run -q --unit sick python3 -c \"{answers}\""));
    let own = format!("{}.12", network());
    let _open = filtered(
        "ctl2",
        &format!(
            "chain in {{ type nat hook prerouting priority -100; ip daddr {own} tcp dport 9292 redirect to :9999; }}
             chain own {{ type nat hook output priority -100; ip daddr {own} tcp dport 9292 redirect to :9999; }}"
        ),
    );
    finds("API_BACKEND_DOWN", "image on ctl2");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_compute_service_that_reports_and_is_deaf() {
    ready();
    // The connection on which it waits for orders; it reports by another one.
    let port = on(
        "ctl1",
        "pid=$(rabbitmqctl -q list_consumers queue_name channel_pid | awk '$1 == \"compute.cmp1\" { print $2; exit }')
         rabbitmqctl -q list_channels pid name | grep -F \"$pid\" | cut -f 2 | sed 's/ ->.*//; s/.*://'",
    );
    assert!(port.parse::<u16>().is_ok(), "the port of the connection: `{port}`");
    let _open = filtered(
        "cmp1",
        &format!(
            "chain in {{ type filter hook input priority 0; tcp dport {port} drop; }}
             chain out {{ type filter hook output priority 0; tcp sport {port} drop; }}"
        ),
    );
    finds("COMPUTE_DEAF", "cmp1");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_broker_without_memory() {
    ready();
    let _memory = mended_on(&["ctl1"], "rabbitmqctl -q set_vm_memory_high_watermark absolute 1GB");
    on("ctl1", "rabbitmqctl -q set_vm_memory_high_watermark absolute 1MB");
    finds("MQ_ALARM_MEMORY", "ctl1");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_brokers_that_were_cut_off_from_each_other() {
    ready();
    let _joined = mended_on(&["ctl3"], "systemctl restart rabbitmq-server");
    let network = network();
    let others = format!("{{ {network}.11, {network}.12 }}");
    let cut = filtered(
        "ctl3",
        &format!(
            "chain in {{ type filter hook input priority 0; ip saddr {others} tcp dport {{ 4369, 25672 }} drop;
                         ip saddr {others} tcp sport {{ 4369, 25672 }} drop; }}
             chain out {{ type filter hook output priority 0; ip daddr {others} tcp dport {{ 4369, 25672 }} drop;
                          ip daddr {others} tcp sport {{ 4369, 25672 }} drop; }}"
        ),
    );
    // They would notice by themselves within a minute.
    on("ctl3", "rabbitmqctl -q eval \"[erlang:disconnect_node(N) || N <- nodes()].\"");
    for node in ["ctl1", "ctl2"] {
        on(node, "rabbitmqctl -q eval \"erlang:disconnect_node('rabbit@ctl3').\"");
    }
    drop(cut);
    finds("MQ_PARTITION", "ctl1");
}

#[test]
#[ignore = "needs the lab"]
fn without_its_cluster_a_database_member_is_found() {
    ready();
    let _joined = mended_on(&["ctl3"], "mariadb -e \"set global wsrep_provider_options='gmcast.isolate=0'\"");
    on("ctl3", "mariadb -e \"set global wsrep_provider_options='gmcast.isolate=1'\"");
    finds("DB_NON_PRIMARY", "ctl3");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_database_member_that_was_left_desynced() {
    ready();
    let _back = mended_on(&["ctl3"], "mariadb -e 'set global wsrep_desync = off'");
    on("ctl3", "mariadb -e 'set global wsrep_desync = on'");
    finds("DB_DESYNC_LEFT", "ctl3");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_cache_that_is_away() {
    ready();
    let _back = mended_on(&["ctl2"], "systemctl start memcached");
    on("ctl2", "systemctl stop memcached");
    finds("CACHE_DOWN", "ctl2");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_service_whose_own_password_is_wrong() {
    ready();
    let set = |password: &str| {
        format!(
            ". /root/openrc; token=$(lab-token); user=$(curl -s -H \"X-Auth-Token: $token\" \"$OS_AUTH_URL/users?name=glance\" |
             python3 -c 'import json, sys; print(json.load(sys.stdin)[\"users\"][0][\"id\"])')
             curl -sf -o /dev/null -X PATCH -H \"X-Auth-Token: $token\" -H 'Content-Type: application/json' \
             \"$OS_AUTH_URL/users/$user\" -d \"{{\\\"user\\\": {{\\\"password\\\": \\\"{password}\\\"}}}}\""
        )
    };
    let right = on("ctl1", "sed -n 's/^password *= *//p' /etc/glance/glance-api.conf | head -n 1");
    let back = set(&right);
    let _back = Mended::by(move || drop(lab(&["ssh", "ctl1", "--", &back])));
    on("ctl1", &set("another"));
    finds("API_REFUSES_TOKENS", "image");
}

/// All nodes of the lab have one kernel and so one clock: what is set is what the node answers when it is asked for its time.
#[test]
#[ignore = "needs the lab"]
fn it_finds_a_clock_that_is_two_minutes_off() {
    ready();
    let _right = mended_on(&["ctl3"], "rm -f /usr/local/bin/date");
    on(
        "ctl3",
        "printf '%s\\n' '#!/bin/sh' '[ \"$*\" = +%s.%N ] && exec /bin/date -d \"+120 seconds\" +%s.%N' 'exec /bin/date \"$@\"' \
         > /usr/local/bin/date; chmod 755 /usr/local/bin/date",
    );
    finds("TIME_SKEW", "ctl3");
}

/// A file system of its own within the node: the nodes' disk is this machine's.
#[test]
#[ignore = "needs the lab"]
fn it_finds_a_full_disk() {
    ready();
    let here = tempfile::tempdir().unwrap();
    let disk = here.path().join("disk");
    let host = |script: &str| {
        let said = Command::new("sh").args(["-ec", script]).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    let device =
        host(&format!("truncate -s 64M {0}; mkfs.ext4 -q {0}; losetup --find --show {0}", disk.display()));
    let number = device.trim_start_matches("/dev/loop").to_owned();
    let freed = device.clone();
    let _freed = Mended::by(move || {
        drop(lab(&["ssh", "ctl2", "--", "umount /srv/full; rm -f /srv/full-disk; rmdir /srv/full"]));
        drop(Command::new("losetup").args(["-d", &freed]).output());
        drop(here);
    });
    let inner = format!(
        "mkdir -p /srv/full; rm -f /srv/full-disk; mknod /srv/full-disk b 7 {number}; mount -t ext4 /srv/full-disk /srv/full; \
                         dd if=/dev/zero of=/srv/full/log bs=1M 2> /dev/null || true"
    );
    host(&format!(
        "outer=$(pgrep -f -- 'systemd-[n]spawn.*--machine={CLOUD}-ctl2 ' | head -n 1); init=$(pgrep -P \"$outer\" | head -n 1)
         nsenter --target \"$init\" --mount -- sh -ec '{inner}'"
    ));
    finds("HOST_DISK", "ctl2:/srv/full");
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_keys_that_differ() {
    ready();
    let _back =
        mended_on(&["ctl3"], "cp -a /root/kept-keys/. /etc/keystone/fernet-keys/ && rm -r /root/kept-keys");
    on(
        "ctl3",
        "cp -a /etc/keystone/fernet-keys /root/kept-keys; key=$(ls /etc/keystone/fernet-keys/* | tail -n 1)
         head -c 32 /dev/urandom | base64 | tr '+/' '-_' > \"$key\"",
    );
    finds("FERNET_KEYS_DRIFT", "/etc/keystone/fernet-keys");
}

const ORPHAN: &str = "5ca1ab1e-0000-4000-8000-000000000001";

/// A request to Placement with the administrator's rights.
fn placement(method: &str, path: &str, body: &str) -> String {
    let data = if body.is_empty() {
        String::new()
    } else {
        format!("-H 'Content-Type: application/json' -d '{body}'")
    };
    format!(
        ". /root/openrc; curl -sf -X {method} -H \"X-Auth-Token: $(lab-token)\" -H 'OpenStack-API-Version: placement 1.36' \
         {data} 'http://{}.10:8778{path}'",
        network()
    )
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_room_that_is_kept_for_nobody() {
    ready();
    let providers: Value =
        serde_json::from_str(&on("ctl1", &placement("GET", "/resource_providers", ""))).unwrap();
    let provider = providers["resource_providers"][0]["uuid"].as_str().unwrap().to_owned();
    let path = format!("/allocations/{ORPHAN}");
    let gone = placement("DELETE", &path, "");
    let _gone = Mended::by(move || drop(lab(&["ssh", "ctl1", "--", &gone])));
    let body = serde_json::json!({
        "allocations": { provider: { "resources": { "VCPU": 1 } } }, "consumer_generation": null,
        "project_id": "nobody", "user_id": "nobody",
    });
    on("ctl1", &placement("PUT", &path, &body.to_string()));
    finds("ALLOC_ORPHAN", ORPHAN);
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_an_instance_that_is_stuck_in_a_task() {
    ready();
    let server = on(
        "ctl1",
        "mariadb -NBe \"select uuid from nova.instances where deleted = 0 and vm_state = 'active' limit 1\"",
    );
    let _free = mended_on(
        &["ctl1"],
        "mariadb -e \"update nova.instances set task_state = null, updated_at = utc_timestamp() where task_state = 'rebooting'\"",
    );
    on(
        "ctl1",
        &format!(
            "mariadb -e \"update nova.instances set task_state = 'rebooting', updated_at = utc_timestamp() - interval 3 hour \
             where uuid = '{server}'\""
        ),
    );
    finds("SERVER_TASK_STUCK", &server);
}

#[test]
#[ignore = "needs the lab"]
fn it_finds_a_certificate_that_has_ended() {
    ready();
    let _back = mended_on(
        &CONTROLLERS,
        "cp -p /root/haproxy.kept /etc/haproxy/haproxy.cfg && rm -f /root/haproxy.kept /etc/haproxy/ended.pem; systemctl reload haproxy",
    );
    let make = "from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
import datetime
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'cloud.example.org')])
now = datetime.datetime.utcnow()
day = datetime.timedelta(days=1)
page = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
page = page.not_valid_before(now - 90 * day).not_valid_after(now - 2 * day).sign(key, hashes.SHA256())
form = serialization
pem = page.public_bytes(form.Encoding.PEM) + key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
open('/etc/haproxy/ended.pem', 'wb').write(pem)";
    let front = format!(
        "listen secure\n    mode http\n    bind :5443 ssl crt /etc/haproxy/ended.pem\n    server front {}.10:5000 check inter 30s\n",
        network()
    );
    for node in CONTROLLERS {
        let script = format!(
            "[ -e /root/haproxy.kept ] || cp -p /etc/haproxy/haproxy.cfg /root/haproxy.kept\n\
             /opt/openstack/bin/python - <<'MAKE' 2> /dev/null\n{make}\nMAKE\n\
             printf '%s' '{front}' >> /etc/haproxy/haproxy.cfg; systemctl reload haproxy"
        );
        on(node, &script);
    }
    finds("CERT_EXPIRED", "/etc/haproxy/ended.pem");
}
