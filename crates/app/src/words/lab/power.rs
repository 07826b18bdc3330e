//! `ostler lab bmc`, `hypervisor` and the server behind the power controllers: what is outside of Nova's sight.
//!
//! A password is shown only when it is asked for.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_lab::{Mood, check_can_run};

/// Show how a node's power controller is reached, or change how it behaves.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler lab bmc cmp1
  ostler lab bmc cmp1 --lie
  ostler lab bmc cmp1 --honest")]
pub struct Bmc {
    /// The node.
    node: String,
    #[command(flatten)]
    behave: Behave,
    /// Print nothing but the password.
    #[arg(long, conflicts_with_all = ["honest", "lie", "stuck", "hang", "fail"])]
    password: bool,
    #[command(flatten)]
    which: Which,
}

/// How a power controller shall behave.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Behave {
    /// It does what it is asked and says what is.
    #[arg(long)]
    honest: bool,
    /// It accepts orders, does nothing, and says that it did.
    #[arg(long)]
    lie: bool,
    /// It accepts orders, does nothing, and says what is.
    #[arg(long)]
    stuck: bool,
    /// It never answers.
    #[arg(long)]
    hang: bool,
    /// It answers with errors.
    #[arg(long)]
    fail: bool,
}

impl Behave {
    fn mood(&self) -> Option<Mood> {
        let all = [
            (self.honest, Mood::Honest),
            (self.lie, Mood::Lie),
            (self.stuck, Mood::Stuck),
            (self.hang, Mood::Hang),
            (self.fail, Mood::Fail),
        ];
        all.into_iter().find_map(|(asked, mood)| asked.then_some(mood))
    }
}

/// Show the guests that a node's hypervisor itself has, whatever Nova believes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler lab hypervisor cmp1
  ostler lab hypervisor cmp1 --crash instance-00000001")]
pub struct Hypervisor {
    /// The compute node.
    node: String,
    /// Let this guest die as if its process had crashed; by the hypervisor's name or the uuid.
    #[arg(long, value_name = "GUEST")]
    crash: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Serve as the power controllers of a lab.
#[derive(Debug, Args)]
pub struct PowerController {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn bmc(context: &Context, typed: Bmc) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    if let Some(mood) = typed.behave.mood() {
        lab.set_mood(&typed.node, mood).map_err(failure)?;
        context.printer.note(&format!("the power controller of {} is {}", typed.node, word(mood)));
        return Ok(Exit::Done);
    }
    let access = lab.power_access(&typed.node).map_err(failure)?;
    if context.printer.is_json() {
        context.printer.json(&access)?;
    } else if typed.password {
        context.printer.text(&format!("{}\n", access.password))?;
    } else {
        context.printer.text(&format!(
            "{}\n  user      {}\n  password  `ostler lab bmc {} --password`\n  server    {}\n  mood      {}\n",
            access.system,
            access.user,
            typed.node,
            if access.running { "runs" } else { "does not run" },
            word(access.mood)
        ))?;
    }
    Ok(Exit::Done)
}

fn word(mood: Mood) -> &'static str {
    match mood {
        Mood::Honest => "honest",
        Mood::Lie => "lying: it accepts orders, does nothing, and says that it did",
        Mood::Stuck => "stuck: it accepts orders, does nothing, and says what is",
        Mood::Hang => "hanging: it never answers",
        Mood::Fail => "failing: it answers with errors",
    }
}

pub(super) async fn hypervisor(context: &Context, typed: Hypervisor) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    let lab = typed.which.lab()?;
    if let Some(guest) = &typed.crash {
        lab.crash(&typed.node, guest).await.map_err(failure)?;
        context.printer.note(&format!("{guest} has crashed on {}", typed.node));
        return Ok(Exit::Done);
    }
    let found = lab.hypervisor(&typed.node).await.map_err(failure)?;
    if context.printer.is_json() {
        context.printer.json(&found)?;
        return Ok(Exit::Done);
    }
    let power = if found.running { "on" } else { "off" };
    let running = found.guests.iter().filter(|guest| guest.state == "running").count();
    let have = match found.guests.len() {
        1 => "1 guest".to_owned(),
        number => format!("{number} guests"),
    };
    let mut text = format!("{} is {power}; its hypervisor has {have}, {running} running\n", found.node);
    if !found.guests.is_empty() {
        let row =
            |guest: &ostler_lab::Guest| vec![guest.name.clone(), guest.uuid.clone(), guest.state.clone()];
        text.push('\n');
        text.push_str(&table(&["GUEST", "INSTANCE", "STATE"], found.guests.iter().map(row).collect()));
    }
    context.printer.text(&text)?;
    Ok(Exit::Done)
}

pub(super) async fn power_controller(typed: PowerController) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    typed.which.lab()?.serve_power().await.map_err(failure)?;
    Ok(Exit::Done)
}
