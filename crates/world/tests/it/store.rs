//! The store in a file.

use crate::register_contract;
use crate::store_contract::{entry, holds, inventory, plan, second};
use futures_util::FutureExt as _;
use ostler_engine::seam::{Store, StoreError};
use ostler_model::ids::RunId;
use ostler_model::plan::PLAN_FORMAT;
use ostler_world::store;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn open(path: &Path) -> Arc<dyn Store> {
    store::open(path.to_str().unwrap()).await.unwrap()
}

async fn refusal(path: &Path) -> StoreError {
    match store::open(path.to_str().unwrap()).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// Ours, beside the store's own connection.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn sql(path: &Path, sql: &str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>, says: &str) {
    match result {
        Err(StoreError::Corrupt { what, hint }) => {
            assert!(what.contains(says), "{what}");
            assert!(hint.is_some(), "{what}");
        }
        other => panic!("not called damaged: {other:?}"),
    }
}

#[track_caller]
fn assert_unavailable(error: StoreError, says: &str) {
    match error {
        StoreError::Unavailable { what, hint } => {
            assert!(what.contains(says), "{what}");
            assert!(hint.is_some(), "{what}");
        }
        other => panic!("not called unavailable: {other:?}"),
    }
}

#[tokio::test]
async fn a_file_keeps_what_every_store_owes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let (ours, theirs) = (open(&path).await, open(&path).await);
    holds(&ours, &theirs, "file").await;
    register_contract::holds(&ours, &theirs, "file").await;
    drop((ours, theirs));
    let later = open(&path).await;
    assert_eq!(later.entries(&RunId::new("file-journal"), 0).await.unwrap().len(), 7, "after a restart");
}

#[tokio::test]
async fn a_new_state_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not/yet/state.db");
    let store = store::open(&format!("sqlite://{}", path.display())).await.unwrap();
    store.append(&[entry("run", 0, "us")]).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
}

#[tokio::test]
async fn commits_are_on_the_disk_before_they_are_acknowledged() {
    // A copy of the files while the store is open is what a power cut would leave at best.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = open(&path).await;
    for seq in 0..20 {
        store.append(&[entry("run", seq, "us")]).await.unwrap();
        let copy = directory.path().join(format!("copy-{seq}.db"));
        for end in ["", "-wal"] {
            let from = PathBuf::from(format!("{}{end}", path.display()));
            std::fs::copy(from, format!("{}{end}", copy.display())).unwrap();
        }
        let entries = open(&copy).await.entries(&RunId::new("run"), 0).await.unwrap();
        assert_eq!(entries.len() as u64, seq + 1);
    }
}

#[tokio::test]
async fn what_is_not_a_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let text = "an operator's notes, not a database\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = refusal(&path).await;
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_corrupt::<()>(Err(error), "file is not a database");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn damage_is_said_and_not_made_worse() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let run = RunId::new("run");
    let store = open(&path).await;
    let entries: Vec<_> = (0..500).map(|seq| entry("run", seq, "us")).collect();
    store.append(&entries).await.unwrap();
    drop(store);
    sql(&path, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first page, which has the schema.
    bytes[4096..].iter_mut().step_by(3).for_each(|byte| *byte = 0xA5);
    std::fs::write(&path, &bytes).unwrap();
    match store::open(path.to_str().unwrap()).await {
        Err(error) => assert_corrupt::<()>(Err(error), "malformed"),
        Ok(store) => assert_corrupt(store.entries(&run, 0).await, "malformed"),
    }
    assert!(std::fs::read(&path).unwrap() == bytes, "the damaged file was changed");
}

#[tokio::test]
async fn a_record_that_was_changed_by_hand_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = open(&path).await;
    let kept = plan("cloud");
    store.keep_plan(&kept).await.unwrap();
    store.keep_inventory(&inventory("cloud", second(0))).await.unwrap();
    let entries: Vec<_> = (0..3).map(|seq| entry("run", seq, "us")).collect();
    store.append(&entries).await.unwrap();
    let run = RunId::new("run");

    sql(&path, "UPDATE plan SET body = replace(body, 'basis\":\"basis', 'basis\":\"other')").await;
    assert_corrupt(store.plan(&kept.id).await, "not what was approved");
    sql(&path, "UPDATE inventory SET body = substr(body, 1, 30)").await;
    assert_corrupt(store.inventory("cloud").await, "inventory of cloud");
    sql(&path, "UPDATE entry SET body = replace(body, '\"seq\":1', '\"seq\":2') WHERE seq = 1").await;
    assert_corrupt(store.entries(&run, 0).await, "entry 1 of run run is that of another place");
    sql(&path, "DELETE FROM entry WHERE seq = 1").await;
    assert_corrupt(store.entries(&run, 0).await, "entry 1 of run run is missing");
    assert_eq!(store.entries(&run, 2).await.unwrap(), entries[2..], "what is whole can be read");
    sql(&path, "UPDATE lease SET term = 0; INSERT INTO lease VALUES ('engine', 'us', 0, 0)").await;
    assert_corrupt(store.lease("engine").await, "lease engine");
}

#[tokio::test]
async fn what_a_newer_ostler_wrote_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = open(&path).await;
    let kept = plan("cloud");
    store.keep_plan(&kept).await.unwrap();
    store.keep_inventory(&inventory("cloud", second(0))).await.unwrap();
    store.append(&[entry("run", 0, "us"), entry("run", 1, "us")]).await.unwrap();
    let newer = "written by a newer Ostler";

    // One with a shape that is still understood, one without.
    sql(&path, "UPDATE entry SET body = replace(body, '\"format\":1', '\"format\":7') WHERE seq = 0").await;
    sql(&path, "UPDATE entry SET body = '{\"format\":7,\"happened\":[]}' WHERE seq = 1").await;
    let run = RunId::new("run");
    assert_corrupt(store.entries(&run, 0).await, newer);
    assert_corrupt(store.entries(&run, 1).await, newer);
    sql(&path, &format!("UPDATE plan SET body = replace(body, '\"format\":{PLAN_FORMAT}', '\"format\":77')"))
        .await;
    assert_corrupt(store.plan(&kept.id).await, newer);
    sql(&path, "UPDATE inventory SET body = '{\"format\":7}'").await;
    assert_corrupt(store.inventory("cloud").await, newer);
    drop(store);

    sql(&path, "UPDATE ostler_schema SET version = 7").await;
    open(&path).await.lease("engine").await.unwrap();
    sql(&path, "UPDATE ostler_schema SET reader = 7").await;
    assert_corrupt::<()>(Err(refusal(&path).await), newer);
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keystone.db");
    std::fs::write(&path, "").unwrap();
    sql(&path, "CREATE TABLE project (id TEXT)").await;
    assert_unavailable(refusal(&path).await, "another program's data (table project)");
    let mut connection = raw(&path).await;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tables, 1, "tables were made in it");
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_unavailable(refusal(&file.join("state.db")).await, "cannot make");
    assert_unavailable(refusal(directory.path()).await, "is a directory");
    assert_unavailable(refusal(Path::new("/proc/ostler/state.db")).await, "cannot make /proc/ostler");
    assert_unavailable(refusal(Path::new("/sys/state.db")).await, "cannot make /sys/state.db");
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_refused_in_words() {
    // Root may write everything, unless that right is taken away: then this test runs itself once more.
    const WITHOUT: &str = "OSTLER_TEST_WITHOUT_OVERRIDE";
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root && std::env::var_os(WITHOUT).is_none() {
        let done = std::process::Command::new("setpriv")
            .args(["--bounding-set=-dac_override,-dac_read_search", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "store::a_file_that_may_not_be_written_is_refused_in_words", "--nocapture"])
            .env(WITHOUT, "1")
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    drop(open(&path).await);
    let log = path.with_extension("db-wal");
    for _ in 0..200 {
        // The last connection takes the log with it, in its own time.
        tokio::time::sleep(Duration::from_millis(10)).await;
        if !log.exists() {
            break;
        }
    }
    let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    allow(directory.path(), 0o500);
    assert_unavailable(refusal(&path).await, "may not be written");
    assert_unavailable(refusal(&directory.path().join("new.db")).await, "Permission denied");
    allow(directory.path(), 0o700);
    allow(&path, 0o000);
    assert_unavailable(refusal(&path).await, "cannot be opened");
    allow(&path, 0o400);
    // It can be looked at; the first write, which comes before any effect, is refused.
    let read_only = open(&path).await;
    assert_eq!(read_only.runs(1).await.unwrap(), []);
    assert_unavailable(read_only.append(&[entry("run", 0, "us")]).await.unwrap_err(), "may not be written");
}

#[tokio::test]
async fn a_writer_waits_for_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = open(&path).await;
    let mut other = raw(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    };
    let first = [entry("run", 0, "us")];
    let (appended, ()) = tokio::join!(store.append(&first), release);
    appended.unwrap();
}

#[test]
fn several_may_make_the_state_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let starters: Vec<_> = (0..8)
        .map(|number| {
            let path = path.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let run = format!("run-{number}");
                    open(&path).await.append(&[entry(&run, 0, "us")]).await.unwrap();
                });
            })
        })
        .collect();
    starters.into_iter().for_each(|starter| starter.join().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(async { open(&path).await.runs(100).await.unwrap().len() }), 8);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("state.db")).await;
    let large: Vec<_> = (0..5_000).map(|seq| entry("run", seq, "us")).collect();
    for patience_us in [0, 100, 1_000, 3_000, 10_000, 20_000] {
        let _ = tokio::time::timeout(Duration::from_micros(patience_us), store.append(&large)).await;
        let stored = store.entries(&large[0].run, 0).await.unwrap().len();
        assert!(stored == 0 || stored == large.len(), "{stored} entries are there");
    }
    store.append(&large).await.unwrap();
    assert!(store.entries(&large[0].run, 0).await.unwrap() == large);
}

#[tokio::test]
async fn a_state_opens_fast_enough_for_a_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let new = Instant::now();
    let store = open(&path).await;
    let new = new.elapsed();
    let started = Instant::now();
    for seq in 0..300 {
        store.append(&[entry("run", seq, "us")]).await.unwrap();
    }
    let commits = 300.0 / started.elapsed().as_secs_f64();
    let batch: Vec<_> = (0..5_000).map(|seq| entry("batch", seq, "us")).collect();
    let started = Instant::now();
    for fifty in batch.chunks(50) {
        store.append(fifty).await.unwrap();
    }
    let batched = 5_000.0 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    assert_eq!(store.entries(&batch[0].run, 0).await.unwrap().len(), batch.len());
    let read = 5_000.0 / started.elapsed().as_secs_f64();
    drop(store);
    let mut openings: Vec<Duration> = vec![];
    for _ in 0..21 {
        let started = Instant::now();
        let store = open(&path).await;
        openings.push(started.elapsed());
        drop(store);
    }
    openings.sort();
    println!(
        "new {new:?}; known {:?} (worst {:?}); {commits:.0} commits/s; {batched:.0} entries/s by fifties; {read:.0} \
         entries/s read",
        openings[10], openings[20]
    );
    // Half of what a command may need to start, on a machine that is busy with other tests.
    assert!(openings[10] < Duration::from_millis(25), "{openings:?}");
}

#[tokio::test]
async fn a_caller_whose_turn_does_not_come_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("state.db")).await;
    // Begun, and then left alone while others go on, as one of many that are polled by turns may be.
    let mut left_alone: Vec<_> = (0..4).map(|_| store.keep_note("a", "kind", "left alone").fuse()).collect();
    let mut also: Vec<_> = (0..4).map(|_| store.note("a", "kind").fuse()).collect();
    for _ in 0..3 {
        for one in &mut left_alone {
            let _not_yet = futures_util::poll!(one);
        }
        for one in &mut also {
            let _not_yet = futures_util::poll!(one);
        }
        tokio::task::yield_now().await;
    }
    let others = async {
        store.keep_note("b", "kind", "goes on").await.unwrap();
        assert_eq!(store.note("b", "kind").await.unwrap().as_deref(), Some("goes on"));
    };
    tokio::time::timeout(Duration::from_secs(30), others).await.expect("somebody holds the connection");
}
