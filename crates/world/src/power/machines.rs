//! Which machine is switched by what, in which order, and when not at all.
//!
//! It must never switch off a machine whose settings forbid it, and never take a machine that nobody declared for one
//! that needs no fencing.

use super::fence_agent::FenceAgent;
use super::hook;
use super::ipmi::Ipmi;
use super::maas::Maas;
use super::manual::{Words, vouched};
use super::none;
use super::redfish::Redfish;
use super::switch::{Controller, Proof, Refusal, Trouble, bring, word};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ostler_engine::seam::{Fut, Power, PowerReading, PowerState};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// How long a reading may take: a controller that is well needs about a second.
const READ_LIMIT: Duration = Duration::from_secs(15);

/// How long the other means have to object when one reads `off`.
const OBJECTION_LIMIT: Duration = Duration::from_secs(2);

/// How old a reading may be that is shared: everybody who moves an instance asks whether its host is still off.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// The name of an operator's word as a means.
const WORD: &str = "an operator's word";

/// How the power of one machine is had.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// What is tried, in order.
    pub means: Vec<Means>,
    /// Why this machine is never switched off by a program.
    pub do_not_fence: Option<String>,
    /// Programs with their arguments that must agree before it is switched off.
    pub before: Vec<Vec<String>>,
}

/// One means.
#[derive(Clone, Debug)]
pub struct Means {
    /// Its name in the settings.
    pub name: String,
    /// How long it may take, from the first question to the proof.
    pub limit: Duration,
    /// What it is.
    pub how: How,
}

/// What a means is.
#[derive(Clone, Debug)]
pub enum How {
    /// A controller with Redfish.
    Redfish(Redfish),
    /// A controller with IPMI.
    Ipmi(Ipmi),
    /// A machine of MAAS.
    Maas(Maas),
    /// A program of the fence-agents.
    FenceAgent(FenceAgent),
    /// An operator's word.
    Manual,
    /// Nothing, by name.
    None,
}

/// The machines.
pub struct Machines {
    supplies: BTreeMap<HostName, Supply>,
    words: Words,
    /// The last reading of each machine; held while it is read, so that who asks meanwhile gets the same.
    readings: BTreeMap<HostName, Mutex<Option<(Instant, PowerReading)>>>,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machines").field("supplies", &self.supplies).finish_non_exhaustive()
    }
}

impl Machines {
    /// Machines with their supplies; operators' words are looked up by `words`.
    pub fn new(supplies: BTreeMap<HostName, Supply>, words: Words) -> Self {
        let readings = supplies.keys().map(|host| (host.clone(), Mutex::new(None))).collect();
        Self { supplies, words, readings }
    }

    /// Machines whose operators' words are not kept anywhere.
    pub fn without_words(supplies: BTreeMap<HostName, Supply>) -> Self {
        Self::new(supplies, Arc::new(|_| Box::pin(async { None })))
    }

    /// The hosts that are declared.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.supplies.keys()
    }

    /// Why a machine is never switched off by a program, if that is so.
    pub fn forbidden(&self, host: &HostName) -> Option<&str> {
        self.supplies.get(host)?.do_not_fence.as_deref()
    }

    fn supply(&self, host: &HostName) -> Result<&Supply, Refusal> {
        let supply = self.supplies.get(host).filter(|supply| !supply.means.is_empty());
        supply.ok_or_else(|| Refusal {
            what: format!("it is not declared how the power of {host} is switched"),
            hint: Some("declare it below `[clouds.….power]` in ostler.toml: docs/fencing.md".to_owned()),
        })
    }

    /// Reads whether a machine has power, by every means at once. One that reads `on` decides; `off` needs all that
    /// answer to say so.
    pub async fn read(&self, host: &HostName) -> Result<(PowerState, Proof), Refusal> {
        let begun = Instant::now();
        let supply = self.supply(host)?;
        let deadline = begun + READ_LIMIT;
        let mut asked: FuturesUnordered<_> = supply
            .means
            .iter()
            .map(|means| async move { (means, self.read_by(host, means, deadline).await) })
            .collect();
        let mut off = None;
        let mut troubles = Vec::new();
        let mut wait_until = deadline;
        while let Ok(Some((means, read))) = timeout_at(wait_until, asked.next()).await {
            match read {
                Ok((PowerState::On, what)) => return Ok((PowerState::On, proof(&means.name, what, begun))),
                Ok((PowerState::Off, what)) => {
                    // The others may object, but not by their silence.
                    wait_until = wait_until.min(Instant::now() + OBJECTION_LIMIT);
                    let read = Proof {
                        is_proof: !matches!(means.how, How::None),
                        ..proof(&means.name, what, begun)
                    };
                    off = off.filter(|off: &Proof| off.is_proof).or(Some(read));
                }
                Err(trouble) => troubles.push((means, trouble)),
            }
        }
        match off {
            Some(proof) => Ok((PowerState::Off, proof)),
            None => Err(all(&format!("nobody can tell whether {host} has power"), troubles)),
        }
    }

    async fn read_by(
        &self,
        host: &HostName,
        means: &Means,
        deadline: Instant,
    ) -> Result<(PowerState, String), Trouble> {
        let state = match &means.how {
            How::Redfish(controller) => controller.read(deadline).await?,
            How::Ipmi(controller) => controller.read(deadline).await?,
            How::Maas(controller) => controller.read(deadline).await?,
            How::FenceAgent(controller) => controller.read(deadline).await?,
            How::Manual => {
                return vouched(&self.words, host, Timestamp::now())
                    .await
                    .map(|what| (PowerState::Off, what));
            }
            How::None => return Ok((PowerState::Off, none::WORDS.to_owned())),
        };
        Ok((state, format!("read `{}`", word(state))))
    }

    /// Takes the power away, and answers when it is known to be away. Where no means can show that, an operator's word
    /// does.
    pub async fn off(&self, host: &HostName) -> Result<Proof, Refusal> {
        let begun = Instant::now();
        let supply = self.supply(host)?;
        let refusal = match &supply.do_not_fence {
            Some(reason) => Refusal {
                what: format!("{host} is not to be switched off by a program: {reason}"),
                hint: Some(format!(
                    "switch it off by hand, look at it, then say so: `ostler ha confirm-down {host}`"
                )),
            },
            None => match self.bring_off(host, supply).await {
                Ok(proof) => return Ok(proof),
                Err(refusal) => refusal,
            },
        };
        match vouched(&self.words, host, Timestamp::now()).await {
            Ok(what) => Ok(proof(WORD, what, begun)),
            Err(_) => Err(refusal),
        }
    }

    async fn bring_off(&self, host: &HostName, supply: &Supply) -> Result<Proof, Refusal> {
        hook::ask(&supply.before, host).await?;
        self.bring(host, supply, PowerState::Off).await
    }

    /// Gives the power back, and answers when it is there.
    pub async fn on(&self, host: &HostName) -> Result<Proof, Refusal> {
        self.bring(host, self.supply(host)?, PowerState::On).await
    }

    async fn bring(&self, host: &HostName, supply: &Supply, wanted: PowerState) -> Result<Proof, Refusal> {
        let mut troubles = Vec::new();
        for means in &supply.means {
            let begun = Instant::now();
            let brought = match &means.how {
                How::Redfish(controller) => bring(controller, wanted, means.limit).await,
                How::Ipmi(controller) => bring(controller, wanted, means.limit).await,
                How::Maas(controller) => bring(controller, wanted, means.limit).await,
                How::FenceAgent(controller) => bring(controller, wanted, means.limit).await,
                How::Manual if wanted == PowerState::Off => {
                    vouched(&self.words, host, Timestamp::now()).await
                }
                How::None if wanted == PowerState::Off => {
                    let unproven = proof(&means.name, none::WORDS.to_owned(), begun);
                    return Ok(Proof { is_proof: false, ..unproven });
                }
                How::Manual | How::None => Err(Trouble::new("it switches nothing on")),
            };
            match brought {
                Ok(what) => return Ok(proof(&means.name, what, begun)),
                Err(trouble) => troubles.push((means, trouble)),
            }
        }
        Err(all(&format!("{host} could not be shown to be {}", word(wanted)), troubles))
    }
}

impl Power for Machines {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        Box::pin(async move {
            let Some(last) = self.readings.get(host) else {
                return self.supply(host).map_err(Refusal::why).and(Err(Why::new("no such machine")));
            };
            let mut last = last.lock().await;
            if let Some((at, reading)) = last.as_ref()
                && at.elapsed() < SHARED_FOR
            {
                return Ok(reading.clone());
            }
            let (state, proof) = self.read(host).await.map_err(Refusal::why)?;
            let means =
                if proof.is_proof { proof.means } else { format!("{} ({})", proof.means, proof.what) };
            let reading = PowerReading { state, means, at: proof.at };
            *last = Some((Instant::now(), reading.clone()));
            Ok(reading)
        })
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move { self.off(host).await.map(|_| ()).map_err(Refusal::why) })
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move { self.on(host).await.map(|_| ()).map_err(Refusal::why) })
    }
}

fn proof(means: &str, what: String, begun: Instant) -> Proof {
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Proof { at: Timestamp::now(), means: means.to_owned(), what, is_proof: true, took_ms }
}

/// What every means said, in one reason.
fn all(what: &str, troubles: Vec<(&Means, Trouble)>) -> Refusal {
    let said: Vec<String> =
        troubles.iter().map(|(means, trouble)| format!("by `{}`: {}", means.name, trouble.what)).collect();
    // The first means is the one that should have worked.
    let hint = troubles.into_iter().find_map(|(_, trouble)| trouble.hint);
    Refusal { what: format!("{what}: {}", said.join("; ")), hint }
}
