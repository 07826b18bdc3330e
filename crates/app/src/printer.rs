//! The only place that writes to the terminal: text or JSON, colour or none, the live display left intact.
//!
//! It knows no cloud and no run. Colours never carry a meaning alone. Failing to write is told to the caller,
//! except for progress lines: work goes on when nobody reads them.

use crate::failure::Failure;
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Columns of a page when nobody says otherwise.
const COLUMNS: usize = 96;

/// Bounds for a width taken from the environment.
const COLUMNS_RANGE: std::ops::RangeInclusive<usize> = 40..=200;

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one document, or one event per line.
    Json,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// A heading.
    Heading,
    /// Well.
    Good,
    /// Needs care.
    Care,
    /// Wrong, or not to be taken back.
    Bad,
    /// Beside the point.
    Faint,
}

/// Writes answers.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Text or JSON.
    pub format: Format,
    /// Whether a live display may be shown.
    pub may_animate: bool,
    colour: bool,
    columns: usize,
    /// Whether what stands beside an answer belongs to it, as in a transcript.
    is_transcript: bool,
}

impl Printer {
    /// A printer for this process.
    pub fn new(format: Format, no_progress: bool) -> Printer {
        let on_terminal = io::stdout().is_terminal();
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        Printer {
            format,
            may_animate: on_terminal
                && io::stderr().is_terminal()
                && !no_progress
                && !dumb
                && format == Format::Text,
            colour: on_terminal && !no_colour && !dumb && format == Format::Text,
            columns: columns.filter(|columns| COLUMNS_RANGE.contains(columns)).unwrap_or(COLUMNS),
            is_transcript: false,
        }
    }

    /// A printer for plain text of the usual width, whatever this process writes to.
    #[cfg(test)]
    pub fn plain() -> Printer {
        Printer {
            format: Format::Text,
            may_animate: false,
            colour: false,
            columns: COLUMNS,
            is_transcript: false,
        }
    }

    /// The same for a command that asks for a format, or for plain lines.
    pub fn typed(self, format: Format, no_progress: bool) -> Printer {
        let is_text = format == Format::Text;
        Printer {
            format,
            may_animate: self.may_animate && is_text && !no_progress,
            colour: self.colour && is_text,
            ..self
        }
    }

    /// The same for a transcript: failures, questions and notes stand among the answers.
    pub fn transcript(self) -> Printer {
        Printer { is_transcript: true, ..self }
    }

    /// Where goes what is no answer.
    fn beside(&self) -> Box<dyn Write> {
        if self.is_transcript { Box::new(stdout()) } else { Box::new(stderr()) }
    }

    /// Whether answers are for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person can be asked something.
    pub fn can_ask(&self) -> bool {
        self.format == Format::Text && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Columns of the page.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Text in its colour, where colours are wanted.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style = match ink {
            Ink::Heading => Style::new().bold(),
            Ink::Good => AnsiColor::Green.on_default(),
            Ink::Care => AnsiColor::Yellow.on_default(),
            Ink::Bad => AnsiColor::Red.on_default().bold(),
            Ink::Faint => Style::new().dimmed(),
        };
        format!("{}{text}{}", style.render(), style.render_reset())
    }

    /// Prints text; a line's end is added where it lacks one.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = stdout();
        out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints bytes as they are: lines of logs are not always text.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = stdout();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Prints one JSON document, readable.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(error.to_string()))?;
        self.text(&text)
    }

    /// Prints a JSON document on one line. Work goes on when nobody reads it.
    pub fn json_line(&self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            self.progress_line(&text);
        }
    }

    /// Prints a line about work under way. Work goes on when nobody reads it.
    pub fn progress_line(&self, line: &str) {
        let mut out = stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Says something to a person beside the answer; not to programs.
    pub fn note(&self, text: &str) {
        if self.format == Format::Text {
            let _ = writeln!(self.beside(), "{text}");
        }
    }

    /// Shows a question and leaves the cursor behind it.
    pub fn prompt(&self, question: &str) {
        let mut out = self.beside();
        let _ = write!(out, "{question} ").and_then(|()| out.flush());
    }

    /// Shows an answer that nobody typed, as if somebody had.
    pub fn echo(&self, answer: &str) {
        let _ = writeln!(self.beside(), "{answer}");
    }

    /// Prints what the parser of the command line says, in its own colours where there are any.
    pub fn mistyped(&self, error: &clap::Error) {
        // A reader that has gone away is no reason to complain.
        let _ = match cfg!(test) {
            true => write!(stderr(), "{}", error.render()),
            false => error.print(),
        };
    }

    /// Prints a failure.
    pub fn failure(&self, failure: &Failure) {
        let mut out = self.beside();
        let _ = match self.format {
            Format::Json => writeln!(out, "{}", failure.to_json()),
            Format::Text => write!(out, "{failure}"),
        };
    }
}

#[cfg(not(test))]
fn stdout() -> impl Write {
    io::stdout().lock()
}

#[cfg(not(test))]
fn stderr() -> impl Write {
    io::stderr().lock()
}

#[cfg(test)]
use told::Told;
#[cfg(test)]
pub use told::take as take_told;

#[cfg(test)]
fn stdout() -> impl Write {
    Told
}

#[cfg(test)]
fn stderr() -> impl Write {
    Told
}

/// In stories, what is printed is kept instead.
#[cfg(test)]
mod told {
    use std::cell::RefCell;
    use std::io;

    thread_local! {
        static SO_FAR: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps what is printed.
    pub struct Told;

    impl io::Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            SO_FAR.with_borrow_mut(|so_far| so_far.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What was printed since the last time.
    pub fn take() -> String {
        SO_FAR.with_borrow_mut(|so_far| String::from_utf8_lossy(&std::mem::take(so_far)).into_owned())
    }
}
