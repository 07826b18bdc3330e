//! `ostler demo`: upgrades, bad luck and a way back on a pretended cloud, to be watched.
//!
//! It needs no rights, no network and no settings, and touches nothing outside this process. It plays `demo.txt`
//! with the commands of production and says so; it ends well only if everything came as it was told.

use crate::context::Context;
use crate::duration::words;
use crate::failure::{Exit, Failure};
use crate::printer::{Ink, Printer};
use crate::stage::{Played, Ran, Script, Showing, play};
use clap::Args;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::Role;
use ostler_sim::nova::{HostSpec, Instance, Nova, Resources, Settings, VmState};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The script.
const SCRIPT: &str = include_str!("demo.txt");

/// How each command of the script ends: `None` is the one that is killed.
const ENDS: &[Option<u8>] = &[Some(0), Some(0), None, Some(0), Some(6), Some(0), Some(0), Some(0)];

/// Instances on the computes of the scene.
const INSTANCES: u32 = 150;

/// Which of the releases of the scene runs in the end: the first that was offered.
const LEFT_AT: usize = 1;

/// See it all on a pretended cloud.
#[derive(Debug, Args)]
#[command(after_help = "Nothing is installed, no network is used, nothing on this machine is changed.

Example:
  ostler demo --fast | less")]
pub struct Demo {
    /// Without pauses for reading.
    #[arg(long)]
    fast: bool,
}

pub(super) async fn demo(context: &Context, typed: Demo) -> Result<Exit, Failure> {
    if context.printer.is_json() {
        return Err(Failure::usage("the demonstration is for people; it has no JSON form")
            .hint("for programs: `ostler run show RUN --format json` after an upgrade of your own"));
    }
    // The pretended cloud lives on a clock that jumps to whatever comes next; its nodes and this runtime share it.
    tokio::time::pause();
    perform(context.printer.transcript(), !typed.fast && std::io::stdout().is_terminal()).await
}

/// Plays the script and says what it was. The clock must be paused.
async fn perform(printer: Printer, is_for_reading: bool) -> Result<Exit, Failure> {
    let began = Instant::now();
    printer.text(&opening(printer))?;
    let catalogue = Catalogue::embedded().map_err(|error| Failure::failed(error.to_string()))?;
    let script = Script::read(Path::new("demo.txt"), SCRIPT, &catalogue)?;
    let (mut nova, rise) = (Nova::new(Settings::default(), 1), tokio::time::Instant::now());
    let showing = Showing { printer, is_transcript: false, is_for_reading };
    let played = play(&script, Arc::new(catalogue), showing).await?;
    let mut wrong = otherwise(&played);
    wrong.extend(instances(&mut nova, &played, rise.elapsed()));
    if !wrong.is_empty() {
        return Err(Failure::failed("the demonstration did not come as it was told")
            .evidences(wrong)
            .hint("this is a defect of ostler: please report it with all that was printed"));
    }
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    printer.text(&closing(printer, &played, is_for_reading.then_some(took)))?;
    Ok(Exit::Done)
}

/// Where the course was another than the one that is told.
fn otherwise(played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, (command, ran)) in played.ran.iter().enumerate() {
        let wanted = ENDS.get(at).map(|end| end.map_or(Ran::Killed, Ran::Ended));
        if wanted != Some(*ran) {
            wrong.push(format!("`{command}`: {ran:?}, expected {wanted:?}"));
        }
    }
    let cloud = &played.wings.cloud;
    if cloud.outages() > 0 {
        wrong.push(format!("{} times no server took requests", cloud.outages()));
    }
    let mut done: BTreeMap<_, usize> = BTreeMap::new();
    for effect in cloud.effects() {
        *done.entry((effect.run, effect.step)).or_default() += 1;
    }
    for ((run, step), times) in done.into_iter().filter(|(_, times)| *times > 1) {
        wrong.push(format!("step {step} of run {run} was done {times} times"));
    }
    for host in cloud.declared.with_role(Role::Controller) {
        let version = cloud.node(host.as_str()).map(|node| node.version);
        if version.as_ref() != played.versions.get(LEFT_AT) {
            wrong.push(format!("{host} runs {version:?}"));
        }
    }
    wrong
}

/// What became of the instances on the pretended computes, if not all of them ran all the time.
fn instances(nova: &mut Nova, played: &Played, took: Duration) -> Vec<String> {
    let computes = played.wings.cloud.declared.with_role(Role::Compute);
    computes.iter().for_each(|host| nova.add_host(0, HostSpec::new(host.as_str())));
    let small = Resources { vcpus: 1, ram_mb: 2_048, disk_gb: 10 };
    let placed: Vec<_> = (0..INSTANCES)
        .zip(computes.iter().cycle())
        .map(|(number, host)| (nova.place(0, Instance::new(format!("vm{number}"), small), Some(host)), host))
        .collect();
    nova.advance(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let mut wrong = Vec::new();
    for (id, host) in placed {
        let runs = nova
            .instance(id)
            .is_some_and(|one| one.vm_state == VmState::Active && one.host.as_ref() == Some(host));
        // A compute that was touched would be one that was switched off, or worked on.
        let touched = played.wings.cloud.node(host.as_str()).is_none_or(|node| !node.up || node.boot > 1);
        if !runs || touched {
            wrong.push(format!("an instance on {host} was disturbed"));
        }
    }
    wrong
}

fn opening(printer: Printer) -> String {
    format!(
        "{}

This is a demonstration on a PRETENDED cloud. Nothing is installed, no network is used, and
nothing on this machine is changed. Lines with *** are what happens to the pretended cloud; lines
with $ are typed by the demonstration, as you would type them. Its clock jumps: minutes pass in
seconds.
",
        printer.ink(Ink::Heading, "ostler demo")
    )
}

fn closing(printer: Printer, played: &Played, took_ms: Option<u64>) -> String {
    let title = |text: &str| printer.ink(Ink::Heading, &format!("== {text} =="));
    let effects = played.wings.cloud.effects().len();
    let runs = played.wings.runs().len();
    let in_time = took_ms.map_or_else(String::new, |ms| format!(", shown in {}", words(ms)));
    format!(
        "
{}
{runs} runs with {effects} commands on pretended nodes{in_time}.
- There was never a moment without a server that took requests. The 150 instances on the twelve
  computes went on running; nothing was done to a compute.
- Keystone went from 2023.1 to 2024.1, node after node, while the others served.
- ctl2 lost power in its turn. Nothing else was touched meanwhile; when it was back, its step was
  tried again.
- ostler was killed while ctl3 installed a package. The installation went on by itself; the next
  ostler asked ctl3, heard that it was done, and did not begin it a second time. No step of any
  run was done twice.
- The upgrade to 2025.1 failed on ctl2 and stopped there. It was taken back; every node runs
  2024.1, as before.

{}
- How long a step takes: here its length is made up. Really an installation or a schema change
  takes what it takes; previews learn from your own runs.
- What a node is: here a few numbers. Really it is reached by SSH, with its known host key, and each
  long command is a systemd unit of its own: that is why it outlives ostler.
- What can go wrong: far more. Pretended packages have no scripts, pretended schemas no rows, and
  pretended clients never complain. The lab is for that: a real three-node cluster in containers on
  this machine.

next: on a real cluster   `ostler lab up` (docs/lab.md), or ./quickstart
      on a cloud of yours  `ostler cloud check` (docs/ostler-toml.md says how it is named)
",
        title("What happened"),
        title("What would have been different on a real cloud"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::take_told;

    #[test]
    fn the_demonstration_comes_as_it_is_told() {
        take_told();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ended = runtime.block_on(perform(Printer::plain(), false));
        let told = take_told();
        assert_eq!(ended, Ok(Exit::Done), "{told}");
        for line in ["*** ctl2 loses power", "*** ostler is killed", "[exit 6: partly done, resumable]"] {
            assert!(told.contains(line), "{line} is missing:\n{told}");
        }
    }

    #[test]
    fn pauses_for_reading_change_no_word() {
        let told = |is_for_reading| {
            take_told();
            let catalogue = Arc::new(Catalogue::embedded().unwrap());
            let text = "cloud 3 controllers, keystone 2024.1, offering 2025.1\n\
                        5s after ctl1-install begins: ostler is killed\n\
                        $ ostler upgrade run --only keystone --to 2025.1 --strategy offline --yes\n";
            let script = Script::read(Path::new("x.txt"), text, &catalogue).unwrap();
            let showing = Showing { printer: Printer::plain(), is_transcript: true, is_for_reading };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            assert!(runtime.block_on(play(&script, catalogue, showing)).is_ok());
            take_told()
        };
        assert_eq!(told(false), told(true));
    }
}
