//! Logs as they are after a bad night: torn, cut, packed badly, unreadable, without end.

use ostler_logs::clock::Clock;
use ostler_logs::group::{Groups, Wanted, group};
use ostler_logs::line::Severity;
use ostler_logs::merge::merge;
use ostler_logs::place::{Found, Place, Source, is_archive, unfold};
use ostler_logs::rate::rate;
use ostler_logs::trace::trace;
use proptest::prelude::*;
use std::io::Write;
use std::path::Path;

const ERRORS: Wanted = Wanted { least: Severity::Error, since: None, until: None, mark: None };
const LINE: &str = "2026-11-21 18:40:02.114 4711 ERROR nova.compute.manager [-] it broke\n";

fn source(path: &Path) -> Source {
    Source {
        path: path.to_owned(),
        host: "ctl1".into(),
        service: "nova-compute".into(),
        name: "ctl1:nova-compute.log".into(),
        bytes: std::fs::metadata(path).map_or(0, |found| found.len()),
        clock: Clock::utc(1_795_286_402_000_000),
    }
}

fn errors_of(bytes: &[u8]) -> Groups {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("nova-compute.log");
    std::fs::write(&path, bytes).unwrap();
    let all = [source(&path)];
    // Everything that reads must live through it.
    merge(&all, None, None, |_| true);
    rate(&all, None, None);
    trace(&all, "5b9c0f1e-1111-4222-8333-444455556666", &[]);
    group(&all, ERRORS)
}

fn count(groups: &Groups) -> u64 {
    groups.groups.iter().map(|group| group.count).sum()
}

#[test]
fn nul_bytes_and_wrong_letters_belong_to_the_record_above() {
    let text = [LINE.as_bytes(), &[0; 70_000], b"\n\xff\xfe\x80 not utf-8\n", LINE.as_bytes()].concat();
    let groups = errors_of(&text);
    assert_eq!((count(&groups), groups.lines, groups.unread.len()), (2, 4, 0));
}

#[test]
fn a_line_of_ten_megabytes_is_one_line() {
    let text = [LINE.trim_end().as_bytes(), &vec![b'x'; 10 << 20], b"\n", LINE.as_bytes()].concat();
    let groups = errors_of(&text);
    assert_eq!((count(&groups), groups.lines, groups.unread.len()), (2, 2, 0));
}

#[test]
fn a_record_beyond_the_bound_is_cut_and_said() {
    let text = [LINE.as_bytes(), &vec![b'x'; 40 << 20], b"\n", LINE.as_bytes()].concat();
    let groups = errors_of(&text);
    assert_eq!(count(&groups), 2);
    assert!(groups.unread[0].why.contains("they were cut"), "{:?}", groups.unread);
}

#[test]
fn rotations_are_read_whatever_they_are_packed_with() {
    let home = tempfile::tempdir().unwrap();
    let text = LINE.repeat(1000);
    let path = home.path().join("plain");
    std::fs::write(&path, &text).unwrap();
    for (ending, program) in [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd")] {
        let Ok(done) = std::process::Command::new(program).arg("-k").arg(&path).output() else { continue };
        assert!(done.status.success());
        let packed = path.with_extension(ending);
        // Twice in one file, as after an append.
        let once = std::fs::read(&packed).unwrap();
        let twice = errors_of(&[once.as_slice(), once.as_slice()].concat());
        assert_eq!((count(&twice), twice.unread.len()), (2000, 0), "{program}: {:?}", twice.unread);
        // Cut off: what is there is read, and the rest is said.
        let cut = errors_of(&once[..once.len() - 9]);
        assert_eq!(cut.unread.len(), 1, "{program}");
    }
}

#[test]
fn a_torn_gzip_gives_what_it_holds() {
    let mut packer = flate2_encoder();
    for number in 0..20_000 {
        writeln!(packer, "{} {number} {}", LINE.trim_end(), number * 7919 % 1013).unwrap();
    }
    let packed = packer.finish().unwrap();
    let groups = errors_of(&packed[..packed.len() / 2]);
    assert!(count(&groups) > 5_000, "{}", count(&groups));
    assert!(groups.unread[0].why.contains("read only up to byte"), "{:?}", groups.unread);
}

fn flate2_encoder() -> flate2::write::GzEncoder<Vec<u8>> {
    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())
}

#[test]
fn times_that_jump_back_are_said_and_keep_their_place() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.log");
    let line = |time: &str| format!("2026-11-21 {time}.000 1 INFO nova.api [-] at {time}\n");
    let text: String =
        ["10:00:00", "10:00:02", "10:00:01", "09:00:00", "09:00:01", "10:00:03"].map(line).concat();
    std::fs::write(&path, text).unwrap();
    let mut told = Vec::new();
    let merged = merge(&[source(&path)], None, None, |placed| {
        told.push(String::from_utf8_lossy(placed.text).trim_end().rsplit(' ').next().unwrap().to_owned());
        true
    });
    assert_eq!(told, ["10:00:00", "10:00:01", "10:00:02", "09:00:00", "09:00:01", "10:00:03"]);
    assert_eq!(merged.jumps, [("ctl1:nova-compute.log".to_owned(), 2)]);
}

#[test]
fn one_that_may_not_be_read_is_said_and_the_others_are_read() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good.log");
    std::fs::write(&good, LINE).unwrap();
    let all = [source(&good), source(&home.path().join("gone.log"))];
    let groups = group(&all, ERRORS);
    assert_eq!((count(&groups), groups.unread.len()), (1, 1));
    assert!(groups.unread[0].why.contains("cannot be opened"));
}

#[test]
fn a_log_that_grows_and_rotates_while_it_is_read_is_read_to_an_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.log");
    std::fs::write(&path, LINE.repeat(200_000)).unwrap();
    let all = [source(&path)];
    let mut seen = 0u64;
    let merged = merge(&all, None, None, |_| {
        seen += 1;
        if seen == 1 {
            std::fs::rename(&path, home.path().join("x.log.1")).unwrap();
            std::fs::write(&path, LINE).unwrap();
        }
        true
    });
    assert_eq!((seen, merged.unread.len()), (200_000, 0));
}

#[test]
fn very_many_logs_are_merged_few_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for number in 0..3_000 {
        let path = home.path().join(format!("{number}.log"));
        let time = format!("2026-11-21 {:02}:{:02}:00.000", number / 60 % 24, number % 60);
        std::fs::write(&path, format!("{time} 1 INFO nova.api [-] hello\n")).unwrap();
        all.push(source(&path));
    }
    let mut last = i64::MIN;
    let merged = merge(&all, None, None, |placed| {
        assert!(placed.at >= last);
        last = placed.at;
        true
    });
    assert_eq!((merged.records, merged.unread.len()), (3_000, 0));
}

#[test]
fn an_archive_stays_below_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let archive = home.path().join("node.tar.gz");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        std::fs::File::create(&archive).unwrap(),
        flate2::Compression::fast(),
    ));
    let mut add = |name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(LINE.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_795_286_402);
        // A name as an honest program would refuse to write it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, LINE.as_bytes()).unwrap();
    };
    add("ctl1/var/log/nova/nova-compute.log");
    add("../../outside.log");
    add("/absolute.log");
    tar.into_inner().unwrap().finish().unwrap();
    assert!(is_archive(&archive));
    let into = home.path().join("in/deep/er");
    std::fs::create_dir_all(&into).unwrap();
    assert_eq!(unfold(&archive, &into).unwrap(), []);
    assert!(into.join("outside.log").is_file() && into.join("absolute.log").is_file());
    assert!(!home.path().join("in/outside.log").exists());
    let mut found = Found::default();
    let place =
        Place { path: into, host: "?".into(), zone: jiff::tz::TimeZone::UTC, ahead_us: 0, below: None };
    found.look(&place, None);
    found.finish();
    let names: Vec<&str> = found.sources.iter().map(|source| source.name.as_str()).collect();
    assert!(names.contains(&"ctl1:var/log/nova/nova-compute.log"), "{names:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_bytes_are_a_panic_and_no_line_is_lost(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(LINE.as_bytes().to_vec()),
                Just(b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n".to_vec()),
                Just(b"2026-11-21T18:40:02.114Z stdout P {\"log\":\"x\n".to_vec()),
                Just(b"2026-11-21 18:40:02.114 4711 ERROR nova.compute.manager Traceback (most recent call last):\n".to_vec()),
                Just(b"{\"log\":\"2026-11-21 18:40:02.114 7 ERROR x [-] y\\n\",\"time\":\"2026-11-21T18:40:02.114Z\"}\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..80),
            ],
            0..40,
        )
    ) {
        let text = pieces.concat();
        let groups = errors_of(&text);
        let packed = text.starts_with(&[0x1f, 0x8b]) || text.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if !packed {
            let ends = text.iter().filter(|c| **c == b'\n').count();
            let lines = ends + usize::from(!text.is_empty() && !text.ends_with(b"\n"));
            prop_assert_eq!(groups.lines, lines as u64);
        }
    }
}
