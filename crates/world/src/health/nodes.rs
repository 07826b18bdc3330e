//! Looks at nodes: one script for the node itself, one for its message broker, all nodes at the same time.
//!
//! A node that does not answer is a row that says so, and a gap in every table of nodes.

use super::Look;
use super::parse;
use super::rows::{Tables, row};
use crate::node::shell::{Answer, Script};
use futures_util::future::join_all;
use ostler_model::cloud::{DeclaredNode, Role};
use ostler_model::health::Value;
use ostler_model::ids::HostName;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Nodes looked at at the same time.
const NODES_AT_ONCE: usize = 64;

/// Controllers that every node is told of.
const CONTROLLERS_MAX: usize = 64;

/// How long one node may take: every question in the script has a shorter limit of its own.
const NODE_LIMIT: Duration = Duration::from_secs(120);

/// How long a broker may take: its program starts a virtual machine for each question.
const BROKER_LIMIT: Duration = Duration::from_secs(270);

const NODE: &str = include_str!("../../data/health/node.sh");
const BROKER: &str = include_str!("../../data/health/broker.sh");

/// Units that are looked at, as systemd's patterns: the names of all ages and distributions.
const UNITS: &str = "keystone*.service nova-*.service placement*.service glance-*.service neutron-*.service cinder-*.service \
heat-*.service octavia-*.service masakari-*.service designate-*.service barbican-*.service openstack-*.service ironic-*.service \
magnum-*.service manila-*.service swift-*.service devstack@*.service kolla-*-container.service apache2.service httpd.service \
nginx.service uwsgi*.service mariadb.service mysql.service mysqld.service galera*.service proxysql.service \
rabbitmq-server.service memcached.service valkey*.service redis*.service haproxy.service keepalived.service corosync.service \
pacemaker.service libvirtd.service virtqemud.service virtlogd.service virtproxyd.service openvswitch*.service \
ovs-vswitchd.service ovsdb-server.service ovn-*.service chrony.service chronyd.service ntp.service ntpd.service \
systemd-timesyncd.service docker.service podman.service etcd.service ostler-*.service";

/// Directories below /etc that hold configuration of the cloud's services.
const PROJECTS: &str = "keystone nova placement glance neutron cinder heat octavia masakari designate barbican ironic magnum manila swift";

/// Packages whose versions are compared, as patterns.
const PACKAGES: &str = "nova-* keystone* placement* glance-* neutron-* cinder-* heat-* octavia-* masakari-* openstack-* \
python3-nova python3-neutron python3-keystone python3-cinder python3-oslo.messaging mariadb-server mariadb-server-* galera-* \
rabbitmq-server memcached haproxy keepalived libvirt-daemon* qemu-system-x86 qemu-kvm openvswitch* ovn-*";

/// Tables that every node's script fills.
const NODE_TABLES: [&str; 26] = [
    "filesystem",
    "inodes",
    "mount",
    "interface",
    "unit",
    "failed",
    "container",
    "file",
    "keys",
    "setting",
    "package",
    "database",
    "cache",
    "haproxy",
    "haproxy.config",
    "haproxy.server",
    "haproxy.backend",
    "haproxy.front",
    "address",
    "certificate",
    "kernel",
    "libvirt",
    "domain",
    "ovs",
    "backup",
    "compute.identity",
];

/// Tables that the broker's script fills.
const BROKER_TABLES: [&str; 3] = ["rabbit.node", "rabbit.cluster", "rabbit.queue"];

/// Looks at all nodes.
pub(super) async fn look(look: &Look<'_>, tables: &Tables) {
    let places = Semaphore::new(NODES_AT_ONCE);
    for table in ["node", "virtual-address"] {
        tables.seen(table);
    }
    let looks = look.cloud.nodes.iter().map(|(host, node)| async {
        // The semaphore is never closed; an error would mean no more than that there is no limit.
        let _place = places.acquire().await;
        one(look, host, node, tables).await;
    });
    join_all(looks).await;
}

async fn one(look: &Look<'_>, host: &HostName, declared: &DeclaredNode, tables: &Tables) {
    let name = host.as_str();
    let begun = Instant::now();
    let arguments = vec![
        format!("units={UNITS}"),
        format!("projects={PROJECTS}"),
        format!("packages={PACKAGES}"),
        format!("backups={}", look.cloud.backup_directory),
        format!("nodes={}", controllers(look)),
        format!("shared={}", look.cloud.virtual_address.as_deref().unwrap_or_default()),
    ];
    let is_controller = declared.roles.contains(&Role::Controller);
    let node = async {
        let text = format!("{NODE}\nlook \"$@\" < /dev/null\n");
        let script = Script { doing: "the look at its health", text, arguments, limit: NODE_LIMIT };
        look.nodes.run(host, script).await
    };
    let broker = async {
        let text = format!("{BROKER}\nlook < /dev/null\n");
        let script =
            Script { doing: "the look at its broker", text, arguments: Vec::new(), limit: BROKER_LIMIT };
        look.nodes.run(host, script).await
    };
    let (node, broker) = tokio::join!(node, broker);
    let mut bytes = 0;
    let mut seen = row([
        ("host", name.into()),
        ("address", declared.address.as_str().into()),
        ("roles", roles(declared)),
    ]);
    match &node {
        Ok(answer) => {
            bytes += answer.output.len() as u64;
            let own =
                Tables::new(ostler_model::health::Evidence::new("", ostler_model::Timestamp::UNIX_EPOCH));
            let beside = parse::report(&answer.text(), name, &own);
            // What a whole look did not find there is not there.
            NODE_TABLES.iter().for_each(|table| tables.seen(table));
            if !beside.is_whole {
                NODE_TABLES.iter().for_each(|table| tables.gap(table, Some(name), "the look broke off"));
            }
            let evidence = own.into_evidence();
            for (table, content) in evidence.tables {
                // What the node says of itself goes into the one row that says that it answers.
                if table == "node" {
                    content.rows.into_iter().for_each(|row| seen.extend(row));
                    continue;
                }
                tables.seen(&table);
                content.rows.into_iter().for_each(|row| tables.add(&table, with_role(row, declared)));
                content.gaps.iter().for_each(|gap| tables.gap(&table, Some(name), &gap.why));
            }
            seen.insert("reachable".to_owned(), true.into());
            if let Some((offset, doubt)) = beside.clock_ns.and_then(|theirs| clock(theirs, answer)) {
                seen.insert("clock_ms".to_owned(), Value::Number(offset));
                seen.insert("clock_doubt_ms".to_owned(), Value::Number(doubt));
            }
            holds(look, name, is_controller, tables);
        }
        Err(error) => {
            let why = error.why();
            seen.insert("reachable".to_owned(), false.into());
            seen.insert("why".to_owned(), why.what.as_str().into());
            NODE_TABLES.iter().for_each(|table| tables.gap(table, Some(name), &why.what));
            if is_controller && look.cloud.virtual_address.is_some() {
                tables.gap("virtual-address", Some(name), &why.what);
            }
        }
    }
    tables.add("node", seen);
    match &broker {
        Ok(answer) => {
            bytes += answer.output.len() as u64;
            if !parse::report(&answer.text(), name, tables).is_whole {
                BROKER_TABLES.iter().for_each(|table| tables.gap(table, Some(name), "the look broke off"));
            }
        }
        // Whether it has a broker at all is not known: a controller usually has.
        Err(error) if is_controller => {
            BROKER_TABLES.iter().for_each(|table| tables.gap(table, Some(name), &error.why().what));
        }
        Err(_) => {}
    }
    tables.cost(name, 2, bytes, begun.elapsed());
}

/// Names and addresses of controllers, which lists in configuration files are made of.
fn controllers(look: &Look<'_>) -> String {
    let all = look.cloud.nodes.iter().filter(|(_, node)| node.roles.contains(&Role::Controller));
    let words = all.take(CONTROLLERS_MAX).map(|(host, node)| format!("{host} {}", node.address));
    words.collect::<Vec<_>>().join(" ")
}

fn roles(declared: &DeclaredNode) -> Value {
    let word = |role: &Role| match role {
        Role::Controller => "controller",
        Role::Compute => "compute",
        Role::Network => "network",
        Role::Storage => "storage",
    };
    Value::Text(declared.roles.iter().map(word).collect::<Vec<_>>().join("+"))
}

fn with_role(mut row: ostler_model::health::Row, declared: &DeclaredNode) -> ostler_model::health::Row {
    row.insert("roles".to_owned(), roles(declared));
    row
}

/// Whether a controller holds the virtual address.
fn holds(look: &Look<'_>, host: &str, is_controller: bool, tables: &Tables) {
    let address = look
        .cloud
        .virtual_address
        .as_deref()
        .filter(|text| is_controller && text.parse::<std::net::IpAddr>().is_ok());
    let Some(address) = address else { return };
    let own = tables.rows("address");
    let has = own.iter().any(|row| {
        row.get("host").and_then(Value::text) == Some(host)
            && row.get("address").and_then(Value::text) == Some(address)
    });
    tables.add(
        "virtual-address",
        row([("host", host.into()), ("address", address.into()), ("holds", has.into())]),
    );
}

/// Their clock against ours, in milliseconds, and how sure that is.
fn clock(theirs_ns: i128, answer: &Answer) -> Option<(f64, f64)> {
    let (sent, heard) = (answer.sent?.as_nanosecond(), answer.first_byte?.as_nanosecond());
    let offset = (theirs_ns - i128::midpoint(sent, heard)) as f64 / 1e6;
    Some((offset.round(), ((heard - sent) as f64 / 2e6).ceil()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_ones_that_a_shell_understands() {
        for text in [NODE, BROKER] {
            let checked = std::process::Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(checked.success());
        }
    }

    /// What a configuration file is compared by, on a node with these names and addresses.
    fn owned(own: &str, file: &str) -> String {
        use std::io::Write;
        let mut kept = tempfile::NamedTempFile::new().unwrap();
        kept.write_all(file.as_bytes()).unwrap();
        let nodes = "ctl1 10.0.0.11 ctl2 10.0.0.12 ctl3 10.0.0.13";
        let script = format!("{NODE}\nown='{own}'\nnodes='{nodes}'\nowned \"$1\"\n");
        let path = kept.path().to_str().unwrap();
        let said = std::process::Command::new("sh").args(["-c", &script, "sh", path]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stderr), "");
        String::from_utf8(said.stdout).unwrap()
    }

    const FIRST: &str = "ctl1 ctl1.example.org 127.0.0.1 ::1 10.0.0.11 10.1.0.11 fd00::11";
    const SECOND: &str = "ctl2 ctl2.example.org 127.0.0.1 ::1 10.0.0.12 10.1.0.12 fd00::12";

    #[test]
    fn own_names_and_addresses_are_no_difference() {
        let first =
            owned(FIRST, "# of ctl1\nmy_ip = 10.0.0.11\nhost=ctl1.example.org\nsix = [fd00::11]:80\n");
        let second =
            owned(SECOND, "# of ctl2\nmy_ip = 10.0.0.12\nhost=ctl2.example.org\nsix = [fd00::12]:80\n");
        assert_eq!(first, "my_ip = OWN\nhost=OWN\nsix = [OWN]:80\n");
        assert_eq!(first, second);
    }

    #[test]
    fn lists_of_all_nodes_are_no_difference() {
        // The last one names addresses that only the nodes themselves know of.
        let lists = "caches = 10.0.0.11:11211,10.0.0.12:11211\nbrokers = u@ctl1:5672,u@ctl2:5672\n\
                     server ctl1 10.0.0.11:80 check\nserver ctl2 10.0.0.12:80 check\nboth = 10.1.0.11, 10.1.0.12\n";
        assert_eq!(owned(FIRST, lists), lists);
        assert_eq!(owned(SECOND, lists), lists);
    }

    #[test]
    fn anothers_address_for_ones_own_is_a_difference() {
        assert_ne!(owned(FIRST, "my_ip = 10.0.0.11\n"), owned(SECOND, "my_ip = 10.0.0.11\n"));
        assert_ne!(owned(FIRST, "caches = 10.0.0.11\n"), owned(SECOND, "caches = 10.0.0.12,10.0.0.13\n"));
    }
}
