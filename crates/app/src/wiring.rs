//! Opens what a command needs of the world for one cloud: nodes over SSH, OpenStack, the store, time and chance.
//!
//! The one place that knows which implementation stands behind which seam. Opening connects to nothing.

use crate::context::Context;
use crate::failure::Failure;
use crate::instance_ha;
use crate::settings::{CloudSettings, from_reader};
use ostler_engine::seam::{Called, Cloud, Fut, Seams};
use ostler_model::Timestamp;
use ostler_model::catalogue::{Catalogue, CatalogueError};
use ostler_model::event::Why;
use ostler_model::function::Offer;
use ostler_model::step::{Call, Through};
use ostler_world::node::{SshAccess, SshNodes};
use ostler_world::openstack::{ComputeSide, Credentials, CredentialsError, KeystoneCloud};
use ostler_world::power::Machines;
use ostler_world::system::{SystemClock, SystemDice};
use std::path::Path;
use std::sync::Arc;

/// Everything that is needed to work on one cloud.
#[derive(Clone)]
pub struct Site {
    /// The cloud and how it is reached.
    pub cloud: CloudSettings,
    /// What is known of services and releases.
    pub catalogue: Arc<Catalogue>,
    /// The world.
    pub seams: Seams,
    /// Whether there are credentials for OpenStack: looking at nodes needs none.
    pub credentials: Result<(), Failure>,
}

impl Site {
    /// For the cloud that is meant.
    pub async fn open(context: &Context) -> Result<Site, Failure> {
        let cloud = context.cloud()?.clone();
        Site::of(context, cloud).await
    }

    /// For a cloud of this name.
    pub async fn open_named(context: &Context, name: &str) -> Result<Site, Failure> {
        // Says where was looked, if there are no settings at all.
        let found = match context.settings()? {
            Some(settings) => settings.cloud(Some(name))?,
            None => context.cloud()?,
        };
        Site::of(context, found.clone()).await
    }

    async fn of(context: &Context, cloud: CloudSettings) -> Result<Site, Failure> {
        if let Some(given) = context.given() {
            return Ok(Site { cloud, ..given.site.clone() });
        }
        let catalogue = Arc::new(catalogue(context)?);
        readable("the SSH key", &cloud.ssh_key, "key")?;
        readable("the host keys", &cloud.known_hosts, "known-hosts")?;
        let store = context.store().await?;
        let access = SshAccess {
            user: cloud.ssh_user.clone(),
            key: cloud.ssh_key.clone(),
            known_hosts: cloud.known_hosts.clone(),
        };
        let nodes = Arc::new(SshNodes::new(cloud.cloud.clone(), Arc::clone(&catalogue), access));
        let (openstack, credentials): (Arc<dyn Cloud>, _) = match openstack(&cloud, &nodes) {
            Ok(openstack) => (Arc::new(openstack), Ok(())),
            Err(error) => (Arc::new(NoCredentials(error.to_string())), Err(unusable(&cloud, &error))),
        };
        let seams = Seams {
            cloud: openstack,
            nodes,
            power: Arc::new(Machines::new(cloud.power.clone(), instance_ha::words(Arc::clone(&store)))),
            store,
            clock: Arc::new(SystemClock),
            dice: Arc::new(SystemDice),
        };
        Ok(Site { cloud, catalogue, seams, credentials })
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.seams.clock.now()
    }
}

/// A file of this machine without which no node can be reached at all: that is no fault of the nodes.
fn readable(what: &str, path: &Path, key: &str) -> Result<(), Failure> {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{what} cannot be read: {} is no file", path.display()))),
        Err(error) => Err(Failure::usage(format!("{what} cannot be read: {}: {error}", path.display()))),
    }
    .map_err(|failure| {
        failure.hint(format!(
            "see to the file, or name another as `{key}` below `[clouds.….ssh]` in ostler.toml"
        ))
    })
}

/// OpenStack with the credentials that the settings name, or what is wrong with those.
fn openstack(cloud: &CloudSettings, nodes: &SshNodes) -> Result<ComputeSide, CredentialsError> {
    let credentials = Credentials::read(&cloud.clouds_yaml, &cloud.clouds_entry)?;
    let calls = KeystoneCloud::with(&cloud.cloud, credentials.clone(), nodes.connections());
    Ok(ComputeSide::new(calls, credentials))
}

fn unusable(cloud: &CloudSettings, error: &CredentialsError) -> Failure {
    Failure::usage(error.to_string()).hint(format!(
        "cloud {} takes its credentials from entry `{}` of {}: see `clouds-yaml` and `clouds-entry` in ostler.toml",
        cloud.cloud.name,
        cloud.clouds_entry,
        cloud.clouds_yaml.display()
    ))
}

/// The catalogue: the embedded pages and the site's own.
pub fn catalogue(context: &Context) -> Result<Catalogue, Failure> {
    if let Some(given) = context.given() {
        return Ok(given.site.catalogue.as_ref().clone());
    }
    let own = match context.settings()?.and_then(|settings| settings.catalogue.as_deref()) {
        None => Vec::new(),
        Some(directory) => pages(directory)?,
    };
    Catalogue::with_site(&own).map_err(|error| match &error {
        CatalogueError::Unreadable { page, error } => match own.iter().find(|(name, _)| name == page) {
            Some((_, text)) => from_reader(Path::new(page), text, error),
            None => Failure::failed(error.to_string()),
        },
        CatalogueError::Wrong { .. } => Failure::usage(error.to_string()),
    })
}

fn pages(directory: &Path) -> Result<Vec<(String, String)>, Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("cannot read the site's catalogue at {}: {error}", path.display()))
            .hint("see to catalogue.directory in ostler.toml")
    };
    if !directory.is_dir() {
        return Err(unreadable(directory, std::io::ErrorKind::NotADirectory.into()));
    }
    let mut pages = Vec::new();
    for kind in ["releases", "services", "functions"] {
        let folder = directory.join(kind);
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let path = entry.map_err(|error| unreadable(&folder, error))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                pages.push((format!("{kind}/{name}"), text));
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// OpenStack, where the credentials could not be read.
struct NoCredentials(String);

impl Cloud for NoCredentials {
    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(async move { Err(Why::new(self.0.clone())) })
    }

    fn call<'a>(&'a self, _: &'a Through, _: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async move { Err(Why::new(self.0.clone())) })
    }
}
