//! Commands against a real sshd on this machine.

use super::super::ssh::{Connections, SshAccess};
use super::*;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour};
use proptest::prelude::*;
use sshd::Sshd;

#[path = "../../tests/it/node_sshd_server.rs"]
mod sshd;

#[test]
fn plain_words_stay_readable() {
    assert_eq!(quote("/etc/keystone/keystone.conf"), "/etc/keystone/keystone.conf");
    assert_eq!(quote(""), "''");
    assert_eq!(quote("it's"), r"'it'\''s'");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_shell_gives_every_word_back(words in proptest::collection::vec("[^\0\r]{0,20}", 1..5)) {
        let line: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(format!("printf '%s\\0' {}", line.join(" "))).output().unwrap();
        let back: Vec<String> = String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect();
        prop_assert_eq!(back, words);
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn connections(sshd: &Sshd) -> Connections {
    let node = || DeclaredNode { address: "127.0.0.1".into(), port: sshd.port, roles: Vec::new() };
    let cloud = Cloud {
        name: "test".into(),
        flavour: Flavour::Debian,
        virtual_address: None,
        package_source: String::new(),
        backup_directory: String::new(),
        nodes: [(HostName::from("a"), node()), (HostName::from("b"), node())].into(),
    };
    Connections::new(
        &cloud,
        SshAccess { user: "root".into(), key: sshd.path("id"), known_hosts: sshd.path("known_hosts") },
    )
}

fn sshd() -> Sshd {
    Sshd::start().expect("these tests need root and openssh-server: `./test` installs it")
}

async fn command(connections: &Connections, command: &str, input: &[u8]) -> Result<Answer, ShellError> {
    connections.command(&HostName::from("a"), "a trial", command, input, LIMIT).await
}

#[tokio::test]
async fn a_command_gets_its_input_and_its_answer_comes_back() {
    let sshd = sshd();
    let connections = connections(&sshd);
    let input: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let answer = command(&connections, "cat; echo complaint >&2; exit 7", &input).await.unwrap();
    assert!(answer.output == input);
    assert_eq!((answer.status, answer.complaint()), (Some(7), "complaint".to_owned()));
    // A command that does not want its input ends all the same.
    assert_eq!(command(&connections, "exit 3", &input).await.unwrap().status, Some(3));
}

#[tokio::test]
async fn commands_share_one_connection_and_cost_little() {
    let sshd = sshd();
    let connections = connections(&sshd);
    command(&connections, "true", b"").await.unwrap();
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        command(&connections, "true", b"").await.unwrap();
    }
    eprintln!("{} us a command", begun.elapsed().as_micros() / 20);
    let many = (0..30).map(|_| command(&connections, "sleep 0.05", b""));
    assert!(
        futures_util::future::join_all(many)
            .await
            .iter()
            .all(|answer| answer.as_ref().unwrap().status == Some(0))
    );
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let sshd = sshd();
    let connections = connections(&sshd);
    let error = command(&connections, "yes", b"").await.unwrap_err();
    assert!(matches!(error, ShellError::TooMuch { .. }) && error.may_have_acted(), "{error}");
    let answer = command(&connections, "yes | head -c 100000 >&2", b"").await.unwrap();
    assert_eq!(answer.complaints.len(), COMPLAINT_BYTES_MAX);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_doubt_and_the_next_command_gets_a_new_one() {
    let sshd = sshd();
    let connections = connections(&sshd);
    let error = command(&connections, "kill -9 $PPID; sleep 5", b"").await.unwrap_err();
    assert!(error.may_have_acted(), "{error}");
    assert_eq!(command(&connections, "exit 4", b"").await.unwrap().status, Some(4));
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up() {
    let sshd = sshd();
    let connections = connections(&sshd);
    let limit = Duration::from_millis(300);
    let error =
        connections.command(&HostName::from("a"), "a trial", "sleep 10", b"", limit).await.unwrap_err();
    assert!(error.may_have_acted() && error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_file_is_copied_whole_or_not_at_all() {
    let sshd = sshd();
    let connections = connections(&sshd);
    let (a, b) = (HostName::from("a"), HostName::from("b"));
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number >> 3).to_le_bytes()[0]).collect();
    // Both hosts are this machine: what is copied onto itself by way of a second name stays whole.
    let path = sshd.path("it's a file").display().to_string();
    std::fs::write(&path, &content).unwrap();
    assert_eq!(connections.copy_file(&a, &b, &path, LIMIT).await.unwrap(), 3_000_000);
    assert!(std::fs::read(&path).unwrap() == content);
    let missing = sshd.path("missing").display().to_string();
    let error = connections.copy_file(&a, &b, &missing, LIMIT).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    assert!(!sshd.path("missing").exists());
}
