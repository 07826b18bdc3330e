//! What this machine is and has: whether a lab can run here, where Debian comes from, how control groups are laid out.
//!
//! Must never change the machine.

use crate::error::LabError;
use std::path::{Path, PathBuf};

/// The mirror when the machine has none of its own.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
/// The security mirror when the machine has none of its own.
const DEFAULT_SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";
/// The Debian release of the nodes.
pub(crate) const SUITE: &str = "bookworm";
/// The programs that a lab needs, each with the package that brings it.
const PROGRAMS: [(&str, &str); 10] = [
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("dpkg-deb", "dpkg"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("python3", "python3-venv"),
];
/// The rights that building namespaces and links needs, with their bits: network and system administration.
const RIGHTS: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// Says whether this machine can run a lab; if not, what is missing.
pub fn check_can_run() -> Result<(), LabError> {
    let cannot = |why: String, todo: &str| Err(LabError::CannotRun { why, todo: todo.to_owned() });
    if !cfg!(target_os = "linux") {
        return cannot(
            "it does not run Linux".into(),
            "use a Debian or Ubuntu machine, a virtual one is fine",
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if field(&status, "Uid:").and_then(|ids| ids.split_whitespace().nth(1)) != Some("0") {
        return cannot("you are not root".into(), "run it with sudo");
    }
    let held =
        field(&status, "CapEff:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    for (right, bit) in RIGHTS {
        if held & (1 << bit) == 0 {
            return cannot(
                format!("root has no {right} here"),
                "use a machine of its own or a privileged container",
            );
        }
    }
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if !missing.is_empty() {
        return cannot(
            format!("programs are missing (Debian packages {})", missing.join(", ")),
            &format!("install them with `apt-get install {}`", missing.join(" ")),
        );
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.lines().any(|line| line.split_whitespace().next_back() == Some("overlay")) {
        return cannot("its kernel offers no overlay file system".into(), "load it with `modprobe overlay`");
    }
    Ok(())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

pub(crate) fn is_on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

pub(crate) fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Whether systemd is this machine's own init: then it keeps control groups, else the lab does.
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The control group hierarchies that an init needs, and whether they have the new, single layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ControlGroups {
    /// One hierarchy of the new kind, and nothing else.
    pub(crate) unified: bool,
    /// Where the hierarchies are in which systemd keeps its units.
    pub(crate) hierarchies: Vec<PathBuf>,
}

/// How control groups are laid out here.
pub(crate) fn control_groups() -> ControlGroups {
    control_groups_in(&std::fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn control_groups_in(mounts: &str) -> ControlGroups {
    let mut found = ControlGroups::default();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, place, kind, options, ..] = words.as_slice() else { continue };
        if !place.starts_with("/sys/fs/cgroup") {
            continue;
        }
        let named = *kind == "cgroup" && options.split(',').any(|option| option == "name=systemd");
        if named || *kind == "cgroup2" {
            found.unified |= *kind == "cgroup2" && *place == "/sys/fs/cgroup";
            found.hierarchies.push(PathBuf::from(place));
        }
    }
    found
}

/// Where Debian packages come from, as lines for apt.
pub(crate) fn debian_sources() -> String {
    let mut texts = Vec::new();
    let mut paths = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        let enabled = |path: &PathBuf| path.extension().is_some_and(|end| end == "list" || end == "sources");
        paths.extend(found.into_iter().filter(enabled));
    }
    for path in paths {
        texts.extend(std::fs::read_to_string(path));
    }
    sources_from(&texts.join("\n\n"))
}

/// Picks the mirrors out of apt's own settings, in both of their notations.
fn sources_from(settings: &str) -> String {
    let addresses = || {
        settings.lines().map(str::trim).flat_map(|line| {
            let rest = if line.starts_with("deb ") { line } else { line.strip_prefix("URIs:").unwrap_or("") };
            rest.split_whitespace().filter(|word| word.starts_with("http"))
        })
    };
    let named = |name: &str| {
        let end = format!("/{name}");
        addresses()
            .map(|address| address.trim_end_matches('/'))
            .find(|address| address.ends_with(&end))
            .map(str::to_owned)
    };
    let mirror = named("debian").unwrap_or_else(|| DEFAULT_MIRROR.to_owned());
    let security = named("debian-security").unwrap_or_else(|| DEFAULT_SECURITY_MIRROR.to_owned());
    format!(
        "deb {mirror} {SUITE} main\ndeb {mirror} {SUITE}-updates main\ndeb {security} {SUITE}-security main"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_of_control_groups_are_known() {
        let mixed = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                     cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let places = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(control_groups_in(mixed), ControlGroups { unified: false, hierarchies: places.into() });
        let new = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        assert_eq!(
            control_groups_in(new),
            ControlGroups { unified: true, hierarchies: vec!["/sys/fs/cgroup".into()] }
        );
    }

    #[test]
    fn mirrors_are_read_in_both_notations() {
        let modern =
            "Types: deb\n# http://old.example/debian\nURIs: http://near.example/debian/\nSuites: trixie\n";
        assert!(sources_from(modern).starts_with("deb http://near.example/debian bookworm main\n"));
        assert!(
            sources_from(modern)
                .ends_with("deb http://deb.debian.org/debian-security bookworm-security main")
        );
        let classic = "deb [arch=amd64] https://a.example/debian bookworm main\n# deb http://b.example/debian x\n\
                       deb https://a.example/debian-security bookworm-security main";
        assert!(sources_from(classic).starts_with("deb https://a.example/debian bookworm main\n"));
        assert!(sources_from(classic).contains("https://a.example/debian-security bookworm-security"));
        assert!(sources_from("deb http://archive.example/ubuntu noble main").contains(DEFAULT_MIRROR));
    }
}
