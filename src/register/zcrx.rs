//! Zero-copy receive: the queues of a network card.

use crate::sys::{RegisterOp, io_uring_zcrx_ifq_reg, zcrx_ctrl};

use super::{RegisterError, Registrar};

impl Registrar<'_> {
    /// Makes a receive queue of a network card write into the program's memory.
    /// `IORING_REGISTER_ZCRX_IFQ`, since Linux 6.15.
    ///
    /// The kernel fills in the offsets, the id, and the token of the area. This needs
    /// CAP_NET_ADMIN, a card that supports it, and a ring with DEFER_TASKRUN and completions of 32
    /// bytes.
    ///
    /// ```
    /// use ringbolt::{IoUring, sys::io_uring_zcrx_ifq_reg};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let mut queue = io_uring_zcrx_ifq_reg::ZEROED;
    /// // SAFETY: it points to nothing.
    /// let result = unsafe { ring.registrar().register_zcrx(&mut queue) };
    /// assert!(result.is_err()); // Refused: the ring has not the required set-up.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EFAULT` | a struct is not at the address given, or memory is not mapped |
    /// | `EINVAL` | a field that the kernel refuses, or a ring without the required set-up |
    /// | `ENODEV` | the card does not exist |
    /// | `EOPNOTSUPP` | the card does not support it |
    /// | `EPERM` | no CAP_NET_ADMIN |
    ///
    /// # Safety
    ///
    /// - The structs that `queue` points to (the area, the region, and the event descriptor if
    ///   there is one) are valid for reads and writes during the call.
    /// - The memory that they describe, if the program provides it, is valid for reads and writes
    ///   from the call on, until the ring is closed and the kernel has released the memory, some
    ///   time after that. It may be unmapped earlier, because the kernel holds the pages. Until
    ///   then it is used for nothing else.
    /// - The program does not write to the area. It reads a part of the area only after the
    ///   completion that names the part, and only until it has returned the part through the refill
    ///   ring.
    ///
    /// Otherwise the card writes to memory that the program uses for something else.
    #[doc(alias("io_uring_register_ifq", "IORING_REGISTER_ZCRX_IFQ"))]
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

    /// Controls a zero-copy receive queue: makes it flush its refill ring or export itself, for
    /// example. `IORING_REGISTER_ZCRX_CTRL`, since Linux 6.19.
    ///
    /// ```
    /// use ringbolt::{IoUring, sys::zcrx_ctrl};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // SAFETY: the command has no argument.
    /// let result = unsafe { ring.registrar().control_zcrx(&mut zcrx_ctrl::ZEROED) };
    /// assert!(result.is_err()); // Refused: the ring has no such queue.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 6.19, or for a command that the kernel does not know; `ENXIO` if the
    /// queue does not exist.
    ///
    /// # Safety
    ///
    /// What `control` points to is valid for reads and writes during the call. For
    /// [`ADD_AREA`](crate::sys::ZcrxCtrlOp::ADD_AREA), since Linux 7.3, that is the struct of an
    /// area, and the memory that it describes is kept as [`register_zcrx`](Self::register_zcrx)
    /// requires. Other commands up to Linux 7.3 point to nothing.
    #[doc(alias = "IORING_REGISTER_ZCRX_CTRL")]
    pub unsafe fn control_zcrx(&self, control: &mut zcrx_ctrl) -> Result<(), RegisterError> {
        let arg = core::ptr::from_mut(control).cast();
        // SAFETY: one struct, valid for reads and writes during the call; what it points to is the
        // caller's promise.
        unsafe { self.ask(RegisterOp::REGISTER_ZCRX_CTRL, arg, 0) }?;
        Ok(())
    }
}
