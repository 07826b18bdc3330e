//! `ostler cloud check`: looks anew and judges, with evidence and the next command.
//!
//! The judgement is the engine's: the same checks that stand before every upgrade.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::survey;
use crate::view::findings;
use crate::wiring::Site;
use clap::Args;
use ostler_model::check::Severity;
use serde_json::json;

/// Look anew and judge: what is wrong, where, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: all is well; 3: warnings; 4: errors.

Example:
  ostler cloud check || mail -s 'the cloud needs care' operators")]
pub struct Check {
    /// Show what is well, too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn check(context: &Context, typed: Check) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let seen = survey::fresh(&site).await?;
    let found = survey::judged(&site, &seen)?;
    let worst = found.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    if context.printer.is_json() {
        context.printer.json(&json!({
            "cloud": seen.cloud, "seen": seen.taken, "worst": worst, "findings": found, "gaps": seen.gaps,
        }))?;
    } else {
        context.printer.text(&findings::page(&context.printer, &seen, &found, typed.all, site.now()))?;
    }
    Ok(match worst {
        Severity::Ok | Severity::Advice => Exit::Done,
        Severity::Warning => Exit::Warnings,
        Severity::Error => Exit::Errors,
    })
}
