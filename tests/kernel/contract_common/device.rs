//! Reads that a device carries out.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use ringbolt::ops::Read;
use ringbolt::{IoUring, Sqe};

use crate::common::TempDir;

/// The length of the file, and of each read.
pub(crate) const LEN: usize = 1 << 20;

/// What it is filled with.
pub(crate) const FILLED: u8 = 0x11;

/// How often to try to see a read in flight.
pub(crate) const ATTEMPTS: usize = 20;

/// What a machine lacks on which that is never seen.
pub(crate) const NEEDED: &str = "a disk on which a direct read is seen in flight";

/// A file that is read from the device, and memory to read to, which stays for ever.
pub(crate) struct Direct {
    file: File,
    pub(crate) memory: *mut u8,
    _dir: TempDir,
}

impl Direct {
    /// `None` where files cannot be read in this way.
    pub(crate) fn new() -> Option<Self> {
        let dir = TempDir::new();
        let path = dir.file("data", &[]);
        let mut file = File::create(&path).expect("a file");
        file.write_all(&vec![FILLED; LEN]).expect("room");
        file.sync_all().expect("it is written");
        let mut options = File::options();
        let file = options.read(true).custom_flags(libc::O_DIRECT).open(&path).ok()?;
        let room: &'static mut [u8] = Box::leak(vec![0; LEN + 4096].into());
        let memory = room.as_mut_ptr();
        let memory = memory.wrapping_add(memory.align_offset(4096));
        Some(Self { file, memory, _dir: dir })
    }

    /// A read of the whole file.
    pub(crate) fn read(&self, id: u64) -> Sqe {
        let len = u32::try_from(LEN).expect("a small file");
        Read::new(&self.file, self.memory, len).offset(0).sqe(id)
    }

    /// Forgets what was read. Nothing is in flight.
    pub(crate) fn clear(&self) {
        // SAFETY: memory of ours that no operation uses.
        unsafe { self.memory.write_bytes(0, LEN) };
    }

    /// The last byte that a read stores.
    pub(crate) fn last(&self) -> u8 {
        // SAFETY: inside the memory, which stays for ever.
        let last = unsafe { self.memory.add(LEN - 1) };
        // SAFETY: a byte that the device may be writing: any value will do.
        unsafe { last.read_volatile() }
    }
}

/// A ring in which one such read has been submitted, unless it has completed already.
pub(crate) fn in_flight(direct: &Direct) -> Option<IoUring> {
    let mut ring = IoUring::new(8).expect("a ring");
    direct.clear();
    // SAFETY: the memory stays for ever, and the file as long as `direct`.
    unsafe { ring.submission().push(direct.read(1)) }.expect("room");
    assert_eq!(ring.submit(), Ok(1));
    ring.completion().is_empty().then_some(ring)
}
