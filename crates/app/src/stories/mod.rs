//! Stories: what an operator sees when upgrades go well and when they do not, on a pretended cloud.
//!
//! Planning, driving and printing are those of production; only the cloud behind the seams is not there.

mod bad_luck;
mod instance_ha;
mod mistakes;
mod previews;
mod scripts;
mod upgrades;

use crate::command_line::{CommandLine, Global};
use crate::context::Context;
use crate::failure::Failure;
use crate::planning::{self, Ask, Offer};
use crate::printer::take_told;
use crate::running;
use crate::settings::CloudSettings;
use crate::wiring::Site;
use clap::Parser;
use ostler_engine::run::{Run, load};
use ostler_model::catalogue::Catalogue;
use ostler_model::ids::{RunId, ServiceName};
use ostler_model::plan::Strategy;
use ostler_sim::cloud::SimService;
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// A pretended cloud, and everything that a command has at hand.
struct Story {
    cloud: Arc<SimCloud>,
    site: Site,
    context: Context,
}

/// Tells a story on a clock that jumps.
fn told<F: Future>(story: F) -> F::Output {
    take_told();
    on_a_clock_that_jumps(story)
}

fn on_a_clock_that_jumps<F: Future>(story: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(story)
}

impl Story {
    /// Three controllers at 2023.1; 2024.1, with a contract of its own, is in the package source.
    fn new() -> Story {
        let service = SimService {
            backend: "keystone".into(),
            package: "keystone".into(),
            unit: "keystone.service".into(),
            database: "keystone".into(),
            files: ["keystone.conf", "fernet-keys", "credential-keys"]
                .map(|name| format!("/etc/keystone/{name}"))
                .into(),
            version: "23.0.2".into(),
            offered: vec!["25.0.0".into(), "23.0.2".into()],
            heads: vec!["29e87d24a316".into(), "e25ffa003242".into()],
        };
        let cloud = Arc::new(SimCloud::new(3, service));
        let settings = CloudSettings {
            power: Default::default(),
            cloud: cloud.declared.clone(),
            clouds_yaml: PathBuf::new(),
            clouds_entry: String::new(),
            ssh_user: String::new(),
            ssh_key: PathBuf::new(),
            known_hosts: PathBuf::new(),
            soak_s: 5,
            strategy: None,
            function_check: false,
            canary: None,
        };
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
        let catalogue = Arc::new(Catalogue::embedded().unwrap());
        let site = Site { cloud: settings, catalogue, seams, credentials: Ok(()) };
        Story { cloud, site, context: Context::new(&global()) }
    }

    async fn offer(&self, strategy: Option<Strategy>) -> Result<Offer, Failure> {
        let to = "2024.1".parse().unwrap();
        let ask = Ask {
            service: ServiceName::new("keystone"),
            to,
            strategy,
            soak_s: 5,
            function_check: false,
            canary: None,
        };
        planning::upgrade(&self.site, &ask).await
    }

    /// An approved run for a fresh plan.
    async fn begun(&self, strategy: Option<Strategy>) -> RunId {
        let offer = self.offer(strategy).await.unwrap();
        offer.may_run().unwrap();
        running::begin(&self.context, &self.site, &offer).await.unwrap()
    }

    async fn run(&self, id: &RunId) -> Run {
        load(self.site.seams.store.as_ref(), id).await.unwrap()
    }

    fn versions(&self) -> Vec<String> {
        ["ctl1", "ctl2", "ctl3"].map(|host| self.cloud.node(host).unwrap().version).into()
    }
}

fn global() -> Global {
    CommandLine::try_parse_from(["ostler", "cloud", "scan", "--no-progress"]).unwrap().global
}
