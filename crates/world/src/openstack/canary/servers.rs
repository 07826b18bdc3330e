//! Servers: one is started, its console read, and it is moved to another host while it runs.
//!
//! It must never touch a server that another one made: identities come from what this canary has made.

use super::super::catalogue::COMPUTE;
use super::super::client::Call;
use super::super::error::ApiError;
use super::super::reading::{needed, number, quoted, text, truth};
use super::super::recovery::ComputeSide;
use super::super::version::{Microversion, Range};
use super::{LOOK_PAUSE, Now, READY_LIMIT, acted, failed, failed_with, until_ready};
use ostler_model::canary::{Acted, Choices, Kind, Made, NotActed};
use ostler_model::event::Facts;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A server may be without a network since this version, and its flavors are told as before.
const MAKES: Range = Range::new(Microversion(2, 37), Microversion(2, 46));

/// An operator may name the host since this version.
const MAKES_ON: Range = Range::new(Microversion(2, 74), Microversion(2, 96));

/// Every version can.
const TELLS: Range = Range::new(Microversion(2, 1), Microversion(2, 46));

/// Lines of a console that are read.
const CONSOLE_LINES: u32 = 200;

/// How long a server may stand still on its host before its move counts as failed.
const STILL_LIMIT: Duration = Duration::from_secs(30);

impl ComputeSide {
    async fn compute(
        &self,
        method: Method,
        path: &str,
        range: Range,
        body: Option<Value>,
        doing: &str,
    ) -> Result<Value, ApiError> {
        let version = self.api().version(&COMPUTE, range, doing).await?;
        let call = Call { service: &COMPUTE, method, path, version, body, doing };
        Ok(self.api().call(call).await?.body)
    }

    pub(super) async fn make_server(
        &self,
        name: &str,
        made: &Made,
        choices: &Choices,
    ) -> Result<Acted, NotActed> {
        let image = made.get(&Kind::Image).map(String::as_str);
        let image = self.image_for(choices.image.as_deref(), image).await?;
        let flavor = self.flavor_for(choices.flavor.as_deref()).await?;
        let networks = match made.get(&Kind::Port) {
            Some(port) => json!([{"port": port}]),
            None => json!("none"),
        };
        let mut server = json!({"name": name, "imageRef": image, "flavorRef": flavor, "networks": networks});
        let range = match &choices.host {
            Some(host) => {
                server["host"] = json!(host.as_str());
                MAKES_ON
            }
            None => MAKES,
        };
        let doing = format!("making server {name}");
        let body = Some(json!({"server": server}));
        let answer = self.compute(Method::POST, "/servers", range, body, &doing).await.map_err(failed)?;
        let id = needed(answer.get("server").unwrap_or(&Value::Null), "id")
            .map_err(|what| failed(ApiError::Odd { doing, what, request: None }))?;
        let facts = until_ready(&id, || async {
            let Some(server) = self.api().server(&id).await? else {
                return Ok(Now::Broken(format!("server {id} is gone")));
            };
            Ok(match server.vm_state.as_str() {
                "active" => Now::Ready(Facts::from([("on".to_owned(), server.host.unwrap_or_default())])),
                "error" => {
                    let fault = server.fault.unwrap_or_else(|| "it does not say why".to_owned());
                    Now::Broken(format!("server {id} is in error: {fault}"))
                }
                _ => Now::Moving,
            })
        });
        Ok(Acted { facts: facts.await?, id: Some(id) })
    }

    /// The flavor that was named, or the smallest one for everybody.
    async fn flavor_for(&self, named: Option<&str>) -> Result<String, NotActed> {
        let doing = "listing the flavors";
        let answer = self.compute(Method::GET, "/flavors/detail?is_public=None", TELLS, None, doing).await;
        let answer = answer.map_err(failed)?;
        let flavors: Vec<&Value> =
            answer.get("flavors").and_then(Value::as_array).into_iter().flatten().collect();
        let found = match named {
            Some(named) => flavors
                .iter()
                .find(|one| [text(one, "id"), text(one, "name")].iter().flatten().any(|is| is == named)),
            None => flavors
                .iter()
                .filter(|one| {
                    truth(one, "os-flavor-access:is_public") && !truth(one, "OS-FLV-DISABLED:disabled")
                })
                .min_by_key(|one| (number(one, "vcpus"), number(one, "ram"), number(one, "disk"))),
        };
        found.and_then(|one| text(one, "id")).ok_or_else(|| match named {
            Some(named) => NotActed::Failed { what: format!("there is no flavor `{named}`"), id: None },
            None => NotActed::Skipped("there is no flavor for everybody".to_owned()),
        })
    }

    pub(super) async fn read_console(&self, server: &str) -> Result<Acted, NotActed> {
        let doing = format!("reading the console of server {server}");
        let path = format!("/servers/{}/action", quoted(server));
        let body = Some(json!({"os-getConsoleOutput": {"length": CONSOLE_LINES}}));
        match self.compute(Method::POST, &path, TELLS, body, &doing).await {
            Ok(answer) => {
                let output = text(&answer, "output").unwrap_or_default();
                Ok(acted(None, [("lines", output.lines().count().to_string())]))
            }
            Err(error) if matches!(error.status(), Some(404 | 501)) => {
                Err(NotActed::Skipped(format!("there is no console to be read: {error}")))
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) async fn migrate_server(&self, id: &str) -> Result<Acted, NotActed> {
        let broken = |what: String| NotActed::Failed { what, id: None };
        let gone = || broken(format!("server {id} is gone"));
        let before = self.api().server(id).await.map_err(failed)?.ok_or_else(gone)?;
        let from = before.host.unwrap_or_default();
        let services = self.api().compute_services(None).await.map_err(failed)?;
        let others = services
            .iter()
            .filter(|one| one.binary == "nova-compute")
            .filter(|one| one.host != from && one.is_up && one.is_enabled);
        if others.count() == 0 {
            return Err(NotActed::Skipped(format!("no host but {from} takes servers")));
        }
        let begun = Instant::now();
        self.api().live_migrate(id, None).await.map_err(|error| failed_with(error, None))?;
        let mut still_since: Option<Instant> = None;
        loop {
            let now = self.api().server(id).await.map_err(failed)?.ok_or_else(gone)?;
            let host = now.host.unwrap_or_default();
            if now.vm_state == "error" {
                return Err(broken(format!(
                    "server {id} is in error after its move: {}",
                    now.fault.unwrap_or_default()
                )));
            }
            if now.task_state.is_none() && host != from {
                return Ok(acted(None, [("from", from), ("to", host)]));
            }
            match now.task_state {
                Some(_) => still_since = None,
                None => {
                    if still_since.get_or_insert_with(Instant::now).elapsed() >= STILL_LIMIT {
                        return Err(broken(format!(
                            "server {id} has stayed on {from}: see `openstack server migration list --server {id}`"
                        )));
                    }
                }
            }
            if begun.elapsed() >= READY_LIMIT {
                return Err(broken(format!("server {id} is still on its way from {from}")));
            }
            sleep(LOOK_PAUSE).await;
        }
    }
}
