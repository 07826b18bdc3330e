//! What follows from a host being reachable on some networks and not on others.
//!
//! A host that only lost the network of its management still runs its guests; one that lost its storage does not.
//! It must never decide anything while one network is not known to be up or down.

/// Whether a network reaches a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// Looks do not agree, or nobody could look.
    Unknown,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host is well.
    Well,
    /// The host is to be recovered.
    Recover,
    /// Neither: leave it alone.
    Nothing,
}

/// One row: how each network must be, in the matrix's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whether each network is up.
    pub up: Vec<bool>,
    /// Whether the host is to be recovered then.
    pub recover: bool,
}

/// The rows, over networks in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The networks.
    pub networks: Vec<String>,
    /// The rows; what no row says is left alone.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// The usual one: a host is to be recovered when its storage is unreachable, and where no network is called
    /// storage, when all are.
    pub fn usual(networks: Vec<String>) -> Matrix {
        let storage = networks.iter().position(|name| name == "storage");
        let count = networks.len();
        let rows = (0..1usize << count)
            .map(|bits| {
                let up: Vec<bool> = (0..count).map(|place| bits >> place & 1 == 1).collect();
                let recover = match storage {
                    Some(place) => !up[place],
                    None => bits == 0,
                };
                Row { up, recover }
            })
            .collect();
        Matrix { networks, rows }
    }

    /// What follows from how the networks are, in the matrix's order.
    pub fn judge(&self, reach: &[Reach]) -> Verdict {
        if reach.is_empty() || reach.len() != self.networks.len() || reach.contains(&Reach::Unknown) {
            return Verdict::Nothing;
        }
        let up: Vec<bool> = reach.iter().map(|one| *one == Reach::Up).collect();
        match self.rows.iter().find(|row| row.up == up) {
            Some(row) if row.recover => Verdict::Recover,
            _ if up.iter().all(|one| *one) => Verdict::Well,
            _ => Verdict::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reach::{Down, Unknown, Up};

    fn networks(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_host_is_recovered_when_its_storage_is_gone_and_for_nothing_else() {
        let matrix = Matrix::usual(networks(&["manage", "tenant", "storage"]));
        for (reach, verdict) in [
            ([Up, Up, Up], Verdict::Well),
            ([Down, Down, Up], Verdict::Nothing),
            ([Up, Up, Down], Verdict::Recover),
            ([Down, Up, Down], Verdict::Recover),
            ([Down, Down, Down], Verdict::Recover),
            ([Unknown, Down, Down], Verdict::Nothing),
            ([Up, Up, Unknown], Verdict::Nothing),
        ] {
            assert_eq!(matrix.judge(&reach), verdict, "{reach:?}");
        }
    }

    #[test]
    fn without_a_storage_network_all_must_be_gone() {
        let matrix = Matrix::usual(networks(&["manage", "tenant"]));
        assert_eq!(matrix.judge(&[Down, Up]), Verdict::Nothing);
        assert_eq!(matrix.judge(&[Down, Down]), Verdict::Recover);
    }

    #[test]
    fn what_no_row_says_is_left_alone() {
        let rows = vec![Row { up: vec![false, true], recover: true }];
        let matrix = Matrix { networks: networks(&["manage", "storage"]), rows };
        assert_eq!(matrix.judge(&[Down, Up]), Verdict::Recover);
        assert_eq!(matrix.judge(&[Down, Down]), Verdict::Nothing);
        assert_eq!(matrix.judge(&[Up, Up]), Verdict::Well);
        assert_eq!(matrix.judge(&[Up]), Verdict::Nothing);
    }
}
