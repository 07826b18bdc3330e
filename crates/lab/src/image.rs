//! The root that all nodes share: Debian with the services of a controller, and layers over it.
//!
//! Must never leave a mount behind, nor write into a folder of the cache that is finished.

use crate::cache::{Cache, Sealed, delete, recipe};
use crate::command::Command;
use crate::error::LabError;
use crate::host::{SUITE, debian_sources};
use crate::progress::Teller;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long installing Debian may take on a slow mirror.
const DEBIAN_LIMIT: Duration = Duration::from_secs(900);
/// How long finishing the image may take.
const FINISH_LIMIT: Duration = Duration::from_secs(120);

const PACKAGES: &str = include_str!("../data/base/packages.txt");
const FINISH: &str = include_str!("../data/base/finish.sh");
const OVERLAY: &str = include_str!("../data/builds/overlay.sh");
const COMPILER: &str = include_str!("../data/builds/compiler.sh");

/// Files of the image: path, mode, content.
const FILES: [(&str, u32, &str); 7] = [
    ("etc/sudoers.d/ostler", 0o440, include_str!("../data/base/sudoers")),
    ("etc/sysctl.d/90-lab.conf", 0o644, include_str!("../data/base/sysctl.conf")),
    ("etc/ssh/sshd_config.d/lab.conf", 0o644, include_str!("../data/base/sshd.conf")),
    ("etc/systemd/journald.conf.d/lab.conf", 0o644, include_str!("../data/base/journald.conf")),
    (
        "etc/systemd/system/haproxy.service.d/lab.conf",
        0o644,
        include_str!("../data/base/haproxy-reload.conf"),
    ),
    ("etc/systemd/system/mariadb.service.d/lab.conf", 0o644, include_str!("../data/base/mariadb-start.conf")),
    ("usr/local/sbin/haproxy-alive", 0o755, include_str!("../data/base/haproxy-alive.sh")),
];

/// Runs a program so that it and all that it starts end with it, or with this process however that ends, and its mounts with them:
/// who takes over the lock of a build must find nobody still at it.
pub(crate) fn enclosed(doing: impl Into<String>, limit: Duration) -> Command {
    Command::new(doing, "setpriv", limit).args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=SIGKILL",
        "--mount-proc",
        "--propagation",
        "private",
        "--",
    ])
}

/// The image, from the cache or built.
pub(crate) async fn base(cache: &Cache, teller: &Teller<'_>) -> Result<Sealed, LabError> {
    let mut parts = vec![SUITE, PACKAGES, FINISH];
    parts.extend(FILES.iter().flat_map(|(path, _, content)| [*path, *content]));
    let name = format!("image-{}", recipe(&parts));
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, "").await? {
        return Ok(found);
    }
    teller.tell("image", "installing Debian and the services of a controller (once; about two minutes)");
    let scratch = cache.scratch(&name).await?;
    let root = scratch.join("root");
    let packages: Vec<&str> = PACKAGES.split_whitespace().collect();
    let mut debian = enclosed("installing Debian for the nodes", DEBIAN_LIMIT)
        .todo("see whether this machine reaches its Debian mirror (`apt-get update`), then try again")
        .args(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"])
        .args(["--aptopt=Acquire::Languages \"none\"", "--aptopt=APT::Install-Recommends \"false\""])
        .args(["--aptopt=Acquire::Retries \"3\"", "--dpkgopt=force-unsafe-io"]);
    for folder in ["doc", "man", "locale", "info"] {
        debian = debian.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
    }
    debian
        .arg(format!("--include={}", packages.join(",")))
        .args([SUITE])
        .arg(root.to_string_lossy())
        .arg("-")
        .input(debian_sources())
        .run()
        .await?;
    for (path, mode, content) in FILES {
        write_file(&root.join(path), mode, content.as_bytes())?;
    }
    write_file(&root.join("finish.sh"), 0o755, FINISH.as_bytes())?;
    enclosed("finishing the image", FINISH_LIMIT)
        .arg("chroot")
        .arg(root.to_string_lossy())
        .arg("/finish.sh")
        .run()
        .await?;
    std::fs::remove_file(root.join("finish.sh"))
        .map_err(LabError::file("deleting", root.join("finish.sh")))?;
    let kept = cache.keep(&name, "", &scratch, &root).await?;
    teller.tell("image", "Debian is ready");
    Ok(kept)
}

/// The image plus a C compiler, as a layer.
pub(crate) async fn compiler(cache: &Cache, base: &Sealed, teller: &Teller<'_>) -> Result<Sealed, LabError> {
    let name = format!("compiler-{}", recipe(&[COMPILER, OVERLAY]));
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, &base.digest).await? {
        return Ok(found);
    }
    teller.tell("packages", "installing a C compiler in a layer of its own (once)");
    let scratch = cache.scratch(&name).await?;
    let build = Build {
        doing: "installing a C compiler",
        lowers: &[&base.path],
        script: COMPILER,
        arguments: &[],
        things: &[],
        online: true,
        limit: DEBIAN_LIMIT,
    };
    let upper = build.run(&scratch).await?;
    cache.keep(&name, &base.digest, &scratch, &upper).await
}

/// A script that is run in an overlay; what it changed is the result.
pub(crate) struct Build<'a> {
    pub(crate) doing: &'a str,
    /// Upper ones first.
    pub(crate) lowers: &'a [&'a Path],
    pub(crate) script: &'a str,
    pub(crate) arguments: &'a [&'a str],
    /// What the script finds under /run: name and place.
    pub(crate) things: &'a [(&'a str, &'a Path)],
    pub(crate) online: bool,
    pub(crate) limit: Duration,
}

impl Build<'_> {
    /// Runs the script; the folder with what it changed, inside the scratch folder.
    pub(crate) async fn run(&self, scratch: &Path) -> Result<PathBuf, LabError> {
        let folder = |name: &str| -> Result<PathBuf, LabError> {
            let path = scratch.join(name);
            std::fs::create_dir(&path).map_err(LabError::file("creating", &path))?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .map_err(LabError::file("setting rights of", &path))?;
            Ok(path)
        };
        let (upper, work, root, things) =
            (folder("upper")?, folder("work")?, folder("root")?, folder("things")?);
        for (name, place) in self.things {
            let link = things.join(name);
            symlink(place, &link).map_err(LabError::file("linking", link))?;
        }
        let script = scratch.join("script");
        write_file(&script, 0o755, self.script.as_bytes())?;
        let lowers: Vec<String> =
            self.lowers.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mut command = enclosed(self.doing, self.limit);
        if self.online {
            command = command
                .todo("see whether this machine reaches its package registries, then try again")
                .args(["env", "OSTLER_BUILD_ONLINE=yes"])
                .arg(format!("OSTLER_BUILD_SOURCES={}", debian_sources()));
        }
        let mut command = command.args(["/bin/sh", "-c", OVERLAY, "overlay"]).arg(lowers.join(":"));
        for path in [&upper, &work, &root, &things, &script] {
            command = command.arg(path.to_string_lossy());
        }
        command.args(self.arguments.iter().copied()).run().await?;
        delete(&work).await?;
        Ok(upper)
    }
}

/// Writes a file with its folders and its mode.
pub(crate) fn write_file(path: &Path, mode: u32, content: &[u8]) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(LabError::file("creating", folder))?;
    }
    std::fs::write(path, content).map_err(LabError::file("writing", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(LabError::file("setting rights of", path))
}
