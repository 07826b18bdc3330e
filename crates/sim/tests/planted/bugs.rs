//! The bugs that are planted: one thing changed in a copy of the production code, each as somebody might write it.
//!
//! A bug is text to find and text to put there. Text that is found no more, or more than once, fails the test: the bug
//! must stay a change of the code as it is.

/// One bug.
pub struct Bug {
    pub name: &'static str,
    pub file: &'static str,
    pub find: &'static str,
    /// `{is}` stands for the question whether this bug is the one that is planted now.
    pub put: &'static str,
}

pub const BUGS: &[Bug] = &[
    Bug {
        name: "the fold forgets an intent when a run is read again",
        file: "crates/engine/src/run/fold.rs",
        find: "        rest.iter().try_for_each(|entry| run.take_in(entry))?;",
        put: "        rest.iter().try_for_each(|entry| run.take_in(entry))?;
        if {is} {
            for place in run.doing.clone() {
                run.release(place);
                run.steps[place].status = Status::Ready;
                run.ready.insert(place);
                run.file(place);
            }
        }",
    },
    Bug {
        name: "budgets are ignored",
        file: "crates/engine/src/run/shape.rs",
        find: "budgets.iter().map(|budget| budget.width).collect();",
        put: "budgets.iter().map(|budget| if {is} { u32::MAX } else { budget.width }).collect();",
    },
    Bug {
        name: "an unknown outcome is taken for not done",
        file: "crates/engine/src/run/fold.rs",
        find: "        match outcome {
            Outcome::Done { facts } => {",
        put: "        let taken = match outcome {
            Outcome::Unknown { why } if {is} => Outcome::NotDone { why: why.clone() },
            other => other.clone(),
        };
        match &taken {
            Outcome::Done { facts } => {",
    },
    Bug {
        name: "an unknown outcome is taken for done",
        file: "crates/engine/src/run/routed.rs",
        find: "        None => ended(seams, job).await,",
        put: "        None => match ended(seams, job).await {
            Outcome::Unknown { .. } if {is} => Outcome::done(),
            outcome => outcome,
        },",
    },
    Bug {
        name: "a failed step is tried for ever",
        file: "crates/engine/src/run/fold.rs",
        find: "                let is_spent = state.attempt - state.spent >= tries;",
        put: "                let is_spent = state.attempt - state.spent >= tries && !({is});",
    },
    Bug {
        name: "a step begins when one of those before it is done",
        file: "crates/engine/src/run/fold.rs",
        find: "            if state.unmet == 0 && state.status == Status::Waiting {",
        put: "            if (state.unmet == 0 || {is}) && state.status == Status::Waiting {",
    },
    Bug {
        name: "a run is finished with one step left",
        file: "crates/engine/src/run/next.rs",
        find: "    if running && run.remaining == 0 {",
        put: "    if running && (run.remaining == 0 || ({is} && run.remaining == 1)) {",
    },
    Bug {
        name: "a lease without a fencing token",
        file: "crates/engine/src/run/drive.rs",
        find: "            if entry.term > self.lease.term {",
        put: "            if entry.term > self.lease.term && !({is}) {",
    },
    Bug {
        name: "a driver that is behind the times goes on",
        file: "crates/engine/src/run/drive.rs",
        find: "    if state.term > lease.term {",
        put: "    if state.term > lease.term && !({is}) {",
    },
    Bug {
        name: "an entry that the store refused is taken for written",
        file: "crates/engine/src/run/drive.rs",
        find: "                    if failures >= APPENDS_MAX {",
        put: "                    if {is} { return self.accept(entry).map(|()| true); }
                    if failures >= APPENDS_MAX {",
    },
    Bug {
        name: "guards are not looked at",
        file: "crates/engine/src/run/routed.rs",
        find: "    if checks.is_empty() {
        return Ok(());",
        put: "    if checks.is_empty() || {is} {
        return Ok(());",
    },
    Bug {
        name: "a node is taken back in the order in which it was changed",
        file: "crates/engine/src/plan/rollback/ways.rs",
        find: "    let mut chain = after.to_vec();
    for at in past.touched.iter().rev() {",
        put: "    let mut chain = after.to_vec();
    let mut order: Vec<&usize> = past.touched.iter().rev().collect();
    if {is} { order.reverse(); }
    for at in order {",
    },
    Bug {
        name: "a rejoin that failed is thought to have kept the old data",
        file: "crates/engine/src/plan/rollback.rs",
        find: "    let gave_up = touched.iter().any(|at|",
        put: "    let gave_up = !({is}) && touched.iter().any(|at|",
    },
    Bug {
        name: "a start leaves an old process running",
        file: "crates/engine/src/plan/turn.rs",
        find: "    let packages = hop.seen.installed.packages.clone();
    maker.on(host, \"start\", title,",
        put: "    let packages = if {is} { Vec::new() } else { hop.seen.installed.packages.clone() };
    maker.on(host, \"start\", title,",
    },
    Bug {
        name: "a server is stopped before it is drained",
        file: "crates/engine/src/plan/zero.rs",
        find: "        let stopped = turn::stop(hop, maker, host, &[drained]);",
        put: "        let stopped = turn::stop(hop, maker, host, if {is} { &done } else { std::slice::from_ref(&drained) });",
    },
    Bug {
        name: "a host is declared down before it is fenced",
        file: "crates/engine/src/ha/recover.rs",
        find: "title, on(), Does::ForceDown {}, &[fenced])",
        put: "title, on(), Does::ForceDown {}, &(if {is} { Vec::new() } else { vec![fenced] }))",
    },
    Bug {
        name: "off is believed without reading it back",
        file: "crates/engine/src/run/power.rs",
        find: "        Does::Fence { word: None } => PowerState::Off,",
        put: "        Does::Fence { word: None } if {is} => return Outcome::done(),
        Does::Fence { word: None } => PowerState::Off,",
    },
    Bug {
        name: "a source that has power again is not noticed",
        file: "crates/engine/src/run/power.rs",
        find: "        Ok(PowerReading { state: PowerState::On, means, .. }) => {",
        put: "        Ok(PowerReading { state: PowerState::On, means, .. }) if !({is}) => {",
    },
    Bug {
        name: "the state before is read again after the damage",
        file: "crates/engine/src/ha/watch.rs",
        find: "    if incident.before.is_none() {",
        put: "    if incident.before.is_none() || {is} {",
    },
    Bug {
        name: "a reserved host on which nothing landed is kept",
        file: "crates/engine/src/ha/incident.rs",
        find: "!seen_on(seen, spare)).collect();\n    if !unused.is_empty() {",
        put: "!seen_on(seen, spare)).collect();\n    if !unused.is_empty() && !({is}) {",
    },
    Bug {
        name: "marked instances go last",
        file: "crates/engine/src/ha/recover.rs",
        find: "        (Reverse(marked), ",
        put: "        (Reverse(marked != ({is})), ",
    },
    Bug {
        name: "silence of all hosts is taken for the death of all",
        file: "crates/engine/src/ha/confirm.rs",
        find: "    if all_silent || most_silent {",
        put: "    if (all_silent || most_silent) && !({is}) {",
    },
    Bug {
        name: "an instance that could not be moved stays locked",
        file: "crates/engine/src/ha/recover.rs",
        find: "        step.regardless = true;",
        put: "        step.regardless = !({is});",
    },
    Bug {
        name: "a lease of a clock that is ahead is waited for",
        file: "crates/engine/src/ha/attend/handover.rs",
        find: "Some((same, since)) if same == lease => later",
        put: "Some((same, since)) if same == lease => !({is}) && later",
    },
    Bug {
        name: "an instance that could not be moved is forgotten",
        file: "crates/engine/src/ha/incident.rs",
        find: "    let is_due = !left.to_move.is_empty() || !left.to_settle.is_empty();",
        put: "    let is_due = !({is}) && (!left.to_move.is_empty() || !left.to_settle.is_empty());",
    },
];
