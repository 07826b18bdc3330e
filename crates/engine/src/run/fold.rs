//! The state of a run: its plan folded over its journal.
//!
//! Folding is total: an event that cannot follow is a named error and changes nothing. It never looks at
//! anything but the plan and the entries, and its cost per event does not grow with the plan; only a resume looks at
//! every step that is ready or under way. It is long because every event has its rule here, and nowhere else.

use super::agenda::Agenda;
use super::shape::Shape;
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event, Facts, Outcome, Verdict, Why};
use ostler_model::ids::{PlanId, RunId, StepId};
use ostler_model::limits::{
    POSTPONEMENTS_MAX, RETRY_PAUSE_MS, UNKNOWN_ANSWERS_MAX, UNKNOWN_PAUSE_FIRST_MS, UNKNOWN_PAUSE_MAX_MS,
};
use ostler_model::plan::Plan;
use ostler_model::step::{Gate, Step};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A run as its journal tells it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The place of the next entry.
    pub seq: u64,
    /// The latest driver that wrote in it, by its fencing token; 0 if none has.
    pub term: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// When the last entry was written.
    pub latest: Timestamp,
    /// Who opened it.
    pub who: Actor,
    /// Where it stands.
    pub state: RunState,
    /// When a person last said that it shall go on although a step had failed.
    pub resumed: Option<Timestamp>,
    /// Its steps, in the plan's order.
    pub steps: Vec<StepState>,
    /// Steps that could begin as far as the order goes.
    pub ready: BTreeSet<usize>,
    /// Steps whose effect was intended and is not yet proved.
    pub doing: BTreeSet<usize>,
    /// Steps that failed and have no try left.
    pub failed: BTreeSet<usize>,
    /// Steps that are neither done nor given up.
    pub remaining: usize,
    /// Steps that were given up.
    pub given_up: usize,
    pub(super) shape: Arc<Shape>,
    /// How many steps under way draw on each budget.
    pub(super) in_use: Vec<u32>,
    /// The same steps, filed by what they wait for.
    pub(super) agenda: Agenda,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Its plan waits for approval.
    Opened,
    /// Steps may begin.
    Running,
    /// No step may begin.
    Paused {
        /// Who stopped it.
        who: Actor,
        /// Why.
        why: Why,
    },
    /// It has ended.
    Closed(Verdict),
}

/// One step of a run.
#[derive(Clone, Debug)]
pub struct StepState {
    /// Where it stands.
    pub status: Status,
    /// Attempts so far.
    pub attempt: u16,
    /// Attempts before the last resume: a resume grants a full set of tries.
    pub spent: u16,
    /// Steps before it that are not done.
    unmet: usize,
    /// Whether a step before it was given up that it needs.
    lacks: bool,
    /// It is left alone until then.
    pub not_before: Option<Timestamp>,
    /// How often a guard has failed since the last resume.
    pub postponed: u16,
    /// How often its outcome was unknown since the last resume or attempt.
    pub unknowns: u16,
    /// Whether its gate has been passed.
    pub passed: bool,
    /// What was learnt when it was done.
    pub facts: Facts,
    /// When its last attempt was intended.
    pub began: Option<Timestamp>,
    /// When it was done.
    pub ended: Option<Timestamp>,
    /// Why it last failed, waited or was unknown.
    pub why: Option<Why>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Others come first.
    Waiting,
    /// The order allows it.
    Ready,
    /// Intended; what came of it is not yet known.
    Doing,
    /// Done.
    Done,
    /// Not done, and no try left.
    Failed,
    /// A person vouched for it.
    Skipped,
    /// Not done, no try left, and the rest goes on without it; or what it needs was given up.
    GivenUp,
}

/// Why an event cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The journal has a hole, a repetition, or an entry of another run.
    #[error("entry {found} of run {run} where {expected} was due")]
    OutOfPlace {
        /// The run.
        run: RunId,
        /// What was due.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The first entry does not open the run for this plan.
    #[error("run {run} was not opened for plan {}", plan.short())]
    NotOpened {
        /// The run.
        run: RunId,
        /// The plan.
        plan: PlanId,
    },
    /// The approval names another plan.
    #[error("the approval names plan {}, the run is for plan {}", named.short(), plan.short())]
    OtherPlan {
        /// Named.
        named: PlanId,
        /// The run's.
        plan: PlanId,
    },
    /// The event does not fit the run's state.
    #[error("{event} cannot follow while the run is {state}")]
    WrongState {
        /// What came.
        event: &'static str,
        /// Where the run stands.
        state: &'static str,
    },
    /// The plan has no such step.
    #[error("the plan has no step {step}")]
    NoSuchStep {
        /// Named.
        step: StepId,
    },
    /// The event does not fit the step's state.
    #[error("{event} cannot follow for step {step}, which is {status:?}")]
    WrongStep {
        /// The step.
        step: StepId,
        /// What came.
        event: &'static str,
        /// Where the step stands.
        status: Status,
    },
    /// An attempt out of order.
    #[error("attempt {found} of step {step} where {expected} was due")]
    WrongAttempt {
        /// The step.
        step: StepId,
        /// What was due.
        expected: u16,
        /// What came.
        found: u16,
    },
    /// A budget would be exceeded.
    #[error("step {step} would exceed the budget {budget}")]
    OverBudget {
        /// The step.
        step: StepId,
        /// The budget.
        budget: String,
    },
    /// The plan refers to something that it does not contain.
    #[error("the plan is malformed: {what}")]
    Malformed {
        /// What.
        what: String,
    },
}

impl Run {
    /// A run from the entry that opens it.
    pub fn open(plan: Arc<Plan>, first: &Entry) -> Result<Run, Impossible> {
        let Event::Opened { plan: named, who } = &first.event else {
            return Err(Impossible::NotOpened { run: first.run.clone(), plan: plan.id.clone() });
        };
        if *named != plan.id || first.seq != 0 {
            return Err(Impossible::NotOpened { run: first.run.clone(), plan: plan.id.clone() });
        }
        let shape = Shape::of(&plan)?;
        let steps: Vec<StepState> = plan.body.steps.iter().map(StepState::new).collect();
        let ready = steps.iter().enumerate().filter(|(_, step)| step.unmet == 0).map(|(at, _)| at).collect();
        let mut run = Run {
            id: first.run.clone(),
            seq: 1,
            term: first.term,
            opened: first.at,
            latest: first.at,
            who: who.clone(),
            state: RunState::Opened,
            resumed: None,
            remaining: steps.len(),
            given_up: 0,
            steps,
            ready,
            doing: BTreeSet::new(),
            failed: BTreeSet::new(),
            in_use: vec![0; shape.widths.len()],
            agenda: Agenda::new(&shape),
            shape: Arc::new(shape),
            plan,
        };
        (0..run.steps.len()).for_each(|at| run.file(at));
        Ok(run)
    }

    /// A run from all its entries.
    pub fn replay(plan: Arc<Plan>, entries: &[Entry]) -> Result<Run, Impossible> {
        let Some((first, rest)) = entries.split_first() else {
            return Err(Impossible::Malformed { what: "an empty journal".into() });
        };
        let mut run = Run::open(plan, first)?;
        rest.iter().try_for_each(|entry| run.take_in(entry))?;
        Ok(run)
    }

    /// The place of a step.
    pub fn place(&self, step: &StepId) -> Result<usize, Impossible> {
        self.shape.index.get(step).copied().ok_or_else(|| Impossible::NoSuchStep { step: step.clone() })
    }

    /// A step of the plan by its place.
    pub fn step(&self, at: usize) -> &Step {
        &self.plan.body.steps[at]
    }

    /// The state of a step.
    pub fn state_of(&self, step: &StepId) -> Option<&StepState> {
        self.shape.index.get(step).map(|at| &self.steps[*at])
    }

    /// Whether the budgets let this step begin now.
    pub fn affords(&self, at: usize) -> Result<(), Impossible> {
        let exhausted = |budget: &&usize| self.in_use[**budget] >= self.shape.widths[**budget];
        match self.shape.draws(at).iter().find(exhausted) {
            None => Ok(()),
            Some(budget) => {
                let budget = self.plan.body.budgets[*budget].name.to_string();
                Err(Impossible::OverBudget { step: self.step(at).id.clone(), budget })
            }
        }
    }

    /// Whether a step has asked too often for an answer that nobody has.
    pub fn needs_a_person(&self, at: usize) -> bool {
        let step = &self.steps[at];
        step.unknowns >= UNKNOWN_ANSWERS_MAX || step.postponed >= POSTPONEMENTS_MAX
    }

    fn release(&mut self, at: usize) {
        self.doing.remove(&at);
        for budget in self.shape.draws(at) {
            self.in_use[*budget] = self.in_use[*budget].saturating_sub(1);
        }
    }

    fn complete(&mut self, at: usize, status: Status, when: Timestamp) {
        let shape = Arc::clone(&self.shape);
        // What is given up takes with it what needs it, however long that chain is.
        let mut ended = vec![(at, status)];
        while let Some((at, status)) = ended.pop() {
            self.ready.remove(&at);
            self.failed.remove(&at);
            let step = &mut self.steps[at];
            step.status = status;
            step.ended = Some(when);
            self.remaining -= 1;
            self.given_up += usize::from(status == Status::GivenUp);
            for follower in &shape.followers[at] {
                let needs = status == Status::GivenUp && !self.plan.body.steps[*follower].regardless;
                let state = &mut self.steps[*follower];
                state.unmet -= 1;
                if needs && !state.lacks {
                    state.lacks = true;
                    state.why = Some(Why::new(format!("step {} was given up", self.plan.body.steps[at].id)));
                }
                if state.unmet == 0 && state.status == Status::Waiting {
                    if state.lacks {
                        ended.push((*follower, Status::GivenUp));
                    } else {
                        state.status = Status::Ready;
                        self.ready.insert(*follower);
                        self.file(*follower);
                    }
                }
            }
        }
    }

    /// Whether the rest may go on without a step that cannot be done, or of which nobody knows what came.
    fn may_do_without(&self, at: usize) -> bool {
        self.plan.body.steps[at].may_fail
    }
}

impl StepState {
    fn new(step: &Step) -> StepState {
        let unmet = step.after.len();
        StepState {
            status: if unmet == 0 { Status::Ready } else { Status::Waiting },
            attempt: 0,
            spent: 0,
            unmet,
            lacks: false,
            not_before: None,
            postponed: 0,
            unknowns: 0,
            passed: false,
            facts: Facts::new(),
            began: None,
            ended: None,
            why: None,
        }
    }
}

impl RunState {
    /// A word for messages.
    pub fn word(&self) -> &'static str {
        match self {
            RunState::Opened => "waiting for approval",
            RunState::Running => "running",
            RunState::Paused { .. } => "paused",
            RunState::Closed(_) => "closed",
        }
    }
}

/// Folds one entry into a run.
pub fn fold(mut run: Run, entry: &Entry) -> Result<Run, Impossible> {
    run.take_in(entry)?;
    Ok(run)
}

impl Run {
    /// Folds one entry. An entry that cannot follow changes nothing.
    pub fn take_in(&mut self, entry: &Entry) -> Result<(), Impossible> {
        self.admits(entry)?;
        self.latest = entry.at;
        self.apply(entry)?;
        self.seq += 1;
        self.term = self.term.max(entry.term);
        if let Some(step) = entry.event.step() {
            self.file(self.place(step)?);
        }
        self.ripen();
        Ok(())
    }

    /// Whether an entry can follow.
    pub fn admits(&self, entry: &Entry) -> Result<(), Impossible> {
        if entry.run != self.id || entry.seq != self.seq {
            let (expected, found) = (self.seq, entry.seq);
            return Err(Impossible::OutOfPlace { run: self.id.clone(), expected, found });
        }
        let is_live = matches!(self.state, RunState::Running | RunState::Paused { .. });
        match &entry.event {
            Event::Opened { .. } => Err(self.refuses("opened")),
            Event::Approved { .. } if self.state != RunState::Opened => Err(self.refuses("approved")),
            Event::Approved { hash, .. } if *hash != self.plan.id => {
                Err(Impossible::OtherPlan { named: hash.clone(), plan: self.plan.id.clone() })
            }
            Event::Approved { .. } => Ok(()),
            Event::Passed { step, .. } => {
                let place = self.place(step)?;
                let state = &self.steps[place];
                let waits = matches!(state.status, Status::Ready | Status::Waiting);
                if self.step(place).gate.is_some() && !state.passed && waits {
                    Ok(())
                } else {
                    Err(wrong_step(step, "passed", state.status))
                }
            }
            Event::Intended { .. } if self.state != RunState::Running => Err(self.refuses("intended")),
            Event::Intended { step, attempt } => {
                let place = self.place(step)?;
                let gate = self.step(place).gate.as_ref();
                let gated = gate.is_some_and(|gate| !matches!(gate, Gate::Window { .. }));
                let state = &self.steps[place];
                if state.status != Status::Ready || (gated && !state.passed) {
                    return Err(wrong_step(step, "intended", state.status));
                }
                in_turn(step, state.attempt + 1, *attempt)?;
                self.affords(place)
            }
            Event::Proved { .. } if !is_live => Err(self.refuses("proved")),
            Event::Proved { step, attempt, .. } => {
                let state = &self.steps[self.place(step)?];
                if state.status != Status::Doing {
                    return Err(wrong_step(step, "proved", state.status));
                }
                in_turn(step, state.attempt, *attempt)
            }
            Event::Postponed { step, .. } => {
                let state = &self.steps[self.place(step)?];
                if state.status == Status::Ready {
                    Ok(())
                } else {
                    Err(wrong_step(step, "postponed", state.status))
                }
            }
            Event::Paused { .. } if self.state != RunState::Running => Err(self.refuses("paused")),
            Event::Paused { .. } => Ok(()),
            Event::Resumed { .. } if !is_live => Err(self.refuses("resumed")),
            Event::Resumed { .. } => Ok(()),
            Event::Skipped { .. } if !is_live => Err(self.refuses("skipped")),
            Event::Skipped { step, .. } => {
                let state = &self.steps[self.place(step)?];
                match state.status {
                    Status::Doing | Status::Ready | Status::Failed => Ok(()),
                    _ => Err(wrong_step(step, "skipped", state.status)),
                }
            }
            Event::Abandoned { .. } if matches!(self.state, RunState::Closed(_)) => {
                Err(self.refuses("abandoned"))
            }
            Event::Abandoned { .. } => Ok(()),
            Event::Closed { verdict } => {
                let may = match (&self.state, verdict) {
                    // A way back may begin after a run has ended, however it ended.
                    (
                        RunState::Closed(Verdict::Finished | Verdict::PartlyDone | Verdict::Abandoned),
                        Verdict::RolledBack { .. },
                    ) => true,
                    (RunState::Closed(_) | RunState::Opened, _) => false,
                    (_, Verdict::Finished) => self.remaining == 0 && self.given_up == 0,
                    (_, Verdict::PartlyDone) => self.remaining == 0 && self.given_up > 0,
                    (_, Verdict::RolledBack { .. } | Verdict::Abandoned) => true,
                };
                if may { Ok(()) } else { Err(self.refuses("closed")) }
            }
        }
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), Impossible> {
        let at = entry.at;
        match &entry.event {
            Event::Opened { .. } => {}
            Event::Approved { .. } => self.state = RunState::Running,
            Event::Passed { step, .. } => {
                let place = self.place(step)?;
                let state = &mut self.steps[place];
                state.passed = true;
                state.not_before = None;
            }
            Event::Intended { step, attempt } => {
                let place = self.place(step)?;
                for budget in self.shape.draws(place) {
                    self.in_use[*budget] += 1;
                }
                self.ready.remove(&place);
                self.doing.insert(place);
                let state = &mut self.steps[place];
                state.status = Status::Doing;
                state.attempt = *attempt;
                state.unknowns = 0;
                state.not_before = None;
                state.began = Some(at);
            }
            Event::Proved { step, outcome, .. } => {
                let place = self.place(step)?;
                self.prove(place, outcome, at);
            }
            Event::Postponed { step, until, why } => {
                let place = self.place(step)?;
                let state = &mut self.steps[place];
                state.postponed = state.postponed.saturating_add(1);
                state.not_before = Some(*until);
                state.why = Some(why.clone());
                if self.needs_a_person(place) && self.may_do_without(place) {
                    self.complete(place, Status::GivenUp, at);
                }
            }
            Event::Paused { who, why } => {
                self.state = RunState::Paused { who: who.clone(), why: why.clone() };
            }
            Event::Resumed { .. } => {
                if !self.failed.is_empty() {
                    self.resumed = Some(at);
                }
                self.resume();
            }
            Event::Skipped { step, .. } => {
                let place = self.place(step)?;
                if self.steps[place].status == Status::Doing {
                    self.release(place);
                }
                self.complete(place, Status::Skipped, at);
            }
            Event::Abandoned { .. } => self.state = RunState::Closed(Verdict::Abandoned),
            Event::Closed { verdict } => self.state = RunState::Closed(verdict.clone()),
        }
        Ok(())
    }

    fn refuses(&self, event: &'static str) -> Impossible {
        Impossible::WrongState { event, state: self.state.word() }
    }

    fn prove(&mut self, place: usize, outcome: &Outcome, at: Timestamp) {
        match outcome {
            Outcome::Done { facts } => {
                self.release(place);
                self.steps[place].facts = facts.clone();
                self.steps[place].why = None;
                self.complete(place, Status::Done, at);
            }
            Outcome::NotDone { why } => {
                self.release(place);
                let (tries, may_fail) = (self.step(place).tries, self.may_do_without(place));
                let state = &mut self.steps[place];
                state.why = Some(why.clone());
                let is_spent = state.attempt - state.spent >= tries;
                if is_spent && may_fail {
                    self.complete(place, Status::GivenUp, at);
                } else if is_spent {
                    state.status = Status::Failed;
                    self.failed.insert(place);
                } else {
                    state.status = Status::Ready;
                    state.not_before = Some(later(at, RETRY_PAUSE_MS));
                    self.ready.insert(place);
                }
            }
            Outcome::Unknown { why } => {
                let state = &mut self.steps[place];
                let widened = UNKNOWN_PAUSE_FIRST_MS.saturating_mul(1 << state.unknowns.min(16));
                state.unknowns = state.unknowns.saturating_add(1);
                state.not_before = Some(later(at, widened.min(UNKNOWN_PAUSE_MAX_MS)));
                state.why = Some(why.clone());
                // Giving up says nothing about what came of it: whoever plans what is left asks the world again.
                if self.needs_a_person(place) && self.may_do_without(place) {
                    self.release(place);
                    self.complete(place, Status::GivenUp, at);
                }
            }
        }
    }

    fn resume(&mut self) {
        self.state = RunState::Running;
        for place in std::mem::take(&mut self.failed) {
            let state = &mut self.steps[place];
            state.status = Status::Ready;
            state.spent = state.attempt;
            self.ready.insert(place);
        }
        let live: Vec<usize> = self.ready.iter().chain(&self.doing).copied().collect();
        for place in live {
            let state = &mut self.steps[place];
            state.not_before = None;
            state.postponed = 0;
            state.unknowns = 0;
            self.file(place);
        }
    }
}

fn wrong_step(step: &StepId, event: &'static str, status: Status) -> Impossible {
    Impossible::WrongStep { step: step.clone(), event, status }
}

fn in_turn(step: &StepId, expected: u16, found: u16) -> Result<(), Impossible> {
    if expected == found {
        Ok(())
    } else {
        Err(Impossible::WrongAttempt { step: step.clone(), expected, found })
    }
}

/// A time some milliseconds later; the far end of time if there is none.
pub(crate) fn later(at: Timestamp, ms: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}
