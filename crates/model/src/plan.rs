//! Plans: immutable values that say everything that will be done, in which order, under which limits.
//!
//! A plan's identity is the hash of its content: the approval of a plan is the approval of exactly this text.
//! A plan is never changed; another wish is another plan.

use crate::ids::{BudgetName, HostName, PlanId, RunId, ServiceName};
use crate::release::Series;
use crate::step::Step;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, BufWriter};

/// The newest format of a stored plan. A reader refuses a newer one.
pub const PLAN_FORMAT: u16 = 5;

/// The format of plans that have no purpose, verb or field that came with the fifth one.
pub const PLAN_FORMAT_FOURTH: u16 = 4;

/// The format of plans that have no verb or field that came with the fourth one.
pub const PLAN_FORMAT_THIRD: u16 = 3;

/// The format of plans that have no verb or field that came with the third one.
pub const PLAN_FORMAT_SECOND: u16 = 2;

/// The format of plans that have no purpose, verb or field that came with the second one: an older reader reads them.
pub const PLAN_FORMAT_FIRST: u16 = 1;

/// Bytes of a plan's text that are hashed at once: they stay in the fastest cache, and a call for them is rare.
const HASHED_AT_ONCE_BYTES: usize = 16 << 10;

/// A finished plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Hash of everything below.
    pub id: PlanId,
    /// Everything that the hash covers.
    pub body: PlanBody,
}

/// Everything that a plan's hash covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanBody {
    /// Format of this record.
    pub format: u16,
    /// The run whose follow-up this is, for a rollback.
    pub parent: Option<RunId>,
    /// The cloud's name.
    pub cloud: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When the inventory was taken that it was made from.
    pub seen: Timestamp,
    /// A digest of the facts that it depends on: another digest at approval means another cloud.
    pub basis: String,
    /// Titles of the waves.
    pub waves: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Limits on what may run at once.
    pub budgets: Vec<Budget>,
    /// What an operator should know before approving.
    pub cautions: Vec<String>,
}

impl Plan {
    /// Seals a body: its identity is its hash from now on.
    pub fn seal(body: PlanBody) -> Result<Plan, serde_json::Error> {
        let id = hash(&body)?;
        Ok(Plan { id, body })
    }

    /// Whether the identity is still that of the content; false means that the record was damaged or edited.
    pub fn is_intact(&self) -> bool {
        hash(&self.body).is_ok_and(|id| id == self.id)
    }
}

fn hash(body: &PlanBody) -> Result<PlanId, serde_json::Error> {
    // Field order is declaration order and every map is sorted, so equal bodies have equal bytes. They go through a
    // small buffer: the text of a large plan would be the largest thing in memory.
    let mut writer = BufWriter::with_capacity(HASHED_AT_ONCE_BYTES, Hashing(Sha256::new()));
    serde_json::to_writer(&mut writer, body)?;
    let Hashing(hash) = writer.into_inner().map_err(|error| serde_json::Error::io(error.into_error()))?;
    Ok(PlanId::new(hex(&hash.finalize())))
}

/// Writes into a hash.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum Purpose {
    /// Bring a service to another release.
    Upgrade {
        /// The service.
        service: ServiceName,
        /// From here.
        from: Series,
        /// To there.
        to: Series,
        /// By this way.
        strategy: Strategy,
    },
    /// Take an earlier run back.
    Rollback {
        /// Which run.
        of: RunId,
        /// By which way.
        way: RollbackWay,
    },
    /// Bring back what a host or an instance took down with it.
    Recover {
        /// What failed, in words.
        what: String,
        /// Which part of the recovery it is, from 1.
        round: u32,
    },
    /// Take a host that was recovered from into use again.
    Return {
        /// The host.
        host: HostName,
    },
    /// Move instances back to a host that a recovery took them away from.
    MoveBack {
        /// The host.
        host: HostName,
    },
    /// Take a host out of use, because somebody works on it.
    Maintain {
        /// The host.
        host: HostName,
    },
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Purpose::Upgrade { service, from, to, strategy } => {
                write!(f, "upgrade {service} {from} -> {to}, {strategy}")
            }
            Purpose::Rollback { of, way } => write!(f, "roll back run {of}, {way}"),
            Purpose::Recover { what, round } => write!(f, "recover {what}, part {round}"),
            Purpose::Return { host } => write!(f, "return {host}"),
            Purpose::MoveBack { host } => write!(f, "move instances back to {host}"),
            Purpose::Maintain { host } => write!(f, "put {host} into maintenance"),
        }
    }
}

/// The ways to upgrade a service whose database several nodes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Expand the schema, change node after node, contract.
    ZeroDowntime,
    /// One database node is set aside with the old data; one short stop.
    MinimalDowntime,
    /// Stop everything, change everything, start everything.
    Offline,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 3] = [Strategy::ZeroDowntime, Strategy::MinimalDowntime, Strategy::Offline];

    /// Its name as typed and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::ZeroDowntime => "zero-downtime",
            Strategy::MinimalDowntime => "minimal-downtime",
            Strategy::Offline => "offline",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The ways to take a run back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackWay {
    /// Each step's own undo, in reverse; the data stay.
    Undo,
    /// One database from the node that was set aside; other services keep their writes.
    IsolatedSchema,
    /// The whole database cluster from the node that was set aside.
    IsolatedCluster,
    /// One database from the backup.
    RestoreSchema,
}

impl fmt::Display for RollbackWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RollbackWay::Undo => "by undoing its steps",
            RollbackWay::IsolatedSchema => "one database from the isolated node",
            RollbackWay::IsolatedCluster => "the whole database cluster from the isolated node",
            RollbackWay::RestoreSchema => "by restoring the backup",
        })
    }
}

/// A limit on how many steps that draw on it may run at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name.
    pub name: BudgetName,
    /// How many at once.
    pub width: u32,
}

/// Something that the planner left out or put off, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Why the plan is as it is. An unread report is not actionable, so it travels with the plan.
#[must_use = "the report says what was not planned, and why"]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Decisions that an operator may want to argue with.
    pub decisions: Vec<String>,
    /// What is held back.
    pub held_back: Vec<HeldBack>,
    /// What preflight would say now, from the same inventory.
    pub findings: Vec<crate::check::Finding>,
    /// Nodes that the plan changes.
    pub nodes: Vec<HostName>,
}
