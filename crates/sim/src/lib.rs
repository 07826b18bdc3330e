//! A cloud that is only pretended: nodes, load balancers and a database as plain state behind the six seams, on
//! whatever clock the runtime has.
//!
//! It answers as the real parts do, also when they fail. It must never be needed by `world`, and it decides
//! nothing: the planner, the fold and the driver that run against it are the ones that run in production.

pub mod clock;
pub mod cloud;
pub mod dice;
pub mod nova;
pub mod outage;
mod passage;
pub mod power;
pub mod rabbit;
mod register;
pub mod rehearse;
mod seams;
pub mod store;
pub mod storm;

pub use clock::SimClock;
pub use cloud::{SimCloud, SimNode};
pub use dice::{Rolls, SimDice};
pub use seams::{SimPower, seams, seams_at};
pub use store::MemoryStore;
