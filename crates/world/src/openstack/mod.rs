//! OpenStack's APIs with an operator's credentials: through the front door, or straight at one server behind it.
//!
//! This module must never show a password or a token, and never retry a call: how often a call may fail is for the
//! engine to say.

mod canary;
pub(crate) mod catalogue;
mod client;
mod clouds_yaml;
mod error;
mod gate;
pub(crate) mod http;
mod keystone;
mod login;
mod nova;
mod placement;
pub(crate) mod plain;
mod reading;
mod recovery;
mod sample;
mod tokens;
pub(crate) mod version;

pub use client::OpenStack;
pub use clouds_yaml::{Credentials, CredentialsError, Identity, Interface, Named, Scope};
pub use error::ApiError;
pub use keystone::KeystoneCloud;
pub use nova::{Aggregate, ComputeService, Group, Hypervisor, Migration, Server, WakesUp};
pub use placement::{Allocations, Provider, Stock};
pub(crate) use reading::quoted;
pub use recovery::ComputeSide;
pub use tokens::{Holder, TokenError, Tokens};
pub use version::{Microversion, Range};
