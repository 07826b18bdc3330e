//! The canary as a step of a run: what a user does is tried, and taken away again.
//!
//! It may be tried again after a crash: what the attempt before has left behind is taken away first. It must never call a
//! cloud well in which nothing could be tried.

use crate::canary::{Wanted, name, run, sweep};
use crate::seam::{Seams, StoreError};
use ostler_model::canary::{Came, Choices, Stage, Suite, Trial};
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::step::Job;

pub(super) async fn tried(seams: &Seams, job: &Job, cloud: &str, suite: Suite) -> Outcome {
    let offers = match seams.cloud.offers().await {
        Ok(offers) => offers,
        Err(why) => {
            let what = format!("the cloud's catalogue could not be read: {}", why.what);
            return Outcome::NotDone { why: Why { what, hint: why.hint } };
        }
    };
    // Who drives this run is the only one who makes anything for it.
    let owner = format!("run {}", job.run);
    let came = async {
        let swept = sweep(seams, cloud, &|other| other == owner, false).await?;
        let wanted = Wanted {
            cloud: cloud.to_owned(),
            name: name(seams.clock.as_ref(), seams.dice.as_ref()),
            suite,
            choices: Choices::default(),
            owner: owner.clone(),
        };
        let trial = run(seams, &wanted, &offers, &|_| {}).await?;
        Ok::<_, StoreError>((swept.left.len(), trial))
    };
    match came.await {
        Ok((left, trial)) => judged(&trial, left),
        Err(error) => Outcome::NotDone { why: Why::new(format!("nothing was tried: {error}")) },
    }
}

fn judged(trial: &Trial, left: usize) -> Outcome {
    let told = |stage: &Stage| match stage.what.is_empty() {
        true => stage.name.clone(),
        false => format!("{}: {}", stage.name, stage.what),
    };
    let of = |came: Came| trial.stages.iter().filter(move |stage| stage.came == came);
    let hint = Some(format!(
        "try it by hand: `ostler canary run --suite {}`; what earlier ones came to: `ostler canary history`",
        trial.suite
    ));
    let failed: Vec<String> = of(Came::Failed).map(told).collect();
    if !failed.is_empty() {
        let what = format!("what a user does failed: {}", failed.join("; "));
        return Outcome::NotDone { why: Why { what, hint } };
    }
    if of(Came::Passed).next().is_none() {
        let skipped: Vec<String> = of(Came::Skipped).map(told).collect();
        let what = format!("nothing that a user does could be tried: {}", skipped.join("; "));
        return Outcome::NotDone { why: Why { what, hint } };
    }
    let mut facts: Facts =
        of(Came::Passed).map(|stage| (stage.name.clone(), format!("{} ms", stage.took_ms))).collect();
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    for stage in of(Came::Skipped) {
        match skipped.iter_mut().find(|(why, _)| *why == stage.what) {
            Some((_, names)) => names.push(&stage.name),
            None => skipped.push((&stage.what, vec![&stage.name])),
        }
    }
    if !skipped.is_empty() {
        let told = skipped.iter().map(|(why, names)| format!("{} ({why})", names.join(", ")));
        facts.insert("skipped".to_owned(), told.collect::<Vec<_>>().join("; "));
    }
    facts.insert("trial".to_owned(), trial.name.clone());
    if left > 0 {
        facts.insert("left behind".to_owned(), format!("{left} (see `ostler canary sweep`)"));
    }
    Outcome::Done { facts }
}
