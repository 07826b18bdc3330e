//! `ostler lab`, without a lab.

use crate::environment::Home;

#[test]
fn a_lab_that_is_not_there() {
    insta::assert_snapshot!(Home::empty().says("lab status --directory none"), @r"
    exit 2
    --- err
    error: there is no lab `lab` here
    hint: make one: `ostler lab up`
    hint: it may have another name: `--name NAME`
    ");
    insta::assert_snapshot!(Home::empty().says("lab load --directory none --for 1s"), @r"
    exit 2
    --- err
    error: there is no lab `lab` here
    hint: make one: `ostler lab up`
    hint: it may have another name: `--name NAME`
    ");
}

#[test]
fn a_lab_that_cannot_be() {
    insta::assert_snapshot!(Home::empty().says("lab up --directory none --cache none --controllers 2"), @r"
    exit 2
    --- err
    error: a lab cannot have 2 controllers
    hint: ask for 1 or 3: a database cluster decides by majority
    ");
    insta::assert_snapshot!(Home::empty().says("lab up --directory none --cache none --release 2019.1"), @r"
    exit 2
    --- err
    error: the lab has no release `2019.1`
    hint: take one of 2023.1, 2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2
    ");
    insta::assert_snapshot!(Home::empty().says("lab up --directory none --cache none --with nova --release 2024.1"), @r"
    exit 2
    --- err
    error: the lab has no Nova of release 2024.1
    hint: take `--release` 2025.1 or 2026.1
    ");
    insta::assert_snapshot!(Home::empty().says("lab up --directory none --cache none --computes 2"), @r"
    exit 2
    --- err
    error: compute nodes and instances need nova
    hint: add `--with nova`
    ");
    insta::assert_snapshot!(Home::empty().says("lab up --directory none --cache none --with masakari"), @r"
    exit 2
    --- err
    error: masakari needs nova
    hint: add `--with nova`
    ");
    insta::assert_snapshot!(Home::empty().says("lab up --name Big_Lab"), @r"
    exit 2
    --- err
    error: `Big_Lab` cannot be the name of a lab
    hint: take a lower case letter followed by lower case letters, digits or dashes, 12 characters at most
    ");
}
