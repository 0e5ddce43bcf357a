//! What the running kernel can do: [`Capabilities`].
//!
//! The kernel is asked, and where it has no answer it is tried. A version would tell little:
//! distributions carry features back. What the kernel does not know is `EINVAL` before anything
//! else is looked at; what it knows gets as far as a descriptor that is not open (`EBADF`), or
//! memory that is not there (`EFAULT`). So no trial has an effect.

use core::fmt;
use core::ptr::without_provenance_mut;

use rustix::event::epoll::EventFlags;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

use crate::build_error::BuildError;
use crate::entry::Sqe;
use crate::ops::{Accept, AsyncCancel, Nop, PollAdd, Recv, Send, SendZc, Target, Timeout};
use crate::register::{self, Probe, Registrar};
use crate::submit::EnterArg;
use crate::sys::{
    self, BufRingFlags, CancelFlags, EnterFlags, Features, KernelVersion, Opcode, RecvSendFlags,
    RegisterOp, SetupFlags, SqeFlags, TimeoutFlags, io_uring_params, io_uring_query_opcode,
};
use crate::time::Timespec;
use crate::uring::{IoUring, LocalIoUring};

/// What operations and flags do that no list of them shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Variant {
    /// [`PollAdd::multishot`]. Since Linux 5.13.
    MultishotPoll,
    /// [`Accept::multishot`]. Since Linux 5.19.
    MultishotAccept,
    /// Cancelling [all](AsyncCancel::all), by [file](AsyncCancel::of_file), or
    /// [everything](AsyncCancel::any). Since Linux 5.19.
    CancelByFile,
    /// [`Recv::multishot`]. Since Linux 6.0.
    MultishotRecv,
    /// Zero-copy sends that report whether they were
    /// ([`RecvSendFlags::SEND_ZC_REPORT_USAGE`]). Since Linux 6.2.
    ZeroCopyUsage,
    /// [`TimeoutFlags::MULTISHOT`]. Since Linux 6.4.
    MultishotTimeout,
    /// Cancelling [by opcode](AsyncCancel::of_opcode). Since Linux 6.6.
    CancelByOpcode,
    /// [`Nop::inject_result`]. Since Linux 6.10.
    NopResult,
    /// [`Recv::bundle`] and [`Send::bundle`]. Since Linux 6.10.
    Bundles,
    /// Buffer rings with [`BufRingFlags::INC`]. Since Linux 6.12.
    IncrementalBuffers,
    /// Waits that gather completions for a while. Since Linux 6.12.
    MinWait,
    /// [`Send::vectored`]. Since Linux 6.17.
    VectoredSend,
}

impl Variant {
    /// All of them, the oldest first.
    pub const ALL: [Self; 12] = [
        Self::MultishotPoll,
        Self::MultishotAccept,
        Self::CancelByFile,
        Self::MultishotRecv,
        Self::ZeroCopyUsage,
        Self::MultishotTimeout,
        Self::CancelByOpcode,
        Self::NopResult,
        Self::Bundles,
        Self::IncrementalBuffers,
        Self::MinWait,
        Self::VectoredSend,
    ];

    /// The first kernel that has it.
    pub const fn since(self) -> KernelVersion {
        let (major, minor) = match self {
            Self::MultishotPoll => (5, 13),
            Self::MultishotAccept | Self::CancelByFile => (5, 19),
            Self::MultishotRecv => (6, 0),
            Self::ZeroCopyUsage => (6, 2),
            Self::MultishotTimeout => (6, 4),
            Self::CancelByOpcode => (6, 6),
            Self::NopResult | Self::Bundles => (6, 10),
            Self::IncrementalBuffers | Self::MinWait => (6, 12),
            Self::VectoredSend => (6, 17),
        };
        KernelVersion::new(major, minor)
    }

    /// An entry that the kernel refuses with `EINVAL` if it does not know this variant, and
    /// otherwise for another reason, or carries out without effect. `None` for what is found out
    /// in another way.
    fn trial(self) -> Option<Sqe> {
        let closed = Target::Fd(-1);
        let nowhere = without_provenance_mut::<u8>(NOWHERE);
        let number = 0;
        Some(match self {
            Self::MultishotPoll => PollAdd::new(closed, EventFlags::IN).multishot().sqe(number),
            Self::MultishotAccept => Accept::new(closed).multishot().sqe(number),
            Self::CancelByFile => AsyncCancel::of_user_data(ABSENT).all().sqe(number).into(),
            Self::MultishotRecv => Recv::provided(closed, 0).multishot().sqe(number),
            Self::ZeroCopyUsage => {
                let send = SendZc::new(closed, nowhere, 1);
                send.send_flags(RecvSendFlags::SEND_ZC_REPORT_USAGE).sqe(number)
            }
            Self::MultishotTimeout => {
                let time: *const Timespec = nowhere.cast();
                Timeout::new(time).flags(TimeoutFlags::MULTISHOT).sqe(number)
            }
            Self::CancelByOpcode => {
                let cancel = AsyncCancel::of_user_data(ABSENT).opcode(Opcode::NOP);
                cancel.flags(CancelFlags::USERDATA).sqe(number).into()
            }
            Self::NopResult => Nop::new().inject_result(1).sqe(number).into(),
            Self::VectoredSend => Send::vectored(closed, nowhere.cast(), 1).sqe(number),
            Self::Bundles | Self::IncrementalBuffers | Self::MinWait => return None,
        })
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// An address where there is never memory.
const NOWHERE: usize = 1;

/// A `user_data` that no trial has.
const ABSENT: u64 = u64::MAX;

/// What the running kernel can do: a value, taken once, that can be cloned, sent and shared.
///
/// ```
/// use ringbolt::Capabilities;
/// use ringbolt::sys::{Opcode, SetupFlags};
///
/// # fn main() -> Result<(), ringbolt::BuildError> {
/// let kernel = Capabilities::of_kernel()?;
/// assert!(kernel.has_op(Opcode::NOP));
/// assert!(kernel.setup_flags().contains(SetupFlags::CQSIZE));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Capabilities {
    ops: Option<Probe>,
    /// One bit for each operation.
    register_ops: u64,
    setup: SetupFlags,
    enter: EnterFlags,
    sqe: SqeFlags,
    features: Features,
    /// One bit for each variant.
    variants: u32,
}

impl Capabilities {
    /// Asks the kernel, or tries it: some system calls, and rings of one entry that are closed
    /// again.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if this process cannot make a ring at all.
    pub fn of_kernel() -> Result<Self, BuildError> {
        let mut ring = IoUring::local(1)?;
        let features = ring.features();
        let ops = ring.registrar().probe().ok();
        let answer = register::query::<io_uring_query_opcode>().ok();
        let (setup, enter, sqe, register_ops) = match &answer {
            // The kernel's flags have 32 bits and 8 so far; what is beyond has no name here.
            Some(answer) => (
                SetupFlags::from_bits_retain(low(answer.ring_setup_flags)),
                EnterFlags::from_bits_retain(low(answer.enter_flags)),
                SqeFlags::from_bits_retain(low(answer.sqe_flags).to_le_bytes()[0]),
                first_bits(answer.nr_register_opcodes),
            ),
            None => (
                try_setup_flags(),
                try_enter_flags(&mut ring),
                try_sqe_flags(features, ops.as_ref()),
                try_register_ops(ring.registrar(), ops.as_ref()),
            ),
        };
        let variants = try_variants(&mut ring, features);
        Ok(Self { ops, register_ops, setup, enter, sqe, features, variants })
    }

    /// Whether there is the operation. Before Linux 5.6 the kernel does not tell: false.
    pub fn has_op(&self, opcode: Opcode) -> bool {
        self.ops.as_ref().is_some_and(|probe| probe.supports(opcode))
    }

    /// Whether there is the register operation.
    pub fn has_register_op(&self, op: RegisterOp) -> bool {
        op.as_raw() < u64::BITS && self.register_ops & (1 << op.as_raw()) != 0
    }

    /// Whether there is the variant of an operation.
    pub const fn has(&self, variant: Variant) -> bool {
        self.variants & variant.bit() != 0
    }

    /// The set-up flags that the kernel knows.
    pub const fn setup_flags(&self) -> SetupFlags {
        self.setup
    }

    /// The flags that the kernel can be entered with.
    pub const fn enter_flags(&self) -> EnterFlags {
        self.enter
    }

    /// The flags that entries can have.
    pub const fn sqe_flags(&self) -> SqeFlags {
        self.sqe
    }

    /// The features that every ring of this kernel has.
    pub const fn features(&self) -> Features {
        self.features
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let register_ops = RegisterOp::ALL.iter().map(|(_, op)| *op);
        let register_ops = register_ops.filter(|op| self.has_register_op(*op));
        let variants = Variant::ALL.into_iter().filter(|variant| self.has(*variant));
        f.debug_struct("Capabilities")
            .field("ops", &self.ops)
            .field("register_ops", &List(register_ops))
            .field("setup_flags", &self.setup)
            .field("enter_flags", &self.enter)
            .field("sqe_flags", &self.sqe)
            .field("features", &self.features)
            .field("variants", &List(variants))
            .finish()
    }
}

/// Prints what an iterator gives.
struct List<I>(I);

impl<I: Iterator<Item: fmt::Debug> + Clone> fmt::Debug for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.clone()).finish()
    }
}

/// The low half of a word of flags.
fn low(flags: u64) -> u32 {
    let [a, b, c, d, ..] = flags.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// As many bits as said, from the lowest on.
const fn first_bits(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

/// The set-up flags with which a ring can be made, each together with what it needs.
fn try_setup_flags() -> SetupFlags {
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
fn try_enter_flags(ring: &mut LocalIoUring) -> EnterFlags {
    type F = EnterFlags;
    let mut known = F::GETEVENTS | F::SQ_WAKEUP | F::SQ_WAIT;
    let features = ring.features();
    known.set(F::EXT_ARG, features.contains(Features::EXT_ARG));
    known.set(F::NO_IOWAIT, features.contains(Features::NO_IOWAIT));
    known.set(F::REGISTERED_RING, ring.is_fd_registered());
    let mut completion = ring.completion();
    let mut knows = |flags, arg| completion.wait_with(0, flags, arg) != Err(Errno::INVAL);
    known.set(F::ABS_TIMER, knows(F::ABS_TIMER, EnterArg::None));
    // Without a region registered, this is a bad address where the flag is known.
    let registered = EnterArg::Registered { offset: 0 };
    known.set(F::EXT_ARG_REG, knows(F::empty(), registered));
    known
}

/// The flags that entries can have, by what came with them.
fn try_sqe_flags(features: Features, ops: Option<&Probe>) -> SqeFlags {
    type F = SqeFlags;
    let has = |opcode| ops.is_some_and(|probe| probe.supports(opcode));
    let mut known = F::FIXED_FILE | F::IO_DRAIN | F::IO_LINK | F::IO_HARDLINK;
    known.set(F::ASYNC, has(Opcode::READ));
    known.set(F::BUFFER_SELECT, has(Opcode::PROVIDE_BUFFERS));
    known.set(F::CQE_SKIP_SUCCESS, features.contains(Features::CQE_SKIP));
    known
}

/// How many arguments a register operation says it has, so that it gets as far as its memory.
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
fn try_register_ops(ring: Registrar<'_>, ops: Option<&Probe>) -> u64 {
    let mut known = 0;
    for (_, op) in RegisterOp::ALL {
        let is_known = match *op {
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
            // What takes no argument says that there is nothing to undo, or undoes nothing.
            RegisterOp::UNREGISTER_EVENTFD
            | RegisterOp::REGISTER_ENABLE_RINGS
            | RegisterOp::UNREGISTER_IOWQ_AFF => ring.knows(*op, 0, 0),
            RegisterOp::REGISTER_SEND_MSG_RING => Registrar::knows_without_ring(*op, NOWHERE, 1),
            // Looks at the card, the ring and the caller first. It came with its operation.
            RegisterOp::REGISTER_ZCRX_IFQ => {
                ops.is_some_and(|probe| probe.supports(Opcode::RECV_ZC))
            }
            other => ring.knows(other, NOWHERE, arguments(other)),
        };
        known |= u64::from(is_known) << op.as_raw();
    }
    known
}

/// The variants that the kernel knows.
fn try_variants(ring: &mut LocalIoUring, features: Features) -> u32 {
    let mut known = 0;
    for variant in Variant::ALL {
        let is_known = match variant.trial() {
            Some(sqe) => carry_out(ring, sqe).is_ok_and(|result| result != Err(Errno::INVAL)),
            None => match variant {
                Variant::Bundles => features.contains(Features::RECVSEND_BUNDLE),
                Variant::MinWait => features.contains(Features::MIN_TIMEOUT),
                _ => has_incremental_buffers(ring.registrar()),
            },
        };
        if is_known {
            known |= variant.bit();
        }
    }
    known
}

/// Whether a buffer ring can be made whose buffers are used up bit by bit.
fn has_incremental_buffers(ring: Registrar<'_>) -> bool {
    let made = ring.register_buffer_ring(0, 1, BufRingFlags::INC);
    made.is_ok() && ring.unregister_buffer_ring(0).is_ok()
}

/// What a trial came to.
fn carry_out(ring: &mut LocalIoUring, sqe: Sqe) -> Result<Result<u32, Errno>, Errno> {
    // SAFETY: an entry of `Variant::trial`, which names no memory that there is, and no descriptor.
    unsafe { ring.submission().push(sqe) }.map_err(|_| Errno::AGAIN)?;
    let mut outcome = None;
    loop {
        ring.submit_and_wait(1).map_err(|error| error.errno)?;
        let cqe = ring.completion().pop().ok_or(Errno::AGAIN)?;
        // A zero-copy send has a second one, which tells nothing.
        let outcome = *outcome.get_or_insert(cqe.result());
        if !cqe.has_more() {
            return Ok(outcome);
        }
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
            // is returned only with memory of ours, and there is none.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            true
        }
        Err(errno) => Errno::from_raw_os_error(errno) != Errno::INVAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::println;

    /// Goal: trials come to what the kernel says. Method: both, on a kernel that can be asked.
    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn trials_agree_with_the_kernels_own_word() {
        let Ok(answer) = register::query::<io_uring_query_opcode>() else {
            println!("skipped: kernel lacks IORING_REGISTER_QUERY (needs 6.18)");
            return;
        };
        let mut ring = IoUring::local(1).unwrap();
        let ops = ring.registrar().probe().ok();
        let says = SetupFlags::from_bits_retain(low(answer.ring_setup_flags));
        assert_eq!(try_setup_flags(), says);
        let says = EnterFlags::from_bits_retain(low(answer.enter_flags));
        assert_eq!(try_enter_flags(&mut ring), says);
        let features = ring.features();
        assert_eq!(u64::from(features.bits()), answer.feature_flags);
        let says = u64::from(try_sqe_flags(features, ops.as_ref()).bits());
        assert_eq!(says, answer.sqe_flags);

        let says = first_bits(answer.nr_register_opcodes);
        let tried = try_register_ops(ring.registrar(), ops.as_ref());
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
        try_register_ops(ring.registrar(), ops.as_ref());
        assert_eq!(try_variants(&mut ring, features), first);
        assert!(ring.completion().is_empty() && ring.submission().is_empty());
        assert_eq!(ring.registrar().unregister_files(), Err(Errno::NXIO));
        assert_eq!(ring.registrar().unregister_buffers(), Err(Errno::NXIO));
        assert_eq!(ring.registrar().unregister_eventfd(), Err(Errno::NXIO));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn capabilities_are_a_value() {
        fn is_value<V: Clone + core::marker::Send + Sync + 'static>() {}
        is_value::<Capabilities>();
        let Ok(kernel) = Capabilities::of_kernel() else {
            println!("skipped: this process cannot make a ring");
            return;
        };
        println!("{kernel:#?}");
        assert!(kernel.has_op(Opcode::NOP) && !kernel.has_op(Opcode::from_raw(255)));
        assert!(kernel.has_register_op(RegisterOp::REGISTER_FILES));
        assert!(!kernel.has_register_op(RegisterOp::from_raw(64)));
    }

    #[test]
    fn variants_are_in_order_and_have_a_bit_each() {
        assert!(Variant::ALL.is_sorted_by_key(|variant| variant.since()));
        let bits = Variant::ALL.iter().fold(0, |bits, variant| bits | variant.bit());
        assert_eq!(bits.count_ones() as usize, Variant::ALL.len());
    }
}
