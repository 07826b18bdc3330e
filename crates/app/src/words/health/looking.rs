//! Where evidence comes from and where memory is kept: a look at the cloud or a file, and notes in the store.
//!
//! It judges nothing. What is judged from a file is not remembered: it may be of another time.

use crate::context::Context;
use crate::failure::Failure;
use crate::running;
use crate::settings::{CloudSettings, from_reader};
use clap::Args;
use ostler_engine::health::{Judged, Library, LibraryError, after_look, judge};
use ostler_engine::run::RunState;
use ostler_engine::seam::Store;
use ostler_model::catalogue::CatalogueError;
use ostler_model::ha::list::Query;
use ostler_model::health::{
    EVIDENCE_FORMAT, Evidence, MEMORY_FORMAT, MUTES_FORMAT, Memory, Mutes, Report, Row, Value,
};
use ostler_model::limits::STORED_BODY_BYTES_MAX;
use ostler_world::health::{Depth, Look, RATE_DEFAULT};
use ostler_world::node::{Connections, SshAccess};
use ostler_world::openstack::Credentials;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The note that holds what earlier looks found.
const MEMORY: &str = "health";

/// The note that holds what is muted.
const MUTES: &str = "health-mutes";

/// Runs that are looked at for unfinished ones.
const RUNS_LOOKED_AT: u32 = 50;

/// Pages of checks of a site.
const PAGES_MAX: usize = 100;

/// How a look is made.
#[derive(Clone, Debug, Args)]
pub struct Looking {
    /// Only APIs and services: no node, no list of users' objects.
    #[arg(long, conflicts_with = "deep")]
    pub fast: bool,
    /// Everything, also what costs more.
    #[arg(long)]
    pub deep: bool,
    /// Requests to all APIs together in one second.
    #[arg(long, value_name = "NUMBER", default_value_t = RATE_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: u32,
}

/// The checks: the embedded ones and the site's own.
pub fn library(context: &Context) -> Result<Library, Failure> {
    let own = match context.settings()?.and_then(|settings| settings.catalogue.as_deref()) {
        None => Vec::new(),
        Some(directory) => pages(&directory.join("health"))?,
    };
    Library::with_site(&own).map_err(|error| match &error {
        LibraryError::Unreadable(CatalogueError::Unreadable { page, error }) => {
            match own.iter().find(|(name, _)| name == page) {
                Some((_, text)) => from_reader(Path::new(page), text, error),
                None => Failure::failed(error.to_string()),
            }
        }
        _ => Failure::usage(error.to_string()).hint("docs/health.md says how a check is written"),
    })
}

fn pages(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("cannot read the site's checks at {}: {error}", path.display()))
            .hint("see to catalogue.directory in ostler.toml")
    };
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            pages.push((format!("health/{name}"), text));
            if pages.len() > PAGES_MAX {
                return Err(Failure::usage(format!("{} has more than {PAGES_MAX} pages", folder.display())));
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// Looks at the cloud that is meant, and adds what the store knows.
pub async fn look(context: &Context, looking: &Looking) -> Result<Evidence, Failure> {
    if context.given().is_some() {
        return Err(Failure::usage("a pretended cloud has no health to look at")
            .hint("judge a look at a real one: `ostler health --from FILE`"));
    }
    look_at(context, context.cloud()?, looking).await
}

/// Looks at a cloud, and adds what the store knows.
async fn look_at(context: &Context, cloud: &CloudSettings, looking: &Looking) -> Result<Evidence, Failure> {
    let access = SshAccess {
        user: cloud.ssh_user.clone(),
        key: cloud.ssh_key.clone(),
        known_hosts: cloud.known_hosts.clone(),
    };
    let depth = match (looking.fast, looking.deep) {
        (true, _) => Depth::Fast,
        (_, true) => Depth::Deep,
        _ => Depth::Usual,
    };
    let look = Look {
        cloud: &cloud.cloud,
        nodes: Arc::new(Connections::new(&cloud.cloud, access)),
        credentials: Credentials::read(&cloud.clouds_yaml, &cloud.clouds_entry)
            .map_err(|error| error.to_string()),
        depth,
        rate: looking.rate,
    };
    let mut evidence = ostler_world::health::collect(look).await;
    let store = context.store().await?;
    at_work(store.as_ref(), &cloud.cloud.name, &mut evidence).await?;
    register(store.as_ref(), &mut evidence).await?;
    Ok(evidence)
}

/// Hosts on which a run of ours is at work, and hosts that an operator has put into maintenance.
async fn at_work(store: &dyn Store, cloud: &str, evidence: &mut Evidence) -> Result<(), Failure> {
    for run in running::all(store, RUNS_LOOKED_AT).await? {
        if run.plan.body.cloud != cloud || !matches!(run.state, RunState::Running | RunState::Paused { .. }) {
            continue;
        }
        let mut hosts: Vec<&str> =
            run.plan.body.steps.iter().filter_map(|step| step.on.node().map(|host| host.as_str())).collect();
        hosts.sort_unstable();
        hosts.dedup();
        for host in hosts {
            evidence.add("maintenance", work(host, format!("run {} is at work there", run.id)));
        }
    }
    Ok(())
}

fn work(host: &str, why: String) -> Row {
    Row::from([("host".to_owned(), host.into()), ("why".to_owned(), why.into())])
}

/// Ostler's own register of instance HA, where it has segments.
async fn register(store: &dyn Store, evidence: &mut Evidence) -> Result<(), Failure> {
    let segments = store.segments(&Query::default()).await?;
    if segments.is_empty() {
        return Ok(());
    }
    let hosts = store.hosts(&Query::default()).await?;
    for segment in &segments {
        evidence.add(
            "ha.segment",
            Row::from([
                ("id".to_owned(), segment.id.as_str().into()),
                ("name".to_owned(), segment.name.as_str().into()),
                ("enabled".to_owned(), segment.enabled.into()),
            ]),
        );
    }
    evidence.table("ha.host");
    for host in hosts {
        if host.on_maintenance {
            let why = "it is in maintenance in the register of instance HA".to_owned();
            evidence.add("maintenance", work(&host.name, why));
        }
        let segment = segments.iter().find(|segment| segment.id == host.segment);
        evidence.add(
            "ha.host",
            Row::from([
                ("host".to_owned(), host.name.as_str().into()),
                ("segment".to_owned(), segment.map(|segment| segment.name.as_str()).into()),
                ("on_maintenance".to_owned(), host.on_maintenance.into()),
                ("reserved".to_owned(), host.reserved.into()),
                ("under_recovery".to_owned(), host.under_recovery.into()),
                ("quarantined".to_owned(), host.quarantined.into()),
                ("updated".to_owned(), host.updated.map_or(Value::Null, |at| at.to_string().into())),
            ]),
        );
    }
    Ok(())
}

/// Evidence that was kept in a file.
pub fn read(path: &Path) -> Result<Evidence, Failure> {
    let wrong = |what: String| {
        Failure::usage(format!("{}: {what}", path.display()))
            .hint("make it with this ostler: `ostler health collect --to FILE`")
    };
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > 8 * STORED_BODY_BYTES_MAX as u64 {
        return Err(wrong(format!("it has {size} bytes, more than evidence has")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    stored(&text, EVIDENCE_FORMAT, "evidence").map_err(wrong)
}

/// A stored record that carries the number of its format.
fn stored<T: DeserializeOwned>(text: &str, newest: u16, what: &str) -> Result<T, String> {
    #[derive(serde::Deserialize)]
    struct Formed {
        format: Option<u64>,
    }
    let place =
        |error: serde_json::Error| format!("line {}, column {}: {error}", error.line(), error.column());
    let formed: Formed = serde_json::from_str(text).map_err(place)?;
    match formed.format {
        None => Err(format!("it is no {what}: it has no `format`")),
        Some(format) if format > u64::from(newest) => {
            Err(format!("it has format {format}, this ostler reads up to {newest}: a newer ostler wrote it"))
        }
        Some(_) => {
            serde_json::from_str(text).map_err(|error| format!("it is no whole {what}: {}", place(error)))
        }
    }
}

/// What is judged, and what is remembered of it.
pub struct Seen {
    /// The report.
    pub report: Report,
    /// What is remembered; none: it was judged from a file.
    pub memory: Option<Memory>,
}

/// Evidence from the file, if one is named, else from a look; judged, and remembered if it is from a look.
pub async fn judged(
    context: &Context,
    library: &Library,
    from: Option<&PathBuf>,
    looking: &Looking,
) -> Result<Seen, Failure> {
    if let Some(path) = from {
        let evidence = read(path)?;
        // What was collected with `--deep` is judged so: the tables are there or they are not.
        let Judged { report, .. } = judge(library, &evidence, &Memory::default(), &Mutes::default(), true);
        return Ok(Seen { report, memory: None });
    }
    remembered(context, library, look(context, looking).await?, looking).await
}

/// Looks at a cloud and judges, as often as somebody wants to know.
pub async fn judged_of(
    context: &Context,
    library: &Library,
    cloud: &CloudSettings,
    looking: &Looking,
) -> Result<Seen, Failure> {
    remembered(context, library, look_at(context, cloud, looking).await?, looking).await
}

/// Judges what was seen just now, and remembers it.
async fn remembered(
    context: &Context,
    library: &Library,
    evidence: Evidence,
    looking: &Looking,
) -> Result<Seen, Failure> {
    let store = context.store().await?;
    let cloud = evidence.cloud.clone();
    let memory = memory(store.as_ref(), &cloud).await?;
    let mutes = mutes(store.as_ref(), &cloud).await?;
    let Judged { report, memory } = judge(library, &evidence, &memory, &mutes, looking.deep);
    keep(store.as_ref(), &cloud, MEMORY, &memory).await?;
    let left = after_look(&mutes, &report, evidence.taken);
    // A quick look does not see whether what is muted is over.
    if left != mutes && !looking.fast {
        keep_mutes(store.as_ref(), &cloud, &left).await?;
    }
    Ok(Seen { report, memory: Some(memory) })
}

/// What earlier looks found.
pub async fn memory(store: &dyn Store, cloud: &str) -> Result<Memory, Failure> {
    note(store, cloud, MEMORY, MEMORY_FORMAT).await
}

/// What is muted.
pub async fn mutes(store: &dyn Store, cloud: &str) -> Result<Mutes, Failure> {
    note(store, cloud, MUTES, MUTES_FORMAT).await
}

/// Keeps what is muted.
pub async fn keep_mutes(store: &dyn Store, cloud: &str, mutes: &Mutes) -> Result<(), Failure> {
    keep(store, cloud, MUTES, mutes).await
}

/// A record of the store, or a new one.
pub async fn note<T: DeserializeOwned + Default>(
    store: &dyn Store,
    cloud: &str,
    kind: &str,
    newest: u16,
) -> Result<T, Failure> {
    match store.note(cloud, kind).await? {
        None => Ok(T::default()),
        Some(text) => stored(&text, newest, "record").map_err(|what| {
            Failure::failed(format!(
                "what the store remembers of the health of {cloud} cannot be read: {what}"
            ))
            .hint("use the newer ostler, or another store: `--state`")
        }),
    }
}

/// Keeps a record in the store.
pub async fn keep<T: serde::Serialize>(
    store: &dyn Store,
    cloud: &str,
    kind: &str,
    what: &T,
) -> Result<(), Failure> {
    let text = serde_json::to_string(what).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(store.keep_note(cloud, kind, &text).await?)
}
