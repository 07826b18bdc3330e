//! Nouns of the canary: what it makes in a cloud as a user would, what came of it, and what it has left behind.
//!
//! Everything that it makes bears a name that begins with [`NAME_START`], so that nothing else is ever swept.

use crate::event::Facts;
use crate::ids::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The newest format of a stored trial or thing. A reader refuses a newer one.
pub const CANARY_FORMAT: u16 = 1;

/// What the name of everything begins with that a canary makes.
pub const NAME_START: &str = "ostler-canary-";

/// What a canary tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// A token, an image, a server.
    Basic,
    /// A network, a subnet, a router, a port.
    Network,
    /// An image, a volume.
    Storage,
    /// All of it, and a live migration.
    Full,
}

impl Suite {
    /// Its name as typed and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Suite::Basic => "basic",
            Suite::Network => "network",
            Suite::Storage => "storage",
            Suite::Full => "full",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A kind of thing that is made. In this order they are taken away: what hangs on another one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A server.
    Server,
    /// A volume.
    Volume,
    /// A port.
    Port,
    /// A router, with its legs.
    Router,
    /// A subnet.
    Subnet,
    /// A network.
    Network,
    /// An image.
    Image,
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Server => "server",
            Kind::Volume => "volume",
            Kind::Port => "port",
            Kind::Router => "router",
            Kind::Subnet => "subnet",
            Kind::Network => "network",
            Kind::Image => "image",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is to be used instead of what is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The host that servers are made on.
    pub host: Option<HostName>,
    /// The image that servers start from, by name or identity; none: the one that the canary has made.
    pub image: Option<String>,
    /// The flavor, by name or identity; none: the smallest one for everybody.
    pub flavor: Option<String>,
}

/// Identities of what was made before, by kind.
pub type Made = BTreeMap<Kind, String>;

/// One act of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Get a token, and have it validated.
    Token,
    /// Make a thing and wait until it can be used.
    Make {
        /// What.
        kind: Kind,
        /// Its name.
        name: String,
        /// What was made before.
        made: Made,
        /// What the operator wants used.
        choices: Choices,
    },
    /// Read an image back and compare its checksum.
    Checksum {
        /// The image.
        image: String,
    },
    /// Read what a server says on its console.
    Console {
        /// The server.
        server: String,
    },
    /// Move a running server to another host.
    Migrate {
        /// The server.
        server: String,
    },
    /// Take a thing away and wait until it is gone. One that is not there is well.
    Remove {
        /// What.
        kind: Kind,
        /// Its name, which must begin with [`NAME_START`]: nothing else is taken away, whatever its identity.
        name: String,
        /// Its identity; none: it is looked for by its name.
        id: Option<String>,
    },
}

/// What came of an act that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// The identity of what was made.
    pub id: Option<String>,
    /// What is worth telling.
    pub facts: Facts,
}

/// Why an act did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotActed {
    /// This cloud has not what it needs, or there is nothing to be taken away: no failure.
    Skipped(String),
    /// It failed.
    Failed {
        /// What happened.
        what: String,
        /// The identity of what may have been made all the same.
        id: Option<String>,
    },
}

/// What a canary has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Format of this record.
    pub format: u16,
    /// Its name.
    pub name: String,
    /// What was tried.
    pub suite: Suite,
    /// The host that it was pinned to.
    pub host: Option<HostName>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; none: it was broken off.
    pub ended: Option<Timestamp>,
    /// What was done, in order.
    pub stages: Vec<Stage>,
}

/// One stage of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name: `token`, `image`, `server`, …
    pub name: String,
    /// How it ended.
    pub came: Came,
    /// How long it took.
    pub took_ms: u64,
    /// What happened, or what is worth telling.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// Well.
    Passed,
    /// It failed.
    Failed,
    /// The cloud has not what it needs, or what it needs failed before.
    Skipped,
}

impl Came {
    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Came::Passed => "passed",
            Came::Failed => "failed",
            Came::Skipped => "skipped",
        }
    }
}

/// A thing that a canary has made, or was about to make: written down before it is made, taken out when it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Format of this record.
    pub format: u16,
    /// What.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its identity, once it is known.
    pub id: Option<String>,
    /// The trial that makes it.
    pub trial: String,
    /// Who runs that trial, as leases name their owners.
    pub owner: String,
    /// When the trial is over at the latest.
    pub until: Timestamp,
}
