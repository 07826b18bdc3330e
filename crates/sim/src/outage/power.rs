//! Power controllers behind their seam: an answer takes its time, and is what the controller says.
//!
//! It must never correct a controller that lies.

use super::{Outage, wall};
use crate::power::{Order, PowerError, Reading};
use ostler_engine::seam::{Fut, Power, PowerReading, PowerState};
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct SimControllers(pub(super) Arc<Outage>);

impl SimControllers {
    async fn order(&self, host: &HostName, order: Order) -> Result<(), Why> {
        let answer = {
            let mut ground = self.0.ground();
            let now = self.0.now();
            ground.power.order(now, host, order)
        };
        tokio::time::sleep(Duration::from_millis(answer.takes_ms)).await;
        answer.result.map_err(why)
    }
}

fn why(error: PowerError) -> Why {
    Why::new(error.to_string())
}

impl Power for SimControllers {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        Box::pin(async move {
            let answer = {
                let mut ground = self.0.ground();
                let now = self.0.now();
                let answer = ground.power.read(now, host);
                if answer.result == Ok(Reading::Off) {
                    ground.read_off.insert(host.clone(), now);
                    if ground.power.is_on(host) == Some(true) {
                        ground.lied.push(host.clone());
                    }
                }
                answer
            };
            tokio::time::sleep(Duration::from_millis(answer.takes_ms)).await;
            let state = match answer.result.map_err(why)? {
                Reading::On => PowerState::On,
                Reading::Off => PowerState::Off,
            };
            Ok(PowerReading { state, means: "pretended controller".into(), at: wall(self.0.now()) })
        })
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.order(host, Order::Off))
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.order(host, Order::On))
    }
}
