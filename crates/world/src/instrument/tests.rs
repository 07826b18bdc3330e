//! The script on a directory that stands for a node, with a `systemctl` that writes down what it is told; its timer is run as
//! systemd would.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const CONFIG: &str = "[DEFAULT]\ndebug = false\n[database]\nconnection = mysql://nova\n";

struct Node(TempDir);

impl Node {
    /// A node on which one service runs as process 1.
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        for directory in ["etc/systemd/system", "etc/nova", "proc/1", "bin"] {
            std::fs::create_dir_all(node.path(directory)).unwrap();
        }
        node.write("etc/nova/nova.conf", "[DEFAULT]\n");
        node.write("etc/nova/nova-compute.conf", CONFIG);
        let own = node.path("etc/nova");
        let words = format!(
            "/usr/bin/python3\0/usr/bin/nova-compute\0--config-file={0}/nova.conf\0--config-file\0{0}/nova-compute.conf\0",
            own.display()
        );
        node.write("proc/1/cmdline", &words);
        let systemctl = format!(
            "#!/bin/sh\necho \"$*\" >> {0}/told\ncase \"$1 $2\" in\n'show -p') echo 1 ;;\n'enable --now') [ ! -e {0}/no-timer ] ;;\n\
             'start ostler-debug-'*) sh -c \"$(sed -n 's/^ExecStart=.bin.sh /sh /p' {0}/etc/systemd/system/$2)\" ;;\n\
             '-q is-active') [ ! -e {0}/ends ] ;;\nesac\n",
            node.path("").display()
        );
        node.write("bin/systemctl", &systemctl);
        std::fs::set_permissions(node.path("bin/systemctl"), PermissionsExt::from_mode(0o755)).unwrap();
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn config(&self) -> String {
        self.read("etc/nova/nova-compute.conf")
    }

    fn run(&self, words: &[&str]) -> Result<Vec<DebugLease>, DebugError> {
        let output = Command::new("sh")
            .args(["-c", &format!("{SCRIPT}\ndebug \"$@\""), "sh"])
            .args(words)
            .env("TRIED_ROOT", self.0.path())
            .env("TRIED_PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("TRIED_PAUSE", "0")
            .output()
            .unwrap();
        read(&HostName::new("cmp1"), &String::from_utf8(output.stdout).unwrap())
    }

    fn on(&self) -> Result<Vec<DebugLease>, DebugError> {
        self.run(&["on", "nova-compute", "900", "alice", "signal"])
    }

    /// What systemd does when the timer is due.
    fn due(&self) {
        let script = self.path("var/lib/ostler/debug/nova-compute.sh");
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        assert!(Command::new("sh").arg(script).env("PATH", path).status().unwrap().success());
    }
}

#[test]
fn it_is_on_in_the_file_that_counts_and_its_timer_takes_it_back() {
    let node = Node::new();
    let lease = node.on().unwrap().remove(0);
    assert_eq!(
        (lease.unit.as_str(), lease.who.as_str(), lease.stayed),
        ("nova-compute", "alice", Some(true))
    );
    assert!(lease.file.ends_with("/etc/nova/nova-compute.conf"), "{lease:?}");
    assert!(
        node.config().starts_with(CONFIG) && node.config().contains("[DEFAULT]\ndebug = true\n"),
        "{}",
        node.config()
    );
    let told = node.read("told");
    let enabled = told.find("enable --now ostler-debug-nova-compute.timer").expect("a timer");
    let signalled = told.find("kill -s HUP --kill-who=main nova-compute.service").expect("a signal");
    assert!(enabled < signalled, "what takes it back comes first: {told}");
    assert!(!told.contains("restart"), "{told}");
    let timer = node.read("etc/systemd/system/ostler-debug-nova-compute.timer");
    assert!(timer.contains("Persistent=true") && timer.contains("OnCalendar=20"), "{timer}");
    assert_eq!(node.run(&["status"]).unwrap()[0].until, lease.until);

    node.due();
    assert_eq!(node.config(), CONFIG);
    assert_eq!(node.read("told").matches("kill -s HUP").count(), 2);
    assert_eq!(node.run(&["status"]), Ok(Vec::new()));
    let left: Vec<_> = std::fs::read_dir(node.path("etc/systemd/system")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_written_to_the_file_meanwhile_stays() {
    let node = Node::new();
    node.on().unwrap();
    node.write(
        "etc/nova/nova-compute.conf",
        &format!("# theirs\n{}[libvirt]\ncpu_mode = none\n", node.config()),
    );
    node.due();
    assert_eq!(node.config(), format!("# theirs\n{CONFIG}[libvirt]\ncpu_mode = none\n"));
}

/// Health calls a file that is newer than its process unread: this one holds nothing new.
#[test]
fn a_file_that_is_as_it_was_is_no_newer_than_it_was() {
    let node = Node::new();
    let path = node.path("etc/nova/nova-compute.conf");
    let then = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
    let modified = || path.metadata().unwrap().modified().unwrap();
    node.on().unwrap();
    assert_ne!(modified(), then);
    node.due();
    assert_eq!(modified(), then);
}

#[test]
fn off_takes_it_back_at_once() {
    let node = Node::new();
    node.on().unwrap();
    assert_eq!(node.run(&["off", "nova-compute"]).unwrap().len(), 1);
    assert_eq!(node.config(), CONFIG);
    let again = node.run(&["off", "nova-compute"]);
    assert!(matches!(&again, Err(DebugError::Refused { guard, .. }) if guard == "none"), "{again:?}");
}

#[test]
fn one_lease_at_a_time() {
    let node = Node::new();
    node.on().unwrap();
    let second = node.on();
    assert!(matches!(&second, Err(DebugError::Refused { guard, .. }) if guard == "lease"), "{second:?}");
    assert_eq!(node.config().matches("debug = true").count(), 1);
}

#[test]
fn without_a_timer_nothing_is_changed() {
    let node = Node::new();
    node.write("no-timer", "");
    let refused = node.on();
    assert!(matches!(&refused, Err(DebugError::Refused { guard, .. }) if guard == "timer"), "{refused:?}");
    assert_eq!(node.config(), CONFIG);
    assert_eq!(node.run(&["status"]), Ok(Vec::new()));
}

#[test]
fn a_service_that_ends_gets_its_file_back() {
    let node = Node::new();
    node.write("ends", "");
    let refused = node.on();
    assert!(matches!(&refused, Err(DebugError::Refused { guard, .. }) if guard == "ended"), "{refused:?}");
    assert_eq!(node.config(), CONFIG);
}

#[test]
fn only_services_that_hear_a_signal_are_told_by_one() {
    assert!(hears_signal("nova-compute") && hears_signal("openstack-nova-compute"));
    for unit in ["nova-api", "keystone", "placement-api", "neutron-server", "glance-api"] {
        assert!(!hears_signal(unit), "{unit}");
    }
}
