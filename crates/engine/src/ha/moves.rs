//! What a recovery's runs have done to each instance, attempt by attempt: the moves that an operator sees.
//!
//! A pure function of runs. It must never judge an instance by an earlier attempt: the last one counts.

use crate::run::{Run, Status};
use ostler_model::Timestamp;
use ostler_model::ids::{HostName, InstanceId, RunId};
use ostler_model::step::Does;
use serde::{Deserialize, Serialize};

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovedStatus {
    /// Not begun.
    Pending,
    /// Begun.
    Ongoing,
    /// It is elsewhere.
    Succeeded,
    /// It is not.
    Failed,
}

/// One round's move of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// In which run.
    pub run: RunId,
    /// Of which instance.
    pub instance: InstanceId,
    /// From where.
    pub source: HostName,
    /// Where to, once that is known.
    pub dest: Option<HostName>,
    /// How far it is.
    pub status: MovedStatus,
    /// When its last attempt began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// Why it is not done.
    pub message: Option<String>,
}

/// The moves of runs, in their order.
pub fn moves(runs: &[Run]) -> Vec<Moved> {
    let mut found = Vec::new();
    for run in runs {
        for (at, state) in run.steps.iter().enumerate() {
            let Does::Evacuate { instance, source, .. } = &run.step(at).does else { continue };
            let status = match state.status {
                Status::Waiting | Status::Ready if state.attempt == 0 => MovedStatus::Pending,
                Status::Waiting | Status::Ready | Status::Doing => MovedStatus::Ongoing,
                Status::Done | Status::Skipped => MovedStatus::Succeeded,
                Status::Failed | Status::GivenUp => MovedStatus::Failed,
            };
            found.push(Moved {
                run: run.id.clone(),
                instance: instance.clone(),
                source: source.clone(),
                dest: state.facts.get("host").map(|host| HostName::new(host.as_str())),
                status,
                start: state.began,
                end: state.ended,
                message: state.why.as_ref().map(|why| why.what.clone()),
            });
        }
    }
    found
}
