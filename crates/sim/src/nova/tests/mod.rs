//! Tests of the pretended Nova: each behaviour that a recovery relies on, and each trap that real clouds showed.

mod evacuation;
mod instances;
mod live;
mod returning;
mod services;
mod storms;

use super::*;

pub(super) const S: u64 = 1_000;
pub(super) const ADMIN: Caller = Caller { micro: 94, admin: true };

pub(super) fn host(n: u32) -> HostName {
    HostName::new(format!("cmp{n}"))
}

pub(super) fn cloud_with(hosts: u32, settings: Settings) -> Nova {
    let mut nova = Nova::new(settings, 7);
    for n in 1..=hosts {
        nova.add_host(0, HostSpec::new(host(n).as_str()));
    }
    nova
}

pub(super) fn cloud(hosts: u32) -> Nova {
    cloud_with(hosts, Settings::default())
}

pub(super) fn small() -> Instance {
    Instance::new("web", Resources { vcpus: 1, ram_mb: 2_048, disk_gb: 10 })
}

pub(super) fn on(nova: &mut Nova, n: u32) -> InstanceId {
    nova.place(0, small(), Some(&host(n)))
}

pub(super) fn any() -> EvacuateRequest {
    EvacuateRequest::default()
}

pub(super) fn to(n: u32) -> EvacuateRequest {
    EvacuateRequest { host: Some(host(n)), ..EvacuateRequest::default() }
}

pub(super) fn force_down(nova: &mut Nova, now: u64, n: u32, down: bool) -> Result<(), NovaError> {
    let service = nova.host(&host(n)).map(|host| host.service).unwrap();
    let change = ServiceChange { forced_down: Some(down), ..ServiceChange::default() };
    nova.update_service(now, ADMIN, service, &change)
}

/// A host that was fenced, declared down, and left by one evacuated instance after a minute.
pub(super) fn evacuated(hosts: u32) -> (Nova, InstanceId) {
    let mut nova = cloud(hosts);
    let id = on(&mut nova, 1);
    nova.power_off(S, &host(1));
    force_down(&mut nova, S, 1, true).unwrap();
    nova.evacuate(S, ADMIN, id, &any()).unwrap();
    nova.advance(60 * S);
    (nova, id)
}

pub(super) fn last(nova: &Nova, id: InstanceId) -> &Migration {
    let last = nova.instance(id).and_then(|instance| instance.migrations.last()).unwrap();
    nova.migration(*last).unwrap()
}

pub(super) fn state(nova: &Nova, id: InstanceId) -> (VmState, Option<TaskState>) {
    nova.instance(id).map(|instance| (instance.vm_state, instance.task_state)).unwrap()
}

pub(super) fn place_of(nova: &Nova, id: InstanceId) -> HostName {
    nova.instance(id).and_then(|instance| instance.host.clone()).unwrap()
}

pub(super) fn guest(nova: &Nova, n: u32, id: InstanceId) -> Option<GuestState> {
    nova.host(&host(n)).and_then(|host| host.guests.get(&id)).map(|guest| guest.state)
}

pub(super) fn is_up(nova: &mut Nova, now: u64, n: u32) -> bool {
    let services = nova.list_services(now, ADMIN).unwrap();
    services.iter().any(|service| service.host == host(n) && service.up)
}

pub(super) fn status(answer: Result<(), NovaError>) -> Option<u16> {
    answer.err().and_then(|error| error.status())
}
