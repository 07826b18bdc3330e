//! Scripts with mistakes: the place, a caret, and what was probably meant.
//!
//! No script with a mistake is ever taken for one that was told.

use super::scripts::transcript;
use std::path::Path;

const SCENE: &str = "cloud 3 controllers, keystone 2024.1, offering 2025.1\n";

/// What is wrong with a script that has these lines below its scene.
fn wrong(lines: &str) -> String {
    let text = format!("{SCENE}{lines}\n");
    match transcript(Path::new("x.txt"), &text) {
        Ok(told) => panic!("it was told:\n{told}"),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn a_node_that_is_not_there() {
    insta::assert_snapshot!(wrong("clt2 loses power"), @r"
    error: x.txt:2:1: `clt2` does not fit here
        |
      2 | clt2 loses power
        | ^^^^
    hint: did you mean `ctl2`?
    hint: what may stand here is listed in crates/app/tests/stories/README.md
    ");
}

#[test]
fn a_verb_that_does_not_exist() {
    insta::assert_snapshot!(wrong("ctl2 looses power"), @r"
    error: x.txt:2:6: `looses` does not fit here
        |
      2 | ctl2 looses power
        |      ^^^^^^
    hint: did you mean `loses`?
    hint: possible are: HOST loses power | HOST gets power
    ");
}

#[test]
fn a_line_that_ends_too_early() {
    insta::assert_snapshot!(wrong("ctl2 loses"), @r"
    error: x.txt:2:11: the line ends too early
        |
      2 | ctl2 loses
        |           ^
    hint: possible are: HOST loses power
    ");
}

#[test]
fn a_moment_that_does_not_exist() {
    insta::assert_snapshot!(wrong("when ctl2-drain beginns: ctl2 loses power"), @r"
    error: x.txt:2:17: `beginns` does not fit here
        |
      2 | when ctl2-drain beginns: ctl2 loses power
        |                 ^^^^^^^
    hint: did you mean `begins`?
    hint: possible are: STEP begins | STEP is done | STEP fails | STEP is in doubt | STEP waits
    ");
}

#[test]
fn a_moment_without_an_event() {
    insta::assert_snapshot!(wrong("when ctl2-drain begins"), @r"
    error: x.txt:2:23: it is not said what happens then
        |
      2 | when ctl2-drain begins
        |                       ^
    hint: `when MOMENT: WHAT HAPPENS`
    ");
}

#[test]
fn time_that_passes_at_a_moment() {
    insta::assert_snapshot!(wrong("when ctl2-drain begins: 5m passes"), @r"
    error: x.txt:2:24: time cannot pass at a moment
        |
      2 | when ctl2-drain begins: 5m passes
        |                        ^^^^^^^^^^
    hint: time passes by itself while a command works; to delay something: `TIME after MOMENT: …`
    ");
}

#[test]
fn a_kill_while_nothing_is_at_work() {
    insta::assert_snapshot!(wrong("ostler is killed"), @r"
    error: x.txt:2:1: no command is at work now
        |
      2 | ostler is killed
        | ^^^^^^^^^^^^^^^^
    hint: say when: `when ctl1-stop begins: ostler is killed`
    ");
}

#[test]
fn a_word_that_begins_no_line() {
    insta::assert_snapshot!(wrong("wenn ctl2-drain begins: ctl2 loses power"), @r"
    error: x.txt:2:1: `wenn` does not fit here
        |
      2 | wenn ctl2-drain begins: ctl2 loses power
        | ^^^^
    hint: did you mean `when`?
    hint: what may stand here is listed in crates/app/tests/stories/README.md
    ");
}

#[test]
fn a_release_that_does_not_exist() {
    insta::assert_snapshot!(wrong("the schema is that of 2024.3"), @r"
    error: x.txt:2:23: `2024.3` does not fit here
        |
      2 | the schema is that of 2024.3
        |                       ^^^^^^
    hint: did you mean `2024.2`?
    hint: possible are: the schema is that of RELEASE
    ");
}

#[test]
fn a_command_that_reaches_past_the_pretended_cloud() {
    insta::assert_snapshot!(wrong("$ ostler lab up"), @r"
    error: x.txt:2:10: `ostler lab` reaches past the pretended cloud
        |
      2 | $ ostler lab up
        |          ^^^
    hint: possible are: cloud, upgrade, rehearse, run, ha
    ");
    insta::assert_snapshot!(wrong("$ rm -rf /"), @r"
    error: x.txt:2:3: only `ostler` can be typed here
        |
      2 | $ rm -rf /
        |   ^^
    hint: `$ ostler …`
    ");
    insta::assert_snapshot!(wrong("$ ostler run pause last --because 'a customer"), @r"
    error: x.txt:2:3: a quote is not closed
        |
      2 | $ ostler run pause last --because 'a customer
        |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn an_answer_that_nobody_asked_for() {
    insta::assert_snapshot!(wrong("> yes"), @r"
    error: x.txt:2:1: nobody has asked anything here
        |
      2 | > yes
        | ^^^^^
    hint: answers stand right below the command
    ");
}

#[test]
fn a_scene_that_makes_no_sense() {
    let told = |text: &str| transcript(Path::new("x.txt"), text).unwrap_err().to_string();
    insta::assert_snapshot!(told("# nothing\n"), @r"
    error: x.txt:2:1: there is no scene
        |
      2 |
        | ^
    hint: begin with a line such as `cloud 3 controllers, keystone 2023.1, offering 2024.1`
    ");
    insta::assert_snapshot!(told("cloud 3 controlers, keystone 2024.1, offering 2025.1\n"), @r"
    error: x.txt:1:9: `controlers` does not fit here
        |
      1 | cloud 3 controlers, keystone 2024.1, offering 2025.1
        |         ^^^^^^^^^^
    hint: did you mean `controllers`?
    hint: begin with a line such as `cloud 3 controllers, keystone 2023.1, offering 2024.1`
    ");
    insta::assert_snapshot!(told("cloud 30 controllers, keystone 2024.1, offering 2025.1\n"), @r"
    error: x.txt:1:7: `30` is no number of controllers from 1 to 9
        |
      1 | cloud 30 controllers, keystone 2024.1, offering 2025.1
        |       ^^
    hint: begin with a line such as `cloud 3 controllers, keystone 2023.1, offering 2024.1`
    ");
    insta::assert_snapshot!(told("$ ostler cloud scan\n"), @r"
    error: x.txt:1:1: `$` does not fit here
        |
      1 | $ ostler cloud scan
        | ^
    hint: begin with a line such as `cloud 3 controllers, keystone 2023.1, offering 2024.1`
    ");
    insta::assert_snapshot!(wrong("cloud 3 controllers, keystone 2024.1, offering 2025.1"), @r"
    error: x.txt:2:1: there is a scene already
        |
      2 | cloud 3 controllers, keystone 2024.1, offering 2025.1
        | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_name_that_stands_for_nothing() {
    insta::assert_snapshot!(wrong("$ ostler upgrade run --plan {plan}"), @r"
    error: x.txt:2:1: `{plan}` stands for nothing yet
        |
      2 | $ ostler upgrade run --plan {plan}
        | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: `{plan}` is the plan made last, `{run}` the run opened last, `{run 1}` the first one
    ");
}

#[test]
fn a_moment_that_never_comes() {
    let lines =
        "when ctl2-drian begins: ctl2 loses power\n$ ostler upgrade run --only keystone --to 2025.1 --yes";
    insta::assert_snapshot!(wrong(lines), @r"
    error: x.txt:2:1: this moment never came
        |
      2 | when ctl2-drian begins: ctl2 loses power
        | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: did you mean `ctl2-drain`?
    ");
}

#[test]
fn a_step_that_is_in_no_plan() {
    insta::assert_snapshot!(wrong("ctl2-instal fails once\n$ ostler upgrade plan --only keystone --to 2025.1"), @r"
    error: x.txt:2:1: no plan has a step `ctl2-instal`
        |
      2 | ctl2-instal fails once
        | ^^^^^^^^^^^^^^^^^^^^^^
    hint: did you mean `ctl2-install`?
    ");
}
