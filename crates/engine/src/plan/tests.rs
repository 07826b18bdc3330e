//! Planners over small made-up inventories.

use super::*;
use ostler_model::Timestamp;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::ids::HostName;
use ostler_model::inventory::*;
use ostler_model::plan::Strategy;
use ostler_model::step::{Does, Undo};
use std::collections::BTreeMap;

mod orders;

fn cloud(nodes: usize) -> Cloud {
    Cloud {
        name: "c".into(),
        flavour: Flavour::Debian,
        virtual_address: Some("192.0.2.10".into()),
        package_source: "deb http://packages/{release} ./".into(),
        backup_directory: "/var/backups/ostler".into(),
        nodes: (1..=nodes)
            .map(|n| {
                let node =
                    DeclaredNode { address: format!("192.0.2.{n}"), port: 22, roles: vec![Role::Controller] };
                (HostName::new(format!("ctl{n}")), node)
            })
            .collect(),
    }
}

fn node(name: &str, nodes: usize, version: &str, heads: &[&str]) -> Node {
    let server = |n: usize| ServerSeen {
        backend: "keystone".into(),
        server: format!("ctl{n}"),
        address: String::new(),
        up: true,
        admin: ServerAdmin::Ready,
        sessions: 0,
        backup: false,
    };
    let file = |text: &str| FileSeen { sha256: text.into(), changed_by_hand: None };
    Node {
        os: name.into(),
        clock: Some(ClockSeen { offset_ms: 0, doubt_ms: 1 }),
        disks: BTreeMap::from([(
            "/var/backups/ostler".into(),
            DiskSeen { free_mib: 9_000, size_mib: 9_000 },
        )]),
        packages: BTreeMap::from([(
            "keystone".into(),
            PackageSeen { version: version.into(), status: "ii".into(), unpacked: 1 },
        )]),
        units: BTreeMap::from([(
            "keystone.service".into(),
            UnitSeen { load: "loaded".into(), active: "active".into(), started: 2, ..UnitSeen::default() },
        )]),
        files: BTreeMap::from([
            ("/etc/keystone/keystone.conf".into(), file("conf")),
            ("/etc/keystone/fernet-keys".into(), file("keys")),
            ("/etc/keystone/credential-keys".into(), file("keys")),
        ]),
        galera: Some(GaleraSeen {
            cluster_status: "Primary".into(),
            cluster_size: nodes as u32,
            local_state: 4,
            ready: true,
            cluster_uuid: "u".into(),
            ..GaleraSeen::default()
        }),
        schemas: BTreeMap::from([("keystone".into(), heads.iter().map(|head| head.to_string()).collect())]),
        proxy: Some((1..=nodes).map(server).collect()),
        cache: Some(CacheSeen { answers: true, version: "1".into() }),
        boot_id: "b".into(),
    }
}

fn inventory(nodes: usize, version: &str, heads: &[&str]) -> Inventory {
    let seen = |n: usize| {
        let name = format!("ctl{n}");
        (HostName::new(name.clone()), Seen::Fresh(Box::new(node(&name, nodes, version, heads))))
    };
    Inventory {
        format: INVENTORY_FORMAT,
        cloud: "c".into(),
        taken: Timestamp::UNIX_EPOCH,
        nodes: (1..=nodes).map(seen).collect(),
        gaps: Vec::new(),
    }
}

fn wish(to: &str, strategy: Option<Strategy>) -> Wish {
    Wish {
        service: "keystone".into(),
        to: to.parse().unwrap(),
        strategy,
        soak_s: 5,
        packages: BTreeMap::from([("keystone".into(), "25.0.0".into())]),
        ask_before_final: true,
        function_check: false,
        canary: None,
    }
}

const HEADS_2023_1: &[&str] = &["29e87d24a316", "e25ffa003242"];
const HEADS_2024_1: &[&str] = &["47147121", "c88cdce8f248"];

fn plan_of(nodes: usize, version: &str, heads: &[&str], wish: &Wish) -> Result<Planned, Refused> {
    let (cloud, catalogue, seen) =
        (cloud(nodes), Catalogue::embedded().unwrap(), inventory(nodes, version, heads));
    let estimates = Estimates::default();
    upgrade(wish, &Scene { cloud: &cloud, catalogue: &catalogue, seen: &seen, estimates: &estimates })
}

fn at(planned: &Planned, id: &str) -> usize {
    let place = planned.plan.body.steps.iter().position(|step| step.id.as_str() == id);
    place.unwrap_or_else(|| panic!("no step {id}"))
}

#[test]
fn three_servers_and_an_additive_expand_lead_to_zero_downtime() {
    let planned = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", None)).unwrap();
    assert!(planned.report.decisions[0].starts_with("zero-downtime"), "{:?}", planned.report.decisions);
    assert!(
        planned.report.findings.iter().all(|finding| finding.severity == ostler_model::check::Severity::Ok)
    );
    assert_eq!(lint(&planned.plan), []);
    let contract = &planned.plan.body.steps[at(&planned, "ctl1-contract")];
    assert!(matches!(contract.undo, Undo::Impossible { .. }));
}

#[test]
fn every_strategy_makes_a_clean_plan_for_one_to_five_controllers() {
    for nodes in 1..=5 {
        for strategy in Strategy::ALL {
            match plan_of(nodes, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", Some(strategy))) {
                Ok(planned) => assert_eq!(lint(&planned.plan), [], "{nodes} nodes, {strategy}"),
                Err(refused) => assert!(nodes < 3, "{nodes} nodes, {strategy}: {refused}"),
            }
        }
    }
}

#[test]
fn a_hop_without_a_contract_has_no_point_of_no_return() {
    let mut wish = wish("2026.1", None);
    wish.packages.insert("keystone".into(), "29.1.0".into());
    let planned = plan_of(3, "2:27.1.0-1", HEADS_2024_1, &wish).unwrap();
    assert!(planned.plan.body.steps.iter().all(|step| !matches!(step.undo, Undo::Impossible { .. })));
    assert!(planned.report.held_back.iter().any(|held| held.what == "no contract"));
}

#[test]
fn a_hop_without_migrations_calls_no_schema_command() {
    let planned = plan_of(3, "2:25.0.0-1", HEADS_2024_1, &wish("2025.1", None)).unwrap();
    assert!(planned.plan.body.steps.iter().all(|step| !matches!(step.does, Does::Schema { .. })));
}

#[test]
fn an_illegal_jump_is_refused_with_the_path() {
    let refused = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish("2025.1", None)).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Guard("legal-hop"));
    assert!(refused.why.hint.unwrap().contains("2023.1 -> 2024.1 -> 2025.1"));
}

#[test]
fn an_unknown_release_is_refused_with_those_that_are_known() {
    let refused = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish("2031.1", None)).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Usage);
    assert!(refused.why.hint.unwrap().contains("2026.2"));
}

#[test]
fn a_schema_newer_than_the_code_is_refused() {
    let refused = plan_of(3, "2:23.0.2-1", HEADS_2024_1, &wish("2024.1", None)).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Guard("schema-heads"));
    assert!(refused.why.what.contains("newer than the code"), "{}", refused.why);
}

#[test]
fn foreign_heads_are_refused() {
    let refused = plan_of(3, "2:23.0.2-1", &["deadbeef"], &wish("2024.1", None)).unwrap_err();
    assert!(refused.why.what.contains("no release"), "{}", refused.why);
}

#[test]
fn an_expanded_schema_of_an_earlier_try_is_taken_as_it_is() {
    let planned = plan_of(3, "2:23.0.2-1", &["47147121", "e25ffa003242"], &wish("2024.1", None)).unwrap();
    assert!(planned.plan.body.steps.iter().all(|step| step.id.as_str() != "ctl1-expand"));
    assert!(planned.plan.body.steps.iter().any(|step| step.id.as_str() == "ctl1-contract"));
}

#[test]
fn the_same_release_is_nothing_to_do() {
    let refused = plan_of(3, "2:25.0.0-1", HEADS_2024_1, &wish("2024.1", None)).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Nothing);
}

#[test]
fn minimal_downtime_needs_three_members() {
    let wish = wish("2024.1", Some(Strategy::MinimalDowntime));
    let refused = plan_of(2, "2:23.0.2-1", HEADS_2023_1, &wish).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Guard("strategy-possible"));
}

#[test]
fn minimal_downtime_is_out_only_while_the_schema_changes() {
    let wish = wish("2024.1", Some(Strategy::MinimalDowntime));
    let planned = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish).unwrap();
    let schedule = schedule(&planned.plan);
    let total: Vec<_> = schedule.outages.iter().filter(|outage| outage.total).collect();
    assert_eq!(total.len(), 1, "{total:?}");
    assert!(total[0].for_ms < 15_000, "{total:?}");
}

#[test]
fn zero_downtime_expects_no_total_outage() {
    let planned = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", None)).unwrap();
    assert!(schedule(&planned.plan).outages.iter().all(|outage| !outage.total));
}

#[test]
fn a_plan_is_its_content() {
    let wish = wish("2024.1", None);
    let first = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish).unwrap();
    let again = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish).unwrap();
    assert_eq!(first.plan.id, again.plan.id);
    let text = serde_json::to_string(&first.plan).unwrap();
    let back: ostler_model::plan::Plan = serde_json::from_str(&text).unwrap();
    assert!(back.is_intact());
    let mut edited = back;
    edited.body.steps[3].limit_s += 1;
    assert!(!edited.is_intact());
    assert!(lint(&edited).iter().any(|finding| finding.check == "plan-intact"));
}

#[test]
fn a_load_balancer_that_does_not_answer_is_still_one() {
    let (cloud, catalogue) = (cloud(3), Catalogue::embedded().unwrap());
    let mut seen = inventory(3, "2:23.0.2-1", HEADS_2023_1);
    let mut silent = node("ctl3", 3, "2:23.0.2-1", HEADS_2023_1);
    silent.proxy = None;
    silent.units.insert("haproxy.service".into(), UnitSeen { load: "loaded".into(), ..UnitSeen::default() });
    seen.nodes.insert("ctl3".into(), Seen::Fresh(Box::new(silent)));
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud, catalogue: &catalogue, seen: &seen, estimates: &estimates };
    let planned = upgrade(&wish("2024.1", None), &scene).unwrap();
    let serve = planned.report.findings.iter().find(|finding| finding.check == "backends-serve").unwrap();
    assert_eq!(serve.severity, ostler_model::check::Severity::Error);
    assert!(serve.evidence[0].contains("ctl3: its HAProxy does not answer"), "{serve:?}");
}

#[test]
fn mixed_releases_are_refused() {
    let (cloud, catalogue) = (cloud(3), Catalogue::embedded().unwrap());
    let mut seen = inventory(3, "2:23.0.2-1", HEADS_2023_1);
    let other = node("ctl2", 3, "2:25.0.0-1", HEADS_2023_1);
    seen.nodes.insert("ctl2".into(), Seen::Fresh(Box::new(other)));
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud, catalogue: &catalogue, seen: &seen, estimates: &estimates };
    let refused = upgrade(&wish("2024.1", None), &scene).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Guard("one-release"));
}

#[test]
fn a_controller_that_cannot_be_seen_stops_planning() {
    let (cloud, catalogue) = (cloud(3), Catalogue::embedded().unwrap());
    let mut seen = inventory(3, "2:23.0.2-1", HEADS_2023_1);
    seen.nodes.insert("ctl3".into(), Seen::Unreachable { why: "it does not answer".into() });
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud, catalogue: &catalogue, seen: &seen, estimates: &estimates };
    let refused = upgrade(&wish("2024.1", None), &scene).unwrap_err();
    assert_eq!(refused.kind, RefusedKind::Guard("nodes-reachable"));
    assert!(refused.why.what.contains("ctl3"));
}

mod lints {
    use super::*;
    use ostler_model::plan::Plan;

    fn broken(change: impl FnOnce(&mut Vec<ostler_model::step::Step>)) -> Vec<String> {
        let planned = plan_of(3, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", None)).unwrap();
        let mut body = planned.plan.body;
        change(&mut body.steps);
        let found = lint(&Plan::seal(body).unwrap());
        found.into_iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn two_nodes_out_of_three_at_once_is_not_the_last_server_but_three_are() {
        let found = broken(|steps| {
            for step in steps.iter_mut().filter(|step| step.id.as_str().ends_with("-drain")) {
                step.after.clear();
            }
        });
        assert!(found.contains(&"last-server".to_owned()), "{found:?}");
    }

    #[test]
    fn a_contract_before_the_last_node_is_found() {
        let found = broken(|steps| {
            let contract = steps.iter_mut().find(|step| step.id.as_str() == "ctl1-contract").unwrap();
            contract.after = vec!["ctl2-enable".into()];
        });
        assert!(found.contains(&"final-last".to_owned()), "{found:?}");
    }

    #[test]
    fn an_unproved_backup_is_found() {
        let found = broken(|steps| {
            steps.retain(|step| !matches!(step.does, Does::ProveBackup { .. }));
            for step in steps.iter_mut() {
                step.after.retain(|id| !id.as_str().ends_with("prove-backup"));
            }
        });
        assert!(found.contains(&"backup-first".to_owned()), "{found:?}");
    }

    #[test]
    fn a_stop_without_a_drain_is_found() {
        let found = broken(|steps| {
            let stop = steps.iter_mut().find(|step| step.id.as_str() == "ctl2-stop").unwrap();
            stop.after.clear();
            stop.guard.clear();
        });
        assert!(found.contains(&"drained-first".to_owned()), "{found:?}");
    }

    #[test]
    fn a_circle_is_found() {
        let found = broken(|steps| steps[0].after.push("final-check".into()));
        assert!(found.contains(&"plan-order".to_owned()), "{found:?}");
    }
}

#[test]
fn an_expanded_schema_fits_the_release_that_was_there_before() {
    let catalogue = Catalogue::embedded().unwrap();
    let service = &catalogue.services[&"keystone".into()];
    let fitting = fitting_heads(&catalogue, service, "2023.1".parse().unwrap());
    let set = |heads: &[&str]| heads.iter().map(|head| head.to_string()).collect::<Vec<_>>();
    assert!(fitting.contains(&set(HEADS_2023_1)));
    assert!(fitting.contains(&set(&["47147121", "e25ffa003242"])), "{fitting:?}");
    assert!(!fitting.contains(&set(HEADS_2024_1)), "a contracted schema does not fit: {fitting:?}");
}
