//! Offline: everything stops; the way back after the schema change loses nothing, because nothing was written.

use crate::ground::*;

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c0_offline_is_taken_back_while_everything_is_stopped() {
    let ground = ready("2025.1", HEADS_2024_1);
    ground.upgrade_until("2026.1", "offline", "ctl2-stop");
    ground.ostler(&["run", "rollback", "last", "--yes"]).expect(0);
    every_node_has("27.");
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c1_offline_is_taken_back_after_the_schema_change_from_its_backup() {
    let ground = ready("2025.1", HEADS_2024_1);
    ground.upgrade_until("2026.1", "offline", "ctl1-sync");
    assert_eq!(heads("ctl1"), HEADS_2026_1);
    ground.ostler(&["run", "rollback", "last", "--way", "restore-schema", "--yes"]).expect(0);
    every_node_has("27.");
    assert_eq!(heads("ctl3"), HEADS_2024_1);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn c5_offline_runs_to_its_end() {
    let ground = ready("2024.1", HEADS_2024_1);
    let words = ["upgrade", "run", "--only", "keystone", "--to", "2025.1", "--strategy", "offline", "--yes"];
    ground.ostler(&words).expect(0);
    every_node_has("27.");
    ground.ostler(&["cloud", "check"]).expect(0);
}
