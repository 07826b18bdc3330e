//! The statements, the same for both engines, and what the rows mean.
//!
//! It must never trust a row: a body has a bound, a format and a key that must be the row's own; whatever does not
//! fit is said to be damaged, never guessed at.

use super::fault::{Fault, corrupt, too_new, unavailable};
use super::link::{Cell, Cells, Column, Statement, Value};
use super::register::Known;
use ostler_engine::seam::{Fut, Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::{ENTRY_FORMAT, Entry};
use ostler_model::ids::{PlanId, RunId};
use ostler_model::inventory::{INVENTORY_FORMAT, Inventory};
use ostler_model::limits::{JOURNAL_ENTRIES_MAX, STORED_BODY_BYTES_MAX};
use ostler_model::plan::{PLAN_FORMAT, Plan, PlanBody};
use ostler_model::record::{Record, RecordQuery};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a key: what a row's key may have in every version of InnoDB.
const KEY_BYTES_MAX: usize = 255;

/// Entries that one statement carries: its parameters stay far below the 32,766 of SQLite.
const ENTRIES_PER_STATEMENT_MAX: usize = 1_000;

/// Bytes that one statement carries, unless a single entry is longer: the smallest packet that servers accept.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Entries that one read brings: a long journal neither fills a connection nor holds it.
const ENTRIES_PER_READ: i64 = 2_000;

/// How often an append is sent whose entries are partly stored already. Once is the rule, twice needs a lost
/// acknowledgement of a part; a third time means that the batch contradicts itself.
const APPEND_ROUNDS_MAX: u32 = 3;

/// A database engine.
pub(super) trait Engine: Send + Sync {
    /// The state's place in words.
    fn place(&self) -> &str;
    /// Runs statements durably, all or none, and says how many rows the last one matched. An engine may send them
    /// again after a failure: every statement here is one whose second run changes nothing.
    fn change<'a>(&'a self, statements: &'a [Statement<'a>]) -> Fut<'a, Result<u64, Fault>>;
    /// Reads rows so that every acknowledged change is seen.
    fn read<'a>(&'a self, statement: &'a Statement<'a>) -> Fut<'a, Result<Vec<Cells>, Fault>>;
}

/// The store over an engine.
pub(super) struct SqlStore<E> {
    pub(super) engine: E,
    pub(super) open: Known,
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    format: u16,
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct ReadEntry {
    format: u16,
    entry: Entry,
}

/// Enough of any body to see how old it is.
#[derive(Deserialize)]
struct Head {
    format: u16,
}

/// An entry as it goes into its row.
struct Row<'a> {
    entry: &'a Entry,
    seq: i64,
    term: i64,
    body: String,
}

impl<E: Engine> SqlStore<E> {
    /// A store over an engine whose schema is in place.
    pub(super) fn new(engine: E) -> Self {
        Self { engine, open: Known::default() }
    }

    async fn append_all(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let rows = entries.iter().map(|entry| self.row(entry)).collect::<Result<Vec<_>, _>>()?;
        let mut left: Vec<&Row<'_>> = rows.iter().collect();
        for _ in 0..APPEND_ROUNDS_MAX {
            if left.is_empty() {
                return Ok(());
            }
            match self.engine.change(&insertions(&left)).await {
                Ok(_) => return Ok(()),
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Duplicate) => left = self.not_stored(left).await?,
            }
        }
        Err(unavailable(
            format!("{} refused entries that it does not hold", self.engine.place()),
            "Nothing was appended. Resume the run; if it happens again, the journal has to be looked at.",
        ))
    }

    /// The rows that are not there yet. A row with our very bytes is our own earlier append, whose acknowledgement
    /// was lost: no two writers ever have the same term. Any other row in the place means that it is another's.
    async fn not_stored<'a>(&self, rows: Vec<&'a Row<'a>>) -> Result<Vec<&'a Row<'a>>, StoreError> {
        let mut missing = vec![];
        for row in rows {
            const SQL: &str = "SELECT body FROM entry WHERE run = ? AND seq = ?";
            let values = vec![row.entry.run.as_str().into(), row.seq.into()];
            let found = self.one(Statement::new(SQL, values).giving(&[Column::Bytes])).await?;
            match found.as_deref() {
                None => missing.push(row),
                Some([Cell::Bytes(body)]) if body == row.body.as_bytes() => {}
                Some(_) => {
                    return Err(StoreError::Taken { run: row.entry.run.clone(), seq: row.entry.seq });
                }
            }
        }
        Ok(missing)
    }

    fn row<'a>(&self, entry: &'a Entry) -> Result<Row<'a>, StoreError> {
        self.check_key("run", entry.run.as_str())?;
        if entry.seq >= JOURNAL_ENTRIES_MAX {
            return Err(unavailable(
                format!("the journal of run {} is full: {JOURNAL_ENTRIES_MAX} entries", entry.run),
                "Abandon the run and plan what is left.",
            ));
        }
        let body = self.body("an entry", &WrittenEntry { format: ENTRY_FORMAT, entry })?;
        Ok(Row { entry, seq: number(entry.seq), term: number(entry.term), body })
    }

    /// The first entry of a run.
    pub(super) async fn first_entry(&self, run: &RunId) -> Result<Option<Entry>, StoreError> {
        const SQL: &str = "SELECT seq, CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM entry \
                           WHERE run = ? AND seq = 0";
        let statement = Statement::new(SQL, vec![bound(), run.as_str().into()]);
        let row = self.one(statement.giving(&[Column::Integer, Column::Bytes])).await?;
        row.map(|row| self.entry(run, 0, row)).transpose()
    }

    async fn entries_from(&self, run: &RunId, from: u64) -> Result<Vec<Entry>, StoreError> {
        const SQL: &str = "SELECT seq, CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM entry \
                           WHERE run = ? AND seq >= ? ORDER BY seq LIMIT ?";
        let mut entries: Vec<Entry> = vec![];
        let mut next = from;
        loop {
            let values =
                vec![bound(), run.as_str().into(), Value::Integer(number(next)), ENTRIES_PER_READ.into()];
            let statement = Statement::new(SQL, values).giving(&[Column::Integer, Column::Bytes]);
            let rows = self.rows(statement).await?;
            let is_last = number(rows.len() as u64) < ENTRIES_PER_READ;
            for row in rows {
                entries.push(self.entry(run, next, row)?);
                next += 1;
            }
            if is_last {
                return Ok(entries);
            }
            if next > JOURNAL_ENTRIES_MAX {
                return Err(self.damaged(&format!("run {run} has more than {JOURNAL_ENTRIES_MAX} entries")));
            }
        }
    }

    /// The entry of a row that has to be entry `seq` of a run: in the column and in the body.
    fn entry(&self, run: &RunId, seq: u64, row: Cells) -> Result<Entry, StoreError> {
        let what = format!("entry {seq} of run {run}");
        let [Cell::Integer(column), body] = row.as_slice() else { return Err(self.damaged(&what)) };
        if *column != number(seq) {
            return Err(self.damaged(&format!("{what} is missing")));
        }
        let read: ReadEntry = self.decode(&what, ENTRY_FORMAT, body, |read: &ReadEntry| read.format)?;
        if read.entry.run != *run || read.entry.seq != seq {
            return Err(self.damaged(&format!("{what} is that of another place")));
        }
        Ok(read.entry)
    }

    async fn kept_plan(&self, id: &PlanId) -> Result<Option<Plan>, StoreError> {
        const SQL: &str = "SELECT CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM plan WHERE id = ?";
        let statement = Statement::new(SQL, vec![bound(), id.as_str().into()]).giving(&[Column::Bytes]);
        let Some(row) = self.one(statement).await? else { return Ok(None) };
        let what = format!("plan {}", id.short());
        let [cell] = row.as_slice() else { return Err(self.damaged(&what)) };
        let body: PlanBody = self.decode(&what, PLAN_FORMAT, cell, |body: &PlanBody| body.format)?;
        let plan = Plan { id: id.clone(), body };
        if plan.is_intact() {
            Ok(Some(plan))
        } else {
            Err(self.damaged(&format!("{what} is not what was approved")))
        }
    }

    async fn keep(&self, plan: &Plan) -> Result<(), StoreError> {
        self.check_key("plan", plan.id.as_str())?;
        const SQL: &str = "INSERT INTO plan (id, kept, body) VALUES (?, ?, ?)";
        let body = self.body("the plan", &plan.body)?;
        let values = vec![plan.id.as_str().into(), Timestamp::now().as_microsecond().into(), body.into()];
        match self.engine.change(&[Statement::new(SQL, values)]).await {
            // Its identity is the hash of its content, so what is there is this plan.
            Ok(_) | Err(Fault::Duplicate) => Ok(()),
            Err(Fault::Failed(error)) => Err(error),
        }
    }

    async fn last_plans(&self, limit: u32) -> Result<Vec<(PlanId, Timestamp)>, StoreError> {
        const SQL: &str = "SELECT id, kept FROM plan ORDER BY kept DESC, id DESC LIMIT ?";
        let statement = Statement::new(SQL, vec![i64::from(limit).into()]);
        let rows = self.rows(statement.giving(&[Column::Bytes, Column::Integer])).await?;
        let row = |row: Cells| match row.as_slice() {
            [id, kept] => {
                Ok((PlanId::new(self.text("a plan's name", id)?), self.time("a plan's time", kept)?))
            }
            _ => Err(self.damaged("the list of plans")),
        };
        rows.into_iter().map(row).collect()
    }

    async fn keep_last(&self, inventory: &Inventory) -> Result<(), StoreError> {
        self.check_key("cloud", &inventory.cloud)?;
        const SQL: &str = "REPLACE INTO inventory (cloud, taken, body) VALUES (?, ?, ?)";
        let body = self.body("the inventory", inventory)?;
        let values =
            vec![inventory.cloud.as_str().into(), inventory.taken.as_microsecond().into(), body.into()];
        self.change(Statement::new(SQL, values)).await?;
        Ok(())
    }

    async fn last_inventory(&self, cloud: &str) -> Result<Option<Inventory>, StoreError> {
        const SQL: &str =
            "SELECT CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM inventory WHERE cloud = ?";
        let statement = Statement::new(SQL, vec![bound(), cloud.into()]).giving(&[Column::Bytes]);
        let Some(row) = self.one(statement).await? else { return Ok(None) };
        let what = format!("the inventory of {cloud}");
        let [cell] = row.as_slice() else { return Err(self.damaged(&what)) };
        self.decode(&what, INVENTORY_FORMAT, cell, |inventory: &Inventory| inventory.format).map(Some)
    }

    async fn keep_beside(&self, subject: &str, kind: &str, body: &str) -> Result<(), StoreError> {
        self.check_key("subject", subject)?;
        self.check_key("kind", kind)?;
        const SQL: &str = "REPLACE INTO note (subject, kind, body) VALUES (?, ?, ?)";
        self.change(Statement::new(SQL, vec![subject.into(), kind.into(), body.to_owned().into()])).await?;
        Ok(())
    }

    async fn kept_beside(&self, subject: &str, kind: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str =
            "SELECT CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM note WHERE subject = ? AND kind = ?";
        let statement =
            Statement::new(SQL, vec![bound(), subject.into(), kind.into()]).giving(&[Column::Bytes]);
        let Some(row) = self.one(statement).await? else { return Ok(None) };
        let what = format!("the {kind} of {subject}");
        let [cell] = row.as_slice() else { return Err(self.damaged(&what)) };
        self.text(&what, cell).map(Some)
    }

    async fn last_runs(&self, limit: u32) -> Result<Vec<RunId>, StoreError> {
        const SQL: &str = "SELECT run FROM entry WHERE seq = 0 ORDER BY at DESC, run DESC LIMIT ?";
        let rows =
            self.rows(Statement::new(SQL, vec![i64::from(limit).into()]).giving(&[Column::Bytes])).await?;
        let names = rows.iter().flatten().map(|cell| self.text("a run's name", cell));
        names.map(|name| name.map(RunId::new)).collect()
    }

    async fn lease_of(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        const SQL: &str = "SELECT owner, term, until FROM lease WHERE name = ?";
        const COLUMNS: &[Column] = &[Column::Bytes, Column::Integer, Column::Integer];
        let Some(row) = self.one(Statement::new(SQL, vec![name.into()]).giving(COLUMNS)).await? else {
            return Ok(None);
        };
        let what = format!("the lease {name}");
        match row.as_slice() {
            [owner, Cell::Integer(term), until] if *term > 0 => Ok(Some(Lease {
                name: name.to_owned(),
                owner: self.text(&what, owner)?,
                term: term.unsigned_abs(),
                until: self.time(&what, until)?,
            })),
            _ => Err(self.damaged(&what)),
        }
    }

    async fn swap(&self, name: &str, term: u64, owner: &str, until: Timestamp) -> Result<Lease, StoreError> {
        self.check_key("lease", name)?;
        self.check_key("owner", owner)?;
        let matched = if term == 0 {
            const SQL: &str = "INSERT INTO lease (name, owner, term, until) VALUES (?, ?, 1, ?)";
            let values = vec![name.into(), owner.into(), until.as_microsecond().into()];
            self.engine.change(&[Statement::new(SQL, values)]).await
        } else {
            const SQL: &str =
                "UPDATE lease SET owner = ?, term = term + 1, until = ? WHERE name = ? AND term = ?";
            let values =
                vec![owner.into(), until.as_microsecond().into(), name.into(), Value::Integer(number(term))];
            self.engine.change(&[Statement::new(SQL, values)]).await
        };
        match matched {
            Ok(1) => {
                let until = self.time(name, &Cell::Integer(until.as_microsecond()))?;
                return Ok(Lease { name: name.to_owned(), owner: owner.to_owned(), term: term + 1, until });
            }
            Ok(_) | Err(Fault::Duplicate) => {}
            Err(Fault::Failed(error)) => return Err(error),
        }
        // Lost, or won by a statement whose acknowledgement was lost: the row knows.
        self.lease_of(name).await?.ok_or_else(|| {
            corrupt(
                format!(
                    "the lease {name} is gone from {}, although it was granted {term} times",
                    self.engine.place()
                ),
                "The state was replaced while Ostler ran. Stop every Ostler that uses it, then start again.",
            )
        })
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE lease SET until = ? WHERE name = ? AND owner = ? AND term = ?";
        let values = vec![
            until.as_microsecond().into(),
            lease.name.as_str().into(),
            lease.owner.as_str().into(),
            Value::Integer(number(lease.term)),
        ];
        Ok(self.change(Statement::new(SQL, values)).await? == 1)
    }

    pub(super) async fn change(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        self.engine.change(&[statement]).await.map_err(|fault| self.no_duplicate(fault))
    }

    pub(super) async fn rows(&self, statement: Statement<'_>) -> Result<Vec<Cells>, StoreError> {
        self.engine.read(&statement).await.map_err(|fault| self.no_duplicate(fault))
    }

    pub(super) async fn one(&self, statement: Statement<'_>) -> Result<Option<Cells>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// A conflict of keys where none can be: said, not hidden.
    pub(super) fn no_duplicate(&self, fault: Fault) -> StoreError {
        match fault {
            Fault::Failed(error) => error,
            Fault::Duplicate => self.damaged("an index"),
        }
    }

    pub(super) fn check_key(&self, what: &str, key: &str) -> Result<(), StoreError> {
        if key.len() <= KEY_BYTES_MAX {
            return Ok(());
        }
        let start: String = key.chars().take(40).collect();
        Err(unavailable(
            format!("the name of a {what} is longer than {KEY_BYTES_MAX} bytes: {start}…"),
            "Choose a shorter name.",
        ))
    }

    pub(super) fn body(&self, what: &str, value: &impl Serialize) -> Result<String, StoreError> {
        let body = serde_json::to_string(value).map_err(|error| {
            unavailable(format!("{what} cannot be written as JSON: {error}"), "This is a defect.")
        })?;
        if body.len() > STORED_BODY_BYTES_MAX {
            return Err(unavailable(
                format!(
                    "{what} is {} MiB; {} keeps {} at most",
                    body.len() >> 20,
                    self.engine.place(),
                    STORED_BODY_BYTES_MAX >> 20
                ),
                "Nothing was stored. Plan for fewer nodes at once.",
            ));
        }
        Ok(body)
    }

    /// The value of a body. A body that a newer program wrote is told from one that is damaged.
    pub(super) fn decode<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        newest: u16,
        cell: &Cell,
        format: impl FnOnce(&T) -> u16,
    ) -> Result<T, StoreError> {
        let Cell::Bytes(body) = cell else {
            return Err(self.damaged(&format!("{what} is longer than {} MiB", STORED_BODY_BYTES_MAX >> 20)));
        };
        let (value, format) = match serde_json::from_slice::<T>(body) {
            Ok(value) => {
                let format = format(&value);
                (Ok(value), format)
            }
            Err(error) => (Err(error), serde_json::from_slice::<Head>(body).map_or(0, |head| head.format)),
        };
        if format > newest {
            let what = format!("{what} in {}", self.engine.place());
            return Err(too_new(what, i64::from(format), i64::from(newest)));
        }
        value.map_err(|error| self.damaged(&format!("{what}: {error}")))
    }

    pub(super) fn text(&self, what: &str, cell: &Cell) -> Result<String, StoreError> {
        let Cell::Bytes(bytes) = cell else { return Err(self.damaged(what)) };
        String::from_utf8(bytes.clone()).map_err(|_| self.damaged(what))
    }

    pub(super) fn time(&self, what: &str, cell: &Cell) -> Result<Timestamp, StoreError> {
        let Cell::Integer(microsecond) = cell else { return Err(self.damaged(what)) };
        Timestamp::from_microsecond(*microsecond).map_err(|_| self.damaged(what))
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        corrupt(
            format!("the state in {} is damaged: {what}", self.engine.place()),
            "Nothing was changed. Put a copy of the state in its place, or start with another one by --state; \
             `ostler cloud scan` shows what the cloud itself is like.",
        )
    }
}

/// The bound on a body, as a parameter.
pub(super) fn bound() -> Value<'static> {
    Value::Integer(number(STORED_BODY_BYTES_MAX as u64))
}

/// Databases have signed integers only. What does not fit is beyond every bound that was checked before.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn insertions<'a>(rows: &[&'a Row<'a>]) -> Vec<Statement<'a>> {
    let mut statements = vec![];
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |row: &&&Row<'_>| {
            bytes += row.body.len() + row.entry.run.as_str().len();
            bytes <= STATEMENT_BYTES_MAX
        };
        let count = rest.iter().take(ENTRIES_PER_STATEMENT_MAX).take_while(fits).count().max(1);
        let (these, others) = rest.split_at(count);
        statements.push(insertion(these));
        rest = others;
    }
    statements
}

fn insertion<'a>(rows: &[&'a Row<'a>]) -> Statement<'a> {
    const SQL: &str = "INSERT INTO entry (run, seq, at, term, body) VALUES (?, ?, ?, ?, ?)";
    const MORE: &str = ", (?, ?, ?, ?, ?)";
    let values = rows.iter().flat_map(|row| {
        let Row { entry, seq, term, body } = row;
        [
            entry.run.as_str().into(),
            (*seq).into(),
            entry.at.as_microsecond().into(),
            (*term).into(),
            body.as_str().into(),
        ]
    });
    let values: Vec<Value<'a>> = values.collect();
    match rows.len() {
        1 => Statement::new(SQL, values),
        count => Statement::of_rows(format!("{SQL}{}", MORE.repeat(count - 1)), values),
    }
}

impl<E: Engine> Store for SqlStore<E> {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.keep(plan))
    }

    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>> {
        Box::pin(async move { Ok(self.kept_plan(id).await?.map(Arc::new)) })
    }

    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        Box::pin(self.last_plans(limit))
    }

    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.keep_last(inventory))
    }

    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        Box::pin(self.last_inventory(cloud))
    }

    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.keep_beside(subject, kind, body))
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.kept_beside(subject, kind))
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.record(record))
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(self.records_of(query))
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.forget_record(kind, subject, name))
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        Box::pin(self.forget_old_records(kind, subject, before, rows))
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.append_all(entries))
    }

    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.entries_from(run, from))
    }

    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.last_runs(limit))
    }

    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        Box::pin(self.lease_of(name))
    }

    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        Box::pin(self.swap(name, term, owner, until))
    }

    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.renew(lease, until))
    }
}
