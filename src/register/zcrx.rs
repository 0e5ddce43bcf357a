//! Receiving without a copy: interface queues.

use rustix::io::Errno;

use crate::sys::{RegisterOp, io_uring_zcrx_ifq_reg, zcrx_ctrl};

use super::Registrar;

impl Registrar<'_> {
    /// Has a queue of a network card write into the program's memory.
    /// `IORING_REGISTER_ZCRX_IFQ`, since Linux 6.15.
    ///
    /// The kernel fills the offsets, the id and the token of the area in. Needs CAP_NET_ADMIN, a
    /// card that can, and a ring with DEFER_TASKRUN and wide completions.
    ///
    /// # Errors
    ///
    /// `EFAULT` if what is pointed to is not there, `EINVAL` for a ring, an area or a region that
    /// does not do, `ENODEV` if there is no such card, `EOPNOTSUPP` if it cannot, `EPERM`.
    ///
    /// # Safety
    ///
    /// What `queue` points to (the area and the region, and the memory that these describe) is
    /// valid for reads and writes: the structs during the call, the memory until the ring is
    /// closed, and used by the program only as the kernel's documentation of zero-copy receiving
    /// says.
    pub unsafe fn register_zcrx(&self, queue: &mut io_uring_zcrx_ifq_reg) -> Result<(), Errno> {
        let arg = core::ptr::from_mut(queue).cast();
        // SAFETY: one struct, valid for reads and writes during the call; what it points to is the
        // caller's promise.
        unsafe { self.raw(RegisterOp::REGISTER_ZCRX_IFQ, arg, 1) }?;
        Ok(())
    }

    /// Tells an interface queue to do something: flush its refill ring, export itself, arm an
    /// event. `IORING_REGISTER_ZCRX_CTRL`, since Linux 6.19.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 6.19 or for an operation that it does not know, `ENXIO` if there is no
    /// such queue.
    pub fn control_zcrx(&self, control: &mut zcrx_ctrl) -> Result<(), Errno> {
        let arg = core::ptr::from_mut(control).cast();
        // SAFETY: one struct without pointers, valid for reads and writes during the call.
        unsafe { self.raw(RegisterOp::REGISTER_ZCRX_CTRL, arg, 0) }?;
        Ok(())
    }
}
