//! What goes wrong in real life, one at a time: refused by name with exit code and way out, nothing touched.

use crate::ground::*;
use std::io::BufRead;

const PLAN: &[&str] = &["upgrade", "plan", "--only", "keystone", "--to", "2025.1"];
const RUN: &[&str] = &["upgrade", "run", "--only", "keystone", "--to", "2025.1", "--yes"];

fn ground() -> Ground {
    ready("2024.1", HEADS_2024_1).without_function_check()
}

/// Undoes what a test has broken, also when it fails.
struct Mend<F: FnMut()>(F);

impl<F: FnMut()> Drop for Mend<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn quietly(node: &str, script: &str) {
    // A mending must not hide what broke the test.
    let (node, script) = (node.to_owned(), script.to_owned());
    let _ = std::panic::catch_unwind(move || on(&node, &script));
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d01_an_unreachable_node_is_a_gap_in_a_scan_and_stops_an_upgrade() {
    let ground = ground();
    lab(&["cut", "ctl3"]).expect(0);
    let mend = Mend(|| drop(lab(&["mend", "ctl3"])));
    ground.ostler(&["cloud", "scan"]).expect(0).says(&["ctl3"]);
    ground.ostler(RUN).expect(5).says(&["nodes-reachable", "ctl3"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d02_a_changed_host_key_is_refused_and_never_learnt() {
    let ground = ground();
    let other = ground.with_settings(|text| text);
    let known = other.scratch.path().join("known_hosts");
    let text = std::fs::read_to_string(&known).unwrap();
    // ctl1 gets the key of ctl2.
    let key_of = |name: &str| {
        text.lines()
            .find(|line| line.split(' ').next().unwrap().split(',').any(|host| host == name))
            .unwrap()
            .to_owned()
    };
    let foreign = key_of("ctl2").split(' ').skip(1).collect::<Vec<_>>().join(" ");
    let own = key_of("ctl1").split(' ').skip(1).collect::<Vec<_>>().join(" ");
    std::fs::write(&known, text.replace(&own, &foreign)).unwrap();
    let before = std::fs::read(&known).unwrap();
    other.ostler(PLAN).expect(5).says(&["KEY OF ctl1 HAS CHANGED", "known_hosts"]);
    assert_eq!(std::fs::read(&known).unwrap(), before, "known_hosts was changed");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d03_an_account_without_sudo_is_told_what_it_lacks() {
    let ground = ground();
    for node in ["ctl1", "ctl2", "ctl3"] {
        on(
            node,
            "id plain >/dev/null 2>&1 || useradd -m -s /bin/sh plain; mkdir -p ~plain/.ssh; cp ~ostler/.ssh/authorized_keys ~plain/.ssh/; chown -R plain ~plain/.ssh; chmod 700 ~plain/.ssh",
        );
    }
    let other = ground.with_settings(|text| text.replace("user = \"ostler\"", "user = \"plain\""));
    other.ostler(PLAN).expect(5).says(&["sudo", "plain"]);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d04_a_database_member_that_is_down_stops_an_upgrade() {
    let ground = ground();
    on("ctl2", "systemctl stop mariadb");
    let mend = Mend(|| quietly("ctl2", "systemctl start mariadb"));
    ground.ostler(RUN).expect(5).says(&["galera-whole"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d05_a_load_balancer_that_does_not_answer_stops_an_upgrade() {
    let ground = ground();
    on("ctl3", "systemctl stop haproxy");
    let mend = Mend(|| quietly("ctl3", "systemctl start haproxy"));
    ground.ostler(RUN).expect(5).says(&["ctl3", "HAProxy"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d06_fernet_keys_that_differ_stop_an_upgrade() {
    let ground = ground();
    on(
        "ctl2",
        "cp -a /etc/keystone/fernet-keys/1 /root/kept-key && head -c 32 /dev/urandom | base64 | tr '+/' '-_' > /etc/keystone/fernet-keys/1",
    );
    let mend = Mend(|| quietly("ctl2", "mv /root/kept-key /etc/keystone/fernet-keys/1"));
    ground.ostler(RUN).expect(5).says(&["same-files", "fernet-keys", "ctl2"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d07_a_schema_that_is_newer_than_the_code_stops_an_upgrade() {
    let ground = ground();
    sql(
        "ctl1",
        "update keystone.alembic_version set version_num = '742c857f1dfb' where version_num = '47147121'",
    );
    let mend = Mend(|| {
        quietly(
            "ctl1",
            "mariadb -e \"update keystone.alembic_version set version_num = '47147121' where version_num = '742c857f1dfb'\"",
        )
    });
    ground.ostler(PLAN).expect(5).says(&["schema-heads", "newer than the code", "2026.1"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d08_a_full_backup_directory_stops_an_upgrade() {
    let ground = ground();
    on("ctl3", "mkdir -p /var/backups/ostler && mount -t tmpfs -o size=2m tmpfs /var/backups/ostler");
    let mend = Mend(|| quietly("ctl3", "umount /var/backups/ostler"));
    ground.ostler(RUN).expect(5).says(&["disk-free", "ctl3", "/var/backups/ostler"]);
    drop(mend);
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d09_a_release_that_is_not_in_the_repository_stops_an_upgrade() {
    let ground = ground();
    lab(&["withdraw", "2025.1"]).expect(0);
    let mend = Mend(|| drop(lab(&["publish", "2025.1"])));
    ground.ostler(PLAN).expect(5).says(&["package-source", "2025.1"]);
    drop(mend);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d10_a_plan_is_made_anew_when_the_cloud_has_changed_since() {
    let ground = ground();
    let page = ground.ostler(&[PLAN, &["--format", "json"]].concat()).expect(0);
    let page: serde_json::Value = serde_json::from_str(&page.out).unwrap();
    let hash = page["plan"]["id"].as_str().unwrap().to_owned();
    on(
        "ctl2",
        "cp -a /etc/keystone/keystone.conf /root/kept.conf && echo '# by hand' >> /etc/keystone/keystone.conf",
    );
    let mend = Mend(|| quietly("ctl2", "mv /root/kept.conf /etc/keystone/keystone.conf"));
    ground.ostler(&["upgrade", "run", "--plan", &hash, "--yes"]).expect(8).says(&["changed"]);
    drop(mend);
    every_node_has("25.");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d11_two_at_once_the_second_is_told_who_is_at_work() {
    let ground = ground();
    let mut first = ground.start(RUN);
    let mut lines = std::io::BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"intended\"")), "the first upgrade began nothing");
    ground.ostler(RUN).expect(9).says(&["at work"]);
    first.kill().unwrap();
    first.wait().unwrap();
    // The first one is dead: its lease is no obstacle, and its run can be taken back.
    let back = ground.ostler(&["run", "rollback", "last", "--yes"]);
    if back.code != 0 {
        // It had touched nothing yet.
        ground.ostler(&["run", "abort", "last", "--because", "test"]).expect(0);
    }
    every_node_has("25.");
    ground.wait_until_well();
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn d12_an_edited_configuration_file_survives_the_upgrade_and_a_vanished_repository_does_not_stop_it_half_way()
{
    let ground = ground();
    on("ctl2", "echo '# by hand' >> /etc/keystone/keystone.conf");
    ground.ostler(PLAN).expect(0).says(&["keystone.conf is not the same"]);
    ground.upgrade_until("2025.1", "zero-downtime", "ctl1-install");
    // The mirror vanishes half-way: what was downloaded beforehand must be enough, or the run says so and goes on later.
    lab(&["withdraw", "2025.1"]).expect(0);
    let ended = ground.ostler(&["run", "resume", "last", "--yes"]);
    lab(&["publish", "2025.1"]).expect(0);
    if ended.code != 0 {
        assert_eq!(ended.code, 6, "{}\n{}", ended.out, ended.err);
        ground.ostler(&["run", "resume", "last", "--yes"]).expect(0);
    }
    every_node_has("27.");
    assert_eq!(on("ctl2", "grep -c 'by hand' /etc/keystone/keystone.conf"), "1", "the edit by hand is lost");
    ground.ostler(&["cloud", "check"]).expect(0);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a8_a_schema_change_that_fails_leaves_the_service_up_and_is_resumed() {
    let ground = ready("2023.1", HEADS_2023_1);
    let load = Load::start();
    let grant = "grant all on keystone.* to keystone";
    sql("ctl1", "revoke alter, create, index on keystone.* from keystone");
    let mend = Mend(|| quietly("ctl1", &format!("mariadb -e '{grant}'")));
    let words =
        ["upgrade", "run", "--only", "keystone", "--to", "2024.1", "--strategy", "zero-downtime", "--yes"];
    let ended = ground.ostler(&words);
    nothing_failed(&load.stop());
    drop(mend);
    ended.expect(6).says(&["ctl1-expand"]);
    ground.ostler(&["run", "resume", "last", "--yes"]).expect(0);
    every_node_has("25.");
    ground.ostler(&["cloud", "check"]).expect(0);
}
