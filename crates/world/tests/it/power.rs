//! The power drivers against controllers that others wrote, and against such as lie, delay and refuse.

use super::http_server::{Asked, Server, Told};
use super::power_emulators::{IpmiSim, PASSWORD, Sushy, USER, password_file};
use ostler_engine::seam::PowerState;
use ostler_model::ids::HostName;
use ostler_world::power::{
    FenceAgent, How, Ipmi, Login, Maas, Machines, Means, Proof, Redfish, Refusal, SecretFile, Supply,
};
use ostler_world::web::Trust;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longer than the emulator's eleven seconds, on a machine that others use, too.
const LIMIT: Duration = Duration::from_secs(90);

/// For what must not work.
const SHORT: Duration = Duration::from_secs(12);

fn host() -> HostName {
    HostName::new("cmp1")
}

fn machines(means: Vec<(&str, Duration, How)>) -> Machines {
    let means =
        means.into_iter().map(|(name, limit, how)| Means { name: name.to_owned(), limit, how }).collect();
    Machines::without_words(BTreeMap::from([(host(), Supply { means, ..Supply::default() })]))
}

async fn off(how: How, limit: Duration) -> Result<Proof, Refusal> {
    machines(vec![("bmc", limit, how)]).off(&host()).await
}

fn redfish_with(sushy: &Sushy, scheme: &str, password: &str, system: Option<&str>, trust: Trust) -> How {
    let password = SecretFile(password_file(sushy.directory.path(), password));
    let system = system.map(str::to_owned);
    How::Redfish(Redfish::new(&sushy.address(scheme), USER, password, Login::Basic, system, trust))
}

#[tokio::test]
async fn redfish_switches_off_reads_it_back_and_switches_on() {
    let sushy = Sushy::start(&["cmp1"], false);
    let machines =
        machines(vec![("bmc", LIMIT, redfish_with(&sushy, "http", PASSWORD, None, Trust::System))]);
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::On);
    let proof = machines.off(&host()).await.unwrap();
    assert!(proof.is_proof && proof.means == "bmc", "{proof:?}");
    assert_eq!(proof.what, "read `off` 2 times, after the order");
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::Off);
    assert_eq!(machines.off(&host()).await.unwrap().what, "read `off` 2 times, it was so before");
    machines.on(&host()).await.unwrap();
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::On);
}

#[tokio::test]
async fn redfish_with_a_wrong_password_says_so_at_once() {
    let sushy = Sushy::start(&["cmp1"], false);
    let refusal = off(redfish_with(&sushy, "http", "wrong", None, Trust::System), LIMIT).await.unwrap_err();
    assert!(refusal.what.contains("does not accept the password of `fence`"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("password-file"));
}

#[tokio::test]
async fn redfish_with_several_systems_wants_to_know_which() {
    let sushy = Sushy::start(&["cmp1", "cmp2"], false);
    let refusal = off(redfish_with(&sushy, "http", PASSWORD, None, Trust::System), LIMIT).await.unwrap_err();
    assert!(refusal.what.contains("has 2 systems"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("/redfish/v1/Systems/00000000-0000-0000-0000-000000000001"));
    let second = Some("00000000-0000-0000-0000-000000000001");
    let machines =
        machines(vec![("bmc", LIMIT, redfish_with(&sushy, "http", PASSWORD, second, Trust::System))]);
    machines.off(&host()).await.unwrap();
    let first = Some("00000000-0000-0000-0000-000000000000");
    let other =
        self::machines(vec![("bmc", LIMIT, redfish_with(&sushy, "http", PASSWORD, first, Trust::System))]);
    assert_eq!(other.read(&host()).await.unwrap().0, PowerState::On);
}

#[tokio::test]
async fn a_certificate_nobody_knows_is_refused_with_its_fingerprint_and_may_be_pinned() {
    let sushy = Sushy::start(&["cmp1"], true);
    let state = async |trust| {
        machines(vec![("bmc", LIMIT, redfish_with(&sushy, "https", PASSWORD, None, trust))])
            .read(&host())
            .await
    };
    let refusal = state(Trust::System).await.unwrap_err();
    assert!(refusal.what.contains("certificate"), "{refusal}");
    let hint = refusal.hint.unwrap();
    let fingerprint = hint.split('"').nth(1).unwrap();
    assert!(fingerprint.starts_with("sha256:"), "{hint}");
    assert!(state(Trust::Pinned(fingerprint.parse().unwrap())).await.is_ok());
    assert!(state(Trust::File(sushy.path("ca.pem"))).await.is_ok());
    let other = "ab".repeat(32).parse().unwrap();
    assert!(state(Trust::Pinned(other)).await.unwrap_err().what.contains("not the pinned one"));
}

fn ipmi(sim: &IpmiSim, password: &str) -> How {
    How::Ipmi(Ipmi {
        address: "127.0.0.1".to_owned(),
        port: sim.port,
        user: USER.to_owned(),
        password: SecretFile(password_file(sim.directory.path(), password)),
        privilege: "OPERATOR".to_owned(),
        cipher: Some(3),
    })
}

#[tokio::test]
async fn ipmi_switches_off_reads_it_back_and_switches_on() {
    let sim = IpmiSim::start();
    let machines = machines(vec![("bmc", LIMIT, ipmi(&sim, PASSWORD))]);
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::On);
    machines.off(&host()).await.unwrap();
    assert!(!sim.has_power());
    machines.on(&host()).await.unwrap();
    assert!(sim.has_power());
}

#[tokio::test]
async fn ipmi_that_takes_the_order_and_does_nothing_is_no_proof() {
    let sim = IpmiSim::start();
    sim.get_stuck();
    let refusal = off(ipmi(&sim, PASSWORD), Duration::from_secs(8)).await.unwrap_err();
    assert!(refusal.what.contains("it took the order, but still reads `on`"), "{refusal}");
}

#[tokio::test]
async fn ipmi_with_a_wrong_password_ends_and_shows_no_password() {
    let sim = IpmiSim::start();
    let refusal = off(ipmi(&sim, "hunter2"), Duration::from_secs(8)).await.unwrap_err();
    assert!(refusal.what.contains("ipmitool") && !refusal.what.contains("hunter2"), "{refusal}");
    assert!(sim.has_power());
}

fn agent(program: &str, options: &[(&str, String)], password: Option<&Path>) -> How {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let password = password.map(|path| SecretFile(path.to_owned()));
    How::FenceAgent(FenceAgent { program: program.to_owned(), options, password })
}

#[tokio::test]
async fn the_fence_agent_of_ipmi_works_like_any_means() {
    let sim = IpmiSim::start();
    let password = password_file(sim.directory.path(), PASSWORD);
    let options = [
        ("ip", "127.0.0.1".to_owned()),
        ("ipport", sim.port.to_string()),
        ("username", USER.to_owned()),
        ("lanplus", "1".to_owned()),
        ("cipher", "3".to_owned()),
    ];
    let machines = machines(vec![("agent", LIMIT, agent("fence_ipmilan", &options, Some(&password)))]);
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::On);
    machines.off(&host()).await.unwrap();
    assert!(!sim.has_power());
}

#[tokio::test]
async fn the_fence_agent_of_redfish_works_like_any_means() {
    let sushy = Sushy::start(&["cmp1"], true);
    let password = password_file(sushy.directory.path(), PASSWORD);
    let options = [
        ("ip", "127.0.0.1".to_owned()),
        ("ipport", sushy.port.to_string()),
        ("username", USER.to_owned()),
        ("ssl_insecure", "1".to_owned()),
        ("systems_uri", "/redfish/v1/Systems/00000000-0000-0000-0000-000000000000".to_owned()),
    ];
    let machines = machines(vec![("agent", LIMIT, agent("fence_redfish", &options, Some(&password)))]);
    machines.off(&host()).await.unwrap();
    assert_eq!(machines.read(&host()).await.unwrap().0, PowerState::Off);
}

#[tokio::test]
async fn the_dummy_agent_switches_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("status");
    std::fs::write(&file, "on").unwrap();
    let options = [("type", "file".to_owned()), ("status_file", file.display().to_string())];
    let proof = off(agent("fence_dummy", &options, None), LIMIT).await.unwrap();
    assert_eq!(proof.what, "read `off` 2 times, after the order");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), "off");
}

#[tokio::test]
async fn an_agent_that_is_not_there_or_gets_wrong_options_says_what_to_do() {
    let refusal = off(agent("fence_nowhere", &[], None), LIMIT).await.unwrap_err();
    assert!(refusal.what.contains("`fence_nowhere` cannot be run"), "{refusal}");
    let refusal = off(agent("fence_ipmilan", &[], None), LIMIT).await.unwrap_err();
    assert!(refusal.hint.unwrap_or_default().contains("fence_ipmilan -o metadata"), "{}", refusal.what);
}

#[tokio::test]
async fn an_agent_that_hangs_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("fence_hangs");
    let child = directory.path().join("child");
    let script = format!("#!/bin/sh\nsleep 3600 &\necho $! > {}\nwait\n", child.display());
    std::fs::write(&program, script).unwrap();
    std::process::Command::new("chmod").arg("755").arg(&program).status().unwrap();
    let refusal = off(agent(program.to_str().unwrap(), &[], None), SHORT).await.unwrap_err();
    assert!(refusal.what.contains("did not end in time"), "{refusal}");
    let id = std::fs::read_to_string(&child).unwrap();
    let begun = std::time::Instant::now();
    // A killed process may stay listed for a moment until somebody has noticed.
    while std::fs::read_to_string(format!("/proc/{}/stat", id.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
    {
        assert!(begun.elapsed() < LIMIT, "the child of the agent still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A Redfish controller whose machine is as said; orders are taken.
async fn pretended(state: &'static AtomicBool, obeys: bool) -> Server {
    Server::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/redfish/v1/Systems") => {
            Told::json(200, &json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}))
        }
        ("GET", "/redfish/v1/Systems/1") => {
            let power = if state.load(Ordering::SeqCst) { "On" } else { "Off" };
            Told::json(200, &json!({"PowerState": power}))
        }
        ("POST", "/redfish/v1/SessionService/Sessions") => Told::Say(
            201,
            vec![
                ("X-Auth-Token", "token".to_owned()),
                ("Location", "http://elsewhere/redfish/v1/SessionService/Sessions/7".to_owned()),
            ],
            "{}".to_owned(),
        ),
        ("DELETE", _) => Told::json(200, &json!({})),
        ("POST", _) => {
            if obeys {
                state.store(false, Ordering::SeqCst);
            }
            Told::json(200, &json!({}))
        }
        _ => Told::json(404, &json!({})),
    })
    .await
}

fn redfish(url: &str, directory: &Path, login: Login) -> How {
    let password = SecretFile(password_file(directory, PASSWORD));
    How::Redfish(Redfish::new(url, USER, password, login, None, Trust::Anyone))
}

#[tokio::test]
async fn a_controller_that_says_yes_and_does_nothing_is_no_proof() {
    static ON: AtomicBool = AtomicBool::new(true);
    let (server, directory) = (pretended(&ON, false).await, tempfile::tempdir().unwrap());
    let refusal = off(redfish(&server.url, directory.path(), Login::Basic), SHORT).await.unwrap_err();
    assert!(refusal.what.contains("it took the order, but still reads `on`"), "{refusal}");
}

#[tokio::test]
async fn sessions_are_opened_and_given_back() {
    static ON: AtomicBool = AtomicBool::new(true);
    let (server, directory) = (pretended(&ON, true).await, tempfile::tempdir().unwrap());
    off(redfish(&server.url, directory.path(), Login::Session), LIMIT).await.unwrap();
    let sessions = "/redfish/v1/SessionService/Sessions";
    assert!(server.count("POST", sessions) > 0);
    assert_eq!(server.count("POST", sessions), server.count("DELETE", &format!("{sessions}/7")));
    let asked = server.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .filter(|one| one.path.starts_with("/redfish/v1/Systems"))
            .all(|one| one.header("x-auth-token") == "token")
    );
}

#[tokio::test]
async fn a_controller_that_answers_too_late_is_given_up_and_the_next_means_tried() {
    static ON: AtomicBool = AtomicBool::new(true);
    let slow = Server::start(|_| Told::Later(LIMIT, Box::new(Told::HangUp))).await;
    let (good, directory) = (pretended(&ON, true).await, tempfile::tempdir().unwrap());
    let machines = machines(vec![
        ("first", SHORT, redfish(&slow.url, directory.path(), Login::Basic)),
        ("second", LIMIT, redfish(&good.url, directory.path(), Login::Basic)),
    ]);
    assert_eq!(machines.off(&host()).await.unwrap().means, "second");
}

#[tokio::test]
async fn a_controller_that_is_slow_but_within_the_limit_is_waited_for() {
    let late = Server::start(|asked| {
        let body = match asked.path.as_str() {
            "/redfish/v1/Systems" => json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}),
            _ => json!({"PowerState": "Off"}),
        };
        Told::Later(Duration::from_millis(1_500), Box::new(Told::json(200, &body)))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    assert!(off(redfish(&late.url, directory.path(), Login::Basic), LIMIT).await.is_ok());
}

#[tokio::test]
async fn odd_answers_are_named_and_never_a_proof() {
    let directory = tempfile::tempdir().unwrap();
    for body in [
        "",
        "no json",
        "[]",
        "{\"Members\": 3}",
        "{\"Members\": [{\"@odata.id\": 7}]}",
        "{\"PowerState\": \"OFF?\", \"Members\": [{\"@odata.id\": \"/x\"}]}",
    ] {
        let odd = Server::start(move |_| Told::Say(200, Vec::new(), body.to_owned())).await;
        let refusal = off(redfish(&odd.url, directory.path(), Login::Basic), Duration::from_secs(2)).await;
        assert!(refusal.unwrap_err().what.contains("by `bmc`"), "{body}");
    }
}

/// MAAS as its documentation describes it, with two machines; checks every request's signature.
fn maas_answer(asked: &Asked, power: &Mutex<&'static str>) -> Told {
    let signed = [
        "oauth_consumer_key=\"con\"",
        "oauth_token=\"tok\"",
        "oauth_signature=\"%26sec\"",
        "oauth_signature_method=\"PLAINTEXT\"",
    ];
    if !signed.iter().all(|part| asked.header("authorization").contains(part)) {
        return Told::Say(401, Vec::new(), "Authorization Error: Invalid API key.".to_owned());
    }
    let machine = |id: &str, name: &str| json!({"system_id": id, "hostname": name, "power_state": "off"});
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/MAAS/api/2.0/machines/?hostname=cmp1") => Told::json(200, &json!([machine("abc", "cmp1")])),
        ("GET", "/MAAS/api/2.0/machines/?hostname=twice") => {
            Told::json(200, &json!([machine("abc", "twice"), machine("def", "twice")]))
        }
        ("GET", "/MAAS/api/2.0/machines/abc/?op=query_power_state") => {
            let mut power = power.lock().unwrap();
            let now = *power;
            if now == "stopping" {
                *power = "off";
            }
            Told::json(200, &json!({"state": if now == "off" { "off" } else { "on" }}))
        }
        ("POST", "/MAAS/api/2.0/machines/abc/?op=power_off") if asked.body.contains("stop_mode=hard") => {
            *power.lock().unwrap() = "stopping";
            Told::json(200, &machine("abc", "cmp1"))
        }
        ("GET", path) if path.starts_with("/MAAS/api/2.0/machines/?hostname=") => Told::json(200, &json!([])),
        _ => Told::Say(404, Vec::new(), "Not Found".to_owned()),
    }
}

fn maas(url: &str, directory: &Path, key: &str, hostname: &str) -> How {
    let key = SecretFile(password_file(directory, key));
    How::Maas(Maas::new(&format!("{url}/MAAS/"), key, hostname, Trust::Anyone))
}

#[tokio::test]
async fn maas_switches_off_hard_and_asks_the_controller_until_it_is_off() {
    let power = Mutex::new("on");
    let server = Server::start(move |asked| maas_answer(asked, &power)).await;
    let directory = tempfile::tempdir().unwrap();
    let proof = off(maas(&server.url, directory.path(), "con:tok:sec", "cmp1"), LIMIT).await.unwrap();
    assert_eq!(proof.what, "read `off` 2 times, after the order");
    assert_eq!(server.count("POST", "/MAAS/api/2.0/machines/abc/?op=power_off"), 1);
}

#[tokio::test]
async fn maas_switches_nothing_that_it_knows_twice_or_not_at_all() {
    let power = Mutex::new("on");
    let server = Server::start(move |asked| maas_answer(asked, &power)).await;
    let directory = tempfile::tempdir().unwrap();
    for (name, words) in
        [("twice", "has 2 machines named `twice`"), ("nobody", "has 0 machines named `nobody`")]
    {
        let refusal = off(maas(&server.url, directory.path(), "con:tok:sec", name), LIMIT).await.unwrap_err();
        assert!(refusal.what.contains(words), "{refusal}");
    }
    let refusal = off(maas(&server.url, directory.path(), "con:tok:other", "cmp1"), LIMIT).await.unwrap_err();
    assert!(refusal.what.contains("401") && !refusal.what.contains("con:tok:other"), "{refusal}");
    assert_eq!(server.count("POST", ""), 0);
}

#[tokio::test]
async fn a_machine_that_must_not_be_fenced_is_not_and_one_that_is_not_declared_neither() {
    static ON: AtomicBool = AtomicBool::new(true);
    let (server, directory) = (pretended(&ON, true).await, tempfile::tempdir().unwrap());
    let means = vec![Means {
        name: "bmc".to_owned(),
        limit: LIMIT,
        how: redfish(&server.url, directory.path(), Login::Basic),
    }];
    let supply =
        Supply { means, do_not_fence: Some("it runs a monitor of Ceph".to_owned()), before: Vec::new() };
    let machines = Machines::without_words(BTreeMap::from([(host(), supply)]));
    let refusal = machines.off(&host()).await.unwrap_err();
    assert!(
        refusal.what.contains("it runs a monitor of Ceph")
            && refusal.hint.unwrap().contains("confirm-down cmp1")
    );
    let refusal = machines.off(&HostName::new("cmp9")).await.unwrap_err();
    assert!(refusal.what.contains("not declared"), "{refusal}");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_asked_before_may_say_no() {
    static ON: AtomicBool = AtomicBool::new(true);
    let (server, directory) = (pretended(&ON, true).await, tempfile::tempdir().unwrap());
    let run = async |before: &str| {
        let means = vec![Means {
            name: "bmc".to_owned(),
            limit: LIMIT,
            how: redfish(&server.url, directory.path(), Login::Basic),
        }];
        let before = vec![["sh", "-c", before, "hook", "{host}"].map(str::to_owned).to_vec()];
        let supply = Supply { means, do_not_fence: None, before };
        Machines::without_words(BTreeMap::from([(host(), supply)])).off(&host()).await
    };
    let refusal = run("echo osd.3 cannot be stopped; exit 1").await.unwrap_err();
    assert!(refusal.what.contains("osd.3 cannot be stopped"), "{refusal}");
    assert_eq!(server.count("POST", ""), 0);
    assert!(run("[ \"$1\" = cmp1 ] && [ \"$OSTLER_HOST\" = cmp1 ]").await.is_ok());
}

#[tokio::test]
async fn none_is_never_called_a_proof() {
    let proof = off(How::None, LIMIT).await.unwrap();
    assert!(!proof.is_proof && proof.what.contains("NOT FENCED"), "{proof:?}");
    let (_, read) = machines(vec![("none", LIMIT, How::None)]).read(&host()).await.unwrap();
    assert!(!read.is_proof, "{read:?}");
}
