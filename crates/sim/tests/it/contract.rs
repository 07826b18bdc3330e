//! What every store owes, asked of the pretended one: the same body that SQLite and a real Galera cluster are held to.
//!
//! Where they differ, the pretence is wrong.

#[allow(dead_code, reason = "the other engines' tests use more of it")]
#[path = "../../../world/tests/it/store_contract.rs"]
mod store_contract;

use ostler_engine::seam::Store;
use ostler_sim::MemoryStore;
use std::sync::Arc;

#[test]
fn the_pretended_store_keeps_what_every_store_owes() {
    // On a clock that runs: the body races writers against each other and counts.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    runtime.block_on(store_contract::holds(&store, &Arc::clone(&store), "sim"));
}
