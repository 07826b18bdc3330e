//! Reads what the scripts on nodes print: tagged lines, HAProxy's table, and the JSON of the broker's own program.
//!
//! What cannot be read is left out or a gap; it must never panic, and never make up a value.

use super::rows::{Tables, row};
use ostler_model::health::{Row, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a script said beside its rows.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The node's clock, in nanoseconds since 1970.
    pub clock_ns: Option<i128>,
    /// Whether it came to its end.
    pub is_whole: bool,
}

/// Reads a script's answer into tables.
pub(super) fn report(text: &str, host: &str, tables: &Tables) -> Beside {
    let mut beside = Beside::default();
    let mut haproxy = Vec::new();
    for line in text.lines() {
        let (tag, rest) = line.split_once('\t').unwrap_or((line, ""));
        match tag {
            "clock" => beside.clock_ns = nanoseconds(rest),
            "end" => beside.is_whole = true,
            "row" => {
                if let Some((table, row)) = fields(rest, host) {
                    tables.add(&table, row);
                }
            }
            "gap" => {
                if let Some((table, why)) = rest.split_once('\t') {
                    tables.gap(table, Some(host), why);
                }
            }
            "haproxy" => haproxy.push(rest),
            "json" => {
                if let Some((what, json)) = rest.split_once('\t') {
                    match serde_json::from_str(json) {
                        Ok(value) => document(what, &value, host, tables),
                        Err(error) => tables.gap(what, Some(host), &format!("it is no JSON: {error}")),
                    }
                }
            }
            "failed" => failed(rest, host, tables),
            _ => {}
        }
    }
    servers(&haproxy, host, tables);
    beside
}

fn nanoseconds(text: &str) -> Option<i128> {
    let (seconds, rest) = text.trim().split_once('.')?;
    Some(
        i128::from(seconds.parse::<i64>().ok()?) * 1_000_000_000
            + i128::from(rest.get(..9)?.parse::<u32>().ok()?),
    )
}

/// `TABLE NAME=TEXT NAME#=NUMBER NAME?=TRUTH …`; what is empty and no text was not seen.
fn fields(rest: &str, host: &str) -> Option<(String, Row)> {
    let mut parts = rest.split('\t');
    let table = parts.next().filter(|table| !table.is_empty())?.to_owned();
    let mut columns = Row::from([("host".to_owned(), host.into())]);
    for part in parts {
        let Some((name, text)) = part.split_once('=') else { continue };
        if let Some(name) = name.strip_suffix('#') {
            if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
                columns.insert(name.to_owned(), Value::Number(number));
            }
        } else if let Some(name) = name.strip_suffix('?') {
            match text {
                "true" => columns.insert(name.to_owned(), Value::Bool(true)),
                "false" => columns.insert(name.to_owned(), Value::Bool(false)),
                _ => None,
            };
        } else {
            columns.insert(name.to_owned(), text.into());
        }
    }
    Some((table, columns))
}

/// HAProxy's `show stat`: a heading that begins with `#`, and a line for each front, back and server.
fn servers(lines: &[&str], host: &str, tables: &Tables) {
    let Some((heading, lines)) = lines.split_first() else { return };
    let names: Vec<&str> = heading.trim_start_matches("# ").split(',').collect();
    tables.seen("haproxy.server");
    for line in lines {
        let values: BTreeMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        let text = |name: &str| values.get(name).copied().unwrap_or_default();
        let number = |name: &str| text(name).parse::<f64>().ok().map(Value::Number);
        let (backend, server) = (text("pxname"), text("svname"));
        if backend.is_empty() || server.is_empty() {
            continue;
        }
        let mut columns =
            row([("host", host.into()), ("backend", backend.into()), ("status", text("status").into())]);
        for (column, name) in [
            ("sessions", "scur"),
            ("sessions_max", "slim"),
            ("queued", "qcur"),
            ("changed_s", "lastchg"),
            ("answers_5xx", "hrsp_5xx"),
            ("answers", "req_tot"),
            ("active", "act"),
            ("spare", "bck"),
        ] {
            if let Some(value) = number(name) {
                columns.insert(column.to_owned(), value);
            }
        }
        let table = match server {
            "FRONTEND" => "haproxy.front",
            "BACKEND" => "haproxy.backend",
            _ => {
                columns.insert("server".to_owned(), server.into());
                columns.insert("address".to_owned(), text("addr").into());
                let check = format!("{} {}", text("check_status"), text("last_chk"));
                columns.insert("check".to_owned(), check.trim().into());
                "haproxy.server"
            }
        };
        tables.add(table, columns);
    }
}

/// A question that the broker's program did not answer.
fn failed(rest: &str, host: &str, tables: &Tables) {
    let mut parts = rest.splitn(3, '\t');
    let (Some(what), Some(status), Some(why)) = (parts.next(), parts.next(), parts.next()) else { return };
    let is_down =
        why.contains("nodedown") || why.contains("unable to perform an operation on node") || status == "69";
    if what == "rabbit.status" && is_down {
        // Among the reasons that it always lists are cookies, too: only the diagnosis below them tells.
        let refused = why.contains("Authentication failed (rejected");
        let why = why.split(". Please see").next().unwrap_or(why);
        tables.add(
            "rabbit.node",
            row([
                ("host", host.into()),
                ("runs", false.into()),
                ("cookie_refused", refused.into()),
                ("why", why.into()),
            ]),
        );
        return;
    }
    let table = if what == "rabbit.status" { "rabbit.node" } else { what };
    tables.gap(table, Some(host), why);
}

fn document(what: &str, value: &Json, host: &str, tables: &Tables) {
    match what {
        "rabbit.status" => status(value, host, tables),
        "rabbit.cluster" => cluster(value, host, tables),
        "rabbit.queue" => queues(value, host, tables),
        "ceph" => ceph(value, host, tables),
        _ => {}
    }
}

fn count(value: &Json, pointer: &str) -> Value {
    value.pointer(pointer).and_then(Json::as_f64).into()
}

fn status(value: &Json, host: &str, tables: &Tables) {
    // Alarms are texts in some versions and objects in others: the words are the same.
    let alarms = value.get("alarms").map(Json::to_string).unwrap_or_default();
    let mut columns = row([
        ("host", host.into()),
        ("runs", true.into()),
        ("alarm_memory", alarms.contains("memory").into()),
        ("alarm_disk", alarms.contains("disk").into()),
        ("alarm_files", alarms.contains("file_descriptor").into()),
        ("in_maintenance", value.get("is_under_maintenance").and_then(Json::as_bool).into()),
        ("version", value.get("rabbitmq_version").and_then(Json::as_str).into()),
        ("erlang", value.get("erlang_version").and_then(Json::as_str).into()),
    ]);
    for (column, pointer) in [
        ("memory", "/memory/total/rss"),
        ("memory_statistics", "/memory/mgmt_db"),
        ("memory_binary", "/memory/binary"),
        ("memory_limit", "/vm_memory_high_watermark_limit"),
        ("disk_free", "/disk_free"),
        ("disk_limit", "/disk_free_limit"),
        ("files", "/file_descriptors/total_used"),
        ("files_limit", "/file_descriptors/total_limit"),
        ("sockets", "/file_descriptors/sockets_used"),
        ("sockets_limit", "/file_descriptors/sockets_limit"),
        ("processes", "/processes/used"),
        ("processes_limit", "/processes/limit"),
        ("run_queue", "/run_queue"),
        ("uptime_s", "/uptime"),
        ("connections", "/totals/connection_count"),
        ("queues", "/totals/queue_count"),
    ] {
        if let number @ Value::Number(_) = count(value, pointer) {
            columns.insert(column.to_owned(), number);
        }
    }
    tables.add("rabbit.node", columns);
}

fn texts(value: Option<&Json>) -> Vec<Value> {
    value.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).map(Value::from).collect()
}

fn cluster(value: &Json, host: &str, tables: &Tables) {
    let mut members = texts(value.get("disk_nodes"));
    members.extend(texts(value.get("ram_nodes")));
    let mut running = texts(value.get("running_nodes"));
    // Each member lists the others in an order of its own.
    running.sort_by_key(Value::to_string);
    let missing: Vec<Value> = members.iter().filter(|one| !running.contains(one)).cloned().collect();
    let partitions: Vec<Value> = match value.get("partitions") {
        Some(Json::Object(parts)) => parts
            .iter()
            .map(|(name, from)| format!("{name} from {}", Value::List(texts(Some(from)))).into())
            .collect(),
        other => texts(other),
    };
    let versions: Vec<String> = value
        .get("versions")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(_, version)| version.get("rabbitmq_version")?.as_str().map(str::to_owned))
        .collect();
    let flags = value.get("feature_flags").and_then(Json::as_array).into_iter().flatten();
    let disabled = flags
        .filter(|flag| {
            flag.get("state").and_then(Json::as_str) == Some("disabled")
                && flag.get("stability").and_then(Json::as_str) == Some("stable")
        })
        .filter_map(|flag| flag.get("name")?.as_str());
    let disabled: Vec<Value> = disabled.map(Value::from).collect();
    let mut distinct = versions;
    distinct.sort();
    distinct.dedup();
    tables.add(
        "rabbit.cluster",
        row([
            ("host", host.into()),
            ("name", value.get("cluster_name").and_then(Json::as_str).into()),
            ("members", Value::Number(members.len() as f64)),
            ("running", Value::Number(running.len() as f64)),
            ("running_names", Value::List(running)),
            ("missing", Value::List(missing)),
            ("partitions", Value::List(partitions)),
            ("versions", Value::List(distinct.into_iter().map(Value::from).collect())),
            ("flags_disabled", Value::List(disabled)),
        ]),
    );
}

fn queues(value: &Json, host: &str, tables: &Tables) {
    tables.seen("rabbit.queue");
    for queue in value.as_array().into_iter().flatten() {
        let Some(name) = queue.get("name").and_then(Json::as_str) else { continue };
        let length = |key: &str| queue.get(key).and_then(Json::as_array).map(|items| items.len() as f64);
        let (ready, unacked) = (count(queue, "/messages_ready"), count(queue, "/messages_unacknowledged"));
        tables.add(
            "rabbit.queue",
            row([
                ("host", host.into()),
                ("name", name.into()),
                ("kind", queue.get("type").and_then(Json::as_str).into()),
                ("state", queue.get("state").and_then(Json::as_str).into()),
                ("ready", ready),
                ("unacked", unacked),
                ("consumers", count(queue, "/consumers")),
                ("members", length("members").into()),
                ("online", length("online").into()),
                ("leader", queue.get("leader").and_then(Json::as_str).filter(|name| !name.is_empty()).into()),
            ]),
        );
    }
}

fn ceph(value: &Json, host: &str, tables: &Tables) {
    tables.seen("ceph");
    for (code, check) in value.get("checks").and_then(Json::as_object).into_iter().flatten() {
        tables.add(
            "ceph",
            row([
                ("host", host.into()),
                ("code", code.as_str().into()),
                ("severity", check.get("severity").and_then(Json::as_str).into()),
                ("summary", check.pointer("/summary/message").and_then(Json::as_str).into()),
                ("muted", check.get("muted").and_then(Json::as_bool).unwrap_or(false).into()),
            ]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::health::Evidence;
    use proptest::prelude::*;

    fn read(text: &str) -> (Evidence, Beside) {
        let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
        let beside = report(text, "ctl1", &tables);
        (tables.into_evidence(), beside)
    }

    #[test]
    fn fields_have_kinds_and_what_is_empty_was_not_seen() {
        let (evidence, beside) = read(
            "clock\t1795825085.923188339\nrow\tnode\tos=Debian 12\tcpus#=2\tload5#=\tcontainer?=true\todd?=x\nend\t1\n",
        );
        let row = &evidence.rows("node")[0];
        assert_eq!(row["os"], Value::from("Debian 12"));
        assert_eq!(row["cpus"], Value::Number(2.0));
        assert!(!row.contains_key("load5") && !row.contains_key("odd"));
        assert_eq!((beside.clock_ns, beside.is_whole), (Some(1_795_825_085_923_188_339), true));
    }

    #[test]
    fn a_clock_beyond_all_times_is_none() {
        for text in ["0160000000000000018446744073709541.000000000", "1.99999999999", "1.-23456789", "."] {
            let seen = nanoseconds(text);
            assert!(seen.is_none_or(|ns| ns < 2_000_000_000), "{text}: {seen:?}");
        }
        assert_eq!(nanoseconds("0160000000000000018446744073709541.000000000"), None);
    }

    #[test]
    fn haproxy_s_table_is_read_by_its_heading() {
        let (evidence, _) = read(
            "haproxy\t# pxname,svname,qcur,scur,slim,status,lastchg,check_status,last_chk,addr\n\
             haproxy\tnova,FRONTEND,,3,2000,OPEN,,,,\n\
             haproxy\tnova,ctl1,0,2,,DOWN,17,L4CON,Connection refused,198.51.100.1:8774\n\
             haproxy\tnova,BACKEND,4,2,200,DOWN,17,,,\n",
        );
        let server = &evidence.rows("haproxy.server")[0];
        assert_eq!(server["check"], Value::from("L4CON Connection refused"));
        assert_eq!(server["changed_s"], Value::Number(17.0));
        assert_eq!(evidence.rows("haproxy.front").len(), 1);
        assert_eq!(evidence.rows("haproxy.backend")[0]["queued"], Value::Number(4.0));
    }

    #[test]
    fn a_broker_that_is_down_is_no_gap_and_one_that_says_something_else_is() {
        let (evidence, _) =
            read("failed\trabbit.status\t69\tError: unable to perform an operation on node 'rabbit@ctl1'\n");
        assert_eq!(evidence.rows("rabbit.node")[0]["runs"], Value::Bool(false));
        assert_eq!(evidence.rows("rabbit.node")[0]["cookie_refused"], Value::Bool(false));
        let usual = "Error: unable to perform an operation on node 'rabbit@ctl1'. Please see diagnostics information below. Most common \
            reasons: * CLI tool fails to authenticate with the server (e.g. due to CLI tool's Erlang cookie not matching that of the server)";
        let (evidence, _) = read(&format!("failed\trabbit.status\t69\t{usual}\n"));
        let row = &evidence.rows("rabbit.node")[0];
        assert_eq!(row["cookie_refused"], Value::Bool(false));
        assert_eq!(row["why"], Value::from("Error: unable to perform an operation on node 'rabbit@ctl1'"));
        let refused = format!(
            "{usual} * Authentication failed (rejected by the remote node), please check the Erlang cookie"
        );
        let (evidence, _) = read(&format!("failed\trabbit.status\t69\t{refused}\n"));
        assert_eq!(evidence.rows("rabbit.node")[0]["cookie_refused"], Value::Bool(true));
        let (evidence, _) = read("failed\trabbit.queue\t75\toperation list_queues timed out\n");
        assert_eq!(evidence.tables["rabbit.queue"].gaps.len(), 1);
    }

    #[test]
    fn partitions_alarms_and_missing_members_are_seen() {
        let (evidence, _) = read(
            "json\trabbit.status\t{\"alarms\":[\"memory\"],\"memory\":{\"total\":{\"rss\":9}},\"vm_memory_high_watermark_limit\":10}\n\
             json\trabbit.cluster\t{\"disk_nodes\":[\"rabbit@a\",\"rabbit@b\"],\"running_nodes\":[\"rabbit@a\"],\"partitions\":{\"rabbit@a\":[\"rabbit@b\"]}}\n\
             json\trabbit.queue\t[{\"name\":\"q\",\"type\":\"quorum\",\"members\":[\"a\",\"b\"],\"online\":[\"a\"],\"leader\":\"a\",\"messages_ready\":3}]\n",
        );
        assert_eq!(evidence.rows("rabbit.node")[0]["alarm_memory"], Value::Bool(true));
        let cluster = &evidence.rows("rabbit.cluster")[0];
        assert_eq!(cluster["missing"].to_string(), "rabbit@b");
        assert_eq!(cluster["partitions"].to_string(), "rabbit@a from rabbit@b");
        assert_eq!(evidence.rows("rabbit.queue")[0]["online"], Value::Number(1.0));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(row|gap|json|failed|haproxy|clock)\t\\PC{0,60}(\t\\PC{0,20}){0,3}") {
            let _ = read(&text);
        }
    }
}
