//! The words of the pretended Nova: names, states, errors, records.
//!
//! Plain values. Nothing here may change a cloud or know what time it is.

use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::fmt;

/// The third step of SplitMix64: from any number to one that looks random.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An instance. Shown as a UUID; a higher number was created later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u64);

impl InstanceId {
    /// The instance that a UUID names.
    pub fn parse(uuid: &str) -> Option<InstanceId> {
        let id = InstanceId(u64::from_str_radix(uuid.get(24..)?, 16).ok()?);
        (id.to_string() == uuid).then_some(id)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first part differs from instance to instance, so that an abbreviated identity still tells them apart.
        write!(f, "{:08x}-0000-4000-8000-{:012x}", mix(self.0) >> 32, self.0 & 0xFFFF_FFFF_FFFF)
    }
}

/// A migration record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MigrationId(pub u64);

/// A compute service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u64);

/// A server group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Who asks, and in which dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The microversion's second number: 53 for 2.53.
    pub micro: u16,
    /// Whether it has the administrator's role.
    pub admin: bool,
}

impl Caller {
    /// An administrator.
    pub fn admin(micro: u16) -> Caller {
        Caller { micro, admin: true }
    }

    /// Somebody else.
    pub fn user(micro: u16) -> Caller {
        Caller { micro, admin: false }
    }
}

/// An answer that is no success. The text is what Nova's body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NovaError {
    /// 400.
    Bad(String),
    /// 403.
    Forbidden(String),
    /// 404.
    Gone(String),
    /// 406: a microversion that it does not speak.
    NotAcceptable(String),
    /// 409.
    Conflict(String),
    /// 429.
    Busy {
        /// The answer's `Retry-After`.
        retry_after_s: u32,
    },
    /// 503.
    Unavailable(String),
    /// No answer came: whether the request was carried out is not known to the caller.
    Cut(String),
}

impl NovaError {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            NovaError::Bad(_) => Some(400),
            NovaError::Forbidden(_) => Some(403),
            NovaError::Gone(_) => Some(404),
            NovaError::NotAcceptable(_) => Some(406),
            NovaError::Conflict(_) => Some(409),
            NovaError::Busy { .. } => Some(429),
            NovaError::Unavailable(_) => Some(503),
            NovaError::Cut(_) => None,
        }
    }
}

impl fmt::Display for NovaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NovaError::Bad(text)
            | NovaError::Forbidden(text)
            | NovaError::Gone(text)
            | NovaError::NotAcceptable(text)
            | NovaError::Conflict(text)
            | NovaError::Unavailable(text)
            | NovaError::Cut(text) => f.write_str(text),
            NovaError::Busy { retry_after_s } => {
                write!(f, "This request was rate-limited. Retry in {retry_after_s} s.")
            }
        }
    }
}

impl std::error::Error for NovaError {}

/// What Nova's record says of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmState {
    /// It is being made.
    Building,
    /// It should run.
    Active,
    /// It should not run.
    Stopped,
    /// Its processors stand still.
    Paused,
    /// Its memory is on disk.
    Suspended,
    /// It runs from another image.
    Rescued,
    /// It waits for a person to confirm a resize or a cold migration.
    Resized,
    /// It has no host.
    ShelvedOffloaded,
    /// Something went wrong.
    Error,
}

impl VmState {
    /// Nova's word.
    pub fn word(self) -> &'static str {
        match self {
            VmState::Building => "building",
            VmState::Active => "active",
            VmState::Stopped => "stopped",
            VmState::Paused => "paused",
            VmState::Suspended => "suspended",
            VmState::Rescued => "rescued",
            VmState::Resized => "resized",
            VmState::ShelvedOffloaded => "shelved_offloaded",
            VmState::Error => "error",
        }
    }
}

/// What Nova is doing with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// Making it.
    Spawning,
    /// An evacuation was accepted.
    Rebuilding,
    /// An evacuation's target builds the guest.
    RebuildSpawning,
    /// A live migration.
    Migrating,
    /// A cold migration.
    ResizeMigrating,
    /// A cold migration is taken back.
    ResizeReverting,
    /// Stopping it.
    PoweringOff,
    /// Starting it.
    PoweringOn,
    /// Deleting it.
    Deleting,
}

impl TaskState {
    /// Nova's word.
    pub fn word(self) -> &'static str {
        match self {
            TaskState::Spawning => "spawning",
            TaskState::Rebuilding => "rebuilding",
            TaskState::RebuildSpawning => "rebuild_spawning",
            TaskState::Migrating => "migrating",
            TaskState::ResizeMigrating => "resize_migrating",
            TaskState::ResizeReverting => "resize_reverting",
            TaskState::PoweringOff => "powering-off",
            TaskState::PoweringOn => "powering-on",
            TaskState::Deleting => "deleting",
        }
    }
}

/// What a hypervisor knows of a guest, and what Nova's record last heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuestState {
    /// It runs.
    Running,
    /// It holds its disks, but does not run.
    Paused,
    /// It is defined, and off.
    Off,
    /// Its process died.
    Crashed,
}

impl GuestState {
    /// Whether a process has the guest's disks open.
    pub fn is_alive(self) -> bool {
        matches!(self, GuestState::Running | GuestState::Paused)
    }
}

/// A guest as a hypervisor has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What it does.
    pub state: GuestState,
    /// Whether it ran when its machine last lost power.
    pub ran: bool,
}

/// What an instance needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resources {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory.
    pub ram_mb: u64,
    /// Local disk.
    pub disk_gb: u64,
}

/// Where an instance's root disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// On a volume.
    Volume,
    /// On storage that all hosts share.
    Shared,
    /// On its host: an evacuation makes a new one from the image, and says nothing.
    Local,
}

/// What Nova refuses or fails to evacuate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A virtual TPM: 400.
    Vtpm,
    /// A port with an accelerator: 400.
    Accelerator,
    /// A Manila share: 409.
    Share,
    /// An encrypted volume whose secret the caller may not read: accepted, then ends in error.
    Secret,
}

/// An instance in Nova's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// What it needs.
    pub flavour: Resources,
    /// Where it is, as Nova believes.
    pub host: Option<HostName>,
    /// What it should be.
    pub vm_state: VmState,
    /// What is being done.
    pub task_state: Option<TaskState>,
    /// What its host last said of the guest; none: nothing was found.
    pub power: Option<GuestState>,
    /// Whether it is locked.
    pub locked: bool,
    /// Why (2.73).
    pub lock_reason: Option<String>,
    /// `HA_Enabled` and the like.
    pub metadata: BTreeMap<String, String>,
    /// Its server group.
    pub group: Option<GroupId>,
    /// The availability zone that its owner asked for.
    pub zone: Option<String>,
    /// An aggregate that it must stay in.
    pub aggregate: Option<String>,
    /// Where its root disk is.
    pub disk: Disk,
    /// What stands in an evacuation's way.
    pub obstacle: Option<Obstacle>,
    /// Whether it ever ran.
    pub launched: bool,
    /// Whether a live migration comes to an end by itself.
    pub converges: bool,
    /// The last thing that went wrong.
    pub fault: Option<String>,
    /// How often its root disk was replaced by the image: data lost.
    pub disks_lost: u32,
    /// Its migration records, oldest first.
    pub migrations: Vec<MigrationId>,
}

impl Instance {
    /// An active instance on a volume, without a host.
    pub fn new(name: impl Into<String>, flavour: Resources) -> Instance {
        Instance {
            id: InstanceId(0),
            name: name.into(),
            project: "demo".into(),
            flavour,
            host: None,
            vm_state: VmState::Active,
            task_state: None,
            power: Some(GuestState::Running),
            locked: false,
            lock_reason: None,
            metadata: BTreeMap::new(),
            group: None,
            zone: None,
            aggregate: None,
            disk: Disk::Volume,
            obstacle: None,
            launched: true,
            converges: true,
            fault: None,
            disks_lost: 0,
            migrations: Vec::new(),
        }
    }

    /// The `status` that the API shows: the task, where it has a word of its own, before the state.
    pub fn status(&self) -> &'static str {
        match (self.vm_state, self.task_state) {
            (VmState::Error, _) => "ERROR",
            (_, Some(TaskState::Rebuilding | TaskState::RebuildSpawning)) => "REBUILD",
            (VmState::Active, Some(TaskState::Migrating)) => "MIGRATING",
            (VmState::Active | VmState::Stopped, Some(TaskState::ResizeMigrating)) => "RESIZE",
            (VmState::Resized, Some(TaskState::ResizeReverting)) => "REVERT_RESIZE",
            (VmState::Building, _) => "BUILD",
            (VmState::Active, _) => "ACTIVE",
            (VmState::Stopped, _) => "SHUTOFF",
            (VmState::Paused, _) => "PAUSED",
            (VmState::Suspended, _) => "SUSPENDED",
            (VmState::Rescued, _) => "RESCUE",
            (VmState::Resized, _) => "VERIFY_RESIZE",
            (VmState::ShelvedOffloaded, _) => "SHELVED_OFFLOADED",
        }
    }
}
