//! The nodes of a real cloud, held to the same contract as the pretended ones. `OSTLER_TEST_LAB` names the directory of a
//! lab that is up; `OSTLER_TEST_POWER` a program that takes `kill|revive|cut|mend NODE`.

use super::node_contract::{Ground, Order};
use super::node_lab::{Lab, texts};
use super::node_power::power;
use ostler_engine::seam::Fut;
use ostler_model::catalogue::sorted;
use ostler_model::ids::HostName;

async fn on_real_nodes(part: impl AsyncFnOnce(Ground<'_>)) {
    let lab = Lab::open();
    let order = |order: Order, host: HostName| -> Fut<'_, ()> {
        Box::pin(async move {
            let word = match order {
                Order::Kill => "kill",
                Order::Revive => "revive",
                Order::Cut => "cut",
                Order::Mend => "mend",
            };
            let done = tokio::task::spawn_blocking(move || power(word, host.as_str())).await.unwrap();
            assert!(done, "{word} failed");
        })
    };
    let pause = || -> Fut<'_, ()> { Box::pin(tokio::time::sleep(std::time::Duration::from_millis(500))) };
    let source = |release: &str| format!("deb [trusted=yes] file:/srv/openstack/{release} ./");
    let heads = |expand: &str| sorted([expand.to_owned(), "c88cdce8f248".to_owned()]);
    let ground = Ground {
        nodes: &lab.nodes,
        run: lab.run.clone(),
        hosts: lab.cloud.nodes.keys().cloned().collect(),
        backend: "keystone".into(),
        unit: "keystone.service".into(),
        package: "keystone".into(),
        database: "keystone".into(),
        old: (source("2024.1"), "25.0.0".into()),
        new: (source("2026.1"), "29.1.0".into()),
        expand: (
            texts(&["keystone-manage", "db_sync", "--expand"]),
            heads("47147121"),
            heads("742c857f1dfb"),
        ),
        order: &order,
        pause: &pause,
    };
    part(ground).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn servers_leave_and_return() {
    on_real_nodes(async |ground| ground.servers_leave_and_return().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn an_attempt_begins_at_most_once() {
    on_real_nodes(async |ground| ground.an_attempt_begins_at_most_once().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_cut_connection_changes_nothing() {
    on_real_nodes(async |ground| ground.a_cut_connection_changes_nothing().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_power_cut_leaves_only_what_is() {
    on_real_nodes(async |ground| ground.a_power_cut_leaves_only_what_is().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_schema_is_proved_by_its_heads() {
    on_real_nodes(async |ground| ground.a_schema_is_proved_by_its_heads().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_member_is_set_aside_and_rejoins() {
    on_real_nodes(async |ground| ground.a_member_is_set_aside_and_rejoins().await).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_backup_is_there_or_not() {
    on_real_nodes(async |ground| ground.a_backup_is_there_or_not().await).await;
}
