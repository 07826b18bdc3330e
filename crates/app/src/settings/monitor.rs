//! `monitor.toml`: what the monitors on a compute host watch, and where they report.
//!
//! Every key is explained in docs/monitors.md. It holds no secret, only where secrets are kept, and a key that is not
//! listed here is refused.

pub use super::monitor_file::{Action, HostStatus};
use super::monitor_file::{File, HeartbeatTable, KeystoneTable, ProcessTable, WatchTable};
use super::{at, from_reader};
use crate::duration::Seconds;
use crate::failure::Failure;
use ostler_engine::monitor::guests::RestartLimit;
use ostler_engine::monitor::processes::Limits;
use ostler_world::monitor::delivery::Access;
use ostler_world::monitor::heartbeat::PORT;
use ostler_world::monitor::keys::{HostKey, KeyError};
use ostler_world::monitor::{Account, processes};
use ostler_world::system::host;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where the file is unless it is named.
pub const PLACE: &str = "/etc/ostler/monitor.toml";

/// Networks for heartbeats: what a server remembers of a host.
const NETWORKS_MAX: usize = 4;

/// What `monitor.toml` says.
#[derive(Debug)]
pub struct MonitorSettings {
    /// Where it was found.
    pub path: PathBuf,
    /// The name under which this host is known.
    pub host: String,
    /// Where reports and what is known of guests are kept.
    pub state_directory: PathBuf,
    /// The servers that reports go to; none: where the catalogue says.
    pub servers: Vec<String>,
    /// The certificates that are trusted.
    pub ca_file: Option<PathBuf>,
    /// How reports prove where they come from.
    pub access: Access,
    /// Heartbeats.
    pub heartbeat: Option<Heartbeat>,
    /// What a host that is cut off does.
    pub isolation: Option<Isolation>,
    /// Pacemaker as a witness.
    pub pacemaker: Option<Pacemaker>,
    /// Consul as a witness.
    pub consul: Option<Consul>,
    /// Guests.
    pub instance: Instance,
    /// Processes.
    pub process: Processes,
}

/// Heartbeats.
#[derive(Debug)]
pub struct Heartbeat {
    /// This host's key.
    pub key: HostKey,
    /// Seconds between two.
    pub every_s: u32,
    /// Name, own address, servers of each network.
    pub networks: Vec<(String, Option<IpAddr>, Vec<String>)>,
}

/// What a host that is cut off does.
#[derive(Debug)]
pub struct Isolation {
    /// What.
    pub action: Action,
    /// After how many seconds.
    pub after_s: u32,
    /// A directory on the guests' storage.
    pub storage: PathBuf,
    /// The watchdog's device.
    pub watchdog: PathBuf,
}

/// Pacemaker as a witness.
#[derive(Debug)]
pub struct Pacemaker {
    /// Seconds between looks.
    pub every_s: u32,
    /// Looks that have to agree.
    pub looks: u32,
    /// Whether only remote nodes count.
    pub remotes_only: bool,
    /// When a host counts as being without power.
    pub host_status: HostStatus,
}

/// Consul as a witness.
#[derive(Debug)]
pub struct Consul {
    /// The agent of each network.
    pub agents: Vec<(String, String)>,
    /// What follows from what, if a file says so.
    pub matrix: Option<PathBuf>,
    /// Seconds between looks.
    pub every_s: u32,
    /// Looks that have to agree.
    pub looks: u32,
    /// When a host counts as being without power.
    pub host_status: HostStatus,
}

/// Guests.
#[derive(Debug)]
pub struct Instance {
    /// libvirt's address.
    pub connection: String,
    /// Seconds between comparisons.
    pub compare_every_s: u32,
    /// How often a guest may fail.
    pub limit: RestartLimit,
    /// Asking guests' agents, if that is wanted: seconds between, seconds of patience, misses.
    pub guest_agent: Option<(u32, u32, u32)>,
}

/// Processes.
#[derive(Debug)]
pub struct Processes {
    /// Seconds between looks.
    pub every_s: u32,
    /// How hard is tried.
    pub limits: Limits,
    /// What is watched.
    pub watched: Vec<Watched>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The name that is reported.
    pub name: String,
    /// How it is found.
    pub by: By,
    /// What starts it when it was never seen.
    pub start: Vec<String>,
    /// What restarts it. None: the unit is restarted.
    pub restart: Vec<String>,
}

/// How a process is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// By its systemd unit.
    Unit(String),
    /// By its program.
    Program(String),
}

impl MonitorSettings {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<MonitorSettings, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", path.display())).hint(
                "write it, or name another with `--settings FILE`; docs/monitors.md says what stands in it",
            )
        })?;
        MonitorSettings::parse(path, &text)
    }

    /// Reads the text of a file; paths in it are relative to the file.
    pub fn parse(path: &Path, text: &str) -> Result<MonitorSettings, Failure> {
        let file: File = toml::from_str(text).map_err(|error| {
            from_reader(path, text, &error).hint("every key is explained in docs/monitors.md")
        })?;
        let page = Page { path, text };
        let key = file.key_file.as_ref().map(|key| HostKey::read(&page.path_of(key)).map_err(unusable));
        let key = key.transpose()?;
        let host = match &file.host {
            Some(named) if named.get_ref().is_empty() || named.get_ref().len() > 255 => {
                return Err(page.wrong(named, "a host's name has 1 to 255 characters"));
            }
            Some(named) => named.get_ref().clone(),
            None => host(),
        };
        let mut servers = Vec::with_capacity(file.reports.servers.len());
        for server in &file.reports.servers {
            let address = server.get_ref();
            if !address.starts_with("http://") && !address.starts_with("https://") {
                return Err(page
                    .wrong(server, &format!("`{address}` is not the address of an API"))
                    .hint("write it as `https://NAME:15868/v1`"));
            }
            servers.push(address.clone());
        }
        let access = match (file.reports.keystone, &key) {
            (Some(table), _) => Access::Token(page.account(table)?),
            (None, Some(key)) => Access::Key(key.clone()),
            (None, None) => Access::Open,
        };
        if servers.is_empty() && !matches!(access, Access::Token(_)) {
            return Err(Failure::usage(format!("{}: reports have nowhere to go", path.display()))
                .hint("name servers: `[reports]` with `servers = [\"https://NAME:15868/v1\"]`")
                .hint("or give the account of a user with the role ha-monitor: `[reports.keystone]`"));
        }
        let heartbeat = file.heartbeat.map(|table| page.heartbeat(table, key)).transpose()?;
        let isolation = match file.isolation {
            None => None,
            Some(table) => {
                let span = table.span();
                let table = table.into_inner();
                if heartbeat.is_none() {
                    let what = "without heartbeats a host cannot know that it is cut off";
                    return Err(
                        at(path, text, Some(span), what).hint("declare `[heartbeat]` too, or leave this out")
                    );
                }
                Some(Isolation {
                    action: table.action,
                    after_s: table.after.0,
                    storage: page.path_of(&table.storage),
                    watchdog: table.watchdog.unwrap_or_else(|| PathBuf::from("/dev/watchdog")),
                })
            }
        };
        let consul = match file.consul {
            Some(table) if table.get_ref().agents.is_empty() => {
                let what = "Consul has no agents here";
                return Err(at(path, text, Some(table.span()), what)
                    .hint("name one for each network: `agents = { manage = \"127.0.0.1:8500\" }`"));
            }
            Some(table) => {
                let table = table.into_inner();
                Some(Consul {
                    agents: table.agents.into_iter().collect(),
                    matrix: table.matrix.map(|matrix| page.path_of(&matrix)),
                    every_s: table.every.0.max(1),
                    looks: table.looks,
                    host_status: table.host_status,
                })
            }
            None => None,
        };
        Ok(MonitorSettings {
            path: path.to_owned(),
            host,
            state_directory: page.path_of(&file.state_directory),
            servers,
            ca_file: file.reports.ca_file.map(|ca| page.path_of(&ca)),
            access,
            heartbeat,
            isolation,
            pacemaker: file.pacemaker.map(|table| Pacemaker {
                every_s: table.every.0.max(1),
                looks: table.looks,
                remotes_only: table.remotes_only,
                host_status: table.host_status,
            }),
            consul,
            instance: Instance {
                connection: file.instance.connection,
                compare_every_s: file.instance.compare_every.0.max(1),
                limit: RestartLimit {
                    failures_max: file.instance.failures_max,
                    window_ms: i64::from(file.instance.failures_window.0) * 1000,
                },
                guest_agent: file
                    .instance
                    .guest_agent
                    .map(|table| (table.every.0.max(1), table.patience.0.max(1), table.misses_max)),
            },
            process: page.processes(file.process)?,
        })
    }
}

/// A file that is being read, for messages.
struct Page<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Page<'_> {
    fn wrong<T>(&self, place: &Spanned<T>, what: &str) -> Failure {
        at(self.path, self.text, Some(place.span()), what)
    }

    fn path_of(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    fn account(&self, table: KeystoneTable) -> Result<Account, Failure> {
        Account::new(
            &table.auth_url,
            (table.username, table.user_domain),
            (table.project, table.project_domain),
            &self.path_of(&table.password_file),
            &table.interface,
            table.region,
        )
        .map_err(unusable)
    }

    fn heartbeat(&self, table: HeartbeatTable, key: Option<HostKey>) -> Result<Heartbeat, Failure> {
        let key = key.ok_or_else(|| {
            Failure::usage(format!("{}: heartbeats are signed, and there is no key", self.path.display()))
                .hint("on a server: `ostler monitor key HOST`; put what it prints into a file here and name it: `key-file = \"host.key\"`")
        })?;
        if table.networks.is_empty() || table.networks.len() > NETWORKS_MAX {
            return Err(Failure::usage(format!(
                "{}: heartbeats go over 1 to {NETWORKS_MAX} networks, not {}",
                self.path.display(),
                table.networks.len()
            )));
        }
        let mut networks = Vec::with_capacity(table.networks.len());
        for (name, network) in table.networks {
            let bind = match &network.bind {
                None => None,
                Some(bind) => Some(bind.get_ref().parse().map_err(|_| {
                    self.wrong(bind, &format!("`{}` is not an address of this host", bind.get_ref()))
                })?),
            };
            if network.servers.is_empty() {
                let what = format!("network `{}` has no servers", name.get_ref());
                return Err(self.wrong(&name, &what));
            }
            let servers = network.servers.iter().map(|server| with_port(server.get_ref())).collect();
            networks.push((name.into_inner(), bind, servers));
        }
        Ok(Heartbeat { key, every_s: table.every.0.max(1), networks })
    }

    fn processes(&self, table: ProcessTable) -> Result<Processes, Failure> {
        let mut watched = Vec::new();
        if let Some(list) = &table.list {
            let list = processes::read_list(&self.path_of(list)).map_err(|error| {
                Failure::usage(error.to_string())
                    .hint("it is a YAML list with process_name, start_command, restart_command and so on")
            })?;
            watched.extend(list.into_iter().map(listed));
        }
        for entry in table.watch {
            watched.push(self.watched(entry)?);
        }
        let ms = |seconds: Seconds| i64::from(seconds.0) * 1000;
        Ok(Processes {
            every_s: table.every.0.max(1),
            limits: Limits {
                tries_max: table.tries_max,
                pause_ms: ms(table.try_pause),
                restarts_max: table.restarts_max,
                window_ms: ms(table.restarts_window),
                settle_ms: ms(table.settle),
            },
            watched,
        })
    }

    fn watched(&self, entry: Spanned<WatchTable>) -> Result<Watched, Failure> {
        let span = entry.span();
        let wrong = |what: &str| at(self.path, self.text, Some(span.clone()), what);
        let table = entry.into_inner();
        let by = match (table.unit, table.program) {
            (Some(unit), None) => By::Unit(if unit.contains('.') { unit } else { format!("{unit}.service") }),
            (None, Some(program)) if table.restart.is_none() => {
                return Err(wrong(&format!("nothing says how to restart `{program}`")).hint(
                    "give a command: `restart = \"…\"`; or watch its systemd unit instead: `unit = \"…\"`",
                ));
            }
            (None, Some(program)) => By::Program(program),
            _ => {
                return Err(wrong("a process is watched by its `unit` or by its `program`, one of them"));
            }
        };
        let name = table.name.unwrap_or_else(|| match &by {
            By::Unit(unit) => unit.trim_end_matches(".service").to_owned(),
            By::Program(program) => processes::base(program).to_owned(),
        });
        if name.is_empty() || name.len() > 255 {
            return Err(wrong("a process's name has 1 to 255 characters"));
        }
        let restart: Vec<String> = table.restart.into_iter().collect();
        Ok(Watched { name, by, start: restart.clone(), restart })
    }
}

/// An entry of upstream's list.
fn listed(entry: processes::Entry) -> Watched {
    let commands = |commands: [Option<String>; 3]| {
        commands.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect::<Vec<_>>()
    };
    let name = processes::base(&entry.process_name).to_owned();
    let start = commands([entry.pre_start_command, entry.start_command, entry.post_start_command]);
    let restart = commands([entry.pre_restart_command, entry.restart_command, entry.post_restart_command]);
    Watched { name, by: By::Program(entry.process_name), start, restart }
}

fn with_port(server: &str) -> String {
    if let Ok(address) = server.parse::<IpAddr>() {
        return SocketAddr::new(address, PORT).to_string();
    }
    if server.contains(':') { server.to_owned() } else { format!("{server}:{PORT}") }
}

/// What to say, and what to do, about a key that cannot be used.
pub fn unusable(error: KeyError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match &error {
        KeyError::Open { path, .. } => failure.hint(format!("`chmod 600 {}`", path.display())),
        KeyError::File { .. } | KeyError::Short { .. } => {
            failure.hint("docs/monitors.md says how keys are made and where they belong")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = r#"host = "cmp1"
key-file = "host.key"

[reports]
servers = ["https://ctl1:15868/v1", "https://ctl2:15868/v1"]

[heartbeat.networks.management]
servers = ["192.0.2.11", "ctl2"]

[heartbeat.networks.storage]
bind = "198.51.100.31"
servers = ["198.51.100.11:7000"]

[isolation]
action = "stop-guests"
after = "60s"
storage = "/var/lib/nova/instances"

[[process.watch]]
unit = "nova-compute"

[[process.watch]]
name = "agent"
program = "/usr/bin/agent --all"
restart = "service agent restart"
"#;

    struct Site(tempfile::TempDir);

    impl Site {
        fn new() -> Site {
            let directory = tempfile::tempdir().unwrap();
            let key = directory.path().join("host.key");
            std::fs::write(&key, "planted-secret-planted-secret-planted").unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
            Site(directory)
        }

        fn parse(&self, text: &str) -> Result<MonitorSettings, Failure> {
            MonitorSettings::parse(&self.0.path().join("monitor.toml"), text)
        }

        fn refused(&self, find: &str, replace: &str) -> String {
            assert!(GOOD.contains(find), "{find}");
            let said = self.parse(&GOOD.replacen(find, replace, 1)).unwrap_err();
            assert_eq!(said.kind.code(), 2);
            let said = said.to_string();
            assert!(!said.contains("planted-secret"), "a secret was printed: {said}");
            said.replace(&self.0.path().display().to_string(), "~")
        }
    }

    #[test]
    fn a_good_file_is_understood() {
        let settings = Site::new().parse(GOOD).unwrap();
        let heartbeat = settings.heartbeat.unwrap();
        assert_eq!(heartbeat.every_s, 3);
        assert_eq!(
            heartbeat.networks,
            [
                ("management".into(), None, vec!["192.0.2.11:15869".into(), "ctl2:15869".into()]),
                ("storage".into(), Some("198.51.100.31".parse().unwrap()), vec!["198.51.100.11:7000".into()])
            ]
        );
        assert_eq!(settings.isolation.unwrap().action, Action::StopGuests);
        let watched = settings.process.watched;
        assert_eq!(watched[0].by, By::Unit("nova-compute.service".into()));
        assert_eq!(watched[0].name, "nova-compute");
        assert_eq!(watched[1].restart, ["service agent restart"]);
        assert!(matches!(settings.access, Access::Key(_)));
    }

    #[test]
    fn isolation_and_witnesses_are_off_unless_named() {
        let settings = Site::new().parse("[reports]\nservers = [\"http://ctl1/v1\"]\n").unwrap();
        assert!(settings.isolation.is_none() && settings.pacemaker.is_none() && settings.consul.is_none());
        assert!(settings.heartbeat.is_none() && settings.instance.guest_agent.is_none());
    }

    #[test]
    fn mistakes_are_shown_with_their_place_and_the_way_out() {
        let site = Site::new();
        let told = [
            ("[isolation]\naction", "[isolation]\nactoin"),
            ("stop-guests", "stop-guest"),
            ("after = \"60s\"", "after = \"60\""),
            ("https://ctl1:15868/v1", "ctl1:15868"),
            ("198.51.100.31", "eth0"),
            ("restart = \"service agent restart\"", ""),
            ("unit = \"nova-compute\"", "unit = \"nova-compute\"\nprogram = \"nova-compute\""),
            ("key-file = \"host.key\"", ""),
            ("\"host.key\"", "\"nowhere.key\""),
            ("servers = [\"192.0.2.11\", \"ctl2\"]", "servers = []"),
        ]
        .map(|(find, replace)| site.refused(find, replace));
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn without_a_server_reports_have_nowhere_to_go() {
        let said = Site::new().parse("host = \"cmp1\"\n").unwrap_err().to_string();
        assert!(said.contains("reports have nowhere to go") && said.contains("ha-monitor"), "{said}");
    }

    #[test]
    fn upstreams_list_is_taken_as_it_is() {
        let site = Site::new();
        let list = "-\n  process_name: /usr/sbin/libvirtd\n  start_command: systemctl start libvirtd\n  \
            restart_command: systemctl restart libvirtd\n  post_restart_command: logger restarted\n";
        std::fs::write(site.0.path().join("list.yaml"), list).unwrap();
        let text = "[reports]\nservers = [\"http://ctl1/v1\"]\n[process]\nlist = \"list.yaml\"\n";
        let settings = site.parse(text).unwrap();
        assert_eq!(
            settings.process.watched,
            [Watched {
                name: "libvirtd".into(),
                by: By::Program("/usr/sbin/libvirtd".into()),
                start: vec!["systemctl start libvirtd".into()],
                restart: vec!["systemctl restart libvirtd".into(), "logger restarted".into()],
            }]
        );
    }
}
