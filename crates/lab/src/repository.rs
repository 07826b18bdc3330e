//! The folder of package repositories that a lab's nodes see: one folder for each release.
//!
//! It is the lab's own (files are hard links where the file system allows it), so that taking a release away from one lab
//! does not touch another. Must never change a file of the cache.

use crate::cache::{delete, write_whole};
use crate::error::LabError;
use crate::package_index::relisted;
use std::path::Path;

/// Makes a release's packages visible in `releases`, in one piece; they may come from several folders. What was there before goes.
pub(crate) async fn show(repositories: &[&Path], releases: &Path, series: &str) -> Result<(), LabError> {
    std::fs::create_dir_all(releases).map_err(LabError::file("creating", releases))?;
    let new = releases.join(format!(".{series}.new"));
    delete(&new).await?;
    std::fs::create_dir(&new).map_err(LabError::file("creating", &new))?;
    let read = |path: &Path| std::fs::read_to_string(path).map_err(LabError::file("reading", path));
    let (mut packages, mut release) = (String::new(), String::new());
    for repository in repositories {
        for entry in std::fs::read_dir(repository).map_err(LabError::file("reading", *repository))? {
            let from = entry.map_err(LabError::file("reading", *repository))?.path();
            let Some(name) = from.file_name() else { continue };
            if from.extension().is_none_or(|end| end != "deb") {
                continue;
            }
            let to = new.join(name);
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to).map_err(LabError::file("copying", &from))?;
            }
        }
        packages.push_str(&read(&repository.join("Packages"))?);
        release = read(&repository.join("Release"))?;
    }
    write_whole(&new.join("Packages"), packages.as_bytes())?;
    write_whole(&new.join("Release"), relisted(&release, &packages).as_bytes())?;
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
        std::fs::write(source.join("Packages"), "one\n\n").unwrap();
        std::fs::write(source.join("Release"), "Suite: x\nSHA256:\n 00 5 Packages\n").unwrap();
        std::fs::write(source.join("one.deb"), "").unwrap();
        show(&[&source], &releases, "2024.1").await.unwrap();
        show(&[&source, &source], &releases, "2024.1").await.unwrap();
        let shown = releases.join("2024.1");
        assert_eq!(std::fs::read_to_string(shown.join("Packages")).unwrap(), "one\n\none\n\n");
        let release = std::fs::read_to_string(shown.join("Release")).unwrap();
        assert!(
            release.starts_with("Suite: x\nSHA256:\n ") && release.ends_with(" 10 Packages\n"),
            "{release}"
        );
        assert_eq!(std::fs::read_dir(&shown).unwrap().count(), 3);
        hide(&releases, "2024.1").await.unwrap();
        hide(&releases, "2024.1").await.unwrap();
        assert_eq!(std::fs::read_dir(&releases).unwrap().count(), 0);
        assert!(source.join("Packages").exists());
    }
}
