//! A host that is cut off ends its own guests, where the settings ask for that.

use crate::running::Running;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A guest and the monitor in a process namespace of their own: the monitor sees no other guest of this machine.
const SCRIPT: &str = r#"qemu-system-x86_64 -name guest=instance-00000001,debug-threads=on -machine none -nodefaults -display none -S &
exec "$1" monitor host --settings monitor.toml"#;

fn cut_off(isolation: &str) -> (tempfile::TempDir, Running) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(path(name), bytes).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("server.key", b"a key that is long enough for these tests");
    let ostler = env!("CARGO_BIN_EXE_ostler");
    let key = Command::new(ostler)
        .args(["monitor", "key", "cmp1", "--key-file", "server.key"])
        .current_dir(&directory)
        .output()
        .unwrap();
    write("host.key", &key.stdout);
    std::fs::create_dir(path("storage")).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "host = \"cmp1\"\nstate-directory = \"state\"\nkey-file = \"host.key\"\n[reports]\nservers = [\"http://127.0.0.1:1/v1\"]\n\
         [heartbeat]\nevery = \"1s\"\n[heartbeat.networks.management]\nservers = [\"127.0.0.1:{port}\"]\n{isolation}"
    );
    write("monitor.toml", settings.as_bytes());
    let mut hear = Command::new(ostler);
    hear.args(["monitor", "hear", "--key-file", "server.key", "--listen", &format!("127.0.0.1:{port}")])
        .current_dir(&directory);
    let server = Running::start(hear);
    server.wait_for("listening");
    let mut host = Command::new("unshare");
    host.args([
        "--pid",
        "--mount",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        ostler,
    ])
    .current_dir(&directory);
    let host = Running::start(host);
    host.wait_for("answers on management");
    drop(server);
    std::fs::remove_dir_all(path("storage")).unwrap();
    (directory, host)
}

#[test]
#[ignore = "needs root and qemu"]
fn a_host_without_servers_and_storage_ends_its_guests() {
    let (_directory, host) =
        cut_off("[isolation]\naction = \"stop-guests\"\nafter = \"3s\"\nstorage = \"storage\"\n");
    host.wait_for("cut off from all servers and from storage");
    host.wait_for("ended instance-00000001");
    host.wait_for("1 of 1 guests ended");
}

#[test]
#[ignore = "needs root and qemu"]
fn a_host_without_servers_and_storage_lets_its_watchdog_starve() {
    let directory = tempfile::tempdir().unwrap();
    let device = directory.path().join("watchdog");
    std::fs::write(&device, "").unwrap();
    let (_directory, host) = cut_off(&format!(
        "[isolation]\naction = \"watchdog\"\nafter = \"3s\"\nstorage = \"storage\"\nwatchdog = \"{}\"\n",
        device.display()
    ));
    host.wait_for("the watchdog is not fed any more");
    let fed = std::fs::read(&device).unwrap();
    assert!(!fed.is_empty() && !fed.contains(&b'V'), "it must starve, not be given back: {fed:?}");
}
