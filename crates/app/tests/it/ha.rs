//! `ostler ha`: what is answered without a cloud. With one: `crates/app/src/stories/instance_ha.rs`.

use crate::environment::Home;

#[test]
fn without_a_segment_nothing_is_protected_and_that_is_said() {
    insta::assert_snapshot!(Home::empty().says("ha status"), @r"
    exit 0
    --- out
    no segment is registered: nothing is protected
    hint: `openstack segment create`, or `ostler ha import` from Masakari

    no incident is open
    ");
    assert_eq!(Home::empty().json("ha status")["open"], serde_json::json!([]));
}

#[test]
fn what_is_not_there_is_said_with_the_way_to_what_is() {
    let home = Home::empty();
    for (words, says) in [
        ("ha show last", "there is no incident yet"),
        ("ha show 1f2e", "there is no incident `1f2e`"),
        ("ha retry 1f2e", "there is no incident `1f2e`"),
        ("ha confirm-down cmp1 --because seen --yes", "no host `cmp1` is registered"),
        ("ha pause rack-a --because tests", "there is no segment `rack-a`"),
        ("ha resume rack-a", "there is no segment `rack-a`"),
        ("ha simulate cmp1", "there is no ostler.toml"),
    ] {
        let said = home.says(words);
        assert!(said.starts_with("exit 2\n") && said.contains(says), "{words}: {said}");
    }
}

#[test]
fn what_needs_a_reason_is_not_said_without_one() {
    let home = Home::empty();
    for words in
        ["ha cancel last", "ha acknowledge last", "ha release last", "ha confirm-down cmp1", "ha pause s"]
    {
        let said = home.says(words);
        assert!(said.starts_with("exit 2\n") && said.contains("--because"), "{words}: {said}");
    }
}

#[test]
fn an_import_says_what_is_wrong_with_its_source_and_no_password() {
    let home = Home::empty();
    home.write("empty.conf", "[DEFAULT]\ndebug = true\n");
    home.write(
        "masakari.conf",
        "[database]\nconnection = mysql+pymysql://m:planted-secret@127.0.0.1:1/masakari\n",
    );
    for (words, exit, says) in [
        ("ha import", 2, "--from"),
        ("ha import --conf none.conf", 2, "cannot read none.conf"),
        ("ha import --conf empty.conf", 2, "names no `connection`"),
        ("ha import --conf masakari.conf --dry-run", 1, "mysql://127.0.0.1:1/masakari cannot be read"),
        ("ha import --from masakari.db", 1, "Masakari's database is no file"),
    ] {
        let said = home.says(words);
        assert!(said.starts_with(&format!("exit {exit}\n")) && said.contains(says), "{words}: {said}");
    }
}
