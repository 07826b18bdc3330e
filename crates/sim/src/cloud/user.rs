//! What a user has in the pretended cloud, and what its logs say: as much as a canary and a log gate meet.
//!
//! A thing is made at once and keeps its name. Nothing here knows who asks.

use super::SimCloud;
use ostler_model::Timestamp;
use ostler_model::canary::{Act, Acted, Kind, NotActed};
use ostler_model::function::{LogError, LogGate, Offer};
use std::collections::BTreeMap;

/// Where the pretended services are.
const URL: &str = "http://pretended:5000";

#[derive(Debug, Default)]
pub(crate) struct User {
    /// Types of services beside the identity service.
    offers: Vec<String>,
    /// Whether the catalogue lacks the identity service.
    without_identity: bool,
    /// What there is, by name.
    things: BTreeMap<String, (Kind, String)>,
    /// What cannot be made.
    refused: Vec<Kind>,
    /// What cannot be taken away.
    stuck: Vec<Kind>,
    made: u64,
    /// Errors in logs, and when they were written; without a time they are written again and again.
    errors: Vec<(Option<Timestamp>, LogError)>,
}

impl SimCloud {
    /// Offers these services, too.
    pub fn offer(&self, kinds: &[&str]) {
        self.state().user.offers = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    }

    /// Offers these services and nothing else, not even the identity service.
    pub fn offer_only(&self, kinds: &[&str]) {
        self.offer(kinds);
        self.state().user.without_identity = true;
    }

    /// Things of this kind can no longer be made, or taken away.
    pub fn refuse(&self, make: &[Kind], remove: &[Kind]) {
        let user = &mut self.state().user;
        (user.refused, user.stuck) = (make.to_vec(), remove.to_vec());
    }

    /// Names of everything that there is.
    pub fn things(&self) -> Vec<String> {
        self.state().user.things.keys().cloned().collect()
    }

    /// Puts an error into the logs; it is there from now on.
    pub fn log_error(&self, error: LogError) {
        self.state().user.errors.push((None, error));
    }

    /// Puts an error into the logs once.
    pub fn log_error_at(&self, at: Timestamp, error: LogError) {
        self.state().user.errors.push((Some(at), error));
    }

    /// The logs hold no new error any more.
    pub fn forget_errors(&self) {
        self.state().user.errors.clear();
    }

    pub(crate) fn offered(&self) -> Vec<Offer> {
        let user = &self.state().user;
        let identity = (!user.without_identity).then(|| "identity".to_owned());
        let kinds = identity.into_iter().chain(user.offers.iter().cloned());
        kinds.map(|kind| Offer { kind, url: URL.to_owned() }).collect()
    }

    pub(crate) fn errors_of(&self, gate: &LogGate, since: Timestamp) -> Vec<LogError> {
        let is_new = |at: Option<Timestamp>| at.is_none_or(|at| at >= since);
        let is_asked = |error: &LogError| error.nodes.iter().any(|node| gate.nodes.contains(node));
        let state = self.state();
        let found = state.user.errors.iter().filter(|(at, error)| is_new(*at) && is_asked(error));
        found.map(|(_, error)| error.clone()).collect()
    }

    pub(crate) fn act(&self, act: &Act) -> Result<Acted, NotActed> {
        let mut state = self.state();
        if !self.someone_serves(&state) {
            let what = "503 Service Unavailable".to_owned();
            return Err(NotActed::Failed { what, id: None });
        }
        let user = &mut state.user;
        let failed = |what: String| Err(NotActed::Failed { what, id: None });
        match act {
            Act::Make { kind, .. } if user.refused.contains(kind) => failed(format!("no {kind} can be made")),
            Act::Make { kind, name, .. } => {
                user.made += 1;
                let id = format!("{kind}-{}", user.made);
                user.things.insert(name.clone(), (*kind, id.clone()));
                Ok(Acted { id: Some(id), ..Acted::default() })
            }
            Act::Remove { kind, .. } if user.stuck.contains(kind) => {
                failed(format!("the {kind} does not go away"))
            }
            Act::Remove { name, .. } => {
                user.things.remove(name);
                Ok(Acted::default())
            }
            Act::Token | Act::Checksum { .. } | Act::Console { .. } | Act::Migrate { .. } => {
                Ok(Acted::default())
            }
        }
    }
}
