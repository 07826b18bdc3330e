//! `ostler power`: what is said of machines whose power can, cannot and must not be switched.

use crate::environment::Home;

#[test]
fn a_machine_is_switched_by_the_means_that_is_declared() {
    let home = Home::empty();
    let state = home.path("status");
    std::fs::write(&state, "on").unwrap();
    home.write("ostler.toml", settings(&state.display().to_string()));
    let mut page = String::new();
    let mut say = |words: &str, power: &str| {
        page.push_str(&format!("$ ostler {words}\n{}\n\n", mask(&home.says(words)).trim_end()));
        assert_eq!(std::fs::read_to_string(&state).unwrap().trim(), power, "{words}");
    };
    say("power state cmp1", "on");
    say("power off cmp1", "on");
    say("power off cmp1 --dry-run", "on");
    say("power off cmp1 --yes", "off");
    say("power state cmp1", "off");
    say("power off cmp2 --yes", "off");
    say("power off cmp3 --yes", "off");
    say("power off cmp4 --yes", "off");
    say("power on cmp1", "on");
    say("power state", "on");
    insta::assert_snapshot!(page);
}

/// Without the seconds that it took.
fn mask(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        if words[at].starts_with("s:") {
            words[at - 1] = "N".to_owned();
        }
    }
    words.join(" ")
}

fn settings(state: &str) -> String {
    format!(
        r#"
[clouds.lab]
clouds-yaml = "clouds.yaml"
ssh = {{ user = "u", key = "k", known-hosts = "h" }}
packages = {{ source = "deb http://x/{{release}} ./" }}

[clouds.lab.nodes.ctl1]
address = "192.0.2.1"
roles = ["controller"]

[clouds.lab.power]
use = ["agent"]

[clouds.lab.power.means.agent]
kind = "fence-agent"
program = "fence_dummy"
options = {{ type = "file", status_file = "{state}" }}

[clouds.lab.power.hosts.cmp1]

[clouds.lab.power.hosts.cmp2]
do-not-fence = "it runs a monitor of Ceph"

[clouds.lab.power.hosts.cmp3]
use = ["none"]
"#
    )
}
