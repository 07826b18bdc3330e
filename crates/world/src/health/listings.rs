//! Which lists of which services become which tables: data, one entry for each.
//!
//! Columns are words: `id` is the field of that name, `updated=updated_at` another one under a name of ours, `/` goes into
//! what a field holds. What an item lacks was not seen; `null` was seen to be nothing.

use crate::openstack::catalogue::{COMPUTE, Service};
use crate::openstack::plain::{BALANCING, IDENTITY, IMAGE, INSTANCE_HA, NETWORK, ORCHESTRATION, VOLUME};
use crate::openstack::version::{Microversion, Range};

/// How big a list may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// A row for each service or host.
    Services,
    /// A row for each of users' objects.
    Objects,
}

/// One list.
#[derive(Debug)]
pub(super) struct Listing {
    pub table: &'static str,
    pub service: &'static Service,
    pub path: &'static str,
    pub key: &'static str,
    /// The microversions whose answers are known here; none: the service has no such thing, or the oldest will do.
    pub versions: Option<Range>,
    pub size: Size,
    columns: &'static str,
}

/// The newest microversion whose answers are known here.
const NEWEST: Microversion = Microversion(2, 96);

/// A list with a row for each service or host.
const fn services(
    table: &'static str,
    service: &'static Service,
    path: &'static str,
    key: &'static str,
    columns: &'static str,
) -> Listing {
    Listing { table, service, path, key, versions: None, size: Size::Services, columns }
}

/// A list with a row for each of users' objects.
const fn objects(
    table: &'static str,
    service: &'static Service,
    path: &'static str,
    key: &'static str,
    columns: &'static str,
) -> Listing {
    Listing { size: Size::Objects, ..services(table, service, path, key, columns) }
}

impl Listing {
    /// The same, asked with a microversion: this one or a later one.
    const fn since(self, least: u16) -> Listing {
        Listing { versions: Some(Range::new(Microversion(2, least), NEWEST)), ..self }
    }

    /// The same, and no later one than this.
    const fn until(self, most: u16) -> Listing {
        let versions = match self.versions {
            Some(range) => Some(Range::new(range.floor, Microversion(2, most))),
            None => None,
        };
        Listing { versions, ..self }
    }

    /// Names of columns, each with the pointer to its value in an item.
    pub fn columns(&self) -> Vec<(&'static str, String)> {
        let words = self.columns.split_whitespace();
        words
            .map(|word| word.split_once('=').unwrap_or((word, word)))
            .map(|(name, field)| (name, format!("/{field}")))
            .collect()
    }
}

/// All lists.
pub(super) const LISTINGS: &[Listing] = &[
    services(
        "compute.service",
        &COMPUTE,
        "/os-services",
        "services",
        "id binary host zone status state disabled_reason forced_down updated=updated_at",
    )
    .since(53),
    services(
        "hypervisor",
        &COMPUTE,
        "/os-hypervisors/detail",
        "hypervisors",
        "id name=hypervisor_hostname host=service/host state status kind=hypervisor_type \
         version=hypervisor_version",
    )
    .since(53)
    // Later ones ask each hypervisor for its uptime: one that is deaf would hold up the whole list.
    .until(87),
    services(
        "aggregate",
        &COMPUTE,
        "/os-aggregates",
        "aggregates",
        "id=uuid name zone=availability_zone hosts",
    )
    .since(41),
    objects(
        "server",
        &COMPUTE,
        "/servers/detail?all_tenants=1&limit=1000",
        "servers",
        "id name project=tenant_id host=OS-EXT-SRV-ATTR:host \
         node=OS-EXT-SRV-ATTR:hypervisor_hostname status vm_state=OS-EXT-STS:vm_state \
         task=OS-EXT-STS:task_state power=OS-EXT-STS:power_state created updated \
         launched=OS-SRV-USG:launched_at fault=fault/message \
         vcpus=flavor/vcpus ram=flavor/ram",
    )
    .since(1),
    objects(
        "migration",
        &COMPUTE,
        "/os-migrations?limit=1000&changes-since=SINCE",
        "migrations",
        "id=uuid server=instance_uuid kind=migration_type status host=source_compute \
         target=dest_compute created=created_at updated=updated_at",
    )
    .since(59),
    objects("project", &IDENTITY, "/projects", "projects", "id name enabled"),
    objects(
        "image",
        &IMAGE,
        "/images?limit=1000",
        "images",
        "id name status created=created_at updated=updated_at checksum size owner",
    ),
    services(
        "network.agent",
        &NETWORK,
        "/agents",
        "agents",
        "id kind=agent_type binary host alive enabled=admin_state_up reported=heartbeat_timestamp \
         started=started_at networks=configurations/networks routers=configurations/routers",
    ),
    objects(
        "network",
        &NETWORK,
        "/networks?limit=1000&fields=id&fields=name&fields=status&fields=project_id\
         &fields=subnets&fields=admin_state_up",
        "networks",
        "id name status project=project_id subnets enabled=admin_state_up",
    ),
    objects(
        "subnet",
        &NETWORK,
        "/subnets?limit=1000&fields=id&fields=network_id&fields=enable_dhcp&fields=project_id\
         &fields=cidr",
        "subnets",
        "id network=network_id dhcp=enable_dhcp project=project_id cidr",
    ),
    objects(
        "port",
        &NETWORK,
        "/ports?limit=1000&fields=id&fields=device_id&fields=device_owner&fields=status\
         &fields=network_id&fields=project_id&fields=updated_at&fields=admin_state_up\
         &fields=binding:host_id&fields=binding:vif_type",
        "ports",
        "id device=device_id owner=device_owner status network=network_id project=project_id \
         updated=updated_at enabled=admin_state_up host=binding:host_id vif=binding:vif_type",
    ),
    objects(
        "router",
        &NETWORK,
        "/routers?limit=1000",
        "routers",
        "id name status enabled=admin_state_up ha distributed project=project_id \
         gateway=external_gateway_info/network_id",
    ),
    objects(
        "floating-ip",
        &NETWORK,
        "/floatingips?limit=1000",
        "floatingips",
        "id address=floating_ip_address status port=port_id router=router_id project=project_id \
         updated=updated_at",
    ),
    objects(
        "addresses",
        &NETWORK,
        "/network-ip-availabilities",
        "network_ip_availabilities",
        "network=network_id name=network_name used=used_ips total=total_ips",
    ),
    services(
        "volume.service",
        &VOLUME,
        "/os-services",
        "services",
        "binary host zone status state disabled_reason updated=updated_at frozen \
         replication=replication_status",
    ),
    services(
        "volume.pool",
        &VOLUME,
        "/scheduler-stats/get_pools?detail=true",
        "pools",
        "name total_gb=capabilities/total_capacity_gb free_gb=capabilities/free_capacity_gb \
         provisioned_gb=capabilities/provisioned_capacity_gb \
         ratio=capabilities/max_over_subscription_ratio state=capabilities/backend_state",
    ),
    objects(
        "volume",
        &VOLUME,
        "/volumes/detail?all_tenants=1&limit=1000",
        "volumes",
        "id name status project=os-vol-tenant-attr:tenant_id backend=os-vol-host-attr:host \
         created=created_at updated=updated_at migration=os-vol-mig-status-attr:migstat multiattach size",
    ),
    objects(
        "volume.snapshot",
        &VOLUME,
        "/snapshots/detail?all_tenants=1&limit=1000",
        "snapshots",
        "id name status size project=os-extended-snapshot-attributes:project_id volume=volume_id created=created_at updated=updated_at",
    ),
    objects(
        "volume.backup",
        &VOLUME,
        "/backups/detail?all_tenants=1&limit=1000",
        "backups",
        "id name status size project=os-backup-project-attr:project_id volume=volume_id created=created_at updated=updated_at",
    ),
    services(
        "stack.service",
        &ORCHESTRATION,
        "/services",
        "services",
        "binary host=hostname status updated=updated_at",
    ),
    objects(
        "stack",
        &ORCHESTRATION,
        "/stacks?global_tenant=true&limit=1000",
        "stacks",
        "id name=stack_name status=stack_status reason=stack_status_reason created=creation_time \
         updated=updated_time",
    ),
    objects(
        "balancer",
        &BALANCING,
        "/lbaas/loadbalancers?limit=1000",
        "loadbalancers",
        "id name provisioning=provisioning_status operating=operating_status updated=updated_at \
         created=created_at",
    ),
    services(
        "ha.segment",
        &INSTANCE_HA,
        "/segments?limit=1000",
        "segments",
        "id=uuid name enabled recovery=recovery_method",
    ),
    objects(
        "ha.notification",
        &INSTANCE_HA,
        "/notifications?limit=1000",
        "notifications",
        "id=notification_uuid kind=type status source=source_host_uuid created=created_at \
         updated=updated_at",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_a_table_of_its_own() {
        let mut tables: Vec<&str> = LISTINGS.iter().map(|listing| listing.table).collect();
        tables.sort_unstable();
        tables.dedup();
        assert_eq!(tables.len(), LISTINGS.len());
    }

    #[test]
    fn a_column_is_a_field_or_another_name_for_one() {
        let listing = objects("t", &NETWORK, "/t", "t", "id updated=updated_at gateway=gateway/network");
        let columns: Vec<String> =
            listing.columns().iter().map(|(name, at)| format!("{name} {at}")).collect();
        assert_eq!(columns, ["id /id", "updated /updated_at", "gateway /gateway/network"]);
    }

    #[test]
    fn no_list_has_a_column_twice() {
        for listing in LISTINGS {
            let mut names: Vec<&str> = listing.columns().iter().map(|(name, _)| *name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", listing.table);
        }
    }
}
