//! How each program of the made-up cloud writes its log.
//!
//! Shapes are those of real programs. What a line means is told to the truth beside it, never read back from it. It is long because
//! there are many programs, and short for each.

use super::{Dice, Out};
use crate::clock::Moment;
use crate::line::Severity;
use crate::line::stamp::{DAY_US, date};
use std::fmt::{self, Write as _};

/// Who writes a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// oslo.log of today: eight words of context.
    Oslo,
    /// oslo.log while a cloud is being upgraded: six and eight words in one file.
    OsloMixed,
    /// oslo.log of an API with its access lines.
    Api,
    /// oslo.log as JSON.
    Json,
    /// oslo.log in a container's log.
    Cri,
    /// oslo.log in a journal, exported.
    Journal,
    /// uWSGI.
    Uwsgi,
    /// Apache's access log with microseconds.
    Apache,
    /// Open vSwitch.
    Ovs,
    /// RabbitMQ.
    Rabbit,
    /// MariaDB with Galera.
    MariaDb,
    /// HAProxy by way of syslog.
    Haproxy,
    /// syslog of a host: kernel, dnsmasq, keepalived, systemd.
    Syslog,
    /// libvirt.
    Libvirt,
}

/// The logs of a corpus: host, path, voice.
pub(super) fn plan() -> [(&'static str, &'static str, Voice); super::FILES] {
    [
        ("ctl1", "var/log/nova/nova-api.log", Voice::Api),
        ("ctl2", "var/log/nova/nova-api.log", Voice::Api),
        ("ctl1", "var/log/nova/nova-scheduler.log", Voice::Oslo),
        ("ctl1", "var/log/nova/nova-conductor.log", Voice::OsloMixed),
        ("ctl1", "var/log/neutron/neutron-server.log", Voice::Api),
        ("cmp1", "var/log/nova/nova-compute.log", Voice::Oslo),
        ("cmp2", "var/log/nova/nova-compute.log", Voice::Oslo),
        ("cmp3", "var/log/nova/nova-compute.log", Voice::OsloMixed),
        ("cmp1", "var/log/neutron/neutron-openvswitch-agent.log", Voice::Oslo),
        ("cmp2", "var/log/libvirt/libvirtd.log", Voice::Libvirt),
        ("ctl1", "var/log/cinder/cinder-volume.json", Voice::Json),
        ("ctl2", "var/log/pods/glance-api.log", Voice::Cri),
        ("ctl3", "var/log/journal/heat-engine.export", Voice::Journal),
        ("ctl1", "var/log/keystone/keystone-uwsgi.log", Voice::Uwsgi),
        ("ctl2", "var/log/apache2/keystone_access.log", Voice::Apache),
        ("cmp1", "var/log/openvswitch/ovs-vswitchd.log", Voice::Ovs),
        ("ctl1", "var/log/rabbitmq/rabbit@ctl1.log", Voice::Rabbit),
        ("ctl1", "var/log/mariadb/mariadb.log", Voice::MariaDb),
        ("ctl1", "var/log/haproxy.log", Voice::Haproxy),
        ("net1", "var/log/syslog", Voice::Syslog),
    ]
}

/// A moment in one of the ways in which it is written.
pub(super) struct At(pub Moment, pub Way);

#[derive(Clone, Copy)]
pub(super) enum Way {
    Blank,
    Zulu,
    Micros,
    Second,
    Bsd,
    Web,
    WebMillis,
    Ctime,
    Offset,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEK: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.0.div_euclid(DAY_US);
        let (year, month, of_month) = date(day);
        let us = self.0.rem_euclid(DAY_US);
        let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let name = MONTHS[(month - 1) as usize];
        let millis = fraction / 1000;
        match self.1 {
            Way::Blank => write!(f, "{year}-{month:02}-{of_month:02} {h:02}:{m:02}:{s:02}.{millis:03}"),
            Way::Zulu => write!(f, "{year}-{month:02}-{of_month:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z"),
            Way::Micros => write!(f, "{year}-{month:02}-{of_month:02}T{h:02}:{m:02}:{s:02}.{fraction:06}Z"),
            Way::Offset => {
                write!(f, "{year}-{month:02}-{of_month:02} {h:02}:{m:02}:{s:02}.{fraction:06}+00:00")
            }
            Way::Second => write!(f, "{year}-{month:02}-{of_month:02} {h:02}:{m:02}:{s:02}"),
            Way::Bsd => write!(f, "{name} {of_month:>2} {h:02}:{m:02}:{s:02}"),
            Way::Web => write!(f, "{of_month:02}/{name}/{year}:{h:02}:{m:02}:{s:02} +0000"),
            Way::WebMillis => write!(f, "{of_month:02}/{name}/{year}:{h:02}:{m:02}:{s:02}.{millis:03}"),
            Way::Ctime => {
                let week = WEEK[day.rem_euclid(7) as usize];
                write!(f, "{week} {name} {of_month:>2} {h:02}:{m:02}:{s:02} {year}")
            }
        }
    }
}

/// A moment as exact as the way of writing it.
pub(super) fn exact(at: Moment, way: Way) -> Moment {
    match way {
        Way::Blank | Way::Zulu | Way::WebMillis => at - at.rem_euclid(1000),
        Way::Micros | Way::Offset => at,
        Way::Second | Way::Bsd | Way::Web | Way::Ctime => at - at.rem_euclid(1_000_000),
    }
}

const LOGGERS: [&str; 8] = [
    "nova.compute.manager",
    "nova.compute.resource_tracker",
    "nova.virt.libvirt.driver",
    "oslo_concurrency.lockutils",
    "neutron.agent.securitygroups_rpc",
    "oslo.messaging._drivers.impl_rabbit",
    "nova.scheduler.manager",
    "neutron.plugins.ml2.drivers.openvswitch.agent.ovs_neutron_agent",
];

/// Writes one log.
pub(super) struct Speaker {
    voice: Voice,
    host: &'static str,
    pids: [u64; 3],
    ids: Vec<String>,
    users: Vec<String>,
    sequence: u64,
    context: String,
}

impl Speaker {
    pub(super) fn new(voice: Voice, host: &str, dice: &mut Dice) -> Speaker {
        let host = plan().iter().map(|(known, _, _)| *known).find(|known| *known == host).unwrap_or("ctl1");
        Speaker {
            voice,
            host,
            pids: [1000 + dice.below(9000), 11_000 + dice.below(9000), 21_000 + dice.below(9000)],
            ids: (0..256).map(|_| dice.uuid()).collect(),
            users: (0..16).map(|_| dice.hex()).collect(),
            sequence: 1,
            context: String::new(),
        }
    }

    fn id(&self, dice: &mut Dice) -> &str {
        &self.ids[dice.below(self.ids.len() as u64) as usize]
    }

    fn context(&mut self, dice: &mut Dice) {
        let mut context = std::mem::take(&mut self.context);
        context.clear();
        let words_six = self.voice == Voice::OsloMixed && dice.permille(500);
        let (user, project) = (dice.below(16) as usize, dice.below(16) as usize);
        let _ = match dice.below(10) {
            0 => write!(context, "-"),
            1 | 2 if words_six => write!(context, "req-{} - - - - -", self.id(dice)),
            1 | 2 => write!(context, "None req-{} - - - - - -", self.id(dice)),
            _ if words_six => write!(
                context,
                "req-{} {} {} - default default",
                self.id(dice),
                self.users[user],
                self.users[project]
            ),
            3 => {
                let global = self.id(dice).to_owned();
                write!(
                    context,
                    "req-{global} req-{} {} {} - - default default",
                    self.id(dice),
                    self.users[user],
                    self.users[project]
                )
            }
            _ => write!(
                context,
                "None req-{} {} {} - - default default",
                self.id(dice),
                self.users[user],
                self.users[project]
            ),
        };
        self.context = context;
    }

    /// Writes what is said next.
    pub(super) fn speak(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        match self.voice {
            Voice::Oslo | Voice::OsloMixed => self.oslo(out, dice, at),
            Voice::Api => self.api(out, dice, at),
            Voice::Json => self.json(out, dice, at),
            Voice::Cri => self.cri(out, dice, at),
            Voice::Journal => self.journal(out, dice, at),
            Voice::Uwsgi => self.uwsgi(out, dice, at),
            Voice::Apache => self.apache(out, dice, at),
            Voice::Ovs => self.ovs(out, dice, at),
            Voice::Rabbit => self.rabbit(out, dice, at),
            Voice::MariaDb => self.mariadb(out, dice, at),
            Voice::Haproxy => self.haproxy(out, dice, at),
            Voice::Syslog => self.syslog(out, dice, at),
            Voice::Libvirt => self.libvirt(out, dice, at),
        }
    }

    fn oslo(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        self.context(dice);
        let pid = self.pids[dice.below(3) as usize];
        let moment = exact(at, Way::Blank);
        let time = At(at, Way::Blank);
        let logger = dice.pick(&LOGGERS);
        let kind = dice.below(1000);
        let id = self.ids[dice.below(256) as usize].clone();
        let context = std::mem::take(&mut self.context);
        match kind {
            0..8 => {
                let record = out.begin(Some(moment), Severity::Error);
                let n = dice.below(100);
                match dice.below(4) {
                    0 => out.line(record, format_args!("{time} {pid} ERROR {logger} [{context}] [instance: {id}] Instance failed to spawn: nova.exception.PortBindingFailed: Binding failed for port {id}")),
                    1 => out.line(record, format_args!("{time} {pid} ERROR {logger} [{context}] Failed to bind port {id} on host cmp{n} for vnic_type normal")),
                    2 => out.line(record, format_args!("{time} {pid} ERROR {logger} [{context}] Exception during message handling: oslo_messaging.exceptions.MessagingTimeout: Timed out waiting for a reply to message ID {}", id.replace('-', ""))),
                    _ => out.line(record, format_args!("{time} {pid} ERROR {logger} [{context}] AMQP server on 10.0.0.{n}:5672 is unreachable: [Errno 111] ECONNREFUSED. Trying again in {n} seconds.: ConnectionRefusedError: [Errno 111] ECONNREFUSED")),
                }
                if dice.permille(700) {
                    self.traceback(out, dice, at, pid, logger, record);
                }
            }
            8..38 => {
                let record = out.begin(Some(moment), Severity::Warning);
                out.line(record, format_args!("{time} {pid} WARNING {logger} [{context}] While synchronizing instance power states, found {} instances in the database and {} instances on the hypervisor.", dice.below(90), dice.below(90)));
            }
            38..48 => {
                // What a process printed, line by line.
                let record = out.begin(Some(moment), Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time} {pid} INFO {logger} [{context}] Unexpected error while running command."
                    ),
                );
                out.line(
                    record,
                    format_args!("Command: sudo nova-rootwrap /etc/nova/rootwrap.conf iptables-restore -c"),
                );
                out.line(record, format_args!("Exit code: 1"));
                out.line(record, format_args!("Stdout: ''"));
                out.line(
                    record,
                    format_args!("Stderr: 'iptables-restore: line {} failed\\n'", dice.below(400)),
                );
                for number in 0..dice.below(30) {
                    out.line(
                        record,
                        format_args!(
                            "{:>7}. -A neutron-openvswi-i{} -m state --state RELATED,ESTABLISHED -j RETURN",
                            number + 1,
                            &id[..8]
                        ),
                    );
                }
            }
            48..50 => {
                let record = out.begin(Some(moment), Severity::Debug);
                out.line(
                    record,
                    format_args!(
                        "{time} {pid} DEBUG {logger} [{context}] End _get_guest_xml xml=<domain type=\"kvm\">"
                    ),
                );
                out.line(record, format_args!("  <uuid>{id}</uuid>"));
                out.line(record, format_args!("  <name>instance-{:08x}</name>", dice.below(1 << 30)));
                for _ in 0..dice.below(60) {
                    out.line(record, format_args!("  <memory>{}</memory>", dice.below(1 << 30)));
                }
                out.line(record, format_args!("</domain>"));
            }
            50..300 => {
                let record = out.begin(Some(moment), Severity::Debug);
                out.line(record, format_args!("{time} {pid} DEBUG {logger} [{context}] Lock \"compute_resources\" acquired by \"nova.compute.resource_tracker.ResourceTracker.instance_claim\" :: waited {}.{:03}s inner /usr/lib/python3/dist-packages/oslo_concurrency/lockutils.py:404", dice.below(3), dice.below(1000)));
            }
            _ => {
                let record = out.begin(Some(moment), Severity::Info);
                match dice.below(4) {
                    0 => out.line(record, format_args!("{time} {pid} INFO {logger} [{context}] [instance: {id}] VM Started (Lifecycle Event)")),
                    1 => out.line(record, format_args!("{time} {pid} INFO {logger} [{context}] [instance: {id}] Took {}.{:02} seconds to build instance.", dice.below(60), dice.below(100))),
                    2 => out.line(record, format_args!("{time} {pid} INFO {logger} [{context}] Final resource view: name=cmp{} phys_ram={}MB used_ram={}MB phys_disk={}GB used_disk={}GB total_vcpus=64 used_vcpus={} pci_stats=[]", dice.below(99), dice.below(999_999), dice.below(99_999), dice.below(9999), dice.below(999), dice.below(64))),
                    _ => out.line(record, format_args!("{time} {pid} INFO {logger} [{context}] Updating instance_info_cache with network_info for {id}")),
                }
            }
        }
        self.context = context;
    }

    /// A traceback line by line, now and then with another process's record between.
    fn traceback(&mut self, out: &mut Out, dice: &mut Dice, at: Moment, pid: u64, logger: &str, record: u32) {
        let time = At(at, Way::Blank);
        out.line(record, format_args!("{time} {pid} ERROR {logger} Traceback (most recent call last):"));
        let other = self.pids.iter().copied().find(|other| *other != pid).unwrap_or(1);
        for number in 0..4 + dice.below(12) {
            out.line(record, format_args!("{time} {pid} ERROR {logger}   File \"/usr/lib/python3/dist-packages/nova/compute/manager.py\", line {}, in _build_and_run_instance", 2000 + number));
            out.line(
                record,
                format_args!(
                    "{time} {pid} ERROR {logger}     self.driver.spawn(context, instance, image_meta,"
                ),
            );
            if dice.permille(60) {
                let between = out.begin(Some(exact(at, Way::Blank)), Severity::Info);
                out.line(
                    between,
                    format_args!(
                        "{time} {other} INFO nova.compute.manager [-] Running periodic task {}",
                        dice.below(40)
                    ),
                );
            }
        }
        out.line(record, format_args!("{time} {pid} ERROR {logger} nova.exception.PortBindingFailed: Binding failed for port, please check neutron logs for more information."));
        out.line(record, format_args!("{time} {pid} ERROR {logger} "));
    }

    fn api(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        if dice.permille(200) {
            return self.oslo(out, dice, at);
        }
        self.context(dice);
        let pid = self.pids[dice.below(3) as usize];
        let record = out.begin(Some(exact(at, Way::Blank)), Severity::Info);
        let status =
            if dice.permille(4) { 500 } else { dice.pick(&[&200, &200, &200, &202, &204, &404]).to_owned() };
        let path = match dice.below(4) {
            0 => format!("/v2.1/servers/{}", self.id(dice)),
            1 => "/v2.1/servers/detail?all_tenants=1&limit=1000".to_owned(),
            2 => format!("/v2.0/ports?device_id={}", self.id(dice)),
            _ => format!("/v2.1/{}/os-services", self.users[dice.below(16) as usize]),
        };
        out.line(record, format_args!("{} {pid} INFO nova.osapi_compute.wsgi.server [{}] 10.0.0.{} \"GET {path} HTTP/1.1\" status: {status}  len: {} time: 0.{:07}", At(at, Way::Blank), self.context, dice.below(255), dice.below(9999), dice.below(10_000_000)));
    }

    fn json(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let (severity, word) = match dice.below(100) {
            0 => (Severity::Error, "ERROR"),
            1..4 => (Severity::Warning, "WARNING"),
            4..30 => (Severity::Debug, "DEBUG"),
            _ => (Severity::Info, "INFO"),
        };
        let record = out.begin(Some(exact(at, Way::Blank)), severity);
        let traceback = if severity == Severity::Error {
            "[\"Traceback (most recent call last):\\n\", \"  File \\\"/usr/lib/python3/dist-packages/cinder/volume/manager.py\\\", line 3, in x\\n\", \"cinder.exception.VolumeBackendAPIException: broke\\n\"]"
        } else {
            "null"
        };
        let text = At(at, Way::Second).to_string();
        out.line(record, format_args!("{{\"message\": \"Volume {} is \\\"{}\\\": {{levelname: ERROR}}\", \"asctime\": \"{text}\", \"name\": \"cinder.volume.manager\", \"levelname\": \"{word}\", \"levelno\": 20, \"pathname\": \"/usr/lib/python3/dist-packages/cinder/volume/manager.py\", \"lineno\": {}, \"created\": {}.{:03}, \"msecs\": {}, \"process\": {}, \"traceback\": {traceback}, \"hostname\": \"{}\", \"context\": {{\"request_id\": \"req-{}\", \"user_id\": \"{}\", \"name\": \"x\"}}, \"extra\": {{}}}}", self.ids[dice.below(256) as usize], dice.below(9), dice.below(4000), at.div_euclid(1_000_000), at.rem_euclid(1_000_000) / 1000, at.rem_euclid(1_000_000) / 1000, self.pids[0], self.host, self.ids[dice.below(256) as usize], self.users[dice.below(16) as usize]));
    }

    fn cri(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        self.context(dice);
        let outer = At(at, Way::Micros);
        let inner = At(at, Way::Blank);
        let pid = self.pids[0];
        let is_error = dice.permille(12);
        let severity = if is_error { Severity::Error } else { Severity::Info };
        let record = out.begin(Some(exact(at, Way::Micros)), severity);
        let word = if is_error { "ERROR" } else { "INFO" };
        if dice.permille(10) {
            out.line(
                record,
                format_args!(
                    "{outer} stdout P {inner} {pid} {word} glance.api [{}] a line that is cut in",
                    self.context
                ),
            );
            out.line(record, format_args!("{outer} stdout P  two, and then"));
            out.line(record, format_args!("{outer} stdout F  ends {}", dice.below(1000)));
        } else {
            out.line(
                record,
                format_args!(
                    "{outer} stdout F {inner} {pid} {word} glance.api [{}] Image {} is served in {} ms",
                    self.context,
                    self.ids[dice.below(256) as usize],
                    dice.below(900)
                ),
            );
        }
        if is_error {
            out.line(
                record,
                format_args!(
                    "{outer} stdout F {inner} {pid} ERROR glance.api Traceback (most recent call last):"
                ),
            );
            out.line(record, format_args!("{outer} stdout F {inner} {pid} ERROR glance.api   File \"/usr/lib/python3/dist-packages/glance/api/v2/images.py\", line 7, in x"));
            out.line(record, format_args!("{outer} stdout F {inner} {pid} ERROR glance.api OSError: [Errno 28] No space left on device"));
            if dice.permille(500) {
                out.line(record, format_args!("{outer} stdout F a line that the service printed by itself"));
            }
        }
    }

    fn journal(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        self.sequence += 1;
        let (severity, priority) = match dice.below(100) {
            0 => (Severity::Error, 3),
            1..4 => (Severity::Warning, 4),
            _ => (Severity::Info, 6),
        };
        let record = out.begin(Some(at), severity);
        let id = self.ids[dice.below(256) as usize].clone();
        out.line(
            record,
            format_args!("__CURSOR=s=0639c7fecc7646ac984d44ab79d6f4af;i={:x};b=1b9e", self.sequence),
        );
        out.line(record, format_args!("__REALTIME_TIMESTAMP={at}"));
        out.line(record, format_args!("__MONOTONIC_TIMESTAMP={}", at - super::BEGIN));
        out.line(record, format_args!("PRIORITY={priority}"));
        out.line(record, format_args!("_HOSTNAME={}", self.host));
        out.line(record, format_args!("SYSLOG_IDENTIFIER=heat-engine"));
        if severity == Severity::Error {
            // A value of several lines is written with its length before it.
            let text = format!(
                "Stack {id} failed\nTraceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/heat/engine/resource.py\", line 9, in x\n\n2026-11-20 00:00:00.000 1 INFO is no head here\nheat.common.exception.ResourceFailure: broke"
            );
            out.line(record, format_args!("MESSAGE"));
            let mut value = (text.len() as u64).to_le_bytes().to_vec();
            value.extend_from_slice(text.as_bytes());
            out.raw(record, &value);
        } else {
            out.line(record, format_args!("MESSAGE=Stack {id} is {} of {}", dice.below(9), dice.below(9)));
        }
        out.line(record, format_args!("_PID={}", self.pids[0]));
        out.line(record, format_args!("LOGGER_NAME=heat.engine.stack"));
        out.line(record, format_args!("REQUEST_ID=req-{id}"));
        out.line(record, format_args!(""));
    }

    fn uwsgi(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        if dice.permille(2) {
            let record = out.begin(None, Severity::Error);
            out.line(
                record,
                format_args!(
                    "*** uWSGI listen queue of socket \"10.0.0.1:5000\" (fd: 3) full !!! ({}/100) ***",
                    100 + dice.below(30)
                ),
            );
            return;
        }
        self.sequence += 1;
        let record = out.begin(Some(exact(at, Way::Ctime)), Severity::Info);
        let status = if dice.permille(5) { 503 } else { 200 };
        out.line(record, format_args!("[pid: {}|app: 0|req: {}/{}] 10.0.0.{} () {{66 vars in 1{:03} bytes}} [{}] GET /v3/users/{} => generated {} bytes in {} msecs (HTTP/1.1 {status}) 6 headers in 2{:02} bytes (1 switches on core 0)", self.pids[dice.below(3) as usize], self.sequence, self.sequence * 3, dice.below(255), dice.below(1000), At(at, Way::Ctime), self.users[dice.below(16) as usize], dice.below(9000), dice.below(400), dice.below(100)));
    }

    fn apache(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let record = out.begin(Some(exact(at, Way::Web)), Severity::Info);
        let status = if dice.permille(5) { 503 } else { 201 };
        out.line(record, format_args!("10.0.0.{} - - [{}] \"POST /v3/auth/tokens HTTP/1.1\" {status} {} {} \"-\" \"openstacksdk/4.0.0 keystoneauth1/5.8.0 python-requests/2.32 CPython/3.11\"", dice.below(255), At(at, Way::Web), dice.below(9000), dice.below(900_000)));
    }

    fn ovs(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        self.sequence += 1;
        let moment = Some(exact(at, Way::Zulu));
        let (time, sequence) = (At(at, Way::Zulu), self.sequence);
        let id = &self.ids[dice.below(256) as usize];
        match dice.below(100) {
            0 => {
                let record = out.begin(moment, Severity::Error);
                out.line(
                    record,
                    format_args!(
                        "{time}|{sequence:05}|netdev_linux|ERR|cannot get flags: tap{}: No such device",
                        &id[..11]
                    ),
                );
            }
            1..6 => {
                let record = out.begin(moment, Severity::Warning);
                out.line(record, format_args!("{time}|{sequence:05}|timeval(handler{})|WARN|Unreasonably long {}ms poll interval (0ms user, 0ms system)", dice.below(20), dice.below(4000)));
            }
            6..8 => {
                let record = out.begin(moment, Severity::Warning);
                out.line(record, format_args!("{time}|{sequence:05}|rconn|WARN|Dropped {} log messages in last {} seconds due to excessive rate", dice.below(90), dice.below(60)));
            }
            _ => {
                let record = out.begin(moment, Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time}|{sequence:05}|bridge|INFO|bridge br-int: added interface tap{} on port {}",
                        &id[..11],
                        dice.below(4000)
                    ),
                );
            }
        }
    }

    fn rabbit(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let moment = Some(at);
        let time = At(at, Way::Offset);
        let pid = format!("<0.{}.0>", dice.below(99_999));
        match dice.below(100) {
            0..3 => {
                let record = out.begin(moment, Severity::Error);
                out.line(record, format_args!("{time} [error] {pid} closing AMQP connection {pid} (10.0.0.{}:{} -> 10.0.0.1:5672 - nova-compute:{}:{}):", dice.below(255), dice.below(60_000), self.pids[0], self.ids[dice.below(256) as usize]));
                out.line(record, format_args!("missed heartbeats from client, timeout: 60s"));
            }
            3..6 => {
                let record = out.begin(moment, Severity::Warning);
                out.line(record, format_args!("{time} [warning] {pid} closing AMQP connection {pid} (10.0.0.{}:1 -> 10.0.0.1:5672, vhost: '/', user: 'openstack'):", dice.below(255)));
                out.line(record, format_args!("client unexpectedly closed TCP connection"));
            }
            6 => {
                let record = out.begin(moment, Severity::Info);
                out.line(record, format_args!("{time} [info] {pid} "));
                out.line(record, format_args!(" node           : rabbit@ctl1"));
                out.line(record, format_args!(" home dir       : /var/lib/rabbitmq"));
            }
            _ => {
                let record = out.begin(moment, Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time} [info] {pid} accepting AMQP connection {pid} (10.0.0.{}:{} -> 10.0.0.1:5672)",
                        dice.below(255),
                        dice.below(60_000)
                    ),
                );
            }
        }
    }

    fn mariadb(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let moment = Some(exact(at, Way::Second));
        let time = At(at, Way::Second);
        match dice.below(100) {
            0 => {
                let record = out.begin(moment, Severity::Error);
                out.line(record, format_args!("{time} 0 [ERROR] WSREP: failed to open gcomm backend connection: {}: failed to reach primary view", dice.below(200)));
                out.line(record, format_args!("\t at gcomm/src/pc.cpp:connect():{}", dice.below(200)));
            }
            1..30 => {
                let record = out.begin(moment, Severity::Warning);
                out.line(record, format_args!("{time} {} [Warning] Aborted connection {} to db: 'nova' user: 'nova' host: '10.0.0.{}' (Got timeout reading communication packets)", dice.below(99_999), dice.below(99_999), dice.below(255)));
            }
            _ => {
                let record = out.begin(moment, Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time} 2 [Note] WSREP: Shifting SYNCED -> DONOR/DESYNCED (TO: {})",
                        dice.below(9_999_999)
                    ),
                );
            }
        }
    }

    fn haproxy(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let moment = Some(exact(at, Way::Bsd));
        let time = At(at, Way::Bsd);
        let host = self.host;
        if dice.permille(3) {
            let record = out.begin(moment, Severity::Error);
            out.line(record, format_args!("{time} {host} haproxy[{}]: Server nova_api/ctl{} is DOWN, reason: Layer4 timeout, check duration: {}ms. 2 active and 0 backup servers left.", self.pids[0], 1 + dice.below(3), dice.below(9000)));
            return;
        }
        let record = out.begin(moment, Severity::Info);
        let status = if dice.permille(5) { 503 } else { 200 };
        out.line(record, format_args!("{time} {host} haproxy[{}]: 10.0.0.{}:{} [{}] nova_api nova_api/ctl{} 0/0/1/{}/{} {status} {} - - ---- 88/12/1/0/0 0/0 \"GET /v2.1/servers/{} HTTP/1.1\"", self.pids[0], dice.below(255), dice.below(60_000), At(at, Way::WebMillis), 1 + dice.below(3), dice.below(300), 1 + dice.below(300), dice.below(9000), self.ids[dice.below(256) as usize]));
    }

    fn syslog(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let moment = Some(exact(at, Way::Bsd));
        let time = At(at, Way::Bsd);
        let host = self.host;
        let id = self.ids[dice.below(256) as usize].clone();
        match dice.below(1000) {
            0..2 => {
                let record = out.begin(moment, Severity::Critical);
                out.line(record, format_args!("{time} {host} kernel: [{}.{:06}] Out of memory: Killed process {} (qemu-system-x86) total-vm:{}kB", dice.below(99_999), dice.below(999_999), dice.below(99_999), dice.below(9_999_999)));
            }
            2..10 => {
                let record = out.begin(moment, Severity::Warning);
                out.line(record, format_args!("{time} {host} dnsmasq-dhcp[{}]: DHCPDISCOVER(tap{}) fa:16:3e:{:02x}:{:02x}:{:02x} no address available", self.pids[1], &id[..11], dice.below(256), dice.below(256), dice.below(256)));
            }
            10..400 => {
                let record = out.begin(moment, Severity::Info);
                out.line(record, format_args!("{time} {host} dnsmasq-dhcp[{}]: DHCPACK(tap{}) 192.168.0.{} fa:16:3e:{:02x}:{:02x}:{:02x} host-192-168-0-{}", self.pids[1], &id[..11], dice.below(255), dice.below(256), dice.below(256), dice.below(256), dice.below(255)));
            }
            400..410 => {
                let record = out.begin(moment, Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time} {host} Keepalived_vrrp[{}]: (VR_{}) Entering MASTER STATE",
                        self.pids[2],
                        dice.below(255)
                    ),
                );
            }
            _ => {
                let record = out.begin(moment, Severity::Info);
                out.line(
                    record,
                    format_args!(
                        "{time} {host} systemd[1]: Started Session {} of user ops.",
                        dice.below(99_999)
                    ),
                );
            }
        }
    }

    fn libvirt(&mut self, out: &mut Out, dice: &mut Dice, at: Moment) {
        let (severity, word) = match dice.below(100) {
            0 => (Severity::Error, "error"),
            1..20 => (Severity::Warning, "warning"),
            20..60 => (Severity::Debug, "debug"),
            _ => (Severity::Info, "info"),
        };
        let record = out.begin(Some(exact(at, Way::Blank)), severity);
        out.line(record, format_args!("{}+0000: {}: {word} : qemuMonitorJSONIOProcessLine:{} : QEMU_MONITOR_RECV_EVENT: mon=0x7f{:010x} event={{\"timestamp\": {{\"seconds\": {}}}}}", At(at, Way::Blank), self.pids[0], dice.below(999), dice.below(1 << 40), at / 1_000_000));
    }
}
