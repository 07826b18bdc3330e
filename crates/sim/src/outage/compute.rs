//! A client of the pretended Nova behind the `Cloud` seam: the same looks, orders and doubts as the real one.
//!
//! It must never ask for an evacuation before it has looked, nor say that something is not done while it may still come.

use super::Outage;
use super::look::stage;
use crate::clock::SimClock;
use crate::nova::{
    Caller, EvacuateRequest, Instance as SimInstance, InstanceId as SimId, Migration, MigrationFilter,
    MigrationKind, MigrationStatus, NovaError, ServiceChange, ServiceSeen, TaskState, VmState as SimState,
};
use ostler_engine::seam::{Called, Clock, Cloud, Fut};
use ostler_model::compute::{Compute, MoveStage, Scope};
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::{Call, Does, Job, Target, Through, Wanted};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pause between two looks while something is waited for.
pub(super) const LOOK_MS: u64 = 1_000;

/// How long a request whose answer was lost may still be on its way.
const GRACE_MS: u64 = 10_000;

/// How often a look is repeated that got no answer.
const LOOKS_MAX: u32 = 3;

/// How long a change waits for an instance to follow.
const FOLLOW_MS: u64 = 60_000;

/// Pages of a list that are read: far more than a host has instances.
pub(super) const PAGES_MAX: usize = 1_000;

/// The pretended Nova as one Ostler speaks to it, whose clock may run apart.
pub(super) struct SimCompute(pub(super) Arc<Outage>, pub(super) SimClock);

pub(super) type Asked<T> = Result<T, NovaError>;

pub(super) fn why(error: &NovaError) -> Why {
    Why::new(error.to_string())
}

fn is_passing(error: &NovaError) -> bool {
    matches!(error, NovaError::Busy { .. } | NovaError::Unavailable(_) | NovaError::Cut(_))
}

impl SimCompute {
    /// One request.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(&mut super::Ground, u64, Caller) -> Asked<T>,
    ) -> Asked<T> {
        let call_ms = self.0.call_ms.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(call_ms)).await;
        let mut ground = self.0.ground();
        let (now, by) = (self.0.now(), Outage::by(&ground));
        request(&mut ground, now, by)
    }

    /// A request that only looks, and may be repeated.
    pub(super) async fn read<T>(
        &self,
        mut request: impl FnMut(&mut super::Ground, u64, Caller) -> Asked<T>,
    ) -> Asked<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask(&mut request).await {
                Err(error) if is_passing(&error) && tries < LOOKS_MAX => {
                    tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
                }
                answer => return answer,
            }
        }
    }

    pub(super) async fn show(&self, id: SimId) -> Asked<SimInstance> {
        self.read(|ground, now, by| ground.nova.show_server(now, by, id)).await
    }

    pub(super) async fn services(&self) -> Asked<Vec<ServiceSeen>> {
        self.read(|ground, now, by| ground.nova.list_services(now, by)).await
    }

    async fn service(&self, host: &HostName) -> Result<ServiceSeen, Why> {
        let all = self.services().await.map_err(|error| why(&error))?;
        let found = all.into_iter().find(|service| service.host == *host);
        found.ok_or_else(|| Why::new(format!("there is no compute service on {host}")))
    }

    async fn change(&self, host: &HostName, change: ServiceChange) -> Result<(), Why> {
        let service = self.service(host).await?.id;
        match self.ask(|ground, now, by| ground.nova.update_service(now, by, service, &change)).await {
            // Without an answer it may have been done: settling finds out.
            Ok(()) | Err(NovaError::Cut(_)) => Ok(()),
            Err(error) => Err(why(&error)),
        }
    }

    pub(super) async fn evacuations(&self, filter: MigrationFilter) -> Asked<Vec<Migration>> {
        let filter = MigrationFilter { kind: Some(MigrationKind::Evacuation), ..filter };
        let mut found: Vec<Migration> = Vec::new();
        for _ in 0..PAGES_MAX {
            let marker = found.last().map(|record| record.id);
            let page =
                self.read(|ground, now, by| ground.nova.list_migrations(now, by, &filter, marker)).await?;
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        found.reverse();
        Ok(found)
    }

    async fn of(&self, id: SimId, source: &HostName) -> Asked<Vec<Migration>> {
        let filter = MigrationFilter {
            instance: Some(id),
            source: Some(source.clone()),
            ..MigrationFilter::default()
        };
        self.evacuations(filter).await
    }

    /// Whether one of these may still end by itself. `seen` is the instance, looked at after them: one in no task was reset;
    /// and one that a source that came back calls completed goes on while the instance is being rebuilt.
    async fn is_under_way(&self, records: &[Migration], seen: &SimInstance) -> Asked<bool> {
        if seen.task_state.is_none() {
            return Ok(false);
        }
        let is_rebuilt = matches!(seen.task_state, Some(TaskState::Rebuilding | TaskState::RebuildSpawning));
        let newest = records.iter().map(|record| record.id).max();
        let is_open = |record: &&Migration| match stage(record.status) {
            MoveStage::UnderWay => true,
            MoveStage::Completed => is_rebuilt && Some(record.id) == newest,
            MoveStage::Done | MoveStage::Failed => false,
        };
        let open: Vec<&Migration> = records.iter().filter(is_open).collect();
        if open.is_empty() {
            return Ok(false);
        }
        let services = self.services().await?;
        let forced =
            |host: &HostName| services.iter().any(|service| service.host == *host && service.forced_down);
        Ok(open.iter().any(|record| record.target.as_ref().is_none_or(|target| !forced(target))))
    }

    async fn begin_move(&self, job: &Job) -> Result<(), Why> {
        let Does::Evacuate { instance, source, targets, reset, lock } = &job.does else { return Ok(()) };
        let id = parse(instance)?;
        let records = self.of(id, source).await.map_err(|error| why(&error))?;
        let seen = self.show(id).await.map_err(|error| why(&error))?;
        if seen.host.as_ref() != Some(source) {
            return Ok(());
        }
        if self.is_under_way(&records, &seen).await.map_err(|error| why(&error))? {
            return Ok(());
        }
        if !seen.locked {
            self.ask(|ground, now, by| ground.nova.lock(now, by, id, Some(lock.as_str())))
                .await
                .map_err(|error| why(&error))?;
        }
        let movable = matches!(seen.vm_state, SimState::Active | SimState::Stopped | SimState::Error);
        if *reset && !movable {
            self.ask(|ground, now, by| ground.nova.reset_state(now, by, id, false))
                .await
                .map_err(|error| why(&error))?;
        }
        let attempt = usize::from(job.attempt.max(1)) - 1;
        let host = targets.get(attempt).or(targets.last()).cloned().flatten();
        let request = EvacuateRequest { host, ..EvacuateRequest::default() };
        // The last thing before the request, as in the real one.
        if job.by.is_some_and(|by| self.1.now() > by) {
            return Err(Why::new("it took too long to come to it: its host is looked at anew"));
        }
        let asked = self
            .ask(|ground, now, by| {
                ground.judge_request(now, source, id);
                ground.asked.push((now, id));
                ground.nova.evacuate(now, by, id, &request)
            })
            .await;
        match asked {
            Ok(()) | Err(NovaError::Cut(_)) => Ok(()),
            Err(error) => Err(why(&error)),
        }
    }

    async fn end_move(&self, job: &Job) -> Outcome {
        let Does::Evacuate { instance, source, .. } = &job.does else { return Outcome::done() };
        let id = match parse(instance) {
            Ok(id) => id,
            Err(why) => return Outcome::NotDone { why },
        };
        let began = self.0.now();
        loop {
            let waited = self.0.now() - began;
            if waited > u64::from(job.limit_s) * 1000 {
                return Outcome::unknown("it has not ended within its limit");
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            let Ok(records) = self.of(id, source).await else { continue };
            let seen = match self.show(id).await {
                Ok(seen) => seen,
                Err(NovaError::Gone(text)) => return Outcome::not_done(text),
                Err(_) => continue,
            };
            let Ok(under_way) = self.is_under_way(&records, &seen).await else { continue };
            if under_way {
                continue;
            }
            match &seen.host {
                Some(host) if host != source => return at(host),
                _ if waited < GRACE_MS => {}
                _ => return Outcome::not_done(seen.fault.unwrap_or_else(|| "it was not accepted".into())),
            }
        }
    }

    /// Gives an instance its state, step by step; each of them may be repeated.
    async fn begin_settling(&self, job: &Job) -> Result<(), Why> {
        let Does::Settle { instance, source, state, lock } = &job.does else { return Ok(()) };
        let id = parse(instance)?;
        let mut seen = match self.show(id).await {
            Ok(seen) => seen,
            Err(NovaError::Gone(_)) => return Ok(()),
            Err(error) => return Err(why(&error)),
        };
        if seen.host.as_ref().is_some_and(|host| host != source) {
            let follow = |wanted: SimState| self.until_state(id, wanted);
            match (state, seen.vm_state) {
                (Wanted::Active, SimState::Active)
                | (Wanted::Stopped, SimState::Stopped)
                | (Wanted::Error, SimState::Error) => {}
                (Wanted::Active, SimState::Stopped) => {
                    self.power_instance(id, true).await?;
                    follow(SimState::Active).await?;
                }
                (Wanted::Active, _) => {
                    self.reset(id, true).await?;
                }
                (Wanted::Stopped | Wanted::Error, now) => {
                    if now != SimState::Stopped {
                        self.power_instance(id, false).await?;
                        follow(SimState::Stopped).await?;
                    }
                    if *state == Wanted::Error {
                        self.reset(id, false).await?;
                    }
                }
            }
            seen = self.show(id).await.map_err(|error| why(&error))?;
        }
        if seen.lock_reason.as_ref() == Some(lock) {
            self.ask(|ground, now, by| ground.nova.unlock(now, by, id)).await.map_err(|error| why(&error))?;
        }
        Ok(())
    }

    async fn reset(&self, id: SimId, active: bool) -> Result<(), Why> {
        let asked = self.ask(|ground, now, by| ground.nova.reset_state(now, by, id, active)).await;
        asked.map_err(|error| why(&error))
    }

    async fn power_instance(&self, id: SimId, on: bool) -> Result<(), Why> {
        let asked = self
            .ask(|ground, now, by| match on {
                true => ground.nova.start(now, by, id),
                false => ground.nova.stop(now, by, id),
            })
            .await;
        asked.map_err(|error| why(&error))
    }

    async fn until_state(&self, id: SimId, wanted: SimState) -> Result<(), Why> {
        let began = self.0.now();
        loop {
            let seen = self.show(id).await.map_err(|error| why(&error))?;
            if seen.vm_state == wanted && seen.task_state.is_none() {
                return Ok(());
            }
            if self.0.now() - began > FOLLOW_MS {
                return Err(Why::new(format!("{} does not become {}", seen.name, wanted.word())));
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// Whether an instance is as it should be: `None` while that cannot be said.
    fn is_settled(seen: &SimInstance, source: &HostName, state: Wanted, lock: &str) -> bool {
        let at_source = seen.host.as_ref().is_none_or(|host| host == source);
        let as_wanted = match state {
            Wanted::Active => seen.vm_state == SimState::Active,
            Wanted::Stopped => seen.vm_state == SimState::Stopped,
            Wanted::Error => seen.vm_state == SimState::Error,
        };
        (at_source || (as_wanted && seen.task_state.is_none())) && seen.lock_reason.as_deref() != Some(lock)
    }

    async fn use_spare(&self, host: &HostName, aggregates: &[String]) -> Result<(), Why> {
        let service = self.service(host).await?;
        if !service.up || service.forced_down {
            return Err(Why::new(format!("{host} is down itself")));
        }
        for aggregate in aggregates {
            match self.ask(|ground, now, by| ground.nova.add_to_aggregate(now, by, aggregate, host)).await {
                Ok(()) | Err(NovaError::Conflict(_)) => {}
                Err(error) => return Err(why(&error)),
            }
        }
        self.change(host, ServiceChange { enabled: Some(true), ..ServiceChange::default() }).await
    }

    async fn give_back(&self, host: &HostName, aggregates: &[String], reason: &str) -> Result<(), Why> {
        let off =
            ServiceChange { enabled: Some(false), reason: Some(reason.into()), ..ServiceChange::default() };
        self.change(host, off).await?;
        for aggregate in aggregates {
            match self
                .ask(|ground, now, by| ground.nova.remove_from_aggregate(now, by, aggregate, host))
                .await
            {
                Ok(()) | Err(NovaError::Gone(_)) => {}
                Err(error) => return Err(why(&error)),
            }
        }
        Ok(())
    }

    /// Looks until something is so, at most for the job's limit.
    async fn until<F>(&self, job: &Job, is_so: impl Fn() -> F) -> Outcome
    where
        F: Future<Output = Result<bool, Why>>,
    {
        // A state that only has to be written is there or not; one that has to come is waited for.
        let comes = matches!(job.does, Does::AwaitComputeUp {} | Does::AwaitCopiesGone {});
        let began = self.0.now();
        loop {
            let last = match is_so().await {
                Ok(true) => return Outcome::done(),
                Ok(false) if !comes => return Outcome::not_done("it is not so"),
                Ok(false) => Outcome::not_done("it has not come within its limit"),
                Err(why) => Outcome::Unknown { why },
            };
            if self.0.now() - began > u64::from(job.limit_s) * 1000 {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

pub(super) fn at(host: &HostName) -> Outcome {
    Outcome::Done { facts: Facts::from([("host".to_owned(), host.to_string())]) }
}

pub(super) fn parse(id: &InstanceId) -> Result<SimId, Why> {
    SimId::parse(id.as_str()).ok_or_else(|| Why::new(format!("there is no instance {id}")))
}

pub(super) fn node(job: &Job) -> Result<&HostName, Why> {
    match &job.on {
        Target::Node(host) => Ok(host),
        Target::Cloud => Err(Why::new("this needs a node")),
    }
}

impl Cloud for SimCompute {
    fn call<'a>(&'a self, _through: &'a Through, _calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async { Err(Why::new("only the compute service is pretended here")) })
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(self.look_at(scope))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            match &job.does {
                Does::Evacuate { .. } => self.begin_move(job).await,
                Does::Settle { .. } => self.begin_settling(job).await,
                Does::DisableCompute { reason } => {
                    let off = ServiceChange {
                        enabled: Some(false),
                        reason: Some(reason.clone()),
                        ..ServiceChange::default()
                    };
                    self.change(node(job)?, off).await
                }
                Does::EnableCompute {} => {
                    self.change(node(job)?, ServiceChange { enabled: Some(true), ..ServiceChange::default() })
                        .await
                }
                Does::ForceDown {} | Does::ClearForcedDown {} => {
                    let forced_down = Some(matches!(job.does, Does::ForceDown {}));
                    self.change(node(job)?, ServiceChange { forced_down, ..ServiceChange::default() }).await
                }
                Does::AwaitComputeUp {} | Does::AwaitCopiesGone {} => Ok(()),
                Does::UseSpare { aggregates } => self.use_spare(node(job)?, aggregates).await,
                Does::GiveBackSpare { aggregates, reason } => {
                    self.give_back(node(job)?, aggregates, reason).await
                }
                Does::LiveMigrate { instance, source, target } => {
                    self.begin_live_move(instance, source, target).await
                }
                Does::StopInstance { instance, reset } => {
                    let id = parse(instance)?;
                    if *reset {
                        self.reset(id, true).await?;
                    }
                    if self.show(id).await.map_err(|error| why(&error))?.vm_state != SimState::Stopped {
                        self.power_instance(id, false).await?;
                    }
                    self.until_state(id, SimState::Stopped).await
                }
                Does::StartInstance { instance } => {
                    let id = parse(instance)?;
                    if self.show(id).await.map_err(|error| why(&error))?.vm_state != SimState::Active {
                        self.power_instance(id, true).await?;
                    }
                    self.until_state(id, SimState::Active).await
                }
                other => Err(Why::new(format!("the compute service cannot {}", other.name()))),
            }
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            let host = node(job).cloned();
            let host = || host.clone();
            match &job.does {
                Does::Evacuate { .. } => self.end_move(job).await,
                Does::Settle { instance, source, state, lock } => {
                    let id = match parse(instance) {
                        Ok(id) => id,
                        Err(why) => return Outcome::NotDone { why },
                    };
                    match self.show(id).await {
                        Ok(seen) if Self::is_settled(&seen, source, *state, lock) => {
                            seen.host.as_ref().map_or_else(Outcome::done, at)
                        }
                        Ok(seen) => Outcome::not_done(format!("it is {}", seen.vm_state.word())),
                        Err(NovaError::Gone(_)) => Outcome::done(),
                        Err(error) => Outcome::Unknown { why: why(&error) },
                    }
                }
                Does::DisableCompute { .. } => {
                    self.until(job, || async { Ok(!self.service(&host()?).await?.enabled) }).await
                }
                Does::EnableCompute {} => {
                    self.until(job, || async { Ok(self.service(&host()?).await?.enabled) }).await
                }
                Does::ForceDown {} => {
                    self.until(job, || async { Ok(self.service(&host()?).await?.forced_down) }).await
                }
                Does::ClearForcedDown {} => {
                    self.until(job, || async { Ok(!self.service(&host()?).await?.forced_down) }).await
                }
                Does::AwaitComputeUp {} => {
                    self.until(job, || async { Ok(self.service(&host()?).await?.up) }).await
                }
                Does::AwaitCopiesGone {} => {
                    self.until(job, || async {
                        let filter = MigrationFilter {
                            source: Some(host()?),
                            status: Some(MigrationStatus::Done),
                            ..MigrationFilter::default()
                        };
                        Ok(self.evacuations(filter).await.map_err(|error| why(&error))?.is_empty())
                    })
                    .await
                }
                Does::UseSpare { .. } => {
                    self.until(job, || async { Ok(self.service(&host()?).await?.enabled) }).await
                }
                Does::GiveBackSpare { aggregates, .. } => {
                    self.until(job, || async {
                        let host = host()?;
                        let enabled = self.service(&host).await?.enabled;
                        let ground = self.0.ground();
                        let all = ground.nova.aggregates();
                        let left = aggregates
                            .iter()
                            .any(|name| all.get(name).is_some_and(|hosts| hosts.contains(&host)));
                        Ok(!enabled && !left)
                    })
                    .await
                }
                Does::LiveMigrate { instance, target, .. } => self.end_live_move(job, instance, target).await,
                Does::StopInstance { instance, .. } | Does::StartInstance { instance } => {
                    let stops = matches!(job.does, Does::StopInstance { .. });
                    let wanted = if stops { SimState::Stopped } else { SimState::Active };
                    self.until(job, || async {
                        let seen = self.show(parse(instance)?).await.map_err(|error| why(&error))?;
                        Ok(seen.vm_state == wanted && seen.task_state.is_none())
                    })
                    .await
                }
                other => Outcome::not_done(format!("the compute service cannot {}", other.name())),
            }
        })
    }
}
