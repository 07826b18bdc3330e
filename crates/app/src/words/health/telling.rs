//! Tells others what has changed in the health of a cloud: a webhook is posted the changes, Alertmanager is told which
//! findings stand and which are over.
//!
//! What each receiver was told is kept in the store; one that takes nothing, after a few tries, is told with the next look. It
//! must never make a look fail, nor tell anybody the same twice.

use super::looking::{keep, note};
use crate::failure::Failure;
use crate::settings::Events;
use clap::Args;
use ostler_engine::health::{Change, changes};
use ostler_engine::seam::{Clock, Store};
use ostler_model::Timestamp;
use ostler_model::health::{Heard, Memory, Report, Severity, Standing, TOLD_FORMAT, Told};
use ostler_world::announce::{Alert, Alertmanager, NotTaken, Webhook};
use ostler_world::power::SecretFile;
use ostler_world::web::{Trust, TrustError};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The note that holds what was told.
const TOLD: &str = "health-told";

/// Receivers that are remembered: those that were told last.
const RECEIVERS_MAX: usize = 16;

/// Tries of one message; what is not taken then is told with the next look.
const TRIES: u32 = 3;

/// Pause after the first try; it grows fourfold.
const PAUSE_MS: u64 = 1_000;

/// Changes in one message: of more than these the worst say enough, and their number is told.
const CHANGES_MAX: usize = 500;

/// Alerts that are told at once.
const ALERTS_MAX: usize = 500;

/// How long an alert of a single look stands without being told again: whoever looks by a timer looks more often.
const STANDS_S: u32 = 3_600;

/// Who is told.
#[derive(Clone, Debug, Default, Args)]
pub struct Telling {
    /// Post what has changed since the last look to this address, as JSON.
    #[arg(long, value_name = "URL", value_parser = address, help_heading = "Telling others")]
    webhook: Option<String>,
    /// A file with the secret that signs what the webhook is sent.
    #[arg(long, value_name = "FILE", requires = "webhook", help_heading = "Telling others")]
    webhook_secret: Option<PathBuf>,
    /// Tell this Alertmanager which findings stand and which are over; more than one may be named.
    #[arg(long, value_name = "URL", value_parser = address, help_heading = "Telling others")]
    alertmanager: Vec<String>,
    /// A file of the authorities whose word counts for the certificates of those addresses.
    #[arg(long, value_name = "FILE", help_heading = "Telling others")]
    ca: Option<PathBuf>,
}

fn address(text: &str) -> Result<String, String> {
    match text.starts_with("https://") || text.starts_with("http://") {
        true => Ok(text.to_owned()),
        false => Err("write it whole: `https://HOST[:PORT]/PATH`".to_owned()),
    }
}

/// Who is told, ready to be.
pub struct Receivers {
    webhook: Option<Webhook>,
    alertmanagers: Vec<Alertmanager>,
    stands_s: u32,
}

impl Receivers {
    /// As typed. `every_s`: how often is looked; none: once.
    pub fn typed(typed: &Telling, every_s: Option<u32>) -> Result<Receivers, Failure> {
        let secret = typed.webhook_secret.clone().map(SecretFile);
        Self::new(&typed.webhook, secret, &typed.alertmanager, typed.ca.clone(), every_s, "`--ca`")
    }

    /// As the settings of the server say.
    pub fn settled(events: &Events, every_s: u32) -> Result<Receivers, Failure> {
        let place = "`ca` below `[serve.events]` in ostler.toml";
        let secret = events.webhook_secret.clone();
        Self::new(&events.webhook, secret, &events.alertmanagers, events.ca.clone(), Some(every_s), place)
    }

    fn new(
        webhook: &Option<String>,
        secret: Option<SecretFile>,
        alertmanagers: &[String],
        ca: Option<PathBuf>,
        every_s: Option<u32>,
        ca_is: &str,
    ) -> Result<Receivers, Failure> {
        let trust = ca.map_or(Trust::System, Trust::File);
        let wrong = |error: TrustError| Failure::usage(error.to_string()).hint(format!("see to {ca_is}"));
        let webhook = webhook.as_ref().map(|url| Webhook::new(url, secret, &trust).map_err(wrong));
        let managers = alertmanagers.iter().map(|url| Alertmanager::new(url, &trust).map_err(wrong));
        Ok(Receivers {
            webhook: webhook.transpose()?,
            alertmanagers: managers.collect::<Result<_, _>>()?,
            stands_s: every_s.map_or(STANDS_S, |every_s| every_s.saturating_mul(4)),
        })
    }

    /// Tells everybody what they do not know yet. Answers who did not take it, and why.
    pub async fn tell(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        report: &Report,
        memory: &Memory,
    ) -> Result<Vec<String>, Failure> {
        if self.webhook.is_none() && self.alertmanagers.is_empty() {
            return Ok(Vec::new());
        }
        let mut told: Told = note(store, &report.cloud, TOLD, TOLD_FORMAT).await?;
        let before = told.clone();
        let mut complaints = Vec::new();
        let now = clock.now();
        let known = |told: &Told, place: &str| {
            told.receivers.get(place).map(|heard| heard.standing.clone()).unwrap_or_default()
        };
        if let Some(webhook) = &self.webhook {
            let name = format!("webhook {}", webhook.place());
            let (news, standing) = changes(&known(&told, &name), report, memory);
            let taken = match news.is_empty() {
                true => Ok(()),
                false => {
                    let (id, body) = (format!("health/{}", report.taken), body(report, &news).to_string());
                    again(clock, || webhook.send(&id, &body)).await
                }
            };
            heard(&mut told, &name, now, standing, taken, &mut complaints);
        }
        for manager in &self.alertmanagers {
            // One place may be both.
            let name = format!("alertmanager {}", manager.place());
            let stood = known(&told, &name);
            let (_, standing) = changes(&stood, report, memory);
            let all = alerts(report, &stood, &standing, now, self.stands_s);
            let taken = match all.is_empty() {
                true => Ok(()),
                false => again(clock, || manager.tell(&all)).await,
            };
            heard(&mut told, &name, now, standing, taken, &mut complaints);
        }
        while told.receivers.len() > RECEIVERS_MAX {
            let oldest =
                told.receivers.iter().min_by_key(|(_, heard)| heard.at).map(|(place, _)| place.clone());
            told.receivers.remove(&oldest.unwrap_or_default());
        }
        if told != before {
            keep(store, &report.cloud, TOLD, &told).await?;
        }
        Ok(complaints)
    }
}

/// Notes what a receiver knows now, or why it does not.
fn heard(
    told: &mut Told,
    place: &str,
    at: Timestamp,
    standing: Standing,
    taken: Result<(), NotTaken>,
    complaints: &mut Vec<String>,
) {
    match taken {
        Ok(()) if told.receivers.get(place).is_some_and(|heard| heard.standing == standing) => {}
        Ok(()) => {
            told.receivers.insert(place.to_owned(), Heard { at, standing });
        }
        Err(error) => complaints.push(format!("not told, the next look tells it again: {error}")),
    }
}

/// Sends until it is taken, a few times, unless it never will be.
async fn again<F>(clock: &dyn Clock, send: impl Fn() -> F) -> Result<(), NotTaken>
where
    F: Future<Output = Result<(), NotTaken>>,
{
    let mut pause_ms = PAUSE_MS;
    let mut tries = 1;
    loop {
        match send().await {
            Err(error) if error.may_pass && tries < TRIES => {
                clock.sleep(pause_ms).await;
                (pause_ms, tries) = (pause_ms * 4, tries + 1);
            }
            ended => return ended,
        }
    }
}

fn body(report: &Report, news: &[Change]) -> serde_json::Value {
    json!({
        "format": 1,
        "event": "health.changed",
        "cloud": report.cloud,
        "taken": report.taken,
        "worst": report.worst,
        "is_whole": report.is_whole,
        "changes": news.iter().take(CHANGES_MAX).collect::<Vec<_>>(),
        "left_off": news.len().saturating_sub(CHANGES_MAX),
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

type Labels = BTreeMap<String, String>;

/// The labels of what stands: the same labels are the same alert.
fn labels(cloud: &str, standing: &Standing) -> BTreeMap<(String, String), (Labels, Timestamp)> {
    let all = standing.iter().flat_map(|(code, objects)| objects.iter().map(move |one| (code, one)));
    all.map(|(code, (object, stands))| {
        let mut labels: Labels = [
            ("alertname", code.as_str()),
            ("severity", word(stands.severity)),
            ("object", object.as_str()),
            ("cloud", cloud),
            ("source", "ostler health"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        labels.extend(stands.host.as_ref().map(|host| ("host".to_owned(), host.clone())));
        ((code.clone(), object.clone()), (labels, stands.since))
    })
    .collect()
}

/// What stands, the worst first, after what is over.
fn alerts(
    report: &Report,
    stood: &Standing,
    standing: &Standing,
    now: Timestamp,
    stands_s: u32,
) -> Vec<Alert> {
    let (before, after) = (labels(&report.cloud, stood), labels(&report.cloud, standing));
    let mut seen: BTreeMap<(&str, &str), (&str, &str, &str)> = BTreeMap::new();
    for finding in &report.findings {
        for object in &finding.objects {
            let told = (finding.title.as_str(), object.evidence.as_str(), finding.next.as_str());
            seen.insert((&finding.code, &object.object), told);
        }
    }
    let over = before.iter().filter(|(key, (labels, _))| after.get(key).is_none_or(|(now, _)| now != labels));
    let over = over.map(|(_, (labels, since))| Alert {
        labels: labels.clone(),
        annotations: BTreeMap::new(),
        starts_at: *since,
        ends_at: now,
    });
    let mut stands: Vec<Alert> = after
        .iter()
        .map(|((code, object), (labels, since))| {
            let unseen = ("", "it stood at an earlier look and could not be judged at the last one", "");
            let (title, evidence, next) =
                seen.get(&(code.as_str(), object.as_str())).copied().unwrap_or(unseen);
            let annotations = [("summary", title), ("description", evidence), ("hint", next)];
            let said = annotations.into_iter().filter(|(_, text)| !text.is_empty());
            Alert {
                labels: labels.clone(),
                annotations: said.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
                starts_at: *since,
                ends_at: now + jiff::SignedDuration::from_secs(i64::from(stands_s)),
            }
        })
        .collect();
    let bad = |alert: &Alert| match alert.labels.get("severity").map(String::as_str) {
        Some("critical") => 0,
        Some("error") => 1,
        Some("warning") => 2,
        _ => 3,
    };
    stands.sort_by_key(bad);
    let mut all: Vec<Alert> = over.collect();
    all.extend(stands);
    all.truncate(ALERTS_MAX);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::health::Stands;

    fn standing(severity: Severity) -> Standing {
        let stands = Stands { severity, host: Some("cmp1".into()), since: Timestamp::UNIX_EPOCH };
        Standing::from([("HOST_DISK".into(), BTreeMap::from([("cmp1:/".into(), stands)]))])
    }

    fn report() -> Report {
        Report {
            format: 1,
            cloud: "prod".into(),
            taken: Timestamp::UNIX_EPOCH,
            worst: None,
            is_whole: true,
            checks: 0,
            findings: Vec::new(),
            unseen: Vec::new(),
            hidden: Vec::new(),
            cost: Vec::new(),
        }
    }

    #[test]
    fn what_becomes_worse_is_another_alert_and_the_old_one_is_over() {
        let now = Timestamp::from_second(1_000).unwrap();
        let (warning, error) = (standing(Severity::Warning), standing(Severity::Error));
        let told = alerts(&report(), &warning, &error, now, 60);
        let said: Vec<(&str, i64)> =
            told.iter().map(|alert| (alert.labels["severity"].as_str(), alert.ends_at.as_second())).collect();
        assert_eq!(said, [("warning", 1_000), ("error", 1_060)]);
    }

    #[test]
    fn what_stands_is_told_again_and_again_with_a_later_end() {
        let now = Timestamp::from_second(1_000).unwrap();
        let told = alerts(&report(), &standing(Severity::Error), &standing(Severity::Error), now, 60);
        assert_eq!((told.len(), told[0].ends_at.as_second()), (1, 1_060));
        assert_eq!(
            (told[0].labels["alertname"].as_str(), told[0].labels["host"].as_str()),
            ("HOST_DISK", "cmp1")
        );
    }
}
