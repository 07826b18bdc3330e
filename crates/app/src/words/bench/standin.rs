//! A cloud that is only said to be there: the APIs of one with so many hosts and instances, each answer as late as wanted.
//!
//! Answers have the fields and the length that real ones have, and come in pages of a thousand. It keeps nothing: an item is
//! made when it is asked for. It must never be told of a cloud that is really there.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use ostler_model::Timestamp;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Items of a page, as services limit them.
const PAGE: usize = 1_000;

/// Projects, networks and images of a cloud of any size.
const PROJECTS: usize = 200;
const NETWORKS: usize = 50;
const IMAGES: usize = 100;

/// A cloud that is said to be there.
#[derive(Debug)]
pub(super) struct StandIn {
    pub hosts: usize,
    pub instances: usize,
    pub latency: Duration,
    address: SocketAddr,
    requests: AtomicU64,
}

impl StandIn {
    /// Begins to answer on a free port, until the program ends.
    pub async fn begin(hosts: usize, instances: usize, latency: Duration) -> std::io::Result<Arc<StandIn>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cloud = Arc::new(StandIn { hosts, instances, latency, address, requests: AtomicU64::new(0) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&cloud));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(cloud)
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Requests since it was last asked.
    pub fn requests(&self) -> u64 {
        self.requests.swap(0, Ordering::Relaxed)
    }

    /// What a path is answered; none: there is no such thing.
    fn answer(&self, path: &str, query: &str) -> Option<Value> {
        let list =
            |key: &str, all: usize, item: &dyn Fn(usize) -> Value| self.page(path, query, key, all, item);
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000").to_string();
        Some(match path {
            "/compute/v2.1/" => {
                json!({"version": {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1"}})
            }
            "/placement/" => {
                json!({"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0"}]})
            }
            "/compute/v2.1/os-services" => {
                let service = |number: usize| {
                    let (binary, host) = match number {
                        0..3 => ("nova-scheduler", format!("ctl{}", number + 1)),
                        3..6 => ("nova-conductor", format!("ctl{}", number - 2)),
                        _ => ("nova-compute", host(number - 6)),
                    };
                    json!({"id": uuid(5, number), "binary": binary, "host": host, "zone": "nova", "status": "enabled",
                        "state": "up", "updated_at": now, "disabled_reason": null, "forced_down": false})
                };
                json!({"services": (0..self.hosts + 6).map(service).collect::<Vec<_>>()})
            }
            "/compute/v2.1/os-hypervisors/detail" => {
                let one = |number: usize| {
                    json!({
                        "id": uuid(6, number), "hypervisor_hostname": host(number), "hypervisor_type": "QEMU",
                        "hypervisor_version": 8_002_000, "host_ip": "192.0.2.1", "state": "up", "status": "enabled", "servers": null,
                        "service": {"id": uuid(5, number + 6), "host": host(number), "disabled_reason": null},
                        "uptime": " 12:00:00 up 100 days,  1:00,  0 users,  load average: 1.00, 1.00, 1.00",
                    })
                };
                list("hypervisors", self.hosts, &one)
            }
            "/compute/v2.1/os-aggregates" => json!({"aggregates": []}),
            "/compute/v2.1/servers/detail" => {
                list("servers", self.instances, &|number| self.server(number, &now))
            }
            "/compute/v2.1/os-migrations" => json!({"migrations": []}),
            "/compute/v2.1/flavors/detail" => json!({"flavors": (0..20).map(|number| json!({
                "id": uuid(7, number), "name": format!("m1.{number}"), "vcpus": 2, "ram": 4096, "disk": 20,
                "os-flavor-access:is_public": true,
            })).collect::<Vec<_>>()}),
            "/compute/v2.1/os-availability-zone" => {
                json!({"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": true}}]})
            }
            "/identity/v3/projects" => list("projects", PROJECTS, &|number| {
                json!({
                    "id": uuid(8, number), "name": format!("project-{number}"), "enabled": true, "domain_id": "default",
                    "description": "", "is_domain": false, "parent_id": "default", "tags": [], "options": {},
                })
            }),
            "/image/v2/images" => list("images", IMAGES, &|number| {
                json!({
                    "id": uuid(9, number), "name": format!("image-{number}"), "status": "active", "created_at": now, "updated_at": now,
                    "checksum": "d41d8cd98f00b204e9800998ecf8427e", "size": 500_000_000, "owner": uuid(8, 0), "visibility": "public",
                    "disk_format": "qcow2", "container_format": "bare", "min_disk": 0, "min_ram": 0, "tags": [], "protected": false,
                })
            }),
            "/network/v2.0/agents" => list("agents", 2 * self.hosts, &|number| {
                let kind = if number % 2 == 0 { "Open vSwitch agent" } else { "Metadata agent" };
                json!({"id": uuid(10, number), "agent_type": kind, "binary": "neutron-agent", "host": host(number / 2), "alive": true,
                    "admin_state_up": true, "heartbeat_timestamp": now, "started_at": now, "configurations": {"networks": 1}})
            }),
            "/network/v2.0/networks" => list("networks", NETWORKS, &|number| {
                json!({
                    "id": uuid(11, number), "name": format!("net-{number}"), "status": "ACTIVE", "project_id": uuid(8, number),
                    "subnets": [uuid(12, number)], "admin_state_up": true,
                })
            }),
            "/network/v2.0/subnets" => list("subnets", NETWORKS, &|number| {
                json!({
                    "id": uuid(12, number), "network_id": uuid(11, number), "enable_dhcp": false, "project_id": uuid(8, number),
                    "cidr": "198.18.0.0/16",
                })
            }),
            "/network/v2.0/ports" => list("ports", self.instances, &|number| {
                json!({
                    "id": uuid(13, number), "device_id": uuid(14, number), "device_owner": "compute:nova", "status": "ACTIVE",
                    "network_id": uuid(11, number % NETWORKS), "project_id": uuid(8, number % PROJECTS), "updated_at": now,
                    "admin_state_up": true, "binding:host_id": host(number % self.hosts), "binding:vif_type": "ovs",
                })
            }),
            "/network/v2.0/routers" => json!({"routers": []}),
            "/network/v2.0/floatingips" => list("floatingips", self.instances / 10, &|number| {
                json!({
                    "id": uuid(15, number), "floating_ip_address": "203.0.113.1", "status": "ACTIVE", "port_id": uuid(13, number),
                    "router_id": uuid(16, 0), "project_id": uuid(8, number % PROJECTS), "updated_at": now,
                })
            }),
            "/network/v2.0/network-ip-availabilities" => {
                list("network_ip_availabilities", NETWORKS, &|number| {
                    json!({
                        "network_id": uuid(11, number), "network_name": format!("net-{number}"), "used_ips": 200, "total_ips": 65_534,
                    })
                })
            }
            "/network/v2.0/security-groups" => list(
                "security_groups",
                PROJECTS,
                &|number| json!({"id": uuid(17, number), "name": "default"}),
            ),
            "/volume/v3/os-services" => json!({"services": [{
                "binary": "cinder-volume", "host": "ctl1@ceph", "zone": "nova", "status": "enabled", "state": "up", "updated_at": now,
                "disabled_reason": null, "frozen": false, "replication_status": "disabled",
            }]}),
            "/volume/v3/scheduler-stats/get_pools" => json!({"pools": []}),
            "/volume/v3/volumes/detail" => {
                list("volumes", self.instances / 2, &|number| self.volume(number, &now))
            }
            "/volume/v3/snapshots/detail" => json!({"snapshots": []}),
            "/volume/v3/backups/detail" => json!({"backups": []}),
            "/placement/resource_providers" => list("resource_providers", self.hosts, &|number| {
                json!({
                    "uuid": uuid(6, number), "name": host(number), "generation": 7, "parent_provider_uuid": null,
                    "root_provider_uuid": uuid(6, number),
                })
            }),
            path => return self.of_one(path),
        })
    }

    /// What is said of one thing of which there are many.
    fn of_one(&self, path: &str) -> Option<Value> {
        let number = |text: &str| usize::from_str_radix(text.rsplit('-').next()?, 16).ok();
        if let Some(rest) = path.strip_prefix("/placement/resource_providers/") {
            let (id, what) = rest.split_once('/')?;
            let number = number(id)?;
            let inventory = |total: u64, ratio: f64| {
                json!({"total": total, "reserved": 0, "allocation_ratio": ratio,
                "min_unit": 1, "max_unit": total, "step_size": 1})
            };
            let own = (number..self.instances).step_by(self.hosts);
            let taken = json!({"resources": {"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}, "consumer_generation": 1,
                "project_id": uuid(8, 0), "user_id": uuid(3, 0), "consumer_type": "INSTANCE"});
            let many = own.clone().count() as u64;
            return Some(match what {
                "inventories" => json!({"resource_provider_generation": 7, "inventories":
                    {"VCPU": inventory(64, 4.0), "MEMORY_MB": inventory(524_288, 1.0), "DISK_GB": inventory(4_000, 1.0)}}),
                "usages" => json!({"resource_provider_generation": 7,
                    "usages": {"VCPU": 2 * many, "MEMORY_MB": 4_096 * many, "DISK_GB": 20 * many}}),
                _ => json!({"resource_provider_generation": 7, "allocations":
                    own.map(|number| (uuid(14, number), taken.clone())).collect::<serde_json::Map<_, _>>()}),
            });
        }
        if path.starts_with("/compute/v2.1/os-quota-sets/") {
            let quota = json!({"limit": 100, "in_use": 10, "reserved": 0});
            return Some(json!({"quota_set": {"instances": quota, "cores": quota, "ram": quota}}));
        }
        if path.starts_with("/volume/v3/os-quota-sets/") {
            let quota = json!({"limit": 100, "in_use": 10, "reserved": 0});
            return Some(json!({"quota_set": {"volumes": quota, "gigabytes": quota}}));
        }
        if path.starts_with("/network/v2.0/quotas/") {
            let quota = json!({"limit": 100, "used": 10, "reserved": 0});
            return Some(json!({"quota": {"port": quota, "network": quota}}));
        }
        let id = path.strip_prefix("/compute/v2.1/os-hypervisors/")?.strip_suffix("/uptime")?;
        let uptime = " 12:00:00 up 100 days,  1:00,  0 users,  load average: 1.00, 1.00, 1.00";
        Some(
            json!({"hypervisor": {"id": id, "hypervisor_hostname": host(number(id)?), "state": "up", "uptime": uptime}}),
        )
    }

    fn server(&self, number: usize, now: &str) -> Value {
        let (id, on) = (uuid(14, number), host(number % self.hosts));
        let mut server = server(self.address, number, (&id, &on), now);
        if number < self.instances / 2 {
            let volumes = json!([{"id": uuid(19, number), "delete_on_termination": false}]);
            server["os-extended-volumes:volumes_attached"] = volumes;
        }
        server
    }

    fn volume(&self, number: usize, now: &str) -> Value {
        let attachment = json!({"id": uuid(19, number), "attachment_id": uuid(20, number), "volume_id": uuid(19, number),
            "server_id": uuid(14, number), "host_name": host(number % self.hosts), "device": "/dev/vdb", "attached_at": now});
        json!({"id": uuid(19, number), "name": format!("volume-{number}"), "status": "in-use", "size": 20, "volume_type": "ceph",
            "os-vol-tenant-attr:tenant_id": uuid(8, number % PROJECTS), "os-vol-host-attr:host": "ctl1@ceph#ceph", "created_at": now,
            "updated_at": now, "os-vol-mig-status-attr:migstat": null, "os-vol-mig-status-attr:name_id": null, "multiattach": false,
            "attachments": [attachment], "availability_zone": "nova", "bootable": "false", "encrypted": false, "metadata": {},
            "consistencygroup_id": null, "replication_status": null, "snapshot_id": null, "source_volid": null, "user_id": uuid(3, 1)})
    }

    /// A page of a list, with the link to the next in the way of most services.
    fn page(&self, path: &str, query: &str, key: &str, all: usize, item: &dyn Fn(usize) -> Value) -> Value {
        let words = || query.split('&').filter_map(|word| word.split_once('='));
        let marker = words().find(|(name, _)| *name == "marker").and_then(|(_, at)| at.parse::<usize>().ok());
        let from = marker.unwrap_or(0);
        let to = (from + PAGE).min(all);
        let mut body = json!({key: (from..to).map(item).collect::<Vec<_>>()});
        if to < all {
            let rest: Vec<String> = words()
                .filter(|(name, _)| *name != "marker")
                .map(|(name, value)| format!("{name}={value}"))
                .chain([format!("marker={to}")])
                .collect();
            let next = format!("http://{}{path}?{}", self.address, rest.join("&"));
            if let Some(body) = body.as_object_mut() {
                body.insert(format!("{key}_links"), json!([{"rel": "next", "href": next}]));
            }
        }
        body
    }
}

/// What a login is answered: a token for an hour, and where the services of a cloud at this address are.
pub(super) fn catalogue(address: SocketAddr) -> Value {
    let service = |kind: &str, path: &str| {
        let endpoint = json!({
            "id": uuid(0, kind.len()), "interface": "public", "region": "RegionOne", "region_id": "RegionOne",
            "url": format!("http://{address}{path}"),
        });
        json!({"type": kind, "name": kind, "id": uuid(1, kind.len()), "endpoints": [endpoint]})
    };
    let catalogue = [
        service("identity", "/identity/v3"),
        service("compute", "/compute/v2.1"),
        service("placement", "/placement"),
        service("network", "/network"),
        service("image", "/image"),
        service("block-storage", "/volume/v3"),
    ];
    let expires = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    json!({"token": {
        "expires_at": expires.to_string(), "issued_at": Timestamp::now().to_string(), "methods": ["password"],
        "project": {"id": uuid(2, 0), "name": "admin"}, "user": {"id": uuid(3, 0), "name": "admin"},
        "roles": [{"id": uuid(4, 0), "name": "admin"}], "catalog": catalogue,
    }})
}

/// A server as long as Nova's own: two thousand letters. The pair is its identity and its host.
pub(super) fn server(address: SocketAddr, number: usize, (id, on): (&str, &str), now: &str) -> Value {
    let addresses = json!([{"version": 4, "addr": "198.18.0.1", "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}]);
    let mut server = json!({
        "id": id, "name": format!("instance-of-a-customer-{number}"), "status": "ACTIVE",
        "tenant_id": uuid(8, number % PROJECTS), "user_id": uuid(3, 1), "metadata": {"role": "web", "stage": "production"},
        "hostId": uuid(18, number), "image": {"id": uuid(9, number % IMAGES)}, "key_name": "key", "config_drive": "",
        "flavor": {"vcpus": 2, "ram": 4096, "disk": 20, "ephemeral": 0, "swap": 0, "original_name": "m1.medium",
            "extra_specs": {"hw:cpu_policy": "shared"}},
        "created": now, "updated": now, "addresses": {"net": addresses}, "accessIPv4": "", "accessIPv6": "", "progress": 0,
        "links": [{"rel": "self", "href": format!("http://{address}/compute/v2.1/servers/{id}")},
            {"rel": "bookmark", "href": format!("http://{address}/compute/servers/{id}")}],
        "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": "nova", "security_groups": [{"name": "default"}],
    });
    let more = json!({
        "OS-SRV-USG:launched_at": now, "OS-SRV-USG:terminated_at": null, "OS-EXT-SRV-ATTR:host": on,
        "OS-EXT-SRV-ATTR:instance_name": format!("instance-{number:08x}"), "OS-EXT-SRV-ATTR:hypervisor_hostname": on,
        "OS-EXT-SRV-ATTR:reservation_id": "r-00000000", "OS-EXT-SRV-ATTR:launch_index": 0, "OS-EXT-SRV-ATTR:hostname": "instance",
        "OS-EXT-SRV-ATTR:kernel_id": "", "OS-EXT-SRV-ATTR:ramdisk_id": "", "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
        "OS-EXT-SRV-ATTR:user_data": null, "OS-EXT-STS:task_state": null, "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1, "os-extended-volumes:volumes_attached": [],
        "host_status": "UP", "locked": false, "locked_reason": null, "description": null, "tags": [], "trusted_image_certificates": null,
        "server_groups": [],
    });
    if let (Value::Object(server), Value::Object(more)) = (&mut server, more) {
        server.extend(more);
    }
    server
}

/// The identity of the n-th thing of a kind: the last part is its number.
pub(super) fn uuid(kind: usize, number: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

/// The name of the n-th host.
pub(super) fn host(number: usize) -> String {
    format!("cmp{:04}", number + 1)
}

async fn answer(State(cloud): State<Arc<StandIn>>, request: Request<Body>) -> Response<Body> {
    cloud.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(cloud.latency).await;
    let path = request.uri().path();
    let is_login = request.method() == Method::POST && path == "/identity/v3/auth/tokens";
    let (status, body) = match is_login {
        true => (StatusCode::CREATED, catalogue(cloud.address)),
        false => match cloud.answer(path, request.uri().query().unwrap_or_default()) {
            Some(body) => (StatusCode::OK, body),
            // Whoever asks at the root is told that somebody is there.
            None if matches!(
                path,
                "/" | "/compute/" | "/network/" | "/image/" | "/identity/" | "/volume/"
            ) =>
            {
                (StatusCode::OK, json!({"versions": []}))
            }
            None => (StatusCode::NOT_FOUND, json!({"error": {"message": "there is no such thing"}})),
        },
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_login {
        let token = HeaderName::from_static("x-subject-token");
        response.headers_mut().insert(token, HeaderValue::from_static("stand-in"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_has_every_item_once_over_its_pages() {
        let cloud = StandIn::begin(3, 2_500, Duration::ZERO).await.unwrap();
        let (mut query, mut seen) = ("limit=1000".to_owned(), std::collections::BTreeSet::new());
        loop {
            let page = cloud.answer("/compute/v2.1/servers/detail", &query).unwrap();
            let servers = page["servers"].as_array().unwrap();
            seen.extend(servers.iter().map(|server| server["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["servers_links"][0]["href"].as_str() else { break };
            query = next.split_once('?').unwrap().1.to_owned();
        }
        assert_eq!(seen.len(), 2_500);
    }

    #[tokio::test]
    async fn what_providers_have_given_is_what_instances_have() {
        let cloud = StandIn::begin(3, 10, Duration::ZERO).await.unwrap();
        let path = format!("/placement/resource_providers/{}/allocations", uuid(6, 0));
        let taken = cloud.answer(&path, "").unwrap();
        // Instances 0, 3, 6 and 9 are on the first host.
        assert_eq!(taken["allocations"].as_object().unwrap().len(), 4);
        assert!(taken["allocations"].get(uuid(14, 9)).is_some());
    }
}
