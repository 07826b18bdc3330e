//! Judges the key that a node shows against a `known_hosts` file, as OpenSSH does: plain names, `[name]:port`,
//! wildcards, negations, hashed names, revoked keys.
//!
//! It must never learn a key by itself: who a node is, is for a person to say.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

/// Port that needs no mention in the file.
const PORT_PLAIN: u16 = 22;

/// What the file says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is the node's.
    Known,
    /// The file does not name the node.
    Unknown,
    /// The file has another key for the node, in this line.
    Changed {
        /// The line, from 1.
        line: usize,
    },
    /// The file says that this key must no longer be trusted, in this line.
    Revoked {
        /// The line, from 1.
        line: usize,
    },
}

/// A file's lines that can be read as entries, with their numbers. Others are left to whoever wrote them.
pub(crate) struct KnownHosts {
    entries: Vec<(usize, Entry)>,
}

impl KnownHosts {
    /// Reads a file's text.
    pub(crate) fn read(text: &str) -> Self {
        let entries = text
            .lines()
            .enumerate()
            .filter_map(|(index, line)| {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    return None;
                }
                line.split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .parse()
                    .ok()
                    .map(|entry| (index + 1, entry))
            })
            .collect();
        Self { entries }
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a Entry)> {
        self.entries.iter().filter(move |(_, entry)| names(entry, name)).map(|(line, entry)| (*line, entry))
    }

    /// The name under which the file has a node.
    pub(crate) fn name(address: &str, port: u16) -> String {
        let address = address.to_ascii_lowercase();
        if port == PORT_PLAIN { address } else { format!("[{address}]:{port}") }
    }

    /// Kinds of keys that the file has for a node: they are asked for first.
    pub(crate) fn algorithms(&self, name: &str) -> Vec<Algorithm> {
        let mut found = Vec::new();
        for (_, entry) in self.of(name) {
            let algorithm = entry.public_key().algorithm();
            if entry.marker().is_none() && !found.contains(&algorithm) {
                found.push(algorithm);
            }
        }
        found
    }

    /// Judges a key.
    pub(crate) fn judge(&self, name: &str, key: &PublicKey) -> Judgement {
        let mut other = None;
        let mut known = false;
        for (line, entry) in self.of(name) {
            let is_same = entry.public_key().key_data() == key.key_data();
            match entry.marker() {
                Some(Marker::Revoked) if is_same => return Judgement::Revoked { line },
                // Certificates of hosts are not spoken; an authority's key is not a host's key.
                Some(_) => {}
                None if is_same => known = true,
                None => other = other.or(Some(line)),
            }
        }
        match other {
            _ if known => Judgement::Known,
            Some(line) => Judgement::Changed { line },
            None => Judgement::Unknown,
        }
    }
}

fn names(entry: &Entry, name: &str) -> bool {
    match entry.host_patterns() {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|hmac| hmac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let mut named = false;
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(pattern) if is_like(&pattern.to_ascii_lowercase(), name) => return false,
                    Some(_) => {}
                    None => named |= is_like(&pattern.to_ascii_lowercase(), name),
                }
            }
            named
        }
    }
}

/// Whether a name is like a pattern with `*` and `?`.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stood, and how much of the name it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[from] => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((star_at, swallowed)) => {
                    star = Some((star_at, swallowed + 1));
                    at = star_at + 1;
                    from = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";
    // Made with `ssh-keygen -H` from a line for `example.com`.
    const HASHED: &str = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    fn judge(file: &str, address: &str, port: u16, shown: &str) -> Judgement {
        KnownHosts::read(file).judge(&KnownHosts::name(address, port), &key(shown))
    }

    #[test]
    fn a_key_is_known_changed_or_unknown() {
        let file = format!("# nodes\n\nctl1,192.0.2.11 {ONE} a comment\n");
        assert_eq!(judge(&file, "ctl1", 22, ONE), Judgement::Known);
        assert_eq!(judge(&file, "192.0.2.11", 22, ONE), Judgement::Known);
        assert_eq!(judge(&file, "CTL1", 22, ONE), Judgement::Known);
        assert_eq!(judge(&file, "ctl1", 22, OTHER), Judgement::Changed { line: 3 });
        assert_eq!(judge(&file, "ctl2", 22, ONE), Judgement::Unknown);
        assert_eq!(judge("", "ctl1", 22, ONE), Judgement::Unknown);
    }

    #[test]
    fn another_port_is_another_name() {
        let file = format!("[ctl1]:2222 {ONE}\n");
        assert_eq!(judge(&file, "ctl1", 2222, ONE), Judgement::Known);
        assert_eq!(judge(&file, "ctl1", 22, ONE), Judgement::Unknown);
        assert_eq!(judge(&format!("ctl1 {ONE}"), "ctl1", 2222, ONE), Judgement::Unknown);
    }

    #[test]
    fn hashed_names_are_understood() {
        let shown = HASHED.split_once(' ').unwrap().1;
        assert_eq!(judge(HASHED, "example.com", 22, shown), Judgement::Known);
        assert_eq!(judge(HASHED, "example.com", 22, ONE), Judgement::Changed { line: 1 });
        assert_eq!(judge(HASHED, "example.org", 22, shown), Judgement::Unknown);
    }

    #[test]
    fn wildcards_and_negations_are_understood() {
        let file = format!("*.example.com,!bad.example.com {ONE}\n");
        assert_eq!(judge(&file, "ctl1.example.com", 22, ONE), Judgement::Known);
        assert_eq!(judge(&file, "bad.example.com", 22, ONE), Judgement::Unknown);
        assert!(
            is_like("ctl?", "ctl1")
                && !is_like("ctl?", "ctl12")
                && is_like("*a*b", "xaxxb")
                && !is_like("*a", "ab")
        );
    }

    #[test]
    fn a_revoked_key_is_refused_even_if_another_line_trusts_it() {
        let file = format!("ctl1 {ONE}\n@revoked * {ONE}\n");
        assert_eq!(judge(&file, "ctl1", 22, ONE), Judgement::Revoked { line: 2 });
    }

    #[test]
    fn a_second_key_of_a_node_is_no_change() {
        let file = format!("ctl1 {OTHER}\nctl1 {ONE}\n");
        assert_eq!(judge(&file, "ctl1", 22, ONE), Judgement::Known);
    }

    #[test]
    fn lines_that_cannot_be_read_hide_no_others() {
        let file = format!("nonsense\nctl1 ssh-unheard-of AAAA\nctl1 {ONE}\n");
        assert_eq!(judge(&file, "ctl1", 22, ONE), Judgement::Known);
    }
}
