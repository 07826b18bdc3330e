//! `ostler matrix run` and `watch`: asks, shows what comes in, keeps it.
//!
//! A state that cannot be written is said once and does not end the watch.

use super::{Table, tell};
use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::settings::closest;
use crate::view::availability as view;
use crate::view::time_of_day;
use crate::wiring::Site;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use ostler_engine::availability::{KEEP_S, KIND, Wanted, Watch as Watching, questions, table};
use ostler_model::Timestamp;
use ostler_model::cloud::Role;
use ostler_model::function::{Mark, Question, Span};
use ostler_model::record::Record;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a span that is not full is kept: a watch that is killed loses at most so much.
const KEEP_EVERY_MS: u64 = 60_000;

/// Old spans that one purge takes away: more than a day brings.
const PURGE_ROWS: u32 = 1_000;

/// Shortest time from tick to tick.
const EVERY_S_MIN: u32 = 1;

/// Longest time that one answer may be waited for.
const TIMEOUT_S_MAX: u32 = 60;

/// Spans that are held for the table of this watch: a day of them; what is older is in the state.
const SPANS_MAX: usize = 150;

/// What is asked, and how.
#[derive(Debug, Args)]
pub struct Asking {
    /// Time from one question to the next at the same address.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    every: Seconds,
    /// How long an answer may take, all of it.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: Seconds,
    /// Only this service; may be said several times.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Reach each server through the SSH server of its node, where its address cannot be reached from here.
    #[arg(long)]
    through_ssh: bool,
    /// How the table is printed.
    #[arg(long, value_enum, default_value_t)]
    table: Table,
}

/// Ask every service at every address for a while, then show the table.
#[derive(Debug, Args)]
#[command(
    after_help = "Each controller is asked at its own address, and the virtual address as a client would: without a
token, and with one. Exit code 0: all answered; 3: a server did not; 4: clients were turned away.

Examples:
  ostler matrix run --for 60s
  ostler matrix run --for 10m --table markdown > matrix.md
  ostler matrix run --for 30s --service keystone --through-ssh"
)]
pub struct Run {
    /// For how long.
    #[arg(long = "for", value_name = "TIME", default_value = "60s")]
    length: Seconds,
    #[command(flatten)]
    asking: Asking,
}

/// Ask until interrupted, and keep what was found.
#[derive(Debug, Args)]
#[command(after_help = "What was found is kept for a month: `ostler matrix show --since 12h`.

Example:
  ostler matrix watch --every 10s")]
pub struct Watch {
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(context: &Context, typed: Run) -> Result<Exit, Failure> {
    go(context, typed.asking, Some(typed.length)).await
}

pub(super) async fn watch(context: &Context, typed: Watch) -> Result<Exit, Failure> {
    go(context, typed.asking, None).await
}

async fn go(context: &Context, asking: Asking, length: Option<Seconds>) -> Result<Exit, Failure> {
    if asking.every.0 < EVERY_S_MIN || asking.timeout.0 == 0 || asking.timeout.0 > TIMEOUT_S_MAX {
        return Err(Failure::usage("such times make no matrix")
            .hint(format!("`--every` is at least {EVERY_S_MIN} s, `--timeout` 1 to {TIMEOUT_S_MAX} s")));
    }
    let site = Site::open(context).await?;
    site.credentials.clone()?;
    let asked = what_is_asked(context, &site, &asking).await?;
    let every_ms = u64::from(asking.every.0) * 1000;
    let wanted = Wanted { questions: asked, every_ms };
    let (cloud, clock) = (Arc::clone(&site.seams.cloud), Arc::clone(&site.seams.clock));
    let mut watch = Watching::begin(cloud, clock, wanted);
    if watch.every_ms() > every_ms {
        context.printer.note(&format!(
            "asks every {} instead of every {}: more would be too much for the cloud",
            crate::duration::words(watch.every_ms()),
            crate::duration::words(every_ms)
        ));
    }
    let ticks = length.map(|length| (u64::from(length.0) * 1000).div_ceil(watch.every_ms()).max(1));
    let mut keeping = Keeping::new(&site);
    keeping.purge(context).await;
    let mut shown = Shown::new(context);
    let mut spans: Vec<Span> = Vec::new();
    let mut made = 0;
    let is_stopped = loop {
        if ticks.is_some_and(|ticks| made >= ticks) {
            break false;
        }
        let full = tokio::select! {
            full = watch.tick() => full,
            () = context.until_stopped() => break true,
        };
        made += 1;
        if let Some(full) = full {
            shown.hear(context, &full);
            keeping.keep(context, &full).await;
            keeping.purge(context).await;
            spans.push(full);
            let too_many = spans.len().saturating_sub(SPANS_MAX);
            spans.drain(..too_many);
        }
        shown.hear(context, watch.span());
        shown.draw(&site.cloud.cloud.name, &spans, watch.span());
        let is_due = (u64::from(watch.span().ticks) * watch.every_ms()).is_multiple_of(KEEP_EVERY_MS);
        if is_due {
            keeping.keep(context, watch.span()).await;
        }
    };
    if !is_stopped {
        watch.rest().await;
        shown.hear(context, watch.span());
    }
    shown.end();
    keeping.keep(context, watch.span()).await;
    let every_ms = watch.every_ms();
    spans.push(watch.span().clone());
    let found = table(&spans, Timestamp::MIN, Timestamp::MAX);
    tell(context, &site.cloud.cloud.name, &found, Some(every_ms), asking.table)
}

async fn what_is_asked(context: &Context, site: &Site, asking: &Asking) -> Result<Vec<Question>, Failure> {
    let offers = site.seams.cloud.offers().await;
    let offers = offers.map_err(|why| Failure::because(crate::failure::Kind::Failed, &why))?;
    let servers = site.cloud.cloud.with_role(Role::Controller);
    let limit_ms = u64::from(asking.timeout.0) * 1000;
    let functions = &site.catalogue.functions;
    let (mut asked, unknown) = questions(&offers, functions, &servers, asking.through_ssh, limit_ms);
    for name in &asking.service {
        if asked.iter().any(|question| question.function.name.as_str() == name) {
            continue;
        }
        let names = functions.keys().map(|name| name.as_str());
        let is_known = functions.keys().any(|known| known.as_str() == name);
        let what = match is_known {
            true => format!("the cloud's catalogue has no {name}"),
            false => format!("nothing is known of a service `{name}`"),
        };
        let meant = closest(name, names).filter(|_| !is_known);
        return Err(Failure::usage(what).maybe_hint(meant.map(|meant| format!("did you mean `{meant}`?"))));
    }
    if !asking.service.is_empty() {
        asked.retain(|question| asking.service.iter().any(|name| question.function.name.as_str() == name));
    } else if !unknown.is_empty() {
        context.printer.note(&format!("not asked, because nothing is known of them: {}", unknown.join(", ")));
    }
    if asked.is_empty() {
        return Err(Failure::usage("the cloud's catalogue has no service that is known here").hint(
            "see `openstack catalog list`; pages of a site's own lie below `functions/` of its catalogue",
        ));
    }
    Ok(asked)
}

/// Keeps spans in the state.
struct Keeping<'a> {
    site: &'a Site,
    mark: u64,
    has_complained: bool,
}

impl<'a> Keeping<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, mark: site.seams.dice.roll(), has_complained: false }
    }

    async fn keep(&mut self, context: &Context, span: &Span) {
        if span.ticks == 0 {
            return;
        }
        let Ok(body) = serde_json::to_string(span) else { return };
        let record = Record {
            kind: KIND.to_owned(),
            subject: self.site.cloud.cloud.name.clone(),
            name: format!("{}-{:016x}", span.began.as_microsecond(), self.mark),
            at: span.began,
            body,
        };
        let kept = self.site.seams.store.keep_record(&record).await;
        self.complain(context, kept.err());
    }

    async fn purge(&mut self, context: &Context) {
        let before = self.site.now() - SignedDuration::from_secs(KEEP_S);
        let store = &self.site.seams.store;
        let purged = store.purge_records(KIND, &self.site.cloud.cloud.name, before, PURGE_ROWS).await;
        self.complain(context, purged.err());
    }

    fn complain(&mut self, context: &Context, error: Option<ostler_engine::seam::StoreError>) {
        if let Some(error) = error
            && !std::mem::replace(&mut self.has_complained, true)
        {
            context.say(&format!("warning: what is found is not kept: {error}"));
        }
    }
}

/// Shows a watch while it goes on: the table on a terminal, a line for each change when piped.
struct Shown {
    bar: Option<ProgressBar>,
    /// How each cell was last, and how much of its span was told.
    last: BTreeMap<(String, String), Mark>,
    told: (Option<Timestamp>, u32),
}

impl Shown {
    fn new(context: &Context) -> Self {
        let bar = (context.printer.may_animate && context.printer.columns() > 0).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout_with_hz(4));
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: BTreeMap::new(), told: (None, 0) }
    }

    fn draw(&self, cloud: &str, spans: &[Span], now: &Span) {
        if let Some(bar) = &self.bar {
            let all: Vec<Span> = spans.iter().chain([now]).cloned().collect();
            let page = view::page(cloud, &table(&all, Timestamp::MIN, Timestamp::MAX), Some(now.tick_ms));
            bar.set_message(page);
            bar.tick();
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Tells which cells changed from good to bad and back.
    fn hear(&mut self, context: &Context, span: &Span) {
        if self.bar.is_some() || context.printer.is_json() {
            return;
        }
        let from = if self.told.0 == Some(span.began) { self.told.1 } else { 0 };
        // The last tick may still be waited for; it is told with the next one.
        for cell in &span.cells {
            let key = (cell.service.to_string(), cell.asked.to_string());
            for (mark, tick) in cell.marks.chars().zip(0u32..).skip(from.saturating_sub(1) as usize) {
                let mark = Mark::of(mark);
                let before = self.last.get(&key).copied().unwrap_or(Mark::Up);
                if mark == Mark::NotAsked || mark == before {
                    continue;
                }
                self.last.insert(key.clone(), mark);
                let at = span.began
                    + SignedDuration::from_millis(i64::try_from(span.tick_ms * u64::from(tick)).unwrap_or(0));
                let what =
                    cell.faults.iter().rfind(|fault| fault.tick == tick).map(|fault| fault.what.as_str());
                let word = match mark {
                    Mark::Up => "answers again",
                    Mark::Refused => "lives but refuses calls",
                    Mark::Down => "does not answer",
                    Mark::Unknown | Mark::NotAsked => "cannot be asked",
                };
                let what = what.map(|what| format!(": {what}")).unwrap_or_default();
                context.printer.note(&format!("{}  {} at {} {word}{what}", time_of_day(at), key.0, key.1));
            }
        }
        self.told = (Some(span.began), span.ticks);
    }
}
