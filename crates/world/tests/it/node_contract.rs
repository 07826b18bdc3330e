//! What nodes owe, whoever answers for them: one body, held against the pretended nodes and against a real cloud.
//!
//! It knows neither: where the two differ, the pretence is wrong. Each part leaves the cloud as it found it.

use ostler_engine::seam::{Fut, Nodes};
use ostler_model::event::{Facts, Outcome};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::inventory::{Fact, Inventory, Node, ServerAdmin};
use ostler_model::step::{BackupSet, Does, Job, Reading, Target};
use std::collections::BTreeMap;

/// Questions until somebody must know what became of a job.
const QUESTIONS_MAX: u32 = 120;

/// What is done to a node from outside.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// Its power goes.
    Kill,
    /// Its power comes.
    Revive,
    /// Its network goes.
    Cut,
    /// Its network comes.
    Mend,
}

/// A cloud of three controllers, each with everything, to hold the contract against.
pub struct Ground<'a> {
    pub nodes: &'a dyn Nodes,
    pub run: RunId,
    pub hosts: Vec<HostName>,
    pub backend: String,
    pub unit: String,
    pub package: String,
    pub database: String,
    /// Source line and version of the installed release and of a newer one.
    pub old: (String, String),
    pub new: (String, String),
    /// The expand of the newer release: command, heads before, heads after.
    pub expand: (Vec<String>, Vec<String>, Vec<String>),
    /// Does something to a node, and returns when it is done.
    pub order: &'a dyn Fn(Order, HostName) -> Fut<'a, ()>,
    /// Lets some time pass before the next question.
    pub pause: &'a dyn Fn() -> Fut<'a, ()>,
}

impl Ground<'_> {
    fn job(&self, step: &str, at: usize, does: Does) -> Job {
        let host = self.hosts[at].clone();
        let (run, step) = (self.run.clone(), StepId::new(format!("{host}-{step}")));
        Job { run, step, attempt: 1, does, on: Target::Node(host), limit_s: 120, by: None }
    }

    /// Asks until somebody knows, as a driver would.
    async fn known(&self, job: &Job) -> Outcome {
        for _ in 0..QUESTIONS_MAX {
            match self.nodes.settle(job).await {
                Outcome::Unknown { .. } => (self.pause)().await,
                outcome => return outcome,
            }
        }
        panic!("nobody knows what became of {}", job.step);
    }

    async fn settle(&self, job: &Job) -> Outcome {
        self.nodes.begin(job).await.unwrap_or_else(|why| panic!("{} is not begun: {why:?}", job.step));
        self.nodes.settle(job).await
    }

    async fn done(&self, step: &str, at: usize, does: Does) -> Facts {
        let job = self.job(step, at, does);
        match self.settle(&job).await {
            Outcome::Done { facts } => facts,
            other => panic!("{}: {other:?}", job.step),
        }
    }

    /// It does not come about: refused before it began, or known not to be done.
    async fn refused(&self, step: &str, at: usize, does: Does) {
        let job = self.job(step, at, does);
        if self.nodes.begin(&job).await.is_err() {
            return;
        }
        let outcome = self.nodes.settle(&job).await;
        assert!(matches!(outcome, Outcome::NotDone { .. }), "{}: {outcome:?}", job.step);
    }

    async fn see(&self, facts: &[Fact]) -> Inventory {
        self.nodes.survey(&self.hosts, facts).await
    }

    fn node<'a>(&self, seen: &'a Inventory, at: usize) -> &'a Node {
        seen.fresh(&self.hosts[at]).unwrap_or_else(|| panic!("{} was not seen", self.hosts[at]))
    }

    fn drain(&self, at: usize, last: bool) -> Does {
        Does::Drain {
            backend: self.backend.clone(),
            server: self.hosts[at].to_string(),
            through: self.hosts.clone(),
            patience_s: 5,
            last,
        }
    }

    fn enable(&self, at: usize) -> Does {
        Does::Enable {
            backend: self.backend.clone(),
            server: self.hosts[at].to_string(),
            through: self.hosts.clone(),
        }
    }

    fn stop(&self) -> Does {
        Does::StopUnits { units: vec![self.unit.clone()] }
    }

    fn start(&self) -> Does {
        Does::StartUnits { units: vec![self.unit.clone()], packages: Vec::new() }
    }

    /// Something that takes a few seconds and leaves nothing behind.
    fn takes_a_while(&self) -> Does {
        Does::Advise {
            argv: vec!["sleep".into(), "4".into()],
            user: "root".into(),
            reading: Reading { ok: vec![0], advice: vec![1], blocking_texts: Vec::new() },
        }
    }

    fn install(&self, release: &(String, String)) -> Does {
        Does::Install {
            source: release.0.clone(),
            packages: BTreeMap::from([(self.package.clone(), release.1.clone())]),
            presets: Vec::new(),
        }
    }

    fn expand(&self, before: &[String], after: &[String]) -> Does {
        Does::Schema {
            phase: "expand".into(),
            argv: self.expand.0.clone(),
            user: self.package.clone(),
            database: self.database.clone(),
            before: before.to_vec(),
            after: after.to_vec(),
        }
    }

    /// What every load balancer was told of a server: one word, if they agree.
    async fn admin(&self, at: usize) -> ServerAdmin {
        let seen = self.see(&[Fact::Proxy]).await;
        let told: Vec<ServerAdmin> = (0..self.hosts.len())
            .map(|proxy| {
                let servers = self.node(&seen, proxy).proxy.as_ref().expect("a load balancer on each node");
                let server = servers.iter().find(|server| {
                    server.backend == self.backend && server.server == self.hosts[at].as_str()
                });
                server.expect("the server is in the backend").admin
            })
            .collect();
        assert!(told.iter().all(|admin| *admin == told[0]), "the load balancers differ: {told:?}");
        told[0]
    }

    async fn heads(&self, at: usize) -> Vec<String> {
        let seen = self.see(&[Fact::Schemas]).await;
        self.node(&seen, at).schemas.get(&self.database).cloned().unwrap_or_default()
    }

    /// A server leaves every load balancer and comes back; the last one does not leave, a dead one does not come back.
    pub async fn servers_leave_and_return(&self) {
        self.done("drain", 0, self.drain(0, false)).await;
        assert_eq!(self.admin(0).await, ServerAdmin::Maint);
        assert_eq!(self.admin(1).await, ServerAdmin::Ready);
        // Whoever finds it drained has nothing to do.
        let again = Job { attempt: 2, ..self.job("drain", 0, self.drain(0, false)) };
        assert!(matches!(self.settle(&again).await, Outcome::Done { .. }));
        self.done("drain", 1, self.drain(1, false)).await;
        self.refused("drain", 2, self.drain(2, false)).await;
        assert_eq!(self.admin(2).await, ServerAdmin::Ready);

        self.done("stop", 0, self.stop()).await;
        let dead = Job { limit_s: 5, ..self.job("enable-dead", 0, self.enable(0)) };
        let outcome = self.settle(&dead).await;
        assert!(matches!(outcome, Outcome::NotDone { .. }), "{outcome:?}");
        self.done("start", 0, self.start()).await;
        self.done("enable", 0, self.enable(0)).await;
        self.done("enable", 1, self.enable(1)).await;
        assert_eq!((self.admin(0).await, self.admin(1).await), (ServerAdmin::Ready, ServerAdmin::Ready));
    }

    /// An attempt begins at most once, is remembered, and never begins after somebody asked about it in vain.
    pub async fn an_attempt_begins_at_most_once(&self) {
        let job = self.job("while", 0, self.takes_a_while());
        self.nodes.begin(&job).await.unwrap();
        self.nodes.begin(&job).await.unwrap();
        let first = self.nodes.settle(&job).await;
        assert!(matches!(first, Outcome::Done { .. }), "{first:?}");
        assert_eq!(self.nodes.settle(&job).await, first, "who asks again hears the same");

        let never = self.job("never", 0, self.stop());
        assert!(matches!(self.nodes.settle(&never).await, Outcome::NotDone { .. }));
        assert!(self.nodes.begin(&never).await.is_err(), "it begins after it was given up");
        let long = self.job("long", 0, self.takes_a_while());
        self.nodes.begin(&long).await.unwrap();
        let beside = Job { attempt: 2, ..long.clone() };
        assert!(self.nodes.begin(&beside).await.is_err(), "a second attempt begins beside the first");
        assert!(matches!(self.nodes.settle(&long).await, Outcome::Done { .. }));
    }

    /// A step goes on while nobody can reach its node, and is known again when the network is.
    pub async fn a_cut_connection_changes_nothing(&self) {
        let job = self.job("cut-off", 2, self.takes_a_while());
        self.nodes.begin(&job).await.unwrap();
        (self.order)(Order::Cut, self.hosts[2].clone()).await;
        let outcome = self.nodes.settle(&job).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "nobody can know: {outcome:?}");
        let other = self.job("unheard", 2, self.takes_a_while());
        assert!(self.nodes.begin(&other).await.is_err(), "begun on a node that cannot be reached");
        (self.order)(Order::Mend, self.hosts[2].clone()).await;
        let outcome = self.known(&job).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "it went on meanwhile: {outcome:?}");
        self.whole_again().await;
    }

    /// After a power cut not the record of a step counts, but what the node is now.
    pub async fn a_power_cut_leaves_only_what_is(&self) {
        let looks = self.job("looks", 2, self.takes_a_while());
        let stop = self.job("stop-for-good", 2, self.stop());
        assert!(matches!(self.settle(&stop).await, Outcome::Done { .. }));
        self.nodes.begin(&looks).await.unwrap();
        (self.order)(Order::Kill, self.hosts[2].clone()).await;
        let outcome = self.nodes.settle(&looks).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "nobody can know: {outcome:?}");
        (self.order)(Order::Revive, self.hosts[2].clone()).await;
        let outcome = self.known(&looks).await;
        assert!(matches!(outcome, Outcome::NotDone { .. }), "it was interrupted: {outcome:?}");
        // The node starts by itself what was stopped.
        let outcome = self.known(&stop).await;
        assert!(matches!(outcome, Outcome::NotDone { .. }), "the unit runs again: {outcome:?}");
        self.whole_again().await;
    }

    /// Every member is back and every server takes requests.
    async fn whole_again(&self) {
        for _ in 0..QUESTIONS_MAX {
            let seen = self.see(&[Fact::Galera, Fact::Proxy]).await;
            let whole = self.hosts.iter().all(|host| {
                seen.fresh(host).is_some_and(|node| {
                    node.galera.as_ref().is_some_and(|member| member.cluster_size == 3 && member.ready)
                        && node.proxy.as_ref().is_some_and(|servers| servers.iter().all(|one| one.serves()))
                })
            });
            if whole {
                return;
            }
            (self.pause)().await;
        }
        panic!("the cloud is not whole again");
    }

    /// The expand is proved by the heads, whatever the command says; old code changes nothing.
    pub async fn a_schema_is_proved_by_its_heads(&self) {
        let (_, old, new) = &self.expand;
        let foreign = vec!["zzz".to_owned()];
        self.refused("expand-from-elsewhere", 0, self.expand(&foreign, new)).await;
        self.done("expand-there-already", 0, self.expand(&foreign, old)).await;
        self.refused("expand-with-old-code", 0, self.expand(old, new)).await;
        assert_eq!(self.heads(0).await, *old, "nothing has changed");
    }

    /// A member that is set aside keeps the old data while the others change, gives them back, and catches up.
    pub async fn a_member_is_set_aside_and_rejoins(&self) {
        let (_, old, new) = &self.expand;
        let members = || self.hosts.clone();
        let directory = "/var/backups/ostler".to_owned();
        self.refused("bootstrap-beside-others", 2, Does::BootstrapDatabase {}).await;
        self.done("isolate", 2, Does::IsolateDatabase { members: members() }).await;
        self.refused("isolate-a-second", 1, Does::IsolateDatabase { members: members() }).await;
        let seen = self.see(&[Fact::Galera]).await;
        assert_eq!(self.node(&seen, 0).galera.as_ref().unwrap().cluster_size, 2);

        self.done("install", 0, self.install(&self.new)).await;
        self.done("expand", 0, self.expand(old, new)).await;
        assert_eq!(self.heads(1).await, *new, "the change is everywhere but on the member that is aside");

        let extract = Does::ExtractSchema {
            database: self.database.clone(),
            directory: directory.clone(),
            heads: old.clone(),
        };
        self.done("extract", 2, extract).await;
        let load = Does::LoadSchema {
            database: self.database.clone(),
            from: self.hosts[2].clone(),
            directory,
            heads: old.clone(),
        };
        self.done("load", 0, load).await;
        assert_eq!(self.heads(1).await, *old);
        self.done("rejoin", 2, Does::RejoinDatabase { members: members() }).await;
        assert_eq!(self.heads(2).await, *old);
        self.done("install-back", 0, self.install(&self.old)).await;
        self.whole_again().await;
    }

    /// A backup is proved only where it is; what was not backed up is not restored.
    pub async fn a_backup_is_there_or_not(&self) {
        let set = |databases: Vec<String>| BackupSet {
            directory: "/var/backups/ostler".into(),
            files: Vec::new(),
            databases,
        };
        let with = set(vec![self.database.clone()]);
        self.refused("prove-nothing", 1, Does::ProveBackup { set: with.clone() }).await;
        self.done("back-up", 1, Does::BackUp { set: with.clone() }).await;
        self.done("prove", 1, Does::ProveBackup { set: with }).await;
    }
}
