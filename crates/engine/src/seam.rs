//! The six seams: everything that the engine asks of the world outside, and nothing else.
//!
//! `world` answers them for real, `sim` pretends. A seam never decides anything that an operator would argue
//! with; it carries out what a step says, or tells what is.

use ostler_model::Timestamp;
use ostler_model::canary::{Act, Acted, NotActed};
use ostler_model::compute::{Compute, Scope};
use ostler_model::event::{Entry, Outcome, Why};
use ostler_model::function::{LogError, LogGate, Mark, Offer, Question, Sample};
use ostler_model::ha::list::Query;
use ostler_model::ha::{
    Host, HostChange, Incident, Joined, Move, Named, Notification, Progress, Purged, Report, Reported,
    Segment, SegmentChange, Status, Written,
};
use ostler_model::ids::{HostId, HostName, IncidentId, NotificationId, PlanId, RunId, SegmentId};
use ostler_model::inventory::{Fact, Inventory};
use ostler_model::plan::Plan;
use ostler_model::record::{Record, RecordQuery};
use ostler_model::step::{Call, Job, Through};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future: one allocation beside an SSH call is nothing, and the seams stay plain trait objects.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that a driver needs of the world.
#[derive(Clone)]
pub struct Seams {
    /// OpenStack.
    pub cloud: Arc<dyn Cloud>,
    /// The nodes.
    pub nodes: Arc<dyn Nodes>,
    /// Power.
    pub power: Arc<dyn Power>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub dice: Arc<dyn Dice>,
}

/// An operator's verbs on OpenStack.
pub trait Cloud: Send + Sync {
    /// Makes each call once, in order, with the operator's credentials, through one way in. `Err` says which call
    /// failed, with the answer.
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>>;

    /// The services that the cloud's catalogue offers to everybody.
    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(async { Err(Why::new("nothing here reads the cloud's catalogue")) })
    }

    /// Asks one service once, as the matrix does. Never fails: what went wrong is the answer.
    fn sample<'a>(&'a self, _question: &'a Question) -> Fut<'a, Sample> {
        Box::pin(async {
            let what = Some("nothing here asks services".to_owned());
            Sample { mark: Mark::Unknown, took_ms: 0, what }
        })
    }

    /// Carries out one act of a canary and waits until it has had its effect. What is made bears the act's name, so
    /// that it can be found again after a lost answer.
    fn act<'a>(&'a self, _act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(async { Err(NotActed::Skipped("nothing here makes things in a cloud".to_owned())) })
    }

    /// Looks at the compute side, in as few requests as will do; many who ask at once may share an answer. `Err`
    /// says that it could not be seen: what is missing in an `Ok` is not there.
    fn look<'a>(&'a self, _scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(async { Err(no_compute()) })
    }

    /// Starts the effect of a job whose verb the compute service carries out ([`Does::by`]). `Err` means that it is
    /// *known* that the verb's effect was not started; when in doubt the answer is `Ok`, and `settle` finds out.
    ///
    /// - `Evacuate` looks first. An instance that is on another host than the source, or whose evacuation is under way to
    ///   a target that is not declared down, is left alone with `Ok`. Else it is locked (unless it is locked already), its state is reset where the job says
    ///   so, and the evacuation is asked for, in the dialect that keeps its state (at most 2.94). Lock and reset may be
    ///   left behind by an `Err`: the job's `Settle` opens the lock.
    /// - A verb whose state is there already has nothing to begin.
    ///
    /// [`Does::by`]: ostler_model::step::Does::by
    fn begin<'a>(&'a self, _job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async { Err(no_compute()) })
    }

    /// Waits until it is known what came of such a job, also one that another process began, at most for the job's
    /// limit. Never starts an effect. For an `Evacuate` the migration records and the instance's service host tell:
    /// `Done` (with the fact `host`) when it is on another host and no evacuation of it is under way, and the record says
    /// so; `NotDone` only when no evacuation is under way and none can still be accepted, which after a lost answer
    /// takes a while to be sure of.
    fn settle<'a>(&'a self, _job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async { Outcome::Unknown { why: no_compute() } })
    }
}

fn no_compute() -> Why {
    Why::new("nothing here speaks to the compute service")
}

/// What calls came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// How many were made.
    pub calls: u32,
    /// How long the slowest took.
    pub slowest_ms: u64,
}

/// The nodes: facts and effects.
pub trait Nodes: Send + Sync {
    /// Looks at nodes: these kinds of facts of these hosts. A node that does not answer is in the inventory as
    /// such; a survey itself never fails.
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory>;

    /// The upstream versions of packages that a source offers, newest first, as a node that can reach it sees them.
    /// Changes nothing on the node; a package that the source does not have is absent.
    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>>;

    /// Errors that logs hold since a moment and did not hold in the hours before, what is allowed included. `Err`: some
    /// logs could not be read.
    fn new_errors<'a>(
        &'a self,
        _gate: &'a LogGate,
        _since: Timestamp,
    ) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(async { Err(Why::new("nothing here reads logs")) })
    }

    /// Starts the effect of a job. `Err` means that it is *known* that nothing was started or changed; when in
    /// doubt the answer is `Ok`, and `settle` finds out.
    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>>;

    /// Waits until it is known what came of a job, also one that another process began, at most for the job's
    /// limit. Never starts an effect.
    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome>;
}

/// Power of machines.
pub trait Power: Send + Sync {
    /// Whether a host has power, read now (or shared from a reading at most a second old). `Err`: nobody can tell.
    /// Where several means are declared, `Off` needs every means that answers to say so.
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>>;
    /// Takes power away, at once and not by asking the operating system. `Ok` means that the order was taken: only a
    /// reading proves anything.
    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>>;
    /// Gives power.
    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>>;
}

/// What was read of a machine's power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerReading {
    /// What.
    pub state: PowerState,
    /// By which means: `redfish`, `ipmi`.
    pub means: String,
    /// When.
    pub at: Timestamp,
}

/// Whether a machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// It has.
    On,
    /// It has not.
    Off,
}

/// The store: plans, journals, leases, and the register of instance HA.
pub trait Store: Register {
    /// Keeps a plan. Keeping the same plan twice is no error.
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>>;
    /// A plan by its full identity.
    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>>;
    /// Plans kept last, newest first, at most `limit`: identity, time kept.
    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>>;
    /// Keeps an inventory as the last one of its cloud.
    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>>;
    /// The last inventory of a cloud.
    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>>;
    /// Keeps what is known of something beside itself, in place of an earlier note of the same kind.
    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>>;
    /// A note, if there is one.
    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>>;
    /// Keeps a record, in place of an earlier one of the same kind, subject and name.
    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>>;
    /// Records, newest first.
    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>>;
    /// Takes a record away. False: it was not there.
    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>>;
    /// Takes away records that are older than a time, at most so many, the oldest first. How many went.
    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>>;
    /// Appends entries durably, all or none. Fails with [`StoreError::Taken`] when another writer owns a place.
    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>>;
    /// A run's entries from `from` on, in order, read so that every acknowledged append is seen.
    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>>;
    /// Runs whose first entry is newest first, at most `limit`.
    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>>;
    /// The lease of a name, if it was ever granted.
    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>>;
    /// Replaces a lease if its term is still `term` (0: if it was never granted) by `(owner, until, term + 1)`.
    /// Answers the lease that holds now: the caller has it if the owner is theirs and the term is one more.
    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>>;
    /// Prolongs (or, with a time in the past, gives back) a lease without changing its term. False: it is another's.
    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>>;
}

/// The register of instance HA, the second half of the store: segments, hosts, reports and what came of them.
///
/// How its parts are used together is told in [`ostler_model::ha`]. Numbers are given by the store and never used
/// again; what is deleted is kept until it is purged, and seen by nobody.
pub trait Register: Send + Sync {
    /// Segments.
    fn segments<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Segment>, StoreError>>;
    /// A segment.
    fn segment<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Segment>, StoreError>>;
    /// Adds a segment; its number is not looked at.
    fn add_segment<'a>(&'a self, segment: &'a Segment) -> Fut<'a, Result<Written<Segment>, StoreError>>;
    /// Changes a segment.
    fn change_segment<'a>(
        &'a self,
        id: &'a SegmentId,
        change: &'a SegmentChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Segment>, StoreError>>;
    /// Deletes a segment and its hosts. False: it was not there.
    fn delete_segment<'a>(&'a self, id: &'a SegmentId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>>;

    /// Hosts, of all segments unless the query says which.
    fn hosts<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Host>, StoreError>>;
    /// A host.
    fn host<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Host>, StoreError>>;
    /// Adds a host to its segment; its number is not looked at.
    fn add_host<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Written<Host>, StoreError>>;
    /// Changes a host: what an operator may change, and the flags that an incident sets.
    fn change_host<'a>(
        &'a self,
        id: &'a HostId,
        change: &'a HostChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Host>, StoreError>>;
    /// Deletes a host. False: it was not there.
    fn delete_host<'a>(&'a self, id: &'a HostId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>>;

    /// Notifications; those that wait for somebody: `Query::of_status(Status::New, …)`.
    fn notifications<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Notification>, StoreError>>;
    /// A notification.
    fn notification<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Notification>, StoreError>>;
    /// Keeps a notification and opens the incident that it asks for, in one write; or joins the one that is open.
    fn report<'a>(&'a self, report: &'a Report) -> Fut<'a, Result<Reported, StoreError>>;
    /// Moves a notification from one status to another, with a message. False: it has another status.
    fn set_status<'a>(
        &'a self,
        id: &'a NotificationId,
        from: Status,
        to: Status,
        message: Option<&'a str>,
        at: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>>;

    /// Moves, of all notifications unless the query says which.
    fn moves<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Move>, StoreError>>;
    /// A move.
    fn a_move<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Move>, StoreError>>;
    /// Writes moves as they are now; one that is there already is replaced and keeps its number. All or none.
    fn keep_moves<'a>(&'a self, moves: &'a [Move]) -> Fut<'a, Result<(), StoreError>>;

    /// Adds steps; one whose mark is there already is left out.
    fn append_progress<'a>(&'a self, steps: &'a [Progress]) -> Fut<'a, Result<(), StoreError>>;
    /// The steps of a notification, in the order in which they were added.
    fn progress<'a>(&'a self, id: &'a NotificationId) -> Fut<'a, Result<Vec<Progress>, StoreError>>;

    /// Every open incident, oldest first.
    fn open_incidents(&self) -> Fut<'_, Result<Vec<Incident>, StoreError>>;
    /// Incidents, newest first, open and closed.
    fn incidents(&self, limit: u32) -> Fut<'_, Result<Vec<Incident>, StoreError>>;
    /// An incident.
    fn incident<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Option<Incident>, StoreError>>;
    /// Replaces an incident that is open and still has this version, by one with the next version. None: it has
    /// another version, or is closed; read it again.
    fn save_incident<'a>(&'a self, incident: &'a Incident) -> Fut<'a, Result<Option<Incident>, StoreError>>;
    /// Says until when somebody is at work on an incident; its version stays. False: it is not open.
    fn hold_incident<'a>(&'a self, id: &'a IncidentId, until: Timestamp)
    -> Fut<'a, Result<bool, StoreError>>;
    /// The reports that joined an incident, in the order in which they came.
    fn joined<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Vec<Joined>, StoreError>>;

    /// Takes away what is older than a time, at most so many rows of each kind: what was deleted before it; what was
    /// last changed before it and is over; and everything that hangs on those. Open incidents and what they need stay.
    fn purge(&self, before: Timestamp, rows: u32) -> Fut<'_, Result<Purged, StoreError>>;
}

/// A lease on a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased: `cloud/<name>`.
    pub name: String,
    /// Who has it.
    pub owner: String,
    /// Rises by one with each grant: the fencing token.
    pub term: u64,
    /// Until when.
    pub until: Timestamp,
}

/// What a store can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The place in the journal belongs to another writer.
    #[error("entry {seq} of run {run} belongs to another ostler")]
    Taken {
        /// The run.
        run: RunId,
        /// The place.
        seq: u64,
    },
    /// The store does not answer, or may not be written.
    #[error("{what}")]
    Unavailable {
        /// What happened, with the place.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// What is stored cannot be read.
    #[error("{what}")]
    Corrupt {
        /// What is wrong, with the place.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// Time.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, ms: u64) -> Fut<'_, ()>;
}

/// Randomness, for names and jitter only.
pub trait Dice: Send + Sync {
    /// 64 random bits.
    fn roll(&self) -> u64;
}
