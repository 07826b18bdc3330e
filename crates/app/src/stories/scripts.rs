//! Every script below `tests/stories`, played and compared with the transcript beside it.
//!
//! `OSTLER_STORIES=write` writes the transcripts anew, for a person to read through; where `CI` is set it never does.

use crate::failure::Failure;
use crate::printer::{Printer, take_told};
use crate::stage::{EVENTS, MOMENTS, Script, Showing, play};
use ostler_model::catalogue::Catalogue;
use std::path::{Path, PathBuf};
use std::sync::Arc;

macro_rules! stories {
    ($($name:ident)*) => {
        /// Every story that is told.
        const STORIES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                tell(stringify!($name));
            }
        )*
    };
}

stories! {
    a_command_that_hangs
    a_controller_dies_while_it_is_drained
    a_controller_that_is_down
    a_database_cluster_that_is_not_whole
    a_gate_waits_for_a_word
    a_jump_that_is_too_far
    a_killed_run_is_taken_back
    a_load_balancer_that_does_not_answer
    a_plan_that_is_not_there
    a_preflight_that_fails
    a_release_that_nobody_knows
    a_release_that_the_source_lacks
    a_schema_newer_than_the_code
    a_step_that_fails_and_is_taken_back
    a_step_that_fails_once
    abort_and_leave_things_as_they_are
    an_unfinished_run_in_the_way
    approve_a_plan_by_its_hash
    check_a_cloud_that_is_not_well
    check_a_cloud_that_is_well
    keys_that_differ
    list_and_show_runs
    nothing_to_do
    ostler_is_killed
    pause_and_resume
    plan_without_changing_anything
    power_comes_back_in_time
    rehearse_a_plan
    rollback_from_the_backup_loses_data
    rollback_from_the_isolated_database
    rollback_loses_nothing_before_the_contract
    rollback_of_the_whole_database_cluster
    see_what_is_there
    skip_a_step_that_was_done_by_hand
    somebody_presses_ctrl_c
    the_cloud_changed_after_the_approval
    two_ostlers_at_once
    typos
    upgrade_offline
    upgrade_with_little_downtime
    upgrade_without_downtime
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

/// The transcript of a script, or what is wrong with it.
pub fn transcript(path: &Path, text: &str) -> Result<String, Failure> {
    let catalogue = Catalogue::embedded().unwrap();
    take_told();
    let script = Script::read(path, text, &catalogue)?;
    let showing = Showing { printer: Printer::plain(), is_transcript: true, is_for_reading: false };
    super::on_a_clock_that_jumps(play(&script, Arc::new(catalogue), showing))?;
    Ok(take_told())
}

fn tell(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let short = format!("tests/stories/{name}.txt");
    let once = || match transcript(Path::new(&short), &text) {
        Ok(told) => told,
        Err(failure) => panic!("{}{failure}", take_told()),
    };
    let now = once();
    assert_eq!(now, once(), "{short} is not told twice in the same words");
    let golden = path.with_extension("out");
    let wants_writing = std::env::var("OSTLER_STORIES").is_ok_and(|value| value == "write");
    if wants_writing && std::env::var_os("CI").is_none() {
        std::fs::write(&golden, now).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&golden).unwrap_or_default();
    if before != now {
        panic!("{}", difference(name, &before, &now));
    }
}

/// The first place where two transcripts differ, with a few lines around it.
fn difference(name: &str, before: &str, now: &str) -> String {
    let (before, now): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let same = before.iter().zip(&now).take_while(|(one, other)| one == other).count();
    let around = |lines: &[&str], mark: char| -> String {
        lines.iter().skip(same).take(5).map(|line| format!("{mark} {line}\n")).collect()
    };
    let lead: String = now[same.saturating_sub(3)..same].iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "{name} is told otherwise, from line {} on:\n\n{lead}{}{}\nif that is meant: OSTLER_STORIES=write cargo nextest run -p ostler-app {name}, and read the difference\n",
        same + 1,
        around(&before, '-'),
        around(&now, '+')
    )
}

#[test]
fn the_readme_lists_every_form() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let events = EVENTS.iter().map(|(form, _)| *form);
    let missing: Vec<&str> = events
        .chain(MOMENTS.iter().map(|(form, _)| *form))
        .filter(|form| !readme.contains(&format!("`{form}`")))
        .collect();
    assert!(missing.is_empty(), "tests/stories/README.md does not name: {missing:#?}");
}

#[test]
fn every_script_is_told() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut listed = STORIES.to_vec();
    listed.sort_unstable();
    assert_eq!(
        found, listed,
        "list each script of tests/stories in stories/scripts.rs, in the order of the alphabet"
    );
}
