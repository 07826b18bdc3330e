//! The store: plans, journals, inventories, leases and the register of instance HA, in a file (SQLite) or in the
//! cloud's own database (MySQL, MariaDB, Galera).
//!
//! Safety rests on one thing: `(run, seq)` is the primary key of the journal, so two writers can never both own
//! a place in it. Every write is a single statement that can be repeated, or a compare-and-swap whose outcome can
//! be read back; so a lost connection never leaves a doubt that the next connection cannot settle.
//!
//! It must never take a lock inside a database (`GET_LOCK`, `SELECT … FOR UPDATE`, `LOCK TABLES`): with several
//! Galera nodes such a lock does not leave its node. It must never put a password into a message, and never touch
//! a database that holds anything but Ostler's state.

mod fault;
mod galera;
mod link;
pub mod masakari;
mod migrate;
mod place;
mod records;
mod register;
mod sql;
mod sqlite;

use ostler_engine::seam::{Store, StoreError};
use place::Place;
use sql::SqlStore;
use std::sync::Arc;

/// Opens the state at `state`: a path, `sqlite:///path`, or `mysql://user:password@host[:port][,host…]/database`.
///
/// A file and its directory are created if missing; a database has to exist, its tables are created.
pub async fn open(state: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match Place::parse(state)? {
        Place::File(path) => Arc::new(SqlStore::new(sqlite::Sqlite::open(path).await?)),
        Place::Servers(servers) => Arc::new(SqlStore::new(galera::Galera::open(servers).await?)),
    })
}

/// The state's place in words that may be shown and logged: as it was given, without user and password.
pub fn describe(state: &str) -> Result<String, StoreError> {
    Ok(Place::parse(state)?.to_string())
}
