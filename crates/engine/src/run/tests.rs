//! Folding: every event against every state, and what must hold afterwards.

use super::fold::later;
use super::*;
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event, Outcome, Verdict, Why};
use ostler_model::ids::{PlanId, RunId, StepId};
use ostler_model::plan::{Budget, PLAN_FORMAT, Plan, PlanBody, Purpose, RollbackWay};
use ostler_model::step::{Does, Gate, Step, Target, Undo};
use proptest::prelude::*;
use std::sync::Arc;

mod offers;

/// Steps of the made-up plan: a chain of three, and three that share a budget of two.
fn plan() -> Arc<Plan> {
    let step = |name: &str, after: &[&str], draws: &[&str], gate: Option<Gate>| Step {
        id: name.into(),
        title: name.into(),
        wave: 0,
        does: Does::StopUnits { units: Vec::new() },
        on: Target::Cloud,
        after: after.iter().map(|name| StepId::new(*name)).collect(),
        guard: Vec::new(),
        gate,
        tries: 2,
        limit_s: 10,
        expect_ms: 10,
        draws: draws.iter().map(|name| (*name).into()).collect(),
        undo: Undo::Nothing,
        may_fail: false,
        regardless: false,
    };
    let ask = Some(Gate::Operator { question: "go on?".into() });
    let body = PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: "c".into(),
        purpose: Purpose::Rollback { of: "r0".into(), way: RollbackWay::Undo },
        seen: Timestamp::UNIX_EPOCH,
        basis: String::new(),
        waves: vec!["all".into()],
        steps: vec![
            step("a", &[], &[], None),
            step("b", &["a"], &[], ask),
            step("c", &["b"], &[], None),
            step("x", &[], &["two"], None),
            step("y", &[], &["two"], None),
            step("z", &[], &["two"], None),
        ],
        budgets: vec![Budget { name: "two".into(), width: 2 }],
        cautions: Vec::new(),
    };
    Arc::new(Plan::seal(body).unwrap())
}

fn entry(run: &Run, event: Event) -> Entry {
    Entry { run: run.id.clone(), seq: run.seq, at: Timestamp::UNIX_EPOCH, term: 1, event }
}

fn opened() -> Run {
    let plan = plan();
    let event = Event::Opened { plan: plan.id.clone(), who: Actor::Person("p".into()) };
    let first = Entry { run: "r".into(), seq: 0, at: Timestamp::UNIX_EPOCH, term: 0, event };
    Run::open(plan, &first).unwrap()
}

fn any_event() -> impl Strategy<Value = Event> {
    let step = prop::sample::select(vec!["a", "b", "c", "x", "y", "z", "nowhere"]).prop_map(StepId::new);
    let who = Actor::Person("p".into());
    let why = || Why::new("because");
    let outcome = prop_oneof![
        4 => Just(Outcome::done()),
        1 => Just(Outcome::not_done("no")),
        1 => Just(Outcome::unknown("who knows")),
    ];
    let pair = (step.clone(), 1_u16..4);
    prop_oneof![
        1 => Just(Event::Approved { hash: plan().id.clone(), who: who.clone() }),
        1 => Just(Event::Approved { hash: PlanId::new("other"), who: who.clone() }),
        6 => pair.clone().prop_map(|(step, attempt)| Event::Intended { step, attempt }),
        6 => (pair, outcome).prop_map(|((step, attempt), outcome)| Event::Proved { step, attempt, outcome }),
        1 => { let who = who.clone(); step.clone().prop_map(move |step| Event::Passed { step, who: who.clone() }) },
        1 => step.clone().prop_map(move |step| Event::Postponed { step, until: Timestamp::UNIX_EPOCH, why: why() }),
        1 => Just(Event::Paused { who: who.clone(), why: why() }),
        1 => Just(Event::Resumed { who: who.clone() }),
        1 => { let who = who.clone(); step.prop_map(move |step| Event::Skipped { step, who: who.clone(), why: "w".into() }) },
        1 => Just(Event::Closed { verdict: Verdict::Finished }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes, in whatever order: no panic, no budget exceeded, no step before those it waits for, an
    /// event that cannot follow changes nothing, and a replay of what was taken in gives the same run.
    #[test]
    fn any_journal_folds(events in prop::collection::vec(any_event(), 0..120)) {
        let mut run = opened();
        let mut taken = vec![Entry { run: RunId::new("r"), seq: 0, at: Timestamp::UNIX_EPOCH, term: 0,
            event: Event::Opened { plan: run.plan.id.clone(), who: Actor::Person("p".into()) } }];
        for event in events {
            let entry = entry(&run, event);
            let before = format!("{run:?}");
            match run.take_in(&entry) {
                Ok(()) => taken.push(entry),
                Err(_) => prop_assert_eq!(before, format!("{run:?}")),
            }
            let drawing = run.doing.iter().filter(|at| !run.step(**at).draws.is_empty()).count();
            prop_assert!(drawing <= 2, "budget exceeded");
            for (at, state) in run.steps.iter().enumerate() {
                if matches!(state.status, Status::Doing | Status::Done) {
                    for before in &run.step(at).after {
                        let status = run.state_of(before).unwrap().status;
                        prop_assert!(matches!(status, Status::Done | Status::Skipped), "{at} before {before}");
                    }
                }
            }
            let open = run.steps.iter().filter(|state| !matches!(state.status, Status::Done | Status::Skipped));
            prop_assert_eq!(run.remaining, open.count());
        }
        let replayed = Run::replay(Arc::clone(&run.plan), &taken).unwrap();
        prop_assert_eq!(format!("{:?}", replayed.steps), format!("{:?}", run.steps));
        prop_assert_eq!(replayed.state, run.state);
    }
}

fn take(run: Run, events: Vec<Event>) -> Run {
    events.into_iter().fold(run, |run, event| {
        let entry = entry(&run, event);
        fold(run, &entry).unwrap()
    })
}

fn approved() -> Run {
    let run = opened();
    let hash = run.plan.id.clone();
    take(run, vec![Event::Approved { hash, who: Actor::Person("p".into()) }])
}

#[test]
fn an_intent_without_a_proof_is_settled_and_not_begun_again() {
    let run = take(approved(), vec![Event::Intended { step: "a".into(), attempt: 1 }]);
    let moves = next(&run, Timestamp::UNIX_EPOCH);
    assert!(moves.contains(&Move::Settle("a".into())), "{moves:?}");
    assert!(!moves.contains(&Move::Begin("a".into())), "{moves:?}");
}

#[test]
fn unknown_never_becomes_not_done() {
    let intent = Event::Intended { step: "a".into(), attempt: 1 };
    let unknown = Event::Proved { step: "a".into(), attempt: 1, outcome: Outcome::unknown("?") };
    let run = take(approved(), vec![intent, unknown]);
    assert_eq!(run.state_of(&"a".into()).unwrap().status, Status::Doing);
}

#[test]
fn a_budget_lets_no_more_begin_than_it_is_wide() {
    let moves = next(&approved(), Timestamp::UNIX_EPOCH);
    let begun =
        moves.iter().filter(|offered| matches!(offered, Move::Begin(step) if "xyz".contains(step.as_str())));
    assert_eq!(begun.count(), 2, "{moves:?}");
}

#[test]
fn a_failed_step_stops_everything_else_from_beginning() {
    let failed = |attempt| {
        vec![
            Event::Intended { step: "a".into(), attempt },
            Event::Proved { step: "a".into(), attempt, outcome: Outcome::not_done("no") },
        ]
    };
    let run = take(approved(), [failed(1), failed(2)].concat());
    assert!(matches!(next(&run, Timestamp::MAX).as_slice(), [Move::Pause(_)]));
}

/// A plan in which `e` may fail; `f` and then `g` need it, `r` does not, and `s` needs nothing.
fn forgiving() -> Run {
    let step = |name: &str, after: &[&str], may_fail: bool, regardless: bool| Step {
        may_fail,
        regardless,
        after: after.iter().map(|name| StepId::new(*name)).collect(),
        id: name.into(),
        draws: Vec::new(),
        gate: None,
        ..plan().body.steps[0].clone()
    };
    let steps = vec![
        step("e", &[], true, false),
        step("f", &["e"], false, false),
        step("g", &["f"], false, false),
        step("r", &["e"], false, true),
        step("s", &[], false, false),
    ];
    let plan = Arc::new(Plan::seal(PlanBody { steps, ..plan().body.clone() }).unwrap());
    let opened = Event::Opened { plan: plan.id.clone(), who: Actor::Person("p".into()) };
    let first = Entry { run: RunId::new("r"), seq: 0, at: Timestamp::UNIX_EPOCH, term: 0, event: opened };
    let hash = plan.id.clone();
    let run = Run::open(plan, &first).unwrap();
    take(run, vec![Event::Approved { hash, who: Actor::Person("p".into()) }])
}

#[test]
fn a_plan_from_before_steps_could_be_given_up_is_read_as_it_was() {
    let text = serde_json::to_string(&*plan()).unwrap();
    assert!(!text.contains("may_fail") && !text.contains("regardless"), "its hash would be another one");
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert!(read.is_intact());
}

fn tried(step: &str, attempt: u16, outcome: Outcome) -> Vec<Event> {
    let step = StepId::new(step);
    vec![Event::Intended { step: step.clone(), attempt }, Event::Proved { step, attempt, outcome }]
}

fn given_up() -> Run {
    let no = || Outcome::not_done("no");
    take(forgiving(), [tried("e", 1, no()), tried("e", 2, no())].concat())
}

#[test]
fn a_step_that_may_fail_is_given_up_with_what_needs_it() {
    let run = given_up();
    let status = |step: &str| run.state_of(&step.into()).unwrap().status;
    assert_eq!(["e", "f", "g"].map(status), [Status::GivenUp; 3]);
    assert_eq!(["r", "s"].map(status), [Status::Ready; 2]);
}

#[test]
fn a_run_with_a_step_that_was_given_up_ends_as_partly_done() {
    let done = |step| tried(step, 1, Outcome::done());
    let run = take(given_up(), [done("r"), done("s")].concat());
    assert_eq!(next(&run, Timestamp::MAX), [Move::Close(Verdict::PartlyDone)]);
    let finished = Event::Closed { verdict: Verdict::Finished };
    assert!(fold(run.clone(), &entry(&run, finished)).is_err(), "it is not finished");
    take(run, vec![Event::Closed { verdict: Verdict::PartlyDone }]);
}

#[test]
fn a_step_that_may_fail_is_given_up_when_nobody_can_say_what_came_of_it() {
    let intended = vec![Event::Intended { step: "e".into(), attempt: 1 }];
    let unknown = Event::Proved { step: "e".into(), attempt: 1, outcome: Outcome::unknown("?") };
    let run = take(forgiving(), [intended, vec![unknown; 9]].concat());
    assert_eq!(run.state_of(&"e".into()).unwrap().status, Status::GivenUp);
    assert!(!matches!(next(&run, Timestamp::MAX).as_slice(), [Move::Pause(_)]));
}

#[test]
fn a_gate_holds_its_step_back() {
    let intent = Event::Intended { step: "a".into(), attempt: 1 };
    let done = Event::Proved { step: "a".into(), attempt: 1, outcome: Outcome::done() };
    let run = take(approved(), vec![intent, done]);
    assert!(next(&run, Timestamp::UNIX_EPOCH).contains(&Move::Ask("b".into())));
    let refused = fold(run.clone(), &entry(&run, Event::Intended { step: "b".into(), attempt: 1 }));
    assert!(refused.is_err(), "an intent went past a closed gate");
}
