//! Reads the sources and holds them to the rules of the house.
//!
//! Each rule names the file and what to do about it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

use std::path::{Path, PathBuf};

/// Lines that no source file may reach.
const FILE_LINES_MAX: usize = 1_000;

/// Lines of the contributor page.
const CONTRIBUTING_LINES_MAX: usize = 150;

/// Names of OpenStack services: they belong to the catalogue, not to the engine.
const SERVICES: &[&str] = &[
    "keystone",
    "nova",
    "neutron",
    "cinder",
    "glance",
    "placement",
    "heat",
    "horizon",
    "octavia",
    "designate",
    "barbican",
    "manila",
    "ironic",
    "masakari",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let files = sources(&root().join("crates"));
    assert!(files.len() > 30, "the sources were not found");
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"))
}

#[track_caller]
fn none(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_is_too_long() {
    let long = all_sources().into_iter().filter(|(_, text)| text.lines().count() >= FILE_LINES_MAX);
    none(long.map(|(path, _)| path.display().to_string()).collect(), "split these files into rooms");
}

#[test]
fn every_module_says_what_it_is_for_and_what_it_must_never_do() {
    let silent = all_sources().into_iter().filter(|(path, text)| {
        let head: Vec<&str> =
            text.lines().take_while(|line| line.starts_with("//!") || line.starts_with("#!")).collect();
        let paragraphs = head.iter().filter(|line| **line == "//!").count() + 1;
        let wanted = if is_test(path) { 1 } else { 2 };
        !text.starts_with("//!") || paragraphs < wanted
    });
    none(
        silent.map(|(path, _)| path.display().to_string()).collect(),
        "open these modules with //! in two paragraphs",
    );
}

#[test]
fn the_engine_names_no_service() {
    let mut named = Vec::new();
    for path in sources(&root().join("crates/engine/src")).into_iter().filter(|path| !is_test(path)) {
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words = code.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
            for word in words.filter(|word| SERVICES.contains(&word.as_str())) {
                named.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    none(named, "move what depends on a service into the catalogue");
}

#[test]
fn the_engine_and_the_model_touch_nothing_outside() {
    const BANNED: &[&str] = &[
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "tokio::spawn",
        "tokio::net",
        "tokio::fs",
        "rand::",
    ];
    let mut found = Vec::new();
    for room in ["crates/engine/src", "crates/model/src"] {
        for path in sources(&root().join(room)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in BANNED.iter().filter(|word| text.contains(**word)) {
                found.push(format!("{}: {word}", path.display()));
            }
        }
    }
    none(found, "these rooms decide; effects belong to `world`, behind a seam");
}

#[test]
fn crates_depend_one_way() {
    let may: &[(&str, &[&str])] = &[
        ("model", &[]),
        ("logs", &[]),
        ("engine", &["model"]),
        ("world", &["engine", "model", "logs"]),
        ("sim", &["engine", "model"]),
        ("lab", &["world", "engine", "model"]),
    ];
    let mut wrong = Vec::new();
    for (name, allowed) in may {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
        let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in own.lines().filter_map(|line| line.strip_prefix("ostler-")) {
            let other = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&other) {
                wrong.push(format!("{name} depends on {other}"));
            }
        }
    }
    none(wrong, "the house has one-way stairs");
}

#[test]
fn no_source_tells_how_the_work_was_organised() {
    let own = Path::new(file!()).file_name().unwrap();
    let mut found = Vec::new();
    for (path, text) in all_sources().into_iter().filter(|(path, _)| path.file_name() != Some(own)) {
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_ascii_lowercase();
            let tells = ["issue #", "issue 1", "issue 2", "issue 3", "issue 4", "todo!", "unimplemented!"];
            if let Some(word) = tells.iter().find(|word| lower.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    none(found, "say what is, not how it came about");
}

#[test]
fn the_contributor_page_is_short() {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    assert!(
        text.lines().count() < CONTRIBUTING_LINES_MAX,
        "CONTRIBUTING.md has {} lines",
        text.lines().count()
    );
}
