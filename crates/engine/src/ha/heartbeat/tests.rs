//! Silence and deafness, told on a clock that is only a number.

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn beat(host: &str, network: &str, sequence: u64, ms: i64) -> Beat {
    Beat {
        host: HostName::new(host),
        network: network.into(),
        life: 1,
        sequence,
        sent: at(ms),
        word: Word::Alive,
        storage: Storage::NotWatched,
    }
}

/// Hosts beat every two seconds on two networks until their ends; we look every second.
fn told(ends: &[(&str, i64, i64)], until: i64) -> View {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    let mut view = heard.look(at(0));
    for second in 0..=until / 1000 {
        let ms = second * 1000;
        for (host, management, storage) in ends {
            for (network, end) in [("management", management), ("storage", storage)] {
                if ms < *end && second % 2 == 0 {
                    heard.hear(&beat(host, network, second as u64 + 1, ms), at(ms)).unwrap();
                }
            }
        }
        view = heard.look(at(ms));
    }
    view
}

fn presence<'a>(view: &'a View, host: &str) -> &'a Presence {
    &view.hosts[&HostName::new(host)].presence
}

const EVER: i64 = i64::MAX;

#[test]
fn a_host_that_stops_is_silent_after_the_patience_and_not_before() {
    let ends = [("a", 20_000, 20_000), ("b", EVER, EVER), ("c", EVER, EVER)];
    assert_eq!(presence(&told(&ends, 28_000), "a"), &Presence::Heard);
    assert_eq!(presence(&told(&ends, 29_000), "a"), &Presence::Silent { since: at(18_000) });
    assert_eq!(presence(&told(&ends, 29_000), "b"), &Presence::Heard);
}

#[test]
fn a_host_that_speaks_on_one_network_is_not_silent() {
    let view = told(&[("a", 20_000, EVER), ("b", EVER, EVER), ("c", EVER, EVER)], 60_000);
    let silent = BTreeMap::from([("management".to_owned(), at(18_000))]);
    assert_eq!(presence(&view, "a"), &Presence::Partly { silent });
    assert!(view.deaf.is_empty());
}

#[test]
fn when_all_fall_silent_at_once_it_is_us() {
    let ends = [("a", 20_000, 20_000), ("b", 20_000, 20_000), ("c", 20_000, 20_000)];
    let view = told(&ends, 60_000);
    assert_eq!(view.deaf["storage"], Deaf { since: at(18_000), silent: 3, of: 3 });
    for host in ["a", "b", "c"] {
        assert_eq!(presence(&view, host), &Presence::Unheard { since: at(18_000) });
    }
}

#[test]
fn two_of_two_are_us_and_one_of_two_is_not() {
    assert!(!told(&[("a", 20_000, 20_000), ("b", 20_000, 20_000)], 60_000).deaf.is_empty());
    let one = told(&[("a", 20_000, 20_000), ("b", EVER, EVER)], 60_000);
    assert!(one.is_silent(&HostName::new("a")) && one.deaf.is_empty());
}

#[test]
fn more_than_half_within_one_patience_are_us_and_one_after_the_other_are_not() {
    let together = [("a", 20_000, 20_000), ("b", 22_000, 22_000), ("c", 24_000, 24_000), ("d", EVER, EVER)];
    assert!(told(&together, 60_000).deaf.contains_key("management"));
    let apart = [("a", 20_000, 20_000), ("b", 60_000, 60_000), ("c", 100_000, 100_000), ("d", EVER, EVER)];
    let view = told(&apart, 130_000);
    assert!(view.deaf.is_empty());
    assert!(["a", "b", "c"].iter().all(|host| view.is_silent(&HostName::new(*host))));
}

#[test]
fn deaf_on_one_network_we_still_hear_who_speaks_on_the_other() {
    let ends = [("a", 20_000, 40_000), ("b", 20_000, EVER), ("c", 20_000, EVER)];
    let view = told(&ends, 60_000);
    assert_eq!(view.deaf.keys().collect::<Vec<_>>(), ["management"]);
    assert!(matches!(presence(&view, "b"), Presence::Partly { .. }));
    // Of the one that is silent on the other network too, half of what it says cannot be heard.
    assert_eq!(presence(&view, "a"), &Presence::Unheard { since: at(38_000) });
}

#[test]
fn whoever_goes_down_on_purpose_is_not_silent_and_nobody_is_deaf() {
    for (word, wanted) in [
        (Word::GoingDown, Presence::GoneOnPurpose { since: at(2_000) }),
        (Word::MonitorStops, Presence::Unwatched { since: at(2_000) }),
    ] {
        let mut heard = Heartbeats::new(Patience::default(), at(0));
        for host in ["a", "b", "c"] {
            heard.hear(&beat(host, "management", 1, 0), at(0)).unwrap();
            heard.hear(&Beat { word, ..beat(host, "management", 2, 2_000) }, at(2_000)).unwrap();
        }
        for second in 0..60 {
            heard.look(at(second * 1000));
        }
        let view = heard.look(at(60_000));
        assert_eq!(presence(&view, "a"), &wanted);
        assert!(view.deaf.is_empty());
    }
}

#[test]
fn a_host_that_comes_back_after_going_down_is_heard() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    heard.hear(&Beat { word: Word::GoingDown, ..beat("a", "m", 1, 0) }, at(0)).unwrap();
    heard.hear(&Beat { life: 2, ..beat("a", "m", 1, 90_000) }, at(90_000)).unwrap();
    assert_eq!(presence(&heard.look(at(91_000)), "a"), &Presence::Heard);
}

#[test]
fn what_was_not_heard_while_we_slept_is_held_against_nobody() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    for host in ["a", "b", "c"] {
        heard.hear(&beat(host, "m", 1, 0), at(0)).unwrap();
    }
    heard.hear(&beat("b", "m", 2, 59_000), at(59_000)).unwrap();
    heard.hear(&beat("c", "m", 2, 59_000), at(59_000)).unwrap();
    let view = heard.look(at(60_000));
    assert_eq!(presence(&view, "a"), &Presence::Unheard { since: at(0) });
    assert_eq!(view.patient_until, Some(at(70_000)));
    for second in 61..=70 {
        heard.hear(&beat("b", "m", second, second as i64 * 1000), at(second as i64 * 1000)).unwrap();
        heard.hear(&beat("c", "m", second, second as i64 * 1000), at(second as i64 * 1000)).unwrap();
        heard.look(at(second as i64 * 1000));
    }
    assert!(heard.look(at(70_000)).is_silent(&HostName::new("a")));
}

#[test]
fn a_beat_counts_once() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    heard.hear(&beat("a", "m", 7, 0), at(0)).unwrap();
    assert_eq!(heard.hear(&beat("a", "m", 7, 0), at(10)), Err(NotHeard::Replayed));
    assert_eq!(heard.hear(&beat("a", "m", 6, 0), at(10)), Err(NotHeard::Replayed));
    heard.hear(&Beat { life: 2, ..beat("a", "m", 1, 100) }, at(100)).unwrap();
    assert_eq!(heard.hear(&beat("a", "m", 8, 200), at(200)), Err(NotHeard::Replayed), "a life that is over");
}

#[test]
fn a_beat_that_somebody_kept_is_refused() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    heard.hear(&beat("a", "m", 1, 0), at(5)).unwrap();
    let kept = heard.hear(&beat("a", "m", 2, 3_000), at(70_000));
    assert_eq!(kept, Err(NotHeard::Late { late_ms: 66_995 }));
}

#[test]
fn a_clock_that_is_minutes_off_makes_a_host_doubtful_and_not_silent() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    for second in 0..30 {
        let ms = second * 1000;
        heard.hear(&beat("behind", "m", second as u64, ms - 300_000), at(ms)).unwrap();
        heard.hear(&beat("ahead", "m", second as u64, ms + 300_000), at(ms)).unwrap();
        heard.look(at(ms));
    }
    let view = heard.look(at(30_000));
    assert_eq!(presence(&view, "behind"), &Presence::Doubtful { clock_behind_ms: 300_000 });
    assert_eq!(presence(&view, "ahead"), &Presence::Doubtful { clock_behind_ms: -300_000 });
}

#[test]
fn memory_is_bounded() {
    let patience = Patience { hosts_max: 2, ..Patience::default() };
    let mut heard = Heartbeats::new(patience, at(0));
    heard.hear(&beat("a", "m", 1, 0), at(0)).unwrap();
    heard.hear(&beat("b", "m", 1, 0), at(0)).unwrap();
    assert_eq!(heard.hear(&beat("c", "m", 1, 0), at(0)), Err(NotHeard::Full));
    for network in ["1", "2", "3"] {
        heard.hear(&beat("a", network, 1, 0), at(0)).unwrap();
    }
    assert_eq!(heard.hear(&beat("a", "4", 1, 0), at(0)), Err(NotHeard::Full));
    heard.forget(&HostName::new("b"));
    heard.hear(&beat("c", "m", 1, 0), at(0)).unwrap();
}

#[test]
fn a_host_that_died_before_we_began_is_silent_when_our_patience_ends() {
    let mut heard = Heartbeats::new(Patience::default(), at(0));
    for host in ["dead", "alive"] {
        heard.expect(HostName::new(host)).unwrap();
    }
    let mut view = heard.look(at(0));
    for second in 0..=11 {
        heard
            .hear(&beat("alive", "management", second + 1, second as i64 * 1000), at(second as i64 * 1000))
            .unwrap();
        view = heard.look(at(second as i64 * 1000));
        if second < 10 {
            assert_eq!(presence(&view, "dead"), &Presence::Unheard { since: at(0) }, "{second} s");
        }
    }
    assert_eq!(presence(&view, "dead"), &Presence::Silent { since: at(0) });
    assert_eq!(presence(&view, "alive"), &Presence::Heard);
}
