//! The state in a database server: MySQL, MariaDB, or the several nodes of a Galera cluster.
//!
//! A statement goes to the host that answered last; when that host is gone, not ready or silent, it goes to the
//! next one. Sending it again is safe, because every statement of the store is one whose second run changes nothing.
//! Reads and updates wait until their node has applied what its neighbours have acknowledged (`wsrep_sync_wait`):
//! without that, one read in five right after a grant on a neighbour is stale, and an update misses a row that is there.
//!
//! It must never hold a lock in the server between two statements, and never try without end.

use super::fault::{Fault, corrupt, unavailable};
use super::link::{Cell, Cells, Column, Link, Statement};
use super::migrate::{self, Unmigrated};
use super::place::{Host, Servers};
use super::sql::Engine;
use ostler_engine::seam::{Fut, StoreError};
use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Connections at once: a driver, a lease, a page and one to spare. The cloud's database has clients enough.
const CONNECTIONS_MAX: usize = 4;

/// How long a host may take to accept a connection. Three silent hosts are found out within half a lease.
const CONNECT_LIMIT_MS: u64 = 3_000;

/// How long a statement may take. A cluster that has lost a node stands still for its suspect timeout, 5 s.
const STATEMENT_LIMIT_MS: u64 = 10_000;

/// What a long body may take on top.
const STATEMENT_LIMIT_MS_PER_MIB: u64 = 1_000;

/// How long a statement is tried, on whatever host: as long as a driver's lease. After that the driver has to ask anew.
const TRYING_LIMIT_MS: u64 = 20_000;

/// How often a statement is tried within that time.
const TRIES_MAX: u32 = 100;

/// Pause before a statement is tried again; doubled each time. A conflict is over in a few milliseconds.
const PAUSE_FIRST_MS: u64 = 4;

/// Longest pause between two tries: a node that is not ready needs seconds.
const PAUSE_MAX_MS: u64 = 500;

/// How often the tables are made when several Ostlers start at once.
const MIGRATIONS_MAX: u32 = 5;

/// A body longer than this may be longer than the server accepts, so the server is asked first: it would answer by
/// closing the connection, which looks like an outage.
const UNASKED_BYTES_MAX: usize = 1 << 20;

/// The state in a database server.
pub(super) struct Galera {
    servers: Servers,
    place: String,
    /// The host that is tried first.
    favourite: AtomicUsize,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

struct Connection {
    link: MySqlConnection,
    /// Which host it leads to.
    host: usize,
}

enum Request<'a> {
    Change(&'a [Statement<'a>]),
    Read(&'a Statement<'a>),
}

enum Answer {
    Matched(u64),
    Rows(Vec<Cells>),
}

/// What to do after a failure.
#[derive(Debug)]
enum Course {
    /// The row is there already.
    Duplicate,
    /// The server undid the statement; it can be sent again at once.
    Again(String),
    /// The connection is of no use any more.
    Reconnect(String),
    /// The host is of no use for now.
    Elsewhere(String),
    /// Trying again would not help.
    GiveUp(StoreError),
}

impl Course {
    fn why(&self) -> String {
        match self {
            Course::Duplicate => String::from("a key is there already"),
            Course::Again(why) | Course::Reconnect(why) | Course::Elsewhere(why) => why.clone(),
            Course::GiveUp(error) => error.to_string(),
        }
    }
}

impl Galera {
    /// Connects to the first host that answers and makes the tables if they are missing. Every host is tried once.
    pub(super) async fn open(servers: Servers) -> Result<Self, StoreError> {
        let place = servers.to_string();
        let permits = Semaphore::new(CONNECTIONS_MAX);
        let galera = Self { servers, place, favourite: AtomicUsize::new(0), idle: Mutex::default(), permits };
        let mut tries = 0;
        loop {
            let mut connection = match galera.connect().await {
                Ok(connection) => connection,
                Err(Course::GiveUp(error)) => return Err(error),
                Err(course) => return Err(galera.unanswered(course)),
            };
            let migrating = migrate::migrate(&mut connection.link, &migrate::MYSQL, &galera.place);
            let migrated = limited(TRYING_LIMIT_MS, migrating).await;
            let course = match migrated {
                Ok(Ok(())) => {
                    galera.idle().push(connection);
                    return Ok(galera);
                }
                Ok(Err(Unmigrated::Refused(error))) => return Err(error),
                Ok(Err(Unmigrated::Sql(error))) => galera.course(connection.host, &error),
                Err(Silent) => Course::Elsewhere(galera.silent(connection.host, TRYING_LIMIT_MS)),
            };
            tries += 1;
            match course {
                Course::GiveUp(error) => return Err(error),
                course if tries >= MIGRATIONS_MAX => return Err(galera.unanswered(course)),
                Course::Elsewhere(_) => galera.pass_over(connection.host),
                _ => {}
            }
        }
    }

    /// A connection to the first host, from the favourite on, that gives one.
    async fn connect(&self) -> Result<Connection, Course> {
        let first = self.favourite.load(Ordering::Relaxed);
        let hosts = &self.servers.hosts;
        let mut reasons = vec![];
        for host in (0..hosts.len()).map(|offset| (first + offset) % hosts.len()) {
            match limited(CONNECT_LIMIT_MS, self.connect_to(&hosts[host])).await {
                Ok(Ok(link)) => {
                    self.favourite.store(host, Ordering::Relaxed);
                    return Ok(Connection { link, host });
                }
                Ok(Err(error)) => match self.course(host, &error) {
                    Course::GiveUp(error) => return Err(Course::GiveUp(error)),
                    Course::Again(why) | Course::Reconnect(why) | Course::Elsewhere(why) => reasons.push(why),
                    Course::Duplicate => {}
                },
                Err(Silent) => reasons.push(self.silent(host, CONNECT_LIMIT_MS)),
            }
        }
        Err(Course::Reconnect(reasons.join("; ")))
    }

    async fn connect_to(&self, host: &Host) -> sqlx::Result<MySqlConnection> {
        let options = MySqlConnectOptions::new()
            .host(&host.name)
            .port(host.port)
            .username(&self.servers.user)
            .database(&self.servers.database)
            .ssl_mode(MySqlSslMode::Disabled)
            .disable_statement_logging();
        let options = match &self.servers.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let mut link = options.connect().await?;
        // 1: reads, 2: updates and deletions. An update that finds no row says something, too.
        match link.script("SET SESSION wsrep_sync_wait = 3").await {
            // A server without Galera has no neighbours to wait for.
            Err(error) if number(&error) == Some(UNKNOWN_VARIABLE) => {}
            set => set?,
        }
        Ok(link)
    }

    async fn run(&self, request: Request<'_>) -> Result<Answer, Fault> {
        let started = Instant::now();
        let limit = Duration::from_millis(TRYING_LIMIT_MS);
        let _permit = match tokio::time::timeout(limit, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => {
                let waited = format!("its {CONNECTIONS_MAX} connections are all busy");
                return Err(Fault::Failed(self.unanswered(Course::Reconnect(waited))));
            }
        };
        let mut pause_ms = PAUSE_FIRST_MS;
        for tries in 1.. {
            let course = match self.try_once(&request).await {
                Ok(answer) => return Ok(answer),
                Err(Course::Duplicate) => return Err(Fault::Duplicate),
                Err(Course::GiveUp(error)) => return Err(Fault::Failed(error)),
                Err(course) => course,
            };
            if tries >= TRIES_MAX || started.elapsed() + Duration::from_millis(pause_ms) > limit {
                let why =
                    format!("tried {tries} times in {} s; {}", started.elapsed().as_secs(), course.why());
                return Err(Fault::Failed(self.unanswered(Course::Elsewhere(why))));
            }
            // A connection that was idle for long may be gone while its host is well: the first time costs no pause.
            if tries > 1 || !matches!(course, Course::Reconnect(_)) {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
            }
        }
        Err(Fault::Failed(self.unanswered(Course::Again(String::new()))))
    }

    async fn try_once(&self, request: &Request<'_>) -> Result<Answer, Course> {
        let idle = self.idle().pop();
        // Owned by this future: if the caller goes away in the middle, the connection is closed and the server
        // undoes what was not committed.
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let host = connection.host;
        let limit_ms = STATEMENT_LIMIT_MS + STATEMENT_LIMIT_MS_PER_MIB * (request.bytes() as u64 >> 20);
        let error = match limited(limit_ms, self.ask(&mut connection.link, request)).await {
            Ok(Ok(answer)) => {
                self.idle().push(connection);
                return Ok(answer);
            }
            Ok(Err(Refusal::Sql(error))) => error,
            Ok(Err(Refusal::TooLong(error))) => {
                self.idle().push(connection);
                return Err(Course::GiveUp(error));
            }
            Err(Silent) => {
                self.pass_over(host);
                return Err(Course::Elsewhere(self.silent(host, limit_ms)));
            }
        };
        let course = self.course(host, &error);
        match course {
            Course::Duplicate | Course::Again(_) => self.idle().push(connection),
            Course::Reconnect(_) => self.idle().retain(|other| other.host != host),
            Course::Elsewhere(_) => self.pass_over(host),
            Course::GiveUp(_) => {}
        }
        Err(course)
    }

    async fn ask(&self, link: &mut MySqlConnection, request: &Request<'_>) -> Result<Answer, Refusal> {
        if request.bytes() > UNASKED_BYTES_MAX {
            const SQL: &str = "SELECT CAST(@@max_allowed_packet AS SIGNED)";
            let rows = link.read(&Statement::new(SQL, vec![]).giving(&[Column::Integer])).await?;
            if let Some([Cell::Integer(accepted)]) = rows.first().map(Vec::as_slice)
                && request.bytes() as i64 > *accepted
            {
                return Err(Refusal::TooLong(unavailable(
                    format!(
                        "{} accepts {} MiB at once, and {} MiB are to be stored",
                        self.place,
                        accepted >> 20,
                        (request.bytes() >> 20) + 1
                    ),
                    "Nothing was stored. Raise max_allowed_packet on every node of the database.",
                )));
            }
        }
        Ok(match request {
            Request::Change(statements) => Answer::Matched(link.change(statements).await?),
            Request::Read(statement) => Answer::Rows(link.read(statement).await?),
        })
    }

    /// The host is not the favourite any more, and what leads to it is closed.
    fn pass_over(&self, host: usize) {
        let next = (host + 1) % self.servers.hosts.len();
        // Another task may have moved on already; then its choice stands.
        let _ = self.favourite.compare_exchange(host, next, Ordering::Relaxed, Ordering::Relaxed);
        self.idle().retain(|connection| connection.host != host);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self, host: usize, limit_ms: u64) -> String {
        format!("{} has not answered for {} s", self.servers.hosts[host], limit_ms / 1_000)
    }

    fn course(&self, host: usize, error: &sqlx::Error) -> Course {
        let host = &self.servers.hosts[host];
        match error {
            sqlx::Error::Database(database) if database.is_unique_violation() => Course::Duplicate,
            sqlx::Error::Database(database) => {
                explain(&self.place, &self.servers, host, number(error).unwrap_or(0), database.message())
            }
            sqlx::Error::Io(error) => Course::Reconnect(format!("{host}: {}", lost(error))),
            sqlx::Error::Protocol(message) => Course::Reconnect(format!("{host}: {message}")),
            sqlx::Error::Tls(error) => Course::GiveUp(unavailable(
                format!("{host} demands an encrypted connection: {error}"),
                UNENCRYPTED,
            )),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                Course::GiveUp(corrupt(
                    format!("the tables in {} are not as Ostler made them: {error}", self.place),
                    "Nothing was changed. Restore the database from a copy.",
                ))
            }
            error => Course::GiveUp(unavailable(
                format!("{host}: {error}"),
                "Check that this account can log in with its password alone.",
            )),
        }
    }

    fn unanswered(&self, course: Course) -> StoreError {
        if let Course::GiveUp(error) = course {
            return error;
        }
        unavailable(
            format!("the state in {} cannot be reached: {}", self.place, course.why()),
            "Check that the hosts' names and ports are right and that the database answers (on Galera: that \
             wsrep_cluster_status is Primary).",
        )
    }
}

impl Engine for Galera {
    fn place(&self) -> &str {
        &self.place
    }

    fn change<'a>(&'a self, statements: &'a [Statement<'a>]) -> Fut<'a, Result<u64, Fault>> {
        Box::pin(async move {
            match self.run(Request::Change(statements)).await? {
                Answer::Matched(rows) => Ok(rows),
                Answer::Rows(_) => Ok(0),
            }
        })
    }

    fn read<'a>(&'a self, statement: &'a Statement<'a>) -> Fut<'a, Result<Vec<Cells>, Fault>> {
        Box::pin(async move {
            match self.run(Request::Read(statement)).await? {
                Answer::Rows(rows) => Ok(rows),
                Answer::Matched(_) => Ok(vec![]),
            }
        })
    }
}

impl Request<'_> {
    /// Bytes of the longest statement.
    fn bytes(&self) -> usize {
        match self {
            Request::Change(statements) => statements.iter().map(Statement::bytes).max().unwrap_or(0),
            Request::Read(statement) => statement.bytes(),
        }
    }
}

enum Refusal {
    Sql(sqlx::Error),
    TooLong(StoreError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Refusal::Sql(error)
    }
}

/// No answer within the limit.
struct Silent;

async fn limited<T>(limit_ms: u64, work: impl Future<Output = T>) -> Result<T, Silent> {
    tokio::time::timeout(Duration::from_millis(limit_ms), work).await.map_err(|_| Silent)
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

fn lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => String::from("the connection was closed"),
        io::ErrorKind::ConnectionRefused => String::from("connection refused: nothing listens there"),
        // The resolver's answers have no kind of their own.
        _ if error.to_string().contains("lookup address") => String::from("no such host"),
        _ => error.to_string(),
    }
}

const UNKNOWN_VARIABLE: u16 = 1193;

const UNENCRYPTED: &str =
    "Allow this account unencrypted connections on the management network (REQUIRE NONE).";

/// What an error number of the server means for us.
fn explain(place: &str, servers: &Servers, host: &Host, number: u16, message: &str) -> Course {
    let why = format!("{host}: {message} ({number})");
    let (user, database) = (&servers.user, &servers.database);
    let what = format!("the state in {place} cannot be used: {why}");
    match number {
        // A record changed under the statement, a lock was waited for too long, a certification failed.
        1020 | 1205 | 1213 => Course::Again(why),
        // Too many connections, a shutdown, an interrupted or killed statement, a commit that failed, a lost reader.
        1040 | 1053 | 1158..=1161 | 1180 | 1203 | 1226 | 1317 | 1927 => Course::Elsewhere(why),
        // A Galera node outside the primary component, or one that is still joining; a node that is read-only.
        1047 | 1290 | 1792 | 1836 => Course::Elsewhere(why),
        1044 => Course::GiveUp(unavailable(
            what,
            format!(
                "Make it if it is not there, and allow it: `CREATE DATABASE IF NOT EXISTS {database}; GRANT ALL ON {database}.* TO {user}`."
            ),
        )),
        1045 | 1130 | 1142 | 1143 | 1227 | 1698 => Course::GiveUp(unavailable(
            what,
            format!("Check user and password; `GRANT ALL ON {database}.* TO {user}` gives what is needed."),
        )),
        3159 => Course::GiveUp(unavailable(what, UNENCRYPTED)),
        1049 => Course::GiveUp(unavailable(
            what,
            format!("Make it: `CREATE DATABASE {database}; GRANT ALL ON {database}.* TO {user}`."),
        )),
        1146 => Course::GiveUp(corrupt(
            what,
            "Its tables were removed while Ostler ran. Restore the database from a copy, or start again to make \
             empty ones.",
        )),
        1021 | 1114 => {
            Course::GiveUp(unavailable(what, "Free some space on the database's hosts and try again."))
        }
        1153 => Course::GiveUp(unavailable(what, "Raise max_allowed_packet on every node of the database.")),
        _ => Course::GiveUp(unavailable(what, "Look at the database server's log.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::place::Place;

    fn explained(number: u16) -> Course {
        let Place::Servers(servers) = Place::parse("mysql://ostler:secret@db1,db2/state").unwrap() else {
            panic!("not a place of servers");
        };
        explain(&servers.to_string(), &servers, &servers.hosts[1], number, "as the server says")
    }

    #[test]
    fn conflicts_and_nodes_that_are_not_ready_are_tried_again() {
        for number in [1213, 1205, 1020] {
            assert!(matches!(explained(number), Course::Again(_)), "{number}");
        }
        for number in [1047, 1053, 1040, 1290] {
            assert!(matches!(explained(number), Course::Elsewhere(_)), "{number}");
        }
    }

    #[test]
    fn what_trying_cannot_mend_names_the_place_and_a_way_out() {
        for (number, way) in [
            (1045, "GRANT ALL ON state.* TO ostler"),
            (1049, "CREATE DATABASE state"),
            (1142, "GRANT ALL"),
            (1153, "max_allowed_packet"),
            (1146, "Restore"),
            (9999, "log"),
        ] {
            let Course::GiveUp(StoreError::Unavailable { what, hint } | StoreError::Corrupt { what, hint }) =
                explained(number)
            else {
                panic!("{number} would be tried again");
            };
            assert!(what.contains("mysql://db1:3306,db2:3306/state") && what.contains("db2:3306"), "{what}");
            assert!(hint.unwrap().contains(way), "{number}");
            assert!(!what.contains("secret"), "{what}");
        }
    }
}
