//! Every bound of the program that is not a property of one module: each with the sentence that defends it.
//!
//! A queue, retry, page loop or buffer without a name in a file like this one is a defect.

/// Steps in one plan. Twelve steps for each of ten thousand nodes, doubled.
pub const PLAN_STEPS_MAX: usize = 250_000;

/// Entries in one run's journal: three for each step of the largest plan, and room for retries.
pub const JOURNAL_ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of a stored plan, inventory or journal entry that a reader accepts. The largest plan is about 50 MB.
pub const STORED_BODY_BYTES_MAX: usize = 128 << 20;

/// Attempts that any step may ask for: more of the same does not help at night, a person does.
pub const STEP_TRIES_MAX: u16 = 10;

/// How often a step whose outcome is unknown is asked about before a person is asked: with the widening
/// pause below this is about two minutes, longer than a controller needs to boot.
pub const UNKNOWN_ANSWERS_MAX: u16 = 9;

/// Pause before a step in doubt is asked about again; doubled each time.
pub const UNKNOWN_PAUSE_FIRST_MS: i64 = 500;

/// Longest pause between two questions about a step in doubt.
pub const UNKNOWN_PAUSE_MAX_MS: i64 = 30_000;

/// How often a guard may fail before a step that has not begun asks for a person.
pub const POSTPONEMENTS_MAX: u16 = 10;

/// How long after its guards a step's effect may begin: a machine that got power meanwhile runs no guest so soon.
pub const BEGIN_WITHIN_MS: i64 = 30_000;

/// Pause before a guard that failed is looked at again.
pub const POSTPONED_PAUSE_MS: i64 = 1_000;

/// Pause between a failed attempt and the next one.
pub const RETRY_PAUSE_MS: i64 = 1_000;

/// Bytes of a command's output that are kept in the journal; the rest stays in the unit's journal on the node.
pub const OUTPUT_KEPT_BYTES: usize = 4 << 10;

/// How old an inventory may be when the plan that was made from it is approved.
pub const INVENTORY_AGE_MAX_S: i64 = 3_600;

/// How long a driver's lease on a cloud lasts without renewal. A driver that was killed on this machine is
/// recognised at once; this is the wait for one that was killed on another machine.
pub const LEASE_S: i64 = 20;

/// How often a lease is renewed: three chances before it ends.
pub const LEASE_RENEW_S: i64 = 6;

/// How long a server's lease on an outage lasts without renewal. Another one must have taken over ten seconds after it was
/// killed, and may see the lease two seconds late and its end one second late. A server that loses it to a database that
/// stands still takes it again, and settles what it had begun.
pub const OUTAGE_LEASE_S: i64 = 6;

/// How often that is renewed: two chances before it ends.
pub const OUTAGE_LEASE_RENEW_S: i64 = 2;
