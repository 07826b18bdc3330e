//! The loop of the matrix: asks everybody at every tick, at a bounded rate, and writes down what it hears.
//!
//! Who still owes an answer is not asked again. It must never ask faster than its bound, however much is wanted.

use super::SPAN_MS;
use crate::seam::{Clock, Cloud};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ostler_model::Timestamp;
use ostler_model::function::{
    Asked, Cell, Fault, Function, Mark, Offer, Question, SPAN_FORMAT, Sample, Span, scale,
};
use ostler_model::ids::{HostName, ServiceName};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

/// Questions a second at most: each is a handful of requests, and a cloud has other users.
const QUESTIONS_PER_S_MAX: u64 = 20;

/// Failures of a cell that a span tells in words: the first ones, and always the last one.
const FAULTS_MAX: usize = 6;

/// Letters of a failure that are kept.
const FAULT_LETTERS_MAX: usize = 300;

/// What is watched.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What is asked of whom.
    pub questions: Vec<Question>,
    /// Time from tick to tick.
    pub every_ms: u64,
}

/// The questions about every service that is offered and known: of each server, and of the virtual address. Services
/// that are offered and not known come as the second answer.
pub fn questions(
    offers: &[Offer],
    functions: &BTreeMap<ServiceName, Function>,
    servers: &[HostName],
    by_ssh: bool,
    limit_ms: u64,
) -> (Vec<Question>, Vec<String>) {
    let mut questions = Vec::new();
    for function in functions.values() {
        let offer = function.kinds.iter().find_map(|kind| offers.iter().find(|offer| offer.kind == *kind));
        let Some(offer) = offer else { continue };
        let asked = servers.iter().cloned().map(Asked::Server).chain([Asked::Virtual]);
        questions.extend(asked.map(|asked| Question {
            function: function.clone(),
            url: offer.url.clone(),
            asked,
            by_ssh,
            limit_ms,
        }));
    }
    let is_known = |offer: &&Offer| functions.values().any(|function| function.kinds.contains(&offer.kind));
    let mut unknown: Vec<String> =
        offers.iter().filter(|offer| !is_known(offer)).map(|offer| offer.kind.clone()).collect();
    unknown.sort();
    unknown.dedup();
    (questions, unknown)
}

/// A watch under way.
pub struct Watch {
    cloud: Arc<dyn Cloud>,
    clock: Arc<dyn Clock>,
    questions: Vec<Arc<Question>>,
    every_ms: u64,
    busy: Vec<bool>,
    under_way: FuturesUnordered<BoxFuture<'static, (usize, u32, Sample)>>,
    span: Span,
}

impl Watch {
    /// Begins a watch; the first tick asks.
    pub fn begin(cloud: Arc<dyn Cloud>, clock: Arc<dyn Clock>, wanted: Wanted) -> Watch {
        let count = wanted.questions.len();
        let least_ms = (count as u64 * 1000).div_ceil(QUESTIONS_PER_S_MAX);
        let every_ms = wanted.every_ms.max(least_ms).max(1);
        let questions: Vec<Arc<Question>> = wanted.questions.into_iter().map(Arc::new).collect();
        let span = fresh(&questions, clock.now(), every_ms);
        Watch {
            busy: vec![false; count],
            under_way: FuturesUnordered::new(),
            cloud,
            clock,
            questions,
            every_ms,
            span,
        }
    }

    /// Time from tick to tick, after the bound on the rate.
    pub fn every_ms(&self) -> u64 {
        self.every_ms
    }

    /// What was heard in the span that is under way.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Asks everybody who owes no answer, and takes in answers until the next tick is due. A full span comes back, and
    /// the next one begins. May be dropped at any time: what was heard until then is in the span.
    pub async fn tick(&mut self) -> Option<Span> {
        let full = u64::from(self.span.ticks) * self.every_ms >= SPAN_MS;
        let done = if full { Some(self.turn_over().await) } else { None };
        let tick = self.span.ticks;
        self.span.ticks += 1;
        // Spread over half a tick, so that a tick is no burst.
        let apart_ms = self.every_ms / 2 / (self.questions.len() as u64).max(1);
        for at in 0..self.questions.len() {
            mark(&mut self.span.cells[at], tick, Mark::NotAsked);
            if std::mem::replace(&mut self.busy[at], true) {
                continue;
            }
            let (cloud, clock, question) =
                (Arc::clone(&self.cloud), Arc::clone(&self.clock), Arc::clone(&self.questions[at]));
            let wait_ms = apart_ms * at as u64;
            self.under_way.push(Box::pin(async move {
                clock.sleep(wait_ms).await;
                (at, tick, cloud.sample(&question).await)
            }));
        }
        let due =
            self.span.began.as_millisecond().saturating_add_unsigned(u64::from(tick + 1) * self.every_ms);
        loop {
            let left = u64::try_from(due - self.clock.now().as_millisecond()).unwrap_or(0);
            if left == 0 {
                return done;
            }
            let clock = Arc::clone(&self.clock);
            let pause = pin!(clock.sleep(left));
            if self.under_way.is_empty() {
                pause.await;
                return done;
            }
            match select(self.under_way.next(), pause).await {
                Either::Left((Some(answer), _)) => hear(&mut self.span, &mut self.busy, answer),
                Either::Left((None, pause)) => {
                    pause.await;
                    return done;
                }
                Either::Right(_) => return done,
            }
        }
    }

    /// Waits for the answers that are still owed.
    pub async fn rest(&mut self) {
        while let Some(answer) = self.under_way.next().await {
            hear(&mut self.span, &mut self.busy, answer);
        }
    }

    async fn turn_over(&mut self) -> Span {
        self.rest().await;
        let next = fresh(&self.questions, self.clock.now(), self.every_ms);
        std::mem::replace(&mut self.span, next)
    }
}

fn fresh(questions: &[Arc<Question>], began: Timestamp, tick_ms: u64) -> Span {
    let cells = questions.iter().map(|question| Cell {
        service: question.function.name.clone(),
        asked: question.asked.clone(),
        marks: String::new(),
        took: BTreeMap::new(),
        faults: Vec::new(),
    });
    Span { format: SPAN_FORMAT, began, tick_ms, ticks: 0, cells: cells.collect() }
}

/// Writes a mark at its tick: marks are ASCII, so a tick is a byte.
fn mark(cell: &mut Cell, tick: u32, mark: Mark) {
    let at = tick as usize;
    while cell.marks.len() < at {
        cell.marks.push(Mark::NotAsked.as_char());
    }
    match at < cell.marks.len() {
        true => cell.marks.replace_range(at..=at, mark.as_char().encode_utf8(&mut [0; 4])),
        false => cell.marks.push(mark.as_char()),
    }
}

fn hear(span: &mut Span, busy: &mut [bool], (at, tick, sample): (usize, u32, Sample)) {
    busy[at] = false;
    let cell = &mut span.cells[at];
    mark(cell, tick, sample.mark);
    if sample.mark == Mark::Up {
        *cell.took.entry(scale::step(sample.took_ms)).or_default() += 1;
    }
    if let Some(what) = sample.what {
        if cell.faults.len() >= FAULTS_MAX {
            cell.faults.pop();
        }
        cell.faults.push(Fault { tick, what: what.chars().take(FAULT_LETTERS_MAX).collect() });
    }
}
