//! IPMI over the network, by the program `ipmitool`.
//!
//! It must never put the password on the command line.

use super::child::{Program, run};
use super::secret::SecretFile;
use super::switch::{Controller, Trouble, word};
use ostler_engine::seam::PowerState;
use tokio::time::Instant;

/// An IPMI controller.
#[derive(Clone, Debug)]
pub struct Ipmi {
    /// Its name or address.
    pub address: String,
    /// Its UDP port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// The account's password.
    pub password: SecretFile,
    /// The privilege that is asked for; switching power needs `OPERATOR`.
    pub privilege: String,
    /// The cipher suite, where the program's own choice does not work.
    pub cipher: Option<u8>,
}

impl Ipmi {
    async fn chassis(&self, verb: &str, deadline: Instant) -> Result<String, Trouble> {
        let mut arguments: Vec<String> =
            ["-I", "lanplus", "-H", &self.address, "-p", &self.port.to_string()].map(str::to_owned).into();
        arguments
            .extend(["-U", &self.user, "-E", "-L", &self.privilege, "-N", "1", "-R", "2"].map(str::to_owned));
        if let Some(cipher) = self.cipher {
            arguments.extend(["-C".to_owned(), cipher.to_string()]);
        }
        arguments.extend(["chassis", "power", verb].map(str::to_owned));
        let environment = vec![("IPMI_PASSWORD", self.password.read()?)];
        let program = Program { path: "ipmitool", arguments, environment, input: None };
        let finished = run(program, deadline).await?;
        match finished.code {
            Some(0) => Ok(finished.output),
            _ => Err(self.failed(verb, &finished.said())),
        }
    }

    fn failed(&self, verb: &str, said: &str) -> Trouble {
        let what = format!("`ipmitool … chassis power {verb}` at {}: {said}", self.address);
        let wrong = [
            "RAKP 2 HMAC is invalid",
            "unauthorized name",
            "Unauthorized name",
            "insufficient privilege",
            "Insufficient privilege",
        ];
        if wrong.iter().any(|words| said.contains(words)) {
            return Trouble::final_(what).hint("see to `user`, `password-file` and `privilege`");
        }
        // The program says the same of a wrong password and of silence.
        Trouble::new(what)
            .hint("see whether IPMI over LAN is enabled there, and to `user`, `password-file` and `cipher`")
    }
}

impl Controller for Ipmi {
    async fn read(&self, deadline: Instant) -> Result<PowerState, Trouble> {
        let output = self.chassis("status", deadline).await?;
        match output.trim() {
            "Chassis Power is off" => Ok(PowerState::Off),
            "Chassis Power is on" => Ok(PowerState::On),
            other => {
                let other: String = other.chars().take(80).collect();
                Err(Trouble::new(format!("{} reads the power as `{other}`", self.address)))
            }
        }
    }

    async fn order(&self, wanted: PowerState, deadline: Instant) -> Result<(), Trouble> {
        self.chassis(word(wanted), deadline).await.map(|_| ())
    }
}
