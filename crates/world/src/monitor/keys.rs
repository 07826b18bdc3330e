//! Keys of hosts: each host's is derived from one that only the servers have, so that a server keeps no list and a
//! compute host can speak for nobody but itself.
//!
//! It must never show a key, and never take one from a file that others may read.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 32;

/// Characters of a key: fewer can be guessed.
const KEY_CHARS_MIN: usize = 32;

/// Bytes of a key's file.
const FILE_BYTES_MAX: u64 = 4_096;

/// What a derived key is for; another purpose gets another key.
const PURPOSE: &str = "ostler host key 1\n";

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key {} cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Others may read the file.
    #[error("others than its owner may read the key {} (mode {mode:o})", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is too short.
    #[error("the key {} is too short: {KEY_CHARS_MIN} characters or more are needed", path.display())]
    Short {
        /// Which.
        path: PathBuf,
    },
}

fn read(path: &Path) -> Result<SecretString, KeyError> {
    use std::io::Read;
    let failed = |error| KeyError::File { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let text = text.trim();
    if text.len() < KEY_CHARS_MIN {
        return Err(KeyError::Short { path: path.to_owned() });
    }
    Ok(SecretString::from(text))
}

/// Reads a secret of another kind, a password for example, with the same care for its file.
pub(crate) fn read_secret(path: &Path) -> Result<SecretString, KeyError> {
    use std::io::Read;
    let failed = |error| KeyError::File { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(SecretString::from(text.trim_end_matches(['\n', '\r'])))
}

/// One host's key.
#[derive(Clone, Debug)]
pub struct HostKey(SecretString);

impl HostKey {
    /// Reads it.
    pub fn read(path: &Path) -> Result<HostKey, KeyError> {
        read(path).map(HostKey)
    }

    /// The key's text, for the file on its host.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Signs parts; where one ends and the next begins is part of what is signed.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
        self.mac(parts).map_or([0; SIGNATURE_BYTES], |mac| mac.finalize().into_bytes().into())
    }

    /// Whether a signature is good, in constant time.
    pub fn is_signed(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        self.mac(parts).is_some_and(|mac| mac.verify_slice(signature).is_ok())
    }

    fn mac(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()).ok()?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

/// The servers' key. Two are taken while one replaces the other.
#[derive(Clone, Debug)]
pub struct ServerKeys(Vec<SecretString>);

impl ServerKeys {
    /// Reads them; the first is the one that new hosts get.
    pub fn read(paths: &[PathBuf]) -> Result<ServerKeys, KeyError> {
        paths.iter().map(|path| read(path)).collect::<Result<_, _>>().map(ServerKeys)
    }

    /// A host's keys, the newest first.
    pub fn of(&self, host: &str) -> impl Iterator<Item = HostKey> {
        self.0.iter().map(move |key| {
            let derived = HostKey(key.clone()).sign(&[PURPOSE.as_bytes(), host.as_bytes()]);
            HostKey(SecretString::from(hexadecimal(&derived)))
        })
    }
}

/// Bytes as text.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text as bytes.
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()).collect()
}

#[cfg(test)]
pub(crate) fn for_tests(text: &str) -> ServerKeys {
    ServerKeys(vec![SecretString::from(text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn each_host_has_a_key_of_its_own() {
        let keys = for_tests("a key that is long enough for this test");
        let [one, other] = ["cmp1", "cmp2"].map(|host| keys.of(host).next().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        let signature = one.sign(&[b"a", b"bc"]);
        assert!(one.is_signed(&[b"a", b"bc"], &signature));
        assert!(!other.is_signed(&[b"a", b"bc"], &signature));
        assert!(!one.is_signed(&[b"ab", b"c"], &signature), "where parts end is signed too");
        assert!(!one.is_signed(&[b"a", b"bc"], &signature[..31]));
    }

    #[test]
    fn while_a_key_is_replaced_both_are_taken() {
        let (_one, old) = written("the old key that is long enough for us", 0o600);
        let (_two, new) = written("the new key that is long enough for us", 0o600);
        let before = ServerKeys::read(std::slice::from_ref(&old)).unwrap().of("cmp1").next().unwrap();
        let both = ServerKeys::read(&[new, old]).unwrap();
        let signature = before.sign(&[b"x"]);
        assert!(both.of("cmp1").any(|key| key.is_signed(&[b"x"], &signature)));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let (_directory, path) = written("a key that is long enough for this test", 0o640);
        let said = HostKey::read(&path).unwrap_err().to_string();
        assert!(said.contains("others than its owner may read") && said.contains("640"), "{said}");
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused() {
        let (_directory, path) = written("secret\n", 0o600);
        assert!(matches!(HostKey::read(&path), Err(KeyError::Short { .. })));
    }

    #[test]
    fn a_key_is_never_shown() {
        let (_directory, path) = written("planted-secret-planted-secret-planted", 0o600);
        assert!(!format!("{:?}", HostKey::read(&path).unwrap()).contains("planted"));
    }

    #[test]
    fn bytes_are_written_and_read() {
        assert_eq!(from_hexadecimal(&hexadecimal(&[0, 255, 16])), Some(vec![0, 255, 16]));
        for bad in ["0", "0g", "é0"] {
            assert_eq!(from_hexadecimal(bad), None, "{bad}");
        }
    }
}
