//! `ostler.toml`: found where it should be, and its mistakes shown with their place.

use crate::environment::{Home, SETTINGS};

#[test]
fn without_a_file_the_places_are_named() {
    insta::assert_snapshot!(Home::empty().says("cloud scan"), @r"
    exit 2
    --- err
    error: there is no ostler.toml
      looked for:
        ostler.toml
        ~/.config/ostler/ostler.toml
        /etc/ostler/ostler.toml
    hint: name it with `--config FILE` or OSTLER_CONFIG; docs/ostler-toml.md says what stands in it
    hint: to try ostler on a cloud of its own: `ostler lab up`; to only see it work: `ostler demo`
    ");
}

#[test]
fn a_file_that_was_named_and_is_not_there() {
    insta::assert_snapshot!(Home::empty().says("cloud scan --config nowhere.toml"), @r"
    exit 2
    --- err
    error: cannot read nowhere.toml: No such file or directory (os error 2)
    hint: name another file with `--config FILE`, or set its rights
    ");
}

#[test]
fn a_typo_is_shown_with_its_place_and_nothing_is_done() {
    let home = Home::with_settings();
    home.write("ostler.toml", SETTINGS.replace("virtual-address", "virtual-adress"));
    insta::assert_snapshot!(home.says("upgrade run --to 2025.1 --yes"), @r#"
    exit 2
    --- err
    error: ostler.toml:3:1: there is no key `virtual-adress` here
        |
      3 | virtual-adress = "127.0.0.1"
        | ^^^^^^^^^^^^^^
    hint: did you mean `virtual-address`?
    hint: every key is explained in docs/ostler-toml.md
    "#);
    assert!(!home.path(".local/state/ostler/state.db").exists());
}

#[test]
fn an_unknown_cloud_is_answered_with_those_there_are() {
    insta::assert_snapshot!(Home::with_settings().says("cloud scan --cloud lap"), @r"
    exit 2
    --- err
    error: there is no cloud `lap`
      ostler.toml has: lab
    hint: did you mean `--cloud lab`?
    ");
}

#[test]
fn the_file_is_found_in_the_users_configuration_and_by_the_environment() {
    for (place, variable) in [(".config/ostler/ostler.toml", None), ("else.toml", Some("OSTLER_CONFIG"))] {
        let home = Home::empty();
        home.write(place, SETTINGS);
        let mut command = home.command("cloud show --cloud lap");
        if let Some(variable) = variable {
            command.env(variable, home.path(place));
        }
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains("there is no cloud `lap`") && said.contains(place), "{said}");
    }
}

#[test]
fn a_site_page_that_is_wrong_is_named() {
    let home = Home::with_settings();
    home.write("ostler.toml", format!("{SETTINGS}\n[catalogue]\ndirectory = \"site\"\n"));
    home.write("site/releases/2027.1.toml", "series = \"2027.1\"\nnmae = \"x\"\n");
    insta::assert_snapshot!(home.says("upgrade plan --to 2025.1"), @r#"
    exit 2
    --- err
    error: releases/2027.1.toml:2:1: there is no key `nmae` here
        |
      2 | nmae = "x"
        | ^^^^
    hint: did you mean `name`?
    "#);
}

#[test]
fn a_key_that_is_not_there_is_no_fault_of_the_nodes() {
    let home = Home::with_settings();
    home.write("ostler.toml", SETTINGS.replace("\"id_ed25519\"", "\"id_nothing\""));
    insta::assert_snapshot!(home.says("cloud scan"), @r"
    exit 2
    --- err
    error: the SSH key cannot be read: id_nothing: No such file or directory (os error 2)
    hint: see to the file, or name another as `key` below `[clouds.….ssh]` in ostler.toml
    ");
}
