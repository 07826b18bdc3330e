//! Every verb on a real cloud: three nodes with systemd, apt, Galera, HAProxy and Keystone. Runs only where
//! `OSTLER_TEST_LAB` names the directory of a lab that is up; it changes that lab and leaves it at another release.

use ostler_engine::seam::{Cloud as _, Nodes as _};
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::event::{Facts, Outcome};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::inventory::{Fact, Inventory, Node};
use ostler_model::step::{BackupSet, Call, ConfigEdit, Does, Job, Reading, Target, Through};
use ostler_world::node::{SshAccess, SshNodes};
use ostler_world::openstack::KeystoneCloud;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Lab {
    pub nodes: SshNodes,
    pub cloud: Cloud,
    pub directory: PathBuf,
    pub run: RunId,
}

impl Lab {
    pub(crate) fn open() -> Lab {
        let directory =
            std::env::var_os("OSTLER_TEST_LAB").expect("OSTLER_TEST_LAB names the directory of a lab");
        let directory = PathBuf::from(directory);
        let file = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let network = file("lab.json")
            .lines()
            .find_map(|line| {
                Some(line.trim().strip_prefix("\"network\": ")?.trim_end_matches(',').to_owned())
            })
            .unwrap();
        let node = |last: u8| DeclaredNode {
            address: format!("198.18.{network}.{last}"),
            port: 22,
            roles: vec![Role::Controller],
        };
        let cloud = Cloud {
            name: "lab".into(),
            flavour: Flavour::Debian,
            virtual_address: Some(format!("198.18.{network}.10")),
            package_source: "deb [trusted=yes] file:/srv/openstack/{release} ./".into(),
            backup_directory: "/var/backups/ostler".into(),
            nodes: [("ctl1", 11), ("ctl2", 12), ("ctl3", 13)]
                .map(|(name, last)| (HostName::from(name), node(last)))
                .into(),
        };
        let access = SshAccess {
            user: "ostler".into(),
            key: directory.join("id_ed25519"),
            known_hosts: directory.join("known_hosts"),
        };
        let catalogue = Arc::new(Catalogue::embedded().unwrap());
        let run = RunId::new(format!(
            "test{}",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
        ));
        Lab { nodes: SshNodes::new(cloud.clone(), catalogue, access), cloud, directory, run }
    }

    pub(crate) fn job(&self, step: &str, host: &str, limit_s: u32, does: Does) -> Job {
        Job {
            run: self.run.clone(),
            step: StepId::from(step),
            attempt: 1,
            does,
            on: Target::Node(HostName::from(host)),
            limit_s,
            by: None,
        }
    }

    pub(crate) async fn settle(&self, job: &Job) -> Outcome {
        self.nodes.begin(job).await.unwrap_or_else(|why| panic!("{}: {why:?}", job.step));
        self.nodes.settle(job).await
    }

    pub(crate) async fn done(&self, step: &str, host: &str, does: Does) -> Facts {
        let job = self.job(step, host, 120, does);
        let begun = Instant::now();
        match self.settle(&job).await {
            Outcome::Done { facts } => {
                eprintln!("{step} on {host}: {} ms {facts:?}", begun.elapsed().as_millis());
                // Who asks again hears the same.
                assert!(matches!(self.nodes.settle(&job).await, Outcome::Done { .. }));
                facts
            }
            other => panic!("{step} on {host}: {other:?}"),
        }
    }

    pub(crate) async fn not_done(&self, step: &str, host: &str, does: Does) -> String {
        match self.settle(&self.job(step, host, 60, does)).await {
            Outcome::NotDone { why } => {
                eprintln!("{step} on {host}: {why:?}");
                why.what
            }
            other => panic!("{step} on {host}: {other:?}"),
        }
    }

    pub(crate) async fn see(&self, facts: &[Fact]) -> Inventory {
        let hosts: Vec<HostName> = self.cloud.nodes.keys().cloned().collect();
        self.nodes.survey(&hosts, facts).await
    }

    pub(crate) fn keystone(&self) -> KeystoneCloud {
        let entry = self.directory.file_name().unwrap().to_str().unwrap();
        KeystoneCloud::new(&self.cloud, &self.directory.join("clouds.yaml"), entry, self.nodes.connections())
            .unwrap()
    }
}

fn node<'a>(inventory: &'a Inventory, host: &str) -> &'a Node {
    inventory.fresh(&HostName::from(host)).unwrap_or_else(|| panic!("{:?}", inventory.nodes))
}

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| HostName::from(*name)).collect()
}

fn all() -> Vec<HostName> {
    hosts(&["ctl1", "ctl2", "ctl3"])
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn calls() -> Vec<Call> {
    let list = |path: &str, key: &str| Call::List { path: path.into(), key: key.into() };
    vec![
        Call::IssueToken {},
        Call::ValidateToken {},
        list("/v3/users", "users"),
        list("/v3/projects", "projects"),
    ]
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_survey_sees_everything() {
    let lab = Lab::open();
    for facts in [&Fact::ALL[..], &Fact::ALL[..], &[Fact::Galera], &[Fact::Proxy], &[Fact::System]] {
        let begun = Instant::now();
        let inventory = lab.see(facts).await;
        eprintln!("{facts:?}: {} ms", begun.elapsed().as_millis());
        assert_eq!(inventory.gaps, []);
        if facts.len() == Fact::ALL.len() {
            eprintln!("{:#?}", node(&inventory, "ctl1"));
        }
    }
    let inventory = lab.see(&Fact::ALL).await;
    for host in ["ctl1", "ctl2", "ctl3"] {
        let node = node(&inventory, host);
        let galera = node.galera.as_ref().unwrap();
        assert_eq!(
            (galera.cluster_status.as_str(), galera.cluster_size, galera.local_state, galera.ready),
            ("Primary", 3, 4, true)
        );
        assert_eq!(node.packages["keystone"].status, "ii");
        assert!(node.units["keystone.service"].started > 0 && node.packages["keystone"].unpacked > 0);
        assert_eq!(
            node.proxy
                .as_ref()
                .unwrap()
                .iter()
                .filter(|server| server.backend == "keystone" && server.serves())
                .count(),
            3
        );
        assert!(node.cache.as_ref().unwrap().answers && node.clock.unwrap().offset_ms.abs() < 1000);
        assert_eq!(node.schemas["keystone"].len(), 2);
        assert_eq!(node.files["/etc/keystone/keystone.conf"].changed_by_hand, Some(true));
        assert!(
            node.files.contains_key("/etc/keystone/fernet-keys")
                && node.disks.contains_key("/var/backups/ostler")
        );
    }
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn keystone_answers_through_every_way_in() {
    let lab = Lab::open();
    let cloud = lab.keystone();
    let ways = [
        Through::Front { port: 5000 },
        Through::Backend { host: HostName::from("ctl1"), port: 5000 },
        Through::Backend { host: HostName::from("ctl2"), port: 5000 },
    ];
    for way in &ways {
        let begun = Instant::now();
        let called = cloud.call(way, &calls()).await.unwrap();
        eprintln!("{way:?}: {called:?} in {} ms", begun.elapsed().as_millis());
        assert_eq!(called.calls, 4);
    }
    let missing = [Call::List { path: "/v3/unheard-of".into(), key: "users".into() }];
    let why = cloud.call(&ways[1], &missing).await.unwrap_err();
    assert!(why.what.contains("404") && why.what.contains("ctl1"), "{why:?}");
    let why = cloud
        .call(&Through::Backend { host: HostName::from("ctl1"), port: 5999 }, &calls())
        .await
        .unwrap_err();
    assert!(why.what.contains("5999"), "{why:?}");
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_backup_is_made_and_proved() {
    let lab = Lab::open();
    let set = BackupSet {
        directory: "/var/backups/ostler".into(),
        files: texts(&["/etc/keystone"]),
        databases: texts(&["keystone"]),
    };
    lab.done("backup", "ctl1", Does::BackUp { set: set.clone() }).await;
    lab.done("prove", "ctl1", Does::ProveBackup { set }).await;
    let set = BackupSet {
        directory: "/var/backups/ostler".into(),
        files: texts(&["/etc/keystone"]),
        databases: Vec::new(),
    };
    lab.done("backup-files", "ctl2", Does::BackUp { set: set.clone() }).await;
    lab.done("prove-files", "ctl2", Does::ProveBackup { set }).await;
    let set = BackupSet {
        directory: "/var/backups/ostler".into(),
        files: texts(&["/etc/unheard-of"]),
        databases: Vec::new(),
    };
    assert!(lab.not_done("backup-none", "ctl3", Does::BackUp { set }).await.contains("/etc/unheard-of"));
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_server_leaves_and_returns() {
    let lab = Lab::open();
    let drain = |server: &str| Does::Drain {
        backend: "keystone".into(),
        server: server.into(),
        through: all(),
        patience_s: 10,
        last: false,
    };
    let enable =
        |server: &str| Does::Enable { backend: "keystone".into(), server: server.into(), through: all() };
    lab.done("drain1", "ctl1", drain("ctl1")).await;
    lab.done("drain2", "ctl2", drain("ctl2")).await;
    let job = lab.job("drain3", "ctl3", 30, drain("ctl3"));
    let why = lab.nodes.begin(&job).await.unwrap_err();
    assert!(why.what.contains("last server"), "{why:?}");
    assert!(matches!(lab.nodes.settle(&job).await, Outcome::NotDone { .. }));
    lab.done("stop1", "ctl1", Does::StopUnits { units: texts(&["keystone.service"]) }).await;
    let begun = Instant::now();
    let job = lab.job("enable1-dead", "ctl1", 5, enable("ctl1"));
    let Outcome::NotDone { why } = lab.settle(&job).await else { panic!() };
    eprintln!("{why:?} {} ms", begun.elapsed().as_millis());
    lab.done(
        "start1",
        "ctl1",
        Does::StartUnits { units: texts(&["keystone.service"]), packages: Vec::new() },
    )
    .await;
    lab.done("enable1", "ctl1", enable("ctl1")).await;
    lab.done("enable2", "ctl2", enable("ctl2")).await;
    assert!(
        lab.not_done(
            "start-none",
            "ctl1",
            Does::StartUnits { units: texts(&["unheard-of.service"]), packages: Vec::new() }
        )
        .await
        .contains("unheard-of")
    );
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn configuration_is_staged_applied_and_restored() {
    let lab = Lab::open();
    let file = "/etc/keystone/keystone.conf";
    let set = BackupSet {
        directory: "/var/backups/ostler".into(),
        files: texts(&["/etc/keystone"]),
        databases: Vec::new(),
    };
    lab.done("backup", "ctl2", Does::BackUp { set }).await;
    let before = node(&lab.see(&[Fact::Files]).await, "ctl2").files[file].sha256.clone();
    let edits = vec![ConfigEdit::Set {
        section: "ostler_test".into(),
        option: "a".into(),
        value: "$HOME 100% 'b'".into(),
    }];
    lab.done("stage", "ctl2", Does::StageConfig { files: BTreeMap::from([(file.to_owned(), edits)]) }).await;
    assert_eq!(node(&lab.see(&[Fact::Files]).await, "ctl2").files[file].sha256, before);
    lab.done("apply", "ctl2", Does::ApplyConfig { files: texts(&[file]) }).await;
    assert_ne!(node(&lab.see(&[Fact::Files]).await, "ctl2").files[file].sha256, before);
    lab.done(
        "restore",
        "ctl2",
        Does::RestoreFiles { from: None, directory: "/var/backups/ostler".into(), files: texts(&[file]) },
    )
    .await;
    assert_eq!(node(&lab.see(&[Fact::Files]).await, "ctl2").files[file].sha256, before);
    assert!(
        lab.not_done("apply-none", "ctl3", Does::ApplyConfig { files: texts(&[file]) })
            .await
            .contains("nothing is staged")
    );
    let files = BTreeMap::from([("/etc/unheard-of.conf".to_owned(), Vec::new())]);
    assert!(
        lab.nodes
            .begin(&lab.job("stage-none", "ctl3", 30, Does::StageConfig { files }))
            .await
            .unwrap_err()
            .what
            .contains("/etc/unheard-of.conf")
    );
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn an_attempt_that_was_never_started_can_never_start_after_it_was_asked_about() {
    let lab = Lab::open();
    let job = lab.job("tombstone", "ctl1", 30, Does::StopUnits { units: texts(&["keystone.service"]) });
    let Outcome::NotDone { why } = lab.nodes.settle(&job).await else { panic!() };
    assert!(why.what.contains("never started"), "{why:?}");
    assert!(lab.nodes.begin(&job).await.unwrap_err().what.contains("given up"));
    let next = Job {
        attempt: 2,
        does: Does::StartUnits { units: texts(&["keystone.service"]), packages: Vec::new() },
        ..job
    };
    assert!(matches!(lab.settle(&next).await, Outcome::Done { .. }));
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_step_whose_name_begins_with_anothers_runs_beside_it_and_its_own_attempts_do_not() {
    let lab = Lab::open();
    let takes = |seconds: &str| Does::Advise {
        argv: texts(&["sleep", seconds]),
        user: "keystone".into(),
        reading: Reading { ok: vec![0], advice: vec![1], blocking_texts: Vec::new() },
    };
    let long = lab.job("wait-longer", "ctl1", 60, takes("5"));
    lab.nodes.begin(&long).await.unwrap();
    let short = lab.job("wait", "ctl1", 60, takes("0"));
    assert!(matches!(lab.settle(&short).await, Outcome::Done { .. }));
    let again = Job { attempt: 2, ..long.clone() };
    assert!(lab.nodes.begin(&again).await.unwrap_err().what.contains("still running"));
    assert!(matches!(lab.nodes.settle(&long).await, Outcome::Done { .. }));
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn trivial_steps_cost_little() {
    let lab = Lab::open();
    lab.see(&[Fact::System]).await;
    for round in 0..5 {
        let job = lab.job(
            &format!("trivial{round}"),
            "ctl1",
            30,
            Does::StartUnits { units: texts(&["memcached.service"]), packages: Vec::new() },
        );
        let begun = Instant::now();
        lab.nodes.begin(&job).await.unwrap();
        let started = begun.elapsed().as_millis();
        assert!(matches!(lab.nodes.settle(&job).await, Outcome::Done { .. }));
        eprintln!("begin {started} ms, in all {} ms", begun.elapsed().as_millis());
    }
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn checks_are_read() {
    let lab = Lab::open();
    let reading = Reading { ok: vec![0], advice: vec![1], blocking_texts: Vec::new() };
    let check =
        |argv: &[&str]| Does::Advise { argv: texts(argv), user: "keystone".into(), reading: reading.clone() };
    lab.done("doctor", "ctl1", check(&["keystone-manage", "doctor"])).await;
    assert!(
        lab.not_done("usage", "ctl1", check(&["keystone-manage", "doctor", "--unheard-of"]))
            .await
            .contains("usage")
    );
}

pub(crate) fn install(release: &str, version: &str) -> Does {
    Does::Install {
        source: format!("deb [trusted=yes] file:/srv/openstack/{release} ./"),
        packages: BTreeMap::from([("keystone".to_owned(), version.to_owned())]),
        presets: texts(&["keystone keystone/configure_db boolean false"]),
    }
}

fn fetch(release: &str, version: &str) -> Does {
    Does::Fetch {
        source: format!("deb [trusted=yes] file:/srv/openstack/{release} ./"),
        packages: BTreeMap::from([("keystone".to_owned(), version.to_owned())]),
    }
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn packages_are_fetched_and_installed() {
    let lab = Lab::open();
    let ctl3 = HostName::from("ctl3");
    let packages = texts(&["keystone", "unheard-of"]);
    let offered = lab
        .nodes
        .available(&ctl3, "deb [trusted=yes] file:/srv/openstack/2025.1 ./", &packages)
        .await
        .unwrap();
    assert_eq!(offered, BTreeMap::from([("keystone".to_owned(), texts(&["27.1.0"]))]));
    let why = lab
        .nodes
        .available(&ctl3, "deb [trusted=yes] file:/srv/openstack/1999.1 ./", &packages)
        .await
        .unwrap_err();
    assert!(why.what.contains("1999.1"), "{why:?}");
    assert!(
        lab.not_done("fetch-none", "ctl3", fetch("2025.1", "99.0.0"))
            .await
            .contains("keystone 99.0.0 is not in")
    );
    assert!(
        lab.not_done("fetch-nowhere", "ctl3", fetch("1999.1", "27.1.0")).await.contains("cannot be read")
    );
    assert!(
        lab.not_done("install-none", "ctl3", install("2025.1", "99.0.0"))
            .await
            .contains("keystone 99.0.0 is not in")
    );
    lab.done("fetch", "ctl3", fetch("2025.1", "27.1.0")).await;
    let before = lab.see(&[Fact::Packages, Fact::Units]).await;
    assert!(node(&before, "ctl3").packages["keystone"].version.contains("25.0.0"));
    lab.done("install", "ctl3", install("2025.1", "27.1.0")).await;
    let after = lab.see(&[Fact::Packages, Fact::Units]).await;
    let (was, is) =
        (&node(&before, "ctl3").units["keystone.service"], &node(&after, "ctl3").units["keystone.service"]);
    assert!(node(&after, "ctl3").packages["keystone"].version.contains("27.1.0"));
    assert_eq!((was.main_pid, was.started), (is.main_pid, is.started), "it was restarted");
    assert!(is.started < node(&after, "ctl3").packages["keystone"].unpacked);
    lab.done("back", "ctl3", install("2024.1", "25.0.0")).await;
}

fn heads(expand: &str) -> Vec<String> {
    ostler_model::catalogue::sorted([expand.to_owned(), "c88cdce8f248".to_owned()])
}

fn schema(before: Vec<String>, after: Vec<String>) -> Does {
    Does::Schema {
        phase: "expand".into(),
        argv: texts(&["keystone-manage", "db_sync", "--expand"]),
        user: "keystone".into(),
        database: "keystone".into(),
        before,
        after,
    }
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_schema_goes_forward_and_comes_back_from_an_isolated_node() {
    let lab = Lab::open();
    let (old, new) = (heads("47147121"), heads("742c857f1dfb"));
    let directory = "/var/backups/ostler".to_owned();
    let set = BackupSet { directory: directory.clone(), files: Vec::new(), databases: texts(&["keystone"]) };
    lab.done("backup", "ctl1", Does::BackUp { set }).await;
    assert!(
        lab.not_done("expand-wrong", "ctl1", schema(new.clone(), heads("zzz")))
            .await
            .contains("nothing was run")
    );
    lab.done("expand-none", "ctl1", schema(heads("zzz"), old.clone())).await;
    let lied = lab.not_done("expand-old", "ctl1", schema(old.clone(), new.clone())).await;
    assert!(lied.contains("said that it succeeded"), "{lied}");

    lab.done("isolate", "ctl3", Does::IsolateDatabase { members: all() }).await;
    let why = lab
        .nodes
        .begin(&lab.job("isolate2", "ctl2", 30, Does::IsolateDatabase { members: all() }))
        .await
        .unwrap_err();
    assert!(why.what.contains("ctl3"), "{why:?}");
    lab.done("install", "ctl1", install("2026.1", "29.1.0")).await;
    lab.done("expand", "ctl1", schema(old.clone(), new.clone())).await;

    let extract = |heads: &[String]| Does::ExtractSchema {
        database: "keystone".into(),
        directory: directory.clone(),
        heads: heads.to_vec(),
    };
    assert!(lab.not_done("extract-running", "ctl1", extract(&new)).await.contains("not isolated"));
    assert!(lab.not_done("extract-wrong", "ctl3", extract(&new)).await.contains("47147121"));
    lab.done("extract", "ctl3", extract(&old)).await;
    let load = |from: &str| Does::LoadSchema {
        database: "keystone".into(),
        from: HostName::from(from),
        directory: directory.clone(),
        heads: old.clone(),
    };
    let why = lab.nodes.begin(&lab.job("load-none", "ctl1", 30, load("ctl2"))).await.unwrap_err();
    eprintln!("{why:?}");
    lab.done("load", "ctl1", load("ctl3")).await;
    assert_eq!(node(&lab.see(&[Fact::Schemas]).await, "ctl2").schemas["keystone"], old);
    let facts = lab.done("rejoin", "ctl3", Does::RejoinDatabase { members: all() }).await;
    assert_eq!(facts["by"], "IST");
    assert_eq!(node(&lab.see(&[Fact::Schemas]).await, "ctl3").schemas["keystone"], old);

    lab.done("expand-again", "ctl1", schema(old.clone(), new.clone())).await;
    let restore = Does::RestoreSchema {
        database: "keystone".into(),
        from: lab.run.clone(),
        directory,
        heads: old.clone(),
    };
    lab.done("restore", "ctl1", restore).await;
    lab.done("back", "ctl1", install("2024.1", "25.0.0")).await;
    assert_eq!(node(&lab.see(&[Fact::Schemas]).await, "ctl3").schemas["keystone"], old);
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_cluster_begins_anew_from_an_isolated_node() {
    let lab = Lab::open();
    let wipe = || Does::WipeDatabase { members: all() };
    lab.done("isolate", "ctl3", Does::IsolateDatabase { members: all() }).await;
    let why = lab
        .nodes
        .begin(&lab.job("bootstrap-early", "ctl3", 60, Does::BootstrapDatabase {}))
        .await
        .unwrap_err();
    assert!(why.what.contains("living"), "{why:?}");
    lab.done("stop1", "ctl1", Does::StopDatabase {}).await;
    lab.done("stop2", "ctl2", Does::StopDatabase {}).await;
    let why = lab.nodes.begin(&lab.job("wipe-early", "ctl1", 60, wipe())).await.unwrap_err();
    assert!(why.what.contains("no other node"), "{why:?}");
    lab.done("bootstrap", "ctl3", Does::BootstrapDatabase {}).await;
    lab.done("wipe1", "ctl1", wipe()).await;
    lab.done("wipe2", "ctl2", wipe()).await;
    let facts = lab.done("rejoin1", "ctl1", Does::RejoinDatabase { members: all() }).await;
    assert_eq!(facts["by"], "SST");
    lab.done("rejoin2", "ctl2", Does::RejoinDatabase { members: all() }).await;
    let seen = lab.see(&[Fact::Galera, Fact::Units]).await;
    for host in ["ctl1", "ctl2", "ctl3"] {
        assert_eq!(node(&seen, host).galera.as_ref().unwrap().cluster_size, 3);
        assert_eq!(node(&seen, host).units["mariadb.service"].enabled, "enabled", "{host}");
    }
}
