//! Tells systemd how the server is, where systemd asked to be told.
//!
//! It must never hold up or end the server: whoever is not told finds out otherwise.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// It listens.
pub fn ready() {
    tell("READY=1");
}

/// It ends.
pub fn stopping() {
    tell("STOPPING=1");
}

/// Says again and again that it is alive, twice as often as systemd wants to hear it. Never ends.
pub async fn keep_alive() {
    let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
    let Some(wanted) = wanted.filter(|wanted| *wanted > 0) else { return std::future::pending().await };
    loop {
        tell("WATCHDOG=1");
        tokio::time::sleep(Duration::from_micros(wanted / 2)).await;
    }
}

fn tell(state: &str) {
    let Ok(place) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}
