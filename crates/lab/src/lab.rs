//! A lab: what one can do with a real cloud on this machine.
//!
//! What is up is found on the machine (processes, mounts, links), not remembered. Must never leave anything behind after `down`,
//! nor touch anything of another lab.

use crate::bmc;
use crate::bridge;
use crate::cache::{Cache, delete, fits_a_mount_option};
use crate::cloud::api::Api;
use crate::cloud::catalogue::{CloudRelease, Part};
use crate::cloud::emulator::{self, Boot, Virt};
use crate::cloud::{self, packages};
use crate::cluster;
use crate::command::Command;
use crate::error::LabError;
use crate::host::check_can_run;
use crate::image;
use crate::keystone::Keystone;
use crate::load::{self, LoadOptions};
use crate::machine::{Machine, Sockets, running_machines, unmount_all};
use crate::name::{LabName, Subnet, controller_name};
use crate::node_files;
use crate::options::{UpOptions, check_parts};
use crate::package;
use crate::progress::{Listener, Teller};
use crate::release::Release;
use crate::repository;
use crate::secrets::{Secrets, write_private};
use crate::settings::{self, Ground, Record};
use crate::status::{self, LabStatus};
use crate::tally::LoadReport;
use futures_util::future::try_join_all;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long making a key may take.
const KEY_LIMIT: Duration = Duration::from_secs(30);

/// Where a lab and the cache are.
#[derive(Clone, Debug)]
pub struct LabPaths {
    /// The lab's own folder, `/var/lib/ostler/lab/<name>`.
    pub state: PathBuf,
    /// What all labs share, `/var/cache/ostler`.
    pub cache: PathBuf,
}

/// A lab by its name. It need not be up, nor even exist.
#[derive(Clone, Debug)]
pub struct Lab {
    name: LabName,
    paths: LabPaths,
}

impl Lab {
    /// The lab of this name at these places.
    pub fn new(name: &str, paths: LabPaths) -> Result<Self, LabError> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(LabError::file("resolving", path));
        let paths = LabPaths { state: absolute(&paths.state)?, cache: absolute(&paths.cache)? };
        fits_a_mount_option(&paths.state)?;
        fits_a_mount_option(&paths.cache)?;
        Ok(Self { name: LabName::new(name)?, paths })
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The settings by which `ostler` reaches the lab.
    pub fn settings(&self) -> PathBuf {
        self.paths.state.join("ostler.toml")
    }

    /// The private key that opens the nodes.
    pub fn key(&self) -> PathBuf {
        self.paths.state.join("id_ed25519")
    }

    /// The host keys of the nodes.
    pub fn known_hosts(&self) -> PathBuf {
        self.paths.state.join("known_hosts")
    }

    /// The repositories that the nodes see as `/srv/openstack`: one folder for each release, the lab's own.
    pub fn repositories(&self) -> PathBuf {
        self.paths.state.join("openstack")
    }

    /// The lab's name, with what follows from it.
    pub(crate) fn lab_name(&self) -> &LabName {
        &self.name
    }

    /// The lab's own folder.
    pub(crate) fn state(&self) -> &Path {
        &self.paths.state
    }

    pub(crate) fn moods_path(&self) -> PathBuf {
        self.paths.state.join("power-controllers.json")
    }

    fn record_path(&self) -> PathBuf {
        self.paths.state.join("lab.json")
    }

    pub(crate) fn secrets_path(&self) -> PathBuf {
        self.paths.state.join("secrets.json")
    }

    pub(crate) fn machine(&self, node: &str) -> Machine {
        Machine {
            node: node.to_owned(),
            name: self.name.machine(node),
            folder: self.paths.state.join("nodes").join(node),
            storage_link: Record::read(&self.record_path())
                .filter(|record| record.parts.contains(&Part::Nova))
                .map(|record| Subnet(record.network).storage_link(node)),
        }
    }

    /// What a node is plugged into.
    pub(crate) fn sockets(&self, ground: &Ground, node: &str) -> Sockets {
        let mut shares = vec![(self.repositories(), "/srv/openstack", true)];
        let is_controller = ground.controllers().iter().any(|(name, _)| name == node);
        if ground.has_cloud() && is_controller {
            shares.push((self.images(), "/var/lib/glance/images", false));
        }
        if ground.has_cloud() && !is_controller {
            shares.push((cloud::monitors::program(&self.paths.state), "/usr/bin/ostler", true));
            if ground.virt == Virt::Qemu {
                shares.push((self.guests(), emulator::INSTANCES, false));
            }
        }
        Sockets { bridge: self.name.bridge(), storage_bridge: self.name.storage_bridge(), shares }
    }

    /// Glance's images: one folder for all controllers, as shared storage is.
    fn images(&self) -> PathBuf {
        self.paths.state.join("images")
    }

    /// The disks of real guests: one folder for all compute nodes, as shared storage is.
    fn guests(&self) -> PathBuf {
        self.paths.state.join("instances")
    }

    pub(crate) fn machines(&self, ground: &Ground) -> Vec<Machine> {
        ground.nodes.iter().map(|(node, _)| self.machine(node)).collect()
    }

    pub(crate) fn record(&self) -> Result<(Record, Ground), LabError> {
        let record = Record::read(&self.record_path())
            .ok_or_else(|| LabError::NoSuchLab { lab: self.name.to_string() })?;
        let ground = Ground::new(&self.name, &record);
        Ok((record, ground))
    }

    pub(crate) fn known_machine(&self, node: &str) -> Result<Machine, LabError> {
        let (_, ground) = self.record()?;
        if ground.nodes.iter().any(|(name, _)| name == node) {
            return Ok(self.machine(node));
        }
        let nodes: Vec<&str> = ground.nodes.iter().map(|(name, _)| name.as_str()).collect();
        Err(LabError::NoSuchNode {
            lab: self.name.to_string(),
            node: node.to_owned(),
            nodes: nodes.join(", "),
        })
    }

    /// Keeps other processes from making or unmaking this lab at the same time.
    fn hold(&self) -> Result<File, LabError> {
        let folder = self.paths.state.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(LabError::file("creating", folder))?;
        let path = folder.join(format!(".{}.lock", self.name));
        let file = File::create(&path).map_err(LabError::file("opening", &path))?;
        file.try_lock().map_err(|_| {
            LabError::refused(
                format!("another process makes or takes down lab `{}` at this moment", self.name),
                "wait for it, or end it and run `ostler lab down`",
            )
        })?;
        Ok(file)
    }

    /// Makes the cloud and returns when it serves. What an interrupted `up` left is taken down first.
    pub async fn up(&self, options: &UpOptions, progress: Listener<'_>) -> Result<LabStatus, LabError> {
        let release = Release::named(&options.release)?;
        if !matches!(options.controllers, 1 | 3) {
            return Err(LabError::refused(
                format!("a lab cannot have {} controllers", options.controllers),
                "ask for 1 or 3: a database cluster decides by majority",
            ));
        }
        check_parts(options)?;
        check_can_run()?;
        let _held = self.hold()?;
        let teller = Teller::new(progress);
        let complete = Record::read(&self.record_path()).is_some_and(|record| record.complete);
        if complete && !running_machines(self.name()).is_empty() {
            return Err(LabError::AlreadyUp { lab: self.name.to_string() });
        }
        self.clear().await?;
        let cache = Cache::open(&self.paths.cache)?;
        let disks = self.prepare(&cache, options, release, &teller).await?;
        self.build(options, release, &disks, &teller).await
    }

    /// The image and the layer with the release, from the cache or built; the release is shown to the nodes-to-be.
    async fn prepare(
        &self,
        cache: &Cache,
        options: &UpOptions,
        release: Release,
        teller: &Teller<'_>,
    ) -> Result<Disks, LabError> {
        let base = image::base(cache, teller).await?;
        let repository = package::repository(cache, &base, release, teller).await?;
        let layer = package::layer(cache, &base, &repository, release, teller).await?;
        let mut disks = Disks {
            controller: vec![layer.path.clone(), base.path.clone()],
            compute: vec![base.path.clone()],
            guest: None,
        };
        let mut repositories = vec![repository];
        if options.parts.contains(&Part::Nova) {
            let cloud = CloudRelease::named(release.series)?;
            let services = packages::repository(cache, &base, cloud, teller).await?;
            let controller =
                packages::controller_layer(cache, [&layer, &base], &services, cloud, teller).await?;
            let compute = packages::compute_layer(cache, &base, &services, cloud, teller).await?;
            disks.controller.insert(0, controller.path);
            if options.virt == Virt::Qemu {
                let qemu = emulator::layer(cache, [&compute, &base], &services, cloud, teller).await?;
                disks.compute.insert(0, compute.path);
                disks.compute.insert(0, qemu.path);
                disks.guest = Some(emulator::boot(cache, &base, teller).await?);
            } else {
                disks.compute.insert(0, compute.path);
            }
            repositories.push(services);
        }
        let state = &self.paths.state;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(state)
            .map_err(LabError::file("creating", state))?;
        let shown: Vec<&Path> = repositories.iter().map(|repository| repository.path.as_path()).collect();
        repository::show(&shown, &self.repositories(), release.series).await?;
        Ok(disks)
    }

    async fn build(
        &self,
        options: &UpOptions,
        release: Release,
        disks: &Disks,
        teller: &Teller<'_>,
    ) -> Result<LabStatus, LabError> {
        let state = &self.paths.state;
        let secrets = Secrets::draw()?;
        secrets.write(&self.secrets_path())?;
        let subnet = bridge::raise(&self.name).await?;
        let mut record = Record::new(subnet, options.controllers, release.series);
        record.parts = options.parts.clone();
        if options.parts.contains(&Part::Nova) {
            record.computes = options.computes;
            record.virt = options.virt;
            bridge::raise_storage(&self.name, subnet).await?;
        }
        record.write(&self.record_path())?;
        let ground = Ground::new(&self.name, &record);
        let machines = self.machines(&ground);
        let (controllers, computes) = machines.split_at(ground.controllers().len());
        try_join_all(controllers.iter().map(|machine| machine.mount(&disks.controller))).await?;
        try_join_all(computes.iter().map(|machine| machine.mount(&disks.compute))).await?;
        if ground.has_cloud() {
            cloud::form::give_to(&machines[0], &self.images(), "glance").await?;
            if let (Virt::Qemu, Some(compute)) = (ground.virt, computes.first()) {
                cloud::form::give_to(compute, &self.guests(), "nova").await?;
            }
            cloud::monitors::keep(state, &secrets)?;
            write_private(&state.join("bmc.password"), secrets.bmc.reveal())?;
        }
        let public_key = self.make_key(&machines[0]).await?;
        let host_keys = try_join_all(machines.iter().enumerate().map(|(index, machine)| {
            node_files::write(machine, index, &ground, &secrets, &public_key, state)
        }))
        .await?;
        settings::write(state, &ground, &secrets, &host_keys)?;
        teller
            .tell("cluster", format!("switching on {} nodes at {}", machines.len(), ground.virtual_address));
        let ground = &ground;
        try_join_all(machines.iter().zip(&ground.nodes).map(|(machine, (node, address))| async move {
            machine.power_on(&self.sockets(ground, node)).await?;
            cluster::booted(node, *address).await?;
            teller.tell(node, format!("has booted at {address}"));
            Ok::<(), LabError>(())
        }))
        .await?;
        cluster::form(controllers, ground, &secrets, teller).await?;
        if ground.has_cloud() {
            bmc::start(self, subnet.bridge_address()).await?;
            let url = self.power_controller(ground);
            teller.tell("cluster", format!("the power controllers speak Redfish at {url}"));
            cloud::form::form(&machines, ground, &secrets, teller).await?;
            let api = Api::log_in(ground.virtual_address, secrets.admin.reveal()).await?;
            let ready = cloud::instances::prepare(&api, disks.guest.as_ref(), teller).await?;
            // Nothing plugs a real guest's port into anything here.
            let ports = options.ports && ground.virt == Virt::Fake;
            cloud::instances::make(&api, &ready, options.instances, ports, teller).await?;
        }
        record.complete = true;
        record.write(&self.record_path())?;
        Ok(status::look(&machines, ground, &record, &self.repositories()).await)
    }

    /// Makes the key that opens the nodes, with a node's ssh-keygen; its public part.
    async fn make_key(&self, machine: &Machine) -> Result<String, LabError> {
        let root = machine.root();
        Command::new("making the lab's key", "chroot", KEY_LIMIT)
            .arg(root.to_string_lossy())
            .args(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C"])
            .arg(format!("ostler lab {}", self.name))
            .args(["-f", "/root/lab-key"])
            .run()
            .await?;
        let made = root.join("root/lab-key");
        let private = std::fs::read_to_string(&made).map_err(LabError::file("reading", &made))?;
        let made_public = root.join("root/lab-key.pub");
        let public =
            std::fs::read_to_string(&made_public).map_err(LabError::file("reading", &made_public))?;
        write_private(&self.key(), &private)?;
        for path in [made, made_public] {
            std::fs::remove_file(&path).map_err(LabError::file("deleting", &path))?;
        }
        Ok(public)
    }

    /// Takes the lab down and leaves nothing of it: processes, mounts, links, files. Fine when there is nothing.
    pub async fn down(&self) -> Result<(), LabError> {
        let _held = self.hold()?;
        self.clear().await?;
        let lock = self.paths.state.parent().unwrap_or(Path::new("/")).join(format!(".{}.lock", self.name));
        std::fs::remove_file(&lock).map_err(LabError::file("deleting", lock))
    }

    async fn clear(&self) -> Result<(), LabError> {
        // First, so that nobody switches a node on again.
        bmc::end(self.name()).await?;
        let prefix = format!("{}-", self.name);
        try_join_all(running_machines(self.name()).into_iter().map(|machine| {
            let node = machine.strip_prefix(&prefix).unwrap_or(&machine).to_owned();
            async move { self.machine(&node).power_off().await }
        }))
        .await?;
        unmount_all(&self.paths.state).await?;
        bridge::remove(&self.name).await?;
        delete(&self.paths.state).await
    }

    /// The lab as it is now.
    pub async fn status(&self) -> Result<LabStatus, LabError> {
        let (record, ground) = self.record()?;
        Ok(status::look(&self.machines(&ground), &ground, &record, &self.repositories()).await)
    }

    /// Builds another release's packages, if the cache has none, and shows them to the nodes, also to running ones.
    pub async fn publish(&self, release: &str, progress: Listener<'_>) -> Result<(), LabError> {
        let release = Release::named(release)?;
        check_can_run()?;
        let (_, ground) = self.record()?;
        let teller = Teller::new(progress);
        let cache = Cache::open(&self.paths.cache)?;
        let base = image::base(&cache, &teller).await?;
        let packages = package::repository(&cache, &base, release, &teller).await?;
        let mut shown = vec![packages];
        if let (true, Some(cloud)) = (ground.has_cloud(), CloudRelease::find(release.series)) {
            shown.push(packages::repository(&cache, &base, cloud, &teller).await?);
        }
        let shown: Vec<&Path> = shown.iter().map(|repository| repository.path.as_path()).collect();
        repository::show(&shown, &self.repositories(), release.series).await?;
        teller.tell("packages", format!("nodes see {} in /srv/openstack", release.series));
        Ok(())
    }

    /// Takes a release's packages away from the nodes, as when a mirror vanishes. `publish` brings them back.
    pub async fn withdraw(&self, release: &str) -> Result<(), LabError> {
        let release = Release::named(release)?;
        self.record()?;
        repository::hide(&self.repositories(), release.series).await
    }

    /// The command line that runs `command` on a node as root, or opens a shell there without one.
    pub fn ssh_argv(&self, node: &str, command: &[String]) -> Result<Vec<String>, LabError> {
        let machine = self.known_machine(node)?;
        let (_, ground) = self.record()?;
        let address = ground
            .nodes
            .iter()
            .find(|(name, _)| *name == machine.node)
            .map(|(_, address)| address.to_string());
        let mut words: Vec<String> = [
            "ssh",
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=5",
            "-o",
            "StrictHostKeyChecking=yes",
        ]
        .map(str::to_owned)
        .into();
        words.extend(["-o".to_owned(), format!("UserKnownHostsFile={}", self.known_hosts().display())]);
        words.extend([
            "-o".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "-i".to_owned(),
            self.key().display().to_string(),
        ]);
        words.push(format!("root@{}", address.unwrap_or_default()));
        words.extend(command.iter().cloned());
        Ok(words)
    }

    /// Puts the load of real clients on the cloud, until its time is over or `stop` completes.
    /// `progress` is told every few seconds what was counted so far.
    pub async fn load(
        &self,
        options: LoadOptions,
        stop: impl Future<Output = ()>,
        progress: impl FnMut(&LoadReport),
    ) -> Result<LoadReport, LabError> {
        let (_, ground) = self.record()?;
        let secrets = Secrets::read(&self.secrets_path())?;
        load::run(Keystone::new(ground.virtual_address, secrets.admin.reveal()), options, stop, progress)
            .await
    }
}

/// The disks that nodes stand on: layers of the cache, upper ones first.
struct Disks {
    controller: Vec<PathBuf>,
    compute: Vec<PathBuf>,
    /// What real guests boot.
    guest: Option<Boot>,
}

/// Builds what `up` needs for these releases without making a lab.
pub async fn fill_cache(cache: &Path, series: &[String], progress: Listener<'_>) -> Result<(), LabError> {
    let releases = series.iter().map(|name| Release::named(name)).collect::<Result<Vec<_>, _>>()?;
    check_can_run()?;
    let teller = Teller::new(progress);
    let cache = Cache::open(cache)?;
    let base = image::base(&cache, &teller).await?;
    for release in releases {
        let repository = package::repository(&cache, &base, release, &teller).await?;
        package::layer(&cache, &base, &repository, release, &teller).await?;
    }
    Ok(())
}

/// The node names of a lab with so many controllers.
pub fn node_names(controllers: u8) -> impl Iterator<Item = String> {
    (0..controllers).map(controller_name)
}
