//! What a check needs to see: of which hosts, which kinds of facts.
//!
//! A survey gathers the union for all checks of a step, in one go.

use ostler_model::check::Check;
use ostler_model::ids::HostName;
use ostler_model::inventory::Fact;

/// The hosts that a check must see.
pub fn hosts(check: &Check) -> Vec<HostName> {
    match check {
        Check::Reachable { nodes }
        | Check::GaleraWhole { nodes, .. }
        | Check::CacheAnswers { nodes }
        | Check::DiskFree { nodes, .. }
        | Check::ClocksAgree { nodes, .. }
        | Check::SameFiles { nodes, .. }
        | Check::HeadsAre { nodes, .. }
        | Check::UnitsActive { nodes, .. }
        | Check::Runs { nodes, .. }
        | Check::PackagesSettled { nodes } => nodes.clone(),
        Check::AllServe { proxies, .. }
        | Check::OthersServe { proxies, .. }
        | Check::OutOfService { proxies, .. } => proxies.clone(),
        // A power controller is asked, not the node.
        Check::PowerIsOff { .. } => Vec::new(),
    }
}

/// The kinds of facts that a check must see.
pub fn facts(check: &Check) -> Vec<Fact> {
    match check {
        Check::Reachable { .. } => vec![Fact::System],
        Check::GaleraWhole { .. } => vec![Fact::Galera],
        Check::AllServe { .. } | Check::OthersServe { .. } | Check::OutOfService { .. } => vec![Fact::Proxy],
        Check::CacheAnswers { .. } => vec![Fact::Cache],
        Check::DiskFree { .. } | Check::ClocksAgree { .. } => vec![Fact::System],
        Check::SameFiles { .. } => vec![Fact::Files],
        Check::HeadsAre { .. } => vec![Fact::Schemas],
        Check::UnitsActive { .. } => vec![Fact::Units],
        Check::Runs { .. } => vec![Fact::Packages, Fact::Units],
        Check::PackagesSettled { .. } => vec![Fact::Packages],
        Check::PowerIsOff { .. } => Vec::new(),
    }
}
