//! Storms are shown to work: bugs are planted one by one in a scratch copy of the production code, built apart, and
//! the storms must find each.
//!
//! The copy is text with a switch; the production code has none.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

mod bugs;

use bugs::BUGS;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds within which each bug must be found.
const SEEDS: u32 = 2_000;

/// Bugs that must be found at least.
const FOUND_MIN: usize = 12;

/// The crates that a storm is made of.
const CRATES: &[&str] = &["model", "engine", "sim"];

const SWITCH: &str = "
/// Which bug is planted.
pub static PLANTED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
";

/// Outages that are told.
const OUTAGES: u32 = 1_000;

const PROGRAM: &str = r#"
use ostler_sim::storm::storm;

const OUTAGES: u64 = {outages};

fn main() {
    let words: Vec<u64> = std::env::args().skip(1).map(|word| word.parse().unwrap()).collect();
    ostler_model::PLANTED.store(words[0] as u32, std::sync::atomic::Ordering::Relaxed);
    // Bugs of instance HA are looked for by outages first: each storm finds its own kind sooner.
    let mut stories = 0;
    let kinds = if words[2] == 1 { [true, false] } else { [false, true] };
    for outages in kinds {
        let (told, broken) = if outages {
            let report = ostler_sim::outage::storm(0..words[1].min(OUTAGES), 1);
            (report.stories, report.broken)
        } else {
            let report = storm(0..words[1], 1);
            (report.stories, report.broken)
        };
        stories += told;
        if let Some((seed, rule, what)) = broken.first() {
            println!("found\t{seed}\t{rule}\t{what}");
            return;
        }
    }
    println!("clean\t{stories}");
}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A copy of the production code in which every bug sleeps behind a switch.
fn scratch(place: &Path) {
    let _ = std::fs::remove_dir_all(place);
    std::fs::create_dir_all(place).unwrap();
    for name in CRATES {
        for part in ["src", "data", "Cargo.toml"] {
            let from = root().join("crates").join(name).join(part);
            let to = place.join("crates").join(name).join(part);
            if from.is_dir() {
                copy(&from, &to);
            } else if from.is_file() {
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(&from, &to).unwrap();
            }
        }
        // The benchmarks and examples of the crate stay where they are.
        let manifest = place.join("crates").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let kept = text.split("\n[[bench]]").next().unwrap();
        std::fs::write(&manifest, format!("{}\n", kept.trim_end())).unwrap();
    }
    for name in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(root().join(name), place.join(name)).unwrap();
    }
    let model = place.join("crates/model/src/lib.rs");
    let text = std::fs::read_to_string(&model).unwrap();
    std::fs::write(&model, text + SWITCH).unwrap();
    for (number, bug) in BUGS.iter().enumerate() {
        let path = place.join(bug.file);
        let text = std::fs::read_to_string(&path).unwrap();
        let times = text.matches(bug.find).count();
        assert_eq!(times, 1, "\"{}\": what it changes occurs {times} times in {}", bug.name, bug.file);
        let is =
            format!("ostler_model::PLANTED.load(std::sync::atomic::Ordering::Relaxed) == {}", number + 1);
        std::fs::write(&path, text.replace(bug.find, &bug.put.replace("{is}", &is))).unwrap();
    }
    let program = place.join("crates/sim/examples/planted.rs");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(program, PROGRAM.replace("{outages}", &OUTAGES.to_string())).unwrap();
}

fn built(place: &Path, target: &Path) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let done = Command::new(cargo)
        .args(["build", "--offline", "--quiet", "-p", "ostler-sim", "--example", "planted"])
        .current_dir(place)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "the copy does not build:\n{}", String::from_utf8_lossy(&done.stderr));
    target.join("debug/examples/planted")
}

fn told(program: &Path, bug: usize, seeds: u32) -> Vec<String> {
    let file = bug.checked_sub(1).map_or("", |place| BUGS[place].file);
    let outages = file.contains("/ha/") || file.ends_with("run/power.rs");
    let words = [bug.to_string(), seeds.to_string(), u8::from(outages).to_string()];
    let output = Command::new(program).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // A storm that ends in a panic has found something, too, but not by its rules.
    assert!(output.status.success(), "bug {bug}: {}", String::from_utf8_lossy(&output.stderr));
    text.split('\t').map(str::to_owned).collect()
}

#[test]
fn every_planted_bug_is_found_and_the_code_without_them_is_clean() {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = base.join("planted");
    scratch(&place);
    let program = built(&place, &base.join("planted-target"));
    let mut missed = Vec::new();
    for (number, bug) in BUGS.iter().enumerate() {
        let told = told(&program, number + 1, SEEDS);
        match told.first().map(String::as_str) {
            Some("found") => eprintln!("found by seed {:>5}, {}: {}", told[1], told[2], bug.name),
            _ => missed.push(bug.name),
        }
    }
    let found = BUGS.len() - missed.len();
    eprintln!("{found} of {} found", BUGS.len());
    assert!(missed.is_empty() && found >= FOUND_MIN, "not found within {SEEDS} seeds: {missed:?}");
    assert_eq!(told(&program, 0, SEEDS)[0], "clean", "without a bug: {:?}", told(&program, 0, SEEDS));
}
