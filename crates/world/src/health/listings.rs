//! Which lists of which services become which tables: data, one entry for each.
//!
//! A column is a pointer into an item. What an item lacks was not seen; `null` was seen to be nothing.

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
    pub columns: &'static [(&'static str, &'static str)],
}

/// The newest microversion whose answers are known here.
const NEWEST: Microversion = Microversion(2, 96);

const fn compute(least: u16) -> Option<Range> {
    Some(Range::new(Microversion(2, least), NEWEST))
}

/// All lists.
pub(super) const LISTINGS: &[Listing] = &[
    Listing {
        table: "compute.service",
        service: &COMPUTE,
        path: "/os-services",
        key: "services",
        versions: compute(53),
        size: Size::Services,
        columns: &[
            ("id", "/id"),
            ("binary", "/binary"),
            ("host", "/host"),
            ("zone", "/zone"),
            ("status", "/status"),
            ("state", "/state"),
            ("disabled_reason", "/disabled_reason"),
            ("forced_down", "/forced_down"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "hypervisor",
        service: &COMPUTE,
        path: "/os-hypervisors/detail",
        key: "hypervisors",
        // Later ones ask each hypervisor for its uptime: one that is deaf would hold up the whole list.
        versions: Some(Range::new(Microversion(2, 53), Microversion(2, 87))),
        size: Size::Services,
        columns: &[
            ("id", "/id"),
            ("name", "/hypervisor_hostname"),
            ("host", "/service/host"),
            ("state", "/state"),
            ("status", "/status"),
            ("kind", "/hypervisor_type"),
            ("version", "/hypervisor_version"),
        ],
    },
    Listing {
        table: "aggregate",
        service: &COMPUTE,
        path: "/os-aggregates",
        key: "aggregates",
        versions: compute(41),
        size: Size::Services,
        columns: &[("id", "/uuid"), ("name", "/name"), ("zone", "/availability_zone"), ("hosts", "/hosts")],
    },
    Listing {
        table: "server",
        service: &COMPUTE,
        path: "/servers/detail?all_tenants=1&limit=1000",
        key: "servers",
        versions: compute(1),
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("project", "/tenant_id"),
            ("host", "/OS-EXT-SRV-ATTR:host"),
            ("node", "/OS-EXT-SRV-ATTR:hypervisor_hostname"),
            ("status", "/status"),
            ("vm_state", "/OS-EXT-STS:vm_state"),
            ("task", "/OS-EXT-STS:task_state"),
            ("power", "/OS-EXT-STS:power_state"),
            ("created", "/created"),
            ("updated", "/updated"),
            ("launched", "/OS-SRV-USG:launched_at"),
            ("fault", "/fault/message"),
        ],
    },
    Listing {
        table: "migration",
        service: &COMPUTE,
        path: "/os-migrations?limit=1000&changes-since=SINCE",
        key: "migrations",
        versions: compute(59),
        size: Size::Objects,
        columns: &[
            ("id", "/uuid"),
            ("server", "/instance_uuid"),
            ("kind", "/migration_type"),
            ("status", "/status"),
            ("host", "/source_compute"),
            ("target", "/dest_compute"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "project",
        service: &IDENTITY,
        path: "/projects",
        key: "projects",
        versions: None,
        size: Size::Objects,
        columns: &[("id", "/id"), ("name", "/name"), ("enabled", "/enabled")],
    },
    Listing {
        table: "image",
        service: &IMAGE,
        path: "/images?limit=1000",
        key: "images",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
            ("checksum", "/checksum"),
            ("size", "/size"),
            ("owner", "/owner"),
        ],
    },
    Listing {
        table: "network.agent",
        service: &NETWORK,
        path: "/agents",
        key: "agents",
        versions: None,
        size: Size::Services,
        columns: &[
            ("id", "/id"),
            ("kind", "/agent_type"),
            ("binary", "/binary"),
            ("host", "/host"),
            ("alive", "/alive"),
            ("enabled", "/admin_state_up"),
            ("reported", "/heartbeat_timestamp"),
            ("started", "/started_at"),
            ("networks", "/configurations/networks"),
            ("routers", "/configurations/routers"),
        ],
    },
    Listing {
        table: "network",
        service: &NETWORK,
        path: "/networks?limit=1000&fields=id&fields=name&fields=status&fields=project_id&fields=subnets&fields=admin_state_up",
        key: "networks",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("project", "/project_id"),
            ("subnets", "/subnets"),
            ("enabled", "/admin_state_up"),
        ],
    },
    Listing {
        table: "subnet",
        service: &NETWORK,
        path: "/subnets?limit=1000&fields=id&fields=network_id&fields=enable_dhcp&fields=project_id&fields=cidr",
        key: "subnets",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("network", "/network_id"),
            ("dhcp", "/enable_dhcp"),
            ("project", "/project_id"),
            ("cidr", "/cidr"),
        ],
    },
    Listing {
        table: "port",
        service: &NETWORK,
        path: "/ports?limit=1000&fields=id&fields=device_id&fields=device_owner&fields=status&fields=network_id&fields=project_id&fields=updated_at&fields=admin_state_up&fields=binding:host_id&fields=binding:vif_type",
        key: "ports",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("device", "/device_id"),
            ("owner", "/device_owner"),
            ("status", "/status"),
            ("network", "/network_id"),
            ("project", "/project_id"),
            ("updated", "/updated_at"),
            ("enabled", "/admin_state_up"),
            ("host", "/binding:host_id"),
            ("vif", "/binding:vif_type"),
        ],
    },
    Listing {
        table: "router",
        service: &NETWORK,
        path: "/routers?limit=1000",
        key: "routers",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("enabled", "/admin_state_up"),
            ("ha", "/ha"),
            ("distributed", "/distributed"),
            ("project", "/project_id"),
            ("gateway", "/external_gateway_info/network_id"),
        ],
    },
    Listing {
        table: "floating-ip",
        service: &NETWORK,
        path: "/floatingips?limit=1000",
        key: "floatingips",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("address", "/floating_ip_address"),
            ("status", "/status"),
            ("port", "/port_id"),
            ("router", "/router_id"),
            ("project", "/project_id"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "addresses",
        service: &NETWORK,
        path: "/network-ip-availabilities",
        key: "network_ip_availabilities",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("network", "/network_id"),
            ("name", "/network_name"),
            ("used", "/used_ips"),
            ("total", "/total_ips"),
        ],
    },
    Listing {
        table: "volume.service",
        service: &VOLUME,
        path: "/os-services",
        key: "services",
        versions: None,
        size: Size::Services,
        columns: &[
            ("binary", "/binary"),
            ("host", "/host"),
            ("zone", "/zone"),
            ("status", "/status"),
            ("state", "/state"),
            ("disabled_reason", "/disabled_reason"),
            ("updated", "/updated_at"),
            ("frozen", "/frozen"),
            ("replication", "/replication_status"),
        ],
    },
    Listing {
        table: "volume.pool",
        service: &VOLUME,
        path: "/scheduler-stats/get_pools?detail=true",
        key: "pools",
        versions: None,
        size: Size::Services,
        columns: &[
            ("name", "/name"),
            ("total_gb", "/capabilities/total_capacity_gb"),
            ("free_gb", "/capabilities/free_capacity_gb"),
            ("provisioned_gb", "/capabilities/provisioned_capacity_gb"),
            ("ratio", "/capabilities/max_over_subscription_ratio"),
            ("state", "/capabilities/backend_state"),
        ],
    },
    Listing {
        table: "volume",
        service: &VOLUME,
        path: "/volumes/detail?all_tenants=1&limit=1000",
        key: "volumes",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("project", "/os-vol-tenant-attr:tenant_id"),
            ("backend", "/os-vol-host-attr:host"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
            ("migration", "/os-vol-mig-status-attr:migstat"),
            ("multiattach", "/multiattach"),
        ],
    },
    Listing {
        table: "volume.snapshot",
        service: &VOLUME,
        path: "/snapshots/detail?all_tenants=1&limit=1000",
        key: "snapshots",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("volume", "/volume_id"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "volume.backup",
        service: &VOLUME,
        path: "/backups/detail?all_tenants=1&limit=1000",
        key: "backups",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("status", "/status"),
            ("volume", "/volume_id"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "stack.service",
        service: &ORCHESTRATION,
        path: "/services",
        key: "services",
        versions: None,
        size: Size::Services,
        columns: &[
            ("binary", "/binary"),
            ("host", "/hostname"),
            ("status", "/status"),
            ("updated", "/updated_at"),
        ],
    },
    Listing {
        table: "stack",
        service: &ORCHESTRATION,
        path: "/stacks?global_tenant=true&limit=1000",
        key: "stacks",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/stack_name"),
            ("status", "/stack_status"),
            ("reason", "/stack_status_reason"),
            ("created", "/creation_time"),
            ("updated", "/updated_time"),
        ],
    },
    Listing {
        table: "balancer",
        service: &BALANCING,
        path: "/lbaas/loadbalancers?limit=1000",
        key: "loadbalancers",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/id"),
            ("name", "/name"),
            ("provisioning", "/provisioning_status"),
            ("operating", "/operating_status"),
            ("updated", "/updated_at"),
            ("created", "/created_at"),
        ],
    },
    Listing {
        table: "ha.segment",
        service: &INSTANCE_HA,
        path: "/segments?limit=1000",
        key: "segments",
        versions: None,
        size: Size::Services,
        columns: &[
            ("id", "/uuid"),
            ("name", "/name"),
            ("enabled", "/enabled"),
            ("recovery", "/recovery_method"),
        ],
    },
    Listing {
        table: "ha.notification",
        service: &INSTANCE_HA,
        path: "/notifications?limit=1000",
        key: "notifications",
        versions: None,
        size: Size::Objects,
        columns: &[
            ("id", "/notification_uuid"),
            ("kind", "/type"),
            ("status", "/status"),
            ("source", "/source_host_uuid"),
            ("created", "/created_at"),
            ("updated", "/updated_at"),
        ],
    },
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
        assert!(
            LISTINGS
                .iter()
                .all(|listing| listing.columns.iter().all(|(_, pointer)| pointer.starts_with('/')))
        );
    }
}
