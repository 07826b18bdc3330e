//! `ostler rehearse` with input that cannot be rehearsed: each is refused with its place, and nothing is changed.

use crate::environment::{Home, alice, block, plan};
use ostler_model::event::{Entry, Event};
use ostler_model::plan::{Plan, Purpose, Strategy};

/// A home with a plan of an upgrade in its store.
fn with_plan() -> Home {
    let home = Home::with_settings();
    let mut body = plan().body;
    body.cloud = "lab".into();
    body.purpose = Purpose::Upgrade {
        service: "keystone".into(),
        from: "2024.1".parse().unwrap(),
        to: "2025.1".parse().unwrap(),
        strategy: Strategy::ZeroDowntime,
    };
    let plan = Plan::seal(body).unwrap();
    block(async { home.store().await.keep_plan(&plan).await.unwrap() });
    home.write("hash", plan.id.as_str());
    home
}

fn rehearse(home: &Home, rest: &str) -> String {
    let hash = std::fs::read_to_string(home.path("hash")).unwrap();
    home.says(&format!("rehearse {hash} {rest}"))
}

#[test]
fn an_inventory_of_a_newer_ostler_is_refused_by_its_format() {
    let home = with_plan();
    home.write("inventory.json", r#"{"format": 999, "cloud": "lab"}"#);
    insta::assert_snapshot!(rehearse(&home, "--inventory inventory.json"));
}

#[test]
fn a_truncated_inventory_is_refused_with_the_place() {
    let home = with_plan();
    home.write("inventory.json", "{\"format\": 1,\n \"cloud\": \"la");
    insta::assert_snapshot!(rehearse(&home, "--inventory inventory.json"));
}

#[test]
fn what_is_no_inventory_is_refused() {
    let home = with_plan();
    home.write("inventory.json", "{}");
    insta::assert_snapshot!(rehearse(&home, "--inventory inventory.json"));
}

#[test]
fn an_inventory_that_is_not_there_is_named() {
    insta::assert_snapshot!(rehearse(&with_plan(), "--inventory nowhere.json"));
}

#[test]
fn a_cloud_that_was_never_looked_at_is_not_rehearsed() {
    insta::assert_snapshot!(rehearse(&with_plan(), ""));
}

#[test]
fn a_negative_number_of_seeds_is_refused() {
    insta::assert_snapshot!(rehearse(&with_plan(), "--seeds -5"));
}

#[test]
fn a_run_whose_plan_is_gone_is_named() {
    let home = Home::with_settings();
    let event = Event::Opened { plan: plan().id, who: alice() };
    let at = "2026-01-02T03:04:00Z".parse().unwrap();
    let entry = Entry { run: "20260102-030400-aaaa".into(), seq: 0, at, term: 0, event };
    block(async { home.store().await.append(&[entry]).await.unwrap() });
    let said = home.says("rehearse last").replace(plan().id.short(), "[HASH]");
    insta::assert_snapshot!(said);
}
