//! Instance HA from an operator's side: hosts die on a pretended cloud, servers attend, and a person looks, says, returns.
//!
//! The servers are the production engine; what is typed is the production command line.

use super::told;
use crate::command_line::{CommandLine, answer};
use crate::context::{Context, Given};
use crate::printer::{Printer, take_told};
use crate::settings::CloudSettings;
use crate::wiring::Site as Wired;
use crate::words;
use clap::Parser;
use ostler_engine::ha::{Policy, Says, Sighting, Site, Witness, attend};
use ostler_engine::seam::{Clock, Register};
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::event::Actor;
use ostler_model::ha::{
    Host, HostStatus, IncidentKey, Named, Notification, Opening, Payload, RecoveryMethod, Report, Segment,
    Status, Turn,
};
use ostler_model::ids::HostName;
use ostler_sim::nova::{Caller, HostSpec, Instance, Resources, Settings};
use ostler_sim::outage::{Outage, Trouble};
use ostler_sim::power::Fault;
use ostler_sim::{MemoryStore, SimClock};
use ostler_world::power::{FenceAgent, How, Means, Supply};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What an operator sees of a pretended cloud with three compute hosts and a reserved one.
struct Ground {
    outage: Arc<Outage>,
    store: Arc<MemoryStore>,
    clock: SimClock,
    hosts: Vec<Host>,
    page: String,
}

const HOSTS: [&str; 4] = ["cmp1", "cmp2", "cmp3", "spare1"];

async fn ground() -> Ground {
    let clock = SimClock::default();
    let outage = Arc::new(Outage::new(Settings::default(), 7, clock.clone()));
    let store = Arc::new(MemoryStore::default());
    let segment = Segment {
        number: 0,
        id: "segment-1".into(),
        name: "rack-a".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::AutoPriority,
        created: clock.now(),
        updated: None,
    };
    store.add_segment(&segment).await.unwrap();
    let mut hosts = Vec::new();
    for name in HOSTS {
        outage.add_host(HostSpec::new(name));
        let host = Host {
            number: 0,
            id: format!("host-{name}").as_str().into(),
            name: name.into(),
            segment: segment.id.clone(),
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: name == "spare1",
            on_maintenance: false,
            under_recovery: false,
            quarantined: false,
            created: clock.now(),
            updated: None,
        };
        store.add_host(&host).await.unwrap();
        hosts.push(host);
    }
    for (name, marked) in [("db-1", true), ("web-1", false), ("web-2", false)] {
        let mut instance = Instance::new(name, Resources { vcpus: 1, ram_mb: 1_024, disk_gb: 1 });
        if marked {
            instance.metadata.insert("HA_Enabled".into(), "True".into());
        }
        outage.ground().nova.place(0, instance, Some(&"cmp1".into()));
    }
    Ground { outage, store, clock, hosts, page: String::new() }
}

fn gone() -> Payload {
    Payload::Host { event: Turn::Stopped, cluster_status: None, host_status: Some(HostStatus::Normal) }
}

fn settings() -> CloudSettings {
    let means = |how| Means { name: "agent".into(), limit: Duration::from_secs(30), how };
    let agent = || {
        let options = Default::default();
        How::FenceAgent(FenceAgent { program: "fence_dummy".into(), options, password: None })
    };
    let supply = |how| Supply { means: vec![means(how)], do_not_fence: None, before: Vec::new() };
    let power = [("cmp1", agent()), ("cmp2", agent()), ("spare1", How::Manual)];
    let node = |name: &str| {
        let address = "192.0.2.1".to_owned();
        (HostName::new(name), DeclaredNode { address, port: 22, roles: [Role::Compute].into() })
    };
    CloudSettings {
        power: power.map(|(host, how)| (HostName::new(host), supply(how))).into(),
        cloud: Cloud {
            name: "prod".into(),
            flavour: Flavour::Debian,
            virtual_address: None,
            package_source: String::new(),
            backup_directory: String::new(),
            nodes: HOSTS.iter().map(|name| node(name)).collect(),
        },
        clouds_yaml: PathBuf::new(),
        clouds_entry: String::new(),
        ssh_user: String::new(),
        ssh_key: PathBuf::new(),
        known_hosts: PathBuf::new(),
        soak_s: 5,
        strategy: None,
        function_check: false,
        canary: None,
    }
}

impl Ground {
    async fn happens(&self, troubles: Vec<Trouble>) {
        self.outage.ground().due.insert(self.clock.elapsed_ms() + 1_000, troubles);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// A monitor reports the first host.
    async fn reported(&self) {
        let now = self.clock.now();
        let notification = Notification {
            number: 0,
            id: "report-1".into(),
            generated: now,
            host: self.hosts[0].id.clone(),
            payload: gone(),
            status: Status::New,
            segment: Some(self.hosts[0].segment.clone()),
            message: None,
            incident: None,
            reporter: "monitor@cmp2".into(),
            created: now,
            updated: None,
        };
        let key = IncidentKey::host(&self.hosts[0].id);
        let opening = Some(Opening { id: "5b1e77aa-1".into(), key, at_work_until: now });
        self.store.report(&Report { notification, opening }).await.unwrap();
    }

    /// A server attends for so long.
    async fn attended(&self, seconds: u64) {
        let (policy, no_fence) = (Policy::default(), BTreeSet::new());
        let seams = self.outage.seams(self.store.clone(), self.clock.clone(), 11);
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
        let site = Site {
            seams: &seams,
            cloud: "prod",
            policy: &policy,
            owner: "server",
            compute_process: "nova-compute",
            no_fence: &no_fence,
            sightings: &sightings,
            silent: &silent,
            released: &BTreeSet::new,
            gone: &|_| false,
            observer: &|_, _| {},
            tell: &|_| {},
        };
        tokio::select! {
            () = attend(&site) => {}
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        }
    }

    /// Somebody types; what is answered goes to the page.
    async fn types(&mut self, line: &str) {
        let words = crate::stage::split(line).unwrap();
        let typed = CommandLine::try_parse_from(&words).unwrap();
        let site = Wired {
            cloud: settings(),
            catalogue: Arc::new(Catalogue::embedded().unwrap()),
            seams: self.outage.seams(self.store.clone(), self.clock.clone(), 13),
            credentials: Ok(()),
        };
        let given = Given {
            site,
            person: Actor::Person("alice".to_owned()),
            owner: "adm1/1/2001/1".to_owned(),
            is_gone: Arc::new(|_| false),
            answers: None,
        };
        let context = Context::over(given, Printer::plain().transcript(), &typed.global);
        let outcome = words::speak(&context, typed.noun).await;
        let code = answer(&context, outcome);
        let said = take_told();
        self.page.push_str(&format!("$ {line}\n{said}"));
        if code != 0 {
            self.page.push_str(&format!("[exit {code}]\n"));
        }
        self.page.push('\n');
    }

    /// The page, without what is another each time.
    fn page(&mut self) -> String {
        let mut page = std::mem::take(&mut self.page);
        let names: Vec<String> = page
            .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .filter(|word| word.len() == 36 && word.matches('-').count() == 4)
            .map(str::to_owned)
            .collect();
        for name in names {
            page = page.replace(&name, "[UUID]").replace(&name[..8], "xxxxxxxx");
        }
        page
    }

    async fn host(&self) -> Host {
        self.store.host(&Named::Name("cmp1".into())).await.unwrap().unwrap()
    }
}

#[test]
fn a_host_dies_comes_back_and_is_protected_again() {
    told(async {
        let mut ground = ground().await;
        ground.types("ostler ha status").await;
        ground.types("ostler ha simulate cmp1").await;
        ground.happens(vec![Trouble::Dies("cmp1".into())]).await;
        ground.reported().await;
        ground.attended(7).await;
        ground.types("ostler ha status").await;
        ground.attended(600).await;
        ground.types("ostler ha status").await;
        ground.types("ostler ha show last").await;
        ground.types("ostler ha return cmp1 --unit compute --dry-run").await;
        ground.types("ostler ha return cmp1 --unit compute --yes --no-progress").await;
        ground.types("ostler ha status --limit 0").await;
        assert!(!ground.host().await.is_out());
        insta::assert_snapshot!(ground.page());
    });
}

#[test]
fn a_host_that_nobody_can_prove_dead_waits_for_a_word() {
    told(async {
        let mut ground = ground().await;
        let silent = Trouble::Controller("cmp1".into(), Fault::Silent { after_ms: 1_000 });
        ground.happens(vec![silent, Trouble::Dies("cmp1".into())]).await;
        ground.reported().await;
        ground.attended(300).await;
        ground.types("ostler ha status").await;
        ground.types("ostler ha confirm-down cmp1 --because 'I have pulled its plugs'").await;
        ground.types("ostler ha confirm-down cmp1 --because 'I have pulled its plugs' --yes").await;
        ground.outage.ground().vouched.push("cmp1".into());
        ground.attended(600).await;
        ground.types("ostler ha show cmp1").await;
        insta::assert_snapshot!(ground.page());
    });
}

#[test]
fn a_host_is_worked_on_and_nothing_is_fenced_while_it_is_down() {
    told(async {
        let mut ground = ground().await;
        ground.types("ostler ha maintain cmp1 --because 'new memory' --dry-run").await;
        ground.types("ostler ha maintain cmp1 --because 'new memory' --yes --no-progress").await;
        ground.types("ostler ha maintain cmp1 --because again").await;
        let orders = |ground: &Ground| ground.outage.ground().power.orders(&"cmp1".into());
        ground.happens(vec![Trouble::Dies("cmp1".into())]).await;
        ground.reported().await;
        ground.attended(600).await;
        ground.types("ostler ha status").await;
        assert_eq!(orders(&ground), 0, "nobody switches a machine that is worked on");
        assert_eq!(ground.outage.ground().nova.host(&"cmp1".into()).unwrap().instances.len(), 3);
        ground.happens(vec![Trouble::Boots("cmp1".into())]).await;
        ground.attended(300).await;
        ground.types("ostler ha return cmp1 --yes --no-progress").await;
        ground.types("ostler ha status --limit 0").await;
        assert!(!ground.host().await.is_out());
        insta::assert_snapshot!(ground.page());
    });
}

#[test]
fn what_was_taken_away_comes_home_while_it_runs() {
    told(async {
        let mut ground = ground().await;
        ground.types("ostler ha move-back cmp1").await;
        ground.happens(vec![Trouble::Dies("cmp1".into())]).await;
        ground.reported().await;
        ground.attended(600).await;
        ground.types("ostler ha move-back cmp1").await;
        ground.happens(vec![Trouble::Boots("cmp1".into())]).await;
        ground.types("ostler ha return cmp1 --unit compute --yes --no-progress").await;
        // Its owner switches one off.
        let web = ground.outage.ground().nova.instances().find(|one| one.name == "web-2").unwrap().id;
        let now = ground.clock.elapsed_ms();
        ground.outage.ground().nova.stop(now, Caller::admin(90), web).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        ground.types("ostler ha move-back cmp1 --dry-run").await;
        assert_eq!(ground.outage.ground().nova.host(&"cmp1".into()).unwrap().instances.len(), 0);
        // Somebody else's instance has taken the room meanwhile.
        let whole = Resources { vcpus: 256, ram_mb: 1_024, disk_gb: 1 };
        let big = ground.outage.ground().nova.place(0, Instance::new("big-1", whole), Some(&"cmp1".into()));
        ground.types("ostler ha move-back cmp1 --yes --no-progress").await;
        let now = ground.clock.elapsed_ms();
        ground.outage.ground().nova.delete(now, Caller::admin(90), big).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        ground.types("ostler ha move-back cmp1 --yes --no-progress").await;
        assert_eq!(ground.outage.ground().nova.host(&"cmp1".into()).unwrap().instances.len(), 2);
        ground.types("ostler ha move-back cmp1").await;
        ground.types("ostler run list").await;
        insta::assert_snapshot!(ground.page());
    });
}

#[test]
fn a_person_stops_tries_again_and_switches_off() {
    told(async {
        let mut ground = ground().await;
        ground.types("ostler ha pause rack-a --because 'the switch is being replaced'").await;
        ground.types("ostler ha pause rack-a --because again").await;
        ground.happens(vec![Trouble::Dies("cmp1".into())]).await;
        ground.reported().await;
        ground.attended(30).await;
        ground.types("ostler ha status").await;
        ground.types("ostler ha resume rack-a").await;
        ground.types("ostler ha retry 5b1e").await;
        ground.attended(4).await;
        ground.types("ostler ha return cmp1 --dry-run").await;
        ground.types("ostler ha acknowledge cmp1 --because 'nobody needs them'").await;
        ground.types("ostler ha cancel cmp1 --because 'the rack is up again'").await;
        ground.attended(300).await;
        ground.types("ostler ha status").await;
        ground.types("ostler ha cancel last --because twice").await;
        insta::assert_snapshot!(ground.page());
    });
}

#[test]
fn what_is_not_protected_is_named_with_its_reason() {
    told(async {
        let mut ground = ground().await;
        let mut stray = Instance::new("lone-1", Resources { vcpus: 1, ram_mb: 1_024, disk_gb: 1 });
        stray.metadata.insert("HA_Enabled".into(), "yes".into());
        ground.outage.ground().nova.place(0, stray, Some(&"cmp3".into()));
        ground.outage.add_host(HostSpec::new("cmp9"));
        ground.types("ostler ha coverage").await;
        ground.types("ostler ha simulate cmp3").await;
        ground.types("ostler ha simulate cmpp3").await;
        ground.types("ostler ha show nothing").await;
        ground.types("ostler ha return cmp2").await;
        ground.types("ostler ha coverage --format json").await;
        insta::assert_snapshot!(ground.page());
    });
}
