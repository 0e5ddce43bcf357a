//! Provided buffers that a ring owns: [`Jobs::provide`], and [`Received`], which gives its buffer
//! back by itself.

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::lent::Group;
use crate::register::{BufferRing, BufferRingOptions, Registrar};
use crate::ring::home::Home;
use crate::sys::CqeFlags;
use crate::uring::thread::OneThread;

use super::owes::Lent;
use super::table::Jobs;

/// Buffers of one group, and the ring by which the kernel gets them.
#[derive(Debug)]
pub(super) struct Pool {
    /// Absent once the group has ended. Reached by [`Pool::ring`] alone.
    ring: UnsafeCell<Option<BufferRing>>,
    /// That of the buffers, freed with the pool.
    _memory: Memory,
    /// The length of each buffer.
    size: u32,
    /// By the buffers' ids.
    uses: Box<[Use]>,
    home: Home,
}

/// A buffer, and who has it.
#[derive(Debug)]
struct Use {
    start: NonNull<u8>,
    holders: Cell<Holders>,
}

/// Who has a buffer, in one number, so that the usual ways are a comparison and a store.
///
/// | bits | |
/// |---|---|
/// | 0 | the kernel may still fill some of it |
/// | 1 to 31 | how many [`Received`] refer to it |
/// | 32 to 63 | how many bytes the kernel has filled, if it may fill more; otherwise 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holders(u64);

impl Holders {
    /// Nobody.
    const NOBODY: Self = Self(0);
    /// The kernel, which has filled nothing yet.
    const KERNEL: Self = Self(1);
    /// One [`Received`].
    const PIECE: Self = Self(2);
    /// The bits that count the [`Received`].
    const PIECES: u64 = 0xffff_fffe;

    const fn is_lent(self) -> bool {
        self.0 & Self::KERNEL.0 != 0
    }

    const fn filled(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The same with one more [`Received`], unless there are too many; lent until `filled` is
    /// absent.
    fn with_piece(self, filled: Option<u32>) -> Option<Self> {
        let pieces = self.0 & Self::PIECES;
        if pieces == Self::PIECES {
            return None;
        }
        let lent = filled.map_or(0, |filled| u64::from(filled) << 32 | Self::KERNEL.0);
        Some(Self((pieces + Self::PIECE.0) | lent))
    }

    /// The same with one [`Received`] less, of those that there are.
    const fn without_piece(self) -> Self {
        Self(self.0.wrapping_sub(Self::PIECE.0))
    }
}

/// The memory of all buffers, which the kernel writes to.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    /// `len` bytes of zeros, which are not 0.
    fn new(len: usize) -> Result<Self, Errno> {
        let layout = Layout::from_size_align(len, 4096).map_err(|_| Errno::INVAL)?;
        // SAFETY: the layout is not of size 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Errno::NOMEM)?;
        Ok(Self { start, layout })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the kernel has none of it: `Pool::end`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl<T, S, C> Jobs<'_, '_, T, OneThread, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Provides `count` buffers of `size` bytes each, from which the kernel picks when data has
    /// come. They belong to the ring until its jobs, or the scope, have ended. Since Linux 5.19.
    ///
    /// An operation takes from the [`Group`]. Its events have the buffer:
    /// [`Event::received`](super::Event::received). If no buffer is left, the operation ends with
    /// `ENOBUFS` ([`Event::ran_dry`](super::Event::ran_dry)), which is an ordinary end: start it
    /// again when buffers have come back.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EINVAL` | `count` is not a power of two up to 32,768; `size` is 0; a kernel before 5.19 |
    /// | `ENOMEM` | no memory |
    /// | `EOVERFLOW` | `count * size` exceeds the address space, or 65,536 groups exist |
    pub fn provide(&mut self, count: u16, size: u32) -> Result<Group, Errno> {
        self.provide_with(count, size, BufferRingOptions::default())
    }

    /// Provides buffers as [`provide`](Self::provide) does, with options.
    ///
    /// With [`BufRingFlags::INC`](crate::sys::BufRingFlags::INC), since Linux 6.12, the kernel
    /// fills a buffer piece by piece; it comes back when it is full and the last [`Received`] of it
    /// is dropped. The pieces of a buffer are told apart by the order of their completions: let
    /// only one operation at a time take from such a group, and none with
    /// [`force_async`](crate::ops::OpIn::force_async).
    ///
    /// # Errors
    ///
    /// As [`provide`](Self::provide); `EINVAL` for options that the kernel does not know.
    pub fn provide_with(
        &mut self,
        count: u16,
        size: u32,
        options: BufferRingOptions,
    ) -> Result<Group, Errno> {
        self.hide();
        let number = u16::try_from(self.inner.owned.pools.len()).map_err(|_| Errno::OVERFLOW)?;
        let each = usize::try_from(size).map_err(|_| Errno::OVERFLOW)?;
        let len = each.checked_mul(usize::from(count)).ok_or(Errno::OVERFLOW)?;
        if len == 0 {
            return Err(Errno::INVAL);
        }
        let memory = Memory::new(len)?;
        let registrar = self.inner.ring.registrar();
        let ring = registrar.register_buffer_ring(number, count, options).map_err(Errno::from)?;
        let buffer = |id: u16| {
            // SAFETY: less than `count * size`, which is how long the memory is.
            let start = unsafe { memory.start.add(usize::from(id) * each) };
            Use { start, holders: Cell::new(Holders::NOBODY) }
        };
        let uses = (0..count).map(buffer).collect();
        let pool = Rc::new(Pool {
            ring: UnsafeCell::new(Some(ring)),
            _memory: memory,
            size,
            uses,
            home: self.inner.ring.handle.home(),
        });
        for (id, used) in (0..count).zip(&pool.uses) {
            pool.lend_first(id, used);
        }
        self.inner.owned.pools.push(pool);
        Ok(Group::new(number))
    }
}

impl Pool {
    /// The part of the data of a completion that is in the first buffer that the completion names.
    /// What is left of the completion, in the next buffer, stays in `lent`.
    #[cold]
    #[inline(never)]
    pub(super) fn receive(this: &Rc<Self>, lent: &mut Option<Lent>) -> Option<Received> {
        let named = lent.take()?;
        let used = this.uses.get(usize::from(named.id))?;
        let holders = used.holders.get();
        if !holders.is_lent() {
            return None;
        }
        let start = holders.filled();
        let len = named.len.min(this.size - start);
        // What is beyond the buffer of a datagram that was cut is nowhere.
        let rest = if named.from.in_bundles { named.len - len } else { 0 };
        if rest > 0 {
            *lent = this.after(named.id).map(|id| Lent { id, len: rest, ..named });
        }
        // The kernel goes on with a buffer only after the last one of a completion.
        let goes_on = rest == 0 && named.flags.contains(CqeFlags::BUF_MORE);
        let filled = if goes_on { Some(start + len) } else { None };
        used.holders.set(holders.with_piece(filled)?);
        let first = used.start.as_ptr().wrapping_add(start as usize);
        Some(Received::new(this, used, named.id, first, len))
    }

    /// The data of a completion that has one buffer, with which the kernel is done: the usual case.
    /// `None` for any other, which [`Self::receive`] knows to deal with.
    #[inline(always)]
    pub(super) fn receive_one(this: &Rc<Self>, named: &Lent) -> Option<Received> {
        let used = this.uses.get(usize::from(named.id))?;
        let is_usual = used.holders.get() == Holders::KERNEL && named.len <= this.size;
        if !is_usual || named.flags.contains(CqeFlags::BUF_MORE) {
            return None;
        }
        used.holders.set(Holders::PIECE);
        Some(Received::new(this, used, named.id, used.start.as_ptr(), named.len))
    }

    /// Calls `f` with the ring, unless the group has ended. `f` does not use the pool.
    #[inline(always)]
    fn ring<R>(&self, f: impl FnOnce(&mut BufferRing) -> R) -> Option<R> {
        // SAFETY: nothing else refers to the ring: references are made here alone, and last as long
        // as `f`, which gets nothing else of the pool. The pool stays on its thread.
        let ring = unsafe { &mut *self.ring.get() };
        ring.as_mut().map(f)
    }

    /// The buffer that the kernel takes after `id`.
    #[cold]
    fn after(&self, id: u16) -> Option<u16> {
        self.ring(|ring| ring.id_after(id))?
    }

    /// Lends a buffer to the kernel for the first time.
    fn lend_first(&self, id: u16, used: &Use) {
        self.ring(|ring| {
            used.holders.set(Holders::KERNEL);
            // SAFETY: the buffer is the pool's, whose memory is freed after the group has ended. No
            // `Received` refers to it, and none is made before a completion names it; no other
            // buffer has its id. This is the process that made the ring.
            let _ = unsafe { ring.add(used.start.as_ptr(), self.size, id) };
            ring.publish_here();
        });
    }

    /// Lends a buffer to the kernel again, which nobody has. The process is the one that made the
    /// pool.
    #[inline(always)]
    fn lend(&self, id: u16, used: &Use) {
        self.ring(|ring| {
            used.holders.set(Holders::KERNEL);
            // SAFETY: as in `lend_first`; it was added there, a completion has used it up, and it
            // was not lent since.
            unsafe { ring.add_again(used.start.as_ptr(), self.size, id) };
            ring.publish_here();
        });
    }

    /// Ends the group: its number may be used again. Nothing that could pick a buffer is in flight.
    pub(super) fn end(this: Rc<Self>, registrar: Registrar<'_>) {
        // SAFETY: nothing else refers to the ring, as in `Pool::ring`.
        let Some(ring) = unsafe { &mut *this.ring.get() }.take() else { return };
        if registrar.unregister_buffer_ring(ring).is_err() {
            // The kernel may still have the buffers: their memory stays.
            core::mem::forget(this);
        }
    }
}

/// Bytes that came in a provided buffer. They are read and written in place, and the buffer goes
/// back to the kernel when the last of its pieces is dropped.
///
/// It can be kept, stored in a value, and sent from without a copy. Forgetting it keeps the buffer
/// from the kernel. It stays on the ring's thread: it is not `Send`.
pub struct Received {
    pool: Rc<Pool>,
    /// The buffer, which is one of the pool's.
    used: NonNull<Use>,
    /// The first byte.
    first: *mut u8,
    len: u32,
    id: u16,
}

impl Received {
    /// `len` bytes from `first` on, in the buffer `used` of `pool`, which has the number `id`.
    ///
    /// Nobody else refers to the bytes, and they are not with the kernel: other pieces of the
    /// buffer are before them, and the kernel fills what is after them.
    #[inline(always)]
    fn new(pool: &Rc<Pool>, used: &Use, id: u16, first: *mut u8, len: u32) -> Self {
        Self { pool: Rc::clone(pool), used: NonNull::from(used), first, len, id }
    }
}

impl Deref for Received {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes are in the buffer, which is initialised, and which the pool keeps; only
        // `self` refers to them (`new`).
        unsafe { core::slice::from_raw_parts(self.first, self.len as usize) }
    }
}

impl DerefMut for Received {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.first, self.len as usize) }
    }
}

impl AsMut<[u8]> for Received {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Received {
    #[inline]
    fn drop(&mut self) {
        if !self.pool.home.is_here() {
            return;
        }
        // SAFETY: one of the pool's, which `self` keeps; it is only ever looked at through shared
        // references, since its fields are cells.
        let used = unsafe { self.used.as_ref() };
        let left = used.holders.get().without_piece();
        used.holders.set(left);
        if left == Holders::NOBODY {
            self.pool.lend(self.id, used);
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("id", &self.id).field("len", &self.len).finish()
    }
}
