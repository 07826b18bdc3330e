//! Guests that fail, and the reports about them.

use crate::libvirt::Libvirt;
use crate::running::Running;
use crate::server::Server;
use std::process::Command;

fn identity() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

fn monitor(libvirt: &Libvirt, server: &Server) -> Running {
    let directory = libvirt.directory.path();
    let settings = format!(
        "host = \"cmp1\"\nstate-directory = \"state\"\n[reports]\nservers = [\"{}\"]\n[instance]\nconnection = \"{}\"\ncompare-every = \"2s\"\n",
        server.url(),
        libvirt.connection()
    );
    std::fs::write(directory.join("monitor.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    command.args(["monitor", "instance", "--settings", "monitor.toml"]).current_dir(directory);
    Running::start(command)
}

fn failed(identity: &str) -> [(&str, &str); 3] {
    [("event", "LIFECYCLE"), ("vir_domain_event", "STOPPED_FAILED"), ("instance_uuid", identity)]
}

#[test]
#[ignore = "needs root, libvirt and qemu"]
fn a_guest_whose_process_is_killed_is_reported() {
    let (libvirt, server, identity) = (Libvirt::start(), Server::taking(), identity());
    libvirt.guest("instance-00000001", &identity);
    let monitor = monitor(&libvirt, &server);
    monitor.wait_for("watching the guests");
    libvirt.wait_for("the first look", |libvirt| {
        let known = std::fs::read_to_string(libvirt.directory.path().join("state/guests.json"));
        known.is_ok_and(|known| known.contains("\"runs\""))
    });
    libvirt.kill(&identity);
    let report = server.wait_for(&failed(&identity));
    assert_eq!(report["notification"]["type"], "VM");
    assert_eq!(report["notification"]["hostname"], "cmp1");
}

#[test]
#[ignore = "needs root, libvirt and qemu"]
fn a_guest_that_somebody_stops_is_not_reported_as_failed() {
    let (libvirt, server, identity) = (Libvirt::start(), Server::taking(), identity());
    let _monitor = monitor(&libvirt, &server);
    libvirt.guest("instance-00000001", &identity);
    libvirt.virsh(&["destroy", "instance-00000001"]).unwrap();
    server.wait_for(&[("vir_domain_event", "STOPPED_DESTROYED"), ("instance_uuid", &identity)]);
    let all = server.notifications();
    assert!(
        !all.iter().any(|one| one["notification"]["payload"]["vir_domain_event"] == "STOPPED_FAILED"),
        "{all:?}"
    );
}

#[test]
#[ignore = "needs root, libvirt and qemu"]
fn a_guest_that_fails_while_the_monitor_is_away_is_reported_when_it_is_back() {
    let (libvirt, server, identity) = (Libvirt::start(), Server::taking(), identity());
    libvirt.guest("instance-00000001", &identity);
    let first = monitor(&libvirt, &server);
    libvirt.wait_for("the first look", |libvirt| {
        let known = std::fs::read_to_string(libvirt.directory.path().join("state/guests.json"));
        known.is_ok_and(|known| known.contains("\"runs\""))
    });
    first.kill();
    libvirt.kill(&identity);
    libvirt.wait_for("the end of the guest", |libvirt| {
        libvirt.virsh(&["domstate", "instance-00000001"]).is_ok_and(|state| state.contains("shut off"))
    });
    let _second = monitor(&libvirt, &server);
    server.wait_for(&failed(&identity));
}

#[test]
#[ignore = "needs root, libvirt and qemu"]
fn a_guest_that_fails_while_libvirtd_is_away_is_reported_when_it_is_back() {
    let (libvirt, server, identity) = (Libvirt::start(), Server::taking(), identity());
    libvirt.guest("instance-00000001", &identity);
    let monitor = monitor(&libvirt, &server);
    libvirt.wait_for("the first look", |libvirt| {
        let known = std::fs::read_to_string(libvirt.directory.path().join("state/guests.json"));
        known.is_ok_and(|known| known.contains("\"runs\""))
    });
    let away = libvirt.away();
    monitor.wait_for("events ended");
    libvirt.kill(&identity);
    drop(away);
    server.wait_for(&failed(&identity));
}

#[test]
#[ignore = "needs root, libvirt and qemu"]
fn nothing_is_left_of_a_monitor_that_is_killed() {
    let (libvirt, server) = (Libvirt::start(), Server::taking());
    let monitor = monitor(&libvirt, &server);
    monitor.wait_for("watching the guests");
    let waits_for_events = |libvirt: &Libvirt| {
        let all = Command::new("pgrep")
            .args(["-f", &format!("virsh.*{}.*event", libvirt.directory.path().display())])
            .output();
        all.is_ok_and(|output| output.status.success())
    };
    libvirt.wait_for("the program that waits for events", waits_for_events);
    let (code, said) = monitor.stop();
    assert_eq!(code, Some(0), "{said}");
    libvirt.wait_for("the end of the program that waits for events", |libvirt| !waits_for_events(libvirt));
}
