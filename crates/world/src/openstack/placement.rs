//! Placement: what hypervisors have, what of it is taken, and by whom.
//!
//! It must never change an allocation: Nova does that.

use super::catalogue::PLACEMENT;
use super::client::{Call, OpenStack};
use super::error::ApiError;
use super::reading::{needed, number, quoted};
use super::version::{Microversion, Range};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;

/// Allocations say whose they are since 1.12; everything else is older. Later versions of what is asked here only
/// add fields.
const TELLS: Range = Range::new(Microversion(1, 12), Microversion(1, 39));

/// A provider of resources: a hypervisor, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its UUID; a hypervisor's is its own.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The provider that it is a part of, or itself.
    pub root: String,
}

/// What a provider has of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stock {
    /// How much there is.
    pub total: u64,
    /// How much of it is kept back.
    pub reserved: u64,
    /// How many times it may be given away.
    pub ratio: f64,
    /// How much is taken.
    pub used: u64,
}

impl Stock {
    /// How much may still be given away.
    pub fn free(&self) -> u64 {
        let kept = self.total.saturating_sub(self.reserved);
        // Whole units, as Placement counts them; a ratio that is no number gives nothing away.
        let all = (kept as f64 * self.ratio).max(0.0) as u64;
        all.saturating_sub(self.used)
    }
}

/// What a consumer has taken, by provider and kind.
pub type Allocations = BTreeMap<String, BTreeMap<String, u64>>;

impl OpenStack {
    /// All providers.
    pub async fn providers(&self) -> Result<Vec<Provider>, ApiError> {
        let doing = "listing the resource providers";
        let version = self.version(&PLACEMENT, TELLS, doing).await?;
        let items =
            self.list(&PLACEMENT, "/resource_providers", "resource_providers", version, doing).await?;
        let read = |item: &Value| {
            let id = needed(item, "uuid")?;
            let root = needed(item, "root_provider_uuid").unwrap_or_else(|_| id.clone());
            Ok(Provider { root, name: needed(item, "name")?, id })
        };
        let odd = |what: String| ApiError::Odd { doing: doing.to_owned(), what, request: None };
        items.iter().map(|item| read(item).map_err(odd)).collect()
    }

    /// What a provider has and what of it is taken, by kind (`VCPU`, `MEMORY_MB`, …).
    pub async fn stock(&self, provider: &str) -> Result<BTreeMap<String, Stock>, ApiError> {
        let provider = quoted(provider);
        let inventories = self
            .placement(
                &format!("/resource_providers/{provider}/inventories"),
                "inventories",
                "asking what a hypervisor has",
            )
            .await?;
        let usages = self
            .placement(
                &format!("/resource_providers/{provider}/usages"),
                "usages",
                "asking what is taken of a hypervisor",
            )
            .await?;
        let kinds = inventories.as_object().into_iter().flatten();
        Ok(kinds
            .map(|(kind, stock)| {
                let ratio = stock.get("allocation_ratio").and_then(Value::as_f64).unwrap_or(1.0);
                let (total, reserved) = (number(stock, "total"), number(stock, "reserved"));
                (kind.clone(), Stock { total, reserved, ratio, used: number(&usages, kind) })
            })
            .collect())
    }

    /// What a server (or another consumer) has taken.
    pub async fn allocations(&self, consumer: &str) -> Result<Allocations, ApiError> {
        let path = format!("/allocations/{}", quoted(consumer));
        let taken = self.placement(&path, "allocations", "asking what a server has taken").await?;
        let providers = taken.as_object().into_iter().flatten();
        Ok(providers
            .map(|(provider, taken)| {
                let kinds = taken.get("resources").and_then(Value::as_object).into_iter().flatten();
                let counted = kinds.filter_map(|(kind, count)| Some((kind.clone(), count.as_u64()?)));
                (provider.clone(), counted.collect())
            })
            .collect())
    }

    async fn placement(&self, path: &str, key: &str, doing: &str) -> Result<Value, ApiError> {
        let version = self.version(&PLACEMENT, TELLS, doing).await?;
        let call = Call { service: &PLACEMENT, method: Method::GET, path, version, body: None, doing };
        let mut reply = self.call(call).await?;
        match reply.body.get_mut(key).map(Value::take) {
            Some(found @ Value::Object(_)) => Ok(found),
            _ => Err(ApiError::Odd {
                doing: doing.to_owned(),
                what: format!("it holds no `{key}`"),
                request: reply.request,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_never_below_nothing() {
        let stock = Stock { total: 8, reserved: 2, ratio: 4.0, used: 20 };
        assert_eq!(stock.free(), 4);
        assert_eq!(Stock { used: 99, ..stock }.free(), 0);
        assert_eq!(Stock { reserved: 9, ..stock }.free(), 0);
        for ratio in [f64::NAN, -1.0] {
            assert_eq!(Stock { ratio, ..stock }.free(), 0);
        }
    }
}
