//! The forms of a script's lines, as data, and the matching of words with them.
//!
//! A form is what an operator would say, with words in capitals for what differs. Nothing is guessed: a line that
//! fits no form is a mistake, told with the place and with what was probably meant.

use super::event::{About, Event, Moment, Turn};
use crate::duration::Seconds;
use crate::settings::closest;
use ostler_model::ids::{HostName, StepId};
use ostler_model::release::Series;
use std::ops::Range;

/// Steps whose name has no dash.
const PLAIN_STEPS: &[&str] = &["preflight", "soak"];

/// What the words of a script may stand for.
#[derive(Clone, Debug)]
pub struct Known {
    /// Nodes of the scene.
    pub hosts: Vec<String>,
    /// The service of the scene.
    pub service: String,
    /// Releases of the service, by their series.
    pub releases: Vec<String>,
}

/// A word of a line and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As written.
    pub text: String,
    /// Where.
    pub at: Range<usize>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Range<usize>,
    /// What.
    pub what: String,
    /// What to do.
    pub hints: Vec<String>,
}

/// A form and what becomes of the words that stand for something.
pub type Form<T> = (&'static str, fn(&[&str]) -> Option<T>);

/// What may happen.
pub const EVENTS: &[Form<Event>] = &[
    ("HOST loses power", |of| Some(Event::PowerLost(host(of, 0)?))),
    ("HOST gets power", |of| Some(Event::PowerBack(host(of, 0)?))),
    ("SERVICE stops on HOST", |of| Some(Event::Service(host(of, 1)?, false))),
    ("SERVICE starts on HOST", |of| Some(Event::Service(host(of, 1)?, true))),
    ("SERVICE VERSION is installed on HOST", |of| {
        Some(Event::Installed(of.get(1)?.to_string(), host(of, 2)?))
    }),
    ("the database stops on HOST", |of| Some(Event::Database(host(of, 0)?, false))),
    ("the database starts on HOST", |of| Some(Event::Database(host(of, 0)?, true))),
    ("the load balancer of HOST falls silent", |of| Some(Event::Proxy(host(of, 0)?, false))),
    ("the load balancer of HOST answers again", |of| Some(Event::Proxy(host(of, 0)?, true))),
    ("file PATH differs on HOST", |of| Some(Event::File(of.first()?.to_string(), host(of, 1)?, true))),
    ("file PATH is mended on HOST", |of| Some(Event::File(of.first()?.to_string(), host(of, 1)?, false))),
    ("the schema is that of RELEASE", |of| Some(Event::Schema(release(of, 0)?))),
    ("the package source loses RELEASE", |of| Some(Event::Offered(release(of, 0)?, false))),
    ("the package source regains RELEASE", |of| Some(Event::Offered(release(of, 0)?, true))),
    ("STEP fails once", |of| Some(Event::Fails(step(of, 0)?, 1))),
    ("STEP fails twice", |of| Some(Event::Fails(step(of, 0)?, 2))),
    ("STEP fails NUMBER times", |of| Some(Event::Fails(step(of, 0)?, of.get(1)?.parse().ok()?))),
    ("STEP hangs", |of| Some(Event::Hangs(step(of, 0)?))),
    ("STEP works again", |of| Some(Event::Fails(step(of, 0)?, 0))),
    ("ostler is killed", |_| Some(Event::Killed)),
    ("somebody presses Ctrl-C", |_| Some(Event::Interrupted)),
    ("TIME passes", |of| Some(Event::Passes(u64::from(of.first()?.parse::<Seconds>().ok()?.0) * 1000))),
];

/// Moments that may be waited for.
pub const MOMENTS: &[Form<Moment>] = &[
    ("STEP begins", |of| Some(Moment::Step(step(of, 0)?, About::Begins))),
    ("STEP is done", |of| Some(Moment::Step(step(of, 0)?, About::Done))),
    ("STEP fails", |of| Some(Moment::Step(step(of, 0)?, About::Fails))),
    ("STEP is in doubt", |of| Some(Moment::Step(step(of, 0)?, About::Doubt))),
    ("STEP waits", |of| Some(Moment::Step(step(of, 0)?, About::Waits))),
    ("the gate of STEP is passed", |of| Some(Moment::Step(step(of, 0)?, About::Passed))),
    ("the run is approved", |_| Some(Moment::Run(Turn::Approved))),
    ("the run is paused", |_| Some(Moment::Run(Turn::Paused))),
    ("the run is resumed", |_| Some(Moment::Run(Turn::Resumed))),
    ("the run is over", |_| Some(Moment::Run(Turn::Closed))),
];

fn host(of: &[&str], at: usize) -> Option<HostName> {
    of.get(at).map(|name| HostName::new(*name))
}

fn step(of: &[&str], at: usize) -> Option<StepId> {
    of.get(at).map(|name| StepId::new(*name))
}

fn release(of: &[&str], at: usize) -> Option<Series> {
    of.get(at)?.parse().ok()
}

/// Splits a piece of a line at its spaces. `offset` is where the piece begins in the file.
pub fn words(piece: &str, offset: usize) -> Vec<Word> {
    let mut found = Vec::new();
    let mut rest = piece;
    while !rest.trim_start().is_empty() {
        let skipped = rest.len() - rest.trim_start().len();
        let start = piece.len() - rest.len() + skipped;
        let text = rest.split_whitespace().next().unwrap_or_default();
        found.push(Word { text: text.to_owned(), at: offset + start..offset + start + text.len() });
        rest = &piece[start + text.len()..];
    }
    found
}

/// The form that all words fit. `end` is where the line ends.
pub fn fit<T>(forms: &[Form<T>], words: &[Word], known: &Known, end: usize) -> Result<T, Mistake> {
    let mut farthest = 0;
    let mut expected: Vec<String> = Vec::new();
    let mut candidates: Vec<String> = Vec::new();
    for (form, make) in forms {
        let parts: Vec<&str> = form.split(' ').collect();
        let fits = parts.iter().zip(words).take_while(|(part, word)| is(part, &word.text, known)).count();
        if fits == parts.len() && fits == words.len() {
            let of: Vec<&str> = parts
                .iter()
                .zip(words)
                .filter(|(part, _)| stands_for_something(part))
                .map(|(_, word)| word.text.as_str())
                .collect();
            if let Some(made) = make(&of) {
                return Ok(made);
            }
        }
        if fits > farthest {
            (farthest, expected, candidates) = (fits, Vec::new(), Vec::new());
        }
        if fits == farthest {
            expected.push((*form).to_owned());
            candidates.extend(parts.get(fits).map_or_else(Vec::new, |part| choices(part, known)));
        }
    }
    let (at, what) = match words.get(farthest) {
        Some(word) => (word.at.clone(), format!("`{}` does not fit here", word.text)),
        None => (end..end, "the line ends too early".to_owned()),
    };
    let meant = words
        .get(farthest)
        .and_then(|word| closest(&word.text, candidates.iter().map(String::as_str)))
        .map(|meant| format!("did you mean `{meant}`?"));
    let forms = match farthest {
        0 => "what may stand here is listed in crates/app/tests/stories/README.md".to_owned(),
        _ => format!("possible are: {}", expected.join(" | ")),
    };
    Err(Mistake { at, what, hints: meant.into_iter().chain([forms]).collect() })
}

fn stands_for_something(part: &str) -> bool {
    part.chars().all(|c| c.is_ascii_uppercase())
}

/// Whether a word fits a part of a form.
fn is(part: &str, word: &str, known: &Known) -> bool {
    match part {
        "HOST" => known.hosts.iter().any(|host| host == word),
        "SERVICE" => known.service == word,
        "RELEASE" => known.releases.iter().any(|release| release == word),
        "STEP" => word.contains('-') && !word.starts_with('-') || PLAIN_STEPS.contains(&word),
        "VERSION" => word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()),
        "PATH" => word.starts_with('/'),
        "NUMBER" => word.parse::<u32>().is_ok(),
        "TIME" => word.parse::<Seconds>().is_ok(),
        literal => literal == word,
    }
}

/// What could stand in the place of a part, for a suggestion.
fn choices(part: &str, known: &Known) -> Vec<String> {
    match part {
        "HOST" => known.hosts.clone(),
        "SERVICE" => vec![known.service.clone()],
        "RELEASE" => known.releases.clone(),
        "STEP" => PLAIN_STEPS.iter().map(|step| (*step).to_owned()).collect(),
        "VERSION" | "PATH" | "NUMBER" | "TIME" => Vec::new(),
        literal => vec![literal.to_owned()],
    }
}
