//! Instances: lists, single calls, what nova-compute does to them by itself, and that all of it replays.

use super::*;

#[test]
fn an_identity_is_read_back_from_its_uuid() {
    let id = InstanceId(4711);
    assert_eq!(InstanceId::parse(&id.to_string()), Some(id));
}

#[test]
fn a_made_up_uuid_is_no_identity() {
    assert_eq!(InstanceId::parse("00000000-0000-4000-8000-000000001267"), None);
}

#[test]
fn a_page_is_never_longer_than_the_limit_whatever_was_asked_for() {
    let mut nova = cloud_with(1, Settings { page_limit: 3, ..Settings::default() });
    for _ in 0..5 {
        on(&mut nova, 1);
    }
    let page = nova.list_servers(0, ADMIN, &ServerFilter::default(), Some(1_000), None).unwrap();
    assert_eq!((page.servers.len(), page.next.is_some()), (3, true));
}

#[test]
fn following_the_next_link_shows_every_instance_of_a_host_once() {
    let mut nova = cloud_with(2, Settings { page_limit: 3, ..Settings::default() });
    let mut wanted: Vec<InstanceId> = (0..7).map(|_| on(&mut nova, 1)).collect();
    on(&mut nova, 2);
    let filter = ServerFilter { host: Some(host(1)), ..ServerFilter::default() };
    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let page = nova.list_servers(0, ADMIN, &filter, None, marker).unwrap();
        seen.extend(page.servers.iter().map(|server| server.id));
        marker = page.next;
        if marker.is_none() {
            break;
        }
    }
    wanted.reverse();
    assert_eq!(seen, wanted);
}

#[test]
fn a_marker_that_is_gone_is_a_400() {
    let mut nova = cloud(1);
    let answer = nova.list_servers(0, ADMIN, &ServerFilter::default(), None, Some(InstanceId(99)));
    assert_eq!(answer.err().and_then(|error| error.status()), Some(400));
}

#[test]
fn a_created_instance_is_built_and_runs() {
    let mut nova = cloud(2);
    let id = nova.create(0, ADMIN, small()).unwrap();
    assert_eq!(state(&nova, id).0, VmState::Building);
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Active, None));
}

#[test]
fn nothing_is_created_without_room() {
    let mut nova = cloud(1);
    let huge = Resources { vcpus: 1, ram_mb: 1 << 20, disk_gb: 1 };
    let id = nova.create(0, ADMIN, Instance::new("huge", huge)).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Error, None));
}

#[test]
fn stopping_and_starting_changes_guest_and_record() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.stop(S, ADMIN, id).unwrap();
    nova.advance(10 * S);
    assert_eq!((state(&nova, id), guest(&nova, 1, id)), ((VmState::Stopped, None), Some(GuestState::Off)));
    nova.start(10 * S, ADMIN, id).unwrap();
    nova.advance(20 * S);
    assert_eq!((state(&nova, id), guest(&nova, 1, id)), ((VmState::Active, None), Some(GuestState::Running)));
}

#[test]
fn stopping_on_a_dead_host_is_accepted_and_waits_for_it() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    nova.stop(70 * S, ADMIN, id).unwrap();
    nova.advance(600 * S);
    assert_eq!(state(&nova, id), (VmState::Active, Some(TaskState::PoweringOff)));
    nova.power_on(600 * S, &host(1));
    nova.advance(700 * S);
    assert_eq!(state(&nova, id), (VmState::Stopped, None));
}

#[test]
fn a_locked_instance_is_kept_from_its_user() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.lock(0, ADMIN, id, Some("recovery")).unwrap();
    let answer = nova.stop(S, Caller::user(94), id);
    assert_eq!(answer, Err(NovaError::Conflict(format!("Instance {id} is locked"))));
}

#[test]
fn a_lock_has_a_reason_from_2_73_on() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    assert_eq!(status(nova.lock(0, Caller::admin(72), id, Some("recovery"))), Some(400));
    assert_eq!(nova.lock(0, Caller::admin(73), id, Some("recovery")), Ok(()));
}

#[test]
fn a_reset_state_changes_the_record_and_not_the_guest() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.reset_state(0, ADMIN, id, false).unwrap();
    assert_eq!((state(&nova, id).0, guest(&nova, 1, id)), (VmState::Error, Some(GuestState::Running)));
}

#[test]
fn a_guest_that_crashes_is_active_for_a_while_and_then_stopped() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.end_guest(S, &host(1), id, true);
    nova.advance(10 * S);
    assert_eq!(state(&nova, id).0, VmState::Active);
    nova.advance(17 * S);
    assert_eq!(state(&nova, id).0, VmState::Stopped);
}

#[test]
fn a_guest_that_is_not_found_at_all_is_left_active() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.set_guest(S, &host(1), id, None);
    nova.advance(1_300 * S);
    assert_eq!(state(&nova, id), (VmState::Active, None));
}

#[test]
fn a_guest_that_should_be_off_is_stopped() {
    let mut nova = cloud(1);
    let id = nova.place(0, Instance { vm_state: VmState::Stopped, ..small() }, Some(&host(1)));
    nova.set_guest(S, &host(1), id, Some(GuestState::Running));
    nova.advance(1_300 * S);
    assert_eq!(guest(&nova, 1, id), Some(GuestState::Off));
}

#[test]
fn a_deleted_instance_is_a_404_and_its_room_is_free() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.delete(S, ADMIN, id).unwrap();
    nova.advance(10 * S);
    assert_eq!(nova.show_server(10 * S, ADMIN, id).err().and_then(|error| error.status()), Some(404));
    assert!(nova.placement().holders(&host(1)).is_empty());
}

#[test]
fn migrations_are_listed_newest_first_and_by_instance() {
    let mut nova = cloud(2);
    let (id, other) = (on(&mut nova, 1), on(&mut nova, 1));
    let request = LiveRequest::default();
    for id in [id, other] {
        nova.live_migrate(S, ADMIN, id, &request).unwrap();
    }
    nova.advance(60 * S);
    nova.live_migrate(60 * S, ADMIN, id, &request).unwrap();
    let filter = MigrationFilter { instance: Some(id), ..MigrationFilter::default() };
    let seen = nova.list_migrations(60 * S, ADMIN, &filter, None).unwrap();
    let created: Vec<u64> = seen.iter().map(|record| record.created).collect();
    assert_eq!(created, [60 * S, S]);
}

#[test]
fn what_is_oversold_is_measured_by_its_ratio() {
    let mut offer = HostSpec::new("cmp1").offer;
    offer.vcpus_percent = 150;
    assert_eq!(offer.capacity().vcpus, 96);
}

#[test]
fn a_claim_that_does_not_fit_keeps_what_was_held() {
    let mut placement = Placement::default();
    placement.offer(&host(1), HostSpec::new("cmp1").offer);
    let (who, small) = (Consumer::Instance(InstanceId(1)), Resources { vcpus: 1, ram_mb: 1, disk_gb: 1 });
    assert!(placement.claim(who, &host(1), small));
    assert!(!placement.claim(who, &host(1), Resources { ram_mb: 1 << 30, ..small }));
    assert_eq!(placement.held(who, &host(1)), Some(small));
}

#[test]
fn one_seed_gives_one_history() {
    let story = || {
        let (mut nova, id) = evacuated(5);
        nova.power_on(60 * S, &host(1));
        nova.live_migrate(100 * S, ADMIN, id, &LiveRequest::default()).unwrap();
        nova.advance(1_000 * S);
        format!("{nova:?}")
    };
    assert_eq!(story(), story());
}

#[test]
fn a_large_cloud_is_cheap_in_events() {
    let mut nova = cloud(1_000);
    for n in 0..50_000 {
        on(&mut nova, 1 + n % 1_000);
    }
    nova.advance(60 * S);
    nova.power_off(60 * S, &host(1));
    let filter = ServerFilter { host: Some(host(1)), ..ServerFilter::default() };
    let page = nova.list_servers(130 * S, ADMIN, &filter, None, None).unwrap();
    for server in &page.servers {
        nova.evacuate(130 * S, ADMIN, server.id, &any()).unwrap();
    }
    nova.advance(3_600 * S);
    assert!(page.servers.iter().all(|server| place_of(&nova, server.id) != host(1)));
    // A few events for each move and two comparisons for each host that had one: nothing grows with the cloud.
    assert!(nova.pushed < 5_000, "{} events", nova.pushed);
}
