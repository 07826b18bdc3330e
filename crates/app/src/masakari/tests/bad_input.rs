//! Every refusal, in a table: what is sent, and what is answered.

use super::Desk;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

#[tokio::test]
async fn segments_are_refused_for_each_rule() {
    let desk = Desk::new();
    desk.segment("taken").await;
    let id = desk.segment("s").await;
    let good = json!({"name": "n", "recovery_method": "auto", "service_type": "COMPUTE"});
    let with = |name: &str, value: Value| {
        let mut segment = good.clone();
        segment[name] = value;
        json!({ "segment": segment })
    };
    let without = |name: &str| {
        let mut segment = good.clone();
        segment.as_object_mut().unwrap().remove(name);
        json!({ "segment": segment })
    };
    let long = "n".repeat(256);
    let cases: Vec<(Value, u16, &str)> = vec![
        (json!({}), 400, "'segment' is a required property"),
        (json!([]), 400, "not an object"),
        (json!("segment"), 400, "not an object"),
        (json!({"segment": null}), 400, "not an object"),
        (json!({"segment": []}), 400, "not an object"),
        (json!({"segment": good, "other": 1}), 400, "'other' was unexpected"),
        (without("name"), 400, "'name' is a required property"),
        (without("recovery_method"), 400, "'recovery_method' is a required property"),
        (without("service_type"), 400, "'service_type' is a required property"),
        (with("name", json!("")), 400, "name"),
        (with("name", json!(" n")), 400, "name"),
        (with("name", json!("n\u{7}")), 400, "name"),
        (with("name", json!(long)), 400, "256 characters"),
        (with("name", json!(null)), 400, "name"),
        (with("name", json!(7)), 400, "name"),
        (with("recovery_method", json!("AUTO")), 400, "recovery_method"),
        (with("recovery_method", json!("")), 400, "recovery_method"),
        (with("recovery_method", json!(["auto"])), 400, "recovery_method"),
        (with("service_type", json!("")), 400, "service_type"),
        (with("description", json!("a\tb")), 400, "description"),
        (with("description", json!(1)), 400, "description"),
        (with("enabled", json!("maybe")), 400, "enabled"),
        (with("enabled", json!(1)), 400, "enabled"),
        (with("enabled", json!(null)), 400, "enabled"),
        (with("uuid", json!("u")), 400, "'uuid' was unexpected"),
        (with("id", json!(1)), 400, "'id' was unexpected"),
    ];
    for (body, status, says) in &cases {
        let message = desk.call("POST", "/v1/segments", body.clone()).await.fault(*status, "badRequest");
        assert!(message.contains(says), "{body}: {message}");
    }
    let taken = desk.call("POST", "/v1/segments", with("name", json!("taken"))).await;
    taken.fault(409, "conflictingRequest");
    for version in ["", "instance-ha 1.1"] {
        let old = desk.call_at(version, "POST", "/v1/segments", with("enabled", json!(true))).await;
        assert!(old.fault(400, "badRequest").contains("'enabled' was unexpected"), "{version}");
    }
    let path = format!("/v1/segments/{id}");
    for (body, status, name) in [
        (json!({"segment": {}}), 400, "badRequest"),
        (json!({"segment": {"uuid": "u"}}), 400, "badRequest"),
        (json!({"segment": {"name": null}}), 400, "badRequest"),
        (json!({"segment": {"name": "taken"}}), 409, "conflictingRequest"),
    ] {
        desk.call("PUT", &path, body).await.fault(status, name);
    }
    let change = json!({"segment": {"name": "x"}});
    desk.call("PUT", "/v1/segments/none", change.clone()).await.fault(404, "itemNotFound");
    desk.call_at("", "PUT", &path, json!({"segment": {"enabled": false}})).await.fault(400, "badRequest");
    desk.call("DELETE", "/v1/segments/none", Value::Null).await.fault(404, "itemNotFound");
    // What upstream takes for true.
    let changed = desk.call("PUT", &path, json!({"segment": {"enabled": "False"}})).await;
    assert_eq!(changed.is(200)["segment"]["enabled"], false);
    let own_name = desk.call("PUT", &path, json!({"segment": {"name": "s"}})).await;
    own_name.is(200);
}

#[tokio::test]
async fn hosts_are_refused_for_each_rule() {
    let desk = Desk::new();
    let id = desk.segment("s").await;
    let other = desk.segment("other").await;
    let host = desk.host(&id, "node").await;
    let good = json!({"name": "n", "type": "COMPUTE", "control_attributes": "SSH"});
    let with = |name: &str, value: Value| {
        let mut host = good.clone();
        host[name] = value;
        json!({ "host": host })
    };
    let path = format!("/v1/segments/{id}/hosts");
    for (body, says) in [
        (json!({}), "'host'"),
        (json!({"host": {"name": "n", "type": "COMPUTE"}}), "'control_attributes'"),
        (json!({"host": {"name": "n", "control_attributes": "SSH"}}), "'type'"),
        (json!({"host": {"type": "COMPUTE", "control_attributes": "SSH"}}), "'name'"),
        (with("type", json!("COMPUTE_HOST")), "type"),
        (with("type", json!(null)), "type"),
        (with("control_attributes", json!(null)), "control_attributes"),
        (with("control_attributes", json!("a\tb")), "control_attributes"),
        (with("reserved", json!("perhaps")), "reserved"),
        (with("on_maintenance", json!(0)), "on_maintenance"),
        (with("failover_segment_id", json!("x")), "'failover_segment_id'"),
    ] {
        let message = desk.call("POST", &path, body.clone()).await.fault(400, "badRequest");
        assert!(message.contains(says), "{body}: {message}");
    }
    for place in [&path, &format!("/v1/segments/{other}/hosts")] {
        desk.call("POST", place, with("name", json!("node"))).await.fault(409, "conflictingRequest");
    }
    desk.call("POST", "/v1/segments/none/hosts", with("name", json!("m"))).await.fault(404, "itemNotFound");
    desk.get("/v1/segments/none/hosts").await.fault(404, "itemNotFound");
    // By way of a segment that is not its own.
    let foreign = format!("/v1/segments/{other}/hosts/{host}");
    desk.get(&foreign).await.fault(404, "itemNotFound");
    desk.call("PUT", &foreign, json!({"host": {"reserved": true}})).await.fault(404, "itemNotFound");
    desk.call("DELETE", &foreign, Value::Null).await.fault(404, "itemNotFound");
    let own = format!("{path}/{host}");
    for body in [
        json!({"host": {}}),
        json!({"host": {"failover_segment_id": other}}),
        json!({"host": {"type": null}}),
        json!({"host": {"reserved": null}}),
    ] {
        desk.call("PUT", &own, body).await.fault(400, "badRequest");
    }
    desk.host(&id, "second").await;
    desk.call("PUT", &own, json!({"host": {"name": "second"}})).await.fault(409, "conflictingRequest");
    desk.call("PUT", &format!("{path}/node"), json!({"host": {"reserved": true}}))
        .await
        .fault(404, "itemNotFound");
    let changed = desk.call("PUT", &own, json!({"host": {"reserved": "on", "type": ""}})).await;
    assert_eq!(changed.is(200)["host"]["reserved"], true);
}

#[tokio::test]
async fn a_host_is_one_that_the_compute_service_knows() {
    let mut desk = Desk::new();
    let id = desk.segment("s").await;
    desk.api.is_compute_host = Some(Box::new(|name| {
        Box::pin(async move {
            match name.as_str() {
                "node" => Ok(true),
                "silent" => Err("it does not answer".to_owned()),
                _ => Ok(false),
            }
        })
    }));
    let host = desk.host(&id, "node").await;
    let add = |name: &str| {
        let body = json!({"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}});
        (format!("/v1/segments/{id}/hosts"), body)
    };
    let (path, body) = add("nobody");
    desk.call("POST", &path, body).await.fault(400, "badRequest");
    let (_, body) = add("silent");
    desk.call("POST", &path, body).await.fault(503, "serviceUnavailable");
    let own = format!("{path}/{host}");
    desk.call("PUT", &own, json!({"host": {"name": "nobody"}})).await.fault(400, "badRequest");
    desk.call("PUT", &own, json!({"host": {"reserved": true}})).await.is(200);
}

#[tokio::test]
async fn notifications_are_refused_for_each_rule() {
    let desk = Desk::new();
    let id = desk.segment("s").await;
    desk.host(&id, "node").await;
    let stopped = json!({"event": "STOPPED", "host_status": "NORMAL"});
    let good = json!({"type": "COMPUTE_HOST", "hostname": "node", "generated_time": "2026-11-21T19:30:01",
        "payload": stopped});
    let with = |name: &str, value: Value| {
        let mut notification = good.clone();
        notification[name] = value;
        json!({ "notification": notification })
    };
    let of = |kind: &str, payload: Value| {
        let mut notification = with("type", json!(kind));
        notification["notification"]["payload"] = payload;
        notification
    };
    let uuid = "9d3a0000-0000-4000-8000-000000000001";
    for body in [
        json!({}),
        json!({"notification": {}}),
        with("type", json!("compute_host")),
        with("type", json!(null)),
        with("hostname", json!("no de")),
        with("hostname", json!("")),
        with("hostname", json!("n".repeat(256))),
        with("hostname", json!("stranger")),
        with("generated_time", json!("yesterday")),
        with("generated_time", json!(1_790_000_000)),
        with("generated_time", json!("")),
        with("payload", json!(null)),
        with("payload", json!("STOPPED")),
        with("payload", json!({})),
        with("status", json!("new")),
        of("COMPUTE_HOST", json!({"event": "stopped", "host_status": "NORMAL"})),
        of("COMPUTE_HOST", json!({"event": "REBOOTED"})),
        of("COMPUTE_HOST", json!({"event": "STOPPED", "host_status": "normal"})),
        of("COMPUTE_HOST", json!({"event": "STOPPED", "host_status": null})),
        of("COMPUTE_HOST", json!({"event": "STOPPED", "cluster_status": "AWAY"})),
        of("COMPUTE_HOST", json!({"event": "STOPPED", "extra": "x"})),
        of("COMPUTE_HOST", json!({"event": "STOPPED", "process_name": "x"})),
        of("VM", stopped.clone()),
        of("VM", json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED"})),
        of("VM", json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED", "instance_uuid": "x"})),
        of("VM", json!({"event": "", "vir_domain_event": "STOPPED_FAILED", "instance_uuid": uuid})),
        of("VM", json!({"event": "E", "vir_domain_event": "V", "instance_uuid": uuid, "x": "y"})),
        of("PROCESS", json!({"event": "STOPPED"})),
        of("PROCESS", json!({"event": "stopped", "process_name": "nova-compute"})),
        of("PROCESS", json!({"event": "STOPPED", "process_name": ""})),
        of("PROCESS", json!({"event": "STOPPED", "process_name": "p".repeat(256)})),
        of("PROCESS", json!({"event": "STOPPED", "process_name": ["nova-compute"]})),
    ] {
        desk.call("POST", "/v1/notifications", body).await.fault(400, "badRequest");
    }
    assert_eq!(
        desk.get("/v1/notifications").await.is(200)["notifications"],
        json!([]),
        "one of them was kept"
    );
    for time in ["2017-04-21 17:29:55", "2017-04-21T17:29:55Z", "2017-04-21T17:29:55.5+02:00"] {
        let taken = desk.call("POST", "/v1/notifications", with("generated_time", json!(time))).await;
        taken.is(202);
        desk.close_all().await;
    }
    let no_dashes = json!({"event": "E", "vir_domain_event": "V", "instance_uuid": uuid.replace('-', "")});
    desk.call("POST", "/v1/notifications", of("VM", no_dashes)).await.is(202);
    for method in ["PUT", "DELETE"] {
        desk.call(method, "/v1/notifications/x", Value::Null).await.fault(405, "badMethod");
    }
    desk.get("/v1/notifications/none").await.fault(404, "itemNotFound");
    let process = json!({"event": "STOPPED", "process_name": "libvirtd"});
    let process = desk.call("POST", "/v1/notifications", of("PROCESS", process)).await;
    let process = process.is(202)["notification"]["notification_uuid"].as_str().unwrap();
    desk.get(&format!("/v1/notifications/{process}/vmoves")).await.fault(400, "badRequest");
    desk.get(&format!("/v1/notifications/{process}/vmoves/x")).await.fault(400, "badRequest");
}

#[tokio::test]
async fn places_methods_and_media_types_are_refused_by_their_own_status() {
    let desk = Desk::new();
    let id = desk.segment("s").await;
    for (method, path, status) in [
        ("POST", format!("/v1/segments/{id}/action"), 405),
        ("POST", format!("/v1/segments/{id}"), 405),
        ("DELETE", "/v1/segments".to_owned(), 405),
        ("POST", "/v1/notifications/x/vmoves".to_owned(), 405),
        ("PUT", "/v1/extensions/segments".to_owned(), 405),
        ("PATCH", format!("/v1/segments/{id}"), 404),
        ("GET", "/v1/nothing".to_owned(), 404),
        ("GET", "/v1/0123456789abcdef0123456789abcdef".to_owned(), 404),
        ("GET", "/v1/0123456789abcdef/nothing".to_owned(), 404),
        ("GET", "/v1/tenant/segments".to_owned(), 404),
        ("GET", format!("/v1/segments/{id}/hosts/x/y"), 404),
        ("GET", "/v1//segments".to_owned(), 404),
    ] {
        let answer = desk.call(method, &path, Value::Null).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
        if status == 404 {
            assert_eq!(answer.body["code"], "404 Not Found", "{method} {path}");
            assert_eq!(answer.body["title"], "Not Found");
            assert!(answer.body["message"].is_string());
        }
    }
    let good =
        json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "COMPUTE"}}).to_string();
    let invalid_utf8 = vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}'];
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    for (kind, body, status, name) in [
        ("application/xml", good.clone().into_bytes(), 415, "badMediaType"),
        ("text/html; charset=x", good.clone().into_bytes(), 415, "badMediaType"),
        ("text/plain", good.clone().into_bytes(), 400, "badRequest"),
        ("", good.clone().into_bytes(), 400, "badRequest"),
        ("application/json", vec![], 400, "badRequest"),
        ("application/json", b"{".to_vec(), 400, "badRequest"),
        ("application/json", b"{} {}".to_vec(), 400, "badRequest"),
        ("application/json", b"{\"segment\": NaN}".to_vec(), 400, "badRequest"),
        ("application/json", b"{\"segment\": 1e99999}".to_vec(), 400, "badRequest"),
        ("application/json", b"{\"segment\": \"\\ud800\"}".to_vec(), 400, "badRequest"),
        ("application/json", invalid_utf8, 400, "badRequest"),
        ("application/json", nested[..110_000].to_vec(), 400, "badRequest"),
        ("application/json", vec![b' '; super::super::input::BODY_BYTES_MAX + 1], 413, "overLimit"),
    ] {
        let request = Request::builder().method("POST").uri("/v1/segments");
        let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
        desk.raw(request.body(Body::from(body)).unwrap()).await.fault(status, name);
    }
    let request = Request::builder().method("POST").uri("/v1/segments");
    let request = request.header("content-type", "application/vnd.openstack.masakari+json; charset=utf-8");
    desk.raw(request.body(Body::from(good)).unwrap()).await.is(201);
    assert_eq!(*desk.complaints.lock().unwrap(), Vec::<String>::new());
}
