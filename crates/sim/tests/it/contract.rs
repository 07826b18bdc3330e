//! What every store and all nodes owe, asked of the pretended ones: the same bodies that SQLite, a real Galera cluster
//! and the nodes of a real cloud are held to.
//!
//! Where they differ, the pretence is wrong.

#[allow(dead_code, reason = "the other engines' tests use more of it")]
#[path = "../../../world/tests/it/store_contract.rs"]
mod store_contract;

#[path = "../../../world/tests/it/node_contract.rs"]
mod node_contract;

use node_contract::{Ground, Order};
use ostler_engine::seam::{Fut, Store};
use ostler_model::ids::HostName;
use ostler_sim::cloud::Link;
use ostler_sim::storm::{catalogue, on_paused_clock, service_at};
use ostler_sim::{MemoryStore, SimClock, SimCloud, seams_at};
use std::sync::Arc;

#[test]
fn the_pretended_store_keeps_what_every_store_owes() {
    // On a clock that runs: the body races writers against each other and counts.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    runtime.block_on(store_contract::holds(&store, &Arc::clone(&store), "sim"));
}

/// Three pretended controllers of a release whose successor has an expand.
fn on_pretended_nodes(part: impl AsyncFnOnce(Ground<'_>)) {
    let catalogue = catalogue().unwrap();
    let service = &catalogue.services[&ostler_model::ids::ServiceName::from("keystone")];
    let (from, to) = ("2025.1".parse().unwrap(), "2026.1".parse().unwrap());
    let (old, new) = (service.release(from).unwrap(), service.release(to).unwrap());
    let cloud = Arc::new(SimCloud::new(3, service_at(service, from, to).unwrap()));
    let (clock, store) = (SimClock::default(), Arc::new(MemoryStore::default()));
    let seams = seams_at(&cloud, store, 1, clock.clone());
    let order = |order: Order, host: HostName| -> Fut<'_, ()> {
        let (cloud, clock) = (&cloud, &clock);
        Box::pin(async move {
            use ostler_engine::seam::Clock as _;
            match order {
                Order::Kill => cloud.lose_power(&host, None, clock.now()),
                Order::Revive => cloud.give_power(&host, clock.now()),
                Order::Cut => cloud.set_link(&host, Link::Cut, None, clock.now()),
                Order::Mend => cloud.set_link(&host, Link::Up, None, clock.now()),
            }
        })
    };
    let pause = || -> Fut<'_, ()> { Box::pin(tokio::time::sleep(std::time::Duration::from_secs(1))) };
    let expanded = ostler_model::catalogue::sorted([new.expand.clone(), old.contract.clone()]);
    let ground = Ground {
        nodes: seams.nodes.as_ref(),
        run: "contract".into(),
        hosts: cloud.declared.nodes.keys().cloned().collect(),
        backend: cloud.backend.clone(),
        unit: cloud.unit.clone(),
        package: cloud.package.clone(),
        database: cloud.database.clone(),
        old: ("deb sim:/old ./".into(), format!("{}.0.0", old.major)),
        new: ("deb sim:/new ./".into(), format!("{}.0.0", new.major)),
        expand: (vec!["expand".into()], old.heads(), expanded),
        order: &order,
        pause: &pause,
    };
    on_paused_clock(part(ground)).unwrap();
}

#[test]
fn servers_leave_and_return() {
    on_pretended_nodes(async |ground| ground.servers_leave_and_return().await);
}

#[test]
fn an_attempt_begins_at_most_once() {
    on_pretended_nodes(async |ground| ground.an_attempt_begins_at_most_once().await);
}

#[test]
fn a_cut_connection_changes_nothing() {
    on_pretended_nodes(async |ground| ground.a_cut_connection_changes_nothing().await);
}

#[test]
fn a_power_cut_leaves_only_what_is() {
    on_pretended_nodes(async |ground| ground.a_power_cut_leaves_only_what_is().await);
}

#[test]
fn a_schema_is_proved_by_its_heads() {
    on_pretended_nodes(async |ground| ground.a_schema_is_proved_by_its_heads().await);
}

#[test]
fn a_member_is_set_aside_and_rejoins() {
    on_pretended_nodes(async |ground| ground.a_member_is_set_aside_and_rejoins().await);
}

#[test]
fn a_backup_is_there_or_not() {
    on_pretended_nodes(async |ground| ground.a_backup_is_there_or_not().await);
}
