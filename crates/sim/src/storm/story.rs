//! One story: a cloud, a wish, troubles and the moods of an operator, all from one seed.
//!
//! A story is a value. The same seed draws the same story for ever; a smaller one is the same story with parts left
//! out. It is told elsewhere.

use super::trouble::{Ordered, Trouble};
use crate::cloud::{SimCloud, SimService, Size};
use crate::dice::Rolls;
use ostler_model::catalogue::{Catalogue, Service};
use ostler_model::ids::ServiceName;
use ostler_model::plan::{RollbackWay, Strategy};
use ostler_model::release::Series;
use std::sync::{Arc, LazyLock};

/// The service that storms upgrade: the first of the catalogue that has a page.
static CATALOGUE: LazyLock<Option<Catalogue>> = LazyLock::new(|| Catalogue::embedded().ok());

/// The catalogue that storms plan with.
pub fn catalogue() -> Option<&'static Catalogue> {
    CATALOGUE.as_ref()
}

/// The most nodes that a storm's cloud has.
pub const NODES_MAX: u64 = 200;

/// The most troubles of one story.
const TROUBLES_MAX: u64 = 12;

/// What the operator of a story tends to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mood {
    /// Rolls a paused upgrade back in so many of 100 cases, where that is allowed.
    pub turns_back: u64,
    /// Rolls a finished upgrade back.
    pub regrets: bool,
    /// The way back that is asked for; none leaves it to the planner.
    pub way: Option<RollbackWay>,
    /// Resumes without having mended anything in so many of 100 cases.
    pub careless: u64,
    /// The seed of later choices.
    pub seed: u64,
}

/// A story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The cloud.
    pub size: Size,
    /// The service.
    pub service: ServiceName,
    /// From this release.
    pub from: Series,
    /// To that one.
    pub to: Series,
    /// By this way, if it is possible there.
    pub strategy: Strategy,
    /// Whether a person is asked before what cannot be taken back.
    pub asks: bool,
    /// What goes wrong.
    pub troubles: Vec<Ordered>,
    /// The operator.
    pub mood: Mood,
}

/// The versions and heads of a pretended service at a release.
pub fn service_at(service: &Service, from: Series, to: Series) -> Option<SimService> {
    let (old, new) = (service.release(from)?, service.release(to)?);
    let installed = service.flavours.values().next()?;
    let version = |major: u32| format!("{major}.0.0");
    let mut files = vec![service.config.main.clone()];
    files.extend(service.config.shared_keys.iter().cloned());
    Some(SimService {
        backend: service.proxy.backend.clone(),
        package: installed.packages.first()?.clone(),
        unit: installed.units.first()?.clone(),
        database: service.database.name.clone(),
        files,
        version: version(old.major),
        offered: vec![version(new.major), version(old.major)],
        heads: old.heads(),
    })
}

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Option<Story> {
        let catalogue = catalogue()?;
        let mut rolls = Rolls::new(seed);
        let (name, service) = catalogue.services.iter().next()?;
        let mut hops = Vec::new();
        for release in &service.releases {
            for next in catalogue.next_releases(release.series) {
                if service.release(next).is_some() {
                    hops.push((release.series, next));
                }
            }
        }
        let (from, to) = *rolls.one(&hops)?;
        let controllers = match rolls.below(1_000) {
            0..=649 => 3,
            650..=799 => rolls.between(2, 5),
            800..=899 => 1,
            900..=996 => rolls.between(4, 9),
            _ => rolls.between(20, NODES_MAX),
        } as usize;
        let members =
            [controllers.min(3), controllers.min(3), controllers.min(5), 1][rolls.below(4) as usize];
        let balancers =
            [controllers.min(3), controllers.min(3), controllers.min(2), 1][rolls.below(4) as usize];
        let size = Size { controllers, balancers, members, computes: 0 };
        let strategy = *rolls.one(&Strategy::ALL)?;
        // Most stories are short of trouble: a fault alone shows more than ten at once.
        let troubles = if rolls.chance(60) { rolls.between(1, 3) } else { rolls.between(0, TROUBLES_MAX) };
        let span = 120 * controllers.min(8) as u64;
        let troubles = (0..troubles)
            .map(|_| Ordered {
                tick: rolls.between(1, span),
                trouble: Trouble::drawn(&mut rolls, controllers),
            })
            .collect();
        let ways = [
            None,
            None,
            None,
            Some(RollbackWay::IsolatedSchema),
            Some(RollbackWay::IsolatedCluster),
            Some(RollbackWay::RestoreSchema),
        ];
        let mood = Mood {
            turns_back: [0, 0, 30, 100][rolls.below(4) as usize],
            regrets: rolls.chance(25),
            way: ways[rolls.below(6) as usize],
            careless: [0, 30][rolls.below(2) as usize],
            seed: rolls.roll(),
        };
        let asks = rolls.chance(30);
        Some(Story { seed, size, service: name.clone(), from, to, strategy, asks, troubles, mood })
    }

    /// The cloud of this story, as it is before anything happens.
    pub fn cloud(&self) -> Option<Arc<SimCloud>> {
        let service = catalogue()?.services.get(&self.service)?;
        Some(Arc::new(SimCloud::sized(self.size, service_at(service, self.from, self.to)?)))
    }

    /// What it is about, in operators' words.
    pub fn words(&self) -> Vec<String> {
        let Size { controllers, balancers, members, .. } = self.size;
        let mut lines = vec![format!(
            "{controllers} controllers, {members} of them with the database, {balancers} with a load balancer"
        )];
        lines.push(format!("{} {} -> {}, {}", self.service, self.from, self.to, self.strategy));
        let width = controllers.to_string().len();
        let name = |at: usize| format!("ctl{:0width$}", at % controllers.max(1) + 1);
        for ordered in &self.troubles {
            lines.push(format!("question {}: {}", ordered.tick, ordered.trouble.words(&name)));
        }
        if self.mood.regrets {
            lines.push("the operator takes the finished upgrade back".into());
        }
        lines
    }
}
