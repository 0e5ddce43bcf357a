//! What the kernel answers to calls that have no effect, where it has no answer of its own.

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

use crate::enter::enter_arg::EnterArg;
use crate::entry::Sqe;
use crate::entry::errno::errno_of_call;
use crate::register::{Probe, Registrar};
use crate::setup::build_error::{BuildError, SystemCall, policy};
use crate::sys::{
    self, BufRingFlags, EnterFlags, Features, Opcode, RegisterOp, SetupFlags, SqeFlags,
    io_uring_params,
};
use crate::uring::{IoUring, LocalIoUring};

use super::{ABSENT, Capabilities, NOWHERE, Variant};
use crate::ops::time::Timespec;
use crate::ops::{AsyncCancel, Timeout};

/// The set-up flags with which a ring can be made, each together with what it needs.
pub(super) fn try_setup_flags() -> SetupFlags {
    type F = SetupFlags;
    let mut known = F::empty();
    for flag in F::all().iter() {
        let companions = match flag {
            F::SQ_AFF => F::SQPOLL,
            F::TASKRUN_FLAG => F::COOP_TASKRUN,
            F::DEFER_TASKRUN => F::SINGLE_ISSUER,
            F::REGISTERED_FD_ONLY => F::NO_MMAP,
            F::HYBRID_IOPOLL => F::IOPOLL,
            F::SQ_REWIND => F::NO_SQARRAY,
            _ => F::empty(),
        };
        if can_set_up(flag.union(companions)) {
            known |= flag;
        }
    }
    known
}

/// The flags with which the kernel can be entered to no purpose.
pub(super) fn try_enter_flags(ring: &mut LocalIoUring) -> Result<EnterFlags, BuildError> {
    type F = EnterFlags;
    let mut known = F::GETEVENTS | F::SQ_WAKEUP | F::SQ_WAIT;
    let features = ring.features();
    known.set(F::EXT_ARG, features.contains(Features::EXT_ARG));
    known.set(F::NO_IOWAIT, features.contains(Features::NO_IOWAIT));
    known.set(F::REGISTERED_RING, ring.is_fd_registered());
    let mut completion = ring.completion();
    let mut knows = |flags, arg| knows(SystemCall::Enter, completion.wait_with(0, flags, arg));
    known.set(F::ABS_TIMER, knows(F::ABS_TIMER, EnterArg::None)?);
    // Without a region registered, this is a bad address where the flag is known.
    let registered = EnterArg::Registered { offset: 0 };
    known.set(F::EXT_ARG_REG, knows(F::empty(), registered)?);
    Ok(known)
}

/// The flags that entries can have, by what came with them.
pub(super) fn try_sqe_flags(features: Features, ops: Option<&Probe>) -> SqeFlags {
    type F = SqeFlags;
    let has = |opcode| ops.is_some_and(|probe| probe.supports(opcode));
    let mut known = F::FIXED_FILE | F::IO_DRAIN | F::IO_LINK | F::IO_HARDLINK;
    known.set(F::ASYNC, has(Opcode::READ));
    known.set(F::BUFFER_SELECT, has(Opcode::PROVIDE_BUFFERS));
    known.set(F::CQE_SKIP_SUCCESS, features.contains(Features::CQE_SKIP));
    known
}

/// The number of arguments to pass to a register operation, so that the kernel reads its memory.
fn arguments(op: RegisterOp) -> u32 {
    match op {
        RegisterOp::REGISTER_FILES2
        | RegisterOp::REGISTER_FILES_UPDATE2
        | RegisterOp::REGISTER_BUFFERS2
        | RegisterOp::REGISTER_BUFFERS_UPDATE => 32,
        RegisterOp::REGISTER_IOWQ_AFF => 8,
        RegisterOp::REGISTER_IOWQ_MAX_WORKERS => 2,
        RegisterOp::REGISTER_FILE_ALLOC_RANGE
        | RegisterOp::REGISTER_CLOCK
        | RegisterOp::REGISTER_QUERY
        | RegisterOp::REGISTER_ZCRX_CTRL => 0,
        _ => 1,
    }
}

/// The register operations that are not `EINVAL`.
pub(super) fn try_register_ops(
    ring: Registrar<'_>,
    ops: Option<&Probe>,
) -> Result<u64, BuildError> {
    let is_known = |answer| knows(SystemCall::Register, answer);
    let mut known = 0;
    for (_, op) in RegisterOp::ALL {
        let has_op = match *op {
            // As old as rings are.
            RegisterOp::REGISTER_BUFFERS
            | RegisterOp::UNREGISTER_BUFFERS
            | RegisterOp::REGISTER_FILES
            | RegisterOp::UNREGISTER_FILES => true,
            RegisterOp::REGISTER_PROBE => ops.is_some(),
            RegisterOp::REGISTER_PERSONALITY | RegisterOp::UNREGISTER_PERSONALITY => {
                // Came with the probe, and takes no memory.
                ops.is_some()
            }
            // What takes no argument answers that there is nothing to undo.
            RegisterOp::UNREGISTER_EVENTFD | RegisterOp::REGISTER_ENABLE_RINGS => {
                is_known(ring.try_at(*op, 0, 0))?
            }
            // A trial would reset which CPUs the workers of the thread run on, and succeed. It came
            // with its counterpart, which a bad address keeps from having an effect.
            RegisterOp::UNREGISTER_IOWQ_AFF => {
                let set = RegisterOp::REGISTER_IOWQ_AFF;
                is_known(ring.try_at(set, NOWHERE, arguments(set)))?
            }
            RegisterOp::REGISTER_SEND_MSG_RING => {
                is_known(Registrar::try_without_ring(*op, NOWHERE, 1))?
            }
            // Looks at the card, the ring and the caller first. It came with its operation.
            RegisterOp::REGISTER_ZCRX_IFQ => {
                ops.is_some_and(|probe| probe.supports(Opcode::RECV_ZC))
            }
            other => is_known(ring.try_at(other, NOWHERE, arguments(other)))?,
        };
        known |= u64::from(has_op) << op.as_raw();
    }
    Ok(known)
}

/// The variants that the kernel knows.
pub(super) fn try_variants(ring: &mut LocalIoUring, features: Features) -> Result<u32, BuildError> {
    let mut known = 0;
    for variant in Variant::ALL {
        let is_known = match variant.trial() {
            // SAFETY: the entry names no memory that there is, and no open descriptor.
            Some(sqe) => unsafe { try_entry(ring, sqe) }?,
            None => match variant {
                Variant::Bundles => features.contains(Features::RECVSEND_BUNDLE),
                Variant::MinWait => features.contains(Features::MIN_TIMEOUT),
                Variant::CancelByOpcode => cancels_by_opcode(ring)
                    .or_else(|errno| refused(SystemCall::Enter, Err(errno)))?,
                _ => has_incremental_buffers(ring.registrar())?,
            },
        };
        if is_known && answers_tell(variant, features) {
            known |= variant.bit();
        }
    }
    Ok(known)
}

/// Whether an answer other than `EINVAL` tells that the kernel knows a variant. Kernels without
/// these features look up the descriptor of the trial before they look at its flags.
const fn answers_tell(variant: Variant, features: Features) -> bool {
    match variant {
        Variant::MultishotPoll => features.contains(Features::RSRC_TAGS),
        Variant::MultishotAccept
        | Variant::PollFirst
        | Variant::MultishotRecv
        | Variant::ZeroCopyUsage
        | Variant::AcceptPollFirst
        | Variant::VectoredSend => features.contains(Features::LINKED_FILE),
        _ => true,
    }
}

/// Whether cancelling by opcode finds an operation: a timeout of this ring. Linux 6.1 accepts the
/// flag and finds nothing.
///
/// Where restrictions of the task let a timeout start and not be cancelled, it stays in flight
/// until the ring is closed.
fn cancels_by_opcode(ring: &mut LocalIoUring) -> Result<bool, Errno> {
    const WAITS: u64 = 1;
    const CANCELS: u64 = 2;
    static HOUR: Timespec = Timespec::new(3600, 0);
    // SAFETY: the kernel reads the time, which is a static, when it takes the entry.
    unsafe { push(ring, Timeout::new(&raw const HOUR).sqe(WAITS)) }?;
    let by_opcode = AsyncCancel::of_user_data(ABSENT).opcode(Opcode::TIMEOUT).all();
    let by_user_data = AsyncCancel::of_user_data(WAITS);
    let (mut waits, mut is_found) = (true, false);
    // The first one answers how many it has found, the second one 0 if it has found it.
    for (cancel, least) in [(by_opcode, 1), (by_user_data, 0)] {
        if !waits {
            break;
        }
        // SAFETY: a cancellation names no memory.
        unsafe { push(ring, cancel.sqe(CANCELS)) }?;
        let mut answer = None;
        // The completion of what was found comes before or after that of the cancellation.
        while answer.is_none() || (waits && answer == Some(true)) {
            wait(ring)?;
            while let Some(cqe) = ring.completion().pop() {
                if cqe.user_data() == CANCELS {
                    answer = Some(cqe.result().is_ok_and(|found| found >= least));
                } else {
                    waits = false;
                }
            }
        }
        is_found |= least > 0 && answer == Some(true);
    }
    Ok(is_found)
}

/// Whether the kernel knows an entry.
///
/// # Safety
///
/// As for [`SubmissionQueue::push`](crate::SubmissionQueue::push).
pub(super) unsafe fn try_entry(ring: &mut LocalIoUring, sqe: Sqe) -> Result<bool, BuildError> {
    // SAFETY: the caller's promise.
    let result = unsafe { carry_out(ring, sqe) };
    let result = result.or_else(|errno| refused(SystemCall::Enter, Err(errno)))?;
    // The last two are the answers of restrictions.
    Ok(!matches!(result, Err(Errno::INVAL | Errno::PERM | Errno::ACCESS)))
}

impl Capabilities {
    /// Whether the running kernel knows an entry, by trying it: for flags and fields for which
    /// there is no [`Variant`].
    ///
    /// The entry is carried out on a ring of its own, which is closed again. `EINVAL` means that
    /// the kernel does not know it; any other result means that it does. Make the entry so that it
    /// has no effect: on a descriptor that is not open ([`Target::Fd`](crate::ops::Target::Fd) of
    /// -1), or with an address at which there is no memory. The kernel looks at flags before it
    /// looks at these; but without [`Features::LINKED_FILE`](crate::sys::Features::LINKED_FILE),
    /// before Linux 5.18, it looks up the descriptor first, and this returns true for an entry
    /// whose descriptor is not open.
    ///
    /// ```
    /// use ringbolt::Capabilities;
    /// use ringbolt::ops::{Recv, Target};
    ///
    /// # fn main() -> Result<(), ringbolt::BuildError> {
    /// let entry = Recv::provided(Target::Fd(-1), 0).multishot().sqe(0);
    /// // SAFETY: no such descriptor is open, so that nothing is received.
    /// let has_multishot_receives = unsafe { Capabilities::knows(entry) }?;
    /// # let _ = has_multishot_receives;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`of_kernel`](Self::of_kernel).
    ///
    /// # Safety
    ///
    /// As for [`SubmissionQueue::push`](crate::SubmissionQueue::push), until this returns. It
    /// returns when the last completion of the entry has come: an entry that waits for something
    /// makes this wait, too.
    pub unsafe fn knows(entry: Sqe) -> Result<bool, BuildError> {
        let mut ring = IoUring::local(1)?;
        can_enter(&ring)?;
        // SAFETY: the caller's promise.
        unsafe { try_entry(&mut ring, entry) }
    }
}

/// Whether a buffer ring can be made whose buffers are used up bit by bit.
fn has_incremental_buffers(ring: Registrar<'_>) -> Result<bool, BuildError> {
    let made = ring.register_buffer_ring(0, 1, BufRingFlags::INC);
    match made {
        Ok(buffers) => {
            let ended = ring.unregister_buffer_ring(buffers).map_err(|error| error.errno);
            knows(SystemCall::Register, ended.map(|()| 0))
        }
        Err(error) => knows(SystemCall::Register, Err::<u32, _>(error.errno)).map(|_| false),
    }
}

/// Whether `io_uring_enter(2)` is let through at all.
pub(super) fn can_enter(ring: &LocalIoUring) -> Result<(), BuildError> {
    let (fd, null) = (ring.as_raw_fd(), core::ptr::null());
    // SAFETY: nothing is submitted, and there is no argument.
    let entered = unsafe { sys::io_uring_enter(fd, 0, 0, EnterFlags::empty(), null, 0) };
    refused(SystemCall::Enter, entered.map(drop).map_err(errno_of_call))
}

/// Whether the kernel knows what it answered: not if that is `EINVAL`. An error if the answer is
/// not the kernel's own.
fn knows<T>(call: SystemCall, answer: Result<T, Errno>) -> Result<bool, BuildError> {
    match answer {
        Err(errno) if policy(errno) => Err(BuildError::CallRefused { call, errno }),
        answer => Ok(answer.err() != Some(Errno::INVAL)),
    }
}

/// The answer of a register operation, or `None` if the error is one of `unknown`, which older
/// kernels give.
pub(super) fn unless_unknown<T>(
    answer: Result<T, Errno>,
    unknown: &[Errno],
) -> Result<Option<T>, BuildError> {
    match answer {
        Err(errno) if unknown.contains(&errno) => Ok(None),
        answer => refused(SystemCall::Register, answer).map(Some),
    }
}

/// The answer of a call that does not fail.
pub(super) fn refused<T>(call: SystemCall, answer: Result<T, Errno>) -> Result<T, BuildError> {
    answer.map_err(|errno| BuildError::CallRefused { call, errno })
}

/// The result of an entry.
///
/// # Safety
///
/// As for [`SubmissionQueue::push`](crate::SubmissionQueue::push).
unsafe fn carry_out(ring: &mut LocalIoUring, sqe: Sqe) -> Result<Result<u32, Errno>, Errno> {
    // SAFETY: the caller's promise; this returns after the last completion, or when the ring fails.
    unsafe { push(ring, sqe) }?;
    let mut outcome = None;
    loop {
        wait(ring)?;
        // A signal ends the wait before there is one.
        let Some(cqe) = ring.completion().pop() else { continue };
        // A zero-copy send has a second one, which tells nothing.
        let outcome = *outcome.get_or_insert(cqe.result());
        if !cqe.has_more() {
            return Ok(outcome);
        }
    }
}

/// Puts an entry in the queue.
///
/// # Safety
///
/// As for [`SubmissionQueue::push`](crate::SubmissionQueue::push).
unsafe fn push(ring: &mut LocalIoUring, sqe: impl Into<Sqe>) -> Result<(), Errno> {
    if ring.submission().is_full() {
        ring.submit().map_err(|error| error.errno)?;
    }
    // SAFETY: the caller's promise.
    unsafe { ring.submission().push(sqe.into()) }.map_err(|_| Errno::AGAIN)
}

/// Submits what is queued, and waits for a completion or a signal.
fn wait(ring: &mut LocalIoUring) -> Result<(), Errno> {
    match ring.submit_and_wait(1) {
        Err(error) if error.errno != Errno::INTR => Err(error.errno),
        _ => Ok(()),
    }
}

/// Whether a ring can be made with `flags`, or fails for another reason than their being unknown.
fn can_set_up(flags: SetupFlags) -> bool {
    let mut params = io_uring_params { flags, ..io_uring_params::ZEROED };
    // With CQSIZE, and ignored otherwise.
    params.cq_entries = 2;
    // With ATTACH_WQ: a descriptor that is not open, and not one that is no ring.
    params.wq_fd = u32::MAX;
    // SAFETY: `params` is valid for reads and writes. Memory of ours, NO_MMAP is told to find at
    // address 0, where there is none.
    match unsafe { sys::io_uring_setup(1, &mut params) } {
        Ok(fd) => {
            // SAFETY: set-up just made the descriptor, and nobody else knows it. An index instead
            // is returned only with memory of ours, which this set-up does not have.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            true
        }
        Err(errno) => errno_of_call(errno) != Errno::INVAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::println;

    use crate::ops::{RawOp, Recv, Target};
    use crate::register;
    use crate::setup::capabilities::{first_bits, low};
    use crate::sys::io_uring_query_opcode;

    /// Goal: trials come to what the kernel says. Method: both, on a kernel that can be asked.
    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn trials_agree_with_the_kernels_own_word() {
        let Ok(answer) = register::query::<io_uring_query_opcode>() else {
            println!("skipped: kernel lacks IORING_REGISTER_QUERY (needs 6.18)");
            return;
        };
        let mut ring = match IoUring::local(1) {
            Ok(ring) => ring,
            Err(error) => {
                println!("skipped: {error}");
                return;
            }
        };
        let ops = ring.registrar().probe().ok();
        let says = SetupFlags::from_bits_retain(low(answer.ring_setup_flags));
        assert_eq!(try_setup_flags(), says);
        let says = EnterFlags::from_bits_retain(low(answer.enter_flags));
        assert_eq!(try_enter_flags(&mut ring), Ok(says));
        let features = ring.features();
        assert_eq!(u64::from(features.bits()), answer.feature_flags);
        let says = u64::from(try_sqe_flags(features, ops.as_ref()).bits());
        assert_eq!(says, answer.sqe_flags);

        let says = first_bits(answer.nr_register_opcodes);
        let tried = try_register_ops(ring.registrar(), ops.as_ref()).unwrap();
        for (name, op) in RegisterOp::ALL {
            let bit = 1 << op.as_raw();
            assert_eq!(tried & bit, says & bit, "{name}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn trials_leave_the_ring_as_it_was() {
        let Ok(mut ring) = IoUring::local(1) else {
            println!("skipped: this process cannot make a ring");
            return;
        };
        let ops = ring.registrar().probe().ok();
        let features = ring.features();
        let first = try_variants(&mut ring, features);
        try_register_ops(ring.registrar(), ops.as_ref()).unwrap();
        assert_eq!(try_variants(&mut ring, features), first);
        assert!(ring.completion().is_empty() && ring.submission().is_empty());
        assert_eq!(ring.registrar().unregister_files().map_err(Errno::from), Err(Errno::NXIO));
        assert_eq!(ring.registrar().unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
        assert_eq!(ring.registrar().unregister_eventfd().map_err(Errno::from), Err(Errno::NXIO));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn any_entry_can_be_tried() {
        let Ok(kernel) = Capabilities::of_kernel() else {
            println!("skipped: this process cannot make a ring");
            return;
        };
        let receive = Recv::provided(Target::Fd(-1), 0).multishot().sqe(0);
        // SAFETY: no such descriptor is open.
        let known = unsafe { Capabilities::knows(receive) };
        assert_eq!(known, Ok(kernel.has(Variant::MultishotRecv)));
        let unheard_of = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(0);
        // SAFETY: no kernel has this operation.
        assert_eq!(unsafe { Capabilities::knows(unheard_of) }, Ok(false));
    }
}
