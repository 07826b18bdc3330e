//! The monitors as they run on a compute host: the real binary, real processes, real datagrams, and a server that
//! answers as the Masakari API does.

use crate::environment::Home;
use crate::running::Running;
use crate::server::{Answer, PATIENCE, Request, Server, fault, taken};
use serde_json::json;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};

const SERVER_KEY: &str = "planted-secret: a key that is long enough for these tests";

/// A home with the servers' key and a host's.
fn home(host: &str) -> Home {
    let home = Home::empty();
    home.write("server.key", SERVER_KEY);
    set_mode(&home.path("server.key"), 0o600);
    let output = home.command(&format!("monitor key {host} --key-file server.key")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    home.write("host.key", &output.stdout);
    set_mode(&home.path("host.key"), 0o600);
    home
}

fn set_mode(path: &PathBuf, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn monitor(home: &Home, which: &str) -> Running {
    let mut command = home.command(&format!("monitor {which} --settings monitor.toml"));
    command.env("PATH", std::env::var_os("PATH").unwrap());
    Running::start(command)
}

/// A process with a name of its own, ended with the test.
struct Sleeper {
    program: PathBuf,
    child: Option<Child>,
}

impl Sleeper {
    fn new(home: &Home) -> Sleeper {
        let program = home.path(&format!("agent-{}", std::process::id()));
        std::fs::copy("/bin/sleep", &program).unwrap();
        set_mode(&program, 0o755);
        Sleeper { program, child: None }
    }

    fn start(&mut self) {
        self.child = Some(Command::new(&self.program).arg("600").spawn().unwrap());
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Watches one program; it is given up after one restart that does nothing.
fn watching(servers: &[String], sleeper: &Sleeper, restart: &str) -> String {
    format!(
        r#"host = "cmp1"
state-directory = "state"
[reports]
servers = {servers:?}
[process]
every = "1s"
tries-max = 1
try-pause = "1s"
settle = "1s"
[[process.watch]]
name = "nova-compute"
program = "{}"
restart = "{restart}"
"#,
        sleeper.program.display()
    )
}

const DOWN: &[(&str, &str)] = &[("process_name", "nova-compute"), ("event", "STOPPED")];
const WELL: &[(&str, &str)] = &[("process_name", "nova-compute"), ("event", "STARTED")];

#[test]
fn a_process_that_stays_away_is_reported_and_told_well_again() {
    let home = Home::empty();
    let server = Server::taking();
    let mut sleeper = Sleeper::new(&home);
    sleeper.start();
    home.write("monitor.toml", watching(&[server.url()], &sleeper, "true"));
    let monitor = monitor(&home, "process");
    monitor.wait_for("nova-compute is well");
    sleeper.end();
    let report = server.wait_for(DOWN);
    assert_eq!(report["notification"]["type"], "PROCESS");
    assert_eq!(report["notification"]["hostname"], "cmp1");
    sleeper.start();
    server.wait_for(WELL);
    let (code, said) = monitor.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nova-compute is missing: restart 1"), "{said}");
}

#[test]
fn a_process_that_can_be_restarted_is_not_reported() {
    let home = Home::empty();
    let server = Server::taking();
    let sleeper = Sleeper::new(&home);
    let restart = format!(
        "{} 600 >/dev/null 2>&1 & echo $! > {}",
        sleeper.program.display(),
        home.path("id").display()
    );
    home.write("monitor.toml", watching(&[server.url()], &sleeper, &restart));
    let monitor = monitor(&home, "process");
    monitor.wait_for("nova-compute is well");
    let (_, said) = monitor.stop();
    let id = std::fs::read_to_string(home.path("id")).unwrap();
    let is_ours =
        std::fs::read_link(format!("/proc/{}/exe", id.trim())).is_ok_and(|exe| exe == sleeper.program);
    assert!(is_ours, "the restarted process is not there:\n{said}");
    Command::new("kill").args(["-KILL", id.trim()]).status().unwrap();
    assert!(server.notifications().is_empty(), "{said}");
}

#[test]
fn what_no_server_took_is_reported_after_a_kill_and_a_restart() {
    let home = Home::empty();
    let sleeper = Sleeper::new(&home);
    let address = format!("127.0.0.1:{}", free_port());
    home.write("monitor.toml", watching(&[format!("http://{address}/v1")], &sleeper, "true"));
    let killed = monitor(&home, "process");
    killed.wait_for("not reported yet (1 waiting)");
    killed.kill();
    let kept = std::fs::read_dir(home.path("state/process-reports")).unwrap().count();
    assert_eq!(kept, 1);
    let server = Server::on(&address, |request, _| taken(request));
    let monitor = monitor(&home, "process");
    monitor.wait_for("reported to");
    server.wait_for(DOWN);
}

#[test]
fn what_is_not_so_any_more_is_not_reported_after_a_restart() {
    let home = Home::empty();
    let mut sleeper = Sleeper::new(&home);
    let address = format!("127.0.0.1:{}", free_port());
    home.write("monitor.toml", watching(&[format!("http://{address}/v1")], &sleeper, "true"));
    let killed = monitor(&home, "process");
    killed.wait_for("not reported yet (1 waiting)");
    killed.kill();
    sleeper.start();
    let server = Server::on(&address, |request, _| taken(request));
    let _monitor = monitor(&home, "process");
    server.wait_for(WELL);
    assert_eq!(server.notifications().len(), 1, "{:?}", server.notifications());
}

#[test]
fn servers_are_tried_in_turn() {
    let home = Home::empty();
    let server = Server::taking();
    let sleeper = Sleeper::new(&home);
    let away = format!("http://127.0.0.1:{}/v1", free_port());
    home.write("monitor.toml", watching(&[away, server.url()], &sleeper, "true"));
    let _monitor = monitor(&home, "process");
    server.wait_for(DOWN);
}

#[test]
fn a_conflict_is_forgotten_and_an_error_is_not() {
    for (answer, says) in [
        (
            (|_: &Request| fault(409, "conflictingRequest", "the host is under maintenance"))
                as fn(&Request) -> Answer,
            "wants none of it",
        ),
        (|_| fault(400, "badRequest", "the host is not in any segment"), "wants none of it"),
        (|_| fault(503, "serviceUnavailable", "not now"), "not reported yet"),
        (|_| fault(404, "itemNotFound", "no such place"), "not reported yet"),
        (|_| fault(403, "forbidden", "not allowed"), "not reported yet"),
        (|_| (200, Vec::new(), json!("a web page")), "not reported yet"),
    ] {
        let home = Home::empty();
        let server = Server::answering(move |request, before| match before {
            0 => answer(request),
            _ => taken(request),
        });
        let sleeper = Sleeper::new(&home);
        home.write("monitor.toml", watching(&[server.url()], &sleeper, "true"));
        let monitor = monitor(&home, "process");
        monitor.wait_for(says);
        if says == "not reported yet" {
            monitor.wait_for("reported to");
        }
        let (_, said) = monitor.stop();
        assert_eq!(server.requests().len(), if says == "not reported yet" { 2 } else { 1 }, "{said}");
    }
}

#[test]
fn a_report_is_signed_with_the_hosts_own_key() {
    let home = home("cmp1");
    let server = Server::taking();
    let sleeper = Sleeper::new(&home);
    let settings = watching(&[server.url()], &sleeper, "true")
        .replace("[reports]", "key-file = \"host.key\"\n[reports]");
    home.write("monitor.toml", settings);
    let _monitor = monitor(&home, "process");
    server.wait_for(DOWN);
    let request = server.requests().remove(0);
    let header = |name: &str| request.headers[name].as_str();
    let signed = ostler_world::monitor::report::Signed {
        host: header("x-ostler-host"),
        time: header("x-ostler-time"),
        signature: header("x-ostler-signature"),
        method: &request.method,
        path: &request.path,
        body: &request.body,
    };
    let keys = ostler_world::monitor::keys::ServerKeys::read(&[home.path("server.key")]).unwrap();
    let signer = ostler_world::monitor::report::signer(&keys, &signed, ostler_model::Timestamp::now());
    assert_eq!(signer, Ok("cmp1"));
}

#[test]
fn a_token_is_got_for_a_narrow_user_and_got_again_when_it_is_refused() {
    let home = Home::empty();
    home.write("password", "planted-secret\n");
    set_mode(&home.path("password"), 0o600);
    let sleeper = Sleeper::new(&home);
    let address = format!("127.0.0.1:{}", free_port());
    let catalogue = json!([{"type": "instance-ha", "name": "masakari", "endpoints": [
        {"interface": "public", "region_id": "RegionOne", "url": "http://192.0.2.1/v1"},
        {"interface": "internal", "region_id": "RegionOne", "url": format!("http://{address}/v1")}]}]);
    let server = Server::on(&address, move |request, before| match request.path.as_str() {
        "/v3/auth/tokens" => {
            let user = &request.json()["auth"]["identity"]["password"]["user"];
            assert_eq!((&user["name"], &user["password"]), (&json!("monitor"), &json!("planted-secret")));
            let headers = vec![("X-Subject-Token", format!("token-{before}"))];
            (
                201,
                headers,
                json!({"token": {"expires_at": "2999-01-01T00:00:00.000000Z", "catalog": catalogue}}),
            )
        }
        _ if request.headers["x-auth-token"] == "token-0" => fault(401, "error", "revoked"),
        _ => taken(request),
    });
    let settings = watching(&[], &sleeper, "true").replace("servers = []\n", "").replace(
        "[process]",
        &format!("[reports.keystone]\nauth-url = \"http://{address}/v3\"\nusername = \"monitor\"\nproject = \"service\"\npassword-file = \"password\"\n[process]"),
    );
    home.write("monitor.toml", settings);
    let monitor = monitor(&home, "process");
    monitor.wait_for("reported to");
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v3/auth/tokens", "/v1/notifications", "/v3/auth/tokens", "/v1/notifications"]);
    let (_, said) = monitor.stop();
    assert!(!said.contains("planted-secret") && !said.contains("token-"), "a secret was printed:\n{said}");
}

/// A host that beats on two networks, and a server that hears it.
fn beating(home: &Home) -> (Running, String) {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hear = format!(
        "monitor hear --key-file server.key --listen 127.0.0.1:{port} --listen 127.0.0.2:{port} --patience 4s"
    );
    let hearing = Running::start(home.command(&hear));
    hearing.wait_for(&format!("listening on 127.0.0.2:{port}"));
    let settings = format!(
        "host = \"cmp1\"\nstate-directory = \"state\"\nkey-file = \"host.key\"\n[reports]\nservers = [\"http://127.0.0.1:1/v1\"]\n\
         [heartbeat]\nevery = \"1s\"\n[heartbeat.networks.management]\nbind = \"127.0.0.1\"\nservers = [\"127.0.0.1:{port}\"]\n\
         [heartbeat.networks.storage]\nservers = [\"127.0.0.2:{port}\"]\n"
    );
    (hearing, settings)
}

#[test]
fn a_host_that_is_killed_falls_silent_and_one_that_is_stopped_says_so() {
    let home = home("cmp1");
    let (hearing, settings) = beating(&home);
    home.write("monitor.toml", settings);
    let host = monitor(&home, "host");
    hearing.wait_for("host cmp1: heard\n");
    host.wait_for("answers on management");
    host.wait_for("answers on storage");
    host.kill();
    hearing.wait_for("host cmp1: SILENT on every network");
    let before = hearing.said().len();
    let host = monitor(&home, "host");
    hearing.wait_for_after("host cmp1: heard\n", before);
    let (code, said) = host.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("only this monitor stops"), "{said}");
    hearing.wait_for("host cmp1: its monitor was stopped");
    let (code, said) = hearing.stop();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_network_that_is_lost_is_named_and_the_host_is_not_silent() {
    let home = home("cmp1");
    let (hearing, settings) = beating(&home);
    // Nobody listens on this side of the second network.
    home.write("monitor.toml", &settings);
    let host = monitor(&home, "host");
    hearing.wait_for("host cmp1: heard\n");
    host.wait_for("answers on storage");
    host.kill();
    let cut = settings.split("[heartbeat.networks.storage]").next().unwrap().to_owned();
    home.write("monitor.toml", cut);
    let _host = monitor(&home, "host");
    hearing.wait_for("heard, but silent on storage");
}

#[test]
fn a_host_with_another_key_is_not_heard() {
    let home = home("cmp2");
    let (hearing, settings) = beating(&home);
    home.write("monitor.toml", settings);
    let _host = monitor(&home, "host");
    hearing.wait_for("beats with a wrong signature come in");
    let (_, said) = hearing.stop();
    assert!(!said.contains("host cmp"), "{said}");
}

/// A cluster as its information base says: the real tools read it.
fn cluster(home: &Home, quorum: u8, state: &str) {
    home.write(
        "cib.xml",
        format!(
            r#"<cib crm_feature_set="3.16.2" validate-with="pacemaker-3.9" epoch="10" num_updates="20" admin_epoch="0" have-quorum="{quorum}" dc-uuid="1">
<configuration><crm_config><cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="ctl1"/><node id="2" uname="cmp9"/></nodes><resources/><constraints/></configuration>
<status><node_state id="1" uname="ctl1" in_ccm="true" crmd="online" join="member" expected="member"/>
<node_state id="2" uname="cmp9" in_ccm="{}" crmd="{state}" join="{}" expected="member"/></status></cib>"#,
            state == "online",
            if state == "online" { "member" } else { "down" }
        ),
    );
}

#[test]
fn what_pacemaker_says_is_reported_while_it_lasts_and_when_it_is_over() {
    let home = Home::empty();
    let server = Server::taking();
    let settings = |status: &str| {
        format!(
            "host = \"ctl1\"\nstate-directory = \"state\"\n[reports]\nservers = [\"{}\"]\n[pacemaker]\nevery = \"1s\"\nhost-status = \"{status}\"\n",
            server.url()
        )
    };
    home.write("monitor.toml", settings("fenced"));
    let start = || {
        let mut command = home.command("monitor host --settings monitor.toml");
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("CIB_file", home.path("cib.xml"));
        Running::start(command)
    };
    cluster(&home, 0, "offline");
    let host = start();
    host.wait_for("has no quorum");
    assert!(server.notifications().is_empty());
    cluster(&home, 1, "offline");
    let report = server.wait_for(&[("event", "STOPPED")]);
    assert_eq!(report["notification"]["hostname"], "cmp9");
    let payload = json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"});
    assert_eq!(report["notification"]["payload"], payload, "without fencing nothing is proven");
    cluster(&home, 1, "online");
    server.wait_for(&[("event", "STARTED"), ("cluster_status", "ONLINE"), ("host_status", "NORMAL")]);
    drop(host);
    cluster(&home, 1, "offline");
    home.write("monitor.toml", settings("always-normal"));
    let _host = start();
    server.wait_for(&[("event", "STOPPED"), ("host_status", "NORMAL")]);
}

#[test]
fn a_host_that_lost_only_its_management_is_not_reported_by_consul() {
    let home = Home::empty();
    let server = Server::taking();
    let agent = |storage: bool| {
        Server::answering(move |request, before| {
            assert_eq!(request.path, "/v1/agent/members");
            // The storage goes after some looks; the management was never there.
            let status = if storage && before < 4 { 1 } else { 4 };
            (200, Vec::new(), json!([{"Name": "cmp9", "Status": status}, {"Name": "cmp1", "Status": 1}]))
        })
    };
    let (manage, storage) = (agent(false), agent(true));
    home.write(
        "monitor.toml",
        format!(
            "host = \"cmp1\"\nstate-directory = \"state\"\n[reports]\nservers = [\"{}\"]\n[consul]\nevery = \"1s\"\nhost-status = \"always-normal\"\n\
             [consul.agents]\nmanage = \"{}\"\nstorage = \"{}\"\n",
            server.url(),
            manage.address(),
            storage.address()
        ),
    );
    let _host = monitor(&home, "host");
    server.wait_for(&[("event", "STOPPED"), ("host_status", "NORMAL")]);
    assert!(storage.requests().len() > 5, "it was reported while its storage was there");
}

#[test]
fn mistakes_in_the_settings_end_with_two() {
    let home = home("cmp1");
    home.write("monitor.toml", "[reports]\nservers = [\"http://ctl1/v1\"]\n[heartbaet]\nevery = \"3s\"\n");
    insta::assert_snapshot!(home.says("monitor host --settings monitor.toml"));
    home.write("monitor.toml", "[reports]\nservers = [\"http://ctl1/v1\"]\n");
    insta::assert_snapshot!(home.says("monitor host --settings monitor.toml"));
    insta::assert_snapshot!(home.says("monitor process --settings monitor.toml"));
    insta::assert_snapshot!(home.says("monitor instance --settings nowhere.toml"));
    set_mode(&home.path("server.key"), 0o644);
    insta::assert_snapshot!(home.says("monitor key cmp1 --key-file server.key"));
}

#[test]
fn a_check_says_what_would_be_done() {
    let home = home("cmp1");
    let settings = "host = \"cmp1\"\nkey-file = \"host.key\"\n[reports]\nservers = [\"https://ctl1:15868/v1\"]\n\
        [heartbeat.networks.management]\nbind = \"127.0.0.1\"\nservers = [\"192.0.2.11\"]\n\
        [isolation]\naction = \"stop-guests\"\nafter = \"60s\"\nstorage = \"/var/lib/nova/instances\"\n\
        [[process.watch]]\nprogram = \"ostler-nobody\"\nrestart = \"true\"\n";
    home.write("monitor.toml", settings);
    insta::assert_snapshot!(home.says("monitor host --settings monitor.toml --check"));
    insta::assert_snapshot!(home.says("monitor process --settings monitor.toml --check"));
}

#[test]
fn systemd_is_told_that_a_monitor_is_ready_and_lives() {
    let home = Home::empty();
    let sleeper = Sleeper::new(&home);
    home.write("monitor.toml", watching(&["http://127.0.0.1:1/v1".into()], &sleeper, "true"));
    let socket = std::os::unix::net::UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command("monitor process --settings monitor.toml");
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "1000000");
    let monitor = Running::start(command);
    let next = || {
        let mut bytes = [0; 100];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!([next(), next(), next()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    monitor.stop();
    assert!(std::iter::repeat_with(next).any(|message| message == "STOPPING=1"));
}
