//! `ostler ha status`: segments, hosts that are out, incidents, and what waits for a person.
//!
//! It looks at nothing but the register.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::instance_ha::{Registered, as_they_stand};
use crate::view::incident::{self as view, Overview};
use clap::Args;
use ostler_engine::ha::switched_off_by;
use std::collections::BTreeMap;

/// How segments, hosts and incidents stand, and what waits for a person.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 when all is protected and nothing is open, 3 when something is under way or a host or
segment is not protected, 4 when an incident waits for a person.

Example:
  ostler ha status --format json"
)]
pub struct Status {
    /// Closed incidents that are shown, the newest first.
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    limit: u32,
}

pub(super) async fn status(context: &Context, typed: Status) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let registered = Registered::read(store.as_ref()).await?;
    let open = as_they_stand(store.as_ref(), store.open_incidents().await?).await;
    // As many more as may be open among the newest.
    let enough = typed.limit.saturating_add(u32::try_from(open.len()).unwrap_or(u32::MAX));
    let mut closed = store.incidents(enough).await?;
    closed.retain(|incident| incident.closed.is_some());
    closed.truncate(typed.limit as usize);
    let mut switched_off = BTreeMap::new();
    for segment in &registered.segments {
        if let Some(word) = switched_off_by(store.as_ref(), segment).await? {
            switched_off.insert(segment.id.clone(), word);
        }
    }
    let overview = Overview {
        registered: &registered,
        open: &open,
        closed: &closed,
        switched_off: &switched_off,
        now: context.clock().now(),
    };
    if context.printer.is_json() {
        context.printer.json(&view::overview_json(&overview))?;
    } else {
        context.printer.text(&view::overview(&context.printer, &overview))?;
    }
    Ok(view::exit(&overview))
}
