//! One connection to a database, with the difference between the engines taken out: statements and rows as data.
//!
//! It must never build SQL from anything but literals: values travel as parameters.

use ostler_engine::seam::Fut;
use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use std::borrow::Cow;

/// A parameter.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Integer(i64),
    Text(Cow<'a, str>),
    Null,
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Value::Integer(i64::from(truth))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Null, Value::from)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

/// How to take a column of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Integer,
    /// Text or a body; the two engines name the types differently, the bytes are the same.
    Bytes,
}

/// A column of an answer; none for `NULL`.
#[derive(Debug)]
pub(super) enum Cell {
    Integer(i64),
    Bytes(Vec<u8>),
    Null,
}

/// A row of an answer, as its columns were asked for.
pub(super) type Cells = Vec<Cell>;

/// A statement with its parameters, and the columns of its answer if it has one.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    sql: Cow<'static, str>,
    values: Vec<Value<'a>>,
    columns: &'static [Column],
    /// A text that is rarely the same twice is not worth a place among the prepared ones.
    is_prepared: bool,
}

impl<'a> Statement<'a> {
    /// A statement of which the connection keeps a prepared form.
    pub(super) fn new(sql: &'static str, values: Vec<Value<'a>>) -> Self {
        Self { sql: Cow::Borrowed(sql), values, columns: &[], is_prepared: true }
    }

    /// A statement whose text depends on how many rows it carries.
    pub(super) fn of_rows(sql: String, values: Vec<Value<'a>>) -> Self {
        Self { sql: Cow::Owned(sql), values, columns: &[], is_prepared: false }
    }

    /// A statement that was put together from literals, of which there are few different ones.
    pub(super) fn built(sql: String, values: Vec<Value<'a>>) -> Self {
        Self { sql: Cow::Owned(sql), values, columns: &[], is_prepared: true }
    }

    /// The same statement, with the columns of its answer.
    pub(super) fn giving(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    /// About how many bytes it puts on the wire.
    pub(super) fn bytes(&self) -> usize {
        let values = self.values.iter().map(|value| match value {
            Value::Integer(_) => size_of::<i64>(),
            Value::Text(text) => text.len(),
            Value::Null => 1,
        });
        self.sql.len() + values.sum::<usize>()
    }
}

/// A connection.
pub(super) trait Link: Send {
    /// Runs statements, in one transaction if they are several. How many rows the last one matched.
    fn change<'a>(&'a mut self, statements: &'a [Statement<'a>]) -> Fut<'a, sqlx::Result<u64>>;
    /// Runs a statement that answers.
    fn read<'a>(&'a mut self, statement: &'a Statement<'a>) -> Fut<'a, sqlx::Result<Vec<Cells>>>;
    /// Runs a script without parameters, statement by statement.
    fn script(&mut self, sql: &'static str) -> Fut<'_, sqlx::Result<()>>;
}

macro_rules! link {
    ($connection:ty, $begin:literal) => {
        impl Link for $connection {
            fn change<'a>(&'a mut self, statements: &'a [Statement<'a>]) -> Fut<'a, sqlx::Result<u64>> {
                Box::pin(async move {
                    if let [statement] = statements {
                        let done = link!(@query statement).execute(self).await?;
                        return Ok(done.rows_affected());
                    }
                    let mut matched = 0;
                    let mut transaction = self.begin_with($begin).await?;
                    for statement in statements {
                        match link!(@query statement).execute(&mut *transaction).await {
                            Ok(done) => matched = done.rows_affected(),
                            Err(error) => {
                                // Now, not when the connection is used next: until then it would hold its rows.
                                // If this fails too, the connection is lost, and the server undoes it.
                                let _ = transaction.rollback().await;
                                return Err(error);
                            }
                        }
                    }
                    transaction.commit().await?;
                    Ok(matched)
                })
            }

            fn read<'a>(&'a mut self, statement: &'a Statement<'a>) -> Fut<'a, sqlx::Result<Vec<Cells>>> {
                Box::pin(async move {
                    let rows = link!(@query statement).fetch_all(self).await?;
                    let row = |row: &_| cells(statement.columns, row);
                    return rows.iter().map(row).collect();

                    fn cells(
                        columns: &[Column],
                        row: &<<$connection as Connection>::Database as sqlx::Database>::Row,
                    ) -> sqlx::Result<Cells> {
                        let cell = |(index, column): (usize, &Column)| {
                            Ok(match column {
                                Column::Integer => {
                                    row.try_get::<Option<i64>, _>(index)?.map_or(Cell::Null, Cell::Integer)
                                }
                                Column::Bytes => {
                                    row.try_get::<Option<Vec<u8>>, _>(index)?.map_or(Cell::Null, Cell::Bytes)
                                }
                            })
                        };
                        columns.iter().enumerate().map(cell).collect()
                    }
                })
            }

            fn script(&mut self, sql: &'static str) -> Fut<'_, sqlx::Result<()>> {
                Box::pin(async move {
                    sqlx::raw_sql(sql).execute(self).await?;
                    Ok(())
                })
            }
        }
    };
    (@query $statement:ident) => {{
        let query = sqlx::query(AssertSqlSafe($statement.sql.clone())).persistent($statement.is_prepared);
        $statement.values.iter().fold(query, |query, value| match value {
            Value::Integer(number) => query.bind(*number),
            Value::Text(text) => query.bind(text.as_ref()),
            Value::Null => query.bind(None::<i64>),
        })
    }};
}

// IMMEDIATE: the write lock is taken before anything is read, so a transaction waits for its turn once, at its start.
link!(SqliteConnection, "BEGIN IMMEDIATE");
link!(MySqlConnection, "BEGIN");
