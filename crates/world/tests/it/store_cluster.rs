//! A real Galera cluster of three nodes on this machine, for as long as a test lasts.
//!
//! It must never outlive its test, whatever becomes of it: servers die with the thread that started them, the
//! directory goes with the value, and what a killed test left behind goes at the next start.

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, Row};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What has to be installed.
const PACKAGES: &str = "mariadb-server mariadb-backup galera-4 socat lsof rsync";

/// How long a node may take to join: a transfer takes about fifteen seconds on an idle machine.
const JOIN_LIMIT: Duration = Duration::from_secs(120);

/// The transfer script of MariaDB sleeps ten seconds before it sends, which is two thirds of a node's start. Bash reads
/// the file that `BASH_ENV` names before a script, and a function goes before the program of its name.
const SHORTER_SLEEP: &str =
    r#"sleep() { if [ "$1" = 10 ]; then command sleep 2; else command sleep "$@"; fi; }"#;

/// A password with everything that an address would stumble over.
pub const PASSWORD: &str = "p@ss:wo/rd%21";

const LIBRARIES: [&str; 3] =
    ["/usr/lib/galera/libgalera_smm.so", "/usr/lib/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so"];

/// Three nodes of one cluster.
pub struct Cluster {
    nodes: Vec<Node>,
    directory: PathBuf,
}

struct Node {
    server: Option<Child>,
    port: u16,
    settings: PathBuf,
    log: PathBuf,
}

impl Cluster {
    /// Starts three nodes; the second and third get their data from the first.
    pub async fn start() -> Cluster {
        let library = LIBRARIES.into_iter().find(|library| Path::new(library).exists());
        let (true, Some(library)) = (Command::new("mariadbd").arg("--version").output().is_ok(), library)
        else {
            panic!(
                "MariaDB with Galera is not installed: apt-get install {PACKAGES}, or set OSTLER_TEST_GALERA"
            );
        };
        sweep();
        let mut cluster = Cluster { nodes: vec![], directory: directory(std::process::id()) };
        std::fs::create_dir_all(&cluster.directory).unwrap();
        let ports = ports(12);
        let groups: Vec<String> = (0..3).map(|node| format!("127.0.0.1:{}", ports[node * 4 + 1])).collect();
        for (number, ports) in ports.chunks(4).enumerate() {
            let node = cluster.prepare(number, ports, &groups.join(","), library);
            cluster.nodes.push(node);
        }
        let data = cluster.directory.join("0/data");
        let mut install = Command::new("mariadb-install-db");
        install.arg("--no-defaults").arg("--auth-root-authentication-method=normal").arg("--skip-test-db");
        install.arg(format!("--datadir={}", data.display()));
        if is_root() {
            install.arg("--user=root");
        }
        let installed = install.output().unwrap();
        assert!(
            installed.status.success(),
            "mariadb-install-db: {}",
            String::from_utf8_lossy(&installed.stderr)
        );
        cluster.launch(0, &["--wsrep-new-cluster"]);
        cluster.synced(0).await;
        // One after the other: a node that gives its data to one cannot give it to another meanwhile.
        for number in [1, 2] {
            cluster.launch(number, &[]);
            cluster.synced(number).await;
        }
        cluster
    }

    /// The ports of the nodes.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// Takes power away from a node.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut server) = self.nodes[number].server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Runs a statement on a node, as its administrator.
    pub async fn administer(&self, number: usize, sql: &'static str) {
        let mut connection = self.connect(number).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    fn prepare(&self, number: usize, ports: &[u16], groups: &str, library: &str) -> Node {
        let home = self.directory.join(number.to_string());
        std::fs::create_dir_all(home.join("data")).unwrap();
        let [port, group, increment, transfer] = ports else { panic!("four ports for each node") };
        let home_shown = home.display();
        let password = PASSWORD;
        // One statement a line: the server takes a line for a statement.
        let init = format!(
            "CREATE DATABASE IF NOT EXISTS ostler;\n\
             CREATE DATABASE IF NOT EXISTS theirs;\n\
             CREATE TABLE IF NOT EXISTS theirs.project (id INT PRIMARY KEY);\n\
             CREATE USER IF NOT EXISTS 'ostler'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON ostler.* TO 'ostler'@'%';\n\
             GRANT ALL ON theirs.* TO 'ostler'@'%';\n"
        );
        std::fs::write(home.join("init.sql"), init).unwrap();
        std::fs::write(home.join("shorter-sleep"), SHORTER_SLEEP).unwrap();
        let user = if is_root() { "user=root\n" } else { "" };
        // Only the first node makes the database: the others get it with their data.
        let init = if number == 0 { format!("init_file={home_shown}/init.sql\n") } else { String::new() };
        let text = format!(
            "[mysqld]\n{user}{init}\
             datadir={home_shown}/data\n\
             socket={home_shown}/s\n\
             pid_file={home_shown}/pid\n\
             log_error={home_shown}/log.err\n\
             bind_address=127.0.0.1\n\
             port={port}\n\
             skip_name_resolve=ON\n\
             wsrep_on=ON\n\
             wsrep_provider={library}\n\
             wsrep_cluster_name=ostler-test\n\
             wsrep_cluster_address=gcomm://{groups}\n\
             wsrep_node_name=node{number}\n\
             wsrep_node_address=127.0.0.1:{group}\n\
             wsrep_node_incoming_address=127.0.0.1:{port}\n\
             wsrep_provider_options=\"gmcast.listen_addr=tcp://127.0.0.1:{group};\
             ist.recv_addr=127.0.0.1:{increment};gcache.size=32M\"\n\
             wsrep_sst_method=mariabackup\n\
             wsrep_sst_auth=root:\n\
             wsrep_sst_receive_address=127.0.0.1:{transfer}\n\
             wsrep_slave_threads=4\n\
             binlog_format=ROW\n\
             default_storage_engine=InnoDB\n\
             innodb_autoinc_lock_mode=2\n\
             innodb_flush_log_at_trx_commit=2\n\
             innodb_buffer_pool_size=64M\n\
             innodb_log_file_size=32M\n\
             performance_schema=OFF\n\
             max_allowed_packet=4M\n\
             tmpdir={home_shown}\n\
             [sst]\n\
             sst-log-archive=0\n\
             tmpdir={home_shown}\n"
        );
        let settings = home.join("my.cnf");
        std::fs::write(&settings, text).unwrap();
        Node { server: None, port: *port, settings, log: home.join("log.err") }
    }

    fn launch(&mut self, number: usize, arguments: &[&str]) {
        let node = &mut self.nodes[number];
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "mariadbd"]);
        command.arg(format!("--defaults-file={}", node.settings.display())).args(arguments);
        command.env("BASH_ENV", node.settings.with_file_name("shorter-sleep"));
        // A group of its own: its transfer scripts go with it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        node.server = Some(command.spawn().unwrap());
    }

    async fn synced(&mut self, number: usize) {
        let started = Instant::now();
        loop {
            if let Ok(mut connection) = self.connect(number).await
                && let Ok(row) = sqlx::query("SHOW STATUS LIKE 'wsrep_local_state_comment'")
                    .fetch_one(&mut connection)
                    .await
                && row.try_get::<String, _>(1).is_ok_and(|state| state == "Synced")
            {
                let _ = connection.close().await;
                return;
            }
            let node = &mut self.nodes[number];
            let log = || std::fs::read_to_string(&node.log).unwrap_or_default();
            let last = |log: String| {
                let lines: Vec<&str> = log.lines().collect();
                lines[lines.len().saturating_sub(40)..].join("\n")
            };
            if let Some(Ok(Some(status))) = node.server.as_mut().map(Child::try_wait) {
                panic!("node {number} ended ({status}):\n{}", last(log()));
            }
            assert!(started.elapsed() < JOIN_LIMIT, "node {number} did not join:\n{}", last(log()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn connect(&self, number: usize) -> sqlx::Result<MySqlConnection> {
        let socket = self.directory.join(number.to_string()).join("s");
        let options = MySqlConnectOptions::new().socket(socket).username("root").disable_statement_logging();
        options.connect().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut server) = node.server.take() {
                let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", server.id())]).status();
                let _ = server.wait();
            }
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn directory(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("ostler-galera-{pid}"))
}

/// Removes what tests left that were killed themselves.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("ostler-galera-")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Ports that nothing uses, below those that the system gives to outgoing connections.
fn ports(count: usize) -> Vec<u16> {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let free = (start..32_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    assert_eq!(ports.len(), count, "no free ports");
    ports
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
