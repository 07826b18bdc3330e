//! What a measurement of instance HA needs of the lab's cloud: a host full of instances, where they are, and everything
//! back as it was.
//!
//! All of it by the APIs that an operator has. Must never touch another lab's cloud, nor report a host as full that is not.

use super::api::{Api, NOVA, text_at};
use super::catalogue::Part;
use super::emulator::Virt;
use super::instances;
use crate::error::LabError;
use crate::lab::Lab;
use crate::progress::{Listener, Teller};
use crate::secrets::Secrets;
use crate::wait::{Seen, until};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The port of Masakari's API behind the lab's virtual address.
const MASAKARI: u16 = 15_868;
/// How long instances may take to go, or compute nodes to be seen again.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);

/// An instance as Nova has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Its identity.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its status.
    pub status: String,
}

/// The cloud of a lab, for a measurement.
pub struct Trial<'a> {
    lab: &'a Lab,
    api: Api,
    computes: Vec<String>,
    /// Whether Masakari runs in it.
    pub has_masakari: bool,
}

impl Lab {
    /// Opens the lab's cloud for a measurement.
    pub async fn trial(&self) -> Result<Trial<'_>, LabError> {
        let (_, ground) = self.record()?;
        if !ground.has_cloud() || ground.computes().len() < 3 {
            return Err(LabError::refused(
                "this lab has no Nova, or fewer than three compute nodes",
                "make one with `ostler lab up --release 2025.1 --with nova --computes 4`",
            ));
        }
        if ground.virt == Virt::Qemu {
            return Err(LabError::refused(
                "this lab has real guests, too few for a measurement",
                "make another one without `--virt qemu`",
            ));
        }
        let secrets = Secrets::read(&self.secrets_path())?;
        let api = Api::log_in(ground.virtual_address, secrets.admin.reveal()).await?;
        let computes = ground.computes().iter().map(|(node, _)| node.clone()).collect();
        Ok(Trial { lab: self, api, computes, has_masakari: ground.parts.contains(&Part::Masakari) })
    }
}

impl Trial<'_> {
    /// The compute nodes.
    pub fn computes(&self) -> &[String] {
        &self.computes
    }

    /// Every instance.
    pub async fn instances(&self) -> Result<Vec<Placed>, LabError> {
        let answer = self.api.get(NOVA, "/v2.1/servers/detail?all_tenants=1").await?;
        let all = answer["servers"].as_array().cloned().unwrap_or_default();
        let text = |server: &Value, name: &str| server[name].as_str().unwrap_or_default().to_owned();
        Ok(all
            .iter()
            .map(|server| Placed {
                id: text(server, "id"),
                host: text(server, "OS-EXT-SRV-ATTR:host"),
                status: text(server, "status"),
            })
            .collect())
    }

    async fn services(&self) -> Result<Vec<Value>, LabError> {
        let answer = self.api.get(NOVA, "/v2.1/os-services?binary=nova-compute").await?;
        Ok(answer["services"].as_array().cloned().unwrap_or_default())
    }

    async fn change(&self, service: &Value, change: &Value) -> Result<(), LabError> {
        let path = format!("/v2.1/os-services/{}", text_at(service, "/id")?);
        self.api.expect(Method::PUT, NOVA, &path, Some(change)).await.map(drop)
    }

    /// Whether Nova sees a compute node up.
    pub async fn is_up(&self, host: &str) -> Result<bool, LabError> {
        Ok(self.services().await?.iter().any(|service| service["host"] == host && service["state"] == "up"))
    }

    /// Every node has power and is enabled again, whatever a recovery has left.
    pub async fn whole(&self) -> Result<(), LabError> {
        for node in &self.computes {
            self.lab.revive(node).await?;
        }
        let todo = "look at the compute nodes with `ostler lab status`";
        // Nova refuses while a node has not found out yet which of its guests have left.
        until("compute nodes that are in use", todo, SETTLE_LIMIT, async || match self.let_in().await {
            Ok(true) => Seen::Holds(()),
            Ok(false) => Seen::NotYet("not all are up".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        })
        .await
    }

    /// Lets every compute node in again; whether all are up.
    async fn let_in(&self) -> Result<bool, LabError> {
        let services = self.services().await?;
        for service in &services {
            if service["forced_down"] == true {
                self.change(service, &json!({ "forced_down": false })).await?;
            }
            if service["status"] == "disabled" {
                self.change(service, &json!({ "status": "enabled" })).await?;
            }
        }
        Ok(services.iter().all(|service| service["state"] == "up" && service["status"] == "enabled"))
    }

    /// Deletes every instance and makes so many on one host, each with a port.
    pub async fn fill(
        &self,
        host: &str,
        count: u16,
        listener: Listener<'_>,
    ) -> Result<Vec<String>, LabError> {
        for instance in self.instances().await? {
            let path = format!("/v2.1/servers/{}", instance.id);
            self.api.ask(Method::DELETE, NOVA, &path, None).await?;
        }
        let todo = "ask Nova for them: `openstack server list --all-projects`";
        until("instances that go", todo, SETTLE_LIMIT, async || match self.instances().await {
            Ok(left) if left.is_empty() => Seen::Holds(()),
            Ok(left) => Seen::NotYet(format!("{} are left", left.len())),
            Err(error) => Seen::NotYet(error.to_string()),
        })
        .await?;
        let others: Vec<Value> =
            self.services().await?.into_iter().filter(|service| service["host"] != host).collect();
        for service in &others {
            self.change(service, &json!({ "status": "disabled", "disabled_reason": "a measurement" }))
                .await?;
        }
        let ready = instances::found(&self.api).await?;
        let made = instances::make(&self.api, &ready, count, true, &Teller::new(listener)).await;
        for service in &others {
            self.change(service, &json!({ "status": "enabled" })).await?;
        }
        made?;
        let all = self.instances().await?;
        match all.iter().find(|instance| instance.host != host) {
            None => Ok(all.into_iter().map(|instance| instance.id).collect()),
            Some(stray) => Err(LabError::Service {
                what: format!("filling {host}"),
                why: format!("{} is on {}", stray.id, stray.host),
            }),
        }
    }

    /// Requests that the lab's Nova API has answered so far, by its log: how many of which kind. What the load balancer
    /// asks each second to see whether the API lives is nobody's request and not among them.
    pub fn nova_requests(&self, controller: &str) -> BTreeMap<String, usize> {
        let log = self.lab.machine(controller).root().join("var/log/nova/nova-api.log");
        let text = std::fs::read(log).unwrap_or_default();
        let mut counts = BTreeMap::new();
        for kind in String::from_utf8_lossy(&text).lines().filter_map(kind_of) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// When Nova's API was first asked for an evacuation since then, by its log.
    pub fn first_evacuation(&self, controller: &str, since: Timestamp) -> Option<Timestamp> {
        let log = self.lab.machine(controller).root().join("var/log/nova/nova-api.log");
        let text = std::fs::read(log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(evacuation_of).filter(|asked| *asked >= since).min()
    }

    /// Puts all compute nodes into a segment of Masakari; its identity.
    pub async fn masakari_segment(&self) -> Result<String, LabError> {
        let name = format!("trial-{}", Timestamp::now().as_millisecond());
        let body =
            json!({ "segment": { "name": name, "recovery_method": "auto", "service_type": "COMPUTE" } });
        let made = self.api.post(MASAKARI, "/v1/segments", &body).await?;
        let segment = text_at(&made, "/segment/uuid")?;
        for node in &self.computes {
            let host = json!({ "host": { "name": node, "type": "COMPUTE", "control_attributes": "-" } });
            self.api.post(MASAKARI, &format!("/v1/segments/{segment}/hosts"), &host).await?;
        }
        Ok(segment)
    }

    /// Tells Masakari that a host is gone, as its host monitor does.
    pub async fn masakari_notify(&self, host: &str) -> Result<String, LabError> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let body = json!({ "notification": {
            "type": "COMPUTE_HOST", "hostname": host, "generated_time": now,
            "payload": { "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL" },
        }});
        let made = self.api.post(MASAKARI, "/v1/notifications", &body).await?;
        text_at(&made, "/notification/notification_uuid")
    }

    /// A token for the lab's administrator.
    pub fn token(&self) -> &str {
        self.api.token()
    }
}

/// What a line of the API's log tells of: `GET /v2.1/servers/*`. None: it tells of no request, or of a load balancer's.
fn kind_of(line: &str) -> Option<String> {
    let (head, _) = line.split_once("\" status: ")?;
    let (_, request) = head.rsplit_once('"')?;
    if request == "GET /" {
        return None;
    }
    let (request, _) = request.split_once('?').unwrap_or((request, ""));
    let is_name =
        |part: &str| part.len() >= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let parts: Vec<&str> = request.split('/').map(|part| if is_name(part) { "*" } else { part }).collect();
    Some(parts.join("/"))
}

/// When an evacuation was asked for, by the line that tells of its answer: of a server's actions that a recovery asks for
/// it is the one that is answered with 200.
fn evacuation_of(line: &str) -> Option<Timestamp> {
    let is_action = kind_of(line).as_deref() == Some("POST /v2.1/servers/*/action");
    let (_, took) = line.rsplit_once(" time: ").filter(|_| is_action && line.contains("\" status: 200 "))?;
    let (answered, _) = line.split_at_checked("2026-11-28 10:00:00.001".len())?;
    let answered: Timestamp = format!("{}Z", answered.replacen(' ', "T", 1)).parse().ok()?;
    answered.checked_sub(SignedDuration::from_secs_f64(took.trim().parse().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_kind_and_those_of_the_load_balancer_are_nobodys() {
        let line = |request: &str| {
            format!(
                "2026-11-28 10:00:00.001 12 INFO nova.api.openstack.requestlog [req-1] 198.18.0.11 \"{request}\" status: 200 len: 10 microversion: 2.96 time: 0.01"
            )
        };
        let server = "GET /v2.1/servers/5f0c2b1e-93f4-4f0c-9d0a-2d1f2b1c0e11?x=1";
        assert_eq!(kind_of(&line(server)).as_deref(), Some("GET /v2.1/servers/*"));
        assert_eq!(
            kind_of(&line("GET /v2.1/os-services?host=cmp1")).as_deref(),
            Some("GET /v2.1/os-services")
        );
        assert_eq!(kind_of(&line("GET /v2.1/")).as_deref(), Some("GET /v2.1/"));
        assert_eq!(kind_of(&line("GET /")), None);
        assert_eq!(kind_of("2026-11-28 10:00:00.001 12 INFO nova.osapi_compute.wsgi.server started"), None);
    }

    #[test]
    fn an_evacuation_is_told_from_a_lock_and_by_when_it_was_asked_for() {
        let line = |status: u16| {
            format!(
                "2026-11-28 10:00:00.500 12 INFO nova.api.openstack.requestlog [req-1] 198.18.0.1 \"POST /v2.1/servers/5f0c2b1e-93f4-4f0c-9d0a-2d1f2b1c0e11/action\" status: {status} len: 0 microversion: 2.94 time: 0.250000"
            )
        };
        assert_eq!(evacuation_of(&line(200)), Some("2026-11-28T10:00:00.25Z".parse().unwrap()));
        assert_eq!(evacuation_of(&line(202)), None);
    }
}
