//! Arguments of operations in memory that is taken away while the operation waits for its turn.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

pub(crate) mod cases;
pub(crate) mod device;
pub(crate) mod messages;
pub(crate) mod sources;

use core::ffi::c_char;
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use ringbolt::ops::{IoVec, Read};
use ringbolt::rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use ringbolt::{IoUring, Sqe, Timespec};
use rustix::io::Errno;

use crate::common::{PATIENCE, TempDir};
use crate::op_common::{leaked, pipe};

/// Until when an argument must stay, as the documentation has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Taken,
    Completion,
}

/// The `user_data` of the entry that a case is about.
pub(crate) const ID: u64 = 1;

/// An operation with its arguments, in the order in which it puts them into memory.
pub(crate) struct Case {
    pub(crate) arguments: &'static [(&'static str, Until)],
    pub(crate) make: fn(&mut Stage) -> Vec<Sqe>,
}

/// A page, which stays mapped for ever.
fn page() -> *mut u8 {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the address.
    let page = unsafe { mmap_anonymous(core::ptr::null_mut(), 4096, access, MapFlags::PRIVATE) };
    page.expect("memory").cast()
}

/// Files, a ring, and memory for the arguments of one run: one of them lies in a page of its own.
pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    pub(crate) ring: IoUring,
    /// Entries that are submitted before, and stay in flight.
    pub(crate) before: Vec<Vec<Sqe>>,
    /// Registered as buffer 0.
    pub(crate) registered: *mut u8,
    guarded: *mut u8,
    /// Which argument lies there.
    which: usize,
    put: usize,
}

impl Stage {
    fn new(which: usize) -> Self {
        let dir = TempDir::new();
        for name in ["a", "b", "c"] {
            dir.file(name, b"0123456789");
        }
        let ring = IoUring::builder().submit_all().build(16).expect("a ring");
        ring.registrar().register_files_sparse(8).expect("a table");
        let registered = page();
        // SAFETY: the page is mapped for ever.
        unsafe { ring.registrar().register_buffers(&[IoVec::new(registered, 4096)]) }
            .expect("a buffer");
        Self { dir, ring, before: Vec::new(), registered, guarded: page(), which, put: 0 }
    }

    /// Memory for the next argument.
    fn place(&mut self, len: usize) -> *mut u8 {
        assert!(len <= 4096);
        self.put += 1;
        if self.put - 1 == self.which { self.guarded } else { page() }
    }

    /// Puts an argument into memory.
    pub(crate) fn put<T: Copy>(&mut self, value: T) -> *mut T {
        let place = self.place(size_of::<T>()).cast::<T>();
        // SAFETY: a page that was just mapped, with room for the value, aligned.
        unsafe { place.write(value) };
        place
    }

    /// Puts a string into memory, with a NUL.
    pub(crate) fn text(&mut self, text: &str) -> *const c_char {
        let text = CString::new(text).expect("no NUL");
        let bytes = text.as_bytes_with_nul();
        let place = self.place(bytes.len());
        // SAFETY: a page that was just mapped, with room for the bytes.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        place.cast_const().cast()
    }

    /// Puts a path in the directory of this run into memory.
    pub(crate) fn path(&mut self, name: &str) -> *const c_char {
        let path = self.dir.join(name);
        self.text(path.to_str().expect("a path in UTF-8"))
    }

    /// A file of this run.
    pub(crate) fn open(&self, name: &str) -> File {
        let mut options = File::options();
        options.read(true).write(true).open(self.dir.join(name)).expect("it is there")
    }

    /// Keeps something for ever: what is in flight at the end of a run uses it still.
    pub(crate) fn keep<T: 'static>(&self, value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    fn close_page(&self) {
        // SAFETY: mapped by `page`, and reached by nobody but the kernel from now on.
        let closed = unsafe { mprotect(self.guarded.cast(), 4096, MprotectFlags::empty()) };
        closed.expect("a page of ours");
    }

    /// The result of the entry in question.
    fn result(&mut self) -> Result<u32, Errno> {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "no completion");
            while let Some(cqe) = self.ring.completion().pop() {
                if cqe.user_data() == ID && !cqe.is_notification() {
                    return cqe.result();
                }
            }
            match self.ring.completion().wait_timeout(1, Timespec::new(1, 0)) {
                Ok(()) | Err(Errno::TIME | Errno::INTR) => {}
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    fn push(&mut self, entries: &[Sqe]) {
        // SAFETY: all memory of a stage is mapped for ever; that a part of it cannot be reached
        // makes an error of the operation.
        unsafe { self.ring.submission().push_all(entries) }.expect("room");
        self.ring.submit().expect("submitted");
        assert!(self.ring.submission().is_empty(), "the kernel has taken all");
    }
}

impl Case {
    fn stage(&self, which: usize) -> (Stage, Vec<Sqe>) {
        let mut stage = Stage::new(which);
        let entries = (self.make)(&mut stage);
        assert_eq!(stage.put, self.arguments.len(), "{:?}", self.arguments);
        for before in core::mem::take(&mut stage.before) {
            stage.push(&before);
        }
        (stage, entries)
    }

    /// What the operation comes to if argument `which` cannot be reached when it is submitted.
    pub(crate) fn without(&self, which: usize) -> Result<u32, Errno> {
        let (mut stage, entries) = self.stage(which);
        stage.close_page();
        stage.push(&entries);
        stage.result()
    }

    /// What it comes to if argument `which` cannot be reached from when it has been submitted, and
    /// it starts later.
    pub(crate) fn closed_after(&self, which: usize) -> Result<u32, Errno> {
        let (mut stage, entries) = self.stage(which);
        let (reader, mut writer) = pipe();
        let mut chain = vec![Read::new(&reader, leaked::<1>().as_mut_ptr(), 1).sqe(0).link()];
        chain.extend(entries);
        stage.push(&chain);
        stage.close_page();
        writer.write_all(&[1]).expect("room in the pipe");
        stage.result()
    }
}
