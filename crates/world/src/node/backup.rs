//! Backups on a node: making one, and proving that it can be restored.
//!
//! It must never call a backup made that is not complete, and never take one off the node.

use super::unit::Work;
use super::words;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use ostler_model::step::BackupSet;

/// Free space that a backup leaves alone: a full disk stops everything else on a controller.
const RESERVE_KIB: u64 = 128 << 10;

const BACK_UP: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-database.sh"),
    include_str!("../../data/node/lib-backup.sh"),
    include_str!("../../data/node/back-up.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const PROVE: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-backup.sh"),
    include_str!("../../data/node/prove-backup.sh"),
    include_str!("../../data/node/dispatch.sh")
);

fn work(host: &HostName, set: &BackupSet, version_table: &str, script: &str) -> Result<Work, Why> {
    words::path(&set.directory)?;
    words::each(&set.files, words::path)?;
    words::each(&set.databases, words::database)?;
    words::database(version_table)?;
    Ok(Work::on(host, script.to_owned())
        .value("directory", &set.directory)
        .value("version_table", version_table)
        .value("reserve_kib", RESERVE_KIB.to_string())
        .list("files", &set.files)
        .list("databases", &set.databases))
}

/// Makes a backup.
pub(crate) fn back_up(host: &HostName, set: &BackupSet, version_table: &str) -> Result<Work, Why> {
    work(host, set, version_table, BACK_UP)
}

/// Restores a backup into a scratch server and compares.
pub(crate) fn prove(host: &HostName, set: &BackupSet, version_table: &str) -> Result<Work, Why> {
    work(host, set, version_table, PROVE)
}
