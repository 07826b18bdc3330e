//! Hosts as Nova groups and counts them: aggregates and hypervisors.
//!
//! It must never believe a hypervisor's own count of what is free: Placement has that.

use super::super::catalogue::COMPUTE;
use super::super::client::OpenStack;
use super::super::error::ApiError;
use super::super::reading::{listed, needed, quoted, text, texts};
use super::super::version::Range;
use super::since;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every version has aggregates.
const AGGREGATES: Range = since(1);

/// Hypervisors have UUIDs, which Placement knows them by, since this version.
const HYPERVISORS: Range = since(53);

/// A group of servers has one policy since this version.
const GROUPS: Range = since(64);

/// Server groups on one page: what Nova gives at most by default.
const GROUPS_PAGE: usize = 1_000;

/// Pages of server groups that are read.
const GROUP_PAGES_MAX: usize = 100;

/// A group of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Its number, which its address needs.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The availability zone that it makes, if it makes one.
    pub zone: Option<String>,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// What operators wrote on it.
    pub metadata: BTreeMap<String, String>,
}

/// A hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hypervisor {
    /// Its UUID: the one of its resource provider, too.
    pub id: String,
    /// Its own name.
    pub name: String,
    /// The host of its compute service.
    pub host: String,
    /// `QEMU`, `ironic`, `fake`, …
    pub kind: Option<String>,
    /// Whether its compute service is up.
    pub is_up: bool,
    /// Whether its compute service takes new servers.
    pub is_enabled: bool,
}

/// A group of servers with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its UUID.
    pub id: String,
    /// Whether its members must not share a host.
    pub keeps_apart: bool,
    /// Its members.
    pub members: Vec<String>,
}

impl Group {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            id: needed(value, "id")?,
            keeps_apart: text(value, "policy").as_deref() == Some("anti-affinity"),
            members: listed(value, "members"),
        })
    }
}

impl Aggregate {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            id: needed(value, "id")?,
            name: text(value, "name").unwrap_or_default(),
            zone: text(value, "availability_zone"),
            hosts: listed(value, "hosts"),
            metadata: texts(value, "metadata"),
        })
    }
}

impl Hypervisor {
    fn read(value: &Value) -> Result<Self, String> {
        let service = value.get("service").unwrap_or(&Value::Null);
        Ok(Self {
            id: needed(value, "id")?,
            name: needed(value, "hypervisor_hostname")?,
            host: needed(service, "host")?,
            kind: text(value, "hypervisor_type"),
            is_up: text(value, "state").as_deref() == Some("up"),
            is_enabled: text(value, "status").as_deref() == Some("enabled"),
        })
    }
}

impl OpenStack {
    /// All aggregates.
    pub async fn aggregates(&self) -> Result<Vec<Aggregate>, ApiError> {
        let doing = "listing the aggregates";
        let version = self.version(&COMPUTE, AGGREGATES, doing).await?;
        self.nova_list("/os-aggregates", "aggregates", version, doing, Aggregate::read).await
    }

    /// Puts a host into an aggregate; one that is in it already is no error.
    pub async fn add_to_aggregate(&self, aggregate: &Aggregate, host: &str) -> Result<(), ApiError> {
        let doing = format!("putting {host} into aggregate {}", aggregate.name);
        let done = self.aggregate(aggregate, json!({"add_host": {"host": host}}), &doing).await;
        self.unless_so_already(done, aggregate, host, true).await
    }

    /// Takes a host out of an aggregate; one that is not in it is no error.
    pub async fn remove_from_aggregate(&self, aggregate: &Aggregate, host: &str) -> Result<(), ApiError> {
        let doing = format!("taking {host} out of aggregate {}", aggregate.name);
        let done = self.aggregate(aggregate, json!({"remove_host": {"host": host}}), &doing).await;
        self.unless_so_already(done, aggregate, host, false).await
    }

    async fn aggregate(&self, aggregate: &Aggregate, body: Value, doing: &str) -> Result<(), ApiError> {
        let version = self.version(&COMPUTE, AGGREGATES, doing).await?;
        let path = format!("/os-aggregates/{}/action", quoted(&aggregate.id));
        self.nova(Method::POST, &path, version, Some(body), doing).await.map(|_| ())
    }

    /// Nova refuses with 409 or 404 what is so already, and also other things: the list tells them apart.
    async fn unless_so_already(
        &self,
        done: Result<(), ApiError>,
        aggregate: &Aggregate,
        host: &str,
        is_in: bool,
    ) -> Result<(), ApiError> {
        match done {
            Err(error) if matches!(error.status(), Some(404 | 409)) => {
                let now = self.aggregates().await?;
                let member = now
                    .iter()
                    .find(|one| one.id == aggregate.id)
                    .map(|one| one.hosts.iter().any(|one| one == host));
                if member == Some(is_in) { Ok(()) } else { Err(error) }
            }
            done => done,
        }
    }

    /// Every project's groups of servers.
    pub async fn groups(&self) -> Result<Vec<Group>, ApiError> {
        let doing = "listing the server groups";
        let version = self.version(&COMPUTE, GROUPS, doing).await?;
        let mut all: Vec<Group> = Vec::new();
        // These lists have no links to their next page.
        for _ in 0..GROUP_PAGES_MAX {
            let path =
                format!("/os-server-groups?all_projects=True&limit={GROUPS_PAGE}&offset={}", all.len());
            let mut page = self.nova_list(&path, "server_groups", version, doing, Group::read).await?;
            page.retain(|group| !all.iter().any(|known| known.id == group.id));
            let was_last = page.len() < GROUPS_PAGE;
            all.append(&mut page);
            if was_last {
                break;
            }
        }
        Ok(all)
    }

    /// All hypervisors, with details.
    pub async fn hypervisors(&self) -> Result<Vec<Hypervisor>, ApiError> {
        let doing = "listing the hypervisors";
        let version = self.version(&COMPUTE, HYPERVISORS, doing).await?;
        self.nova_list("/os-hypervisors/detail", "hypervisors", version, doing, Hypervisor::read).await
    }
}
