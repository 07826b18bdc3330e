//! `ostler run`: runs that were made up, seen and steered.

use crate::environment::{Home, alice, approved, block, did, intended, proved};
use ostler_model::Timestamp;
use ostler_model::event::{Event, Outcome, Why};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RUN: &str = "20260102-030400-aaaa";

/// A run that stopped before its contract.
fn at_the_gate(home: &Home) {
    let mut events = vec![approved()];
    events.extend(["preflight", "ctl1-stop", "ctl1-start"].into_iter().flat_map(did));
    home.made_up(RUN, events);
}

/// A run that is paused because a step failed.
fn failed(home: &Home) {
    let mut events = vec![approved()];
    events.extend(did("preflight"));
    events.push(intended("ctl1-stop"));
    events.push(proved("ctl1-stop", Outcome::not_done("keystone.service did not stop")));
    let who = ostler_model::event::Actor::Rule("a step needs a person".into());
    events.push(Event::Paused { who, why: Why::new("step ctl1-stop failed: keystone.service did not stop") });
    home.made_up(RUN, events);
}

/// What is answered, without ages and hashes.
fn said(home: &Home, words: &str) -> String {
    let text = home.says(words).replace(crate::environment::plan().id.short(), "[HASH]");
    let without_age = |line: &str| match line.find(" d ago") {
        Some(end) => {
            let start = line[..end].rfind(' ').map_or(0, |space| space + 1);
            format!("{}[AGE]{}", &line[..start], &line[end + " d ago".len()..])
        }
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(without_age).collect()
}

#[test]
fn without_a_run_there_is_none_to_name() {
    insta::assert_snapshot!(Home::empty().says("run list"), @r"
    exit 0
    --- err
    no run yet
    ");
    insta::assert_snapshot!(Home::empty().says("run show last"), @r"
    exit 2
    --- err
    error: there is no run yet
    hint: begin one: `ostler upgrade run --to RELEASE`
    ");
}

#[test]
fn runs_are_listed_newest_first() {
    let home = Home::empty();
    failed(&home);
    home.made_up("20260103-030400-bbbb", Vec::new());
    insta::assert_snapshot!(said(&home, "run list"), @r"
    exit 0
    --- out
    RUN                   CLOUD  PURPOSE                                           STATE               STEPS  BEGAN      TOOK
    20260103-030400-bbbb  lab    upgrade keystone 2024.1 -> 2025.1, zero-downtime  waits for approval  0/4    [AGE]  0 s
    20260102-030400-aaaa  lab    upgrade keystone 2024.1 -> 2025.1, zero-downtime  paused              1/4    [AGE]  6.0 s
    ");
    let listed = home.json("run list");
    assert_eq!(listed[1]["run"], RUN);
    assert_eq!(listed[1]["state"], "paused");
    assert_eq!(home.json("run list --cloud elsewhere"), serde_json::json!([]));
}

#[test]
fn a_run_is_shown_step_by_step() {
    let home = Home::empty();
    at_the_gate(&home);
    insta::assert_snapshot!(said(&home, "run show last"), @r"
    exit 0
    --- out
    run 20260102-030400-aaaa: upgrade keystone 2024.1 -> 2025.1, zero-downtime
      cloud lab, plan [HASH], opened 2026-01-02 03:04:00 by alice
      waits at a gate: 3 of 4 steps done, 7.0 s from the first entry to the last

    Preflight
      03:04:02  done      preflight            1.0 s  version 25.0.0 -> 27.1.0

    Change ctl1
      03:04:04  done      ctl1-stop            1.0 s  version 25.0.0 -> 27.1.0
      03:04:06  done      ctl1-start           1.0 s  version 25.0.0 -> 27.1.0
                -         ctl1-contract               asks: Contract now?
    ");
    let shown = home.json("run show aaaa --entries");
    assert_eq!(shown["timeline"][1]["status"], "done");
    assert_eq!(shown["entries"].as_array().map(Vec::len), Some(8));
}

#[test]
fn a_failed_step_is_shown_with_its_reason() {
    let home = Home::empty();
    failed(&home);
    insta::assert_snapshot!(said(&home, "run show last"), @r"
    exit 0
    --- out
    run 20260102-030400-aaaa: upgrade keystone 2024.1 -> 2025.1, zero-downtime
      cloud lab, plan [HASH], opened 2026-01-02 03:04:00 by alice
      paused: 1 of 4 steps done, 6.0 s from the first entry to the last
      paused by ostler (a step needs a person): step ctl1-stop failed: keystone.service did not stop

    Preflight
      03:04:02  done      preflight            1.0 s  version 25.0.0 -> 27.1.0

    Change ctl1
      03:04:04  failed    ctl1-stop                   keystone.service did not stop
                -         ctl1-start                  what ctl1-start does
                -         ctl1-contract               what ctl1-contract does
    ");
}

#[test]
fn a_run_is_named_by_any_part_that_fits_one() {
    let home = Home::empty();
    failed(&home);
    home.made_up("20260103-030400-bbbb", Vec::new());
    for name in [RUN, "20260102", "aaaa"] {
        assert_eq!(home.json(&format!("run show {name}"))["run"], RUN);
    }
    assert_eq!(home.json("run show last")["run"], "20260103-030400-bbbb");
    insta::assert_snapshot!(home.says("run show 2026"), @r"
    exit 2
    --- err
    error: `2026` fits 2 runs
      20260103-030400-bbbb, 20260102-030400-aaaa
    hint: type more of it
    ");
    insta::assert_snapshot!(home.says("run show zzzz"), @r"
    exit 2
    --- err
    error: there is no run `zzzz`
    hint: see which there are: `ostler run list`
    ");
}

#[test]
fn a_gate_is_passed_by_a_word() {
    let home = Home::with_settings();
    at_the_gate(&home);
    insta::assert_snapshot!(home.says("run approve last --dry-run"), @r"
    exit 0
    --- err
    run 20260102-030400-aaaa: the gate of ctl1-contract: would be approved
    ");
    insta::assert_snapshot!(home.says("run approve last"), @r"
    exit 0
    --- err
    run 20260102-030400-aaaa: the gate of ctl1-contract: approved
    unless an ostler drives it already, go on with: `ostler run resume 20260102-030400-aaaa`
    ");
    insta::assert_snapshot!(home.says("run approve last"), @r"
    exit 2
    --- err
    error: run 20260102-030400-aaaa waits for nobody's word
    hint: see how it stands: `ostler run show 20260102-030400-aaaa`
    ");
}

#[test]
fn a_plan_is_approved_by_a_word() {
    let home = Home::with_settings();
    home.made_up(RUN, Vec::new());
    insta::assert_snapshot!(said(&home, "run resume last"), @r"
    exit 8
    --- err
    error: plan [HASH] waits for approval; nothing was changed
    hint: approve and run it: `ostler run approve 20260102-030400-aaaa --resume`
    ");
    insta::assert_snapshot!(said(&home, "run approve last"), @r"
    exit 0
    --- err
    run 20260102-030400-aaaa: plan [HASH]: approved
    unless an ostler drives it already, go on with: `ostler run resume 20260102-030400-aaaa`
    ");
    assert_eq!(home.json("run show last")["state"], "running");
}

#[test]
fn a_run_is_paused_by_a_word_once() {
    let home = Home::with_settings();
    at_the_gate(&home);
    insta::assert_snapshot!(home.says("run pause last"), @r"
    exit 0
    --- err
    run 20260102-030400-aaaa is paused: what is under way is finished, nothing new begins
    go on with: `ostler run resume 20260102-030400-aaaa`
    ");
    insta::assert_snapshot!(home.says("run pause last"), @r"
    exit 2
    --- err
    error: run 20260102-030400-aaaa is paused already, by alice: a person wants it
    hint: go on with: `ostler run resume 20260102-030400-aaaa`
    ");
}

#[test]
fn what_is_given_up_is_told_plainly() {
    let home = Home::with_settings();
    failed(&home);
    insta::assert_snapshot!(home.says("run abort last --because enough --dry-run"), @r"
    exit 0
    --- out
    run 20260102-030400-aaaa would be given up; it would leave
      ctl1: nothing changed; ctl1-stop failed
    see what that means: `ostler cloud check`
    ");
    assert_eq!(home.json("run show last")["state"], "paused");
    insta::assert_snapshot!(home.says("run abort last --because enough"), @r"
    exit 0
    --- out
    run 20260102-030400-aaaa is given up; nothing of it goes on or is taken back; it leaves
      ctl1: nothing changed; ctl1-stop failed
    see what that means: `ostler cloud check`
    ");
    insta::assert_snapshot!(home.says("run resume last"), @r"
    exit 2
    --- err
    error: run 20260102-030400-aaaa is closed: abandoned
    hint: plan anew
    ");
}

#[test]
fn what_would_come_next_can_be_asked() {
    let home = Home::with_settings();
    failed(&home);
    insta::assert_snapshot!(home.says("run resume last --dry-run"), @r"
    exit 0
    --- out
    run 20260102-030400-aaaa: paused, 3 steps left
      failed, to be tried again: ctl1-stop
    ");
    insta::assert_snapshot!(home.says("run resume last --skip nonsense --because x"), @r"
    exit 2
    --- err
    error: run 20260102-030400-aaaa has no step `nonsense`
    hint: see its steps: `ostler run show 20260102-030400-aaaa`
    ");
}

#[test]
fn a_rollback_needs_to_see_the_cloud() {
    let home = Home::with_settings();
    failed(&home);
    insta::assert_snapshot!(home.says("run rollback last --dry-run"), @r"
    exit 5
    --- err
    error: refused by nodes-reachable: ctl1 cannot be seen: ctl1 does not answer on 127.0.0.1:1: the connection was refused
    hint: a controller that cannot be seen could still run old code, hold a load balancer or a database: bring it back first
    ");
}

#[test]
fn a_run_of_a_cloud_that_is_not_declared() {
    let home = Home::empty();
    failed(&home);
    let said = home.says("run resume last");
    assert!(said.starts_with("exit 2\n") && said.contains("there is no ostler.toml"), "{said}");
}

#[test]
fn two_at_once_are_one_too_many() {
    let home = Home::with_settings();
    failed(&home);
    block(async {
        let until: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
        home.store().await.swap_lease("cloud/lab", 0, "elsewhere/boot/4711/1", until).await.unwrap();
    });
    insta::assert_snapshot!(home.says("run resume last"), @r"
    exit 9
    --- err
    error: another ostler (process 4711 on elsewhere) is at work on cloud lab, until 2100-01-01 00:00:00 or longer
    hint: see what it does: `ostler run list`
    hint: wait for its end, or stop it first
    ");
}

#[test]
fn an_interruption_leaves_the_run_resumable_and_gives_the_lease_back() {
    let home = Home::with_settings();
    let mut events = vec![approved()];
    events.extend(did("preflight"));
    // Its outcome is asked of a node that does not answer.
    events.push(intended("ctl1-stop"));
    home.made_up(RUN, events);
    let child = home.command("run resume last").stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while home.json("run show last --entries")["entries"].as_array().map_or(0, Vec::len) < 7 {
        assert!(Instant::now() < deadline, "the run did not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: interrupted: no further step of run 20260102-030400-aaaa begins; what is under way is left to its unit on the node
    hint: go on: `ostler run resume 20260102-030400-aaaa`
    hint: take it back: `ostler run rollback 20260102-030400-aaaa`
    ");
    let lease = block(async { home.store().await.lease("cloud/lab").await.unwrap().unwrap() });
    assert!(lease.until <= Timestamp::now());
    let shown = home.json("run show last");
    assert_eq!((shown["state"].as_str(), shown["steps_done"].as_u64()), (Some("running"), Some(1)));
}

#[test]
fn a_run_that_was_taken_up_by_a_person_says_who() {
    let home = Home::empty();
    home.made_up(RUN, vec![approved(), Event::Paused { who: alice(), why: Why::new("lunch") }]);
    let said = said(&home, "run show last");
    assert!(said.contains("paused by alice: lunch"), "{said}");
}

#[test]
fn on_a_terminal_a_person_is_asked_at_the_gate() {
    let home = Home::with_settings();
    at_the_gate(&home);
    // `script` gives the binary a terminal of its own.
    let mut command = std::process::Command::new("script");
    let typed = format!("{} run resume last", env!("CARGO_BIN_EXE_ostler"));
    command.args(["--quiet", "--return", "--command", &typed, "/dev/null"]);
    command.current_dir(home.path("")).env("HOME", home.path("")).env("TERM", "xterm").env("TZ", "UTC");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"no\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Contract now? [yes/no]"), "{said}");
    assert!(said.contains("waits before ctl1-contract: Contract now?"), "{said}");
    assert_eq!(output.status.code(), Some(8), "{said}");
}
