//! What a ring, or every ring of a thread, may do.

use rustix::io::Errno;

use crate::sys::{
    Opcode, RegisterOp, RestrictionOp, SqeFlags, io_uring_bpf, io_uring_restriction,
    io_uring_task_restriction, restriction_arg,
};

use super::{RegisterError, Registrar, count, register};

/// One thing that a restricted ring may or must do.
///
/// A ring with restrictions may do what they name, and nothing else: what it may not comes back
/// with `EACCES`, from an operation in its completion. It is so from when the ring is enabled.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Restriction(io_uring_restriction);

impl Restriction {
    /// It may register this way. `IORING_RESTRICTION_REGISTER_OP`, since Linux 5.10.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an operation beyond 255, which the kernel has no room for.
    pub fn register_op(op: RegisterOp) -> Result<Self, Errno> {
        let register_op = u8::try_from(op.as_raw()).map_err(|_| Errno::INVAL)?;
        Ok(Self::new(RestrictionOp::REGISTER_OP, restriction_arg { register_op }))
    }

    /// It may carry this operation out. `IORING_RESTRICTION_SQE_OP`, since Linux 5.10.
    pub const fn operation(opcode: Opcode) -> Self {
        Self::new(RestrictionOp::SQE_OP, restriction_arg { sqe_op: opcode })
    }

    /// Its entries may have these flags. `IORING_RESTRICTION_SQE_FLAGS_ALLOWED`, since Linux 5.10.
    pub const fn flags_allowed(flags: SqeFlags) -> Self {
        Self::new(RestrictionOp::SQE_FLAGS_ALLOWED, restriction_arg { sqe_flags: flags })
    }

    /// Its entries must have these flags. `IORING_RESTRICTION_SQE_FLAGS_REQUIRED`, since Linux
    /// 5.10.
    pub const fn flags_required(flags: SqeFlags) -> Self {
        Self::new(RestrictionOp::SQE_FLAGS_REQUIRED, restriction_arg { sqe_flags: flags })
    }

    const fn new(opcode: RestrictionOp, arg: restriction_arg) -> Self {
        Self(io_uring_restriction { opcode, arg, ..io_uring_restriction::ZEROED })
    }
}

/// Restricts every ring that this thread makes from now on, by `N` restrictions.
/// `IORING_REGISTER_RESTRICTIONS` without a ring, since Linux 7.0.
///
/// This cannot be undone, and goes over to child processes.
///
/// # Errors
///
/// `EACCES` without `no_new_privs` or CAP_SYS_ADMIN; `EBADF` or `EINVAL` on older kernels; `EPERM`
/// if there are restrictions already.
pub fn restrict_task<const N: usize>(restrictions: [Restriction; N]) -> Result<(), RegisterError> {
    /// The header and what follows it.
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
    // SAFETY: a header and as many restrictions as it says, which the kernel only reads, during the
    // call.
    unsafe { register(-1, op, arg, 1) }.map_err(refused)?;
    Ok(())
}

impl Registrar<'_> {
    /// Restricts a ring that is not enabled yet, for good. `IORING_REGISTER_RESTRICTIONS`, since
    /// Linux 5.10.
    ///
    /// # Errors
    ///
    /// `EACCES` if the ring is enabled and restricted, `EBADFD` if it is enabled, `EBUSY` if it has
    /// restrictions already, `EINVAL` for an operation that the kernel does not know, or too many.
    /// A call that fails restricts nothing.
    pub fn register_restrictions(&self, restrictions: &[Restriction]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_RESTRICTIONS;
        let (arg, len) = (restrictions.as_ptr().cast_mut().cast(), count(op, restrictions)?);
        // SAFETY: as many restrictions as said, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, len) }?;
        Ok(())
    }

    /// Has a BPF program decide which entries may be submitted. `IORING_REGISTER_BPF_FILTER`, since
    /// Linux 7.0.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a program that is none, or before Linux 7.0.
    ///
    /// # Safety
    ///
    /// The instructions that `filter` points to, as many as it says, are valid for reads during the
    /// call.
    pub unsafe fn register_bpf_filter(&self, filter: &io_uring_bpf) -> Result<(), RegisterError> {
        let arg = core::ptr::from_ref(filter).cast_mut().cast();
        // SAFETY: one struct, which the kernel only reads, during the call; what it points to is
        // the caller's promise.
        unsafe { self.ask(RegisterOp::REGISTER_BPF_FILTER, arg, 1) }?;
        Ok(())
    }
}
