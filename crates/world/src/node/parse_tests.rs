use super::*;

const WHOLE: Wanted<'_> = Wanted { galera: true, schemas: true, databases: &["keystone", "nova"] };

fn read(lines: &str) -> Report {
    report(&format!("{lines}\nend\t1\n"), &WHOLE).unwrap()
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    assert_eq!(report("os\tDebian\n", &WHOLE), None);
}
