//! The state in a file: SQLite with a write-ahead log, every commit on the disk before it is acknowledged.
//!
//! One connection that writes and one that reads, opened when they are needed and kept: whoever reads does not wait
//! for a disk, and those who write at the same moment share one commit. No pool: a pool waits by the runtime's clock
//! while the work is done on a thread, which goes wrong where that clock is paused, and one writer is all that SQLite
//! has.
//!
//! It must never be laxer about durability than `synchronous=FULL`: an intent that a power cut undoes is no intent.

use super::fault::{Fault, corrupt, unavailable};
use super::link::{Cells, Link, Statement};
use super::migrate::{self, Unmigrated};
use super::sql::Engine;
use ostler_engine::seam::{Fut, StoreError};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

/// How long a statement waits for another process that writes. Our own writes take milliseconds, so whoever holds
/// the file longer is not an Ostler at work.
const BUSY_MS: u64 = 5_000;

/// How often the first use of a file is tried when several processes make it at once: the change to a write-ahead
/// log does not wait for its turn by itself.
const FIRST_USES_MAX: u32 = 100;

/// Pause between two such tries; with the number above that is as long as any other statement waits.
const FIRST_USE_PAUSE_MS: u64 = BUSY_MS / FIRST_USES_MAX as u64;

/// Changes that share one commit: a burst of reports waits for the disk once, and nobody waits for more than that.
const SHARED_MAX: usize = 64;

/// How often a change is handed on whose commit was given up because the one who ran it went away.
const HANDED_ON_MAX: u32 = 100;

/// A change that waits for whoever runs the next commit.
struct Waiting {
    statements: Vec<Statement<'static>>,
    tell: oneshot::Sender<Result<u64, Fault>>,
}

/// The state in a file.
///
/// Every statement runs in a task of its own. Callers are polled by turns, and one whose turn does not come must not hold
/// the connection that another one waits for.
pub(super) struct Sqlite(Arc<File>);

struct File {
    path: PathBuf,
    place: String,
    connection: Mutex<Option<SqliteConnection>>,
    reading: Mutex<Option<SqliteConnection>>,
    waiting: std::sync::Mutex<Vec<Waiting>>,
}

impl Sqlite {
    /// Opens a file, making it and its directory if they are missing.
    pub(super) async fn open(path: PathBuf) -> Result<Self, StoreError> {
        make(&path)?;
        let place = path.display().to_string();
        let store = File {
            path,
            place,
            connection: Mutex::new(None),
            reading: Mutex::new(None),
            waiting: Default::default(),
        };
        let mut connection = store.connect().await?;
        match migrate::migrate(&mut connection, &migrate::SQLITE, &store.place).await {
            Ok(()) => *store.connection.lock().await = Some(connection),
            Err(Unmigrated::Refused(error)) => return Err(error),
            Err(Unmigrated::Sql(error)) => return Err(explain(&store.path, &error)),
        }
        Ok(Self(Arc::new(store)))
    }
}

impl File {
    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_millis(BUSY_MS))
            .disable_statement_logging();
        let mut tries = 1;
        loop {
            match options.connect().await {
                Ok(connection) => return Ok(connection),
                Err(error) if primary_code(&error) == Some(BUSY) && tries < FIRST_USES_MAX => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(FIRST_USE_PAUSE_MS)).await;
                }
                Err(error) => return Err(explain(&self.path, &error)),
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs changes and tells each what came of it, after the disk has it. Answers the connection if it is still good.
    async fn commit(
        &self,
        connection: Option<SqliteConnection>,
        some: Vec<Waiting>,
    ) -> Option<SqliteConnection> {
        let opened = match connection {
            Some(connection) => Ok(connection),
            None => self.connect().await,
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => return refuse(some, &error),
        };
        if some.len() > 1 {
            match together(&mut connection, &some).await {
                Ok(answers) => {
                    for (one, answer) in some.into_iter().zip(answers) {
                        // Whoever has gone away does not want to know.
                        let _ = one.tell.send(answer.ok_or(Fault::Duplicate));
                    }
                    return Some(connection);
                }
                // Each for itself, so that each is told of its own failure. Closing undoes what was begun.
                Err(_) => {
                    drop(connection);
                    connection = match self.connect().await {
                        Ok(connection) => connection,
                        Err(error) => return refuse(some, &error),
                    };
                }
            }
        }
        let mut is_good = true;
        for one in some {
            let done = connection.change(&one.statements).await.map_err(|error| self.fault(&error));
            is_good &= !matches!(done, Err(Fault::Failed(_)));
            let _ = one.tell.send(done);
        }
        is_good.then_some(connection)
    }

    fn fault(&self, error: &sqlx::Error) -> Fault {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => Fault::Duplicate,
            _ => Fault::Failed(explain(&self.path, error)),
        }
    }

    async fn change(&self, statements: &[Statement<'static>]) -> Result<u64, Fault> {
        for _ in 0..HANDED_ON_MAX {
            let (tell, mut told) = oneshot::channel();
            let statements = statements.iter().map(Statement::owned).collect();
            self.waiting().push(Waiting { statements, tell });
            let answer = loop {
                let mut kept = tokio::select! {
                    biased;
                    answer = &mut told => break answer.ok(),
                    kept = self.connection.lock() => kept,
                };
                match told.try_recv() {
                    Ok(answer) => break Some(answer),
                    Err(oneshot::error::TryRecvError::Closed) => break None,
                    Err(oneshot::error::TryRecvError::Empty) => {}
                }
                // Taken, not borrowed: if the caller goes away in the middle, the connection and whatever
                // transaction it was in go too, and the next caller opens another one.
                let connection = kept.take();
                let some: Vec<Waiting> = {
                    let mut waiting = self.waiting();
                    // Nobody waits any more for what a caller that went away has left.
                    waiting.retain(|one| !one.tell.is_closed());
                    let count = waiting.len().min(SHARED_MAX);
                    waiting.drain(..count).collect()
                };
                *kept = self.commit(connection, some).await;
            };
            if let Some(answer) = answer {
                return answer;
            }
            // Whoever ran it went away, and everything that was run with it was undone.
        }
        Err(Fault::Failed(unavailable(
            format!("changes to {} are given up again and again", self.place),
            "Nothing was changed. Try again.",
        )))
    }

    async fn read(&self, statement: &Statement<'static>) -> Result<Vec<Cells>, Fault> {
        let mut kept = self.reading.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let rows = connection.read(statement).await.map_err(|error| self.fault(&error))?;
        *kept = Some(connection);
        Ok(rows)
    }
}

impl Engine for Sqlite {
    fn place(&self) -> &str {
        &self.0.place
    }

    fn change<'a>(&'a self, statements: &'a [Statement<'a>]) -> Fut<'a, Result<u64, Fault>> {
        let file = Arc::clone(&self.0);
        let statements: Vec<_> = statements.iter().map(Statement::owned).collect();
        Box::pin(async move {
            let done = tokio::spawn(async move { file.change(&statements).await });
            done.await.unwrap_or_else(|error| Err(self.broke_off(&error)))
        })
    }

    fn read<'a>(&'a self, statement: &'a Statement<'a>) -> Fut<'a, Result<Vec<Cells>, Fault>> {
        let (file, statement) = (Arc::clone(&self.0), statement.owned());
        Box::pin(async move {
            let done = tokio::spawn(async move { file.read(&statement).await });
            done.await.unwrap_or_else(|error| Err(self.broke_off(&error)))
        })
    }
}

impl Sqlite {
    fn broke_off(&self, error: &tokio::task::JoinError) -> Fault {
        let hint = "The program is ending, or this is a defect. Look at what is stored, then try again.";
        Fault::Failed(unavailable(format!("work on {} broke off: {error}", self.0.place), hint))
    }
}

/// Tells everybody that there is no connection.
fn refuse(some: Vec<Waiting>, error: &StoreError) -> Option<SqliteConnection> {
    for one in some {
        let _ = one.tell.send(Err(Fault::Failed(error.clone())));
    }
    None
}

/// Runs several changes with one commit. A change whose first statement finds its key taken has changed nothing (none);
/// any other failure is the failure of all.
async fn together(connection: &mut SqliteConnection, some: &[Waiting]) -> sqlx::Result<Vec<Option<u64>>> {
    let mut answers = Vec::with_capacity(some.len());
    connection.script("BEGIN IMMEDIATE").await?;
    for one in some {
        let mut answer = Some(0);
        for (index, statement) in one.statements.iter().enumerate() {
            match connection.change(std::slice::from_ref(statement)).await {
                Ok(matched) => answer = Some(matched),
                Err(error)
                    if index == 0
                        && error.as_database_error().is_some_and(|error| error.is_unique_violation()) =>
                {
                    answer = None;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        answers.push(answer);
    }
    connection.script("COMMIT").await?;
    Ok(answers)
}

/// Makes an empty file that only its owner may read, which is an empty database. SQLite gives the files beside it
/// the same mode.
fn make(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Err(unavailable(
            format!("{} is a directory, so the state cannot be a file there", path.display()),
            "Name a file with --state, for example state.db in that directory.",
        ));
    }
    if path.exists() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.exists() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| unmade(parent, &error))?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        // Another Ostler started at the same time.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unmade(path, &error)),
    }
}

fn unmade(path: &Path, error: &io::Error) -> StoreError {
    let what = format!("cannot make {}: {error}", path.display());
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some space there, or choose another place \
                                                                      with --state."
        }
        io::ErrorKind::NotADirectory => "A part of that path is a file. Choose another place with --state.",
        io::ErrorKind::ReadOnlyFilesystem => {
            "That file system is mounted read-only. Choose another place with \
                                              --state."
        }
        _ => "Let this user write there, or choose another place with --state.",
    };
    unavailable(what, hint)
}

// Primary result codes of SQLite.
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// The low byte of an extended code says what kind of failure it is.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<i32>().ok()? & 0xff)
}

fn explain(path: &Path, error: &sqlx::Error) -> StoreError {
    let message = match error.as_database_error() {
        Some(database) => database.message().to_owned(),
        None => error.to_string(),
    };
    explain_code(path, primary_code(error), &message)
}

fn explain_code(path: &Path, code: Option<i32>, message: &str) -> StoreError {
    let path = path.display();
    match code {
        Some(NOTADB) => corrupt(
            format!("{path} is not an Ostler state: {message}"),
            format!("Nothing was changed. Move {path} aside, or choose another place with --state."),
        ),
        Some(CORRUPT) => corrupt(
            format!("the state in {path} is damaged: {message}"),
            format!(
                "Nothing was changed. Move {path} with its -wal and -shm files aside and put a copy in its place; \
                 without a copy, `sqlite3 {path} .recover` saves what can be read."
            ),
        ),
        Some(READONLY) => unavailable(
            format!("the state in {path} may not be written: {message}"),
            format!(
                "Make {path} and its directory writable for this user, or choose another place with --state. \
                 Nothing was changed."
            ),
        ),
        Some(CANTOPEN | PERM) => unavailable(
            format!("the state in {path} cannot be opened: {message}"),
            format!("This user must be able to read and write {path} and to make files beside it."),
        ),
        Some(BUSY | LOCKED) => unavailable(
            format!("another process has held {path} for more than {} s: {message}", BUSY_MS / 1_000),
            format!("See who does with `fuser {path}`; a copy or a check of the file may be running."),
        ),
        Some(FULL) => unavailable(
            format!("no space is left for the state in {path}: {message}"),
            "Free some space there and try again; what was acknowledged is kept.",
        ),
        Some(IOERR) => unavailable(
            format!("the disk failed under the state in {path}: {message}"),
            "Look at the kernel's log (dmesg) and the file system; what was acknowledged may have to be checked.",
        ),
        _ => unavailable(
            format!("the state in {path} failed: {message}"),
            format!("Check it with `sqlite3 {path} 'PRAGMA integrity_check'`."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: i32) -> StoreError {
        explain_code(Path::new("/srv/state.db"), Some(code), "as SQLite says")
    }

    #[test]
    fn every_failure_names_the_place_and_a_way_out() {
        for code in [PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB, 1] {
            let (what, hint) = match explained(code) {
                StoreError::Unavailable { what, hint } | StoreError::Corrupt { what, hint } => (what, hint),
                StoreError::Taken { .. } => panic!("code {code} is no conflict"),
            };
            assert!(what.contains("/srv/state.db") && what.contains("as SQLite says"), "{code}: {what}");
            assert!(hint.is_some_and(|hint| hint.ends_with('.')), "{code}: {what}");
        }
    }

    #[test]
    fn only_damage_is_called_damage() {
        for code in [CORRUPT, NOTADB] {
            assert!(matches!(explained(code), StoreError::Corrupt { .. }), "{code}");
        }
        for code in [PERM, BUSY, READONLY, IOERR, FULL, CANTOPEN, 1] {
            assert!(matches!(explained(code), StoreError::Unavailable { .. }), "{code}");
        }
    }
}
