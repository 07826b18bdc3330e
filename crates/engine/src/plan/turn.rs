//! The turns that strategies are made of: preparing a node, changing it, bringing it back into service.
//!
//! A turn says what is done to one node; the order among nodes is the strategy's.

use super::steps::Maker;
use super::upgrade::Hop;
use ostler_model::check::Check;
use ostler_model::function::LogGate;
use ostler_model::ids::{HostName, StepId};
use ostler_model::step::{BackupSet, Does, Gate, Target, Through, Undo};
use std::collections::BTreeMap;

/// Servers that are asked after each change; where there are more, only the one that was changed.
const ASKED_MAX: usize = 16;

/// How often each is asked: a worker that is ill is met by one question of several.
const CHECK_ROUNDS: u16 = 3;

/// Time from one question to the next.
const CHECK_EVERY_MS: u32 = 500;

/// All answers must be good: the change is over, and nothing else is under way.
const CHECK_LEAST_PERMILLE: u16 = 1_000;

/// Adds the preflight as the first wave.
pub(super) fn preflight(hop: &Hop<'_>, maker: &mut Maker<'_>) -> StepId {
    maker.wave("Preflight");
    let checks = super::preflight(hop.scene.cloud, hop.seen, std::slice::from_ref(&hop.heads));
    let checked = maker.add(
        "preflight",
        "look whether all is well",
        Target::Cloud,
        Does::Check { checks },
        Undo::Nothing,
        &[],
    );
    canary(hop, maker, "canary-before", checked)
}

/// Does what a user does, where that is wanted: before the first change, and before what cannot be taken back.
fn canary(hop: &Hop<'_>, maker: &mut Maker<'_>, name: &str, after: StepId) -> StepId {
    let Some(suite) = hop.wish.canary else { return after };
    let title = format!("do what a user does (suite {suite}), and take it away again");
    let does = Does::Canary { cloud: hop.scene.cloud.name.clone(), suite };
    maker.add(name, title, Target::Cloud, does, Undo::Nothing, &[after])
}

/// The node whose copy of the database is dumped: the last one, because the first is the likeliest to be written to.
pub(super) fn dump_host(hop: &Hop<'_>) -> Option<HostName> {
    hop.seen.hosts.iter().rev().find(|host| hop.seen.members.contains(host)).cloned()
}

/// Copies files of every node but the one that is dumped: a node has one backup of a run, made by one step.
pub(super) fn back_up_files(hop: &Hop<'_>, maker: &mut Maker<'_>, after: &[StepId]) -> Vec<StepId> {
    let dumped = dump_host(hop);
    let others = hop.seen.hosts.iter().filter(|host| Some(*host) != dumped.as_ref());
    others
        .map(|host| {
            let does = Does::BackUp { set: backup_set(hop, Vec::new()) };
            maker.on(host, "backup", "copy configuration and keys", does, Undo::Nothing, after)
        })
        .collect()
}

/// Copies files of one node, dumps the database there, and proves the dump by restoring it.
pub(super) fn back_up_database(hop: &Hop<'_>, maker: &mut Maker<'_>, after: &[StepId]) -> Vec<StepId> {
    let Some(host) = dump_host(hop) else { return Vec::new() };
    let database = hop.seen.service.database.name.clone();
    let title = format!("copy configuration and keys, dump database {database}");
    let set = backup_set(hop, vec![database]);
    let does = Does::BackUp { set: set.clone() };
    let dump = maker.on(&host, "backup", title, does, Undo::Nothing, after);
    let title = "restore the dump into a scratch server and compare";
    let proved = maker.on(&host, "prove-backup", title, Does::ProveBackup { set }, Undo::Nothing, &[dump]);
    vec![proved]
}

fn backup_set(hop: &Hop<'_>, databases: Vec<String>) -> BackupSet {
    BackupSet {
        directory: hop.scene.cloud.backup_directory.clone(),
        files: hop.seen.service.config.keep.clone(),
        databases,
    }
}

/// Downloads the new packages everywhere, and lays the new configuration beside the active one.
pub(super) fn stage(hop: &Hop<'_>, maker: &mut Maker<'_>, after: &[StepId]) -> Vec<StepId> {
    let mut staged = Vec::new();
    let hosts = hop.seen.hosts.clone();
    for host in &hosts {
        let does = Does::Fetch { source: hop.source(hop.to.series), packages: hop.wish.packages.clone() };
        let title = format!("download {}", hop.to.series);
        staged.push(maker.on(host, "fetch", title, does, Undo::Nothing, after));
        if !hop.edits.is_empty() {
            let files = BTreeMap::from([(hop.seen.service.config.main.clone(), hop.edits.clone())]);
            let title = format!("write the configuration for {} beside the active one", hop.to.series);
            staged.push(maker.on(
                host,
                "stage-config",
                title,
                Does::StageConfig { files },
                Undo::Nothing,
                after,
            ));
        }
    }
    staged
}

/// Takes a server out of every load balancer.
pub(super) fn drain(
    hop: &Hop<'_>,
    maker: &mut Maker<'_>,
    host: &HostName,
    last: bool,
    after: &[StepId],
) -> StepId {
    let proxy = &hop.seen.service.proxy;
    let does = Does::Drain {
        backend: proxy.backend.clone(),
        server: host.to_string(),
        through: hop.seen.proxies.clone(),
        patience_s: proxy.patience_s,
        last,
    };
    let id = maker.on(
        host,
        "drain",
        "take it out of every load balancer",
        does,
        Undo::Steps(vec![enable_verb(hop, host)]),
        after,
    );
    if !last {
        maker.guarded(vec![Check::OthersServe {
            backend: proxy.backend.clone(),
            server: host.to_string(),
            proxies: hop.seen.proxies.clone(),
        }]);
    }
    id
}

/// Stops a drained server. Taking it back means starting, warming and verifying it.
pub(super) fn stop(hop: &Hop<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> StepId {
    let units = hop.seen.installed.units.clone();
    let undo = Undo::Steps(vec![
        Does::StartUnits { units: units.clone(), packages: hop.seen.installed.packages.clone() },
        warm_up_verb(hop, host),
        verify_verb(hop, host),
    ]);
    let id =
        maker.on(host, "stop", format!("stop {}", units.join(", ")), Does::StopUnits { units }, undo, after);
    maker.guarded(vec![Check::OutOfService {
        backend: hop.seen.service.proxy.backend.clone(),
        server: host.to_string(),
        proxies: hop.seen.proxies.clone(),
    }]);
    id
}

/// Switches packages and configuration of a stopped node.
pub(super) fn switch(hop: &Hop<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> StepId {
    let presets = hop.seen.installed.presets.clone();
    let does = Does::Install {
        source: hop.source(hop.to.series),
        packages: hop.wish.packages.clone(),
        presets: presets.clone(),
    };
    let before = hop.seen.versions.get(host).cloned().unwrap_or_default();
    let words: Vec<String> = hop
        .wish
        .packages
        .iter()
        .map(|(name, version)| {
            format!("{name} {} -> {version}", before.get(name).map_or("none", String::as_str))
        })
        .collect();
    let undo =
        Undo::Steps(vec![Does::Install { source: hop.source(hop.from.series), packages: before, presets }]);
    let installed = maker.on(host, "install", words.join(", "), does, undo, after);
    if hop.edits.is_empty() {
        return installed;
    }
    let files = vec![hop.seen.service.config.main.clone()];
    let undo = Undo::Steps(vec![Does::RestoreFiles {
        from: None,
        directory: hop.scene.cloud.backup_directory.clone(),
        files: files.clone(),
    }]);
    maker.on(
        host,
        "config",
        "put the new configuration in place",
        Does::ApplyConfig { files },
        undo,
        &[installed],
    )
}

/// Runs the service's own checking commands with the new code.
pub(super) fn advise(hop: &Hop<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> Vec<StepId> {
    let advisers = &hop.seen.service.advisers;
    if advisers.is_empty() {
        // What comes afterwards still waits for what came before.
        return after.to_vec();
    }
    advisers
        .iter()
        .map(|adviser| {
            let does = Does::Advise {
                argv: adviser.argv.clone(),
                user: hop.seen.installed.user.clone(),
                reading: adviser.reading.clone(),
            };
            let name = adviser.name.replace(' ', "-");
            maker.on(host, &name, format!("ask {}", adviser.argv.join(" ")), does, Undo::Nothing, after)
        })
        .collect()
}

/// Starts a server.
pub(super) fn start(hop: &Hop<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> StepId {
    let units = hop.seen.installed.units.clone();
    let undo = Undo::Steps(vec![Does::StopUnits { units: units.clone() }]);
    let title = format!("start {}", units.join(", "));
    let packages = hop.seen.installed.packages.clone();
    maker.on(host, "start", title, Does::StartUnits { units, packages }, undo, after)
}

/// Warms a started server up, verifies it, and brings it back into service.
pub(super) fn return_to_service(
    hop: &Hop<'_>,
    maker: &mut Maker<'_>,
    host: &HostName,
    after: &[StepId],
) -> StepId {
    let warm = maker.on(
        host,
        "warm-up",
        "make real calls, one after another, until they succeed",
        warm_up_verb(hop, host),
        Undo::Nothing,
        after,
    );
    let verify = maker.on(
        host,
        "verify",
        "issue and validate a token, list what there is",
        verify_verb(hop, host),
        Undo::Nothing,
        &[warm],
    );
    let does = enable_verb(hop, host);
    let undo = Undo::Steps(vec![Does::Drain {
        backend: hop.seen.service.proxy.backend.clone(),
        server: host.to_string(),
        through: hop.seen.proxies.clone(),
        patience_s: hop.seen.service.proxy.patience_s,
        last: false,
    }]);
    maker.on(host, "enable", "put it back into every load balancer", does, undo, &[verify])
}

/// Asks every server that is to serve, and the front door, again and again, and looks for new errors in the logs. What
/// was changed is not called done before. Where that is not wanted there is no such step.
pub(super) fn function_check(
    hop: &Hop<'_>,
    maker: &mut Maker<'_>,
    on: &Target,
    serving: &[HostName],
    after: Vec<StepId>,
) -> Vec<StepId> {
    if !hop.wish.function_check {
        return after;
    }
    let after = maker.gather("started", after);
    let asked: Vec<&HostName> = match (serving.len() > ASKED_MAX, on.node()) {
        (true, Some(host)) => vec![host],
        _ => serving.iter().take(ASKED_MAX).collect(),
    };
    let mut through: Vec<Through> = asked.iter().map(|host| hop.seen.backend(host)).collect();
    through.push(hop.seen.front());
    let logs = hop.seen.service.logs.as_ref().map(|logs| LogGate {
        nodes: asked.into_iter().cloned().collect(),
        paths: logs.paths.clone(),
        allow: logs.allow.clone(),
    });
    let title = match logs {
        Some(_) => "ask all servers and the front door again and again, read the logs",
        None => "ask all servers and the front door again and again",
    };
    let does = Does::FunctionCheck {
        through,
        calls: hop.seen.service.verify.clone(),
        rounds: CHECK_ROUNDS,
        every_ms: CHECK_EVERY_MS,
        least_permille: CHECK_LEAST_PERMILLE,
        logs,
    };
    vec![maker.add("function-check", title, on.clone(), does, Undo::Nothing, &after)]
}

/// A quiet time, and a person's word where it is wanted, before what cannot be taken back.
pub(super) fn soak(hop: &Hop<'_>, maker: &mut Maker<'_>, after: &[StepId]) -> StepId {
    let (through, calls) = (hop.seen.front(), hop.seen.service.verify.clone());
    let does = Does::Verify { through: through.clone(), calls: calls.clone() };
    let id =
        maker.add("soak", "make real calls at the front door", Target::Cloud, does, Undo::Nothing, after);
    maker.gated(Gate::Quiet { through, calls, for_s: hop.wish.soak_s });
    canary(hop, maker, "canary", id)
}

/// The last look: heads, versions, servers, database.
pub(super) fn final_check(hop: &Hop<'_>, maker: &mut Maker<'_>, after: &[StepId]) -> StepId {
    maker.wave("Final check");
    let mut checks = super::preflight(hop.scene.cloud, hop.seen, &hop.to.any_heads());
    checks.push(runs_target(hop));
    maker.add(
        "final-check",
        format!("heads, versions and servers are those of {}", hop.to.series),
        Target::Cloud,
        Does::Check { checks },
        Undo::Nothing,
        after,
    )
}

/// Every process of the service runs the target's code.
pub(super) fn runs_target(hop: &Hop<'_>) -> Check {
    let package = hop.seen.installed.packages.first().cloned().unwrap_or_default();
    let version = hop.wish.packages.get(&package).cloned().unwrap_or_default();
    let units = hop.seen.installed.units.clone();
    Check::Runs { nodes: hop.seen.hosts.clone(), package, version, units }
}

fn enable_verb(hop: &Hop<'_>, host: &HostName) -> Does {
    Does::Enable {
        backend: hop.seen.service.proxy.backend.clone(),
        server: host.to_string(),
        through: hop.seen.proxies.clone(),
    }
}

pub(super) fn warm_up_verb(hop: &Hop<'_>, host: &HostName) -> Does {
    let warm_up = &hop.seen.service.warm_up;
    Does::WarmUp { through: hop.seen.backend(host), calls: warm_up.calls.clone(), rounds: warm_up.rounds }
}

pub(super) fn verify_verb(hop: &Hop<'_>, host: &HostName) -> Does {
    Does::Verify { through: hop.seen.backend(host), calls: hop.seen.service.verify.clone() }
}
