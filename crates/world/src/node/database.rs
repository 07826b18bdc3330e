//! The database cluster: taking a member out with its data, bringing one back, beginning anew with one.
//!
//! It must never leave a cluster without a majority, never begin a second cluster beside a living one, and never
//! wipe a node while no other one has the data.

use super::unit::Work;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use ostler_model::inventory::{GaleraSeen, Inventory, Seen};

/// Synced, as Galera numbers its states.
const SYNCED: u32 = 4;

/// Time that is left of a step's limit for everything but waiting.
const MARGIN_S: u32 = 5;

macro_rules! script {
    ($file:literal) => {
        concat!(
            include_str!("../../data/node/prelude.sh"),
            include_str!("../../data/node/lib-database.sh"),
            include_str!(concat!("../../data/node/", $file)),
            include_str!("../../data/node/dispatch.sh")
        )
    };
}

/// Takes a node out.
pub(crate) fn isolate(host: &HostName) -> Work {
    Work::on(host, script!("database-isolate.sh").to_owned())
}

/// Brings a node back.
pub(crate) fn rejoin(host: &HostName, members: &[HostName], limit_s: u32) -> Work {
    Work::on(host, script!("database-rejoin.sh").to_owned())
        .value("members", members.len().to_string())
        .value("patience_s", limit_s.saturating_sub(MARGIN_S).to_string())
}

/// Stops a node.
pub(crate) fn stop(host: &HostName) -> Work {
    Work::on(host, script!("database-stop.sh").to_owned())
}

/// Begins a new cluster.
pub(crate) fn bootstrap(host: &HostName, limit_s: u32) -> Work {
    Work::on(host, script!("database-bootstrap.sh").to_owned())
        .value("patience_s", limit_s.saturating_sub(MARGIN_S).to_string())
}

/// Makes a node forget.
pub(crate) fn wipe(host: &HostName) -> Work {
    Work::on(host, script!("database-wipe.sh").to_owned())
}

fn is_member(galera: &GaleraSeen) -> bool {
    galera.cluster_status == "Primary" && galera.local_state == SYNCED && galera.ready
}

fn galera<'a>(seen: &'a Inventory, host: &HostName) -> Result<&'a GaleraSeen, String> {
    match seen.nodes.get(host) {
        Some(Seen::Fresh(node)) => node.galera.as_ref().ok_or_else(|| {
            let gap = seen.gaps.iter().find(|gap| gap.host == *host && gap.what == "galera");
            format!(
                "the database on {host} does not answer: {}",
                gap.map_or("it is not there", |gap| gap.why.as_str())
            )
        }),
        Some(Seen::Stale { why, .. } | Seen::Unreachable { why }) => Err(why.clone()),
        None => Err(format!("{host} was not looked at")),
    }
}

/// Whether the others can do without a node: all of them are synced members.
pub(crate) fn others_suffice(seen: &Inventory, others: &[HostName]) -> Result<(), Why> {
    if others.is_empty() {
        return Err(Why::new("there is no other member of the database cluster, so none can be set aside"));
    }
    for host in others {
        let wrong = match galera(seen, host) {
            Ok(galera) if is_member(galera) => continue,
            Ok(galera) => format!("{host} is {} and in state {}", galera.cluster_status, galera.local_state),
            Err(why) => why,
        };
        return Err(Why::new(format!("the database cluster cannot do without another member now: {wrong}"))
            .hint("bring all members of the cluster in order first"));
    }
    Ok(())
}

/// Whether the others form a cluster of exactly themselves.
pub(crate) fn others_agree(seen: &Inventory, others: &[HostName]) -> Result<(), String> {
    for host in others {
        let galera = galera(seen, host)?;
        let size = usize::try_from(galera.cluster_size).unwrap_or_default();
        if galera.cluster_status != "Primary" || size != others.len() {
            return Err(format!(
                "{host} is {} and sees {size} members, not {}",
                galera.cluster_status,
                others.len()
            ));
        }
    }
    Ok(())
}

/// Whether a node is in one cluster with every other one that is up: none of them stands apart.
pub(crate) fn is_one_cluster(seen: &Inventory, host: &HostName, others: &[HostName]) -> Result<(), String> {
    let ours = galera(seen, host)?;
    for other in others {
        let Ok(theirs) = galera(seen, other) else { continue };
        if theirs.cluster_status == "Primary" && theirs.cluster_uuid != ours.cluster_uuid {
            return Err(format!(
                "{host} and {other} are in different clusters: {} and {}",
                ours.cluster_uuid, theirs.cluster_uuid
            ));
        }
        if theirs.cluster_status == "Primary" && theirs.cluster_size != ours.cluster_size {
            return Err(format!(
                "{host} sees {} members of the cluster, {other} sees {}",
                ours.cluster_size, theirs.cluster_size
            ));
        }
    }
    Ok(())
}

/// Refuses if any other node is in a living cluster: beginning another one would split the data.
pub(crate) fn none_lives(seen: &Inventory, others: &[HostName]) -> Result<(), Why> {
    let living =
        others.iter().find(|host| galera(seen, host).is_ok_and(|galera| galera.cluster_status == "Primary"));
    match living {
        Some(host) => Err(Why::new(format!(
            "{host} is in a living database cluster: a second one beside it would split the data"
        ))
        .hint("stop the database on all other nodes first, or let this node rejoin")),
        None => Ok(()),
    }
}

/// Refuses unless another node has the data in a living cluster.
pub(crate) fn data_is_elsewhere(seen: &Inventory, others: &[HostName]) -> Result<(), Why> {
    if others.iter().any(|host| galera(seen, host).is_ok_and(is_member)) {
        return Ok(());
    }
    Err(Why::new("no other node is a synced member of the database cluster: what is wiped here could not be copied back")
        .hint("bring the cluster up on another node first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::inventory::Node;
    use std::collections::BTreeMap;

    fn cluster(nodes: &[(&str, &str, u32, u32, &str)]) -> Inventory {
        let nodes = nodes.iter().map(|(host, status, state, size, uuid)| {
            let galera = GaleraSeen {
                cluster_status: (*status).into(),
                cluster_size: *size,
                local_state: *state,
                ready: true,
                cluster_uuid: (*uuid).into(),
                ..GaleraSeen::default()
            };
            (HostName::from(*host), Seen::Fresh(Box::new(Node { galera: Some(galera), ..Node::default() })))
        });
        Inventory {
            format: 1,
            cloud: "c".into(),
            taken: Timestamp::UNIX_EPOCH,
            nodes: nodes.collect::<BTreeMap<_, _>>(),
            gaps: Vec::new(),
        }
    }

    fn hosts(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| HostName::from(*name)).collect()
    }

    #[test]
    fn a_member_goes_only_while_all_others_are_synced() {
        let others = hosts(&["b", "c"]);
        assert!(
            others_suffice(&cluster(&[("b", "Primary", 4, 3, "u"), ("c", "Primary", 4, 3, "u")]), &others)
                .is_ok()
        );
        assert!(
            others_suffice(&cluster(&[("b", "Primary", 2, 3, "u"), ("c", "Primary", 4, 3, "u")]), &others)
                .is_err()
        );
        assert!(others_suffice(&cluster(&[("b", "Primary", 4, 3, "u")]), &others).is_err());
        assert!(others_suffice(&cluster(&[]), &[]).is_err());
    }

    #[test]
    fn clusters_are_told_apart() {
        let seen = cluster(&[
            ("a", "Primary", 4, 2, "u"),
            ("b", "Primary", 4, 2, "u"),
            ("c", "non-Primary", 1, 1, "v"),
        ]);
        assert!(is_one_cluster(&seen, &HostName::from("a"), &hosts(&["b", "c", "d"])).is_ok());
        let split = cluster(&[("a", "Primary", 4, 1, "u"), ("b", "Primary", 4, 1, "v")]);
        assert!(is_one_cluster(&split, &HostName::from("a"), &hosts(&["b"])).is_err());
        assert!(
            others_agree(&seen, &hosts(&["a", "b"])).is_ok() && others_agree(&seen, &hosts(&["a"])).is_err()
        );
    }

    #[test]
    fn nothing_begins_beside_a_living_cluster_and_nothing_is_wiped_without_one() {
        let living = cluster(&[("b", "Primary", 4, 2, "u")]);
        let dead = cluster(&[("b", "non-Primary", 0, 0, "u")]);
        assert!(
            none_lives(&living, &hosts(&["b", "c"])).is_err()
                && none_lives(&dead, &hosts(&["b", "c"])).is_ok()
        );
        assert!(
            data_is_elsewhere(&living, &hosts(&["b"])).is_ok()
                && data_is_elsewhere(&dead, &hosts(&["b"])).is_err()
        );
    }
}
