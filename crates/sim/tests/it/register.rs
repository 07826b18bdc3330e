//! The register in memory owes what the real ones owe.

use crate::register_contract::holds;
use ostler_engine::seam::Store;
use ostler_sim::MemoryStore;
use std::sync::Arc;

#[tokio::test]
async fn memory_keeps_what_every_register_owes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    holds(&store, &store, "memory").await;
}
