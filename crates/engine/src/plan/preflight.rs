//! What must be well before a service's upgrade may begin.
//!
//! The same checks are the first step of every plan and the content of `cloud check`.

use super::scene::ServiceSeen;
use ostler_model::catalogue::{Catalogue, Service, sorted};
use ostler_model::check::Check;
use ostler_model::cloud::Cloud;
use ostler_model::release::Series;

/// Room that a backup and a downloaded release need, in MiB.
const ROOM_MIB: u64 = 1_024;

/// How far the clocks of two controllers may be apart: tokens carry the time of their issue in whole seconds.
const CLOCKS_APART_MAX_MS: i64 = 1_000;

/// The checks, in the order in which an operator would look.
pub fn preflight(cloud: &Cloud, seen: &ServiceSeen<'_>, heads: &[Vec<String>]) -> Vec<Check> {
    let hosts = seen.hosts.clone();
    let mut checks = vec![
        Check::Reachable { nodes: hosts.clone() },
        Check::PackagesSettled { nodes: hosts.clone() },
        Check::UnitsActive { nodes: hosts.clone(), units: seen.installed.units.clone() },
    ];
    if !seen.members.is_empty() {
        let size = seen.members.len() as u32;
        checks.push(Check::GaleraWhole { nodes: seen.members.clone(), size });
    }
    checks.push(Check::HeadsAre {
        database: seen.service.database.name.clone(),
        nodes: seen.members.clone(),
        any_of: heads.to_vec(),
    });
    if !seen.proxies.is_empty() {
        checks.push(Check::AllServe {
            backend: seen.service.proxy.backend.clone(),
            servers: hosts.iter().map(ToString::to_string).collect(),
            proxies: seen.proxies.clone(),
        });
    }
    if !seen.caches.is_empty() {
        checks.push(Check::CacheAnswers { nodes: seen.caches.clone() });
    }
    checks.push(Check::DiskFree {
        nodes: hosts.clone(),
        directory: cloud.backup_directory.clone(),
        mib: ROOM_MIB,
    });
    checks.push(Check::ClocksAgree { nodes: hosts.clone(), within_ms: CLOCKS_APART_MAX_MS });
    for path in &seen.service.config.shared_keys {
        checks.push(Check::SameFiles { nodes: hosts.clone(), path: path.clone() });
    }
    checks
}

/// The sets of heads on which a release of a service works: its own, and those that an expand towards one of the
/// next releases leaves behind when the upgrade is taken back.
pub fn fitting_heads(catalogue: &Catalogue, service: &Service, release: Series) -> Vec<Vec<String>> {
    let Some(here) = service.release(release) else { return Vec::new() };
    let next = catalogue.next_releases(release).into_iter().filter_map(|series| service.release(series));
    let expanded = next
        .filter(|next| !next.expand_is_destructive)
        .map(|next| sorted([next.expand.clone(), here.contract.clone()]));
    let mut heads = here.any_heads();
    heads.extend(expanded);
    heads.sort();
    heads.dedup();
    heads
}
