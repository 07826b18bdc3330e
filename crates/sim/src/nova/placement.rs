//! Placement: what each host has, and who holds how much of it.
//!
//! An allocation is a record and nothing more: it can outlive the guest that it was made for, as the source's share of an
//! evacuated instance does until its nova-compute starts again. Must never look at hosts or guests.

use super::types::{InstanceId, MigrationId, Resources};
use ostler_model::ids::HostName;
use std::collections::BTreeMap;

/// Who holds an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumer {
    /// An instance.
    Instance(InstanceId),
    /// A live or cold migration: it holds the source's share while the instance holds the target's.
    Migration(MigrationId),
}

/// What a host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What is there.
    pub total: Resources,
    /// What is kept back.
    pub reserved: Resources,
    /// How far processors are oversold: 400 is four times.
    pub vcpus_percent: u32,
    /// How far memory is oversold.
    pub ram_percent: u32,
    /// How far disk is oversold.
    pub disk_percent: u32,
}

impl Offer {
    /// What may be given away.
    pub fn capacity(&self) -> Resources {
        let share = |total: u64, reserved: u64, percent: u32| {
            total.saturating_sub(reserved) * u64::from(percent) / 100
        };
        let vcpus = share(self.total.vcpus.into(), self.reserved.vcpus.into(), self.vcpus_percent);
        Resources {
            vcpus: u32::try_from(vcpus).unwrap_or(u32::MAX),
            ram_mb: share(self.total.ram_mb, self.reserved.ram_mb, self.ram_percent),
            disk_gb: share(self.total.disk_gb, self.reserved.disk_gb, self.disk_percent),
        }
    }
}

#[derive(Debug)]
struct Provider {
    offer: Offer,
    used: Resources,
    holders: BTreeMap<Consumer, Resources>,
}

/// All providers, and who consumes what.
#[derive(Debug, Default)]
pub struct Placement {
    providers: BTreeMap<HostName, Provider>,
    /// The hosts of each consumer; two while something moves, or was evacuated.
    consumers: BTreeMap<Consumer, Vec<HostName>>,
}

impl Placement {
    /// Sets what a host offers. What is used already stays used, even beyond it.
    pub fn offer(&mut self, host: &HostName, offer: Offer) {
        let new = Provider { offer, used: Resources::default(), holders: BTreeMap::new() };
        self.providers.entry(host.clone()).or_insert(new).offer = offer;
    }

    /// What a host may give away, and what is given.
    pub fn usage(&self, host: &HostName) -> Option<(Resources, Resources)> {
        self.providers.get(host).map(|provider| (provider.offer.capacity(), provider.used))
    }

    /// Whether a host has room for this much more.
    pub fn fits(&self, host: &HostName, wanted: Resources) -> bool {
        self.usage(host).is_some_and(|(capacity, used)| {
            used.vcpus.saturating_add(wanted.vcpus) <= capacity.vcpus
                && used.ram_mb.saturating_add(wanted.ram_mb) <= capacity.ram_mb
                && used.disk_gb.saturating_add(wanted.disk_gb) <= capacity.disk_gb
        })
    }

    /// Allocates if there is room. What the consumer holds of this host already is replaced.
    pub fn claim(&mut self, consumer: Consumer, host: &HostName, wanted: Resources) -> bool {
        let held = self.held(consumer, host);
        self.release(consumer, host);
        let fits = self.fits(host, wanted);
        if let Some(amount) = if fits { Some(wanted) } else { held } {
            self.record(consumer, host, amount);
        }
        fits
    }

    /// Writes an allocation down, room or not.
    pub fn record(&mut self, consumer: Consumer, host: &HostName, amount: Resources) {
        self.release(consumer, host);
        let Some(provider) = self.providers.get_mut(host) else { return };
        provider.used.vcpus += amount.vcpus;
        provider.used.ram_mb += amount.ram_mb;
        provider.used.disk_gb += amount.disk_gb;
        provider.holders.insert(consumer, amount);
        self.consumers.entry(consumer).or_default().push(host.clone());
    }

    /// Gives back what a consumer holds of a host.
    pub fn release(&mut self, consumer: Consumer, host: &HostName) {
        let Some(provider) = self.providers.get_mut(host) else { return };
        let Some(amount) = provider.holders.remove(&consumer) else { return };
        provider.used.vcpus -= amount.vcpus;
        provider.used.ram_mb -= amount.ram_mb;
        provider.used.disk_gb -= amount.disk_gb;
        if let Some(hosts) = self.consumers.get_mut(&consumer) {
            hosts.retain(|other| other != host);
            if hosts.is_empty() {
                self.consumers.remove(&consumer);
            }
        }
    }

    /// Gives back everything that a consumer holds.
    pub fn release_all(&mut self, consumer: Consumer) {
        for host in self.hosts_of(consumer) {
            self.release(consumer, &host);
        }
    }

    /// Hands what one consumer holds of a host to another.
    pub fn hand_over(&mut self, from: Consumer, to: Consumer, host: &HostName) {
        if let Some(amount) = self.held(from, host) {
            self.release(from, host);
            self.record(to, host, amount);
        }
    }

    /// What a consumer holds of a host.
    pub fn held(&self, consumer: Consumer, host: &HostName) -> Option<Resources> {
        self.providers.get(host)?.holders.get(&consumer).copied()
    }

    /// The hosts of which a consumer holds something.
    pub fn hosts_of(&self, consumer: Consumer) -> Vec<HostName> {
        self.consumers.get(&consumer).cloned().unwrap_or_default()
    }

    /// Who holds something of a host.
    pub fn holders(&self, host: &HostName) -> Vec<(Consumer, Resources)> {
        let holders = self.providers.get(host).map(|provider| &provider.holders);
        holders.into_iter().flatten().map(|(consumer, amount)| (*consumer, *amount)).collect()
    }
}
