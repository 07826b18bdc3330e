//! What a server recovers with: the cloud, its power, and what it hears of hosts itself.
//!
//! It opens and joins; whether a host is dead and what becomes of its instances is decided by the engine alone. A silence
//! that may be our own must never be passed on as a word against a host.

use crate::context::{Context, IsGone};
use crate::failure::Failure;
use crate::progress;
use crate::settings::Recovery;
use crate::view::time_of_day;
use crate::wiring::Site;
use ostler_engine::ha::heartbeat::{Patience, Presence, View};
use ostler_engine::ha::{Says, Sighting, Witness, attend};
use ostler_engine::seam::Store;
use ostler_engine::{ha, run::Run};
use ostler_model::Timestamp;
use ostler_model::event::Entry;
use ostler_model::ha::list::Query;
use ostler_model::ids::HostName;
use ostler_world::monitor::heartbeat::{Heard, listen};
use ostler_world::monitor::keys::ServerKeys;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Everything that hosts are recovered with.
pub struct Recoverer {
    wanted: Recovery,
    site: Site,
    heard: Option<Heard>,
    sockets: Vec<UdpSocket>,
    owner: String,
    is_gone: IsGone,
}

impl Recoverer {
    /// Opens it; whatever is wrong is said here.
    pub async fn prepare(
        context: &Context,
        wanted: &Recovery,
        keys: Option<&ServerKeys>,
    ) -> Result<Recoverer, Failure> {
        let site = match &wanted.cloud {
            Some(name) => Site::open_named(context, name).await?,
            None => Site::open(context).await?,
        };
        site.credentials.clone()?;
        let heard = keys.map(|keys| {
            let silent_after_ms = i64::from(wanted.silent_after.0) * 1000;
            Heard::new(keys.clone(), Patience { silent_after_ms, ..Patience::default() })
        });
        Ok(Recoverer {
            wanted: wanted.clone(),
            site,
            heard,
            sockets: Vec::new(),
            owner: context.lease_owner(),
            is_gone: context.is_gone(),
        })
    }

    /// Begins to listen to heartbeats.
    pub async fn listen(&mut self) -> Result<(), Failure> {
        for address in &self.wanted.heartbeat_listen {
            let socket = UdpSocket::bind(address).await.map_err(|error| {
                Failure::failed(format!("cannot listen to heartbeats on {address}: {error}")).hint(
                    "does another server listen there? name another address as `heartbeat-listen` below `[serve.recovery]`",
                )
            })?;
            self.sockets.push(socket);
        }
        Ok(())
    }

    /// What an operator should know of it before it is needed.
    pub fn words(&self) -> Vec<String> {
        let mut lines = vec![format!("recovering instances of the cloud {}", self.site.cloud.cloud.name)];
        for socket in &self.sockets {
            if let Ok(address) = socket.local_addr() {
                lines.push(format!("listening to heartbeats on {address}"));
            }
        }
        if self.sockets.is_empty() {
            lines.push("warning: no heartbeats are heard: what is not reported by a monitor is not noticed; see `server-keys` in docs/instance-ha-api.md".to_owned());
        }
        let without: Vec<&str> = self
            .site
            .cloud
            .power
            .iter()
            .filter(|(_, supply)| supply.means.is_empty())
            .map(|(host, _)| host.as_str())
            .collect();
        if !without.is_empty() {
            lines.push(format!(
                "warning: it is not declared how these are switched off, so a recovery of theirs waits for a person: {}; see docs/fencing.md",
                without.join(", ")
            ));
        }
        lines
    }

    /// Recovers for as long as the server lives. Ends only when heartbeats cannot be heard any more, with the reason.
    pub async fn recover(self, context: &Context) -> String {
        let mut listening = JoinSet::new();
        for socket in self.sockets {
            if let Some(heard) = &self.heard {
                listening.spawn(listen(socket, heard.clone()));
            }
        }
        let view = || self.heard.as_ref().and_then(Heard::view);
        let sightings = |host: &HostName| view().map(|view| sighted(&view, host)).unwrap_or_default();
        let silent = || view().map(|view| silent(&view)).unwrap_or_default();
        let no_fence: BTreeSet<HostName> = self
            .site
            .cloud
            .power
            .iter()
            .filter(|(_, supply)| supply.do_not_fence.is_some())
            .map(|(host, _)| host.clone())
            .collect();
        let printer = context.printer;
        let observer = move |run: &Run, entry: &Entry| {
            if printer.is_json() {
                printer.json_line(entry);
            } else if let Some(line) = progress::line(&printer, run, entry, false) {
                printer.progress_line(&line);
            }
        };
        let tell = move |line: &str| match printer.is_json() {
            true => printer.json_line(&json!({ "at": Timestamp::now(), "says": line })),
            false => printer.progress_line(&format!("{}  {line}", time_of_day(Timestamp::now()))),
        };
        let is_gone = self.is_gone.as_ref();
        let wants = ha::Site {
            seams: &self.site.seams,
            cloud: &self.site.cloud.cloud.name,
            policy: &self.wanted.policy,
            owner: &self.owner,
            compute_process: &self.wanted.compute_process,
            no_fence: &no_fence,
            sightings: &sightings,
            silent: &silent,
            released: &BTreeSet::new,
            gone: &|owner| is_gone(owner),
            observer: &observer,
            tell: &tell,
        };
        let remembering = async {
            match &self.heard {
                Some(heard) => remember(self.site.seams.store.as_ref(), heard, &tell).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = remembering => "nobody remembers hosts any more".to_owned(),
            () = attend(&wants) => "nobody attends to incidents any more".to_owned(),
            Some(ended) = listening.join_next() => {
                let why = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
                format!("cannot listen to heartbeats any more: {why}")
            }
        }
    }
}

/// How often is looked at who is heard, to remember it.
const REMEMBER_EVERY: Duration = Duration::from_secs(2);

/// After how many of these looks hosts that are not heard here are looked up among those that others heard.
const ASK_OTHERS_EVERY: u32 = 15;

/// The kind of the note that says whether a host is expected to be heard.
const HEARD_NOTE: &str = "heartbeat";

/// Remembers durably which hosts were heard: one that dies while no server looks must be missed by the next one.
async fn remember(store: &dyn Store, heard: &Heard, tell: &(dyn Fn(&str) + Send + Sync)) {
    let mut noted: BTreeMap<HostName, bool> = BTreeMap::new();
    for look in 0u32.. {
        let view = heard.view();
        if look % ASK_OTHERS_EVERY == 0 {
            let is_heard = |host: &HostName| view.as_ref().is_some_and(|view| view.hosts.contains_key(host));
            let registered = store.hosts(&Query::default()).await.unwrap_or_default();
            for host in registered.iter().map(|host| HostName::new(host.name.as_str())) {
                if !is_heard(&host)
                    && store.note(host.as_str(), HEARD_NOTE).await == Ok(Some(EXPECTED.into()))
                {
                    heard.expect(host);
                }
            }
        }
        for (host, seen) in view.iter().flat_map(|view| &view.hosts) {
            let is_expected = match seen.presence {
                Presence::Heard | Presence::Partly { .. } => true,
                Presence::GoneOnPurpose { .. } | Presence::Unwatched { .. } => false,
                _ => continue,
            };
            let note = if is_expected { EXPECTED } else { "left" };
            // What cannot be written now is written at the next look.
            if noted.get(host) != Some(&is_expected)
                && store.keep_note(host.as_str(), HEARD_NOTE, note).await.is_ok()
            {
                noted.insert(host.clone(), is_expected);
                let says = if is_expected { "is heard" } else { "said that it stops, and is heard no more" };
                tell(&format!("{host} {says}"));
            }
        }
        tokio::time::sleep(REMEMBER_EVERY).await;
    }
}

/// The note of a host that spoke last without saying that it stops.
const EXPECTED: &str = "heard";

/// What our own heartbeats say of a host. Where they cannot tell they say nothing.
fn sighted(view: &View, host: &HostName) -> Vec<Sighting> {
    let says = match view.hosts.get(host).map(|seen| &seen.presence) {
        Some(Presence::Heard | Presence::Partly { .. }) => Says::Alive,
        Some(Presence::Silent { .. }) => Says::Dead,
        Some(
            Presence::Unheard { .. }
            | Presence::Doubtful { .. }
            | Presence::Unwatched { .. }
            | Presence::GoneOnPurpose { .. },
        )
        | None => return Vec::new(),
    };
    vec![Sighting { witness: Witness::Agent, says, at: Timestamp::now() }]
}

/// Hosts that are not heard, also where that may be our own fault: the guards count them.
fn silent(view: &View) -> BTreeSet<HostName> {
    let is_silent = |presence: &Presence| match presence {
        Presence::Silent { .. } => true,
        Presence::Unheard { .. } => view.patient_until.is_none(),
        _ => false,
    };
    view.hosts.iter().filter(|(_, seen)| is_silent(&seen.presence)).map(|(host, _)| host.clone()).collect()
}
