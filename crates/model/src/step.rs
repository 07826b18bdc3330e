//! Steps: what may be done to a cloud, on what, after what, under which guards, and how it is taken back.
//!
//! A step holds everything that is needed to do it and to ask whether it was done; carrying it out needs no
//! further knowledge of the service. It holds no secret and no shell text, only argument lists.
//! It is long because it names everything that may be done, in one place.

use crate::canary::Suite;
use crate::check::Check;
use crate::function::LogGate;
use crate::ids::{BudgetName, HostName, InstanceId, RunId, StepId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name within the plan.
    pub id: StepId,
    /// In words, for the preview and the progress display.
    pub title: String,
    /// The wave that it belongs to (index into the plan's waves).
    pub wave: u16,
    /// What it does.
    pub does: Does,
    /// Where.
    pub on: Target,
    /// Steps that must be done before.
    pub after: Vec<StepId>,
    /// What must hold immediately before the effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard: Vec<Check>,
    /// What must be awaited before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Attempts in all.
    pub tries: u16,
    /// How long one attempt may take.
    pub limit_s: u32,
    /// How long it is expected to take.
    pub expect_ms: u64,
    /// Budgets that it draws on while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draws: Vec<BudgetName>,
    /// How it is taken back.
    pub undo: Undo,
    /// Whether the rest goes on without it when its tries are spent. It is then given up, and so is what comes after
    /// it, except what says otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_fail: bool,
    /// Whether it is done although a step before it was given up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub regardless: bool,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a step works.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// On one node.
    Node(HostName),
    /// On the cloud as a whole.
    Cloud,
}

impl Target {
    /// The node, where there is one.
    pub fn node(&self) -> Option<&HostName> {
        match self {
            Target::Node(host) => Some(host),
            Target::Cloud => None,
        }
    }
}

/// The verbs. Each is either its own probe (the state it wants can be seen) or says in its facts what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Does {
    /// Judges checks over a fresh survey; changes nothing.
    Check {
        /// The checks.
        checks: Vec<Check>,
    },
    /// Copies files and dumps databases into the backup directory of the node, with a manifest.
    BackUp {
        /// What and where to.
        set: BackupSet,
    },
    /// Restores the dumps of a backup into a scratch server on the node and compares heads and row counts.
    ProveBackup {
        /// The same set that was backed up in this run.
        set: BackupSet,
    },
    /// Downloads packages of a release without installing anything.
    Fetch {
        /// The complete source line.
        source: String,
        /// Packages with their upstream versions.
        packages: BTreeMap<String, String>,
    },
    /// Writes the edited configuration beside the active one.
    StageConfig {
        /// Edits by file.
        files: BTreeMap<String, Vec<ConfigEdit>>,
    },
    /// Puts the staged configuration in place.
    ApplyConfig {
        /// Which files.
        files: Vec<String>,
    },
    /// Puts files back as a run's backup has them.
    RestoreFiles {
        /// The backup's run; none means this run.
        from: Option<RunId>,
        /// The backup directory of the node.
        directory: String,
        /// Which files.
        files: Vec<String>,
    },
    /// Takes a server out of every load balancer and waits until its sessions have ended.
    Drain {
        /// The backend.
        backend: String,
        /// The server in it.
        server: String,
        /// The load balancers.
        through: Vec<HostName>,
        /// How long running sessions may take; after that they are cut.
        patience_s: u32,
        /// Whether the last server may be taken out, because the plan announces an outage.
        last: bool,
    },
    /// Puts a server back into every load balancer and waits until each sends requests there.
    Enable {
        /// The backend.
        backend: String,
        /// The server in it.
        server: String,
        /// The load balancers.
        through: Vec<HostName>,
    },
    /// Stops units.
    StopUnits {
        /// Which.
        units: Vec<String>,
    },
    /// Starts units and waits until they are active. One that runs already, but since before one of these packages
    /// was unpacked, is restarted: a node that restarts in the middle starts by itself what was to be down.
    StartUnits {
        /// Which.
        units: Vec<String>,
        /// Packages that hold their code.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        packages: Vec<String>,
    },
    /// Installs packages in exactly these versions without letting them start, restart or migrate anything.
    Install {
        /// The complete source line that becomes the node's source of OpenStack packages.
        source: String,
        /// Packages with their upstream versions.
        packages: BTreeMap<String, String>,
        /// Answers given to the packages' questions beforehand, as `debconf-set-selections` reads them.
        presets: Vec<String>,
    },
    /// Runs one phase of a schema change, as a supported command, and proves it by the heads.
    Schema {
        /// The phase's name.
        phase: String,
        /// The command.
        argv: Vec<String>,
        /// Who runs it on the node.
        user: String,
        /// The database.
        database: String,
        /// The heads before, sorted.
        before: Vec<String>,
        /// The heads after, sorted.
        after: Vec<String>,
    },
    /// Runs a service's own checking command and tells blocking findings from advice.
    Advise {
        /// The command.
        argv: Vec<String>,
        /// Who runs it on the node.
        user: String,
        /// How its answer is read.
        reading: Reading,
    },
    /// Makes real calls to one backend, serially and with patience, until each has succeeded often enough.
    WarmUp {
        /// Which backend.
        through: Through,
        /// What to call.
        calls: Vec<Call>,
        /// How many full rounds must succeed in a row.
        rounds: u16,
    },
    /// Makes real calls; every one must succeed.
    Verify {
        /// Through which way in.
        through: Through,
        /// What to call.
        calls: Vec<Call>,
    },
    /// Asks several ways in again and again, side by side, and looks for errors that the logs did not hold before the
    /// wave began. Too few good answers, or one new error, is a breach.
    FunctionCheck {
        /// The ways in.
        through: Vec<Through>,
        /// What to call.
        calls: Vec<Call>,
        /// How often each is asked.
        rounds: u16,
        /// Time from round to round.
        every_ms: u32,
        /// Of a thousand answers of each way in, how many must be good.
        least_permille: u16,
        /// Which logs are looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs: Option<LogGate>,
    },
    /// Does what a user does, and takes everything away again. A stage that fails is a breach.
    Canary {
        /// The cloud in whose books stands what is made.
        cloud: String,
        /// What is tried.
        suite: Suite,
    },
    /// Takes a node out of the database cluster with its data as they are.
    IsolateDatabase {
        /// Members of the cluster, this node among them.
        members: Vec<HostName>,
    },
    /// Starts the database on a node and waits until it is a synced member of the cluster.
    RejoinDatabase {
        /// Members of the cluster, this node among them.
        members: Vec<HostName>,
    },
    /// Stops the database on a node that is to be given up, as fast as is safe.
    StopDatabase {},
    /// Makes a stopped node the first member of a new cluster with the data it has.
    BootstrapDatabase {},
    /// Makes a stopped node forget its data, so that it takes everything anew from the cluster when it rejoins.
    WipeDatabase {
        /// Members of the cluster, this node among them.
        members: Vec<HostName>,
    },
    /// Reads one database out of an isolated node without letting it join or change, and leaves the dump there.
    ExtractSchema {
        /// The database.
        database: String,
        /// Directory on the node for the dump.
        directory: String,
        /// Heads that the isolated node must have, sorted.
        heads: Vec<String>,
    },
    /// Replaces one database of the running cluster by an extracted dump.
    LoadSchema {
        /// The database.
        database: String,
        /// The node that holds the dump.
        from: HostName,
        /// The directory of the dump there.
        directory: String,
        /// Heads afterwards, sorted.
        heads: Vec<String>,
    },
    /// Replaces one database of the running cluster by the dump of a backup.
    RestoreSchema {
        /// The database.
        database: String,
        /// The backup's run.
        from: RunId,
        /// The backup directory.
        directory: String,
        /// Heads afterwards, sorted.
        heads: Vec<String>,
    },
    /// Takes the power of a node away and reads back that it is off. Done means proved; nothing else does.
    Fence {
        /// A person's word that it is off, where no machine can prove it. Then power is not touched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        word: Option<Word>,
    },
    /// Gives a node power and reads back that it is on.
    PowerOn {},
    /// Keeps new instances away from a node.
    DisableCompute {
        /// Stored beside it, for people.
        reason: String,
    },
    /// Lets new instances come to a node again.
    EnableCompute {},
    /// Declares a node's compute service down, whatever it reports: from then on its instances may be evacuated.
    ForceDown {},
    /// Takes that declaration back. Refused by the compute service while copies of evacuated instances may be left.
    ClearForcedDown {},
    /// Waits until a node's compute service counts as up.
    AwaitComputeUp {},
    /// Waits until the node's compute service has removed its copies of the instances that were evacuated from it.
    AwaitCopiesGone {},
    /// Puts a reserved node to use: into these aggregates, then enabled.
    UseSpare {
        /// The aggregates.
        aggregates: Vec<String>,
    },
    /// Puts a node that nothing landed on back into reserve: disabled, then out of these aggregates.
    GiveBackSpare {
        /// The aggregates that it was put into.
        aggregates: Vec<String>,
        /// Why it is disabled, for people.
        reason: String,
    },
    /// Locks an instance, unless its owner has, and has it evacuated. Done when it is on another host.
    Evacuate {
        /// Which.
        instance: InstanceId,
        /// From where.
        source: HostName,
        /// Where to, for each attempt; none: the scheduler chooses. The last one stands for all that follow.
        targets: Vec<Option<HostName>>,
        /// Whether its state is written to *error* first, since its own is none that can be evacuated.
        reset: bool,
        /// The lock's reason: whoever finds it knows whose it is.
        lock: String,
    },
    /// Gives an instance the state that it had before the failure, and its owner's access. One that is still on the
    /// source, or gone, is only unlocked.
    Settle {
        /// Which.
        instance: InstanceId,
        /// Where it was.
        source: HostName,
        /// The state.
        state: Wanted,
        /// The reason of the lock that is to be opened; one with another reason is its owner's.
        lock: String,
    },
    /// Moves an instance to another host while it runs. Done when it is there and nothing is under way.
    LiveMigrate {
        /// Which.
        instance: InstanceId,
        /// From where. One that is elsewhere is left alone.
        source: HostName,
        /// Where to.
        target: HostName,
    },
    /// Stops an instance; one that is stopped already is well.
    StopInstance {
        /// Which.
        instance: InstanceId,
        /// Whether its state is written to *active* first, since its own is none that can be stopped.
        reset: bool,
    },
    /// Starts an instance; one that is active already is well.
    StartInstance {
        /// Which.
        instance: InstanceId,
    },
}

/// The seam that carries a verb out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A node.
    Node,
    /// The compute service.
    Compute,
    /// A power controller.
    Power,
}

/// The state that an instance is to have after its move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// It runs.
    Active,
    /// It is off.
    Stopped,
    /// It is off, and in error as it was.
    Error,
}

/// A person's word that stands for a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub why: String,
}

impl Does {
    /// The verb's name: stable, for journals, estimates and tests.
    pub fn name(&self) -> &'static str {
        match self {
            Does::Check { .. } => "check",
            Does::BackUp { .. } => "back-up",
            Does::ProveBackup { .. } => "prove-backup",
            Does::Fetch { .. } => "fetch",
            Does::StageConfig { .. } => "stage-config",
            Does::ApplyConfig { .. } => "apply-config",
            Does::RestoreFiles { .. } => "restore-files",
            Does::Drain { .. } => "drain",
            Does::Enable { .. } => "enable",
            Does::StopUnits { .. } => "stop-units",
            Does::StartUnits { .. } => "start-units",
            Does::Install { .. } => "install",
            Does::Schema { .. } => "schema",
            Does::Advise { .. } => "advise",
            Does::WarmUp { .. } => "warm-up",
            Does::Verify { .. } => "verify",
            Does::FunctionCheck { .. } => "function-check",
            Does::Canary { .. } => "canary",
            Does::IsolateDatabase { .. } => "isolate-database",
            Does::RejoinDatabase { .. } => "rejoin-database",
            Does::StopDatabase {} => "stop-database",
            Does::BootstrapDatabase {} => "bootstrap-database",
            Does::WipeDatabase { .. } => "wipe-database",
            Does::ExtractSchema { .. } => "extract-schema",
            Does::LoadSchema { .. } => "load-schema",
            Does::RestoreSchema { .. } => "restore-schema",
            Does::Fence { .. } => "fence",
            Does::PowerOn {} => "power-on",
            Does::DisableCompute { .. } => "disable-compute",
            Does::EnableCompute {} => "enable-compute",
            Does::ForceDown {} => "force-down",
            Does::ClearForcedDown {} => "clear-forced-down",
            Does::AwaitComputeUp {} => "await-compute-up",
            Does::AwaitCopiesGone {} => "await-copies-gone",
            Does::UseSpare { .. } => "use-spare",
            Does::GiveBackSpare { .. } => "give-back-spare",
            Does::Evacuate { .. } => "evacuate",
            Does::Settle { .. } => "settle",
            Does::LiveMigrate { .. } => "live-migrate",
            Does::StopInstance { .. } => "stop-instance",
            Does::StartInstance { .. } => "start-instance",
        }
    }

    /// Who carries it out.
    pub fn by(&self) -> By {
        match self {
            Does::Fence { .. } | Does::PowerOn {} => By::Power,
            Does::DisableCompute { .. }
            | Does::EnableCompute {}
            | Does::ForceDown {}
            | Does::ClearForcedDown {}
            | Does::AwaitComputeUp {}
            | Does::AwaitCopiesGone {}
            | Does::UseSpare { .. }
            | Does::GiveBackSpare { .. }
            | Does::Evacuate { .. }
            | Does::Settle { .. }
            | Does::LiveMigrate { .. }
            | Does::StopInstance { .. }
            | Does::StartInstance { .. } => By::Compute,
            _ => By::Node,
        }
    }

    /// Whether doing it leaves the cloud as it was.
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Does::Check { .. }
                | Does::Advise { .. }
                | Does::WarmUp { .. }
                | Does::Verify { .. }
                | Does::FunctionCheck { .. }
                | Does::Canary { .. }
                | Does::ProveBackup { .. }
                | Does::AwaitComputeUp {}
                | Does::AwaitCopiesGone {}
        )
    }
}

/// What a backup on one node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSet {
    /// The backup directory; the set lies in `<directory>/<run>/`.
    pub directory: String,
    /// Files and directories.
    pub files: Vec<String>,
    /// Databases.
    pub databases: Vec<String>,
}

/// One change in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "kebab-case")]
pub enum ConfigEdit {
    /// An option got another place or name.
    Rename {
        /// Old section.
        section: String,
        /// Old option.
        option: String,
        /// New section.
        to_section: String,
        /// New option.
        to_option: String,
    },
    /// An option is gone.
    Remove {
        /// Section.
        section: String,
        /// Option.
        option: String,
    },
    /// An option needs a value, whatever it was.
    Set {
        /// Section.
        section: String,
        /// Option.
        option: String,
        /// Value.
        value: String,
    },
    /// A comma-separated list that is set needs one more item at its end.
    Append {
        /// Section.
        section: String,
        /// Option.
        option: String,
        /// Item.
        item: String,
    },
}

/// How the answer of a service's checking command is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reading {
    /// Exit codes that mean that all is well.
    pub ok: Vec<i32>,
    /// Exit codes that mean advice, unless the text says otherwise.
    pub advice: Vec<i32>,
    /// Texts that make an answer blocking wherever they stand in it. Every other code is blocking, too.
    #[serde(default)]
    pub blocking_texts: Vec<String>,
}

/// A way in to an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// One server behind the load balancer, reached from its own node.
    Backend {
        /// The node.
        host: HostName,
        /// The port.
        port: u16,
    },
    /// The front door, as a client would.
    Front {
        /// The port at the virtual address.
        port: u16,
    },
}

/// A real call to an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Call {
    /// Issue a token with the operator's credentials.
    IssueToken {},
    /// Validate that token, and the one issued before the run where there is one.
    ValidateToken {},
    /// List a collection; the answer must hold it.
    List {
        /// Path of the collection.
        path: String,
        /// Key of the list in the answer.
        key: String,
    },
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// By doing these, in order.
    Steps(Vec<Does>),
    /// There is nothing to take back.
    Nothing,
    /// It cannot be taken back: a line across the preview.
    Impossible {
        /// Why, in an operator's words.
        because: String,
    },
}

/// What must be awaited before a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A person's word.
    Operator {
        /// What they are asked.
        question: String,
    },
    /// A time without trouble: these calls succeed all through it.
    Quiet {
        /// Through which way in.
        through: Through,
        /// What to call.
        calls: Vec<Call>,
        /// For how long.
        for_s: u32,
    },
    /// A maintenance window.
    Window {
        /// Not before.
        from: Timestamp,
        /// Not after.
        to: Timestamp,
    },
}

/// A step as it is handed to the world: one attempt of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// What to do.
    pub does: Does,
    /// Where.
    pub on: Target,
    /// How long it may take.
    pub limit_s: u32,
    /// Until when it may begin, on the driver's clock: what its guards have found is too old after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Timestamp>,
}
