//! Nova's API, as far as an operator needs it: services, servers, moves, hosts.
//!
//! It must never decide where a server goes or whether it may: it says what Nova says.

mod hosts;
mod moves;
mod servers;
mod services;

pub use hosts::{Aggregate, Group, Hypervisor};
pub use moves::{Migration, WakesUp};
pub use servers::Server;
pub use services::ComputeService;

use super::catalogue::COMPUTE;
use super::client::{Call, OpenStack, Reply};
use super::error::ApiError;
use super::version::{Microversion, Range};
use reqwest::Method;
use serde_json::Value;

/// The newest version whose answers are known here: 2024.1 speaks up to 2.96.
const NEWEST: Microversion = Microversion(2, 96);

/// From a version on.
const fn since(minor: u16) -> Range {
    Range::new(Microversion(2, minor), NEWEST)
}

impl OpenStack {
    /// One call to Nova.
    async fn nova(
        &self,
        method: Method,
        path: &str,
        version: Microversion,
        body: Option<Value>,
        doing: &str,
    ) -> Result<Reply, ApiError> {
        self.call(Call { service: &COMPUTE, method, path, version, body, doing }).await
    }

    /// A list of Nova's, every item of it understood.
    async fn nova_list<T>(
        &self,
        path: &str,
        key: &str,
        version: Microversion,
        doing: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Vec<T>, ApiError> {
        let items = self.list(&COMPUTE, path, key, version, doing).await?;
        let odd = |what| ApiError::Odd { doing: doing.to_owned(), what, request: None };
        items.iter().map(|item| read(item).map_err(odd)).collect()
    }
}
