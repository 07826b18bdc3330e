//! What is done with a report: taken, joined, refused; and what becomes of those that ask for no recovery.

use super::Desk;
use crate::serve::settle;
use ostler_model::ha::{HostChange, Status};
use ostler_model::ids::HostId;
use serde_json::{Value, json};
use std::sync::Arc;

async fn status(desk: &Desk, path: &str) -> (String, Value) {
    let shown = desk.get(path).await;
    let shown = &shown.is(200)["notification"];
    (shown["status"].as_str().unwrap().to_owned(), shown["message"].clone())
}

#[tokio::test]
async fn each_payload_comes_to_what_it_asks_for() {
    let uuid = "9d3a0000-0000-4000-8000-000000000001";
    let vm = |event: &str, detail: &str| json!({"event": event, "vir_domain_event": detail, "instance_uuid": uuid});
    for (kind, payload, becomes) in [
        ("COMPUTE_HOST", json!({"event": "STOPPED", "host_status": "NORMAL"}), "new"),
        // Upstream forgets these two for good; here they wait for a proof that the host is off.
        ("COMPUTE_HOST", json!({"event": "STOPPED", "host_status": "UNKNOWN"}), "new"),
        ("COMPUTE_HOST", json!({"event": "STOPPED"}), "new"),
        ("COMPUTE_HOST", json!({"event": "STARTED", "host_status": "NORMAL"}), "finished"),
        ("VM", vm("LIFECYCLE", "STOPPED_FAILED"), "new"),
        ("VM", vm("IO_ERROR", "IO_ERROR_REPORT"), "new"),
        ("VM", vm("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED"), "new"),
        ("VM", vm("LIFECYCLE", "STOPPED_SHUTDOWN"), "ignored"),
        ("VM", vm("REBOOT", "UNKNOWN"), "ignored"),
        ("PROCESS", json!({"event": "STOPPED", "process_name": "nova-compute"}), "new"),
        ("PROCESS", json!({"event": "STARTED", "process_name": "nova-compute"}), "finished"),
    ] {
        let desk = Desk::new();
        let segment = desk.segment("s").await;
        desk.host(&segment, "node").await;
        let taken = desk.report(kind, "node", payload.clone()).await;
        let taken = taken.is(202)["notification"].clone();
        assert_eq!((&taken["status"], &taken["payload"]), (&json!("new"), &payload));
        settle(&desk.api).await.unwrap();
        let path = format!("/v1/notifications/{}", taken["notification_uuid"].as_str().unwrap());
        assert_eq!(status(&desk, &path).await.0, becomes, "{kind} {payload}");
    }
}

#[tokio::test]
async fn a_disabled_segment_ignores_every_report() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    desk.host(&segment, "node").await;
    desk.call("PUT", &format!("/v1/segments/{segment}"), json!({"segment": {"enabled": false}}))
        .await
        .is(200);
    let taken = desk.gone("node").await;
    let path =
        format!("/v1/notifications/{}", taken.is(202)["notification"]["notification_uuid"].as_str().unwrap());
    settle(&desk.api).await.unwrap();
    let (status, message) = status(&desk, &path).await;
    assert_eq!(status, "ignored");
    assert!(message.as_str().unwrap().contains("disabled"), "{message}");
    assert_eq!(desk.api.store.open_incidents().await.unwrap(), []);
}

#[tokio::test]
async fn a_duplicate_is_a_report_of_what_is_being_taken_care_of() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    desk.host(&segment, "node").await;
    desk.host(&segment, "other").await;
    desk.gone("node").await.is(202);
    desk.gone("node").await.fault(409, "conflictingRequest");
    // Whatever its time and its words.
    let unknown = json!({"event": "STOPPED", "host_status": "UNKNOWN"});
    desk.report("COMPUTE_HOST", "node", unknown).await.fault(409, "conflictingRequest");
    let open = desk.api.store.open_incidents().await.unwrap();
    assert_eq!(desk.api.store.joined(&open[0].id).await.unwrap().len(), 2, "both are written down");
    desk.gone("other").await.is(202);
    desk.close_all().await;
    desk.gone("node").await.is(202);
    assert_eq!(desk.get("/v1/notifications").await.is(200)["notifications"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_hundred_monitors_make_one_notification() {
    let desk = Arc::new(Desk::new());
    let segment = desk.segment("s").await;
    desk.host(&segment, "node").await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let desk = Arc::clone(&desk);
        all.spawn(async move { desk.gone("node").await.status.as_u16() });
    }
    let mut answers = all.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers[0], 202);
    assert!(answers[1..].iter().all(|status| *status == 409), "{answers:?}");
}

#[tokio::test]
async fn a_host_on_maintenance_reports_nothing() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    let node = desk.host(&segment, "node").await;
    let path = format!("/v1/segments/{segment}/hosts/{node}");
    desk.call("PUT", &path, json!({"host": {"on_maintenance": true}})).await.is(200);
    let process = json!({"event": "STOPPED", "process_name": "nova-compute"});
    let vm = json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED",
        "instance_uuid": "9d3a0000-0000-4000-8000-000000000001"});
    desk.gone("node").await.fault(409, "conflictingRequest");
    desk.report("VM", "node", vm.clone()).await.fault(409, "conflictingRequest");
    desk.report("PROCESS", "node", process.clone()).await.fault(409, "conflictingRequest");
    // One flag for clients; inside, whoever is only quarantined is still heard when it dies.
    let change = HostChange { on_maintenance: Some(false), quarantined: Some(true), ..HostChange::default() };
    desk.api.store.change_host(&HostId::new(&node), &change, desk.api.now()).await.unwrap();
    assert_eq!(desk.get(&path).await.is(200)["host"]["on_maintenance"], true);
    desk.report("VM", "node", vm).await.fault(409, "conflictingRequest");
    desk.gone("node").await.is(202);
    desk.close_all().await;
    // Whoever clears the one flag clears all of it.
    let cleared = desk.call("PUT", &path, json!({"host": {"on_maintenance": "False"}})).await;
    assert_eq!(cleared.is(200)["host"]["on_maintenance"], false);
    desk.report("PROCESS", "node", process).await.is(202);
}

#[tokio::test]
async fn a_segment_is_in_use_while_somebody_is_at_work_in_it() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    let node = desk.host(&segment, "node").await;
    let sibling = desk.host(&segment, "sibling").await;
    let elsewhere = desk.segment("elsewhere").await;
    let calls = [
        ("PUT", format!("/v1/segments/{segment}"), json!({"segment": {"description": "x"}})),
        ("DELETE", format!("/v1/segments/{segment}"), Value::Null),
        ("PUT", format!("/v1/segments/{segment}/hosts/{sibling}"), json!({"host": {"reserved": true}})),
        ("DELETE", format!("/v1/segments/{segment}/hosts/{sibling}"), Value::Null),
        ("PUT", format!("/v1/segments/{segment}/hosts/{node}"), json!({"host": {"reserved": true}})),
    ];
    let taken = desk.gone("node").await;
    let id = taken.is(202)["notification"]["notification_uuid"].as_str().unwrap().to_owned();
    for (method, path, body) in &calls {
        desk.call(method, path, body.clone()).await.fault(409, "conflictingRequest");
    }
    desk.host(&segment, "new").await;
    desk.call("PUT", &format!("/v1/segments/{elsewhere}"), json!({"segment": {"description": "x"}}))
        .await
        .is(200);
    // Nobody is at work on it any more: whoever was has died, or it waits for something that an operator has to change.
    let open = desk.api.store.open_incidents().await.unwrap();
    let past = open[0].opened;
    assert!(desk.api.store.hold_incident(&open[0].id, past).await.unwrap());
    desk.call("PUT", &calls[0].1, calls[0].2.clone()).await.is(200);
    let far = desk.api.now() + jiff::SignedDuration::from_hours(1);
    assert!(desk.api.store.hold_incident(&open[0].id, far).await.unwrap());
    desk.call("PUT", &calls[0].1, calls[0].2.clone()).await.fault(409, "conflictingRequest");
    desk.close_all().await;
    let now = desk.api.now();
    let id = id.as_str().into();
    assert!(desk.api.store.set_status(&id, Status::New, Status::Failed, None, now).await.unwrap());
    for (method, path, body) in
        calls.iter().filter(|(_, path, _)| path.contains("/hosts/")).chain(&calls[..2])
    {
        let status = desk.call(method, path, body.clone()).await.status.as_u16();
        assert!(matches!(status, 200 | 204 | 404), "{method} {path}: {status}");
    }
}
