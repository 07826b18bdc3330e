//! `ostler logs` over files: what is printed, and with which exit code.

use crate::environment::Home;
use std::io::Write;

const SERVER: &str = "5b9c0f1e-1111-4222-8333-444455556666";
const REQUEST: &str = "req-7c1a2b3c-1111-4222-8333-444455556666";

const API: &str = "2026-11-21 18:40:02.114 4711 INFO nova.api.openstack.requestlog [None req-7c1a2b3c-1111-4222-8333-444455556666 ops demo - - default default] 10.0.0.7 \"POST /v2.1/servers\" status: 202 len: 388 microversion: 2.1 time: 0.412000\n";

const COMPUTE: &str = "\
2026-11-21 18:40:03.200 77 INFO nova.compute.claims [None req-7c1a2b3c-1111-4222-8333-444455556666 ops demo - - default default] [instance: 5b9c0f1e-1111-4222-8333-444455556666] Claim successful on node cmp17
2026-11-21 18:40:04.500 77 ERROR nova.compute.manager [None req-7c1a2b3c-1111-4222-8333-444455556666 ops demo - - default default] [instance: 5b9c0f1e-1111-4222-8333-444455556666] Instance failed to spawn: nova.exception.PortBindingFailed: Binding failed for port 3871bf29-1111-4222-8333-444455556666
2026-11-21 18:40:04.500 77 ERROR nova.compute.manager Traceback (most recent call last):
2026-11-21 18:40:04.500 77 ERROR nova.compute.manager   File \"/usr/lib/python3/dist-packages/nova/compute/manager.py\", line 7, in _build_resources
2026-11-21 18:40:04.500 77 ERROR nova.compute.manager nova.exception.PortBindingFailed: Binding failed for port 3871bf29-1111-4222-8333-444455556666
2026-11-21 18:40:09.000 77 WARNING nova.compute.manager [-] password=planted-secret was refused
";

const NEUTRON: &str = "2026-11-21 18:40:04.100 9 ERROR neutron.plugins.ml2.managers [req-7c1a2b3c-1111-4222-8333-444455556666 req-00000000-1111-4222-8333-444455556666 ops demo - - default default] Failed to bind port 3871bf29-1111-4222-8333-444455556666 on host cmp17 for vnic_type normal\n";

fn night() -> Home {
    let home = Home::empty();
    home.write("logs/ctl1/var/log/nova/nova-api.log", API);
    home.write("logs/ctl1/var/log/neutron/neutron-server.log", NEUTRON);
    home.write("logs/cmp17/var/log/nova/nova-compute.log", COMPUTE);
    home
}

/// What is said, without how long it took.
fn said(home: &Home, words: &str) -> String {
    let text = home.says(words);
    let lines =
        text.lines().map(|line| match line.split_once(" in 0.").filter(|_| line.starts_with("read: ")) {
            Some((before, _)) => before,
            None => line,
        });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn errors_are_grouped_with_host_time_and_cause() {
    insta::assert_snapshot!(said(&night(), "logs errors logs --zone UTC"));
}

#[test]
fn warnings_alone_are_three() {
    let home = Home::empty();
    home.write(
        "x.log",
        "2026-11-21 18:40:09.000 77 WARNING nova.x [-] password=planted-secret was refused\n",
    );
    assert!(home.says("logs errors x.log --level warning").starts_with("exit 3\n"));
    assert!(home.says("logs errors x.log").starts_with("exit 0\n"));
}

#[test]
fn a_baseline_makes_errors_known() {
    let home = night();
    assert!(home.says("logs errors logs --save-baseline known.json").starts_with("exit 4\n"));
    assert!(home.says("logs errors logs --baseline known.json --new").starts_with("exit 0\n"));
    home.write(
        "logs/ctl1/var/log/nova/nova-scheduler.log",
        "2026-11-21 18:41:00.000 1 ERROR nova.x [-] something else\n",
    );
    let json = home.json("logs errors logs --baseline known.json --new");
    assert_eq!(json["groups"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["groups"][0]["service"], &json["groups"][0]["new"]),
        (&"nova-scheduler".into(), &true.into())
    );
}

#[test]
fn a_baseline_of_a_newer_ostler_is_refused() {
    let home = night();
    home.write("known.json", "{\"format\": 9, \"taken\": \"x\", \"known\": {}}");
    let said = home.says("logs errors logs --baseline known.json");
    assert!(said.starts_with("exit 2\n") && said.contains("has format 9"), "{said}");
}

#[test]
fn a_trace_names_phase_host_and_cause() {
    insta::assert_snapshot!(said(&night(), &format!("logs trace {SERVER} logs --zone UTC --lines")));
}

#[test]
fn a_request_is_traced_like_a_server() {
    let json = night().json(&format!("logs trace {REQUEST} logs --zone UTC"));
    assert_eq!((&json["verdict"], &json["kind"]), (&"failed".into(), &"request".into()));
    assert_eq!(json["anomaly"]["known"]["code"], "NET_PORT_BINDING_FAILED");
    assert_eq!(json["anomaly"]["host"], "ctl1");
}

#[test]
fn what_nobody_names_and_what_is_no_id() {
    let home = night();
    let unseen = home.says("logs trace 00000000-1111-4222-8333-444455556667 logs");
    assert!(unseen.starts_with("exit 3\n") && unseen.contains("no record names it"), "{unseen}");
    insta::assert_snapshot!(home.says("logs trace web-1 logs"), @r"
    exit 2
    --- err
    error: `web-1` cannot be traced
    hint: give a uuid in full, or a request's id: `req-` and a uuid
    hint: a server's uuid: `openstack server show NAME -f value -c id`
    ");
}

#[test]
fn a_merge_is_in_true_order_of_time() {
    let home = Home::empty();
    home.write("a.log", "2026-11-21 18:40:02.000 1 INFO x.a [-] second\nits other line\n2026-11-21 18:40:04.000 1 INFO x.a [-] fourth\n");
    home.write("b.log", "2026-11-21T18:40:03.000Z|00001|bridge|INFO|third\n");
    home.write("c.log", "2026-11-21 19:40:06.000 1 INFO x.c [-] first\n");
    insta::assert_snapshot!(home.says("logs merge ctl1=a.log b.log cmp1=c.log --zone UTC --zone cmp1=+01:00 --ahead cmp1=5"), @r"
    exit 0
    --- out
    2026-11-21T18:40:01.000000Z cmp1:c.log 2026-11-21 19:40:06.000 1 INFO x.c [-] first
    2026-11-21T18:40:02.000000Z ctl1:a.log 2026-11-21 18:40:02.000 1 INFO x.a [-] second
    2026-11-21T18:40:02.000000Z ctl1:a.log its other line
    2026-11-21T18:40:03.000000Z b.log 2026-11-21T18:40:03.000Z|00001|bridge|INFO|third
    2026-11-21T18:40:04.000000Z ctl1:a.log 2026-11-21 18:40:04.000 1 INFO x.a [-] fourth
    ");
}

#[test]
fn a_gate_opens_for_what_is_old_allowed_or_known() {
    let home = night();
    let gate = |more: &str| home.says(&format!("logs gate logs --zone UTC {more}"));
    assert!(gate("--mark 2026-11-21T18:40:00Z").starts_with("exit 4\n"));
    assert!(gate("--mark 2026-11-21T19:00:00Z").starts_with("exit 0\n"));
    home.write(
        "allow.toml",
        "[[allow]]\nsays = 'bind|Binding'\nwithin = '5m'\nmost = 3\nbecause = 'ports are bound anew'\n",
    );
    let allowed = gate("--mark 2026-11-21T18:40:00Z --allow allow.toml");
    assert!(allowed.starts_with("exit 0\n") && allowed.contains("ports are bound anew"), "{allowed}");
    // The window of an entry ends.
    assert!(gate("--mark 2026-11-21T18:00:00Z --allow allow.toml").starts_with("exit 4\n"));
}

#[test]
fn a_mistake_in_the_file_of_what_may_appear_is_shown_in_its_place() {
    let home = night();
    home.write("allow.toml", "[[allow]]\nsays = 'x'\nwihtin = '5m'\nbecause = 'y'\n");
    let said = home.says("logs gate logs --mark 1h --allow allow.toml");
    assert!(
        said.starts_with("exit 2\n") && said.contains("wihtin") && said.contains("allow.toml:3"),
        "{said}"
    );
    home.write("allow.toml", "[[allow]]\nsays = '('\nbecause = 'y'\n");
    let said = home.says("logs gate logs --mark 1h --allow allow.toml");
    assert!(said.starts_with("exit 2\n") && said.contains("no regular expression"), "{said}");
}

#[test]
fn requests_are_counted_by_route() {
    let home = night();
    let json = home.json("logs rate logs --zone UTC");
    assert_eq!(json["routes"][0]["route"], "/v2.1/servers");
    assert_eq!(json["routes"][0]["status"], 202);
    let p50 = json["routes"][0]["p50_us"].as_u64().unwrap();
    assert!(p50.abs_diff(412_000) < 412_000 / 30, "{p50}");
}

#[test]
fn what_is_not_read_is_said_with_six() {
    let home = night();
    let mut torn = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    torn.stdin.take().unwrap().write_all(API.repeat(50).as_bytes()).unwrap();
    let packed = torn.wait_with_output().unwrap().stdout;
    home.write("logs/ctl1/var/log/nova/nova-api.log.1.gz", &packed[..packed.len() - 6]);
    for words in ["logs errors logs", "logs merge logs", "logs rate logs", "logs gate logs --mark 1h"] {
        let said = home.says(words);
        assert!(said.starts_with("exit 6\n"), "{words}: {said}");
        assert!(
            said.contains("nova-api.log.1.gz") && said.contains("not read, or not wholly: 1"),
            "{words}: {said}"
        );
    }
}

#[test]
fn a_place_that_is_not_there_and_a_moment_that_is_none() {
    let home = night();
    assert!(home.says("logs errors nowhere").starts_with("exit 2\n"));
    let said = home.says("logs errors logs --since yesterday!");
    assert!(said.starts_with("exit 2\n") && said.contains("is no moment for --since"), "{said}");
    let said = home.says("logs errors logs --zone Nowhere/City");
    assert!(said.starts_with("exit 2\n") && said.contains("is no zone"), "{said}");
}

#[test]
fn a_node_that_does_not_answer_is_said_and_the_files_are_read() {
    let home = Home::with_settings();
    home.write("x.log", "2026-11-21 18:40:09.000 77 ERROR nova.x [-] broke\n");
    let said = home.says("logs errors node:ctl1 x.log");
    assert!(said.starts_with("exit 6\n") && said.contains("broke") && said.contains("node ctl1"), "{said}");
    let said = home.says("logs errors node:ctl9");
    assert!(said.starts_with("exit 2\n") && said.contains("its nodes are ctl1"), "{said}");
}

#[test]
fn an_archive_is_read_like_a_directory() {
    let home = night();
    let done = std::process::Command::new("tar")
        .args(["czf", "all.tar.gz", "logs"])
        .current_dir(home.path(""))
        .status()
        .unwrap();
    assert!(done.success());
    let json = home.json("logs errors all.tar.gz --zone UTC");
    assert_eq!(json["groups"].as_array().unwrap().len(), 2, "{json:#}");
    assert!(json["groups"].as_array().unwrap().iter().all(|group| {
        group["hosts"].as_object().unwrap().keys().all(|host| host == "ctl1" || host == "cmp17")
    }));
}

#[test]
fn a_tail_shows_what_is_added_and_follows_a_rotation() {
    let home = Home::empty();
    home.write("x.log", "2026-11-21 18:40:09.000 77 INFO nova.x [-] old\n");
    let child =
        home.command("logs tail x.log --during 8s").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let path = home.path("x.log");
    // It shows what is added after it has begun; when that is, nobody says: lines are added until it ends.
    let mut number = 0;
    let mut child = child;
    while child.try_wait().unwrap().is_none() {
        number += 1;
        if number == 20 {
            std::fs::rename(&path, home.path("x.log.1")).unwrap();
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        writeln!(file, "2026-11-21 18:40:10.000 77 INFO nova.x [-] new {number}").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(!said.contains("old") && said.contains("x.log 2026-11-21"), "{said}");
    let first: u32 = said.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let numbers: Vec<u32> =
        said.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    let whole: Vec<u32> = (first..=*numbers.last().unwrap()).collect();
    assert_eq!(numbers, whole, "{said}");
}

#[test]
fn debug_logging_is_refused_where_it_needs_a_restart_that_nobody_allowed() {
    let home = Home::with_settings();
    let said = home.says("logs debug on keystone --node ctl1");
    assert!(said.starts_with("exit 5\n") && said.contains("`--restart`"), "{said}");
    let said = home.says("logs debug on nova-compute --node ctl1 --for 15m --dry-run");
    assert!(said.starts_with("exit 0\n") && said.contains("by SIGHUP"), "{said}");
    assert!(home.says("logs debug on nova-compute --node cmp9").starts_with("exit 2\n"));
    assert!(home.says("logs debug on nova-compute --node ctl1 --for 25h").starts_with("exit 2\n"));
    // A node that is not seen is no node without leases.
    assert!(home.says("logs debug status").starts_with("exit 6\n"), "{}", home.says("logs debug status"));
}
