//! The words of a query string: which rows, in which order, from where on, how many.
//!
//! What nobody knows is left alone, as clients expect. It must never take a client's word for the name of a column.

use super::fault::{Fault, shown};
use super::input::truth_of;
use ostler_engine::seam::StoreError;
use ostler_model::ha::Named;
use ostler_model::ha::list::{Direction, Field, Query, ROWS_MAX, Row};
use std::future::Future;

/// The words of a query string, in order.
pub struct Words(Vec<(String, String)>);

impl Words {
    /// Reads a query string.
    pub fn of(query: Option<&str>) -> Result<Words, Fault> {
        let mut words = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            words.push((unescape(name)?, unescape(value)?));
        }
        Ok(Words(words))
    }

    /// A word: the last one, if it is repeated.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A filter by text.
    pub fn text(&self, query: Query, name: &str, field: Field) -> Query {
        match self.last(name) {
            Some(text) => query.filter(field, text),
            None => query,
        }
    }

    /// A filter by yes or no.
    pub fn truth(&self, query: Query, name: &str, field: Field) -> Result<Query, Fault> {
        let Some(word) = self.last(name) else { return Ok(query) };
        match truth_of(word) {
            Some(truth) => Ok(query.filter(field, truth)),
            None => Err(Fault::bad(format!(
                "Invalid value '{}' for {name}: it is not a boolean; say true or false.",
                shown(word)
            ))),
        }
    }

    /// Order and number of rows. `fields` are the words for what a list can be ordered by; none: by nothing, as it is
    /// the same for all.
    pub fn order(&self, fields: &[(&str, Option<Field>)]) -> Result<Query, Fault> {
        let mut query = Query { order: Vec::new(), ..Query::default() };
        if let Some(limit) = self.last("limit") {
            let limit = limit.trim().parse::<u64>().map_err(|_| {
                Fault::bad(format!("Limit param '{}' must be an integer that is not negative.", shown(limit)))
            })?;
            query.limit = u32::try_from(limit).unwrap_or(ROWS_MAX).min(ROWS_MAX);
        }
        let mut keys: Vec<&str> = self.all("sort_key").collect();
        if keys.is_empty() {
            keys.push("created_at");
        }
        let mut directions = Vec::new();
        for word in self.all("sort_dir") {
            directions.push(match word {
                "asc" => Direction::Ascending,
                "desc" => Direction::Descending,
                _ => {
                    return Err(Fault::bad(format!(
                        "Unknown sort direction '{}'; it must be 'asc' or 'desc'.",
                        shown(word)
                    )));
                }
            });
        }
        if directions.len() > keys.len() {
            return Err(Fault::bad("Sort direction size exceeds sort key size."));
        }
        let default = directions.first().copied().unwrap_or(Direction::Descending);
        directions.resize(keys.len(), default);
        for (key, direction) in keys.into_iter().zip(directions) {
            let known = fields.iter().find(|(word, _)| *word == key);
            let Some((_, field)) = known else {
                return Err(Fault::bad(format!(
                    "Sort key '{}' is not one of these rows' fields.",
                    shown(key)
                )));
            };
            let is_new = |field: &Field| !query.order.iter().any(|(known, _)| known == field);
            if let Some(field) = field.filter(is_new) {
                query.order.push((field, direction));
            }
        }
        if query.order.is_empty() {
            query.order.push((Field::Number, default));
        }
        Ok(query)
    }

    /// Where the list goes on: after a row that is named by number or identity. An empty name is none.
    pub async fn after<R: Row, F>(&self, query: Query, find: impl Fn(Named) -> F) -> Result<Query, Fault>
    where
        F: Future<Output = Result<Option<R>, StoreError>>,
    {
        let Some(marker) = self.last("marker").filter(|marker| !marker.is_empty()) else { return Ok(query) };
        let row = find(named(marker)).await?;
        let row = row.ok_or_else(|| Fault::bad(format!("Marker {} could not be found.", shown(marker))))?;
        Ok(Query { after: Some(query.place_of(&row)), ..query })
    }
}

/// Something by the text that names it in a path or as a marker.
pub fn named(text: &str) -> Named {
    match text.parse::<i64>() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Named::Number(number),
        _ => Named::Id(text.to_owned()),
    }
}

/// Takes `%20` and `+` for a space, as in any query string.
fn unescape(text: &str) -> Result<String, Fault> {
    percent(text, true)
}

/// Takes `%2D` for `-`, as in any path.
pub fn percent(text: &str, is_query: bool) -> Result<String, Fault> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', ..) if is_query => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).map_err(|_| Fault::bad("The URL is not UTF-8."))
}
