//! Receiving without a copy: interface queues.

use crate::sys::{RegisterOp, io_uring_zcrx_ifq_reg, zcrx_ctrl};

use super::{RegisterError, Registrar};

impl Registrar<'_> {
    /// Has a queue of a network card write into the program's memory.
    /// `IORING_REGISTER_ZCRX_IFQ`, since Linux 6.15.
    ///
    /// The kernel fills in the offsets, the id, and the token of the area. Needs CAP_NET_ADMIN, a
    /// card that supports it, and a ring with DEFER_TASKRUN and completions of 32 bytes.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EFAULT` | a struct is not at the address given, or memory is not mapped |
    /// | `EINVAL` | a field that the kernel refuses, or a ring without what it needs |
    /// | `ENODEV` | no such card |
    /// | `EOPNOTSUPP` | the card does not support it |
    /// | `EPERM` | no CAP_NET_ADMIN |
    ///
    /// # Safety
    ///
    /// - The structs that `queue` points to (the area, the region, and the event descriptor if
    ///   there is one) are valid for reads and writes during the call.
    /// - The memory that they describe, if it is the program's, is valid for reads and writes from
    ///   the call on. It stays so until the ring is closed and the kernel has let go of it, some
    ///   time after that; or it is unmapped, as the kernel holds the pages. It is never put to
    ///   another use before.
    /// - The program does not write to the area. It reads a part of it only after the completion
    ///   that names the part, and until it has given the part back by the refill ring.
    ///
    /// Otherwise the card writes to memory that the program uses for something else.
    pub unsafe fn register_zcrx(
        &self,
        queue: &mut io_uring_zcrx_ifq_reg,
    ) -> Result<(), RegisterError> {
        let arg = core::ptr::from_mut(queue).cast();
        // SAFETY: one struct, valid for reads and writes during the call; what it points to is the
        // caller's promise.
        unsafe { self.ask(RegisterOp::REGISTER_ZCRX_IFQ, arg, 1) }?;
        Ok(())
    }

    /// Controls an interface queue: has it flush its refill ring, for example, or export itself.
    /// `IORING_REGISTER_ZCRX_CTRL`, since Linux 6.19.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 6.19, or for an operation that this kernel does not know; `ENXIO` if
    /// there is no such queue.
    pub fn control_zcrx(&self, control: &mut zcrx_ctrl) -> Result<(), RegisterError> {
        let arg = core::ptr::from_mut(control).cast();
        // SAFETY: one struct without pointers, valid for reads and writes during the call.
        unsafe { self.ask(RegisterOp::REGISTER_ZCRX_CTRL, arg, 0) }?;
        Ok(())
    }
}
