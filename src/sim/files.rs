//! Files in memory.

use core::fmt;
use std::vec::Vec;

use rustix::io::Errno;

use crate::ops::target::{Fixed, Target};
use crate::sys::SharedPtr;

use super::program::Program;

/// The maximum length of a simulated file in bytes: writes beyond it fail with `EFBIG`.
pub const MAX_FILE: usize = 64 << 20;

/// How a file is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Fd(i32),
    Fixed(u32),
}

impl From<Target> for Name {
    fn from(target: Target) -> Self {
        match target {
            Target::Fd(fd) => Self::Fd(fd),
            Target::Fixed(Fixed(slot)) => Self::Fixed(slot),
        }
    }
}

/// How a transfer fails or is limited.
#[derive(Clone, Copy, Debug)]
pub(super) enum TransferFault {
    Short(usize),
    Fail(Errno),
}

/// A regular file.
pub(super) struct File {
    contents: Vec<u8>,
    /// The position of reads and writes without an offset.
    position: u64,
}

/// A range of the program's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: SharedPtr,
    pub(super) len: usize,
}

/// The start of a transfer in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Offset(u64),
    /// The file's position, which moves.
    Position,
    /// The end of the file.
    End,
}

impl File {
    pub(super) fn new(contents: Vec<u8>) -> Self {
        Self { contents, position: 0 }
    }

    pub(super) fn contents(&self) -> Vec<u8> {
        self.contents.clone()
    }

    /// Reads at most `limit` bytes into `ranges`.
    ///
    /// # Safety
    ///
    /// The ranges are valid for writes, unless below the first page.
    pub(super) unsafe fn read(
        &mut self,
        program: Program,
        at: At,
        ranges: &[Range],
        limit: usize,
    ) -> Result<usize, Errno> {
        let start = self.start(at);
        let there = self.contents.get(start..).unwrap_or_default();
        let mut left = there.get(..limit).unwrap_or(there);
        let all = left.len();
        for range in ranges {
            let (bytes, rest) = left.split_at(range.len.min(left.len()));
            let to = range.start.as_ptr().cast();
            // SAFETY: at most as many bytes as the range has, which is valid by the contract.
            if let Err(errno) = unsafe { program.give(to, bytes) } {
                // The bytes transferred before are reported.
                if left.len() == all {
                    return Err(errno);
                }
                break;
            }
            left = rest;
        }
        let moved = all - left.len();
        self.move_on(at, start + moved);
        Ok(moved)
    }

    /// Writes at most `limit` bytes from `ranges`.
    ///
    /// # Safety
    ///
    /// The ranges are valid for reads, unless below the first page.
    pub(super) unsafe fn write(
        &mut self,
        program: Program,
        at: At,
        ranges: &[Range],
        limit: usize,
    ) -> Result<usize, Errno> {
        let start = self.start(at);
        let wanted: usize = ranges.iter().fold(0, |sum, range| sum.saturating_add(range.len));
        if start >= MAX_FILE && wanted > 0 {
            return Err(Errno::FBIG);
        }
        let mut left = wanted.min(limit).min(MAX_FILE.saturating_sub(start));
        let mut end = start;
        for range in ranges {
            let len = range.len.min(left);
            if len == 0 {
                continue;
            }
            let mut bytes = std::vec![0; len];
            // SAFETY: at most as many bytes as the range has, which is valid by the contract.
            if let Err(errno) = unsafe { program.take(range.start.as_ptr().cast(), &mut bytes) } {
                if end == start {
                    return Err(errno);
                }
                break;
            }
            self.put(end, &bytes);
            (end, left) = (end + len, left - len);
        }
        self.move_on(at, end);
        Ok(end - start)
    }

    /// Writes `bytes` at `start`, after filling any gap before them with zeros.
    fn put(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.contents.len() < end {
            self.contents.resize(end, 0);
        }
        if let Some(place) = self.contents.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
    }

    fn start(&self, at: At) -> usize {
        let offset = match at {
            At::Offset(offset) => offset,
            At::Position => self.position,
            At::End => return self.contents.len(),
        };
        // If it does not fit, a position beyond every end.
        usize::try_from(offset).unwrap_or(usize::MAX)
    }

    fn move_on(&mut self, at: At, end: usize) {
        if matches!(at, At::Position) {
            self.position = end as u64;
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, at {}", self.contents.len(), self.position)
    }
}
