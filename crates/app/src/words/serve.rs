//! `ostler serve`: the server.
//!
//! Whatever is wrong with its settings is said before it listens.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::serve;
use clap::Args;
use std::net::SocketAddr;

/// Serve instance HA: the Masakari API, for its clients, monitors and dashboards.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen, instead of where ostler.toml says.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Check settings, policy, credentials and state, then end.
    #[arg(long)]
    check: bool,
}

pub(super) async fn serve(context: &Context, typed: Serve) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let mut wanted = match settings.and_then(|settings| settings.serve.clone()) {
        Some(wanted) => wanted,
        None => {
            let place = settings.map_or("ostler.toml".to_owned(), |found| found.path.display().to_string());
            return Err(Failure::usage(format!("{place} says nothing of a server"))
                .hint("add `[serve]`; docs/instance-ha-api.md says what stands in it"));
        }
    };
    wanted.listen = typed.listen.unwrap_or(wanted.listen);
    let server = serve::Server::prepare(context, &wanted).await?;
    if typed.check {
        context.printer.text("settings, policy, credentials and state are good\n")?;
        return Ok(Exit::Done);
    }
    server.run(context).await
}
