//! Typed names: a run is never confused with a plan, a host never with a service.
//!
//! An identifier holds what it is called and nothing else; it is checked where it enters the program.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a name as it is.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }
    };
}

name!(
    /// A node's short name, as `ostler.toml` gives it.
    HostName
);
name!(
    /// A service of the catalogue, for example the identity service.
    ServiceName
);
name!(
    /// One run of one plan: its start, to the second, and four random characters.
    RunId
);
name!(
    /// The SHA-256 of a plan's canonical bytes, in hexadecimal.
    PlanId
);
name!(
    /// A step within its plan, readable: `ctl1-drain`.
    StepId
);
name!(
    /// A budget within its plan.
    BudgetName
);
name!(
    /// A failover segment: hosts that stand in for each other. A UUID.
    SegmentId
);
name!(
    /// A compute host as it is registered for instance HA. A UUID.
    HostId
);
name!(
    /// What a monitor reported once. A UUID.
    NotificationId
);
name!(
    /// One attempt to move one instance. A UUID.
    MoveId
);
name!(
    /// An instance, as the compute service names it. A UUID.
    InstanceId
);
name!(
    /// One outage of one thing, however often it was reported. A UUID.
    IncidentId
);

impl PlanId {
    /// The first twelve characters: enough for a person to compare.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}
