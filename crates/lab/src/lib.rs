//! `ostler lab`: a real cloud on one machine. Nodes with their own systemd, sshd, network and disk (systemd-nspawn on an overlay),
//! on each a controller's services: MariaDB with Galera, memcached, HAProxy behind a virtual address, Keystone from Debian packages
//! that are built from the released wheels; on request RabbitMQ, Placement, Glance, Neutron and Nova with compute nodes and a power
//! controller that speaks Redfish. For trials, tests and demonstrations of day-2 operations, power cuts included.
//!
//! Must never be needed by anything but the `ostler` program, print anything, or reach beyond this machine for anything but packages.

mod bmc;
mod bridge;
mod cache;
mod cloud;
mod cluster;
mod command;
mod error;
mod host;
mod http;
mod hypervisor;
mod image;
mod keystone;
mod lab;
mod load;
mod machine;
mod name;
mod network;
mod node_files;
mod options;
mod package;
mod package_index;
mod progress;
mod release;
mod repository;
mod secrets;
mod settings;
mod status;
mod tally;
mod template;
mod trouble;
mod wait;

pub use bmc::Mood;
pub use cloud::catalogue::Part;
pub use cloud::emulator::Virt;
pub use cloud::trial::{Placed, Trial};
pub use error::LabError;
pub use host::check_can_run;
pub use hypervisor::{Guest, Hypervisor};
pub use lab::{Lab, LabPaths, fill_cache, node_names};
pub use load::LoadOptions;
pub use name::LabName;
pub use network::{Cut, Link, Network};
pub use options::UpOptions;
pub use progress::{Listener, Progress};
pub use release::releases;
pub use status::{LabStatus, NodeStatus};
pub use tally::{FailedRequest, KindReport, LoadReport};
pub use trouble::PowerAccess;
