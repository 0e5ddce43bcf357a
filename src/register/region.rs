//! Arguments of waits, in memory that is registered with a ring.

use core::ptr::NonNull;

use rustix::io::Errno;
use rustix::param::page_size;

use crate::enter::enter_arg::{EnterArg, SigSet};
use crate::ring::map::Region;
use crate::sys::{
    MemRegionFlags, RegWaitFlags, RegionFlags, RegisterOp, SharedPtr, io_uring_mem_region_reg,
    io_uring_reg_wait, io_uring_region_desc,
};

use crate::ops::time::Timespec;

use super::{RegisterError, Registrar};

/// The limits of a wait and its signal mask, for a [`WaitRegion`].
#[doc(alias = "io_uring_reg_wait")]
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisteredWait {
    /// How long to wait; a point in time with
    /// [`EnterFlags::ABS_TIMER`](crate::sys::EnterFlags::ABS_TIMER).
    pub timeout: Option<Timespec>,
    /// Wait for all requested completions for this many microseconds; after that, return as soon as
    /// there is one. 0 means no minimum wait.
    pub min_wait_usec: u32,
    /// Signals to block during the wait.
    pub sigmask: Option<&'static SigSet>,
}

/// Arguments of waits, by index, in memory that is registered with a ring.
///
/// The kernel reads them in place, without copying them first. [`Registrar::register_wait_region`]
/// returns it.
#[derive(Debug)]
pub struct WaitRegion {
    count: usize,
    /// Unmapped when dropped; the kernel holds its own reference.
    memory: Region,
}

impl Registrar<'_> {
    /// Makes and registers a region for at least `count` arguments of waits.
    /// `IORING_REGISTER_MEM_REGION` with `IORING_MEM_REGION_REG_WAIT_ARG`, since Linux 6.13.
    ///
    /// A ring can have one region, which cannot be unregistered. It must be registered before the
    /// ring is enabled: see [`Builder::build_disabled`](crate::Builder::build_disabled).
    ///
    /// ```
    /// use ringbolt::{IoUring, Timespec, register::RegisteredWait, rustix::io::Errno};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::builder().build_disabled(8)?;
    /// let mut region = match ring.registrar().register_wait_region(4) {
    ///     Err(error) if error.errno == Errno::INVAL => return Ok(()), // Before Linux 6.13.
    ///     region => region?,
    /// };
    /// let timeout = Some(Timespec::new(0, 1_000_000));
    /// region.set(0, RegisteredWait { timeout, ..Default::default() })?;
    /// let ring = ring.enable()?;
    /// // A call that waits takes `region.arg(0)?`.
    /// # let _ = ring;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EBUSY` if the ring has a region already; `EINVAL` if `count` is 0, if the ring is enabled,
    /// or before Linux 6.13; `ENOMEM` if memory is short.
    #[doc(alias("io_uring_register_wait_reg", "IORING_REGISTER_MEM_REGION"))]
    #[doc(alias = "IORING_MEM_REGION_REG_WAIT_ARG")]
    pub fn register_wait_region(&self, count: usize) -> Result<WaitRegion, RegisterError> {
        let refused = |errno| RegisterError { op: RegisterOp::REGISTER_MEM_REGION, errno };
        if count == 0 {
            return Err(refused(Errno::INVAL));
        }
        let size = size_of::<io_uring_reg_wait>();
        // One more, which is not used: Linux 6.18 reads the first argument in place of one that
        // ends at the end of the region.
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
        // SAFETY: the memory is mapped, and the kernel pins it; it is unmapped when the value is
        // dropped, and never used for anything else.
        unsafe { self.register_region(&mut region, MemRegionFlags::REG_WAIT_ARG) }?;
        Ok(WaitRegion { count: len / size - 1, memory })
    }

    /// Registers a region of memory. `IORING_REGISTER_MEM_REGION`, since Linux 6.13.
    ///
    /// With [`RegionFlags::TYPE_USER`] in `region` the caller provides the memory. Without it the
    /// kernel does, and returns in `region` the offset at which to map it.
    ///
    /// ```
    /// use ringbolt::{IoUring, sys::{MemRegionFlags, io_uring_region_desc}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // Memory of the kernel: no address.
    /// let mut region = io_uring_region_desc { size: 4096, ..io_uring_region_desc::ZEROED };
    /// // SAFETY: this program provides no memory.
    /// match unsafe { ring.registrar().register_region(&mut region, MemRegionFlags::empty()) } {
    ///     Ok(()) => println!("map it at {:#x}", region.mmap_offset),
    ///     Err(error) => eprintln!("{error}"), // Before Linux 6.14.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_wait_region`](Self::register_wait_region); also `EFAULT` for memory that
    /// is not mapped.
    ///
    /// # Safety
    ///
    /// Memory that the caller provides is valid for reads and writes until the ring is closed and
    /// the kernel has released it, or until it is unmapped. Until then it is used for nothing else.
    #[doc(alias("io_uring_register_region", "IORING_REGISTER_MEM_REGION"))]
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
        // call; the caller vouches for the memory described.
        unsafe { self.ask(RegisterOp::REGISTER_MEM_REGION, arg, 1) }?;
        Ok(())
    }
}

impl WaitRegion {
    /// How many arguments the region has room for.
    pub const fn capacity(&self) -> usize {
        self.count
    }

    /// Stores the argument `index`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `index` is not less than [`capacity`](Self::capacity); `ECHILD` in a process
    /// that did not make the region, because child processes do not inherit its memory.
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
        // SAFETY: inside the region and aligned. The kernel only reads it, and only during a call
        // that passes the argument.
        unsafe { place.write_volatile(raw) };
        Ok(())
    }

    /// Returns the argument `index`, to be passed to a wait.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `index` is not less than [`capacity`](Self::capacity).
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
