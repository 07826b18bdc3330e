//! Taking over Masakari's database: every schema that it has had, on a real MariaDB, into a register in a file.

use ostler_engine::seam::{Register, Store, StoreError};
use ostler_model::ha::list::Query;
use ostler_model::ha::{MoveStatus, Named, Status};
use ostler_world::store::masakari::{Imported, import, read};
use ostler_world::store::open;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FIRST: &str = include_str!("../masakari/first.sql");
const MOVES: &str = include_str!("../masakari/moves.sql");
const NEWEST: &str = include_str!("../masakari/newest.sql");

/// How long a server may take to start on a machine that has other things to do.
const START_LIMIT: Duration = Duration::from_secs(120);

/// One MariaDB server, for as long as a test lasts.
struct Server {
    process: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    async fn start() -> Server {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display()));
        let is_root =
            std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        if is_root {
            install.arg("--user=root");
        }
        let installed = install.output().expect("MariaDB is not installed: apt-get install mariadb-server");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "mariadbd", "--no-defaults", "--skip-name-resolve"]);
        if is_root {
            command.arg("--user=root");
        }
        command
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", directory.path().join("s").display()))
            .arg(format!("--pid-file={}", directory.path().join("pid").display()))
            .arg(format!("--port={port}"))
            .args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=32M", "--performance-schema=OFF"]);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server { process: command.spawn().unwrap(), directory, port };
        let begun = Instant::now();
        while let Err(error) = server.connect().await {
            assert!(begun.elapsed() < START_LIMIT, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server.run("CREATE USER 'masakari'@'%' IDENTIFIED BY 'p@ss'").await;
        server
    }

    async fn connect(&self) -> sqlx::Result<MySqlConnection> {
        let socket = self.directory.path().join("s");
        MySqlConnectOptions::new().socket(socket).username("root").connect().await
    }

    async fn run(&self, sql: &str) {
        let mut link = self.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut link).await.unwrap();
    }

    /// A database with these scripts in it, whose account may only read.
    async fn holding(&self, database: &str, scripts: &[&str]) -> String {
        let mut sql = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4; USE {database};\n");
        scripts.iter().for_each(|script| sql.push_str(script));
        sql.push_str(&format!("GRANT SELECT ON {database}.* TO 'masakari'@'%';"));
        self.run(&sql).await;
        format!("mysql+pymysql://masakari:p%40ss@127.0.0.1:{}/{database}?charset=utf8", self.port)
    }
}

fn alembic(head: &str) -> String {
    format!(
        "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY); \
         INSERT INTO masakari_alembic_version VALUES ('{head}');"
    )
}

fn migrate(version: i64) -> String {
    format!(
        "CREATE TABLE migrate_version (repository_id VARCHAR(250) NOT NULL PRIMARY KEY, repository_path TEXT, \
         version INT); INSERT INTO migrate_version VALUES ('masakari', '/x', {version});"
    )
}

struct Filed {
    _directory: tempfile::TempDir,
    state: String,
    store: Arc<dyn Store>,
}

async fn register() -> Filed {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state.db").display().to_string();
    let store = open(&state).await.unwrap();
    Filed { _directory: directory, state, store }
}

async fn taken(address: &str, state: &str, dry_run: bool) -> (Imported, Vec<String>, Vec<String>) {
    let found = read(address, None).await.unwrap();
    let imported = import(state, &found, dry_run).await.unwrap();
    (imported, found.left, found.mind)
}

async fn what_is_taken(store: &dyn Register) -> (usize, usize, usize, usize) {
    let query = Query::default();
    (
        store.segments(&query).await.unwrap().len(),
        store.hosts(&query).await.unwrap().len(),
        store.notifications(&query).await.unwrap().len(),
        store.moves(&query).await.unwrap().len(),
    )
}

fn refusal(refused: Result<impl Sized, StoreError>) -> String {
    refused.err().map(|error| format!("{error:?}")).unwrap_or_default()
}

/// One test: a server takes seconds to start.
#[tokio::test(flavor = "multi_thread")]
async fn every_schema_of_masakari_is_taken_over_with_its_identities() {
    let server = Server::start().await;

    // Every schema, by either of the tools that counted them.
    for (name, scripts, moves) in [
        ("a7", vec![FIRST.to_owned(), migrate(7)], 0),
        ("a8", vec![FIRST.to_owned(), MOVES.to_owned(), migrate(8)], 2),
        ("b1", vec![FIRST.to_owned(), alembic("8f848eb45d03")], 0),
        ("b2", vec![FIRST.to_owned(), MOVES.to_owned(), alembic("8bdf5929c5a6")], 2),
        ("b3", vec![FIRST.to_owned(), MOVES.to_owned(), NEWEST.to_owned(), alembic("13adff5efb9a")], 2),
    ] {
        let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
        let address = server.holding(name, &scripts).await;
        let register = register().await;
        let (dry, ..) = taken(&address, &register.state, true).await;
        assert_eq!(
            what_is_taken(register.store.as_ref()).await,
            (0, 0, 0, 0),
            "{name}: a dry run writes nothing"
        );
        let (imported, ..) = taken(&address, &register.state, false).await;
        assert_eq!(dry, imported, "{name}: a dry run says what is done then");
        assert_eq!(what_is_taken(register.store.as_ref()).await, (3, 3, 3, moves), "{name}");
        let (again, ..) = taken(&address, &register.state, false).await;
        assert_eq!((again.segments.there, again.segments.taken), (3, 0), "{name}: it can be repeated");
        assert_eq!(what_is_taken(register.store.as_ref()).await, (3, 3, 3, moves), "{name}");
    }

    // What is kept, in the newest one.
    let address = format!("mysql://masakari:p%40ss@127.0.0.1:{}/b3", server.port);
    let register = register().await;
    let (_, left, mind) = taken(&address, &register.state, false).await;
    let store = register.store.as_ref();
    let segment = store.segment(&Named::Number(7)).await.unwrap().unwrap();
    assert_eq!((segment.name.as_str(), segment.description.as_deref()), ("rack-a", Some("row 3 – Süd")));
    assert!(
        store.segment(&Named::Name("rack-b".into())).await.unwrap().unwrap().enabled,
        "none counts as on"
    );
    let host = store.host(&Named::Name("cmp2".into())).await.unwrap().unwrap();
    assert_eq!((host.number, host.id.as_str()), (22, "5b1e0000-0000-0000-0000-000000000022"));
    assert!(host.on_maintenance && !host.reserved && !host.under_recovery);
    let cut = store.notification(&Named::Number(31)).await.unwrap().unwrap();
    assert_eq!((cut.status, cut.incident), (Status::Failed, None), "what was under way is not begun again");
    assert!(store.open_incidents().await.unwrap().is_empty());
    let message = store.notification(&Named::Number(32)).await.unwrap().unwrap().message;
    assert_eq!(message.as_deref(), Some("a process that nothing depends on"));
    let moved = store.a_move(&Named::Number(20)).await.unwrap().unwrap();
    assert_eq!((moved.status, moved.destination.as_deref()), (MoveStatus::Succeeded, Some("spare1")));
    assert_eq!(store.a_move(&Named::Number(21)).await.unwrap().unwrap().status, MoveStatus::Failed);
    let steps = store.progress(&"2cb10000-0000-0000-0000-000000000030".into()).await.unwrap();
    let told: Vec<(&str, u16)> = steps.iter().map(|step| (step.message.as_str(), step.permille)).collect();
    assert_eq!(told, [("disabling", 0), ("disabled", 1_000)]);
    insta::assert_snapshot!(format!("not taken\n{}\nmind\n{}", left.join("\n"), mind.join("\n")), @r"
    not taken
    notification 2cb10000-0000-0000-0000-000000000033: what it says cannot be read
    moves whose notifications are gone or not taken: 1
    tasks whose progress the database has cut off: 1
    mind
    instance HA is off for the segment rack-c
    host cmp2 is on maintenance, so nothing protects it; if it is well: `ostler ha return cmp2`
    notification 2cb10000-0000-0000-0000-000000000031 was `running`: it is taken as failed, and nothing is done about it
    ");

    // Numbers go on behind those that were taken, and a taken name or number is nobody's loss.
    let other = self::register().await;
    let mut mine = segment.clone();
    (mine.id, mine.name) = ("mine".into(), "rack-b".into());
    other.store.add_segment(&mine).await.unwrap();
    let (imported, ..) = taken(&address, &other.state, false).await;
    assert_eq!((imported.segments.taken, imported.not_taken.len()), (2, 1), "{:?}", imported.not_taken);
    (mine.id, mine.name) = ("mine-too".into(), "rack-z".into());
    other.store.add_segment(&mine).await.unwrap();
    assert!(other.store.segment(&Named::Name("rack-z".into())).await.unwrap().unwrap().number > 9);

    // What is not known is refused by name.
    let old = server.holding("old", &[FIRST, &migrate(6)]).await;
    assert!(refusal(read(&old, None).await).contains("migration 6"));
    let newer = server.holding("newer", &[FIRST, &alembic("ffffffffffff")]).await;
    assert!(refusal(read(&newer, None).await).contains("`ffffffffffff`"));
    let empty = server.holding("empty", &["CREATE TABLE t (i INT);"]).await;
    assert!(refusal(read(&empty, None).await).contains("no tables of Masakari"));
    let wrong = format!("mysql://masakari:wrong@127.0.0.1:{}/b3", server.port);
    let refused = refusal(read(&wrong, None).await);
    assert!(refused.contains("cannot be read") && !refused.contains("wrong"), "{refused}");
}
