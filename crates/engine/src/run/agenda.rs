//! What a run has to offer, filed by what it waits for: a time, a person, a budget. The fold files each step that an
//! event touches, so that a question for what may happen now looks at little more than it answers.
//!
//! It never decides what has happened, and it knows nothing that does not follow from the states of the steps, but
//! for one thing: which steps a driver has in hand. That is in no journal, and keeps only from offering them again.

use super::fold::{Run, Status};
use super::shape::Shape;
use ostler_model::Timestamp;
use ostler_model::step::Gate;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

/// Steps by what they wait for. All sets are in the order of the plan, or of time.
#[derive(Clone, Debug)]
pub(super) struct Agenda {
    /// Where each step is filed.
    filed: Vec<Stand>,
    /// Steps under way that may be asked about.
    settle: BTreeSet<usize>,
    /// Steps under way that are left alone until a time.
    settle_later: BTreeSet<(Timestamp, usize)>,
    /// Ready steps at the gate of a person.
    ask: BTreeSet<usize>,
    /// Ready steps before a quiet time.
    watch: BTreeSet<usize>,
    /// Ready steps that wait for nothing but their budgets, by lane: an exhausted budget costs one look for a lane.
    begin: Vec<BTreeSet<usize>>,
    /// Ready steps that are left alone until a time.
    later: BTreeSet<(Timestamp, usize)>,
    /// When the windows of ready steps end.
    windows: BTreeSet<(Timestamp, usize)>,
    /// Steps that need a person; those under way (false) before those that are ready (true).
    stuck: BTreeSet<(bool, usize)>,
    /// Steps that a driver has in hand.
    hand: BTreeSet<usize>,
    /// How many of these are about to draw on each budget.
    held: Vec<u32>,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stand {
    /// Nothing that could be offered.
    Aside,
    /// To be asked about.
    Settle,
    /// To be asked about, not before this.
    SettleLater(Timestamp),
    /// A person.
    Ask,
    /// A quiet time.
    Watch,
    /// Its budgets alone.
    Begin,
    /// A time.
    Later(Timestamp),
    /// It is in hand, and will draw on its budgets when it begins.
    Held,
}

impl Agenda {
    pub(super) fn new(shape: &Shape) -> Agenda {
        Agenda {
            filed: vec![Stand::Aside; shape.lane.len()],
            settle: BTreeSet::new(),
            settle_later: BTreeSet::new(),
            ask: BTreeSet::new(),
            watch: BTreeSet::new(),
            begin: vec![BTreeSet::new(); shape.lanes.len()],
            later: BTreeSet::new(),
            windows: BTreeSet::new(),
            stuck: BTreeSet::new(),
            hand: BTreeSet::new(),
            held: vec![0; shape.widths.len()],
        }
    }

    fn put(&mut self, at: usize, stand: Stand, shape: &Shape) {
        self.filed[at] = stand;
        match stand {
            Stand::Aside => {}
            Stand::Settle => _ = self.settle.insert(at),
            Stand::SettleLater(until) => _ = self.settle_later.insert((until, at)),
            Stand::Ask => _ = self.ask.insert(at),
            Stand::Watch => _ = self.watch.insert(at),
            Stand::Begin => _ = self.begin[shape.lane[at]].insert(at),
            Stand::Later(until) => _ = self.later.insert((until, at)),
            Stand::Held => shape.draws(at).iter().for_each(|budget| self.held[*budget] += 1),
        }
    }

    fn take_out(&mut self, at: usize, shape: &Shape) {
        match std::mem::replace(&mut self.filed[at], Stand::Aside) {
            Stand::Aside => {}
            Stand::Settle => _ = self.settle.remove(&at),
            Stand::SettleLater(until) => _ = self.settle_later.remove(&(until, at)),
            Stand::Ask => _ = self.ask.remove(&at),
            Stand::Watch => _ = self.watch.remove(&at),
            Stand::Begin => _ = self.begin[shape.lane[at]].remove(&at),
            Stand::Later(until) => _ = self.later.remove(&(until, at)),
            Stand::Held => shape.draws(at).iter().for_each(|budget| self.held[*budget] -= 1),
        }
    }
}

/// What may be done, in the plan's order, and when there is more.
pub(super) struct Due<T> {
    pub(super) moves: Vec<T>,
    pub(super) wake: Option<Timestamp>,
}

impl Run {
    /// Files a step anew after its state has changed.
    pub(super) fn file(&mut self, at: usize) {
        let shape = &self.shape;
        self.agenda.take_out(at, shape);
        let stand = if self.agenda.hand.contains(&at) {
            // What a driver took in hand was due by its clock, which is ahead of the last entry's time.
            let is_beginning = self.stand(at, Timestamp::MAX) == Stand::Begin;
            if is_beginning { Stand::Held } else { Stand::Aside }
        } else {
            self.stand(at, self.latest)
        };
        self.agenda.put(at, stand, &self.shape);

        let status = self.steps[at].status;
        let is_live = matches!(status, Status::Doing | Status::Ready);
        self.agenda.stuck.remove(&(false, at));
        self.agenda.stuck.remove(&(true, at));
        if is_live && self.needs_a_person(at) {
            self.agenda.stuck.insert((status == Status::Ready, at));
        }
        if let Some(Gate::Window { to, .. }) = self.plan.body.steps[at].gate {
            if status == Status::Ready {
                self.agenda.windows.insert((to, at));
            } else {
                self.agenda.windows.remove(&(to, at));
            }
        }
    }

    /// Files the steps anew whose time has come, so that each is looked at once and not at every question.
    pub(super) fn ripen(&mut self) {
        while let Some((_, at)) = self.agenda.later.first().filter(|(until, _)| *until <= self.latest) {
            self.file(*at);
        }
        while let Some((_, at)) = self.agenda.settle_later.first().filter(|(until, _)| *until <= self.latest)
        {
            self.file(*at);
        }
    }

    /// Marks a step as in hand: it is not offered until it is put back. False if it already is.
    pub(super) fn take_in_hand(&mut self, at: usize) -> bool {
        let is_new = self.agenda.hand.insert(at);
        self.file(at);
        is_new
    }

    /// A driver has let go of a step.
    pub(super) fn put_back(&mut self, at: usize) {
        self.agenda.hand.remove(&at);
        self.file(at);
    }

    /// How many steps are in hand.
    pub(super) fn in_hand(&self) -> usize {
        self.agenda.hand.len()
    }

    /// What a step waits for at a time, whoever has it in hand.
    pub(super) fn stand(&self, at: usize, now: Timestamp) -> Stand {
        let state = &self.steps[at];
        let until = state.not_before.filter(|until| *until > now);
        match state.status {
            Status::Doing if self.needs_a_person(at) => Stand::Aside,
            Status::Doing => until.map_or(Stand::Settle, Stand::SettleLater),
            Status::Ready => match (until, &self.step(at).gate) {
                (Some(until), _) => Stand::Later(until),
                (None, Some(Gate::Operator { .. })) if !state.passed => Stand::Ask,
                (None, Some(Gate::Quiet { .. })) if !state.passed => Stand::Watch,
                (None, Some(Gate::Window { from, .. })) if *from > now => Stand::Later(*from),
                _ => Stand::Begin,
            },
            _ => Stand::Aside,
        }
    }

    /// The first step that needs a person.
    pub(super) fn first_stuck(&self) -> Option<usize> {
        self.agenda.stuck.first().map(|(_, at)| *at)
    }

    /// The first ready step whose window has ended, and when it did.
    pub(super) fn first_too_late(&self, now: Timestamp) -> Option<(usize, Timestamp)> {
        let ended = self.agenda.windows.range(..(now, 0));
        // A step that is left alone until later is not yet asked for its window.
        let due = ended.filter(|(_, at)| self.steps[*at].not_before.is_none_or(|until| until <= now));
        due.map(|(to, at)| (*at, *to)).min()
    }

    /// Steps under way that may be asked about now.
    pub(super) fn to_settle(&self, now: Timestamp) -> Due<usize> {
        let agenda = &self.agenda;
        let ripe = agenda.settle_later.range(..=(now, usize::MAX)).map(|(_, at)| *at);
        let mut wake = first_after(&agenda.settle_later, now);
        let mut moves = Vec::new();
        for at in agenda.settle.iter().copied().chain(ripe) {
            match self.stand(at, now) {
                Stand::SettleLater(until) => wake = sooner(wake, until),
                _ => moves.push(at),
            }
        }
        moves.sort_unstable();
        Due { moves, wake }
    }

    /// Ready steps that may be offered now, at most `room` of them, without exceeding a budget together.
    pub(super) fn to_begin(&self, now: Timestamp, room: usize) -> Due<(usize, Stand)> {
        let Due { moves: candidates, wake } = self.candidates(now, room);
        let mut held = self.agenda.held.clone();
        let mut moves = Vec::new();
        for (at, stand) in candidates {
            if moves.len() >= room {
                break;
            }
            if stand == Stand::Begin {
                let draws = self.shape.draws(at);
                if draws.iter().any(|budget| self.spare(*budget, &held) == 0) {
                    continue;
                }
                draws.iter().for_each(|budget| held[*budget] += 1);
            }
            moves.push((at, stand));
        }
        Due { moves, wake }
    }

    /// The ready steps among which those are that may be offered now, in the plan's order: of each lane no more than
    /// its budgets have to spare, and those whose time has come since the last entry.
    pub(super) fn candidates(&self, now: Timestamp, room: usize) -> Due<(usize, Stand)> {
        let agenda = &self.agenda;
        let mut wake = first_after(&agenda.later, now);
        // Steps were filed at the time of the last entry; `now` may lie before it, by another machine's clock.
        let mut due = |at: &usize| match self.stand(*at, now) {
            Stand::Later(until) => {
                wake = sooner(wake, until);
                None
            }
            stand => Some((*at, stand)),
        };
        let mut moves: Vec<(usize, Stand)> = Vec::new();
        moves.extend(agenda.ask.iter().filter_map(&mut due).take(room));
        moves.extend(agenda.watch.iter().filter_map(&mut due).take(room));
        for (lane, places) in agenda.begin.iter().enumerate().filter(|(_, places)| !places.is_empty()) {
            let spare = self.shape.lanes[lane].iter().map(|budget| self.spare(*budget, &agenda.held)).min();
            let limit = spare.map_or(room, |spare| room.min(spare as usize));
            moves.extend(places.iter().filter_map(&mut due).take(limit));
        }
        let ripe = agenda.later.range(..=(now, usize::MAX)).map(|(_, at)| at);
        moves.extend(ripe.filter_map(&mut due));
        moves.sort_unstable();
        Due { moves, wake }
    }

    fn spare(&self, budget: usize, held: &[u32]) -> u32 {
        self.shape.widths[budget].saturating_sub(self.in_use[budget]).saturating_sub(held[budget])
    }
}

fn first_after(waiting: &BTreeSet<(Timestamp, usize)>, now: Timestamp) -> Option<Timestamp> {
    waiting.range((Excluded((now, usize::MAX)), Unbounded)).next().map(|(until, _)| *until)
}

fn sooner(wake: Option<Timestamp>, until: Timestamp) -> Option<Timestamp> {
    Some(wake.map_or(until, |other| other.min(until)))
}
