//! One line of every form that is known, and that nothing a line may hold is a panic.

use super::*;
use proptest::prelude::*;

/// A line, its form, severity, program, and the beginning of what it says.
const LINES: &[(&str, Form, Severity, &str, &str)] = &[
    (
        "2026-11-21 18:40:02.114 4711 INFO nova.compute.manager [None req-7c1a2b3c-1111-4222-8333-444455556666 u p - - default default] [instance: 5b9c0f1e-1111-4222-8333-444455556666] Took 3.2 seconds",
        Form::Oslo,
        Severity::Info,
        "nova.compute.manager",
        "Took 3.2",
    ),
    (
        "2017-05-16 00:00:00.008 25746 INFO nova.osapi_compute.wsgi.server [req-38101a0b-2096-447d-96ea-a692162415ae 113d3a99c3da401fbd62cc2caa5b96d2 54fadb412c4e40cdbaed9335e4c35a9e - - -] 10.11.10.1 \"GET /v2/x\"",
        Form::Oslo,
        Severity::Info,
        "nova.osapi_compute.wsgi.server",
        "10.11.10.1",
    ),
    (
        "nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.osapi [-] hello",
        Form::Oslo,
        Severity::Info,
        "nova.osapi",
        "hello",
    ),
    (
        "2014-12-01 10:00:00.123 99 AUDIT nova.compute.resource_tracker [-] Auditing locally available compute resources",
        Form::Oslo,
        Severity::Info,
        "nova.compute.resource_tracker",
        "Auditing",
    ),
    (
        "2014-12-01 10:00:00.123 99 TRACE nova.compute.manager Traceback (most recent call last):",
        Form::Oslo,
        Severity::Error,
        "nova.compute.manager",
        "Traceback",
    ),
    (
        "2026-11-21 18:40:02.114 1 CRITICAL nova [-] Unhandled error: ValueError",
        Form::Oslo,
        Severity::Critical,
        "nova",
        "Unhandled",
    ),
    (
        "2022-02-10T16:09:19.414Z|00118|bridge|INFO|bridge br-int: added interface tap1 on port 9",
        Form::Ovs,
        Severity::Info,
        "bridge",
        "bridge br-int",
    ),
    (
        "2022-02-10T16:09:19.414Z|00119|timeval(handler12)|WARN|Unreasonably long 1250ms poll interval",
        Form::Ovs,
        Severity::Warning,
        "timeval",
        "Unreasonably",
    ),
    (
        "2022-02-04 09:52:20.868 [info] <0.8.0> Server startup complete",
        Form::Rabbit,
        Severity::Info,
        "rabbitmq",
        "Server",
    ),
    (
        "2022-02-04 09:52:20.868123+00:00 [error] <0.8.0> closing AMQP connection",
        Form::Rabbit,
        Severity::Error,
        "rabbitmq",
        "closing",
    ),
    ("=ERROR REPORT==== 10-Feb-2022::16:09:19 ===", Form::RabbitReport, Severity::Error, "rabbitmq", ""),
    (
        "2022-02-10 16:09:19 0 [Note] WSREP: Shifting SYNCED -> DONOR",
        Form::MariaDb,
        Severity::Info,
        "wsrep",
        "WSREP: Shifting",
    ),
    ("2022-02-10 16:09:19 139855 [ERROR] Aborted", Form::MariaDb, Severity::Error, "mariadb", "Aborted"),
    (
        "2022-02-10T16:09:19.414000Z 0 [ERROR] [MY-010119] [Server] Aborting",
        Form::MariaDb,
        Severity::Error,
        "mariadb",
        "[MY-010119]",
    ),
    (
        "220210 16:09:19 mysqld_safe Starting mariadbd daemon",
        Form::MariaDb,
        Severity::Info,
        "mysqld_safe",
        "Starting",
    ),
    (
        "2022-02-10 16:18:04.843+0000: 1234: error : qemuMonitorIO:578 : internal error: End of file",
        Form::Libvirt,
        Severity::Error,
        "",
        "qemuMonitorIO",
    ),
    (
        "2022-02-10 16:18:04.843+0000: starting up libvirt version: 6.0.0, qemu version: 4.2.1",
        Form::Qemu,
        Severity::Info,
        "",
        "starting",
    ),
    (
        "2022-02-10 16:18:04.843+0000: shutting down, reason=crashed",
        Form::Qemu,
        Severity::Error,
        "",
        "shutting",
    ),
    (
        "2017-09-18T18:08:49.216429Z qemu-kvm: terminating on signal 15 from pid 2",
        Form::Qemu,
        Severity::Info,
        "qemu-kvm",
        "terminating",
    ),
    (
        "--- no python application found, check your startup logs for errors ---",
        Form::Uwsgi,
        Severity::Error,
        "uwsgi",
        "--- no python",
    ),
    (
        "[pid: 22|app: 0|req: 1/1] 10.0.0.7 () {60 vars in 1100 bytes} [Thu Feb 10 16:09:19 2022] GET /v3 => generated 342 bytes in 12 msecs (HTTP/1.1 200) 5 headers in 180 bytes (1 switches on core 0)",
        Form::Uwsgi,
        Severity::Info,
        "uwsgi",
        " GET",
    ),
    (
        "*** uWSGI listen queue of socket \"127.0.0.1:1\" (fd: 3) full !!! (101/100) ***",
        Form::Uwsgi,
        Severity::Error,
        "uwsgi",
        "***",
    ),
    (
        "DAMN ! worker 1 (pid: 22) died, killed by signal 9 :( trying respawn ...",
        Form::Uwsgi,
        Severity::Error,
        "uwsgi",
        "DAMN",
    ),
    (
        "10.0.0.7 - - [10/Feb/2022:16:09:19 +0000] \"GET /v3 HTTP/1.1\" 200 342 12345 \"-\" \"openstacksdk\"",
        Form::Access,
        Severity::Info,
        "",
        "10.0.0.7",
    ),
    (
        "[Thu Feb 10 16:09:19.414123 2022] [wsgi:error] [pid 12:tid 139] [client 10.0.0.7:1] mod_wsgi (pid=12): Exception",
        Form::ApacheError,
        Severity::Error,
        "wsgi",
        "mod_wsgi",
    ),
    (
        "[Thu Feb 10 16:09:19.414123 2022] [wsgi:error] [pid 12:tid 139] 2022-02-10 16:09:19.414 12 WARNING keystone.common [req-7c1a2b3c-1111-4222-8333-444455556666 - - - - -] Invalid",
        Form::Oslo,
        Severity::Warning,
        "keystone.common",
        "Invalid",
    ),
    ("Feb 10 00:00:01 ctl1 CRON[123]: (root) CMD (true)", Form::Syslog, Severity::Info, "CRON", "(root)"),
    (
        "Feb  1 00:00:01 ctl1 kernel: [63605.546] Out of memory: Killed process 12 (qemu-system-x86)",
        Form::Syslog,
        Severity::Critical,
        "kernel",
        "[63605.546]",
    ),
    (
        "Feb 10 00:00:01 ctl1 haproxy[9]: Server keystone/ctl1 is DOWN, reason: Layer4 timeout",
        Form::Syslog,
        Severity::Error,
        "haproxy",
        "Server",
    ),
    (
        "Feb 10 00:00:01 net1 Keepalived_vrrp[55]: (VR_12) Entering MASTER STATE",
        Form::Syslog,
        Severity::Info,
        "Keepalived_vrrp",
        "(VR_12)",
    ),
    (
        "<183>1 2017-04-03T21:48:21.781459-03:30 ctl1 nova-api 12 - - hello",
        Form::Syslog,
        Severity::Debug,
        "nova-api",
        "hello",
    ),
    ("<131>Feb 10 00:00:01 ctl1 nova-api[12]: broke", Form::Syslog, Severity::Error, "nova-api", "broke"),
    (
        "2025-05-14T07:08:13.674123+00:00 ctl1 nova-compute[7]: hello",
        Form::Syslog,
        Severity::Info,
        "nova-compute",
        "hello",
    ),
    (
        "2025-05-14T07:08:13.674123+00:00 ctl1 nova-compute[7]: 2025-05-14 07:08:13.674 7 ERROR nova.virt [-] broke",
        Form::Oslo,
        Severity::Error,
        "nova.virt",
        "broke",
    ),
    (
        "2025-05-14T07:08:13.674123+00:00 ctl1 devstack@n-cpu[7]: ERROR nova.virt [None req-7c1a2b3c-1111-4222-8333-444455556666 admin admin] broke",
        Form::OsloShort,
        Severity::Error,
        "nova.virt",
        "broke",
    ),
    (
        "Feb 04 09:57:32 ctl1 pacemakerd          [12750] (crm_log_init) \tinfo: Changed active directory",
        Form::Pacemaker,
        Severity::Info,
        "pacemakerd",
        "Changed",
    ),
    (
        "Feb 04 09:57:32 ctl1 pacemaker-schedulerd[12762] (main) \terror: broke",
        Form::Pacemaker,
        Severity::Error,
        "pacemaker-schedulerd",
        "broke",
    ),
    (
        "2022-02-04 09:34:38 INFO juju.worker.apicaller connect.go:158 [68a1f1] \"machine-0\"",
        Form::Juju,
        Severity::Info,
        "juju.worker.apicaller",
        " connect",
    ),
    (
        "2025-05-14T07:08:13.674Z [wsgi-nova-api] 2025-05-14 07:08:13.674 7 INFO nova.api [-] hello",
        Form::Oslo,
        Severity::Info,
        "nova.api",
        "hello",
    ),
    (
        "2025-05-14T07:08:13.674123456Z stdout F 2025-05-14 07:08:13.674 7 WARNING nova.api [-] hello",
        Form::Oslo,
        Severity::Warning,
        "nova.api",
        "hello",
    ),
    (
        "2025-05-14T07:08:13.674123456Z stderr F something else",
        Form::Container,
        Severity::Info,
        "",
        "something",
    ),
    (
        "{\"log\":\"2025-05-14 07:08:13.674 7 ERROR nova.api [-] a \\\"b\\\"\\n\",\"stream\":\"stderr\",\"time\":\"2025-05-14T07:08:13.674123456Z\"}",
        Form::Oslo,
        Severity::Error,
        "nova.api",
        "a ",
    ),
    (
        "{\"message\": \"broke\", \"asctime\": \"2026-11-21 18:40:02\", \"name\": \"nova.api\", \"levelname\": \"ERROR\", \"created\": 1795286402.114, \"context\": {\"request_id\": \"req-7c1a2b3c-1111-4222-8333-444455556666\"}}",
        Form::Json,
        Severity::Error,
        "nova.api",
        "broke",
    ),
    (
        "{\"__REALTIME_TIMESTAMP\":\"1795286402114000\",\"PRIORITY\":\"3\",\"SYSLOG_IDENTIFIER\":\"sshd\",\"MESSAGE\":\"error: x\",\"_HOSTNAME\":\"ctl1\"}",
        Form::JournalJson,
        Severity::Error,
        "sshd",
        "error",
    ),
    (
        "2022-02-10T16:09:19.414+0000 7f0a1b2c3d4e -1 osd.3 12 heartbeat_check",
        Form::Ceph,
        Severity::Error,
        "ceph",
        "osd.3",
    ),
    (
        "2022-02-10T16:09:19.414+0000 mon.a (mon.0) 123 : cluster [WRN] Health check failed",
        Form::Ceph,
        Severity::Warning,
        "ceph-cluster",
        "Health",
    ),
];

#[test]
fn every_form_is_known_by_its_line() {
    for (line, form, severity, program, says) in LINES {
        let head = head(line.as_bytes(), b"").unwrap_or_else(|| panic!("no head: {line}"));
        assert_eq!((head.form, head.severity), (*form, *severity), "{line}");
        assert_eq!(String::from_utf8_lossy(head.program), *program, "{line}");
        let details = head.details();
        let told = String::from_utf8_lossy(&details.message).into_owned();
        assert!(told.starts_with(says), "{line}\nsays: {told}");
        let needs_time = !matches!(head.when, When::Never);
        assert_eq!(head.when.stamp().is_some(), needs_time, "{line}");
    }
}

#[test]
fn a_record_of_a_journal_that_is_only_begun_takes_nothing_from_the_next() {
    let second = b"__CURSOR=b\nPRIORITY=3\nMESSAGE=it failed\n";
    assert_eq!(head(b"__CURSOR=a", second).unwrap().severity, Severity::Info);
    assert_eq!(head(b"__CURSOR=b", &second[11..]).unwrap().severity, Severity::Error);
}

#[test]
fn what_continues_a_record_has_no_head() {
    for line in [
        "",
        "  File \"/usr/lib/python3/dist-packages/nova/api.py\", line 3, in x",
        "Traceback (most recent call last):",
        "Command: sudo nova-rootwrap",
        "Exit code: 1",
        "Stderr: 'x'",
        "<domain type='kvm'>",
        "</domain>",
        "LC_ALL=C \\",
        "-name guest=instance-00000001,debug-threads=on \\",
        "12 rules",
        "2022 was a year",
        "nova.exception.NoValidHost: No valid host was found.",
        "{'a': 1}",
        "[{'a': 1}]",
        "RESP BODY: {\"x\": 1}",
        "During handling of the above exception, another exception occurred:",
        "*nat",
        ":INPUT ACCEPT [0:0]",
    ] {
        assert!(head(line.as_bytes(), b"").is_none(), "{line} is taken for {:?}", head(line.as_bytes(), b""));
    }
}

#[test]
fn a_context_is_read_by_the_number_of_its_words() {
    let told = |context: &'static str| {
        let line = format!(
            "2026-11-21 18:40:02.114 1 INFO nova.api [{context}] [instance: 5b9c0f1e-1111-4222-8333-444455556666] said"
        );
        let head = head(line.as_bytes(), b"").unwrap();
        let details = head.details();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(details.message.as_ref(), b"said", "{context}");
        assert_eq!(details.instance.len(), 36);
        (text(details.global), text(details.request), text(details.user), text(details.project))
    };
    let own = "req-7c1a2b3c-1111-4222-8333-444455556666";
    let other = "req-9d9d9d9d-1111-4222-8333-444455556666";
    let words = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
    assert_eq!(told("-"), words("", "", "", ""));
    assert_eq!(told("req-7c1a2b3c-1111-4222-8333-444455556666 None"), words("", own, "", ""));
    assert_eq!(told("req-7c1a2b3c-1111-4222-8333-444455556666 u p"), words("", own, "u", "p"));
    assert_eq!(
        told("req-7c1a2b3c-1111-4222-8333-444455556666 u p - default default"),
        words("", own, "u", "p")
    );
    assert_eq!(
        told("None req-7c1a2b3c-1111-4222-8333-444455556666 u p - - default default"),
        words("", own, "u", "p")
    );
    assert_eq!(
        told("req-9d9d9d9d-1111-4222-8333-444455556666 req-7c1a2b3c-1111-4222-8333-444455556666 u p - - d d"),
        words(other, own, "u", "p")
    );
    assert_eq!(
        told(
            "greq-9d9d9d9d-1111-4222-8333-444455556666 req-7c1a2b3c-1111-4222-8333-444455556666 u p - - my domain"
        ),
        words(other, own, "u", "p")
    );
    assert_eq!(told("None req-7c1a2b3c-1111-4222-8333-444455556666 - - - - - -"), words("", own, "", ""));
}

#[test]
fn requests_are_read_in_every_shape() {
    for (line, method, status, micros, at) in [
        (
            "2026-11-21 18:40:02.114 1 INFO nova.osapi_compute.wsgi.server [req-7c1a2b3c-1111-4222-8333-444455556666 u p - - -] 10.11.10.1 \"GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers/detail?limit=3 HTTP/1.1\" status: 200  len: 1893 time: 0.2477829",
            "GET",
            200,
            Some(247_782),
            "/v2/{id}/servers/detail",
        ),
        (
            "2026-11-21 18:40:02.114 1 INFO nova.api.openstack.requestlog [-] 10.11.10.1 \"POST /v2.1/servers\" status: 202 len: 10 microversion: 2.1 time: 0.412000",
            "POST",
            202,
            Some(412_000),
            "/v2.1/servers",
        ),
        (
            "2026-11-21 18:40:02.114 1 INFO nova.metadata.wsgi.server [-] 10.0.0.3,<local> \"GET /latest/meta-data/instance-id HTTP/1.1\" status: 200  len: 10 time: 0.1",
            "GET",
            200,
            Some(100_000),
            "/latest/meta-data/instance-id",
        ),
        (
            "2026-11-21 18:40:02.114 1 INFO eventlet.wsgi.server [-] 10.0.0.7 - - [10/Feb/2022 16:09:19] \"GET /v2/images/5b9c0f1e-1111-4222-8333-444455556666 HTTP/1.1\" 404 12 0.003",
            "GET",
            404,
            Some(3_000),
            "/v2/images/{id}",
        ),
        (
            "[pid: 22|app: 0|req: 1/1] 10.0.0.7 () {60 vars in 1100 bytes} [Thu Feb 10 16:09:19 2022] GET /v3 => generated 342 bytes in 12 msecs (HTTP/1.1 200) 5 headers in 180 bytes (1 switches on core 0)",
            "GET",
            200,
            Some(12_000),
            "/v3",
        ),
        (
            "10.0.0.7 - - [10/Feb/2022:16:09:19 +0000] \"GET /v3/auth/tokens HTTP/1.1\" 200 342 12345 \"-\" \"openstacksdk\"",
            "GET",
            200,
            Some(12_345),
            "/v3/auth/tokens",
        ),
        (
            "10.0.0.7 - - [10/Feb/2022:16:09:19 +0000] \"GET /v3 HTTP/1.1\" 200 342 \"-\" \"curl\" 12345(us)",
            "GET",
            200,
            Some(12_345),
            "/v3",
        ),
        (
            "Feb 10 16:09:19 ctl1 haproxy[9]: 10.0.0.7:51234 [10/Feb/2022:16:09:19.414] keystone keystone/ctl1 0/0/0/12/12 503 342 - - ---- 1/1/0/0/0 0/0 \"GET /v3 HTTP/1.1\"",
            "GET",
            503,
            Some(12_000),
            "/v3",
        ),
    ] {
        let head = head(line.as_bytes(), b"").unwrap();
        let details = head.details();
        let found = request(&head, &details).unwrap_or_else(|| panic!("no request: {line}"));
        assert_eq!(
            (std::str::from_utf8(found.method).unwrap(), found.status, found.micros),
            (method, status, micros),
            "{line}"
        );
        assert_eq!(route(found.path), at, "{line}");
    }
}

const ORDINARY: [&str; 6] = [
    "2026-11-21 18:40:02.114 4711 INFO nova.compute.manager [-] Took 3.2 seconds",
    "2026-11-21 18:40:02.114 4711 DEBUG nova.compute.manager [-] Took 3.2 seconds",
    "2026-11-21 18:40:02 139855 [Note] WSREP: Synchronized with group",
    "2026-11-21 18:40:02.114+0000: 4711: info : libvirt version: 9.0.0",
    "2026-11-21 18:40:02.114123+00:00 [info] <0.8.0> accepting AMQP connection",
    "2026-11-21T18:40:02.114Z|00118|timeval(handler12)|INFO|bridge br-int: added interface",
];

#[test]
fn lines_that_only_say_what_happened_are_passed_by() {
    for line in ORDINARY {
        assert!(is_ordinary(line.as_bytes()), "{line}");
    }
    for (line, _, severity, ..) in LINES {
        assert!(*severity < Severity::Warning || !is_ordinary(line.as_bytes()), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_warning_is_ever_passed_by(
        which in any::<prop::sample::Index>(),
        of_all in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let line = if of_all { LINES[which.index(LINES.len())].0 } else { ORDINARY[which.index(ORDINARY.len())] };
        let mut line = line.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(line.len());
            line[at] = byte;
        }
        if is_ordinary(&line) {
            let found = head(&line, b"").map(|head| (head.severity, head.is_bare, head.is_partial));
            prop_assert!(matches!(found, Some((severity, false, false)) if severity < Severity::Warning));
        }
    }

    #[test]
    fn no_bytes_are_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&line);
    }

    #[test]
    fn no_damage_to_a_known_line_is_a_panic(
        which in 0..LINES.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut line = LINES[which].0.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(line.len());
            line[at] = byte;
        }
        read_all(&line);
        line.truncate(keep.index(line.len()));
        read_all(&line);
    }
}

fn read_all(line: &[u8]) {
    if let Some(head) = head(line, line) {
        let _ = head.when.stamp();
        let details = head.details();
        if let Some(found) = request(&head, &details) {
            let _ = route(found.path);
        }
    }
}
