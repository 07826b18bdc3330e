//! `ostler canary run`: one trial, or several one after the other.
//!
//! It must never begin a trial of which nobody could find again what it makes.

use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure, Kind as FailureKind};
use crate::view::canary as view;
use crate::wiring::Site;
use clap::{Args, ValueEnum};
use ostler_engine::canary::{self, Wanted};
use ostler_model::canary::{Came, Choices, Suite, Trial};
use ostler_model::ids::HostName;

/// Trials in a row at most: a watch for ever is a timer's work.
const REPEAT_MAX: u32 = 10_000;

/// Make things, use them, and take them away again.
#[derive(Debug, Args)]
#[command(
    after_help = "Suites: basic: a token, an image with its checksum, a server with its console; network: a network,
subnet, router and port; storage: an image and a volume; full: all of it, and a live migration.
What the cloud does not have is skipped. Exit code 0: nothing failed; 4: something did; 6: something
that was made is still there (`ostler canary sweep`).

Examples:
  ostler canary run --suite basic
  ostler canary run --suite full --image cirros --flavor m1.tiny
  ostler canary run --suite basic --host cmp17        after a host came back
  ostler canary run --suite network --repeat 12 --interval 5m"
)]
pub struct Run {
    /// What is tried.
    #[arg(long, value_enum, default_value_t)]
    suite: SuiteTyped,
    /// The host that servers are made on; needs Nova from Train on, and an operator's account.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The image that servers start from, by name or identity; else the one that is uploaded.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The flavor, by name or identity; else the smallest one for everybody.
    #[arg(long, value_name = "FLAVOR")]
    flavor: Option<String>,
    /// How often.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    repeat: u32,
    /// Time from the beginning of one trial to the next one's.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    interval: Seconds,
    /// Say what would be tried, and try nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A suite as typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SuiteTyped {
    #[default]
    Basic,
    Network,
    Storage,
    Full,
}

impl SuiteTyped {
    fn suite(self) -> Suite {
        match self {
            SuiteTyped::Basic => Suite::Basic,
            SuiteTyped::Network => Suite::Network,
            SuiteTyped::Storage => Suite::Storage,
            SuiteTyped::Full => Suite::Full,
        }
    }
}

pub(super) async fn run(context: &Context, typed: Run) -> Result<Exit, Failure> {
    if typed.repeat == 0 || typed.repeat > REPEAT_MAX {
        return Err(Failure::usage(format!("`--repeat` is 1 to {REPEAT_MAX}")));
    }
    let site = Site::open(context).await?;
    site.credentials.clone()?;
    let suite = typed.suite.suite();
    let offers = site.seams.cloud.offers().await;
    let offers = offers.map_err(|why| Failure::because(FailureKind::Failed, &why))?;
    if typed.dry_run {
        let lines = canary::steps(suite).into_iter().map(|step| {
            let has = offers.iter().any(|offer| canary::needs(step).contains(&offer.kind.as_str()));
            format!(
                "{:<10}  {}\n",
                step.name(),
                if has { "would be tried" } else { "would be skipped: the cloud has no such service" }
            )
        });
        context.printer.text(&lines.collect::<String>())?;
        return Ok(Exit::Done);
    }
    let choices = Choices { host: typed.host.map(HostName::new), image: typed.image, flavor: typed.flavor };
    let mut worst = Exit::Done;
    for number in 0..typed.repeat {
        let began = site.now();
        // What earlier ones left behind would stand in this one's way: quotas are small.
        super::sweep::before(context, &site).await?;
        let wanted = Wanted {
            cloud: site.cloud.cloud.name.clone(),
            name: canary::name(site.seams.clock.as_ref(), site.seams.dice.as_ref()),
            suite,
            choices: choices.clone(),
            owner: context.lease_owner(),
        };
        let printer = context.printer;
        let hear = |stage: &ostler_model::canary::Stage| {
            if !printer.is_json() {
                printer.progress_line(&view::line(&printer, stage));
            }
        };
        let trial = canary::run(&site.seams, &wanted, &offers, &hear).await.map_err(|error| {
            Failure::from(error).hint("what was made is swept by the next trial, or by `ostler canary sweep`")
        })?;
        match printer.is_json() {
            true => printer.json(&trial)?,
            false => printer.text(&view::verdict(&trial))?,
        }
        worst = worse(worst, exit(&trial));
        if number + 1 < typed.repeat {
            let spent = crate::view::between(began, site.now());
            let left = (u64::from(typed.interval.0) * 1000).saturating_sub(spent);
            tokio::select! {
                () = site.seams.clock.sleep(left) => {}
                () = context.until_stopped() => break,
            }
        }
    }
    Ok(worst)
}

fn exit(trial: &Trial) -> Exit {
    let mut failed = trial.stages.iter().filter(|stage| stage.came == Came::Failed).peekable();
    if failed.peek().is_none() {
        return Exit::Done;
    }
    if failed.any(|stage| stage.name.starts_with("delete ")) { Exit::Partly } else { Exit::Errors }
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one.code() >= other.code() { one } else { other }
}
