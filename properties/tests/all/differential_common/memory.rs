//! Memory and files for the operations of one script.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::PathBuf;

use ringbolt::ops::IoVec;

use super::script::{Form, LONGEST, Op};
use crate::common::TempDir;

/// What is between two operations' bytes, which nobody is to touch.
const GAP: usize = 64;

/// A place of its own for each operation of a script.
///
/// It is given back by [`free`](Self::free) and by nothing else: when a test has failed,
/// operations may be in flight that use it.
pub(crate) struct Memory {
    bytes: NonNull<[u8]>,
    places: usize,
    vectors: ManuallyDrop<Vec<Vec<IoVec>>>,
}

impl Memory {
    /// Memory for `places` operations, all of it filled with the same byte.
    pub(crate) fn new(places: usize) -> Self {
        let bytes: Box<[u8]> = vec![0xa5; places.max(1) * (LONGEST + GAP)].into();
        let vectors = ManuallyDrop::new(Vec::with_capacity(places));
        Self { bytes: NonNull::from(Box::leak(bytes)), places, vectors }
    }

    /// Where the bytes of an operation start.
    pub(crate) fn place(&self, place: usize) -> *mut u8 {
        assert!(place < self.places);
        // SAFETY: there are as many places of that length.
        unsafe { self.bytes.cast::<u8>().add(place * (LONGEST + GAP)) }.as_ptr()
    }

    /// Fills the first `len` bytes of a place with such as are found nowhere else.
    pub(crate) fn fill(&mut self, place: usize, len: usize) {
        assert!(len <= LONGEST);
        let start = self.place(place);
        for index in 0..len {
            let [low, high, ..] = (place * 7919 + index * 31).to_le_bytes();
            // SAFETY: inside the place, which no operation uses yet.
            unsafe { start.wrapping_add(index).write(low ^ high) };
        }
    }

    /// The vectors by which `op` names its bytes. They stay where they are.
    pub(crate) fn vectors(&mut self, place: usize, op: &Op) -> (*const IoVec, usize) {
        let start = self.place(place);
        let mut ends: Vec<usize> = match &op.form {
            Form::Vectors(cuts) => {
                cuts.iter().map(|cut| op.len * usize::from(*cut) / 256).collect()
            }
            _ => Vec::new(),
        };
        ends.sort_unstable();
        ends.push(op.len);
        let mut at = 0;
        let cut = |end: usize| {
            let vector = IoVec::new(start.wrapping_add(at), end - at);
            at = end;
            vector
        };
        let vectors: Vec<_> = ends.into_iter().map(cut).collect();
        self.vectors.push(vectors);
        let vectors = self.vectors.last().expect("it was just put there");
        let count = if matches!(op.form, Form::NoVectors) { 0 } else { vectors.len() };
        (vectors.as_ptr(), count)
    }

    /// All of it as two buffers to be registered.
    pub(crate) fn halves(&self) -> [IoVec; 2] {
        let split = self.places / 2 * (LONGEST + GAP);
        let start = self.bytes.as_ptr().cast::<u8>();
        let second = IoVec::new(start.wrapping_add(split), self.bytes.len() - split);
        // A half without places is one of a byte that nobody uses.
        [IoVec::new(start, split.max(1)), second]
    }

    /// Which of the two a place is in.
    pub(crate) fn half_of(&self, place: usize) -> u16 {
        u16::from(place >= self.places / 2)
    }

    /// Every byte of it.
    ///
    /// # Safety
    ///
    /// No operation in flight uses it, until the slice has been dropped.
    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: leaked by `new`; nobody writes to it, by the contract.
        unsafe { self.bytes.as_ref() }
    }

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// No operation in flight uses it, and none will; it is not registered.
    pub(crate) unsafe fn free(mut self) {
        // SAFETY: leaked by `new`, and given back once, as `self` is gone then.
        drop(unsafe { Box::from_raw(self.bytes.as_ptr()) });
        // SAFETY: dropped once, as `self` is gone then.
        unsafe { ManuallyDrop::drop(&mut self.vectors) };
    }
}

/// A file that is open twice.
pub(crate) struct Files {
    dir: TempDir,
    pub(crate) read_write: File,
    pub(crate) read_only: File,
}

impl Files {
    /// A new file of `len` bytes, and where its position stands.
    pub(crate) fn new(len: usize, position: u64) -> Self {
        let dir = TempDir::new();
        let contents: Vec<u8> = (0_u8..=250).cycle().take(len).collect();
        let path = dir.file("data", &contents);
        let open = |writes| {
            let mut file = File::options().read(true).write(writes).open(&path).expect("a file");
            file.seek(SeekFrom::Start(position)).expect("a place in a file");
            file
        };
        let (read_write, read_only) = (open(true), open(false));
        Self { dir, read_write, read_only }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What is in the file now, and where its two positions stand.
    pub(crate) fn state(&mut self) -> (Vec<u8>, [u64; 2]) {
        let contents = std::fs::read(self.path()).expect("the file");
        let positions = [&mut self.read_write, &mut self.read_only]
            .map(|file| file.stream_position().expect("a position"));
        (contents, positions)
    }

    /// How long the file is now.
    pub(crate) fn len(&self) -> u64 {
        self.read_write.metadata().expect("the file's length").len()
    }
}
