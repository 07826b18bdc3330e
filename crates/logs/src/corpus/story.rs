//! One server of the made-up cloud whose create fails: its lines in nine logs, and what a trace of it must find.
//!
//! It stands in the middle of the day. The rest of the corpus never mentions its ids.

use super::voices::{At, Way, exact};
use super::{BEGIN, Dice, Out, SPAN_US};
use crate::clock::Moment;
use crate::line::Severity;
use std::path::Path;

/// The server that fails, and its ids.
#[derive(Clone, Debug)]
pub struct Story {
    /// The server.
    pub server: String,
    /// The user's request.
    pub request: String,
    /// Neutron's own request, which the first one caused.
    pub neutron_request: String,
    /// The server's port.
    pub port: String,
    /// When the user asked.
    pub begin: Moment,
    /// Records that belong to it.
    pub records: usize,
    user: String,
    project: String,
}

type Told = Box<dyn Fn(&mut Out) + Send>;

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Story {
        let mut dice = Dice::new(seed ^ 0x00c0_ffee);
        Story {
            server: dice.uuid(),
            request: format!("req-{}", dice.uuid()),
            neutron_request: format!("req-{}", dice.uuid()),
            port: dice.uuid(),
            begin: BEGIN + SPAN_US / 2,
            records: 17,
            user: dice.hex(),
            project: dice.hex(),
        }
    }

    /// What it adds to a log, with the times.
    pub(super) fn lines_of(&self, path: &Path) -> Vec<(Moment, Told)> {
        let path = path.to_string_lossy();
        let is = |host: &str, name: &str| path.contains(&format!("{host}/var/log/")) && path.ends_with(name);
        let (server, port) = (&self.server, &self.port);
        let nova = format!("None {} {} {} - - default default", self.request, self.user, self.project);
        let neutron = format!(
            "{} {} {} {} - - default default",
            self.request, self.neutron_request, self.user, self.project
        );
        let mut lines: Vec<(Moment, Told)> = Vec::new();
        let mut say = |after_ms: i64,
                       severity: Severity,
                       word: &'static str,
                       logger: &'static str,
                       context: &str,
                       text: String,
                       traceback: Option<&'static str>| {
            let at = self.begin + after_ms * 1000;
            let context = context.to_owned();
            let told: Told = Box::new(move |out: &mut Out| {
                let record = out.begin(Some(exact(at, Way::Blank)), severity);
                let time = At(at, Way::Blank);
                out.line(record, format_args!("{time} 77 {word} {logger} [{context}] {text}"));
                if let Some(last) = traceback {
                    out.line(
                        record,
                        format_args!("{time} 77 {word} {logger} Traceback (most recent call last):"),
                    );
                    out.line(record, format_args!("{time} 77 {word} {logger}   File \"/usr/lib/python3/dist-packages/nova/virt/libvirt/driver.py\", line 7, in spawn"));
                    out.line(record, format_args!("{time} 77 {word} {logger} {last}"));
                }
            });
            lines.push((at, told));
        };
        let (info, debug) = (Severity::Info, Severity::Debug);
        if is("ctl2", "nova-api.log") {
            say(
                0,
                info,
                "INFO",
                "nova.api.openstack.requestlog",
                &nova,
                "10.0.0.7 \"POST /v2.1/servers\" status: 202 len: 388 microversion: 2.1 time: 0.412000"
                    .to_owned(),
                None,
            );
        } else if is("ctl1", "nova-scheduler.log") {
            say(
                520,
                debug,
                "DEBUG",
                "nova.scheduler.manager",
                &nova,
                format!(
                    "Starting to schedule for instances: ['{server}'] select_destinations /usr/lib/python3/dist-packages/nova/scheduler/manager.py:141"
                ),
                None,
            );
            say(
                700,
                debug,
                "DEBUG",
                "nova.scheduler.manager",
                &nova,
                format!(
                    "[instance: {server}] Selected host: (cmp1, cmp1) _consume_selected_host /usr/lib/python3/dist-packages/nova/scheduler/manager.py:513"
                ),
                None,
            );
        } else if is("cmp1", "nova-compute.log") {
            let mine = |text: &str| format!("[instance: {server}] {text}");
            say(
                1020,
                info,
                "INFO",
                "nova.compute.claims",
                &nova,
                mine("Attempting claim on node cmp1: memory 512 MB, disk 1 GB, vcpus 1 CPU"),
                None,
            );
            say(
                1110,
                info,
                "INFO",
                "nova.compute.claims",
                &nova,
                mine("Claim successful on node cmp1"),
                None,
            );
            say(
                1290,
                debug,
                "DEBUG",
                "nova.network.neutron",
                &nova,
                mine("Allocating IP information in the background."),
                None,
            );
            say(
                2200,
                debug,
                "DEBUG",
                "nova.network.neutron",
                &nova,
                mine(&format!("Successfully created port: {port}")),
                None,
            );
            say(2600, info, "INFO", "nova.virt.libvirt.driver", &nova, mine("Creating image(s)"), None);
            say(
                3900,
                info,
                "INFO",
                "nova.compute.manager",
                &nova,
                mine("VM Started (Lifecycle Event)"),
                None,
            );
            say(
                303_900,
                Severity::Warning,
                "WARNING",
                "nova.virt.libvirt.driver",
                &nova,
                mine(&format!(
                    "Timeout waiting for [('network-vif-plugged', '{port}')] for instance with vm_state building and task_state spawning: eventlet.timeout.Timeout: 300 seconds"
                )),
                None,
            );
            say(
                304_500,
                Severity::Error,
                "ERROR",
                "nova.compute.manager",
                &nova,
                mine(
                    "Instance failed to spawn: nova.exception.VirtualInterfaceCreateException: Virtual Interface creation failed",
                ),
                Some("nova.exception.VirtualInterfaceCreateException: Virtual Interface creation failed"),
            );
            say(
                307_900,
                Severity::Error,
                "ERROR",
                "nova.compute.manager",
                &nova,
                mine(&format!(
                    "Build of instance {server} aborted: Failed to allocate the network(s), not rescheduling."
                )),
                None,
            );
        } else if is("ctl1", "neutron-server.log") {
            say(
                1300,
                info,
                "INFO",
                "neutron.wsgi",
                &neutron,
                "10.0.0.11 \"POST /v2.0/ports HTTP/1.1\" status: 201  len: 1093 time: 0.8401234".to_owned(),
                None,
            );
            say(
                1900,
                info,
                "INFO",
                "neutron.plugins.ml2.managers",
                &neutron,
                format!("Port {port} bound to host cmp1"),
                None,
            );
        } else if is("cmp1", "ovs-vswitchd.log") {
            let at = self.begin + 3_700_000;
            let device = port[..11].to_owned();
            lines.push((
                at,
                Box::new(move |out: &mut Out| {
                    let record = out.begin(Some(exact(at, Way::Zulu)), info);
                    out.line(
                        record,
                        format_args!(
                            "{}|99999|bridge|INFO|bridge br-int: added interface tap{device} on port 9",
                            At(at, Way::Zulu)
                        ),
                    );
                }),
            ));
        } else if is("cmp1", "neutron-openvswitch-agent.log") {
            let background = format!("None req-{}9 - - - - - -", &self.request[4..39]);
            say(
                100_000,
                Severity::Error,
                "ERROR",
                "neutron.agent.rpc",
                &background,
                format!(
                    "Failed to get details for device {port}: oslo_messaging.exceptions.MessagingTimeout: Timed out waiting for a reply to message ID 54fadb412c4e40cdbaed9335e4c35a9e"
                ),
                None,
            );
        } else if is("ctl1", "nova-conductor.log") {
            say(
                308_100,
                Severity::Warning,
                "WARNING",
                "nova.scheduler.utils",
                &nova,
                format!("[instance: {server}] Setting instance to ERROR state."),
                None,
            );
        }
        lines
    }
}
