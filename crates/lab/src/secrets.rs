//! The passwords and keys of one lab: drawn at random, kept in a file that only root reads.
//!
//! Must never show a value in an error, in progress, or through `Debug`.

use crate::error::LabError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A value that is not shown.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// All secrets of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Keystone's first user, `admin`.
    pub(crate) admin: Secret,
    /// The database user `keystone`, and the users of the other services.
    pub(crate) database: Secret,
    /// The services' users in keystone.
    #[serde(default)]
    pub(crate) service: Secret,
    /// The broker's user `openstack`.
    #[serde(default)]
    pub(crate) rabbit: Secret,
    /// What the brokers of one cluster know each other by.
    #[serde(default)]
    pub(crate) erlang: Secret,
    /// The user `admin` of the power controller.
    #[serde(default)]
    pub(crate) bmc: Secret,
    /// The servers' key, from which each compute node's own is made.
    #[serde(default)]
    pub(crate) monitors: Secret,
    pub(crate) fernet: [Secret; 2],
    pub(crate) credential: [Secret; 2],
}

impl Secrets {
    pub(crate) fn draw() -> Result<Self, LabError> {
        let key = || -> Result<Secret, LabError> { Ok(Secret(base64(&random::<32>()?))) };
        Ok(Self {
            admin: password()?,
            database: password()?,
            service: password()?,
            rabbit: password()?,
            erlang: password()?,
            bmc: password()?,
            monitors: key()?,
            fernet: [key()?, key()?],
            credential: [key()?, key()?],
        })
    }

    pub(crate) fn read(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path).map_err(LabError::file("reading", path))?;
        serde_json::from_str(&text)
            .map_err(|error| LabError::file("understanding", path)(std::io::Error::other(error)))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), LabError> {
        write_private(path, &serde_json::to_string_pretty(self).unwrap_or_default())
    }
}

/// A password, drawn at random.
pub(crate) fn password() -> Result<Secret, LabError> {
    Ok(Secret(crate::cache::hexadecimal(&random::<16>()?)))
}

/// An identity for a node.
pub(crate) fn machine_id() -> Result<String, LabError> {
    Ok(crate::cache::hexadecimal(&random::<16>()?))
}

/// An identity for a compute node, in the form of a random UUID.
pub(crate) fn node_identity() -> Result<String, LabError> {
    let mut bytes = random::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = crate::cache::hexadecimal(&bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), LabError> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(LabError::file("creating", path))?;
    file.write_all(text.as_bytes()).map_err(LabError::file("writing", path))
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], LabError> {
    let mut bytes = [0; LENGTH];
    let source = "/dev/urandom";
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(LabError::file("reading", source))?;
    Ok(bytes)
}

/// Base64 in the alphabet for URLs, as fernet keys have it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position <= chunk.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * position) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn base64_is_the_url_kind_with_padding() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(&[0xfb, 0xff]), "-_8=");
        assert_eq!(base64(&[7; 32]).len(), 44);
    }

    #[test]
    fn secrets_differ_and_are_not_shown() {
        let (one, two) = (Secrets::draw().unwrap(), Secrets::draw().unwrap());
        assert_ne!(one.admin.reveal(), two.admin.reveal());
        let shown = format!("{one:?}");
        assert!(!shown.contains(one.admin.reveal()) && shown.contains("(secret)"));
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secrets");
        one.write(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
