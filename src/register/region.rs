//! Arguments of waits that lie in memory which the kernel has looked at before.

use core::ptr::NonNull;

use rustix::io::Errno;
use rustix::param::page_size;

use crate::enter_arg::{EnterArg, SigSet};
use crate::ring::map::Region;
use crate::sys::{
    MemRegionFlags, RegWaitFlags, RegionFlags, RegisterOp, SharedPtr, io_uring_mem_region_reg,
    io_uring_reg_wait, io_uring_region_desc,
};

use crate::time::Timespec;

use super::{RegisterError, Registrar};

/// How a wait ends other than by completions, for a [`WaitRegion`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisteredWait {
    /// How long to wait; an instant with
    /// [`EnterFlags::ABS_TIMER`](crate::sys::EnterFlags::ABS_TIMER).
    pub timeout: Option<Timespec>,
    /// Microseconds to gather completions for: from then on, one is enough. 0 for none.
    pub min_wait_usec: u32,
    /// Signals to block while waiting.
    pub sigmask: Option<&'static SigSet>,
}

/// Arguments of waits, by index, in memory that is registered with a ring: the kernel reads them
/// without copying them in first. From [`Registrar::register_wait_region`].
#[derive(Debug)]
pub struct WaitRegion {
    count: usize,
    /// Unmapped when dropped; the kernel holds its own reference.
    memory: Region,
}

impl Registrar<'_> {
    /// Makes a region for at least `count` arguments of waits and registers it.
    /// `IORING_REGISTER_MEM_REGION` with `IORING_MEM_REGION_REG_WAIT_ARG`, since Linux 6.13.
    ///
    /// A ring has one, for good, and it is registered before the ring is enabled: see
    /// [`Builder::build_disabled`](crate::Builder::build_disabled).
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is a region already, `EINVAL` for none, for a ring that is enabled, or
    /// before Linux 6.13; `ENOMEM`.
    pub fn register_wait_region(&self, count: usize) -> Result<WaitRegion, RegisterError> {
        let refused = |errno| RegisterError { op: RegisterOp::REGISTER_MEM_REGION, errno };
        if count == 0 {
            return Err(refused(Errno::INVAL));
        }
        let size = size_of::<io_uring_reg_wait>();
        // One more, which is not used: where an argument ends with the region, Linux 6.18 takes the
        // first one in its place.
        let len = count.checked_add(1).and_then(|count| count.checked_mul(size));
        let len = len.and_then(|len| len.checked_next_multiple_of(page_size()));
        let len = len.ok_or(refused(Errno::INVAL))?;
        let memory = Region::anonymous(len).map_err(refused)?;
        let mut region = io_uring_region_desc {
            user_addr: SharedPtr::from_mut(memory.start().as_ptr()),
            size: u64::try_from(len).map_err(|_| refused(Errno::INVAL))?,
            flags: RegionFlags::TYPE_USER,
            ..io_uring_region_desc::ZEROED
        };
        // SAFETY: the memory is mapped, and the kernel pins it; it is unmapped, and not put to
        // another use, when the value is dropped.
        unsafe { self.register_region(&mut region, MemRegionFlags::REG_WAIT_ARG) }?;
        Ok(WaitRegion { count: len / size - 1, memory })
    }

    /// Registers a region of memory as `region` and `flags` say: the caller's, or, without
    /// [`RegionFlags::TYPE_USER`], the kernel's, to be mapped at the offset that it returns.
    /// `IORING_REGISTER_MEM_REGION`, since Linux 6.13.
    ///
    /// # Errors
    ///
    /// As [`register_wait_region`](Self::register_wait_region); `EFAULT` for memory that is not
    /// mapped.
    ///
    /// # Safety
    ///
    /// Memory of the caller's is valid for reads and writes until the ring is closed and the kernel
    /// has let go of it, or unmapped, and never put to another use.
    pub unsafe fn register_region(
        &self,
        region: &mut io_uring_region_desc,
        flags: MemRegionFlags,
    ) -> Result<(), RegisterError> {
        let mut reg = io_uring_mem_region_reg {
            region_uptr: SharedPtr::from_mut(region),
            flags,
            ..io_uring_mem_region_reg::ZEROED
        };
        let arg = (&raw mut reg).cast();
        // SAFETY: one struct that points to another, both valid for reads and writes during the
        // call; the memory described is the caller's promise.
        unsafe { self.ask(RegisterOp::REGISTER_MEM_REGION, arg, 1) }?;
        Ok(())
    }
}

impl WaitRegion {
    /// How many arguments there is room for.
    pub const fn capacity(&self) -> usize {
        self.count
    }

    /// Stores the argument `index`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for so many; `ECHILD` in a process that did not make the
    /// region, whose memory is kept out of children.
    pub fn set(&mut self, index: usize, wait: RegisteredWait) -> Result<(), Errno> {
        if !self.memory.is_here() {
            return Err(Errno::CHILD);
        }
        let place = self.place(index).ok_or(Errno::INVAL)?;
        let (mut ts, mut flags) = (Timespec::new(0, 0), RegWaitFlags::empty());
        if let Some(timeout) = wait.timeout {
            (ts, flags) = (timeout, RegWaitFlags::TS);
        }
        let raw = io_uring_reg_wait {
            ts: *ts.as_raw(),
            min_wait_usec: wait.min_wait_usec,
            flags,
            sigmask: wait.sigmask.map_or(SharedPtr::NULL, |mask| SharedPtr::new(mask)),
            sigmask_sz: if wait.sigmask.is_some() { SigSet::LEN } else { 0 },
            ..io_uring_reg_wait::ZEROED
        };
        // SAFETY: inside the region, aligned, and read by the kernel only while it is entered by
        // somebody who was given the argument; whatever it reads, it reads only.
        unsafe { place.write_volatile(raw) };
        Ok(())
    }

    /// What to wait with, for the argument `index`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for so many.
    pub fn arg(&self, index: usize) -> Result<EnterArg<'static>, Errno> {
        self.place(index).ok_or(Errno::INVAL)?;
        Ok(EnterArg::Registered { offset: index * size_of::<io_uring_reg_wait>() })
    }

    fn place(&self, index: usize) -> Option<NonNull<io_uring_reg_wait>> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `count` arguments lie in the region.
        Some(unsafe { self.memory.start().cast().add(index) })
    }
}
