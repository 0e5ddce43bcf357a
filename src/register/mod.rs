//! `io_uring_register(2)`: what a ring is told outside its queues.
//!
//! [`Registrar`] has a method for each operation, in files by family; [`register`] reaches
//! any operation with nothing but a descriptor.

mod buf_ring;
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

pub use buf_ring::{
    BufferRing, BufferRingFull, BufferRingOptions, Bundle, MAX_BUFFERS, UnregisterError,
};
pub use buffers::CloneRange;
pub use cancel::CancelWhat;
pub use control::{Clock, Napi};
pub use error::RegisterError;
pub use events::send_message;
pub use probe::Probe;
pub use query::{Answer, query};
pub use region::{RegisteredWait, WaitRegion};
pub use restrictions::{Restriction, restrict_task};

pub use crate::target::FileSlot;

use crate::call;
use crate::errno::errno_of_call;
use crate::ring::home::Home;
use crate::ring::map::Region;
use crate::sys::{
    IORING_REGISTER_USE_REGISTERED_RING, RegisterOp, RsrcRegisterFlags, SharedPtr,
    io_uring_rsrc_register, io_uring_rsrc_update, io_uring_rsrc_update2,
};
use crate::target::fd_bits;

/// Registers things with one ring. From [`IoUring::registrar`](crate::IoUring::registrar).
///
/// On a ring with SINGLE_ISSUER, only its own thread may register: others get `EEXIST`. A ring
/// belongs to the process that made it: in a child each method fails with `ECHILD`. A method that
/// fails returns [`RegisterError`], which says what was asked for; the tables of its documentation
/// list the values of [`errno`](RegisterError::errno).
#[derive(Clone, Copy, Debug)]
pub struct Registrar<'r> {
    fd: RawFd,
    /// 0, or the bit that says that `fd` is a registered index.
    by_index: u32,
    /// The process that made the ring; `None` where there is no ring.
    home: Option<Home>,
    /// Not `Send`: on another thread the index is another ring's.
    ring: PhantomData<(BorrowedFd<'r>, *const ())>,
}

/// Calls `io_uring_register(2)` with nothing checked.
///
/// `fd` may be -1 for those operations that need no ring. Returns what the kernel returned.
///
/// # Errors
///
/// Those of the operation; see [`io_uring_register(2)`].
///
/// # Safety
///
/// `arg` and `nr_args` are what `op` wants, valid for what it reads and writes during the
/// call, and afterwards for as long as `op` says; what the call changes about the ring breaks
/// no promise made for entries in flight.
///
/// [`io_uring_register(2)`]: https://man7.org/linux/man-pages/man2/io_uring_register.2.html
#[inline]
pub unsafe fn register(
    fd: RawFd,
    op: RegisterOp,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, Errno> {
    // SAFETY: the caller's promise is the kernel's demand.
    let result = unsafe { call::register(fd, op.as_raw(), arg, nr_args) };
    result.map_err(errno_of_call)
}

impl<'r> Registrar<'r> {
    pub(crate) fn new(fd: BorrowedFd<'r>, home: Home) -> Self {
        Self { fd: fd.as_raw_fd(), by_index: 0, home: Some(home), ring: PhantomData }
    }

    /// For a ring that has no descriptor but an index registered with this thread.
    pub(crate) const fn of_index(index: i32, home: Home) -> Self {
        let by_index = IORING_REGISTER_USE_REGISTERED_RING;
        Self { fd: index, by_index, home: Some(home), ring: PhantomData }
    }

    /// For a ring of the simulated kernel.
    #[cfg(feature = "sim")]
    pub(crate) const fn of_simulated(number: i32, home: Home) -> Self {
        Self { fd: number, by_index: 0, home: Some(home), ring: PhantomData }
    }

    /// Calls `io_uring_register(2)` on this ring with nothing checked.
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
        // SAFETY: the caller's promise, passed on.
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

    /// Whether this is a ring of the simulated kernel, which has a number below -1.
    #[cfg(feature = "sim")]
    const fn is_simulated(&self) -> bool {
        self.fd < -1
    }

    const fn name(&self) -> RingName {
        RingName { fd: self.fd, by_index: self.by_index, home: self.home }
    }

    /// What the kernel answers to `op` with an argument at `arg`, where there is no memory:
    /// `EINVAL` if it does not know the operation.
    pub(crate) fn try_at(&self, op: RegisterOp, arg: usize, nr_args: u32) -> Result<u32, Errno> {
        // SAFETY: no memory is where `arg` points, which is what the kernel is to find out.
        unsafe { self.raw(op, core::ptr::without_provenance_mut(arg), nr_args) }
    }

    /// The same for what is registered without a ring.
    pub(crate) fn try_without_ring(op: RegisterOp, arg: usize, nr_args: u32) -> Result<u32, Errno> {
        Registrar { fd: -1, by_index: 0, home: None, ring: PhantomData }.try_at(op, arg, nr_args)
    }

    /// Maps memory that the kernel shares at `offset` of the ring's descriptor.
    fn map(&self, len: usize, offset: u64) -> Result<Region, Errno> {
        if self.by_index != 0 {
            // There is no descriptor to map from.
            return Err(Errno::BADF);
        }
        // SAFETY: the ring's descriptor, which `'r` keeps open.
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
    /// `table` points to as many elements of the kind that `op` takes, and tags if to any, as it
    /// says, valid for reads during the call, and kept as the kind has it.
    unsafe fn make_table(
        &self,
        op: RegisterOp,
        mut table: io_uring_rsrc_register,
    ) -> Result<(), RegisterError> {
        let (arg, size) = ((&raw mut table).cast(), size::<io_uring_rsrc_register>());
        // SAFETY: one struct of that size, which the kernel only reads, during the call; what it
        // points to is the caller's promise.
        unsafe { self.ask(op, arg, size) }?;
        Ok(())
    }

    /// Replaces slots of a table of files or of buffers. Returns how many.
    ///
    /// # Safety
    ///
    /// As for `make_table`, of `update`.
    unsafe fn update_table(
        &self,
        op: RegisterOp,
        mut update: io_uring_rsrc_update2,
    ) -> Result<u32, RegisterError> {
        let (arg, size) = ((&raw mut update).cast(), size::<io_uring_rsrc_update2>());
        // SAFETY: one struct of that size, which the kernel only reads, during the call; what it
        // points to is the caller's promise.
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

/// A ring, as far as what is registered with it has to know it again.
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

/// Frees the index that a ring's descriptor is registered as with this thread.
pub(crate) fn unregister_ring_fd(ring: Registrar<'_>, index: i32) -> Result<(), Errno> {
    let mut update =
        io_uring_rsrc_update { offset: index.unsigned_abs(), resv: 0, data: SharedPtr::NULL };
    let arg = (&raw mut update).cast();
    // SAFETY: one `io_uring_rsrc_update`, valid for reads and writes during the call.
    unsafe { ring.raw(RegisterOp::UNREGISTER_RING_FDS, arg, 1) }?;
    Ok(())
}

/// The number of elements as the kernel takes it.
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

/// The size of a struct in bytes, where the kernel wants that for a count.
const fn size<T>() -> u32 {
    assert!(size_of::<T>() < 4096);
    #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
    let size = size_of::<T>() as u32;
    size
}
