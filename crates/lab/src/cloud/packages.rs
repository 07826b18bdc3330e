//! Builds the Debian packages of a release's cloud services from released wheels, and the layers with them installed.
//!
//! All services share one environment in one package: they need nearly the same 160 wheels, so one of 300 MB stands for five of
//! 200, and what is imported twice is read once. The packages of the services bring units, accounts and settings.
//! Must never resolve a version.

use super::catalogue::{CloudRelease, On, PROJECTS, Package, Project, Serves, packages_on};
use crate::cache::{Cache, Sealed, hexadecimal, recipe};
use crate::command::Command;
use crate::error::LabError;
use crate::image::{Build, enclosed, write_file};
use crate::package::uv;
use crate::package_index::{Listed, packages as index_of, release as release_file};
use crate::progress::Teller;
use crate::template::fill;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long fetching and compiling a release's wheels may take.
const ENVIRONMENT_LIMIT: Duration = Duration::from_secs(1200);
/// How long packing may take.
const PACK_LIMIT: Duration = Duration::from_secs(300);
/// How long installing packages in the image and making the tables may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

const ENVIRONMENT: &str = include_str!("../../data/builds/cloud-environment.sh");
const INSTALL_CONTROLLER: &str = include_str!("../../data/builds/install-controller.sh");
const INSTALL_COMPUTE: &str = include_str!("../../data/builds/install-compute.sh");
const ENVIRONMENT_CONTROL: &str = include_str!("../../data/cloud/environment-control");
const CONTROL: &str = include_str!("../../data/cloud/control");
const API_UNIT: &str = include_str!("../../data/cloud/api.service");
const DAEMON_UNIT: &str = include_str!("../../data/cloud/daemon.service");
const UWSGI: &str = include_str!("../../data/cloud/uwsgi.ini");
const DEFAULT: &str = include_str!("../../data/cloud/default");
const WRAPPER: &str = include_str!("../../data/cloud/wrapper.sh");
const COMMON_POSTINST: &str = include_str!("../../data/cloud/common-postinst.sh");
const COMMON_POSTRM: &str = include_str!("../../data/cloud/common-postrm.sh");
const UNIT_POSTINST: &str = include_str!("../../data/cloud/unit-postinst.sh");
const UNIT_PRERM: &str = include_str!("../../data/cloud/unit-prerm.sh");
const UNIT_POSTRM: &str = include_str!("../../data/cloud/unit-postrm.sh");
const LAB_VIRT: &str = include_str!("../../data/cloud/lab/lab_virt.py");
const LAB_ML2: &str = include_str!("../../data/cloud/lab/lab_ml2.py");

/// What decides how the packages come out, beside the pins.
const PARTS: [&str; 16] = [
    ENVIRONMENT,
    ENVIRONMENT_CONTROL,
    CONTROL,
    API_UNIT,
    DAEMON_UNIT,
    UWSGI,
    DEFAULT,
    WRAPPER,
    COMMON_POSTINST,
    COMMON_POSTRM,
    UNIT_POSTINST,
    UNIT_PRERM,
    UNIT_POSTRM,
    LAB_VIRT,
    LAB_ML2,
    "form 1",
];

/// The repository with a release's cloud services, from the cache or built.
pub(crate) async fn repository(
    cache: &Cache,
    base: &Sealed,
    release: CloudRelease,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let catalogue = format!("{PROJECTS:?}");
    let mut parts = vec![release.pins, &catalogue];
    parts.extend(PARTS);
    let name = format!("cloud-packages-{}-{}", release.series, recipe(&parts));
    let _lock = cache.lock(&name, teller).await?;
    if let Some(found) = cache.find(&name, "").await? {
        return Ok(found);
    }
    let uv = uv(cache, teller).await?;
    let nova = release.upstream(&PROJECTS[3]);
    teller.tell(
        "packages",
        format!("building nova {nova} and the other services of {} from their wheels", release.series),
    );
    let scratch = cache.scratch(&name).await?;
    let thing = |name: &str, content: &str| -> Result<PathBuf, LabError> {
        let path = scratch.join(name);
        write_file(&path, 0o644, content.as_bytes())?;
        Ok(path)
    };
    let pins = thing("pins.txt", release.pins)?;
    let (virt, ml2) = (thing("lab_virt.py", LAB_VIRT)?, thing("lab_ml2.py", LAB_ML2)?);
    let build = Build {
        doing: "building the environment of the cloud services",
        lowers: &[&base.path],
        script: ENVIRONMENT,
        arguments: &[],
        things: &[
            ("uv", &uv),
            ("uv-cache", &cache.path("uv-cache")),
            ("pins.txt", &pins),
            ("lab_virt.py", &virt),
            ("lab_ml2.py", &ml2),
        ],
        online: true,
        limit: ENVIRONMENT_LIMIT,
    };
    let upper = build.run(&scratch).await?;
    let repository = scratch.join("repository");
    std::fs::create_dir(&repository).map_err(LabError::file("creating", &repository))?;
    Packer::new(release, &scratch, &repository).await?.pack_all(&upper).await?;
    let kept = cache.keep(&name, "", &scratch, &repository).await?;
    teller.tell("packages", format!("nova {nova} and the other services are ready"));
    Ok(kept)
}

/// Packs everything of a release into one repository.
struct Packer<'a> {
    release: CloudRelease,
    scratch: &'a Path,
    repository: &'a Path,
    architecture: String,
}

/// A packed package as the index will list it.
struct Packed {
    control: String,
    file_name: String,
    size: u64,
    sha256: String,
}

impl<'a> Packer<'a> {
    async fn new(
        release: CloudRelease,
        scratch: &'a Path,
        repository: &'a Path,
    ) -> Result<Packer<'a>, LabError> {
        let architecture = Command::new("asking for this machine's architecture", "dpkg", PACK_LIMIT)
            .arg("--print-architecture")
            .run()
            .await?;
        Ok(Packer { release, scratch, repository, architecture: architecture.trim().to_owned() })
    }

    async fn pack_all(&self, upper: &Path) -> Result<(), LabError> {
        let environment = upper.join("opt/openstack");
        let mut packed = Vec::new();
        for project in &PROJECTS {
            packed.push(self.common(project, &environment).await?);
            for package in project.packages {
                packed.push(self.unit(project, package).await?);
            }
        }
        packed.push(self.environment(&environment).await?);
        let listed: Vec<Listed<'_>> = packed
            .iter()
            .map(|package| Listed {
                control: &package.control,
                file_name: &package.file_name,
                size: package.size,
                sha256: &package.sha256,
            })
            .collect();
        let index = index_of(&listed);
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        write_file(&self.repository.join("Packages"), 0o644, index.as_bytes())?;
        let about = release_file(self.release.series, &self.architecture, &date, &index);
        write_file(&self.repository.join("Release"), 0o644, about.as_bytes())
    }

    /// The environment's version is Nova's: the services of a release come and go together.
    fn environment_version(&self) -> String {
        self.release.package_version(&PROJECTS[3])
    }

    async fn environment(&self, environment: &Path) -> Result<Packed, LabError> {
        let stage = self.stage("openstack-environment")?;
        let opt = stage.join("opt");
        std::fs::create_dir_all(&opt).map_err(LabError::file("creating", &opt))?;
        std::fs::rename(environment, opt.join("openstack")).map_err(LabError::file("moving", environment))?;
        let client = fill(WRAPPER, &[("program", "openstack")])?;
        write_file(&stage.join("usr/bin/openstack"), 0o755, client.as_bytes())?;
        let size = Command::new("measuring the package", "du", PACK_LIMIT)
            .args(["-sk", "--"])
            .arg(stage.to_string_lossy())
            .run()
            .await?;
        let control = fill(
            ENVIRONMENT_CONTROL,
            &[
                ("version", &self.environment_version()),
                ("architecture", &self.architecture),
                ("installed_size", size.split_whitespace().next().unwrap_or("0")),
                ("release", self.release.series),
            ],
        )?;
        self.pack("openstack-environment", &self.environment_version(), &self.architecture, control).await
    }

    /// A project's account, folders, settings and programs.
    async fn common(&self, project: &Project, environment: &Path) -> Result<Packed, LabError> {
        let package = format!("{}-common", project.name);
        let stage = self.stage(&package)?;
        let folder = format!("etc/{}", project.name);
        let mut files = vec![project.settings];
        let settings = format!(
            "# OpenStack {} {}, release {}\n",
            project.name,
            self.release.upstream(project),
            self.release.series
        );
        write_file(&stage.join(&folder).join(project.settings), 0o640, settings.as_bytes())?;
        for name in project.shipped {
            let from = environment.join(&folder).join(name);
            let content = std::fs::read(&from).map_err(LabError::file("reading", &from))?;
            write_file(&stage.join(&folder).join(name), 0o640, &content)?;
            files.push(name);
        }
        let conffiles: String = files.iter().map(|name| format!("/{folder}/{name}\n")).collect();
        write_file(&stage.join("DEBIAN/conffiles"), 0o644, conffiles.as_bytes())?;
        for program in project.programs {
            let text = fill(WRAPPER, &[("program", program)])?;
            write_file(&stage.join("usr/bin").join(program), 0o755, text.as_bytes())?;
        }
        for (name, text) in [("postinst", COMMON_POSTINST), ("postrm", COMMON_POSTRM)] {
            let text = fill(text, &[("project", project.name)])?;
            write_file(&stage.join("DEBIAN").join(name), 0o755, text.as_bytes())?;
        }
        let depends = format!(
            "openstack-environment (= {}), init-system-helpers (>= 1.54), passwd",
            self.environment_version()
        );
        let description = format!("{}, common files", project.name);
        self.pack_for(project, &package, &depends, &description).await
    }

    /// A package with a unit.
    async fn unit(&self, project: &Project, package: &Package) -> Result<Packed, LabError> {
        let stage = self.stage(package.name)?;
        let port = package.port().map(|port| port.to_string()).unwrap_or_default();
        let (unit, module, environment, command) = match package.serves {
            Serves::Wsgi { module, environment, .. } => (API_UNIT, module, environment, ""),
            Serves::Program { command, .. } => (DAEMON_UNIT, "", "", command),
        };
        let values: [(&str, &str); 7] = [
            ("project", project.name),
            ("package", package.name),
            ("description", package.description),
            ("module", module),
            ("environment", environment),
            ("command", command),
            ("port", &port),
        ];
        let path = format!("lib/systemd/system/{}.service", package.name);
        write_file(&stage.join(path), 0o644, fill(unit, &values)?.as_bytes())?;
        if matches!(package.serves, Serves::Wsgi { .. }) {
            let path = format!("usr/share/{}/{}.ini", project.name, package.name);
            write_file(&stage.join(path), 0o644, fill(UWSGI, &values)?.as_bytes())?;
            let path = format!("etc/default/{}", package.name);
            write_file(&stage.join(&path), 0o644, fill(DEFAULT, &values)?.as_bytes())?;
            write_file(&stage.join("DEBIAN/conffiles"), 0o644, format!("/{path}\n").as_bytes())?;
        }
        for (name, text) in [("postinst", UNIT_POSTINST), ("prerm", UNIT_PRERM), ("postrm", UNIT_POSTRM)] {
            write_file(&stage.join("DEBIAN").join(name), 0o755, fill(text, &values)?.as_bytes())?;
        }
        let depends = format!("{}-common (= {})", project.name, self.release.package_version(project));
        self.pack_for(project, package.name, &depends, package.description).await
    }

    async fn pack_for(
        &self,
        project: &Project,
        package: &str,
        depends: &str,
        description: &str,
    ) -> Result<Packed, LabError> {
        let version = self.release.package_version(project);
        let control = fill(
            CONTROL,
            &[
                ("package", package),
                ("version", &version),
                ("depends", depends),
                ("description", description),
                ("release", self.release.series),
                ("project", project.name),
                ("upstream", self.release.upstream(project)),
            ],
        )?;
        self.pack(package, &version, "all", control).await
    }

    fn stage(&self, package: &str) -> Result<PathBuf, LabError> {
        let stage = self.scratch.join("stages").join(package);
        std::fs::create_dir_all(&stage).map_err(LabError::file("creating", &stage))?;
        Ok(stage)
    }

    async fn pack(
        &self,
        package: &str,
        version: &str,
        architecture: &str,
        control: String,
    ) -> Result<Packed, LabError> {
        let stage = self.stage(package)?;
        write_file(&stage.join("DEBIAN/control"), 0o644, control.as_bytes())?;
        let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
        let file_name = format!("{package}_{without_epoch}_{architecture}.deb");
        let place = self.repository.join(&file_name);
        enclosed(format!("packing {package}"), PACK_LIMIT)
            .args(["dpkg-deb", "-Zzstd", "-z3", "--root-owner-group", "--build"])
            .arg(stage.to_string_lossy())
            .arg(place.to_string_lossy())
            .run()
            .await?;
        let content = std::fs::read(&place).map_err(LabError::file("reading", &place))?;
        let sha256 = hexadecimal(&Sha256::digest(&content));
        Ok(Packed { control, file_name, size: content.len() as u64, sha256 })
    }
}

/// The layer of a controller over the image with keystone: the cloud's services and their empty tables.
pub(crate) async fn controller_layer(
    cache: &Cache,
    keystone: [&Sealed; 2],
    repository: &Sealed,
    release: CloudRelease,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let layer = Layer {
        kind: "controller",
        script: INSTALL_CONTROLLER,
        on: On::Controller,
        online: true,
        things: Vec::new(),
    };
    layer.make(cache, &keystone, repository, release, teller).await
}

/// The layer of a compute node over the bare image.
pub(crate) async fn compute_layer(
    cache: &Cache,
    base: &Sealed,
    repository: &Sealed,
    release: CloudRelease,
    teller: &Teller<'_>,
) -> Result<Sealed, LabError> {
    let layer = Layer {
        kind: "compute",
        script: INSTALL_COMPUTE,
        on: On::Compute,
        online: false,
        things: Vec::new(),
    };
    layer.make(cache, &[base], repository, release, teller).await
}

/// A layer with a release's packages of one kind of node.
pub(crate) struct Layer<'a> {
    pub(crate) kind: &'static str,
    pub(crate) script: &'static str,
    pub(crate) on: On,
    pub(crate) online: bool,
    /// What the script finds under /run besides the release's packages.
    pub(crate) things: Vec<(&'static str, &'a Sealed)>,
}

impl Layer<'_> {
    pub(crate) async fn make(
        &self,
        cache: &Cache,
        lowers: &[&Sealed],
        repository: &Sealed,
        release: CloudRelease,
        teller: &Teller<'_>,
    ) -> Result<Sealed, LabError> {
        let name = format!("{}-{}-{}", self.kind, release.series, recipe(&[self.script]));
        let mut parts: Vec<&str> = lowers.iter().map(|layer| layer.digest.as_str()).collect();
        parts.push(&repository.digest);
        parts.extend(self.things.iter().map(|(_, thing)| thing.digest.as_str()));
        let upon = recipe(&parts);
        let _lock = cache.lock(&name, teller).await?;
        if let Some(found) = cache.find(&name, &upon).await? {
            return Ok(found);
        }
        teller.tell(
            "packages",
            format!("installing the services of a {} of {} in a layer (once)", self.kind, release.series),
        );
        let scratch = cache.scratch(&name).await?;
        let releases = scratch.join("releases");
        crate::repository::show(&[&repository.path], &releases, release.series).await?;
        let mut arguments = vec![release.series];
        arguments.extend(packages_on(self.on).map(|(_, package)| package.name));
        let lowers: Vec<&Path> = lowers.iter().map(|layer| layer.path.as_path()).collect();
        let mut things: Vec<(&str, &Path)> = vec![("openstack", &releases)];
        things.extend(self.things.iter().map(|(name, thing)| (*name, thing.path.as_path())));
        let build = Build {
            doing: "installing the cloud services in the image",
            lowers: &lowers,
            script: self.script,
            arguments: &arguments,
            things: &things,
            online: self.online,
            limit: INSTALL_LIMIT,
        };
        let upper = build.run(&scratch).await?;
        cache.keep(&name, &upon, &scratch, &upper).await
    }
}
