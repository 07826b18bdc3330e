//! Collects what health is judged by: nodes over SSH, the APIs with an operator's credentials, the ways to each API.
//!
//! It must never change anything, never ask faster than its bucket fills, and never keep a secret: every text is masked
//! before it is kept. What cannot be seen is a gap with its reason; a look never fails as a whole.

mod api;
mod bucket;
mod listings;
mod nodes;
mod parse;
mod ping;
mod probe;
mod quota;
mod rows;
mod rpc;
mod tls;

use crate::node::Connections;
use crate::openstack::{Credentials, OpenStack};
use bucket::Bucket;
use ostler_model::Timestamp;
use ostler_model::cloud::Cloud;
use ostler_model::health::{Cost, Evidence};
use rows::Tables;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests to all APIs together in one second, unless told: five hundred hosts take a quarter of a minute, and no service
/// gets more than 16 at once.
pub const RATE_DEFAULT: u32 = 100;

/// How long a look may take in all. What is not there by then is a gap.
const LOOK_LIMIT: Duration = Duration::from_secs(300);

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// APIs and services only: no node, no list of objects.
    Fast,
    /// Everything that is judged unless told otherwise.
    Usual,
    /// Lists that cost a request for each agent or each project, too.
    Deep,
}

/// A look.
#[derive(Debug)]
pub struct Look<'a> {
    /// The cloud.
    pub cloud: &'a Cloud,
    /// The way to its nodes.
    pub nodes: Arc<Connections>,
    /// The credentials, or why there are none.
    pub credentials: Result<Credentials, String>,
    /// How much.
    pub depth: Depth,
    /// Requests in one second.
    pub rate: u32,
}

/// Looks.
pub async fn collect(look: Look<'_>) -> Evidence {
    let begun = Instant::now();
    let tables = Tables::new(Evidence::new(&look.cloud.name, Timestamp::now()));
    if tokio::time::timeout(LOOK_LIMIT, everything(&look, &tables)).await.is_err() {
        tables.gap("look", None, &format!("it was given up after {} s", LOOK_LIMIT.as_secs()));
    }
    let mut evidence = tables.into_evidence();
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (requests, bytes) = evidence
        .cost
        .iter()
        .fold((0, 0), |(requests, bytes), cost| (requests + cost.requests, bytes + cost.bytes));
    evidence.cost.insert(0, Cost { part: "all".to_owned(), requests, bytes, ms });
    evidence
}

async fn everything(look: &Look<'_>, tables: &Tables) {
    let bucket = Bucket::new(look.rate);
    let openstack = match &look.credentials {
        Ok(credentials) => Some(OpenStack::new(credentials.clone())),
        Err(why) => {
            tables.gap("api.call", None, why);
            None
        }
    };
    let nodes = async {
        if look.depth != Depth::Fast {
            nodes::look(look, tables).await;
        }
    };
    let apis = async {
        if let Some(openstack) = &openstack {
            let begun = Instant::now();
            api::look(openstack, &bucket, look.depth, tables).await;
            tables.cost("APIs", openstack.requests(), openstack.bytes(), begun.elapsed());
        }
    };
    tokio::join!(nodes, apis);
    // Which servers stand behind an address is known from the load balancers.
    if let Some(openstack) = &openstack {
        let begun = Instant::now();
        let requests = probe::look(look, openstack, &bucket, tables).await;
        tables.cost("ways to the APIs", requests, 0, begun.elapsed());
        if let Ok(credentials) = &look.credentials {
            let begun = Instant::now();
            let greetings = tls::look(look, credentials, &bucket, tables).await;
            if greetings > 0 {
                tables.cost("certificates that clients see", greetings, 0, begun.elapsed());
            }
        }
        let before = openstack.requests();
        let begun = Instant::now();
        tokio::join!(ping::look(openstack, &bucket, tables), rpc::look(look, tables));
        tables.cost("pings of hypervisors", openstack.requests() - before, 0, begun.elapsed());
    }
}
