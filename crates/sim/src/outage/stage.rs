//! Sets the stage of a story: a cloud with instances in every state, and its hosts in the register.
//!
//! It must never draw anything that the story's seed does not decide.

use super::Outage;
use super::story::{Story, host, spare};
use crate::dice::Rolls;
use crate::nova::{Disk, GuestsAtBoot, HostSpec, Instance, Resources, ServiceChange, VmState};
use crate::store::MemoryStore;
use ostler_engine::ha::Method;
use ostler_engine::seam::{Register, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::{Host, RecoveryMethod, Segment};
use ostler_model::ids::{HostId, SegmentId};

/// Sets the stage. Answers the hosts as they are registered.
pub(super) async fn set(
    story: &Story,
    outage: &Outage,
    store: &MemoryStore,
) -> Result<Vec<Host>, StoreError> {
    ground(story, outage);
    let segment = Segment {
        number: 0,
        id: SegmentId::new("segment"),
        name: "s".into(),
        service_type: "compute".into(),
        enabled: true,
        description: None,
        recovery_method: match story.method {
            Method::Auto => RecoveryMethod::Auto,
            Method::ReservedHost => RecoveryMethod::ReservedHost,
            Method::AutoPriority => RecoveryMethod::AutoPriority,
            Method::RhPriority => RecoveryMethod::ReservedPriority,
        },
        created: Timestamp::UNIX_EPOCH,
        updated: None,
    };
    store.add_segment(&segment).await?;
    let mut hosts = Vec::new();
    for number in 1..=story.hosts + story.reserved {
        let reserved = number > story.hosts;
        let name = if reserved { spare(number - story.hosts) } else { host(number) };
        let registered = Host {
            number: 0,
            id: HostId::new(format!("id-{name}")),
            name: name.to_string(),
            segment: segment.id.clone(),
            kind: "kvm".into(),
            control_attributes: "none".into(),
            reserved,
            on_maintenance: false,
            under_recovery: false,
            quarantined: false,
            created: Timestamp::UNIX_EPOCH,
            updated: None,
        };
        store.add_host(&registered).await?;
        hosts.push(registered);
    }
    Ok(hosts)
}

/// Sets the stage, and lets the troubles wait.
fn ground(story: &Story, outage: &Outage) {
    let mut rolls = Rolls::new(story.seed ^ 0x57A6E);
    for number in 1..=story.hosts + story.reserved {
        let reserved = number > story.hosts;
        let name = if reserved { spare(number - story.hosts) } else { host(number) };
        let mut spec = HostSpec::new(name.as_str());
        spec.offer.total.ram_mb = story.ram_gb << 10;
        if rolls.chance(30) {
            spec.at_boot = GuestsAtBoot::Nova;
        }
        outage.add_host(spec);
    }
    let mut ground = outage.ground();
    let by = Outage::by(&ground);
    for number in 1..=story.reserved {
        let Some(service) = ground.nova.host(&spare(number)).map(|host| host.service) else { continue };
        let off = ServiceChange {
            enabled: Some(false),
            reason: Some("reserved".into()),
            ..ServiceChange::default()
        };
        let _set_up = ground.nova.update_service(0, by, service, &off);
    }
    let _set_up = ground.nova.add_to_aggregate(0, by, "fast", &host(1));
    for number in 1..=story.hosts {
        for vm in 0..rolls.between(1, 5) {
            let instance = instance(&mut rolls, &format!("vm-{number}-{vm}"));
            ground.nova.place(0, instance, Some(&host(number)));
        }
    }
    for (at, trouble) in &story.troubles {
        ground.due.entry(*at).or_default().push(trouble.clone());
    }
}

fn instance(rolls: &mut Rolls, name: &str) -> Instance {
    let flavour = Resources { vcpus: 1, ram_mb: 1 << rolls.between(10, 12), disk_gb: 10 };
    let mut instance = Instance::new(name, flavour);
    instance.vm_state = match rolls.below(100) {
        0..60 => VmState::Active,
        60..75 => VmState::Stopped,
        75..80 => VmState::Error,
        80..85 => VmState::Paused,
        85..88 => VmState::Suspended,
        88..91 => VmState::Rescued,
        91..96 => VmState::Resized,
        _ => VmState::Building,
    };
    instance.disk = match rolls.below(100) {
        0..60 => Disk::Volume,
        60..95 => Disk::Shared,
        _ => Disk::Local,
    };
    if rolls.chance(40) {
        instance.metadata.insert("HA_Enabled".into(), "True".into());
    }
    if rolls.chance(30) {
        instance.metadata.insert("HA_Priority".into(), rolls.between(1, 1_000).to_string());
    }
    if rolls.chance(10) {
        (instance.locked, instance.lock_reason) = (true, Some("mine".into()));
    }
    instance
}
