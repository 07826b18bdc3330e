//! A whole log: each of its lines belongs to exactly one record, whatever it holds and however it is cut into blocks, and whoever
//! passes ordinary lines by still sees every warning and every line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_logs::line::Severity;
use ostler_logs::read::Blocks;
use ostler_logs::record::Walk;
use std::io::Cursor;
use std::path::Path;

/// What is unpacked of a bomb.
const LINES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut blocks =
        Blocks::over(Path::new("fuzz.log"), Box::new(Cursor::new(bytes.to_vec()))).in_blocks_of(16 << 10);
    let mut walk: Option<Walk> = None;
    let mut passing: Option<Walk> = None;
    let (mut lines, mut last, mut seen) = (0_usize, 0, 0_u64);
    while blocks.next_block().is_some() {
        let is_export = blocks.is_export();
        let walk = walk.get_or_insert_with(|| Walk::new(is_export));
        let passing = passing.get_or_insert_with(|| Walk::new(is_export).passing_ordinary());
        let mut wanted = 0;
        let block = blocks.current();
        let (mut bad, mut seen_bad) = (Vec::new(), Vec::new());
        walk.block(block, |line| {
            wanted += line.text.len() + 1;
            lines += 1;
            last = line.record;
            bad.extend(line.head.filter(|head| head.severity >= Severity::Warning).map(|_| line.at));
        });
        passing.block(block, |line| {
            seen += 1;
            seen_bad.extend(line.head.filter(|head| head.severity >= Severity::Warning).map(|_| line.at));
        });
        assert_eq!(bad, seen_bad, "a warning was passed by");
        assert_eq!(lines as u64, seen + passing.passed(), "a line was lost");
        // Only the last line of a log may lack its end.
        assert!(wanted == block.len() || wanted == block.len() + 1, "{wanted} of {} bytes", block.len());
        assert!(last < walk.records().max(1), "a line of a record that never began");
        if lines > LINES_MAX {
            return;
        }
    }
});
