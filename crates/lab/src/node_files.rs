//! What makes a node out of the image: its names, addresses, keys and the settings of its services.
//!
//! Must never be done while the node runs.

use crate::cloud::catalogue::{On, running_on};
use crate::cloud::files as cloud;
use crate::cloud::monitors;
use crate::command::Command;
use crate::error::LabError;
use crate::image::write_file;
use crate::machine::{Machine, STORAGE_DEVICE};
use crate::name::Subnet;
use crate::secrets::{Secrets, machine_id};
use crate::settings::Ground;
use crate::template::{fill, set_option};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

/// How long making a key may take.
const KEY_LIMIT: Duration = Duration::from_secs(30);
/// The highest priority for the virtual address.
const PRIORITY: usize = 110;

/// Writes a node's own files; its public host key.
pub(crate) async fn write(
    machine: &Machine,
    index: usize,
    ground: &Ground,
    secrets: &Secrets,
    public_key: &str,
    state: &Path,
) -> Result<String, LabError> {
    let root = machine.root();
    let address = ground.nodes[index].1;
    let place = Place { root: &root };
    // Without it the first boot would apply systemd's presets, that is enable every unit, mariadb.socket among them.
    place.file("etc/machine-id", 0o444, &format!("{}\n", machine_id()?))?;
    place.file("etc/hostname", 0o644, &format!("{}\n", machine.node))?;
    place.file("etc/hosts", 0o644, &hosts(ground))?;
    place.file("etc/resolv.conf", 0o644, "# no name server: a lab has no way out\n")?;
    place.file("etc/systemd/network/10-host0.network", 0o644, &network("host0", &address.to_string())?)?;
    if ground.has_cloud() {
        let storage = Subnet::storage(address).to_string();
        place.file("etc/systemd/network/20-host1.network", 0o644, &network(STORAGE_DEVICE, &storage)?)?;
    }
    if index < ground.controllers().len() {
        services(&place, machine, index, ground)?;
        keystone(&place, address, ground, secrets)?;
    }
    if ground.has_cloud() {
        cloud::write(&place, index, ground, secrets)?;
        if index >= ground.controllers().len() {
            monitors::write(&place, index, ground, state).await?;
        }
    }
    for (home, user) in [("root", "root"), ("home/ostler", "ostler")] {
        place.owned(&format!("{home}/.ssh/authorized_keys"), 0o600, public_key, user)?;
    }
    Command::new(format!("making the host key of {}", machine.node), "chroot", KEY_LIMIT)
        .arg(root.to_string_lossy())
        .args([
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            &machine.node,
            "-f",
            "/etc/ssh/ssh_host_ed25519_key",
        ])
        .run()
        .await?;
    let path = root.join("etc/ssh/ssh_host_ed25519_key.pub");
    let key = std::fs::read_to_string(&path).map_err(LabError::file("reading", path))?;
    Ok(key.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn network(device: &str, address: &str) -> Result<String, LabError> {
    fill(include_str!("../data/node/network"), &[("device", device), ("address", address)])
}

fn hosts(ground: &Ground) -> String {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for (node, address) in &ground.nodes {
        text.push_str(&format!("{address} {node}\n"));
    }
    text.push_str(&format!("{} {}\n", ground.virtual_address, ground.lab));
    text
}

fn services(place: &Place<'_>, machine: &Machine, index: usize, ground: &Ground) -> Result<(), LabError> {
    let address = ground.nodes[index].1.to_string();
    let members: Vec<String> = ground.controllers().iter().map(|(_, address)| address.to_string()).collect();
    // A cluster of one has nobody to ask whether it may begin.
    let members = if members.len() == 1 { String::new() } else { members.join(",") };
    let virtual_address = ground.virtual_address.to_string();
    let peers: String = ground
        .controllers()
        .iter()
        .filter(|(node, _)| *node != machine.node)
        .map(|(_, address)| format!("        {address}\n"))
        .collect();
    let servers = |port: u16, rest: fn(usize) -> &'static str| -> String {
        let lines = ground.controllers().iter().enumerate();
        lines
            .map(|(index, (node, address))| {
                format!("    server {node} {address}:{port} check{}\n", rest(index))
            })
            .collect()
    };
    let keystone_servers = servers(5000, |_| "");
    let mariadb_servers = servers(3306, |index| if index == 0 { "" } else { " backup" });
    let priority = (PRIORITY - index).to_string();
    let mut listeners = String::new();
    for package in running_on(On::Controller, &ground.parts) {
        let Some(port) = package.port() else { continue };
        let (port_text, servers) = (port.to_string(), servers(port, |_| ""));
        let values = [
            ("name", package.name),
            ("port", port_text.as_str()),
            ("virtual_address", virtual_address.as_str()),
            ("servers", servers.as_str()),
        ];
        listeners.push_str(&fill(include_str!("../data/cloud/haproxy-listener.cfg"), &values)?);
    }
    let values: [(&str, &str); 10] = [
        ("listeners", &listeners),
        ("lab", ground.lab.as_str()),
        ("node", &machine.node),
        ("address", &address),
        ("members", &members),
        ("virtual_address", &virtual_address),
        ("peers", &peers),
        ("priority", &priority),
        ("keystone_servers", &keystone_servers),
        ("mariadb_servers", &mariadb_servers),
    ];
    let files = [
        ("etc/mysql/mariadb.conf.d/90-lab.cnf", include_str!("../data/node/galera.cnf")),
        ("etc/haproxy/haproxy.cfg", include_str!("../data/node/haproxy.cfg")),
        ("etc/keepalived/keepalived.conf", include_str!("../data/node/keepalived.conf")),
        ("etc/memcached.conf", include_str!("../data/node/memcached.conf")),
        ("etc/default/keystone", include_str!("../data/node/keystone-default")),
    ];
    for (path, text) in files {
        place.file(path, 0o644, &fill(text, &values)?)?;
    }
    Ok(())
}

fn keystone(
    place: &Place<'_>,
    address: Ipv4Addr,
    ground: &Ground,
    secrets: &Secrets,
) -> Result<(), LabError> {
    let path = place.root.join("etc/keystone/keystone.conf");
    let mut settings = std::fs::read_to_string(&path).map_err(LabError::file("reading", &path))?;
    // This node's memcached comes first in no list: all nodes must agree where a key is.
    let caches: Vec<String> =
        ground.controllers().iter().map(|(_, address)| format!("{address}:11211")).collect();
    let virtual_address = ground.virtual_address;
    let connection = format!(
        "mysql+pymysql://keystone:{}@{virtual_address}/keystone?charset=utf8",
        secrets.database.reveal()
    );
    let options: [(&str, &str, &str); 15] = [
        ("DEFAULT", "public_endpoint", &format!("http://{virtual_address}:5000")),
        ("cache", "memcache_socket_timeout", "0.5"),
        ("cache", "memcache_dead_retry", "30"),
        ("cache", "memcache_servers", &caches.join(",")),
        ("cache", "backend", ground.cache_backend),
        ("cache", "enabled", "true"),
        // A failover of the database takes some seconds; new connections try that long.
        ("database", "retry_interval", "1"),
        ("database", "max_retries", "10"),
        ("database", "pool_timeout", "10"),
        ("database", "max_overflow", "16"),
        ("database", "max_pool_size", "8"),
        ("database", "connection_recycle_time", "300"),
        ("database", "connection", &connection),
        ("identity", "password_hash_rounds", "4"),
        ("oslo_middleware", "enable_proxy_headers_parsing", "true"),
    ];
    for (section, key, value) in options {
        settings = set_option(&settings, section, key, value);
    }
    settings = format!("# Node {address} of the lab {}.\n{settings}", ground.lab);
    place.owned("etc/keystone/keystone.conf", 0o640, &settings, "root:keystone")?;
    for (folder, keys) in [("fernet-keys", &secrets.fernet), ("credential-keys", &secrets.credential)] {
        for (number, key) in keys.iter().enumerate() {
            place.owned(&format!("etc/keystone/{folder}/{number}"), 0o600, key.reveal(), "keystone")?;
        }
    }
    Ok(())
}

/// The root of a node that does not run.
pub(crate) struct Place<'a> {
    root: &'a Path,
}

impl Place<'_> {
    pub(crate) fn file(&self, path: &str, mode: u32, content: &str) -> Result<(), LabError> {
        write_file(&self.root.join(path), mode, content.as_bytes())
    }

    /// A file that belongs to `user` and its group, or to `user:group`, by the node's own account files.
    pub(crate) fn owned(&self, path: &str, mode: u32, content: &str, owner: &str) -> Result<(), LabError> {
        self.file(path, mode, content)?;
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let user = self.id("etc/passwd", user)?;
        let group = self.id("etc/group", group)?;
        let place = self.root.join(path);
        chown(&place, Some(user), Some(group)).map_err(LabError::file("changing the owner of", place))
    }

    /// A folder that belongs to `user` and its group.
    pub(crate) fn folder(&self, path: &str, mode: u32, user: &str) -> Result<(), LabError> {
        let place = self.root.join(path);
        std::fs::create_dir_all(&place).map_err(LabError::file("creating", &place))?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode))
            .map_err(LabError::file("setting rights of", &place))?;
        let (user, group) = (self.id("etc/passwd", user)?, self.id("etc/group", user)?);
        chown(&place, Some(user), Some(group)).map_err(LabError::file("changing the owner of", place))
    }

    fn id(&self, table: &str, name: &str) -> Result<u32, LabError> {
        let path = self.root.join(table);
        let text = std::fs::read_to_string(&path).map_err(LabError::file("reading", &path))?;
        id_in(&text, name).ok_or_else(|| {
            LabError::refused(
                format!("the image has no account `{name}` in {}", path.display()),
                "delete the cache folder and try again: the image is built anew",
            )
        })
    }
}

/// The number of an account or group in its table.
fn id_in(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let table = "root:x:0:0:root:/root:/bin/sh\nkeystone2:x:9:9::/:/x\nkeystone:x:998:997::/:/x\n";
        assert_eq!(id_in(table, "keystone"), Some(998));
        assert_eq!(id_in(table, "root"), Some(0));
        assert_eq!(id_in(table, "nobody"), None);
    }
}
