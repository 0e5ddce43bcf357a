//! Waiting for other threads and processes: futexes and `waitid`.
#![forbid(unsafe_code)]

use core::marker::PhantomData;
use core::sync::atomic::AtomicU32;

use rustix::fd::AsRawFd;
use rustix::process::{WaitId as Who, WaitIdOptions};

use crate::entry::Sqe;
use crate::ops::target::fd_bits;
use crate::sys::{Futex2Flags, Opcode, SharedPtr, futex_waitv};

use super::{Lent, Target, on, on_none, op, sqe};

/// Waits until woken on a futex, if it has the value expected.
///
/// `IORING_OP_FUTEX_WAIT`, like [`futex(2)`] `FUTEX_WAIT_BITSET`, with the flags of futex2. Since
/// Linux 6.7. The word must stay until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::FutexWait;
/// use ringbolt::rustix::io::Errno;
/// use ringbolt::sys::Futex2Flags;
/// use std::sync::atomic::AtomicU32;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FUTEX_WAIT) {
/// #     return Ok(());
/// # }
/// let word = AtomicU32::new(1);
/// let flags = Futex2Flags::SIZE_U32 | Futex2Flags::PRIVATE;
/// let entry = FutexWait::new(word.as_ptr(), 0, flags).sqe(1);
/// // SAFETY: `word` stays until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Err(Errno::AGAIN)); // It is not 0.
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0: woken.
///
/// # Errors
///
/// `EAGAIN` if the word has another value, `ECANCELED`, `EFAULT`, `EINVAL` for unknown flags or no
/// bit in the mask.
///
/// [`futex(2)`]: https://man7.org/linux/man-pages/man2/futex.2.html
#[doc(alias = "IORING_OP_FUTEX_WAIT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_futex_wait")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FutexWait<E = Sqe>(Sqe, PhantomData<E>);

/// Wakes waiters on a futex.
///
/// `IORING_OP_FUTEX_WAKE`, like [`futex(2)`] `FUTEX_WAKE_BITSET`, with the flags of futex2. Since
/// Linux 6.7. The word must stay until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::FutexWake;
/// use ringbolt::sys::Futex2Flags;
/// use std::sync::atomic::AtomicU32;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FUTEX_WAKE) {
/// #     return Ok(());
/// # }
/// let word = AtomicU32::new(1);
/// let flags = Futex2Flags::SIZE_U32 | Futex2Flags::PRIVATE;
/// let entry = FutexWake::new(word.as_ptr(), 1, flags).sqe(1);
/// // SAFETY: `word` stays until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0)); // Nobody waits.
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The number of waiters that were woken.
///
/// # Errors
///
/// `EFAULT`, `EINVAL` for unknown flags or no bit in the mask.
///
/// [`futex(2)`]: https://man7.org/linux/man-pages/man2/futex.2.html
#[doc(alias = "IORING_OP_FUTEX_WAKE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_futex_wake")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FutexWake<E = Sqe>(Sqe, PhantomData<E>);

/// Waits until woken on one of several futexes, if all have the values expected.
///
/// `IORING_OP_FUTEX_WAITV`, like `futex_waitv(2)`. Since Linux 6.7. The array must stay until
/// taken, the words until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::FutexWaitv;
/// use ringbolt::rustix::io::Errno;
/// use ringbolt::sys::{Futex2Flags, SharedPtr, futex_waitv};
/// use std::sync::atomic::AtomicU32;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FUTEX_WAITV) {
/// #     return Ok(());
/// # }
/// let words = [AtomicU32::new(1), AtomicU32::new(1)];
/// let flags = Futex2Flags::SIZE_U32 | Futex2Flags::PRIVATE;
/// let both = words.each_ref().map(|word| {
///     let uaddr = SharedPtr::from_mut(word.as_ptr());
///     futex_waitv { val: 0, uaddr, flags, __reserved: 0 }
/// });
/// let entry = FutexWaitv::new(both.as_ptr(), 2).sqe(1);
/// // SAFETY: array and words stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Err(Errno::AGAIN)); // They are not 0.
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The index of the futex that it was woken on.
///
/// # Errors
///
/// `EAGAIN` if a word has another value, `ECANCELED`, `EFAULT`, `EINVAL` for none or more than
/// 128.
#[doc(alias = "IORING_OP_FUTEX_WAITV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_futex_waitv")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FutexWaitv<E = Sqe>(Sqe, PhantomData<E>);

/// Waits until a child changes its state.
///
/// `IORING_OP_WAITID`, like [`waitid(2)`]. Since Linux 6.7. The place for the information must
/// stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::{ChildInfo, WaitId};
/// use ringbolt::rustix::process::{WaitId as Who, WaitIdOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::WAITID) {
/// #     return Ok(());
/// # }
/// let child = std::process::Command::new("true").spawn()?;
/// let pid = ringbolt::rustix::process::Pid::from_child(&child);
/// let mut info = ChildInfo::ZEROED;
/// let entry = WaitId::new(Who::Pid(pid), WaitIdOptions::EXITED, &mut info).sqe(1);
/// // SAFETY: `info` stays, and is not touched, until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// assert_eq!((info.code(), info.status()), (1, 0)); // CLD_EXITED
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0. The information is stored if something has happened.
///
/// # Errors
///
/// `ECANCELED`, `ECHILD` if there is no such child, `EINVAL` for unknown options.
///
/// [`waitid(2)`]: https://man7.org/linux/man-pages/man2/waitid.2.html
#[doc(alias = "IORING_OP_WAITID")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_waitid")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct WaitId<E = Sqe>(Sqe, PhantomData<E>);

/// Any bit wakes, and is woken.
const ANY_BIT: u64 = 0xffff_ffff;

/// What a futex of the safe front is: 32 bits wide, and of this process. Other sizes, and a node
/// number after the word, would have the kernel read or write beyond the word.
const PRIVATE: Futex2Flags = Futex2Flags::SIZE_U32.union(Futex2Flags::PRIVATE);

/// Takes the flag of futexes of one process back.
#[inline(always)]
const fn share(sqe: &mut Sqe) {
    let flags = Futex2Flags::from_bits_retain(fd_bits(sqe.fd()));
    let flags = Futex2Flags::from_bits_retain(flags.bits() & !Futex2Flags::PRIVATE.bits());
    sqe.set_fd(i32::from_ne_bytes(flags.bits().to_ne_bytes()));
}

#[inline(always)]
fn futex(opcode: Opcode, word: *const u32, value: u64, flags: Futex2Flags) -> Sqe {
    // The flags are where others have their descriptor: the bits are the same.
    let flags = i32::from_ne_bytes(flags.bits().to_ne_bytes());
    let mut sqe = on(opcode, Target::Fd(flags));
    sqe.set_addr(SharedPtr::new(word));
    sqe.set_off(value);
    sqe.set_addr3(SharedPtr::without_provenance(ANY_BIT));
    sqe
}

impl FutexWait {
    /// Waits on `word` if it is `expected`. The flags give its width, and whether other
    /// processes share it.
    #[inline(always)]
    pub fn new(word: *const u32, expected: u64, flags: Futex2Flags) -> Self {
        Self(futex(Opcode::FUTEX_WAIT, word, expected, flags), PhantomData)
    }
}

impl<'a> FutexWait<Lent<'a>> {
    /// Waits on `word` if it is `expected`, for a job of the [safe front](crate::jobs). It is woken
    /// by this process, unless it is [`shared`](Self::shared).
    #[inline(always)]
    pub fn lent(word: &'a AtomicU32, expected: u32) -> Self {
        let expected = u64::from(expected);
        Self(futex(Opcode::FUTEX_WAIT, word.as_ptr(), expected, PRIVATE), PhantomData)
    }
}

impl<E> FutexWait<E> {
    /// Is woken by other processes, too, which share the memory of the word. Takes
    /// [`Futex2Flags::PRIVATE`] back.
    #[inline(always)]
    pub const fn shared(mut self) -> Self {
        share(&mut self.0);
        self
    }

    /// Is woken only by those who name one of these bits.
    #[inline(always)]
    pub fn mask(mut self, mask: u64) -> Self {
        self.0.set_addr3(SharedPtr::without_provenance(mask));
        self
    }
}

impl FutexWake {
    /// Wakes up to `count` of those who wait on `word`.
    #[inline(always)]
    pub fn new(word: *const u32, count: u64, flags: Futex2Flags) -> Self {
        Self(futex(Opcode::FUTEX_WAKE, word, count, flags), PhantomData)
    }
}

impl<'a> FutexWake<Lent<'a>> {
    /// Wakes up to `count` of those who wait on `word`, for a job of the
    /// [safe front](crate::jobs). It wakes those of this process, unless it is
    /// [`shared`](Self::shared).
    #[inline(always)]
    pub fn lent(word: &'a AtomicU32, count: u32) -> Self {
        let count = u64::from(count);
        Self(futex(Opcode::FUTEX_WAKE, word.as_ptr(), count, PRIVATE), PhantomData)
    }
}

impl<E> FutexWake<E> {
    /// Wakes those of other processes, too, which share the memory of the word. Takes
    /// [`Futex2Flags::PRIVATE`] back.
    #[inline(always)]
    pub const fn shared(mut self) -> Self {
        share(&mut self.0);
        self
    }

    /// Wakes only those who wait for one of these bits.
    #[inline(always)]
    pub fn mask(mut self, mask: u64) -> Self {
        self.0.set_addr3(SharedPtr::without_provenance(mask));
        self
    }
}

impl FutexWaitv {
    /// Waits on the `count` futexes at `futexes`.
    #[inline(always)]
    pub const fn new(futexes: *const futex_waitv, count: u32) -> Self {
        Self(wait_for_any(futexes, count), PhantomData)
    }
}

impl<'a> FutexWaitv<Lent<'a>> {
    /// Waits on the futexes of `words`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(words: &'a [FutexWord<'a>]) -> Self {
        // More than the field holds are too many for the kernel in any case.
        let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
        Self(wait_for_any(words.as_ptr().cast(), count), PhantomData)
    }
}

/// An entry that waits on one of `count` futexes.
#[inline(always)]
const fn wait_for_any(futexes: *const futex_waitv, count: u32) -> Sqe {
    let mut sqe = Sqe::new(Opcode::FUTEX_WAITV);
    sqe.set_addr(SharedPtr::new(futexes));
    sqe.set_len(count);
    sqe
}

/// A futex of [`FutexWaitv::lent`], borrowed, and the value that it is expected to have.
///
/// ```
/// use core::sync::atomic::AtomicU32;
/// use ringbolt::ops::{FutexWaitv, FutexWord};
///
/// let words = [AtomicU32::new(0), AtomicU32::new(1)];
/// let both = [FutexWord::new(&words[0], 0), FutexWord::new(&words[1], 1).shared()];
/// let op = FutexWaitv::lent(&both).op();
/// # let _ = op;
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct FutexWord<'w>(futex_waitv, PhantomData<&'w AtomicU32>);

impl<'w> FutexWord<'w> {
    /// The futex `word`, which is to be `expected`. It is woken by this process, unless it is
    /// [`shared`](Self::shared).
    #[inline]
    pub const fn new(word: &'w AtomicU32, expected: u32) -> Self {
        let uaddr = SharedPtr::from_mut(word.as_ptr());
        let val = expected as u64;
        Self(futex_waitv { val, uaddr, flags: PRIVATE, __reserved: 0 }, PhantomData)
    }

    /// Is woken by other processes, too, which share the memory of the word.
    #[must_use]
    #[inline]
    pub const fn shared(mut self) -> Self {
        self.0.flags = Futex2Flags::SIZE_U32;
        self
    }
}

/// What happened to a child: `siginfo_t` as the kernel fills it in for [`WaitId`].
#[doc(alias = "siginfo_t")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ChildInfo {
    signal: i32,
    errno: i32,
    code: i32,
    child: Child,
}

/// The part of `siginfo_t` that is about a child, aligned like a pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Child {
    align: [usize; 0],
    pid: i32,
    uid: u32,
    status: i32,
    rest: [i32; 26],
}

const _: () = assert!(size_of::<ChildInfo>() >= 128);

impl ChildInfo {
    /// Nothing yet.
    pub const ZEROED: Self = Self {
        signal: 0,
        errno: 0,
        code: 0,
        child: Child { align: [], pid: 0, uid: 0, status: 0, rest: [0; 26] },
    };

    /// The child's process id; 0 if nothing has happened.
    pub const fn pid(&self) -> i32 {
        self.child.pid
    }

    /// The child's user id.
    pub const fn uid(&self) -> u32 {
        self.child.uid
    }

    /// Its exit status, or the number of the signal: see [`code`](Self::code).
    pub const fn status(&self) -> i32 {
        self.child.status
    }

    /// `CLD_EXITED` (1), `CLD_KILLED` (2), `CLD_DUMPED` (3), `CLD_TRAPPED` (4), `CLD_STOPPED` (5)
    /// or `CLD_CONTINUED` (6).
    pub const fn code(&self) -> i32 {
        self.code
    }
}

impl Default for ChildInfo {
    fn default() -> Self {
        Self::ZEROED
    }
}

impl WaitId {
    /// Waits for one of the events in `options` of `who`, and stores information about it at
    /// `info`, which may be null.
    #[inline(always)]
    pub fn new(who: Who<'_>, options: WaitIdOptions, info: *mut ChildInfo) -> Self {
        Self(wait_for(&who, options, info), PhantomData)
    }
}

impl<'a> WaitId<Lent<'a>> {
    /// Waits for one of the events in `options` of `who`, and stores information about it in
    /// `info`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(who: Who<'a>, options: WaitIdOptions, info: &'a mut ChildInfo) -> Self {
        *info = ChildInfo::ZEROED;
        Self(wait_for(&who, options, info), PhantomData)
    }
}

/// An entry that waits for a child.
#[inline(always)]
fn wait_for(who: &Who<'_>, options: WaitIdOptions, info: *mut ChildInfo) -> Sqe {
    let (kind, id) = match who {
        Who::Pid(pid) => (1, pid.as_raw_nonzero().get()),
        Who::Pgid(group) => (2, group.map_or(0, |group| group.as_raw_nonzero().get())),
        Who::PidFd(fd) => (3, fd.as_raw_fd()),
        _ => (0, 0),
    };
    let mut sqe = on_none(Opcode::WAITID);
    sqe.set_fd(id);
    sqe.set_len(kind);
    sqe.set_addr2(SharedPtr::from_mut(info));
    sqe.set_file_index(options.bits());
    sqe
}

sqe!(FutexWait, FutexWake, FutexWaitv, WaitId);
op!(FutexWait: Nothing, FutexWake: Nothing, FutexWaitv: Nothing, WaitId: Nothing);
