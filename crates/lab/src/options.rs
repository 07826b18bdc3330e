//! What kind of cloud to make, and which kinds cannot be.
//!
//! Must never look at the machine: it only judges what was asked for.

use crate::cloud::catalogue::{CloudRelease, Part};
use crate::cloud::emulator::Virt;
use crate::cloud::instances::INSTANCES_LIMIT;
use crate::error::LabError;
use crate::name::COMPUTES_LIMIT;

/// How many real guests a lab holds at most: each takes 220 MB of memory, and the nodes share this machine's processors.
const REAL_GUESTS_LIMIT: u16 = 8;

/// What kind of cloud to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpOptions {
    /// One controller or three.
    pub controllers: u8,
    /// The release to install, for example `2024.1`.
    pub release: String,
    /// What it shall have beyond keystone.
    pub parts: Vec<Part>,
    /// How many compute nodes, where there is Nova.
    pub computes: u8,
    /// What runs the guests, where there is Nova.
    pub virt: Virt,
    /// How many instances to begin with.
    pub instances: u16,
    /// Whether each instance has a port.
    pub ports: bool,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            controllers: 3,
            release: "2024.1".to_owned(),
            parts: Vec::new(),
            computes: 0,
            virt: Virt::Fake,
            instances: 0,
            ports: true,
        }
    }
}

/// Refuses a cloud that cannot be.
pub(crate) fn check_parts(options: &UpOptions) -> Result<(), LabError> {
    let refuse = |what: String, todo: &str| Err(LabError::refused(what, todo));
    if !options.parts.contains(&Part::Nova) {
        if options.virt == Virt::Qemu {
            return refuse("a hypervisor needs nova to be of use".to_owned(), "add `--with nova`");
        }
        if options.parts.contains(&Part::Masakari) {
            return refuse("masakari needs nova".to_owned(), "add `--with nova`");
        }
        return match options.computes > 0 || options.instances > 0 {
            true => refuse("compute nodes and instances need nova".to_owned(), "add `--with nova`"),
            false => Ok(()),
        };
    }
    CloudRelease::named(&options.release)?;
    if options.computes > COMPUTES_LIMIT {
        return refuse(
            format!("a lab cannot have {} compute nodes", options.computes),
            &format!("ask for at most {COMPUTES_LIMIT}; each takes about 200 MB of memory"),
        );
    }
    if options.instances > INSTANCES_LIMIT {
        return refuse(
            format!("a lab is not filled with {} instances", options.instances),
            &format!("ask for at most {INSTANCES_LIMIT}; each takes Nova some seconds of CPU time"),
        );
    }
    if options.virt == Virt::Qemu && options.instances > REAL_GUESTS_LIMIT {
        return refuse(
            format!("a lab does not hold {} real guests", options.instances),
            &format!(
                "ask for at most {REAL_GUESTS_LIMIT}, or leave `--virt qemu` out: pretended guests cost nothing"
            ),
        );
    }
    if options.instances > 0 && options.computes == 0 {
        return refuse("instances need a compute node".to_owned(), "add `--computes 2`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_guests_need_nova_and_are_few() {
        let asked = |parts: &[Part], instances: u16| UpOptions {
            release: "2025.1".to_owned(),
            parts: parts.to_vec(),
            computes: if parts.is_empty() { 0 } else { 2 },
            virt: Virt::Qemu,
            instances,
            ..UpOptions::default()
        };
        let refused = |options: &UpOptions| check_parts(options).unwrap_err().to_string();
        assert!(refused(&asked(&[], 0)).contains("--with nova"));
        assert!(refused(&asked(&[Part::Nova], REAL_GUESTS_LIMIT + 1)).contains("at most 8"));
        check_parts(&asked(&[Part::Nova], REAL_GUESTS_LIMIT)).unwrap();
        let pretended = UpOptions { virt: Virt::Fake, ..asked(&[Part::Nova], REAL_GUESTS_LIMIT + 1) };
        check_parts(&pretended).unwrap();
    }
}
