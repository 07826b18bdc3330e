//! A cloud that is only pretended: nodes, load balancers and a database as plain state behind the six seams, on
//! whatever clock the runtime has.
//!
//! It answers as the real parts do, also when they fail. It must never be needed by `world`, and it decides
//! nothing: the planner, the fold and the driver that run against it are the ones that run in production.

pub mod cloud;
mod effects;
mod seams;
pub mod store;

pub use cloud::{SimCloud, SimNode};
pub use seams::{SimClock, SimDice, SimPower, seams};
pub use store::MemoryStore;
