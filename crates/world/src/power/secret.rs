//! A password that is kept in a file of its own, read when it is needed.
//!
//! It must never be shown, never be kept longer than its use, and never be taken from a file that everybody can read.

use super::switch::Trouble;
use secrecy::SecretString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Bytes of a file with a password: longer ones are another file by mistake.
const BYTES_MAX: u64 = 4_096;

/// A file whose first line is a password or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile(pub PathBuf);

impl SecretFile {
    /// The secret, for whoever needs one outside of power; why there is none, in words.
    pub(crate) fn text(&self) -> Result<SecretString, String> {
        self.read().map_err(|trouble| trouble.what)
    }

    /// The secret.
    pub(super) fn read(&self) -> Result<SecretString, Trouble> {
        let path = self.0.display();
        let unreadable = |reason: String| {
            Trouble::final_(format!("the password in {path} cannot be read: {reason}")).hint(format!(
                "put it alone into {path}, readable by nobody but the account of ostler (chmod 600)"
            ))
        };
        let found = std::fs::metadata(&self.0).map_err(|error| unreadable(error.to_string()))?;
        if found.len() > BYTES_MAX {
            return Err(unreadable(format!("it is longer than {BYTES_MAX} bytes")));
        }
        if found.permissions().mode() & 0o007 != 0 {
            return Err(unreadable("everybody on this machine may read it".to_owned()));
        }
        let text = std::fs::read_to_string(&self.0).map_err(|error| unreadable(error.to_string()))?;
        match text.lines().next().map(str::trim_end).filter(|line| !line.is_empty()) {
            Some(line) => Ok(SecretString::from(line.to_owned())),
            None => Err(unreadable("its first line is empty".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, SecretFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, SecretFile(path))
    }

    #[test]
    fn the_first_line_is_the_password_and_only_for_those_who_may() {
        let (_directory, good) = file("hunter2\nsecond\n", 0o600);
        assert_eq!(good.read().unwrap().expose_secret(), "hunter2");
        for (text, mode, words) in
            [("hunter2", 0o644, "everybody"), ("\n", 0o600, "empty"), (&"x".repeat(5_000), 0o600, "longer")]
        {
            let (_directory, bad) = file(text, mode);
            let trouble = bad.read().unwrap_err();
            assert!(trouble.what.contains(words) && !trouble.what.contains("hunter2"), "{}", trouble.what);
        }
        assert!(
            SecretFile("/nowhere/password".into()).read().unwrap_err().what.contains("/nowhere/password")
        );
    }
}
