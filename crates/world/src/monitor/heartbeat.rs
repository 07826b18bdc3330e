//! Heartbeats: small signed datagrams from each host to each server, over each network, and the servers' answers.
//!
//! Datagrams and not requests: a host that is half dead answers no handshake but still sends, nothing queues up behind
//! a lost packet, and a thousand hosts cost a server next to nothing. It must never answer what is not signed, and never
//! with more bytes than it was sent.

use super::keys::{HostKey, SIGNATURE_BYTES, ServerKeys};
use ostler_engine::ha::heartbeat::{Beat, Heartbeats, Patience, Storage, View, Word};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// The port where servers listen unless told otherwise.
pub const PORT: u16 = 15_869;

/// The first bytes of every datagram of ours, and the number of its form.
const MAGIC: [u8; 4] = *b"OSB1";

/// Longest name of a host or a network.
const NAME_BYTES_MAX: usize = 255;

/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 4 + 3 + 24 + 2 * (1 + NAME_BYTES_MAX) + SIGNATURE_BYTES;

/// How far the wall clock may walk away from the time since the start before a new life begins: a clock that was set, or
/// a machine that slept.
const CLOCK_STEP_MAX_MS: i64 = 5_000;

/// How often the server's side looks: silence is known this exactly.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Beat = 1,
    Answer = 2,
}

/// Writes a beat, or the answer to one.
fn write(way: Way, beat: &Beat, key: &HostKey) -> Vec<u8> {
    let word = match beat.word {
        Word::Alive => 0,
        Word::GoingDown => 1,
        Word::MonitorStops => 2,
    };
    let storage = match beat.storage {
        Storage::NotWatched => 0,
        Storage::Works => 1,
        Storage::Lost => 2,
    };
    let mut bytes = Vec::with_capacity(128);
    bytes.extend(MAGIC);
    bytes.extend([way as u8, word, storage]);
    bytes.extend(beat.life.to_be_bytes());
    bytes.extend(beat.sequence.to_be_bytes());
    bytes.extend(beat.sent.as_millisecond().to_be_bytes());
    for name in [beat.host.as_str(), &beat.network] {
        let name = &name.as_bytes()[..name.len().min(NAME_BYTES_MAX)];
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend(name);
    }
    let signature = key.sign(&[&bytes]);
    bytes.extend(signature);
    bytes
}

/// Reads a datagram without believing it: the beat, and where its signature begins.
fn read(way: Way, bytes: &[u8]) -> Option<(Beat, usize)> {
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    if take(4)? != MAGIC {
        return None;
    }
    let &[told_way, word, storage] = take(3)? else { return None };
    if told_way != way as u8 {
        return None;
    }
    let word = match word {
        0 => Word::Alive,
        1 => Word::GoingDown,
        2 => Word::MonitorStops,
        _ => return None,
    };
    let storage = match storage {
        0 => Storage::NotWatched,
        1 => Storage::Works,
        2 => Storage::Lost,
        _ => return None,
    };
    let mut number = || take(8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let (life, sequence, sent) = (number()?, number()?, number()?.cast_signed());
    let mut name = || {
        let length = usize::from(*take(1)?.first()?);
        std::str::from_utf8(take(length)?).ok().map(str::to_owned)
    };
    let (host, network) = (HostName::new(name()?), name()?);
    let sent = Timestamp::from_millisecond(sent).ok()?;
    let signed = bytes.len().checked_sub(rest.len())?;
    if rest.len() != SIGNATURE_BYTES || host.as_str().is_empty() {
        return None;
    }
    Some((Beat { host, network, life, sequence, sent, word, storage }, signed))
}

/// The host's side of one network.
#[derive(Debug)]
pub struct Sender {
    socket: UdpSocket,
    network: String,
    host: HostName,
    servers: Vec<String>,
    key: HostKey,
    state: Mutex<Life>,
}

#[derive(Debug)]
struct Life {
    number: u64,
    sequence: u64,
    wall: Timestamp,
    begun: Instant,
}

impl Life {
    fn begin(number: u64) -> Life {
        Life { number, sequence: 0, wall: Timestamp::now(), begun: Instant::now() }
    }

    /// The time by a clock that never steps.
    fn now(&self) -> Timestamp {
        let ran = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(self.wall.as_millisecond().saturating_add(ran)).unwrap_or(self.wall)
    }
}

impl Sender {
    /// Sends from an address of that network, if one is named. `roll` draws the number of a life.
    pub async fn open(
        network: &str,
        bind: Option<IpAddr>,
        servers: Vec<String>,
        host: &str,
        key: HostKey,
        roll: u64,
    ) -> std::io::Result<Sender> {
        let bind = match bind {
            Some(address) => SocketAddr::new(address, 0),
            None => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        Ok(Sender {
            socket: UdpSocket::bind(bind).await?,
            network: network.to_owned(),
            host: HostName::new(host),
            servers,
            key,
            state: Mutex::new(Life::begin(roll)),
        })
    }

    /// Sends one beat to each server; the servers to which it could not even be sent, with the reason.
    pub async fn beat(&self, word: Word, storage: Storage, roll: u64) -> Vec<(String, String)> {
        let Some(beat) = self.next(word, storage, roll) else { return Vec::new() };
        let bytes = write(Way::Beat, &beat, &self.key);
        let mut unsent = Vec::new();
        for server in &self.servers {
            let sent = async {
                let address = resolve(server).await?;
                self.socket.send_to(&bytes, address).await.map(|_| ())
            };
            if let Err(error) = sent.await {
                unsent.push((server.clone(), error.to_string()));
            }
        }
        unsent
    }

    fn next(&self, word: Word, storage: Storage, roll: u64) -> Option<Beat> {
        let mut life = self.state.lock().ok()?;
        let walked = Timestamp::now().as_millisecond() - life.now().as_millisecond();
        if walked.abs() > CLOCK_STEP_MAX_MS {
            *life = Life::begin(roll);
        }
        life.sequence += 1;
        Some(Beat {
            host: self.host.clone(),
            network: self.network.clone(),
            life: life.number,
            sequence: life.sequence,
            sent: life.now(),
            word,
            storage,
        })
    }

    /// Waits for a server's answer to one of the last beats.
    pub async fn answered(&self) -> SocketAddr {
        let mut bytes = [0u8; DATAGRAM_BYTES_MAX];
        loop {
            // An error here is an old packet that came back as undeliverable.
            let Ok((count, from)) = self.socket.recv_from(&mut bytes).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Some((beat, signed)) = read(Way::Answer, &bytes[..count]) else { continue };
            let is_current = self.state.lock().is_ok_and(|life| {
                // An answer that was kept and played again must not pass for a server that is there.
                life.number == beat.life && life.sequence.saturating_sub(beat.sequence) < ANSWERS_BACK_MAX
            });
            if is_current
                && beat.host == self.host
                && beat.network == self.network
                && self.key.is_signed(&[&bytes[..signed]], &bytes[signed..count])
            {
                return from;
            }
        }
    }
}

/// How many beats ago an answered beat may have been.
const ANSWERS_BACK_MAX: u64 = 3;

/// How long a name may take to be looked up before the beat is not sent to it.
const LOOKUP_LIMIT: Duration = Duration::from_secs(1);

async fn resolve(server: &str) -> std::io::Result<SocketAddr> {
    if let Ok(address) = server.parse() {
        return Ok(address);
    }
    let found = tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host(server)).await;
    let nobody = || std::io::Error::new(std::io::ErrorKind::NotFound, "no address has this name");
    match found {
        Ok(found) => found?.next().ok_or_else(nobody),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// What a server has heard, kept up to date by [`listen`].
#[derive(Clone, Debug)]
pub struct Heard {
    heartbeats: Arc<Mutex<Heartbeats>>,
    keys: Arc<ServerKeys>,
    refused: Arc<Mutex<Refused>>,
    clock: Arc<Steady>,
}

/// Datagrams that did not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Not ours, or damaged.
    pub unreadable: u64,
    /// With a signature that is not good.
    pub unsigned: u64,
    /// Signed, but heard before, too old, or of one host too many.
    pub stale: u64,
}

/// A clock that begins with the time of day and never steps.
#[derive(Debug)]
struct Steady {
    wall: Timestamp,
    begun: Instant,
}

impl Steady {
    fn now(&self) -> Timestamp {
        let ran = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(self.wall.as_millisecond().saturating_add(ran)).unwrap_or(self.wall)
    }
}

impl Heard {
    /// Nothing yet.
    pub fn new(keys: ServerKeys, patience: Patience) -> Heard {
        let clock = Steady { wall: Timestamp::now(), begun: Instant::now() };
        Heard {
            heartbeats: Arc::new(Mutex::new(Heartbeats::new(patience, clock.now()))),
            keys: Arc::new(keys),
            refused: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    /// Who is there.
    pub fn view(&self) -> Option<View> {
        let now = self.clock.now();
        self.heartbeats.lock().ok().map(|mut heard| heard.look(now))
    }

    /// What did not count so far.
    pub fn refused(&self) -> Refused {
        self.refused.lock().map(|refused| *refused).unwrap_or_default()
    }

    /// Expects a host that was heard before we began, or by another server.
    pub fn expect(&self, host: HostName) {
        // There are no more of them than hosts that can be heard.
        if let Ok(mut heard) = self.heartbeats.lock() {
            let _full = heard.expect(host);
        }
    }

    /// Forgets a host that is gone for good.
    pub fn forget(&self, host: &HostName) {
        if let Ok(mut heard) = self.heartbeats.lock() {
            heard.forget(host);
        }
    }

    /// Takes a datagram in; what to answer, if anything.
    fn take(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let count = |what: fn(&mut Refused)| {
            if let Ok(mut refused) = self.refused.lock() {
                what(&mut refused);
            }
        };
        let Some((beat, signed)) = read(Way::Beat, bytes) else {
            count(|refused| refused.unreadable += 1);
            return None;
        };
        let is_good = |key: &HostKey| key.is_signed(&[&bytes[..signed]], &bytes[signed..]);
        let Some(key) = self.keys.of(beat.host.as_str()).find(is_good) else {
            count(|refused| refused.unsigned += 1);
            return None;
        };
        let now = self.clock.now();
        match self.heartbeats.lock().ok()?.hear(&beat, now) {
            Ok(()) => Some(write(Way::Answer, &beat, &key)),
            Err(_) => {
                count(|refused| refused.stale += 1);
                None
            }
        }
    }
}

/// Listens on a socket until it is dropped. Hand the same [`Heard`] to one of these for each address.
pub async fn listen(socket: UdpSocket, heard: Heard) -> std::io::Error {
    let mut bytes = [0u8; DATAGRAM_BYTES_MAX];
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            came = socket.recv_from(&mut bytes) => match came {
                Ok((count, from)) => {
                    if let Some(answer) = heard.take(&bytes[..count]) {
                        // One that cannot be sent is as one that was lost.
                        let _ = socket.try_send_to(&answer, from);
                    }
                }
                // An answer that came back as undeliverable says nothing about this socket.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(error) => return error,
            },
            // Keeps the time of the last look: a gap in it is our own sleep.
            _ = looks.tick() => { heard.view(); }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::for_tests;
    use super::*;
    use proptest::prelude::*;

    fn beat() -> Beat {
        Beat {
            host: HostName::new("cmp1"),
            network: "storage".into(),
            life: 7,
            sequence: 9,
            sent: Timestamp::now(),
            word: Word::GoingDown,
            storage: Storage::Lost,
        }
    }

    fn key() -> (ServerKeys, HostKey) {
        let keys = for_tests("a key that is long enough for this test");
        let key = keys.of("cmp1").next().unwrap();
        (keys, key)
    }

    #[test]
    fn a_beat_is_written_and_read() {
        let (_, key) = key();
        let beat = Beat { sent: Timestamp::from_millisecond(1_800_000_000_123).unwrap(), ..beat() };
        let bytes = write(Way::Beat, &beat, &key);
        let (read_back, signed) = read(Way::Beat, &bytes).unwrap();
        assert_eq!(read_back, beat);
        assert_eq!(signed + SIGNATURE_BYTES, bytes.len());
        assert!(read(Way::Answer, &bytes).is_none(), "a beat is no answer");
    }

    #[test]
    fn a_signed_beat_is_answered_once_and_with_no_more_bytes() {
        let (keys, key) = key();
        let heard = Heard::new(keys, Patience::default());
        let bytes = write(Way::Beat, &beat(), &key);
        assert_eq!(heard.take(&bytes).unwrap().len(), bytes.len());
        assert!(heard.take(&bytes).is_none(), "played again");
        assert_eq!(heard.refused(), Refused { stale: 1, ..Refused::default() });
    }

    #[test]
    fn no_host_speaks_for_another() {
        let (keys, _) = key();
        let other = keys.of("cmp2").next().unwrap();
        let heard = Heard::new(keys, Patience::default());
        assert!(heard.take(&write(Way::Beat, &beat(), &other)).is_none());
        assert_eq!(heard.refused().unsigned, 1);
        assert!(heard.view().unwrap().hosts.is_empty());
    }

    #[test]
    fn each_changed_bit_is_noticed() {
        let (keys, key) = key();
        let heard = Heard::new(keys, Patience::default());
        let bytes = write(Way::Beat, &beat(), &key);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(heard.take(&changed).is_none(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_over_the_net_breaks_it(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..700),
            is_ours in any::<bool>(),
        ) {
            if is_ours && bytes.len() > 5 {
                bytes[..5].copy_from_slice(b"OSB1\x01");
            }
            let (keys, _) = key();
            prop_assert!(Heard::new(keys, Patience::default()).take(&bytes).is_none());
        }
    }

    #[tokio::test]
    async fn a_host_is_heard_and_hears_that_it_was() {
        let (keys, key) = key();
        let heard = Heard::new(keys, Patience::default());
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listening = tokio::spawn(listen(socket, heard.clone()));
        let bind = Some(IpAddr::from([127, 0, 0, 1]));
        let sender = Sender::open("storage", bind, vec![address.to_string()], "cmp1", key, 1).await.unwrap();
        assert!(sender.beat(Word::Alive, Storage::Works, 2).await.is_empty());
        assert_eq!(sender.answered().await, address);
        let view = heard.view().unwrap();
        let seen = &view.hosts[&HostName::new("cmp1")];
        assert_eq!(seen.storage, Storage::Works);
        assert!(seen.networks.contains_key("storage"));
        listening.abort();
    }

    #[tokio::test]
    async fn a_server_whose_name_is_unknown_is_told_of() {
        let (_, key) = key();
        let servers = vec!["no-such-host.invalid:1".to_owned()];
        let sender = Sender::open("m", None, servers, "cmp1", key, 1).await.unwrap();
        let unsent = sender.beat(Word::Alive, Storage::NotWatched, 2).await;
        assert_eq!(unsent[0].0, "no-such-host.invalid:1");
    }
}
