//! Tests of the decisions, without a cloud: each takes a view as it could be seen, and asks what becomes of it.

use super::*;
use crate::plan::lint;
use ostler_model::Timestamp;
use ostler_model::check::Check;
use ostler_model::compute::{
    Aggregate, Compute, Disk, Evacuation, GuestPower, Instance, MoveStage, Room, Service, VmState,
};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::plan::Plan;
use ostler_model::step::{Does, Undo, Wanted};
use std::collections::{BTreeMap, BTreeSet};

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(s).unwrap()
}

pub(super) fn instance(name: &str, host: &str) -> Instance {
    Instance {
        name: name.into(),
        project: "p".into(),
        host: Some(host.into()),
        state: VmState::Active,
        task: None,
        power: Some(GuestPower::Running),
        locked: false,
        lock_reason: None,
        metadata: BTreeMap::new(),
        needs: Room { vcpus: 1, ram_mb: 1_024, disk_gb: 1 },
        disk: Disk::Volume,
        zone: None,
        apart_from: None,
        obstacle: None,
        launched: true,
        fault: None,
    }
}

fn marked(mut instance: Instance) -> Instance {
    instance.metadata.insert("HA_Enabled".into(), "yes".into());
    instance
}

pub(super) fn service(enabled: bool) -> Service {
    Service {
        hypervisor: None,
        zone: "nova".into(),
        up: true,
        enabled,
        reason: None,
        forced_down: false,
        heard: None,
    }
}

fn member(host: &str, reserved: bool) -> Member {
    Member { host: host.into(), reserved, on_maintenance: false, no_fence: false }
}

/// `dead` with its instances, `other` in use, `spare` in reserve; room for so many instances on each.
struct Case {
    segment: Segment,
    policy: Policy,
    before: BTreeMap<InstanceId, Instance>,
    seen: Compute,
    round: u32,
}

fn case(method: Method, instances: &[Instance], fits: u64) -> Case {
    let before: BTreeMap<InstanceId, Instance> = instances
        .iter()
        .enumerate()
        .map(|(number, instance)| (InstanceId::new(format!("i{number}")), instance.clone()))
        .collect();
    let room = Room { vcpus: 100, ram_mb: fits * 1_024, disk_gb: 100 };
    let seen = Compute {
        taken: at(0),
        services: [("dead", true), ("other", true), ("spare", false)]
            .map(|(host, enabled)| (HostName::new(host), service(enabled)))
            .into(),
        instances: before.clone(),
        evacuations: Vec::new(),
        room: ["other", "spare"].map(|host| (HostName::new(host), room)).into(),
        aggregates: vec![
            Aggregate { id: 1, name: "fast".into(), hosts: vec!["dead".into(), "spare".into()] },
            Aggregate { id: 2, name: "gpu".into(), hosts: vec!["dead".into()] },
            Aggregate { id: 3, name: "big".into(), hosts: vec!["dead".into()] },
        ],
    };
    let hosts = vec![member("spare", true), member("other", false), member("dead", false)];
    let segment = Segment { name: "s".into(), method, enabled: true, hosts };
    Case { segment, policy: Policy::default(), before, seen, round: 1 }
}

impl Case {
    fn plan(&self) -> Plan {
        let host = HostName::new("dead");
        let failure = Failure {
            cloud: "c",
            host: &host,
            segment: &self.segment,
            policy: &self.policy,
            before: &self.before,
            seen: &self.seen,
            settled: &BTreeSet::new(),
            tired: &BTreeSet::new(),
            word: None,
            round: self.round,
        };
        let plan = recover(&failure).unwrap().plan;
        assert_eq!(lint(&plan), [], "a plan must be fit to run");
        plan
    }

    /// The instances in the order of the plan, with the first target of each.
    fn moves(&self) -> Vec<(String, Option<String>)> {
        let name = |id: &InstanceId| self.before[id].name.clone();
        self.plan()
            .body
            .steps
            .iter()
            .filter_map(|step| match &step.does {
                Does::Evacuate { instance, targets, .. } => {
                    Some((name(instance), targets[0].as_ref().map(ToString::to_string)))
                }
                _ => None,
            })
            .collect()
    }
}

fn to(name: &str, host: &str) -> (String, Option<String>) {
    (name.into(), Some(host.into()))
}

#[test]
fn auto_moves_to_hosts_in_use_and_leaves_the_reserve_alone() {
    let case = case(Method::Auto, &[instance("a", "dead")], 9);
    assert_eq!(case.moves(), [to("a", "other")]);
}

#[test]
fn reserved_host_moves_to_the_reserve_only() {
    let case = case(Method::ReservedHost, &[instance("a", "dead"), instance("b", "dead")], 1);
    assert_eq!(case.moves(), [to("a", "spare")], "the second one waits for another reserved host");
}

#[test]
fn auto_priority_takes_the_reserve_for_what_fits_nowhere_else() {
    let case = case(Method::AutoPriority, &[instance("a", "dead"), instance("b", "dead")], 1);
    assert_eq!(case.moves(), [to("a", "other"), to("b", "spare")]);
}

#[test]
fn rh_priority_takes_hosts_in_use_for_what_does_not_fit_on_the_reserve() {
    let case = case(Method::RhPriority, &[instance("a", "dead"), instance("b", "dead")], 1);
    assert_eq!(case.moves(), [to("a", "spare"), to("b", "other")]);
}

#[test]
fn what_failed_by_the_first_way_is_tried_by_the_second_one_in_the_next_round() {
    let mut auto_first = case(Method::AutoPriority, &[instance("a", "dead")], 9);
    auto_first.round = 2;
    assert_eq!(auto_first.moves(), [to("a", "spare")]);
    let mut reserve_first = case(Method::RhPriority, &[instance("a", "dead")], 9);
    reserve_first.round = 2;
    assert_eq!(reserve_first.moves(), [to("a", "other")]);
}

#[test]
fn without_a_spare_the_host_is_isolated_and_fenced_all_the_same() {
    let mut case = case(Method::ReservedHost, &[instance("a", "dead")], 9);
    case.segment.hosts.retain(|member| !member.reserved);
    let plan = case.plan();
    let verbs: Vec<&str> = plan.body.steps.iter().map(|step| step.does.name()).collect();
    assert_eq!(verbs, ["disable-compute", "fence", "force-down"]);
}

#[test]
fn a_spare_in_maintenance_and_the_failed_host_itself_are_no_spares() {
    let mut case = case(Method::ReservedHost, &[instance("a", "dead")], 9);
    case.segment.hosts[0].on_maintenance = true;
    case.segment.hosts[2].reserved = true;
    assert_eq!(case.moves(), []);
}

#[test]
fn a_spare_joins_every_aggregate_that_it_is_not_in_and_leaves_those_again() {
    let case = case(Method::ReservedHost, &[instance("a", "dead")], 9);
    let plan = case.plan();
    let used = plan.body.steps.iter().find(|step| matches!(step.does, Does::UseSpare { .. })).unwrap();
    let names = vec!["big".to_owned(), "gpu".to_owned()];
    assert_eq!(used.does, Does::UseSpare { aggregates: names.clone() });
    let Undo::Steps(back) = &used.undo else { panic!("it cannot be taken back") };
    assert!(matches!(&back[0], Does::GiveBackSpare { aggregates, .. } if *aggregates == names));
}

#[test]
fn marked_instances_go_first_and_then_by_priority() {
    let mut urgent = instance("urgent", "dead");
    urgent.metadata.insert("HA_Priority".into(), "900".into());
    let mut nonsense = instance("nonsense", "dead");
    nonsense.metadata.insert("HA_Priority".into(), "-7".into());
    let all = [instance("plain", "dead"), urgent, nonsense, marked(instance("marked", "dead"))];
    let names: Vec<String> = case(Method::Auto, &all, 9).moves().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["marked", "urgent", "nonsense", "plain"]);
}

#[test]
fn a_lower_priority_waits_for_a_higher_one_where_that_is_wanted() {
    let mut late = instance("late", "dead");
    late.metadata.insert("HA_Priority".into(), "1".into());
    let mut case = case(Method::Auto, &[late, instance("early", "dead")], 9);
    case.policy.one_priority_after_the_other = true;
    let plan = case.plan();
    let gate = plan.body.steps.iter().find(|step| matches!(step.does, Does::Check { .. })).unwrap();
    let late = plan.body.steps.iter().find(|step| step.id.as_str() == "move-i0").unwrap();
    assert!(late.after.contains(&gate.id) && gate.after == ["settle-i1".into()] && gate.regardless);
}

#[test]
fn a_failed_move_stops_no_other_and_its_lock_is_opened() {
    let plan = case(Method::Auto, &[instance("a", "dead")], 9).plan();
    let step = |name: &str| plan.body.steps.iter().find(|step| step.id.as_str() == name).unwrap();
    assert!(step("move-i0").may_fail && !step("move-i0").regardless);
    assert!(step("settle-i0").may_fail && step("settle-i0").regardless);
}

#[test]
fn an_instance_whose_new_host_is_dead_too_is_asked_nothing() {
    let mut case = case(Method::Auto, &[instance("a", "dead"), instance("b", "dead")], 9);
    for instance in case.seen.instances.values_mut() {
        instance.host = Some("other".into());
    }
    let settles = |case: &Case| {
        let plan = case.plan();
        plan.body.steps.iter().filter(|step| matches!(step.does, Does::Settle { .. })).count()
    };
    assert_eq!(settles(&case), 2, "they were moved and are given their state");
    for (up, forced_down) in [(false, false), (true, true)] {
        let service = case.seen.services.get_mut(&HostName::new("other")).unwrap();
        (service.up, service.forced_down) = (up, forced_down);
        assert_eq!(settles(&case), 0, "up: {up}, declared down: {forced_down}");
    }
}

#[test]
fn while_a_dead_target_may_still_obey_nobody_else_is_asked_unless_it_is_off() {
    let mut case = case(Method::AutoPriority, &[instance("a", "dead")], 9);
    case.seen.services.get_mut(&HostName::new("other")).unwrap().forced_down = true;
    case.seen.evacuations.push(Evacuation {
        id: 1,
        instance: "i0".into(),
        source: "dead".into(),
        target: Some("other".into()),
        stage: MoveStage::UnderWay,
        created: None,
    });
    let plan = case.plan();
    let moved = plan.body.steps.iter().find(|step| step.id.as_str() == "move-i0").unwrap();
    let off = |host: &str| Check::PowerIsOff { node: host.into() };
    assert_eq!(moved.guard, [off("dead"), off("other")]);
}

#[test]
fn instances_that_must_stay_apart_go_to_different_hosts() {
    let apart = |name: &str| Instance { apart_from: Some("g".into()), ..instance(name, "dead") };
    let case = case(Method::AutoPriority, &[apart("a"), apart("b")], 9);
    let moves = case.moves();
    assert_eq!(moves[0].1.as_deref(), Some("other"));
    assert_ne!(moves[0].1, moves[1].1, "{moves:?}");
}

#[test]
fn within_its_segment_an_instance_without_room_waits() {
    let mut case = case(Method::Auto, &[instance("a", "dead")], 0);
    assert_eq!(case.moves(), [("a".into(), None)], "the scheduler is asked");
    case.policy.within_segment = true;
    assert_eq!(case.moves(), []);
}

#[test]
fn the_linter_refuses_a_move_without_a_fence() {
    let mut body = case(Method::Auto, &[instance("a", "dead")], 9).plan().body;
    body.steps.retain(|step| !matches!(step.does, Does::Fence { .. }));
    body.steps.iter_mut().for_each(|step| step.after.retain(|id| id.as_str() != "dead-fence"));
    let found = lint(&Plan::seal(body).unwrap());
    assert!(found.iter().any(|finding| finding.check == "fenced-first"), "{found:?}");
}

#[test]
fn the_linter_refuses_a_fence_that_may_fail() {
    let mut body = case(Method::Auto, &[instance("a", "dead")], 9).plan().body;
    for step in &mut body.steps {
        step.may_fail |= matches!(step.does, Does::Fence { .. });
    }
    let found = lint(&Plan::seal(body).unwrap());
    assert!(found.iter().any(|finding| finding.check == "fenced-first"), "{found:?}");
}

#[test]
fn each_state_has_its_fate() {
    let policy = Policy::default();
    let of = |state, power| fate(&Instance { state, power, ..instance("a", "dead") }, &policy);
    let moved = |reset, to| Fate::Move { reset, to };
    let (on, off) = (Some(GuestPower::Running), Some(GuestPower::Off));
    assert_eq!(of(VmState::Active, on), moved(false, Wanted::Active));
    assert_eq!(of(VmState::Stopped, off), moved(false, Wanted::Stopped));
    assert_eq!(of(VmState::Error, off), moved(false, Wanted::Error));
    assert_eq!(of(VmState::Paused, on), moved(true, Wanted::Stopped));
    assert_eq!(of(VmState::Suspended, off), moved(true, Wanted::Stopped));
    assert_eq!(of(VmState::Rescued, on), moved(true, Wanted::Stopped));
    assert_eq!(of(VmState::Resized, on), moved(true, Wanted::Active));
    assert_eq!(of(VmState::Resized, off), moved(true, Wanted::Stopped));
    for state in [VmState::Building, VmState::Shelved, VmState::ShelvedOffloaded, VmState::SoftDeleted] {
        assert!(matches!(of(state, on), Fate::Leave { .. }), "{state}");
    }
}

#[test]
fn an_instance_on_a_local_disk_is_left_unless_the_site_says_otherwise() {
    let local = Instance { disk: Disk::Local, ..instance("a", "dead") };
    assert!(matches!(fate(&local, &Policy::default()), Fate::Leave { .. }));
    let rebuild = Policy { local_disks: LocalDisks::Rebuild, ..Policy::default() };
    assert!(matches!(fate(&local, &rebuild), Fate::Move { .. }));
}

#[test]
fn only_marked_instances_move_where_that_is_wanted() {
    let policy = Policy { evacuate_all: false, ..Policy::default() };
    assert!(matches!(fate(&instance("a", "dead"), &policy), Fate::Leave { .. }));
    assert!(matches!(fate(&marked(instance("a", "dead")), &policy), Fate::Move { .. }));
}

fn sighting(witness: Witness, says: Says, second: i64) -> Sighting {
    Sighting { witness, says, at: at(second) }
}

fn is_dead(sightings: &[Sighting]) -> bool {
    let verdict = confirm(&"dead".into(), sightings, at(100), &Policy::default());
    matches!(verdict, Confirmed::Dead(_))
}

#[test]
fn one_witness_is_never_enough_whatever_it_says_how_often() {
    assert!(!is_dead(&[sighting(Witness::Agent, Says::Dead, 90), sighting(Witness::Agent, Says::Dead, 99)]));
}

#[test]
fn two_witnesses_are_enough() {
    assert!(is_dead(&[sighting(Witness::Agent, Says::Dead, 99), sighting(Witness::Compute, Says::Dead, 99)]));
}

#[test]
fn a_host_that_anybody_hears_is_not_dead() {
    assert!(!is_dead(&[
        sighting(Witness::Agent, Says::Dead, 99),
        sighting(Witness::Cluster, Says::Dead, 99),
        sighting(Witness::Compute, Says::Alive, 99),
    ]));
}

#[test]
fn an_old_sighting_counts_for_nothing() {
    assert!(!is_dead(&[sighting(Witness::Agent, Says::Dead, 1), sighting(Witness::Compute, Says::Dead, 99)]));
}

#[test]
fn a_persons_word_is_enough() {
    assert!(is_dead(&[sighting(Witness::Person, Says::Dead, 1)]));
}

fn guarded(scale: &Scale, change: impl FnOnce(&mut Segment)) -> Result<(), Blocked> {
    let hosts = (0..10).map(|number| member(&format!("h{number}"), false)).collect();
    let mut segment = Segment { name: "s".into(), method: Method::Auto, enabled: true, hosts };
    change(&mut segment);
    storm_guard(&"h0".into(), &segment, scale, at(1_000), &Policy::default())
}

fn scale(silent: usize, fenced: &[(&str, i64)]) -> Scale {
    let host = |number: usize| HostName::new(format!("h{number}"));
    Scale {
        watched: (0..10).map(host).collect(),
        silent: (0..silent).map(host).collect(),
        fenced: fenced.iter().map(|(host, second)| ((*host).into(), at(*second))).collect(),
        released: BTreeSet::new(),
    }
}

#[test]
fn one_silent_host_may_be_fenced() {
    assert_eq!(guarded(&scale(1, &[]), |_| {}), Ok(()));
}

#[test]
fn when_all_are_silent_the_trouble_is_our_own() {
    assert!(matches!(guarded(&scale(10, &[]), |_| {}), Err(Blocked::OwnTrouble { .. })));
    assert!(matches!(guarded(&scale(6, &[]), |_| {}), Err(Blocked::OwnTrouble { .. })));
}

#[test]
fn no_more_hosts_than_allowed_are_fenced_within_the_interval() {
    let lately = [("h1", 900), ("h2", 950)];
    assert!(matches!(guarded(&scale(1, &lately), |_| {}), Err(Blocked::TooMany { .. })));
    assert_eq!(guarded(&scale(1, &[("h1", 1), ("h2", 950)]), |_| {}), Ok(()), "one of them is long ago");
}

#[test]
fn no_more_of_a_segment_than_its_share_is_fenced() {
    let shrink = |segment: &mut Segment| segment.hosts.truncate(2);
    let blocked = guarded(&scale(1, &[("h1", 950)]), shrink);
    assert!(matches!(blocked, Err(Blocked::SegmentShare { .. })), "{blocked:?}");
}

#[test]
fn the_switch_maintenance_and_marks_are_respected() {
    let off = guarded(&scale(1, &[]), |segment| segment.enabled = false);
    assert!(matches!(off, Err(Blocked::SwitchedOff { .. })));
    let busy = guarded(&scale(1, &[]), |segment| segment.hosts[0].on_maintenance = true);
    assert!(matches!(busy, Err(Blocked::Maintenance { .. })));
    let marked = guarded(&scale(1, &[]), |segment| segment.hosts[0].no_fence = true);
    assert!(matches!(marked, Err(Blocked::NoFence { .. })));
}

#[test]
fn an_operator_releases_a_host_from_the_guard_and_not_from_the_switch() {
    let mut all = scale(10, &[]);
    all.released.insert("h0".into());
    assert_eq!(guarded(&all, |_| {}), Ok(()));
    assert!(guarded(&all, |segment| segment.enabled = false).is_err());
}

#[test]
fn an_instance_is_restarted_so_often_within_the_window_and_no_more() {
    let policy = Policy::default();
    assert_eq!(may_restart(&[at(10), at(20)], at(30), &policy), Ok(()));
    assert_eq!(may_restart(&[at(10), at(20), at(25)], at(30), &policy), Err(at(10 + 3_600)));
    assert_eq!(may_restart(&[at(10), at(20), at(25)], at(3_700), &policy), Ok(()));
}

fn restarted(state: VmState) -> Result<Vec<&'static str>, NotRestarted> {
    let instance = marked(Instance { state, ..instance("a", "h") });
    let plan = restart("c", &"i0".into(), &instance, at(0), &Policy::default()).unwrap()?;
    assert_eq!(lint(&plan), []);
    Ok(plan.body.steps.iter().map(|step| step.does.name()).collect())
}

#[test]
fn a_dead_guest_is_stopped_and_started_and_one_that_is_stopped_only_started() {
    assert_eq!(restarted(VmState::Active), Ok(vec!["stop-instance", "start-instance"]));
    assert_eq!(restarted(VmState::Stopped), Ok(vec!["start-instance"]));
    assert!(restarted(VmState::Paused).is_err() && restarted(VmState::Rescued).is_err());
}

#[test]
fn an_unmarked_guest_is_left_to_its_owner() {
    let plan = restart("c", &"i0".into(), &instance("a", "h"), at(0), &Policy::default()).unwrap();
    assert!(plan.is_err());
}

#[test]
fn a_host_comes_back_in_the_order_that_leaves_no_two_copies() {
    let mut seen = case(Method::Auto, &[], 1).seen;
    seen.services.get_mut(&HostName::new("dead")).unwrap().forced_down = true;
    let host = HostName::new("dead");
    let units = ["compute".to_owned()];
    let wish = Comeback { cloud: "c", host: &host, units: &units, power_on: true, seen: &seen };
    let plan = comeback(&wish).unwrap();
    assert_eq!(lint(&plan), []);
    let verbs: Vec<&str> = plan.body.steps.iter().map(|step| step.does.name()).collect();
    let wanted = [
        "power-on",
        "stop-units",
        "start-units",
        "await-copies-gone",
        "clear-forced-down",
        "await-compute-up",
        "enable-compute",
    ];
    assert_eq!(verbs, wanted);
}
