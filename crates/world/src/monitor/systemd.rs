//! systemd: telling it that we are ready and alive, asking it how units are and whether the machine is going down.
//!
//! It starts nothing but what it is asked to restart by name.

use super::child::{self, ChildError};
use ostler_engine::monitor::processes::Look;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long `systemctl` may think about a question.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// How long a restart of a unit may take.
const RESTART_LIMIT: Duration = Duration::from_secs(120);

/// Tells the one who started us, if it wants to know: `READY=1`, `WATCHDOG=1`, `STATUS=…`, `STOPPING=1`.
pub fn tell(message: &str) -> std::io::Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = socket.to_string_lossy().into_owned();
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(|_| ())
}

/// How often systemd wants a sign of life: half of what it is patient for.
pub fn watchdog_pause() -> Option<Duration> {
    let is_ours = std::env::var("WATCHDOG_PID").map_or(true, |id| id == std::process::id().to_string());
    let patience: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (is_ours && patience > 0).then(|| Duration::from_micros(patience / 2))
}

/// Whether the machine is on its way down. Where that cannot be asked, it is not.
pub async fn is_going_down() -> bool {
    match child::answer("systemctl", &["is-system-running"], QUESTION_LIMIT).await {
        Ok(answer) => answer.output.trim() == "stopping",
        Err(_) => false,
    }
}

/// How units are, in their order.
pub async fn units(names: &[String]) -> Result<Vec<Look>, ChildError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["show", "--property=Id,LoadState,ActiveState,SubState", "--"];
    arguments.extend(names.iter().map(String::as_str));
    let text = child::output("systemctl", &arguments, QUESTION_LIMIT).await?;
    let looks = read_units(&text);
    if looks.len() != names.len() {
        let complaint =
            format!("it was asked about {} units and answered about {}", names.len(), looks.len());
        return Err(ChildError::Failed { program: "systemctl".into(), complaint });
    }
    Ok(looks)
}

/// Restarts a unit.
pub async fn restart(unit: &str) -> Result<(), ChildError> {
    child::output("systemctl", &["restart", "--", unit], RESTART_LIMIT).await.map(|_| ())
}

/// Reads what `systemctl show` prints: one block for each unit.
fn read_units(text: &str) -> Vec<Look> {
    text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).map(read_unit).collect()
}

fn read_unit(block: &str) -> Look {
    let value = |key: &str| {
        block
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    };
    match (value("ActiveState"), value("SubState")) {
        // A service that is active but has ended only stays so by name.
        (Some("active"), Some("exited")) => Look::Missing,
        (Some("active" | "reloading" | "refreshing"), _) => Look::Well,
        (Some("activating" | "deactivating" | "maintenance"), _) => Look::Changing,
        _ => Look::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_block_by_block() {
        let text = "Id=a.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\n\
            Id=b.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\n\n\
            Id=c.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n\n\
            Id=d.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\n\n\
            Id=e.service\nLoadState=loaded\nActiveState=active\nSubState=exited\n";
        assert_eq!(
            read_units(text),
            [Look::Well, Look::Missing, Look::Missing, Look::Changing, Look::Missing]
        );
        assert!(read_units("").is_empty());
    }
}
