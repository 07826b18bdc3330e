//! Whatever is sent, the answer is never that the server failed.

use super::Desk;
use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON, with the words of the API in it so that it gets far.
fn value() -> impl Strategy<Value = Value> {
    let words = proptest::sample::select(vec![
        "segment",
        "host",
        "notification",
        "name",
        "type",
        "auto",
        "COMPUTE",
        "COMPUTE_HOST",
        "VM",
        "PROCESS",
        "STOPPED",
        "node",
        "payload",
        "event",
        "enabled",
        "True",
        "2026-11-21T19:30:01",
        "hostname",
        "recovery_method",
        "service_type",
        "control_attributes",
        "generated_time",
        "description",
        "reserved",
        "on_maintenance",
        "instance_uuid",
        "vir_domain_event",
        "process_name",
        "host_status",
        "NORMAL",
    ]);
    let text = prop_oneof![words.prop_map(str::to_owned), any::<String>(), "\\PC{0,300}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A body that is right but for one value.
fn nearly_right() -> impl Strategy<Value = Value> {
    let right = proptest::sample::select(vec![
        json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "COMPUTE", "description": "d", "enabled": true}}),
        json!({"host": {"name": "m", "type": "COMPUTE", "control_attributes": "SSH", "reserved": false, "on_maintenance": false}}),
        json!({"notification": {"type": "COMPUTE_HOST", "hostname": "node", "generated_time": "2026-11-21T19:30:01",
            "payload": {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}}}),
        json!({"notification": {"type": "VM", "hostname": "node", "generated_time": "2026-11-21T19:30:01",
            "payload": {"event": "E", "vir_domain_event": "V", "instance_uuid": "9d3a0000-0000-4000-8000-000000000001"}}}),
        json!({"notification": {"type": "PROCESS", "hostname": "node", "generated_time": "2026-11-21T19:30:01",
            "payload": {"event": "STOPPED", "process_name": "nova-compute"}}}),
    ]);
    (right, any::<prop::sample::Index>(), value()).prop_map(|(mut body, index, odd)| {
        let mut places = Vec::new();
        collect(&body, String::new(), &mut places);
        let place = places[index.index(places.len())].clone();
        if let Some(value) = body.pointer_mut(&place) {
            *value = odd;
        }
        body
    })
}

fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, inner) in map {
            let place = format!("{at}/{key}");
            places.push(place.clone());
            collect(inner, place, places);
        }
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => nearly_right().prop_map(|body| body.to_string().into_bytes()),
        2 => value().prop_map(|body| body.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "/v1/segments",
        "/v1/segments/{s}",
        "/v1/segments/{s}/hosts",
        "/v1/segments/{s}/hosts/{h}",
        "/v1/notifications",
        "/v1/notifications/{n}",
        "/v1/notifications/{n}/vmoves",
        "/v1/notifications/{n}/vmoves/x",
        "/v1/extensions/x",
        "/v1/abc/segments/{s}.json",
        "/v1/segments/99999999999999999999",
        "/v1/segments/-1/hosts",
    ]);
    let odd = "[!-~]{0,40}";
    prop_oneof![6 => known.prop_map(str::to_owned), 1 => odd.prop_map(|text| format!("/v1/{text}"))]
}

fn query() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "limit",
        "marker",
        "sort_key",
        "sort_dir",
        "enabled",
        "reserved",
        "status",
        "type",
        "generated-since",
        "x",
    ]);
    let value =
        prop_oneof!["[!-~]{0,20}", "-?[0-9]{1,25}", Just("asc".to_owned()), Just("created_at".to_owned())];
    prop::collection::vec((name, value).prop_map(|(name, value)| format!("{name}={value}")), 0..4)
        .prop_map(|pairs| pairs.join("&"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_sent_makes_the_server_fail(
        method in proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
        path in path(),
        query in query(),
        kind in proptest::sample::select(vec!["application/json", "application/json", "application/json", "", "text/plain", "a/b"]),
        version in proptest::sample::select(vec!["", "instance-ha 1.3", "instance-ha latest", "instance-ha 9.9", "x", "instance-ha \u{e9}"]),
        body in body(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::new();
            let segment = desk.segment("s").await;
            let host = desk.host(&segment, "node").await;
            let taken = desk.gone("node").await.is(202)["notification"]["notification_uuid"].as_str().unwrap().to_owned();
            desk.close_all().await;
            let path = path.replace("{s}", &segment).replace("{h}", &host).replace("{n}", &taken);
            let request = Request::builder().method(method).uri(format!("{path}?{query}"));
            let request = request.header("OpenStack-API-Version", version.as_bytes());
            let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
            // What is not even a request does not reach the API.
            let Ok(request) = request.body(Body::from(body)) else { return };
            let answer = desk.raw(request).await;
            assert!(answer.status.as_u16() < 500, "{method} {path}?{query}: {answer:?}");
        });
    }
}
