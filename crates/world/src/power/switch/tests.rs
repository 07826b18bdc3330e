//! Controllers that lie, delay and forget, on a clock that jumps.

use super::*;
use std::sync::Mutex;

/// A controller that answers by a script; what comes after its end is the last answer again.
struct Scripted {
    readings: Mutex<Vec<Result<PowerState, Trouble>>>,
    orders: Mutex<u32>,
    answer: fn() -> Result<(), Trouble>,
    takes: Duration,
}

impl Scripted {
    fn new(mut readings: Vec<Result<PowerState, Trouble>>) -> Self {
        readings.reverse();
        let orders = Mutex::new(0);
        Self { readings: Mutex::new(readings), orders, answer: || Ok(()), takes: Duration::ZERO }
    }
}

impl Controller for Scripted {
    async fn read(&self, deadline: Instant) -> Result<PowerState, Trouble> {
        let takes = sleep(self.takes);
        if tokio::time::timeout_at(deadline, takes).await.is_err() {
            return Err(Trouble::new("it does not answer"));
        }
        let mut readings = self.readings.lock().unwrap();
        if readings.len() > 1 { readings.pop().unwrap() } else { readings[0].clone() }
    }

    async fn order(&self, _: PowerState, _: Instant) -> Result<(), Trouble> {
        *self.orders.lock().unwrap() += 1;
        (self.answer)()
    }
}

const LIMIT: Duration = Duration::from_secs(30);

async fn off(controller: &Scripted) -> Result<String, Trouble> {
    bring(controller, PowerState::Off, LIMIT).await
}

use PowerState::{Off, On};

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_off_already_needs_no_order() {
    let controller = Scripted::new(vec![Ok(Off)]);
    assert_eq!(off(&controller).await.unwrap(), "read `off` 2 times, it was so before");
    assert_eq!(*controller.orders.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn off_is_what_is_read_back() {
    let controller = Scripted::new(vec![Ok(On), Ok(On), Ok(Off)]);
    assert_eq!(off(&controller).await.unwrap(), "read `off` 2 times, after the order");
    assert_eq!(*controller.orders.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_taken_and_not_done_is_no_proof() {
    let controller = Scripted::new(vec![Ok(On)]);
    let trouble = off(&controller).await.unwrap_err();
    assert_eq!(trouble.what, "it took the order, but still reads `on` (given up after 30 s)");
    assert_eq!(*controller.orders.lock().unwrap(), ORDERS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_only_restarts_is_not_off() {
    let controller = Scripted::new(vec![Ok(On), Ok(Off), Ok(On)]);
    assert!(off(&controller).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_answer_is_lost_may_have_worked() {
    let mut controller = Scripted::new(vec![Ok(On), Ok(Off)]);
    controller.answer = || Err(Trouble::new("the answer is lost"));
    assert!(off(&controller).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_not_tried_twice() {
    let controller = Scripted::new(vec![Err(Trouble::final_("wrong password"))]);
    let begun = Instant::now();
    assert_eq!(off(&controller).await.unwrap_err().what, "wrong password");
    assert_eq!((begun.elapsed(), *controller.orders.lock().unwrap()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_controller_ends_within_the_limit() {
    let mut controller = Scripted::new(vec![Ok(Off)]);
    controller.takes = Duration::from_secs(3_600);
    let begun = Instant::now();
    assert!(off(&controller).await.unwrap_err().what.starts_with("it does not answer"));
    assert_eq!(begun.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_slow_but_answers_is_waited_for() {
    let mut controller = Scripted::new(vec![Ok(Off)]);
    controller.takes = Duration::from_secs(7);
    assert!(off(&controller).await.is_ok());
}
