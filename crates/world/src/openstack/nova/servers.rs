//! Servers: what they are, where they are, and the small verbs on them.
//!
//! It must never take the name of a hypervisor for the name of a host: they differ as soon as one is a full name.

use super::super::catalogue::COMPUTE;
use super::super::client::OpenStack;
use super::super::error::ApiError;
use super::super::reading::{listed, needed, number, quoted, text, texts, truth};
use super::super::version::{Microversion, Range};
use super::since;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every version tells of servers; newer ones tell more.
const TELLS: Range = since(1);

/// A lock has a reason since this version.
const LOCK_REASON: Microversion = Microversion(2, 73);

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The project.
    pub project: Option<String>,
    /// The host of its compute service; none, where it is on no host.
    pub host: Option<String>,
    /// The hypervisor's own name, which may be another.
    pub hypervisor: Option<String>,
    /// Nova's word for what it is, in lower case: `active`, `stopped`, `error`, …
    pub vm_state: String,
    /// What is being done with it.
    pub task_state: Option<String>,
    /// The guest's power as Nova last saw it: 1 runs, 3 paused, 4 shut down.
    pub power_state: u64,
    /// Whether it ever ran.
    pub was_launched: bool,
    /// Whether somebody locked it.
    pub is_locked: bool,
    /// Why.
    pub locked_reason: Option<String>,
    /// The availability zone that its owner asked for, where Nova tells.
    pub asked_zone: Option<String>,
    /// The image; none, where it starts from a volume.
    pub image: Option<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// What users wrote on it.
    pub metadata: BTreeMap<String, String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Name of the flavor, where it is told.
    pub flavor: Option<String>,
    /// Cores.
    pub vcpus: u64,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Disk of the flavor, in GiB.
    pub disk_gib: u64,
    /// The flavor's extra specifications.
    pub specs: BTreeMap<String, String>,
    /// Why it is in error.
    pub fault: Option<String>,
    /// When it last changed, as Nova says it.
    pub updated: Option<String>,
}

impl Server {
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let flavor = value.get("flavor").unwrap_or(&Value::Null);
        let volumes = value.get("os-extended-volumes:volumes_attached").and_then(Value::as_array);
        let word = |key: &str| text(value, key).map(|word| word.to_ascii_lowercase());
        Ok(Self {
            id: needed(value, "id")?,
            name: text(value, "name").unwrap_or_default(),
            project: text(value, "tenant_id"),
            host: text(value, "OS-EXT-SRV-ATTR:host"),
            hypervisor: text(value, "OS-EXT-SRV-ATTR:hypervisor_hostname"),
            vm_state: word("OS-EXT-STS:vm_state").or_else(|| word("status")).unwrap_or_default(),
            task_state: word("OS-EXT-STS:task_state"),
            power_state: number(value, "OS-EXT-STS:power_state"),
            was_launched: text(value, "OS-SRV-USG:launched_at").is_some(),
            is_locked: truth(value, "locked"),
            locked_reason: text(value, "locked_reason"),
            asked_zone: text(value, "pinned_availability_zone"),
            image: value.get("image").and_then(|image| text(image, "id")),
            volumes: volumes.into_iter().flatten().filter_map(|volume| text(volume, "id")).collect(),
            metadata: texts(value, "metadata"),
            tags: listed(value, "tags"),
            flavor: text(flavor, "original_name"),
            vcpus: number(flavor, "vcpus"),
            memory_mib: number(flavor, "ram"),
            disk_gib: number(flavor, "disk"),
            specs: texts(flavor, "extra_specs"),
            fault: value.get("fault").and_then(|fault| text(fault, "message")),
            updated: text(value, "updated"),
        })
    }
}

impl OpenStack {
    /// Every project's servers on one host, with all details.
    pub async fn servers_on(&self, host: &str) -> Result<Vec<Server>, ApiError> {
        let doing = format!("listing the servers on {host}");
        let version = self.version(&COMPUTE, TELLS, &doing).await?;
        let path = format!("/servers/detail?all_tenants=1&host={}", quoted(host));
        self.nova_list(&path, "servers", version, &doing, Server::read).await
    }

    /// Every project's locked servers, with all details, and at most one more than so many: then there are too many of them.
    /// None, where Nova cannot list them apart.
    pub async fn locked_servers(&self, at_most: usize) -> Result<Option<Vec<Server>>, ApiError> {
        let doing = "listing the locked servers";
        let version = self.version(&COMPUTE, TELLS, doing).await?;
        // What an older version does not know it would pass over, and list every server.
        if version < LOCK_REASON {
            return Ok(None);
        }
        // One page: whoever finds it full needs no more of it.
        let limit = at_most + 1;
        let path = format!("/servers/detail?all_tenants=1&locked=true&limit={limit}");
        let reply = self.nova(Method::GET, &path, version, None, doing).await?;
        let odd = |what| ApiError::Odd { doing: doing.to_owned(), what, request: reply.request.clone() };
        let page = reply.body.get("servers").and_then(Value::as_array);
        let page = page.ok_or_else(|| odd("it holds no list `servers`".to_owned()))?;
        let read: Result<Vec<Server>, String> = page.iter().take(limit).map(Server::read).collect();
        read.map(Some).map_err(odd)
    }

    /// One server; none, if Nova has no such server (any more).
    pub async fn server(&self, id: &str) -> Result<Option<Server>, ApiError> {
        let doing = format!("asking for server {id}");
        let version = self.version(&COMPUTE, TELLS, &doing).await?;
        let reply =
            match self.nova(Method::GET, &format!("/servers/{}", quoted(id)), version, None, &doing).await {
                Ok(reply) => reply,
                Err(error) if error.status() == Some(404) => return Ok(None),
                Err(error) => return Err(error),
            };
        let server = reply.body.get("server").ok_or_else(|| "it holds no `server`".to_owned());
        server.and_then(Server::read).map(Some).map_err(|what| ApiError::Odd {
            doing,
            what,
            request: reply.request,
        })
    }

    /// Keeps everybody but operators from changing a server, and says why where Nova can keep the reason.
    pub async fn lock_server(&self, id: &str, reason: &str) -> Result<Option<String>, ApiError> {
        let doing = format!("locking server {id}");
        let version = self.version(&COMPUTE, TELLS, &doing).await?;
        let lock = if version >= LOCK_REASON { json!({"locked_reason": reason}) } else { Value::Null };
        self.act(id, json!({"lock": lock}), version, &doing).await
    }

    /// Takes a lock off.
    pub async fn unlock_server(&self, id: &str) -> Result<Option<String>, ApiError> {
        self.verb(id, json!({"unlock": null}), &format!("unlocking server {id}")).await
    }

    /// Shuts a server down.
    pub async fn stop_server(&self, id: &str) -> Result<Option<String>, ApiError> {
        self.verb(id, json!({"os-stop": null}), &format!("stopping server {id}")).await
    }

    /// Starts a server that is stopped.
    pub async fn start_server(&self, id: &str) -> Result<Option<String>, ApiError> {
        self.verb(id, json!({"os-start": null}), &format!("starting server {id}")).await
    }

    /// Says that a server is in error, or that it is not.
    pub async fn reset_server(&self, id: &str, is_error: bool) -> Result<Option<String>, ApiError> {
        let state = if is_error { "error" } else { "active" };
        let body = json!({"os-resetState": {"state": state}});
        self.verb(id, body, &format!("resetting server {id} to {state}")).await
    }

    async fn verb(&self, id: &str, body: Value, doing: &str) -> Result<Option<String>, ApiError> {
        let version = self.version(&COMPUTE, TELLS, doing).await?;
        self.act(id, body, version, doing).await
    }

    /// An action on a server; answers Nova's name for the request.
    pub(super) async fn act(
        &self,
        id: &str,
        body: Value,
        version: Microversion,
        doing: &str,
    ) -> Result<Option<String>, ApiError> {
        let path = format!("/servers/{}/action", quoted(id));
        Ok(self.nova(Method::POST, &path, version, Some(body), doing).await?.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_whatever_is_missing_but_its_identity() {
        let server = Server::read(&json!({"id": "a"})).unwrap();
        assert_eq!((server.host, server.image, server.vcpus), (None, None, 0));
        assert!(Server::read(&json!({"name": "x"})).is_err());
        assert!(Server::read(&json!([1])).is_err());
        let odd = json!({"id": "a", "image": "", "flavor": [], "metadata": {"HA_Enabled": "True", "n": 1},
            "locked": "yes", "OS-EXT-STS:vm_state": "ACTIVE", "os-extended-volumes:volumes_attached": [{"id": "v"}, 3]});
        let server = Server::read(&odd).unwrap();
        assert_eq!((server.vm_state.as_str(), server.is_locked, server.volumes.len()), ("active", false, 1));
        assert_eq!(server.metadata.len(), 1);
    }
}
