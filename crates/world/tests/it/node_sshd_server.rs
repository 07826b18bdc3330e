//! An OpenSSH server of our own on a free port of this machine; it ends with the test.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to listen on a loaded machine.
const LISTEN_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Sshd {
    pub directory: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

fn keygen(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

impl Sshd {
    /// Starts a server. None where this machine has none, or where the test does not run as root. In the server's
    /// eyes root has a plain shell, and there is one more account: `tester`, who may become nobody else.
    pub(crate) fn start() -> Option<Sshd> {
        let is_root = std::fs::read_to_string("/proc/self/status")
            .ok()?
            .lines()
            .any(|line| line.starts_with("Uid:\t0\t"));
        if !is_root || !Path::new("/usr/sbin/sshd").exists() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        keygen(&path("host"));
        keygen(&path("id"));
        let home = path("home");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all("/run/sshd").unwrap();
        std::fs::copy(path("id.pub"), path("authorized")).unwrap();
        for readable in [directory.path().to_path_buf(), path("authorized"), home.clone()] {
            let mode = if readable.is_dir() { "755" } else { "644" };
            Command::new("chmod").arg(mode).arg(readable).status().unwrap();
        }
        // Root's own login files may take seconds; here it has a plain shell and an empty home.
        let others = std::fs::read_to_string("/etc/passwd").unwrap();
        let mut passwd =
            format!("root:*:0:0::{0}:/bin/sh\ntester:*:54321:54321::{0}:/bin/sh\n", home.display());
        passwd.extend(others.lines().filter(|line| !line.starts_with("root:")).flat_map(|line| [line, "\n"]));
        std::fs::write(path("passwd"), passwd).unwrap();
        Command::new("chmod").arg("644").arg(path("passwd")).status().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = std::fs::File::create(path("config")).unwrap();
        write!(
            config,
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel QUIET\n",
            path("host").display(),
            path("authorized").display()
        )
        .unwrap();
        // The account exists only in the server's own view of the file system.
        let start = format!(
            "mount --bind {} /etc/passwd && exec /usr/sbin/sshd -D -e -f {}",
            path("passwd").display(),
            path("config").display()
        );
        let child = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c", &start])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut sshd = Sshd { directory, port, child };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > LISTEN_LIMIT || sshd.child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd.trust("host.pub");
        Some(sshd)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the one line of `known_hosts`.
    pub(crate) fn trust(&self, public_key: &str) {
        let key = std::fs::read_to_string(self.path(public_key)).unwrap();
        std::fs::write(self.path("known_hosts"), format!("# ours\n[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    /// Another host key, as if the host had been installed anew.
    #[allow(dead_code)]
    pub(crate) fn other_key(&self) {
        keygen(&self.path("other"));
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
