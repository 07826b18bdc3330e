//! Plans an upgrade: whether the hop is allowed, by which strategy, and with what an operator should know.
//!
//! The strategies themselves are in files of their own. Nothing here depends on which service it is.

use super::scene::{ServiceSeen, basis, join, look_at};
use super::steps::Maker;
use super::{Planned, Refused, RefusedKind, Scene, minimal, offline, preflight, zero};
use crate::check::judge;
use ostler_model::canary::Suite;
use ostler_model::catalogue::{ServiceRelease, sorted};
use ostler_model::event::Why;
use ostler_model::ids::ServiceName;
use ostler_model::plan::{
    HeldBack, PLAN_FORMAT_FIRST, PLAN_FORMAT_FOURTH, PLAN_FORMAT_THIRD, Plan, PlanBody, Purpose, Report,
    Strategy,
};
use ostler_model::release::Series;
use ostler_model::step::ConfigEdit;
use std::collections::{BTreeMap, BTreeSet};

/// Database members below which none can be set aside: the rest must keep a majority.
const MEMBERS_TO_ISOLATE: usize = 3;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which service.
    pub service: ServiceName,
    /// Where to.
    pub to: Series,
    /// By which way; none lets the planner choose.
    pub strategy: Option<Strategy>,
    /// How long all must be quiet before what cannot be taken back.
    pub soak_s: u32,
    /// The upstream version of each package in the target's source.
    pub packages: BTreeMap<String, String>,
    /// Whether a person is asked before what cannot be taken back.
    pub ask_before_final: bool,
    /// Whether everything is asked again and again, and logs are read, after each change.
    pub function_check: bool,
    /// What a user does and is tried before the first change and before what cannot be taken back, if anything is.
    pub canary: Option<Suite>,
}

/// Everything that a strategy needs to lay out its steps.
pub(super) struct Hop<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) seen: &'a ServiceSeen<'a>,
    pub(super) from: &'a ServiceRelease,
    pub(super) to: &'a ServiceRelease,
    pub(super) wish: &'a Wish,
    /// Heads of the database now.
    pub(super) heads: Vec<String>,
    /// Changes in the main configuration file.
    pub(super) edits: Vec<ConfigEdit>,
}

impl Hop<'_> {
    /// The package source of a release.
    pub(super) fn source(&self, series: Series) -> String {
        self.scene.cloud.package_source.replace("{release}", &series.to_string())
    }

    /// Heads after the expand, when the contract has not run.
    pub(super) fn expanded(&self) -> Vec<String> {
        sorted([self.to.expand.clone(), self.from.contract.clone()])
    }

    /// Whether the expand has something to do.
    pub(super) fn needs_expand(&self) -> bool {
        !self.heads.contains(&self.to.expand)
    }

    /// Whether the contract has something to do.
    pub(super) fn needs_contract(&self) -> bool {
        self.to.contract != self.from.contract
    }

    /// Whether the database changes at all.
    pub(super) fn changes_schema(&self) -> bool {
        self.needs_expand() || self.needs_contract()
    }
}

/// Plans an upgrade.
pub fn upgrade(wish: &Wish, scene: &Scene<'_>) -> Result<Planned, Refused> {
    let seen = look_at(scene, &wish.service)?;
    let from = present_release(&seen)?;
    let allowed = hop_allowed(scene, &seen, from, wish.to)?;
    let (from, to) = allowed;
    let heads = database_fits(&seen, from, to)?;
    if let Some(missing) = seen.installed.packages.iter().find(|name| !wish.packages.contains_key(*name)) {
        return Err(Refused::guard(
            "package-source",
            Why::new(format!("the package source of {} does not offer {missing}", to.series))
                .hint("publish the release there, or mend packages.source in ostler.toml"),
        ));
    }
    let edits = edits(&seen, from.series, to.series);
    let hop = Hop { scene: *scene, seen: &seen, from, to, wish, heads, edits };
    let mut report = Report { nodes: seen.hosts.clone(), ..Report::default() };
    let strategy = choose(&hop, &mut report)?;

    let mut maker = Maker::new(*scene, &seen);
    match strategy {
        Strategy::ZeroDowntime => zero::lay_out(&hop, &mut maker, &mut report),
        Strategy::MinimalDowntime => minimal::lay_out(&hop, &mut maker, &mut report),
        Strategy::Offline => offline::lay_out(&hop, &mut maker, &mut report),
    }
    let checks = preflight(scene.cloud, &seen, std::slice::from_ref(&hop.heads));
    report.findings = checks.iter().map(|check| judge(check, scene.seen)).collect();
    if hop.edits.is_empty() {
        report.held_back.push(HeldBack {
            what: "configuration is left as it is".into(),
            why: format!("no option that is set needs a change between {} and {}", from.series, to.series),
        });
    }
    let purpose =
        Purpose::Upgrade { service: wish.service.clone(), from: from.series, to: to.series, strategy };
    let body = PlanBody {
        format: match (wish.canary, wish.function_check) {
            (Some(_), _) => PLAN_FORMAT_FOURTH,
            (None, true) => PLAN_FORMAT_THIRD,
            (None, false) => PLAN_FORMAT_FIRST,
        },
        parent: None,
        cloud: scene.cloud.name.clone(),
        purpose,
        seen: scene.seen.taken,
        basis: basis(scene, &seen),
        budgets: maker.budgets(),
        waves: maker.waves,
        steps: maker.steps,
        cautions: cautions(&hop),
    };
    let plan = Plan::seal(body).map_err(|error| Refused::usage(Why::new(error.to_string())))?;
    Ok(Planned { plan, report })
}

/// The one release that all nodes run.
fn present_release(seen: &ServiceSeen<'_>) -> Result<Series, Refused> {
    let name = &seen.service.name;
    let mut found: BTreeMap<Series, Vec<_>> = BTreeMap::new();
    for (host, release) in &seen.releases {
        let Some(release) = release else {
            let version = seen.versions[host].values().next().map_or("?", String::as_str);
            return Err(Refused::guard(
                "known-release",
                Why::new(format!(
                    "{host} has {name} {version}, which is of no release that the catalogue knows"
                ))
                .hint("add the release to the site's catalogue (catalogue.directory in ostler.toml)"),
            ));
        };
        found.entry(*release).or_default().push(host.clone());
    }
    if found.len() > 1 {
        let mixed: Vec<String> =
            found.iter().map(|(release, hosts)| format!("{release} on {}", join(hosts))).collect();
        return Err(Refused::guard(
            "one-release",
            Why::new(format!("{name} runs {}", mixed.join(", "))).hint(
                "an earlier upgrade stopped half-way: `ostler run list`, then resume it or roll it back",
            ),
        ));
    }
    found
        .into_keys()
        .next()
        .ok_or_else(|| Refused::guard("service-present", Why::new(format!("no node runs {name}"))))
}

fn hop_allowed<'a>(
    scene: &Scene<'a>,
    seen: &ServiceSeen<'a>,
    from: Series,
    to: Series,
) -> Result<(&'a ServiceRelease, &'a ServiceRelease), Refused> {
    let name = &seen.service.name;
    let known: Vec<String> = seen.service.releases.iter().map(|release| release.series.to_string()).collect();
    let target = seen.service.release(to).ok_or_else(|| {
        Refused::usage(
            Why::new(format!("the catalogue knows no release {to} of {name}"))
                .hint(format!("it knows: {}", known.join(", "))),
        )
    })?;
    let present = seen.service.release(from).ok_or_else(|| {
        Refused::usage(Why::new(format!("the catalogue knows no release {from} of {name}")))
    })?;
    if to == from {
        let why = Why::new(format!("{name} is already at {to} on every node"));
        return Err(Refused { kind: RefusedKind::Nothing, why });
    }
    if to < from {
        return Err(Refused::guard(
            "legal-hop",
            Why::new(format!("{name} is at {from}: no schema goes back to {to}"))
                .hint("`ostler run rollback RUN` takes the upgrade back that led here"),
        ));
    }
    if !scene.catalogue.next_releases(from).contains(&to) {
        let path = scene.catalogue.path(from, to).unwrap_or_default();
        let path: Vec<String> = std::iter::once(from).chain(path).map(|series| series.to_string()).collect();
        let first = path.get(1).cloned().unwrap_or_default();
        return Err(Refused::guard(
            "legal-hop",
            Why::new(format!(
                "{from} -> {to} is not a supported hop: only to the next release, or from SLURP to SLURP"
            ))
            .hint(format!("go {}; begin with `--to {first}`", path.join(" -> "))),
        ));
    }
    Ok((present, target))
}

/// The heads now, if they are those of the present release or of an expand to the wanted one.
fn database_fits(
    seen: &ServiceSeen<'_>,
    from: &ServiceRelease,
    to: &ServiceRelease,
) -> Result<Vec<String>, Refused> {
    let database = &seen.service.database.name;
    let Some(heads) = &seen.heads else {
        return Err(Refused::guard(
            "schema-heads",
            Why::new(format!("the schema heads of database {database} could not be read on any node"))
                .hint("`ostler cloud scan` says why"),
        ));
    };
    let expanded = sorted([to.expand.clone(), from.contract.clone()]);
    if from.any_heads().contains(heads) || *heads == expanded {
        return Ok(heads.clone());
    }
    let found = if heads.is_empty() { "none".to_owned() } else { heads.join(" + ") };
    let owners: Vec<Series> = seen
        .service
        .releases
        .iter()
        .filter(|release| release.any_heads().contains(heads))
        .map(|release| release.series)
        .collect();
    let whose = match (owners.first(), owners.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(only), _) => only.to_string(),
        _ => String::new(),
    };
    let why = match owners.first() {
        Some(owner) if *owner > from.series => Why::new(format!(
            "the schema of {database} ({found}) is that of {whose}, newer than the code ({})",
            from.series
        ))
        .hint("an upgrade was taken back only half: upgrade the code to that release, or restore the database"),
        Some(_) => Why::new(format!(
            "the schema of {database} ({found}) is that of {whose}, older than the code ({})",
            from.series
        ))
        .hint("a schema change of an earlier upgrade is missing: finish it with the service's own command first"),
        None => Why::new(format!(
            "the schema heads of {database} ({found}) belong to no release that the catalogue knows; {} has {}",
            from.series,
            from.heads().join(" + ")
        ))
        .hint("a migration stopped half-way, or somebody else's revision is in it: compare with a backup before going on"),
    };
    Err(Refused::guard("schema-heads", why))
}

/// Changes of every release on the way, not only of the last: a mark may exist only in between.
fn edits(seen: &ServiceSeen<'_>, from: Series, to: Series) -> Vec<ConfigEdit> {
    let way = seen.service.releases.iter().filter(|release| release.series > from && release.series <= to);
    way.flat_map(|release| release.config.iter().cloned()).collect()
}

fn cautions(hop: &Hop<'_>) -> Vec<String> {
    let (from, to) = (hop.from.series, hop.to.series);
    let way =
        hop.seen.service.releases.iter().filter(|release| release.series > from && release.series <= to);
    let mut cautions: Vec<String> = way
        .flat_map(|release| release.cautions.iter().map(move |text| format!("{}: {text}", release.series)))
        .collect();
    let main = &hop.seen.service.config.main;
    let files: Vec<_> = hop
        .seen
        .hosts
        .iter()
        .filter_map(|host| Some((host, hop.scene.seen.fresh(host)?.files.get(main)?)))
        .collect();
    let digests: BTreeSet<&str> = files.iter().map(|(_, file)| file.sha256.as_str()).collect();
    if digests.len() > 1 {
        cautions.push(format!(
            "{main} is not the same on all nodes: each node keeps its own, and the package's version is not taken"
        ));
    }
    if hop.seen.hosts.len() < 2 {
        cautions.push("only one node has the service: it is down while that node changes".into());
    }
    cautions
}

/// The wanted strategy if it is possible, else the best that is.
fn choose(hop: &Hop<'_>, report: &mut Report) -> Result<Strategy, Refused> {
    let (wish, seen) = (hop.wish, hop.seen);
    let zero = if hop.to.expand_is_destructive {
        Err(format!("the expand of {} breaks servers of {}", hop.to.series, hop.from.series))
    } else if seen.hosts.len() < 2 {
        Err("only one node has the service, so none can serve while it changes".to_owned())
    } else if seen.proxies.is_empty() {
        Err("no load balancer was seen, so no server can be drained".to_owned())
    } else {
        Ok(())
    };
    let minimal = if seen.members.len() < MEMBERS_TO_ISOLATE {
        let have = seen.members.len();
        Err(format!(
            "the database cluster has {have} members: one can be set aside only if {} remain a majority, with {MEMBERS_TO_ISOLATE}",
            MEMBERS_TO_ISOLATE - 1
        ))
    } else if seen.hosts.len() < 2 || seen.proxies.is_empty() {
        Err("it needs a second node and a load balancer".to_owned())
    } else if !seen.hosts.iter().any(|host| seen.members.contains(host)) {
        Err("no node has both the service and a database member".to_owned())
    } else {
        Ok(())
    };
    let possible = |strategy: Strategy| match strategy {
        Strategy::ZeroDowntime => zero.clone(),
        Strategy::MinimalDowntime => minimal.clone(),
        Strategy::Offline => Ok(()),
    };
    if let Some(strategy) = wish.strategy {
        return match possible(strategy) {
            Ok(()) => {
                report.decisions.push(format!("{strategy}: asked for"));
                Ok(strategy)
            }
            Err(because) => Err(Refused::guard(
                "strategy-possible",
                Why::new(format!("{strategy} is not possible here: {because}"))
                    .hint("leave --strategy out, and the best possible one is chosen"),
            )),
        };
    }
    for strategy in Strategy::ALL {
        match possible(strategy) {
            Ok(()) => {
                let because = match strategy {
                    Strategy::ZeroDowntime => format!(
                        "{} servers behind {} load balancers, and the expand of {} leaves servers of {} working",
                        seen.hosts.len(),
                        seen.proxies.len(),
                        hop.to.series,
                        hop.from.series
                    ),
                    Strategy::MinimalDowntime => {
                        format!("one of {} database members can be set aside", seen.members.len())
                    }
                    Strategy::Offline => "nothing gentler is possible".to_owned(),
                };
                report.decisions.push(format!("{strategy}: {because}"));
                return Ok(strategy);
            }
            Err(because) => {
                report.held_back.push(HeldBack { what: format!("{strategy} was not chosen"), why: because });
            }
        }
    }
    Ok(Strategy::Offline)
}
