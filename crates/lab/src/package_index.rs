//! Writes the index of a Debian repository in one folder (`Packages`, `Release`), as apt reads it from `deb … ./`.
//!
//! Must never read a package: what is in one is told to it.

use crate::cache::hexadecimal;
use sha2::{Digest, Sha256};

/// A package as the index lists it.
pub(crate) struct Listed<'a> {
    /// The package's own control text.
    pub(crate) control: &'a str,
    pub(crate) file_name: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: &'a str,
}

/// The text of `Packages`. The long description comes last in a control text, so the other fields go in front of it.
pub(crate) fn packages(listed: &[Listed<'_>]) -> String {
    let mut text = String::new();
    for package in listed {
        let (before, description) =
            package.control.split_once("\nDescription:").unwrap_or((package.control.trim_end(), ""));
        text.push_str(before);
        text.push_str(&format!(
            "\nFilename: ./{}\nSize: {}\nSHA256: {}\n",
            package.file_name, package.size, package.sha256
        ));
        if !description.is_empty() {
            text.push_str("Description:");
            text.push_str(description.trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The text of `Release` for an index. `date` is in the form of RFC 2822.
pub(crate) fn release(series: &str, architecture: &str, date: &str, packages: &str) -> String {
    let digest = hexadecimal(&Sha256::digest(packages.as_bytes()));
    format!(
        "Origin: ostler-lab\nLabel: openstack-{series}\nSuite: {series}\nCodename: {series}\nDate: {date}\n\
         Architectures: {architecture}\nDescription: OpenStack {series} for the lab\nSHA256:\n {digest} {} Packages\n",
        packages.len()
    )
}

/// The same `Release` for another index.
pub(crate) fn relisted(release: &str, packages: &str) -> String {
    let head = release.split_once("SHA256:\n").map_or(release, |(head, _)| head);
    let digest = hexadecimal(&Sha256::digest(packages.as_bytes()));
    format!("{head}SHA256:\n {digest} {} Packages\n", packages.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_what_apt_needs() {
        let control = "Package: keystone\nVersion: 2:1-1\nDescription: short\n long\n .\n more\n";
        let listed = Listed { control, file_name: "keystone_1_amd64.deb", size: 7, sha256: "ab" };
        let text = packages(&[listed]);
        assert_eq!(
            text,
            "Package: keystone\nVersion: 2:1-1\nFilename: ./keystone_1_amd64.deb\nSize: 7\nSHA256: ab\n\
             Description: short\n long\n .\n more\n\n"
        );
        let release = release("2024.1", "amd64", "Mon, 1 Jan 2024 00:00:00 +0000", &text);
        assert!(release.contains(&format!(" {} Packages\n", text.len())), "{release}");
        assert!(release.contains("\nSuite: 2024.1\n"));
    }
}
