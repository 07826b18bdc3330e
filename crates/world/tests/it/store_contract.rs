//! What every store owes, whatever it is made of: one body, run on each engine.
//!
//! It must never know which engine it is run on.

use ostler_engine::seam::{Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event};
use ostler_model::ids::{PlanId, RunId};
use ostler_model::inventory::{Gap, INVENTORY_FORMAT, Inventory, Seen};
use ostler_model::plan::{PLAN_FORMAT, Plan, PlanBody, Purpose, RollbackWay};
use ostler_model::record::{Record, RecordQuery};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An entry that tells by whom it was written.
pub fn entry(run: &str, seq: u64, who: &str) -> Entry {
    // Nanoseconds, which no column of a table holds.
    let at = Timestamp::from_nanosecond(1_790_000_000_123_456_789 + i128::from(seq)).unwrap();
    let event = match seq {
        0 => Event::Opened { plan: PlanId::new("plan"), who: Actor::Person(who.to_owned()) },
        _ => Event::Resumed { who: Actor::Person(who.to_owned()) },
    };
    Entry { run: RunId::new(run), seq, at, term: 1, event }
}

/// A plan that differs with its name.
pub fn plan(name: &str) -> Plan {
    let body = PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: name.to_owned(),
        purpose: Purpose::Rollback { of: RunId::new("20260101-000000-aaaa"), way: RollbackWay::Undo },
        seen: second(0),
        basis: String::from("basis"),
        waves: vec![],
        steps: vec![],
        budgets: vec![],
        cautions: vec![String::from("eine Warnung mit „Umlauten“: äöü 🐎")],
    };
    Plan::seal(body).unwrap()
}

/// An inventory of a cloud.
pub fn inventory(cloud: &str, taken: Timestamp) -> Inventory {
    let nodes =
        BTreeMap::from([("ctl1".into(), Seen::Unreachable { why: String::from("no route to host") })]);
    let gaps =
        vec![Gap { host: "ctl2".into(), what: String::from("galera"), why: String::from("no answer") }];
    Inventory { format: INVENTORY_FORMAT, cloud: cloud.to_owned(), taken, nodes, gaps }
}

/// A time.
pub fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Everything that a store owes. `ours` and `theirs` are two processes' views of one state; `names` makes the names
/// in it unique.
pub async fn holds(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    a_journal_is_read_as_it_was_written(ours, theirs, &format!("{names}-journal")).await;
    a_place_has_one_owner(ours, theirs, &format!("{names}-place")).await;
    an_append_repeated_is_no_second_append(ours, theirs, &format!("{names}-repeated")).await;
    an_append_is_all_or_nothing(ours, theirs, &format!("{names}-all")).await;
    names_are_exact(ours, theirs, &format!("{names}-names")).await;
    runs_are_listed_newest_first(ours, theirs, names).await;
    a_lease_has_one_owner(ours, theirs, &format!("{names}/lease")).await;
    plans_and_inventories_are_kept(ours, theirs, names).await;
    records_are_kept_by_name_and_asked_for_by_time(ours, theirs, names).await;
}

async fn records_are_kept_by_name_and_asked_for_by_time(
    ours: &Arc<dyn Store>,
    theirs: &Arc<dyn Store>,
    names: &str,
) {
    let record = |name: &str, at: i64, body: &str| Record {
        kind: "kind".into(),
        subject: names.into(),
        name: name.into(),
        at: second(at),
        body: body.into(),
    };
    let query = |from: i64, until: i64, limit| RecordQuery {
        kind: "kind".into(),
        subject: names.into(),
        from: second(from),
        until: second(until),
        limit,
    };
    for (name, at) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        ours.keep_record(&record(name, at, "first")).await.unwrap();
    }
    theirs.keep_record(&record("b", 20, "second, äöü 🐎")).await.unwrap();
    ours.keep_record(&Record { subject: format!("{names}-other"), ..record("a", 10, "x") }).await.unwrap();
    ours.keep_record(&Record { kind: "other".into(), ..record("a", 10, "x") }).await.unwrap();
    let found = ours.records(&query(20, 40, 10)).await.unwrap();
    assert_eq!(found, [record("c", 30, "first"), record("b", 20, "second, äöü 🐎")], "newest first");
    let newest = theirs.records(&query(0, 100, 1)).await.unwrap();
    assert_eq!(newest, [record("d", 40, "first")], "the newest ones, if not all");
    assert_eq!(theirs.drop_record("kind", names, "d").await, Ok(true));
    assert_eq!(ours.drop_record("kind", names, "d").await, Ok(false));
    assert_eq!(ours.purge_records("kind", names, second(30), 1).await, Ok(1));
    assert_eq!(ours.purge_records("kind", names, second(30), 10).await, Ok(1));
    assert_eq!(theirs.records(&RecordQuery::all("kind", names)).await.unwrap(), [record("c", 30, "first")]);
    let others = theirs.records(&RecordQuery::all("other", names)).await.unwrap();
    assert_eq!(others.len(), 1, "another kind is left alone");
}

async fn a_journal_is_read_as_it_was_written(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    let run = RunId::new(name);
    assert_eq!(ours.entries(&run, 0).await, Ok(vec![]), "a run that never was has entries");
    let written: Vec<Entry> = (0..7).map(|seq| entry(name, seq, "us")).collect();
    ours.append(&written[..1]).await.unwrap();
    ours.append(&written[1..4]).await.unwrap();
    theirs.append(&written[4..]).await.unwrap();
    ours.append(&[]).await.unwrap();
    for (reader, store) in [("us", ours), ("them", theirs)] {
        assert_eq!(store.entries(&run, 0).await.unwrap(), written, "read by {reader}");
        assert_eq!(store.entries(&run, 5).await.unwrap(), written[5..], "the tail, read by {reader}");
        assert_eq!(store.entries(&run, 7).await.unwrap(), [], "beyond the end, read by {reader}");
    }
    // More than one read brings.
    let long: Vec<Entry> = (0..4_321).map(|seq| entry(&format!("{name}-long"), seq, "us")).collect();
    ours.append(&long).await.unwrap();
    assert!(
        theirs.entries(&long[0].run, 0).await.unwrap() == long,
        "a long journal is read as it was written"
    );
}

async fn a_place_has_one_owner(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    let run = RunId::new(name);
    ours.append(&[entry(name, 0, "us")]).await.unwrap();
    let taken = theirs.append(&[entry(name, 0, "them")]).await;
    assert_eq!(taken, Err(StoreError::Taken { run: run.clone(), seq: 0 }));
    assert_eq!(theirs.entries(&run, 0).await.unwrap(), [entry(name, 0, "us")], "the loser changed nothing");
    theirs.append(&[entry(name, 1, "them")]).await.unwrap();
    assert_eq!(ours.append(&[entry(name, 1, "us")]).await, Err(StoreError::Taken { run, seq: 1 }));
}

async fn an_append_repeated_is_no_second_append(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    let written: Vec<Entry> = (0..4).map(|seq| entry(name, seq, "us")).collect();
    ours.append(&written[..1]).await.unwrap();
    ours.append(&written[..1]).await.unwrap();
    ours.append(&written[..3]).await.unwrap();
    theirs.append(&written[1..3]).await.unwrap();
    ours.append(&written).await.unwrap();
    assert_eq!(theirs.entries(&written[0].run, 0).await.unwrap(), written);
}

async fn an_append_is_all_or_nothing(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    let run = RunId::new(name);
    theirs.append(&[entry(name, 0, "them"), entry(name, 1, "them")]).await.unwrap();
    let other = format!("{name}-other");
    let batch = [entry(&other, 0, "us"), entry(name, 2, "us"), entry(name, 1, "us")];
    assert_eq!(ours.append(&batch).await, Err(StoreError::Taken { run: run.clone(), seq: 1 }));
    assert_eq!(ours.entries(&run, 0).await.unwrap().len(), 2, "a part of a refused batch was stored");
    assert_eq!(
        ours.entries(&RunId::new(&other), 0).await.unwrap(),
        [],
        "a part of a refused batch was stored"
    );
    // More than one statement carries, with the conflict in the last one.
    let large = format!("{name}-large");
    let mut batch: Vec<Entry> = (0..2_500).map(|seq| entry(&large, seq, "us")).collect();
    batch.push(entry(name, 0, "us"));
    assert_eq!(ours.append(&batch).await, Err(StoreError::Taken { run, seq: 0 }));
    assert_eq!(
        theirs.entries(&RunId::new(&large), 0).await.unwrap().len(),
        0,
        "a part of a large batch was stored"
    );
    let started = Instant::now();
    theirs.append(&[entry(&large, 0, "them")]).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "a refused batch still holds its rows");
    let repeated = [entry(&other, 0, "us"), entry(&other, 0, "us")];
    assert!(ours.append(&repeated).await.is_err(), "a batch that claims a place twice is refused");
}

async fn names_are_exact(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    for other in [format!("{name}-a"), format!("{name}-A"), format!("{name}-a "), format!("{name}-ä")] {
        ours.append(&[entry(&other, 0, &other)]).await.unwrap();
        assert_eq!(
            theirs.entries(&RunId::new(&other), 0).await.unwrap(),
            [entry(&other, 0, &other)],
            "{other:?}"
        );
    }
    let long = "n".repeat(1_000);
    assert!(matches!(ours.append(&[entry(&long, 0, "us")]).await, Err(StoreError::Unavailable { .. })));
}

async fn runs_are_listed_newest_first(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    // Later than whatever an earlier test left in the same state.
    let future = Timestamp::now().as_second() + 3_000_000_000;
    for (name, offset) in [("older", 0), ("newest", 2), ("newer", 1)] {
        let at = Timestamp::from_second(future + offset).unwrap();
        let first = Entry { at, ..entry(&format!("{names}-{name}"), 0, "us") };
        ours.append(&[first]).await.unwrap();
    }
    let runs = theirs.runs(2).await.unwrap();
    assert_eq!(runs, [RunId::new(format!("{names}-newest")), RunId::new(format!("{names}-newer"))]);
    assert!(theirs.runs(1_000).await.unwrap().len() > 5);
}

async fn a_lease_has_one_owner(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, name: &str) {
    let lease =
        |owner: &str, term, until| Lease { name: name.to_owned(), owner: owner.to_owned(), term, until };
    assert_eq!(ours.lease(name).await.unwrap(), None, "a lease that was never granted");
    let first = ours.swap_lease(name, 0, "us", second(20)).await.unwrap();
    assert_eq!(first, lease("us", 1, second(20)));
    assert_eq!(
        theirs.swap_lease(name, 0, "them", second(21)).await.unwrap(),
        first,
        "the loser is told who has it"
    );
    assert_eq!(theirs.lease(name).await.unwrap(), Some(first.clone()));

    assert!(ours.renew_lease(&first, second(30)).await.unwrap());
    assert_eq!(theirs.lease(name).await.unwrap(), Some(lease("us", 1, second(30))));
    let pretended = lease("them", 1, second(30));
    assert!(!theirs.renew_lease(&pretended, second(40)).await.unwrap(), "another owner renewed it");
    let ahead = lease("us", 2, second(30));
    assert!(!ours.renew_lease(&ahead, second(40)).await.unwrap(), "another term renewed it");

    // It has ended, and the engine has seen that: the store itself keeps no clock.
    let taken_over = theirs.swap_lease(name, 1, "them", second(60)).await.unwrap();
    assert_eq!(taken_over, lease("them", 2, second(60)));
    assert!(!ours.renew_lease(&first, second(70)).await.unwrap(), "a lease that was taken over was renewed");
    assert_eq!(
        ours.swap_lease(name, 1, "us", second(80)).await.unwrap(),
        taken_over,
        "granted for a term of the past"
    );
    assert_eq!(
        ours.swap_lease(name, 7, "us", second(80)).await.unwrap(),
        taken_over,
        "granted for a term to come"
    );
    // Given back.
    assert!(theirs.renew_lease(&taken_over, second(-1)).await.unwrap());
    assert_eq!(ours.lease(name).await.unwrap(), Some(lease("them", 2, second(-1))));
    // Renewing with the same time again matches the row although it changes nothing.
    assert!(theirs.renew_lease(&taken_over, second(-1)).await.unwrap());

    let both = tokio::join!(
        ours.swap_lease(name, 2, "us", second(100)),
        theirs.swap_lease(name, 2, "them", second(100))
    );
    let (ours, theirs) = (both.0.unwrap(), both.1.unwrap());
    assert_eq!(ours, theirs, "two owners at once");
    assert_eq!(ours.term, 3);
}

async fn plans_and_inventories_are_kept(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let (first, second_plan) = (plan(&format!("{names}-1")), plan(&format!("{names}-2")));
    assert_eq!(ours.plan(&first.id).await.unwrap(), None);
    ours.keep_plan(&first).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    ours.keep_plan(&second_plan).await.unwrap();
    theirs.keep_plan(&first).await.unwrap();
    assert_eq!(theirs.plan(&first.id).await.unwrap().as_deref(), Some(&first));
    assert_eq!(theirs.note(first.id.as_str(), "rehearsal").await.unwrap(), None);
    ours.keep_note(first.id.as_str(), "rehearsal", "{}").await.unwrap();
    ours.keep_note(first.id.as_str(), "rehearsal", "{\"times\":2}").await.unwrap();
    let note = theirs.note(first.id.as_str(), "rehearsal").await.unwrap();
    assert_eq!(note.as_deref(), Some("{\"times\":2}"), "the last one counts");
    assert_eq!(theirs.note(first.id.as_str(), "other").await.unwrap(), None);
    let listed: Vec<PlanId> = theirs.plans(2).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, [second_plan.id.clone(), first.id]);
    assert_eq!(theirs.plans(1).await.unwrap().len(), 1);

    let cloud = format!("{names}-wolke-ä");
    assert_eq!(ours.inventory(&cloud).await.unwrap(), None);
    for taken in [second(0), second(5)] {
        ours.keep_inventory(&inventory(&cloud, taken)).await.unwrap();
        assert_eq!(theirs.inventory(&cloud).await.unwrap(), Some(inventory(&cloud, taken)));
    }
    let mut large = inventory(&cloud, second(6));
    large.gaps[0].why = "no answer ".repeat(200_000);
    ours.keep_inventory(&large).await.unwrap();
    assert!(
        theirs.inventory(&cloud).await.unwrap() == Some(large),
        "a large inventory is read as it was written"
    );
}
