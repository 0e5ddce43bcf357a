//! Restrictions on what one ring, or every ring of a thread, may do.

use rustix::io::Errno;

use crate::sys::{
    Opcode, RegisterOp, RestrictionOp, SqeFlags, io_uring_bpf, io_uring_restriction,
    io_uring_task_restriction, restriction_arg,
};

use super::{RegisterError, Registrar, count, register};

/// One permission or requirement of a restricted ring.
///
/// There are two sorts: what entries may do ([`operation`](Self::operation),
/// [`flags_allowed`](Self::flags_allowed), [`flags_required`](Self::flags_required)), and which
/// registration operations may be called ([`register_op`](Self::register_op)). What is restricted
/// and not allowed fails with `EACCES`: a call returns it, and an operation has it in its
/// completion. Restrictions take effect when the ring is enabled.
///
/// **Name at least one of each sort.** Up to Linux 6.19, a ring with any restriction may do only
/// what its restrictions allow. From Linux 7.0 on, each sort is restricted only if one of that sort
/// is named: a ring that is restricted to [`NOP`](Opcode::NOP) alone may call every registration
/// operation, and one that is restricted to a registration operation alone may submit every entry.
/// [`RegisterOp::REGISTER_PROBE`], which changes nothing, serves as the one registration operation.
#[doc(alias = "io_uring_restriction")]
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Restriction(io_uring_restriction);

impl Restriction {
    /// Allows this registration operation. `IORING_RESTRICTION_REGISTER_OP`, since Linux 5.10.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an operation above 255, which does not fit in the kernel's struct.
    #[doc(alias = "IORING_RESTRICTION_REGISTER_OP")]
    pub fn register_op(op: RegisterOp) -> Result<Self, Errno> {
        let register_op = u8::try_from(op.as_raw()).map_err(|_| Errno::INVAL)?;
        Ok(Self::new(RestrictionOp::REGISTER_OP, restriction_arg { register_op }))
    }

    /// Allows entries with this opcode. `IORING_RESTRICTION_SQE_OP`, since Linux 5.10.
    #[doc(alias = "IORING_RESTRICTION_SQE_OP")]
    pub const fn operation(opcode: Opcode) -> Self {
        Self::new(RestrictionOp::SQE_OP, restriction_arg { sqe_op: opcode })
    }

    /// Allows entries to have these flags. `IORING_RESTRICTION_SQE_FLAGS_ALLOWED`, since Linux
    /// 5.10.
    #[doc(alias = "IORING_RESTRICTION_SQE_FLAGS_ALLOWED")]
    pub const fn flags_allowed(flags: SqeFlags) -> Self {
        Self::new(RestrictionOp::SQE_FLAGS_ALLOWED, restriction_arg { sqe_flags: flags })
    }

    /// Requires entries to have these flags. `IORING_RESTRICTION_SQE_FLAGS_REQUIRED`, since Linux
    /// 5.10.
    #[doc(alias = "IORING_RESTRICTION_SQE_FLAGS_REQUIRED")]
    pub const fn flags_required(flags: SqeFlags) -> Self {
        Self::new(RestrictionOp::SQE_FLAGS_REQUIRED, restriction_arg { sqe_flags: flags })
    }

    const fn new(opcode: RestrictionOp, arg: restriction_arg) -> Self {
        Self(io_uring_restriction { opcode, arg, ..io_uring_restriction::ZEROED })
    }
}

/// Restricts every ring that the calling thread makes from now on. `IORING_REGISTER_RESTRICTIONS`
/// without a ring, since Linux 7.0.
///
/// This cannot be undone, and child processes inherit it. Name at least one [`Restriction`] of each
/// sort.
///
/// ```no_run
/// use ringbolt::register::{Restriction, restrict_task};
/// use ringbolt::sys::{Opcode, RegisterOp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let [read, write] = [Opcode::READ, Opcode::WRITE].map(Restriction::operation);
/// restrict_task([read, write, Restriction::register_op(RegisterOp::REGISTER_PROBE)?])?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `EACCES` if the thread has neither `no_new_privs` nor CAP_SYS_ADMIN; `EBADF` or `EINVAL` on
/// older kernels; `EPERM` if the thread has restrictions already, or `EACCES` from Linux 7.3 on.
#[doc(alias = "IORING_REGISTER_RESTRICTIONS")]
pub fn restrict_task<const N: usize>(restrictions: [Restriction; N]) -> Result<(), RegisterError> {
    /// The header and the restrictions that follow it.
    #[repr(C)]
    struct Whole<const N: usize> {
        head: io_uring_task_restriction,
        restrictions: [Restriction; N],
    }

    let op = RegisterOp::REGISTER_RESTRICTIONS;
    let refused = |errno| RegisterError { op, errno };
    let nr_res = u16::try_from(N).map_err(|_| refused(Errno::INVAL))?;
    let head = io_uring_task_restriction { nr_res, ..io_uring_task_restriction::ZEROED };
    let mut whole = Whole { head, restrictions };
    let arg = (&raw mut whole).cast();
    // SAFETY: a header followed by the number of restrictions that it gives; the kernel only reads
    // them, during the call.
    unsafe { register(-1, op, arg, 1) }.map_err(refused)?;
    Ok(())
}

impl Registrar<'_> {
    /// Permanently restricts a ring that is not enabled yet. `IORING_REGISTER_RESTRICTIONS`, since
    /// Linux 5.10.
    ///
    /// ```
    /// use ringbolt::IoUring;
    /// use ringbolt::register::Restriction;
    /// use ringbolt::sys::{Opcode, RegisterOp};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::builder().build_disabled(8)?;
    /// // One of each sort, so that nothing else is allowed on any kernel.
    /// ring.registrar().register_restrictions(&[
    ///     Restriction::operation(Opcode::NOP),
    ///     Restriction::register_op(RegisterOp::REGISTER_PROBE)?,
    /// ])?;
    /// let ring = ring.enable()?;
    /// # let _ = ring;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EACCES` | the ring is enabled, and this operation is restricted and not allowed |
    /// | `EBADFD` | the ring is enabled |
    /// | `EBUSY` | the ring has restrictions already |
    /// | `EINVAL` | an operation that the kernel does not know, or too many restrictions |
    ///
    /// A call that fails restricts nothing.
    #[doc(alias("io_uring_register_restrictions", "IORING_REGISTER_RESTRICTIONS"))]
    pub fn register_restrictions(&self, restrictions: &[Restriction]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_RESTRICTIONS;
        let (arg, len) = (restrictions.as_ptr().cast_mut().cast(), count(op, restrictions)?);
        // SAFETY: as many restrictions as said, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, len) }?;
        Ok(())
    }

    /// Registers a BPF program that decides which entries may be submitted.
    /// `IORING_REGISTER_BPF_FILTER`, since Linux 7.0.
    ///
    /// ```
    /// use ringbolt::{IoUring, sys::io_uring_bpf};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // SAFETY: it points to no instructions.
    /// let result = unsafe { ring.registrar().register_bpf_filter(&io_uring_bpf::ZEROED) };
    /// assert!(result.is_err()); // Refused: there is no program.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` for an invalid program, or before Linux 7.0.
    ///
    /// # Safety
    ///
    /// The instructions that `filter` points to are valid for reads during the call, for the number
    /// of instructions that it gives.
    #[doc(alias("io_uring_register_bpf_filter", "IORING_REGISTER_BPF_FILTER"))]
    #[doc(alias = "io_uring_register_bpf_filter_task")]
    pub unsafe fn register_bpf_filter(&self, filter: &io_uring_bpf) -> Result<(), RegisterError> {
        let arg = core::ptr::from_ref(filter).cast_mut().cast();
        // SAFETY: one struct, which the kernel only reads, during the call; the caller vouches for
        // what it points to.
        unsafe { self.ask(RegisterOp::REGISTER_BPF_FILTER, arg, 1) }?;
        Ok(())
    }
}
