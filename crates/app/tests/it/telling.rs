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
