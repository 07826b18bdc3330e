//! `ostler cloud`, where nobody answers.

use crate::environment::Home;

#[test]
fn a_scan_of_nodes_that_do_not_answer_is_no_error() {
    let home = Home::with_settings();
    insta::with_settings!({ filters => vec![
        (r"seen \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \((?:[^)]* ago|just now)\)", "seen [TIME]"),
    ]}, {
        insta::assert_snapshot!(home.says("cloud scan"), @r"
        exit 0
        --- out
        cloud lab, seen [TIME]

        NODE         SYSTEM  UNITS  GALERA  HAPROXY  CACHE
        ctl1 (down)  ?       ?      ?       ?        ?

        not seen (1):
          ctl1 does not answer on 127.0.0.1:1: the connection was refused
        ");
        insta::assert_snapshot!(home.says("cloud show"), @r"
        exit 0
        --- out
        cloud lab, seen [TIME]

        NODE         SYSTEM  UNITS  GALERA  HAPROXY  CACHE
        ctl1 (down)  ?       ?      ?       ?        ?

        not seen (1):
          ctl1 does not answer on 127.0.0.1:1: the connection was refused
        ");
    });
}

#[test]
fn a_check_of_nodes_that_do_not_answer_finds_errors() {
    let home = Home::with_settings();
    insta::with_settings!({ filters => vec![(r"\(looked (?:[^)]* ago|just now)\)", "(looked [TIME])")]}, {
        insta::assert_snapshot!(home.says("cloud check"), @r"
        exit 4
        --- out
        cloud lab is not well: 1 error, 0 checks well (looked [TIME])
        [ERR]  nodes-reachable: a node does not answer
               ctl1 does not answer on 127.0.0.1:1: the connection was refused
               next: bring the node back, or take it out of ostler.toml if it is gone for good
        ");
    });
    let found = home.command("cloud check --format json").output().unwrap();
    assert_eq!(found.status.code(), Some(4));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["worst"], "error");
}

#[test]
fn what_was_never_looked_at_cannot_be_shown() {
    insta::assert_snapshot!(Home::with_settings().says("cloud show"), @r"
    exit 2
    --- err
    error: cloud lab has not been looked at yet
    hint: look: `ostler cloud scan --cloud lab`
    ");
}
