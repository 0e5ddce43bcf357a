//! What a wait is limited by: [`EnterArg`], the last two arguments of `io_uring_enter(2)`.
#![forbid(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{from_ref, null, without_provenance};

use crate::ops::time::Timespec;
use crate::sys::{EnterFlags, SIGSET_BYTES, SharedPtr, io_uring_getevents_arg, io_uring_reg_wait};

/// The signals to block while waiting, as the kernel keeps them: bit `n - 1` is signal `n`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// Bytes that the kernel wants, whatever the size of the C library's `sigset_t`.
    pub(crate) const LEN: u32 = SIGSET_BYTES;
}

const _: () = assert!(
    size_of::<SigSet>() == SIGSET_BYTES as usize,
    "`SigSet` has 64 signals, and the kernel of this architecture another number"
);

/// How a wait ends other than by completions, for [`EnterArg::Wait`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitArg<'a> {
    /// Signals to block while waiting.
    pub sigmask: Option<&'a SigSet>,
    /// How long to wait; an instant with [`EnterFlags::ABS_TIMER`].
    pub timeout: Option<&'a Timespec>,
    /// Microseconds to gather completions for: from then on, one is enough. 0 for none.
    /// Needs [`Features::MIN_TIMEOUT`], since Linux 6.12; older kernels answer `EINVAL`.
    ///
    /// [`Features::MIN_TIMEOUT`]: crate::sys::Features::MIN_TIMEOUT
    pub min_wait_usec: u32,
}

/// The last two arguments of `io_uring_enter(2)`.
#[derive(Clone, Copy, Debug, Default)]
pub enum EnterArg<'a> {
    /// Nothing: wait for as long as it takes.
    #[default]
    None,
    /// Signals to block while waiting. Since Linux 5.1.
    SigMask(&'a SigSet),
    /// A timeout, a least wait, signals. Needs [`Features::EXT_ARG`], since Linux 5.11.
    ///
    /// [`Features::EXT_ARG`]: crate::sys::Features::EXT_ARG
    Wait(WaitArg<'a>),
    /// A `struct io_uring_reg_wait` in the ring's registered wait region, by its offset in
    /// bytes. Since Linux 6.13.
    Registered {
        /// Bytes from the start of the region.
        offset: usize,
    },
}

impl<'a> EnterArg<'a> {
    /// A wait of at most `timeout`, or until that instant with [`EnterFlags::ABS_TIMER`].
    ///
    /// ```
    /// use ringbolt::{EnterArg, IoUring, Timespec, sys::EnterFlags};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let a_moment = Timespec::new(0, 1_000_000);
    /// let wait = ring.enter(1, EnterFlags::GETEVENTS, EnterArg::timeout(&a_moment));
    /// assert!(wait.is_err()); // Nothing completes: the time has passed.
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub const fn timeout(timeout: &'a Timespec) -> Self {
        Self::Wait(WaitArg { sigmask: None, timeout: Some(timeout), min_wait_usec: 0 })
    }

    /// The argument as the kernel takes it: flags, address and size. It is laid out in `ext` where
    /// it takes a struct.
    #[inline(always)]
    pub(crate) fn lay_out(
        self,
        ext: &mut io_uring_getevents_arg,
    ) -> (EnterFlags, *const c_void, usize) {
        match self {
            Self::None => (EnterFlags::empty(), null(), 0),
            Self::SigMask(mask) => {
                (EnterFlags::empty(), from_ref(mask).cast(), SigSet::LEN as usize)
            }
            Self::Wait(wait) => {
                *ext = io_uring_getevents_arg {
                    sigmask: wait.sigmask.map_or(SharedPtr::NULL, |mask| SharedPtr::new(mask)),
                    sigmask_sz: if wait.sigmask.is_some() { SigSet::LEN } else { 0 },
                    min_wait_usec: wait.min_wait_usec,
                    ts: wait.timeout.map_or(SharedPtr::NULL, |ts| SharedPtr::new(ts)),
                };
                (EnterFlags::EXT_ARG, from_ref(ext).cast(), size_of::<io_uring_getevents_arg>())
            }
            Self::Registered { offset } => {
                let flags = EnterFlags::EXT_ARG.union(EnterFlags::EXT_ARG_REG);
                (flags, without_provenance(offset), size_of::<io_uring_reg_wait>())
            }
        }
    }
}
