//! Programs of a site that are asked before a machine is switched off, for example whether Ceph can spare its disks.
//!
//! A program that fails, or does not answer in time, says no.

use super::child::{Program, run};
use super::switch::Refusal;
use ostler_model::ids::HostName;
use secrecy::SecretString;
use std::time::Duration;
use tokio::time::Instant;

/// How long one program may take: instances are down meanwhile.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks all programs in order; the first that says no decides.
pub(super) async fn ask(before: &[Vec<String>], host: &HostName) -> Result<(), Refusal> {
    for line in before {
        let Some((path, arguments)) = line.split_first() else { continue };
        let arguments = arguments.iter().map(|argument| argument.replace("{host}", host.as_str())).collect();
        let environment = vec![("OSTLER_HOST", SecretString::from(host.to_string()))];
        let program = Program { path, arguments, environment, input: None };
        let refused = match run(program, Instant::now() + LIMIT).await {
            Ok(finished) if finished.code == Some(0) => continue,
            Ok(finished) => finished.said(),
            Err(trouble) => trouble.what,
        };
        return Err(Refusal {
            what: format!("{host} is not switched off: `{path}` says no: {refused}"),
            hint: Some(format!(
                "run `{path}` by hand; when it is settled, try again, or switch {host} off yourself and confirm it"
            )),
        });
    }
    Ok(())
}
