//! A client of the pretended Nova behind the `Cloud` seam: the same looks, orders and doubts as the real one.
//!
//! It must never ask for an evacuation before it has looked, nor say that something is not done while it may still come.

use super::{Outage, wall};
use crate::nova::{
    Caller, Disk as SimDisk, EvacuateRequest, GuestState, Instance as SimInstance, InstanceId as SimId,
    Migration, MigrationFilter, MigrationKind, MigrationStatus, NovaError, Obstacle, ServerFilter,
    ServiceChange, ServiceSeen, VmState as SimState,
};
use ostler_engine::seam::{Called, Cloud, Fut, Nodes};
use ostler_model::compute::{
    Aggregate, Compute, Disk, Evacuation, GuestPower, Instance, MoveStage, Room, Scope, Service, VmState,
};
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::inventory::{Fact, INVENTORY_FORMAT, Inventory};
use ostler_model::step::{Call, Does, Job, Target, Through, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a call takes.
const CALL_MS: u64 = 10;

/// Pause between two looks while something is waited for.
const LOOK_MS: u64 = 1_000;

/// How long a request whose answer was lost may still be on its way.
const GRACE_MS: u64 = 10_000;

/// How often a look is repeated that got no answer.
const LOOKS_MAX: u32 = 3;

/// How long a change waits for an instance to follow.
const FOLLOW_MS: u64 = 60_000;

/// Pages of a list that are read: far more than a host has instances.
const PAGES_MAX: usize = 1_000;

pub(super) struct SimCompute(pub(super) Arc<Outage>);

type Asked<T> = Result<T, NovaError>;

fn why(error: &NovaError) -> Why {
    Why::new(error.to_string())
}

fn is_passing(error: &NovaError) -> bool {
    matches!(error, NovaError::Busy { .. } | NovaError::Unavailable(_) | NovaError::Cut(_))
}

impl SimCompute {
    /// One request.
    async fn ask<T>(&self, request: impl FnOnce(&mut super::Ground, u64, Caller) -> Asked<T>) -> Asked<T> {
        tokio::time::sleep(Duration::from_millis(CALL_MS)).await;
        let mut ground = self.0.ground();
        let (now, by) = (self.0.now(), Outage::by(&ground));
        request(&mut ground, now, by)
    }

    /// A request that only looks, and may be repeated.
    async fn read<T>(
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

    async fn show(&self, id: SimId) -> Asked<SimInstance> {
        self.read(|ground, now, by| ground.nova.show_server(now, by, id)).await
    }

    async fn services(&self) -> Asked<Vec<ServiceSeen>> {
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

    async fn evacuations(&self, filter: MigrationFilter) -> Asked<Vec<Migration>> {
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

    /// Whether one of these may still end by itself.
    async fn is_under_way(&self, records: &[Migration]) -> Asked<bool> {
        let open: Vec<&Migration> =
            records.iter().filter(|record| stage(record.status) == MoveStage::UnderWay).collect();
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
        let seen = self.show(id).await.map_err(|error| why(&error))?;
        if seen.host.as_ref() != Some(source) {
            return Ok(());
        }
        let records = self.of(id, source).await.map_err(|error| why(&error))?;
        if self.is_under_way(&records).await.map_err(|error| why(&error))? {
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
        let asked = self
            .ask(|ground, now, by| {
                ground.judge_request(now, source);
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
            let seen = match self.show(id).await {
                Ok(seen) => seen,
                Err(NovaError::Gone(text)) => return Outcome::not_done(text),
                Err(_) => continue,
            };
            let Ok(records) = self.of(id, source).await else { continue };
            let Ok(under_way) = self.is_under_way(&records).await else { continue };
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

fn at(host: &HostName) -> Outcome {
    Outcome::Done { facts: Facts::from([("host".to_owned(), host.to_string())]) }
}

fn parse(id: &InstanceId) -> Result<SimId, Why> {
    SimId::parse(id.as_str()).ok_or_else(|| Why::new(format!("there is no instance {id}")))
}

fn node(job: &Job) -> Result<&HostName, Why> {
    match &job.on {
        Target::Node(host) => Ok(host),
        Target::Cloud => Err(Why::new("this needs a node")),
    }
}

fn stage(status: MigrationStatus) -> MoveStage {
    match status {
        MigrationStatus::Done => MoveStage::Done,
        MigrationStatus::Completed => MoveStage::Completed,
        MigrationStatus::Failed | MigrationStatus::Error | MigrationStatus::Cancelled => MoveStage::Failed,
        _ => MoveStage::UnderWay,
    }
}

pub(super) fn seen_as(instance: &SimInstance) -> Instance {
    let state = VmState::from_word(instance.vm_state.word());
    let power = instance.power.map(|power| match power {
        GuestState::Running => GuestPower::Running,
        GuestState::Paused => GuestPower::Paused,
        GuestState::Off => GuestPower::Off,
        GuestState::Crashed => GuestPower::Crashed,
    });
    let obstacle = instance.obstacle.and_then(|obstacle| match obstacle {
        Obstacle::Vtpm => Some("it has a virtual TPM"),
        Obstacle::Accelerator => Some("it has an accelerator"),
        Obstacle::Share => Some("it has a share"),
        // Found out only when it is tried.
        Obstacle::Secret => None,
    });
    Instance {
        name: instance.name.clone(),
        project: instance.project.clone(),
        host: instance.host.clone(),
        state,
        task: instance.task_state.map(|task| task.word().to_owned()),
        power,
        locked: instance.locked,
        lock_reason: instance.lock_reason.clone(),
        metadata: instance.metadata.clone(),
        needs: Room {
            vcpus: u64::from(instance.flavour.vcpus),
            ram_mb: instance.flavour.ram_mb,
            disk_gb: instance.flavour.disk_gb,
        },
        disk: match instance.disk {
            SimDisk::Volume => Disk::Volume,
            SimDisk::Shared => Disk::Shared,
            SimDisk::Local => Disk::Local,
        },
        zone: instance.zone.clone(),
        apart_from: instance.group.map(|group| format!("group-{}", group.0)),
        obstacle: obstacle.map(str::to_owned),
        launched: instance.launched,
        fault: instance.fault.clone(),
    }
}

fn service_as(seen: &ServiceSeen) -> Service {
    Service {
        hypervisor: Some(format!("{}.example.org", seen.host)),
        zone: seen.zone.clone(),
        up: seen.up,
        enabled: seen.enabled,
        reason: seen.reason.clone(),
        forced_down: seen.forced_down,
        heard: seen.heard.map(wall),
    }
}

impl Cloud for SimCompute {
    fn call<'a>(&'a self, _through: &'a Through, _calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async { Err(Why::new("only the compute service is pretended here")) })
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(async move {
            let services = self.services().await.map_err(|error| why(&error))?;
            let mut instances = BTreeMap::new();
            let mut records: BTreeMap<u64, Migration> = BTreeMap::new();
            for host in &scope.on {
                let filter = ServerFilter { host: Some(host.clone()), vm_state: None };
                let mut marker = None;
                for _ in 0..PAGES_MAX {
                    let page = self
                        .read(|ground, now, by| ground.nova.list_servers(now, by, &filter, None, marker))
                        .await
                        .map_err(|error| why(&error))?;
                    for server in &page.servers {
                        instances.insert(InstanceId::new(server.id.to_string()), seen_as(server));
                    }
                    marker = page.next;
                    if marker.is_none() {
                        break;
                    }
                }
                let filter = MigrationFilter { source: Some(host.clone()), ..MigrationFilter::default() };
                let found = self.evacuations(filter).await.map_err(|error| why(&error))?;
                records.extend(found.into_iter().map(|record| (record.id.0, record)));
            }
            for id in
                scope.those.iter().filter(|id| !instances.contains_key(*id)).cloned().collect::<Vec<_>>()
            {
                match self.show(parse(&id)?).await {
                    Ok(server) => _ = instances.insert(id, seen_as(&server)),
                    Err(NovaError::Gone(_)) => {}
                    Err(error) => return Err(why(&error)),
                }
            }
            let evacuations = records.into_values().map(|record| Evacuation {
                id: record.id.0,
                instance: InstanceId::new(record.instance.to_string()),
                source: record.source.clone(),
                target: record.target.clone(),
                stage: stage(record.status),
                created: Some(wall(record.created)),
            });
            let evacuations = evacuations.collect();
            let ground = self.0.ground();
            let room = services.iter().filter(|_| scope.room).filter_map(|service| {
                let (all, used) = ground.nova.placement().usage(&service.host)?;
                let free = Room {
                    vcpus: u64::from(all.vcpus.saturating_sub(used.vcpus)),
                    ram_mb: all.ram_mb.saturating_sub(used.ram_mb),
                    disk_gb: all.disk_gb.saturating_sub(used.disk_gb),
                };
                Some((service.host.clone(), free))
            });
            let room = room.collect();
            let aggregates = ground.nova.aggregates().iter().enumerate().map(|(id, (name, hosts))| {
                Aggregate { id: id as u64, name: name.clone(), hosts: hosts.iter().cloned().collect() }
            });
            let aggregates = aggregates.collect();
            let services = services.iter().map(|seen| (seen.host.clone(), service_as(seen))).collect();
            Ok(Compute { taken: wall(self.0.now()), services, instances, evacuations, room, aggregates })
        })
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

/// The nodes, as far as a return needs them: their compute process.
pub(super) struct SimComputeNodes(pub(super) Arc<Outage>);

impl Nodes for SimComputeNodes {
    fn survey<'a>(&'a self, _hosts: &'a [HostName], _facts: &'a [Fact]) -> Fut<'a, Inventory> {
        let taken = wall(self.0.now());
        Box::pin(async move {
            Inventory {
                format: INVENTORY_FORMAT,
                cloud: "pretended".into(),
                taken,
                nodes: BTreeMap::new(),
                gaps: Vec::new(),
            }
        })
    }

    fn available<'a>(
        &'a self,
        _host: &'a HostName,
        _source: &'a str,
        _packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            let host = node(job)?;
            let mut ground = self.0.ground();
            let now = self.0.now();
            if !ground.nova.host(host).is_some_and(|host| host.power && host.link) {
                return Err(Why::new(format!("{host} does not answer")));
            }
            match &job.does {
                Does::StopUnits { .. } => ground.nova.stop_compute(now, host),
                Does::StartUnits { .. } => ground.nova.start_compute(now, host),
                other => return Err(Why::new(format!("no node here can {}", other.name()))),
            }
            Ok(())
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            let host = match node(job) {
                Ok(host) => host,
                Err(why) => return Outcome::NotDone { why },
            };
            let ground = self.0.ground();
            let Some(found) = ground.nova.host(host).filter(|host| host.power && host.link) else {
                return Outcome::unknown(format!("{host} does not answer"));
            };
            let stopped = found.compute == crate::nova::Compute::Stopped;
            match stopped == matches!(job.does, Does::StopUnits { .. }) {
                true => Outcome::done(),
                false => Outcome::not_done("the unit is not as it should be"),
            }
        })
    }
}
