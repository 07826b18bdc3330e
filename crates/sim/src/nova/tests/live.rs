//! Live and cold migration: checks, queues, losses on either side.

use super::*;

fn micro(micro: u16, nova: &mut Nova, now: u64, id: InstanceId, n: Option<u32>) -> Result<(), NovaError> {
    let request = LiveRequest { host: n.map(host), force: None };
    nova.live_migrate(now, Caller::admin(micro), id, &request)
}

fn migrate(nova: &mut Nova, now: u64, id: InstanceId) {
    micro(94, nova, now, id, None).unwrap();
}

/// An instance whose memory takes about a hundred seconds to copy.
fn large(nova: &mut Nova) -> InstanceId {
    let flavour = Resources { vcpus: 4, ram_mb: 50_000, disk_gb: 10 };
    nova.place(0, Instance::new("db", flavour), Some(&host(1)))
}

#[test]
fn it_moves_guest_record_and_room() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    assert_eq!((place_of(&nova, id), guest(&nova, 1, id)), (host(2), None));
    assert_eq!(nova.placement().hosts_of(Consumer::Instance(id)), [host(2)]);
    assert_eq!(last(&nova, id).status, MigrationStatus::Completed);
}

#[test]
fn it_leaves_no_room_held_at_the_source() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    assert!(nova.placement().holders(&host(1)).is_empty());
}

#[test]
fn it_never_runs_twice() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    assert!(nova.ever_active_twice().is_empty());
}

#[test]
fn a_paused_guest_arrives_paused() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { vm_state: VmState::Paused, ..small() }, Some(&host(1)));
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    assert_eq!((state(&nova, id).0, guest(&nova, 2, id)), (VmState::Paused, Some(GuestState::Paused)));
}

#[test]
fn more_memory_takes_longer() {
    let mut nova = cloud(2);
    let (small, large) = (on(&mut nova, 1), large(&mut nova));
    migrate(&mut nova, S, small);
    nova.advance(100 * S);
    let small_ms = last(&nova, small).updated - S;
    migrate(&mut nova, 100 * S, large);
    nova.advance(400 * S);
    assert!(last(&nova, large).updated - 100 * S > 3 * small_ms);
}

#[test]
fn a_stopped_instance_is_a_conflict() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { vm_state: VmState::Stopped, ..small() }, Some(&host(1)));
    assert_eq!(status(micro(94, &mut nova, S, id, None)), Some(409));
}

#[test]
fn a_second_one_of_the_same_instance_is_a_conflict() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    migrate(&mut nova, S, id);
    let text = format!("Cannot 'os-migrateLive' instance {id} while it is in task_state migrating");
    assert_eq!(micro(94, &mut nova, 2 * S, id, None), Err(NovaError::Conflict(text)));
}

#[test]
fn no_valid_host_is_a_400_before_2_34_and_only_in_the_record_afterwards() {
    for (version, wanted) in [(33, Some(400)), (34, None)] {
        let mut nova = cloud(1);
        let id = on(&mut nova, 1);
        assert_eq!(status(micro(version, &mut nova, S, id, None)), wanted, "2.{version}");
        nova.advance(60 * S);
        assert_eq!(
            (state(&nova, id), last(&nova, id).status),
            ((VmState::Active, None), MigrationStatus::Error)
        );
    }
}

#[test]
fn a_source_that_is_down_cannot_be_migrated_from() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    migrate(&mut nova, 70 * S, id);
    nova.advance(80 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Error);
}

#[test]
fn a_target_that_refuses_makes_the_scheduler_try_the_next_one() {
    let mut nova = cloud(3);
    let id = on(&mut nova, 1);
    let fault = WorkFault {
        stage: Stage::LiveCheck,
        instance: None,
        host: Some(host(2)),
        times: u32::MAX,
        why: "Unacceptable CPU info".into(),
    };
    nova.order_work(fault);
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    assert_eq!(place_of(&nova, id), host(3));
}

#[test]
fn a_source_does_one_at_a_time() {
    let mut nova = cloud(2);
    let ids = [on(&mut nova, 1), on(&mut nova, 1), on(&mut nova, 1)];
    for id in ids {
        migrate(&mut nova, S, id);
    }
    nova.advance(4 * S);
    let queued = ids.iter().filter(|id| last(&nova, **id).status == MigrationStatus::Queued);
    assert_eq!(queued.count(), 2);
    nova.advance(120 * S);
    assert!(ids.iter().all(|id| place_of(&nova, *id) == host(2)));
}

#[test]
fn a_target_that_dies_leaves_the_guest_at_its_source() {
    let mut nova = cloud(2);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.power_off(20 * S, &host(2));
    nova.advance(60 * S);
    assert_eq!(
        (state(&nova, id), last(&nova, id).status),
        ((VmState::Active, None), MigrationStatus::Failed)
    );
    assert_eq!(guest(&nova, 1, id), Some(GuestState::Running));
    assert_eq!(nova.placement().hosts_of(Consumer::Instance(id)), [host(1)]);
}

#[test]
fn a_source_that_dies_takes_the_guest_along_and_leaves_the_record_running() {
    let mut nova = cloud(2);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.power_off(20 * S, &host(1));
    nova.advance(600 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Running);
    assert_eq!((state(&nova, id).1, guest(&nova, 2, id)), (Some(TaskState::Migrating), None));
}

#[test]
fn an_instance_whose_source_died_in_the_middle_can_be_evacuated() {
    let mut nova = cloud(3);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.power_off(20 * S, &host(1));
    force_down(&mut nova, 20 * S, 1, true).unwrap();
    nova.evacuate(20 * S, ADMIN, id, &any()).unwrap();
    nova.advance(600 * S);
    assert_eq!(state(&nova, id), (VmState::Active, None));
    assert!(nova.ever_active_twice().is_empty());
}

#[test]
fn a_nova_compute_that_dies_meanwhile_leaves_a_guest_where_no_record_says() {
    let mut nova = cloud(2);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.stop_compute(20 * S, &host(1));
    nova.advance(300 * S);
    assert_eq!((place_of(&nova, id), nova.strays()), (host(1), vec![(id, host(2))]));
}

#[test]
fn a_restart_of_the_sources_nova_compute_gives_a_running_one_up() {
    let mut nova = cloud(2);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.restart_compute(20 * S, &host(1));
    nova.advance(300 * S);
    assert_eq!((state(&nova, id), last(&nova, id).status), ((VmState::Active, None), MigrationStatus::Error));
    assert_eq!(guest(&nova, 1, id), Some(GuestState::Running));
}

#[test]
fn a_cut_in_the_middle_fails_it_and_the_record_says_so_after_the_cut() {
    let mut nova = cloud(2);
    let id = large(&mut nova);
    migrate(&mut nova, S, id);
    nova.cut(20 * S, &host(1));
    nova.advance(300 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Running);
    nova.rejoin(300 * S, &host(1));
    nova.advance(310 * S);
    assert_eq!(
        (state(&nova, id), last(&nova, id).status),
        ((VmState::Active, None), MigrationStatus::Failed)
    );
}

#[test]
fn one_that_never_converges_is_cancelled_at_its_limit() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { converges: false, ..small() }, Some(&host(1)));
    migrate(&mut nova, S, id);
    nova.advance(1_500 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Running);
    nova.advance(1_700 * S);
    assert_eq!((last(&nova, id).status, place_of(&nova, id)), (MigrationStatus::Cancelled, host(1)));
}

#[test]
fn forcing_it_to_complete_ends_one_that_never_converges() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { converges: false, ..small() }, Some(&host(1)));
    migrate(&mut nova, S, id);
    nova.advance(60 * S);
    let migration = last(&nova, id).id;
    nova.force_complete(60 * S, ADMIN, id, migration).unwrap();
    nova.advance(120 * S);
    assert_eq!(place_of(&nova, id), host(2));
}

#[test]
fn an_abort_frees_the_slot_for_the_next() {
    let mut nova = cloud(2);
    let (first, second) = (large(&mut nova), on(&mut nova, 1));
    migrate(&mut nova, S, first);
    migrate(&mut nova, 5 * S, second);
    nova.advance(30 * S);
    let migration = last(&nova, first).id;
    nova.abort_live(30 * S, ADMIN, first, migration).unwrap();
    nova.advance(60 * S);
    assert_eq!((last(&nova, first).status, place_of(&nova, second)), (MigrationStatus::Cancelled, host(2)));
}

#[test]
fn a_queued_one_can_be_aborted_from_2_65_on() {
    let mut nova = cloud(2);
    let (first, second) = (large(&mut nova), on(&mut nova, 1));
    migrate(&mut nova, S, first);
    migrate(&mut nova, 5 * S, second);
    nova.advance(30 * S);
    let migration = last(&nova, second).id;
    assert_eq!(status(nova.abort_live(30 * S, Caller::admin(64), second, migration)), Some(400));
    assert_eq!(nova.abort_live(30 * S, Caller::admin(65), second, migration), Ok(()));
}

#[test]
fn a_cold_migration_waits_for_a_word_and_holds_room_on_both_hosts() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { vm_state: VmState::Stopped, ..small() }, Some(&host(1)));
    nova.migrate(S, ADMIN, id, None).unwrap();
    nova.advance(60 * S);
    assert_eq!((state(&nova, id).0, place_of(&nova, id)), (VmState::Resized, host(2)));
    let holds = |n| nova.placement().holders(&host(n)).len();
    assert_eq!((holds(1), holds(2)), (1, 1));
}

#[test]
fn a_confirmed_cold_migration_gives_the_sources_room_back() {
    let mut nova = cloud(2);
    let id = nova.place(0, Instance { vm_state: VmState::Stopped, ..small() }, Some(&host(1)));
    nova.migrate(S, ADMIN, id, None).unwrap();
    nova.advance(60 * S);
    nova.confirm_resize(60 * S, ADMIN, id).unwrap();
    nova.advance(70 * S);
    assert_eq!((state(&nova, id), guest(&nova, 1, id)), ((VmState::Stopped, None), None));
    assert!(nova.placement().holders(&host(1)).is_empty());
}

#[test]
fn a_reverted_cold_migration_is_as_if_it_had_not_been() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.migrate(S, ADMIN, id, None).unwrap();
    nova.advance(60 * S);
    nova.revert_resize(60 * S, ADMIN, id).unwrap();
    nova.advance(70 * S);
    assert_eq!((state(&nova, id), place_of(&nova, id)), ((VmState::Active, None), host(1)));
    assert_eq!((guest(&nova, 1, id), guest(&nova, 2, id)), (Some(GuestState::Running), None));
}

#[test]
fn nothing_migrates_cold_from_a_dead_host() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    assert_eq!(status(nova.migrate(70 * S, ADMIN, id, None)), Some(400));
}
