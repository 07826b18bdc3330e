//! What every command has at hand: the printer, the settings, the store, and what it holds when it is interrupted.
//!
//! Each thing is opened when it is first needed and not before.

use crate::command_line::Global;
use crate::failure::{Failure, Kind};
use crate::printer::Printer;
use crate::settings::{CloudSettings, Settings, default_store};
use ostler_engine::run::give_back;
use ostler_engine::seam::{Lease, Store};
use ostler_model::event::Actor;
use ostler_model::ids::RunId;
use ostler_world::system::SystemClock;
use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long giving a lease back may hold up an interrupted program.
const FAREWELL: Duration = Duration::from_secs(2);

/// What every command has at hand.
pub struct Context {
    /// Writes answers.
    pub printer: Printer,
    cloud: Option<String>,
    config: Option<PathBuf>,
    state: Option<String>,
    settings: OnceCell<Option<Settings>>,
    store: OnceCell<Arc<dyn Store>>,
    held: RefCell<Option<Held>>,
    stops_softly: Cell<bool>,
    stop: Notify,
}

/// What must be given back, or told, when the program is interrupted.
struct Held {
    lease: Lease,
    run: Option<(RunId, bool)>,
}

impl Context {
    /// From what was typed.
    pub fn new(global: &Global) -> Context {
        Context {
            printer: Printer::new(global.format, global.no_progress),
            cloud: global.cloud.clone(),
            config: global.config.clone().or_else(|| given("OSTLER_CONFIG").map(PathBuf::from)),
            state: global.state.clone().or_else(|| given("OSTLER_STATE")),
            settings: OnceCell::new(),
            store: OnceCell::new(),
            held: RefCell::new(None),
            stops_softly: Cell::new(false),
            stop: Notify::new(),
        }
    }

    /// The name of the cloud that was typed, if one was.
    pub fn cloud_typed(&self) -> Option<&str> {
        self.cloud.as_deref()
    }

    /// The cloud that is meant.
    pub fn cloud(&self) -> Result<&CloudSettings, Failure> {
        match self.settings()? {
            Some(settings) => settings.cloud(self.cloud.as_deref()),
            // Says where was looked.
            None => Err(match Settings::find(self.config.as_deref()) {
                Err(failure) => failure,
                Ok(settings) => Failure::failed(format!("{} came and went", settings.path.display())),
            }),
        }
    }

    /// The settings, where there are any.
    pub fn settings(&self) -> Result<Option<&Settings>, Failure> {
        if self.settings.get().is_none() {
            let found = Settings::find_any(self.config.as_deref())?;
            let _ = self.settings.set(found);
        }
        Ok(self.settings.get().and_then(Option::as_ref))
    }

    /// The store: as typed, else as the settings say, else the user's own.
    pub async fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        let location = match (&self.state, self.settings()?) {
            (Some(typed), _) => typed.clone(),
            (None, Some(Settings { store: Some(said), .. })) => said.clone(),
            _ => default_store()?,
        };
        let store = ostler_world::store::open(&location).await?;
        let _ = self.store.set(Arc::clone(&store));
        Ok(store)
    }

    /// Remembers what must be given back when the program is interrupted: the lease, and the run that is driven,
    /// with whether it can be taken back.
    pub fn hold(&self, lease: Lease, run: Option<(RunId, bool)>) {
        *self.held.borrow_mut() = Some(Held { lease, run });
    }

    /// Gives the lease back, if one is held.
    pub async fn let_go(&self) {
        let held = self.held.borrow_mut().take();
        if let (Some(held), Some(store)) = (held, self.store.get()) {
            // If this fails the lease ends by itself.
            let _ = give_back(store.as_ref(), &SystemClock, &held.lease).await;
        }
    }

    /// Waits for the first interruption, which then does not end the program; the second one does.
    pub async fn until_stopped(&self) {
        self.stops_softly.set(true);
        self.stop.notified().await;
    }

    /// Passes an interruption to whoever waits for one. False: nobody does.
    pub fn stop_softly(&self) -> bool {
        let is_awaited = self.stops_softly.replace(false);
        if is_awaited {
            self.stop.notify_one();
        }
        is_awaited
    }

    /// The program was interrupted: what is under way is left to its unit.
    pub async fn interrupted(&self) -> Failure {
        let run = self.held.borrow().as_ref().and_then(|held| held.run.clone());
        let _ = tokio::time::timeout(FAREWELL, self.let_go()).await;
        match run {
            None => Failure::new(Kind::Interrupted, "interrupted"),
            Some((run, has_way_back)) => Failure::new(
                Kind::Interrupted,
                format!("interrupted: no further step of run {run} begins; what is under way is left to its unit on the node"),
            )
            .hint(format!("go on: `ostler run resume {run}`"))
            .maybe_hint(has_way_back.then(|| format!("take it back: `ostler run rollback {run}`"))),
        }
    }
}

fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Who types: the person behind sudo, else the account.
pub fn person() -> Actor {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.is_empty());
    Actor::Person(name.unwrap_or_else(|| "somebody".to_owned()))
}
