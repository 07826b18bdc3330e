//! A controller loses power while it is being changed: what is up stays up, and the run is finished afterwards.

use crate::ground::*;

fn power_cut_after(step: &str) {
    let ground = ready("2023.1", "").without_function_check();
    ground.upgrade_until("2024.1", "zero-downtime", step);
    lab(&["kill", "ctl2"]).expect(0);
    // Without the node nothing of it can be said: the run stops and asks for a person.
    let ended = ground.ostler(&["run", "resume", "last", "--yes"]).expect(6);
    ended.says(&["ctl2", "run resume"]);
    assert!(
        on("ctl1", "curl -s -o /dev/null -w '%{http_code}' http://$(hostname -I | cut -d' ' -f1):5000/v3")
            .starts_with("200")
    );
    lab(&["revive", "ctl2"]).expect(0);
    wait_for_galera();
    ground.ostler(&["run", "resume", "last", "--yes"]).expect(0);
    every_node_has("25.");
    ground.ostler(&["cloud", "check"]).expect(0);
}

fn wait_for_galera() {
    let began = std::time::Instant::now();
    let synced = || sql("ctl1", "show status like 'wsrep_cluster_size'").ends_with('3');
    while !synced() {
        assert!(began.elapsed().as_secs() < 60, "ctl2's database did not come back");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

/// The other moments (stopped, installing, starting, being enabled) are played through on the pretended cloud.
#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a5_power_cut_while_it_is_drained() {
    power_cut_after("ctl2-drain");
}
