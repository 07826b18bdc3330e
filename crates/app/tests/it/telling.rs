//! What `ostler serve` tells others: figures, a webhook, Alertmanager; with the real binary and receivers of our own.

use crate::environment::Home;
use crate::serve::Server;
use crate::server::{PATIENCE, Request, Server as Receiver};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Takes everything, but refuses the first message to the webhook.
fn receiver() -> Receiver {
    let was_asked = AtomicBool::new(false);
    Receiver::answering(move |request, _| {
        let is_first = request.path == "/hook" && !was_asked.swap(true, Ordering::SeqCst);
        (if is_first { 503 } else { 200 }, Vec::new(), json!({}))
    })
}

/// Waits for a level.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "this did not come: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn event(receiver: &Receiver, name: &str) -> Request {
    until(name, || {
        let all = receiver.requests();
        let mut taken = all.iter().filter(|one| one.path == "/hook").skip(1);
        taken.find(|one| one.json()["event"] == name).cloned()
    })
}

fn alert(receiver: &Receiver, name: &str, is_over: bool) -> Value {
    until(name, || {
        let all = receiver.requests();
        let told = all.iter().filter(|one| one.path == "/api/v2/alerts");
        let alerts = told.flat_map(|one| one.json().as_array().cloned().unwrap_or_default());
        let mut of_name = alerts.filter(|alert| alert["labels"]["alertname"] == name);
        // One that stands is good for minutes; one that is over ends when it is told.
        of_name.find(|alert| {
            let time = |key: &str| alert[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            (time("endsAt") <= jiff::Timestamp::now()) == is_over
        })
    })
}

#[test]
fn what_happens_is_told_to_a_webhook_and_alertmanager() {
    let home = Home::empty();
    let receiver = receiver();
    home.write("secret", "shared\n");
    std::fs::set_permissions(home.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let address = receiver.address();
    let events = format!(
        "[serve.events]\nwebhook = \"http://{address}/hook\"\nwebhook-secret-file = \"secret\"\nalertmanager = [\"http://{address}\"]\n"
    );
    let server = Server::with(&home, &events);
    // What was there before its first look is no news.
    until("the first look", || server.get("/metrics").1.contains("ostler_register_up 1").then_some(()));
    let segment =
        json!({"segment": {"name": "rack-a", "recovery_method": "auto", "service_type": "COMPUTE"}});
    let (status, made) = server.post("/v1/segments", &segment);
    assert_eq!(status, 201, "{made}");
    let place = format!("/v1/segments/{}/hosts", made["segment"]["uuid"].as_str().unwrap());
    let host = json!({"host": {"name": "cmp1", "type": "COMPUTE", "control_attributes": "SSH"}});
    assert_eq!(server.post(&place, &host).0, 201);
    let report = json!({"notification": {
        "type": "PROCESS", "hostname": "cmp1", "generated_time": "2026-11-21T19:30:01",
        "payload": {"event": "STOPPED", "process_name": "nova-compute"},
    }});
    assert_eq!(server.post("/v1/notifications", &report).0, 202);

    let opened = event(&receiver, "incident.opened");
    assert_eq!(opened.json()["incident"]["about"], "process nova-compute on cmp1");
    assert!(opened.headers["x-ostler-signature"].starts_with("sha256="), "{:?}", opened.headers);
    assert!(opened.headers.contains_key("x-ostler-event-id"), "{:?}", opened.headers);
    let stands = alert(&receiver, "OstlerIncident", false);
    assert_eq!(stands["labels"]["host"], "cmp1");

    let said = home.says("--state state.db ha acknowledge cmp1 --because 'seen'");
    assert!(said.starts_with("exit 0\n"), "{said}");
    let closed = event(&receiver, "incident.closed");
    assert_eq!(closed.json()["incident"]["stage"], "failed");
    assert_eq!(closed.json()["incident"]["phases"][0]["phase"], "report");
    alert(&receiver, "OstlerIncident", true);
    alert(&receiver, "OstlerNotRecovered", false);
    let figures = until("a closed incident in the figures", || {
        let (status, text) = server.get("/metrics");
        assert_eq!(status, 200);
        text.contains("ostler_ha_incidents_closed_total{stage=\"failed\",about=\"process\"} 1")
            .then_some(text)
    });
    for line in [
        "ostler_ha_hosts 1",
        "ostler_http_requests_total{method=\"POST\",status=\"201\"} 2",
        "ostler_ha_phase_seconds_count{phase=\"report\"} 1",
        "ostler_messages_total{to=\"webhook\",outcome=\"failed\"} 1",
    ] {
        assert!(figures.contains(line), "{line} is not in\n{figures}");
    }
}

fn hooked(receiver: &Receiver) -> Vec<Value> {
    receiver.requests().iter().filter(|one| one.path == "/hook").map(Request::json).collect()
}

#[test]
fn a_change_of_health_is_told_once_and_what_was_refused_with_the_next_look() {
    let home = Home::with_settings();
    // Every try of the first look is refused: 503 may pass, and is tried again.
    let refused = std::sync::atomic::AtomicU32::new(0);
    let receiver = Receiver::answering(move |request, _| {
        let is_refused = request.path == "/hook" && refused.fetch_add(1, Ordering::SeqCst) < 3;
        (if is_refused { 503 } else { 200 }, Vec::new(), json!({}))
    });
    let words =
        format!("health --fast --webhook http://{0}/hook --alertmanager http://{0}", receiver.address());
    let first = home.says(&words);
    assert!(first.contains("warning: not told, the next look tells it again: http://127.0.0.1:"), "{first}");
    assert_eq!(hooked(&receiver).len(), 3);
    let second = home.says(&words);
    assert!(!second.contains("warning: not told"), "{second}");
    let told = hooked(&receiver);
    assert_eq!((told.len(), &told[3]["event"]), (4, &"health.changed".into()));
    let change = &told[3]["changes"][0];
    assert_eq!((&change["change"], &change["code"]), (&"new".into(), &"AUTH_DOWN".into()), "{change}");
    home.says(&words);
    assert_eq!(hooked(&receiver).len(), 4, "the same was told twice");
    // Alertmanager is told again what stands: otherwise the alert would end.
    let alerts = receiver.requests().iter().filter(|one| one.path == "/api/v2/alerts").count();
    assert_eq!(alerts, 3);
    alert(&receiver, "AUTH_DOWN", false);
}

#[test]
fn a_server_that_looks_at_the_health_shows_it_and_tells_of_it() {
    let home = Home::with_settings();
    let receiver = Receiver::answering(|_, _| (200, Vec::new(), json!({})));
    let more = format!(
        "[serve.events]\nwebhook = \"http://{}/hook\"\n[serve.health]\nevery = \"1m\"\nfast = true\n{}",
        receiver.address(),
        crate::environment::SETTINGS,
    );
    let server = Server::with(&home, &more);
    let figures = until("a look at the health in the figures", || {
        let (_, text) = server.get("/metrics");
        text.contains("ostler_health_looks_total{outcome=\"judged\"} 1").then_some(text)
    });
    assert!(figures.contains("ostler_health_worst{cloud=\"lab\"} 4\n"), "{figures}");
    until("a message", || hooked(&receiver).first().cloned());
}
