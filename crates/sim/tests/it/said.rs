//! What persons say of incidents while servers attend to them, on the pretended cloud: it is heard, and nothing is left
//! half done.

use crate::attended::{Ground, gone, ground};
use crate::story::simulated;
use ostler_engine::ha::{
    Fresh, LOCK_REASON, Saying, SayingError, report_again, say, stands, switch, tale, vouch, word_of,
};
use ostler_engine::ha::{Policy, Standing, Stretch};
use ostler_engine::run;
use ostler_engine::seam::{Clock, Register};
use ostler_model::compute::Scope;
use ostler_model::ha::list::Query;
use ostler_model::ha::{Incident, IncidentKey, Named, Stage, Status};
use ostler_model::ids::{HostName, IncidentId};
use ostler_model::step::Word;
use ostler_sim::outage::Trouble;
use ostler_sim::power::Fault;

fn word(ground: &Ground, why: &str) -> Word {
    Word { who: "ann".into(), at: ground.clock.now(), why: why.into() }
}

async fn outage(ground: &Ground) {
    ground.reported("n1", gone(), IncidentKey::host(&ground.hosts[0].id)).await;
}

async fn incident(ground: &Ground) -> Incident {
    ground.store.incident(&IncidentId::new("incident-n1")).await.unwrap().unwrap()
}

async fn said(ground: &Ground, saying: Saying) -> Result<Incident, SayingError> {
    let id = IncidentId::new("incident-n1");
    let word = word(ground, "I say so");
    say(ground.store.as_ref(), &ground.clock, &id, saying, &word).await
}

async fn dies(ground: &Ground) {
    ground.outage.ground().due.insert(1_000, vec![Trouble::Dies("cmp1".into())]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

/// Its controller dies with it: nobody can prove that it is off.
async fn dies_silently(ground: &Ground) {
    let silent = Trouble::Controller("cmp1".into(), Fault::Silent { after_ms: 1_000 });
    ground.outage.ground().due.insert(500, vec![silent, Trouble::Dies("cmp1".into())]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

#[test]
fn a_word_stands_for_the_proof_that_no_controller_gives() {
    simulated(async {
        let ground = ground().await;
        dies_silently(&ground).await;
        outage(&ground).await;
        ground.attended(120).await;
        let record = incident(&ground).await;
        let runs = [run::load(ground.store.as_ref(), &record.body.runs[0]).await.unwrap()];
        let (stage, why) = stands(&record, &runs);
        assert!(stage == Stage::Proof && why.contains("nothing proves"), "{stage}: {why}");
        let fresh = Fresh { notification: "n2".into(), incident: "i2".into() };
        let vouched = word(&ground, "I pulled its plug");
        let answered =
            vouch(ground.store.as_ref(), &ground.clock, &ground.hosts[0], fresh, &vouched).await.unwrap();
        assert_eq!(answered.incident().as_str(), "incident-n1", "it joins the one that is open");
        assert_eq!(word_of(ground.store.as_ref(), &"cmp1".into()).await.unwrap(), Some(vouched));
        ground.outage.ground().vouched.push("cmp1".into());
        ground.attended(600).await;
        let record = incident(&ground).await;
        assert_eq!(record.stage, Stage::Recovered, "{}", record.why);
        assert!(record.body.evidence.iter().any(|one| one.from == "ann" && one.what.contains("plug")));
    });
}

#[test]
fn the_course_of_an_outage_is_told_with_the_time_of_each_part() {
    simulated(async {
        let ground = ground().await;
        dies(&ground).await;
        outage(&ground).await;
        ground.attended(600).await;
        let record = incident(&ground).await;
        let mut runs = Vec::new();
        for id in &record.body.runs {
            runs.push(run::load(ground.store.as_ref(), id).await.unwrap());
        }
        let opener = ground.notification("n1").await;
        let tale = tale(&record, Some(&opener), &HostName::new("cmp1"), &runs, &Policy::default()).unwrap();
        let stretches: Vec<Stretch> = tale.phases.iter().map(|phase| phase.stretch).collect();
        use Stretch::{Confirm, Declare, Fence, FirstMove, Moves, Report};
        assert_eq!(stretches, [Report, Confirm, Fence, Declare, FirstMove, Moves]);
        // Without a hole and without an overlap.
        for pair in tale.phases.windows(2) {
            assert_eq!(pair[0].to, Some(pair[1].from), "{pair:?}");
        }
        assert!(tale.phases[2].what.contains("off, by"), "{:?}", tale.phases[2]);
        assert_eq!(tale.instances.len(), 3);
        for one in &tale.instances {
            assert_eq!(one.standing, Standing::Back);
            assert!(tale.away_ms(one).unwrap() > 0 && one.to.is_some(), "{one:?}");
        }
    });
}

#[test]
fn what_is_cancelled_goes_no_further_and_leaves_no_lock() {
    simulated(async {
        for seconds in [8, 12, 20, 30] {
            let ground = ground().await;
            dies(&ground).await;
            outage(&ground).await;
            ground.attended(seconds).await;
            if incident(&ground).await.closed.is_some() {
                break;
            }
            said(&ground, Saying::Cancel).await.unwrap();
            ground.attended(900).await;
            let record = incident(&ground).await;
            let is_ended = matches!(record.stage, Stage::Failed | Stage::Dismissed);
            assert!(is_ended, "after {seconds} s: {} {}", record.stage, record.why);
            assert!(record.why.contains("given up by ann"), "{}", record.why);
            let scope = Scope { on: vec!["cmp1".into(), "cmp2".into(), "cmp3".into()], ..Scope::default() };
            let seams = ground.outage.seams(ground.store.clone(), ground.clock.clone(), 5);
            let seen = seams.cloud.look(&scope).await.unwrap();
            assert_eq!(seen.instances.len(), 3);
            for instance in seen.instances.values() {
                assert_ne!(instance.lock_reason.as_deref(), Some(LOCK_REASON), "after {seconds} s");
            }
            assert_eq!(ground.outage.ground().nova.ever_active_twice(), []);
        }
    });
}

#[test]
fn what_is_acknowledged_is_closed_and_its_report_answered() {
    simulated(async {
        let ground = ground().await;
        dies_silently(&ground).await;
        outage(&ground).await;
        ground.attended(300).await;
        // It waits for a proof: nothing moves.
        said(&ground, Saying::Acknowledge).await.unwrap();
        ground.attended(300).await;
        let record = incident(&ground).await;
        assert_eq!(record.stage, Stage::Failed, "{}", record.why);
        assert!(record.why.contains("not back: vm0, vm1, vm2"), "{}", record.why);
        assert_eq!(ground.notification("n1").await.status, Status::Failed);
        assert_eq!(
            ground
                .store
                .moves(&Query::default())
                .await
                .unwrap()
                .iter()
                .filter(|m| m.started.is_some())
                .count(),
            0
        );
        let refused = said(&ground, Saying::Retry).await;
        assert!(matches!(refused, Err(SayingError::Closed(..))), "{refused:?}");
    });
}

#[test]
fn what_was_dismissed_is_tried_again_by_a_new_incident() {
    simulated(async {
        let ground = ground().await;
        let segments = ground.store.segments(&Query::default()).await.unwrap();
        let because = word(&ground, "");
        switch(ground.store.as_ref(), &segments[0], false, &because).await.unwrap();
        dies(&ground).await;
        outage(&ground).await;
        ground.attended(30).await;
        let record = incident(&ground).await;
        assert_eq!(record.stage, Stage::Dismissed);
        assert_eq!(ground.outage.ground().power.orders(&"cmp1".into()), 0);
        switch(ground.store.as_ref(), &segments[0], true, &because).await.unwrap();
        let fresh = Fresh { notification: "n2".into(), incident: "i2".into() };
        report_again(ground.store.as_ref(), &record, fresh, &word(&ground, "")).await.unwrap();
        ground.attended(600).await;
        let again = ground.store.incident(&IncidentId::new("i2")).await.unwrap().unwrap();
        assert_eq!(again.stage, Stage::Recovered, "{}", again.why);
    });
}

#[test]
fn a_host_that_the_storm_guard_holds_is_released_by_a_word() {
    simulated(async {
        let ground = ground().await;
        let all = ["cmp1", "cmp2", "cmp3"].map(|host| Trouble::IsCut(host.into()));
        ground.outage.ground().due.insert(1_000, all.into());
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        outage(&ground).await;
        ground.attended(60).await;
        let record = incident(&ground).await;
        assert_eq!(record.stage, Stage::Held, "{}", record.why);
        let refused = said(&ground, Saying::Retry).await.unwrap_err();
        assert!(refused.to_string().contains("held back"), "{refused}");
        assert_eq!(ground.outage.ground().power.orders(&"cmp1".into()), 0);
        said(&ground, Saying::Release).await.unwrap();
        ground.attended(120).await;
        assert!(ground.outage.ground().power.orders(&"cmp1".into()) > 0);
        let host = ground.store.host(&Named::Id(ground.hosts[0].id.to_string())).await.unwrap().unwrap();
        assert!(host.under_recovery);
    });
}
