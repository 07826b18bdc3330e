//! What every command has at hand: the printer, the settings, the store, and what it holds when it is interrupted.
//!
//! Each thing is opened when it is first needed and not before.

use crate::command_line::Global;
use crate::failure::{Failure, Kind};
use crate::printer::Printer;
use crate::settings::{CloudSettings, Settings, default_store};
use crate::wiring::Site;
use indicatif::MultiProgress;
use ostler_engine::run::give_back;
use ostler_engine::seam::{Clock, Lease, Store};
use ostler_model::event::Actor;
use ostler_model::ids::RunId;
use ostler_world::system::{SystemClock, lease_owner, owner_is_gone};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
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
    given: Option<Given>,
    live: RefCell<Option<MultiProgress>>,
}

/// Says whether the owner of a lease is known to be gone.
pub type IsGone = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Says what a person answers next; none: nothing more.
pub type Answers = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Option<String>>>>>;

/// What stands in for the world outside: a pretended cloud, the person who types, and what they answer.
pub struct Given {
    /// The cloud, and everything that is needed to work on it.
    pub site: Site,
    /// Who types.
    pub person: Actor,
    /// The name under which leases are taken.
    pub owner: String,
    /// Whether the owner of a lease is known to be gone.
    pub is_gone: IsGone,
    /// Says what the person answers next; none: nobody can be asked.
    pub answers: Option<Answers>,
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
            given: None,
            live: RefCell::new(None),
        }
    }

    /// From what was typed, over a world that is given instead of being found.
    pub fn over(given: Given, printer: Printer, global: &Global) -> Context {
        let settings = Settings {
            path: PathBuf::from("the pretended ostler.toml"),
            clouds: vec![given.site.cloud.clone()],
            default_cloud: None,
            store: None,
            catalogue: None,
            serve: None,
        };
        Context {
            printer: printer.typed(global.format, global.no_progress),
            settings: OnceCell::from(Some(settings)),
            store: OnceCell::from(Arc::clone(&given.site.seams.store)),
            given: Some(given),
            ..Context::new(global)
        }
    }

    /// The world that is given, if one is.
    pub fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// Time.
    pub fn clock(&self) -> &dyn Clock {
        self.given.as_ref().map_or(&SystemClock, |given| given.site.seams.clock.as_ref())
    }

    /// Who types: the person behind sudo, else the account.
    pub fn person(&self) -> Actor {
        self.given.as_ref().map_or_else(person, |given| given.person.clone())
    }

    /// The name under which this program takes leases.
    pub fn lease_owner(&self) -> String {
        self.given.as_ref().map_or_else(lease_owner, |given| given.owner.clone())
    }

    /// Says whether the owner of a lease is known to be gone.
    pub fn is_gone(&self) -> IsGone {
        self.given
            .as_ref()
            .map_or_else(|| Arc::new(owner_is_gone) as IsGone, |given| Arc::clone(&given.is_gone))
    }

    /// Whether a person can be asked something.
    pub fn can_ask(&self) -> bool {
        match &self.given {
            None => self.printer.can_ask(),
            Some(given) => given.answers.is_some() && !self.printer.is_json(),
        }
    }

    /// The next answer of the person who is given. `Err`: nobody is, a real one must be asked.
    pub async fn given_answer(&self) -> Result<Option<String>, NobodyGiven> {
        let given = self.given.as_ref().ok_or(NobodyGiven)?;
        let answer = match &given.answers {
            Some(next) => next().await,
            None => None,
        };
        self.printer.echo(answer.as_deref().unwrap_or_default());
        Ok(answer)
    }

    /// Remembers the live display, so that a line can be said beside it; none: there is none any more.
    pub fn show_live(&self, live: Option<MultiProgress>) {
        *self.live.borrow_mut() = live;
    }

    /// Says a line, beside the live display if there is one.
    pub fn say(&self, line: &str) {
        match self.live.borrow().as_ref() {
            Some(live) => drop(live.println(line)),
            None => self.printer.progress_line(line),
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
        let location = self.state_location()?;
        let store = ostler_world::store::open(&location).await?;
        let _ = self.store.set(Arc::clone(&store));
        Ok(store)
    }

    /// Where the store is: as typed, else as the settings say, else the user's own place.
    pub fn state_location(&self) -> Result<String, Failure> {
        Ok(match (&self.state, self.settings()?) {
            (Some(typed), _) => typed.clone(),
            (None, Some(Settings { store: Some(said), .. })) => said.clone(),
            _ => default_store()?,
        })
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
            let _ = give_back(store.as_ref(), &held.lease).await;
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

/// No person is given whose answers are known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NobodyGiven;

fn person() -> Actor {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.is_empty());
    Actor::Person(name.unwrap_or_else(|| "somebody".to_owned()))
}
