//! Whether a recovery's history is complete: what the API tells of it, against what became of the instances.
//!
//! It must never take the server's word for where an instance runs.

use super::super::api::Client;
use super::cloud::Cloud;
use ostler_model::ids::HostName;
use ostler_sim::nova::{MigrationStatus, VmState};
use serde_json::Value;
use std::collections::BTreeMap;

/// Moves of one page.
const PAGE: usize = 1_000;

/// Pages that are read: more than any host that can be asked for has.
const PAGES_MAX: usize = 1_000;

/// Lines about what is missing that are shown.
const LINES_MAX: usize = 10;

/// A move, as the API tells it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub instance: String,
    pub status: String,
    pub to: String,
    pub is_whole: bool,
}

impl Told {
    fn read(body: &Value) -> Told {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let times = ["start_time", "end_time"].iter().all(|key| body[*key].is_string());
        Told {
            instance: text("instance_uuid"),
            status: text("status"),
            to: text("dest_host"),
            is_whole: times && body["source_host"].is_string() && body["instance_name"].is_string(),
        }
    }
}

/// An instance, as it really is.
#[derive(Clone, Debug, Default)]
pub(super) struct Landed {
    pub host: String,
    /// Whether it runs there, and nobody has locked it or does anything to it.
    pub is_well: bool,
    /// Evacuations of it that ended well.
    pub moves: usize,
}

/// The moves of a notification, all pages of them.
pub(super) async fn told(client: &mut Client, notification: &str) -> std::io::Result<Vec<Told>> {
    let mut all = Vec::new();
    let mut marker = String::new();
    for _ in 0..PAGES_MAX {
        let path =
            format!("/v1/notifications/{notification}/vmoves?limit={PAGE}&sort_key=id&sort_dir=asc{marker}");
        let (status, body) = client.call("GET", &path, "").await?;
        if status != 200 {
            return Err(std::io::Error::other(format!("{path} was answered {status}")));
        }
        let body: Value = serde_json::from_slice(&body).map_err(std::io::Error::other)?;
        let page = body["vmoves"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.extend(page.iter().map(Told::read));
        match page.last().and_then(|last| last["uuid"].as_str()) {
            Some(last) if page.len() == PAGE => marker = format!("&marker={last}"),
            _ => break,
        }
    }
    Ok(all)
}

/// Where the instances that were on a host are now.
pub(super) fn landed(cloud: &Cloud, those: &[ostler_sim::nova::InstanceId]) -> BTreeMap<String, Landed> {
    cloud.truth(|nova| {
        let of = |id: &ostler_sim::nova::InstanceId| {
            let Some(instance) = nova.instance(*id) else { return (id.to_string(), Landed::default()) };
            let host = instance.host.clone().unwrap_or_else(|| HostName::new(""));
            let runs = nova
                .host(&host)
                .and_then(|host| host.guests.get(id))
                .is_some_and(|guest| guest.state.is_alive());
            let done = |id: &&ostler_sim::nova::MigrationId| {
                nova.migration(**id).is_some_and(|record| record.status == MigrationStatus::Done)
            };
            let is_at_rest = instance.task_state.is_none() && !instance.locked;
            let landed = Landed {
                host: host.to_string(),
                is_well: runs && is_at_rest && instance.vm_state == VmState::Active,
                moves: instance.migrations.iter().filter(done).count(),
            };
            (id.to_string(), landed)
        };
        those.iter().map(of).collect()
    })
}

/// What is missing or wrong, in words; nothing where the history is complete.
pub(super) fn gaps(source: &str, told: &[Told], landed: &BTreeMap<String, Landed>) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for one in told {
        *times.entry(&one.instance).or_default() += 1;
        let id = &one.instance;
        match landed.get(id) {
            None => gaps.push(format!("a move of {id} is told, which was not on {source}")),
            Some(_) if one.status != "succeeded" => gaps.push(format!("the move of {id} is {}", one.status)),
            Some(now) if now.host != one.to => {
                gaps.push(format!("the move of {id} is told to {}, and it is on {}", one.to, now.host));
            }
            Some(_) if !one.is_whole => {
                gaps.push(format!("the move of {id} is told without its times or names"))
            }
            Some(_) => {}
        }
    }
    for (id, now) in landed {
        match times.get(id.as_str()) {
            None => gaps.push(format!("no move of {id} is told")),
            Some(1) => {}
            Some(times) => gaps.push(format!("the move of {id} is told {times} times")),
        }
        if now.host == source || now.host.is_empty() {
            gaps.push(format!("{id} is still on {source}"));
        } else if !now.is_well {
            gaps.push(format!("{id} is on {} and does not run there as it did before", now.host));
        }
        if now.moves != 1 {
            gaps.push(format!("{id} was moved {} times", now.moves));
        }
    }
    gaps
}

/// The first of them, and how many more there are.
pub(super) fn shown(gaps: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = gaps.iter().take(LINES_MAX).cloned().collect();
    if gaps.len() > LINES_MAX {
        lines.push(format!("and {} more", gaps.len() - LINES_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(instance: &str) -> Told {
        Told { instance: instance.into(), status: "succeeded".into(), to: "b".into(), is_whole: true }
    }

    fn landed(names: &[&str]) -> BTreeMap<String, Landed> {
        let well = Landed { host: "b".into(), is_well: true, moves: 1 };
        names.iter().map(|name| ((*name).to_owned(), well.clone())).collect()
    }

    #[test]
    fn a_complete_history_has_no_gaps() {
        assert!(gaps("a", &[told("1"), told("2")], &landed(&["1", "2"])).is_empty());
    }

    #[test]
    fn every_way_of_being_incomplete_is_said() {
        let one = |told: &[Told], now: Landed| gaps("a", told, &BTreeMap::from([("1".to_owned(), now)]));
        let well = || Landed { host: "b".into(), is_well: true, moves: 1 };
        for (found, wanted) in [
            (one(&[], well()), "no move of 1 is told"),
            (one(&[told("1"), told("1")], well()), "the move of 1 is told 2 times"),
            (one(&[Told { status: "ongoing".into(), ..told("1") }], well()), "the move of 1 is ongoing"),
            (
                one(&[Told { is_whole: false, ..told("1") }], well()),
                "the move of 1 is told without its times or names",
            ),
            (
                one(&[told("1")], Landed { host: "c".into(), ..well() }),
                "the move of 1 is told to b, and it is on c",
            ),
            (one(&[told("1")], Landed { moves: 2, ..well() }), "1 was moved 2 times"),
            (
                one(&[told("1")], Landed { is_well: false, ..well() }),
                "1 is on b and does not run there as it did before",
            ),
            (one(&[told("1"), told("9")], well()), "a move of 9 is told, which was not on a"),
        ] {
            assert_eq!(found, [wanted]);
        }
        let stayed = Landed { host: "a".into(), is_well: false, moves: 0 };
        assert!(one(&[told("1")], stayed).contains(&"1 is still on a".to_owned()));
    }
}
