//! Compute nodes with a real hypervisor: libvirt and qemu as a layer over Nova's, their settings on a node, and what guests boot.
//!
//! Nobody's processor is asked for help: qemu computes every instruction itself, so that a lab runs wherever it runs. Must never
//! be part of a node that was not asked to have it.

use super::catalogue::{CloudRelease, On};
use super::packages::Layer;
use crate::cache::{Cache, Sealed, recipe};
use crate::error::LabError;
use crate::image::{Build, compiler, write_file};
use crate::node_files::Place;
use crate::package::uv;
use crate::progress::Teller;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How long fetching and compiling one of these parts may take.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// Python's bindings of libvirt: the version that both releases' Nova and Debian's libvirt get on with.
const BINDINGS: &str = "11.3.0";

const BUILD_BINDINGS: &str = include_str!("../../data/builds/libvirt-python.sh");
const BUILD_GUEST: &str = include_str!("../../data/builds/guest.sh");
const INSTALL: &str = include_str!("../../data/builds/install-qemu.sh");
const INIT: &str = include_str!("../../data/qemu/init");

/// Where Nova keeps the guests' disks on a compute node.
pub(crate) const INSTANCES: &str = "/var/lib/nova/instances";

/// The units that run on such a compute node beside Nova's.
pub(crate) const UNITS: [&str; 2] = ["virtlogd.service", "libvirtd.service"];

/// A node's files: path, mode, content.
const FILES: [(&str, u32, &str); 6] = [
    ("etc/libvirt/libvirtd.conf", 0o644, include_str!("../../data/qemu/libvirtd.conf")),
    ("etc/libvirt/qemu.conf", 0o600, include_str!("../../data/qemu/qemu.conf")),
    ("etc/systemd/system/virtlogd.service", 0o644, include_str!("../../data/qemu/virtlogd.service")),
    ("etc/systemd/system/libvirtd.service", 0o644, include_str!("../../data/qemu/libvirtd.service")),
    (
        "etc/systemd/system/nova-compute.service.d/libvirt.conf",
        0o644,
        include_str!("../../data/qemu/nova-compute.conf"),
    ),
    ("etc/sudoers.d/nova", 0o440, include_str!("../../data/qemu/sudoers")),
];

/// What runs the guests of a lab's compute nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Virt {
    /// A file with a line for each guest: quick, and as many as one likes.
    #[default]
    Fake,
    /// libvirt and qemu, with guests that compute and write on disks.
    Qemu,
}

impl Virt {
    /// Nova's name of the driver.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Fake => "lab_virt.LabFakeDriver",
            Self::Qemu => "libvirt.LibvirtDriver",
        }
    }

    /// What Nova's settings on a compute node say besides.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Fake => "",
            Self::Qemu => include_str!("../../data/qemu/nova.conf"),
        }
    }
}

/// Writes a compute node's files.
pub(crate) fn write(place: &Place<'_>) -> Result<(), LabError> {
    for (path, mode, content) in FILES {
        place.file(path, mode, content)?;
    }
    Ok(())
}

/// The layer of such a compute node over that of an ordinary one, from the cache or built.
pub(crate) async fn layer(
    cache: &Cache,
    below: [&Sealed; 2],
    repository: &Sealed,
    release: CloudRelease,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let [_, base] = below;
    let bindings = bindings(cache, base, teller).await?;
    let layer = Layer {
        kind: "hypervisor",
        script: INSTALL,
        on: On::Compute,
        online: true,
        things: vec![("libvirt-python", &bindings)],
    };
    layer.make(cache, &below, repository, release, teller).await
}

async fn bindings(cache: &Cache, base: &Sealed, teller: &Teller<'_>) -> Result<Sealed, LabError> {
    let name = format!("libvirt-python-{}", recipe(&[BUILD_BINDINGS, BINDINGS]));
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, &base.digest).await? {
        return Ok(found);
    }
    let (uv, compiler) = (uv(cache, teller).await?, compiler(cache, base, teller).await?);
    teller.tell("packages", format!("compiling libvirt-python {BINDINGS} (once)"));
    let scratch = cache.scratch(&name).await?;
    let build = Build {
        doing: "compiling libvirt-python",
        lowers: &[&compiler.path, &base.path],
        script: BUILD_BINDINGS,
        arguments: &[BINDINGS],
        things: &[("uv", &uv), ("uv-cache", &cache.path("uv-cache"))],
        online: true,
        limit: BUILD_LIMIT,
    };
    let upper = build.run(&scratch).await?;
    cache.keep(&name, &base.digest, &scratch, &upper.join("opt/libvirt-python")).await
}

/// What a guest boots.
pub(crate) struct Boot {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
}

/// What a guest boots, from the cache or built.
pub(crate) async fn boot(cache: &Cache, base: &Sealed, teller: &Teller<'_>) -> Result<Boot, LabError> {
    let name = format!("guest-{}", recipe(&[BUILD_GUEST, INIT]));
    let _lock = cache.lock(&name, teller).await?;
    let guest = match cache.find(&name, "").await? {
        Some(found) => found,
        None => {
            teller.tell("packages", "making a guest of Debian's kernel and busybox (once)");
            let scratch = cache.scratch(&name).await?;
            let init = scratch.join("init");
            write_file(&init, 0o755, INIT.as_bytes())?;
            let build = Build {
                doing: "making a guest",
                lowers: &[&base.path],
                script: BUILD_GUEST,
                arguments: &[],
                things: &[("init", &init)],
                online: true,
                limit: BUILD_LIMIT,
            };
            let upper = build.run(&scratch).await?;
            cache.keep(&name, "", &scratch, &upper.join("guest")).await?
        }
    };
    let at = |name: &str| -> PathBuf { guest.path.join(name) };
    Ok(Boot { kernel: at("kernel"), initramfs: at("initramfs") })
}
