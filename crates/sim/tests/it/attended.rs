//! From a report in the register to its answer: two servers attend, and every report is answered once, with its moves.

use crate::register_contract::{host, segment};
use crate::story::simulated;
use ostler_engine::ha::{Policy, Says, Sighting, Site, Witness, attend};
use ostler_engine::seam::{Clock, Register};
use ostler_model::ha::list::Query;
use ostler_model::ha::{
    self, Host, HostStatus, IncidentKey, MoveStatus, Named, Notification, Opening, Payload, Report, Status,
    TaskState, Turn,
};
use ostler_model::ids::HostName;
use ostler_sim::nova::{
    Caller, Compute, GuestState, HostSpec, Instance, InstanceId, Resources, Settings, Stage, WorkFault,
};
use ostler_sim::outage::{Outage, Trouble};
use ostler_sim::{MemoryStore, SimClock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub struct Ground {
    pub outage: Arc<Outage>,
    pub store: Arc<MemoryStore>,
    pub clock: SimClock,
    pub hosts: Vec<Host>,
    pub instances: Vec<InstanceId>,
}

/// Three registered hosts, three marked instances on the first.
pub async fn ground() -> Ground {
    let clock = SimClock::default();
    let outage = Arc::new(Outage::new(Settings::default(), 7, clock.clone()));
    let store = Arc::new(MemoryStore::default());
    let registered = segment("s", "one", 1);
    store.add_segment(&registered).await.unwrap();
    let mut hosts = Vec::new();
    for name in ["cmp1", "cmp2", "cmp3"] {
        outage.add_host(HostSpec::new(name));
        let host = Host { name: name.into(), ..host(&registered.id, name) };
        store.add_host(&host).await.unwrap();
        hosts.push(host);
    }
    let mut instances = Vec::new();
    for number in 0..3 {
        let flavour = Resources { vcpus: 1, ram_mb: 1_024, disk_gb: 1 };
        let mut instance = Instance::new(format!("vm{number}"), flavour);
        instance.metadata.insert("HA_Enabled".into(), "True".into());
        instances.push(outage.ground().nova.place(0, instance, Some(&"cmp1".into())));
    }
    Ground { outage, store, clock, hosts, instances }
}

impl Ground {
    pub async fn reported(&self, id: &str, payload: Payload, key: IncidentKey) {
        let now = self.clock.now();
        let notification = Notification {
            number: 0,
            id: id.into(),
            generated: now,
            host: self.hosts[0].id.clone(),
            payload,
            status: Status::New,
            segment: Some(self.hosts[0].segment.clone()),
            message: None,
            incident: None,
            reporter: "monitor".into(),
            created: now,
            updated: None,
        };
        let opening = Some(Opening { id: format!("incident-{id}").as_str().into(), key, at_work_until: now });
        self.store.report(&Report { notification, opening }).await.unwrap();
    }

    /// Two servers attend for so long.
    pub async fn attended(&self, seconds: u64) {
        let (policy, no_fence) = (Policy::default(), BTreeSet::new());
        let seams = [11, 12].map(|seed| self.outage.seams(self.store.clone(), self.clock.apart(), seed));
        let hears = |host: &HostName| {
            self.outage.ground().nova.host(host).is_some_and(|host| host.power && host.link)
        };
        let sightings = |host: &HostName| {
            let says = if hears(host) { Says::Alive } else { Says::Dead };
            vec![Sighting { witness: Witness::Agent, says, at: self.clock.now() }]
        };
        let silent = || {
            let all = self.hosts.iter().map(|host| HostName::new(host.name.as_str()));
            all.filter(|host| !hears(host)).collect()
        };
        let site = |number: usize| Site {
            seams: &seams[number],
            cloud: "c",
            policy: &policy,
            owner: ["one", "two"][number],
            compute_process: "nova-compute",
            no_fence: &no_fence,
            sightings: &sightings,
            silent: &silent,
            released: &BTreeSet::new,
            gone: &|_| false,
            observer: &|_, _| {},
            tell: &|_| {},
        };
        let (one, two) = (site(0), site(1));
        tokio::select! {
            () = attend(&one) => {}
            () = attend(&two) => {}
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        }
    }

    pub async fn notification(&self, id: &str) -> Notification {
        self.store.notification(&Named::Id(id.into())).await.unwrap().unwrap()
    }

    async fn host(&self) -> Host {
        self.store.host(&Named::Id(self.hosts[0].id.to_string())).await.unwrap().unwrap()
    }
}

pub fn gone() -> Payload {
    Payload::Host { event: Turn::Stopped, cluster_status: None, host_status: Some(HostStatus::Normal) }
}

#[test]
fn a_dead_host_is_answered_with_moves_flags_and_a_finished_notification() {
    simulated(async {
        let ground = ground().await;
        ground.outage.ground().due.insert(1_000, vec![Trouble::Dies("cmp1".into())]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
        ground.attended(600).await;
        let notification = ground.notification("n1").await;
        assert_eq!(notification.status, Status::Finished, "{:?}", notification.message);
        let moves = ground.store.moves(&Query::default()).await.unwrap();
        assert_eq!(moves.len(), 3);
        assert!(
            moves.iter().all(|moved| moved.status == MoveStatus::Succeeded && moved.destination.is_some())
        );
        let steps = ground.store.progress(&"n1".into()).await.unwrap();
        let tasks: Vec<_> =
            ["isolate cmp1", "move"].map(|task| steps.iter().rfind(|step| step.task == task)).into();
        let ends: Vec<_> = tasks.into_iter().flatten().map(|step| (step.state, step.permille)).collect();
        assert_eq!(ends, [(TaskState::Success, 1_000); 2], "each wave is a task that clients see done");
        let host = ground.host().await;
        assert!(host.under_recovery && !host.on_maintenance);
        let incidents = ground.store.incidents(10).await.unwrap();
        assert_eq!((incidents.len(), incidents[0].stage), (1, ha::Stage::Recovered));
        assert_eq!(ground.outage.ground().nova.ever_active_twice(), []);
    });
}

#[test]
fn a_nova_that_is_looked_at_for_longer_than_a_lease_lasts_holds_up_nothing_for_good() {
    simulated(async {
        let ground = ground().await;
        ground.outage.ground().due.insert(1_000, vec![Trouble::Dies("cmp1".into())]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        ground.outage.slow_down(3_000);
        ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
        ground.attended(1_200).await;
        let notification = ground.notification("n1").await;
        assert_eq!(notification.status, Status::Finished, "{:?}", notification.message);
    });
}

#[test]
fn an_evacuation_that_nova_has_lost_is_asked_for_again_when_a_person_resets_it() {
    simulated(async {
        let ground = ground().await;
        let lost = ground.instances[1];
        let fault = WorkFault {
            stage: Stage::Conductor,
            instance: Some(lost),
            host: None,
            times: 1,
            why: String::new(),
        };
        ground.outage.ground().nova.order_work(fault);
        ground.outage.ground().due.insert(1_000, vec![Trouble::Dies("cmp1".into())]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
        ground.attended(7_200).await;
        let incident = ground.store.open_incidents().await.unwrap().remove(0);
        assert!(incident.why.contains("server set --state error"), "{}", incident.why);
        let asked = ground.outage.ground().asked.len();
        assert_eq!(asked, 3, "nobody asks twice while Nova may still be at it");
        let now = ground.clock.elapsed_ms();
        ground.outage.ground().nova.reset_state(now, Caller::admin(96), lost, false).unwrap();
        ground.attended(600).await;
        let notification = ground.notification("n1").await;
        assert_eq!(notification.status, Status::Finished, "{:?}", notification.message);
        let ground = ground.outage.ground();
        assert_eq!(ground.asked.len(), 4);
        let host = ground.nova.instance(lost).unwrap().host.clone().unwrap();
        assert_ne!(host.as_str(), "cmp1");
        assert_eq!(ground.nova.host(&host).unwrap().guests[&lost].state, GuestState::Running);
        assert_eq!(ground.nova.ever_active_twice(), []);
    });
}

#[test]
fn a_host_that_still_reports_is_not_fenced_by_a_report_alone() {
    simulated(async {
        let ground = ground().await;
        ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
        ground.attended(120).await;
        assert_eq!(ground.notification("n1").await.status, Status::Running);
        assert_eq!(ground.store.open_incidents().await.unwrap()[0].stage, ha::Stage::Held);
        assert_eq!(ground.outage.ground().power.orders(&"cmp1".into()), 0);
    });
}

#[test]
fn a_dead_guest_is_started_again() {
    simulated(async {
        let ground = ground().await;
        let id = ground.instances[0];
        ground.outage.ground().nova.end_guest(0, &"cmp1".into(), id, true);
        let payload = Payload::Instance {
            event: "LIFECYCLE".into(),
            instance_uuid: id.to_string().as_str().into(),
            vir_domain_event: "STOPPED_FAILED".into(),
        };
        ground.reported("n1", payload, IncidentKey::instance(&id.to_string())).await;
        ground.attended(120).await;
        let notification = ground.notification("n1").await;
        assert_eq!(notification.status, Status::Finished, "{:?}", notification.message);
        let guest = ground.outage.ground().nova.host(&"cmp1".into()).unwrap().guests[&id].state;
        assert_eq!(guest, GuestState::Running);
    });
}

#[test]
fn a_dead_compute_process_takes_its_host_out_of_use_and_another_one_does_not() {
    simulated(async {
        let ground = ground().await;
        for (id, name) in [("n1", "libvirtd"), ("n2", "nova-compute")] {
            let payload = Payload::Process { event: Turn::Stopped, process_name: name.into() };
            ground.reported(id, payload, IncidentKey::process(&ground.hosts[0].id, name)).await;
            ground.attended(60).await;
            assert_eq!(ground.notification(id).await.status, Status::Finished);
            let is_compute = name == "nova-compute";
            assert_eq!(ground.host().await.quarantined, is_compute, "{name}");
            let enabled = ground.outage.ground().nova.host(&"cmp1".into()).unwrap().enabled;
            assert_eq!(enabled, !is_compute, "{name}");
        }
    });
}

#[test]
fn a_host_comes_back_without_its_copies() {
    simulated(async {
        let ground = ground().await;
        ground.outage.ground().due.insert(1_000, vec![Trouble::IsCut("cmp1".into())]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
        ground.attended(600).await;
        ground.outage.ground().due.insert(0, vec![Trouble::Rejoins("cmp1".into())]);
        let seams = ground.outage.seams(ground.store.clone(), ground.clock.clone(), 13);
        let seen = seams.cloud.look(&ostler_model::compute::Scope::default()).await.unwrap();
        let (name, units) = (HostName::new("cmp1"), ["compute".to_owned()]);
        let wish = ostler_engine::ha::Comeback {
            cloud: "c",
            host: &name,
            units: &units,
            power_on: true,
            seen: &seen,
        };
        let plan = ostler_engine::ha::comeback(&wish).unwrap();
        let run = crate::story::open(&seams, &plan).await;
        let ended = crate::story::drive(&seams, &run).await.unwrap();
        assert_eq!(ended, ostler_engine::run::Ended::Closed(ostler_model::event::Verdict::Finished));
        let ground = ground.outage.ground();
        let host = ground.nova.host(&name).unwrap();
        assert!(host.enabled && !host.forced_down && host.guests.is_empty(), "{host:?}");
        assert_eq!(host.compute, Compute::Running);
        assert_eq!(ground.nova.ever_active_twice(), []);
    });
}
