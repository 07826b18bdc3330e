//! Builds the pretended cloud of a script: how many controllers, which release runs, which ones can be had.
//!
//! The one place where a scene is built. What the service is called and where it stands comes from its page in the
//! catalogue; nothing here knows it by name.

use crate::settings::CloudSettings;
use ostler_model::catalogue::{Catalogue, Service, ServiceRelease};
use ostler_model::cloud::Flavour;
use ostler_model::ids::ServiceName;
use ostler_model::limits::INVENTORY_AGE_MAX_S;
use ostler_model::release::Series;
use ostler_sim::SimCloud;
use ostler_sim::cloud::{SimService, Size};
use std::path::PathBuf;
use std::sync::Arc;

/// Controllers that a scene may have: the pretended names and addresses are made for few.
pub const CONTROLLERS_MAX: usize = 9;

/// Computes that a scene may have, for the same reason.
pub const COMPUTES_MAX: usize = 99;

/// How long all is quiet before what cannot be taken back, unless a command says otherwise: as in ostler.toml.
const SOAK_S: u32 = 600;

const _: () = assert!((SOAK_S as i64) < INVENTORY_AGE_MAX_S);

/// What there is when the curtain rises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// How many controllers.
    pub controllers: usize,
    /// How many nodes that only bear instances.
    pub computes: usize,
    /// The service.
    pub service: ServiceName,
    /// The release that runs.
    pub from: Series,
    /// Releases that the package source offers besides.
    pub offering: Vec<Series>,
}

/// The service that scenes are about: the first page of the catalogue.
pub fn service_of(catalogue: &Catalogue) -> Option<&Service> {
    catalogue.services.values().next()
}

/// The version that stands for a release.
pub fn version_of(release: &ServiceRelease) -> String {
    format!("{}.0.0", release.major)
}

impl Scene {
    /// The pretended cloud, and how an operator would have declared it. None: the catalogue lacks something.
    pub fn build(&self, catalogue: &Catalogue) -> Option<(Arc<SimCloud>, CloudSettings)> {
        let service = catalogue.services.get(&self.service)?;
        let installed = service.flavours.get(&Flavour::Debian)?;
        let present = service.release(self.from)?;
        let mut offered: Vec<&ServiceRelease> =
            self.offering.iter().chain([&self.from]).filter_map(|series| service.release(*series)).collect();
        offered.sort_by_key(|release| std::cmp::Reverse(release.series));
        let files = std::iter::once(&service.config.main).chain(&service.config.shared_keys);
        let cloud = SimCloud::sized(
            Size { computes: self.computes, ..Size::of(self.controllers) },
            SimService {
                backend: service.proxy.backend.clone(),
                package: installed.packages.first()?.clone(),
                unit: installed.units.first()?.clone(),
                database: service.database.name.clone(),
                files: files.cloned().collect(),
                version: version_of(present),
                offered: offered.into_iter().map(version_of).collect(),
                heads: present.heads(),
            },
        );
        let settings = CloudSettings {
            power: Default::default(),
            cloud: cloud.declared.clone(),
            clouds_yaml: PathBuf::new(),
            clouds_entry: String::new(),
            ssh_user: String::new(),
            ssh_key: PathBuf::new(),
            known_hosts: PathBuf::new(),
            soak_s: SOAK_S,
            strategy: None,
            function_check: false,
            canary: None,
        };
        Some((Arc::new(cloud), settings))
    }
}
