//! What all moves share: the migration record, and the scheduler's choice of a target.
//!
//! The scheduler weighs by what hosts last told of their load, so a burst goes to one host; only Placement's room is
//! exact. It must never see where an instance is *about* to land: two members of a group that move at once can be sent
//! to one host, and only the host notices.

use super::queue::{Stage, Verb};
use super::types::{Caller, Instance, InstanceId, MigrationId, NovaError, VmState};
use super::{Host, Nova, Policy};
use ostler_model::ids::HostName;
use std::collections::BTreeSet;

/// `migration_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MigrationKind {
    /// `evacuation`.
    Evacuation,
    /// `live-migration`.
    Live,
    /// `migration`: cold.
    Cold,
}

impl MigrationKind {
    /// Nova's word.
    pub fn word(self) -> &'static str {
        match self {
            MigrationKind::Evacuation => "evacuation",
            MigrationKind::Live => "live-migration",
            MigrationKind::Cold => "migration",
        }
    }
}

/// `status` of a migration record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MigrationStatus {
    /// `accepted`.
    Accepted,
    /// `queued`: the source is busy with another one.
    Queued,
    /// `preparing`.
    Preparing,
    /// `running`.
    Running,
    /// `pre-migrating`: the target has claimed what it needs.
    PreMigrating,
    /// `migrating`.
    Migrating,
    /// `done`: an evacuation has ended well, and the source has not started since.
    Done,
    /// `completed`.
    Completed,
    /// `finished`: a cold migration waits for confirmation.
    Finished,
    /// `confirmed`.
    Confirmed,
    /// `reverted`.
    Reverted,
    /// `error`: it did not get as far as a target, or was found broken.
    Error,
    /// `failed`: the work on it failed.
    Failed,
    /// `cancelled`.
    Cancelled,
}

impl MigrationStatus {
    /// Nova's word.
    pub fn word(self) -> &'static str {
        match self {
            MigrationStatus::Accepted => "accepted",
            MigrationStatus::Queued => "queued",
            MigrationStatus::Preparing => "preparing",
            MigrationStatus::Running => "running",
            MigrationStatus::PreMigrating => "pre-migrating",
            MigrationStatus::Migrating => "migrating",
            MigrationStatus::Done => "done",
            MigrationStatus::Completed => "completed",
            MigrationStatus::Finished => "finished",
            MigrationStatus::Confirmed => "confirmed",
            MigrationStatus::Reverted => "reverted",
            MigrationStatus::Error => "error",
            MigrationStatus::Failed => "failed",
            MigrationStatus::Cancelled => "cancelled",
        }
    }
}

/// A migration record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Which.
    pub id: MigrationId,
    /// What kind of move.
    pub kind: MigrationKind,
    /// Of which instance.
    pub instance: InstanceId,
    /// From where.
    pub source: HostName,
    /// Where to, once that is known.
    pub target: Option<HostName>,
    /// How far it is.
    pub status: MigrationStatus,
    /// When it was made.
    pub created: u64,
    /// When it last changed.
    pub updated: u64,
    /// The truth: when the target of an evacuation finished it. A status is none: a source that starts again turns every
    /// record of its own into `completed`, also one that nobody ever worked on.
    pub landed: Option<u64>,
    /// The truth: whether the target of an evacuation failed with a guest running there, which nobody removes.
    pub left_behind: bool,
    /// Whether the target that was asked for is taken without the scheduler.
    pub(super) bypass: bool,
    /// Whether the instance is to be off afterwards.
    pub(super) stop_after: bool,
    /// What an old caller said of the storage.
    pub(super) on_shared: Option<bool>,
    /// The state before.
    pub(super) was: VmState,
    /// The generation of the copying, and what it began with.
    pub(super) run: u64,
    pub(super) source_epoch: u64,
    pub(super) source_boots: u64,
    pub(super) target_boots: u64,
    /// The guest is at the target already; only the record is not.
    pub(super) moved: bool,
    /// The copying has failed already; only the record does not say so.
    pub(super) broken: bool,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationFilter {
    /// Of this instance.
    pub instance: Option<InstanceId>,
    /// With this source.
    pub source: Option<HostName>,
    /// Of this kind.
    pub kind: Option<MigrationKind>,
    /// In this status.
    pub status: Option<MigrationStatus>,
}

impl Nova {
    /// `GET /os-migrations`, newest first, at most a page; go on with the last one's identity as the marker (2.59).
    pub fn list_migrations(
        &mut self,
        now: u64,
        by: Caller,
        filter: &MigrationFilter,
        marker: Option<MigrationId>,
    ) -> Result<Vec<Migration>, NovaError> {
        self.answer(now, by, Verb::ListMigrations, filter.instance, |nova| {
            if !by.admin {
                return Err(super::instances::forbidden("os-migrations:index"));
            }
            let wanted = |record: &&Migration| {
                marker.is_none_or(|marker| record.id < marker)
                    && filter.instance.is_none_or(|instance| instance == record.instance)
                    && filter.source.as_ref().is_none_or(|source| *source == record.source)
                    && filter.kind.is_none_or(|kind| kind == record.kind)
                    && filter.status.is_none_or(|status| status == record.status)
            };
            let limit = nova.settings.page_limit;
            let known = filter.instance.and_then(|id| nova.instances.get(&id));
            Ok(match known {
                Some(instance) => {
                    let own = instance.migrations.iter().rev().filter_map(|id| nova.migrations.get(id));
                    own.filter(wanted).take(limit).cloned().collect()
                }
                None => nova.migrations.values().rev().filter(wanted).take(limit).cloned().collect(),
            })
        })
    }

    /// Writes a new record down.
    pub(super) fn new_migration(
        &mut self,
        now: u64,
        kind: MigrationKind,
        instance: InstanceId,
        target: Option<&HostName>,
    ) -> Option<MigrationId> {
        let id = MigrationId(self.next_id());
        let record = self.instances.get_mut(&instance)?;
        record.migrations.push(id);
        let migration = Migration {
            id,
            kind,
            instance,
            source: record.host.clone()?,
            target: target.cloned(),
            status: MigrationStatus::Accepted,
            created: now,
            updated: now,
            bypass: false,
            stop_after: false,
            on_shared: None,
            was: record.vm_state,
            run: 0,
            source_epoch: 0,
            source_boots: 0,
            target_boots: 0,
            moved: false,
            landed: None,
            left_behind: false,
            broken: false,
        };
        self.migrations.insert(id, migration);
        Some(id)
    }

    pub(super) fn set_status(&mut self, at: u64, id: MigrationId, status: MigrationStatus) {
        if let Some(record) = self.migrations.get_mut(&id) {
            record.status = status;
            record.updated = at;
        }
    }

    /// The scheduler's choice: the host with the most free memory, as it believes, that passes every filter.
    pub(super) fn choose(
        &mut self,
        at: u64,
        id: InstanceId,
        skip: &[HostName],
        only: Option<&HostName>,
    ) -> Option<HostName> {
        if self.ordered(Stage::Schedule, id, only).is_some() {
            return None;
        }
        self.refresh_beliefs(at);
        let companions = self.companions(id);
        let instance = self.instances.get(&id)?;
        let mut best: Option<(u64, &HostName)> = None;
        let named = only.and_then(|only| self.hosts.get_key_value(only));
        let everywhere = self.hosts.iter().filter(|_| only.is_none());
        for (name, host) in named.into_iter().chain(everywhere) {
            let free = host.believed.map_or(0, |(_, free)| free);
            let better = best.is_none_or(|(most, _)| free > most);
            if better && !skip.contains(name) && self.passes(at, instance, name, host, companions.as_ref()) {
                best = Some((free, name));
            }
        }
        best.map(|(_, name)| name.clone())
    }

    fn passes(
        &self,
        at: u64,
        instance: &Instance,
        name: &HostName,
        host: &Host,
        companions: Option<&(Policy, BTreeSet<HostName>)>,
    ) -> bool {
        let pinned = instance.aggregate.as_ref();
        host.enabled
            && self.counts_as_up(host, at)
            && instance.zone.as_ref().is_none_or(|zone| *zone == host.spec.zone)
            && pinned.is_none_or(|pin| self.aggregates.get(pin).is_some_and(|hosts| hosts.contains(name)))
            && allowed(companions, name)
            && self.placement.fits(name, instance.flavour)
    }

    /// The policy of an instance's group, and where the other members are by Nova's record.
    fn companions(&self, id: InstanceId) -> Option<(Policy, BTreeSet<HostName>)> {
        let group = self.groups.get(&self.instances.get(&id)?.group?)?;
        let others = group.members.iter().filter(|other| **other != id);
        let hosts = others.filter_map(|other| self.instances.get(other)?.host.clone()).collect();
        Some((group.policy, hosts))
    }

    /// Whether a group's policy lets an instance come to a host, as the host itself checks it at last: it knows who else is
    /// coming.
    pub(super) fn group_allows(&self, id: InstanceId, name: &HostName) -> bool {
        let Some((policy, mut hosts)) = self.companions(id) else { return true };
        let group = self.instances.get(&id).and_then(|instance| instance.group);
        let members = group.and_then(|group| self.groups.get(&group)).map(|group| &group.members);
        let comes = |other: &InstanceId| {
            let record = self.instances.get(other).and_then(|other| other.migrations.last());
            record.and_then(|record| self.migrations.get(record)).is_some_and(|record| {
                record.status == MigrationStatus::PreMigrating && record.target.as_ref() == Some(name)
            })
        };
        if members.into_iter().flatten().any(|other| *other != id && comes(other)) {
            hosts.insert(name.clone());
        }
        allowed(Some(&(policy, hosts)), name)
    }

    /// Lets the scheduler hear of each host's load once in a while: what it believes is as old as that.
    fn refresh_beliefs(&mut self, at: u64) {
        let turn = at / self.settings.stats_ms.max(1);
        for (name, host) in &mut self.hosts {
            if host.believed.is_none_or(|(when, _)| when != turn) {
                let usage = self.placement.usage(name);
                let free = usage.map_or(0, |(all, used)| all.ram_mb.saturating_sub(used.ram_mb));
                host.believed = Some((turn, free));
            }
        }
    }

    /// A host has reported its load out of turn, because something has landed.
    pub(super) fn report_load(&mut self, name: &HostName) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.believed = None;
        }
    }
}

fn allowed(companions: Option<&(Policy, BTreeSet<HostName>)>, name: &HostName) -> bool {
    match companions {
        None => true,
        Some((Policy::AntiAffinity, hosts)) => !hosts.contains(name),
        Some((Policy::Affinity, hosts)) => hosts.is_empty() || hosts.contains(name),
    }
}
