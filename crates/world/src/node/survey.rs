//! Looks at nodes: one script a node, all nodes at the same time, only what was asked for.
//!
//! It must never fail as a whole, and never change anything: a node that does not answer is in the inventory as
//! such, a part that cannot be read is a gap with its reason.

use super::parse::{self, Wanted};
use super::shell::{Answer, Script};
use super::ssh::Connections;
use futures_util::future::join_all;
use ostler_model::Timestamp;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::Cloud;
use ostler_model::ids::HostName;
use ostler_model::inventory::{ClockSeen, Fact, Gap, INVENTORY_FORMAT, Inventory, Node, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Nodes looked at at the same time: a thousand nodes take seconds, and no more than this many sockets.
const NODES_AT_ONCE: usize = 64;

/// How long one node may take: every question in the script has a shorter limit of its own.
const SURVEY_LIMIT: Duration = Duration::from_secs(30);

/// Units that every service leans on.
const SHARED_UNITS: [&str; 4] =
    ["mariadb.service", "haproxy.service", "memcached.service", "keepalived.service"];

/// Directories whose free space matters on every node.
const DISKS: [&str; 2] = ["/", "/var/lib/mysql"];

const SURVEY: &str = include_str!("../../data/node/survey.sh");

/// What a survey asks for, worked out once from the catalogue.
#[derive(Debug)]
pub(crate) struct Questions {
    cloud: String,
    packages: Vec<String>,
    units: Vec<String>,
    files: Vec<String>,
    directories: Vec<String>,
    disks: Vec<String>,
    databases: Vec<(String, String)>,
    last: Mutex<BTreeMap<HostName, (Box<Node>, Timestamp)>>,
}

impl Questions {
    pub(crate) fn new(cloud: &Cloud, catalogue: &Catalogue) -> Self {
        let (mut packages, mut units) = (BTreeSet::new(), BTreeSet::from(SHARED_UNITS.map(str::to_owned)));
        let (mut files, mut directories, mut databases) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for service in catalogue.services.values() {
            if let Some(installed) = service.flavours.get(&cloud.flavour) {
                packages.extend(installed.packages.iter().cloned());
                units.extend(installed.units.iter().cloned());
            }
            files.insert(service.config.main.clone());
            directories.extend(service.config.shared_keys.iter().cloned());
            databases.insert((service.database.name.clone(), service.database.version_table.clone()));
        }
        let disks = DISKS.iter().map(|disk| (*disk).to_owned()).chain([cloud.backup_directory.clone()]);
        Self {
            cloud: cloud.name.clone(),
            packages: packages.into_iter().collect(),
            units: units.into_iter().collect(),
            files: files.into_iter().collect(),
            directories: directories.into_iter().collect(),
            disks: disks.collect::<BTreeSet<_>>().into_iter().collect(),
            databases: databases.into_iter().collect(),
            last: Mutex::new(BTreeMap::new()),
        }
    }

    fn arguments(&self, facts: &[Fact]) -> Vec<String> {
        let lines = |items: &[String]| items.join("\n");
        let databases: Vec<String> =
            self.databases.iter().map(|(database, table)| format!("{database}/{table}")).collect();
        vec![
            format!("facts={}", facts.iter().map(|fact| word(*fact)).collect::<Vec<_>>().join(" ")),
            format!("packages={}", lines(&self.packages)),
            format!("units={}", lines(&self.units)),
            format!("files={}", lines(&self.files)),
            format!("directories={}", lines(&self.directories)),
            format!("disks={}", lines(&self.disks)),
            format!("databases={}", lines(&databases)),
        ]
    }

    /// Looks at nodes.
    pub(crate) async fn survey(
        &self,
        connections: &Connections,
        hosts: &[HostName],
        facts: &[Fact],
    ) -> Inventory {
        let mut inventory = Inventory {
            format: INVENTORY_FORMAT,
            cloud: self.cloud.clone(),
            taken: Timestamp::now(),
            nodes: BTreeMap::new(),
            gaps: Vec::new(),
        };
        let places = Semaphore::new(NODES_AT_ONCE);
        let looks = hosts.iter().map(|host| self.look_in_turn(&places, connections, host, facts));
        for (host, (seen, gaps)) in hosts.iter().zip(join_all(looks).await) {
            inventory.nodes.insert(host.clone(), seen);
            inventory.gaps.extend(gaps);
        }
        inventory.gaps.sort_by(|a, b| (&a.host, &a.what).cmp(&(&b.host, &b.what)));
        inventory
    }

    async fn look_in_turn(
        &self,
        places: &Semaphore,
        connections: &Connections,
        host: &HostName,
        facts: &[Fact],
    ) -> (Seen, Vec<Gap>) {
        // The semaphore is never closed; an error would mean no more than that there is no limit.
        let _place = places.acquire().await;
        self.look(connections, host, facts).await
    }

    async fn look(&self, connections: &Connections, host: &HostName, facts: &[Fact]) -> (Seen, Vec<Gap>) {
        let text = format!("{SURVEY}\nsurvey \"$@\" < /dev/null\n");
        let script =
            Script { doing: "the survey", text, arguments: self.arguments(facts), limit: SURVEY_LIMIT };
        let answer = match connections.run(host, script).await {
            Ok(answer) => answer,
            Err(error) => return (self.not_seen(host, error.why().what), Vec::new()),
        };
        let databases: Vec<&str> = self.databases.iter().map(|(database, _)| database.as_str()).collect();
        let wanted = Wanted {
            galera: facts.contains(&Fact::Galera),
            schemas: facts.contains(&Fact::Schemas),
            databases: &databases,
        };
        let Some(report) = parse::report(&answer.text(), &wanted) else {
            return (self.not_seen(host, format!("the survey of {host} broke off")), Vec::new());
        };
        let mut node = report.node;
        node.clock = report.clock.and_then(|theirs| clock(theirs, &answer));
        let gaps = report.gaps.into_iter().map(|(what, why)| Gap { host: host.clone(), what, why }).collect();
        // Half an answer is no good as the last one.
        if Fact::ALL.iter().all(|fact| facts.contains(fact))
            && let Ok(mut last) = self.last.lock()
        {
            last.insert(host.clone(), (Box::new(node.clone()), Timestamp::now()));
        }
        (Seen::Fresh(Box::new(node)), gaps)
    }

    fn not_seen(&self, host: &HostName, why: String) -> Seen {
        let last = self.last.lock().ok().and_then(|last| last.get(host).cloned());
        match last {
            Some((last, since)) => Seen::Stale { last, since, why },
            None => Seen::Unreachable { why },
        }
    }
}

/// Their clock against ours: read somewhere between the question and the first byte of the answer.
fn clock(theirs_ns: i128, answer: &Answer) -> Option<ClockSeen> {
    let (sent, heard) = (answer.sent?.as_nanosecond(), answer.first_byte?.as_nanosecond());
    let middle = i128::midpoint(sent, heard);
    let milliseconds = |ns: i128| i64::try_from(ns / 1_000_000).ok();
    Some(ClockSeen {
        offset_ms: milliseconds(theirs_ns - middle)?,
        doubt_ms: milliseconds((heard - sent) / 2)? + 1,
    })
}

fn word(fact: Fact) -> &'static str {
    match fact {
        Fact::System => "system",
        Fact::Packages => "packages",
        Fact::Units => "units",
        Fact::Files => "files",
        Fact::Galera => "galera",
        Fact::Schemas => "schemas",
        Fact::Proxy => "proxy",
        Fact::Cache => "cache",
    }
}
