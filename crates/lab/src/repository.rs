//! The folder of package repositories that a lab's nodes see: one folder for each release.
//!
//! It is the lab's own (files are hard links where the file system allows it), so that taking a release away from one lab
//! does not touch another. Must never change a file of the cache.

use crate::cache::delete;
use crate::error::LabError;
use std::path::Path;

/// Makes a release's repository visible in `releases`, in one piece. What was there before goes.
pub(crate) async fn show(repository: &Path, releases: &Path, series: &str) -> Result<(), LabError> {
    std::fs::create_dir_all(releases).map_err(LabError::file("creating", releases))?;
    let new = releases.join(format!(".{series}.new"));
    delete(&new).await?;
    std::fs::create_dir(&new).map_err(LabError::file("creating", &new))?;
    for entry in std::fs::read_dir(repository).map_err(LabError::file("reading", repository))? {
        let from = entry.map_err(LabError::file("reading", repository))?.path();
        let Some(name) = from.file_name() else { continue };
        let to = new.join(name);
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).map_err(LabError::file("copying", &from))?;
        }
    }
    let place = releases.join(series);
    delete(&place).await?;
    std::fs::rename(&new, &place).map_err(LabError::file("renaming", &new))
}

/// Takes a release's repository away.
pub(crate) async fn hide(releases: &Path, series: &str) -> Result<(), LabError> {
    delete(&releases.join(series)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_release_comes_and_goes_without_harm_to_its_source() {
        let home = tempfile::tempdir().unwrap();
        let (source, releases) = (home.path().join("source"), home.path().join("releases"));
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("Packages"), "one").unwrap();
        show(&source, &releases, "2024.1").await.unwrap();
        show(&source, &releases, "2024.1").await.unwrap();
        assert_eq!(std::fs::read_to_string(releases.join("2024.1/Packages")).unwrap(), "one");
        hide(&releases, "2024.1").await.unwrap();
        hide(&releases, "2024.1").await.unwrap();
        assert_eq!(std::fs::read_dir(&releases).unwrap().count(), 0);
        assert!(source.join("Packages").exists());
    }
}
