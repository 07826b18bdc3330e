//! What nodes say, captured, and read again.

use super::*;

const WHOLE: Wanted<'_> = Wanted { galera: true, schemas: true, databases: &["keystone", "nova"] };

fn read(lines: &str) -> Report {
    report(&format!("{lines}\nend\t1\n"), &WHOLE).unwrap()
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    assert_eq!(report("os\tDebian\n", &WHOLE), None);
}

#[test]
fn the_system_is_read() {
    let seen = read(
        "clock\t1795299287.000000005\nos\tDebian GNU/Linux 12 (bookworm)\nboot\tb1\ndisk\t/\t2097152\t4194304\ndisk\t/x",
    );
    assert_eq!(seen.clock, Some(1_795_299_287_000_000_005));
    assert_eq!((seen.node.os.as_str(), seen.node.boot_id.as_str()), ("Debian GNU/Linux 12 (bookworm)", "b1"));
    assert_eq!(
        seen.node.disks,
        BTreeMap::from([("/".to_owned(), DiskSeen { free_mib: 2048, size_mib: 4096 })])
    );
}

#[test]
fn packages_that_are_there_are_read_with_the_time_of_their_files() {
    let seen = read(
        "package\tkeystone\tii \t2:25.0.0-1~ostler12+1\npackage\tnova\trc \t1\npackage\tglance\tun \t\npackage\theat\tiF \t3\nunpacked\t1795299000\tkeystone",
    );
    let keystone =
        PackageSeen { version: "2:25.0.0-1~ostler12+1".into(), status: "ii".into(), unpacked: 1_795_299_000 };
    let heat = PackageSeen { version: "3".into(), status: "iF".into(), unpacked: 0 };
    assert_eq!(
        seen.node.packages,
        BTreeMap::from([("keystone".to_owned(), keystone), ("heat".to_owned(), heat)])
    );
}

#[test]
fn units_are_read_block_by_block() {
    let seen = read(
        "unit\tMainPID=36\nunit\tResult=success\nunit\tExecMainStartTimestamp=Sat 2026-11-21 22:14:47 UTC\nunit\tExecMainStatus=0\nunit\tId=keystone.service\nunit\tLoadState=loaded\nunit\tActiveState=active\nunit\tSubState=running\nunit\tUnitFileState=enabled\nunit\t\nunit\tResult=exit-code\nunit\tExecMainStartTimestamp=\nunit\tExecMainStatus=3\nunit\tId=ostler-r-s-1.service\nunit\tActiveState=failed",
    );
    let keystone = &seen.node.units["keystone.service"];
    assert_eq!(
        (keystone.main_pid, keystone.started, keystone.active.as_str()),
        (36, 1_795_299_287, "active")
    );
    let ours = &seen.node.units["ostler-r-s-1.service"];
    assert_eq!((ours.result.as_str(), ours.exit_status, ours.started), ("exit-code", 3, 0));
}

#[test]
fn configuration_files_are_compared_with_what_was_shipped() {
    let seen = read(
        "file\taa\t/etc/a\nfile\tbb\t/etc/b\nfile\tcc\t/etc/keys\nshipped\tm1  /etc/a\nshipped\tm2  /etc/b\nshipped\tm3  /etc/gone\nfound\tm1  /etc/a\nfound\tmX  /etc/b",
    );
    let changed = |path: &str| seen.node.files[path].changed_by_hand;
    assert_eq!((changed("/etc/a"), changed("/etc/b"), changed("/etc/keys")), (Some(false), Some(true), None));
    assert_eq!(seen.node.files.len(), 3);
}

const GALERA: &str = "galera\twsrep_cluster_size\t3\ngalera\twsrep_cluster_status\tPrimary\ngalera\twsrep_local_state\t4\ngalera\twsrep_ready\tON\ngalera\twsrep_cluster_state_uuid\tu\ngalera\twsrep_last_committed\t109\ngalera\twsrep_local_cached_downto\t1\ngalera\twsrep_local_recv_queue\t0";

#[test]
fn databases_are_read_and_a_missing_table_is_no_gap() {
    let seen = read(&format!(
        "{GALERA}\nschema\tkeystone\tc88cdce8f248\nschema\tkeystone\t47147121\nsql-error\tERROR 1146 (42S02) at line 3: Table 'nova.alembic_version' doesn't exist\nsql\t1"
    ));
    assert_eq!(
        seen.node.galera.map(|galera| (
            galera.cluster_size,
            galera.local_state,
            galera.ready,
            galera.last_committed
        )),
        Some((3, 4, true, 109))
    );
    assert_eq!(seen.node.schemas["keystone"], ["47147121", "c88cdce8f248"]);
    assert_eq!(seen.node.schemas["nova"], [""; 0]);
    assert_eq!(seen.gaps, []);
}

#[test]
fn a_database_that_cannot_be_read_is_a_gap_of_its_own() {
    let seen = read(&format!(
        "{GALERA}\nschema\tkeystone\t1\nsql-error\tERROR 1142 (42000) at line 3: SELECT command denied\nsql\t1"
    ));
    assert_eq!(seen.node.schemas.keys().collect::<Vec<_>>(), ["keystone"]);
    assert_eq!(seen.gaps.len(), 1);
    assert_eq!(seen.gaps[0].0, "schema nova");
}

#[test]
fn a_database_that_does_not_run_leaves_gaps_and_nothing_else() {
    let seen = read(
        "sql-error\tERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)\nsql\t1",
    );
    assert_eq!((seen.node.galera, seen.node.schemas.len()), (None, 0));
    assert_eq!(
        seen.gaps.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(),
        ["galera", "schema keystone", "schema nova"]
    );
    assert!(seen.gaps.iter().all(|(_, why)| why.contains("Can't connect")));
}

#[test]
fn a_node_without_a_database_has_no_gap() {
    assert_eq!(read("os\tDebian").gaps, []);
}

#[test]
fn servers_of_the_load_balancer_are_read() {
    let seen = read(
        "proxy\t# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,\n\
         proxy\tkeystone,FRONTEND,,,7,7,2000,7,0,0,0,0,0,,,,,OPEN,,,,\n\
         proxy\tkeystone,ctl1,0,0,2,3,,1,0,0,,0,,0,0,0,0,DRAIN,1,1,0,\n\
         proxy\tkeystone,ctl2,0,0,0,3,,1,0,0,,0,,0,0,0,0,MAINT,1,0,1,\n\
         proxy\t\n\
         proxy\t1\n\
         proxy\t# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
         proxy\t2 keystone 1 ctl1 198.18.2.11 2 8 1 1 40 15 3 4 6 0 0 0 - 5000 - 0 0 - - 0\n\
         proxy\t2 keystone 2 ctl2 198.18.2.12 0 1 1 1 91 15 3 0 14 0 0 0 - 5000 - 0 0 - - 0\n\
         proxy\t2 keystone 3 ctl3 198.18.2.13 2 0 1 1 91 15 3 4 6 0 0 0 - 5000 - 0 0 - - 0\n\
         proxy\t",
    );
    let servers = seen.node.proxy.unwrap();
    let short: Vec<_> = servers
        .iter()
        .map(|one| (one.server.as_str(), one.up, one.admin, one.sessions, one.backup, one.serves()))
        .collect();
    assert_eq!(
        short,
        [
            ("ctl1", true, ServerAdmin::Drain, 2, false, false),
            ("ctl2", false, ServerAdmin::Maint, 0, true, false),
            ("ctl3", true, ServerAdmin::Ready, 0, false, true),
        ]
    );
    assert_eq!(servers[0].address, "198.18.2.11:5000");
}

#[test]
fn a_load_balancer_that_says_something_else_is_a_gap() {
    let seen = read("proxy\tUnknown command.");
    assert_eq!((seen.node.proxy, seen.gaps.len()), (None, 1));
}

#[test]
fn a_cache_answers_or_not() {
    assert_eq!(read("cache\t1.6.18").node.cache, Some(CacheSeen { answers: true, version: "1.6.18".into() }));
    assert_eq!(read("cache\t").node.cache, Some(CacheSeen { answers: false, version: String::new() }));
    assert_eq!(read("").node.cache, None);
}

#[test]
fn a_clock_beyond_all_times_is_not_seen() {
    assert_eq!(nanoseconds("0160000000000000018446744073709541.0"), None);
    assert_eq!(nanoseconds("1.5"), Some(1_000_000_005));
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_it_panic(text in "((gap|unit|proxy|sql|sql-error|disk|file|galera|package|clock)\t[ -~\t]{0,40}\n){0,20}") {
        let _ = report(&format!("{text}end\t1\n"), &WHOLE);
    }
}
