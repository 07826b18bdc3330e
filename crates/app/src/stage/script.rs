//! Reads a script: remarks, the scene, what happens when, and what is typed.
//!
//! A script with a mistake is not played at all: the place is told, with a caret and with what was probably meant.

use super::event::{Event, Moment};
use super::forms::{EVENTS, Known, MOMENTS, Mistake, Word, fit, words};
use super::scene::{COMPUTES_MAX, CONTROLLERS_MAX, Scene, service_of};
use crate::command_line::CommandLine;
use crate::duration::Seconds;
use crate::failure::Failure;
use crate::settings::{at, closest};
use clap::CommandFactory;
use ostler_model::catalogue::Catalogue;
use ostler_model::ids::ServiceName;
use ostler_model::release::Series;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Nouns that a script may not use: they reach past the seams.
const OFF_STAGE: &[&str] =
    &["lab", "bench", "demo", "logs", "power", "serve", "monitor", "health", "explain", "matrix", "canary"];

/// A script that can be played.
#[derive(Clone, Debug)]
pub struct Script {
    path: PathBuf,
    text: String,
    /// What there is when the curtain rises.
    pub scene: Scene,
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// As written.
    pub text: String,
    /// Where it stands in the file.
    pub at: Range<usize>,
    /// What it says.
    pub says: Says,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing, or the scene.
    Nothing,
    /// Something to the reader.
    Remark,
    /// Something happens now.
    Now(Event),
    /// Something happens at a moment, or some time after it, in milliseconds.
    Then(Moment, u64, Event),
    /// Somebody types a command.
    Typed(Command),
}

/// A command and what the person who typed it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is typed.
    pub text: String,
    /// Answers, if anybody is there to answer.
    pub answers: Option<Vec<String>>,
}

impl Script {
    /// Reads a script. `path` is what it is called in messages.
    pub fn read(path: &Path, text: &str, catalogue: &Catalogue) -> Result<Script, Failure> {
        let mut reader = Reader { known: None, scene: None, lines: Vec::new(), catalogue };
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim_end();
            let span = offset..offset + trimmed.len();
            offset += line.len();
            let says = reader.line(trimmed, span.start).map_err(|mistake| tell(path, text, mistake))?;
            if let Some(says) = says {
                reader.lines.push(Line { text: trimmed.to_owned(), at: span, says });
            }
        }
        let Some(scene) = reader.scene else {
            let mistake = Mistake {
                at: text.len()..text.len(),
                what: "there is no scene".into(),
                hints: vec![SCENE_FORM.into()],
            };
            return Err(tell(path, text, mistake));
        };
        Ok(Script { path: path.to_owned(), text: text.to_owned(), scene, lines: reader.lines })
    }

    /// A mistake in this script that shows only when it is played.
    pub fn mistake(&self, at: Range<usize>, what: impl Into<String>, hints: Vec<String>) -> Failure {
        tell(&self.path, &self.text, Mistake { at, what: what.into(), hints })
    }
}

/// How a scene is written.
const SCENE_FORM: &str = "begin with a line such as `cloud 3 controllers, keystone 2023.1, offering 2024.1`";

fn tell(path: &Path, text: &str, mistake: Mistake) -> Failure {
    let failure = at(path, text, Some(mistake.at), &mistake.what);
    mistake.hints.into_iter().fold(failure, Failure::hint)
}

struct Reader<'a> {
    known: Option<Known>,
    scene: Option<Scene>,
    lines: Vec<Line>,
    catalogue: &'a Catalogue,
}

impl Reader<'_> {
    /// What a line says; none: it belongs to the line before.
    fn line(&mut self, line: &str, start: usize) -> Result<Option<Says>, Mistake> {
        if line.trim().is_empty() {
            return Ok(Some(Says::Nothing));
        }
        if line.starts_with('#') {
            return Ok(Some(Says::Remark));
        }
        if let Some(answer) = line.strip_prefix('>') {
            return self.answer(answer.trim(), start..start + line.len()).map(|()| None);
        }
        let all = words(line, start);
        let first = all.first().map_or("", |word| word.text.as_str());
        if self.scene.is_none() {
            return self.scene(&all, start + line.len()).map(|()| Some(Says::Nothing));
        }
        if first == "cloud" {
            return Err(mistake(start..start + line.len(), "there is a scene already", &[]));
        }
        if let Some(text) = line.strip_prefix('$') {
            return command(text, start + 1).map(|text| Some(Says::Typed(Command { text, answers: None })));
        }
        let Some(known) = &self.known else { return Ok(Some(Says::Nothing)) };
        let is_time = first.parse::<Seconds>().is_ok() && all.get(1).is_some_and(|word| word.text == "after");
        if first == "when" || is_time {
            return then(line, start, &all, known).map(Some);
        }
        let lines_too = ["when", "#", "$", ">"].map(str::to_owned);
        let event = fit(EVENTS, &all, known, start + line.len());
        if let Ok(Event::Killed | Event::Interrupted) = event {
            let hint = "say when: `when ctl1-stop begins: ostler is killed`";
            return Err(mistake(start..start + line.len(), "no command is at work now", &[hint]));
        }
        event.map(|event| Some(Says::Now(event))).map_err(|mut wrong| {
            if wrong.at.start == start
                && let Some(meant) = closest(first, lines_too.iter().map(String::as_str))
            {
                wrong.hints.insert(0, format!("did you mean `{meant}`?"));
            }
            wrong
        })
    }

    fn answer(&mut self, answer: &str, at: Range<usize>) -> Result<(), Mistake> {
        match self.lines.last_mut().map(|line| &mut line.says) {
            Some(Says::Typed(command)) => {
                command.answers.get_or_insert_default().push(answer.to_owned());
                Ok(())
            }
            _ => {
                Err(mistake(at, "nobody has asked anything here", &["answers stand right below the command"]))
            }
        }
    }

    /// `cloud 3 controllers, 12 computes, keystone 2023.1, offering 2024.1 and 2024.2`
    fn scene(&mut self, all: &[Word], end: usize) -> Result<(), Mistake> {
        let releases: Vec<String> = self.catalogue.releases.keys().map(Series::to_string).collect();
        let word = |at: usize| {
            let word = all.get(at)?;
            let text = word.text.trim_end_matches(',');
            Some((text, word.at.start..word.at.start + text.len()))
        };
        let expect = |at: usize, known: &[&str]| -> Result<String, Mistake> {
            let Some((text, place)) = word(at) else {
                return Err(mistake(end..end, "the scene ends too early", &[SCENE_FORM]));
            };
            if known.contains(&text) {
                return Ok(text.to_owned());
            }
            let meant = closest(text, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
            let mut hints: Vec<&str> = meant.as_deref().into_iter().collect();
            hints.push(SCENE_FORM);
            Err(mistake(place, &format!("`{text}` does not fit here"), &hints))
        };
        expect(0, &["cloud"])?;
        let Some((number, place)) = word(1) else {
            return Err(mistake(end..end, "the scene ends too early", &[SCENE_FORM]));
        };
        let controllers = number.parse().ok().filter(|number| (1..=CONTROLLERS_MAX).contains(number));
        let Some(controllers) = controllers else {
            let what = format!("`{number}` is no number of controllers from 1 to {CONTROLLERS_MAX}");
            return Err(mistake(place, &what, &[SCENE_FORM]));
        };
        expect(2, &["controllers", "controller"])?;
        let (mut computes, mut next) = (0, 3);
        if let Some((number, place)) = word(next).filter(|(text, _)| text.parse::<u64>().is_ok()) {
            let Some(number) = number.parse().ok().filter(|number| (1..=COMPUTES_MAX).contains(number))
            else {
                let what = format!("`{number}` is no number of computes from 1 to {COMPUTES_MAX}");
                return Err(mistake(place, &what, &[SCENE_FORM]));
            };
            expect(next + 1, &["computes", "compute"])?;
            (computes, next) = (number, next + 2);
        }
        let service = service_of(self.catalogue).map_or("", |service| service.name.as_str());
        let service = expect(next, &[service])?;
        let known: Vec<&str> = releases.iter().map(String::as_str).collect();
        let from = expect(next + 1, &known)?;
        expect(next + 2, &["offering"])?;
        let mut offering = vec![expect(next + 3, &known)?];
        for at in next + 4..all.len() {
            if word(at).is_some_and(|(text, _)| text != "and") {
                offering.push(expect(at, &known)?);
            }
        }
        let series = |text: &str| -> Result<Series, Mistake> {
            text.parse().map_err(|_| mistake(0..end, &format!("`{text}` is no release"), &[]))
        };
        self.scene = Some(Scene {
            controllers,
            computes,
            service: ServiceName::new(service.clone()),
            from: series(&from)?,
            offering: offering.iter().map(|text| series(text)).collect::<Result<_, _>>()?,
        });
        let hosts = (1..=controllers).map(|number| format!("ctl{number}")).collect();
        self.known = Some(Known { hosts, service, releases });
        Ok(())
    }
}

fn mistake(at: Range<usize>, what: &str, hints: &[&str]) -> Mistake {
    Mistake { at, what: what.to_owned(), hints: hints.iter().map(|hint| (*hint).to_owned()).collect() }
}

/// `when MOMENT: EVENT`, `TIME after MOMENT: EVENT`
fn then(line: &str, start: usize, all: &[Word], known: &Known) -> Result<Says, Mistake> {
    let end = start + line.len();
    let Some(colon) = line.find(':') else {
        return Err(mistake(end..end, "it is not said what happens then", &["`when MOMENT: WHAT HAPPENS`"]));
    };
    let (skipped, delay_ms) = match all.first().and_then(|word| word.text.parse::<Seconds>().ok()) {
        Some(Seconds(seconds)) => (2, u64::from(seconds) * 1000),
        None => (1, 0),
    };
    let before: Vec<Word> = words(&line[..colon], start).into_iter().skip(skipped).collect();
    let moment = fit(MOMENTS, &before, known, start + colon)?;
    let after = &line[colon + 1..];
    let event = match after.trim_start().strip_prefix('$') {
        Some(text) => Event::Types(command(text, end - text.len())?),
        None => fit(EVENTS, &words(after, start + colon + 1), known, end)?,
    };
    if matches!(event, Event::Passes(_)) {
        let hint = "time passes by itself while a command works; to delay something: `TIME after MOMENT: …`";
        return Err(mistake(start + colon + 1..end, "time cannot pass at a moment", &[hint]));
    }
    Ok(Says::Then(moment, delay_ms, event))
}

/// A command that may be typed on a pretended cloud. Whether it makes sense is for the parser of the command line.
fn command(text: &str, start: usize) -> Result<String, Mistake> {
    let all = words(text, start);
    let place = |number: usize| all.get(number).map_or(start..start + text.len(), |word| word.at.clone());
    match all.first().map(|word| word.text.as_str()) {
        Some("ostler") => {}
        _ => return Err(mistake(place(0), "only `ostler` can be typed here", &["`$ ostler …`"])),
    }
    if let Some(noun) = all.get(1).filter(|word| OFF_STAGE.contains(&word.text.as_str())) {
        let known = CommandLine::command();
        let rest = known.get_subcommands().map(clap::Command::get_name);
        let rest: Vec<&str> = rest.filter(|name| !OFF_STAGE.contains(name)).collect();
        let hint = format!("possible are: {}", rest.join(", "));
        let what = format!("`ostler {}` reaches past the pretended cloud", noun.text);
        return Err(mistake(noun.at.clone(), &what, &[&hint]));
    }
    if split(text).is_none() {
        return Err(mistake(place(0).start..start + text.len(), "a quote is not closed", &[]));
    }
    Ok(text.trim().to_owned())
}

/// Splits a command as a shell would: at spaces, except between quotes. None: a quote is not closed.
pub fn split(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => found.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    quote.is_none().then_some(found)
}
