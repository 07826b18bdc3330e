//! A source that comes back: what it removes, what it leaves, and how two copies come to run.

use super::*;

#[test]
fn a_host_that_was_only_cut_off_runs_its_guests_on_beside_their_copies() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.advance(130 * S);
    assert_eq!(nova.active_twice(), [(id, vec![host(1), host(2)])]);
}

#[test]
fn the_record_does_not_see_the_second_copy() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.advance(130 * S);
    let seen = nova.show_server(130 * S, ADMIN, id).unwrap();
    assert_eq!((seen.status(), seen.host), ("ACTIVE", Some(host(2))));
}

#[test]
fn when_the_cut_ends_both_copies_run_on() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.rejoin(130 * S, &host(1));
    nova.advance(7_200 * S);
    assert!(is_up(&mut nova, 7_200 * S, 1));
    assert_eq!(nova.active_twice().len(), 1);
}

#[test]
fn a_restart_of_nova_compute_removes_the_old_copy() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.rejoin(130 * S, &host(1));
    nova.restart_compute(140 * S, &host(1));
    nova.advance(200 * S);
    assert_eq!((nova.active_twice(), guest(&nova, 1, id)), (vec![], None));
}

#[test]
fn a_double_run_is_remembered_when_it_is_over() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.advance(130 * S);
    nova.power_off(130 * S, &host(1));
    assert!(nova.active_twice().is_empty());
    assert_eq!(nova.ever_active_twice().iter().map(|twice| twice.instance).collect::<Vec<_>>(), [id]);
}

#[test]
fn forcing_down_a_living_host_and_evacuating_it_runs_everything_twice() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    force_down(&mut nova, S, 1, true).unwrap();
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    assert_eq!(nova.active_twice().len(), 1);
}

#[test]
fn a_fenced_host_never_runs_anything_twice() {
    let (mut nova, _) = evacuated(2);
    nova.power_on(60 * S, &host(1));
    nova.advance(7_200 * S);
    assert!(nova.ever_active_twice().is_empty());
}

#[test]
fn forcing_up_is_refused_while_a_record_is_done() {
    let (mut nova, _) = evacuated(2);
    let answer = force_down(&mut nova, 60 * S, 1, false);
    assert!(matches!(answer, Err(NovaError::Bad(text)) if text.starts_with("Unable to force up host cmp1")));
}

#[test]
fn a_start_turns_done_into_completed_and_then_forcing_up_is_allowed() {
    let (mut nova, id) = evacuated(2);
    nova.power_on(60 * S, &host(1));
    nova.advance(180 * S);
    assert_eq!(last(&nova, id).status, MigrationStatus::Completed);
    assert_eq!(force_down(&mut nova, 180 * S, 1, false), Ok(()));
}

#[test]
fn a_refused_force_up_changes_nothing_else_either() {
    let (mut nova, _) = evacuated(2);
    let service = nova.host(&host(1)).map(|host| host.service).unwrap();
    let change = ServiceChange { enabled: Some(false), reason: None, forced_down: Some(false) };
    assert_eq!(status(nova.update_service(60 * S, ADMIN, service, &change)), Some(400));
    assert!(nova.host(&host(1)).is_some_and(|host| host.enabled));
}

#[test]
fn the_sources_room_is_held_until_its_nova_compute_starts() {
    let (mut nova, id) = evacuated(2);
    assert_eq!(nova.placement().hosts_of(Consumer::Instance(id)), [host(1), host(2)]);
    nova.power_on(60 * S, &host(1));
    nova.advance(180 * S);
    assert_eq!(nova.placement().hosts_of(Consumer::Instance(id)), [host(2)]);
}

#[test]
fn destroying_many_guests_delays_the_return_of_the_service() {
    let mut nova = cloud(2);
    let ids: Vec<InstanceId> = (0..20).map(|_| on(&mut nova, 1)).collect();
    nova.stop_compute(S, &host(1));
    for id in ids {
        nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    }
    nova.advance(130 * S);
    nova.start_compute(130 * S, &host(1));
    assert!(!is_up(&mut nova, 175 * S, 1));
    assert!(is_up(&mut nova, 210 * S, 1));
}

#[test]
fn a_source_that_is_back_in_the_middle_gives_its_guest_up_too() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.stop_compute(S, &host(1));
    nova.set_deaf(S, &host(2), true);
    nova.evacuate(70 * S, ADMIN, id, &any()).unwrap();
    nova.start_compute(75 * S, &host(1));
    nova.advance(100 * S);
    assert_eq!((guest(&nova, 1, id), last(&nova, id).status), (None, MigrationStatus::Completed));
}

#[test]
fn a_source_that_is_back_before_the_request_makes_it_a_400() {
    let mut nova = cloud(2);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    nova.power_on(5 * S, &host(1));
    nova.advance(120 * S);
    assert_eq!(status(nova.evacuate(120 * S, ADMIN, id, &any())), Some(400));
}

#[test]
fn a_hypervisor_that_starts_guests_by_itself_runs_a_second_copy() {
    let mut nova = cloud(1);
    nova.add_host(0, HostSpec { at_boot: GuestsAtBoot::Hypervisor, ..HostSpec::new("cmp2") });
    let id = on(&mut nova, 2);
    nova.power_off(S, &host(2));
    force_down(&mut nova, S, 2, true).unwrap();
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.cut(60 * S, &host(2));
    nova.power_on(60 * S, &host(2));
    nova.advance(600 * S);
    assert_eq!(nova.active_twice().len(), 1);
}

#[test]
fn a_nova_compute_that_resumes_guests_leaves_evacuated_ones_alone() {
    let mut nova = cloud(1);
    nova.add_host(0, HostSpec { at_boot: GuestsAtBoot::Nova, ..HostSpec::new("cmp2") });
    let (away, stays) = (on(&mut nova, 2), on(&mut nova, 2));
    nova.power_off(S, &host(2));
    force_down(&mut nova, S, 2, true).unwrap();
    nova.evacuate(S, ADMIN, away, &any()).unwrap();
    nova.power_on(60 * S, &host(2));
    nova.advance(200 * S);
    assert_eq!((guest(&nova, 2, away), guest(&nova, 2, stays)), (None, Some(GuestState::Running)));
}

#[test]
fn a_start_without_the_control_plane_waits_for_it() {
    let (mut nova, id) = evacuated(2);
    nova.cut(60 * S, &host(1));
    nova.power_on(60 * S, &host(1));
    nova.advance(600 * S);
    assert_eq!(nova.host(&host(1)).map(|host| host.compute.clone()), Some(Compute::Waiting));
    nova.rejoin(600 * S, &host(1));
    nova.advance(660 * S);
    assert_eq!(guest(&nova, 1, id), None);
}

#[test]
fn after_a_crash_and_a_boot_nova_believes_that_users_stopped_their_instances() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    nova.power_on(5 * S, &host(1));
    nova.advance(120 * S);
    assert_eq!(state(&nova, id).0, VmState::Active);
    nova.advance(900 * S);
    assert_eq!(state(&nova, id), (VmState::Stopped, None));
}

#[test]
fn a_start_puts_a_rebuild_that_no_record_explains_into_error() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.change(id, |instance| instance.task_state = Some(TaskState::Rebuilding));
    nova.restart_compute(S, &host(1));
    nova.advance(60 * S);
    assert_eq!(state(&nova, id), (VmState::Error, None));
}

#[test]
fn a_guest_whose_instance_was_deleted_meanwhile_is_reaped() {
    let mut nova = cloud(1);
    let id = on(&mut nova, 1);
    nova.cut(S, &host(1));
    nova.delete(100 * S, ADMIN, id).unwrap();
    assert_eq!(guest(&nova, 1, id), Some(GuestState::Running));
    nova.rejoin(200 * S, &host(1));
    nova.advance(3_600 * S);
    assert_eq!(guest(&nova, 1, id), None);
}
