//! Every verb of a step, on real nodes: which script does it with which values, what must hold before, and what its
//! outcome means.
//!
//! It must never start an effect while settling, nor refuse one after it has begun.

use super::config::Staging;
use super::proxy::Server;
use super::schema::Database;
use super::ssh::{Connections, SshAccess};
use super::survey::Questions;
use super::unit::{Names, Observed, Work, safe};
use super::{backup, config, database, log_gate, package, schema, service, words};
use futures_util::future::join_all;
use ostler_engine::seam::{Fut, Nodes};
use ostler_model::Timestamp;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::Cloud;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::function::{LogError, LogGate};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Fact, Inventory};
use ostler_model::step::{Does, Job};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The table that holds heads where the catalogue does not say.
const VERSION_TABLE: &str = "alembic_version";

/// How long members of the database cluster may take to agree on who belongs to it.
const AGREE_TRIES_MAX: u32 = 50;

/// Pause between two looks at the cluster.
const AGREE_PAUSE: Duration = Duration::from_millis(200);

/// How long the copy of a dump from node to node may take.
const COPY_LIMIT: Duration = Duration::from_secs(600);

/// The nodes of a cloud, over SSH.
#[derive(Debug)]
pub struct SshNodes {
    cloud: Cloud,
    catalogue: Arc<Catalogue>,
    connections: Arc<Connections>,
    questions: Questions,
}

impl SshNodes {
    /// The nodes of a cloud. Nothing is opened or read yet.
    pub fn new(cloud: Cloud, catalogue: Arc<Catalogue>, access: SshAccess) -> Self {
        let connections = Arc::new(Connections::new(&cloud, access));
        let questions = Questions::new(&cloud, &catalogue);
        Self { cloud, catalogue, connections, questions }
    }

    /// The connections, for others who speak to the same nodes.
    pub fn connections(&self) -> Arc<Connections> {
        self.connections.clone()
    }

    fn database<'a>(&'a self, name: &'a str) -> Database<'a> {
        let of = |database: &&ostler_model::catalogue::Database| database.name == name;
        let known = self.catalogue.services.values().map(|service| &service.database).find(of);
        Database {
            name,
            version_table: known.map_or(VERSION_TABLE, |database| database.version_table.as_str()),
        }
    }

    /// What a job's verb comes to on nodes.
    fn work(&self, job: &Job, host: &HostName) -> Result<Work, Why> {
        match &job.does {
            Does::BackUp { set } => backup::back_up(host, set, self.version_table(&set.databases)),
            Does::ProveBackup { set } => backup::prove(host, set, self.version_table(&set.databases)),
            Does::Fetch { source, packages } => package::fetch(host, source, packages),
            Does::Install { source, packages, presets } => package::install(host, source, packages, presets),
            Does::ApplyConfig { files } => config::apply(host, files),
            Does::RestoreFiles { from, directory, files } => {
                config::restore(host, from.as_ref().unwrap_or(&job.run), directory, files)
            }
            Does::Drain { backend, server, through, patience_s, last } => {
                Server { backend, server, through }.drain(*patience_s, *last)
            }
            Does::Enable { backend, server, through } => {
                Server { backend, server, through }.enable(job.limit_s)
            }
            Does::StopUnits { units } => service::stop(host, units),
            Does::StartUnits { units, packages } => service::start(host, units, packages),
            Does::Schema { argv, user, database, before, after, .. } => {
                schema::change(host, self.database(database), argv, user, (before, after))
            }
            Does::Advise { argv, user, .. } => schema::advise(host, argv, user, job.limit_s),
            Does::IsolateDatabase { .. } => Ok(database::isolate(host)),
            Does::RejoinDatabase { members } => Ok(database::rejoin(host, members, job.limit_s)),
            Does::StopDatabase {} => Ok(database::stop(host)),
            Does::BootstrapDatabase {} => Ok(database::bootstrap(host, job.limit_s)),
            Does::WipeDatabase { .. } => Ok(database::wipe(host)),
            Does::ExtractSchema { database, directory, heads } => {
                schema::extract(host, self.database(database), directory, heads)
            }
            Does::LoadSchema { database, directory, heads, .. } => {
                let (place, _) = schema::extracted(directory, &safe(job.run.as_str()), database);
                schema::load(host, self.database(database), &place, &format!("{database}.sha256"), heads)
            }
            Does::RestoreSchema { database, from, directory, heads } => {
                let place = format!("{directory}/{}/{}", safe(from.as_str()), safe(host.as_str()));
                schema::load(host, self.database(database), &place, "SHA256SUMS", heads)
            }
            other => Err(not_for_nodes(other)),
        }
    }

    fn version_table<'a>(&'a self, databases: &'a [String]) -> &'a str {
        databases.first().map_or(VERSION_TABLE, |name| self.database(name).version_table)
    }

    async fn galera(&self, hosts: &[HostName]) -> Inventory {
        self.questions.survey(&self.connections, hosts, &[Fact::Galera]).await
    }

    /// What must hold before an effect, and cannot be judged on the node alone.
    async fn prepare(&self, job: &Job, host: &HostName) -> Result<(), Why> {
        match &job.does {
            Does::Drain { backend, server, through, last, .. } => {
                let seen = self.questions.survey(&self.connections, through, &[Fact::Proxy]).await;
                Server { backend, server, through }.may_go(&seen, *last)
            }
            Does::IsolateDatabase { members } => {
                let others = others(members, host);
                database::others_suffice(&self.galera(&others).await, &others)
            }
            Does::WipeDatabase { members } => {
                let others = others(members, host);
                database::data_is_elsewhere(&self.galera(&others).await, &others)
            }
            Does::BootstrapDatabase {} => {
                let all: Vec<HostName> = self.cloud.nodes.keys().cloned().collect();
                let others = others(&all, host);
                database::none_lives(&self.galera(&others).await, &others)
            }
            Does::LoadSchema { database, from, directory, .. } if from != host => {
                words::path(directory)?;
                words::database(database)?;
                let (_, files) = schema::extracted(directory, &safe(job.run.as_str()), database);
                for file in files {
                    // The dump alone changes nothing; whatever goes wrong here, the database is as it was.
                    self.connections.copy_file(from, host, &file, COPY_LIMIT).await.map_err(|error| {
                        let why = error.why();
                        Why {
                            what: format!("the dump on {from} did not get to {host}: {}", why.what),
                            hint: why.hint,
                        }
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn start(&self, job: &Job) -> Result<(), Why> {
        let host = node_of(job)?;
        self.connections.declared(host).map_err(|error| error.why())?;
        if let Does::StageConfig { files } = &job.does {
            return Staging { connections: &self.connections, host, run: &job.run, files }.begin().await;
        }
        let work = self.work(job, host)?;
        self.prepare(job, host).await?;
        let begins = work.hosts.iter().map(|host| self.connections.begin_unit(host, job, &work));
        let mut refusals = Vec::new();
        for begun in join_all(begins).await {
            if let Err(why) = begun {
                refusals.push(why);
            }
        }
        // Where one node began, the step has begun: what came of it on all of them is for settling to say.
        if refusals.len() == work.hosts.len() { refusals.pop().map_or(Ok(()), Err) } else { Ok(()) }
    }

    async fn end(&self, job: &Job) -> Outcome {
        let host = match node_of(job) {
            Ok(host) => host,
            Err(why) => return Outcome::NotDone { why },
        };
        if let Does::StageConfig { files } = &job.does {
            return Staging { connections: &self.connections, host, run: &job.run, files }.settle().await;
        }
        let work = match self.work(job, host) {
            Ok(work) => work,
            // What cannot even be named was never begun.
            Err(why) => return Outcome::NotDone { why },
        };
        let names = Names::of(&job.run, &job.step, job.attempt);
        let settles = work.hosts.iter().map(|host| self.connections.settle_unit(host, job, &work));
        let observed: Vec<Result<Observed, Why>> = join_all(settles).await;
        let mut outcomes: Vec<(HostName, Outcome)> = Vec::new();
        for (host, observed) in work.hosts.iter().zip(&observed) {
            let outcome = match observed {
                Ok(observed) => observed.outcome(host, &names),
                Err(why) => Outcome::Unknown { why: why.clone() },
            };
            outcomes.push((host.clone(), outcome));
        }
        let outcome = together(outcomes);
        match (&job.does, outcome) {
            (Does::Advise { reading, .. }, Outcome::Done { facts }) => {
                let answer = observed
                    .iter()
                    .find_map(|observed| observed.as_ref().ok())
                    .map_or("", |observed| observed.log.as_str());
                schema::read_advice(reading, &facts, answer, &format!("on {host}, see {}", names.log))
            }
            (Does::IsolateDatabase { members }, Outcome::Done { facts }) => {
                let others = others(members, host);
                self.agree(&others, facts, |seen| database::others_agree(seen, &others)).await
            }
            (Does::RejoinDatabase { members }, Outcome::Done { facts }) => {
                let others = others(members, host);
                self.agree(members, facts, |seen| database::is_one_cluster(seen, host, &others)).await
            }
            (_, outcome) => outcome,
        }
    }

    /// Waits until the members of the cluster see what they should. The effect is there; whether it is enough is not
    /// known until they agree.
    async fn agree(
        &self,
        hosts: &[HostName],
        facts: Facts,
        do_they: impl Fn(&Inventory) -> Result<(), String>,
    ) -> Outcome {
        let mut tries = 0;
        loop {
            let seen = self.galera(hosts).await;
            match do_they(&seen) {
                Ok(()) => return Outcome::Done { facts },
                Err(_) if tries < AGREE_TRIES_MAX => tries += 1,
                Err(what) => {
                    return Outcome::Unknown {
                        why: Why::new(format!(
                            "this node is as it should be, but the database cluster is not: {what}"
                        ))
                        .hint("see to the cluster, then ask again"),
                    };
                }
            }
            tokio::time::sleep(AGREE_PAUSE).await;
        }
    }
}

fn others(members: &[HostName], host: &HostName) -> Vec<HostName> {
    members.iter().filter(|member| *member != host).cloned().collect()
}

fn node_of(job: &Job) -> Result<&HostName, Why> {
    if matches!(
        job.does,
        Does::Check { .. }
            | Does::WarmUp { .. }
            | Does::Verify { .. }
            | Does::FunctionCheck { .. }
            | Does::Canary { .. }
    ) {
        return Err(not_for_nodes(&job.does));
    }
    // A load balancer's server is no node's business, so such a step may be for the cloud as a whole.
    match (&job.does, job.on.node()) {
        (_, Some(host)) => Ok(host),
        (Does::Drain { through, .. } | Does::Enable { through, .. }, None) => {
            through.first().ok_or_else(|| Why::new(format!("step {} names no load balancer", job.step)))
        }
        (does, None) => {
            Err(Why::new(format!("step {} does not say on which node to {}", job.step, does.name())))
        }
    }
}

fn not_for_nodes(does: &Does) -> Why {
    Why::new(format!("`{}` is not a job for nodes", does.name()))
}

/// What one step came to that was done on several nodes.
fn together(mut outcomes: Vec<(HostName, Outcome)>) -> Outcome {
    if outcomes.len() == 1
        && let Some((_, outcome)) = outcomes.pop()
    {
        return outcome;
    }
    let mut done = Vec::new();
    let mut facts = Facts::new();
    let mut absent: Option<Why> = None;
    let mut unknown: Option<Why> = None;
    let join = |reason: Option<Why>, why: Why| match reason {
        Some(first) => Why { what: format!("{}; {}", first.what, why.what), hint: first.hint.or(why.hint) },
        None => why,
    };
    for (host, outcome) in outcomes {
        match outcome {
            Outcome::Done { facts: here } => {
                facts.extend(here.into_iter().map(|(name, value)| (format!("{host} {name}"), value)));
                done.push(host.to_string());
            }
            Outcome::NotDone { why } => absent = Some(join(absent, why)),
            Outcome::Unknown { why } => unknown = Some(join(unknown, why)),
        }
    }
    let with_rest = |why: Why| {
        let rest =
            if done.is_empty() { String::new() } else { format!("; on {} it is done", done.join(", ")) };
        Why { what: format!("{}{rest}", why.what), hint: why.hint }
    };
    match (unknown, absent) {
        (Some(unknown), Some(absent)) => Outcome::Unknown { why: with_rest(join(Some(unknown), absent)) },
        (Some(why), None) => Outcome::Unknown { why: with_rest(why) },
        (None, Some(why)) => Outcome::NotDone { why: with_rest(why) },
        (None, None) => Outcome::Done { facts },
    }
}

impl Nodes for SshNodes {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(self.questions.survey(&self.connections, hosts, facts))
    }

    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(package::available(&self.connections, host, source, packages))
    }

    fn new_errors<'a>(&'a self, gate: &'a LogGate, since: Timestamp) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(log_gate::new_errors(&self.connections, gate, since))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.start(job))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.end(job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_nodes_make_one_outcome() {
        let done = || Outcome::Done { facts: Facts::from([("sessions-cut".to_owned(), "0".to_owned())]) };
        let both =
            |a: Outcome, b: Outcome| together(vec![(HostName::from("a"), a), (HostName::from("b"), b)]);
        assert!(
            matches!(both(done(), done()), Outcome::Done { facts } if facts.contains_key("b sessions-cut"))
        );
        let Outcome::NotDone { why } = both(done(), Outcome::not_done("b: no")) else { panic!() };
        assert_eq!(why.what, "b: no; on a it is done");
        let Outcome::Unknown { why } = both(Outcome::unknown("a: silent"), Outcome::not_done("b: no")) else {
            panic!()
        };
        assert_eq!(why.what, "a: silent; b: no");
    }
}
