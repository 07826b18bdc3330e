//! Evacuation: what is refused, what is accepted and then fails, where things land.

use super::*;

fn down(hosts: u32) -> (Nova, InstanceId) {
    let mut nova = cloud(hosts);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    force_down(&mut nova, S, 1, true).unwrap();
    (nova, id)
}

fn fails(stage: Stage) -> WorkFault {
    WorkFault { stage, instance: None, host: None, times: 1, why: "disk full".into() }
}

#[test]
fn it_is_refused_while_the_service_counts_as_up() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    let answer = nova.evacuate(2 * S, ADMIN, id, &any());
    assert_eq!(answer, Err(NovaError::Bad("Compute service of cmp1 is still in use.".into())));
}

#[test]
fn it_is_accepted_when_the_down_time_is_over() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    assert_eq!(nova.evacuate(62 * S, ADMIN, id, &any()), Ok(()));
}

#[test]
fn it_is_accepted_at_once_when_the_service_was_forced_down() {
    let (mut nova, id) = down(2);
    assert_eq!(nova.evacuate(S, ADMIN, id, &any()), Ok(()));
    assert_eq!(state(&nova, id), (VmState::Active, Some(TaskState::Rebuilding)));
}

#[test]
fn a_record_is_accepted_then_pre_migrating_then_done() {
    let (mut nova, id) = down(2);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    let mut seen = vec![last(&nova, id).status];
    for second in 1..60 {
        nova.advance((1 + second) * S);
        seen.push(last(&nova, id).status);
    }
    seen.dedup();
    assert_eq!(seen, [MigrationStatus::Accepted, MigrationStatus::PreMigrating, MigrationStatus::Done]);
}

#[test]
fn an_active_instance_runs_on_its_new_host() {
    let (nova, id) = evacuated(2);
    assert_eq!(place_of(&nova, id), host(2));
    assert_eq!((state(&nova, id).0, guest(&nova, 2, id)), (VmState::Active, Some(GuestState::Running)));
}

#[test]
fn from_2_95_on_it_comes_up_stopped() {
    let (mut nova, id) = down(2);
    nova.evacuate(S, Caller::admin(95), id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!((state(&nova, id).0, guest(&nova, 2, id)), (VmState::Stopped, Some(GuestState::Off)));
}

#[test]
fn the_record_knows_at_once_that_it_came_up_stopped() {
    let (mut nova, id) = down(2);
    nova.evacuate(S, Caller::admin(95), id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(nova.instance(id).and_then(|instance| instance.power), Some(GuestState::Off));
}

#[test]
fn a_stopped_instance_stays_stopped() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.vm_state = VmState::Stopped);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Stopped, None));
}

#[test]
fn an_instance_in_error_comes_up_active() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.vm_state = VmState::Error);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Active, None));
}

#[test]
fn other_states_are_a_conflict() {
    let states = [
        VmState::Paused,
        VmState::Suspended,
        VmState::Rescued,
        VmState::Building,
        VmState::Resized,
        VmState::ShelvedOffloaded,
    ];
    for refused in states {
        let (mut nova, id) = down(2);
        nova.change(id, |instance| instance.vm_state = refused);
        let text = format!("Cannot 'evacuate' instance {id} while it is in vm_state {}", refused.word());
        assert_eq!(nova.evacuate(S, ADMIN, id, &any()), Err(NovaError::Conflict(text)));
    }
}

#[test]
fn an_instance_that_never_ran_is_a_conflict() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.launched = false);
    assert_eq!(status(nova.evacuate(S, ADMIN, id, &any())), Some(409));
}

#[test]
fn a_task_under_way_is_a_conflict_on_an_old_nova() {
    let mut nova = cloud_with(2, Settings { evacuation_checks_task: true, ..Settings::default() });
    let id = on(&mut nova, 1);
    nova.change(id, |instance| instance.task_state = Some(TaskState::PoweringOff));
    force_down(&mut nova, S, 1, true).unwrap();
    assert_eq!(status(nova.evacuate(S, ADMIN, id, &any())), Some(409));
}

#[test]
fn a_task_under_way_is_not_looked_at_by_a_modern_nova() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.task_state = Some(TaskState::PoweringOff));
    assert_eq!(nova.evacuate(S, ADMIN, id, &any()), Ok(()));
}

#[test]
fn an_unknown_instance_is_a_404() {
    let (mut nova, _) = down(2);
    assert_eq!(status(nova.evacuate(S, ADMIN, InstanceId(99), &any())), Some(404));
}

#[test]
fn only_an_administrator_evacuates() {
    let (mut nova, id) = down(2);
    assert_eq!(status(nova.evacuate(S, Caller::user(94), id, &any())), Some(403));
}

#[test]
fn a_users_lock_does_not_stop_an_administrator() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.locked = true);
    assert_eq!(nova.evacuate(S, ADMIN, id, &any()), Ok(()));
}

#[test]
fn the_old_host_is_no_target() {
    let (mut nova, id) = down(2);
    let answer = nova.evacuate(S, ADMIN, id, &to(1));
    assert_eq!(answer, Err(NovaError::Bad("The target host can't be the same one.".into())));
}

#[test]
fn an_unknown_target_is_a_404() {
    let (mut nova, id) = down(2);
    assert_eq!(status(nova.evacuate(S, ADMIN, id, &to(9))), Some(404));
}

#[test]
fn what_nova_cannot_evacuate_is_refused_at_once() {
    for (obstacle, wanted) in [(Obstacle::Vtpm, 400), (Obstacle::Accelerator, 400), (Obstacle::Share, 409)] {
        let (mut nova, id) = down(2);
        nova.change(id, |instance| instance.obstacle = Some(obstacle));
        assert_eq!(status(nova.evacuate(S, ADMIN, id, &any())), Some(wanted));
    }
}

#[test]
fn a_secret_that_may_not_be_read_ends_in_error() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.obstacle = Some(Obstacle::Secret));
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!((state(&nova, id).0, last(&nova, id).status), (VmState::Error, MigrationStatus::Failed));
}

#[test]
fn force_is_known_from_2_29_to_2_67() {
    let forced = EvacuateRequest { force: Some(true), ..to(2) };
    for (micro, wanted) in [(28, Some(400)), (29, None), (67, None), (68, Some(400))] {
        let (mut nova, id) = down(2);
        assert_eq!(status(nova.evacuate(S, Caller::admin(micro), id, &forced)), wanted, "2.{micro}");
    }
}

#[test]
fn the_storage_must_be_named_up_to_2_13_and_not_afterwards() {
    let named = EvacuateRequest { on_shared_storage: Some(false), ..any() };
    for (micro, request, wanted) in
        [(13, any(), Some(400)), (13, named.clone(), None), (14, any(), None), (14, named, Some(400))]
    {
        let (mut nova, id) = down(2);
        assert_eq!(status(nova.evacuate(S, Caller::admin(micro), id, &request)), wanted, "2.{micro}");
    }
}

#[test]
fn a_wrong_word_on_the_storage_is_accepted_and_ends_in_error() {
    let (mut nova, id) = down(2);
    let request = EvacuateRequest { on_shared_storage: Some(true), ..any() };
    nova.evacuate(S, Caller::admin(13), id, &request).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Error, None));
}

#[test]
fn no_room_anywhere_puts_the_instance_into_error_at_its_old_host() {
    let (mut nova, id) = down(1);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Error);
    assert_eq!((state(&nova, id), place_of(&nova, id)), ((VmState::Error, None), host(1)));
}

#[test]
fn a_named_target_is_checked_by_the_scheduler() {
    let (mut nova, id) = down(3);
    nova.power_off(S, &host(2));
    nova.advance(100 * S);
    nova.evacuate(100 * S, ADMIN, id, &to(2)).unwrap();
    nova.advance(160 * S);
    assert_eq!(state(&nova, id).0, VmState::Error);
}

#[test]
fn a_disabled_host_takes_nothing_even_when_it_is_named() {
    let (mut nova, id) = down(2);
    let off = ServiceAction::Disable("spare".into());
    nova.update_service_by_host(S, Caller::admin(52), &host(2), &off).unwrap();
    nova.evacuate(S, ADMIN, id, &to(2)).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id).0, VmState::Error);
}

#[test]
fn a_forced_target_without_room_leaves_the_task_for_ever() {
    let (mut nova, id) = down(2);
    let big = Resources { vcpus: 1, ram_mb: 255 << 10, disk_gb: 1 };
    nova.place(S, Instance::new("big", big), Some(&host(2)));
    let forced = EvacuateRequest { force: Some(true), ..to(2) };
    nova.evacuate(S, Caller::admin(53), id, &forced).unwrap();
    nova.advance(3_600 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Error);
    assert_eq!(state(&nova, id), (VmState::Active, Some(TaskState::Rebuilding)));
}

#[test]
fn a_failure_on_the_target_leaves_it_in_error_and_nothing_retries() {
    let (mut nova, id) = down(3);
    nova.order_work(fails(Stage::Rebuild));
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(3_600 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Failed);
    assert_eq!((state(&nova, id), place_of(&nova, id)), ((VmState::Error, None), host(1)));
}

#[test]
fn a_failure_gives_the_targets_room_back() {
    let (mut nova, id) = down(2);
    nova.order_work(fails(Stage::Rebuild));
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(nova.placement().hosts_of(Consumer::Instance(id)), [host(1)]);
}

#[test]
fn after_a_failure_it_can_be_asked_for_again() {
    let (mut nova, id) = down(2);
    nova.order_work(fails(Stage::Rebuild));
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    nova.evacuate(60 * S, ADMIN, id, &any()).unwrap();
    nova.advance(120 * S);
    assert_eq!(state(&nova, id), (VmState::Active, None));
}

#[test]
fn a_late_failure_leaves_a_guest_that_no_record_knows() {
    let (mut nova, id) = down(2);
    nova.order_work(fails(Stage::RebuildLate));
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!((place_of(&nova, id), nova.strays()), (host(1), vec![(id, host(2))]));
}

#[test]
fn asking_again_after_a_late_failure_can_run_it_twice() {
    let (mut nova, id) = down(3);
    nova.order_work(fails(Stage::RebuildLate));
    nova.evacuate(S, ADMIN, id, &to(2)).unwrap();
    nova.advance(60 * S);
    nova.evacuate(60 * S, ADMIN, id, &to(3)).unwrap();
    nova.advance(120 * S);
    assert_eq!(nova.active_twice(), [(id, vec![host(2), host(3)])]);
}

#[test]
fn a_target_that_dies_in_the_middle_leaves_the_record_stuck() {
    let (mut nova, id) = down(2);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(5 * S);
    nova.power_off(5 * S, &host(2));
    nova.advance(3_600 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::PreMigrating);
    assert_eq!(state(&nova, id), (VmState::Active, Some(TaskState::RebuildSpawning)));
}

#[test]
fn a_stuck_one_can_be_sent_elsewhere_by_a_modern_nova() {
    let (mut nova, id) = down(3);
    nova.evacuate(S, ADMIN, id, &to(2)).unwrap();
    nova.advance(5 * S);
    nova.power_off(5 * S, &host(2));
    nova.evacuate(10 * S, ADMIN, id, &to(3)).unwrap();
    nova.advance(60 * S);
    assert_eq!((state(&nova, id), place_of(&nova, id)), ((VmState::Active, None), host(3)));
}

#[test]
fn a_message_to_a_deaf_target_is_worked_on_when_it_hears_again() {
    let (mut nova, id) = down(2);
    nova.set_deaf(S, &host(2), true);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(600 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Accepted);
    nova.set_deaf(600 * S, &host(2), false);
    nova.advance(660 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Done);
}

#[test]
fn asking_twice_makes_two_records_and_one_of_them_fails() {
    let (mut nova, id) = down(3);
    nova.evacuate(S, ADMIN, id, &to(2)).unwrap();
    nova.advance(5 * S);
    nova.evacuate(5 * S, ADMIN, id, &to(2)).unwrap();
    nova.advance(120 * S);
    let records = nova.instance(id).map(|instance| instance.migrations.clone()).unwrap();
    let failed = records.iter().filter_map(|id| nova.migration(*id));
    assert_eq!(failed.filter(|record| record.status == MigrationStatus::Failed).count(), 1);
}

#[test]
fn a_local_disk_is_replaced_by_the_image_without_a_word() {
    let (mut nova, id) = down(2);
    nova.change(id, |instance| instance.disk = Disk::Local);
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(nova.instance(id).map(|instance| instance.disks_lost), Some(1));
}

#[test]
fn a_volume_keeps_its_data() {
    let (nova, id) = evacuated(2);
    assert_eq!(nova.instance(id).map(|instance| instance.disks_lost), Some(0));
}

#[test]
fn anti_affinity_leaves_no_valid_host() {
    let mut nova = cloud(2);
    nova.add_group(GroupId(1), false);
    let member = Instance { group: Some(GroupId(1)), ..small() };
    let id = nova.place(0, member.clone(), Some(&host(1)));
    nova.place(0, member, Some(&host(2)));
    force_down(&mut nova, S, 1, true).unwrap();
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(state(&nova, id).0, VmState::Error);
}

#[test]
fn two_members_that_leave_at_once_meet_and_one_is_turned_away_unharmed() {
    let mut nova = cloud(3);
    nova.add_group(GroupId(1), false);
    let member = Instance { group: Some(GroupId(1)), ..small() };
    let ids = [1, 2].map(|n| nova.place(0, member.clone(), Some(&host(n))));
    for n in [1, 2] {
        nova.power_off(S, &host(n));
        force_down(&mut nova, S, n, true).unwrap();
    }
    for id in ids {
        nova.evacuate(S, ADMIN, id, &any()).unwrap();
    }
    nova.advance(90 * S);
    let mut seen = ids.map(|id| (last(&nova, id).status, state(&nova, id)));
    seen.sort();
    let active = (VmState::Active, None);
    assert_eq!(seen, [(MigrationStatus::Done, active), (MigrationStatus::Failed, active)]);
}

#[test]
fn a_zone_pins_an_instance() {
    let mut nova = cloud(2);
    nova.add_host(0, HostSpec { zone: "az2".into(), ..HostSpec::new("cmp3") });
    let id = nova.place(0, Instance { zone: Some("az2".into()), ..small() }, Some(&host(1)));
    force_down(&mut nova, S, 1, true).unwrap();
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(place_of(&nova, id), host(3));
}

#[test]
fn a_burst_goes_to_one_host() {
    let mut nova = cloud(4);
    let ids: Vec<InstanceId> = (0..20).map(|_| on(&mut nova, 1)).collect();
    nova.power_off(S, &host(1));
    force_down(&mut nova, S, 1, true).unwrap();
    for id in &ids {
        nova.evacuate(S, ADMIN, *id, &any()).unwrap();
    }
    nova.advance(50 * S);
    let landed: Vec<usize> =
        (2..=4).map(|n| nova.host(&host(n)).map_or(0, |host| host.guests.len())).collect();
    assert_eq!(landed, [20, 0, 0]);
}

#[test]
fn one_at_a_time_spreads() {
    let mut nova = cloud(4);
    let ids: Vec<InstanceId> = (0..6).map(|_| on(&mut nova, 1)).collect();
    nova.power_off(S, &host(1));
    force_down(&mut nova, S, 1, true).unwrap();
    for (turn, id) in ids.iter().enumerate() {
        nova.evacuate(turn as u64 * 20 * S, ADMIN, *id, &any()).unwrap();
    }
    nova.advance(200 * S);
    let landed: Vec<usize> =
        (2..=4).map(|n| nova.host(&host(n)).map_or(0, |host| host.guests.len())).collect();
    assert_eq!(landed, [2, 2, 2]);
}

#[test]
fn a_cut_answer_may_still_have_been_a_yes() {
    let (mut nova, id) = down(2);
    nova.order(ApiFault { verb: Some(Verb::Evacuate), instance: None, times: 1, kind: FaultKind::CutAfter });
    assert!(matches!(nova.evacuate(S, ADMIN, id, &any()), Err(NovaError::Cut(_))));
    nova.advance(60 * S);
    assert_eq!(place_of(&nova, id), host(2));
}

#[test]
fn a_short_silence_of_the_bus_lets_the_call_hang_and_the_work_follow() {
    let (mut nova, id) = down(2);
    nova.set_bus(2 * S, false);
    assert!(matches!(nova.evacuate(3 * S, ADMIN, id, &any()), Err(NovaError::Cut(_))));
    nova.advance(30 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Accepted);
    nova.set_bus(30 * S, true);
    nova.advance(60 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Done);
}

#[test]
fn when_a_long_silence_of_the_bus_ends_no_host_is_valid_until_it_has_reported() {
    let (mut nova, id) = down(2);
    nova.set_bus(2 * S, false);
    assert!(matches!(nova.evacuate(3 * S, ADMIN, id, &any()), Err(NovaError::Cut(_))));
    nova.set_bus(300 * S, true);
    nova.advance(400 * S);
    assert_eq!(state(&nova, id), (VmState::Error, None));
}
