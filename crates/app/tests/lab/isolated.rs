//! Minimal downtime, and both ways back from the node that was set aside.

use crate::ground::*;

const TO: &str = "2026.1";

/// Upgrades until the service runs the new release everywhere but on the node that is aside, and writes a row of
/// another service after the isolation.
fn upgraded_with_writes(ground: &Ground) {
    ground.upgrade_until(TO, "minimal-downtime", "ctl2-enable");
    assert_eq!(heads("ctl1"), HEADS_2026_1);
    sql(
        "ctl1",
        "create database if not exists elsewhere; create table if not exists elsewhere.note (id int primary key); replace into elsewhere.note values (1)",
    );
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c2_one_database_comes_back_from_the_isolated_node_and_other_services_keep_their_writes() {
    let ground = ready("2025.1", HEADS_2024_1);
    upgraded_with_writes(&ground);
    ground
        .ostler(&["run", "rollback", "last", "--way", "isolated-schema", "--yes"])
        .expect(5)
        .says(&["data-loss"]);
    let words = ["run", "rollback", "last", "--way", "isolated-schema", "--accept-loss", "--yes"];
    ground.ostler(&words).expect(0);
    every_node_has("27.");
    for node in ["ctl1", "ctl2", "ctl3"] {
        assert_eq!(heads(node), HEADS_2024_1, "{node}");
        assert_eq!(
            sql(node, "select count(*) from elsewhere.note"),
            "1",
            "{node} lost another service's write"
        );
    }
    sql("ctl1", "drop database elsewhere");
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c3_the_whole_cluster_comes_back_from_the_isolated_node() {
    let ground = ready("2025.1", HEADS_2024_1);
    upgraded_with_writes(&ground);
    let words = ["run", "rollback", "last", "--way", "isolated-cluster", "--accept-loss", "--yes"];
    ground.ostler(&words).expect(0);
    every_node_has("27.");
    for node in ["ctl1", "ctl2", "ctl3"] {
        assert_eq!(heads(node), HEADS_2024_1, "{node}");
        let there =
            sql(node, "select count(*) from information_schema.schemata where schema_name = 'elsewhere'");
        assert_eq!(there, "0", "{node} kept what was written after the isolation");
    }
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c4_minimal_downtime_runs_to_its_end_and_the_isolated_node_catches_up() {
    let ground = ready("2025.1", HEADS_2024_1);
    let words =
        ["upgrade", "run", "--only", "keystone", "--to", TO, "--strategy", "minimal-downtime", "--yes"];
    ground.ostler(&words).expect(0);
    every_node_has("29.");
    for node in ["ctl1", "ctl2", "ctl3"] {
        assert_eq!(heads(node), HEADS_2026_1, "{node}");
    }
    ground.ostler(&["cloud", "check"]).expect(0);
}
