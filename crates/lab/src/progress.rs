//! Tells the caller what the lab is doing, also when several things go on at once.
//!
//! Must never print: words go to the caller's function.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One thing that the lab began or finished.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How long after the beginning.
    pub after: Duration,
    /// What it is about: a node's name, `image`, `packages`, `cluster`.
    pub subject: String,
    /// What happens.
    pub message: String,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6.1}s  {:<9} {}", self.after.as_secs_f64(), self.subject, self.message)
    }
}

/// A caller's function for progress.
pub type Listener<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Shares the caller's function among things that go on at once.
pub(crate) struct Teller<'a> {
    begun: Instant,
    listener: Mutex<Listener<'a>>,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(listener: Listener<'a>) -> Self {
        Self { begun: Instant::now(), listener: Mutex::new(listener) }
    }

    pub(crate) fn tell(&self, subject: &str, message: impl Into<String>) {
        let progress =
            Progress { after: self.begun.elapsed(), subject: subject.to_owned(), message: message.into() };
        if let Ok(mut listener) = self.listener.lock() {
            listener(progress);
        }
    }
}
