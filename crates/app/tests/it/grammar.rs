//! What may be typed, and what is said about what may not.

use crate::environment::Home;

/// Every command, as its help is asked for.
const COMMANDS: &[&str] = &[
    "",
    "cloud",
    "cloud scan",
    "cloud show",
    "cloud check",
    "health",
    "health detail",
    "health mute",
    "health unmute",
    "health watch",
    "health collect",
    "explain",
    "upgrade",
    "upgrade plan",
    "upgrade run",
    "run",
    "run list",
    "run show",
    "run resume",
    "run approve",
    "run pause",
    "run abort",
    "run rollback",
    "logs",
    "logs errors",
    "logs trace",
    "logs merge",
    "logs gate",
    "logs rate",
    "logs tail",
    "power",
    "power state",
    "power off",
    "power on",
    "serve",
    "lab",
    "lab up",
    "lab down",
    "lab status",
    "lab ssh",
    "lab kill",
    "lab revive",
    "lab cut",
    "lab mend",
    "lab bmc",
    "lab hypervisor",
    "lab publish",
    "lab withdraw",
    "lab load",
    "bench",
    "bench upgrade",
    "bench rollback",
    "bench logs",
    "bench api",
    "bench fleet",
    "demo",
];

#[test]
fn the_help_of_every_command() {
    let home = Home::empty();
    let mut tree = String::new();
    for command in COMMANDS.iter().copied() {
        let words = format!("{command} -h");
        let text = home.says(&words);
        let text = text.strip_prefix("exit 0\n--- out\n").unwrap_or(&text);
        // What concerns every command is shown once.
        let own = match (command, text.split_once("\nEverywhere:\n")) {
            ("", _) | (_, None) => text.to_owned(),
            (_, Some((before, after))) => {
                let rest = after.split_once("\n\n").map_or("", |(_, rest)| rest);
                format!("{before}\n{rest}")
            }
        };
        tree.push_str(&format!("$ ostler {}\n{}\n\n", words.trim(), own.trim_end()));
    }
    insta::assert_snapshot!(tree);
}

#[test]
fn the_version_is_an_answer() {
    let said = Home::empty().says("--version");
    assert!(said.starts_with("exit 0\n--- out\nostler "), "{said}");
}

#[test]
fn a_mistyped_verb_is_answered_with_what_was_meant() {
    insta::assert_snapshot!(Home::empty().says("upgrade pln --to 2025.1"), @r"
    exit 2
    --- err
    error: unrecognized subcommand 'pln'

      tip: a similar subcommand exists: 'plan'

    Usage: ostler upgrade [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn programs_get_json_also_for_mistakes() {
    insta::assert_snapshot!(Home::empty().says("run list --limit many --format json"), @r#"
    exit 2
    --- err
    {"error":{"evidence":[],"exit":2,"guard":null,"hints":["For more information, try '--help'."],"kind":"usage","what":"invalid value 'many' for '--limit <NUMBER>': invalid digit found in string"}}
    "#);
    insta::assert_snapshot!(Home::empty().says("run show nope --format json"), @r#"
    exit 2
    --- err
    {"error":{"evidence":[],"exit":2,"guard":null,"hints":["see which there are: `ostler run list`"],"kind":"usage","what":"there is no run `nope`"}}
    "#);
}

#[test]
fn a_length_of_time_needs_a_unit() {
    insta::assert_snapshot!(Home::empty().says("upgrade plan --to 2025.1 --soak 10"), @r"
    exit 2
    --- err
    error: invalid value '10' for '--soak <TIME>': `10` is not a length of time; write `90s`, `10m`, `1h` or `1h30m`

    For more information, try '--help'.
    ");
}

#[test]
fn nobody_reading_the_output_is_no_failure() {
    let home = Home::empty();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = home.command("run list --format json").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
