//! A look at a cloud whose APIs are out of their minds: it comes to an end, and what was not seen is a gap with its reason.

use super::http_server::{Asked, Server, Told};
use super::keystone::cloud_without_nodes;
use super::nova::credentials;
use ostler_model::health::{Evidence, Value};
use ostler_world::health::{Depth, Look, collect};
use ostler_world::node::{SshAccess, SshNodes};
use serde_json::json;
use std::sync::Arc;

/// Images without end, networks in one answer without end, no server at the address of the volumes, and a region that is gone.
fn answer(asked: &Asked, own: &str) -> Told {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    if path == "/v3/auth/tokens" {
        let at = |region: &str, url: &str| json!({"interface": "public", "region": region, "region_id": region, "url": url});
        let service = |kind: &str, north: &str| json!({"type": kind, "endpoints": [at("north", north), at("south", "http://127.0.0.1:1")]});
        let body = json!({"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "user": {}, "catalog": [
            service("image", &format!("{own}/image")),
            service("network", &format!("{own}/network")),
            service("volumev3", "http://127.0.0.1:1/v3/p"),
            {"type": "metric", "endpoints": [at("south", "http://127.0.0.1:1")]},
        ]}});
        return Told::Say(201, vec![("X-Subject-Token", "token".to_owned())], body.to_string());
    }
    if path.starts_with("/network") {
        return Told::ForEver;
    }
    if path.starts_with("/image/v2/images") {
        let page = query.rsplit("marker=").next().and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
        let next = format!("/v2/images?marker={page}");
        return Told::json(200, &json!({"images": [{"id": format!("i{page}")}], "next": next}));
    }
    Told::json(404, &json!({}))
}

async fn look_at(server: &Server) -> Evidence {
    let cloud = cloud_without_nodes();
    let access = SshAccess { user: String::new(), key: "/nowhere".into(), known_hosts: "/nowhere".into() };
    let catalogue = Arc::new(ostler_model::catalogue::Catalogue::embedded().unwrap());
    let nodes = SshNodes::new(cloud.clone(), catalogue, access).connections();
    let credentials = Ok(credentials(&server.url, ""));
    collect(Look { cloud: &cloud, nodes, credentials, depth: Depth::Usual, rate: 1_000 }).await
}

#[tokio::test]
async fn apis_that_never_end_and_dead_ones_are_gaps_with_their_reasons() {
    let own = Arc::new(std::sync::Mutex::new(String::new()));
    let told = Arc::clone(&own);
    let server = Server::start(move |asked| answer(asked, &told.lock().unwrap())).await;
    own.lock().unwrap().clone_from(&server.url);
    let evidence = look_at(&server).await;
    let why = |table: &str| {
        let gaps = evidence.tables.get(table).map(|table| table.gaps.as_slice()).unwrap_or_default();
        gaps.iter().map(|gap| gap.why.clone()).collect::<Vec<_>>().join("; ")
    };
    assert!(why("network").contains("is longer than"), "{}", why("network"));
    assert!(why("image").contains("pages"), "{}", why("image"));
    assert!(why("volume").contains("Connection refused"), "{}", why("volume"));
    let south: Vec<_> = evidence
        .rows("endpoint")
        .iter()
        .filter(|row| row.get("region") == Some(&Value::Text("south".into())))
        .collect();
    assert_eq!(south.len(), 4, "a region that is not asked is in the books all the same");
    assert!(south.iter().all(|row| row.get("asked") == Some(&Value::Bool(false))), "{south:?}");
    assert!(!evidence.tables.contains_key("look"), "the look was given up: {:?}", evidence.tables["look"]);
}
