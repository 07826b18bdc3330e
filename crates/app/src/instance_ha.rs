//! What every command about instance HA needs: the register read whole, incidents by their shortened names, a person's
//! word, and how the settings' power looks to the engine.
//!
//! It reads and translates. What becomes of a host or instance is the engine's word.

use crate::context::Context;
use crate::failure::Failure;
use crate::settings::closest;
use ostler_engine::ha::{Fresh, Policy, SayingError, Shown, stands, word_of};
use ostler_engine::run::{self, Run};
use ostler_engine::seam::{Store, StoreError};
use ostler_model::ha::list::{Query, ROWS_MAX};
use ostler_model::ha::{Host, Incident, Named, Segment, Stage};
use ostler_model::ids::{HostName, IncidentId, NotificationId};
use ostler_model::step::Word;
use ostler_world::power::{How, Supply, Word as MachineWord, Words};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Incidents among which a shortened name is looked up, and which a page counts.
pub const INCIDENTS_SEARCHED: u32 = 1_000;

/// Pages of segments or hosts that are read: more hosts than one cloud has.
const PAGES_MAX: usize = 20;

/// Segments and hosts, as they are registered.
pub struct Registered {
    /// Segments, by name.
    pub segments: Vec<Segment>,
    /// Hosts, by name.
    pub hosts: Vec<Host>,
}

impl Registered {
    /// Reads all of them.
    pub async fn read(store: &dyn Store) -> Result<Registered, StoreError> {
        let (mut segments, mut hosts) = (Vec::new(), Vec::new());
        let mut query = Query::default();
        for _ in 0..PAGES_MAX {
            let page = store.segments(&query).await?;
            query.after = page.last().map(|last| query.place_of(last));
            let is_last = page.len() < ROWS_MAX as usize;
            segments.extend(page);
            if is_last {
                break;
            }
        }
        let mut query = Query::default();
        for _ in 0..PAGES_MAX {
            let page = store.hosts(&query).await?;
            query.after = page.last().map(|last| query.place_of(last));
            let is_last = page.len() < ROWS_MAX as usize;
            hosts.extend(page);
            if is_last {
                break;
            }
        }
        segments.sort_by(|one, other| one.name.cmp(&other.name));
        hosts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Registered { segments, hosts })
    }

    /// The name of a segment.
    pub fn segment_name(&self, id: &str) -> &str {
        let found = self.segments.iter().find(|segment| segment.id.as_str() == id);
        found.map_or("-", |segment| segment.name.as_str())
    }

    /// The name of a host; its identity where it is registered no more.
    pub fn host_name(&self, incident: &Incident) -> HostName {
        let found = self.hosts.iter().find(|host| host.id == incident.host);
        HostName::new(found.map_or(incident.host.as_str(), |host| host.name.as_str()))
    }

    /// What an incident is about, in words.
    pub fn about(&self, incident: &Incident) -> String {
        let host = self.host_name(incident);
        let key = incident.key.as_str();
        if key.starts_with("host/") {
            return format!("host {host}");
        }
        if let Some(instance) = key.strip_prefix("vm/") {
            return format!("instance {} on {host}", instance.get(..8).unwrap_or(instance));
        }
        match key.rsplit_once('/') {
            Some((_, process)) => format!("process {process} on {host}"),
            None => format!("{key} on {host}"),
        }
    }
}

/// The incident that was named: by its identity, an unambiguous beginning of it, its host, or `last`.
pub async fn incident_named(store: &dyn Store, typed: &str) -> Result<Incident, Failure> {
    let all = store.incidents(INCIDENTS_SEARCHED).await?;
    if typed == "last" {
        return all.into_iter().next().ok_or_else(|| Failure::usage("there is no incident yet"));
    }
    if let Some(exact) = store.incident(&IncidentId::new(typed)).await? {
        return Ok(exact);
    }
    // A host's name means its newest incident.
    if let Some(host) = store.host(&Named::Name(typed.to_owned())).await?
        && let Some(newest) = all.iter().find(|incident| incident.host == host.id)
    {
        return Ok(newest.clone());
    }
    let meant: Vec<&Incident> =
        all.iter().filter(|incident| !typed.is_empty() && incident.id.as_str().starts_with(typed)).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::usage(format!("there is no incident `{typed}`"))
            .maybe_hint(closest(typed, ["last"]).map(|meant| format!("did you mean `{meant}`?")))
            .hint("see which there are: `ostler ha status`")),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(|one| one.id.as_str()).collect();
            Err(Failure::usage(format!("`{typed}` fits {} incidents", several.len()))
                .evidence(names.join(", "))
                .hint("type more of it"))
        }
    }
}

/// The registered host that was named.
pub async fn host_named(store: &dyn Store, typed: &str) -> Result<Host, Failure> {
    if let Some(host) = store.host(&Named::Name(typed.to_owned())).await? {
        return Ok(host);
    }
    let known = Registered::read(store).await?.hosts;
    let names = known.iter().map(|host| host.name.as_str());
    let failure = Failure::usage(format!("no host `{typed}` is registered in any segment"));
    Err(match closest(typed, names) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("see which are: `ostler ha coverage`"),
    })
}

/// The segment that was named, by name or identity.
pub async fn segment_named(store: &dyn Store, typed: &str) -> Result<Segment, Failure> {
    for named in [Named::Name(typed.to_owned()), Named::Id(typed.to_owned())] {
        if let Some(segment) = store.segment(&named).await? {
            return Ok(segment);
        }
    }
    let known = Registered::read(store).await?.segments;
    let names = known.iter().map(|segment| segment.name.as_str());
    let failure = Failure::usage(format!("there is no segment `{typed}`"));
    Err(match closest(typed, names) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("see which there are: `ostler ha status`"),
    })
}

/// The runs of an incident that can be read, in order.
pub async fn runs_of(store: &dyn Store, incident: &Incident) -> Vec<Run> {
    let mut runs = Vec::with_capacity(incident.body.runs.len());
    for id in &incident.body.runs {
        if let Ok(run) = run::load(store, id).await {
            runs.push(run);
        }
    }
    runs
}

/// Incidents with their stages as the journals of their rounds have them.
pub async fn as_they_stand(store: &dyn Store, incidents: Vec<Incident>) -> Vec<Incident> {
    let mut standing = Vec::with_capacity(incidents.len());
    for mut incident in incidents {
        if incident.closed.is_none() && incident.stage == Stage::Working {
            (incident.stage, incident.why) = stands(&incident, &runs_of(store, &incident).await);
        }
        standing.push(incident);
    }
    standing
}

/// What a site wants of instance HA, by its settings.
pub fn policy(context: &Context) -> Policy {
    let settings = context.settings().ok().flatten();
    let recovery = settings.and_then(|settings| settings.serve.as_ref()?.recovery.as_ref());
    recovery.map_or_else(Policy::default, |recovery| recovery.policy.clone())
}

/// What the person who types says.
pub fn word(context: &Context, because: &str) -> Word {
    Word { who: context.person().to_string(), at: context.clock().now(), why: because.to_owned() }
}

/// Identities for a report.
pub fn fresh() -> Fresh {
    let new = || Uuid::new_v4().to_string();
    Fresh { notification: NotificationId::new(new()), incident: IncidentId::new(new()) }
}

/// How it can be shown that hosts are off.
pub fn shown(power: &BTreeMap<HostName, Supply>) -> BTreeMap<HostName, Shown> {
    let of = |supply: &Supply| {
        if let Some(why) = &supply.do_not_fence {
            return Some(Shown::Forbidden(why.clone()));
        }
        let is = |is_it: fn(&How) -> bool| supply.means.iter().any(|means| is_it(&means.how));
        if supply.means.is_empty() {
            None
        } else if is(|how| !matches!(how, How::Manual | How::None)) {
            Some(Shown::ByController)
        } else if is(|how| matches!(how, How::None)) {
            Some(Shown::Unproven)
        } else {
            Some(Shown::ByWord)
        }
    };
    power.iter().filter_map(|(host, supply)| Some((host.clone(), of(supply)?))).collect()
}

/// Persons' words about hosts, as the register keeps them. A register that does not answer has none.
pub fn words(store: Arc<dyn Store>) -> Words {
    Arc::new(move |host| {
        let store = Arc::clone(&store);
        Box::pin(async move {
            let word = word_of(store.as_ref(), host).await.ok().flatten()?;
            Some(MachineWord { who: word.who, at: word.at, reason: word.why })
        })
    })
}

impl From<SayingError> for Failure {
    fn from(error: SayingError) -> Failure {
        match error {
            SayingError::Store(error) => error.into(),
            SayingError::Run(error) => error.into(),
            SayingError::NoSuch(_) => {
                Failure::usage(error.to_string()).hint("see which there are: `ostler ha status`")
            }
            SayingError::Closed(ref id, _) => Failure::usage(error.to_string())
                .hint(format!("see its course: `ostler ha show {id}`"))
                .hint(format!("to have it tried anew: `ostler ha retry {id}`")),
            SayingError::DoesNotFit(why) => Failure::refused("incident-state", why.what).maybe_hint(why.hint),
        }
    }
}
