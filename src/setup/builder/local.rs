//! [`Builder::local`]: a thread's own ring, with the flags that make it cheapest.
#![forbid(unsafe_code)]

use crate::entry::{CqEntry, SqEntry};
use crate::setup::build_error::BuildError;
use crate::setup::flags;
use crate::sys::SetupFlags;
use crate::uring::LocalIoUring;

use super::Builder;

impl<S: SqEntry, C: CqEntry> Builder<'_, S, C> {
    /// Makes the ring that a thread should use for its own work: as [`IoUring::local`], with the
    /// options of this builder.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), ringbolt::BuildError> {
    /// let ring = IoUring::builder().cq_entries(1024).local(64)?;
    /// assert_eq!(ring.params().cq_entries, 1024);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// These flags are added as far as the kernel has them, the newest being given up first:
    ///
    /// | flag | since Linux |
    /// |---|---|
    /// | NO_SQARRAY | 6.6 |
    /// | DEFER_TASKRUN | 6.1 |
    /// | SINGLE_ISSUER | 6.0 |
    /// | TASKRUN_FLAG | 5.19 |
    /// | SUBMIT_ALL | 5.18 |
    ///
    /// TASKRUN_FLAG is given up together with DEFER_TASKRUN, unless the builder has
    /// [`coop_taskrun`](Self::coop_taskrun). With [`sqpoll`](Self::sqpoll), which excludes both,
    /// neither is added. The descriptor is registered with the thread if that succeeds.
    ///
    /// What the builder itself was given is never given up: a kernel that lacks it refuses the
    /// ring.
    ///
    /// A builder with [`memory`](Self::memory) finds the flags out by a ring in the kernel's
    /// memory, which is closed again: memory that was part of a failed attempt must not be given to
    /// a second one.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]: those that no other flags would mend.
    /// [`BuildError::RegisterRingFd`] only with [`register_ring_fd`](Self::register_ring_fd).
    ///
    /// [`IoUring::local`]: crate::IoUring::local
    pub fn local(&self, entries: u32) -> Result<LocalIoUring<S, C>, BuildError> {
        let (mut ring, wishes) = Self { memory: None, ..self.clone() }.with_most_wishes(entries)?;
        if self.memory.is_some() {
            drop(ring);
            ring = self.clone().flags(wishes).build_local(entries)?;
        }
        // This fails on an older kernel, and if the thread has registered 16 rings. Calls
        // then use the descriptor itself.
        let _ = ring.register_ring_fd();
        Ok(ring)
    }

    /// A ring with as many of the wishes as the kernel grants, and those.
    fn with_most_wishes(
        &self,
        entries: u32,
    ) -> Result<(LocalIoUring<S, C>, SetupFlags), BuildError> {
        let mut wishes = flags::for_local(self.flags);
        let mut refusal = None;
        loop {
            match self.clone().flags(wishes).build_local(entries) {
                Ok(ring) => return Ok((ring, wishes)),
                Err(error @ BuildError::Invalid { .. }) if !wishes.is_empty() => {
                    refusal = Some(error);
                    let newest = wishes.newest().map_or(wishes, |(newest, _)| newest);
                    wishes.remove(newest);
                    // TASKRUN_FLAG needs DEFER_TASKRUN, unless the builder has COOP_TASKRUN.
                    wishes.remove(flags::in_need(wishes, wishes.union(self.flags)));
                }
                // The builder's own flags need a wish that the kernel has refused.
                Err(error @ BuildError::Contradiction(_)) => return Err(refusal.unwrap_or(error)),
                Err(error) => return Err(error),
            }
        }
    }
}
