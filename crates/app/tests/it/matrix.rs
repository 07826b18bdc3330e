//! `ostler matrix` against a small cloud: what is asked, what is found, what is kept.

use crate::environment::Home;
use crate::openstack::Cloud;
use serde_json::Value;

fn cell<'a>(found: &'a Value, service: &str, asked: &str) -> &'a Value {
    let services = found["services"].as_array().unwrap();
    let row = services.iter().find(|row| row["service"] == service).unwrap();
    match asked {
        "any" => &row["any"],
        _ => row["cells"].as_array().unwrap().iter().find(|cell| cell["asked"] == asked).unwrap(),
    }
}

fn exit(home: &Home, words: &str) -> Option<i32> {
    home.command(words).output().unwrap().status.code()
}

#[test]
fn a_healthy_cloud_is_whole_and_stays_so_in_the_state() {
    let (home, cloud) = (Home::with_settings(), Cloud::start());
    cloud.declare(&home, &[("ctl1", "127.0.0.1")]);
    let found = home.json("matrix run --for 2s --every 1s");
    for service in ["keystone", "glance", "neutron", "nova"] {
        for asked in ["ctl1", "virtual", "any"] {
            assert_eq!(cell(&found, service, asked)["percent"], 100.0, "{service} at {asked}: {found:#}");
        }
    }
    assert_eq!(cell(&found, "nova", "virtual")["up"], 2);
    let shown = home.json("matrix show --since 1h");
    assert_eq!(shown["services"], found["services"], "what was found is kept");
    assert_eq!(exit(&home, "matrix show --since 1h"), Some(0));
    let page = home.says("matrix show --since 1h --table csv");
    assert!(page.contains("keystone,ctl1,100.00,2,0,0,0,0,0,,"), "{page}");
    let page = home.says("matrix show --since 1h --table markdown");
    assert!(page.contains("| service | ctl1 | virtual | any | p95 | longest gap |\n| --- |"), "{page}");
}

#[test]
fn a_server_that_nobody_reaches_is_told_from_clients_that_are_turned_away() {
    let (home, cloud) = (Home::with_settings(), Cloud::start());
    // Nobody listens at the second one.
    cloud.declare(&home, &[("ctl1", "127.0.0.1"), ("ctl2", "127.0.0.2")]);
    let words = "matrix run --for 2s --every 1s --service nova";
    let found = home.json(words);
    assert_eq!(cell(&found, "nova", "ctl2")["down"], 2);
    assert_eq!(cell(&found, "nova", "any")["percent"], 100.0);
    assert_eq!(exit(&home, words), Some(3), "a server is missing, clients are served");
    cloud.state().broken.push(("/compute/v2.1/flavors".to_owned(), 503));
    let page = home.says(words);
    assert!(page.starts_with("exit 4\n"), "{page}");
    assert!(page.contains("nova at virtual lives but refuses calls: "), "{page}");
    assert!(page.contains("nova at ctl2 does not answer: 127.0.0.2:"), "{page}");
}

#[test]
fn what_is_not_there_is_said_before_anything_is_asked() {
    let (home, cloud) = (Home::with_settings(), Cloud::start());
    cloud.declare(&home, &[("ctl1", "127.0.0.1")]);
    let mut page = String::new();
    for words in [
        "matrix run --for 1s --service heat",
        "matrix run --for 1s --service novaa",
        "matrix run --for 1s --every 0",
        "matrix run --for 1s --timeout 2m",
        "matrix show --since 1h",
        "matrix show --since yesterday",
    ] {
        page.push_str(&format!("$ ostler {words}\n{}\n\n", home.says(words).trim_end()));
    }
    insta::assert_snapshot!(page);
}
