//! What the running kernel can do: [`Capabilities`].
//!
//! The kernel is asked, and where it has no answer it is tried, by `trials`. A version would tell
//! little: distributions carry features back. What the kernel does not know is `EINVAL` before
//! anything else is looked at; what it knows gets as far as a descriptor that is not open
//! (`EBADF`), or memory that is not there (`EFAULT`). So no trial has an effect outside its ring.
//!
//! A policy, a seccomp filter say, may refuse a call that the kernel knows, and its answer says
//! nothing about the kernel. Where an answer is one of a policy, there is no value but an error.

mod trials;

use core::fmt;
use core::ptr::without_provenance_mut;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use crate::entry::Sqe;
use crate::ops::time::Timespec;
use crate::ops::{Accept, AsyncCancel, Nop, PollAdd, Recv, Send, SendZc, Target, Timeout};
use crate::register::{self, Probe};
use crate::setup::build_error::{BuildError, SystemCall};
use crate::sys::{
    AcceptFlags, EnterFlags, Features, KernelVersion, Opcode, RecvSendFlags, RegisterOp,
    SetupFlags, SqeFlags, TimeoutFlags, io_uring_query_opcode,
};
use crate::uring::IoUring;

use self::trials::{
    can_enter, refused, try_enter_flags, try_register_ops, try_setup_flags, try_sqe_flags,
    try_variants, unless_unknown,
};

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
    /// Receives and sends that wait before their first attempt ([`Recv::poll_first`]). Since Linux
    /// 5.19.
    PollFirst,
    /// [`Recv::multishot`]. Since Linux 6.0.
    MultishotRecv,
    /// Zero-copy sends that report whether they were
    /// ([`RecvSendFlags::SEND_ZC_REPORT_USAGE`]). Since Linux 6.2.
    ZeroCopyUsage,
    /// [`TimeoutFlags::MULTISHOT`]. Since Linux 6.4.
    MultishotTimeout,
    /// Cancelling [by opcode](AsyncCancel::of_opcode). Since Linux 6.6: 6.1 accepts the flag and
    /// finds nothing.
    CancelByOpcode,
    /// [`Nop::inject_result`]. Since Linux 6.10.
    NopResult,
    /// [`Recv::bundle`] and [`Send::bundle`]. Since Linux 6.10.
    Bundles,
    /// Accepts that wait before their first attempt ([`AcceptFlags::POLL_FIRST`]), or do not wait
    /// at all. Since Linux 6.10.
    AcceptPollFirst,
    /// Buffer rings with [`BufRingFlags::INC`](crate::sys::BufRingFlags::INC). Since Linux 6.12.
    IncrementalBuffers,
    /// Waits that gather completions for a while. Since Linux 6.12.
    MinWait,
    /// [`Send::vectored`]. Since Linux 6.17.
    VectoredSend,
}

impl Variant {
    /// All of them, the oldest first.
    pub const ALL: [Self; 14] = [
        Self::MultishotPoll,
        Self::MultishotAccept,
        Self::CancelByFile,
        Self::PollFirst,
        Self::MultishotRecv,
        Self::ZeroCopyUsage,
        Self::MultishotTimeout,
        Self::CancelByOpcode,
        Self::NopResult,
        Self::Bundles,
        Self::AcceptPollFirst,
        Self::IncrementalBuffers,
        Self::MinWait,
        Self::VectoredSend,
    ];

    /// The first kernel that has it.
    pub const fn since(self) -> KernelVersion {
        let (major, minor) = match self {
            Self::MultishotPoll => (5, 13),
            Self::MultishotAccept | Self::CancelByFile | Self::PollFirst => (5, 19),
            Self::MultishotRecv => (6, 0),
            Self::ZeroCopyUsage => (6, 2),
            Self::MultishotTimeout => (6, 4),
            Self::CancelByOpcode => (6, 6),
            Self::NopResult | Self::Bundles | Self::AcceptPollFirst => (6, 10),
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
            Self::NopResult => Nop::new().inject_result(1).sqe(number).into(),
            Self::PollFirst => Recv::new(closed, nowhere, 1).poll_first().sqe(number),
            Self::AcceptPollFirst => {
                let mut entry = Accept::new(closed).sqe(number);
                entry.set_ioprio(AcceptFlags::POLL_FIRST.bits());
                entry
            }
            Self::VectoredSend => Send::vectored(closed, nowhere.cast(), 1).sqe(number),
            Self::CancelByOpcode | Self::Bundles | Self::IncrementalBuffers | Self::MinWait => {
                return None;
            }
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
    /// again. The thread, its other rings and its workers stay as they were.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if this process cannot make a ring at all; [`BuildError::CallRefused`] if a
    /// policy (a seccomp filter, a security module) refuses one of the other two system calls, or
    /// some uses of them, so that the answers would be the policy's and not the kernel's.
    pub fn of_kernel() -> Result<Self, BuildError> {
        let mut ring = IoUring::local(1)?;
        let features = ring.features();
        can_enter(&ring)?;
        let registrar = ring.registrar();
        // There is no table of files, and every kernel says so.
        match registrar.unregister_files().map_err(Errno::from) {
            Err(Errno::NXIO) => {}
            answer => refused(SystemCall::Register, answer)?,
        }
        // Before Linux 5.6 there is no probe.
        let ops = unless_unknown(registrar.probe().map_err(Errno::from), &[Errno::INVAL])?;
        // Older kernels look at the descriptor first, or know that there is no such operation.
        let answer = register::query::<io_uring_query_opcode>();
        let answer = unless_unknown(answer.map_err(Errno::from), &[Errno::INVAL, Errno::BADF])?;
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
                try_enter_flags(&mut ring)?,
                try_sqe_flags(features, ops.as_ref()),
                try_register_ops(ring.registrar(), ops.as_ref())?,
            ),
        };
        let variants = try_variants(&mut ring, features)?;
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

    /// Whether there is the variant of an operation. False also where the restrictions of a task
    /// refuse it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::println;

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
