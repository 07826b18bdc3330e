//! Connections to nodes: one for each host, opened when it is first needed, kept open, shared by all commands.
//!
//! It must never talk to a host whose key is not in the `known_hosts` file, and never repeat a command by itself:
//! once a command may have reached a node, only the caller knows whether it may be sent again.

use super::known_hosts::{Judgement, KnownHosts};
use ostler_model::cloud::{Cloud, DeclaredNode};
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use russh::client::{self, Handle};
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate,
};
use russh::{Channel, ChannelOpenFailure, ChannelStream};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// How long a node may take to accept a connection: a node that is up does so within a round trip.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long greeting and login may take: name look-ups and account modules on a loaded node need seconds.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(15);

/// How long a node may take to open one more channel on an open connection. After that the connection counts as
/// dead: a node that lost power says nothing at all.
pub const CHANNEL_LIMIT: Duration = Duration::from_secs(5);

/// Silence after which a node is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(3);

/// Unanswered questions after which a connection is given up: 12 s in all, less than a node needs to boot.
const KEEPALIVES_MISSED_MAX: usize = 3;

/// Bytes after which a connection takes new keys: the most that is safe.
const REKEY_BYTES: usize = 1 << 30;

/// Time after which a connection takes new keys. Long, because servers were seen to drop idle connections at that
/// moment; a run that lasts longer just connects again.
const REKEY_TIME: Duration = Duration::from_secs(24 * 3600);

/// Commands at the same time on one host: OpenSSH allows ten channels for each connection, and some are still closing.
const CHANNELS_PER_HOST_MAX: usize = 6;

/// How often a refused channel is asked for again: a server counts a command until it has buried it.
const CHANNEL_TRIES_MAX: u32 = 20;

/// Pause between two such questions.
const CHANNEL_PAUSE: Duration = Duration::from_millis(50);

/// How Ostler logs in to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAccess {
    /// The account: one with a plain shell, and `sudo` without a password unless it is root.
    pub user: String,
    /// Its private key, Ed25519 or ECDSA, without a passphrase.
    pub key: PathBuf,
    /// The file that says which keys the nodes have.
    pub known_hosts: PathBuf,
}

/// Why a node could not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The host is not one of the cloud's.
    #[error("{host} is not a node of cloud {cloud}")]
    NotDeclared {
        /// The host.
        host: HostName,
        /// The cloud.
        cloud: String,
    },
    /// Nobody answers.
    #[error("{host} does not answer on {place}: {reason}")]
    NoAnswer {
        /// The host.
        host: HostName,
        /// Address and port.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The host's key is not trusted.
    #[error("{what}")]
    Untrusted {
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The login failed, or cannot even be tried.
    #[error("{what}")]
    NoLogin {
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The host is there, but nobody answers at a port of it.
    #[error("nothing answers on {place} at {host}: {reason}")]
    NoListener {
        /// The host.
        host: HostName,
        /// Address and port.
        place: String,
        /// What its SSH server said.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The connection broke before anything was asked of the host.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The host.
        host: HostName,
        /// What happened.
        reason: String,
    },
    /// A command failed, and said why.
    #[error("{doing} failed on {host}: {reason}")]
    Failed {
        /// The host.
        host: HostName,
        /// What was being done.
        doing: String,
        /// What it said.
        reason: String,
    },
    /// The connection broke, or the time was up, after a command had been sent.
    #[error("{host} did not say how {doing} ended: {reason}")]
    Lost {
        /// The host.
        host: HostName,
        /// What was being done.
        doing: String,
        /// What happened.
        reason: String,
    },
}

impl SshError {
    /// Whether the node answers, and says that nobody listens there.
    pub fn is_no_listener(&self) -> bool {
        matches!(self, SshError::NoListener { .. })
    }

    /// Whether a command may have been carried out.
    pub fn may_have_acted(&self) -> bool {
        matches!(self, SshError::Lost { .. } | SshError::Failed { .. })
    }

    /// The reason with a way out.
    pub fn why(&self) -> Why {
        let why = Why::new(self.to_string());
        match self {
            SshError::NotDeclared { .. } => why.hint("add it to the nodes of the cloud in the settings"),
            SshError::NoAnswer { .. } => {
                why.hint("see whether the node has power and network, and whether sshd runs there")
            }
            SshError::Untrusted { hint, .. }
            | SshError::NoLogin { hint, .. }
            | SshError::NoListener { hint, .. } => why.hint(hint.clone()),
            SshError::Broken { .. } | SshError::Failed { .. } | SshError::Lost { .. } => why,
        }
    }
}

impl From<SshError> for Why {
    fn from(error: SshError) -> Why {
        error.why()
    }
}

/// The connections to a cloud's nodes.
pub struct Connections {
    cloud: String,
    nodes: BTreeMap<HostName, DeclaredNode>,
    access: SshAccess,
    key: OnceCell<Arc<PrivateKey>>,
    slots: BTreeMap<HostName, Slot>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("cloud", &self.cloud)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

struct Slot {
    session: tokio::sync::Mutex<Option<Arc<Handle<Gate>>>>,
    channels: Semaphore,
}

/// A channel to a host, with its place among those that the host allows.
pub(crate) struct Opened<'a, T> {
    pub(crate) channel: T,
    pub(crate) _place: SemaphorePermit<'a>,
}

impl Connections {
    /// Connections to a cloud's nodes. Nothing is opened or read yet.
    pub fn new(cloud: &Cloud, access: SshAccess) -> Self {
        let slot = || Slot {
            session: tokio::sync::Mutex::new(None),
            channels: Semaphore::new(CHANNELS_PER_HOST_MAX),
        };
        Self {
            cloud: cloud.name.clone(),
            nodes: cloud.nodes.clone(),
            slots: cloud.nodes.keys().map(|host| (host.clone(), slot())).collect(),
            access,
            key: OnceCell::new(),
        }
    }

    /// How Ostler logs in.
    pub fn access(&self) -> &SshAccess {
        &self.access
    }

    pub(crate) fn declared(&self, host: &HostName) -> Result<&DeclaredNode, SshError> {
        self.nodes
            .get(host)
            .ok_or_else(|| SshError::NotDeclared { host: host.clone(), cloud: self.cloud.clone() })
    }

    fn slot(&self, host: &HostName) -> Result<&Slot, SshError> {
        self.slots
            .get(host)
            .ok_or_else(|| SshError::NotDeclared { host: host.clone(), cloud: self.cloud.clone() })
    }

    /// A channel for one command. Opening one has no effect on the host, so it is tried again where that may help.
    pub(crate) async fn channel(
        &self,
        host: &HostName,
    ) -> Result<Opened<'_, Channel<client::Msg>>, SshError> {
        let broken = |reason: String| SshError::Broken { host: host.clone(), reason };
        let slot = self.slot(host)?;
        let place = slot.channels.acquire().await.map_err(|error| broken(error.to_string()))?;
        let mut tries = 0;
        loop {
            let (session, is_fresh) = self.session(host, slot).await?;
            let reason = match tokio::time::timeout(CHANNEL_LIMIT, session.channel_open_session()).await {
                Ok(Ok(channel)) => return Ok(Opened { channel, _place: place }),
                Ok(Err(russh::Error::ChannelOpenFailure(_))) if tries < CHANNEL_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(CHANNEL_PAUSE).await;
                    continue;
                }
                Ok(Err(russh::Error::ChannelOpenFailure(_))) => {
                    return Err(broken("its SSH server refuses more commands at the same time".to_owned()));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", CHANNEL_LIMIT.as_secs()),
            };
            forget(slot, &session).await;
            if is_fresh {
                return Err(broken(reason));
            }
        }
    }

    /// A stream to an address as seen from the host, through its SSH server.
    pub(crate) async fn stream(
        &self,
        host: &HostName,
        address: &str,
        port: u16,
    ) -> Result<Opened<'_, ChannelStream<client::Msg>>, SshError> {
        let broken = |reason: String| SshError::Broken { host: host.clone(), reason };
        let silent = |reason: &str, hint: &str| SshError::NoListener {
            host: host.clone(),
            place: format!("{address}:{port}"),
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        };
        let slot = self.slot(host)?;
        let place = slot.channels.acquire().await.map_err(|error| broken(error.to_string()))?;
        loop {
            let (session, is_fresh) = self.session(host, slot).await?;
            let opening = session.channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0);
            let error = match tokio::time::timeout(CHANNEL_LIMIT, opening).await {
                Ok(Ok(channel)) => return Ok(Opened { channel: channel.into_stream(), _place: place }),
                Ok(Err(error)) => error,
                Err(_) => return Err(silent("no answer in time", "see whether the service runs there")),
            };
            match error {
                russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                    let hint =
                        format!("on {host}, set `AllowTcpForwarding local` in sshd_config and reload sshd");
                    return Err(silent("its SSH server does not allow forwarding", &hint));
                }
                russh::Error::ChannelOpenFailure(_) => {
                    return Err(silent("the connection was refused", "see whether the service runs there"));
                }
                error => {
                    forget(slot, &session).await;
                    if is_fresh {
                        return Err(broken(error.to_string()));
                    }
                }
            }
        }
    }

    /// The kept connection to a host, or a fresh one; and whether it is fresh.
    async fn session(&self, host: &HostName, slot: &Slot) -> Result<(Arc<Handle<Gate>>, bool), SshError> {
        let mut kept = slot.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
            return Ok((session.clone(), false));
        }
        let session = Arc::new(self.connect(host).await?);
        *kept = Some(session.clone());
        Ok((session, true))
    }

    async fn key(&self) -> Result<Arc<PrivateKey>, SshError> {
        let path = &self.access.key;
        let no_login = |what: String, hint: &str| SshError::NoLogin { what, hint: hint.to_owned() };
        let load = || async {
            let text = tokio::fs::read_to_string(path).await.map_err(|error| {
                no_login(
                    format!("the SSH key {} cannot be read: {error}", path.display()),
                    "name a readable private key in the settings",
                )
            })?;
            let key = PrivateKey::from_openssh(&text).map_err(|error| {
                no_login(
                    format!("{} is not an OpenSSH private key that can be used: {error}", path.display()),
                    "make one with: ssh-keygen -t ed25519",
                )
            })?;
            if key.is_encrypted() {
                return Err(no_login(
                    format!(
                        "the SSH key {} is protected by a passphrase, which nobody is there to type",
                        path.display()
                    ),
                    "use a key of its own for ostler, without a passphrase, readable by nobody else",
                ));
            }
            if !matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Ecdsa { .. }) {
                return Err(no_login(
                    format!(
                        "the SSH key {} is of kind {}, which ostler does not speak",
                        path.display(),
                        key.algorithm()
                    ),
                    "use an Ed25519 key: ssh-keygen -t ed25519",
                ));
            }
            Ok(Arc::new(key))
        };
        self.key.get_or_try_init(load).await.cloned()
    }

    async fn connect(&self, host: &HostName) -> Result<Handle<Gate>, SshError> {
        let node = self.declared(host)?;
        let place = format!("{}:{}", node.address, node.port);
        let no_answer =
            |reason: String| SshError::NoAnswer { host: host.clone(), place: place.clone(), reason };
        let key = self.key().await?;
        let known = self.known_hosts().await?;
        let name = KnownHosts::name(&node.address, node.port);

        let connecting = TcpStream::connect((node.address.as_str(), node.port));
        let socket = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(no_answer(plain(&error))),
            Err(_) => return Err(no_answer(format!("timed out after {} s", CONNECT_LIMIT.as_secs()))),
        };
        // Small requests must not wait for each other's acknowledgement.
        let _ = socket.set_nodelay(true);

        let verdict = Arc::new(Mutex::new(None));
        let config = Arc::new(config(known.algorithms(&name)));
        let gate = Gate { known, name: name.clone(), verdict: verdict.clone() };
        let greeting = client::connect_stream(config, socket, gate);
        let mut session = match tokio::time::timeout(LOGIN_LIMIT, greeting).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => {
                let seen = verdict.lock().ok().and_then(|mut seen| seen.take());
                return Err(match seen {
                    Some(shown) => self.untrusted(host, &name, shown),
                    None => no_answer(format!("the greeting failed: {error}")),
                });
            }
            Err(_) => {
                return Err(no_answer(format!("the greeting timed out after {} s", LOGIN_LIMIT.as_secs())));
            }
        };

        let user = &self.access.user;
        let with_key = PrivateKeyWithHashAlg::new(key, None);
        let login = session.authenticate_publickey(user.clone(), with_key);
        match tokio::time::timeout(LOGIN_LIMIT, login).await {
            Ok(Ok(result)) if result.success() => Ok(session),
            Ok(Ok(_)) => Err(SshError::NoLogin {
                what: format!("{host} does not let {user} log in with {}", self.access.key.display()),
                hint: format!(
                    "add {}.pub to ~{user}/.ssh/authorized_keys on {host}; sshd's log there says more",
                    self.access.key.display()
                ),
            }),
            Ok(Err(error)) => Err(no_answer(format!("the login failed: {error}"))),
            Err(_) => Err(no_answer(format!("the login timed out after {} s", LOGIN_LIMIT.as_secs()))),
        }
    }

    async fn known_hosts(&self) -> Result<KnownHosts, SshError> {
        let path = &self.access.known_hosts;
        match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(KnownHosts::read(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(KnownHosts::read("")),
            Err(error) => Err(SshError::Untrusted {
                what: format!("the keys of nodes in {} cannot be read: {error}", path.display()),
                hint: "make the file readable, or name another known_hosts in the settings".to_owned(),
            }),
        }
    }

    fn untrusted(&self, host: &HostName, name: &str, shown: Shown) -> SshError {
        let file = self.access.known_hosts.display();
        let print = &shown.fingerprint;
        let (what, hint) = match shown.judgement {
            Judgement::Unknown => (
                format!(
                    "{host} showed a key that nobody vouches for: {name} is not in {file} (it showed {print})"
                ),
                format!(
                    "compare that with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` typed on {host} itself, then: {} >> {file}",
                    keyscan(name)
                ),
            ),
            Judgement::Changed { line } => (
                format!(
                    "THE KEY OF {host} HAS CHANGED: it showed {print}, and line {line} of {file} has another key for {name}; somebody may be listening"
                ),
                format!(
                    "if {host} was installed anew, remove its old key with `ssh-keygen -R '{name}' -f {file}`, and add the new one after you compared it on the node's console"
                ),
            ),
            Judgement::Revoked { line } => (
                format!("{host} showed a key that line {line} of {file} calls revoked ({print})"),
                format!("find out how {host} came to use that key before anything else"),
            ),
            Judgement::Known => {
                (format!("{host} showed a key of a kind that ostler does not speak"), String::new())
            }
        };
        SshError::Untrusted { what, hint }
    }
}

/// Lets a dead connection go, unless somebody has already put another one in its place.
async fn forget(slot: &Slot, dead: &Arc<Handle<Gate>>) {
    let mut kept = slot.session.lock().await;
    if kept.as_ref().is_some_and(|session| Arc::ptr_eq(session, dead)) {
        *kept = None;
    }
}

fn keyscan(name: &str) -> String {
    match name.strip_prefix('[').and_then(|name| name.rsplit_once("]:")) {
        Some((address, port)) => format!("ssh-keyscan -p {port} {address}"),
        None => format!("ssh-keyscan {name}"),
    }
}

/// What an operating system's error means, without its number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "there is no way to the host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "there is no way to the network".to_owned(),
        _ => error.to_string(),
    }
}

fn config(known: Vec<Algorithm>) -> client::Config {
    let all = [
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    ];
    // A node has several keys, and the file perhaps only one of them: that one is asked for first.
    let mut keys: Vec<Algorithm> = known.into_iter().filter(|kind| all.contains(kind)).collect();
    for kind in all {
        if !keys.contains(&kind) {
            keys.push(kind);
        }
    }
    client::Config {
        limits: russh::Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_TIME),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MISSED_MAX,
        preferred: russh::Preferred { key: Cow::Owned(keys), ..russh::Preferred::DEFAULT },
        nodelay: true,
        ..client::Config::default()
    }
}

/// What a host showed, and what the file says of it.
struct Shown {
    judgement: Judgement,
    fingerprint: String,
}

/// Lets only known hosts in.
pub(crate) struct Gate {
    known: KnownHosts,
    name: String,
    verdict: Arc<Mutex<Option<Shown>>>,
}

impl client::Handler for Gate {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = shown.public_key();
        let judgement = self.known.judge(&self.name, &key);
        let is_known = judgement == Judgement::Known && shown.certificate().is_none();
        if !is_known && let Ok(mut verdict) = self.verdict.lock() {
            *verdict = Some(Shown { judgement, fingerprint: key.fingerprint(HashAlg::Sha256).to_string() });
        }
        Ok(is_known)
    }
}
