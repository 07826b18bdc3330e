//! Builds a release's Debian package from released wheels, its repository, and the image with it installed.
//!
//! Must never resolve a version, nor build on a node: the environment is made in an overlay of the image, where its paths are right.

use crate::cache::{Cache, Sealed, recipe};
use crate::command::Command;
use crate::error::LabError;
use crate::host::find_on_path;
use crate::image::{Build, compiler, enclosed, write_file};
use crate::package_index::{Listed, packages, release as release_file};
use crate::progress::Teller;
use crate::release::Release;
use crate::template::{fill, set_option};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long fetching and compiling a release's wheels may take.
const ENVIRONMENT_LIMIT: Duration = Duration::from_secs(900);
/// How long packing may take.
const PACK_LIMIT: Duration = Duration::from_secs(300);
/// How long installing the package in the image may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
/// How long installing uv may take.
const UV_LIMIT: Duration = Duration::from_secs(300);

const ENVIRONMENT: &str = include_str!("../data/builds/environment.sh");
const INSTALL: &str = include_str!("../data/builds/install.sh");
const CONTROL: &str = include_str!("../data/keystone/control");

/// Files of the package: path, mode, content.
const FILES: [(&str, u32, &str); 11] = [
    ("DEBIAN/conffiles", 0o644, include_str!("../data/keystone/conffiles")),
    ("DEBIAN/templates", 0o644, include_str!("../data/keystone/templates")),
    ("DEBIAN/config", 0o755, include_str!("../data/keystone/config.sh")),
    ("DEBIAN/postinst", 0o755, include_str!("../data/keystone/postinst.sh")),
    ("DEBIAN/prerm", 0o755, include_str!("../data/keystone/prerm.sh")),
    ("DEBIAN/postrm", 0o755, include_str!("../data/keystone/postrm.sh")),
    ("etc/default/keystone", 0o644, include_str!("../data/keystone/default")),
    ("lib/systemd/system/keystone.service", 0o644, include_str!("../data/keystone/keystone.service")),
    ("usr/bin/keystone-manage", 0o755, include_str!("../data/keystone/keystone-manage.sh")),
    ("usr/bin/keystone-status", 0o755, include_str!("../data/keystone/keystone-status.sh")),
    ("usr/share/keystone/gunicorn.conf.py", 0o644, include_str!("../data/keystone/gunicorn.conf.py")),
];

/// Options that the package sets in the release's own configuration file.
const PACKAGED_OPTIONS: [(&str, &str, &str); 4] = [
    ("DEFAULT", "log_file", "/var/log/keystone/keystone.log"),
    ("database", "connection", "sqlite:////var/lib/keystone/keystonedb"),
    ("fernet_tokens", "max_active_keys", "3"),
    ("token", "provider", "fernet"),
];

/// The repository of a release, from the cache or built.
pub(crate) async fn repository(
    cache: &Cache,
    base: &Sealed,
    release: Release,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let mut parts = vec![release.pins, ENVIRONMENT, CONTROL];
    let version = release.package_version();
    parts.push(&version);
    parts.extend(FILES.iter().flat_map(|(path, _, content)| [*path, *content]));
    parts.extend(PACKAGED_OPTIONS.iter().flat_map(|(section, key, value)| [*section, *key, *value]));
    let name = format!("packages-{}-{}", release.series, recipe(&parts));
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, "").await? {
        return Ok(found);
    }
    let uv = uv(cache, teller).await?;
    let compiler = if release.needs_compiler() { Some(compiler(cache, base, teller).await?) } else { None };
    teller.tell(
        "packages",
        format!("building keystone {} of {} from its wheels", release.upstream(), release.series),
    );
    let scratch = cache.scratch(&name).await?;
    let pins = scratch.join("pins.txt");
    write_file(&pins, 0o644, release.pins.as_bytes())?;
    let mut lowers: Vec<&Path> = compiler.iter().map(|layer| layer.path.as_path()).collect();
    lowers.push(&base.path);
    let build = Build {
        doing: "building keystone's environment",
        lowers: &lowers,
        script: ENVIRONMENT,
        arguments: &[],
        things: &[("uv", &uv), ("uv-cache", &cache.path("uv-cache")), ("pins.txt", &pins)],
        online: true,
        limit: ENVIRONMENT_LIMIT,
    };
    let upper = build.run(&scratch).await?;
    let repository = scratch.join("repository");
    pack(release, &version, &scratch, &upper, &repository).await?;
    let kept = cache.keep(&name, "", &scratch, &repository).await?;
    teller.tell("packages", format!("keystone {version} is ready"));
    Ok(kept)
}

/// Packs the environment and the package's files, and writes the repository's index.
async fn pack(
    release: Release,
    version: &str,
    scratch: &Path,
    upper: &Path,
    repository: &Path,
) -> Result<(), LabError> {
    let stage = scratch.join("stage");
    let opt = stage.join("opt");
    std::fs::create_dir_all(&opt).map_err(LabError::file("creating", &opt))?;
    let environment = upper.join("opt/keystone");
    std::fs::rename(&environment, opt.join("keystone")).map_err(LabError::file("moving", &environment))?;
    for (path, mode, content) in FILES {
        write_file(&stage.join(path), mode, content.as_bytes())?;
    }
    let sample = opt.join("keystone/keystone.conf.sample");
    let mut settings = std::fs::read_to_string(&sample).map_err(LabError::file("reading", &sample))?;
    std::fs::remove_file(&sample).map_err(LabError::file("deleting", &sample))?;
    for (section, key, value) in PACKAGED_OPTIONS {
        settings = set_option(&settings, section, key, value);
    }
    let settings = format!("# OpenStack Identity, release {}\n{settings}", release.series);
    write_file(&stage.join("etc/keystone/keystone.conf"), 0o640, settings.as_bytes())?;

    let architecture = Command::new("asking for this machine's architecture", "dpkg", PACK_LIMIT)
        .arg("--print-architecture")
        .run()
        .await?;
    let architecture = architecture.trim();
    let size = Command::new("measuring the package", "du", PACK_LIMIT)
        .args(["-sk", "--"])
        .arg(stage.to_string_lossy())
        .run()
        .await?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let control = fill(
        CONTROL,
        &[
            ("version", version),
            ("architecture", architecture),
            ("installed_size", &size),
            ("release", release.series),
            ("upstream", release.upstream()),
        ],
    )?;
    write_file(&stage.join("DEBIAN/control"), 0o644, control.as_bytes())?;
    std::fs::create_dir(repository).map_err(LabError::file("creating", repository))?;
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    let file_name = format!("keystone_{without_epoch}_{architecture}.deb");
    let package = repository.join(&file_name);
    enclosed("packing keystone", PACK_LIMIT)
        .args(["dpkg-deb", "-Zzstd", "--root-owner-group", "--build"])
        .arg(stage.to_string_lossy())
        .arg(package.to_string_lossy())
        .run()
        .await?;
    let content = std::fs::read(&package).map_err(LabError::file("reading", &package))?;
    let sha256 = crate::cache::hexadecimal(&Sha256::digest(&content));
    let listed =
        Listed { control: &control, file_name: &file_name, size: content.len() as u64, sha256: &sha256 };
    let index = packages(&[listed]);
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    write_file(&repository.join("Packages"), 0o644, index.as_bytes())?;
    write_file(
        &repository.join("Release"),
        0o644,
        release_file(release.series, architecture, &date, &index).as_bytes(),
    )
}

/// The layer over the image with the release installed by apt.
pub(crate) async fn layer(
    cache: &Cache,
    base: &Sealed,
    repository: &Sealed,
    release: Release,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let name = format!("keystone-{}-{}", release.series, recipe(&[INSTALL]));
    let upon = recipe(&[&base.digest, &repository.digest]);
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, &upon).await? {
        return Ok(found);
    }
    teller.tell("packages", format!("installing keystone of {} in a layer over the image", release.series));
    let scratch = cache.scratch(&name).await?;
    // What the nodes see is a folder of releases.
    let releases = scratch.join("releases");
    crate::repository::show(&[&repository.path], &releases, release.series).await?;
    let build = Build {
        doing: "installing keystone in the image",
        lowers: &[&base.path],
        script: INSTALL,
        arguments: &[release.series],
        things: &[("openstack", &releases)],
        online: false,
        limit: INSTALL_LIMIT,
    };
    let upper = build.run(&scratch).await?;
    cache.keep(&name, &upon, &scratch, &upper).await
}

/// The program uv: the machine's own, or one in the cache.
pub(crate) async fn uv(cache: &Cache, teller: &Teller<'_>) -> Result<PathBuf, LabError> {
    if let Some(found) = find_on_path("uv") {
        // A shim that finds its program by the user's folder would not run in the overlay; a program does.
        if std::fs::read(&found).is_ok_and(|content| content.starts_with(b"\x7fELF")) {
            return Ok(found);
        }
    }
    let _lock = cache.lock("uv", teller).await?;
    let folder = cache.path("uv");
    let program = folder.join("bin/uv");
    let works = Command::new("asking uv for its version", "/bin/sh", UV_LIMIT)
        .args(["-c", "exec \"$0\" --version"])
        .arg(program.to_string_lossy());
    if works.run().await.is_ok() {
        return Ok(program);
    }
    teller.tell("packages", "installing uv (once)");
    crate::cache::delete(&folder).await?;
    let todo =
        "see whether this machine has python3-venv and reaches its Python package index, then try again";
    Command::new("making an environment for uv", "python3", UV_LIMIT)
        .todo(todo)
        .args(["-m", "venv"])
        .arg(folder.to_string_lossy())
        .run()
        .await?;
    let pip = folder.join("bin/pip");
    Command::new("installing uv", &pip.to_string_lossy(), UV_LIMIT)
        .todo(todo)
        .args(["install", "--quiet", "uv>=0.5"])
        .run()
        .await?;
    Ok(program)
}
