//! A libvirtd of its own: in its own mount and process namespaces, with its state in a directory that goes away.
//!
//! When it is dropped the kernel ends everything inside, guests too.

use crate::server::PATIENCE;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is put over the machine's own directories, inside only. Finding out what qemu can do takes minutes on a busy
/// machine, so that is kept from one test to the next.
const SCRIPT: &str = r#"set -e
D=$1
mkdir -p "$D/run" "$D/lib" "$D/etc" "$D/log" "$2"
printf 'auth_unix_rw = "none"\nauth_unix_ro = "none"\nlisten_tls = 0\n' > "$D/etc/libvirtd.conf"
printf 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = []\nnamespaces = []\nstdio_handler = "file"\n' > "$D/etc/qemu.conf"
cp /etc/passwd "$D/passwd"; cp /etc/group "$D/group"
grep -q ^libvirt-qemu: "$D/passwd" || echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >> "$D/passwd"
grep -q ^libvirt-qemu: "$D/group" || echo 'libvirt-qemu:x:64055:' >> "$D/group"
mount --bind "$D/passwd" /etc/passwd; mount --bind "$D/group" /etc/group
mkdir -p /run/libvirt /var/lib/libvirt /etc/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind "$D/run" /run/libvirt; mount --bind "$D/lib" /var/lib/libvirt; mount --bind "$D/etc" /etc/libvirt
mount --bind "$D/log" /var/log/libvirt; mount --bind "$2" /var/cache/libvirt
while :; do
    libvirtd -f /etc/libvirt/libvirtd.conf -p "$D/run/pid" || true
    # Stopped by a test: begins again when the test says so.
    while [ -e "$D/stay-away" ]; do sleep 0.1; done
done
"#;

/// A hypervisor.
pub struct Libvirt {
    pub directory: tempfile::TempDir,
    namespace: Child,
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // Whoever made the namespace takes everything in it along.
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

impl Libvirt {
    pub fn start() -> Libvirt {
        let directory = tempfile::tempdir().unwrap();
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libvirt-cache");
        let log = std::fs::File::create(directory.path().join("libvirtd.log")).unwrap();
        let namespace = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT, "sh"])
            .args([directory.path(), &cache])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("needs root, and the packages that ./test installs");
        let libvirt = Libvirt { directory, namespace };
        libvirt.wait_for("libvirtd", |libvirt| libvirt.virsh(&["list", "--all"]).is_ok());
        libvirt
    }

    pub fn connection(&self) -> String {
        format!("qemu+unix:///system?socket={}/run/libvirt-sock", self.directory.path().display())
    }

    pub fn virsh(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("virsh").args(["-c", &self.connection()]).args(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn wait_for(&self, what: &str, is_there: impl Fn(&Libvirt) -> bool) {
        let begun = Instant::now();
        while !is_there(self) {
            if begun.elapsed() > 2 * PATIENCE {
                let log = std::fs::read_to_string(self.directory.path().join("libvirtd.log"));
                panic!("{what} did not come: {}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes a guest that does nothing, and starts it.
    pub fn guest(&self, name: &str, identity: &str) {
        let definition = format!(
            "<domain type='qemu'><name>{name}</name><uuid>{identity}</uuid><memory unit='MiB'>16</memory>
             <os><type arch='x86_64' machine='pc'>hvm</type></os>
             <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>
             <memballoon model='none'/></devices></domain>"
        );
        let file = self.directory.path().join("guest.xml");
        std::fs::write(&file, definition).unwrap();
        self.virsh(&["define", file.to_str().unwrap()]).unwrap();
        self.virsh(&["start", name]).unwrap();
    }

    /// Kills a guest's process, as the kernel does when memory is short.
    pub fn kill(&self, identity: &str) {
        let process = process_of(identity).expect("the guest's process");
        assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
    }

    /// Stops libvirtd; guests run on. It begins again when the answer is dropped.
    pub fn away(&self) -> Away {
        let file = self.directory.path().join("stay-away");
        std::fs::write(&file, "").unwrap();
        // Only this one has its number in this directory.
        let number = self.directory.path().join("run/pid").display().to_string();
        let process =
            find(|line| line.first().is_some_and(|word| word == "libvirtd") && line.contains(&number));
        let process = process.expect("libvirtd's process");
        assert!(Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap().success());
        self.wait_for("the end of libvirtd", |libvirt| libvirt.virsh(&["list"]).is_err());
        Away(file)
    }
}

/// libvirtd stays away until this is dropped.
pub struct Away(PathBuf);

impl Drop for Away {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The process of a guest, by the identity that is its own in the whole world.
fn process_of(identity: &str) -> Option<i32> {
    find(|line| {
        line.first().is_some_and(|word| word.contains("qemu-system"))
            && line.iter().any(|word| word == identity)
    })
}

fn find(is_meant: impl Fn(&[String]) -> bool) -> Option<i32> {
    for entry in std::fs::read_dir("/proc").unwrap().map_while(Result::ok) {
        let Ok(process) = entry.file_name().to_string_lossy().parse() else { continue };
        let bytes = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line: Vec<String> =
            bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        if is_meant(&line) {
            return Some(process);
        }
    }
    None
}
