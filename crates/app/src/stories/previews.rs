//! What is shown before an approval.
//!
//! The pages are compared whole: an operator reads them whole.

use super::*;
use crate::view::plan as view;

async fn preview(story: &Story, strategy: Option<Strategy>) -> String {
    let offer = story.offer(strategy).await.unwrap();
    view::page(&story.context.printer, &offer).replace(offer.plan.id.as_str(), "[HASH]")
}

#[test]
fn zero_downtime_shows_waves_and_the_point_of_no_return() {
    insta::assert_snapshot!(told(async { preview(&Story::new(), None).await }));
}

#[test]
fn minimal_downtime_shows_what_is_down_for_how_long() {
    insta::assert_snapshot!(told(async { preview(&Story::new(), Some(Strategy::MinimalDowntime)).await }));
}

#[test]
fn offline_shows_what_is_down_for_how_long() {
    insta::assert_snapshot!(told(async { preview(&Story::new(), Some(Strategy::Offline)).await }));
}

#[test]
fn a_package_that_is_gone_is_a_caution() {
    told(async {
        let story = Story::new();
        // What runs is not what the source of its release offers.
        story.cloud.change("ctl2", |node| node.version = "23.0.1".into());
        let offer = story.offer(None).await.unwrap();
        let caution = offer.plan.body.cautions.last().unwrap();
        assert!(caution.contains("no longer offers keystone 23.0.1 of ctl2"), "{caution}");
        assert!(offer.plan.is_intact());
    });
}

#[test]
fn a_cloud_that_is_not_well_is_refused_by_name() {
    told(async {
        let story = Story::new();
        story.cloud.change("ctl2", |node| node.service = false);
        let offer = story.offer(None).await.unwrap();
        insta::assert_snapshot!(offer.may_run().unwrap_err(), @r"
        error: refused by units-active: a unit does not run
          ctl2: keystone.service is inactive
          backends-serve: not every server of keystone takes requests
          ctl1: ctl2 is down
          ctl2: ctl2 is down
          ctl3: ctl2 is down
        hint: look at `systemctl status` and the unit's journal on the node
        hint: look at the server's service, then `set server BACKEND/SERVER state ready` at HAProxy's socket
        hint: nothing was changed; look again with `ostler cloud check`
        ");
    });
}

#[test]
fn what_is_there_already_is_nothing_to_do() {
    told(async {
        let story = Story::new();
        for host in ["ctl1", "ctl2", "ctl3"] {
            story.cloud.change(host, |node| node.version = "25.0.0".into());
        }
        let Err(failure) = story.offer(None).await else { panic!("there was something to do") };
        insta::assert_snapshot!(failure, @r"
        nothing to do: keystone is already at 2024.1 on every node
        ");
        assert_eq!(failure.kind.code(), 0);
    });
}
