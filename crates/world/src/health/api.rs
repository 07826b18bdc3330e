//! Looks at the services' own lists, and at what hangs on their items: allocations, hostings, attachments, hosts of
//! segments.
//!
//! A service that the catalogue does not have is no gap. Objects of users are asked for in pages, never one by one.

use super::Depth;
use super::bucket::Bucket;
use super::listings::{LISTINGS, Listing, Size};
use super::quota;
use super::rows::{Tables, row};
use crate::openstack::catalogue::{COMPUTE, PLACEMENT};
use crate::openstack::plain::{INSTANCE_HA, NETWORK};
use crate::openstack::version::{Microversion, Range};
use crate::openstack::{ApiError, OpenStack, quoted};
use futures_util::future::{join, join_all};
use ostler_model::Timestamp;
use ostler_model::health::{Row, Value};
use serde_json::Value as Json;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Lists and details asked for at the same time; each service has a gate of its own besides.
const REQUESTS_AT_ONCE: usize = 16;

/// How far back records of moves are looked at.
const MOVES_BACK_S: i64 = 7 * 86_400;

/// Allocations say whose they are since 1.12.
const ALLOCATIONS: Range = Range::new(Microversion(1, 12), Microversion(1, 39));

/// Kinds of agents that host networks and routers, with what they host and by which list.
const HOSTINGS: [(&str, &str, &str, &str); 2] = [
    ("DHCP agent", "network.dhcp", "dhcp-networks", "networks"),
    ("L3 agent", "network.routing", "l3-routers", "routers"),
];

/// Looks at everything that the APIs tell.
pub(super) async fn look(openstack: &OpenStack, bucket: &Bucket, depth: Depth, tables: &Tables) {
    if addresses(openstack, bucket, tables).await.is_err() {
        // Without a token every list is the same gap: one reason for all.
        return;
    }
    let wanted = |listing: &&Listing| listing.size == Size::Services || depth != Depth::Fast;
    let places = Semaphore::new(REQUESTS_AT_ONCE);
    let lists = LISTINGS.iter().filter(wanted).map(|listing| async {
        let _place = places.acquire().await;
        list(openstack, bucket, listing, tables).await;
    });
    let stock = async {
        if depth != Depth::Fast {
            providers(openstack, bucket, &places, tables).await;
        }
    };
    join(join_all(lists), stock).await;
    segments(openstack, bucket, &places, tables).await;
    hostings(openstack, bucket, &places, tables).await;
    if depth == Depth::Deep {
        quota::look(openstack, bucket, &places, tables).await;
    }
}

/// The catalogue, which also says whether a token can be had at all.
async fn addresses(openstack: &OpenStack, bucket: &Bucket, tables: &Tables) -> Result<(), ()> {
    bucket.take().await;
    let begun = Instant::now();
    let found = openstack.addresses().await;
    note(tables, "identity", "issuing a token", found.as_ref().err(), begun);
    let all = match found {
        Ok(all) => all,
        Err(error) => {
            let why = error.to_string();
            for table in
                LISTINGS.iter().map(|listing| listing.table).chain(["provider", "stock", "allocation"])
            {
                tables.gap(table, None, &why);
            }
            return Err(());
        }
    };
    let (interface, region) = openstack.asks();
    tables.seen("endpoint");
    for address in all {
        let rest = address.url.split_once("://").map_or(address.url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let is_asked = address.interface == interface
            && region.is_none_or(|region| address.region.as_deref() == Some(region));
        let place = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let is_tls = address.url.starts_with("https:");
        let port = place.and_then(|(_, port)| port.parse::<f64>().ok());
        tables.add(
            "endpoint",
            row([
                ("service", address.kind.as_str().into()),
                ("interface", address.interface.as_str().into()),
                ("region", address.region.as_deref().into()),
                ("url", address.url.as_str().into()),
                ("name", place.map_or(authority, |(name, _)| name).into()),
                ("port", Value::Number(port.unwrap_or(if is_tls { 443.0 } else { 80.0 }))),
                ("tls", is_tls.into()),
                ("asked", is_asked.into()),
            ]),
        );
    }
    Ok(())
}

/// What came of a question, as a row of its own.
fn note(tables: &Tables, service: &str, doing: &str, error: Option<&ApiError>, begun: Instant) {
    let ms = begun.elapsed().as_millis() as f64;
    let mut columns = row([
        ("service", service.into()),
        ("doing", doing.into()),
        ("ok", error.is_none().into()),
        ("ms", Value::Number(ms)),
    ]);
    if let Some(error) = error {
        let status = match error {
            ApiError::NoToken { reason, .. } if reason.starts_with("answered 401") => Some(401),
            error => error.status(),
        };
        columns.insert("status".to_owned(), status.map(f64::from).into());
        columns.insert("why".to_owned(), error.to_string().into());
    }
    tables.add("api.call", columns);
}

async fn list(openstack: &OpenStack, bucket: &Bucket, listing: &Listing, tables: &Tables) {
    let doing =
        format!("listing {}", listing.path.split('?').next().unwrap_or_default().trim_start_matches('/'));
    let now = Timestamp::now();
    let since = Timestamp::from_second(now.as_second() - MOVES_BACK_S).unwrap_or(now);
    let path = listing.path.replace("SINCE", &quoted(&since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    bucket.take().await;
    let begun = Instant::now();
    let wanted = listing.columns();
    // Page by page: what was read is a row before the next page comes, so that one page and the rows are in memory.
    let keep = |page: Vec<Json>| {
        for item in &page {
            tables.add(listing.table, columns(listing.table, &wanted, item));
            beside(listing.table, item, tables);
        }
    };
    let read = match listing.versions {
        Some(range) => match openstack.version(listing.service, range, &doing).await {
            Ok(version) => openstack.pages(listing.service, &path, listing.key, version, &doing, keep).await,
            Err(error) => Err(error),
        },
        None => openstack.plain_pages(listing.service, &path, listing.key, &doing, keep).await,
    };
    match read {
        Ok(()) => {
            note(tables, listing.service.header, &doing, None, begun);
            tables.seen(listing.table);
            for (table, beside) in [("server", "server.volume"), ("volume", "volume.attachment")] {
                if listing.table == table {
                    tables.seen(beside);
                }
            }
        }
        Err(ApiError::NoEndpoint { .. }) => {}
        // An extension that the site has not is no trouble: ports without a list of free addresses are ports all the same.
        Err(error) if error.status() == Some(404) && listing.versions.is_none() => {}
        Err(error) => {
            note(tables, listing.service.header, &doing, Some(&error), begun);
            tables.gap(listing.table, None, &error.to_string());
        }
    }
}

fn columns(table: &str, wanted: &[(&str, String)], item: &Json) -> Row {
    let found = wanted.iter().filter_map(|(name, pointer)| {
        // A pointer's `~` and `/` are spelled out in no name here; a colon needs nothing.
        item.pointer(pointer).map(|value| ((*name).to_owned(), plain(value)))
    });
    let mut row: Row = found.collect();
    // A server that was never faulty has no `fault` at all: that is nothing, not unseen.
    if table == "server" {
        row.entry("fault".to_owned()).or_insert(Value::Null);
    }
    row
}

fn plain(value: &Json) -> Value {
    match value {
        Json::Null | Json::Object(_) => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => number.as_f64().into(),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(plain).collect()),
    }
}

/// Rows of other tables that an item holds.
fn beside(table: &str, item: &Json, tables: &Tables) {
    let id = item.get("id").and_then(Json::as_str);
    let list = |key: &str| item.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
    match table {
        "server" => {
            for volume in list("os-extended-volumes:volumes_attached") {
                let volume = volume.get("id").and_then(Json::as_str);
                tables.add("server.volume", row([("server", id.into()), ("volume", volume.into())]));
            }
        }
        "volume" => {
            for attachment in list("attachments") {
                let text = |key: &str| attachment.get(key).and_then(Json::as_str);
                tables.add(
                    "volume.attachment",
                    row([
                        ("volume", id.into()),
                        ("server", text("server_id").into()),
                        ("host", text("host_name").into()),
                    ]),
                );
            }
        }
        _ => {}
    }
}

/// Providers with what they have, and who has taken what of it: two requests for each.
async fn providers(openstack: &OpenStack, bucket: &Bucket, places: &Semaphore, tables: &Tables) {
    const DOING: &str = "asking for resource providers";
    bucket.take().await;
    let begun = Instant::now();
    let found = match openstack.version(&PLACEMENT, ALLOCATIONS, DOING).await {
        Ok(version) => {
            let list =
                openstack.list(&PLACEMENT, "/resource_providers", "resource_providers", version, DOING);
            list.await.map(|items| (version, items))
        }
        Err(error) => Err(error),
    };
    let (version, items) = match found {
        Ok(found) => found,
        Err(ApiError::NoEndpoint { .. }) => return,
        Err(error) => {
            note(tables, "placement", DOING, Some(&error), begun);
            ["provider", "stock", "allocation"]
                .iter()
                .for_each(|table| tables.gap(table, None, &error.to_string()));
            return;
        }
    };
    note(tables, "placement", DOING, None, begun);
    ["provider", "stock", "allocation"].iter().for_each(|table| tables.seen(table));
    let each = items.iter().map(|item| async move {
        let text = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or_default();
        let (id, name) = (text("uuid"), text("name"));
        let root = item.get("root_provider_uuid").and_then(Json::as_str).unwrap_or(id);
        tables.add(
            "provider",
            row([
                ("id", id.into()),
                ("name", name.into()),
                ("is_root", (root == id).into()),
                ("root", root.into()),
            ]),
        );
        let _place = places.acquire().await;
        let part = |what: &'static str| async move {
            bucket.take().await;
            let path = format!("/resource_providers/{}/{what}", quoted(id));
            openstack.versioned(&PLACEMENT, &path, version, &format!("asking for {what} of {name}")).await
        };
        let taken = part("allocations").await;
        match &taken {
            Ok(taken) => allocations(id, name, &taken.body, tables),
            Err(error) => tables.gap("allocation", None, &error.to_string()),
        }
        match (part("inventories").await, taken) {
            (Ok(have), Ok(taken)) => stock(id, name, &have.body, &taken.body, tables),
            (Err(error), _) | (_, Err(error)) => tables.gap("stock", None, &error.to_string()),
        }
    });
    join_all(each).await;
}

/// What is used of a stock is what all who have taken of it have taken: that need not be asked, too.
fn stock(id: &str, name: &str, have: &Json, taken: &Json, tables: &Tables) {
    for (kind, stock) in have.get("inventories").and_then(Json::as_object).into_iter().flatten() {
        let number = |key: &str| stock.get(key).and_then(Json::as_f64);
        let (total, reserved) = (number("total").unwrap_or(0.0), number("reserved").unwrap_or(0.0));
        let ratio = number("allocation_ratio").unwrap_or(1.0);
        let consumers = taken.get("allocations").and_then(Json::as_object).into_iter().flatten();
        let used: f64 = consumers
            .filter_map(|(_, taken)| taken.pointer(&format!("/resources/{kind}")).and_then(Json::as_f64))
            .sum();
        tables.add(
            "stock",
            row([
                ("provider", id.into()),
                ("host", name.into()),
                ("kind", kind.as_str().into()),
                ("total", Value::Number(total)),
                ("reserved", Value::Number(reserved)),
                ("ratio", Value::Number(ratio)),
                ("used", Value::Number(used)),
                ("room", Value::Number(((total - reserved) * ratio).floor())),
            ]),
        );
    }
}

fn allocations(id: &str, name: &str, taken: &Json, tables: &Tables) {
    for (consumer, taken) in taken.get("allocations").and_then(Json::as_object).into_iter().flatten() {
        let kinds = taken.get("resources").and_then(Json::as_object).into_iter().flatten();
        let words: Vec<String> = kinds.map(|(kind, count)| format!("{kind}={count}")).collect();
        tables.add(
            "allocation",
            row([
                ("provider", id.into()),
                ("host", name.into()),
                ("consumer", consumer.as_str().into()),
                ("resources", words.join(" ").into()),
            ]),
        );
    }
}

/// Hosts of the segments of instance HA: one request for each segment.
async fn segments(openstack: &OpenStack, bucket: &Bucket, places: &Semaphore, tables: &Tables) {
    let each = tables.rows("ha.segment").into_iter().map(|segment| async move {
        let (Some(id), name) = (segment.get("id").and_then(Value::text), segment.get("name")) else { return };
        let _place = places.acquire().await;
        bucket.take().await;
        tables.seen("ha.host");
        let path = format!("/segments/{}/hosts?limit=1000", quoted(id));
        match openstack.plain_list(&INSTANCE_HA, &path, "hosts", "listing the hosts of a segment").await {
            Ok(hosts) => {
                for host in hosts {
                    let truth = |key: &str| host.get(key).and_then(Json::as_bool);
                    tables.add(
                        "ha.host",
                        row([
                            ("host", host.get("name").and_then(Json::as_str).into()),
                            ("segment", name.cloned().unwrap_or(Value::Null)),
                            ("on_maintenance", truth("on_maintenance").into()),
                            ("reserved", truth("reserved").into()),
                        ]),
                    );
                }
            }
            Err(error) => tables.gap("ha.host", None, &error.to_string()),
        }
    });
    join_all(each).await;
}

/// What agents host: one request for each agent that hosts anything.
async fn hostings(openstack: &OpenStack, bucket: &Bucket, places: &Semaphore, tables: &Tables) {
    let agents = tables.rows("network.agent");
    for (kind, table, path, key) in HOSTINGS {
        let of_kind: Vec<&Row> =
            agents.iter().filter(|agent| agent.get("kind").and_then(Value::text) == Some(kind)).collect();
        if of_kind.is_empty() {
            continue;
        }
        tables.seen(table);
        let each = of_kind.into_iter().map(|agent| async move {
            let Some(id) = agent.get("id").and_then(Value::text) else { return };
            let _place = places.acquire().await;
            bucket.take().await;
            let doing = format!("asking what a {kind} hosts");
            match openstack.plain_list(&NETWORK, &format!("/agents/{}/{path}", quoted(id)), key, &doing).await
            {
                Ok(items) => {
                    for item in items {
                        let mut columns = row([
                            ("agent", id.into()),
                            ("object", item.get("id").and_then(Json::as_str).into()),
                            ("ha_state", item.get("ha_state").and_then(Json::as_str).into()),
                        ]);
                        for column in ["host", "alive", "enabled"] {
                            if let Some(value) = agent.get(column) {
                                columns.insert(column.to_owned(), value.clone());
                            }
                        }
                        tables.add(table, columns);
                    }
                }
                Err(error) => tables.gap(table, None, &error.to_string()),
            }
        });
        join_all(each).await;
    }
}

/// The service that hypervisors are asked of.
pub(super) const HYPERVISORS: &crate::openstack::catalogue::Service = &COMPUTE;

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::health::Evidence;
    use serde_json::json;

    #[test]
    fn what_is_used_of_a_stock_is_what_was_taken() {
        let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
        let have = json!({"inventories": {"VCPU": {"total": 8, "reserved": 1, "allocation_ratio": 4.0}, "DISK_GB": {"total": 9}}});
        let taken = json!({"allocations": {
            "a": {"resources": {"VCPU": 2, "MEMORY_MB": 512}}, "b": {"resources": {"VCPU": 3}},
        }});
        stock("p", "cmp1", &have, &taken, &tables);
        let stock = |kind: &str| {
            let rows = tables.rows("stock");
            let row = rows.iter().find(|row| row["kind"] == kind.into()).unwrap();
            (row["used"].number(), row["room"].number())
        };
        assert_eq!((stock("VCPU"), stock("DISK_GB")), ((Some(5.0), Some(28.0)), (Some(0.0), Some(9.0))));
    }
}
