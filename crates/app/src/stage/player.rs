//! Plays a script: types its commands, lets happen what happens, and tells all of it through the printer.
//!
//! Each command is a program of its own with its own process number, as at a real terminal. It never helps a
//! command: what is not said in the script does not happen.

use super::event::Event;
use super::scene::version_of;
use super::script::{Line, Says, Script, split};
use super::wings::{Wings, rest};
use crate::command_line::{CommandLine, answer, mistyped};
use crate::context::{Answers, Context, Given};
use crate::failure::Failure;
use crate::printer::{Ink, Printer};
use crate::settings::closest;
use crate::wiring::Site;
use crate::words;
use clap::Parser;
use ostler_model::catalogue::Catalogue;
use ostler_model::event::Actor;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The person who types, and the machine at which they sit.
const PERSON: &str = "alice";
const MACHINE: &str = "adm1";

/// The first command's process number.
const FIRST_PROCESS: u32 = 2001;

/// How long a reader needs for a remark, before an answer, and after a command.
const REMARK: Duration = Duration::from_millis(350);
const THOUGHT: Duration = Duration::from_millis(1_200);
const PAGE: Duration = Duration::from_millis(800);

/// How a script is shown.
#[derive(Clone, Copy, Debug)]
pub struct Showing {
    /// Where it is told.
    pub printer: Printer,
    /// Whether the script's own lines are told, word for word, and not only what they lead to.
    pub is_transcript: bool,
    /// Whether it goes at a pace for reading.
    pub is_for_reading: bool,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ended with this exit code.
    Ended(u8),
    /// It was killed.
    Killed,
}

/// What came of a script.
pub struct Played {
    /// Every command of the first terminal, in order.
    pub ran: Vec<(String, Ran)>,
    /// The pretended cloud as it was left.
    pub wings: Arc<Wings>,
    /// Versions of the releases of the scene: before, and each that was offered.
    pub versions: Vec<String>,
}

/// Plays a script on the clock of this runtime, which must be paused.
pub async fn play(script: &Script, catalogue: Arc<Catalogue>, showing: Showing) -> Result<Played, Failure> {
    let Some((cloud, settings)) = script.scene.build(&catalogue) else {
        return Err(Failure::failed("the catalogue has no page for the scene of this script"));
    };
    let wings = Wings::new(&cloud, showing.is_for_reading);
    let site = Site { cloud: settings, catalogue, seams: wings.seams(), credentials: Ok(()) };
    let player = Player {
        script,
        wings,
        site,
        showing,
        process: Cell::new(FIRST_PROCESS),
        gone: Arc::default(),
        timers: RefCell::new(Vec::new()),
        ran: RefCell::new(Vec::new()),
    };
    for number in 0..script.lines.len() {
        player.line(number).await?;
    }
    player.all_happened()?;
    let releases = std::iter::once(&script.scene.from).chain(&script.scene.offering);
    let page = player.site.catalogue.services.get(&script.scene.service);
    let versions = releases.filter_map(|series| page?.release(*series).map(version_of)).collect();
    Ok(Played { ran: player.ran.into_inner(), wings: player.wings, versions })
}

struct Player<'a> {
    script: &'a Script,
    wings: Arc<Wings>,
    site: Site,
    showing: Showing,
    /// The next command's process number.
    process: Cell<u32>,
    /// Owners of leases that were killed.
    gone: Arc<Mutex<BTreeSet<String>>>,
    /// What happens later: when, and which line says so. Each line is in it once at most.
    timers: RefCell<Vec<(Instant, usize)>>,
    ran: RefCell<Vec<(String, Ran)>>,
}

/// What a cue leaves of the command that is at work.
enum Leaves {
    GoesOn,
    Killed,
    Interrupted,
}

impl Player<'_> {
    async fn line(&self, number: usize) -> Result<(), Failure> {
        let Some(line) = self.script.lines.get(number) else { return Ok(()) };
        match &line.says {
            Says::Nothing => {
                if self.showing.is_transcript {
                    self.tell(&format!("{}\n", line.text))?;
                }
            }
            Says::Remark => self.remark(&line.text).await?,
            Says::Now(Event::Passes(ms)) => {
                self.happening(&line.text)?;
                self.pass(Duration::from_millis(*ms)).await?;
            }
            Says::Now(event) => {
                self.happening(&line.text)?;
                event.happen(&self.wings, &self.site.catalogue);
            }
            Says::Then(moment, ..) => {
                if self.showing.is_transcript {
                    self.tell(&format!("{}\n", line.text))?;
                }
                self.wings.wait_for(number, moment.clone());
            }
            Says::Typed(command) => {
                let text = self.filled(line, &command.text)?;
                self.tell(&format!("{}\n", self.ink(Ink::Heading, &format!("$ {text}"))))?;
                let ran = self.run(&text, command.answers.clone()).await?;
                self.ended(ran)?;
                self.ran.borrow_mut().push((text, ran));
                self.breathe(PAGE).await;
            }
        }
        Ok(())
    }

    /// A command in the first terminal, or in the second one while the first one's is at work.
    fn run<'a>(
        &'a self,
        text: &'a str,
        answers: Option<Vec<String>>,
    ) -> Pin<Box<dyn Future<Output = Result<Ran, Failure>> + 'a>> {
        Box::pin(async move {
            let Some(words) = split(text) else { return Ok(Ran::Ended(2)) };
            let typed = match CommandLine::try_parse_from(&words) {
                Ok(typed) => typed,
                Err(error) => return Ok(Ran::Ended(mistyped(self.showing.printer, &error, &words))),
            };
            let owner = format!("{MACHINE}/1/{}/1", self.process.replace(self.process.get() + 1));
            let gone = Arc::clone(&self.gone);
            let given = Given {
                site: self.site.clone(),
                person: Actor::Person(PERSON.to_owned()),
                owner: owner.clone(),
                is_gone: Arc::new(move |owner| {
                    gone.lock().unwrap_or_else(PoisonError::into_inner).contains(owner)
                }),
                answers: answers.map(|answers| self.answers(answers)),
            };
            let context = Context::over(given, self.showing.printer, &typed.global);
            // Boxed as what it is used as: a command of the demonstration contains commands.
            let mut work: Pin<Box<dyn Future<Output = _>>> = Box::pin(words::speak(&context, typed.noun));
            let ran = loop {
                let leaves = tokio::select! {
                    biased;
                    outcome = &mut work => break Ran::Ended(answer(&context, outcome)),
                    () = self.wings.called() => self.cues(Some(&context)).await?,
                    line = self.next_timer() => self.happens(Some(&context), line).await?,
                };
                match leaves {
                    Leaves::GoesOn => {}
                    Leaves::Killed => break Ran::Killed,
                    Leaves::Interrupted if context.stop_softly() => {}
                    Leaves::Interrupted => {
                        break Ran::Ended(answer(&context, Err(context.interrupted().await)));
                    }
                }
            };
            drop(work);
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(owner);
            // What the last entry called for has nobody left to hold up.
            self.cues(Some(&context)).await?;
            Ok(ran)
        })
    }

    /// Carries out every cue that was given.
    async fn cues(&self, context: Option<&Context>) -> Result<Leaves, Failure> {
        while let Some(number) = self.wings.take_cue() {
            let delay_ms = match self.script.lines.get(number).map(|line| &line.says) {
                Some(Says::Then(_, delay_ms, _)) => *delay_ms,
                _ => 0,
            };
            if delay_ms > 0 {
                // A moment later: what ends exactly then has ended.
                let at = Instant::now() + Duration::from_millis(delay_ms + 1);
                self.timers.borrow_mut().push((at, number));
                continue;
            }
            match self.happens(context, number).await? {
                Leaves::GoesOn => {}
                other => return Ok(other),
            }
        }
        Ok(Leaves::GoesOn)
    }

    /// Waits for the next timer and answers its line.
    async fn next_timer(&self) -> usize {
        let next = self.timers.borrow().iter().min_by_key(|(at, _)| *at).copied();
        let Some((at, number)) = next else { return std::future::pending().await };
        sleep_until(at).await;
        self.timers.borrow_mut().retain(|(_, other)| *other != number);
        number
    }

    /// Lets time pass, and happen what happens meanwhile.
    async fn pass(&self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                number = self.next_timer() => {
                    // No command is at work that could be killed.
                    let _ = self.happens(None, number).await?;
                }
                () = sleep_until(end) => return Ok(()),
            }
        }
    }

    /// What a line has promised happens, while a command is at work.
    async fn happens(&self, context: Option<&Context>, number: usize) -> Result<Leaves, Failure> {
        let Some(line) = self.script.lines.get(number) else { return Ok(Leaves::GoesOn) };
        let Says::Then(_, _, event) = &line.says else { return Ok(Leaves::GoesOn) };
        let said = line.text.split_once(':').map_or("", |(_, said)| said.trim());
        if let Event::Types(text) = event {
            let text = self.filled(line, text)?;
            self.say(context, &self.ink(Ink::Care, "--- meanwhile, in a second terminal:"));
            self.say(context, &self.ink(Ink::Heading, &format!("$ {text}")));
            let ran = self.run(&text, None).await?;
            self.ended(ran)?;
            self.say(context, &self.ink(Ink::Care, "--- and in the first one:"));
            return Ok(Leaves::GoesOn);
        }
        self.say(context, &self.ink(Ink::Care, &format!("*** {said}")));
        event.happen(&self.wings, &self.site.catalogue);
        Ok(match event {
            Event::Killed => Leaves::Killed,
            Event::Interrupted => Leaves::Interrupted,
            _ => Leaves::GoesOn,
        })
    }

    /// The command with the names of plans and runs in it.
    fn filled(&self, line: &Line, text: &str) -> Result<String, Failure> {
        fill(&self.wings, text).map_err(|name| {
            let what = format!("`{{{name}}}` stands for nothing yet");
            let hint = "`{plan}` is the plan made last, `{run}` the run opened last, `{run 1}` the first one";
            self.script.mistake(line.at.clone(), what, vec![hint.to_owned()])
        })
    }

    /// What the person answers. The names of plans are known only when they are asked for.
    fn answers(&self, answers: Vec<String>) -> Answers {
        let (wings, left) = (Arc::clone(&self.wings), RefCell::new(VecDeque::from(answers)));
        let think = self.showing.is_for_reading.then_some(THOUGHT);
        Box::new(move || {
            let answer = left.borrow_mut().pop_front();
            let answer = answer.map(|answer| fill(&wings, &answer).unwrap_or_else(|_| answer.clone()));
            Box::pin(async move {
                if let Some(time) = think {
                    rest(time).await;
                }
                answer
            })
        })
    }

    /// Says a line, beside the live display of the command that is at work.
    fn say(&self, context: Option<&Context>, line: &str) {
        match context {
            Some(context) => context.say(line),
            None => self.showing.printer.progress_line(line),
        }
    }

    /// Refuses a script with a moment that never came, or a step that is in no plan: it did not tell what it says.
    fn all_happened(&self) -> Result<(), Failure> {
        let steps: Vec<String> = self.wings.steps().iter().map(ToString::to_string).collect();
        let meant = |step: &str| {
            let meant = closest(step, steps.iter().map(String::as_str)).filter(|meant| *meant != step);
            meant.map(|meant| format!("did you mean `{meant}`?")).into_iter().collect::<Vec<_>>()
        };
        if let Some((number, moment)) = self.wings.never_given().into_iter().next()
            && let Some(line) = self.script.lines.get(number)
        {
            let hints = moment.step().map_or_else(Vec::new, |step| meant(step.as_str()));
            return Err(self.script.mistake(line.at.clone(), "this moment never came", hints));
        }
        for line in &self.script.lines {
            let (Says::Now(event) | Says::Then(_, _, event)) = &line.says else { continue };
            if let Some(step) = event.step().filter(|step| !steps.iter().any(|known| known == step.as_str()))
            {
                let what = format!("no plan has a step `{step}`");
                return Err(self.script.mistake(line.at.clone(), what, meant(step.as_str())));
            }
        }
        Ok(())
    }

    async fn remark(&self, text: &str) -> Result<(), Failure> {
        if self.showing.is_transcript {
            return self.tell(&format!("{text}\n"));
        }
        let words = text.trim_start_matches('#').trim_start();
        match text.starts_with("##") {
            true => self.tell(&format!("\n{}\n", self.ink(Ink::Heading, &format!("== {words} =="))))?,
            false => self.tell(&format!("{words}\n"))?,
        }
        self.breathe(REMARK).await;
        Ok(())
    }

    fn happening(&self, text: &str) -> Result<(), Failure> {
        match self.showing.is_transcript {
            true => self.tell(&format!("{text}\n")),
            false => self.tell(&format!("{}\n", self.ink(Ink::Care, &format!("*** {text}")))),
        }
    }

    fn ended(&self, ran: Ran) -> Result<(), Failure> {
        let words = match ran {
            Ran::Killed => "[killed]".to_owned(),
            Ran::Ended(code) => format!("[exit {code}: {}]", meaning(code)),
        };
        self.tell(&format!("{}\n", self.ink(Ink::Faint, &words)))
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        self.showing.printer.ink(ink, text)
    }

    fn tell(&self, text: &str) -> Result<(), Failure> {
        self.showing.printer.text(text)
    }

    async fn breathe(&self, time: Duration) {
        if self.showing.is_for_reading {
            rest(time).await;
        }
    }
}

/// A text with the names of plans and runs in it. `Err` with what stands for nothing.
fn fill<'a>(wings: &Wings, text: &'a str) -> Result<String, &'a str> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let runs = wings.runs();
        let stands_for = match name.split_once(' ') {
            None if name == "plan" => wings.last_plan().map(|plan| plan.short().to_owned()),
            None if name == "run" => runs.last().map(ToString::to_string),
            Some(("run", number)) => {
                let number = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                number.and_then(|number| runs.get(number)).map(ToString::to_string)
            }
            _ => None,
        };
        filled.push_str(before);
        filled.push_str(&stands_for.ok_or(name)?);
        rest = after;
    }
    Ok(filled + rest)
}

/// What an exit code means, in a word.
fn meaning(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "failed",
        2 => "usage, nothing changed",
        3 => "warnings",
        4 => "errors found",
        5 => "refused by a guard",
        6 => "partly done, resumable",
        7 => "failed and rolled back",
        8 => "waiting for the operator",
        9 => "held by another ostler",
        130 => "interrupted, resumable",
        _ => "?",
    }
}
