//! What operations and registrations name: files, slots of the file table, ranges of memory.

use core::ffi::c_void;
use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::sys::{IORING_FILE_INDEX_ALLOC, IORING_REGISTER_FILES_SKIP};

/// A descriptor for a field that is unsigned: its bits.
///
/// A [`BorrowedFd`] can be negative: that of rustix's `CWD` is -100. The bits of such a number are
/// no descriptor, and the kernel answers `EBADF`.
#[inline(always)]
pub(crate) const fn fd_bits(fd: RawFd) -> u32 {
    u32::from_ne_bytes(fd.to_ne_bytes())
}

/// A slot of the ring's file table, as
/// [`register_files`](crate::register::Registrar::register_files) filled it.
///
/// The ring keeps the file of a slot open. So operations on a slot that name no memory
/// [are pushed safely](crate::ops#what-is-pushed-safely).
#[doc(alias("direct", "registered"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "IOSQE_FIXED_FILE")]
pub struct Fixed(pub u32);

/// What an operation acts on: a descriptor or a fixed slot.
///
/// Made from a reference to anything that has a descriptor, or from a [`Fixed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A descriptor, by number.
    Fd(RawFd),
    /// A slot of the ring's file table.
    Fixed(Fixed),
}

impl<F: AsFd> From<&F> for Target {
    #[inline(always)]
    fn from(file: &F) -> Self {
        Self::Fd(file.as_fd().as_raw_fd())
    }
}

impl From<BorrowedFd<'_>> for Target {
    #[inline(always)]
    fn from(fd: BorrowedFd<'_>) -> Self {
        Self::Fd(fd.as_raw_fd())
    }
}

impl From<Fixed> for Target {
    #[inline(always)]
    fn from(slot: Fixed) -> Self {
        Self::Fixed(slot)
    }
}

/// Where in the ring's file table an operation puts a file that it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DestSlot {
    /// Into this slot; what is there is closed. The completion's result is 0.
    At(Fixed),
    /// Into a free slot, since Linux 5.19; the completion's result is its number. `ENFILE` if
    /// no slot is free, or if the ring has no table.
    Alloc,
}

impl DestSlot {
    /// The kernel's way to say it: 0 is no slot at all, so that slots count from 1.
    #[inline(always)]
    pub(crate) const fn file_index(self) -> u32 {
        match self {
            // A slot beyond any table stays one, and does not become "any".
            Self::At(Fixed(slot)) if slot >= IORING_FILE_INDEX_ALLOC - 1 => {
                IORING_FILE_INDEX_ALLOC - 1
            }
            Self::At(Fixed(slot)) => slot + 1,
            Self::Alloc => IORING_FILE_INDEX_ALLOC,
        }
    }

    /// The same, and 0 for no slot.
    #[inline(always)]
    pub(crate) const fn index_of(slot: Option<Self>) -> u32 {
        match slot {
            Some(slot) => slot.file_index(),
            None => 0,
        }
    }
}

/// A range of memory, `struct iovec`: the same layout as that of C and of `std::io::IoSlice`.
#[doc(alias = "iovec")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoVec {
    /// Where it starts.
    pub base: *mut c_void,
    /// Its length in bytes.
    pub len: usize,
}

// SAFETY: an address and a length; who may use what is there is said by those who are given
// one in unsafe code.
unsafe impl Send for IoVec {}
// SAFETY: as above.
unsafe impl Sync for IoVec {}

impl IoVec {
    /// No memory: an empty slot in a table of buffers.
    pub const EMPTY: Self = Self { base: core::ptr::null_mut(), len: 0 };

    /// `len` bytes from `base` on.
    pub const fn new(base: *mut u8, len: usize) -> Self {
        Self { base: base.cast(), len }
    }
}

impl From<&mut [u8]> for IoVec {
    fn from(bytes: &mut [u8]) -> Self {
        Self::new(bytes.as_mut_ptr(), bytes.len())
    }
}

impl From<&[u8]> for IoVec {
    /// For operations that only read the memory.
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.as_ptr().cast_mut(), bytes.len())
    }
}

/// What to put into a slot of the file table: a descriptor, nothing ([`EMPTY`](Self::EMPTY)), or
/// what is there ([`SKIP`](Self::SKIP)).
///
/// Made from a reference to anything that has a descriptor, or from a [`BorrowedFd`]. Registering
/// is safe, so the descriptor must be open: a number becomes a `BorrowedFd` by
/// [`BorrowedFd::borrow_raw`], which is unsafe.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSlot<'fd> {
    fd: i32,
    borrows: PhantomData<BorrowedFd<'fd>>,
}

impl FileSlot<'_> {
    /// An empty slot.
    pub const EMPTY: Self = Self { fd: -1, borrows: PhantomData };

    /// Leaves the slot as it is, in an update. `IORING_REGISTER_FILES_SKIP`, since Linux 5.12.
    pub const SKIP: Self = Self { fd: IORING_REGISTER_FILES_SKIP, borrows: PhantomData };
}

impl<'fd> From<BorrowedFd<'fd>> for FileSlot<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Self { fd: fd.as_raw_fd(), borrows: PhantomData }
    }
}

impl<'fd, F: AsFd> From<&'fd F> for FileSlot<'fd> {
    fn from(file: &'fd F) -> Self {
        file.as_fd().into()
    }
}
