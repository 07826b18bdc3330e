//! No fencing at all, because somebody wrote `none` by name: nobody looks whether the machine is off.
//!
//! It must never pass for a proof.

/// What stands in place of a proof.
pub(super) const WORDS: &str =
    "NOT FENCED: the settings say `none`, nobody looked whether the machine is off";
