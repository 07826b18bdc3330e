//! Paging, order and filters of every list.

use super::Desk;
use serde_json::{Value, json};

fn names(answer: &Value, key: &str) -> Vec<String> {
    answer[key].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_are_newest_first_and_paged_by_number_or_identity() {
    let desk = Desk::new();
    for name in ["a", "b", "c"] {
        desk.segment(name).await;
    }
    let all = desk.get("/v1/segments").await.is(200).clone();
    assert_eq!(names(&all, "segments"), ["c", "b", "a"]);
    for key in ["id", "uuid"] {
        let marker = all["segments"][0][key].to_string().trim_matches('"').to_owned();
        let next = desk.get(&format!("/v1/segments?limit=1&marker={marker}")).await.is(200).clone();
        assert_eq!(names(&next, "segments"), ["b"], "by {key}");
        assert_eq!(next.as_object().unwrap().len(), 1, "there are no links");
    }
    let last = all["segments"][2]["id"].to_string();
    assert_eq!(
        *desk.get(&format!("/v1/segments?limit=2&marker={last}")).await.is(200),
        json!({"segments": []})
    );
    assert_eq!(names(desk.get("/v1/segments?limit=2&marker=").await.is(200), "segments"), ["c", "b"]);
    assert_eq!(*desk.get("/v1/segments?limit=0").await.is(200), json!({"segments": []}));
    assert_eq!(names(desk.get("/v1/segments?limit=99999999999").await.is(200), "segments").len(), 3);
}

#[tokio::test]
async fn lists_are_ordered_as_asked() {
    let desk = Desk::new();
    for name in ["b", "c", "a"] {
        desk.segment(name).await;
    }
    for (query, wanted) in [
        ("sort_key=name&sort_dir=asc", ["a", "b", "c"]),
        ("sort_key=name", ["c", "b", "a"]),
        ("sort_dir=asc", ["b", "c", "a"]),
        ("sort_key=service_type&sort_key=name&sort_dir=asc&sort_dir=desc", ["c", "b", "a"]),
        ("sort_key=service_type&sort_key=name&sort_dir=asc", ["a", "b", "c"]),
        ("sort_key=deleted&sort_dir=asc", ["b", "c", "a"]),
        ("sort_key=id&sort_dir=asc&unknown=1", ["b", "c", "a"]),
    ] {
        let answer = desk.get(&format!("/v1/segments?{query}")).await;
        assert_eq!(names(answer.is(200), "segments"), wanted, "{query}");
    }
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let desk = Desk::new();
    let id = desk.segment("s").await;
    desk.host(&id, "node").await;
    let taken = desk.gone("node").await.is(202)["notification"]["id"].to_string();
    let hosts = format!("/v1/segments/{id}/hosts");
    let moves = format!("/v1/notifications/{taken}/vmoves");
    for list in ["/v1/segments", &hosts, "/v1/notifications", &moves] {
        for query in [
            "limit=-1",
            "limit=many",
            "limit=",
            "limit=1.5",
            "marker=none",
            "marker=99999",
            "marker=-1",
            "sort_key=nothing",
            "sort_key=failover_segment",
            "sort_dir=up",
            "sort_key=id&sort_dir=asc&sort_dir=asc",
            "sort_key=%00",
        ] {
            desk.get(&format!("{list}?{query}")).await.fault(400, "badRequest");
        }
        desk.get(&format!("{list}?limit=%ff")).await.fault(400, "badRequest");
        desk.get(&format!("{list}?&&=&a&%zz=1")).await.is(200);
    }
    for query in ["reserved=perhaps", "on_maintenance=2", "reserved="] {
        desk.get(&format!("{hosts}?{query}")).await.fault(400, "badRequest");
    }
    desk.get("/v1/segments?enabled=perhaps").await.fault(400, "badRequest");
    desk.get("/v1/notifications?generated-since=yesterday").await.fault(400, "badRequest");
}

#[tokio::test]
async fn filters_say_which_rows() {
    let desk = Desk::new();
    let id = desk.segment("on").await;
    let off = desk.segment("off").await;
    let change =
        json!({"segment": {"enabled": false, "recovery_method": "reserved_host", "service_type": "OTHER"}});
    desk.call("PUT", &format!("/v1/segments/{off}"), change).await.is(200);
    for (query, wanted) in [
        ("enabled=True", vec!["on"]),
        ("enabled=1", vec!["on"]),
        ("enabled=false", vec!["off"]),
        ("enabled=False", vec!["off"]),
        ("recovery_method=reserved_host", vec!["off"]),
        ("recovery_method=none", vec![]),
        ("service_type=COMPUTE", vec!["on"]),
        ("service_type=OTHER&enabled=True", vec![]),
    ] {
        let answer = desk.call_at("", "GET", &format!("/v1/segments?{query}"), Value::Null).await;
        assert_eq!(names(answer.is(200), "segments"), wanted, "{query}");
    }
    let node = desk.host(&id, "node").await;
    desk.host(&id, "spare").await;
    desk.host(&off, "foreign").await;
    let path = format!("/v1/segments/{id}/hosts");
    desk.call("PUT", &format!("{path}/{node}"), json!({"host": {"reserved": true}})).await.is(200);
    for (query, wanted) in [
        ("", vec!["spare", "node"]),
        ("reserved=True", vec!["node"]),
        ("reserved=False&on_maintenance=False", vec!["spare"]),
        ("on_maintenance=yes", vec![]),
        ("type=COMPUTE", vec!["spare", "node"]),
        ("type=x", vec![]),
        ("name=spare", vec!["spare"]),
        ("control_attributes=IPMI", vec![]),
    ] {
        let answer = desk.get(&format!("{path}?{query}")).await;
        assert_eq!(names(answer.is(200), "hosts"), wanted, "{query}");
    }
    let elsewhere = desk.get(&format!("{path}?failover_segment_id={off}")).await;
    assert_eq!(*elsewhere.is(200), json!({"hosts": []}));
    desk.gone("node").await.is(202);
    let vm = json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED",
        "instance_uuid": "9d3a0000-0000-4000-8000-000000000001"});
    desk.report("VM", "spare", vm).await.is(202);
    for (query, wanted) in [
        ("", vec!["VM", "COMPUTE_HOST"]),
        ("type=VM", vec!["VM"]),
        ("type=none", vec![]),
        ("status=new", vec!["VM", "COMPUTE_HOST"]),
        ("status=new&status=finished", vec![]),
        ("generated-since=2026-11-21T19:30:01", vec!["VM", "COMPUTE_HOST"]),
        ("generated-since=2026-11-21%2019:30:02", vec![]),
        ("generated_since=2026-11-22", vec!["VM", "COMPUTE_HOST"]),
    ] {
        let answer = desk.get(&format!("/v1/notifications?{query}")).await;
        let found = answer.is(200)["notifications"].as_array().unwrap().clone();
        let kinds: Vec<&str> = found.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, wanted, "{query}");
    }
    let of_node = desk.get(&format!("/v1/notifications?source_host_uuid={node}")).await;
    assert_eq!(of_node.is(200)["notifications"].as_array().unwrap().len(), 1);
}
