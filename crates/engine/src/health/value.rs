//! What an expression comes to over evidence: a value, or the reason why it cannot be known.
//!
//! What was not seen never counts as false. `and` and `or` need both sides only where one does not decide.

use super::expr::{Compare, Expr, Function, Look, LookKind};
use jiff::civil::DateTime;
use ostler_model::Timestamp;
use ostler_model::health::{Evidence, Gap, Row, Table, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Why something cannot be known: what was not seen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub what: String,
    pub gap: Gap,
}

type Known = Result<Value, Unknown>;

/// Places of rows of one table by what is in one column.
type Index = Rc<HashMap<String, Vec<usize>>>;

/// Evidence, and indexes over it as they are needed.
pub(super) struct Scene<'a> {
    tables: BTreeMap<&'a str, &'a Table>,
    now: Timestamp,
    indexes: RefCell<HashMap<(String, String), Index>>,
}

/// What is looked at: a row or a group of rows of a table, perhaps from within another row.
#[derive(Clone, Copy)]
pub(super) struct Eye<'a> {
    pub table: &'a str,
    pub rows: &'a [&'a Row],
    pub outer: Option<&'a Row>,
}

impl<'a> Eye<'a> {
    fn row(&self) -> Option<&'a Row> {
        self.rows.first().copied()
    }

    fn host(&self) -> Option<&'a str> {
        self.row().and_then(|row| row.get("host")).and_then(Value::text)
    }
}

impl<'a> Scene<'a> {
    /// A table beside the evidence stands in place of one of its own: evidence of a big cloud is not copied for that.
    pub fn new(evidence: &'a Evidence, beside: Option<(&'a str, &'a Table)>) -> Self {
        let own = evidence.tables.iter().map(|(name, table)| (name.as_str(), table));
        Self {
            tables: own.chain(beside).collect(),
            now: evidence.taken,
            indexes: RefCell::new(HashMap::new()),
        }
    }

    /// A table, if it was looked at.
    pub fn table(&self, name: &str) -> Option<&'a Table> {
        self.tables.get(name).copied()
    }

    /// Whether an expression holds.
    pub fn holds(&self, expr: &Expr, eye: &Eye<'_>) -> Result<bool, Unknown> {
        self.value(expr, eye).map(|value| is_true(&value))
    }

    /// What an expression comes to.
    pub fn value(&self, expr: &Expr, eye: &Eye<'_>) -> Known {
        match expr {
            Expr::Null => Ok(Value::Null),
            Expr::Bool(truth) => Ok(Value::Bool(*truth)),
            Expr::Number(number) => Ok(Value::Number(*number)),
            Expr::Text(text) => Ok(Value::Text(text.clone())),
            Expr::List(items) => {
                Ok(Value::List(items.iter().map(|item| self.value(item, eye)).collect::<Result<_, _>>()?))
            }
            Expr::Column(name) => column(eye.row(), eye.table, name),
            Expr::Outer(name) => column(eye.outer, "the row outside", name),
            Expr::Not(inner) => Ok(Value::Bool(!self.holds(inner, eye)?)),
            Expr::And(left, right) => match self.holds(left, eye) {
                Ok(false) => Ok(Value::Bool(false)),
                Ok(true) => self.holds(right, eye).map(Value::Bool),
                Err(unknown) => match self.holds(right, eye) {
                    Ok(false) => Ok(Value::Bool(false)),
                    _ => Err(unknown),
                },
            },
            Expr::Or(left, right) => match self.holds(left, eye) {
                Ok(true) => Ok(Value::Bool(true)),
                Ok(false) => self.holds(right, eye).map(Value::Bool),
                Err(unknown) => match self.holds(right, eye) {
                    Ok(true) => Ok(Value::Bool(true)),
                    _ => Err(unknown),
                },
            },
            Expr::Compare(how, left, right) => {
                compare(*how, &self.value(left, eye)?, &self.value(right, eye)?).map(Value::Bool).map_err(
                    |what| Unknown {
                        what: eye.table.to_owned(),
                        gap: Gap { host: own(eye.host()), why: what },
                    },
                )
            }
            Expr::Reckon(sign, left, right) => {
                Ok(reckon(*sign, &self.value(left, eye)?, &self.value(right, eye)?))
            }
            Expr::Call(function, arguments) => self.call(*function, arguments, eye),
            Expr::Look(look) => self.look(look, eye),
        }
    }

    fn call(&self, function: Function, arguments: &[Expr], eye: &Eye<'_>) -> Known {
        let argument = |place: usize| match arguments.get(place) {
            Some(expr) => self.value(expr, eye),
            None => Ok(Value::Null),
        };
        Ok(match function {
            Function::Age => since(&argument(0)?, self.now).into(),
            Function::Until => since(&argument(0)?, self.now).map(|seconds| -seconds).into(),
            Function::Has => Value::Bool(!is_nothing(&argument(0)?)),
            Function::Default => match argument(0) {
                Ok(Value::Null) | Err(_) => argument(1)?,
                Ok(value) => value,
            },
            Function::Lower => Value::Text(argument(0)?.to_string().to_lowercase()),
            Function::Starts => is_text(&argument(0)?, &argument(1)?, |all, part| all.starts_with(part)),
            Function::Ends => is_text(&argument(0)?, &argument(1)?, |all, part| all.ends_with(part)),
            Function::Contains => match argument(0)? {
                Value::List(items) => {
                    let wanted = argument(1)?;
                    Value::Bool(items.contains(&wanted))
                }
                other => is_text(&other, &argument(1)?, |all, part| all.contains(part)),
            },
            Function::Length => match argument(0)? {
                Value::List(items) => Value::Number(items.len() as f64),
                Value::Text(text) => Value::Number(text.chars().count() as f64),
                _ => Value::Number(0.0),
            },
            Function::Abs => argument(0)?.number().map(f64::abs).into(),
            Function::Share => match (argument(0)?.number(), argument(1)?.number()) {
                (Some(part), Some(all)) if all > 0.0 => Value::Number(100.0 * part / all),
                _ => Value::Null,
            },
            Function::Part => {
                let (text, sign, place) = (argument(0)?, argument(1)?, argument(2)?);
                let place = place.number().unwrap_or(0.0) as usize;
                let text = text.to_string();
                text.split(sign.text().unwrap_or(" ")).nth(place).map(str::to_owned).into()
            }
            Function::Rows => Value::Number(match arguments.first() {
                None => eye.rows.len() as f64,
                Some(expr) => self.over(expr, eye)?.iter().filter(|value| is_true(value)).count() as f64,
            }),
            Function::Sum => {
                let values = self.over(&arguments[0], eye)?;
                Value::Number(values.iter().filter_map(Value::number).sum())
            }
            Function::Most => extreme(&self.over(&arguments[0], eye)?, f64::max),
            Function::Least => extreme(&self.over(&arguments[0], eye)?, f64::min),
            Function::Kinds => Value::Number(distinct(&self.over(&arguments[0], eye)?).len() as f64),
            Function::Each => {
                // With a second argument: only of rows for which that holds.
                let values = self.over(&arguments[0], eye)?;
                let values = match arguments.get(1) {
                    None => values,
                    Some(which) => {
                        let which = self.over(which, eye)?;
                        let kept = values.into_iter().zip(which).filter(|(_, holds)| is_true(holds));
                        kept.map(|(value, _)| value).collect()
                    }
                };
                Value::List(distinct(&values).into_iter().map(Value::Text).collect())
            }
            Function::Whole => match self.table(eye.table).and_then(|table| table.gaps.first()) {
                None => Value::Bool(true),
                Some(gap) => return Err(Unknown { what: eye.table.to_owned(), gap: gap.clone() }),
            },
        })
    }

    /// An expression over each row of a group.
    fn over(&self, expr: &Expr, eye: &Eye<'_>) -> Result<Vec<Value>, Unknown> {
        let each = eye.rows.iter().map(|row| {
            let rows = [*row];
            self.value(expr, &Eye { rows: &rows, ..*eye })
        });
        each.collect()
    }

    fn look(&self, look: &Look, eye: &Eye<'_>) -> Known {
        let Some(table) = self.table(&look.table) else {
            if look.kind == LookKind::Seen {
                return Ok(Value::Bool(false));
            }
            let gap = Gap { host: None, why: "it was not looked at".to_owned() };
            return Err(Unknown { what: look.table.clone(), gap });
        };
        if look.kind == LookKind::Seen {
            return Ok(Value::Bool(table.gaps.iter().all(|gap| gap.host.is_some())));
        }
        let places: Option<Vec<usize>> = match &look.key {
            None => None,
            Some((column, wanted)) => {
                let wanted = self.value(wanted, eye)?.to_string();
                Some(self.index(&look.table, column).get(&wanted).cloned().unwrap_or_default())
            }
        };
        let all = 0..table.rows.len();
        let places: Box<dyn Iterator<Item = usize>> = match places {
            Some(places) => Box::new(places.into_iter()),
            None => Box::new(all),
        };
        let rows = places.filter_map(|place| table.rows.get(place));
        let inner = |row: &Row| {
            let rows = [row];
            let within = Eye { table: &look.table, rows: &rows, outer: eye.row() };
            look.inner.as_deref().map_or(Ok(Value::Bool(true)), |inner| self.value(inner, &within))
        };
        let mut doubt = None;
        let (mut count, mut total) = (0.0, 0.0);
        for row in rows {
            match (look.kind, inner(row)) {
                (LookKind::First, Ok(value)) => return Ok(value),
                (LookKind::Any, Ok(value)) if is_true(&value) => return Ok(Value::Bool(true)),
                (LookKind::Total, Ok(value)) => total += value.number().unwrap_or(0.0),
                (_, Ok(value)) => count += f64::from(u8::from(is_true(&value))),
                (_, Err(unknown)) => doubt = doubt.or(Some(unknown)),
            }
        }
        // Whatever is missing of this row's own host, or of the cloud, could have been such a row.
        let gap = table.gaps.iter().find(|gap| match (&gap.host, eye.host()) {
            (Some(missing), Some(own)) => missing == own,
            _ => true,
        });
        if let Some(gap) = gap {
            return Err(Unknown { what: look.table.clone(), gap: gap.clone() });
        }
        match (doubt, look.kind) {
            (Some(doubt), _) => Err(doubt),
            (None, LookKind::Count) => Ok(Value::Number(count)),
            (None, LookKind::Total) => Ok(Value::Number(total)),
            (None, LookKind::First) => Ok(Value::Null),
            (None, LookKind::Any | LookKind::Seen) => Ok(Value::Bool(false)),
        }
    }

    fn index(&self, table: &str, column: &str) -> Index {
        let mut indexes = self.indexes.borrow_mut();
        let name = (table.to_owned(), column.to_owned());
        let made = indexes.entry(name).or_insert_with(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (place, row) in self.table(table).into_iter().flat_map(|table| &table.rows).enumerate() {
                if let Some(value) = row.get(column).filter(|value| **value != Value::Null) {
                    index.entry(value.to_string()).or_default().push(place);
                }
            }
            Rc::new(index)
        });
        Rc::clone(made)
    }
}

fn own(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn column(row: Option<&Row>, table: &str, name: &str) -> Known {
    let found = row.and_then(|row| row.get(name));
    found.cloned().ok_or_else(|| Unknown {
        what: table.to_owned(),
        gap: Gap {
            host: own(row.and_then(|row| row.get("host")).and_then(Value::text)),
            why: format!("`{name}` was not seen"),
        },
    })
}

/// What counts as true.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => *number != 0.0,
        other => !is_nothing(other),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn compare(how: Compare, left: &Value, right: &Value) -> Result<bool, String> {
    match how {
        Compare::Equal => return Ok(left == right),
        Compare::Unequal => return Ok(left != right),
        Compare::In => {
            return match right {
                Value::List(items) => Ok(items.contains(left)),
                other => Err(format!("`{other}` is no list")),
            };
        }
        _ => {}
    }
    let order = match (left, right) {
        // What was seen to be nothing is neither more nor less.
        (Value::Null, _) | (_, Value::Null) => return Ok(false),
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => return Err(format!("`{left}` cannot be compared with `{right}`")),
    };
    Ok(order.is_some_and(|order| match how {
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::More => order.is_gt(),
        _ => order.is_ge(),
    }))
}

fn reckon(sign: char, left: &Value, right: &Value) -> Value {
    let (Some(left), Some(right)) = (left.number(), right.number()) else {
        return Value::Null;
    };
    let number = match sign {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        _ if right == 0.0 => return Value::Null,
        _ => left / right,
    };
    Value::Number(number)
}

fn is_text(all: &Value, part: &Value, is: impl Fn(&str, &str) -> bool) -> Value {
    match (all.text(), part.text()) {
        (Some(all), Some(part)) => Value::Bool(is(all, part)),
        _ => Value::Bool(false),
    }
}

fn extreme(values: &[Value], of: impl Fn(f64, f64) -> f64) -> Value {
    values.iter().filter_map(Value::number).reduce(of).into()
}

fn distinct(values: &[Value]) -> BTreeSet<String> {
    values.iter().filter(|value| !is_nothing(value)).map(Value::to_string).collect()
}

/// Seconds since a moment: a number of seconds since 1970, or a text with or without a zone (then UTC).
fn since(value: &Value, now: Timestamp) -> Option<f64> {
    let at = match value {
        Value::Number(seconds) => return Some(now.as_millisecond() as f64 / 1_000.0 - seconds),
        Value::Text(text) => text.parse::<Timestamp>().ok().or_else(|| {
            let civil: DateTime = text.trim_end_matches('Z').parse().ok()?;
            civil.in_tz("UTC").ok().map(|zoned| zoned.timestamp())
        })?,
        _ => return None,
    };
    Some((now.as_millisecond() - at.as_millisecond()) as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::expr::read;
    use super::*;

    fn evidence(json: &str) -> Evidence {
        let mut evidence = Evidence::new("c", "2026-11-01T12:00:00Z".parse().unwrap());
        evidence.tables = serde_json::from_str(json).unwrap();
        evidence
    }

    fn asked(json: &str, text: &str) -> Result<String, String> {
        let evidence = evidence(json);
        let scene = Scene::new(&evidence, None);
        let rows: Vec<&Row> = evidence.rows("t").iter().collect();
        let eye = Eye { table: "t", rows: &rows, outer: None };
        scene
            .value(&read(text).unwrap(), &eye)
            .map(|value| value.to_string())
            .map_err(|unknown| unknown.gap.why)
    }

    const ROWS: &str = r#"{"t": {"rows": [
        {"host": "a", "n": 3, "at": "2026-11-01T11:59:00", "none": null, "list": ["x", "y"]},
        {"host": "b", "n": 4}]},
        "other": {"rows": [{"host": "a", "up": true}, {"host": "b"}]},
        "holed": {"rows": [], "gaps": [{"host": "b", "why": "no answer"}]},
        "dark": {"rows": [], "gaps": [{"why": "no token"}]}}"#;

    #[test]
    fn expressions_over_a_row_and_a_group() {
        for (text, value) in [
            ("n + 1 = 4 and not false", "yes"),
            ("age(at)", "60"),
            ("has(none) or none > 3 or none < 3", "no"),
            ("default(missing, 7) * 2", "14"),
            ("'y' in list and contains(list, 'x')", "yes"),
            ("sum(n) / rows()", "3.5"),
            ("rows(n > 3)", "1"),
            ("each(host)", "a, b"),
            ("each(host, n > 3)", "b"),
            ("most(n) - least(n)", "1"),
            ("share(1, 0)", "none"),
            ("part('a:b:c', ':', 1)", "b"),
            ("starts(host, 'a') and ends(host, 'a')", "yes"),
            ("1 / 0", "none"),
        ] {
            assert_eq!(asked(ROWS, text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_was_not_seen_is_unknown_unless_the_rest_decides() {
        assert_eq!(asked(ROWS, "missing > 3"), Err("`missing` was not seen".into()));
        assert_eq!(asked(ROWS, "missing > 3 or n = 3").as_deref(), Ok("yes"));
        assert_eq!(asked(ROWS, "missing > 3 and n = 9").as_deref(), Ok("no"));
        assert!(asked(ROWS, "missing > 3 and n = 3").is_err());
        assert!(asked(ROWS, "not missing").is_err());
        assert!(asked(ROWS, "host > 3").is_err());
    }

    #[test]
    fn other_tables_are_looked_at_by_key_and_their_holes_are_no_answers() {
        assert_eq!(asked(ROWS, "any(other.host = host, up)").as_deref(), Ok("yes"));
        assert_eq!(asked(ROWS, "count(other.host = host)").as_deref(), Ok("1"));
        assert_eq!(asked(ROWS, "first(other.host = host, host)").as_deref(), Ok("a"));
        assert_eq!(asked(ROWS, "first(other.host = 'z', host)").as_deref(), Ok("none"));
        assert_eq!(asked(ROWS, "total(other.host = host, 5)").as_deref(), Ok("5"));
        assert_eq!(asked(ROWS, "any(other, ^n = 3 and up)").as_deref(), Ok("yes"));
        assert_eq!(asked(ROWS, "any(nowhere)"), Err("it was not looked at".into()));
        assert_eq!(asked(ROWS, "seen(nowhere) or seen(dark)").as_deref(), Ok("no"));
        // The hole is on another host than the row: this row's host was seen.
        assert_eq!(asked(ROWS, "any(holed.host = host)").as_deref(), Ok("no"));
        assert_eq!(asked(ROWS, "any(dark)"), Err("no token".into()));
    }
}
