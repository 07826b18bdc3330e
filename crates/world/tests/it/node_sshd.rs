//! SSH against a real OpenSSH server: who is trusted, who may log in, and what is said when something is wrong.

use super::node_sshd_server::Sshd;
use ostler_engine::seam::Nodes as _;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::event::{Outcome, Why};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::inventory::{Fact, Seen};
use ostler_model::step::{Does, Job, Target};
use ostler_world::node::{Lines, LogQuery, SshAccess, SshNodes};
use std::sync::Arc;
use std::time::Instant;

fn nodes(sshd: &Sshd, port: u16, user: &str) -> SshNodes {
    nodes_with_key(sshd, port, user, "id")
}

fn nodes_with_key(sshd: &Sshd, port: u16, user: &str, key: &str) -> SshNodes {
    let node = DeclaredNode { address: "127.0.0.1".into(), port, roles: vec![Role::Controller] };
    let cloud = Cloud {
        name: "test".into(),
        flavour: Flavour::Debian,
        virtual_address: None,
        package_source: String::new(),
        backup_directory: "/var/backups/ostler".into(),
        nodes: [(HostName::from("ctl1"), node)].into(),
    };
    let access = SshAccess { user: user.into(), key: sshd.path(key), known_hosts: sshd.path("known_hosts") };
    SshNodes::new(cloud, Arc::new(Catalogue::embedded().unwrap()), access)
}

fn job() -> Job {
    Job {
        run: RunId::from("run"),
        step: StepId::from("step"),
        attempt: 1,
        does: Does::StartUnits { units: vec!["a.service".into()], packages: Vec::new() },
        on: Target::Node(HostName::from("ctl1")),
        limit_s: 10,
        by: None,
    }
}

/// Why a step cannot even begin; whoever settles it then must not know more.
async fn refusal(nodes: &SshNodes) -> Why {
    let why = nodes.begin(&job()).await.unwrap_err();
    assert!(matches!(nodes.settle(&job()).await, Outcome::Unknown { .. }));
    eprintln!("{why:?}");
    why
}

/// How often a server is started: its port may be taken between being found free and being used.
const STARTS_MAX: usize = 3;

fn sshd() -> Sshd {
    let started = (0..STARTS_MAX).find_map(|_| Sshd::start());
    started.expect("these tests need root and openssh-server: `./test` installs it")
}

#[tokio::test]
async fn a_known_host_is_looked_at_over_one_connection() {
    let sshd = sshd();
    let nodes = nodes(&sshd, sshd.port, "root");
    for _ in 0..3 {
        let begun = Instant::now();
        let seen = nodes.survey(&[HostName::from("ctl1")], &[Fact::System]).await;
        eprintln!("{} ms", begun.elapsed().as_millis());
        let node = seen.fresh(&HostName::from("ctl1")).unwrap();
        assert!(node.clock.unwrap().offset_ms.abs() <= node.clock.unwrap().doubt_ms + 1);
        assert!(node.disks.contains_key("/") && !node.boot_id.is_empty());
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_and_not_learnt() {
    let sshd = sshd();
    std::fs::write(sshd.path("known_hosts"), "# nobody\n").unwrap();
    let why = refusal(&nodes(&sshd, sshd.port, "root")).await;
    let file = sshd.path("known_hosts").display().to_string();
    assert!(why.what.contains(&file) && why.what.contains("SHA256:"), "{why}");
    assert!(why.hint.unwrap().contains(&format!("ssh-keyscan -p {} 127.0.0.1 >> {file}", sshd.port)));
    assert_eq!(std::fs::read_to_string(sshd.path("known_hosts")).unwrap(), "# nobody\n");
    std::fs::remove_file(sshd.path("known_hosts")).unwrap();
    assert!(refusal(&nodes(&sshd, sshd.port, "root")).await.what.contains("nobody vouches"));
    assert!(!sshd.path("known_hosts").exists());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_loudly_and_not_learnt() {
    let sshd = sshd();
    sshd.other_key();
    sshd.trust("other.pub");
    let before = std::fs::read_to_string(sshd.path("known_hosts")).unwrap();
    let why = refusal(&nodes(&sshd, sshd.port, "root")).await;
    assert!(why.what.contains("HAS CHANGED") && why.what.contains("line 2"), "{why}");
    assert_eq!(std::fs::read_to_string(sshd.path("known_hosts")).unwrap(), before);
}

#[tokio::test]
async fn nobody_listens() {
    let sshd = sshd();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nodes = nodes(&sshd, free, "root");
    let why = refusal(&nodes).await;
    assert_eq!(why.what, format!("ctl1 does not answer on 127.0.0.1:{free}: the connection was refused"));
    let seen = nodes.survey(&[HostName::from("ctl1")], &[Fact::System]).await;
    assert!(
        matches!(&seen.nodes[&HostName::from("ctl1")], Seen::Unreachable { why } if why.contains("refused"))
    );
}

#[tokio::test]
async fn an_account_that_may_not_become_root_is_told_what_to_do() {
    let sshd = sshd();
    let why = refusal(&nodes(&sshd, sshd.port, "tester")).await;
    assert!(why.what.contains("tester may not become root on ctl1"), "{why}");
    assert!(why.hint.unwrap().contains("tester ALL=(ALL:ALL) NOPASSWD: ALL"));
}

#[tokio::test]
async fn an_account_without_a_shell_is_told_what_to_do() {
    let sshd = sshd();
    let why = refusal(&nodes(&sshd, sshd.port, "nobody")).await;
    assert!(why.what.contains("did not run a script for nobody"), "{why}");
    assert!(why.hint.unwrap().contains("usermod --shell /bin/sh nobody"));
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_kind_of_key_are_named() {
    let sshd = sshd();
    std::fs::write(sshd.path("authorized"), "").unwrap();
    let why = refusal(&nodes(&sshd, sshd.port, "root")).await;
    assert!(why.what.contains("does not let root log in") && why.hint.unwrap().contains("authorized_keys"));
    for (file, words) in [("authorized", "not an OpenSSH private key"), ("missing", "cannot be read")] {
        let nodes = nodes_with_key(&sshd, sshd.port, "root", file);
        let why = refusal(&nodes).await;
        assert!(why.what.contains(words), "{why}");
    }
}

/// What a node pours of one log, unpacked.
async fn poured(sshd: &Sshd, lines: Lines) -> String {
    let connections = nodes(sshd, sshd.port, "root").connections();
    let (log, into) = (sshd.path("nova-compute.log"), sshd.path("poured"));
    let text = "\
2026-11-21 18:40:02.114 1 INFO nova.x [-] port 3871bf29 is up
2026-11-21 18:40:03.114 1 ERROR nova.x [-] it broke
2026-11-21 18:40:03.114 1 ERROR nova.x Traceback (most recent call last):
2026-11-21 18:40:04.114 1 WARNING nova.x [-] it is slow
";
    std::fs::write(&log, text).unwrap();
    let query = LogQuery {
        paths: vec![log.display().to_string(), "/nowhere/at/all".into()],
        journal: false,
        since_s: 0,
        lines,
        mark: "MARK".into(),
    };
    let clock = connections.pour_logs(&HostName::from("ctl1"), &query, &into).await.unwrap();
    assert!(clock.ahead_us.abs() <= clock.within_us + 1_000, "{clock:?}");
    let unpack = format!("tail -n +3 {} | gzip -dc", into.display());
    let output = std::process::Command::new("sh").args(["-c", &unpack]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\nMARK\tfile\t") && said.contains("\nMARK\tmissing\t/nowhere/at/all"), "{said}");
    assert!(said.ends_with("\nMARK\tend\n"), "{said}");
    said
}

#[tokio::test]
async fn a_node_gives_the_lines_that_are_wanted() {
    let sshd = sshd();
    let errors = poured(&sshd, Lines::Errors).await;
    assert!(errors.contains("it broke") && !errors.contains("is up"), "{errors}");
    let with = poured(&sshd, Lines::With(vec!["3871bf29".into(), "a'b;c".into()])).await;
    assert!(with.contains("is up"), "{with}");
    let all = poured(&sshd, Lines::All).await;
    assert!(all.contains("is up") && all.contains("it is slow"), "{all}");
}
