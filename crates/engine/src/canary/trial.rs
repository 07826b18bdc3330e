//! One trial from its first stage to the last thing taken away, and the sweep of what earlier ones left behind.
//!
//! A stage that fails does not end the trial: what does not need it is tried all the same. When the books cannot be
//! written nothing more is made.

use super::stages::{Step, needs, steps};
use super::{KEEP_S, THING, TRIAL, TRIAL_LIMIT_S};
use crate::seam::{Clock, Dice, Seams, Store, StoreError};
use jiff::SignedDuration;
use ostler_model::Timestamp;
use ostler_model::canary::{
    Act, CANARY_FORMAT, Came, Choices, Kind, Made, NAME_START, NotActed, Stage, Suite, Thing, Trial,
};
use ostler_model::event::Facts;
use ostler_model::function::Offer;
use ostler_model::record::{Record, RecordQuery};

/// Trials that one trial takes away at most when it purges: a day of one a minute.
const PURGE_ROWS: u32 = 1_500;

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The cloud's name.
    pub cloud: String,
    /// The trial's name.
    pub name: String,
    /// Which stages.
    pub suite: Suite,
    /// What the operator wants used.
    pub choices: Choices,
    /// Who runs it.
    pub owner: String,
}

/// A trial's name: when it began, and four letters.
pub fn name(clock: &dyn Clock, dice: &dyn Dice) -> String {
    format!("{}-{:04x}", clock.now().strftime("%Y%m%d-%H%M%S"), dice.roll() & 0xffff)
}

/// Tries it. `Err`: the books cannot be written; what was made is in them and is swept later.
pub async fn run(
    seams: &Seams,
    wanted: &Wanted,
    offers: &[Offer],
    hear: &(dyn Fn(&Stage) + Send + Sync),
) -> Result<Trial, StoreError> {
    let began = seams.clock.now();
    let mut trial = Trial {
        format: CANARY_FORMAT,
        name: wanted.name.clone(),
        suite: wanted.suite,
        host: wanted.choices.host.clone(),
        began,
        ended: None,
        stages: Vec::new(),
    };
    let store = seams.store.as_ref();
    store.purge_records(TRIAL, &wanted.cloud, began - SignedDuration::from_secs(KEEP_S), PURGE_ROWS).await?;
    keep(store, &wanted.cloud, &trial).await?;
    let mut made = Made::new();
    let mut things: Vec<Thing> = Vec::new();
    for step in steps(wanted.suite) {
        let stage = match missing(step, offers, &made) {
            Some(why) => Stage { name: step.name().to_owned(), came: Came::Skipped, took_ms: 0, what: why },
            None => one(seams, wanted, step, &mut made, &mut things).await?,
        };
        hear(&stage);
        trial.stages.push(stage);
        keep(store, &wanted.cloud, &trial).await?;
    }
    things.sort_by_key(|thing| thing.kind);
    for thing in &things {
        let stage = remove(seams, &wanted.cloud, thing).await?;
        hear(&stage);
        trial.stages.push(stage);
    }
    trial.ended = Some(seams.clock.now());
    keep(store, &wanted.cloud, &trial).await?;
    Ok(trial)
}

/// Why a stage cannot be tried.
fn missing(step: Step, offers: &[Offer], made: &Made) -> Option<String> {
    let wanted = needs(step);
    if !offers.iter().any(|offer| wanted.contains(&offer.kind.as_str())) {
        return Some(format!("the cloud's catalogue has no `{}`", wanted.join("` or `")));
    }
    let lacking = step.made_of().iter().find(|kind| !made.contains_key(kind))?;
    Some(format!("there is no {lacking}"))
}

async fn one(
    seams: &Seams,
    wanted: &Wanted,
    step: Step,
    made: &mut Made,
    things: &mut Vec<Thing>,
) -> Result<Stage, StoreError> {
    let of = |kind: Kind| made.get(&kind).cloned().unwrap_or_default();
    let mut thing = None;
    let act = match step {
        Step::Token => Act::Token,
        Step::Checksum => Act::Checksum { image: of(Kind::Image) },
        Step::Console => Act::Console { server: of(Kind::Server) },
        Step::Migrate => Act::Migrate { server: of(Kind::Server) },
        Step::Make(kind) => {
            let name = format!("{NAME_START}{}-{kind}", wanted.name);
            let until = seams.clock.now() + SignedDuration::from_secs(TRIAL_LIMIT_S);
            let about = Thing {
                format: CANARY_FORMAT,
                kind,
                name: name.clone(),
                id: None,
                trial: wanted.name.clone(),
                owner: wanted.owner.clone(),
                until,
            };
            note(seams, &wanted.cloud, &about).await?;
            things.push(about.clone());
            thing = Some(things.len() - 1);
            Act::Make { kind, name, made: made.clone(), choices: wanted.choices.clone() }
        }
    };
    let began = seams.clock.now();
    let came = seams.cloud.act(&act).await;
    let took_ms = ms(began, seams.clock.now());
    let stage = |came, what| Stage { name: step.name().to_owned(), came, took_ms, what };
    Ok(match came {
        Ok(acted) => {
            if let (Some(at), Step::Make(kind)) = (thing, step) {
                things[at].id.clone_from(&acted.id);
                note(seams, &wanted.cloud, &things[at]).await?;
                made.insert(kind, acted.id.unwrap_or_default());
            }
            stage(Came::Passed, told(&acted.facts))
        }
        Err(NotActed::Skipped(why)) => {
            // Nothing was made: there is nothing to take away.
            if let Some(about) = thing.map(|at| things.remove(at)) {
                seams.store.drop_record(THING, &wanted.cloud, &about.name).await?;
            }
            stage(Came::Skipped, why)
        }
        Err(NotActed::Failed { what, id }) => {
            if let (Some(at), Some(id)) = (thing, id) {
                things[at].id = Some(id);
                note(seams, &wanted.cloud, &things[at]).await?;
            }
            stage(Came::Failed, what)
        }
    })
}

/// Takes one thing away, and out of the books when it is gone.
async fn remove(seams: &Seams, cloud: &str, thing: &Thing) -> Result<Stage, StoreError> {
    let began = seams.clock.now();
    let act = Act::Remove { kind: thing.kind, name: thing.name.clone(), id: thing.id.clone() };
    let came = seams.cloud.act(&act).await;
    let (came, what) = match came {
        Ok(acted) => {
            seams.store.drop_record(THING, cloud, &thing.name).await?;
            (Came::Passed, told(&acted.facts))
        }
        // It never came to be.
        Err(NotActed::Skipped(what)) => {
            seams.store.drop_record(THING, cloud, &thing.name).await?;
            (Came::Skipped, what)
        }
        Err(NotActed::Failed { what, .. }) => (Came::Failed, what),
    };
    let took_ms = ms(began, seams.clock.now());
    Ok(Stage { name: format!("delete {}", thing.kind), came, took_ms, what })
}

async fn keep(store: &dyn Store, cloud: &str, trial: &Trial) -> Result<(), StoreError> {
    let body = body("a trial", serde_json::to_string(trial))?;
    let (kind, subject, name) = (TRIAL.to_owned(), cloud.to_owned(), trial.name.clone());
    store.keep_record(&Record { kind, subject, name, at: trial.began, body }).await
}

async fn note(seams: &Seams, cloud: &str, thing: &Thing) -> Result<(), StoreError> {
    let body = body("a thing", serde_json::to_string(thing))?;
    let (kind, subject, name) = (THING.to_owned(), cloud.to_owned(), thing.name.clone());
    let at = seams.clock.now();
    seams.store.keep_record(&Record { kind, subject, name, at, body }).await
}

fn body(what: &str, body: serde_json::Result<String>) -> Result<String, StoreError> {
    body.map_err(|error| StoreError::Unavailable {
        what: format!("{what} cannot be written: {error}"),
        hint: None,
    })
}

fn told(facts: &Facts) -> String {
    facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// What is gone now.
    pub gone: Vec<Thing>,
    /// What could not be taken away, and why.
    pub left: Vec<(Thing, String)>,
    /// What belongs to a trial that may still be under way.
    pub busy: Vec<Thing>,
    /// Records that nobody can read.
    pub unreadable: Vec<String>,
}

/// Takes away what trials have left behind that are over: whose owner is known to be gone, or whose time is. With
/// `only_look` nothing is taken away, and what would be is `left` without a reason.
pub async fn sweep(
    seams: &Seams,
    cloud: &str,
    is_gone: &(dyn Fn(&str) -> bool + Send + Sync),
    only_look: bool,
) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let mut things = Vec::new();
    let now = seams.clock.now();
    for record in seams.store.records(&RecordQuery::all(THING, cloud)).await? {
        match serde_json::from_str::<Thing>(&record.body) {
            Ok(thing) if thing.format <= CANARY_FORMAT => things.push(thing),
            _ => swept.unreadable.push(record.name),
        }
    }
    things.sort_by(|a, b| (&a.trial, a.kind).cmp(&(&b.trial, b.kind)));
    for thing in things {
        if thing.until > now && !is_gone(&thing.owner) {
            swept.busy.push(thing);
        } else if only_look {
            swept.left.push((thing, String::new()));
        } else {
            let stage = remove(seams, cloud, &thing).await?;
            match stage.came {
                Came::Passed | Came::Skipped => swept.gone.push(thing),
                Came::Failed => swept.left.push((thing, stage.what)),
            }
        }
    }
    Ok(swept)
}
