//! Tells a story: plans, approves, drives, mends and takes back, as an operator with Ostler would, and judges the end.
//!
//! Planner, fold, driver and rollback are the production ones. Everything runs on one thread and on tokio's paused
//! clock, so a story is the same to the byte each time.

use super::invariants;
use super::story::{Mood, Story, catalogue};
use super::weather::{Life, Weather};
use crate::clock::SimClock;
use crate::cloud::{Breach, SimCloud};
use crate::dice::Rolls;
use crate::passage::{Gate, behind};
use crate::rehearse::step_of;
use crate::store::MemoryStore;
use ostler_engine::plan::{
    Choice, Estimates, Planned, Refused, Scene, Wish, fitting_heads, lint, rollback, upgrade,
};
use ostler_engine::run::{self, DriveError, Ended, LeaseError, Run, RunState};
use ostler_engine::seam::{Clock, Seams, Store};
use ostler_model::canary::Suite;
use ostler_model::catalogue::Catalogue;
use ostler_model::event::{Actor, Entry, Event, Verdict};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::plan::Plan;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often an operator goes back to a run before all trouble ends.
const ROUNDS_ROUGH: u32 = 6;

/// How often an operator goes back to a run at all.
const ROUNDS_MAX: u32 = 24;

/// Virtual time after which a driver is stuck.
const STUCK: Duration = Duration::from_secs(6 * 3600);

/// The longest journal of a story: more means that something goes round in circles.
const ENTRIES_MAX: usize = 40_000;

/// How long an operator waits after mending.
const BREATH_MS: u64 = 45_000;

/// Questions after which a second Ostler gives up waiting for the lease.
const WAITS_MAX: u32 = 20;

/// One story in so many has the check of functions after each change, and one in so many a canary: one has neither, one has
/// both.
const FUNCTION_CHECK_EVERY: u64 = 2;
const CANARY_EVERY: u64 = 3;

/// How a story ended.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Rules that were broken.
    pub breaches: Vec<Breach>,
    /// How the upgrade ended: a word.
    pub end: &'static str,
    /// Which event followed which.
    pub followed: BTreeMap<(&'static str, &'static str), u64>,
    /// Which trouble came while which verb was the last one begun.
    pub hits: BTreeMap<(&'static str, &'static str), u64>,
    /// Entries of all journals.
    pub entries: u64,
    /// How often Ostler was started again.
    pub rounds: u32,
    /// What happened, line by line, where that was wanted.
    pub trace: Vec<String>,
    /// How long nobody answered, at the longest.
    pub outage_ms: u64,
    /// How long it took, in the cloud's time.
    pub took_ms: u64,
    /// How often the run was paused and a person had to come.
    pub asked: u32,
    /// The step at which a person had to come first, if one had to.
    pub trouble_at: Option<StepId>,
}

/// Everything around one run.
pub(crate) struct Ground<'a> {
    catalogue: &'a Catalogue,
    pub(crate) cloud: Arc<SimCloud>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: SimClock,
    pub(crate) seams: Seams,
    pub(crate) weather: Arc<Weather>,
    rolls: Rolls,
    sessions: u64,
    asked: u32,
    trouble_at: Option<StepId>,
}

/// Runs a future on a thread of its own kind: paused clock, nothing else.
pub fn on_paused_clock<F: Future>(future: F) -> Option<F::Output> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().ok()?;
    Some(runtime.block_on(future))
}

/// Tells a story and judges it.
pub fn tell(story: &Story, trace: bool) -> Told {
    on_paused_clock(told(story, trace)).unwrap_or_default()
}

fn person() -> Actor {
    Actor::Person("operator".into())
}

async fn told(story: &Story, trace: bool) -> Told {
    let (Some(cloud), Some(catalogue)) = (story.cloud(), catalogue()) else { return Told::default() };
    if trace {
        cloud.keep_trace();
    }
    let ground = Ground::new(catalogue, cloud, story.troubles.clone(), story.mood.seed);
    // Something that a canary makes and takes away.
    ground.cloud.offer(&["image"]);
    let seen = ground.look();
    let estimates = Estimates::default();
    let scene = Scene { cloud: &ground.cloud.declared, catalogue, seen: &seen, estimates: &estimates };
    let new = catalogue.services[&story.service].release(story.to).map_or(0, |release| release.major);
    let mut wish = Wish {
        service: story.service.clone(),
        to: story.to,
        strategy: Some(story.strategy),
        soak_s: 3,
        packages: BTreeMap::from([(ground.cloud.package.clone(), format!("{new}.0.0"))]),
        ask_before_final: story.asks,
        function_check: story.mood.seed.is_multiple_of(FUNCTION_CHECK_EVERY),
        canary: story.mood.seed.is_multiple_of(CANARY_EVERY).then_some(Suite::Basic),
    };
    let planned = upgrade(&wish, &scene).or_else(|_| {
        wish.strategy = None;
        upgrade(&wish, &scene)
    });
    let Planned { plan, .. } = match planned {
        Ok(planned) => planned,
        Err(refused) => return ground.finish("refused", Vec::new(), vec![refused_breach(&refused)]),
    };
    let judge = |ground: &Ground<'_>, end: &str| judge_world(story, ground, end);
    // A plan is judged by itself, whatever becomes of its run.
    let wrong = lint(&plan).into_iter().next();
    let mut told = ground.course(story.mood, plan, &judge).await;
    told.breaches
        .extend(wrong.map(|finding| Breach { invariant: "approved-plan-runs", what: finding.summary }));
    told
}

/// A healthy cloud must be plannable.
fn refused_breach(refused: &Refused) -> Breach {
    Breach { invariant: "every-run-ends", what: format!("a healthy cloud is refused: {}", refused.why) }
}

impl<'a> Ground<'a> {
    pub(crate) fn new(
        catalogue: &'a Catalogue,
        cloud: Arc<SimCloud>,
        troubles: Vec<super::Ordered>,
        seed: u64,
    ) -> Ground<'a> {
        let clock = SimClock::default();
        let store = Arc::new(MemoryStore::default());
        let seams = crate::seams_at(&cloud, store.clone(), seed, clock.clone());
        let weather = Arc::new(Weather::new(&cloud, &clock, troubles));
        Ground {
            catalogue,
            cloud,
            store,
            clock,
            seams,
            weather,
            rolls: Rolls::new(seed),
            sessions: 0,
            asked: 0,
            trouble_at: None,
        }
    }

    pub(crate) fn look(&self) -> ostler_model::inventory::Inventory {
        let hosts: Vec<HostName> = self.cloud.declared.nodes.keys().cloned().collect();
        self.cloud.look(&hosts, self.clock.now())
    }

    /// Opens and approves a run.
    pub(crate) async fn open(&self, plan: &Plan) -> Option<RunId> {
        let (store, clock) = (self.seams.store.as_ref(), self.seams.clock.as_ref());
        let run = run::open(store, clock, self.seams.dice.as_ref(), plan, person()).await.ok()?;
        run::approve(store, clock, &run, &plan.id, person()).await.ok()?;
        self.cloud.approve(&run, &Arc::new(plan.clone()));
        Some(run)
    }

    async fn load(&self, run: &RunId) -> Result<Run, String> {
        run::load(self.seams.store.as_ref(), run).await.map_err(|error| error.to_string())
    }

    /// The whole course of a story, once there is a plan.
    async fn course(
        mut self,
        mood: Mood,
        plan: Plan,
        judge: &dyn Fn(&Ground<'_>, &str) -> Vec<Breach>,
    ) -> Told {
        let mut found = Vec::new();
        let Some(run) = self.open(&plan).await else {
            return self.finish("unopened", Vec::new(), vec![breach("a run cannot be opened")]);
        };
        let mut runs = vec![run.clone()];
        let mut end = "finished";
        match self.until_over(&run, mood, &mut runs).await {
            Ok(Verdict::Finished) if mood.regrets => match self.take_back(&run, mood, &mut runs).await {
                Ok(true) => end = "taken back",
                Ok(false) => {}
                Err(what) => found.push(breach(&what)),
            },
            Ok(Verdict::Finished | Verdict::PartlyDone) => {}
            Ok(Verdict::RolledBack { .. }) => end = "rolled back",
            Ok(Verdict::Abandoned) => end = "abandoned",
            Err(what) => {
                end = "stuck";
                found.push(breach(&what));
            }
        }
        self.mend(&runs).await;
        if end != "stuck" && end != "abandoned" {
            found.extend(judge(&self, end));
        }
        for id in &runs {
            let Ok(run) = self.load(id).await else { continue };
            let entries = self.store.entries(id, 0).await.unwrap_or_default();
            found.extend(invariants::journal(&run.plan, &entries));
            found.extend(self.judge_done(&run));
        }
        self.finish(end, runs, found)
    }

    /// What the journal calls done or not done, the nodes must know as such.
    fn judge_done(&self, run: &Run) -> Vec<Breach> {
        let said: Vec<_> = run
            .plan
            .body
            .steps
            .iter()
            .zip(&run.steps)
            .filter(|(step, _)| step.on.node().is_some())
            .map(|(step, state)| (step, state.status, state.attempt))
            .collect();
        self.cloud.contradictions(&run.id, &said)
    }

    fn finish(self, end: &'static str, runs: Vec<RunId>, mut found: Vec<Breach>) -> Told {
        found.extend(self.cloud.breaches());
        found.extend(invariants::leases(&self.store.leases(), self.clock.now(), 60_000));
        let mut told = Told { breaches: found, end, hits: self.weather.hits(), ..Told::default() };
        for id in &runs {
            let entries = self.store.all(id);
            told.entries += entries.len() as u64;
            for entry in &entries {
                let text = serde_json::to_string(&entry.event).unwrap_or_default();
                self.cloud.say(entry.at, || format!("journal {} term {} {text}", entry.seq, entry.term));
            }
            for pair in entries.windows(2) {
                let pair = (event_name(&pair[0]), event_name(&pair[1]));
                *told.followed.entry(pair).or_default() += 1;
            }
        }
        (told.asked, told.trouble_at) = (self.asked, self.trouble_at.clone());
        told.rounds = self.sessions.saturating_sub(1) as u32;
        told.outage_ms = self.cloud.outage_ms().1;
        told.took_ms = self.clock.elapsed_ms();
        told.trace = self.cloud.trace();
        told
    }

    /// Drives, mends and resumes until the run is over.
    async fn until_over(&mut self, id: &RunId, mood: Mood, runs: &mut Vec<RunId>) -> Result<Verdict, String> {
        for round in 0..ROUNDS_MAX {
            if round >= ROUNDS_ROUGH {
                self.weather.calm();
            }
            self.session(id).await?;
            let run = self.load(id).await?;
            if run.seq as usize > ENTRIES_MAX {
                return Err(format!("the journal of run {id} has {} entries", run.seq));
            }
            match &run.state {
                RunState::Closed(verdict) => return Ok(verdict.clone()),
                RunState::Opened => return Err(format!("run {id} was approved and is not")),
                RunState::Running => self.pass_gates(&run).await,
                RunState::Paused { why, .. } => {
                    let what = why.what.clone();
                    self.asked += 1;
                    if self.trouble_at.is_none() {
                        self.trouble_at = step_of(&run.plan, &what);
                    }
                    self.cloud.say(self.clock.now(), || format!("paused {what}"));
                    if !self.rolls.chance(mood.careless) || round >= ROUNDS_ROUGH {
                        self.mend(runs).await;
                    }
                    let is_upgrade = runs.first() == Some(id);
                    if is_upgrade && self.rolls.chance(mood.turns_back) {
                        // In doubt nobody goes back: what is under way is settled first.
                        self.session(id).await?;
                        if Box::pin(self.take_back(id, mood, runs)).await? {
                            return self.load(id).await.map(|run| match run.state {
                                RunState::Closed(verdict) => verdict,
                                _ => Verdict::Abandoned,
                            });
                        }
                    }
                    self.say(id, Event::Resumed { who: person() }).await;
                }
            }
        }
        let run = self.load(id).await?;
        let why = match &run.state {
            RunState::Paused { why, .. } => why.what.clone(),
            other => other.word().to_owned(),
        };
        Err(format!("after {ROUNDS_MAX} rounds and with all trouble mended, run {id} has not ended: {why}"))
    }

    /// A person says something to a run; whether it fits is the run's word.
    async fn say(&self, id: &RunId, event: Event) {
        let said = run::command(self.seams.store.as_ref(), self.seams.clock.as_ref(), id, event).await;
        if let Err(error) = said {
            self.cloud.say(self.clock.now(), || format!("refused {error}"));
        }
    }

    async fn pass_gates(&self, run: &Run) {
        let waiting: Vec<_> = run
            .ready
            .iter()
            .filter(|at| matches!(run.step(**at).gate, Some(ostler_model::step::Gate::Operator { .. })))
            .map(|at| run.step(*at).id.clone())
            .collect();
        for step in waiting {
            self.say(&run.id, Event::Passed { step, who: person() }).await;
        }
    }

    /// Plans the way back and goes it. False: there is none that may be gone.
    async fn take_back(&mut self, id: &RunId, mood: Mood, runs: &mut Vec<RunId>) -> Result<bool, String> {
        let parent = self.load(id).await?;
        if !parent.doing.is_empty() {
            return Ok(false);
        }
        let seen = self.look();
        let estimates = Estimates::default();
        let scene = Scene {
            cloud: &self.cloud.declared,
            catalogue: self.catalogue,
            seen: &seen,
            estimates: &estimates,
        };
        let asked = Choice { way: mood.way, accept_loss: true };
        let planned = rollback(&parent, &asked, &scene)
            .or_else(|_| rollback(&parent, &Choice { way: None, accept_loss: true }, &scene));
        let planned = match planned {
            Ok(planned) => planned,
            Err(refused) => {
                self.cloud.say(self.clock.now(), || format!("no way back: {}", refused.why));
                return Ok(false);
            }
        };
        let wrong = lint(&planned.plan);
        if let Some(finding) = wrong.first() {
            return Err(format!(
                "the way back is refused by the linter: {} {:?}",
                finding.summary, finding.evidence
            ));
        }
        let Some(back) = self.open(&planned.plan).await else {
            return Err("the way back cannot be opened".into());
        };
        runs.push(back.clone());
        match Box::pin(self.until_over(&back, mood, runs)).await? {
            Verdict::Finished => {
                self.say(id, Event::Closed { verdict: Verdict::RolledBack { by: back } }).await;
                Ok(true)
            }
            other => Err(format!("the way back {back} ended as {other}")),
        }
    }

    /// One Ostler drives the run until it stops, is killed or gives up; a second one may be beside it.
    pub(crate) async fn session(&mut self, id: &RunId) -> Result<(), String> {
        self.sessions += 1;
        let number = self.sessions;
        let first = self.ostler(id, format!("ostler-{number}"), true);
        let second = async {
            // Woken when the weather says so; until then it does not exist.
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if self.weather.wants_second() {
                    break;
                }
            }
            self.ostler(id, format!("ostler-{number}-beside"), false).await
        };
        let both = async {
            tokio::pin!(first);
            tokio::pin!(second);
            tokio::select! {
                biased;
                ended = &mut first => ended,
                other = &mut second => {
                    let ended = first.await;
                    other.and(ended)
                }
            }
        };
        match tokio::time::timeout(STUCK, both).await {
            Ok(ended) => ended,
            Err(_) => Err(format!("a driver of run {id} is stuck for {} h", STUCK.as_secs() / 3600)),
        }
    }

    async fn ostler(&self, id: &RunId, name: String, knows_the_dead: bool) -> Result<(), String> {
        let life = Arc::new(Life::default());
        let own = self.clock.apart();
        let inner = Seams { clock: Arc::new(own.clone()), ..self.seams.clone() };
        let gate =
            Gate::Weather { weather: Arc::clone(&self.weather), life: Arc::clone(&life), own: own.clone() };
        let seams = behind(inner, gate);
        let work = async {
            let lease = lease(&seams, &name, knows_the_dead).await?;
            run::drive(id, &seams, lease, &|_, _| {}).await
        };
        let ended = tokio::select! {
            biased;
            () = life.ended() => {
                self.cloud.say(self.clock.now(), || format!("{name} is dead"));
                return Ok(());
            }
            ended = work => ended,
        };
        self.cloud.say(self.clock.now(), || format!("{name} ends: {}", end_word(&ended)));
        match ended {
            // These are ends that an operator sees and goes on from.
            Ok(_)
            | Err(DriveError::Superseded { .. } | DriveError::LeaseLost { .. } | DriveError::Store(_)) => {
                Ok(())
            }
            Err(DriveError::Control(run::ControlError::Store(_))) => Ok(()),
            Err(error) => Err(format!("a driver of run {id} fails: {error}")),
        }
    }

    /// A person mends everything that is broken, as far as the runs left it to them.
    pub(crate) async fn mend(&mut self, runs: &[RunId]) {
        let now = self.clock.now();
        let hosts: Vec<HostName> = self.cloud.declared.nodes.keys().cloned().collect();
        for host in &hosts {
            self.cloud.set_link(host, crate::cloud::Link::Up, None, now);
            self.cloud.give_power(host, now);
        }
        let mut loaded = Vec::new();
        for id in runs {
            loaded.extend(self.load(id).await.ok());
        }
        self.cloud.repair(&loaded);
        self.cloud.start_databases(now);
        self.clock.sleep(BREATH_MS).await;
        self.cloud.revive_cluster(self.clock.now());
        self.cloud.repair(&loaded);
        self.clock.sleep(BREATH_MS).await;
    }
}

/// The world at the end of a story.
fn judge_world(story: &Story, ground: &Ground<'_>, end: &str) -> Vec<Breach> {
    let Some(service) = ground.catalogue.services.get(&story.service) else { return Vec::new() };
    let series = if end == "finished" { story.to } else { story.from };
    let major = service.release(series).map_or(0, |release| release.major);
    let heads = if end == "finished" {
        service.release(series).map(|release| release.any_heads()).unwrap_or_default()
    } else {
        fitting_heads(ground.catalogue, service, series)
    };
    let mut found = invariants::world(&ground.cloud, &format!("{major}.0.0"), &heads);
    let left = ground.cloud.things();
    if end == "finished" && !left.is_empty() {
        found.push(Breach {
            invariant: "nothing-left-behind",
            what: format!("there is still {}", left.join(", ")),
        });
    }
    found
}

/// Tells the course of a plan that was made elsewhere, on a copy of its cloud.
pub async fn tell_plan(
    cloud: Arc<SimCloud>,
    catalogue: &Catalogue,
    plan: &Plan,
    troubles: Vec<super::Ordered>,
    mood: Mood,
) -> Told {
    let ground = Ground::new(catalogue, cloud, troubles, mood.seed);
    ground.course(mood, plan.clone(), &|_, _| Vec::new()).await
}

fn breach(what: &str) -> Breach {
    Breach { invariant: "every-run-ends", what: what.to_owned() }
}

/// Waits for the lease as somebody would who starts Ostler again and again.
async fn lease(
    seams: &Seams,
    name: &str,
    knows_the_dead: bool,
) -> Result<ostler_engine::seam::Lease, DriveError> {
    let mut waits = 0;
    loop {
        let gone = |_: &str| knows_the_dead;
        let taken = run::take(seams.store.as_ref(), seams.clock.as_ref(), "cloud/sim", name, &gone).await;
        match taken {
            Ok(lease) => return Ok(lease),
            Err(LeaseError::Held { .. }) if waits < WAITS_MAX => {
                waits += 1;
                seams.clock.sleep(2_000).await;
            }
            Err(LeaseError::Held { owner, .. }) => return Err(DriveError::LeaseLost { what: owner }),
            Err(LeaseError::Store(error)) => return Err(error.into()),
        }
    }
}

fn end_word(ended: &Result<Ended, DriveError>) -> String {
    match ended {
        Ok(Ended::Closed(verdict)) => verdict.to_string(),
        Ok(Ended::Paused { .. }) => "paused".into(),
        Ok(Ended::Unapproved) => "unapproved".into(),
        Ok(Ended::Asking { step, .. }) => format!("asks before {step}"),
        Err(error) => error.to_string(),
    }
}

fn event_name(entry: &Entry) -> &'static str {
    match &entry.event {
        Event::Opened { .. } => "opened",
        Event::Approved { .. } => "approved",
        Event::Passed { .. } => "passed",
        Event::Intended { .. } => "intended",
        Event::Proved { outcome, .. } => match outcome {
            ostler_model::event::Outcome::Done { .. } => "done",
            ostler_model::event::Outcome::NotDone { .. } => "not done",
            ostler_model::event::Outcome::Unknown { .. } => "unknown",
        },
        Event::Postponed { .. } => "postponed",
        Event::Paused { .. } => "paused",
        Event::Resumed { .. } => "resumed",
        Event::Skipped { .. } => "skipped",
        Event::Abandoned { .. } => "abandoned",
        Event::Closed { .. } => "closed",
    }
}
