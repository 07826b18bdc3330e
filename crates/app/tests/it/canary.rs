//! `ostler canary` against a small cloud: what it makes is gone afterwards, also when it is killed.

use crate::environment::Home;
use crate::openstack::Cloud;
use crate::server::PATIENCE;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn here() -> (Home, Cloud) {
    let (home, cloud) = (Home::with_settings(), Cloud::start());
    cloud.declare(&home, &[("ctl1", "127.0.0.1")]);
    (home, cloud)
}

fn came<'a>(trial: &'a Value, stage: &str) -> &'a str {
    let stages = trial["stages"].as_array().unwrap();
    stages.iter().find(|one| one["name"] == stage).unwrap()["came"].as_str().unwrap()
}

#[test]
fn a_whole_trial_passes_and_leaves_nothing() {
    let (home, cloud) = here();
    let trial = home.json("canary run --suite full");
    for stage in ["image", "checksum", "network", "subnet", "router", "port", "server", "console"] {
        assert_eq!(came(&trial, stage), "passed", "{stage}: {trial:#}");
    }
    // There is no Cinder, and no second host.
    assert_eq!((came(&trial, "volume"), came(&trial, "migrate")), ("skipped", "skipped"), "{trial:#}");
    assert_eq!(cloud.names(), Vec::<String>::new());
    let told = home.json("canary history --since 1h");
    assert_eq!(
        (&told["trials"], &told["failed"], &told["broken-off"]),
        (&1.into(), &0.into(), &0.into()),
        "{trial:#} {told:#}"
    );
    let page = home.says("canary sweep");
    assert!(page.starts_with("exit 0\n") && page.contains("nothing is left behind"), "{page}");
}

#[test]
fn what_fails_is_told_and_what_was_made_is_taken_away_all_the_same() {
    let (home, cloud) = here();
    cloud.state().broken.push(("/compute/v2.1/flavors".to_owned(), 500));
    let page = home.says("canary run --suite basic");
    assert!(page.starts_with("exit 4\n"), "{page}");
    assert!(page.contains("listing the flavors: answered 500"), "{page}");
    assert!(page.contains("console") && page.contains("there is no server"), "{page}");
    assert_eq!(cloud.names(), Vec::<String>::new());
}

#[test]
fn killed_in_the_middle_a_sweep_takes_away_what_it_made() {
    let (home, cloud) = here();
    cloud.state().building = true;
    let mut child =
        home.command("canary run --suite full").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !cloud.names().iter().any(|name| name.ends_with("-server")) {
        assert!(begun.elapsed() < PATIENCE, "no server was made, but {:?}", cloud.names());
        std::thread::sleep(Duration::from_millis(20));
    }
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cloud.names().len(), 6, "{:?}", cloud.names());
    let foreign = "somebody-s-server";
    cloud.add_server(foreign);
    let looked = home.says("canary sweep --dry-run");
    assert_eq!(looked.matches("would go").count(), 6, "{looked}");
    assert_eq!(cloud.names().len(), 7, "a dry run took something away");
    let swept = home.says("canary sweep");
    assert!(swept.starts_with("exit 0\n"), "{swept}");
    assert_eq!(swept.matches("gone  ").count(), 6, "{swept}");
    assert_eq!(cloud.names(), [foreign]);
    assert_eq!(home.json("canary history")["broken-off"], 1);
}

#[test]
fn a_thing_that_bears_another_name_by_now_is_left_alone() {
    let (home, cloud) = here();
    cloud.state().building = true;
    let mut child =
        home.command("canary run --suite basic").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !cloud.names().iter().any(|name| name.ends_with("-server")) {
        assert!(begun.elapsed() < PATIENCE, "no server was made");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    cloud.rename("images", "precious");
    let swept = home.says("canary sweep");
    assert!(swept.starts_with("exit 6\n") && swept.contains("called `precious`"), "{swept}");
    assert_eq!(cloud.names(), ["precious"]);
}

#[test]
fn what_would_be_tried_is_said() {
    let (home, cloud) = here();
    cloud.state().without = vec!["network"];
    let mut page = String::new();
    for words in ["canary run --suite full --dry-run", "canary history", "canary run --repeat 0"] {
        page.push_str(&format!("$ ostler {words}\n{}\n\n", home.says(words).trim_end()));
    }
    insta::assert_snapshot!(page);
}
