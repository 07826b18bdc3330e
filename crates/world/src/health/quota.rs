//! Compares what services say that a project uses with the objects that were listed: one question for each project and
//! service.
//!
//! The volume service keeps its counts in a table of its own, which can drift; compute counts what it can see, and too little
//! while a cell is down. What was not listed whole is not counted. It must never correct anything.

use super::bucket::Bucket;
use super::rows::{Tables, row};
use crate::openstack::catalogue::COMPUTE;
use crate::openstack::plain::{NETWORK, VOLUME};
use crate::openstack::version::{Microversion, Range};
use crate::openstack::{ApiError, OpenStack, quoted};
use futures_util::future::join_all;
use ostler_model::health::{Row, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::Semaphore;

/// Projects that are asked about: three questions each.
const PROJECTS_MAX: usize = 2_000;

/// Failures of one service after which its other projects are not asked about.
const FAILURES_MAX: usize = 3;

/// Details of quotas have looked alike since the first microversion.
const DETAILS: Range = Range::new(Microversion(2, 1), Microversion(2, 56));

/// A resource whose objects were listed: the table, and the column that is summed up; none: rows are counted.
struct Counted {
    resource: &'static str,
    table: &'static str,
    column: Option<&'static str>,
}

const fn counted(resource: &'static str, table: &'static str, column: Option<&'static str>) -> Counted {
    Counted { resource, table, column }
}

const OF_COMPUTE: [Counted; 3] = [
    counted("instances", "server", None),
    counted("cores", "server", Some("vcpus")),
    counted("ram", "server", Some("ram")),
];

const OF_VOLUME: [Counted; 5] = [
    counted("volumes", "volume", None),
    counted("gigabytes", "volume", Some("size")),
    counted("snapshots", "volume.snapshot", None),
    counted("backups", "volume.backup", None),
    counted("backup_gigabytes", "volume.backup", Some("size")),
];

const OF_NETWORK: [Counted; 5] = [
    counted("network", "network", None),
    counted("subnet", "subnet", None),
    counted("port", "port", None),
    counted("router", "router", None),
    counted("floatingip", "floating-ip", None),
];

/// Asks about all projects.
pub(super) async fn look(openstack: &OpenStack, bucket: &Bucket, places: &Semaphore, tables: &Tables) {
    let projects: Vec<(String, String)> = tables
        .rows("project")
        .iter()
        .filter_map(|row| {
            let text = |name: &str| row.get(name).and_then(Value::text).map(str::to_owned);
            Some((text("id")?, text("name")?))
        })
        .collect();
    if projects.is_empty() {
        return;
    }
    if projects.len() > PROJECTS_MAX {
        tables.gap("quota", None, &format!("there are more than {PROJECTS_MAX} projects"));
    }
    let projects = &projects[..projects.len().min(PROJECTS_MAX)];
    let of_volume = sums(&OF_VOLUME, tables);
    // Where the site wants it, snapshots do not count as gigabytes: both are right.
    let of_snapshots = sums(&[counted("gigabytes", "volume.snapshot", Some("size"))], tables);
    let services = [
        Asked { name: "compute", used: "in_use", sums: sums(&OF_COMPUTE, tables), or: HashMap::new() },
        Asked { name: "volume", used: "in_use", sums: of_volume, or: of_snapshots },
        Asked { name: "network", used: "used", sums: sums(&OF_NETWORK, tables), or: HashMap::new() },
    ];
    for service in &services {
        let failures = std::sync::atomic::AtomicUsize::new(0);
        let each = projects.iter().map(|(id, name)| async {
            let _place = places.acquire().await;
            if failures.load(std::sync::atomic::Ordering::Relaxed) >= FAILURES_MAX {
                return;
            }
            bucket.take().await;
            match ask(openstack, service.name, id).await {
                Ok(answer) => {
                    tables.seen("quota");
                    for (resource, said) in answer.as_object().into_iter().flatten() {
                        if let Some(row) = service.row(id, name, resource, said) {
                            tables.add("quota", row);
                        }
                    }
                }
                // Older services do not tell; one that is not there has no projects.
                Err(ApiError::NoEndpoint { .. }) => {
                    failures.fetch_add(FAILURES_MAX, std::sync::atomic::Ordering::Relaxed);
                }
                Err(error) => {
                    let before = failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if before == 0 && error.status() != Some(404) {
                        tables.gap("quota", None, &error.to_string());
                    }
                }
            }
        });
        join_all(each).await;
    }
}

async fn ask(openstack: &OpenStack, service: &str, project: &str) -> Result<Json, ApiError> {
    let project = quoted(project);
    let doing = format!("asking the {service} service what a project uses");
    let (key, reply) = match service {
        "compute" => {
            let version = openstack.version(&COMPUTE, DETAILS, &doing).await?;
            let path = format!("/os-quota-sets/{project}/detail");
            ("quota_set", openstack.versioned(&COMPUTE, &path, version, &doing).await?)
        }
        "volume" => {
            let path = format!("/os-quota-sets/{project}?usage=True");
            ("quota_set", openstack.plain(&VOLUME, &path, &doing).await?)
        }
        _ => ("quota", openstack.plain(&NETWORK, &format!("/quotas/{project}/details.json"), &doing).await?),
    };
    Ok(reply.body.get(key).cloned().unwrap_or(Json::Null))
}

/// What the objects of a project come to, by resource and project. A resource that is not there could not be counted.
type Sums = HashMap<&'static str, BTreeMap<String, f64>>;

fn sums(all: &[Counted], tables: &Tables) -> Sums {
    let mut found = Sums::new();
    for one in all.iter().filter(|one| tables.is_whole(one.table)) {
        let mut by_project: BTreeMap<String, f64> = BTreeMap::new();
        let is_counted = tables.rows(one.table).iter().all(|row| {
            let Some(project) = row.get("project").and_then(Value::text) else { return false };
            // Where a volume is on its way to, it is there twice and counts once.
            let is_copy =
                row.get("migration").and_then(Value::text).is_some_and(|at| at.starts_with("target:"));
            let worth = match one.column {
                None => Some(1.0),
                Some(column) => row.get(column).and_then(Value::number),
            };
            let Some(worth) = worth else { return false };
            *by_project.entry(project.to_owned()).or_default() += if is_copy { 0.0 } else { worth };
            true
        });
        if is_counted {
            found.insert(one.resource, by_project);
        }
    }
    found
}

/// A service that is asked.
struct Asked {
    name: &'static str,
    /// What it calls what is used.
    used: &'static str,
    sums: Sums,
    /// What may come on top.
    or: Sums,
}

impl Asked {
    /// One resource of one project; none, if its objects were not counted.
    fn row(&self, id: &str, name: &str, resource: &str, said: &Json) -> Option<Row> {
        let counted = *self.sums.get(resource)?.get(id).unwrap_or(&0.0);
        let number = |key: &str| said.get(key).and_then(Json::as_f64);
        let used = number(self.used)?;
        let more = self.or.get(resource).and_then(|sums| sums.get(id)).copied().unwrap_or(0.0);
        let counted = if used == counted { counted } else { counted + more };
        Some(row([
            ("service", self.name.into()),
            ("project", name.into()),
            ("project_id", id.into()),
            ("resource", resource.into()),
            ("used", Value::Number(used)),
            ("reserved", Value::Number(number("reserved").unwrap_or(0.0))),
            ("limit", Value::Number(number("limit").unwrap_or(-1.0))),
            ("counted", Value::Number(counted)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::health::Evidence;
    use serde_json::json;

    fn tables() -> Tables {
        let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
        for (project, size, migration) in
            [("p1", 10.0, Value::Null), ("p1", 5.0, Value::Null), ("p1", 5.0, "target:v".into())]
        {
            let volume =
                [("project", project.into()), ("size", Value::Number(size)), ("migration", migration)];
            tables.add("volume", row(volume));
        }
        tables.add("volume.snapshot", row([("project", "p1".into()), ("size", Value::Number(5.0))]));
        tables
    }

    fn of(tables: &Tables) -> Asked {
        let or = sums(&[counted("gigabytes", "volume.snapshot", Some("size"))], tables);
        Asked { name: "volume", used: "in_use", sums: sums(&OF_VOLUME, tables), or }
    }

    fn counted_of(asked: &Asked, resource: &str, used: f64) -> f64 {
        let said = json!({"in_use": used, "reserved": 0, "limit": 100});
        asked.row("p1", "one", resource, &said).unwrap()["counted"].number().unwrap()
    }

    #[test]
    fn what_a_project_has_is_counted_and_a_copy_on_its_way_is_not() {
        let asked = of(&tables());
        assert_eq!((counted_of(&asked, "volumes", 2.0), counted_of(&asked, "snapshots", 1.0)), (2.0, 1.0));
    }

    #[test]
    fn snapshots_may_count_as_gigabytes_or_not() {
        let asked = of(&tables());
        assert_eq!(
            (counted_of(&asked, "gigabytes", 15.0), counted_of(&asked, "gigabytes", 20.0)),
            (15.0, 20.0)
        );
        assert_eq!(counted_of(&asked, "gigabytes", 17.0), 20.0);
    }

    #[test]
    fn what_was_not_listed_whole_is_not_counted() {
        let tables = tables();
        tables.gap("volume", None, "answered 500");
        let asked = of(&tables);
        assert!(asked.row("p1", "one", "volumes", &json!({"in_use": 3})).is_none());
        assert!(asked.row("p1", "one", "snapshots", &json!({"in_use": 3})).is_some());
        // Backups were not listed at all.
        assert!(asked.row("p1", "one", "backups", &json!({"in_use": 3})).is_none());
    }

    #[test]
    fn a_project_without_objects_has_none() {
        let asked = of(&tables());
        let row = asked.row("p2", "two", "volumes", &json!({"in_use": 1, "limit": 10})).unwrap();
        assert_eq!((row["counted"].number(), row["used"].number()), (Some(0.0), Some(1.0)));
    }
}
