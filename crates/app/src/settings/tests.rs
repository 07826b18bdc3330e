//! Reading `ostler.toml`: what is good is understood, what is not is shown with its place.

use super::*;
use ostler_model::cloud::Role;

const GOOD: &str = r#"
[clouds.lab]
clouds-yaml = "clouds.yaml"
flavour = "debian"
virtual-address = "198.18.7.10"

[clouds.lab.ssh]
user = "ostler"
key = "id_ed25519"
known-hosts = "/etc/ostler/known_hosts"

[clouds.lab.packages]
source = "deb [trusted=yes] file:/srv/openstack/{release} ./"

[clouds.lab.upgrade]
soak = "5s"
strategy = "zero-downtime"

[clouds.lab.nodes.ctl1]
address = "198.18.7.11"
roles = ["controller"]
"#;

fn parse(text: &str) -> Result<Settings, Failure> {
    Settings::parse(Path::new("/site/ostler.toml"), text)
}

fn refused(find: &str, replace: &str) -> String {
    assert!(GOOD.contains(find), "{find}");
    parse(&GOOD.replacen(find, replace, 1)).unwrap_err().to_string()
}

#[test]
fn a_good_file_is_understood_and_paths_are_relative_to_it() {
    let settings = parse(GOOD).unwrap();
    let lab = settings.cloud(None).unwrap();
    assert_eq!(lab.clouds_yaml, Path::new("/site/clouds.yaml"));
    assert_eq!(lab.clouds_entry, "lab");
    assert_eq!(lab.ssh_key, Path::new("/site/id_ed25519"));
    assert_eq!(lab.known_hosts, Path::new("/etc/ostler/known_hosts"));
    assert_eq!((lab.soak_s, lab.strategy), (5, Some(Strategy::ZeroDowntime)));
    assert_eq!(lab.cloud.backup_directory, "/var/backups/ostler");
    assert_eq!(lab.cloud.with_role(Role::Controller), [HostName::new("ctl1")]);
    assert_eq!(lab.cloud.nodes[&HostName::new("ctl1")].port, 22);
}

#[test]
fn a_typo_in_a_key_is_shown_with_its_place_and_what_was_meant() {
    insta::assert_snapshot!(refused("known-hosts", "known-host"), @r#"
    error: /site/ostler.toml:10:1: there is no key `known-host` here
         |
      10 | known-host = "/etc/ostler/known_hosts"
         | ^^^^^^^^^^
    hint: did you mean `known-hosts`?
    hint: every key is explained in docs/ostler-toml.md
    "#);
}

#[test]
fn a_typo_in_a_value_is_shown_with_what_was_meant() {
    insta::assert_snapshot!(refused("[\"controller\"]", "[\"controler\"]"), @r#"
    error: /site/ostler.toml:21:10: `controler` is not possible here
         |
      21 | roles = ["controler"]
         |          ^^^^^^^^^^^
    hint: did you mean `controller`?
    hint: every key is explained in docs/ostler-toml.md
    "#);
    insta::assert_snapshot!(refused("zero-downtime", "no-downtime"), @r#"
    error: /site/ostler.toml:17:12: `no-downtime` is not possible here
         |
      17 | strategy = "no-downtime"
         |            ^^^^^^^^^^^^^
    hint: did you mean `zero-downtime`?
    hint: every key is explained in docs/ostler-toml.md
    "#);
}

#[test]
fn a_length_of_time_without_a_unit_is_refused() {
    insta::assert_snapshot!(refused("\"5s\"", "\"5\""), @r#"
    error: /site/ostler.toml:16:8: `5` is not a length of time; write `90s`, `10m`, `1h` or `1h30m`
         |
      16 | soak = "5"
         |        ^^^
    hint: every key is explained in docs/ostler-toml.md
    "#);
}

#[test]
fn a_missing_key_is_named() {
    insta::assert_snapshot!(refused("user = \"ostler\"\n", ""), @r"
    error: /site/ostler.toml:7:1: the key `user` is missing here
        |
      7 | [clouds.lab.ssh]
        | ^^^^^^^^^^^^^^^^
    hint: every key is explained in docs/ostler-toml.md
    ");
}

#[test]
fn what_is_no_toml_is_shown_with_its_place() {
    insta::assert_snapshot!(refused("user = \"ostler\"", "user = \"ostler"), @r#"
    error: /site/ostler.toml:8:15: invalid basic string, expected `"`
        |
      8 | user = "ostler
        |               ^
    hint: every key is explained in docs/ostler-toml.md
    "#);
}

#[test]
fn a_source_without_a_release_is_refused() {
    insta::assert_snapshot!(refused("{release}", "2024.1"), @r#"
    error: /site/ostler.toml:13:10: the package source says nowhere `{release}`
         |
      13 | source = "deb [trusted=yes] file:/srv/openstack/2024.1 ./"
         |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: it stands for the release, so that the same line leads to the next one
    "#);
}

#[test]
fn names_that_cannot_be_names_are_refused() {
    insta::assert_snapshot!(refused("nodes.ctl1", "nodes.\"Ctl 1\""), @r#"
    error: /site/ostler.toml:19:19: `Ctl 1` cannot be the name of a node
         |
      19 | [clouds.lab.nodes."Ctl 1"]
         |                   ^^^^^^^
    hint: a name has at most 63 characters of a-z, 0-9, `-`, `.` and `_`, and begins with a letter or digit
    "#);
}

#[test]
fn a_cloud_without_nodes_is_refused() {
    let text = GOOD.split("[clouds.lab.nodes").next().unwrap();
    insta::assert_snapshot!(parse(text).unwrap_err(), @r"
    error: /site/ostler.toml:2:9: cloud `lab` has no nodes
        |
      2 | [clouds.lab]
        |         ^^^
    hint: declare each: [clouds.lab.nodes.NAME] with `address` and `roles`
    ");
}

#[test]
fn an_unknown_cloud_is_answered_with_those_there_are() {
    let settings = parse(GOOD).unwrap();
    insta::assert_snapshot!(settings.cloud(Some("lap")).unwrap_err(), @r"
    error: there is no cloud `lap`
      /site/ostler.toml has: lab
    hint: did you mean `--cloud lab`?
    ");
    insta::assert_snapshot!(parse(&format!("default-cloud = \"lib\"\n{GOOD}")).unwrap_err(), @r#"
    error: /site/ostler.toml:1:17: there is no cloud `lib`
        |
      1 | default-cloud = "lib"
        |                 ^^^^^
    hint: did you mean `lab`?
    "#);
}

#[test]
fn no_text_makes_the_reader_panic() {
    for cut in 0..GOOD.len() {
        let _ = parse(&GOOD[..cut]);
        let _ = parse(&format!("{}\u{1f980}{}", &GOOD[..cut], &GOOD[cut..]));
    }
}

const POWER: &str = r#"
[clouds.lab.power]
use = ["bmc", "agent"]
limit = "40s"
before = [["/usr/local/bin/ceph-ok", "{host}"]]

[clouds.lab.power.means.bmc]
kind = "redfish"
address = "https://{bmc}"
user = "fence"
password-file = "bmc-password"

[clouds.lab.power.means.agent]
kind = "fence-agent"
program = "fence_ipmilan"
options = { ip = "{bmc}", lanplus = true, ipport = 623 }
limit = "20s"

[clouds.lab.power.hosts.cmp1]
bmc = "10.1.0.11"

[clouds.lab.power.hosts.cmp2]
use = ["manual"]
do-not-fence = "it runs a monitor of Ceph"
before = []
"#;

fn power_refused(find: &str, replace: &str) -> String {
    let text = format!("{GOOD}{POWER}");
    assert!(text.contains(find), "{find}");
    parse(&text.replacen(find, replace, 1)).unwrap_err().to_string()
}

#[test]
fn how_machines_are_switched_off_is_understood() {
    let settings = parse(&format!("{GOOD}{POWER}")).unwrap();
    let power = &settings.cloud(None).unwrap().power;
    let one = &power[&HostName::new("cmp1")];
    let seconds: Vec<_> =
        one.means.iter().map(|means| (means.name.as_str(), means.limit.as_secs())).collect();
    assert_eq!(seconds, [("bmc", 40), ("agent", 20)]);
    assert_eq!(one.before, [["/usr/local/bin/ceph-ok", "{host}"]]);
    let agent = format!("{:?}", one.means[1].how);
    assert!(agent.contains(r#""ip": "10.1.0.11""#) && agent.contains(r#""lanplus": "1""#), "{agent}");
    let two = &power[&HostName::new("cmp2")];
    assert_eq!((two.means.len(), two.do_not_fence.as_deref()), (1, Some("it runs a monitor of Ceph")));
    assert!(two.before.is_empty());
}

#[test]
fn a_compute_host_that_says_nothing_is_switched_as_all_are() {
    let text =
        format!("{GOOD}{POWER}").replace("[\"controller\"]", "[\"compute\"]").replace("{bmc}", "{host}-bmc");
    let settings = parse(&text).unwrap();
    assert_eq!(settings.cloud(None).unwrap().power[&HostName::new("ctl1")].means.len(), 2);
}

#[test]
fn mistakes_about_power_are_shown_with_their_place() {
    let said = [
        power_refused("use = [\"bmc\",", "use = [\"bcm\","),
        power_refused("kind = \"redfish\"", "kind = \"redfsh\""),
        power_refused("user = \"fence\"\n", ""),
        power_refused("user = \"fence\"", "user = \"fence\"\ncipher = 3"),
        power_refused("bmc = \"10.1.0.11\"\n", ""),
        power_refused("user = \"fence\"", "user = \"fence\"\ncertificate = \"abc\""),
        power_refused("https://{bmc}", "https://fence:hunter2@{bmc}"),
        power_refused("lanplus = true", "password = \"hunter2\""),
        power_refused("do-not-fence", "dont-fence"),
    ];
    insta::assert_snapshot!(said.join(
        "
"
    ));
}

const RECOVERY: &str = r#"
[serve]
auth = "noauth"
server-keys = ["server.key"]

[serve.recovery]
silent-after = "8s"

[serve.recovery.policy]
local-disks = "rebuild"
storm-hosts = 3
"#;

#[test]
fn what_is_not_said_of_a_recovery_is_as_the_documentation_says() {
    let settings = parse(&format!("{GOOD}{RECOVERY}")).unwrap();
    let recovery = settings.serve.unwrap().recovery.unwrap();
    assert_eq!(recovery.heartbeat_listen, ["0.0.0.0:15869".parse().unwrap()]);
    assert_eq!((recovery.silent_after.0, recovery.compute_process.as_str()), (8, "nova-compute"));
    let wanted = ostler_engine::ha::Policy {
        local_disks: ostler_engine::ha::LocalDisks::Rebuild,
        storm_hosts: 3,
        ..ostler_engine::ha::Policy::default()
    };
    assert_eq!(recovery.policy, wanted);
}

#[test]
fn a_server_without_that_table_recovers_nothing() {
    let (without, _) = RECOVERY.split_once("[serve.recovery]").unwrap();
    assert!(parse(&format!("{GOOD}{without}")).unwrap().serve.unwrap().recovery.is_none());
}

#[test]
fn heartbeats_that_nobody_could_believe_are_refused() {
    let text = RECOVERY
        .replace("server-keys = [\"server.key\"]\n", "")
        .replace("silent-after = \"8s\"", "heartbeat-listen = [\"0.0.0.0:15869\"]");
    let said = parse(&format!("{GOOD}{text}")).unwrap_err().to_string();
    assert!(
        said.contains("heartbeats cannot be believed without a key") && said.contains("server-keys"),
        "{said}"
    );
}
