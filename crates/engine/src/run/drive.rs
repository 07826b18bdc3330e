//! The only loop: asks `next`, does what it offers, and writes down what came of it.
//!
//! No effect without a durable intent; no step repeated before the world was asked; nothing begun after the
//! lease may have ended, or after another writer took a place in the journal.

use super::fold::{Impossible, Run, RunState, later};
use super::lease::Tenure;
use super::next::{Move, may_begin, next};
use super::{control, routed};
use crate::seam::{Lease, Seams, StoreError};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event, Outcome, Verdict, Why};
use ostler_model::ids::{RunId, StepId};
use ostler_model::limits::{BEGIN_WITHIN_MS, POSTPONED_PAUSE_MS};
use ostler_model::step::{Does, Gate, Job};

/// How often the journal's tail is read for words of a person while steps are under way.
const LISTEN_MS: u64 = 1_000;

/// How often an entry is written again when the store does not answer, before the driver gives up.
const APPENDS_MAX: u32 = 8;

/// Pause before an entry is written again; doubled each time.
const APPEND_PAUSE_MS: u64 = 250;

/// Hears of every entry as soon as it is durable.
pub type Observer<'a> = &'a (dyn Fn(&Run, &Entry) + Send + Sync);

/// Where a driver left a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run is over.
    Closed(Verdict),
    /// The run is paused; nothing is under way.
    Paused {
        /// Who paused it.
        who: Actor,
        /// Why.
        why: Why,
    },
    /// The plan needs approval.
    Unapproved,
    /// A person must pass the gate of a step; nothing else can be done.
    Asking {
        /// The step.
        step: StepId,
        /// The question.
        question: String,
    },
}

/// Why a driver stopped without an end. What it began is in doubt and will be settled by the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// Another driver took over.
    #[error("another ostler has taken over run {run}")]
    Superseded {
        /// The run.
        run: RunId,
    },
    /// The lease could not be renewed in time.
    #[error("the lease on the cloud was lost: {what}")]
    LeaseLost {
        /// How.
        what: String,
    },
    /// The run could not be read, or its journal contradicts itself.
    #[error(transparent)]
    Control(#[from] control::ControlError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Impossible> for DriveError {
    fn from(error: Impossible) -> Self {
        DriveError::Control(error.into())
    }
}

enum Happened {
    Guarded { at: usize, result: Result<(), Why> },
    Settled { step: StepId, attempt: u16, outcome: Outcome },
    Watched { step: StepId, result: Result<u32, Why> },
    Due(Timestamp),
    Listen,
    Renew,
}

struct Driver<'a> {
    run: Run,
    seams: &'a Seams,
    lease: Lease,
    observer: Observer<'a>,
    /// Besides the timers one future for each step in hand: being guarded, watched, carried out or settled.
    under_way: FuturesUnordered<BoxFuture<'a, Happened>>,
    /// When the driver will wake for what is next due. One alarm is enough: whoever hears it asks for everything.
    alarm: Option<Timestamp>,
}

/// Drives a run as far as it goes. The lease must be held, and is renewed while this runs.
pub async fn drive(
    run: &RunId,
    seams: &Seams,
    lease: Lease,
    observer: Observer<'_>,
) -> Result<Ended, DriveError> {
    let state = control::load(seams.store.as_ref(), run).await?;
    if state.term > lease.term {
        // A driver that slept between taking the lease and reading is behind the times already.
        return Err(DriveError::Superseded { run: run.clone() });
    }
    let mut driver =
        Driver { run: state, seams, lease, observer, under_way: FuturesUnordered::new(), alarm: None };
    driver.under_way.push(driver.timer(LISTEN_MS, Happened::Listen));
    driver.under_way.push(driver.timer(driver.tenure().renewed_ms, Happened::Renew));
    loop {
        if let Some(ended) = driver.offer().await? {
            return Ok(ended);
        }
        let Some(happened) = driver.under_way.next().await else {
            continue;
        };
        driver.take_in(happened).await?;
    }
}

impl<'a> Driver<'a> {
    fn timer(&self, ms: u64, happened: Happened) -> BoxFuture<'a, Happened> {
        let clock = &self.seams.clock;
        Box::pin(async move {
            clock.sleep(ms).await;
            happened
        })
    }

    fn tenure(&self) -> Tenure {
        Tenure::of(&self.lease.name)
    }

    /// Whether the lease may have ended, since when somebody else may be at work.
    fn holds(&self) -> Result<(), DriveError> {
        match self.seams.clock.now() < self.lease.until {
            true => Ok(()),
            false => Err(DriveError::LeaseLost { what: format!("it ended at {}", self.lease.until) }),
        }
    }

    /// Starts everything that may happen now. Answers the end when nothing can.
    async fn offer(&mut self) -> Result<Option<Ended>, DriveError> {
        loop {
            let now = self.seams.clock.now();
            let moves = next(&self.run, now);
            let mut question = None;
            let mut waiting = false;
            let mut again = false;
            for offered in moves {
                match offered {
                    Move::Approve => return Ok(Some(Ended::Unapproved)),
                    Move::Close(verdict) => {
                        self.append(Event::Closed { verdict: verdict.clone() }).await?;
                        return Ok(Some(Ended::Closed(verdict)));
                    }
                    Move::Pause(why) => {
                        if self.run.in_hand() == 0 {
                            let who = Actor::Rule("a step needs a person".into());
                            self.append(Event::Paused { who, why }).await?;
                            again = true;
                        }
                    }
                    Move::Ask(step) => question = Some(step),
                    Move::Wait(until) => {
                        waiting = true;
                        self.wake(now, until);
                    }
                    Move::Watch(step) => self.watch(&step)?,
                    Move::Begin(step) => self.guard(&step)?,
                    Move::Settle(step) => self.settle(&step)?,
                }
            }
            if again {
                continue;
            }
            let run = &self.run;
            if self.run.in_hand() > 0 || waiting {
                return Ok(None);
            }
            return Ok(match (&run.state, question) {
                (RunState::Closed(verdict), _) => Some(Ended::Closed(verdict.clone())),
                (RunState::Paused { who, why }, _) => {
                    Some(Ended::Paused { who: who.clone(), why: why.clone() })
                }
                (_, Some(step)) => {
                    let question = match &run.step(run.place(&step)?).gate {
                        Some(Gate::Operator { question }) => question.clone(),
                        _ => String::new(),
                    };
                    Some(Ended::Asking { step, question })
                }
                _ => None,
            });
        }
    }

    fn wake(&mut self, now: Timestamp, until: Timestamp) {
        let ms = until.duration_since(now).as_millis().clamp(1, i128::from(LISTEN_MS));
        let is_set = self.alarm.is_some_and(|alarm| alarm <= until);
        // A step that becomes due within the listening interval must not wait for its end.
        if ms < i128::from(LISTEN_MS) && !is_set {
            self.alarm = Some(until);
            self.under_way.push(self.timer(ms as u64, Happened::Due(until)));
        }
    }

    fn watch(&mut self, step: &StepId) -> Result<(), DriveError> {
        let run = &self.run;
        let at = run.place(step)?;
        let Some(Gate::Quiet { through, calls, for_s }) = run.step(at).gate.clone() else {
            return Ok(());
        };
        if self.run.take_in_hand(at) {
            let (seams, step) = (self.seams, step.clone());
            self.under_way.push(Box::pin(async move {
                let result = routed::quiet(seams, &through, &calls, for_s).await;
                Happened::Watched { step, result }
            }));
        }
        Ok(())
    }

    fn guard(&mut self, step: &StepId) -> Result<(), DriveError> {
        self.holds()?;
        let run = &self.run;
        let at = run.place(step)?;
        let checks = run.step(at).guard.clone();
        if self.run.take_in_hand(at) {
            let seams = self.seams;
            self.under_way.push(Box::pin(async move {
                let result = routed::guard(seams, &checks).await;
                Happened::Guarded { at, result }
            }));
        }
        Ok(())
    }

    fn settle(&mut self, step: &StepId) -> Result<(), DriveError> {
        let run = &self.run;
        let at = run.place(step)?;
        let (job, since) = (job(run, at), logs_since(run, at));
        if self.run.take_in_hand(at) {
            let seams = self.seams;
            self.under_way.push(Box::pin(async move {
                let outcome = routed::settle(seams, &job, since).await;
                Happened::Settled { step: job.step, attempt: job.attempt, outcome }
            }));
        }
        Ok(())
    }

    async fn take_in(&mut self, happened: Happened) -> Result<(), DriveError> {
        match happened {
            Happened::Due(until) => {
                if self.alarm == Some(until) {
                    self.alarm = None;
                }
                Ok(())
            }
            Happened::Guarded { at, result } => {
                let guarded = self.seams.clock.now();
                let run = &self.run;
                let step = run.step(at).id.clone();
                // A person may have paused the run, or another step may have drawn on the budget, meanwhile.
                if !may_begin(run, at, self.seams.clock.now()) {
                    self.run.put_back(at);
                    return Ok(());
                }
                if let Err(why) = result {
                    self.run.put_back(at);
                    let until = later(self.seams.clock.now(), POSTPONED_PAUSE_MS);
                    self.append(Event::Postponed { step, until, why }).await?;
                    return Ok(());
                }
                self.holds()?;
                let attempt = run.steps[at].attempt + 1;
                let intent = Event::Intended { step: step.clone(), attempt };
                if !self.append(intent).await? {
                    // A person's word came first and the intent no longer fitted; or a driver whose lease had ended wrote the
                    // same one in our place, and carries it out: an intent of another is settled, never begun.
                    self.run.put_back(at);
                    return Ok(());
                }
                let run = &self.run;
                // A store that took its time has taken it from the lease: the intent stands, and whoever drives settles it.
                self.holds()?;
                let by = (!run.step(at).guard.is_empty()).then(|| later(guarded, BEGIN_WITHIN_MS));
                let (seams, job, since) = (self.seams, Job { by, ..job(run, at) }, logs_since(run, at));
                self.under_way.push(Box::pin(async move {
                    let outcome = routed::carry_out(seams, &job, since).await;
                    Happened::Settled { step: job.step, attempt: job.attempt, outcome }
                }));
                Ok(())
            }
            Happened::Settled { step, attempt, outcome } => {
                let at = self.run.place(&step)?;
                self.run.put_back(at);
                if !self.run.doing.contains(&at) {
                    // A person vouched for the step while it was being settled.
                    return Ok(());
                }
                self.append(Event::Proved { step, attempt, outcome }).await?;
                Ok(())
            }
            Happened::Watched { step, result } => {
                let at = self.run.place(&step)?;
                self.run.put_back(at);
                match result {
                    Ok(rounds) => {
                        let who = Actor::Rule(format!("quiet: {rounds} rounds of calls succeeded"));
                        self.append(Event::Passed { step, who }).await?;
                        Ok(())
                    }
                    Err(why) => {
                        let until = later(self.seams.clock.now(), POSTPONED_PAUSE_MS);
                        self.append(Event::Postponed { step, until, why }).await?;
                        Ok(())
                    }
                }
            }
            Happened::Listen => {
                self.under_way.push(self.timer(LISTEN_MS, Happened::Listen));
                self.hear().await
            }
            Happened::Renew => {
                self.under_way.push(self.timer(self.tenure().renewed_ms, Happened::Renew));
                let until = later(self.seams.clock.now(), self.tenure().lasts_ms);
                match self.seams.store.renew_lease(&self.lease, until).await {
                    Ok(true) => {
                        self.lease.until = until;
                        Ok(())
                    }
                    Ok(false) => Err(DriveError::LeaseLost { what: "another ostler holds it now".into() }),
                    // The lease still has time left; the next renewal may succeed.
                    Err(StoreError::Unavailable { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Folds what others have written: words of a person. An entry of a later driver ends this one.
    async fn hear(&mut self) -> Result<(), DriveError> {
        let (id, seq) = {
            let run = &self.run;
            (run.id.clone(), run.seq)
        };
        let entries = match self.seams.store.entries(&id, seq).await {
            Ok(entries) => entries,
            Err(StoreError::Unavailable { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            // What an earlier driver wrote before it noticed is folded like any other entry: this one's are the later.
            if entry.term > self.lease.term {
                return Err(DriveError::Superseded { run: id });
            }
            self.accept(entry)?;
        }
        Ok(())
    }

    fn accept(&mut self, entry: Entry) -> Result<(), DriveError> {
        self.run.take_in(&entry)?;
        (self.observer)(&self.run, &entry);
        Ok(())
    }

    /// Makes one event durable and folds it. If a person's word took the place, it is folded first and the event
    /// is written behind it, unless it no longer fits. Answers whether it was written.
    async fn append(&mut self, event: Event) -> Result<bool, DriveError> {
        let mut failures = 0;
        loop {
            let run = &self.run;
            let entry = Entry {
                run: run.id.clone(),
                seq: run.seq,
                at: self.seams.clock.now(),
                term: self.lease.term,
                event: event.clone(),
            };
            // What others wrote is the truth: an event that no longer fits is dropped.
            if run.admits(&entry).is_err() {
                return Ok(false);
            }
            match self.seams.store.append(std::slice::from_ref(&entry)).await {
                Ok(()) => return self.accept(entry).map(|()| true),
                Err(StoreError::Taken { .. }) => self.hear().await?,
                Err(error @ StoreError::Unavailable { .. }) => {
                    failures += 1;
                    if failures >= APPENDS_MAX {
                        return Err(error.into());
                    }
                    self.seams.clock.sleep(APPEND_PAUSE_MS << failures).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn job(run: &Run, at: usize) -> Job {
    let step = run.step(at);
    Job {
        run: run.id.clone(),
        step: step.id.clone(),
        attempt: run.steps[at].attempt,
        does: step.does.clone(),
        on: step.on.clone(),
        limit_s: step.limit_s,
        by: None,
    }
}

/// Since when a check after a change looks into the logs: since the first step of its wave began. What is there of a step that
/// failed, or was shown by a breach, to a person who then said that the run shall go on does not count again; what was written
/// before a driver died does.
fn logs_since(run: &Run, at: usize) -> Option<Timestamp> {
    let step = run.step(at);
    // Only one verb looks at it, and plans have many steps.
    if !matches!(step.does, Does::FunctionCheck { .. }) {
        return None;
    }
    let of_wave = run.plan.body.steps.iter().zip(&run.steps).filter(|(other, _)| other.wave == step.wave);
    let began = of_wave.filter_map(|(_, state)| state.began).min();
    began.max(run.resumed)
}
