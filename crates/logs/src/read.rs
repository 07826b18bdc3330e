//! Bytes of a log in blocks that end where a record ends, whatever the file is packed with.
//!
//! It reads, it never maps: pipes, rotated files and files that grow are read alike. What cannot be read is an error that
//! comes after everything before it was given.

use crate::line::head;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of one block: it stays in a core's own cache.
const BLOCK_BYTES: usize = 512 << 10;

/// Bytes of one record. Ten megabytes in a line were seen; what is longer is cut, and said.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Memory that a packed file may ask for: what `xz -9` needs, and a bound for files that lie.
const UNPACK_KIBIBYTES_MAX: u32 = 128 << 10;

/// Why a log was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("{} cannot be opened: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Reading broke off.
    #[error("{} was read only up to byte {at}: {error}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Bytes that were read, unpacked.
        at: u64,
        /// What happened.
        error: io::Error,
    },
    /// A record was longer than the bound.
    #[error("{} has {count} pieces of more than {} MiB without a time: they were cut", path.display(), RECORD_BYTES_MAX >> 20)]
    Cut {
        /// The file.
        path: PathBuf,
        /// How many.
        count: u64,
    },
}

/// What a file is packed with, by its first bytes: names lie.
fn is_packed(first: &[u8]) -> bool {
    first.starts_with(&[0x1f, 0x8b])
        || first.starts_with(b"\xfd7zXZ\0")
        || first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// Whether a file is packed; one that cannot be opened is not.
pub fn is_packed_file(path: &Path) -> bool {
    let mut first = [0u8; 6];
    File::open(path)
        .and_then(|mut file| file.read(&mut first))
        .is_ok_and(|length| is_packed(&first[..length]))
}

/// A reader over a file's own bytes, unpacked.
pub fn unpacked(mut from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut first = [0u8; 6];
    let mut length = 0;
    while length < first.len() {
        match from.read(&mut first[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let first = first[..length].to_vec();
    let kind = first.first().copied();
    let packed = is_packed(&first);
    let whole = io::Cursor::new(first).chain(from);
    Ok(match kind {
        Some(0x1f) if packed => Box::new(MultiGzDecoder::new(whole)),
        Some(0xfd) if packed => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, UNPACK_KIBIBYTES_MAX))
        }
        Some(0x28) if packed => Box::new(Zstd::new(whole)),
        _ => Box::new(whole),
    })
}

/// zstd, one frame after the other: files that were appended to have several.
struct Zstd<R: Read> {
    from: Option<Peeked<R>>,
    frame: Option<StreamingDecoder<Peeked<R>, FrameDecoder>>,
}

impl<R: Read> Zstd<R> {
    fn new(from: R) -> Zstd<R> {
        Zstd { from: Some(Peeked { byte: None, from }), frame: None }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                match frame.read(into)? {
                    0 => self.from = self.frame.take().map(StreamingDecoder::into_inner),
                    length => return Ok(length),
                }
            }
            let Some(mut from) = self.from.take() else { return Ok(0) };
            if from.is_at_end()? {
                return Ok(0);
            }
            let window = u64::from(UNPACK_KIBIBYTES_MAX) << 10;
            let frame = StreamingDecoder::new_with_max_window_size(from, window).map_err(io::Error::other)?;
            self.frame = Some(frame);
        }
    }
}

/// A reader of which one byte was looked at.
struct Peeked<R> {
    byte: Option<u8>,
    from: R,
}

impl<R: Read> Peeked<R> {
    fn is_at_end(&mut self) -> io::Result<bool> {
        let mut byte = [0u8; 1];
        let length = self.from.read(&mut byte)?;
        self.byte = (length == 1).then_some(byte[0]);
        Ok(length == 0)
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match (into.first_mut(), self.byte.take()) {
            (Some(first), Some(byte)) => {
                *first = byte;
                Ok(1)
            }
            (_, byte) => {
                self.byte = byte;
                self.from.read(into)
            }
        }
    }
}

/// Blocks of one log.
pub struct Blocks {
    path: PathBuf,
    from: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Bytes at the beginning that were given already.
    given: usize,
    filled: usize,
    at: u64,
    has_ended: bool,
    is_export: Option<bool>,
    fault: Option<io::Error>,
    cut: u64,
    block_bytes: usize,
}

impl Blocks {
    /// Blocks of a file, unpacked.
    pub fn open(path: &Path) -> Result<Blocks, ReadError> {
        let fail = |error| ReadError::Open { path: path.to_owned(), error };
        let from = File::open(path).and_then(unpacked).map_err(fail)?;
        Ok(Blocks::over(path, from))
    }

    /// Blocks of a part of a file that is not packed, from one byte to another, both at the beginning of a record.
    pub fn part(path: &Path, from: u64, to: u64) -> Result<Blocks, ReadError> {
        let fail = |error| ReadError::Open { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(from)).map_err(fail)?;
        Ok(Blocks::over(path, Box::new(file.take(to.saturating_sub(from)))))
    }

    /// Blocks of whatever is read; `path` is its name in messages.
    pub fn over(path: &Path, from: Box<dyn Read + Send>) -> Blocks {
        Blocks {
            path: path.to_owned(),
            from,
            buffer: Vec::new(),
            given: 0,
            filled: 0,
            at: 0,
            has_ended: false,
            is_export: None,
            fault: None,
            cut: 0,
            block_bytes: BLOCK_BYTES,
        }
    }

    /// The same in smaller blocks, where many logs are open at once.
    pub fn in_blocks_of(mut self, bytes: usize) -> Blocks {
        self.block_bytes = bytes.clamp(16 << 10, BLOCK_BYTES);
        self
    }

    /// The block that was given last.
    pub fn current(&self) -> &[u8] {
        &self.buffer[..self.given]
    }

    /// Bytes that were read so far, unpacked.
    pub fn bytes(&self) -> u64 {
        self.at
    }

    /// Whether it is the output of `journalctl -o export`, whose records are told apart otherwise.
    pub fn is_export(&self) -> bool {
        self.is_export == Some(true)
    }

    /// The next block: whole records. None: that was all, and `ending` says whether it really was.
    pub fn next_block(&mut self) -> Option<&[u8]> {
        let rest = self.filled - self.given;
        self.buffer.copy_within(self.given..self.filled, 0);
        (self.given, self.filled) = (0, rest);
        // What is left over holds no end of a record: only what is new is looked at.
        loop {
            if self.has_ended {
                self.given = self.filled;
                return if self.filled == 0 { None } else { Some(&self.buffer[..self.filled]) };
            }
            let wanted = self.filled + self.block_bytes;
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.fill(wanted);
            if self.has_ended {
                continue;
            }
            if let Some(end) = self.record_end() {
                self.given = end;
                return Some(&self.buffer[..end]);
            }
            if self.filled >= RECORD_BYTES_MAX {
                self.cut += 1;
                let end =
                    memchr::memrchr(b'\n', &self.buffer[..self.filled]).map_or(self.filled, |at| at + 1);
                self.given = end;
                return Some(&self.buffer[..end]);
            }
        }
    }

    /// Whether everything was read.
    pub fn ending(&mut self) -> Result<(), ReadError> {
        let path = self.path.clone();
        match self.fault.take() {
            Some(error) => Err(ReadError::Broken { path, at: self.at, error }),
            None if self.cut > 0 => Err(ReadError::Cut { path, count: self.cut }),
            None => Ok(()),
        }
    }

    fn fill(&mut self, wanted: usize) {
        while self.filled < wanted {
            match self.from.read(&mut self.buffer[self.filled..wanted]) {
                Ok(0) => {
                    self.has_ended = true;
                    break;
                }
                Ok(length) => {
                    self.filled += length;
                    self.at += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fault = Some(error);
                    self.has_ended = true;
                    break;
                }
            }
        }
        let buffer = &self.buffer[..self.filled];
        self.is_export.get_or_insert_with(|| buffer.starts_with(b"__CURSOR="));
    }

    /// Where the last record of the buffer begins: everything before it is whole.
    fn record_end(&self) -> Option<usize> {
        let buffer = &self.buffer[..self.filled];
        if self.is_export() {
            return memchr::memmem::rfind(buffer, b"\n__CURSOR=").map(|at| at + 1);
        }
        // The last line may go on in what is not read yet.
        let mut end = memchr::memrchr(b'\n', buffer)?;
        loop {
            let begin = memchr::memrchr(b'\n', &buffer[..end]).map_or(0, |at| at + 1);
            let is_head =
                head(&buffer[begin..end], b"").is_some_and(|head| !head.is_bare && !head.is_partial);
            if begin == 0 {
                return None;
            }
            if is_head {
                return Some(begin);
            }
            end = begin - 1;
        }
    }
}
