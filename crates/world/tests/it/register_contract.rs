//! What every register of instance HA owes, whatever it is made of: one body, run on each store.
//!
//! It must never know which store it is run on.

use ostler_engine::seam::Store;
use ostler_model::Timestamp;
use ostler_model::ha::list::{Direction, Field, Filter, Query};
use ostler_model::ha::{
    Host, HostChange, HostStatus, Incident, IncidentKey, Kind, Move, MoveKind, MoveStatus, Named,
    Notification, Opening, Payload, Progress, RecoveryMethod, Report, Reported, Segment, SegmentChange,
    Stage, Status, TaskState, Turn, Written,
};
use ostler_model::ids::{NotificationId, SegmentId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Reports that arrive at the same moment.
const REPORTS: usize = 100;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A segment.
pub fn segment(names: &str, name: &str, at: i64) -> Segment {
    Segment {
        number: 0,
        id: format!("{names}-{name}-{at}").as_str().into(),
        name: format!("{names}-{name}"),
        service_type: names.to_owned(),
        enabled: true,
        description: Some(String::from("row 3, „Reihe“ 🐎")),
        recovery_method: RecoveryMethod::ReservedPriority,
        created: second(at),
        updated: None,
    }
}

/// A host of a segment.
pub fn host(segment: &SegmentId, name: &str) -> Host {
    Host {
        number: 0,
        id: format!("{segment}-{name}").as_str().into(),
        name: format!("{segment}-{name}"),
        segment: segment.clone(),
        kind: String::from("COMPUTE"),
        control_attributes: String::from("SSH"),
        reserved: false,
        on_maintenance: false,
        under_recovery: false,
        quarantined: false,
        created: second(10),
        updated: None,
    }
}

/// A report that a host is gone.
pub fn gone(host: &Host, id: &str, at: i64) -> Report {
    let notification = Notification {
        number: 0,
        id: NotificationId::new(format!("{}-{id}", host.id)),
        generated: second(at),
        host: host.id.clone(),
        payload: Payload::Host {
            event: Turn::Stopped,
            cluster_status: None,
            host_status: Some(HostStatus::Normal),
        },
        status: Status::New,
        segment: Some(host.segment.clone()),
        message: None,
        incident: None,
        reporter: format!("monitor {id}"),
        created: second(at),
        updated: None,
    };
    let opening = Opening {
        id: format!("{}-{id}-incident", host.id).as_str().into(),
        key: IncidentKey::host(&host.id),
        at_work_until: second(at + 30),
    };
    Report { notification, opening: Some(opening) }
}

fn done<T: std::fmt::Debug>(written: Written<T>) -> T {
    match written {
        Written::Done(row) => row,
        other => panic!("not written: {other:?}"),
    }
}

fn kept(reported: Reported) -> Notification {
    match reported {
        Reported::Kept(notification) => notification,
        Reported::Joined(incident) => panic!("joined {incident:?}"),
    }
}

/// Everything that a register owes. `ours` and `theirs` are two processes' views of one state; `names` makes the names
/// in it unique.
pub async fn holds(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    names_are_unique_among_what_is_there(ours, theirs, &format!("{names}-unique")).await;
    a_change_changes_what_it_names(ours, theirs, &format!("{names}-change")).await;
    a_segment_goes_with_its_hosts(ours, theirs, &format!("{names}-gone")).await;
    lists_are_filtered_ordered_and_cut(ours, theirs, &format!("{names}-list")).await;
    many_reports_make_one_incident(ours, theirs, &format!("{names}-storm")).await;
    many_open_incidents_are_all_seen(ours, theirs, &format!("{names}-many")).await;
    a_closed_incident_is_in_nobodys_way(ours, theirs, &format!("{names}-again")).await;
    an_incident_is_saved_by_one_of_two(ours, theirs, &format!("{names}-swap")).await;
    moves_and_steps_are_kept_once(ours, theirs, &format!("{names}-moves")).await;
    a_purge_takes_what_is_over(ours, theirs, &format!("{names}-purge")).await;
}

async fn names_are_unique_among_what_is_there(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let first = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    assert!(first.number > 0);
    assert_eq!(
        done(ours.add_segment(&segment(names, "a", 1)).await.unwrap()),
        first,
        "the same one, sent again after a lost acknowledgement"
    );
    let other = segment(names, "a", 2);
    assert_eq!(theirs.add_segment(&other).await.unwrap(), Written::NameTaken);
    assert!(theirs.delete_segment(&first.id, second(5)).await.unwrap());
    assert!(!ours.delete_segment(&first.id, second(6)).await.unwrap(), "deleted twice");
    assert_eq!(ours.segment(&Named::Id(first.id.to_string())).await.unwrap(), None);
    let second_one = done(theirs.add_segment(&other).await.unwrap());
    assert!(second_one.number != first.number, "a number was given twice");
    let found = ours.segment(&Named::Name(other.name.clone())).await.unwrap();
    assert_eq!(found, Some(second_one.clone()));
    assert_eq!(ours.segment(&Named::Number(second_one.number)).await.unwrap(), Some(second_one.clone()));
    assert_eq!(ours.segment(&Named::Number(first.number)).await.unwrap(), None);

    let third = done(ours.add_segment(&segment(names, "b", 3)).await.unwrap());
    let node = host(&second_one.id, "node");
    done(ours.add_host(&node).await.unwrap());
    let same_name = Host { id: "another".into(), segment: third.id.clone(), ..node.clone() };
    assert_eq!(theirs.add_host(&same_name).await.unwrap(), Written::NameTaken, "in another segment");
    let nowhere = Host { segment: first.id.clone(), ..host(&first.id, "lost") };
    assert_eq!(theirs.add_host(&nowhere).await.unwrap(), Written::Gone, "in a segment that was deleted");
}

async fn a_change_changes_what_it_names(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    done(ours.add_segment(&segment(names, "b", 1)).await.unwrap());
    let change = SegmentChange { description: Some(None), enabled: Some(false), ..SegmentChange::default() };
    let changed = done(theirs.change_segment(&made.id, &change, second(9)).await.unwrap());
    let wanted = Segment { description: None, enabled: false, updated: Some(second(9)), ..made.clone() };
    assert_eq!(changed, wanted);
    assert_eq!(ours.segment(&Named::Id(made.id.to_string())).await.unwrap(), Some(wanted));
    let taken = SegmentChange { name: Some(format!("{names}-b")), ..SegmentChange::default() };
    assert_eq!(ours.change_segment(&made.id, &taken, second(9)).await.unwrap(), Written::NameTaken);
    let nobody = SegmentId::new("nobody");
    assert_eq!(ours.change_segment(&nobody, &change, second(9)).await.unwrap(), Written::Gone);

    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let flags = HostChange { under_recovery: Some(true), reserved: Some(false), ..HostChange::default() };
    let node = done(theirs.change_host(&node.id, &flags, second(11)).await.unwrap());
    assert!(node.under_recovery && node.is_out() && !node.on_maintenance);
    let query = Query::default().filter(Field::Segment, made.id.as_str()).filter(Field::Out, true);
    assert_eq!(ours.hosts(&query).await.unwrap(), [node]);
}

async fn a_segment_goes_with_its_hosts(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let other = done(ours.add_host(&host(&made.id, "other")).await.unwrap());
    assert!(theirs.delete_host(&other.id, second(20)).await.unwrap());
    assert!(!ours.delete_host(&other.id, second(21)).await.unwrap());
    assert!(ours.delete_segment(&made.id, second(21)).await.unwrap());
    assert_eq!(theirs.host(&Named::Name(node.name)).await.unwrap(), None);
    let query = Query::default().filter(Field::Segment, made.id.as_str());
    assert_eq!(theirs.hosts(&query).await.unwrap(), []);
}

async fn lists_are_filtered_ordered_and_cut(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let mut made = Vec::new();
    for (name, at) in [("b", 1), ("a", 2), ("c", 2), ("d", 3), ("e", 3)] {
        made.push(done(ours.add_segment(&segment(names, name, at)).await.unwrap()));
    }
    let change = SegmentChange { enabled: Some(false), description: Some(None), ..SegmentChange::default() };
    done(ours.change_segment(&made[1].id, &change, second(50)).await.unwrap());
    let orders: &[&[(Field, Direction)]] = &[
        &[(Field::Created, Direction::Descending)],
        &[(Field::Created, Direction::Ascending), (Field::Name, Direction::Descending)],
        &[(Field::Updated, Direction::Ascending)],
        &[(Field::Updated, Direction::Descending), (Field::Created, Direction::Ascending)],
        &[(Field::Description, Direction::Ascending), (Field::RecoveryMethod, Direction::Descending)],
        &[(Field::Enabled, Direction::Descending), (Field::Id, Direction::Ascending)],
        &[(Field::Number, Direction::Ascending)],
        &[],
    ];
    for order in orders {
        let query = Query {
            filters: vec![Filter::Is(Field::ServiceType, names.into())],
            order: order.to_vec(),
            ..Query::default()
        };
        let all = theirs.segments(&query).await.unwrap();
        assert_eq!(all.len(), made.len(), "{order:?}");
        assert_eq!(all, query.of(all.iter().cloned()), "{order:?}: the order of the model");
        // Page by page, one and two rows at a time.
        for limit in [1, 2] {
            let mut seen = Vec::new();
            let mut page = Query { limit, ..query.clone() };
            loop {
                let rows = ours.segments(&page).await.unwrap();
                let Some(last) = rows.last() else { break };
                page.after = Some(page.place_of(last));
                seen.extend(rows);
            }
            assert_eq!(seen, all, "{order:?} by {limit}");
        }
    }
    let disabled = Query::default().filter(Field::ServiceType, names).filter(Field::Enabled, false);
    let names_of = |rows: Vec<Segment>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(names_of(ours.segments(&disabled).await.unwrap()), [made[1].id.clone()]);
    assert_eq!(ours.segments(&Query { limit: 0, ..disabled.clone() }).await.unwrap(), []);
    let odd = disabled.filter(Field::Instance, "no segment has one");
    assert_eq!(ours.segments(&odd).await.unwrap(), []);
}

async fn many_reports_make_one_incident(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let reports: Vec<Report> = (0..REPORTS).map(|index| gone(&node, &format!("{index}"), 100)).collect();
    let stores = [ours, theirs];
    let mut answers = tokio::task::JoinSet::new();
    for (index, report) in reports.iter().cloned().enumerate() {
        let store = Arc::clone(stores[index % 2]);
        answers.spawn(async move { store.report(&report).await });
    }
    let mut kept = Vec::new();
    let mut joined = BTreeSet::new();
    while let Some(answer) = answers.join_next().await {
        match answer.unwrap().unwrap() {
            Reported::Kept(notification) => kept.push(notification),
            Reported::Joined(incident) => drop(joined.insert(incident.id)),
        }
    }
    assert_eq!(kept.len(), 1, "{REPORTS} reports make one notification");
    assert_eq!(joined.len(), 1, "all others join one incident");
    let query = Query::default().filter(Field::Host, node.id.as_str());
    assert_eq!(theirs.notifications(&query).await.unwrap(), kept);
    let open = open_of(theirs, &node).await;
    assert_eq!(open.len(), 1);
    assert_eq!(Some(&open[0].id), kept[0].incident.as_ref());
    assert_eq!(open[0].notification, kept[0].id);
    assert!(open[0].is_at_work(second(101)) && !open[0].is_at_work(second(131)));
    assert_eq!(ours.joined(&open[0].id).await.unwrap().len(), 1, "what they all say is kept once");
    let mut weaker = gone(&node, "weaker", 101);
    weaker.notification.payload =
        Payload::Host { event: Turn::Stopped, cluster_status: None, host_status: None };
    assert!(matches!(ours.report(&weaker).await.unwrap(), Reported::Joined(_)));
    let joined = theirs.joined(&open[0].id).await.unwrap();
    assert_eq!(joined.len(), 2, "what one says differently is kept too");
    assert_eq!(joined[1].payload, weaker.notification.payload);
    // The one that was kept, sent again after its acknowledgement was lost.
    let first = reports.iter().find(|report| report.notification.id == kept[0].id).unwrap();
    assert_eq!(theirs.report(first).await.unwrap(), Reported::Kept(kept[0].clone()));
}

/// More incidents at once than one statement carries: each is seen, in the order in which they were opened.
async fn many_open_incidents_are_all_seen(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let mut expected = Vec::new();
    for number in 0..520 {
        let mut report = gone(&node, &format!("{number}"), 100);
        let opening = report.opening.as_mut().unwrap();
        opening.key = IncidentKey::instance(&format!("{number:032}"));
        expected.push(opening.id.clone());
        kept(ours.report(&report).await.unwrap());
        // Also where some are known already.
        if number % 200 == 0 {
            assert_eq!(open_of(theirs, &node).await.len(), expected.len());
        }
    }
    let seen: Vec<_> = open_of(theirs, &node).await.into_iter().map(|incident| incident.id).collect();
    assert_eq!(seen, expected);
}

async fn open_of(store: &Arc<dyn Store>, node: &Host) -> Vec<Incident> {
    let open = store.open_incidents().await.unwrap();
    open.into_iter().filter(|incident| incident.host == node.id).collect()
}

async fn a_closed_incident_is_in_nobodys_way(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    for round in 0..3 {
        let taken = kept(ours.report(&gone(&node, &format!("first-{round}"), 100)).await.unwrap());
        let again = theirs.report(&gone(&node, &format!("second-{round}"), 100)).await.unwrap();
        assert!(matches!(again, Reported::Joined(_)), "{again:?}");
        let mut open = open_of(theirs, &node).await.remove(0);
        assert_eq!(Some(&open.id), taken.incident.as_ref());
        open.closed = Some(second(101));
        open.stage = Stage::Recovered;
        assert!(theirs.save_incident(&open).await.unwrap().is_some());
        assert_eq!(open_of(ours, &node).await, []);
        assert!(!ours.hold_incident(&open.id, second(200)).await.unwrap(), "nobody works on a closed one");
    }
    // Without an incident a report is only kept.
    let note = Report { opening: None, ..gone(&node, "note", 102) };
    assert_eq!(kept(ours.report(&note).await.unwrap()).incident, None);
    let query = Query::default().filter(Field::Host, node.id.as_str());
    assert_eq!(theirs.notifications(&query).await.unwrap().len(), 4);
    let query = query.filter(Field::Kind, Kind::Host.word());
    let since = Query { filters: vec![Filter::From(Field::Generated, second(102).into())], ..query.clone() };
    assert_eq!(
        theirs.notifications(&since).await.unwrap().first().map(|row| row.generated),
        Some(second(102))
    );
    let newest = theirs.incidents(1).await.unwrap();
    assert_eq!(newest.len(), 1);
}

async fn an_incident_is_saved_by_one_of_two(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let taken = kept(ours.report(&gone(&node, "only", 100)).await.unwrap());
    let seen = open_of(ours, &node).await.remove(0);
    let mut mine = seen.clone();
    mine.stage = Stage::Working;
    mine.why = String::from("ours");
    mine.body.guests = Some(serde_json::json!({"a": ["active", 4]}));
    mine.body.runs.push("20260101-000000-aaaa".into());
    mine.add_evidence(second(101), "power", "off");
    let mut other = seen.clone();
    other.why = String::from("theirs");
    let (first, second_one) = tokio::join!(ours.save_incident(&mine), theirs.save_incident(&other));
    let saved: Vec<_> = [first.unwrap(), second_one.unwrap()].into_iter().flatten().collect();
    assert_eq!(saved.len(), 1, "both were told that they saved it");
    assert_eq!(saved[0].version, seen.version + 1);
    assert_eq!(theirs.incident(&seen.id).await.unwrap(), Some(saved[0].clone()));
    let mut later = Incident { version: saved[0].version, ..mine };
    later.closed = None;
    let later = ours.save_incident(&later).await.unwrap().unwrap();
    assert_eq!(theirs.incident(&seen.id).await.unwrap(), Some(later.clone()));
    for store in [ours, theirs] {
        assert_eq!(
            open_of(store, &node).await,
            std::slice::from_ref(&later),
            "whoever looks again sees what was saved"
        );
    }
    assert!(theirs.hold_incident(&seen.id, second(500)).await.unwrap());
    let held = ours.incident(&seen.id).await.unwrap().unwrap();
    assert_eq!((held.at_work_until, held.version), (second(500), later.version));
    assert_eq!(open_of(ours, &node).await, [held], "and who is at work on it");

    let set = |to, message| ours.set_status(&taken.id, Status::New, to, message, second(102));
    assert!(set(Status::Running, Some("at it")).await.unwrap());
    let failed = theirs.set_status(&taken.id, Status::New, Status::Failed, None, second(103)).await.unwrap();
    assert!(!failed, "from a status that it does not have any more");
    let now = theirs.notification(&Named::Number(taken.number)).await.unwrap().unwrap();
    assert_eq!((now.status, now.message.as_deref()), (Status::Running, Some("at it")));
    let running = theirs.notifications(&Query::of_status(Status::Running, 1_000)).await.unwrap();
    assert!(running.iter().any(|row| row.id == taken.id));
}

async fn moves_and_steps_are_kept_once(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let notification = NotificationId::new(names);
    let moved = |index: usize| Move {
        number: 0,
        id: format!("{names}-{index}").as_str().into(),
        notification: notification.clone(),
        instance: format!("vm-{index}").as_str().into(),
        instance_name: format!("db-{index}"),
        source: Some(String::from("node-1")),
        destination: None,
        started: None,
        ended: None,
        kind: MoveKind::Evacuation,
        status: MoveStatus::Pending,
        message: None,
        created: second(1),
        updated: None,
    };
    let mut moves: Vec<Move> = (0..1_200).map(moved).collect();
    ours.keep_moves(&moves[..700]).await.unwrap();
    for one in &mut moves[..10] {
        one.status = MoveStatus::Succeeded;
        one.destination = Some(String::from("node-2"));
        one.started = Some(second(2));
        one.updated = Some(second(3));
    }
    theirs.keep_moves(&moves).await.unwrap();
    theirs.keep_moves(&moves[5..6]).await.unwrap();
    let of_it = Query {
        order: vec![(Field::Number, Direction::Ascending)],
        ..Query::default().filter(Field::Notification, names)
    };
    let kept = ours.moves(&of_it).await.unwrap();
    assert_eq!(kept.len(), 1_000, "one page");
    let next = ours.moves(&Query { after: Some(of_it.place_of(&kept[999])), ..of_it.clone() }).await.unwrap();
    assert_eq!(next.len(), 200);
    assert!(
        kept.iter()
            .zip(&moves)
            .all(|(kept, moved)| { kept.number > 0 && Move { number: 0, ..kept.clone() } == *moved })
    );
    let done = of_it.filter(Field::Status, MoveStatus::Succeeded.word());
    assert_eq!(theirs.moves(&done).await.unwrap().len(), 10);
    assert_eq!(theirs.a_move(&Named::Id(format!("{names}-3"))).await.unwrap().unwrap(), kept[3]);

    let step = |index: usize| Progress {
        notification: notification.clone(),
        mark: format!("evacuate-{index}"),
        task: String::from("EvacuateInstancesTask"),
        state: TaskState::Running,
        permille: 500,
        at: second(1),
        message: format!("instance {index}"),
    };
    let steps: Vec<Progress> = (0..1_100).map(step).collect();
    ours.append_progress(&steps[..3]).await.unwrap();
    theirs.append_progress(&steps).await.unwrap();
    theirs.append_progress(&[step(0), step(1_200), step(1_200)]).await.unwrap();
    let told = ours.progress(&notification).await.unwrap();
    assert_eq!(told.len(), 1_101);
    assert_eq!(told[..1_100], steps);
}

async fn a_purge_takes_what_is_over(ours: &Arc<dyn Store>, theirs: &Arc<dyn Store>, names: &str) {
    let made = done(ours.add_segment(&segment(names, "a", 1)).await.unwrap());
    let node = done(ours.add_host(&host(&made.id, "node")).await.unwrap());
    let over = kept(ours.report(&gone(&node, "over", -9_000)).await.unwrap());
    let mut incident = open_of(ours, &node).await.remove(0);
    assert!(ours.set_status(&over.id, Status::New, Status::Finished, None, second(-8_000)).await.unwrap());
    let moved = Move {
        number: 0,
        id: format!("{names}-move").as_str().into(),
        notification: over.id.clone(),
        instance: "vm".into(),
        instance_name: "vm".into(),
        source: None,
        destination: None,
        started: None,
        ended: None,
        kind: MoveKind::Evacuation,
        status: MoveStatus::Succeeded,
        message: None,
        created: second(-8_500),
        updated: None,
    };
    ours.keep_moves(&[moved]).await.unwrap();
    let before = second(-5_000);
    let at_first = theirs.purge(before, 100).await.unwrap();
    assert_eq!(at_first.notifications, 0, "its incident is open");
    incident.closed = Some(second(-8_000));
    assert!(ours.save_incident(&incident).await.unwrap().is_some());
    let fresh = kept(ours.report(&gone(&node, "fresh", 100)).await.unwrap());
    let deleted = done(ours.add_segment(&segment(names, "deleted", -9_000)).await.unwrap());
    assert!(ours.delete_segment(&deleted.id, second(-8_000)).await.unwrap());
    let purged = theirs.purge(before, 100).await.unwrap();
    assert_eq!((purged.notifications, purged.incidents, purged.moves), (1, 1, 1));
    assert!(purged.segments >= 1);
    assert_eq!(ours.notification(&Named::Id(over.id.to_string())).await.unwrap(), None);
    assert_eq!(ours.notification(&Named::Id(fresh.id.to_string())).await.unwrap(), Some(fresh));
    assert_eq!(ours.a_move(&Named::Id(format!("{names}-move"))).await.unwrap(), None);
    assert_eq!(theirs.purge(before, 100).await.unwrap().rows(), 0, "a second purge finds nothing");
}
