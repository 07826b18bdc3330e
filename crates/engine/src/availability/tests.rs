//! Tables told by hand, and watches over a cloud that answers as it is told.

use super::*;
use crate::seam::{Called, Clock, Cloud, Fut};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::function::{
    Asked, Cell, Fault, Function, Live, Mark, Offer, Question, SPAN_FORMAT, Sample, Span, scale,
};
use ostler_model::step::{Call, Through};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::time::Instant as Moment;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn cell(asked: Asked, marks: &str) -> Cell {
    let faults = marks.find(['-', 'a']).map(|tick| Fault { tick: tick as u32, what: "503".into() });
    let took = BTreeMap::from([(scale::step(40), marks.matches('+').count() as u32)]);
    Cell {
        service: "identity".into(),
        asked,
        marks: marks.into(),
        took,
        faults: faults.into_iter().collect(),
    }
}

fn span(began: i64, cells: &[(&str, &str)]) -> Span {
    let cells: Vec<Cell> = cells
        .iter()
        .map(|(asked, marks)| {
            let asked = if *asked == "virtual" { Asked::Virtual } else { Asked::Server((*asked).into()) };
            cell(asked, marks)
        })
        .collect();
    let ticks = cells.iter().map(|cell| cell.marks.len() as u32).max().unwrap_or(0);
    Span { format: SPAN_FORMAT, began: at(began), tick_ms: 5_000, ticks, cells }
}

fn figures(spans: &[Span], asked: &str) -> Figures {
    let table = table(spans, at(-100_000), at(100_000));
    let asked = if asked == "virtual" { Asked::Virtual } else { Asked::Server(asked.into()) };
    table.rows[0].cells[&asked].clone()
}

#[test]
fn a_gap_lasts_from_the_first_bad_answer_to_the_next_good_one() {
    let spans = [span(0, &[("ctl1", "+++--a+++-")])];
    let found = figures(&spans, "ctl1");
    assert_eq!((found.up, found.refused, found.down, found.gaps), (6, 1, 3, 2));
    let longest = found.longest.unwrap();
    assert_eq!((longest.from, longest.until), (at(15), at(30)));
    assert_eq!(longest.what.as_deref(), Some("503"));
    assert_eq!(figures(&spans, "ctl1").percent(), "60 %");
}

#[test]
fn one_failure_is_never_rounded_away() {
    let marks = format!("{}-", "+".repeat(19_999));
    assert_eq!(figures(&[span(0, &[("ctl1", &marks)])], "ctl1").percent(), "99.99 %");
}

#[test]
fn what_nobody_can_tell_counts_neither_way_and_ends_no_gap() {
    let found = figures(&[span(0, &[("ctl1", "+-??-+")])], "ctl1");
    assert_eq!((found.counted(), found.unknown, found.gaps), (4, 2, 1));
    assert_eq!(found.longest.unwrap().ms(), 20_000);
    let nothing = figures(&[span(0, &[("ctl1", "??")])], "ctl1");
    assert_eq!((nothing.share(), nothing.percent().as_str()), (None, "-"));
}

#[test]
fn a_gap_goes_on_from_span_to_span_but_not_over_a_time_that_nobody_watched() {
    let joined = [span(0, &[("ctl1", "++--")]), span(20, &[("ctl1", "--++")])];
    assert_eq!(figures(&joined, "ctl1").longest.unwrap().ms(), 20_000);
    let apart = [span(0, &[("ctl1", "++--")]), span(3_600, &[("ctl1", "--++")])];
    let found = figures(&apart, "ctl1");
    assert_eq!((found.gaps, found.longest.unwrap().ms()), (2, 10_000));
}

#[test]
fn any_is_as_good_as_the_best_server_and_leaves_the_virtual_address_out() {
    let spans = [span(0, &[("ctl1", "+--+"), ("ctl2", "+-+-"), ("virtual", "++++")])];
    let row = &table(&spans, at(0), at(100)).rows[0];
    assert_eq!((row.any.up, row.any.down), (3, 1));
    assert_eq!(row.any.longest.as_ref().unwrap().ms(), 5_000);
}

#[test]
fn only_what_lies_between_the_times_counts() {
    let spans = [span(0, &[("ctl1", "----++++")])];
    let found = table(&spans, at(20), at(30));
    assert_eq!((found.from, found.until), (Some(at(20)), Some(at(30))));
    assert_eq!(found.rows[0].cells.values().next().unwrap().up, 2);
    assert!(table(&spans, at(1_000), at(2_000)).rows.is_empty());
}

#[test]
fn the_ninety_fifth_of_a_hundred_is_told_not_the_slowest() {
    let mut one = cell(Asked::Virtual, "+");
    one.took = BTreeMap::from([(scale::step(10), 95), (scale::step(9_000), 5)]);
    let spans = [Span { format: SPAN_FORMAT, began: at(0), tick_ms: 1_000, ticks: 1, cells: vec![one] }];
    assert!(figures(&spans, "virtual").p95_ms.unwrap() <= 12);
}

#[test]
fn questions_are_asked_of_what_is_offered_and_what_is_unknown_is_said() {
    let offers = |kinds: &[&str]| -> Vec<Offer> {
        kinds.iter().map(|kind| Offer { kind: (*kind).into(), url: format!("http://{kind}") }).collect()
    };
    let functions = BTreeMap::from([("identity".into(), function())]);
    let (asked, unknown) =
        questions(&offers(&["id", "odd", "odd"]), &functions, &["ctl1".into()], false, 5_000);
    let asked: Vec<String> = asked.iter().map(|question| question.asked.to_string()).collect();
    assert_eq!((asked, unknown), (vec!["ctl1".to_owned(), "virtual".to_owned()], vec!["odd".to_owned()]));
    assert!(questions(&offers(&[]), &functions, &[], false, 5_000).0.is_empty());
}

fn function() -> Function {
    Function {
        name: "identity".into(),
        kinds: vec!["id".into()],
        port: 5000,
        live: Live { path: "/".into(), ok: vec![200] },
        calls: Vec::new(),
    }
}

/// Answers of a server, one after the other: a mark, and how long it takes.
struct Told {
    clock: Arc<Jumping>,
    answers: Mutex<Vec<(Mark, u64)>>,
}

impl Cloud for Told {
    fn call<'a>(&'a self, _: &'a Through, _: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async { Err(Why::new("never asked")) })
    }

    fn sample<'a>(&'a self, _: &'a Question) -> Fut<'a, Sample> {
        Box::pin(async {
            let next = self.answers.lock().unwrap().pop();
            let (mark, took_ms) = next.unwrap_or((Mark::Up, 1));
            self.clock.sleep(took_ms).await;
            Sample { mark, took_ms, what: mark.is_failure().then(|| "503".into()) }
        })
    }
}

/// tokio's paused clock.
struct Jumping(Moment);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        at(0) + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
    }
}

async fn watched(answers: &[(Mark, u64)], ticks: u32) -> (Vec<Span>, Span) {
    let clock = Arc::new(Jumping(Moment::now()));
    let answers = Mutex::new(answers.iter().rev().copied().collect());
    let cloud = Arc::new(Told { clock: Arc::clone(&clock), answers });
    let question = Question {
        function: function(),
        url: String::new(),
        asked: Asked::Virtual,
        by_ssh: false,
        limit_ms: 5_000,
    };
    let wanted = Wanted { questions: vec![question], every_ms: 5_000 };
    let mut watch = Watch::begin(cloud, clock, wanted);
    let mut full = Vec::new();
    for _ in 0..ticks {
        full.extend(watch.tick().await);
    }
    watch.rest().await;
    (full, watch.span().clone())
}

#[tokio::test(start_paused = true)]
async fn who_still_owes_an_answer_is_not_asked_again() {
    let (_, span) = watched(&[(Mark::Up, 1), (Mark::Down, 12_000), (Mark::Up, 1)], 6).await;
    assert_eq!(span.cells[0].marks, "+-..++");
    assert_eq!(span.cells[0].faults.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_span_ends_after_its_time_and_nothing_is_lost_between_two() {
    let ticks = (SPAN_MS / 5_000) as u32;
    let (full, rest) = watched(&[], ticks + 3).await;
    assert_eq!((full.len(), full[0].ticks, rest.ticks), (1, ticks, 3));
    assert_eq!(full[0].cells[0].marks.matches('+').count(), ticks as usize);
}

#[tokio::test(start_paused = true)]
async fn more_questions_than_the_rate_allows_make_ticks_longer() {
    let clock = Arc::new(Jumping(Moment::now()));
    let cloud = Arc::new(Told { clock: Arc::clone(&clock), answers: Mutex::default() });
    let question = Question {
        function: function(),
        url: String::new(),
        asked: Asked::Virtual,
        by_ssh: false,
        limit_ms: 5_000,
    };
    let wanted = Wanted { questions: vec![question; 200], every_ms: 1_000 };
    assert_eq!(Watch::begin(cloud, clock, wanted).every_ms(), 10_000);
}
