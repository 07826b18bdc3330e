//! Gets plans made: looks at the cloud, gathers what a wish needs, lets the engine plan and lint, keeps the plan.
//!
//! Which plan it is, and whether there is one, is the engine's word.

use crate::failure::{Failure, Kind};
use crate::rehearsed::Rehearsed;
use crate::settings::closest;
use crate::survey;
use crate::view::local;
use crate::wiring::Site;
use ostler_engine::plan::{
    Choice, Estimates, Planned, Refused, RefusedKind, Scene, Schedule, Wish, basis, lint, look_at,
    rollback as plan_rollback, schedule, upgrade as plan_upgrade,
};
use ostler_engine::run::{Run, Status, load};
use ostler_engine::seam::Store;
use ostler_model::Timestamp;
use ostler_model::canary::Suite;
use ostler_model::catalogue::Service;
use ostler_model::check::{Finding, Severity};
use ostler_model::event::Why;
use ostler_model::ids::{HostName, PlanId, ServiceName};
use ostler_model::inventory::{INVENTORY_FORMAT, Inventory};
use ostler_model::plan::{Plan, Purpose, Report, Strategy};
use ostler_model::release::Series;
use ostler_model::step::Does;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Earlier runs that expectations are taken from.
const RUNS_LEARNT_FROM: u32 = 20;

/// Plans among which a shortened hash is looked up.
const PLANS_SEARCHED: u32 = 1_000;

/// Characters of a hash that name a plan.
const HASH_CHARACTERS_MIN: usize = 6;

/// What a person wants.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The service.
    pub service: ServiceName,
    /// The release.
    pub to: Series,
    /// The way, unless the planner shall choose.
    pub strategy: Option<Strategy>,
    /// How long all must be quiet before what cannot be taken back, in seconds.
    pub soak_s: u32,
    /// Whether everything is asked again and again, and logs are read, after each change.
    pub function_check: bool,
    /// What a user does and is tried before the first change and before what cannot be taken back.
    pub canary: Option<Suite>,
}

/// A plan that is offered for approval.
pub struct Offer {
    /// The plan.
    pub plan: Plan,
    /// Why it is as it is.
    pub report: Report,
    /// Its expected course.
    pub schedule: Schedule,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// What it was made from.
    pub seen: Inventory,
    /// What its last rehearsal came to.
    pub rehearsed: Option<Rehearsed>,
}

impl Offer {
    /// What is offered when a plan was made from this.
    pub fn of(planned: Planned, seen: Inventory) -> Offer {
        let Planned { plan, report } = planned;
        Offer { schedule: schedule(&plan), findings: lint(&plan), plan, report, seen, rehearsed: None }
    }

    /// What is offered of a plan that was made from the compute side only.
    pub fn of_compute(planned: Planned, taken: Timestamp) -> Offer {
        let cloud = planned.plan.body.cloud.clone();
        let seen =
            Inventory { format: INVENTORY_FORMAT, cloud, taken, nodes: BTreeMap::new(), gaps: Vec::new() };
        Offer::of(planned, seen)
    }

    /// Refuses what must never run: a plan with errors, or a cloud that is not well.
    pub fn may_run(&self) -> Result<(), Failure> {
        if let Some(failure) = errors("plan-lint", "the plan breaks a rule of safety", &self.findings) {
            return Err(failure.hint("this is a defect of ostler or of a catalogue page: please report it"));
        }
        match self.report.findings.iter().find(|finding| finding.severity == Severity::Error) {
            None => Ok(()),
            Some(first) => match errors(&first.check, &first.summary, &self.report.findings) {
                Some(failure) => {
                    Err(failure.hint("nothing was changed; look again with `ostler cloud check`"))
                }
                None => Ok(()),
            },
        }
    }
}

fn errors(guard: &str, summary: &str, findings: &[Finding]) -> Option<Failure> {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    if bad.is_empty() {
        return None;
    }
    let mut failure = Failure::refused(guard, summary);
    for finding in bad {
        if finding.summary != summary {
            failure = failure.evidence(format!("{}: {}", finding.check, finding.summary));
        }
        failure = failure.evidences(finding.evidence.iter().cloned()).maybe_hint(finding.hint.clone());
    }
    Some(failure)
}

/// Plans an upgrade from a fresh look at the cloud, and keeps the plan.
pub async fn upgrade(site: &Site, ask: &Ask) -> Result<Offer, Failure> {
    let seen = survey::fresh(site).await?;
    upgrade_from(site, ask, seen).await
}

/// Plans an upgrade from what was just seen, and keeps the plan.
pub async fn upgrade_from(site: &Site, ask: &Ask, seen: Inventory) -> Result<Offer, Failure> {
    let estimates = estimates(site.seams.store.as_ref()).await?;
    let scene =
        Scene { cloud: &site.cloud.cloud, catalogue: &site.catalogue, seen: &seen, estimates: &estimates };
    let mut wish = Wish {
        service: ask.service.clone(),
        to: ask.to,
        strategy: ask.strategy,
        soak_s: ask.soak_s,
        packages: BTreeMap::new(),
        ask_before_final: true,
        function_check: ask.function_check,
        canary: ask.canary,
    };
    let there = look_at(&scene, &ask.service)?;
    let (service, packages) = (there.service, there.installed.packages.clone());
    let present = there.releases.values().flatten().min().copied();
    let hosts = there.hosts.clone();
    let offered = offered(site, &hosts, ask.to, &packages).await;
    if let Ok(offered) = &offered {
        wish.packages = newest(service, ask.to, offered);
    }
    let planned = match (plan_upgrade(&wish, &scene), offered) {
        // An illegal hop is the better answer than a package source that lacks it.
        (Err(Refused { kind: RefusedKind::Guard("package-source"), .. }), Err(failure)) => {
            return Err(failure);
        }
        (Err(refused), _) => return Err(refused.into()),
        (Ok(planned), _) => planned,
    };
    let mut planned = planned;
    if let Some(caution) = way_back(site, &there.versions, present, &packages, &hosts).await {
        planned.plan = with_caution(planned.plan, caution)?;
    }
    site.seams.store.keep_plan(&planned.plan).await?;
    Ok(Offer::of(planned, seen))
}

/// Plans the way back from a run from a fresh look at the cloud, and keeps the plan.
pub async fn rollback(site: &Site, run: &Run, choice: &Choice) -> Result<Offer, Failure> {
    let seen = survey::fresh(site).await?;
    let estimates = estimates(site.seams.store.as_ref()).await?;
    let scene =
        Scene { cloud: &site.cloud.cloud, catalogue: &site.catalogue, seen: &seen, estimates: &estimates };
    let planned = plan_rollback(run, choice, &scene)?;
    site.seams.store.keep_plan(&planned.plan).await?;
    Ok(Offer::of(planned, seen))
}

/// An offer of a plan that was kept, as the cloud is now. `Err` with the new offer: the cloud has changed since.
pub async fn again(site: &Site, plan: Plan) -> Result<Result<Offer, Box<Offer>>, Failure> {
    let Purpose::Upgrade { service, to, strategy, .. } = &plan.body.purpose else {
        return Err(Failure::usage(format!("plan {} is the way back from a run", plan.id.short()))
            .hint("plan it anew: `ostler run rollback RUN`"));
    };
    if plan.body.cloud != site.cloud.cloud.name {
        return Err(Failure::usage(format!(
            "plan {} is for cloud {}, not for {}",
            plan.id.short(),
            plan.body.cloud,
            site.cloud.cloud.name
        ))
        .hint(format!("name it: `--cloud {}`", plan.body.cloud)));
    }
    let strategy = *strategy;
    let steps = || plan.body.steps.iter().map(|step| &step.does);
    let ask = Ask {
        service: service.clone(),
        to: *to,
        strategy: Some(strategy),
        soak_s: soak_of(&plan, site.cloud.soak_s),
        function_check: steps().any(|does| matches!(does, Does::FunctionCheck { .. })),
        canary: steps().find_map(|does| match does {
            Does::Canary { suite, .. } => Some(*suite),
            _ => None,
        }),
    };
    let seen = survey::fresh(site).await?;
    let estimates = Estimates::default();
    let scene =
        Scene { cloud: &site.cloud.cloud, catalogue: &site.catalogue, seen: &seen, estimates: &estimates };
    let now = basis(&scene, &look_at(&scene, &ask.service)?);
    let is_same = now == plan.body.basis;
    let mut offer = upgrade_from(site, &ask, seen).await?;
    if !is_same {
        return Ok(Err(Box::new(offer)));
    }
    // The plan stays what was approved; what preflight says comes from the fresh look.
    offer.schedule = schedule(&plan);
    offer.findings = lint(&plan);
    // Why it was chosen stood in the preview that was approved.
    let asked_for = format!("{strategy}: asked for");
    for decision in offer.report.decisions.iter_mut().filter(|decision| **decision == asked_for) {
        *decision = format!("{strategy}: as planned on {}", local(plan.body.seen));
    }
    offer.rehearsed = Rehearsed::last(site.seams.store.as_ref(), &plan.id).await?;
    offer.plan = plan;
    Ok(Ok(offer))
}

/// The quiet time that a plan asks for.
fn soak_of(plan: &Plan, otherwise: u32) -> u32 {
    use ostler_model::step::Gate;
    let quiet = |step: &ostler_model::step::Step| match &step.gate {
        Some(Gate::Quiet { for_s, .. }) => Some(*for_s),
        _ => None,
    };
    plan.body.steps.iter().find_map(quiet).unwrap_or(otherwise)
}

/// A plan that was kept, by the beginning of its hash.
pub async fn kept(store: &dyn Store, hash: &str) -> Result<Plan, Failure> {
    let unknown = || {
        Failure::usage(format!("there is no plan {hash}"))
            .hint("make one: `ostler upgrade plan --to RELEASE`")
    };
    if hash.len() < HASH_CHARACTERS_MIN {
        return Err(Failure::usage(format!("`{hash}` is too short for a plan's hash"))
            .hint(format!("give at least {HASH_CHARACTERS_MIN} characters")));
    }
    let hash_lower = hash.to_lowercase();
    let mut named: Vec<PlanId> = store.plans(PLANS_SEARCHED).await?.into_iter().map(|(id, _)| id).collect();
    named.retain(|id| id.as_str().starts_with(&hash_lower));
    named.dedup();
    let id = match named.as_slice() {
        [one] => one.clone(),
        [] => PlanId::new(hash_lower),
        _ => {
            return Err(
                Failure::usage(format!("several plans begin with {hash}")).hint("give more characters")
            );
        }
    };
    let plan = store.plan(&id).await?.ok_or_else(unknown)?;
    if !plan.is_intact() {
        return Err(Failure::refused(
            "plan-intact",
            format!("the stored plan {} is not what its hash says", id.short()),
        )
        .hint("it was damaged or edited: plan anew"));
    }
    Ok(Arc::unwrap_or_clone(plan))
}

/// How long verbs took in earlier runs: the median.
pub async fn estimates(store: &dyn Store) -> Result<Estimates, Failure> {
    let mut took: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for id in store.runs(RUNS_LEARNT_FROM).await? {
        // A run that cannot be read teaches nothing.
        let Ok(run) = load(store, &id).await else { continue };
        for (step, state) in run.plan.body.steps.iter().zip(&run.steps) {
            if let (Status::Done, Some(began), Some(ended)) = (state.status, state.began, state.ended) {
                let ms = crate::view::between(began, ended);
                took.entry(step.does.name().to_owned()).or_default().push(ms);
            }
        }
    }
    Ok(Estimates(took.into_iter().filter_map(|(verb, times)| Some((verb, median(times)?))).collect()))
}

fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// What the package source of a release offers, as the first node that can say sees it.
async fn offered(
    site: &Site,
    hosts: &[HostName],
    release: Series,
    packages: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let source = site.cloud.cloud.package_source.replace("{release}", &release.to_string());
    let mut first = None;
    for host in hosts {
        match site.seams.nodes.available(host, &source, packages).await {
            Ok(offered) => return Ok(offered),
            Err(why) => {
                first.get_or_insert(why);
            }
        }
    }
    let why =
        first.unwrap_or_else(|| Why::new(format!("no node could be asked for the packages of {release}")));
    Err(Failure::because(Kind::Refused("package-source".to_owned()), &why)
        .evidence(format!("asked on: {}", hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", "))))
}

/// The newest offered version of each package that belongs to a release. The first package carries the service's
/// version; the others have their own numbers.
fn newest(
    service: &Service,
    release: Series,
    offered: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, String> {
    let main: Vec<&String> =
        service.flavours.values().flat_map(|installed| installed.packages.first()).collect();
    offered
        .iter()
        .filter_map(|(name, versions)| {
            let fits =
                |version: &&String| !main.contains(&name) || service.series_of(version) == Some(release);
            Some((name.clone(), versions.iter().find(fits)?.clone()))
        })
        .collect()
}

/// What an operator should know if the packages that run now can no longer be had.
async fn way_back(
    site: &Site,
    versions: &BTreeMap<HostName, BTreeMap<String, String>>,
    present: Option<Series>,
    packages: &[String],
    hosts: &[HostName],
) -> Option<String> {
    let present = present?;
    let offered = match offered(site, hosts, present, packages).await {
        Ok(offered) => offered,
        Err(failure) => {
            return Some(format!(
                "the package source of {present} cannot be read ({}): a rollback could not install what runs now",
                failure.error
            ));
        }
    };
    let missing: Vec<String> = versions
        .iter()
        .flat_map(|(host, here)| here.iter().map(move |(package, version)| (host, package, version)))
        .filter(|(_, package, version)| !offered.get(*package).is_some_and(|all| all.contains(version)))
        .map(|(host, package, version)| format!("{package} {version} of {host}"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the package source of {present} no longer offers {}: a rollback could not install it",
            missing.join(", ")
        )
    })
}

fn with_caution(plan: Plan, caution: String) -> Result<Plan, Failure> {
    let mut body = plan.body;
    body.cautions.push(caution);
    Plan::seal(body).map_err(|error| Failure::failed(error.to_string()))
}

/// The release that was typed, by its series or its name.
pub fn release(site: &Site, typed: &str) -> Result<Series, Failure> {
    let releases = &site.catalogue.releases;
    let by_name = releases
        .values()
        .find(|release| release.name.eq_ignore_ascii_case(typed))
        .map(|release| release.series);
    let by_series = typed.parse::<Series>().ok().filter(|series| releases.contains_key(series));
    if let Some(series) = by_series.or(by_name) {
        return Ok(series);
    }
    let known: Vec<String> = releases.keys().map(Series::to_string).collect();
    let names = releases.values().map(|release| release.name.as_str());
    let meant = closest(typed, known.iter().map(String::as_str).chain(names));
    Err(Failure::usage(format!("there is no release `{typed}`"))
        .maybe_hint(meant.map(|name| format!("did you mean `{name}`?")))
        .hint(format!("known are: {}", known.join(", "))))
}

/// The service that was typed, or the only one there is.
pub fn service(site: &Site, typed: Option<&str>) -> Result<ServiceName, Failure> {
    let known: Vec<&str> = site.catalogue.services.keys().map(ServiceName::as_str).collect();
    let there_are = format!("the catalogue has: {}", known.join(", "));
    match (typed, known.as_slice()) {
        (Some(name), _) if known.contains(&name) => Ok(ServiceName::new(name)),
        (Some(name), _) => Err(Failure::usage(format!("there is no service `{name}`"))
            .maybe_hint(closest(name, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?")))
            .hint(there_are)),
        (None, [only]) => Ok(ServiceName::new(*only)),
        (None, _) => Err(Failure::usage("it is not clear which service is meant")
            .hint(there_are)
            .hint("name it: `--only SERVICE`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::catalogue::Catalogue;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn the_newest_version_of_the_wanted_release_is_taken() {
        let catalogue = Catalogue::embedded().unwrap();
        let service = catalogue.services.values().next().unwrap();
        let package = service.flavours.values().next().unwrap().packages[0].clone();
        let versions = ["27.1.0", "27.0.0", "25.0.0"].map(str::to_owned).to_vec();
        let offered = BTreeMap::from([(package.clone(), versions)]);
        let series = |text: &str| text.parse::<Series>().unwrap();
        assert_eq!(newest(service, series("2025.1"), &offered)[&package], "27.1.0");
        assert_eq!(newest(service, series("2024.1"), &offered)[&package], "25.0.0");
        assert!(newest(service, series("2026.1"), &offered).is_empty());
    }
}
