//! A corpus with its truth: what is read is what was written.

use ostler_logs::corpus::{self, BEGIN, Mix, SPAN_US};
use ostler_logs::group::{Wanted, group};
use ostler_logs::line::Severity;
use ostler_logs::merge::merge;
use ostler_logs::rate::rate;
use ostler_logs::trace::{Verdict, trace};

const BYTES: u64 = 12 << 20;

const ERRORS: Wanted = Wanted { least: Severity::Error, since: None, until: None, mark: None };

#[test]
fn every_head_is_known_and_every_line_has_its_record() {
    for seed in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let (written, _) = corpus::write(home.path(), BYTES, seed, Mix::Everything).unwrap();
        let checked = corpus::check(&written);
        assert!(checked.lines > 50_000);
        assert_eq!(
            (checked.lines_wrong, checked.records_wrong),
            (0, 0),
            "seed {seed}\n{}",
            checked.examples.join("\n")
        );
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, _) = corpus::write(one.path(), 1 << 20, 7, Mix::Everything).unwrap();
    let (second, _) = corpus::write(two.path(), 1 << 20, 7, Mix::Everything).unwrap();
    for (first, second) in first.iter().zip(&second) {
        let read = |written: &corpus::Written| std::fs::read(&written.source.path).unwrap();
        assert!(read(first) == read(second), "{}", first.source.name);
    }
}

#[test]
fn every_error_is_counted_once() {
    let home = tempfile::tempdir().unwrap();
    let (written, _) = corpus::write(home.path(), BYTES, 1, Mix::Everything).unwrap();
    let groups = group(&corpus::sources(&written), ERRORS);
    let truth: usize = written
        .iter()
        .map(|written| {
            written.truth.records.iter().filter(|(_, severity)| *severity >= Severity::Error).count()
        })
        .sum();
    assert_eq!(groups.groups.iter().map(|group| group.count).sum::<u64>(), truth as u64);
    assert_eq!(groups.lines, written.iter().map(|written| written.truth.lines.len() as u64).sum::<u64>());
    assert!(groups.groups.len() < 600, "{} kinds: ids are left in", groups.groups.len());
    assert!(groups.holes > 0 && groups.unread.is_empty());
    let binding =
        groups.groups.iter().find(|group| group.message.starts_with("Failed to bind port <id>")).unwrap();
    assert_eq!(binding.known.unwrap().code, "NET_PORT_BINDING_FAILED");
    let traced = groups
        .groups
        .iter()
        .find(|group| group.exception.ends_with("PortBindingFailed") && group.program.starts_with("nova."))
        .unwrap();
    assert_eq!(traced.frame, "nova.compute.manager:_build_and_run_instance");
}

#[test]
fn a_merge_has_every_line_in_order_of_time() {
    let home = tempfile::tempdir().unwrap();
    let (written, _) = corpus::write(home.path(), BYTES, 2, Mix::Everything).unwrap();
    let sources = corpus::sources(&written);
    let (mut last, mut lines, mut bytes) = (i64::MIN, 0, 0);
    let merged = merge(&sources, None, None, |placed| {
        assert!(placed.at >= last, "{} after {last}", placed.at);
        last = placed.at;
        lines += memchr_count(placed.text);
        bytes += placed.text.len() as u64;
        true
    });
    assert_eq!(lines, written.iter().map(|written| written.truth.lines.len()).sum::<usize>());
    assert_eq!(bytes, merged.bytes);
    assert!(merged.unread.is_empty() && merged.jumps.is_empty(), "{merged:?}");
}

#[test]
fn a_window_of_a_merge_holds_what_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (written, _) = corpus::write(home.path(), BYTES, 2, Mix::Everything).unwrap();
    let sources = corpus::sources(&written);
    let (from, to) = (BEGIN + SPAN_US / 4, BEGIN + SPAN_US / 3);
    let mut found = 0;
    let merged = merge(&sources, Some(from), Some(to), |placed| {
        assert!((from..=to).contains(&placed.at));
        found += 1;
        true
    });
    assert!(found > 1000 && merged.records == found);
}

#[test]
fn requests_are_counted_wherever_they_are_written() {
    let home = tempfile::tempdir().unwrap();
    let (written, _) = corpus::write(home.path(), BYTES, 3, Mix::Everything).unwrap();
    let rates = rate(&corpus::sources(&written), None, None);
    let services: Vec<&str> = rates.routes.iter().map(|route| route.service.as_str()).collect();
    for service in ["nova-api", "neutron-server", "keystone-uwsgi", "keystone_access", "nova_api"] {
        assert!(services.contains(&service), "{service} is not in {services:?}");
    }
    assert!(rates.routes.len() < 200, "{} routes: ids are left in", rates.routes.len());
    assert_eq!(rates.routes.iter().map(|route| route.count).sum::<u64>(), rates.requests);
    assert_eq!(rates.minutes.iter().map(|minute| minute.count).sum::<u64>(), rates.requests);
}

#[test]
fn a_failed_server_is_traced_to_its_cause() {
    let home = tempfile::tempdir().unwrap();
    let (written, story) = corpus::write(home.path(), BYTES, 4, Mix::Everything).unwrap();
    let sources = corpus::sources(&written);
    for id in [&story.server, &story.request] {
        let told = trace(&sources, id, &[]);
        let text = serde_json::to_string_pretty(&told).unwrap();
        assert_eq!(told.verdict, Verdict::Failed, "{text}");
        assert_eq!(told.steps.len(), story.records, "{text}");
        let requests: Vec<&str> = told.requests.iter().map(|request| request.id.as_str()).collect();
        assert!(
            requests.contains(&story.request.as_str()) && requests.contains(&story.neutron_request.as_str()),
            "{text}"
        );
        assert_eq!(requests.len(), 2, "{text}");
        assert_eq!(
            told.resources.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(),
            [story.port.as_str()],
            "{text}"
        );
        let phases: Vec<&str> = told.phases.iter().map(|phase| phase.phase.as_str()).collect();
        assert_eq!(
            phases,
            ["api", "schedule", "claim", "network", "image", "vif plug", "domain", "vif wait", "build"],
            "{text}"
        );
        // The agent's own trouble came before the time-out that it caused.
        let anomaly = told.anomaly.unwrap();
        assert_eq!((anomaly.host.as_str(), anomaly.service.as_str()), ("cmp1", "neutron-openvswitch-agent"));
        assert_eq!(anomaly.known.unwrap().code, "RPC_TIMEOUT");
    }
}

fn memchr_count(text: &[u8]) -> usize {
    text.iter().filter(|c| **c == b'\n').count()
}
