//! `ostler rehearse`: how a plan for a real cloud ends when things go wrong, told by running it on a copy.
//!
//! The copy is made from what was seen. Nothing of the cloud is asked or changed.

use crate::context::Context;
use crate::duration::words;
use crate::failure::{Exit, Failure};
use crate::planning;
use crate::rehearsed::Rehearsed;
use crate::view::{count, local};
use crate::wiring::Site;
use clap::Args;
use ostler_engine::run::load;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::Cloud;
use ostler_model::ids::ServiceName;
use ostler_model::inventory::{INVENTORY_FORMAT, Inventory};
use ostler_model::limits::STORED_BODY_BYTES_MAX;
use ostler_model::plan::{Plan, Purpose};
use ostler_sim::rehearse::{Rehearsal, SEEDS_MAX, Stage, faults, rehearse as tell};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Steps that are named as those where trouble cost most.
const STEPS_SHOWN: usize = 5;

/// See how a plan ends when nodes die, links are cut and commands fail; changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "It runs the plan on a copy of the cloud as it was last seen, with one to three faults each time. In a
quarter of the rehearsals the operator who is called takes the upgrade back; in the others they mend and go on.

Examples:
  ostler rehearse last                        the plan of the last run
  ostler rehearse 9f3c11d2 --seeds 5000       a plan by the beginning of its hash
  ostler rehearse last --fault 'power cut'    one kind of fault only"
)]
pub struct Rehearse {
    /// The plan, by its hash or the beginning of it; or a run, or `last`, for its plan.
    #[arg(value_name = "PLAN|RUN")]
    what: String,
    /// How many rehearsals.
    #[arg(long, default_value_t = 1_000, allow_negative_numbers = true, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// The first seed: the same seeds tell the same stories.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from_seed: u64,
    /// Only this kind of fault.
    #[arg(long, value_name = "KIND")]
    fault: Option<String>,
    /// The cloud as an earlier `ostler cloud scan --format json` saw it, instead of the last look.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
}

pub(super) async fn rehearse(context: &Context, typed: Rehearse) -> Result<Exit, Failure> {
    let fault = typed.fault.as_deref().map(known_fault).transpose()?;
    let site = Site::open(context).await?;
    let store = site.seams.store.as_ref();
    let plan = match planning::kept(store, &typed.what).await {
        Ok(plan) => plan,
        Err(no_plan) => match super::run::named(store, &typed.what).await {
            Ok(run) => load(store, &run).await?.plan.as_ref().clone(),
            Err(no_run) if typed.what == "last" => return Err(no_run),
            Err(_) => return Err(no_plan.hint("or name a run: `ostler run list` shows them")),
        },
    };
    let Purpose::Upgrade { service, .. } = &plan.body.purpose else {
        return Err(Failure::usage(format!("plan {} is a way back: {}", plan.id.short(), plan.body.purpose))
            .hint("rehearse the upgrade: a quarter of its rehearsals go that way back"));
    };
    let declared = site.cloud.cloud.clone();
    if plan.body.cloud != declared.name {
        return Err(Failure::usage(format!("plan {} is for cloud {}", plan.id.short(), plan.body.cloud))
            .hint(format!("name it: `--cloud {}`", plan.body.cloud)));
    }
    let seen = match &typed.inventory {
        Some(path) => read(path)?,
        None => store.inventory(&declared.name).await?.ok_or_else(|| {
            Failure::usage(format!("cloud {} was never looked at", declared.name))
                .hint("look at it: `ostler cloud scan`")
        })?,
    };
    let service = service.clone();
    let stage = Copy { declared, seen, catalogue: Arc::clone(&site.catalogue), service, plan, fault };
    let rehearsal = stage.all(typed.from_seed, typed.seeds).await?;
    let now = site.seams.clock.now();
    Rehearsed::of(&rehearsal, fault, now).keep(site.seams.store.as_ref(), &stage.plan.id).await?;
    if context.printer.is_json() {
        context.printer.json(&to_json(&stage.plan, &rehearsal))?;
    } else {
        context.printer.text(&page(&stage, &rehearsal))?;
    }
    Ok(if rehearsal.defects == 0 { Exit::Done } else { Exit::Errors })
}

fn known_fault(typed: &str) -> Result<&'static str, Failure> {
    let known = faults();
    known.iter().find(|kind| **kind == typed).copied().ok_or_else(|| {
        Failure::usage(format!("there is no kind of fault `{typed}`"))
            .hint(format!("there are: {}", known.join(", ")))
    })
}

/// An inventory from a file, as `ostler cloud scan --format json` wrote it.
fn read(path: &Path) -> Result<Inventory, Failure> {
    let wrong = |what: String| {
        Failure::usage(format!("{}: {what}", path.display()))
            .hint("make it with this ostler: `ostler cloud scan --format json > FILE`")
    };
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > STORED_BODY_BYTES_MAX as u64 {
        return Err(wrong(format!("it has {size} bytes, more than an inventory has")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("line {}, column {}: {error}", error.line(), error.column())))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format > u64::from(INVENTORY_FORMAT) => {
            return Err(wrong(format!(
                "it has format {format}, this ostler reads up to {INVENTORY_FORMAT}: a newer ostler wrote it"
            )));
        }
        Some(_) => {}
        None => return Err(wrong("it is no inventory: it has no `format`".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| wrong(format!("it is no whole inventory: {error}")))
}

struct Copy {
    declared: Cloud,
    seen: Inventory,
    catalogue: Arc<Catalogue>,
    service: ServiceName,
    plan: Plan,
    fault: Option<&'static str>,
}

impl Copy {
    /// All rehearsals, on as many threads as there are cores. Each has its own clock, so they share nothing.
    async fn all(&self, from: u64, count: u64) -> Result<Rehearsal, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64).min(count);
        let share = count.div_ceil(threads.max(1));
        let mut working = Vec::new();
        let end = from.saturating_add(count);
        let mut first = from;
        while first < end {
            let seeds = first..end.min(first.saturating_add(share));
            first = seeds.end;
            let copy = Copy {
                declared: self.declared.clone(),
                seen: self.seen.clone(),
                catalogue: Arc::clone(&self.catalogue),
                service: self.service.clone(),
                plan: self.plan.clone(),
                fault: self.fault,
            };
            working.push(tokio::task::spawn_blocking(move || copy.some(seeds)));
        }
        let mut all = Rehearsal::default();
        for part in working {
            let part =
                part.await.map_err(|error| Failure::failed(format!("a rehearsal broke off: {error}")))?;
            all = all.join(part.ok_or_else(|| {
                Failure::usage(format!("the catalogue does not say how {} is installed there", self.service))
            })?);
        }
        Ok(all)
    }

    fn some(&self, seeds: std::ops::Range<u64>) -> Option<Rehearsal> {
        let service = self.catalogue.services.get(&self.service)?;
        let stage = Stage {
            declared: &self.declared,
            seen: &self.seen,
            catalogue: &self.catalogue,
            service,
            plan: &self.plan,
            fault: self.fault,
        };
        tell(&stage, seeds)
    }
}

fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}

fn page(copy: &Copy, seen: &Rehearsal) -> String {
    use std::fmt::Write;
    let plan = &copy.plan;
    let mut text = format!(
        "{} of plan {} ({}), on a copy of {} as seen {}\n",
        count(seen.tellings as usize, "rehearsal"),
        plan.id.short(),
        plan.body.purpose,
        copy.declared.name,
        local(copy.seen.taken)
    );
    for line in &seen.assumed {
        let _ = writeln!(text, "  assumed: {line}");
    }
    let _ = writeln!(text, "\nHow it ended");
    let row =
        |label: &str, number: u64| format!("  {label:<44}{number:>7}  {}\n", percent(number, seen.tellings));
    text.push_str(&row("finished without anybody's help", seen.by_itself));
    text.push_str(&row("finished after a person had come", seen.with_a_person));
    text.push_str(&row("taken back by the person who came", seen.rolled_back));
    if seen.defects > 0 {
        text.push_str(&row("broke a rule: a defect of Ostler's", seen.defects));
    }
    let api = &copy.service;
    let (half, most, worst) = (
        Rehearsal::percentile(&seen.outages_ms, 50),
        Rehearsal::percentile(&seen.outages_ms, 95),
        Rehearsal::percentile(&seen.outages_ms, 100),
    );
    let _ = writeln!(text, "\nLongest time without an answer");
    let _ = writeln!(
        text,
        "  {api}: {} in half of them, {} in 95 %, {} at worst",
        words(half),
        words(most),
        words(worst)
    );
    let (half, most) = (Rehearsal::percentile(&seen.took_ms, 50), Rehearsal::percentile(&seen.took_ms, 95));
    let _ = writeln!(text, "\nDuration (steps as long as expected, waits for a person included)");
    let _ = writeln!(text, "  {} in half of them, {} in 95 %", words(half), words(most));
    let mut steps: Vec<_> = seen.trouble_at.iter().collect();
    steps.sort_by_key(|(step, times)| (std::cmp::Reverse(**times), step.as_str()));
    if !steps.is_empty() {
        let _ = writeln!(text, "\nWhere a person was called first");
        for (step, times) in steps.iter().take(STEPS_SHOWN) {
            let _ = writeln!(text, "  {step:<44}{times:>7}");
        }
    }
    let _ = writeln!(text, "\nThe worst");
    for (seed, outage, asked, troubles) in &seen.worst {
        let _ = writeln!(
            text,
            "  seed {seed}: {} without an answer, a person called {}",
            words(*outage),
            count(*asked as usize, "time")
        );
        for trouble in troubles {
            let _ = writeln!(text, "    {trouble}");
        }
    }
    text
}

fn to_json(plan: &Plan, seen: &Rehearsal) -> serde_json::Value {
    let worst: Vec<_> = seen
        .worst
        .iter()
        .map(|(seed, outage, asked, troubles)| json!({ "seed": seed, "outage_ms": outage, "asked": asked, "troubles": troubles }))
        .collect();
    let outage = |percent| Rehearsal::percentile(&seen.outages_ms, percent);
    let took = |percent| Rehearsal::percentile(&seen.took_ms, percent);
    json!({
        "plan": plan.id.as_str(),
        "rehearsals": seen.tellings,
        "finished_by_itself": seen.by_itself,
        "finished_with_a_person": seen.with_a_person,
        "rolled_back": seen.rolled_back,
        "defects": seen.defects,
        "outage_ms": { "p50": outage(50), "p95": outage(95), "max": outage(100) },
        "took_ms": { "p50": took(50), "p95": took(95), "max": took(100) },
        "asked_at": seen.trouble_at,
        "worst": worst,
        "assumed": seen.assumed,
    })
}
