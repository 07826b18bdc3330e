//! Instance HA: decides whether a host is dead, what becomes of its instances, in which order and where, and how the host
//! comes back. All of it is made into plans for the common executor; only `watch` drives them.
//!
//! Nothing here may take a silence for a proof: instances move after a reading of *off*, or a person's word.

mod attend;
mod comeback;
mod confirm;
mod control;
mod earlier;
mod fate;
mod foresee;
pub mod heartbeat;
mod incident;
mod kept;
mod limits;
mod maintain;
mod move_back;
mod moves;
mod notice;
mod place;
mod policy;
mod recover;
mod restart;
mod steps;
mod tale;
#[cfg(test)]
mod tests;
mod watch;

pub use attend::{Site, attend};
pub use comeback::{Comeback, comeback};
pub use confirm::{Blocked, Confirmed, Says, Scale, Sighting, Witness, confirm, storm_guard};
pub use control::{
    Answered, Fresh, Saying, SayingError, forget_word, report_again, say, switch, switched_off_by, vouch,
    word_of,
};
pub use fate::{Fate, fate, is_ha_enabled, priority};
pub use foresee::{Ahead, End, Foreseen, Foresight, Gap, Shown, coverage, foresee};
pub use incident::{Incident, NO_ROOM, Next, decide, spares_in_use};
pub use kept::read as read_incident;
pub use limits::{may_restart, pause_before_resume_ms};
pub use maintain::maintain;
pub use move_back::move_back;
pub use moves::{Moved, MovedStatus, moves};
pub use notice::NOTICED;
pub use place::{Candidate, place};
pub use policy::{LocalDisks, Member, Method, Policy, Segment};
pub use recover::{Failure, LOCK_REASON, recover};
pub use restart::{NotRestarted, disable, restart};
pub use tale::{Course, Phase, Standing, Stretch, Tale, stands, tale};
pub use watch::{Keep, Owner, Went, WorkError, work};
