//! A whole log: each of its lines belongs to exactly one record, whatever it holds and however it is cut into blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
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
    let (mut lines, mut last) = (0_usize, 0);
    while blocks.next_block().is_some() {
        let is_export = blocks.is_export();
        let walk = walk.get_or_insert_with(|| Walk::new(is_export));
        let mut wanted = 0;
        let block = blocks.current();
        walk.block(block, |line| {
            wanted += line.text.len() + 1;
            lines += 1;
            last = line.record;
        });
        // Only the last line of a log may lack its end.
        assert!(wanted == block.len() || wanted == block.len() + 1, "{wanted} of {} bytes", block.len());
        assert!(last < walk.records().max(1), "a line of a record that never began");
        if lines > LINES_MAX {
            return;
        }
    }
});
