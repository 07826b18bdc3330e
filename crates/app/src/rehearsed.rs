//! What a plan's last rehearsal came to, kept beside the plan and shown in its preview.
//!
//! It must never stand in for a rehearsal of another plan: it is kept under the plan's whole hash.

use crate::duration::words;
use crate::failure::Failure;
use crate::view::{count, local};
use ostler_engine::seam::Store;
use ostler_model::Timestamp;
use ostler_model::ids::PlanId;
use ostler_sim::rehearse::Rehearsal;
use serde::{Deserialize, Serialize};

/// The format of the stored text. A newer one is passed over: it only informs.
const FORMAT: u16 = 1;

/// The kind of note.
const KIND: &str = "rehearsal";

/// A rehearsal in a few figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    format: u16,
    /// When.
    at: Timestamp,
    /// How many times.
    rehearsals: u64,
    /// Only this kind of fault, if not all.
    fault: Option<String>,
    by_itself: u64,
    with_a_person: u64,
    taken_back: u64,
    defects: u64,
    /// The longest time without an answer: what 95 of 100 did not exceed, and the worst.
    outage_ms: [u64; 2],
    /// Where a person was called first most often.
    called_at: Option<String>,
}

impl Rehearsed {
    /// The figures of a rehearsal.
    pub fn of(all: &Rehearsal, fault: Option<&str>, at: Timestamp) -> Rehearsed {
        let called_at = all.trouble_at.iter().max_by_key(|(step, times)| (**times, std::cmp::Reverse(*step)));
        Rehearsed {
            format: FORMAT,
            at,
            rehearsals: all.tellings,
            fault: fault.map(str::to_owned),
            by_itself: all.by_itself,
            with_a_person: all.with_a_person,
            taken_back: all.rolled_back,
            defects: all.defects,
            outage_ms: [95, 100].map(|part| Rehearsal::percentile(&all.outages_ms, part)),
            called_at: called_at.map(|(step, _)| step.clone()),
        }
    }

    /// Keeps it beside its plan, in place of an earlier one.
    pub async fn keep(&self, store: &dyn Store, plan: &PlanId) -> Result<(), Failure> {
        let text = serde_json::to_string(self).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(store.keep_note(plan.as_str(), KIND, &text).await?)
    }

    /// The last one of a plan.
    pub async fn last(store: &dyn Store, plan: &PlanId) -> Result<Option<Rehearsed>, Failure> {
        let text = store.note(plan.as_str(), KIND).await?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .filter(|one: &Rehearsed| one.format == FORMAT))
    }

    /// For the preview.
    pub fn lines(&self) -> Vec<String> {
        let percent = |part: u64| format!("{:.0} %", 100.0 * part as f64 / self.rehearsals.max(1) as f64);
        let only =
            self.fault.as_ref().map_or_else(String::new, |fault| format!(" with nothing but `{fault}`"));
        let mut lines = vec![
            format!("{}{only}, on {}", count(self.rehearsals as usize, "rehearsal"), local(self.at)),
            format!(
                "{} finished by themselves, {} after a person had come, {} were taken back",
                percent(self.by_itself),
                percent(self.with_a_person),
                percent(self.taken_back)
            ),
            format!(
                "longest time without an answer: {} in 95 %, {} at worst",
                words(self.outage_ms[0]),
                words(self.outage_ms[1])
            ),
        ];
        lines.extend(
            self.called_at.iter().map(|step| format!("a person was called first at {step} most often")),
        );
        if self.defects > 0 {
            lines.push(format!("{} broke a rule: a defect of Ostler's", self.defects));
        }
        lines
    }
}
