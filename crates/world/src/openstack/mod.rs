//! OpenStack's APIs with an operator's credentials: through the front door, or straight at one server behind it.
//!
//! This module must never show a password or a token, and never retry a call: how often a call may fail is for the
//! engine to say.

mod clouds_yaml;
mod http;
mod keystone;
mod tokens;

pub use clouds_yaml::{Credentials, CredentialsError, Identity, Named, Scope};
pub use keystone::KeystoneCloud;
pub use tokens::{Holder, TokenError, Tokens};
