//! `ostler explain CODE`: what a finding means, how to see it by hand, what to do.
//!
//! It looks at nothing: it is documentation in the program.

use super::health::{known, library};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::health as view;
use clap::Args;
use serde_json::json;

/// What a code of `ostler health` means, how to see it by hand, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler explain MQ_PARTITION
  ostler explain --all > health-codes.md")]
pub struct Explain {
    /// The code.
    #[arg(required_unless_present = "all")]
    code: Option<String>,
    /// All codes, as a page of Markdown.
    #[arg(long, conflicts_with = "code")]
    all: bool,
}

pub(super) async fn explain(context: &Context, typed: Explain) -> Result<Exit, Failure> {
    let checks = library(context)?;
    let Some(code) = typed.code else {
        if context.printer.is_json() {
            let all: Vec<_> = checks
                .all()
                .into_iter()
                .map(|one| json!({ "group": one.group, "check": one.check }))
                .collect();
            context.printer.json(&all)?;
        } else {
            context.printer.text(&view::reference(&checks))?;
        }
        return Ok(Exit::Done);
    };
    let explained = known(&checks, &code)?;
    if context.printer.is_json() {
        context.printer.json(&json!({
            "group": explained.group, "check": explained.check, "explains": explained.explains,
        }))?;
    } else {
        context.printer.text(&view::explained(&context.printer, &explained))?;
    }
    Ok(Exit::Done)
}
