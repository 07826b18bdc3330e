//! `ostler health` and `ostler explain`, over what was collected from a healthy cloud, and where nobody answers.

use crate::environment::Home;
use std::path::Path;

/// Collected from a lab; the engine's tests judge the same.
const HEALTHY: &str = include_str!("../../../engine/src/health/cases/healthy.json");

fn home(change: impl Fn(&mut serde_json::Value)) -> Home {
    let home = Home::with_settings();
    let mut evidence: serde_json::Value = serde_json::from_str(HEALTHY).unwrap();
    change(&mut evidence);
    home.write("seen.json", evidence.to_string());
    home
}

fn service<'a>(evidence: &'a mut serde_json::Value, host: &str) -> &'a mut serde_json::Value {
    let rows = evidence["tables"]["compute.service"]["rows"].as_array_mut().unwrap();
    rows.iter_mut().find(|row| row["host"] == host).unwrap()
}

#[test]
fn a_healthy_cloud_is_one_line_and_exit_code_0() {
    let said = home(|_| ()).says("health --from seen.json");
    assert!(said.starts_with("exit 0\n--- out\nHEALTH_OK  cloud health  "), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn the_root_comes_first_and_its_consequences_are_counted() {
    let home = home(|evidence| {
        service(evidence, "cmp1")["state"] = "down".into();
        service(evidence, "cmp2")["state"] = "down".into();
        let broker = &mut evidence["tables"]["rabbit.node"]["rows"][0];
        broker["runs"] = false.into();
        broker["why"] = "nodedown".into();
    });
    let said = home.says("health --from seen.json");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0] == "exit 4" && lines[2].starts_with("HEALTH_CRIT"), "{said}");
    assert!(lines[3].starts_with(" CRIT MQ_DOWN  message queue: none of 1 runs"), "{said}");
    assert!(said.contains("\nhidden: 5 consequences (5 of MQ_DOWN)\n"), "{said}");
    assert!(said.contains("\nnext: ssh ctl1 systemctl start rabbitmq-server\n"), "{said}");
    let detail = home.says("health detail --from seen.json");
    assert!(detail.contains("COMPUTE_SERVICE_DOWN nova-compute on cmp1 by MQ_DOWN"), "{detail}");
}

#[test]
fn json_is_the_report_and_only_narrows_it() {
    let home = home(|evidence| {
        service(evidence, "cmp1")["status"] = "disabled".into();
        evidence["tables"]["filesystem"]["rows"][0]["used_pct"] = 85.into();
    });
    let report = home.json("health --from seen.json");
    assert_eq!((&report["worst"], &report["format"]), (&"warning".into(), &1.into()));
    assert_eq!(report["findings"][0]["code"], "HOST_DISK");
    assert_eq!(report["findings"][1]["code"], "COMPUTE_DISABLED");
    let only = home.command("health --from seen.json --only COMPUTE_DISABLED").output().unwrap();
    assert_eq!(only.status.code(), Some(0));
    let unknown = home.says("health --from seen.json --only HOST_DISKS");
    assert!(unknown.contains("there is no code `HOST_DISKS`\nhint: did you mean `HOST_DISK`?"), "{unknown}");
}

#[test]
fn nagios_and_prometheus_are_told_in_their_own_words() {
    let home = home(|evidence| service(evidence, "cmp1")["state"] = "down".into());
    let said = home.says("health --from seen.json --nagios --prom ostler.prom");
    assert!(
        said.starts_with(
            "exit 2\n--- out\nCRITICAL - health: COMPUTE_SERVICE_DOWN (nova-compute on cmp1: last report"
        ),
        "{said}"
    );
    assert!(said.contains("| critical=0 errors=1 warnings=0 unseen=0 checks="), "{said}");
    let metrics = std::fs::read_to_string(home.path("ostler.prom")).unwrap();
    assert!(metrics.contains("ostler_health_worst{cloud=\"health\"} 3\n"), "{metrics}");
    assert!(
        metrics.contains("code=\"COMPUTE_SERVICE_DOWN\",severity=\"err\",counts=\"true\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn evidence_with_a_gap_is_unknown_and_ends_with_6() {
    let home = home(|evidence| {
        evidence["tables"]["filesystem"]["gaps"] =
            serde_json::json!([{ "host": "cmp1", "why": "no answer" }]);
    });
    let said = home.says("health --from seen.json");
    assert!(said.starts_with("exit 6\n--- out\nHEALTH_UNKNOWN"), "{said}");
    assert!(said.contains("not judged: HOST_DISK (cmp1: filesystem - no answer)"), "{said}");
    assert!(home.says("health --from seen.json --nagios").starts_with("exit 3\n--- out\nUNKNOWN"));
}

#[test]
fn a_file_that_is_no_evidence_is_refused_with_the_place() {
    let home = Home::with_settings();
    home.write("a.json", "{\"format\": 1,\n  nonsense}");
    home.write("b.json", "{\"format\": 99}");
    home.write("c.json", "{}");
    for (file, what) in [
        ("a.json", "line 2, column 3"),
        ("b.json", "it has format 99, this ostler reads up to 1"),
        ("c.json", "it has no `format`"),
        ("d.json", "No such file"),
    ] {
        let said = home.says(&format!("health --from {file}"));
        assert!(said.starts_with("exit 2\n--- err\nerror: ") && said.contains(what), "{said}");
    }
}

#[test]
fn a_cloud_that_nobody_answers_for_is_not_well_and_is_told_once() {
    let home = Home::with_settings();
    let said = home.says("health");
    assert!(said.starts_with("exit 4\n--- out\nHEALTH_"), "{said}");
    assert!(said.contains("HOST_UNREACHABLE  ctl1: ctl1 does not answer on 127.0.0.1:1"), "{said}");
    assert_eq!(said.matches("does not answer on 127.0.0.1:1").count(), 1, "{said}");
}

#[test]
fn a_mute_has_an_end_and_can_be_taken_back() {
    let home = Home::with_settings();
    assert!(
        home.says("health mute HOST_UNREACHABLE --ttl 2h --because maintenance")
            .contains("HOST_UNREACHABLE is muted until ")
    );
    let said = home.says("health");
    assert!(
        said.contains("HOST_UNREACHABLE  muted until ") && said.contains("by alice: maintenance; "),
        "{said}"
    );
    assert!(home.says("health mute").contains("HOST_UNREACHABLE until "));
    assert!(home.says("health unmute HOST_UNREACHABLE").contains("is told of again"));
    assert!(home.says("health unmute HOST_UNREACHABLE").contains("HOST_UNREACHABLE is not muted"));
    assert!(home.says("health mute NO_SUCH_CODE").starts_with("exit 2"));
}

#[test]
fn a_site_s_check_with_a_mistake_is_refused_with_the_place() {
    let home = Home::with_settings();
    let settings = format!("{}\n[catalogue]\ndirectory = \"site\"\n", crate::environment::SETTINGS);
    home.write("ostler.toml", settings);
    home.write(
        "site/health/own.toml",
        "title = 'Own'\nrank = 1\n[[check]]\ncode = 'OWN'\ntitle = 't'\nover = 'node'\nerror = 'load5 >> 3'\nobject = 'o'\nsays = 's'\ncause = 'c'\nverify = ['v']\nfix = 'f'\n",
    );
    let said = home.says("explain OWN");
    assert!(
        said.starts_with(
            "exit 2\n--- err\nerror: health page health/own.toml, OWN, `error`: a value is missing here"
        ),
        "{said}"
    );
}

#[test]
fn a_code_is_explained_and_a_mistyped_one_answered_with_what_was_meant() {
    let said = Home::empty().says("explain MQ_PARTITION");
    for part in ["exit 0", "MQ_PARTITION: ", "Why: ", "See it by hand:", "What to do: ", "Explains: "] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(Home::empty().says("explain MQ_PARTITON").contains("did you mean `MQ_PARTITION`?"));
}

#[test]
fn the_reference_in_docs_is_what_the_program_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/health-codes.md");
    let written = Home::empty().command("explain --all").output().unwrap().stdout;
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(written == kept, "write it anew: ostler explain --all > docs/health-codes.md");
}
