//! Any program of the fence-agents: options on its input, an action, and an exit code.
//!
//! It must never believe its `off`: the state is asked for afterwards like everybody else's.

use super::child::{Program, run};
use super::secret::SecretFile;
use super::switch::{Controller, Trouble, word};
use ostler_engine::seam::PowerState;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Exit code of a status: the machine has power.
const IS_ON: i32 = 0;

/// Exit code of a status: it has none.
const IS_OFF: i32 = 2;

/// A fence agent.
#[derive(Clone, Debug)]
pub struct FenceAgent {
    /// The program: `fence_ipmilan`, …
    pub program: String,
    /// Its options by name, as its `metadata` lists them.
    pub options: BTreeMap<String, String>,
    /// Its option `password`, where it needs one.
    pub password: Option<SecretFile>,
}

impl FenceAgent {
    async fn act(&self, action: &str, deadline: Instant) -> Result<(Option<i32>, String), Trouble> {
        let mut input = String::new();
        for (name, value) in &self.options {
            input.push_str(&format!("{name}={value}\n"));
        }
        if let Some(password) = &self.password {
            input.push_str(&format!("password={}\n", password.read()?.expose_secret()));
        }
        input.push_str(&format!("action={action}\n"));
        let program = Program {
            path: &self.program,
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Some(SecretString::from(input)),
        };
        let finished = run(program, deadline).await?;
        Ok((finished.code, finished.said()))
    }

    fn failed(&self, action: &str, code: Option<i32>, said: &str) -> Trouble {
        let ended = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
        let what = format!("`{}` with action {action} {ended}: {said}", self.program);
        let wrong = [
            "Unable to connect/login",
            "Failed: You have to",
            "Login incorrect",
            "Unknown option",
            "Parse error",
        ];
        if wrong.iter().any(|words| said.contains(words)) && !said.contains("timed out") {
            // Wrong options stay wrong; a login may fail since the other end is away, too.
            let is_final = !said.contains("Unable to connect/login");
            let hint = format!("see to its `options`: `{} -o metadata` lists them", self.program);
            return Trouble { is_final, ..Trouble::new(what).hint(hint) };
        }
        Trouble::new(what)
    }
}

impl Controller for FenceAgent {
    async fn read(&self, deadline: Instant) -> Result<PowerState, Trouble> {
        match self.act("status", deadline).await? {
            (Some(IS_ON), _) => Ok(PowerState::On),
            (Some(IS_OFF), _) => Ok(PowerState::Off),
            (code, said) => Err(self.failed("status", code, &said)),
        }
    }

    async fn order(&self, wanted: PowerState, deadline: Instant) -> Result<(), Trouble> {
        match self.act(word(wanted), deadline).await? {
            (Some(0), _) => Ok(()),
            (code, said) => Err(self.failed(word(wanted), code, &said)),
        }
    }
}
