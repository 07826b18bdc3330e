//! What `next` offers, compared with a plain look at every step, and how few steps it looks at for that.

use super::super::agenda::Stand;
use super::super::next::may_begin;
use super::*;
use ostler_model::step::Through;
use std::collections::BTreeSet;

/// What may happen now, by looking at every step. No driver has anything in hand.
fn plainly(run: &Run, now: Timestamp) -> Vec<Move> {
    match &run.state {
        RunState::Closed(_) => return Vec::new(),
        RunState::Opened => return vec![Move::Approve],
        RunState::Running if run.remaining == 0 => return vec![Move::Close(Verdict::Finished)],
        RunState::Running | RunState::Paused { .. } => {}
    }
    let places = || 0..run.steps.len();
    let is = |at: &usize, status: Status| run.steps[*at].status == status;
    let id = |at: usize| run.step(at).id.clone();
    let mut moves = Vec::new();
    let mut waits = Vec::new();
    for at in places().filter(|at| is(at, Status::Doing) && !run.needs_a_person(*at)) {
        match run.steps[at].not_before.filter(|until| *until > now) {
            Some(until) => waits.push(until),
            None => moves.push(Move::Settle(id(at))),
        }
    }
    let stuck = |status| places().find(|at| is(at, status) && run.needs_a_person(*at));
    let failed = places().find(|at| is(at, Status::Failed));
    if run.state == RunState::Running {
        let (verb, blocker) = match (failed, stuck(Status::Doing), stuck(Status::Ready)) {
            (Some(at), _, _) => (format!("step {} failed", id(at)), Some(at)),
            (_, Some(at), _) => (format!("nobody can say what came of step {}", id(at)), Some(at)),
            (_, _, Some(at)) => (format!("step {} cannot begin", id(at)), Some(at)),
            _ => (String::new(), None),
        };
        match blocker {
            Some(at) if moves.is_empty() && waits.is_empty() => {
                return vec![Move::Pause(Why::new(format!(
                    "{verb}: {}",
                    run.steps[at].why.as_ref().unwrap().what
                )))];
            }
            Some(_) => {}
            None => {
                let mut beginning = Vec::new();
                for at in places().filter(|at| is(at, Status::Ready)) {
                    let state = &run.steps[at];
                    let until = state.not_before.filter(|until| *until > now);
                    match &run.step(at).gate {
                        _ if until.is_some() => waits.extend(until),
                        Some(Gate::Operator { .. }) if !state.passed => moves.push(Move::Ask(id(at))),
                        Some(Gate::Quiet { .. }) if !state.passed => moves.push(Move::Watch(id(at))),
                        Some(Gate::Window { from, .. }) if now < *from => waits.push(*from),
                        Some(Gate::Window { to, .. }) if now > *to => {
                            let what = format!("the window of step {} ended at {to}", id(at));
                            return vec![Move::Pause(Why::new(what).hint("plan again with a new window"))];
                        }
                        _ if plainly_affords(run, at, &beginning) => {
                            beginning.push(at);
                            moves.push(Move::Begin(id(at)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    moves.extend(waits.into_iter().min().map(Move::Wait));
    moves
}

fn plainly_affords(run: &Run, at: usize, also: &[usize]) -> bool {
    run.step(at).draws.iter().all(|name| {
        let draws = |other: &usize| run.step(*other).draws.contains(name);
        let in_use = (0..run.steps.len()).filter(|other| run.steps[*other].status == Status::Doing);
        let drawing = in_use.filter(draws).count() + also.iter().filter(|other| draws(other)).count();
        let width = run.plan.body.budgets.iter().find(|budget| budget.name == *name).unwrap().width;
        drawing < width as usize
    })
}

fn second(number: i64) -> Timestamp {
    Timestamp::from_second(number).unwrap()
}

fn sealed(steps: Vec<Step>, budgets: Vec<Budget>) -> Arc<Plan> {
    let mut body = plan().body.clone();
    (body.steps, body.budgets) = (steps, budgets);
    Arc::new(Plan::seal(body).unwrap())
}

fn opened_for(plan: Arc<Plan>) -> Run {
    let event = Event::Opened { plan: plan.id.clone(), who: Actor::Person("p".into()) };
    let first = Entry { run: "r".into(), seq: 0, at: second(0), term: 0, event };
    Run::open(plan, &first).unwrap()
}

fn approved_for(plan: Arc<Plan>) -> Run {
    let hash = plan.id.clone();
    take(opened_for(plan), vec![Event::Approved { hash, who: Actor::Person("p".into()) }])
}

fn any_gate() -> impl Strategy<Value = Option<Gate>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(Gate::Operator { question: "?".into() })),
        1 => Just(Some(Gate::Quiet { through: Through::Front { port: 1 }, calls: Vec::new(), for_s: 1 })),
        1 => (0_i64..20, 30_i64..300)
            .prop_map(|(from, to)| Some(Gate::Window { from: second(from), to: second(to) })),
    ]
}

fn any_plan() -> impl Strategy<Value = Arc<Plan>> {
    let budget = prop::collection::btree_set(0_usize..3, 0..3);
    let step = (prop::collection::vec(any::<prop::sample::Index>(), 0..3), budget, any_gate(), 1_u16..3);
    let widths = prop::collection::vec(0_u32..4, 3);
    (prop::collection::vec(step, 1..25), widths).prop_map(|(made, widths)| {
        let name = |at: usize| StepId::new(format!("s{at:02}"));
        let any = plan().body.steps[0].clone();
        let steps = made.into_iter().enumerate().map(|(at, (after, draws, gate, tries))| {
            let mut step = any.clone();
            let after: BTreeSet<usize> =
                after.iter().filter(|_| at % 3 != 0).map(|before| before.index(at)).collect();
            (step.id, step.gate, step.tries) = (name(at), gate, tries);
            step.after = after.into_iter().map(name).collect();
            step.draws = draws.into_iter().map(|number| format!("b{number}").as_str().into()).collect();
            step
        });
        let budgets = widths.iter().enumerate();
        let budgets =
            budgets.map(|(at, width)| Budget { name: format!("b{at}").as_str().into(), width: *width });
        sealed(steps.collect(), budgets.collect())
    })
}

/// What a person, a driver or chance does next to a run.
#[derive(Clone, Debug)]
enum Act {
    /// Makes one of the moves that are offered.
    Offered(prop::sample::Index, Outcome),
    /// Says a word about any step, whether it fits or not.
    Word(prop::sample::Index, u8),
}

fn any_act() -> impl Strategy<Value = (Act, i64)> {
    let outcome = prop_oneof![
        5 => Just(Outcome::done()),
        2 => Just(Outcome::not_done("no")),
        2 => Just(Outcome::unknown("who knows")),
    ];
    let act = prop_oneof![
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, outcome)| Act::Offered(which, outcome)),
        1 => (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(step, word)| Act::Word(step, word)),
    ];
    let passed = prop_oneof![6 => Just(0_i64), 3 => 1_i64..4, 1 => -3_i64..40];
    (act, passed)
}

/// The event that an act comes to.
fn event_of(run: &Run, act: &Act, now: Timestamp) -> Option<Event> {
    let who = Actor::Person("p".into());
    let why = Why::new("because");
    match act {
        Act::Offered(which, outcome) => {
            let moves = next(run, now);
            Some(match moves.get(which.index(moves.len().max(1)))?.clone() {
                Move::Approve => Event::Approved { hash: run.plan.id.clone(), who },
                Move::Ask(step) | Move::Watch(step) => Event::Passed { step, who },
                Move::Begin(step) => {
                    let attempt = run.state_of(&step)?.attempt + 1;
                    Event::Intended { step, attempt }
                }
                Move::Settle(step) => {
                    let attempt = run.state_of(&step)?.attempt;
                    Event::Proved { step, attempt, outcome: outcome.clone() }
                }
                Move::Pause(why) => Event::Paused { who, why },
                Move::Wait(_) => return None,
                Move::Close(verdict) => Event::Closed { verdict },
            })
        }
        Act::Word(which, word) => {
            let step = run.step(which.index(run.steps.len())).id.clone();
            Some(match word {
                0 => Event::Passed { step, who },
                1 => Event::Skipped { step, who, why: "w".into() },
                2 => Event::Paused { who, why },
                3 | 4 => Event::Resumed { who },
                _ => Event::Postponed { step, until: later(now, i64::from(*word) * 1_000), why },
            })
        }
    }
}

fn without_waits(moves: Vec<Move>) -> Vec<Move> {
    moves.into_iter().filter(|offered| !matches!(offered, Move::Wait(_))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the plan and whatever happens: the moves are those, and in the order, that a look at every step finds.
    #[test]
    fn the_moves_are_those_of_a_plain_look(plan in any_plan(), acts in prop::collection::vec(any_act(), 0..120)) {
        let mut run = opened_for(plan);
        let (mut now, mut newest) = (second(0), second(0));
        for (act, passed) in acts {
            now = later(now, passed * 500);
            newest = newest.max(now);
            // A clock that went back may hide when there is more, never what there is.
            if now < newest {
                prop_assert_eq!(without_waits(next(&run, now)), without_waits(plainly(&run, now)));
            } else {
                prop_assert_eq!(next(&run, now), plainly(&run, now));
            }
            let may: Vec<Move> = (0..run.steps.len()).filter(|at| may_begin(&run, *at, now))
                .map(|at| Move::Begin(run.step(at).id.clone())).collect();
            for offered in next(&run, now).into_iter().filter(|offered| matches!(offered, Move::Begin(_))) {
                prop_assert!(may.contains(&offered), "{offered:?} is offered and may not begin");
            }
            if let Some(event) = event_of(&run, &act, now) {
                let entry = Entry { run: run.id.clone(), seq: run.seq, at: now, term: 1, event };
                let _ = run.take_in(&entry);
            }
        }
    }

    /// What is in hand is not offered again, what is offered besides it fits its budgets, and what was put back is
    /// offered as if nobody had had it.
    #[test]
    fn what_is_in_hand_is_not_offered(plan in any_plan(), acts in prop::collection::vec((any_act(), any::<bool>()), 0..80)) {
        let mut run = opened_for(plan);
        let mut hand = BTreeSet::new();
        let mut now = second(0);
        for ((act, passed), takes) in acts {
            now = later(now, passed.max(0) * 500);
            if let Some(event) = event_of(&run, &act, now) {
                let entry = Entry { run: run.id.clone(), seq: run.seq, at: now, term: 1, event };
                let _ = run.take_in(&entry);
            }
            let moves = next(&run, now);
            let begins: Vec<usize> = moves.iter().filter_map(|offered| match offered {
                Move::Begin(step) => run.place(step).ok(),
                _ => None,
            }).collect();
            for (number, budget) in run.plan.body.budgets.iter().enumerate() {
                let draws = |at: &&usize| run.step(**at).draws.contains(&budget.name);
                let held = hand.iter().filter(draws).filter(|at| run.steps[**at].status == Status::Ready
                    && run.stand(**at, now) == Stand::Begin).count();
                let begin = begins.iter().filter(draws).count();
                let sum = run.in_use[number] as usize + held + begin;
                prop_assert!(begin == 0 || sum <= budget.width as usize, "{budget:?}: {sum} would draw on it");
            }
            for offered in moves {
                let (Move::Begin(step) | Move::Watch(step) | Move::Settle(step)) = offered else { continue };
                let at = run.place(&step).unwrap();
                prop_assert!(!hand.contains(&at), "{step} is in hand and was offered");
                if takes {
                    prop_assert!(run.take_in_hand(at));
                    hand.insert(at);
                }
            }
            let mut alone = run.clone();
            hand.iter().for_each(|at| alone.put_back(*at));
            prop_assert_eq!(next(&alone, now), plainly(&alone, now));
            if !takes {
                std::mem::take(&mut hand).into_iter().for_each(|at| run.put_back(at));
            }
        }
    }
}

/// Ten thousand steps that are all ready, and a budget that lets twenty of them run.
fn wide() -> Run {
    let any = plan().body.steps[0].clone();
    let steps = (0..10_000).map(|at| {
        let mut step = any.clone();
        step.id = StepId::new(format!("s{at}"));
        step.draws = vec!["wide".into()];
        step
    });
    approved_for(sealed(steps.collect(), vec![Budget { name: "wide".into(), width: 20 }]))
}

#[test]
fn of_ten_thousand_ready_steps_it_looks_at_as_many_as_may_begin() {
    let mut run = wide();
    let now = second(0);
    assert_eq!(run.candidates(now, 512).moves.len(), 20);
    assert_eq!(next(&run, now).len(), 20);
    for at in 0..15 {
        assert!(run.take_in_hand(at));
    }
    assert_eq!(run.candidates(now, 512).moves.len(), 5);
    let intended = |at: usize| Event::Intended { step: StepId::new(format!("s{at}")), attempt: 1 };
    run = take(run, (0..20).map(intended).collect());
    assert_eq!(run.candidates(now, 512).moves.len(), 0);
    let settled: Vec<Move> = (15..20).map(|at| Move::Settle(StepId::new(format!("s{at}")))).collect();
    assert_eq!(next(&run, now), settled, "what is in hand was offered again");
}

#[test]
fn steps_whose_time_has_come_are_looked_at_until_the_next_entry_and_no_longer() {
    let mut run = wide();
    let until = second(5);
    let postponed = (0..9_000).map(|at| Event::Postponed {
        step: StepId::new(format!("s{at}")),
        until,
        why: Why::new("w"),
    });
    run = take(run, postponed.collect());
    assert_eq!(run.candidates(second(1), 512).moves.len(), 20, "those that wait are not looked at");
    assert_eq!(run.candidates(until, 512).moves.len(), 9_020);
    let mut entry = entry(&run, Event::Intended { step: "s0".into(), attempt: 1 });
    entry.at = until;
    run = fold(run, &entry).unwrap();
    assert_eq!(run.candidates(until, 512).moves.len(), 19);
}

#[test]
fn no_more_is_in_hand_than_is_offered_at_once() {
    let unbounded = |step: &Step| Step { draws: Vec::new(), ..step.clone() };
    let steps = wide().plan.body.steps.iter().map(unbounded).collect();
    let mut run = approved_for(sealed(steps, Vec::new()));
    assert_eq!(next(&run, second(0)).len(), 512);
    (0..500).for_each(|at| assert!(run.take_in_hand(at)));
    assert_eq!(next(&run, second(0)).len(), 12);
    (500..512).for_each(|at| assert!(run.take_in_hand(at)));
    assert_eq!(next(&run, second(0)), []);
}
