//! `io_uring_register(2)`: everything that is set up for a ring outside its queues.
//!
//! [`Registrar`] has one method for each operation. [`register`] calls any operation, and needs
//! only a descriptor.

mod buf_ring;
mod buf_ring_error;
mod buf_ring_options;
mod buffers;
mod cancel;
mod control;
mod error;
mod events;
mod files;
mod probe;
mod query;
mod region;
mod restrictions;
mod zcrx;

use core::ffi::c_void;
use core::marker::PhantomData;

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

pub use buf_ring::{BufferRing, Bundle, MAX_BUFFERS};
pub use buf_ring_error::{BufferRingFull, UnregisterError};
pub use buf_ring_options::BufferRingOptions;
pub use buffers::CloneRange;
pub use cancel::CancelWhat;
pub use control::{Clock, Napi};
pub use error::RegisterError;
pub use events::send_message;
pub use probe::Probe;
pub use query::{Answer, query};
pub use region::{RegisteredWait, WaitRegion};
pub use restrictions::{Restriction, restrict_task};

pub use crate::ops::target::FileSlot;

use crate::enter::call;
use crate::enter::call::Simulated;
use crate::entry::errno::errno_of_call;
use crate::ops::target::fd_bits;
use crate::ring::home::Home;
use crate::ring::map::Region;
use crate::sys::{
    IORING_REGISTER_USE_REGISTERED_RING, RegisterOp, RsrcRegisterFlags, SharedPtr,
    io_uring_rsrc_register, io_uring_rsrc_update, io_uring_rsrc_update2,
};

/// Registers resources and settings with one ring.
///
/// [`IoUring::registrar`](crate::IoUring::registrar) returns it.
///
/// On a ring with SINGLE_ISSUER only the ring's own thread may register: on other threads each
/// method fails with `EEXIST`. A ring belongs to the process that made it: in a child process each
/// method fails with `ECHILD`.
#[derive(Clone, Copy, Debug)]
pub struct Registrar<'r> {
    fd: RawFd,
    /// 0, or the bit which means that `fd` is a registered index.
    by_index: u32,
    /// The process that made the ring; `None` if there is no ring.
    home: Option<Home>,
    /// Not `Send`: on another thread the index refers to another ring.
    ring: PhantomData<(BorrowedFd<'r>, *const ())>,
}

/// Calls `io_uring_register(2)` without any checks.
///
/// `fd` may be -1 for operations that need no ring. Returns the result of the system call.
///
/// ```
/// use core::ptr::null_mut;
/// use std::os::fd::AsRawFd;
/// use ringbolt::{IoUring, register::register, rustix::io::Errno, sys::RegisterOp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ring = IoUring::new(8)?;
/// let op = RegisterOp::UNREGISTER_FILES;
/// // SAFETY: the operation takes no argument, and no entry is in flight.
/// let result = unsafe { register(ring.as_raw_fd(), op, null_mut(), 0) };
/// assert_eq!(result, Err(Errno::NXIO)); // There is no file table.
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of the operation; see [`io_uring_register(2)`].
///
/// # Safety
///
/// - `arg` and `nr_args` are what `op` requires.
/// - What `arg` points to is valid for all that `op` reads and writes, during the call, and
///   afterwards for as long as `op` requires.
/// - The changes that the call makes to the ring violate no contract of entries in flight.
///
/// [`io_uring_register(2)`]: https://man7.org/linux/man-pages/man2/io_uring_register.2.html
#[doc(alias = "io_uring_register")]
#[inline]
pub unsafe fn register(
    fd: RawFd,
    op: RegisterOp,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, Errno> {
    // SAFETY: the caller keeps the contract of the operation.
    let result = unsafe { call::register(fd, op.as_raw(), arg, nr_args) };
    result.map_err(errno_of_call)
}

impl<'r> Registrar<'r> {
    /// The registrar of a ring of which only a descriptor is known, such as one that another
    /// library or another process has made. `ring` may be any descriptor: the methods fail with
    /// `EOPNOTSUPP` if it is not a ring's.
    ///
    /// Nothing is known about who made the ring: `ECHILD` is not reported.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use ringbolt::{IoUring, register::Registrar, sys::Opcode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // SAFETY: nothing is registered, and this program reaps the ring.
    /// let registrar = unsafe { Registrar::of_ring(ring.as_fd()) };
    /// assert!(registrar.probe()?.supports(Opcode::NOP));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Safety
    ///
    /// The code that pushes to the ring and reaps it allows for what is registered, changed and
    /// cancelled through this. Tags are completions with any `user_data`, which that code must not
    /// take for those of its operations; slots and buffers that it uses are not replaced; and what
    /// it has registered by unsafe code is not unregistered before it expects that.
    pub unsafe fn of_ring(ring: BorrowedFd<'r>) -> Self {
        Self { fd: ring.as_raw_fd(), by_index: 0, home: None, ring: PhantomData }
    }

    pub(crate) fn new(fd: BorrowedFd<'r>, home: Home) -> Self {
        Self { fd: fd.as_raw_fd(), by_index: 0, home: Some(home), ring: PhantomData }
    }

    /// For a ring that has no descriptor, only an index registered with this thread.
    pub(crate) const fn of_index(index: i32, home: Home) -> Self {
        let by_index = IORING_REGISTER_USE_REGISTERED_RING;
        Self { fd: index, by_index, home: Some(home), ring: PhantomData }
    }

    /// For a ring of the simulated kernel.
    pub(crate) const fn of_simulated(ring: Simulated, home: Home) -> Self {
        Self { fd: ring.number(), by_index: 0, home: Some(home), ring: PhantomData }
    }

    /// Calls `io_uring_register(2)` on this ring without any checks.
    ///
    /// ```
    /// use core::ptr::null_mut;
    /// use ringbolt::{IoUring, rustix::io::Errno, sys::RegisterOp};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let op = RegisterOp::UNREGISTER_FILES;
    /// // SAFETY: the operation takes no argument, and no entry is in flight.
    /// let result = unsafe { ring.registrar().raw(op, null_mut(), 0) };
    /// assert_eq!(result, Err(Errno::NXIO)); // There is no file table.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the operation; `ECHILD` in a process that did not make the ring.
    ///
    /// # Safety
    ///
    /// As for [`register`].
    pub unsafe fn raw(&self, op: RegisterOp, arg: *mut c_void, nr_args: u32) -> Result<u32, Errno> {
        if self.home.is_some_and(|home| !home.is_here()) {
            return Err(Errno::CHILD);
        }
        let op = RegisterOp::from_raw(op.as_raw() | self.by_index);
        // SAFETY: the caller keeps the same contract.
        unsafe { register(self.fd, op, arg, nr_args) }
    }

    /// The same, with an error that says what was asked for.
    ///
    /// # Safety
    ///
    /// As for [`register`].
    unsafe fn ask(
        &self,
        op: RegisterOp,
        arg: *mut c_void,
        nr_args: u32,
    ) -> Result<u32, RegisterError> {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.raw(op, arg, nr_args) }.map_err(|errno| RegisterError { op, errno })
    }

    /// Whether this is a ring of the simulated kernel.
    const fn is_simulated(&self) -> bool {
        Simulated::find(self.fd).is_some()
    }

    const fn name(&self) -> RingName {
        RingName { fd: self.fd, by_index: self.by_index, home: self.home }
    }

    /// Tries `op` with an argument at `arg`, an address that is never mapped. Returns the kernel's
    /// result: `EINVAL` if it does not know the operation.
    pub(crate) fn try_at(&self, op: RegisterOp, arg: usize, nr_args: u32) -> Result<u32, Errno> {
        // SAFETY: `arg` is never mapped, so the kernel cannot read or write anything there.
        unsafe { self.raw(op, core::ptr::without_provenance_mut(arg), nr_args) }
    }

    /// The same for an operation that needs no ring.
    pub(crate) fn try_without_ring(op: RegisterOp, arg: usize, nr_args: u32) -> Result<u32, Errno> {
        Registrar { fd: -1, by_index: 0, home: None, ring: PhantomData }.try_at(op, arg, nr_args)
    }

    /// Maps memory that the kernel shares at `offset` of the ring's descriptor.
    fn map(&self, len: usize, offset: u64) -> Result<Region, Errno> {
        if self.by_index != 0 {
            // A registered index cannot be mapped: that needs a descriptor.
            return Err(Errno::BADF);
        }
        // SAFETY: the ring's descriptor, which stays open for `'r`.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        Region::map(fd, len, offset)
    }

    /// Makes a table of empty slots, of files or of buffers.
    fn register_sparse(&self, op: RegisterOp, slots: u32) -> Result<(), RegisterError> {
        let flags = RsrcRegisterFlags::SPARSE;
        let table = io_uring_rsrc_register { nr: slots, flags, ..io_uring_rsrc_register::ZEROED };
        // SAFETY: it points to nothing.
        unsafe { self.make_table(op, table) }
    }

    /// Makes a table of files or of buffers.
    ///
    /// # Safety
    ///
    /// `table` points to elements of the kind that `op` takes and, unless null, to tags: as many of
    /// each as it gives, valid for reads during the call. What the elements refer to is kept as
    /// their kind requires.
    unsafe fn make_table(
        &self,
        op: RegisterOp,
        mut table: io_uring_rsrc_register,
    ) -> Result<(), RegisterError> {
        let (arg, size) = ((&raw mut table).cast(), size::<io_uring_rsrc_register>());
        // SAFETY: one struct of that size, which the kernel only reads, during the call; the caller
        // vouches for what it points to.
        unsafe { self.ask(op, arg, size) }?;
        Ok(())
    }

    /// Replaces slots of a table of files or of buffers. Returns how many.
    ///
    /// # Safety
    ///
    /// As for `make_table`, with `update` in place of `table`.
    unsafe fn update_table(
        &self,
        op: RegisterOp,
        mut update: io_uring_rsrc_update2,
    ) -> Result<u32, RegisterError> {
        let (arg, size) = ((&raw mut update).cast(), size::<io_uring_rsrc_update2>());
        // SAFETY: one struct of that size, which the kernel only reads, during the call; the caller
        // vouches for what it points to.
        unsafe { self.ask(op, arg, size) }
    }

    /// Enables a ring that was set up disabled. `IORING_REGISTER_ENABLE_RINGS`, since Linux
    /// 5.10.
    pub(crate) fn enable(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::REGISTER_ENABLE_RINGS, core::ptr::null_mut(), 0) }?;
        Ok(())
    }
}

/// Identifies a ring, so that what is registered with it can check which ring it belongs to.
#[derive(Clone, Copy, Debug)]
struct RingName {
    fd: RawFd,
    by_index: u32,
    home: Option<Home>,
}

impl RingName {
    /// Whether this process made the ring.
    #[inline(always)]
    fn is_here(&self) -> bool {
        self.home.is_none_or(Home::is_here)
    }
}

impl PartialEq for RingName {
    fn eq(&self, other: &Self) -> bool {
        (self.fd, self.by_index) == (other.fd, other.by_index)
    }
}

/// Registers a ring's descriptor with this thread. Returns its index there.
pub(crate) fn register_ring_fd(ring: BorrowedFd<'_>) -> Result<i32, Errno> {
    let fd = u64::from(fd_bits(ring.as_raw_fd()));
    let mut update = io_uring_rsrc_update {
        // Any free slot.
        offset: u32::MAX,
        resv: 0,
        data: SharedPtr::without_provenance(fd),
    };
    let arg = (&raw mut update).cast();
    // SAFETY: one `io_uring_rsrc_update`, valid for reads and writes during the call.
    unsafe { register(ring.as_raw_fd(), RegisterOp::REGISTER_RING_FDS, arg, 1) }?;
    i32::try_from(update.offset).map_err(|_| Errno::OVERFLOW)
}

/// Frees the index under which a ring's descriptor is registered with this thread.
pub(crate) fn unregister_ring_fd(ring: Registrar<'_>, index: i32) -> Result<(), Errno> {
    let mut update =
        io_uring_rsrc_update { offset: index.unsigned_abs(), resv: 0, data: SharedPtr::NULL };
    let arg = (&raw mut update).cast();
    // SAFETY: one `io_uring_rsrc_update`, valid for reads and writes during the call.
    unsafe { ring.raw(RegisterOp::UNREGISTER_RING_FDS, arg, 1) }?;
    Ok(())
}

/// The number of elements, as the kernel expects it.
fn count<T>(op: RegisterOp, elements: &[T]) -> Result<u32, RegisterError> {
    u32::try_from(elements.len()).map_err(|_| RegisterError { op, errno: Errno::INVAL })
}

/// The address of the tags, if there is one for each element.
fn tags_for<T>(op: RegisterOp, elements: &[T], tags: &[u64]) -> Result<SharedPtr, RegisterError> {
    if tags.len() != elements.len() {
        return Err(RegisterError { op, errno: Errno::INVAL });
    }
    Ok(SharedPtr::new(tags.as_ptr()))
}

/// The size of a struct in bytes, for operations that expect it in place of a count.
const fn size<T>() -> u32 {
    assert!(size_of::<T>() < 4096);
    #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
    let size = size_of::<T>() as u32;
    size
}
