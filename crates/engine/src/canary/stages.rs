//! Which stages a suite has, and what each needs of the cloud and of the stages before it.
//!
//! A stage whose service the cloud does not have is skipped and said so; it is no failure.

use ostler_model::canary::{Kind, Suite};

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Get a token.
    Token,
    /// Make a thing.
    Make(Kind),
    /// Compare an image's checksum.
    Checksum,
    /// Read a server's console.
    Console,
    /// Move a server.
    Migrate,
}

impl Step {
    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Step::Token => "token",
            Step::Make(kind) => kind.as_str(),
            Step::Checksum => "checksum",
            Step::Console => "console",
            Step::Migrate => "migrate",
        }
    }

    /// What must have been made before.
    pub fn made_of(self) -> &'static [Kind] {
        match self {
            Step::Token | Step::Make(Kind::Image | Kind::Network | Kind::Volume | Kind::Server) => &[],
            Step::Make(Kind::Subnet) => &[Kind::Network],
            Step::Make(Kind::Router | Kind::Port) => &[Kind::Network, Kind::Subnet],
            Step::Checksum => &[Kind::Image],
            Step::Console | Step::Migrate => &[Kind::Server],
        }
    }
}

/// The types in the cloud's catalogue of which a step needs one.
pub fn needs(step: Step) -> &'static [&'static str] {
    match step {
        Step::Token => &["identity"],
        Step::Make(Kind::Image) | Step::Checksum => &["image"],
        Step::Make(Kind::Network | Kind::Subnet | Kind::Router | Kind::Port) => &["network"],
        Step::Make(Kind::Volume) => &["volumev3", "block-storage"],
        Step::Make(Kind::Server) | Step::Console | Step::Migrate => &["compute"],
    }
}

/// The stages of a suite, in order.
pub fn steps(suite: Suite) -> Vec<Step> {
    let image = [Step::Make(Kind::Image), Step::Checksum];
    let network = [Kind::Network, Kind::Subnet, Kind::Router, Kind::Port].map(Step::Make);
    let server = [Step::Make(Kind::Server), Step::Console];
    let mut steps = vec![Step::Token];
    match suite {
        Suite::Basic => {
            steps.extend(image);
            steps.extend(server);
        }
        Suite::Network => steps.extend(network),
        Suite::Storage => {
            steps.extend(image);
            steps.push(Step::Make(Kind::Volume));
        }
        Suite::Full => {
            steps.extend(image);
            steps.extend(network);
            steps.push(Step::Make(Kind::Volume));
            steps.extend(server);
            steps.push(Step::Migrate);
        }
    }
    steps
}
