//! The file that is read: each sector begins with its own number. And which blocks of it are.

use std::io;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, fdatasync, openat};
use rustix::io::pwrite;

use crate::groups::scratch::{Pages, Scratch};

/// The least that can be read without the page cache.
const SECTOR: u32 = 512;

/// Bytes written at a time.
const CHUNK: u32 = 1 << 20;

/// Makes a file of `len` bytes in a directory of its own under `parent`, and opens it for reading
/// with `flags` as well. The file has no name any more.
pub(super) fn file(parent: &Path, len: u64, flags: OFlags) -> io::Result<OwnedFd> {
    let scratch = Scratch::new(parent)?;
    let path = scratch.path().join("blocks");
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | flags;
    let file = openat(CWD, &path, create, Mode::RUSR | Mode::WUSR)?;
    let mut chunk = Pages::new(CHUNK as usize);
    let mut sector = 0_u64;
    for offset in (0..len).step_by(CHUNK as usize) {
        for head in chunk.slice(0, CHUNK as usize).chunks_exact_mut(SECTOR as usize) {
            for (byte, value) in head.iter_mut().zip(sector.to_ne_bytes()) {
                *byte = value;
            }
            sector += 1;
        }
        let part = u32::try_from(len - offset).unwrap_or(CHUNK).min(CHUNK);
        let written = pwrite(&file, chunk.slice(0, part as usize), offset)?;
        if written != part as usize {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    // Or the writing would go on while the reading is measured.
    fdatasync(&file)?;
    Ok(openat(CWD, &path, OFlags::RDONLY | flags, Mode::empty())?)
}

/// Blocks of a file, at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picks {
    state: u64,
    mask: u64,
    len: u32,
}

impl Picks {
    /// Blocks of `len` bytes out of the first `span` bytes; both are powers of two. Each `seed`
    /// gives blocks of its own.
    pub(super) fn new(span: u64, len: u32, seed: u64) -> Self {
        assert!(span.is_power_of_two() && len.is_power_of_two());
        // Not zero, from which the generator would not get away.
        let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state, mask: span / u64::from(len) - 1, len }
    }

    /// Bytes in a block.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Where the next block begins.
    #[inline(always)]
    pub(super) const fn next(&mut self) -> u64 {
        // Marsaglia's xorshift.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state & self.mask) * self.len as u64
    }
}

/// The number with which the block at `offset` begins.
#[inline(always)]
pub(super) const fn number_at(offset: u64) -> u64 {
    offset / SECTOR as u64
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;
    use rustix::io::pread;

    use super::{Picks, file, number_at};

    #[test]
    fn each_block_of_the_file_begins_with_the_number_that_it_is_checked_by() {
        let (span, len) = (1 << 21, 512);
        let made = file(&std::env::temp_dir(), span, OFlags::empty()).unwrap();
        let mut picks = Picks::new(span, len, 3);
        let mut was_in_second_half = false;
        for _ in 0..1000 {
            let offset = picks.next();
            assert!(offset.is_multiple_of(u64::from(len)) && offset < span, "{offset}");
            was_in_second_half |= offset >= span / 2;
            let mut number = [0; 8];
            assert_eq!(pread(&made, &mut number, offset), Ok(8));
            assert_eq!(u64::from_ne_bytes(number), number_at(offset));
        }
        assert!(was_in_second_half);
    }
}
