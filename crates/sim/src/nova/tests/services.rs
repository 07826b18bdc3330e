//! Services and hosts: who counts as up, and what may be declared.

use super::*;

fn service(nova: &Nova, n: u32) -> ServiceId {
    nova.host(&host(n)).map(|host| host.service).unwrap()
}

#[test]
fn a_dead_host_counts_as_up_until_the_down_time_is_over() {
    let mut nova = cloud(1);
    nova.power_off(100 * S, &host(1));
    assert!(is_up(&mut nova, 145 * S, 1));
    assert!(!is_up(&mut nova, 161 * S, 1));
}

#[test]
fn a_living_host_stays_up() {
    let mut nova = cloud(1);
    assert!(is_up(&mut nova, 86_400 * S, 1));
}

#[test]
fn forcing_down_takes_effect_at_once() {
    let mut nova = cloud(1);
    force_down(&mut nova, 10 * S, 1, true).unwrap();
    assert!(!is_up(&mut nova, 10 * S, 1));
}

#[test]
fn a_service_that_was_forced_down_stays_down_although_it_is_heard() {
    let mut nova = cloud(1);
    force_down(&mut nova, 10 * S, 1, true).unwrap();
    nova.restart_compute(20 * S, &host(1));
    assert!(!is_up(&mut nova, 600 * S, 1));
}

#[test]
fn forcing_up_without_evacuations_is_allowed() {
    let mut nova = cloud(1);
    force_down(&mut nova, 10 * S, 1, true).unwrap();
    force_down(&mut nova, 20 * S, 1, false).unwrap();
    assert!(is_up(&mut nova, 20 * S, 1));
}

#[test]
fn services_are_named_by_their_identity_only_from_2_53_on() {
    let mut nova = cloud(1);
    let (id, change) =
        (service(&nova, 1), ServiceChange { forced_down: Some(true), ..ServiceChange::default() });
    let answer = nova.update_service(0, Caller::admin(52), id, &change);
    assert_eq!(answer, Err(NovaError::Bad("'host' is a required property".into())));
}

#[test]
fn forcing_down_by_host_is_there_from_2_11_on() {
    let mut nova = cloud(1);
    let down = ServiceAction::ForceDown(true);
    assert_eq!(status(nova.update_service_by_host(0, Caller::admin(10), &host(1), &down)), Some(404));
    assert_eq!(nova.update_service_by_host(0, Caller::admin(11), &host(1), &down), Ok(()));
}

#[test]
fn a_change_that_changes_nothing_is_refused() {
    let mut nova = cloud(1);
    let id = service(&nova, 1);
    assert_eq!(status(nova.update_service(0, ADMIN, id, &ServiceChange::default())), Some(400));
}

#[test]
fn only_an_administrator_changes_a_service() {
    let mut nova = cloud(1);
    let (id, change) =
        (service(&nova, 1), ServiceChange { enabled: Some(false), ..ServiceChange::default() });
    assert_eq!(status(nova.update_service(0, Caller::user(94), id, &change)), Some(403));
}

#[test]
fn a_reason_is_kept_with_a_disabled_service_and_goes_when_it_is_enabled() {
    let mut nova = cloud(1);
    let id = service(&nova, 1);
    let off =
        ServiceChange { enabled: Some(false), reason: Some("drain".into()), ..ServiceChange::default() };
    nova.update_service(0, ADMIN, id, &off).unwrap();
    assert_eq!(nova.host(&host(1)).and_then(|host| host.reason.clone()), Some("drain".to_owned()));
    nova.update_service(0, ADMIN, id, &ServiceChange { enabled: Some(true), ..ServiceChange::default() })
        .unwrap();
    assert_eq!(nova.host(&host(1)).and_then(|host| host.reason.clone()), None);
}

#[test]
fn a_dead_bus_looks_like_the_death_of_every_host() {
    let mut nova = cloud(3);
    nova.set_bus(100 * S, false);
    let up = |nova: &mut Nova, now| (1..=3).filter(|n| is_up(nova, now, *n)).count();
    assert_eq!(up(&mut nova, 170 * S), 0);
    nova.set_bus(170 * S, true);
    assert_eq!(up(&mut nova, 181 * S), 3);
}

#[test]
fn a_host_that_was_cut_off_is_up_again_within_one_report() {
    let mut nova = cloud(1);
    nova.cut(100 * S, &host(1));
    assert!(!is_up(&mut nova, 200 * S, 1));
    nova.rejoin(200 * S, &host(1));
    assert!(is_up(&mut nova, 210 * S, 1));
}

#[test]
fn a_deaf_service_is_up_and_works_on_nothing() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.set_deaf(0, &host(1), true);
    nova.stop(S, ADMIN, id).unwrap();
    assert!(is_up(&mut nova, 600 * S, 1));
    assert_eq!(state(&nova, id), (VmState::Active, Some(TaskState::PoweringOff)));
}

#[test]
fn a_new_service_refuses_to_start_where_guests_already_are() {
    let mut nova = cloud(0);
    nova.add_host(0, HostSpec { known: false, ..HostSpec::new("cmp1") });
    nova.set_guest(0, &host(1), InstanceId(99), Some(GuestState::Running));
    nova.start_compute(0, &host(1));
    assert!(matches!(nova.host(&host(1)).map(|host| &host.compute), Some(Compute::Refused(_))));
}

#[test]
fn a_known_service_refuses_to_start_without_its_identity() {
    let mut nova = cloud(1);
    nova.lose_identity(&host(1));
    nova.restart_compute(0, &host(1));
    nova.advance(600 * S);
    assert!(matches!(nova.host(&host(1)).map(|host| &host.compute), Some(Compute::Refused(_))));
}

#[test]
fn a_microversion_that_is_too_new_is_not_acceptable() {
    let mut nova = cloud(1);
    let answer = nova.list_services(0, Caller::admin(101));
    assert_eq!(answer.err().and_then(|error| error.status()), Some(406));
}

#[test]
fn a_host_is_put_into_an_aggregate_once() {
    let mut nova = cloud(1);
    nova.add_to_aggregate(0, ADMIN, "ssd", &host(1)).unwrap();
    assert_eq!(status(nova.add_to_aggregate(0, ADMIN, "ssd", &host(1))), Some(409));
}

#[test]
fn an_ordered_429_is_answered_as_often_as_ordered() {
    let mut nova = cloud(1);
    let kind = FaultKind::Busy { retry_after_s: 5 };
    nova.order(ApiFault { verb: Some(Verb::ListServices), instance: None, times: 1, kind });
    assert_eq!(nova.list_services(0, ADMIN).err(), Some(NovaError::Busy { retry_after_s: 5 }));
    assert!(nova.list_services(0, ADMIN).is_ok());
}
