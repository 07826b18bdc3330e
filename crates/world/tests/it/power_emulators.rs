//! Power controllers that others wrote: OpenStack's Redfish emulator and OpenIPMI's simulator. They end with the value,
//! and with the thread that started them.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an emulator may take to answer on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// The account that the emulators know.
pub(crate) const USER: &str = "fence";
/// Its password.
pub(crate) const PASSWORD: &str = "s3cret-pass";

/// A password in a file, as the drivers want it.
pub(crate) fn password_file(directory: &Path, password: &str) -> PathBuf {
    let path = directory.join(format!("password-{}", password.len()));
    std::fs::write(&path, password).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn emulators() -> PathBuf {
    let named = std::env::var_os("OSTLER_TEST_EMULATORS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let place = named.or_else(|| Some(cache?.join("ostler/emulators"))).unwrap();
    assert!(
        place.join("bin/sushy-emulator").exists(),
        "there is no Redfish emulator in {}: `./test quick` installs it",
        place.display()
    );
    place
}

fn needs(program: &str, package: &str) {
    let found = std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .any(|place| Path::new(place).join(program).exists());
    assert!(found, "`{program}` is missing: apt-get install {package} (`./test` does)");
}

fn spawn(program: &Path, arguments: &[&str], directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("emulator.log")).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn until(what: &str, directory: &Path, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let log = || std::fs::read_to_string(directory.join("emulator.log")).unwrap_or_default();
        assert!(begun.elapsed() < START_LIMIT, "{what}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A Redfish controller with pretended machines. An order takes effect after one to eleven seconds.
pub(crate) struct Sushy {
    pub directory: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Drop for Sushy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sushy {
    /// A controller of machines with these names, with a password and, where wanted, TLS with a certificate of its own.
    pub(crate) fn start(names: &[&str], tls: bool) -> Sushy {
        let emulators = emulators();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let hash = Command::new(emulators.join("bin/python"))
            .args([
                "-c",
                "import bcrypt,sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())",
                PASSWORD,
            ])
            .output()
            .unwrap();
        let hash = String::from_utf8(hash.stdout).unwrap();
        std::fs::write(path("accounts"), format!("{USER}:{hash}")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let systems: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                format!(
                    "{{'uuid': '00000000-0000-0000-0000-{at:012}', 'name': '{name}', 'power_state': 'On', \
                     'nics': [{{'mac': '00:5c:52:31:3a:{at:02}', 'ip': '192.0.2.{at}'}}]}}"
                )
            })
            .collect();
        let mut settings = format!(
            "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n\
             SUSHY_EMULATOR_FAKE_DRIVER = True\nSUSHY_EMULATOR_STATE_DIR = '{0}'\nSUSHY_EMULATOR_AUTH_FILE = '{0}/accounts'\n\
             SUSHY_EMULATOR_FAKE_SYSTEMS = [{1}]\n",
            directory.path().display(),
            systems.join(", ")
        );
        if tls {
            certificate(directory.path());
            settings.push_str(&format!(
                "SUSHY_EMULATOR_SSL_CERT = '{0}/server.pem'\nSUSHY_EMULATOR_SSL_KEY = '{0}/server.key'\n",
                directory.path().display()
            ));
        }
        std::fs::write(path("settings"), settings).unwrap();
        let child = spawn(&emulators.join("bin/sushy-emulator"), &["--config", "settings"], directory.path());
        let sushy = Sushy { directory, port, child };
        until("the Redfish emulator does not listen", sushy.directory.path(), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        sushy
    }

    pub(crate) fn address(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// An authority and a certificate for this machine from it.
fn certificate(directory: &Path) {
    needs("openssl", "openssl");
    let openssl = |arguments: &str| {
        let done =
            Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=controller -keyout server.key -out server.csr");
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

/// An IPMI controller of one machine, whose power is a file.
pub(crate) struct IpmiSim {
    pub directory: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Drop for IpmiSim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl IpmiSim {
    pub(crate) fn start() -> IpmiSim {
        needs("ipmi_sim", "openipmi");
        needs("ipmitool", "ipmitool");
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // What the simulator runs to read and to switch the machine.
        let power = format!(
            "#!/bin/sh\ncd {0}\nshift\noperation=$1\nshift\nwhile [ $# -gt 0 ]; do\n  case $operation-$1 in\n    \
             get-power) echo \"power:$(cat power.now)\"; shift ;;\n    \
             set-power) [ -e stuck ] || echo \"$2\" > power.now; shift 2 ;;\n    *) shift ;;\n  esac\ndone\n",
            directory.path().display()
        );
        std::fs::write(path("power"), power).unwrap();
        std::fs::set_permissions(path("power"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(path("power.now"), "1\n").unwrap();
        let lan = format!(
            "name \"machine\"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n    priv_limit admin\n    \
             allowed_auths_callback none md2 md5 straight\n    allowed_auths_user none md2 md5 straight\n    \
             allowed_auths_operator none md2 md5 straight\n    allowed_auths_admin none md2 md5 straight\n    \
             guid a123456789abcdefa123456789abcdef\n  endlan\n  chassis_control \"{}/power 0x20\"\n  \
             user 1 true \"\" \"test\" user 10 none md2 md5 straight\n  \
             user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 none md2 md5 straight\n",
            directory.path().display()
        );
        std::fs::write(path("lan"), lan).unwrap();
        let commands =
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";
        std::fs::write(path("commands"), commands).unwrap();
        std::fs::create_dir(path("state")).unwrap();
        let child = spawn(
            Path::new("/usr/bin/ipmi_sim"),
            &["-c", "lan", "-f", "commands", "-n", "-s", "state"],
            directory.path(),
        );
        // Trying the port would take it from the simulator.
        let listed = format!(":{port:04X} ");
        until("the IPMI simulator does not listen", directory.path(), || {
            std::fs::read_to_string("/proc/net/udp").is_ok_and(|sockets| sockets.contains(&listed))
        });
        IpmiSim { directory, port, child }
    }

    /// Whether the machine really has power.
    pub(crate) fn has_power(&self) -> bool {
        std::fs::read_to_string(self.directory.path().join("power.now")).unwrap().trim() == "1"
    }

    /// From now on orders are taken and nothing comes of them.
    pub(crate) fn get_stuck(&self) {
        std::fs::write(self.directory.path().join("stuck"), "").unwrap();
    }
}
