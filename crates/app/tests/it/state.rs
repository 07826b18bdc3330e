//! The store: damaged, or in a place where nothing can be written.

use crate::environment::Home;

#[test]
fn a_state_file_that_is_none_is_refused_and_left_alone() {
    let home = Home::empty();
    home.write("state.db", "this is a letter to my aunt, and no database at all\n".repeat(100));
    insta::assert_snapshot!(home.says("run list --state state.db"), @r"
    exit 1
    --- err
    error: ./state.db is not an Ostler state: file is not a database
    hint: Nothing was changed. Move ./state.db aside, or choose another place with --state.
    ");
    assert!(std::fs::read_to_string(home.path("state.db")).unwrap().starts_with("this is a letter"));
}

#[test]
fn a_place_where_nothing_can_be_written_is_named() {
    let home = Home::empty();
    home.write("file", "x");
    insta::assert_snapshot!(home.says("run list --state file/state.db"), @r"
    exit 1
    --- err
    error: cannot make ./file/state.db: Not a directory (os error 20)
    hint: A part of that path is a file. Choose another place with --state.
    ");
}

#[test]
fn a_password_in_the_place_of_the_state_is_never_shown() {
    let said = Home::empty().says("run list --state mysql://ostler:planted-secret@127.0.0.1:1/ostler");
    assert!(said.starts_with("exit 1\n"), "{said}");
}
