//! Units of services: stopping and starting them.
//!
//! It must never call a unit started that is merely on its way.

use super::unit::Work;
use super::words;
use ostler_model::event::Why;
use ostler_model::ids::HostName;

const STOP: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/units-stop.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const START: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/units-start.sh"),
    include_str!("../../data/node/dispatch.sh")
);

/// Stops units.
pub(crate) fn stop(host: &HostName, units: &[String]) -> Result<Work, Why> {
    words::each(units, words::unit)?;
    Ok(Work::on(host, STOP.to_owned()).list("units", units))
}

/// Starts units; one that runs the code of before its packages were unpacked is restarted.
pub(crate) fn start(host: &HostName, units: &[String], packages: &[String]) -> Result<Work, Why> {
    words::each(units, words::unit)?;
    words::each(packages, words::package)?;
    Ok(Work::on(host, START.to_owned()).list("units", units).list("packages", packages))
}
