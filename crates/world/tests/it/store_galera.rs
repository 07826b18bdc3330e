//! The store in a real Galera cluster: what every store owes, and what only several nodes can break.
//!
//! One test, because the cluster is what takes long; each part names itself when it fails.

use crate::register_contract;
use crate::store_cluster::{Cluster, PASSWORD};
use crate::store_contract::{entry, holds, inventory};
use ostler_engine::seam::{Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event};
use ostler_model::ids::RunId;
use ostler_world::store;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Writers that fight for one run: two on each node.
const WRITERS: usize = 6;

/// How long they fight before a node dies.
const FIGHT: Duration = Duration::from_millis(2_500);

/// How long the others may need until each of them has written again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// What each writer has to write after a node died.
const WRITTEN_AFTER: u64 = 10;

struct Nodes {
    urls: Vec<String>,
    /// None: they are somebody else's, and are neither killed nor administered.
    cluster: Option<Cluster>,
}

impl Nodes {
    async fn start() -> Nodes {
        if let Ok(urls) = std::env::var("OSTLER_TEST_GALERA") {
            let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
            assert_eq!(urls.len(), 3, "OSTLER_TEST_GALERA is three addresses with commas between");
            eprintln!(
                "the parts that stop a node are left out: the cluster of OSTLER_TEST_GALERA is not ours"
            );
            return Nodes { urls, cluster: None };
        }
        let cluster = Cluster::start().await;
        let urls = cluster.ports().iter().map(|port| url(PASSWORD, &[*port], "ostler")).collect();
        Nodes { urls, cluster: Some(cluster) }
    }

    /// The address of all nodes, beginning with one of them.
    fn from(&self, first: usize) -> String {
        let hosts = |url: &str| url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
        let others = (0..3).map(|offset| hosts(&self.urls[(first + offset) % 3]));
        let (account, rest) = self.urls[0].rsplit_once('@').unwrap();
        let hosts: Vec<String> = others.collect();
        format!("{account}@{}/{}", hosts.join(","), rest.split_once('/').unwrap().1)
    }

    async fn open(&self, first: usize) -> Arc<dyn Store> {
        store::open(&self.from(first)).await.unwrap()
    }
}

fn url(password: &str, ports: &[u16], database: &str) -> String {
    let password = password.replace('%', "%25").replace('@', "%40");
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("mysql://ostler:{password}@{}/{database}", hosts.join(","))
}

/// Names of this run of the test, so that a cluster can serve several.
fn names() -> String {
    format!("t{}", Timestamp::now().as_millisecond())
}

#[tokio::test]
async fn galera_keeps_what_every_store_owes_and_two_drivers_never_own_one_place() {
    let part = part("three nodes start");
    let mut nodes = Nodes::start().await;
    part.done();
    let part = self::part("everybody makes the tables at once");
    let (first, second, third) = tokio::join!(nodes.open(0), nodes.open(1), nodes.open(2));
    part.done();
    let names = names();
    let part = self::part("what every store owes, on two nodes");
    holds(&first, &second, &names).await;
    part.done();
    let part = self::part("the register keeps what every register owes, over two nodes");
    register_contract::holds(&first, &second, &names).await;
    part.done();
    speed(&first).await;
    a_lost_acknowledgement_is_no_lost_entry(&nodes, &third, &names).await;
    what_cannot_be_opened_is_said_in_words(&nodes).await;
    a_node_that_is_not_ready_is_passed_over(&nodes, &names).await;
    drivers_fight(&mut nodes, &names).await;
}

/// Says which part failed, and how long the others took.
struct Part {
    name: &'static str,
    started: Instant,
}

fn part(name: &'static str) -> Part {
    Part { name, started: Instant::now() }
}

impl Part {
    fn done(self) {
        println!("{}: {:.1} s", self.name, self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed in the part: {}", self.name);
        }
    }
}

async fn speed(store: &Arc<dyn Store>) {
    let run = format!("speed-{}", Timestamp::now().as_millisecond());
    let started = Instant::now();
    for seq in 0..300 {
        store.append(&[entry(&run, seq, "us")]).await.unwrap();
    }
    println!("{:.0} commits/s by one writer", 300.0 / started.elapsed().as_secs_f64());
}

/// Between the store and a node: forwards everything until a client's packet holds `word`; that packet reaches the
/// server, but its answer, and the connection, are lost.
async fn faithless(target: String, word: &'static [u8], is_armed: Rc<Cell<bool>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut server, is_armed) = (TcpStream::connect(&target).await.unwrap(), is_armed.clone());
            tokio::task::spawn_local(async move {
                let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                let mut is_lost = false;
                loop {
                    tokio::select! {
                        length = client.read(&mut sent) => {
                            let Ok(length @ 1..) = length else { return };
                            is_lost |= is_armed.get() && sent[..length].windows(word.len()).any(|part| part == word);
                            server.write_all(&sent[..length]).await.unwrap();
                        }
                        length = server.read(&mut answered) => {
                            let Ok(length @ 1..) = length else { return };
                            if is_lost {
                                is_armed.set(false);
                                return;
                            }
                            client.write_all(&answered[..length]).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    port
}

async fn a_lost_acknowledgement_is_no_lost_entry(nodes: &Nodes, neighbour: &Arc<dyn Store>, names: &str) {
    let part = part("a lost acknowledgement");
    let target = nodes.urls[0].rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let is_armed = Rc::new(Cell::new(false));
            let port = faithless(target.clone(), b"lost-in-transit", is_armed.clone()).await;
            let address = nodes.urls[0].replace(&target, &format!("127.0.0.1:{port}"));
            let store = store::open(&address).await.unwrap();
            let run = format!("{names}-lost");
            store.append(&[entry(&run, 0, "us")]).await.unwrap();

            is_armed.set(true);
            let written = [entry(&run, 1, "lost-in-transit")];
            store.append(&written).await.unwrap();
            assert!(!is_armed.get(), "no acknowledgement was lost");
            assert_eq!(neighbour.entries(&written[0].run, 1).await.unwrap(), written);

            is_armed.set(true);
            let several: Vec<Entry> = (2..1_500).map(|seq| entry(&run, seq, "lost-in-transit")).collect();
            store.append(&several).await.unwrap();
            assert!(!is_armed.get(), "no acknowledgement was lost");
            assert!(neighbour.entries(&written[0].run, 2).await.unwrap() == several);

            is_armed.set(true);
            let lease = format!("{names}/lost");
            let granted = store.swap_lease(&lease, 0, "lost-in-transit", Timestamp::now()).await.unwrap();
            assert!(!is_armed.get(), "no acknowledgement was lost");
            assert_eq!((granted.owner.as_str(), granted.term), ("lost-in-transit", 1));
            is_armed.set(true);
            let granted = store.swap_lease(&lease, 1, "lost-in-transit", Timestamp::now()).await.unwrap();
            assert_eq!((is_armed.get(), granted.owner.as_str(), granted.term), (false, "lost-in-transit", 2));
        })
        .await;
    part.done();
}

async fn what_cannot_be_opened_is_said_in_words(nodes: &Nodes) {
    let Some(cluster) = &nodes.cluster else { return };
    let part = part("what cannot be opened");
    let port = cluster.ports()[0];
    for (address, says) in [
        (url("wrong-password", &[port], "ostler"), "Access denied"),
        (url(PASSWORD, &[port], "nowhere"), "nowhere"),
        (url(PASSWORD, &[port], "theirs"), "another program's data (table project)"),
        (url(PASSWORD, &[1], "ostler"), "connection refused"),
        (String::from("mysql://ostler:pw@no-such-host.invalid/ostler"), "no-such-host.invalid:3306"),
    ] {
        let started = Instant::now();
        let Err(StoreError::Unavailable { what, hint }) = store::open(&address).await.map(|_| ()) else {
            panic!("{says}: opened, or called damaged");
        };
        println!("    {what}\n        {}", hint.as_deref().unwrap_or_default());
        assert!(what.contains(says) && hint.is_some(), "{says}: {what}");
        assert!(!what.contains("wrong-password") && !what.contains(PASSWORD), "{what}");
        assert!(started.elapsed() < Duration::from_secs(4), "{says}: {:?}", started.elapsed());
    }
    // Longer than the server's packet: its own answer would be to close the connection.
    let mut large = inventory("large", Timestamp::now());
    large.gaps[0].why = "no answer ".repeat(500_000);
    let refused = nodes.open(0).await.keep_inventory(&large).await.unwrap_err();
    assert!(format!("{refused:?}").contains("max_allowed_packet"), "{refused:?}");
    // A host that is down does not matter while another one is up.
    let ports = [1, port];
    store::open(&url(PASSWORD, &ports, "ostler")).await.unwrap().runs(1).await.unwrap();
    part.done();
}

async fn a_node_that_is_not_ready_is_passed_over(nodes: &Nodes, names: &str) {
    let Some(cluster) = &nodes.cluster else { return };
    let part = part("a node that is not ready");
    let run = format!("{names}-unready");
    let store = nodes.open(0).await;
    store.append(&[entry(&run, 0, "us")]).await.unwrap();
    cluster.administer(0, "SET GLOBAL wsrep_reject_queries = 'ALL'").await;
    let started = Instant::now();
    store.append(&[entry(&run, 1, "us")]).await.unwrap();
    nodes.open(0).await.append(&[entry(&run, 2, "us")]).await.unwrap();
    assert_eq!(store.entries(&RunId::new(&run), 0).await.unwrap().len(), 3);
    assert!(started.elapsed() < Duration::from_secs(2), "passing it over took {:?}", started.elapsed());
    cluster.administer(0, "SET GLOBAL wsrep_reject_queries = 'NONE'").await;
    part.done();
}

/// What the writers have in common.
#[derive(Default)]
struct Fight {
    /// Set when the writers may stop: everything that they have to do is done.
    is_over: Cell<bool>,
    /// Acknowledged entries, with the number of the writer.
    acknowledged: RefCell<Vec<(usize, Entry)>>,
    /// Granted terms, with the number of the writer.
    granted: RefCell<Vec<(usize, u64)>>,
    lost: Cell<u64>,
    not_granted: Cell<u64>,
    stale: Cell<u64>,
    slowest: Cell<Duration>,
}

impl Fight {
    fn took(&self, started: Instant) {
        self.slowest.set(self.slowest.get().max(started.elapsed()));
    }
}

async fn drivers_fight(nodes: &mut Nodes, names: &str) {
    let part = part("drivers fight for one run on three nodes, and one of these dies");
    let (run, lease) = (RunId::new(format!("{names}-fight")), format!("{names}/fight"));
    let fight = Rc::new(Fight::default());
    let local = tokio::task::LocalSet::new();
    let mut tasks = vec![];
    for writer in 0..WRITERS {
        let (ours, neighbours) = (nodes.open(writer % 3).await, nodes.open((writer + 1) % 3).await);
        let appending = append(writer, ours.clone(), run.clone(), fight.clone());
        let leasing = hold(writer, ours, neighbours, lease.clone(), fight.clone());
        tasks.push(local.spawn_local(async move { tokio::join!(appending, leasing) }));
    }
    local
        .run_until(async {
            tokio::time::sleep(FIGHT).await;
            report("before", &fight);
            let (entries, grants) = counts(&fight);
            assert!(
                entries.iter().chain(&grants).all(|count| *count > 0),
                "somebody got nothing: {entries:?} {grants:?}"
            );
            if let Some(cluster) = &mut nodes.cluster {
                cluster.kill(2);
            }
            let killed = Instant::now();
            fight.slowest.set(Duration::ZERO);
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let (entries_now, grants_now) = counts(&fight);
                let went_on = |now: &[u64], before: &[u64]| {
                    now.iter().zip(before).all(|(now, before)| *now >= before + WRITTEN_AFTER)
                };
                if went_on(&entries_now, &entries) && went_on(&grants_now, &grants) {
                    break;
                }
                assert!(
                    killed.elapsed() < RECOVERY_LIMIT,
                    "the writers did not go on: {entries:?} {entries_now:?}, {grants:?} {grants_now:?}"
                );
            }
            println!("    went on after {:.1} s", killed.elapsed().as_secs_f64());
            fight.is_over.set(true);
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    report("after", &fight);

    for reader in 0..2 {
        let journal = nodes.open(reader).await.entries(&run, 0).await.unwrap();
        let mut acknowledged = fight.acknowledged.borrow().clone();
        acknowledged.sort_by_key(|(_, entry)| entry.seq);
        let acknowledged: Vec<Entry> = acknowledged.into_iter().map(|(_, entry)| entry).collect();
        assert!(
            journal == acknowledged,
            "node {reader}: the journal is not what was acknowledged, each place once"
        );
    }
    let mut terms: Vec<u64> = fight.granted.borrow().iter().map(|(_, term)| *term).collect();
    terms.sort_unstable();
    let twice: Vec<u64> = terms.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert_eq!(twice, Vec::<u64>::new(), "a term was granted twice");
    // A writer whose acknowledgement died with the node asks the row, and another one may have taken the lease from
    // it by then: nobody ever acted in that term. It happens once to a writer, when the node dies.
    let last = terms.last().copied().unwrap_or_default();
    let skipped: Vec<u64> = (1..=last).filter(|term| terms.binary_search(term).is_err()).collect();
    assert!(
        skipped.len() <= WRITERS,
        "more terms were skipped than acknowledgements can be lost: {skipped:?}"
    );
    assert_eq!(fight.stale.get(), 0, "reads on a neighbour were stale");
    part.done();
}

/// Appends to the run's journal until the fight is over, each entry after the last one that it has seen.
async fn append(writer: usize, store: Arc<dyn Store>, run: RunId, fight: Rc<Fight>) {
    let mut next = 0;
    while !fight.is_over.get() {
        let event = Event::Resumed { who: Actor::Person(format!("writer {writer}")) };
        let ours = Entry { run: run.clone(), seq: next, at: Timestamp::now(), term: writer as u64, event };
        let started = Instant::now();
        match store.append(std::slice::from_ref(&ours)).await {
            Ok(()) => {
                fight.took(started);
                let seen = store.entries(&run, next).await.unwrap();
                assert_eq!(seen.first(), Some(&ours), "writer {writer} does not see its own entry");
                next += seen.len() as u64;
                fight.acknowledged.borrow_mut().push((writer, ours));
            }
            Err(StoreError::Taken { seq, .. }) => {
                assert_eq!(seq, next);
                fight.lost.set(fight.lost.get() + 1);
                let seen = store.entries(&run, next).await.unwrap();
                assert!(
                    !seen.is_empty(),
                    "writer {writer} is told that entry {next} is taken and does not see it"
                );
                next += seen.len() as u64;
            }
            Err(error) => panic!("writer {writer}: {error}"),
        }
    }
}

/// Takes the lease again and again until the fight is over, and looks at each grant through a neighbour.
async fn hold(
    writer: usize,
    ours: Arc<dyn Store>,
    neighbours: Arc<dyn Store>,
    name: String,
    fight: Rc<Fight>,
) {
    let owner = format!("writer {writer}");
    while !fight.is_over.get() {
        let term = ours.lease(&name).await.unwrap().map_or(0, |lease| lease.term);
        let started = Instant::now();
        let lease = ours.swap_lease(&name, term, &owner, Timestamp::now()).await.unwrap();
        if lease.owner == owner && lease.term == term + 1 {
            fight.took(started);
            fight.granted.borrow_mut().push((writer, lease.term));
            let seen = neighbours.lease(&name).await.unwrap();
            if seen.is_none_or(|seen| seen.term < lease.term) {
                fight.stale.set(fight.stale.get() + 1);
            }
        } else {
            fight.not_granted.set(fight.not_granted.get() + 1);
        }
    }
}

/// Entries and grants of each writer.
fn counts(fight: &Fight) -> (Vec<u64>, Vec<u64>) {
    let (mut entries, mut grants) = (vec![0; WRITERS], vec![0; WRITERS]);
    fight.acknowledged.borrow().iter().for_each(|(writer, _)| entries[*writer] += 1);
    fight.granted.borrow().iter().for_each(|(writer, _)| grants[*writer] += 1);
    (entries, grants)
}

fn report(when: &str, fight: &Fight) {
    println!(
        "    {when}: {} entries ({} losses), {} grants ({} losses), slowest {:.1} s",
        fight.acknowledged.borrow().len(),
        fight.lost.get(),
        fight.granted.borrow().len(),
        fight.not_granted.get(),
        fight.slowest.get().as_secs_f64()
    );
}
