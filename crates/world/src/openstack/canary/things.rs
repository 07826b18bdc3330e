//! Networks, subnets, routers, ports and volumes; and how a thing of any kind is found and taken away.
//!
//! It must never take away what has another name than the trial gave.

use super::super::catalogue::{COMPUTE, IMAGE, NETWORK, Service, VOLUME};
use super::super::client::Call;
use super::super::error::ApiError;
use super::super::reading::{needed, quoted, text};
use super::super::recovery::ComputeSide;
use super::super::version::Microversion;
use super::{
    BUSY_LIMIT, LATE, LOOK_PAUSE, Now, READY_LIMIT, acted, failed, failed_with, is_ours, until_ready,
};
use ostler_model::canary::{Acted, Kind, Made, NotActed};
use ostler_model::event::Facts;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A network for benchmarks, which nobody routes.
const CIDR: &str = "198.18.0.0/24";

/// Where things of a kind are.
struct Place {
    service: &'static Service,
    version: Microversion,
    /// The list's name, in the path and in the answer.
    many: &'static str,
    /// The name of one in an answer; images stand without.
    one: Option<&'static str>,
}

fn place(kind: Kind) -> Place {
    let network = |many, one| Place { service: &NETWORK, version: Microversion(2, 0), many, one: Some(one) };
    match kind {
        Kind::Server => {
            Place { service: &COMPUTE, version: Microversion(2, 1), many: "servers", one: Some("server") }
        }
        Kind::Volume => {
            Place { service: &VOLUME, version: Microversion(3, 0), many: "volumes", one: Some("volume") }
        }
        Kind::Port => network("ports", "port"),
        Kind::Router => network("routers", "router"),
        Kind::Subnet => network("subnets", "subnet"),
        Kind::Network => network("networks", "network"),
        Kind::Image => Place { service: &IMAGE, version: super::images::VERSION, many: "images", one: None },
    }
}

impl ComputeSide {
    async fn plain(
        &self,
        place: &Place,
        method: Method,
        path: &str,
        body: Option<Value>,
        doing: &str,
    ) -> Result<Value, ApiError> {
        // The project stands in the path: releases before Yoga know no other one.
        let project = match place.service == &VOLUME {
            true => self.volume_project().await?,
            false => String::new(),
        };
        let path = format!("{project}/{path}");
        let call = Call { service: place.service, method, path: &path, version: place.version, body, doing };
        let answer = self.api().call_plain(&call, None).await?;
        Ok(answer.json().unwrap_or_default())
    }

    /// `/PROJECT`, unless the catalogue's address ends with it already.
    async fn volume_project(&self) -> Result<String, ApiError> {
        let address = self.api().address(&VOLUME).await?;
        let session = self.api().session().await?;
        let project = session.project.clone().unwrap_or_default();
        Ok(if address.ends_with(&project) { String::new() } else { format!("/{project}") })
    }

    pub(super) async fn make_thing(&self, kind: Kind, name: &str, made: &Made) -> Result<Acted, NotActed> {
        let of = |kind: Kind| made.get(&kind).cloned().unwrap_or_default();
        let place = place(kind);
        let body = match kind {
            Kind::Network => json!({"network": {"name": name, "admin_state_up": true}}),
            Kind::Subnet => json!({"subnet": {"name": name, "network_id": of(Kind::Network),
                "ip_version": 4, "cidr": CIDR}}),
            Kind::Router => json!({"router": {"name": name, "admin_state_up": true}}),
            Kind::Port => json!({"port": {"name": name, "network_id": of(Kind::Network),
                "fixed_ips": [{"subnet_id": of(Kind::Subnet)}]}}),
            Kind::Volume => json!({"volume": {"name": name, "size": 1}}),
            Kind::Server | Kind::Image => {
                return Err(NotActed::Skipped(format!("a {kind} is made in another way")));
            }
        };
        let doing = format!("making {kind} {name}");
        let answer = match self.plain(&place, Method::POST, place.many, Some(body), &doing).await {
            Ok(answer) => answer,
            // The collection itself is not there: an extension that this cloud does not have.
            Err(error) if error.status() == Some(404) && kind == Kind::Router => {
                return Err(NotActed::Skipped("the network service has no routers".to_owned()));
            }
            Err(error) => return Err(failed(error)),
        };
        let thing = place.one.and_then(|one| answer.get(one)).unwrap_or(&answer);
        let id = needed(thing, "id")
            .map_err(|what| failed(ApiError::Odd { doing: doing.clone(), what, request: None }))?;
        match kind {
            Kind::Router => {
                let path = format!("routers/{}/add_router_interface", quoted(&id));
                let body = json!({"subnet_id": of(Kind::Subnet)});
                let doing = format!("joining router {name} to its subnet");
                let joined = self.plain(&place, Method::PUT, &path, Some(body), &doing).await;
                joined.map_err(|error| failed_with(error, Some(&id)))?;
                Ok(acted(Some(id), []))
            }
            Kind::Port => {
                let address = thing.pointer("/fixed_ips/0/ip_address").and_then(Value::as_str);
                let address = address.unwrap_or("none").to_owned();
                Ok(acted(Some(id), [("address", address)]))
            }
            Kind::Volume => {
                let facts = until_ready(&id, || async {
                    let Some(volume) = self.thing(kind, &id).await? else {
                        return Ok(Now::Broken(format!("volume {id} is gone")));
                    };
                    Ok(match text(&volume, "status").as_deref() {
                        Some("available") => Now::Ready(Facts::new()),
                        Some(status) if status.starts_with("error") => {
                            Now::Broken(format!("volume {id} is in state {status}"))
                        }
                        _ => Now::Moving,
                    })
                });
                Ok(Acted { facts: facts.await?, id: Some(id) })
            }
            _ => Ok(acted(Some(id), [])),
        }
    }

    /// A thing as its service tells it; none, if there is none.
    pub(super) async fn thing(&self, kind: Kind, id: &str) -> Result<Option<Value>, ApiError> {
        let place = place(kind);
        let doing = format!("asking for {kind} {id}");
        let path = format!("{}/{}", place.many, quoted(id));
        match self.plain(&place, Method::GET, &path, None, &doing).await {
            Ok(mut answer) => Ok(Some(match place.one.and_then(|one| answer.get_mut(one)) {
                Some(thing) => thing.take(),
                None => answer,
            })),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The identity of the thing that bears exactly this name.
    async fn thing_named(&self, kind: Kind, name: &str) -> Result<Option<String>, ApiError> {
        let place = place(kind);
        let doing = format!("looking for {kind} {name}");
        let path = format!("{}?name={}", place.many, quoted(name));
        let answer = match self.plain(&place, Method::GET, &path, None, &doing).await {
            Ok(answer) => answer,
            // Without the collection there is nothing in it.
            Err(error) if error.status() == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let all = answer.get(place.many).and_then(Value::as_array).into_iter().flatten();
        // Some services take a name for a part of one.
        Ok(all.filter(|one| text(one, "name").as_deref() == Some(name)).find_map(|one| text(one, "id")))
    }

    pub(super) async fn remove_thing(
        &self,
        kind: Kind,
        name: &str,
        id: Option<&str>,
    ) -> Result<Acted, NotActed> {
        let broken = |what: String| NotActed::Failed { what, id: None };
        if !is_ours(name) {
            return Err(broken(format!("`{name}` is not the name of a canary's {kind}: it is left alone")));
        }
        let id = match id {
            Some(id) => id.to_owned(),
            None => {
                let mut found = self.thing_named(kind, name).await.map_err(failed)?;
                if found.is_none() {
                    sleep(LATE).await;
                    found = self.thing_named(kind, name).await.map_err(failed)?;
                }
                match found {
                    Some(id) => id,
                    None => return Err(NotActed::Skipped("there was none".to_owned())),
                }
            }
        };
        let Some(seen) = self.thing(kind, &id).await.map_err(failed)? else {
            return Ok(Acted::default());
        };
        let now = text(&seen, "name").unwrap_or_default();
        if now != name {
            return Err(broken(format!("{kind} {id} is called `{now}` and not `{name}`: it is left alone")));
        }
        if kind == Kind::Router {
            self.part_router(&id).await.map_err(failed)?;
        }
        self.delete(kind, &id).await?;
        let begun = Instant::now();
        while let Some(seen) = self.thing(kind, &id).await.map_err(failed)? {
            // An image that is kept as a tombstone is gone for everybody.
            if text(&seen, "status").is_some_and(|status| status.eq_ignore_ascii_case("deleted")) {
                break;
            }
            if begun.elapsed() >= READY_LIMIT {
                let state = text(&seen, "status").unwrap_or_default();
                return Err(broken(format!("{kind} {id} is still there, {state}")));
            }
            sleep(LOOK_PAUSE).await;
        }
        Ok(Acted::default())
    }

    async fn delete(&self, kind: Kind, id: &str) -> Result<(), NotActed> {
        let place = place(kind);
        let doing = format!("deleting {kind} {id}");
        let path = format!("{}/{}", place.many, quoted(id));
        let begun = Instant::now();
        loop {
            match self.plain(&place, Method::DELETE, &path, None, &doing).await {
                Ok(_) => return Ok(()),
                Err(error) if error.status() == Some(404) => return Ok(()),
                Err(error) => {
                    let is_busy = error.status() == Some(409) || error.may_pass();
                    if !is_busy || begun.elapsed() >= BUSY_LIMIT {
                        return Err(failed(error));
                    }
                }
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Takes a router's legs off.
    async fn part_router(&self, id: &str) -> Result<(), ApiError> {
        let ports = place(Kind::Port);
        let doing = format!("listing the legs of router {id}");
        let path = format!("ports?device_id={}", quoted(id));
        let answer = self.plain(&ports, Method::GET, &path, None, &doing).await?;
        let legs: Vec<String> = answer
            .get("ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|port| text(port, "device_owner").is_some_and(|owner| owner.contains("router_interface")))
            .filter_map(|port| text(port, "id"))
            .collect();
        let path = format!("routers/{}/remove_router_interface", quoted(id));
        for leg in legs {
            let doing = format!("taking leg {leg} off router {id}");
            let body = json!({"port_id": leg});
            match self.plain(&place(Kind::Router), Method::PUT, &path, Some(body), &doing).await {
                Err(error) if error.status() != Some(404) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
