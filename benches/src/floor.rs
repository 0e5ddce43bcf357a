//! The floor: what an expert writes by hand for exactly the work at hand.
//!
//! Raw rings, mapped once, and loops over them that check nothing: the queue is known to have
//! room, completions are known to be there, every entry has one width. A general binding cannot
//! be cheaper than this; the question is by how much it is dearer.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering};

use ringbolt::sys::{
    self, CqeFlags, EnterFlags, IORING_OFF_CQ_RING, IORING_OFF_SQ_RING, IORING_OFF_SQES,
    RegisterOp, SetupFlags, SharedPtr, SqStatus, io_uring_cqe, io_uring_getevents_arg,
    io_uring_params, io_uring_rsrc_update, io_uring_sqe,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A part of a ring, mapped.
#[derive(Debug)]
pub(crate) struct Map {
    start: NonNull<u8>,
    len: usize,
}

impl Map {
    /// Maps `len` bytes of the ring `fd`, from `offset` on.
    pub(crate) fn new(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses the address.
        let start = unsafe { mmap(ptr::null_mut(), len, access, flags, fd, offset) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, len })
    }

    /// Both queues without their entries, which since Linux 5.4 lie in one mapping.
    pub(crate) fn queues<C>(fd: BorrowedFd<'_>, params: &io_uring_params) -> Result<Self, Errno> {
        let array = params.sq_off.array as usize + params.sq_entries as usize * size_of::<u32>();
        let cqes = params.cq_off.cqes as usize + params.cq_entries as usize * size_of::<C>();
        // Without an array its offset is no offset.
        let has_array = !params.flags.contains(SetupFlags::NO_SQARRAY);
        let len = if has_array { array.max(cqes) } else { cqes };
        debug_assert_ne!(IORING_OFF_SQ_RING, IORING_OFF_CQ_RING);
        Self::new(fd, IORING_OFF_SQ_RING, len)
    }

    /// The address `offset` bytes from the start.
    pub(crate) fn at<T>(&self, offset: u32) -> *mut T {
        assert!(offset as usize + size_of::<T>() <= self.len, "the kernel says what lies inside");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.start.as_ptr().add(offset as usize) }.cast()
    }

    /// The word `offset` bytes from the start.
    pub(crate) fn word(&self, offset: u32) -> *const AtomicU32 {
        self.at::<AtomicU32>(offset).cast_const()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, whole; what points into it goes with its owner.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// A ring on which nothing is checked.
#[derive(Debug)]
pub struct Floor<S = io_uring_sqe, C = io_uring_cqe> {
    sq_tail: u32,
    sq_mask: u32,
    sqes: *mut S,
    sq_shared_head: *const AtomicU32,
    sq_shared_tail: *const AtomicU32,
    sq_flags: *const AtomicU32,
    cq_head: u32,
    cq_mask: u32,
    cqes: *const C,
    cq_shared_head: *const AtomicU32,
    cq_shared_tail: *const AtomicU32,
    enter_fd: i32,
    enter_flags: EnterFlags,
    params: io_uring_params,
    fd: OwnedFd,
    _maps: [Map; 2],
}

impl<S: Copy, C: Copy> Floor<S, C> {
    /// A ring with `entries` slots, set up with `flags`, which say how wide `S` and `C` are.
    ///
    /// # Errors
    ///
    /// Those of `io_uring_setup(2)` and `mmap(2)`.
    pub fn new(entries: u32, flags: SetupFlags) -> Result<Self, Errno> {
        // For SQPOLL: asleep soon after the slice is over.
        let idle =
            if flags.contains(SetupFlags::SQPOLL) { crate::groups::SQPOLL_IDLE_MS } else { 0 };
        let mut params = io_uring_params { flags, sq_thread_idle: idle, ..io_uring_params::ZEROED };
        // SAFETY: `params` is valid for reads and writes, and names no memory.
        let fd = unsafe { sys::io_uring_setup(entries, &mut params) }
            .map_err(Errno::from_raw_os_error)?;
        // SAFETY: set-up just made it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let queues = Map::queues::<C>(fd.as_fd(), &params)?;
        let sqes_len = params.sq_entries as usize * size_of::<S>();
        let sqes = Map::new(fd.as_fd(), IORING_OFF_SQES, sqes_len)?;
        if !flags.contains(SetupFlags::NO_SQARRAY) {
            for slot in 0..params.sq_entries {
                let index = queues.at::<u32>(params.sq_off.array + 4 * slot);
                // SAFETY: inside the mapping; the kernel reads it at a submit only.
                unsafe { index.write(slot) };
            }
        }
        Ok(Self {
            sq_tail: 0,
            sq_mask: params.sq_entries - 1,
            sqes: sqes.at::<u8>(0).cast(),
            sq_shared_head: queues.word(params.sq_off.head),
            sq_shared_tail: queues.word(params.sq_off.tail),
            sq_flags: queues.word(params.sq_off.flags),
            cq_head: 0,
            cq_mask: params.cq_entries - 1,
            cqes: queues.at::<u8>(params.cq_off.cqes).cast(),
            cq_shared_head: queues.word(params.cq_off.head),
            cq_shared_tail: queues.word(params.cq_off.tail),
            enter_fd: fd.as_raw_fd(),
            enter_flags: EnterFlags::empty(),
            params,
            fd,
            _maps: [queues, sqes],
        })
    }

    /// Names the ring by a registered index from now on.
    ///
    /// # Errors
    ///
    /// Those of `IORING_REGISTER_RING_FDS`.
    pub fn register_ring_fd(&mut self) -> Result<(), Errno> {
        let fd = u64::from(self.fd.as_raw_fd().unsigned_abs());
        // Any free slot.
        let slot = self.update_ring_fds(RegisterOp::REGISTER_RING_FDS, u32::MAX, fd)?;
        self.enter_fd = i32::try_from(slot).unwrap_or(-1);
        self.enter_flags = EnterFlags::REGISTERED_RING;
        Ok(())
    }

    /// What set-up answered.
    pub const fn params(&self) -> &io_uring_params {
        &self.params
    }

    /// Fills `count` slots and publishes them.
    ///
    /// # Safety
    ///
    /// So many slots are free. What the entries name stays until they have completed.
    #[inline(always)]
    pub unsafe fn fill(&mut self, count: u32, entry: impl FnMut(u32) -> S) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.put(count, entry) };
        self.publish();
    }

    /// Fills `count` slots, to be published with others.
    ///
    /// # Safety
    ///
    /// As for [`fill`](Self::fill).
    #[inline(always)]
    pub unsafe fn put(&mut self, count: u32, mut entry: impl FnMut(u32) -> S) {
        let (sqes, mask, tail) = (self.sqes, self.sq_mask, self.sq_tail);
        for n in 0..count {
            // SAFETY: masked: one of `mask + 1` slots.
            let slot = unsafe { sqes.add((tail.wrapping_add(n) & mask) as usize) };
            // SAFETY: free, by the contract.
            unsafe { slot.write(entry(n)) };
        }
        self.sq_tail = tail.wrapping_add(count);
    }

    /// Shows the kernel what was put.
    #[inline(always)]
    pub fn publish(&mut self) {
        // SAFETY: a word of the mapping, which `self` keeps.
        unsafe { &*self.sq_shared_tail }.store(self.sq_tail, Ordering::Release);
    }

    /// Submits `count` entries and waits for `want` completions.
    ///
    /// # Errors
    ///
    /// The errno, positive.
    #[inline(always)]
    pub fn enter(&mut self, count: u32, want: u32) -> Result<u32, sys::RawErrno> {
        let flags = EnterFlags::GETEVENTS.union(self.enter_flags);
        // SAFETY: no argument; the entries were filled under the contract of `fill`.
        unsafe { sys::io_uring_enter(self.enter_fd, count, want, flags, ptr::null(), 0) }
    }

    /// Like [`enter`](Self::enter), with an argument that limits the wait.
    ///
    /// # Errors
    ///
    /// The errno, positive.
    #[inline(always)]
    pub fn enter_with(
        &mut self,
        count: u32,
        want: u32,
        arg: &io_uring_getevents_arg,
    ) -> Result<u32, sys::RawErrno> {
        let flags = EnterFlags::GETEVENTS.union(EnterFlags::EXT_ARG).union(self.enter_flags);
        let (arg, size) = (ptr::from_ref(arg).cast(), size_of::<io_uring_getevents_arg>());
        // SAFETY: the argument, and what it points to, is there during the call; the entries were
        // filled under the contract of `fill`.
        unsafe { sys::io_uring_enter(self.enter_fd, count, want, flags, arg, size) }
    }

    /// Entries that are published and that the kernel has not taken.
    #[inline(always)]
    pub fn queued(&self) -> u32 {
        // SAFETY: a word of the mapping, which `self` keeps.
        self.sq_tail.wrapping_sub(unsafe { &*self.sq_shared_head }.load(Ordering::Acquire))
    }

    /// What the kernel says about the submission queue.
    #[inline(always)]
    pub fn status(&self) -> SqStatus {
        // SAFETY: a word of the mapping, which `self` keeps.
        SqStatus::from_bits_retain(unsafe { &*self.sq_flags }.load(Ordering::Relaxed))
    }

    /// Wakes an SQPOLL thread that sleeps.
    #[inline(always)]
    pub fn wake(&mut self) {
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.status().contains(SqStatus::NEED_WAKEUP) {
            let flags = EnterFlags::SQ_WAKEUP.union(self.enter_flags);
            // SAFETY: no argument; the entries were filled under the contract of `fill`.
            let _ = unsafe { sys::io_uring_enter(self.enter_fd, 0, 0, flags, ptr::null(), 0) };
        }
    }

    /// Takes every completion that is there, and gives the slots back. Returns how many.
    #[inline(always)]
    pub fn reap(&mut self, mut take: impl FnMut(&C)) -> u32 {
        self.walk(|cqe| {
            take(cqe);
            1
        })
    }

    /// Goes from slot to slot, as far on as `step` says, and gives them back. Returns how many.
    #[inline(always)]
    fn walk(&mut self, mut step: impl FnMut(&C) -> u32) -> u32 {
        let (cqes, mask, head) = (self.cqes, self.cq_mask, self.cq_head);
        // SAFETY: a word of the mapping, which `self` keeps.
        let tail = unsafe { &*self.cq_shared_tail }.load(Ordering::Acquire);
        let mut at = head;
        while at != tail {
            // SAFETY: masked: one of `mask + 1` slots.
            let slot = unsafe { cqes.add((at & mask) as usize) };
            // SAFETY: below the tail: written, and not written again before the head moves.
            at = at.wrapping_add(step(unsafe { &*slot }));
        }
        self.cq_head = tail;
        // SAFETY: a word of the mapping, which `self` keeps.
        unsafe { &*self.cq_shared_head }.store(tail, Ordering::Release);
        tail.wrapping_sub(head)
    }
}

impl<S: Copy> Floor<S, io_uring_cqe> {
    /// [`reap`](Self::reap) for a queue whose completions have either width. Of a wide one only the
    /// first half is looked at. Returns how many slots they took.
    #[inline(always)]
    pub fn reap_mixed(&mut self, mut take: impl FnMut(&io_uring_cqe)) -> u32 {
        self.walk(|cqe| {
            if !cqe.flags.intersects(CqeFlags::SKIP.union(CqeFlags::F_32)) {
                take(cqe);
                return 1;
            }
            if cqe.flags.contains(CqeFlags::SKIP) {
                return 1;
            }
            take(cqe);
            2
        })
    }
}

impl<S, C> Floor<S, C> {
    fn update_ring_fds(&self, op: RegisterOp, offset: u32, fd: u64) -> Result<u32, Errno> {
        let data = SharedPtr::without_provenance(fd);
        let mut update = io_uring_rsrc_update { offset, resv: 0, data };
        let (fd, arg) = (self.fd.as_raw_fd(), (&raw mut update).cast());
        // SAFETY: one update, valid for reads and writes.
        unsafe { sys::io_uring_register(fd, op.as_raw(), arg, 1) }
            .map_err(Errno::from_raw_os_error)?;
        Ok(update.offset)
    }
}

impl<S, C> Drop for Floor<S, C> {
    fn drop(&mut self) {
        if self.enter_flags.contains(EnterFlags::REGISTERED_RING) {
            // Or the slot, of which a thread has 16, would keep the ring open.
            let slot = self.enter_fd.unsigned_abs();
            let _ = self.update_ring_fds(RegisterOp::UNREGISTER_RING_FDS, slot, 0);
        }
    }
}

impl<S, C> AsFd for Floor<S, C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
