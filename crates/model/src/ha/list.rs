//! How a list of the register is asked for: which rows, in which order, from where on.
//!
//! One vocabulary for all four kinds of rows, so that every store orders and cuts alike. It must never know how a
//! client spells a field.

use super::{Host, Move, Notification, Segment, Status};
use jiff::Timestamp;
use std::cmp::Ordering;

/// Rows of one list. What asks for more gets these, and asks on from the last one.
pub const ROWS_MAX: u32 = 1_000;

/// Where a time that is absent stands in an order: before all others, as databases have it.
pub const NO_TIME: i64 = -9_000_000_000_000_000_000;

/// A field by which rows are found or ordered. Not every row has every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The number.
    Number,
    /// The identity.
    Id,
    /// The name, of an instance's move the instance's.
    Name,
    /// When it was made.
    Created,
    /// When it was last changed.
    Updated,
    /// What a segment's hosts are for.
    ServiceType,
    /// Whether a segment is enabled.
    Enabled,
    /// What a person says of a segment.
    Description,
    /// Where instances go.
    RecoveryMethod,
    /// The segment that a host or notification belongs to.
    Segment,
    /// What a host, notification or move is.
    Kind,
    /// How a host is controlled.
    ControlAttributes,
    /// Whether a host is kept free.
    Reserved,
    /// Whether a host is out of service, for whatever reason.
    Out,
    /// When a notification says that it happened.
    Generated,
    /// The host of a notification.
    Host,
    /// What a notification says.
    Payload,
    /// What became of it.
    Status,
    /// Why.
    Message,
    /// The notification of a move.
    Notification,
    /// The instance of a move.
    Instance,
    /// From where.
    Source,
    /// To where.
    Destination,
    /// When a move was asked for.
    Started,
    /// When it was over.
    Ended,
}

/// What a field holds, as far as order and equality go. Nothing comes before everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A number, a time in microseconds, or a truth.
    Number(i64),
    /// Text, by its bytes.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Number(i64::from(truth))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::Number(time.as_microsecond())
    }
}

fn time(time: Option<Timestamp>) -> Value {
    Value::Number(time.map_or(NO_TIME, Timestamp::as_microsecond))
}

fn text(text: Option<&str>) -> Value {
    Value::from(text.unwrap_or_default())
}

/// Something that can be listed.
pub trait Row: Clone + Send + Sync {
    /// What a field holds. None: such rows have no such field.
    fn field(&self, field: Field) -> Option<Value>;
    /// Its number.
    fn number(&self) -> i64;
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those whose field holds this.
    Is(Field, Value),
    /// Those whose field holds this or more.
    From(Field, Value),
}

/// A row after which a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// What it holds in the fields of the order.
    pub values: Vec<Value>,
    /// Its number.
    pub number: i64,
}

/// A question for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which rows: those that pass all of these.
    pub filters: Vec<Filter>,
    /// In which order. Rows that are equal in it are ordered by number, in the direction of the last.
    pub order: Vec<(Field, Direction)>,
    /// From where on.
    pub after: Option<After>,
    /// How many at most.
    pub limit: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            order: vec![(Field::Created, Direction::Descending)],
            after: None,
            limit: ROWS_MAX,
        }
    }
}

impl Query {
    /// Notifications or moves of one status, oldest first.
    pub fn of_status(status: Status, limit: u32) -> Self {
        Self {
            filters: vec![Filter::Is(Field::Status, status.word().into())],
            order: vec![(Field::Number, Direction::Ascending)],
            after: None,
            limit,
        }
    }

    /// The same with one more filter.
    pub fn filter(mut self, field: Field, value: impl Into<Value>) -> Self {
        self.filters.push(Filter::Is(field, value.into()));
        self
    }

    /// Which way rows go that are equal in every field of the order.
    pub fn last_direction(&self) -> Direction {
        self.order.last().map_or(Direction::Descending, |(_, direction)| *direction)
    }

    /// The place of a row in this order.
    pub fn place_of(&self, row: &impl Row) -> After {
        let values = self.order.iter().filter_map(|(field, _)| row.field(*field)).collect();
        After { values, number: row.number() }
    }

    /// What it answers from all rows there are. A store without a query language of its own uses this.
    pub fn of<R: Row>(&self, rows: impl Iterator<Item = R>) -> Vec<R> {
        let mut found: Vec<(After, R)> =
            rows.filter(|row| self.passes(row)).map(|row| (self.place_of(&row), row)).collect();
        found.sort_by(|(one, _), (other, _)| self.compare(one, other));
        let is_after = |place: &After| match &self.after {
            Some(after) => self.compare(place, after) == Ordering::Greater,
            None => true,
        };
        let rest = found.into_iter().filter(|(place, _)| is_after(place));
        rest.map(|(_, row)| row).take(self.limit as usize).collect()
    }

    fn passes(&self, row: &impl Row) -> bool {
        self.filters.iter().all(|filter| match filter {
            Filter::Is(field, value) => row.field(*field).as_ref() == Some(value),
            Filter::From(field, value) => row.field(*field).is_some_and(|held| held >= *value),
        })
    }

    fn compare(&self, one: &After, other: &After) -> Ordering {
        let pairs = one.values.iter().zip(&other.values).zip(&self.order);
        let by_fields = pairs.map(|((one, other), (_, direction))| turned(one.cmp(other), *direction));
        let by_number = turned(one.number.cmp(&other.number), self.last_direction());
        by_fields.fold(Ordering::Equal, Ordering::then).then(by_number)
    }
}

fn turned(ordering: Ordering, direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => ordering,
        Direction::Descending => ordering.reverse(),
    }
}

impl Row for Segment {
    fn number(&self) -> i64 {
        self.number
    }

    fn field(&self, field: Field) -> Option<Value> {
        Some(match field {
            Field::Number => Value::Number(self.number),
            Field::Id => self.id.as_str().into(),
            Field::Name => self.name.as_str().into(),
            Field::Created => self.created.into(),
            Field::Updated => time(self.updated),
            Field::ServiceType => self.service_type.as_str().into(),
            Field::Enabled => self.enabled.into(),
            Field::Description => text(self.description.as_deref()),
            Field::RecoveryMethod => self.recovery_method.word().into(),
            _ => return None,
        })
    }
}

impl Row for Host {
    fn number(&self) -> i64 {
        self.number
    }

    fn field(&self, field: Field) -> Option<Value> {
        Some(match field {
            Field::Number => Value::Number(self.number),
            Field::Id => self.id.as_str().into(),
            Field::Name => self.name.as_str().into(),
            Field::Created => self.created.into(),
            Field::Updated => time(self.updated),
            Field::Segment => self.segment.as_str().into(),
            Field::Kind => self.kind.as_str().into(),
            Field::ControlAttributes => self.control_attributes.as_str().into(),
            Field::Reserved => self.reserved.into(),
            Field::Out => self.is_out().into(),
            _ => return None,
        })
    }
}

impl Row for Notification {
    fn number(&self) -> i64 {
        self.number
    }

    fn field(&self, field: Field) -> Option<Value> {
        Some(match field {
            Field::Number => Value::Number(self.number),
            Field::Id => self.id.as_str().into(),
            Field::Created => self.created.into(),
            Field::Updated => time(self.updated),
            Field::Generated => self.generated.into(),
            Field::Host => self.host.as_str().into(),
            Field::Kind => self.payload.kind().word().into(),
            Field::Payload => Value::Text(serde_json::to_string(&self.payload).unwrap_or_default()),
            Field::Status => self.status.word().into(),
            Field::Segment => text(self.segment.as_ref().map(|segment| segment.as_str())),
            Field::Message => text(self.message.as_deref()),
            _ => return None,
        })
    }
}

impl Row for Move {
    fn number(&self) -> i64 {
        self.number
    }

    fn field(&self, field: Field) -> Option<Value> {
        Some(match field {
            Field::Number => Value::Number(self.number),
            Field::Id => self.id.as_str().into(),
            Field::Name => self.instance_name.as_str().into(),
            Field::Created => self.created.into(),
            Field::Updated => time(self.updated),
            Field::Notification => self.notification.as_str().into(),
            Field::Instance => self.instance.as_str().into(),
            Field::Source => text(self.source.as_deref()),
            Field::Destination => text(self.destination.as_deref()),
            Field::Started => time(self.started),
            Field::Ended => time(self.ended),
            Field::Kind => self.kind.word().into(),
            Field::Status => self.status.word().into(),
            Field::Message => text(self.message.as_deref()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::RecoveryMethod;

    fn segment(number: i64, name: &str, second: i64) -> Segment {
        Segment {
            number,
            id: format!("id-{number}").as_str().into(),
            name: name.into(),
            service_type: "COMPUTE".into(),
            enabled: number % 2 == 1,
            description: None,
            recovery_method: RecoveryMethod::Auto,
            created: Timestamp::from_second(second).unwrap(),
            updated: None,
        }
    }

    fn numbers(query: &Query, rows: &[Segment]) -> Vec<i64> {
        query.of(rows.iter().cloned()).iter().map(|row| row.number).collect()
    }

    #[test]
    fn a_list_is_newest_first_and_goes_on_after_a_row() {
        let rows = [segment(1, "b", 10), segment(2, "a", 20), segment(3, "c", 20)];
        let query = Query::default();
        assert_eq!(numbers(&query, &rows), [3, 2, 1]);
        let after = Query { after: Some(query.place_of(&rows[2])), ..query };
        assert_eq!(numbers(&after, &rows), [2, 1]);
        assert_eq!(numbers(&Query { limit: 1, ..after }, &rows), [2]);
    }

    #[test]
    fn an_order_of_several_fields_has_a_direction_for_each() {
        let rows = [segment(1, "b", 10), segment(2, "a", 20), segment(3, "b", 30)];
        let order = vec![(Field::Name, Direction::Descending), (Field::Created, Direction::Ascending)];
        let query = Query { order, ..Query::default() };
        assert_eq!(numbers(&query, &rows), [1, 3, 2]);
        let after = Query { after: Some(query.place_of(&rows[0])), ..query };
        assert_eq!(numbers(&after, &rows), [3, 2]);
    }

    #[test]
    fn filters_are_all_passed() {
        let rows = [segment(1, "a", 10), segment(2, "a", 20), segment(3, "b", 30)];
        let query = Query::default().filter(Field::Name, "a").filter(Field::Enabled, true);
        assert_eq!(numbers(&query, &rows), [1]);
        let from = Filter::From(Field::Created, Timestamp::from_second(20).unwrap().into());
        assert_eq!(numbers(&Query { filters: vec![from], ..Query::default() }, &rows), [3, 2]);
    }
}
