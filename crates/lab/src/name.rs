//! Names and addresses of a lab: what they may look like, and how all of them follow from one name and one number.
//!
//! Must never touch the machine: which numbers are taken is told to it.

use crate::error::LabError;
use std::fmt;
use std::net::Ipv4Addr;

/// The longest name of a lab: `ol-` and the name must fit into a link's fifteen characters.
const NAME_LIMIT: usize = 12;
/// The last host part of the first controller; the others follow.
const FIRST_CONTROLLER: u8 = 11;
/// The last host part of the first compute node; the others follow.
const FIRST_COMPUTE: u8 = 101;
/// How many compute nodes a lab can have: as many as there are addresses for, more than a machine carries.
pub(crate) const COMPUTES_LIMIT: u8 = 100;
/// The host part of the virtual address.
const VIRTUAL_ADDRESS: u8 = 10;
/// The host part of the bridge on this machine.
const BRIDGE_ADDRESS: u8 = 1;

/// The name of a lab: a lower case letter, then lower case letters, digits and dashes, twelve characters at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabName(String);

impl LabName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, LabError> {
        let well_formed = text.starts_with(|letter: char| letter.is_ascii_lowercase())
            && text
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
            && !text.ends_with('-')
            && text.len() <= NAME_LIMIT;
        if !well_formed {
            return Err(LabError::refused(
                format!("`{text}` cannot be the name of a lab"),
                format!(
                    "take a lower case letter followed by lower case letters, digits or dashes, {NAME_LIMIT} characters at most"
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bridge that joins the nodes.
    pub fn bridge(&self) -> String {
        format!("ol-{}", self.0)
    }

    /// The bridge of the second network, over which nodes reach their storage.
    pub fn storage_bridge(&self) -> String {
        format!("os-{}", self.0)
    }

    /// The machine name of a node.
    pub fn machine(&self, node: &str) -> String {
        format!("{}-{node}", self.0)
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The network of a lab, `198.18.N.0/24`: a range reserved for tests, so it collides with no operator's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet(pub u8);

impl Subnet {
    fn host(self, part: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0, part)
    }

    pub(crate) fn virtual_address(self) -> Ipv4Addr {
        self.host(VIRTUAL_ADDRESS)
    }

    pub(crate) fn bridge_address(self) -> Ipv4Addr {
        self.host(BRIDGE_ADDRESS)
    }

    pub(crate) fn controller(self, index: u8) -> Ipv4Addr {
        self.host(FIRST_CONTROLLER + index)
    }

    pub(crate) fn compute(self, index: u8) -> Ipv4Addr {
        self.host(FIRST_COMPUTE + index)
    }

    /// A node's address in the second network, by the one in the first.
    pub(crate) fn storage(address: Ipv4Addr) -> Ipv4Addr {
        let [_, _, network, host] = address.octets();
        Ipv4Addr::new(198, 19, network, host)
    }

    /// The address of this machine in the second network.
    pub(crate) fn storage_bridge_address(self) -> Ipv4Addr {
        Self::storage(self.bridge_address())
    }

    /// The name of the link of this machine that leads to a node's second network.
    pub(crate) fn storage_link(self, node: &str) -> String {
        format!("os{}-{node}", self.0)
    }

    /// The first free network, given what `ip` prints about addresses and routes. None if all are taken.
    pub(crate) fn choose(addresses_and_routes: &str) -> Option<Self> {
        (0..=u8::MAX).map(Self).find(|candidate| {
            let prefixes = [format!("198.18.{}.", candidate.0), format!("198.19.{}.", candidate.0)];
            !addresses_and_routes
                .split(|letter: char| letter.is_whitespace() || letter == '/')
                .any(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        })
    }
}

/// The name of the controller with this index.
pub(crate) fn controller_name(index: u8) -> String {
    format!("ctl{}", index + 1)
}

/// The name of the compute node with this index.
pub(crate) fn compute_name(index: u8) -> String {
    format!("cmp{}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_a_link_are_taken() {
        for good in ["a", "try", "cloud-1", "abcdefghijkl"] {
            assert!(LabName::new(good).is_ok(), "{good}");
            assert!(LabName::new(good).unwrap().bridge().len() <= 15);
        }
        for bad in ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a/b", "abcdefghijklm", "ü"] {
            assert!(LabName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_free_network_is_chosen() {
        assert_eq!(Subnet::choose("2: eth0 inet 10.0.0.2/8"), Some(Subnet(0)));
        let taken = "5: ol-a    inet 198.18.0.1/24 scope global\n198.18.1.0/24 dev ol-b proto kernel";
        assert_eq!(Subnet::choose(taken), Some(Subnet(2)));
        assert_eq!(
            Subnet::choose("inet 198.18.10.1/24"),
            Some(Subnet(0)),
            "198.18.1 is no prefix of 198.18.10"
        );
        let all: String = (0..=255).map(|part| format!("198.18.{part}.0/24 ")).collect();
        assert_eq!(Subnet::choose(&all), None);
    }

    #[test]
    fn addresses_follow_from_the_number() {
        let subnet = Subnet(7);
        assert_eq!(subnet.virtual_address().to_string(), "198.18.7.10");
        assert_eq!(subnet.controller(2).to_string(), "198.18.7.13");
        assert_eq!(controller_name(2), "ctl3");
        assert_eq!(Subnet::storage(subnet.compute(3)).to_string(), "198.19.7.104");
        assert!(Subnet(255).storage_link("cmp100").len() <= 15);
        assert_eq!(compute_name(0), "cmp1");
    }
}
