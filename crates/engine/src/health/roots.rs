//! Which findings are consequences of others: a root on the same host, or for the whole cloud, explains them.
//!
//! A consequence is never thrown away: it is kept with the name of its root.

use super::library::Library;
use ostler_model::health::{Affected, Hidden, Severity};
use std::collections::BTreeMap;

/// What is raised: code, with its affected objects.
pub(super) type Raised = BTreeMap<String, Vec<Affected>>;

/// What was taken out.
pub(super) struct Consequences {
    pub hidden: Vec<Hidden>,
    /// By root: how many, and how bad the worst of them is.
    pub explains: BTreeMap<String, (usize, Severity)>,
}

/// Where a code is raised, and how badly: on hosts, and at all.
struct Places {
    worst: Severity,
    hosts: BTreeMap<String, Severity>,
}

/// Takes consequences out of what is raised.
pub(super) fn take_consequences(library: &Library, raised: &mut Raised) -> Consequences {
    let mut places: BTreeMap<String, Places> = BTreeMap::new();
    for (code, objects) in raised.iter() {
        let Some(worst) = objects.iter().map(|object| object.severity).max() else { continue };
        let mut hosts: BTreeMap<String, Severity> = BTreeMap::new();
        for object in objects {
            if let Some(host) = &object.host {
                let so_far = hosts.entry(host.clone()).or_insert(object.severity);
                *so_far = (*so_far).max(object.severity);
            }
        }
        places.insert(code.clone(), Places { worst, hosts });
    }
    let mut found = Consequences { hidden: Vec::new(), explains: BTreeMap::new() };
    for (code, objects) in raised.iter_mut() {
        objects.retain(|object| {
            match root_of(library, &places, code, object.host.as_deref(), object.severity) {
                None => true,
                Some(by) => {
                    let so_far = found.explains.entry(by.clone()).or_insert((0, object.severity));
                    *so_far = (so_far.0 + 1, so_far.1.max(object.severity));
                    found.hidden.push(Hidden { code: code.clone(), object: object.object.clone(), by });
                    false
                }
            }
        });
    }
    raised.retain(|_, objects| !objects.is_empty());
    found
}

/// The code at the root of one, if it is none itself. A warning explains no error: a disk that fills is no reason for a
/// database that is down. There are no circles: the library refuses them.
fn root_of(
    library: &Library,
    places: &BTreeMap<String, Places>,
    code: &str,
    host: Option<&str>,
    severity: Severity,
) -> Option<String> {
    let needed = severity.min(Severity::Error);
    let roots = &library.checks.get(code)?.check.after;
    let (direct, at) = roots.iter().find_map(|root| {
        let there = places.get(&root.code)?;
        let at = match root.on_host {
            false => there.worst,
            true => *there.hosts.get(host?)?,
        };
        (at >= needed).then_some((&root.code, at))
    })?;
    Some(root_of(library, places, direct, host, at).unwrap_or_else(|| direct.clone()))
}
