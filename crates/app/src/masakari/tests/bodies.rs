//! Bodies, headers, versions, extensions: the shapes that clients read.

use super::Desk;
use axum::body::Body;
use axum::http::Request;
use ostler_model::Timestamp;
use ostler_model::ha::{Move, MoveKind, MoveStatus, Progress, TaskState};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn objects_have_every_field_that_clients_know_and_those_only() {
    let desk = Desk::new();
    let body = json!({"segment": {"name": "rack-a", "recovery_method": "rh_priority", "service_type": "COMPUTE",
        "description": "row 3", "enabled": "True"}});
    let made = desk.call("POST", "/v1/segments", body).await;
    let segment = made.is(201)["segment"].clone();
    let mut wanted = json!({"id": segment["id"], "uuid": segment["uuid"], "name": "rack-a", "service_type": "COMPUTE",
        "enabled": true, "description": "row 3", "recovery_method": "rh_priority", "created_at": segment["created_at"],
        "updated_at": null, "deleted_at": null, "deleted": false});
    assert_eq!(segment, wanted);
    assert!(segment["id"].is_i64());
    assert!(segment["created_at"].as_str().unwrap().ends_with(".000000"), "{segment}");
    assert_eq!(segment["created_at"].as_str().unwrap().len(), "2026-11-21T19:26:50.000000".len());
    let id = segment["uuid"].as_str().unwrap();
    let changed =
        desk.call("PUT", &format!("/v1/segments/{id}"), json!({"segment": {"description": null}})).await;
    let changed = changed.is(200)["segment"].clone();
    wanted["description"] = Value::Null;
    wanted["updated_at"] = changed["updated_at"].clone();
    assert_eq!(changed, wanted);
    assert!(changed["updated_at"].is_string());

    let body = json!({"host": {"name": "node-12", "type": "COMPUTE", "control_attributes": "SSH", "reserved": "True"}});
    let host = desk.call("POST", &format!("/v1/segments/{id}/hosts"), body).await;
    let host = host.is(201)["host"].clone();
    let wanted = json!({"id": host["id"], "uuid": host["uuid"], "name": "node-12", "failover_segment_id": id,
        "failover_segment": changed, "type": "COMPUTE", "reserved": true, "control_attributes": "SSH",
        "on_maintenance": false, "created_at": host["created_at"], "updated_at": null, "deleted_at": null, "deleted": false});
    assert_eq!(host, wanted);

    let taken = desk.gone("node-12").await;
    let taken = taken.is(202)["notification"].clone();
    let wanted = json!({"id": taken["id"], "notification_uuid": taken["notification_uuid"],
        "generated_time": "2026-11-21T19:30:01.000000", "source_host_uuid": host["uuid"], "type": "COMPUTE_HOST",
        "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}, "status": "new",
        "failover_segment_uuid": id, "message": null, "created_at": taken["created_at"], "updated_at": null,
        "deleted_at": null, "deleted": false});
    assert_eq!(taken, wanted);
}

#[tokio::test]
async fn the_steps_of_a_recovery_are_shown_from_1_1_on() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    desk.host(&segment, "node").await;
    let taken =
        desk.gone("node").await.is(202)["notification"]["notification_uuid"].as_str().unwrap().to_owned();
    let path = format!("/v1/notifications/{taken}");
    let step = |mark: &str, task: &str, permille, state| Progress {
        notification: taken.as_str().into(),
        mark: mark.into(),
        task: task.into(),
        state,
        permille,
        at: Timestamp::from_microsecond(1_790_000_000_104_512).unwrap(),
        message: format!("step {mark}"),
    };
    let steps = [
        step("a", "DisableComputeServiceTask", 0, TaskState::Running),
        step("b", "DisableComputeServiceTask", 1_000, TaskState::Success),
        step("c", "PrepareHAEnabledInstancesTask", 300, TaskState::Running),
    ];
    let shown = |version| desk.call_at(version, "GET", &path, Value::Null);
    assert_eq!(
        shown("instance-ha 1.1").await.is(200)["notification"]["recovery_workflow_details"],
        json!([])
    );
    desk.api.store.append_progress(&steps).await.unwrap();
    let details = shown("instance-ha 1.1").await.is(200)["notification"]["recovery_workflow_details"].clone();
    let at = "2026-09-21 14:13:20.104512";
    assert_eq!(
        details,
        json!([
            {"name": "DisableComputeServiceTask", "progress": 1.0, "state": "SUCCESS", "progress_details": [
                {"timestamp": at, "progress": "0.0", "message": "step a"},
                {"timestamp": at, "progress": "1.0", "message": "step b"}]},
            {"name": "PrepareHAEnabledInstancesTask", "progress": 0.3, "state": "RUNNING", "progress_details": [
                {"timestamp": at, "progress": "0.3", "message": "step c"}]}
        ])
    );
    for version in ["", "instance-ha 1.0"] {
        let keys = keys(&shown(version).await.is(200)["notification"]);
        assert!(!keys.iter().any(|key| key == "recovery_workflow_details"), "{version}: {keys:?}");
    }
    let listed = desk.get("/v1/notifications").await;
    let keys = keys(&listed.is(200)["notifications"][0]);
    assert!(!keys.iter().any(|key| key == "recovery_workflow_details"), "in a list: {keys:?}");
}

#[tokio::test]
async fn moves_are_shown_below_their_own_notification_only() {
    let desk = Desk::new();
    let segment = desk.segment("s").await;
    desk.host(&segment, "node").await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let answer = desk.gone("node").await;
        taken.push(answer.is(202)["notification"]["notification_uuid"].as_str().unwrap().to_owned());
        desk.close_all().await;
    }
    let second = |second: i64| Some(Timestamp::from_second(1_790_000_000 + second).unwrap());
    let moved = |id: &str, status| Move {
        number: 0,
        id: id.into(),
        notification: taken[0].as_str().into(),
        instance: "9d3a".into(),
        instance_name: "db-1".into(),
        source: Some("node".into()),
        destination: Some("node-14".into()),
        started: second(4),
        ended: second(21),
        kind: MoveKind::Evacuation,
        status,
        message: None,
        created: second(3).unwrap(),
        updated: second(21),
    };
    let moves = [moved("77aa", MoveStatus::Succeeded), moved("77ab", MoveStatus::Failed)];
    desk.api.store.keep_moves(&moves).await.unwrap();
    let base = format!("/v1/notifications/{}/vmoves", taken[0]);
    // The routes are there at every version.
    let shown = desk.call_at("", "GET", &format!("{base}/77aa"), Value::Null).await;
    let shown = shown.is(200)["vmove"].clone();
    let at = |text: &str| format!("2026-09-21T{text}.000000");
    assert_eq!(
        shown,
        json!({"id": shown["id"], "uuid": "77aa", "notification_uuid": taken[0], "instance_uuid": "9d3a",
            "instance_name": "db-1", "source_host": "node", "dest_host": "node-14", "start_time": at("14:13:24"),
            "end_time": at("14:13:41"), "type": "evacuation", "status": "succeeded", "message": null,
            "created_at": at("14:13:23"), "updated_at": at("14:13:41"), "deleted_at": null, "deleted": false})
    );
    assert_eq!(desk.get(&base).await.is(200)["vmoves"].as_array().unwrap().len(), 2);
    assert_eq!(desk.get(&format!("{base}?status=failed")).await.is(200)["vmoves"][0]["uuid"], "77ab");
    assert_eq!(desk.get(&format!("{base}/{}", shown["id"])).await.is(200)["vmove"], shown, "by its number");
    desk.get(&format!("/v1/notifications/{}/vmoves/77aa", taken[1])).await.fault(404, "itemNotFound");
    desk.get("/v1/notifications/none/vmoves/77aa").await.fault(404, "itemNotFound");
    desk.get("/v1/notifications/none/vmoves").await.fault(404, "itemNotFound");
    desk.get(&format!("{base}/77ff")).await.fault(404, "itemNotFound");
}

#[tokio::test]
async fn versions_are_told_to_anybody() {
    let desk = Desk::new();
    let version = |base: &str| {
        json!({"id": "v1.0", "status": "CURRENT", "version": "1.3", "min_version": "1.0",
            "updated": "2016-07-01T11:33:21Z", "links": [{"rel": "self", "href": format!("{base}/v1/")}]})
    };
    assert_eq!(*desk.get("/").await.is(200), json!({"versions": [version("http://ctl:15868")]}));
    for path in ["/v1", "/v1/"] {
        let shown = desk.get(path).await.is(200)["version"].clone();
        assert_eq!(shown["links"][0], json!({"rel": "self", "href": "http://ctl:15868/v1/"}));
        assert_eq!(shown["links"][1]["rel"], "describedby");
        assert_eq!(shown["media-types"][0]["type"], "application/vnd.openstack.masakari+json;version=1");
        assert_eq!(shown["version"], "1.3");
    }
    assert_eq!(desk.get("/v1/versions/v1.0").await.is(200)["version"]["id"], "v1.0");
    desk.get("/v1/versions").await.fault(405, "badMethod");
    for path in ["/v2", "/foo", "/v2/segments"] {
        let choices = desk.get(path).await.is(300)["choices"].clone();
        assert_eq!(
            choices[0]["links"],
            json!([{"rel": "self", "href": format!("http://ctl:15868/v1{path}")}])
        );
        assert_eq!(keys(&choices[0]), ["id", "links", "media-types", "status"]);
    }
    let request = Request::builder().uri("/").header("host", "a").header("x-forwarded-proto", "https");
    let request = request.header("x-forwarded-host", "vip:443").header("x-forwarded-prefix", "/instance-ha");
    let proxied = desk.raw(request.body(Body::empty()).unwrap()).await;
    assert_eq!(*proxied.is(200), json!({"versions": [version("https://vip:443/instance-ha")]}));
}

#[tokio::test]
async fn answers_say_which_microversion_they_have() {
    let desk = Desk::new();
    for (asked, answered) in [
        ("", "instance-ha 1.0"),
        ("compute 2.1", "instance-ha 1.0"),
        ("ha 1.2", "instance-ha 1.0"),
        ("instance-ha 1.2", "instance-ha 1.2"),
        ("instance-ha latest", "instance-ha 1.3"),
        ("compute 2.95, instance-ha 1.1", "instance-ha 1.1"),
    ] {
        let answer = desk.call_at(asked, "GET", "/v1/segments", Value::Null).await;
        answer.is(200);
        assert_eq!(answer.headers["openstack-api-version"], answered, "{asked}");
        assert_eq!(answer.headers["vary"], "OpenStack-API-Version");
    }
    for asked in ["instance-ha 1.4", "instance-ha 2.0", "instance-ha 1.99999999999"] {
        let answer = desk.call_at(asked, "GET", "/v1/segments", Value::Null).await;
        answer.fault(406, "masakariFault");
        assert!(!answer.headers.contains_key("openstack-api-version"));
    }
    for asked in ["instance-ha abc", "instance-ha 0.9", "instance-ha 1", "instance-ha", "instance-ha 1.02"] {
        desk.call_at(asked, "GET", "/v1/segments", Value::Null).await.fault(400, "badRequest");
    }
}

#[tokio::test]
async fn extensions_are_listed_and_shown() {
    let desk = Desk::new();
    let listed = desk.get("/v1/extensions").await.is(200)["extensions"].clone();
    let aliases: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["alias"].as_str().unwrap()).collect();
    assert_eq!(aliases, ["extensions", "notifications", "os-hosts", "segments", "versions", "vmoves"]);
    assert_eq!(keys(&listed[0]), ["alias", "description", "links", "name", "namespace", "updated"]);
    assert_eq!(desk.get("/v1/extensions/os-hosts").await.is(200)["extension"], listed[2]);
    desk.get("/v1/extensions/hosts").await.fault(404, "itemNotFound");
}

#[tokio::test]
async fn every_form_of_a_path_leads_to_the_same() {
    let desk = Desk::new();
    let id = desk.segment("s").await;
    let number = desk.get("/v1/segments").await.is(200)["segments"][0]["id"].clone();
    for path in [
        format!("/v1/segments/{id}"),
        format!("/v1/segments/{id}.json"),
        format!("/v1/segments/{id}/"),
        format!("/v1/0123456789abcdef0123456789abcdef/segments/{id}"),
        format!("/v1/segments/{number}"),
        format!("/v1/%73egments/{id}"),
    ] {
        assert_eq!(desk.get(&path).await.is(200)["segment"]["uuid"], id, "{path}");
    }
    desk.get("/v1/segments/s").await.fault(404, "itemNotFound");
    let gone = desk.call("DELETE", &format!("/v1/segments/{id}"), Value::Null).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(gone.body, Value::Null);
    desk.get(&format!("/v1/segments/{id}")).await.fault(404, "itemNotFound");
}
