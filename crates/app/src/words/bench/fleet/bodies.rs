//! How a pretended cloud's answers look: the fields and the length that those of Nova, Placement and Redfish have.
//!
//! It must never know more than the record that it is given.

use super::super::standin::{self, uuid};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_sim::nova::{GuestState, Instance, Migration, MigrationId, Resources, ServiceSeen};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Kinds of identities, the first part of each.
const SERVICE: usize = 5;
const PROVIDER: usize = 6;
const MIGRATION: usize = 21;

/// The number that an identity was made from.
pub(super) fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.rsplit('-').next()?, 16).ok()
}

fn identity(kind: usize, number: u64) -> String {
    uuid(kind, usize::try_from(number).unwrap_or(usize::MAX))
}

pub(super) fn migration_id(id: MigrationId) -> String {
    identity(MIGRATION, id.0)
}

/// A moment of the cloud's clock as Nova writes it.
fn moment(at_ms: u64, now_ms: u64) -> String {
    let ago = i64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(i64::MAX);
    let at = Timestamp::now() - jiff::SignedDuration::from_millis(ago);
    at.strftime("%Y-%m-%dT%H:%M:%S.000000").to_string()
}

pub(super) fn service(seen: &ServiceSeen, now_ms: u64) -> Value {
    json!({
        "id": identity(SERVICE, seen.id.0), "binary": "nova-compute", "host": seen.host.as_str(), "zone": seen.zone,
        "status": if seen.enabled { "enabled" } else { "disabled" }, "state": if seen.up { "up" } else { "down" },
        "disabled_reason": seen.reason, "forced_down": seen.forced_down,
        "updated_at": seen.heard.map(|heard| moment(heard, now_ms)),
    })
}

pub(super) fn hypervisor(at: usize, name: &HostName) -> Value {
    json!({
        "id": uuid(PROVIDER, at), "hypervisor_hostname": name.as_str(), "hypervisor_type": "QEMU",
        "hypervisor_version": 8_002_000, "host_ip": "192.0.2.1", "state": "up", "status": "enabled", "servers": null,
        "service": {"host": name.as_str(), "disabled_reason": null},
        "uptime": " 12:00:00 up 100 days,  1:00,  0 users,  load average: 1.00, 1.00, 1.00",
    })
}

/// A server whose disk is on a volume.
pub(super) fn server(address: SocketAddr, instance: &Instance, now_ms: u64) -> Value {
    let at = usize::try_from(instance.id.0).unwrap_or(usize::MAX);
    let (id, host) = (instance.id.to_string(), instance.host.as_ref().map_or("", |host| host.as_str()));
    let mut server = standin::server(address, at, (&id, host), &moment(0, now_ms));
    server["name"] = json!(instance.name);
    server["status"] = json!(instance.status());
    server["image"] = json!("");
    server["os-extended-volumes:volumes_attached"] =
        json!([{"id": uuid(19, at), "delete_on_termination": false}]);
    server["OS-EXT-STS:vm_state"] = json!(instance.vm_state.word());
    server["OS-EXT-STS:task_state"] = json!(instance.task_state.map(|task| task.word()));
    server["OS-EXT-STS:power_state"] = json!(match instance.power {
        Some(GuestState::Running) => 1,
        Some(GuestState::Paused) => 3,
        Some(GuestState::Off) => 4,
        Some(GuestState::Crashed) => 6,
        None => 0,
    });
    server["locked"] = json!(instance.locked);
    server["locked_reason"] = json!(instance.lock_reason);
    if let Some(fault) = &instance.fault {
        server["fault"] = json!({"code": 500, "message": fault});
    }
    server
}

pub(super) fn migration(record: &Migration, now_ms: u64) -> Value {
    let target = record.target.as_ref().map(|host| host.as_str());
    json!({
        "id": record.id.0, "uuid": migration_id(record.id), "instance_uuid": record.instance.to_string(),
        "migration_type": record.kind.word(), "status": record.status.word(), "source_compute": record.source.as_str(),
        "source_node": record.source.as_str(), "dest_compute": target, "dest_node": target, "dest_host": null,
        "created_at": moment(record.created, now_ms), "updated_at": moment(record.updated, now_ms),
        "old_instance_type_id": 1, "new_instance_type_id": 1, "user_id": uuid(3, 1), "project_id": uuid(8, 0),
    })
}

pub(super) fn inventories(all: Resources) -> Value {
    let of = |total: u64| json!({"total": total, "reserved": 0, "allocation_ratio": 1.0, "min_unit": 1, "max_unit": total, "step_size": 1});
    json!({"resource_provider_generation": 7, "inventories":
        {"VCPU": of(all.vcpus.into()), "MEMORY_MB": of(all.ram_mb), "DISK_GB": of(all.disk_gb)}})
}

pub(super) fn usages(used: Resources) -> Value {
    json!({"resource_provider_generation": 7,
        "usages": {"VCPU": used.vcpus, "MEMORY_MB": used.ram_mb, "DISK_GB": used.disk_gb}})
}

pub(super) fn system(name: &str, has_power: bool) -> Value {
    let here = format!("/redfish/v1/Systems/{name}");
    json!({
        "@odata.id": here, "Id": name, "Name": name, "PowerState": if has_power { "On" } else { "Off" },
        "Actions": {"#ComputerSystem.Reset": {"target": format!("{here}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}},
    })
}
