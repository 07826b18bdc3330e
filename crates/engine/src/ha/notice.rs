//! Notices hosts that fell silent and that nobody has reported: a cloud needs no cluster manager beside our own heartbeats.
//!
//! It opens an incident and nothing more; whether the host is dead is decided there, and never by this one witness. It must
//! never open one for a host that somebody works on, or whose instances have left it already.

use super::attend::Site;
use super::confirm::{Says, Witness};
use crate::seam::{Dice, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::{
    ClusterStatus, HostStatus, Incident, IncidentKey, Named, Notification, Opening, Payload, Report,
    Reported, Status, Turn,
};
use ostler_model::ids::{IncidentId, NotificationId};

/// Who reports what was noticed here.
pub const NOTICED: &str = "ostler: heartbeats";

/// How long a new incident counts as worked on before somebody has come to it.
const PICKED_UP_WITHIN_MS: i64 = 60_000;

/// Opens an incident for each host that is silent and has none. True: there is a new one.
pub(super) async fn notice(site: &Site<'_>, open: &[Incident]) -> Result<bool, StoreError> {
    let mut is_any = false;
    let store = site.seams.store.as_ref();
    for name in (site.silent)() {
        let is_missed = (site.sightings)(&name)
            .iter()
            .any(|seen| seen.witness == Witness::Agent && seen.says == Says::Dead);
        if !is_missed {
            continue;
        }
        let Some(host) = store.host(&Named::Name(name.to_string())).await? else { continue };
        let key = IncidentKey::host(&host.id);
        if host.on_maintenance || host.under_recovery || open.iter().any(|incident| incident.key == key) {
            continue;
        }
        let segment = store.segment(&Named::Id(host.segment.to_string())).await?;
        if segment.is_none_or(|segment| !segment.enabled) {
            continue;
        }
        let now = site.seams.clock.now();
        let to_the_second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let notification = Notification {
            number: 0,
            id: NotificationId::new(identity(site.seams.dice.as_ref())),
            generated: to_the_second,
            host: host.id,
            payload: Payload::Host {
                event: Turn::Stopped,
                cluster_status: Some(ClusterStatus::Offline),
                host_status: Some(HostStatus::Unknown),
            },
            status: Status::New,
            segment: Some(host.segment),
            message: None,
            incident: None,
            reporter: NOTICED.to_owned(),
            created: now,
            updated: None,
        };
        let opening = Opening {
            id: IncidentId::new(identity(site.seams.dice.as_ref())),
            key,
            at_work_until: crate::run::later(now, PICKED_UP_WITHIN_MS),
        };
        if let Reported::Kept(kept) = store.report(&Report { notification, opening: Some(opening) }).await? {
            is_any = true;
            (site.tell)(&format!("{name} is silent on every network: notification {}", kept.id));
        }
    }
    Ok(is_any)
}

/// A random identity in the form that clients expect (version 4).
fn identity(dice: &dyn Dice) -> String {
    let (high, low) = (dice.roll(), dice.roll());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}
