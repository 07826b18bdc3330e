//! From spans to the table: shares, gaps, times.
//!
//! A share is never rounded up to the whole: one failure in a month is to be seen.

use ostler_model::Timestamp;
use ostler_model::function::{Asked, Cell, Mark, Span, scale};
use ostler_model::ids::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Ticks without an answer after which nobody was watching: what was bad before is not held against that time.
const BLIND_TICKS: u64 = 3;

/// What was found in a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The first tick; none: nothing was watched.
    pub from: Option<Timestamp>,
    /// The end of the last one.
    pub until: Option<Timestamp>,
    /// Whom was asked, servers in order of name, then the virtual address.
    pub asked: Vec<Asked>,
    /// One for each service, in order of name.
    pub rows: Vec<Row>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The service.
    pub service: ServiceName,
    /// At each address that it was asked at.
    pub cells: BTreeMap<Asked, Figures>,
    /// At any of its servers: as good as the best of them.
    pub any: Figures,
}

/// How it was at one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answers that were good.
    pub up: u64,
    /// It lived, but a call with a token failed.
    pub refused: u64,
    /// It did not answer, or said that it does not live.
    pub down: u64,
    /// Nobody could tell.
    pub unknown: u64,
    /// The longest time without a good answer.
    pub longest: Option<Gap>,
    /// How many gaps there were.
    pub gaps: u32,
    /// Of a hundred good answers, ninety-five took at most so long.
    pub p95_ms: Option<u64>,
}

/// A time without a good answer: from the first bad one to the next good one, or to the end of what was watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From.
    pub from: Timestamp,
    /// To.
    pub until: Timestamp,
    /// What went wrong first.
    pub what: Option<String>,
}

impl Gap {
    /// How long it was.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.until.duration_since(self.from).as_millis()).unwrap_or(0)
    }
}

impl Figures {
    /// Answers that count.
    pub fn counted(&self) -> u64 {
        self.up + self.refused + self.down
    }

    /// Good answers in hundredths of a percent, rounded down; none, if nothing counts.
    pub fn share(&self) -> Option<u64> {
        (self.up * 10_000).checked_div(self.counted())
    }

    /// The share as people read it: `100 %`, `99.9 %`, `0 %`, `-`.
    pub fn percent(&self) -> String {
        match self.share() {
            None => "-".to_owned(),
            Some(share) if share.is_multiple_of(100) => format!("{} %", share / 100),
            Some(share) => format!("{}.{:02} %", share / 100, share % 100),
        }
    }
}

/// One service's cells of all spans, by whom was asked.
type Parts<'a> = BTreeMap<&'a Asked, Vec<(&'a Span, &'a Cell)>>;

/// One answer with its time.
struct Point<'a> {
    at_ms: i64,
    tick_ms: u64,
    mark: Mark,
    what: Option<&'a str>,
}

/// The table of what these spans hold between two times. Spans may overlap: several may have watched.
pub fn table(spans: &[Span], from: Timestamp, until: Timestamp) -> Availability {
    let (from_ms, until_ms) = (from.as_millisecond(), until.as_millisecond());
    let mut services: BTreeMap<&ServiceName, Parts<'_>> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    let (mut first, mut last) = (None::<i64>, None::<i64>);
    for span in spans {
        let began = span.began.as_millisecond();
        let ended = began.saturating_add_unsigned(u64::from(span.ticks) * span.tick_ms);
        if ended <= from_ms || began >= until_ms || span.ticks == 0 {
            continue;
        }
        first = Some(first.unwrap_or(i64::MAX).min(began.max(from_ms)));
        last = Some(last.unwrap_or(i64::MIN).max(ended.min(until_ms)));
        for cell in &span.cells {
            asked.insert(&cell.asked);
            let of = services.entry(&cell.service).or_default();
            of.entry(&cell.asked).or_default().push((span, cell));
        }
    }
    let rows = services.into_iter().map(|(service, cells)| {
        let any = any(&cells, from_ms, until_ms);
        let cells = cells.into_iter().map(|(asked, parts)| {
            let mut points: Vec<Point<'_>> =
                parts.iter().flat_map(|(span, cell)| points(span, cell, from_ms, until_ms)).collect();
            points.sort_by_key(|point| point.at_ms);
            let mut figures = figures(&points);
            figures.p95_ms = p95(parts.iter().map(|(_, cell)| &cell.took));
            (asked.clone(), figures)
        });
        Row { service: service.clone(), cells: cells.collect(), any }
    });
    let time = |ms: Option<i64>| ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Availability {
        rows: rows.collect(),
        from: time(first),
        until: time(last),
        asked: asked.into_iter().cloned().collect(),
    }
}

fn points<'a>(
    span: &'a Span,
    cell: &'a Cell,
    from_ms: i64,
    until_ms: i64,
) -> impl Iterator<Item = Point<'a>> {
    let began = span.began.as_millisecond();
    let all = cell.marks.chars().zip(0u32..).filter(|(mark, _)| Mark::of(*mark) != Mark::NotAsked);
    all.filter_map(move |(mark, tick)| {
        let at_ms = began.saturating_add_unsigned(u64::from(tick) * span.tick_ms);
        let what = cell.faults.iter().find(|fault| fault.tick == tick).map(|fault| fault.what.as_str());
        let is_in = (from_ms..until_ms).contains(&at_ms);
        is_in.then_some(Point { at_ms, tick_ms: span.tick_ms, mark: Mark::of(mark), what })
    })
}

/// As good as the best of the servers, tick by tick.
fn any(cells: &Parts<'_>, from_ms: i64, until_ms: i64) -> Figures {
    let mut best: BTreeMap<(i64, u64), (Mark, Option<&str>)> = BTreeMap::new();
    let servers = cells.iter().filter(|(asked, _)| matches!(asked, Asked::Server(_)));
    for (span, cell) in servers.flat_map(|(_, parts)| parts) {
        for point in points(span, cell, from_ms, until_ms) {
            let there = best.entry((point.at_ms, point.tick_ms)).or_insert((point.mark, point.what));
            if goodness(point.mark) > goodness(there.0) {
                *there = (point.mark, point.what);
            }
        }
    }
    let points: Vec<Point<'_>> = best
        .into_iter()
        .map(|((at_ms, tick_ms), (mark, what))| Point { at_ms, tick_ms, mark, what })
        .collect();
    figures(&points)
}

fn goodness(mark: Mark) -> u8 {
    match mark {
        Mark::Up => 4,
        // Somebody who cannot be asked may serve all the same.
        Mark::Unknown => 3,
        Mark::Refused => 2,
        Mark::Down => 1,
        Mark::NotAsked => 0,
    }
}

fn figures(points: &[Point<'_>]) -> Figures {
    let mut figures = Figures::default();
    let mut open: Option<(i64, Option<&str>)> = None;
    let mut before: Option<(i64, u64)> = None;
    for point in points {
        if let (Some((at, tick)), Some(gap)) = (before, open)
            && point.at_ms.saturating_sub(at) > i64::try_from(tick * BLIND_TICKS).unwrap_or(i64::MAX)
        {
            close(&mut figures, gap, at.saturating_add_unsigned(tick));
            open = None;
        }
        before = Some((point.at_ms, point.tick_ms));
        match point.mark {
            Mark::Up => figures.up += 1,
            Mark::Refused => figures.refused += 1,
            Mark::Down => figures.down += 1,
            Mark::Unknown => figures.unknown += 1,
            Mark::NotAsked => {}
        }
        match (point.mark, open) {
            (Mark::Up, Some(gap)) => {
                close(&mut figures, gap, point.at_ms);
                open = None;
            }
            (mark, None) if mark.is_failure() => open = Some((point.at_ms, point.what)),
            _ => {}
        }
    }
    if let (Some(gap), Some((at, tick))) = (open, before) {
        close(&mut figures, gap, at.saturating_add_unsigned(tick));
    }
    figures
}

fn close(figures: &mut Figures, (from, what): (i64, Option<&str>), until: i64) {
    let (Ok(from), Ok(until)) = (Timestamp::from_millisecond(from), Timestamp::from_millisecond(until))
    else {
        return;
    };
    let gap = Gap { from, until, what: what.map(str::to_owned) };
    figures.gaps += 1;
    if figures.longest.as_ref().is_none_or(|longest| longest.ms() < gap.ms()) {
        figures.longest = Some(gap);
    }
}

fn p95<'a>(all: impl Iterator<Item = &'a BTreeMap<u16, u32>>) -> Option<u64> {
    let mut together: BTreeMap<u16, u64> = BTreeMap::new();
    for (step, count) in all.flatten() {
        *together.entry(*step).or_default() += u64::from(*count);
    }
    let total: u64 = together.values().sum();
    let wanted = (total * 95).div_ceil(100);
    let mut so_far = 0;
    together.into_iter().find_map(|(step, count)| {
        so_far += count;
        (so_far >= wanted).then(|| scale::longest_ms(step))
    })
}
