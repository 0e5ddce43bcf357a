//! Provided buffers that a ring owns: [`Jobs::provide`], and [`Received`], which gives its buffer
//! back by itself.

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::entry::{CqEntry, Cqe, OneWidth, SqEntry};
use crate::ops::lent::Group;
use crate::register::{BufferRing, BufferRingOptions, Registrar};
use crate::ring::home::Home;
use crate::sys::io_uring_cqe;
use crate::uring::thread::OneThread;

use super::owes::Lent;
use super::table::Jobs;

/// Buffers of one group, and the ring by which the kernel gets them.
#[derive(Debug)]
pub(super) struct Pool {
    /// Absent once the group has ended.
    ring: RefCell<Option<BufferRing>>,
    memory: Memory,
    /// The length of each buffer.
    size: u32,
    /// Whether each buffer is with the kernel.
    lent: Box<[Cell<bool>]>,
    home: Home,
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
    /// An operation takes from the [`Group`]: [`Recv::group`](crate::ops::Recv::group) for
    /// example. Its events have the buffer: [`Event::received`](super::Event::received). If none is
    /// left, the operation ends with `ENOBUFS`, which is an ordinary end: start it again when
    /// buffers have come back.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EINVAL` | `count` is not a power of two up to 32,768; `size` is 0; a kernel before 5.19 |
    /// | `ENOMEM` | no memory |
    /// | `EOVERFLOW` | `count * size` exceeds the address space, or 65,536 groups exist |
    pub fn provide(&mut self, count: u16, size: u32) -> Result<Group, Errno> {
        self.hide();
        let number = u16::try_from(self.inner.owned.pools.len()).map_err(|_| Errno::OVERFLOW)?;
        let each = usize::try_from(size).map_err(|_| Errno::OVERFLOW)?;
        let len = each.checked_mul(usize::from(count)).ok_or(Errno::OVERFLOW)?;
        if len == 0 {
            return Err(Errno::INVAL);
        }
        let memory = Memory::new(len)?;
        let registrar = self.inner.ring.registrar();
        let options = BufferRingOptions::default();
        let mut ring =
            registrar.register_buffer_ring(number, count, options).map_err(Errno::from)?;
        for id in 0..count {
            let start = memory.start.as_ptr().wrapping_add(usize::from(id) * each);
            // SAFETY: the memory is the pool's, which reads and writes no buffer that is with the
            // kernel; it is freed after the group has ended. Ids are different.
            let _ = unsafe { ring.add(start, size, id) };
        }
        ring.publish();
        let lent = (0..count).map(|_| Cell::new(true)).collect();
        let home = self.inner.ring.handle.home();
        self.inner.owned.pools.push(Rc::new(Pool {
            ring: RefCell::new(Some(ring)),
            memory,
            size,
            lent,
            home,
        }));
        Ok(Group::new(number))
    }
}

impl Pool {
    /// The buffer that a completion names, if the kernel had it.
    pub(super) fn receive(this: &Rc<Self>, lent: Lent) -> Option<Received> {
        let mut ring = this.ring.borrow_mut();
        let is_lent = this.lent.get(usize::from(lent.id))?;
        if !is_lent.replace(false) {
            return None;
        }
        let completion = io_uring_cqe { flags: lent.flags, ..io_uring_cqe::ZEROED };
        ring.as_mut()?.reclaim(&Cqe::from_raw(completion));
        let len = lent.len.min(this.size);
        Some(Received { pool: Rc::clone(this), id: lent.id, len })
    }

    /// Ends the group: its number may be used again. Nothing that could pick a buffer is in flight.
    pub(super) fn end(this: Rc<Self>, registrar: Registrar<'_>) {
        let Some(ring) = this.ring.borrow_mut().take() else { return };
        if registrar.unregister_buffer_ring(ring).is_err() {
            // The kernel may still have the buffers: their memory stays.
            core::mem::forget(this);
        }
    }

    fn start(&self, id: u16) -> *mut u8 {
        // Both fit: `provide` multiplied the number of buffers with it.
        let offset = usize::from(id) * self.size as usize;
        self.memory.start.as_ptr().wrapping_add(offset)
    }
}

/// Bytes that came in a provided buffer. They are read and written in place, and the buffer goes
/// back to the kernel when this is dropped.
///
/// It can be kept, stored in a value, and sent from without a copy. Forgetting it keeps the buffer
/// from the kernel. It stays on the ring's thread: it is not `Send`.
pub struct Received {
    pool: Rc<Pool>,
    id: u16,
    len: u32,
}

impl Deref for Received {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: a buffer of the pool, which is initialised, and not with the kernel as long as
        // this exists; only `self` refers to it.
        unsafe { core::slice::from_raw_parts(self.pool.start(self.id), self.len as usize) }
    }
}

impl DerefMut for Received {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.pool.start(self.id), self.len as usize) }
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
        if let Some(ring) = &mut *self.pool.ring.borrow_mut() {
            if let Some(lent) = self.pool.lent.get(usize::from(self.id)) {
                lent.set(true);
            }
            // SAFETY: as in `Jobs::provide`; this value was the only user of the buffer, and the id
            // is in the ring once: its mark was clear.
            let _ = unsafe { ring.add(self.pool.start(self.id), self.pool.size, self.id) };
            ring.publish();
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("id", &self.id).field("len", &self.len).finish()
    }
}
