//! What the groups about files have in common: memory to read into, a directory that goes away
//! again, and a check that all that was to be read has been read.

use core::hint::black_box;
use core::ptr::NonNull;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ringbolt::ops::IoVec;
use ringbolt::sys::{RegisterOp, SetupFlags};
use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::floor::Floor;

/// Whole pages of memory, as unbuffered reads need them.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns its memory, as a boxed slice would.
unsafe impl Send for Pages {}

impl Pages {
    /// `len` bytes, each of them touched, so that no page is missing later.
    pub(super) fn new(len: usize) -> Self {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address.
        let start =
            unsafe { mmap_anonymous(core::ptr::null_mut(), len, access, MapFlags::PRIVATE) };
        let start = NonNull::new(start.expect("memory").cast()).expect("an address");
        // SAFETY: just mapped, and nobody else's.
        unsafe { start.write_bytes(0xff, len) };
        Self { start, len }
    }

    /// The address `offset` bytes from the start, from which on there are `len` bytes.
    #[inline(always)]
    pub(super) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.saturating_add(len) <= self.len, "inside the memory");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// `len` bytes from `offset` on.
    #[inline(always)]
    pub(super) fn slice(&mut self, offset: usize, len: usize) -> &mut [u8] {
        let start = self.at(offset, len);
        // SAFETY: mapped and initialised by `new`, and borrowed with `self`.
        unsafe { core::slice::from_raw_parts_mut(start, len) }
    }

    /// The number that lies `offset` bytes from the start.
    ///
    /// # Safety
    ///
    /// No operation in flight writes it.
    #[inline(always)]
    pub(super) unsafe fn number(&self, offset: usize) -> u64 {
        let at = self.at(offset, size_of::<u64>()).cast::<u64>();
        // SAFETY: valid for reads, by the line above; not written meanwhile, by the contract.
        unsafe { at.read_unaligned() }
    }

    /// All of it, for a table of fixed buffers.
    pub(super) fn whole(&self) -> IoVec {
        IoVec::new(self.start.as_ptr(), self.len)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, whole; contenders leave nothing in flight that uses it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// What has been read, against what was to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    bytes: i64,
    /// Numbers found less numbers wanted.
    balance: u64,
}

impl Seen {
    /// A read has begun that is to find `number`.
    #[inline(always)]
    pub(super) const fn want(&mut self, number: u64) {
        self.balance = self.balance.wrapping_sub(number);
    }

    /// A read has ended with `result`, and has found `number`.
    #[inline(always)]
    pub(super) fn find(&mut self, result: i32, number: u64) {
        self.bytes += i64::from(result);
        self.balance = self.balance.wrapping_add(number);
    }

    /// Adds what another thread has seen.
    pub(super) const fn join(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.balance = self.balance.wrapping_add(other.balance);
    }

    /// Fails unless `reads` reads have brought `len` bytes each, the right ones.
    pub(super) fn check(self, reads: u64, len: u32) {
        let wanted = i64::try_from(reads * u64::from(len));
        assert_eq!(Ok(black_box(self.bytes)), wanted, "reads are missing or short");
        assert_eq!(black_box(self.balance), 0, "something else has been read");
    }
}

/// A directory, removed with all that is in it, after a panic too.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new directory in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        // A process that was killed leaves its directory, and another gets its number.
        let mut result = Err(ErrorKind::AlreadyExists.into());
        for number in 0..100 {
            let path = parent.join(format!("ringbolt-benches-{}-{number}", std::process::id()));
            result = fs::create_dir(&path).map(|()| Self(path));
            if !matches!(&result, Err(error) if error.kind() == ErrorKind::AlreadyExists) {
                break;
            }
        }
        result
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

/// The set-up of `IoUring::local`.
const LOCAL: SetupFlags = SetupFlags::SINGLE_ISSUER
    .union(SetupFlags::DEFER_TASKRUN)
    .union(SetupFlags::NO_SQARRAY)
    .union(SetupFlags::SUBMIT_ALL);

/// A hand-written ring like that of `IoUring::local`.
pub(super) fn floor(entries: u32) -> Floor {
    let mut floor = Floor::new(entries, LOCAL).expect("a ring");
    floor.register_ring_fd().expect("an index");
    floor
}

/// The same of the `io-uring` crate, whose submitter registers the descriptor.
pub(super) fn peer(entries: u32) -> io_uring::IoUring {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray().setup_submit_all();
    builder.build(entries).expect("a ring")
}

/// Registers `files` with whosoever's ring, and `buffer` as the one fixed buffer.
///
/// # Safety
///
/// `buffer` stays mapped until the ring is closed.
pub(super) unsafe fn register(
    ring: impl AsRawFd,
    files: &[i32],
    buffer: &Pages,
) -> Result<(), Errno> {
    let ring = ring.as_raw_fd();
    let count = u32::try_from(files.len()).map_err(|_| Errno::INVAL)?;
    let (files, buffers) = (files.as_ptr().cast_mut().cast(), [buffer.whole()]);
    // SAFETY: so many descriptors, valid for reads.
    unsafe { ringbolt::register::register(ring, RegisterOp::REGISTER_FILES, files, count) }?;
    let buffers = buffers.as_ptr().cast_mut().cast();
    // SAFETY: one vector, valid for reads, of memory that stays, by the contract.
    unsafe { ringbolt::register::register(ring, RegisterOp::REGISTER_BUFFERS, buffers, 1) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Scratch, Seen};

    #[test]
    fn a_directory_goes_away_with_its_files_after_a_panic_too() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let path = scratch.path().to_owned();
        std::fs::write(path.join("file"), b"content").unwrap();
        let result = std::panic::catch_unwind(move || {
            assert!(!scratch.path().exists(), "as planned");
        });
        assert!(result.is_err());
        assert!(!path.exists());
    }

    #[test]
    fn two_directories_of_one_process_do_not_meet() {
        let parent = std::env::temp_dir();
        let (one, other) = (Scratch::new(&parent).unwrap(), Scratch::new(&parent).unwrap());
        assert_ne!(one.path(), other.path());
    }

    fn seen(wanted: &[u64], found: &[(i32, u64)]) -> Seen {
        let mut seen = Seen::default();
        wanted.iter().for_each(|number| seen.want(*number));
        found.iter().for_each(|(result, number)| seen.find(*result, *number));
        seen
    }

    #[test]
    fn reads_may_end_in_any_order() {
        seen(&[7, 9], &[(512, 9), (512, 7)]).check(2, 512);
    }

    #[test]
    #[should_panic(expected = "missing or short")]
    fn a_short_read_is_found() {
        seen(&[7, 9], &[(512, 7), (511, 9)]).check(2, 512);
    }

    #[test]
    #[should_panic(expected = "something else")]
    fn a_wrong_read_is_found() {
        seen(&[7, 9], &[(512, 7), (512, 8)]).check(2, 512);
    }
}
