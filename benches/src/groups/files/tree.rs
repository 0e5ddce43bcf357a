//! A directory of files, each of which begins with its own number; and the state of one who reads
//! them, batch by batch.

use core::ffi::CStr;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};

use crate::groups::scratch::{Pages, Scratch, Seen};

/// Bytes in a file.
pub(super) const LEN: u32 = 4096;

/// Files in the directory.
const COUNT: u32 = 4096;

/// How everybody opens files. `O_CLOEXEC` is not for fixed slots.
pub(super) const FLAGS: OFlags = OFlags::RDONLY;

/// Nothing is created.
pub(super) const NO_MODE: Mode = Mode::empty();

/// The directory, which is removed in the end.
#[derive(Debug)]
pub(super) struct Tree {
    dir: File,
    /// Without the directory's: paths are relative to it.
    names: Vec<CString>,
    _scratch: Scratch,
}

impl Tree {
    /// Makes it under `parent`, and leaves all of it in the page cache.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        let scratch = Scratch::new(parent)?;
        let mut names = Vec::new();
        let mut content = [0_u8; LEN as usize];
        for number in 0..COUNT {
            let name = format!("{number:04}");
            for (byte, value) in content.iter_mut().zip(u64::from(number).to_ne_bytes()) {
                *byte = value;
            }
            fs::write(scratch.path().join(&name), content)?;
            names.push(CString::new(name)?);
        }
        let dir = File::open(scratch.path())?;
        // Or the writing would go on while the reading is measured.
        rustix::fs::syncfs(&dir)?;
        Ok(Self { dir, names, _scratch: scratch })
    }
}

/// One who reads the files, a batch at a time, one after the other.
#[derive(Debug)]
pub(super) struct Work<'a> {
    tree: &'a Tree,
    next: u32,
    batch: u32,
    pages: Pages,
    seen: Seen,
}

impl<'a> Work<'a> {
    pub(super) fn new(tree: &'a Tree, batch: u32) -> Self {
        let pages = Pages::new(batch as usize * LEN as usize);
        Self { tree, next: 0, batch, pages, seen: Seen::default() }
    }

    /// Files to a batch.
    pub(super) const fn batch(&self) -> u32 {
        self.batch
    }

    /// Where the files are.
    pub(super) fn dir(&self) -> BorrowedFd<'a> {
        self.tree.dir.as_fd()
    }

    /// The path of the next file, which is to be read.
    #[inline(always)]
    pub(super) fn next(&mut self) -> &'a CStr {
        let number = self.next;
        self.next = (number + 1) % COUNT;
        self.seen.want(u64::from(number));
        self.tree.names.get(number as usize).map_or(c"", CString::as_c_str)
    }

    /// Where the `n`th file of a batch is read to.
    #[inline(always)]
    pub(super) fn buf(&self, n: u32) -> *mut u8 {
        self.pages.at(n as usize * LEN as usize, LEN as usize)
    }

    /// The same, to be borrowed.
    #[inline(always)]
    pub(super) fn slice(&mut self, n: u32) -> &mut [u8] {
        self.pages.slice(n as usize * LEN as usize, LEN as usize)
    }

    /// The memory of the whole batch.
    pub(super) const fn pages(&self) -> &Pages {
        &self.pages
    }

    /// The read of the `n`th file of the batch has ended with `result`.
    #[inline(always)]
    pub(super) fn find(&mut self, n: u32, result: i32) {
        // SAFETY: each part of the memory has one read, which has ended.
        let number = unsafe { self.pages.number(n as usize * LEN as usize) };
        self.seen.find(result, number);
    }

    /// Fails unless `turns` batches of files have been read, each file whole.
    pub(super) fn check(&mut self, turns: u64) {
        core::mem::take(&mut self.seen).check(turns * u64::from(self.batch), LEN);
    }
}
