//! Asks servers by a message of their own kind whether they answer: those of which an API would not tell.
//!
//! One controller of each project asks, with the project's own library, account and configuration: no password of the broker
//! leaves its node, and nothing is declared there that the project does not declare itself. Services in containers are not
//! asked. It must never ask one that is known to be down, nor have anything done by the answer.

use super::Look;
use super::parse;
use super::rows::Tables;
use crate::node::shell::Script;
use futures_util::future::join_all;
use ostler_model::health::{Row, Value};
use ostler_model::ids::HostName;
use std::time::{Duration, Instant};

/// How long the servers of one project may take: the program on the node gives up before.
const LIMIT: Duration = Duration::from_secs(45);

/// Servers of one project that are asked: a line of arguments holds them.
const SERVERS_MAX: usize = 1_000;

const SHELL: &str = include_str!("../../data/health/rpc.sh");
const PROGRAM: &str = include_str!("../../data/health/rpc.py");

/// Who asks, for a project.
struct Project {
    name: &'static str,
    /// Units of which one has to run where it is asked from.
    units: &'static [&'static str],
}

const PROJECTS: [Project; 4] = [
    Project {
        name: "nova",
        units: &["nova-conductor", "nova-scheduler", "openstack-nova-conductor", "openstack-nova-scheduler"],
    },
    Project {
        name: "neutron",
        units: &["neutron-rpc-server", "neutron-server", "neutron-l3-agent", "neutron-dhcp-agent"],
    },
    Project { name: "cinder", units: &["cinder-scheduler", "openstack-cinder-scheduler"] },
    Project { name: "heat", units: &["heat-engine", "openstack-heat-engine"] },
];

/// Rows of a table that are servers: where a column has a word, messages for them go to a topic.
struct Kind {
    project: &'static str,
    table: &'static str,
    column: &'static str,
    word: &'static str,
    topic: &'static str,
    /// The column, and what it says of one that is up.
    up: (&'static str, Value),
}

fn kinds() -> [Kind; 9] {
    let kind = |project, table, column, word, topic, up: (&'static str, Value)| Kind {
        project,
        table,
        column,
        word,
        topic,
        up,
    };
    let up = || ("state", Value::from("up"));
    let alive = || ("alive", Value::Bool(true));
    [
        kind("nova", "compute.service", "binary", "nova-conductor", "conductor", up()),
        kind("nova", "compute.service", "binary", "nova-scheduler", "scheduler", up()),
        kind("neutron", "network.agent", "kind", "L3 agent", "l3_agent", alive()),
        kind("neutron", "network.agent", "kind", "DHCP agent", "dhcp_agent", alive()),
        kind("cinder", "volume.service", "binary", "cinder-volume", "cinder-volume", up()),
        kind("cinder", "volume.service", "binary", "cinder-backup", "cinder-backup", up()),
        kind("cinder", "volume.service", "binary", "cinder-scheduler", "cinder-scheduler", up()),
        kind("heat", "stack.service", "binary", "heat-engine", "engine", ("status", "up".into())),
        // Whoever of Neutron's own servers takes it answers for all.
        kind("neutron", "network.agent", "", "", "q-plugin", alive()),
    ]
}

/// Asks all projects at the same time.
pub(super) async fn look(look: &Look<'_>, tables: &Tables) {
    let units = tables.rows("unit");
    let each = PROJECTS.iter().map(|project| {
        let asker = asker(project, &units);
        async move {
            let Some((host, unit)) = asker else { return };
            let servers = servers(project.name, tables);
            if !servers.is_empty() {
                let node = HostName::new(host);
                ask(look, project.name, &node, &unit, servers, tables).await;
            }
        }
    });
    join_all(each).await;
}

/// A node and a unit of a project that runs there.
fn asker(project: &Project, units: &[Row]) -> Option<(String, String)> {
    let text = |row: &Row, name: &str| row.get(name).and_then(Value::text).map(str::to_owned);
    project.units.iter().find_map(|unit| {
        let row = units.iter().find(|row| {
            text(row, "name").as_deref() == Some(unit) && text(row, "active").as_deref() == Some("active")
        })?;
        Some((text(row, "host")?, (*unit).to_owned()))
    })
}

/// Servers of a project that say that they are up: `NAME TOPIC SERVER`.
fn servers(project: &str, tables: &Tables) -> Vec<String> {
    let mut found = Vec::new();
    for kind in kinds().iter().filter(|kind| kind.project == project) {
        for row in tables.rows(kind.table) {
            if row.get(kind.up.0) != Some(&kind.up.1) {
                continue;
            }
            if kind.column.is_empty() {
                found.push(format!("{} {} -", kind.topic, kind.topic));
                break;
            }
            let text = |name: &str| row.get(name).and_then(Value::text);
            // What is no one word cannot be a queue.
            let host = text("host").filter(|host| !host.is_empty() && !host.contains(char::is_whitespace));
            if let Some(host) = host.filter(|_| text(kind.column) == Some(kind.word)) {
                found.push(format!("{}.{host} {} {host}", kind.topic, kind.topic));
            }
        }
    }
    found
}

async fn ask(
    look: &Look<'_>,
    project: &str,
    node: &HostName,
    unit: &str,
    mut servers: Vec<String>,
    tables: &Tables,
) {
    tables.seen("rpc");
    if servers.len() > SERVERS_MAX {
        tables.gap("rpc", None, &format!("{project} has more than {SERVERS_MAX} servers"));
        servers.truncate(SERVERS_MAX);
    }
    let begun = Instant::now();
    let asked = servers.len() as u64;
    let mut arguments = vec![unit.to_owned(), project.to_owned(), PROGRAM.to_owned()];
    arguments.append(&mut servers);
    let script = Script {
        doing: "asking servers by a message",
        text: format!("{SHELL}\nlook \"$@\" < /dev/null\n"),
        arguments,
        limit: LIMIT,
    };
    match look.nodes.run(node, script).await {
        Ok(answer) => {
            parse::report(&answer.text(), node.as_str(), tables);
            tables.cost(
                &format!("messages to {project}"),
                asked,
                answer.output.len() as u64,
                begun.elapsed(),
            );
        }
        Err(error) => tables.gap("rpc", Some(node.as_str()), &error.why().what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::rows::row;
    use ostler_model::Timestamp;
    use ostler_model::health::Evidence;
    use std::process::Command;

    fn tables() -> Tables {
        Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn only_servers_that_say_that_they_are_up_are_asked() {
        let tables = tables();
        for (binary, host, state) in [
            ("nova-conductor", "ctl1", "up"),
            ("nova-scheduler", "ctl2", "down"),
            ("nova-compute", "cmp1", "up"),
        ] {
            let service = [("binary", binary.into()), ("host", host.into()), ("state", state.into())];
            tables.add("compute.service", row(service));
        }
        for (kind, host) in [("L3 agent", "net1"), ("Open vSwitch agent", "cmp1")] {
            let agent = [("kind", kind.into()), ("host", host.into()), ("alive", true.into())];
            tables.add("network.agent", row(agent));
        }
        assert_eq!(servers("nova", &tables), ["conductor.ctl1 conductor ctl1"]);
        assert_eq!(servers("neutron", &tables), ["l3_agent.net1 l3_agent net1", "q-plugin q-plugin -"]);
        assert_eq!(servers("cinder", &tables), [""; 0]);
    }

    #[test]
    fn it_is_asked_from_where_a_unit_of_the_project_runs() {
        let unit = |host: &str, name: &str, active: &str| {
            row([("host", host.into()), ("name", name.into()), ("active", active.into())])
        };
        let units = [
            unit("ctl1", "nova-conductor", "failed"),
            unit("ctl2", "nova-scheduler", "active"),
            unit("ctl3", "nova-conductor", "active"),
        ];
        let found = asker(&PROJECTS[0], &units);
        assert_eq!(found, Some(("ctl3".to_owned(), "nova-conductor".to_owned())));
        assert_eq!(asker(&PROJECTS[2], &units), None);
    }

    #[test]
    fn the_script_is_one_that_a_shell_understands() {
        assert!(Command::new("sh").args(["-n", "-c", SHELL]).status().unwrap().success());
    }

    /// A library as servers in three states answer it, in place of oslo.messaging; `crates/world/data/health/rpc.py` was also
    /// run with the real one against a real RabbitMQ.
    const LIBRARY: &str = r#"
import time
class MessagingTimeout(Exception): pass
class RemoteError(Exception): pass
class Target:
    def __init__(self, topic, namespace, version): self.topic, self.namespace = topic, namespace
def set_transport_defaults(control_exchange): pass
def get_rpc_transport(conf): return None
class Client:
    def __init__(self, target, server): self.target, self.server = target, server
    def prepare(self, timeout, server=None): return Client(self.target, server)
    def call(self, context, method, **arguments):
        if self.server == 'deaf': raise MessagingTimeout()
        if self.server == 'broken': raise OSError('no route to the broker')
        if self.target.namespace is None: raise RemoteError(method)
        assert method == 'ping' and arguments == {'arg': 'ostler'}
        return {'service': self.target.topic, 'arg': 'ostler'}
def get_rpc_client(transport, target): return Client(target, None)
"#;

    fn asked(project: &str, servers: &str) -> Evidence {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("oslo_messaging.py"), LIBRARY).unwrap();
        std::fs::create_dir(home.path().join("oslo_config")).unwrap();
        std::fs::write(
            home.path().join("oslo_config/__init__.py"),
            "class cfg:\n  def CONF(args, project): pass\n",
        )
        .unwrap();
        std::fs::write(home.path().join("servers"), servers).unwrap();
        let output = Command::new("python3")
            .args(["-c", PROGRAM, project])
            .env("PYTHONPATH", home.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(std::fs::File::open(home.path().join("servers")).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let tables = tables();
        assert!(parse::report(&said, "ctl1", &tables).is_whole, "{said}{complaints}");
        tables.into_evidence()
    }

    #[test]
    fn an_answer_silence_and_trouble_are_told_apart() {
        let evidence = asked(
            "nova",
            "conductor.ctl1 conductor ctl1\nconductor.deaf conductor deaf\nconductor.broken conductor broken\n",
        );
        let mut said: Vec<(String, bool, String)> = evidence
            .rows("rpc")
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].to_string();
                (text("queue"), row["answers"] == Value::Bool(true), text("why"))
            })
            .collect();
        said.sort();
        let gap = &evidence.tables["rpc"].gaps[0].why;
        assert_eq!(gap, "asking conductor.broken: OSError: no route to the broker");
        assert_eq!(said[0], ("conductor.ctl1".into(), true, String::new()));
        let silence = "no answer to 3 messages within 5 s each";
        assert_eq!(said[1..], [("conductor.deaf".into(), false, silence.into())]);
    }

    #[test]
    fn a_refusal_from_the_other_side_is_an_answer() {
        let evidence = asked("cinder", "cinder-volume.sto1@lvm cinder-volume sto1@lvm\n");
        let row = &evidence.rows("rpc")[0];
        assert_eq!((&row["answers"], &row["host"]), (&true.into(), &"sto1".into()));
    }

    #[test]
    fn no_more_are_asked_when_many_are_deaf() {
        let servers: String = (0..40).map(|number| format!("t.{number} t deaf\n")).collect();
        let evidence = asked("heat", &servers);
        let (rows, gaps) = (evidence.rows("rpc").len(), evidence.tables["rpc"].gaps.len());
        assert!(rows >= 10 && gaps >= 1 && rows + gaps == 40, "{rows} rows, {gaps} gaps");
    }
}
