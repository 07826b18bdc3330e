//! `ostler upgrade`: wishes that make no sense, and clouds that cannot be seen.

use crate::environment::{Home, SETTINGS};

#[test]
fn an_unknown_release_is_answered_with_those_that_are_known() {
    insta::assert_snapshot!(Home::with_settings().says("upgrade plan --to 2025.3"), @r"
    exit 2
    --- err
    error: there is no release `2025.3`
    hint: did you mean `2025.2`?
    hint: known are: 2023.1, 2023.2, 2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2
    ");
    insta::assert_snapshot!(Home::with_settings().says("upgrade plan --to epxoy"), @r"
    exit 2
    --- err
    error: there is no release `epxoy`
    hint: did you mean `Epoxy`?
    hint: known are: 2023.1, 2023.2, 2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2
    ");
}

#[test]
fn an_unknown_service_is_answered_with_what_was_meant() {
    insta::assert_snapshot!(Home::with_settings().says("upgrade plan --to 2025.1 --only keyston"), @r"
    exit 2
    --- err
    error: there is no service `keyston`
    hint: did you mean `keystone`?
    hint: the catalogue has: keystone
    ");
}

#[test]
fn a_release_must_be_named() {
    insta::assert_snapshot!(Home::with_settings().says("upgrade run --yes"), @r"
    exit 2
    --- err
    error: it is not said where to
    hint: name the release: `--to RELEASE`, one of 2023.1, 2023.2, 2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2
    ");
}

#[test]
fn a_controller_that_cannot_be_seen_keeps_everything_as_it_is() {
    let home = Home::with_settings();
    insta::assert_snapshot!(home.says("upgrade run --to 2025.1 --yes"), @r"
    exit 5
    --- err
    error: refused by nodes-reachable: ctl1 cannot be seen: ctl1 does not answer on 127.0.0.1:1: the connection was refused
    hint: a controller that cannot be seen could still run old code, hold a load balancer or a database: bring it back first
    ");
    assert_eq!(home.json("run list"), serde_json::json!([]));
}

#[test]
fn an_unknown_plan_is_named() {
    insta::assert_snapshot!(Home::with_settings().says("upgrade run --plan abc"), @r"
    exit 2
    --- err
    error: `abc` is too short for a plan's hash
    hint: give at least 6 characters
    ");
    insta::assert_snapshot!(Home::with_settings().says("upgrade run --plan abcdef123456"), @r"
    exit 2
    --- err
    error: there is no plan abcdef123456
    hint: make one: `ostler upgrade plan --to RELEASE`
    ");
}

#[test]
fn a_plan_of_another_cloud_is_refused() {
    let home = Home::with_settings();
    home.made_up("20260102-030400-aaaa", Vec::new());
    home.write("ostler.toml", SETTINGS.replace("clouds.lab", "clouds.prod"));
    let hash = crate::environment::plan().id;
    insta::with_settings!({ filters => vec![(r"plan [0-9a-f]{12}", "plan [HASH]")]}, {
        insta::assert_snapshot!(home.says(&format!("upgrade run --plan {}", hash.short())), @r"
        exit 2
        --- err
        error: plan [HASH] is for cloud lab, not for prod
        hint: name it: `--cloud lab`
        ");
    });
}
