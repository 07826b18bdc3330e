//! A question for a list, as SQL.
//!
//! It builds SQL from literals of the tables only; it must never put a client's text into a statement.

use super::super::link::{Statement, Value};
use super::rows::Table;
use ostler_model::ha::list::{Direction, Field, Filter, Query, ROWS_MAX, Value as Held};

/// The statement that answers a question. A field that the table does not have is left out of the order, and makes a
/// filter that nothing passes.
pub(super) fn question<'a, T: Table>(query: &'a Query) -> Statement<'a> {
    let mut sql = format!("{}{}", T::SELECT, T::LIVE);
    let mut values = Vec::new();
    for filter in &query.filters {
        let (field, operator, value) = match filter {
            Filter::Is(field, value) => (field, "=", value),
            Filter::From(field, value) => (field, ">=", value),
        };
        match T::expression(*field) {
            Some(expression) => {
                sql.push_str(&format!(" AND {expression} {operator} ?"));
                values.push(held(value));
            }
            None => sql.push_str(" AND 1 = 0"),
        }
    }
    let mut order: Vec<(&'static str, Direction)> = Vec::new();
    for (field, direction) in &query.order {
        order.extend(T::expression(*field).map(|expression| (expression, *direction)));
    }
    order.extend(T::expression(Field::Number).map(|expression| (expression, query.last_direction())));
    if let Some(after) = &query.after {
        let number = Held::Number(after.number);
        let places: Vec<Value<'a>> = after.values.iter().map(held).chain([owned(&number)]).collect();
        // Beyond the place in the first field, or equal in it and beyond in the rest.
        let mut closing = String::new();
        for (index, (expression, direction)) in order.iter().enumerate().take(places.len()) {
            let operator = match direction {
                Direction::Ascending => ">",
                Direction::Descending => "<",
            };
            sql.push_str(if index == 0 { " AND (" } else { " OR (" });
            closing.push(')');
            if index + 1 < order.len().min(places.len()) {
                sql.push_str(&format!("{expression} {operator} ?"));
                sql.push_str(&format!(" OR ({expression} = ? AND (1 = 0"));
                closing.push_str("))");
                values.push(again(&places[index]));
                values.push(again(&places[index]));
            } else {
                sql.push_str(&format!("{expression} {operator} ?"));
                values.push(again(&places[index]));
            }
        }
        sql.push_str(&closing);
    }
    for (index, (expression, direction)) in order.iter().enumerate() {
        sql.push_str(if index == 0 { " ORDER BY " } else { ", " });
        sql.push_str(expression);
        sql.push_str(match direction {
            Direction::Ascending => " ASC",
            Direction::Descending => " DESC",
        });
    }
    sql.push_str(" LIMIT ?");
    values.push(i64::from(query.limit.min(ROWS_MAX)).into());
    // Prepared: there are few different questions, and the usual ones are asked all the time.
    Statement::built(sql, values).giving(T::COLUMNS)
}

fn held(value: &Held) -> Value<'_> {
    match value {
        Held::Number(number) => Value::Integer(*number),
        Held::Text(text) => text.as_str().into(),
    }
}

fn owned(value: &Held) -> Value<'static> {
    match value {
        Held::Number(number) => Value::Integer(*number),
        Held::Text(text) => text.clone().into(),
    }
}

fn again<'a>(value: &Value<'a>) -> Value<'a> {
    match value {
        Value::Integer(number) => Value::Integer(*number),
        Value::Text(text) => Value::Text(text.clone()),
        Value::Null => Value::Null,
    }
}
