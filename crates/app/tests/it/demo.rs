//! The demonstration, by the real binary: with nothing at hand, and with nothing left behind.

use crate::environment::Home;

#[test]
fn it_needs_nothing_and_leaves_nothing() {
    let home = Home::empty();
    insta::assert_snapshot!(home.says("demo"));
    assert_eq!(std::fs::read_dir(home.path("")).unwrap().count(), 0, "something was written");
}

#[test]
fn it_has_no_form_for_programs() {
    insta::assert_snapshot!(Home::empty().says("demo --format json"), @r#"
    exit 2
    --- err
    {"error":{"evidence":[],"exit":2,"guard":null,"hints":["for programs: `ostler run show RUN --format json` after an upgrade of your own"],"kind":"usage","what":"the demonstration is for people; it has no JSON form"}}
    "#);
}

#[test]
fn nobody_watching_is_no_failure() {
    let home = Home::empty();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = home.command("demo --fast").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Pages that quote the demonstration.
const PAGES: [&str; 2] = ["docs/demo.md", "README.md"];

#[test]
fn what_the_pages_quote_is_what_is_printed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let said = Home::empty().says("demo");
    let is_printed = |line: &str| said.lines().any(|printed| printed == line);
    let mut quoted = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let blocks = text.split("```").skip(1).step_by(2).filter(|block| block.contains("01:3"));
        for line in blocks.flat_map(str::lines).filter(|line| !line.is_empty()) {
            assert!(is_printed(line), "{page} quotes what is not printed: {line}");
            quoted += 1;
        }
    }
    assert!(quoted > 20, "the quotes were not found");
}
