//! Zero downtime, with a real contract, under load; and the ways back from it.

use crate::ground::*;

const UPGRADE: &[&str] =
    &["upgrade", "run", "--only", "keystone", "--to", "2024.1", "--strategy", "zero-downtime", "--yes"];

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a1_an_upgrade_with_a_contract_fails_no_request_and_a_restore_leads_back() {
    let ground = ready("2023.1", HEADS_2023_1);
    let load = Load::start();
    ground.ostler(UPGRADE).expect(0);
    nothing_failed(&load.stop());
    every_node_has("25.");
    assert_eq!(heads("ctl2"), HEADS_2024_1);

    // Behind the contract only a restore leads back, and what it loses must be accepted by name.
    ground.ostler(&["run", "rollback", "last", "--yes"]).expect(5).says(&["data-loss", "--accept-loss"]);
    ground.ostler(&["run", "rollback", "last", "--accept-loss", "--yes"]).expect(0);
    every_node_has("23.");
    assert_eq!(heads("ctl3"), HEADS_2023_1);
    ground.wait_until_well();
}

fn back_from(step: &str) {
    let ground = ready("2023.1", "");
    let load = Load::start();
    ground.upgrade_until("2024.1", "zero-downtime", step);
    ground.ostler(&["run", "rollback", "last", "--yes"]).expect(0);
    nothing_failed(&load.stop());
    every_node_has("23.");
    ground.wait_until_well();
    ground.ostler(&["run", "list"]).expect(0).says(&["rolled back"]);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a2_it_is_taken_back_after_the_first_installation() {
    back_from("ctl1-install");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a3_it_is_taken_back_after_the_expand() {
    back_from("ctl1-expand");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a4_it_is_taken_back_when_every_node_has_changed() {
    back_from("ctl3-enable");
}
