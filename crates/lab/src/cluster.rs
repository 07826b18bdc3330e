//! Makes a cluster of nodes that run: database, keystone's first user, and everything seen to serve.
//!
//! Must never report a cluster as up that has not issued and validated a token through the virtual address.

use crate::command::Command;
use crate::error::LabError;
use crate::http::NoAnswer;
use crate::keystone::Keystone;
use crate::machine::Machine;
use crate::progress::Teller;
use crate::secrets::Secrets;
use crate::settings::Ground;
use crate::template::fill;
use crate::wait::{Seen, until};
use futures_util::future::{try_join, try_join_all};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// How long a node may take from power to an answer of its sshd.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// How long one look at a port may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// How long a node's database may take to join, full copy included.
const JOIN_LIMIT: Duration = Duration::from_secs(240);
/// How long a command inside a node may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// How long a short command inside a node may take.
const SHORT_LIMIT: Duration = Duration::from_secs(20);
/// How long load balancers and keystone may take to be up once their database is.
const SERVE_LIMIT: Duration = Duration::from_secs(300);
/// How long one request to keystone may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// The backends in which each controller has a server from the beginning.
pub(crate) const FIRST_BACKENDS: [&str; 2] = ["keystone", "mariadb"];

const DATABASE: &str = include_str!("../data/node/database.sql");
const CLOUD_DATABASE: &str = include_str!("../data/cloud/database.sql");
const COPY: &str = include_str!("../data/node/copy-database.sh");
const CONSOLE: &str = "read the nodes' console.log in the lab's folder, or look with `ostler lab ssh`";

/// Waits until a node's sshd answers.
pub(crate) async fn booted(node: &str, address: Ipv4Addr) -> Result<(), LabError> {
    until(format!("sshd of {node} at {address}"), CONSOLE, BOOT_LIMIT, async || {
        match answers_ssh(address).await {
            true => Seen::Holds(()),
            false => Seen::NotYet("no answer on port 22".to_owned()),
        }
    })
    .await
}

/// Whether an sshd answers there.
pub(crate) async fn answers_ssh(address: Ipv4Addr) -> bool {
    let look = async {
        let mut stream = tokio::net::TcpStream::connect(SocketAddr::from((address, 22))).await.ok()?;
        let mut banner = [0; 4];
        stream.read_exact(&mut banner).await.ok()?;
        Some(&banner == b"SSH-")
    };
    tokio::time::timeout(LOOK_LIMIT, look).await.ok().flatten().unwrap_or(false)
}

/// Makes the cluster on freshly made nodes that have booted.
pub(crate) async fn form(
    machines: &[Machine],
    ground: &Ground,
    secrets: &Secrets,
    teller: &Teller<'_>,
) -> Result<(), LabError> {
    let Some((first, others)) = machines.split_first() else { return Ok(()) };
    first.run("starting the first database", "galera_new_cluster", COMMAND_LIMIT).await?;
    synced(first, 1).await?;
    let mut sql = fill(DATABASE, &[("password", secrets.database.reveal())])?;
    if ground.has_cloud() {
        sql.push_str(&fill(CLOUD_DATABASE, &[("password", secrets.database.reveal())])?);
    }
    let script = format!("mariadb <<'SQL'\n{sql}SQL\nsystemctl enable --quiet mariadb.service\n");
    first.run("making keystone's database", &script, COMMAND_LIMIT).await?;
    teller.tell(&first.node, "the database cluster has begun");
    if !others.is_empty() {
        first.run("copying the database", COPY, COMMAND_LIMIT).await?;
    }
    let join = try_join_all(others.iter().map(|machine| async {
        give_copy(first, machine).await?;
        machine
            .run(
                "joining the database cluster",
                "systemctl start mariadb.service && systemctl enable --quiet mariadb.service",
                JOIN_LIMIT,
            )
            .await?;
        synced(machine, 2).await?;
        teller.tell(&machine.node, "the database has joined the cluster");
        Ok::<(), LabError>(())
    }));
    try_join(join, fill_keystone(first, ground, secrets, teller)).await?;
    first.run("deleting the copy of the database", "rm -rf /var/tmp/copy", COMMAND_LIMIT).await?;
    serving(machines, ground, secrets, teller).await
}

/// Gives a node whose database never ran the copy that the first one made. Both disks are seen from this machine.
async fn give_copy(first: &Machine, machine: &Machine) -> Result<(), LabError> {
    let (from, to) = (first.root().join("var/tmp/copy"), machine.root().join("var/lib/mysql"));
    Command::new(format!("giving {} a copy of the database", machine.node), "/bin/sh", COMMAND_LIMIT)
        .args(["-euc", "find \"$2\" -mindepth 1 -delete; cp -a \"$1/.\" \"$2/\"", "copy"])
        .arg(from.to_string_lossy())
        .arg(to.to_string_lossy())
        .run()
        .await
        .map(drop)
}

/// Waits until a node's database is synced in a cluster of at least `size`.
async fn synced(machine: &Machine, size: u32) -> Result<(), LabError> {
    let what = format!("a synced database on {}", machine.node);
    until(what, "read `journalctl -u mariadb` on the node", JOIN_LIMIT, async || {
        match galera(machine).await {
            Ok(galera) if galera.is_synced() && galera.size >= size => Seen::Holds(()),
            Ok(galera) => Seen::NotYet(format!("{}, {} of {size} members", galera.state, galera.size)),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
}

/// What a node's database says about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Galera {
    pub(crate) state: String,
    pub(crate) status: String,
    pub(crate) size: u32,
}

impl Galera {
    pub(crate) fn is_synced(&self) -> bool {
        self.state == "Synced" && self.status == "Primary"
    }

    fn parse(text: &str) -> Self {
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t')).unwrap_or_default()
        };
        Self {
            state: value("wsrep_local_state_comment").to_owned(),
            status: value("wsrep_cluster_status").to_owned(),
            size: value("wsrep_cluster_size").parse().unwrap_or(0),
        }
    }
}

/// Asks a node's database about the cluster, from inside the node.
pub(crate) async fn galera(machine: &Machine) -> Result<Galera, LabError> {
    let script = "mariadb --batch --skip-column-names --execute=\"SHOW GLOBAL STATUS WHERE Variable_name IN \
                  ('wsrep_local_state_comment', 'wsrep_cluster_status', 'wsrep_cluster_size')\"";
    machine.run("asking the database", script, SHORT_LIMIT).await.map(|text| Galera::parse(&text))
}

/// Makes keystone's tables and its first user, region and endpoints.
async fn fill_keystone(
    first: &Machine,
    ground: &Ground,
    secrets: &Secrets,
    teller: &Teller<'_>,
) -> Result<(), LabError> {
    let address = ground.virtual_address;
    until("the database at the virtual address", CONSOLE, SERVE_LIMIT, async || {
        let script = format!(
            "socat -u -T 2 TCP:{address}:3306,connect-timeout=2 - </dev/null | head -c 1 | grep -q ."
        );
        match first.run("looking at the virtual address", &script, SHORT_LIMIT).await {
            Ok(_) => Seen::Holds(()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await?;
    teller.tell(&first.node, format!("the database answers at {address}; making keystone's tables"));
    let as_keystone = "setpriv --reuid keystone --regid keystone --init-groups keystone-manage";
    first.run("making keystone's tables", &format!("{as_keystone} db_sync"), COMMAND_LIMIT).await?;
    let endpoint = format!("http://{address}:5000/v3");
    // The password comes in by the environment: arguments are for all to see.
    let script = format!(
        "export OS_BOOTSTRAP_PASSWORD='{password}'\n{as_keystone} bootstrap --bootstrap-region-id RegionOne \
         --bootstrap-public-url {endpoint} --bootstrap-internal-url {endpoint} --bootstrap-admin-url {endpoint}\n",
        password = secrets.admin.reveal(),
    );
    first.run("making keystone's first user", &script, COMMAND_LIMIT).await?;
    teller.tell(&first.node, "keystone has its tables and its first user");
    Ok(())
}

/// Waits until everything serves: each keystone by itself, all servers in all load balancers, a token through the virtual address.
async fn serving(
    machines: &[Machine],
    ground: &Ground,
    secrets: &Secrets,
    teller: &Teller<'_>,
) -> Result<(), LabError> {
    let cloud = Keystone::new(ground.virtual_address, secrets.admin.reveal());
    // One request after the other on each node: a worker whose first requests come together may answer 403.
    let warm = try_join_all(ground.controllers().iter().map(|(node, address)| {
        let keystone = cloud.at(*address);
        async move { token(&keystone, &format!("a token of keystone on {node}")).await }
    }));
    warm.await?;
    teller.tell("cluster", "keystone serves on every node");
    try_join_all(machines.iter().map(|machine| balanced(machine, ground))).await?;
    token(&cloud, "a token at the virtual address").await?;
    teller.tell("cluster", format!("keystone serves at http://{}:5000/v3", ground.virtual_address));
    Ok(())
}

/// Waits until a keystone issues a token and validates it.
async fn token(keystone: &Keystone, what: &str) -> Result<(), LabError> {
    until(what, "read /var/log/keystone/keystone.log on the nodes", SERVE_LIMIT, async || {
        let described = |step: &str, result: Result<u16, NoAnswer>| match result {
            Ok(status) => Seen::NotYet(format!("{step}: HTTP {status}")),
            Err(error) => Seen::NotYet(format!("{step}: {}", error.word())),
        };
        let token = match keystone.issue(REQUEST_LIMIT).await {
            Ok(answer) => match answer.token {
                Some(token) if answer.status == 201 => token,
                _ => return described("issue", Ok(answer.status)),
            },
            Err(error) => return described("issue", Err(error)),
        };
        match keystone.validate(&token, REQUEST_LIMIT).await {
            Ok(answer) if answer.status == 200 => Seen::Holds(()),
            other => described("validate", other.map(|answer| answer.status)),
        }
    })
    .await
}

/// Waits until a node's load balancer has all servers up.
async fn balanced(machine: &Machine, ground: &Ground) -> Result<(), LabError> {
    try_join_all(ground.controllers().iter().map(|(node, _)| carries(machine, node, &FIRST_BACKENDS)))
        .await
        .map(drop)
}

/// Waits until a node's load balancer has the servers of `node` up in these backends.
pub(crate) async fn carries(machine: &Machine, node: &str, backends: &[&str]) -> Result<(), LabError> {
    let what = format!("the servers of {node} up in the load balancer of {}", machine.node);
    until(what, CONSOLE, SERVE_LIMIT, async || {
        match machine
            .run(
                "asking the load balancer",
                "echo 'show stat' | socat -t 3 - /run/haproxy/admin.sock",
                SHORT_LIMIT,
            )
            .await
        {
            Ok(table) => {
                let up = backends_up(&table, node);
                let missing: Vec<&str> =
                    backends.iter().filter(|name| !up.contains(*name)).copied().collect();
                match missing.is_empty() {
                    true => Seen::Holds(()),
                    false => Seen::NotYet(format!("not up: {}", missing.join(", "))),
                }
            }
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
}

/// In which backends a node's servers are up, by HAProxy's `show stat`.
fn backends_up<'a>(table: &'a str, node: &str) -> Vec<&'a str> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |name: &str| names.iter().position(|seen| *seen == name);
    let (Some(proxy), Some(server), Some(status)) = (column("pxname"), column("svname"), column("status"))
    else {
        return Vec::new();
    };
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|fields| fields.get(server) == Some(&node) && fields.get(status) == Some(&"UP"))
        .filter_map(|fields| fields.get(proxy).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_a_node_are_counted() {
        let table = "# pxname,svname,qcur,status,weight\nkeystone,FRONTEND,,OPEN,\nkeystone,ctl1,0,UP,1\n\
                     keystone,ctl2,0,DOWN,1\nkeystone,ctl3,0,UP 1/3,1\nkeystone,BACKEND,0,UP,1\nmariadb,ctl1,0,UP,1\n\n";
        assert_eq!(backends_up(table, "ctl1"), ["keystone", "mariadb"]);
        assert!(backends_up(table, "ctl3").is_empty(), "still counting its successes");
        assert!(backends_up("", "ctl1").is_empty());
    }

    #[test]
    fn galera_is_read_from_a_status_table() {
        let text =
            "wsrep_cluster_size\t3\nwsrep_cluster_status\tPrimary\nwsrep_local_state_comment\tSynced\n";
        let galera = Galera::parse(text);
        assert!(galera.is_synced());
        assert_eq!(galera.size, 3);
        assert!(!Galera::parse("").is_synced());
    }
}
