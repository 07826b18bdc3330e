//! What a person may say of an incident: try again, go no further, I have seen it, fence in spite of the guard, the host is
//! off. Each is kept with who said it and when.
//!
//! A word changes the record and nothing else: whoever attends to the register acts by it. It must never touch the cloud,
//! nor be lost when a server writes to the same record.

use super::incident::lacks_proof;
use super::kept;
use crate::run::{self, ControlError, RunState};
use crate::seam::{Clock, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Event, Why};
use ostler_model::ha::{
    self, HostStatus, IncidentKey, Named, Notification, Opening, Payload, Report, Reported, SegmentChange,
    Stage, Status, Turn, Written,
};
use ostler_model::ids::{HostName, IncidentId, NotificationId};
use ostler_model::step::Word;

/// How often a word is tried again when a server keeps writing to the record.
const COLLISIONS_MAX: usize = 50;

/// How long a new incident counts as worked on before somebody has come to it.
const PICKED_UP_WITHIN_MS: i64 = 60_000;

/// The kind of note that holds a person's word about a host.
const WORD_NOTE: &str = "confirmed-down";

/// The kind of note that says who switched a segment off.
const SWITCH_NOTE: &str = "switched-off";

/// What such a note holds when the word was taken back.
const NOTHING: &str = "null";

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// Another set of rounds; what a person stopped goes on.
    Retry,
    /// Go no further, also with what is under way.
    Cancel,
    /// What is not back stays as it is; nothing is under way.
    Acknowledge,
    /// The storm guard shall not hold it.
    Release,
    /// The host is off.
    IsOff,
}

impl Saying {
    fn words(self) -> &'static str {
        match self {
            Saying::Retry => "asked for another try",
            Saying::Cancel => "wants it to go no further",
            Saying::Acknowledge => "leaves what is not back as it is",
            Saying::Release => "releases it from the storm guard",
            Saying::IsOff => "says that the host is off",
        }
    }
}

/// Why a word was not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SayingError {
    /// There is no such incident.
    #[error("there is no incident {0}")]
    NoSuch(IncidentId),
    /// It is closed.
    #[error("the incident {0} is closed since {1}")]
    Closed(IncidentId, Timestamp),
    /// The word does not fit.
    #[error("{}", .0.what)]
    DoesNotFit(Why),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run could not be spoken to.
    #[error(transparent)]
    Run(#[from] ControlError),
}

/// Says something of an open incident. Answers it as it is then.
pub async fn say(
    store: &dyn Store,
    clock: &dyn Clock,
    id: &IncidentId,
    saying: Saying,
    word: &Word,
) -> Result<ha::Incident, SayingError> {
    for _ in 0..COLLISIONS_MAX {
        let record = store.incident(id).await?.ok_or_else(|| SayingError::NoSuch(id.clone()))?;
        if let Some(closed) = record.closed {
            return Err(SayingError::Closed(id.clone(), closed));
        }
        let changed = changed(store, record, saying, word).await?;
        let Some(saved) = store.save_incident(&changed).await? else { continue };
        runs_told(store, clock, &saved, saying, word).await?;
        return Ok(saved);
    }
    Err(SayingError::Store(StoreError::Unavailable {
        what: format!(
            "the incident {id} was changed {COLLISIONS_MAX} times while one word was written to it"
        ),
        hint: Some("try again".into()),
    }))
}

/// The record with the word in it.
async fn changed(
    store: &dyn Store,
    mut record: ha::Incident,
    saying: Saying,
    word: &Word,
) -> Result<ha::Incident, SayingError> {
    let is_host = record.key == IncidentKey::host(&record.host);
    if is_host {
        let host = host_of(store, &record).await?;
        let mut incident = kept::read(&record, &host).map_err(SayingError::DoesNotFit)?;
        match saying {
            Saying::Retry => {
                let is_guarded = incident.runs.is_empty() && record.stage == Stage::Held;
                if is_guarded && incident.given_up.is_none() {
                    let why = format!("nothing was tried yet, since it is held back: {}", record.why);
                    return Err(SayingError::DoesNotFit(Why::new(why).hint(format!(
                        "if the host is off: `ostler ha confirm-down {host}`; if only the storm guard holds it: `ostler ha release {}`",
                        record.id
                    ))));
                }
                incident.forgiven = incident.runs.len();
                incident.given_up = None;
            }
            Saying::Acknowledge if is_moving(store, &record).await? => {
                let why = Why::new("its instances are being moved").hint(format!(
                    "see how it stands: `ostler ha show {0}`; to stop it: `ostler ha cancel {0} --because TEXT`",
                    record.id
                ));
                return Err(SayingError::DoesNotFit(why));
            }
            Saying::Cancel | Saying::Acknowledge => incident.given_up = Some(word.clone()),
            Saying::Release => incident.released = Some(word.clone()),
            Saying::IsOff => incident.word = Some(word.clone()),
        }
        let corrupt = |error: serde_json::Error| StoreError::Corrupt { what: error.to_string(), hint: None };
        record = kept::written(&incident, &record).map_err(corrupt)?;
    } else {
        match saying {
            Saying::Release | Saying::IsOff => {
                let why = Why::new(format!("{} is not about a host that is gone", record.id));
                return Err(SayingError::DoesNotFit(why));
            }
            // Small incidents have one run; what is given up is closed here.
            Saying::Cancel | Saying::Acknowledge => {
                record.stage = Stage::Failed;
                record.why = format!("given up by {}: {}", word.who, word.why);
                record.closed = Some(word.at);
            }
            Saying::Retry => {}
        }
    }
    let mut what = saying.words().to_owned();
    if !word.why.is_empty() {
        what.push_str(&format!(": {}", word.why));
    }
    record.add_evidence(word.at, &word.who, what);
    Ok(record)
}

async fn host_of(store: &dyn Store, record: &ha::Incident) -> Result<HostName, StoreError> {
    let found = store.host(&Named::Id(record.host.to_string())).await?;
    Ok(HostName::new(found.map_or_else(|| record.host.to_string(), |host| host.name)))
}

/// Whether something may move: not before the host is fenced.
async fn is_moving(store: &dyn Store, record: &ha::Incident) -> Result<bool, SayingError> {
    for id in &record.body.runs {
        let run = run::load(store, id).await?;
        if run.state == RunState::Running && !lacks_proof(&run) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Passes the word on to the runs that it concerns: a driver hears it within a second.
async fn runs_told(
    store: &dyn Store,
    clock: &dyn Clock,
    record: &ha::Incident,
    saying: Saying,
    word: &Word,
) -> Result<(), SayingError> {
    let who = Actor::Person(word.who.clone());
    for id in &record.body.runs {
        let run = run::load(store, id).await?;
        let event = match (saying, &run.state) {
            (Saying::Cancel | Saying::Acknowledge, RunState::Running) => {
                Event::Paused { who: who.clone(), why: Why::new(word.why.clone()) }
            }
            // The round begins anew with the word instead of the proof.
            (Saying::IsOff, RunState::Running) if lacks_proof(&run) => {
                Event::Paused { who: who.clone(), why: Why::new(word.why.clone()) }
            }
            (Saying::Retry, RunState::Paused { .. }) => Event::Resumed { who: who.clone() },
            _ => continue,
        };
        match run::command(store, clock, id, event).await {
            // It came to its end meanwhile.
            Ok(_) | Err(ControlError::Impossible(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if record.closed.is_some() {
        let absorbed = record.body.absorbed.iter();
        for id in absorbed.chain([&record.notification]) {
            for from in [Status::New, Status::Running, Status::Error] {
                if store.set_status(id, from, Status::Failed, Some(&record.why), word.at).await? {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Identities for a report, made by whoever has chance at hand.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The notification's.
    pub notification: NotificationId,
    /// The incident's, if it opens one.
    pub incident: IncidentId,
}

/// What a report by a person came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It opened an incident.
    Opened(IncidentId),
    /// One was open already.
    Joined(IncidentId),
}

impl Answered {
    /// The incident.
    pub fn incident(&self) -> &IncidentId {
        match self {
            Answered::Opened(id) | Answered::Joined(id) => id,
        }
    }
}

/// Reports what a closed incident was about once more.
pub async fn report_again(
    store: &dyn Store,
    record: &ha::Incident,
    fresh: Fresh,
    word: &Word,
) -> Result<Answered, SayingError> {
    let opener = store.notification(&Named::Id(record.notification.to_string())).await?;
    let Some(opener) = opener else {
        let why = Why::new(format!("the report that opened {} was purged", record.id));
        return Err(SayingError::DoesNotFit(why.hint("report it anew: `openstack notification create`")));
    };
    let host = store.host(&Named::Id(record.host.to_string())).await?;
    let Some(host) = host else {
        return Err(SayingError::DoesNotFit(Why::new("its host is registered no more")));
    };
    report(store, &host, opener.payload, record.key.clone(), fresh, word).await
}

async fn report(
    store: &dyn Store,
    host: &ha::Host,
    payload: Payload,
    key: IncidentKey,
    fresh: Fresh,
    word: &Word,
) -> Result<Answered, SayingError> {
    let at_work_until = run::later(word.at, PICKED_UP_WITHIN_MS);
    let notification = Notification {
        number: 0,
        id: fresh.notification,
        generated: word.at,
        host: host.id.clone(),
        payload,
        status: Status::New,
        segment: Some(host.segment.clone()),
        message: None,
        incident: None,
        reporter: word.who.clone(),
        created: word.at,
        updated: None,
    };
    let opening = Some(Opening { id: fresh.incident.clone(), key, at_work_until });
    Ok(match store.report(&Report { notification, opening }).await? {
        Reported::Kept(kept) => Answered::Opened(kept.incident.unwrap_or(fresh.incident)),
        Reported::Joined(open) => Answered::Joined(open.id),
    })
}

/// A person says that a host is off: kept for whoever switches machines, and said of its incident, which is opened if
/// there is none.
pub async fn vouch(
    store: &dyn Store,
    clock: &dyn Clock,
    host: &ha::Host,
    fresh: Fresh,
    word: &Word,
) -> Result<Answered, SayingError> {
    let corrupt = |error: serde_json::Error| StoreError::Corrupt { what: error.to_string(), hint: None };
    let body = serde_json::to_string(word).map_err(corrupt)?;
    // First: an incident that relies on it finds it.
    store.keep_note(&subject(&HostName::new(host.name.as_str())), WORD_NOTE, &body).await?;
    let payload =
        Payload::Host { event: Turn::Stopped, cluster_status: None, host_status: Some(HostStatus::Normal) };
    let answered = report(store, host, payload, IncidentKey::host(&host.id), fresh, word).await?;
    say(store, clock, answered.incident(), Saying::IsOff, word).await?;
    Ok(answered)
}

/// The last word of a person that a host is off, however old.
pub async fn word_of(store: &dyn Store, host: &HostName) -> Result<Option<Word>, StoreError> {
    noted(store, &subject(host), WORD_NOTE).await
}

/// Takes a person's word about a host back: it has power again.
pub async fn forget_word(store: &dyn Store, host: &HostName) -> Result<(), StoreError> {
    match word_of(store, host).await? {
        Some(_) => store.keep_note(&subject(host), WORD_NOTE, NOTHING).await,
        None => Ok(()),
    }
}

fn subject(host: &HostName) -> String {
    format!("host/{host}")
}

/// Throws the switch of a segment, one way or the other, and keeps who did it. None: there is no such segment.
pub async fn switch(
    store: &dyn Store,
    segment: &ha::Segment,
    on: bool,
    word: &Word,
) -> Result<Option<ha::Segment>, StoreError> {
    let corrupt = |error: serde_json::Error| StoreError::Corrupt { what: error.to_string(), hint: None };
    let change = SegmentChange { enabled: Some(on), ..SegmentChange::default() };
    let written = store.change_segment(&segment.id, &change, word.at).await?;
    let Written::Done(segment) = written else { return Ok(None) };
    let body = match on {
        true => NOTHING.to_owned(),
        false => serde_json::to_string(word).map_err(corrupt)?,
    };
    store.keep_note(&segment_subject(&segment), SWITCH_NOTE, &body).await?;
    Ok(Some(segment))
}

/// Who switched a segment off with a command of ours, and why.
pub async fn switched_off_by(store: &dyn Store, segment: &ha::Segment) -> Result<Option<Word>, StoreError> {
    if segment.enabled {
        return Ok(None);
    }
    noted(store, &segment_subject(segment), SWITCH_NOTE).await
}

fn segment_subject(segment: &ha::Segment) -> String {
    format!("segment/{}", segment.id)
}

async fn noted(store: &dyn Store, subject: &str, kind: &str) -> Result<Option<Word>, StoreError> {
    let unreadable = |error: serde_json::Error| StoreError::Corrupt {
        what: format!("the note {kind} of {subject} cannot be read: {error}"),
        hint: None,
    };
    let note = store.note(subject, kind).await?;
    Ok(note
        .map(|body| serde_json::from_str::<Option<Word>>(&body).map_err(unreadable))
        .transpose()?
        .flatten())
}
