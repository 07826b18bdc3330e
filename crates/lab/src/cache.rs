//! What the lab builds once and keeps: folders with a seal beside them, made in one piece or not at all.
//!
//! A folder is built under another name, sealed, then renamed. The seal is a digest over every file's name, size, mode and
//! time: cheap enough to check at each start, and enough to notice what was deleted, cut off or edited.
//! Must never change or delete a folder that a running lab stands on.

use crate::command::Command;
use crate::error::LabError;
use crate::progress::Teller;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait for another process that builds the same thing.
const LOCK_LIMIT: Duration = Duration::from_secs(900);
/// How often to look whether the other process is done.
const LOCK_ASK_EVERY: Duration = Duration::from_millis(300);
/// How long deleting a folder may take.
const DELETE_LIMIT: Duration = Duration::from_secs(120);

/// The cache: a folder that can be deleted at any time when no lab is up.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// What is written beside a finished folder.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    /// The seal of what it was built upon, if it only makes sense together with that.
    upon: String,
    files: u64,
    digest: String,
}

/// A finished folder.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    pub(crate) digest: String,
}

impl Cache {
    pub(crate) fn open(root: &Path) -> Result<Self, LabError> {
        for folder in [root.to_path_buf(), root.join("uv-cache")] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&folder)
                .map_err(LabError::file("creating", &folder))?;
        }
        let root = root.canonicalize().map_err(LabError::file("resolving", root))?;
        fits_a_mount_option(&root)?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn seal_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.seal"))
    }

    /// Holds the named lock until the result is dropped.
    pub(crate) async fn lock(&self, name: &str, teller: &Teller<'_>) -> Result<File, LabError> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::create(&path).map_err(LabError::file("opening", &path))?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(LabError::file("locking", path)(source)),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= LOCK_LIMIT => {
                    return Err(LabError::TooLate {
                        what: format!("the lock {}", path.display()),
                        limit: LOCK_LIMIT,
                        seen: "another process holds it".to_owned(),
                        todo: "see what the other `ostler lab up` is doing, end it, try again".to_owned(),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        teller.tell("cache", format!("another process builds {name}; waiting for it"));
                    }
                    sleep(LOCK_ASK_EVERY).await;
                }
            }
        }
    }

    /// The folder of this name if it is whole and was built upon `upon`.
    pub(crate) async fn find(&self, name: &str, upon: &str) -> Result<Option<Sealed>, LabError> {
        let Ok(text) = std::fs::read_to_string(self.seal_path(name)) else { return Ok(None) };
        let Ok(seal) = serde_json::from_str::<Seal>(&text) else { return Ok(None) };
        if seal.upon != upon {
            return Ok(None);
        }
        let path = self.path(name);
        let found = survey(path.clone()).await?;
        let whole = found.as_ref() == Some(&(seal.files, seal.digest.clone()));
        Ok(whole.then_some(Sealed { path, digest: seal.digest }))
    }

    /// A new empty folder to build `name` in. Call it with the lock held: what an interrupted build left is deleted.
    pub(crate) async fn scratch(&self, name: &str) -> Result<PathBuf, LabError> {
        let path = self.root.join(format!("building-{name}"));
        delete(&path).await?;
        std::fs::DirBuilder::new().mode(0o755).create(&path).map_err(LabError::file("creating", &path))?;
        Ok(path)
    }

    /// Seals `content` and puts it in its place; the scratch folder goes. A damaged folder that was in the place goes too.
    pub(crate) async fn keep(
        &self,
        name: &str,
        upon: &str,
        scratch: &Path,
        content: &Path,
    ) -> Result<Sealed, LabError> {
        let path = self.path(name);
        let seal_path = self.seal_path(name);
        match std::fs::remove_file(&seal_path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LabError::file("deleting", seal_path)(error));
            }
            _ => {}
        }
        if path.exists() {
            self.discard(name).await?;
        }
        let missing =
            || LabError::refused(format!("{} vanished while it was built", content.display()), "try again");
        let (files, digest) = survey(content.to_path_buf()).await?.ok_or_else(missing)?;
        std::fs::rename(content, &path).map_err(LabError::file("renaming", content))?;
        let seal = Seal { upon: upon.to_owned(), files, digest: digest.clone() };
        let text = serde_json::to_string(&seal).unwrap_or_default();
        write_whole(&seal_path, text.as_bytes())?;
        delete(scratch).await?;
        Ok(Sealed { path, digest })
    }

    /// Puts a folder aside, and deletes all that was put aside unless a lab stands on the cache.
    async fn discard(&self, name: &str) -> Result<(), LabError> {
        let aside = (0..u32::MAX)
            .map(|number| self.path(&format!("discarded-{name}-{number}")))
            .find(|path| !path.exists());
        if let Some(aside) = aside {
            let path = self.path(name);
            std::fs::rename(&path, &aside).map_err(LabError::file("renaming", &path))?;
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if mounts.contains(&format!("lowerdir={}", self.root.display())) {
            return Ok(());
        }
        let entries = std::fs::read_dir(&self.root).map_err(LabError::file("reading", &self.root))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("discarded-") {
                delete(&entry.path()).await?;
            }
        }
        Ok(())
    }
}

/// Refuses a path that cannot be named in a mount's options.
pub(crate) fn fits_a_mount_option(path: &Path) -> Result<(), LabError> {
    let text = path.to_string_lossy();
    if text.contains([':', ',', '\\', ' ', '\n']) || path.to_str().is_none() {
        return Err(LabError::refused(
            format!("the folder {text} cannot hold a lab: its name has a character that mounts cannot take"),
            "choose a folder without colon, comma, backslash and space",
        ));
    }
    Ok(())
}

/// Deletes a folder and what is in it, never across a mount.
pub(crate) async fn delete(path: &Path) -> Result<(), LabError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Command::new(format!("deleting {}", path.display()), "rm", DELETE_LIMIT)
        .args(["-rf", "--one-file-system", "--"])
        .arg(path.to_string_lossy())
        .todo("see what still uses it (`fuser -vm`), then try again")
        .run()
        .await
        .map(drop)
}

/// Writes a file so that it is there in full or not at all.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), LabError> {
    let new = path.with_extension("new");
    std::fs::write(&new, content).map_err(LabError::file("writing", &new))?;
    std::fs::rename(&new, path).map_err(LabError::file("renaming", &new))
}

/// A short digest of texts that tell how something is made.
pub(crate) fn recipe(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    hexadecimal(&digest.finalize())[..12].to_owned()
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Number and digest of everything in a folder; none if the folder is not there.
async fn survey(path: PathBuf) -> Result<Option<(u64, String)>, LabError> {
    let place = path.clone();
    let stopped =
        move |error: tokio::task::JoinError| LabError::file("surveying", place)(std::io::Error::other(error));
    tokio::task::spawn_blocking(move || survey_now(&path)).await.map_err(stopped)?
}

fn survey_now(root: &Path) -> Result<Option<(u64, String)>, LabError> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut entries = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(LabError::file("reading", &folder))? {
            let path = entry.map_err(LabError::file("reading", &folder))?.path();
            let about = path.symlink_metadata().map_err(LabError::file("reading", &path))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if about.is_dir() {
                // A folder's own time changes when it is looked at through an overlay; its entries tell enough.
                entries.push(format!("{name}\0{:o}\n", about.mode()));
                folders.push(path);
            } else {
                let time = (about.mtime(), about.mtime_nsec());
                entries.push(format!("{name}\0{:o} {} {}.{}\n", about.mode(), about.size(), time.0, time.1));
            }
        }
    }
    entries.sort_unstable();
    let mut digest = Sha256::new();
    for entry in &entries {
        digest.update(entry.as_bytes());
    }
    Ok(Some((entries.len() as u64, hexadecimal(&digest.finalize()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn damage_is_noticed_and_repaired() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let build = async |upon: &str| {
            let scratch = cache.scratch("thing").await.unwrap();
            let content = scratch.join("content");
            std::fs::create_dir_all(content.join("folder")).unwrap();
            std::fs::write(content.join("folder/file"), "text").unwrap();
            cache.keep("thing", upon, &scratch, &content).await.unwrap()
        };
        assert!(cache.find("thing", "a").await.unwrap().is_none());
        let kept = build("a").await;
        assert!(cache.find("thing", "a").await.unwrap().is_some());
        assert!(cache.find("thing", "b").await.unwrap().is_none(), "built upon something else");
        std::fs::remove_file(kept.path.join("folder/file")).unwrap();
        assert!(cache.find("thing", "a").await.unwrap().is_none(), "a file is missing");
        build("a").await;
        std::fs::write(kept.path.join("folder/file"), "texts").unwrap();
        assert!(cache.find("thing", "a").await.unwrap().is_none(), "a file has changed");
        build("a").await;
        std::fs::write(cache.seal_path("thing"), "{").unwrap();
        assert!(cache.find("thing", "a").await.unwrap().is_none(), "the seal is cut off");
        build("a").await;
        assert!(cache.find("thing", "a").await.unwrap().is_some());
        let left: Vec<_> =
            std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("building-")), "{left:?}");
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("discarded-")), "{left:?}");
    }

    #[test]
    fn recipes_differ_when_parts_move() {
        assert_ne!(recipe(&["ab", "c"]), recipe(&["a", "bc"]));
        assert_eq!(recipe(&["ab"]).len(), 12);
        assert!(fits_a_mount_option(Path::new("/a:b")).is_err());
    }
}
