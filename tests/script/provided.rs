//! The ring of provided buffers of a script, and its model.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::{BTreeMap, VecDeque};

use ringbolt::register::{BufferRing, Registrar};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, CqeFlags};
use ringbolt::{CompletionQueue, CqEntry};

use super::config::Config;
use super::ledger::{outcome, read};
use super::model::{Completion, Origin};
use super::op::{GROUP, Kind};

/// Entries of the ring.
const CAPACITY: u16 = 4;
/// Buffers that there are, more than go into the ring.
const BUFFERS: u16 = 6;
/// Bytes of each.
const LEN: usize = 32;
const PAGE: usize = 4096;

/// The ring of provided buffers.
pub(crate) struct Provided {
    incremental: bool,
    /// Completions are posted when the operation is done.
    prompt: bool,
    /// Registered when the first buffer is added.
    ring: Option<BufferRing>,
    memory: Page,
    /// Buffers that the program has, by id.
    free: VecDeque<u16>,
    /// Added and not published; published and not used up; oldest first.
    added: VecDeque<Buffer>,
    shown: VecDeque<Buffer>,
    /// Those of the last [`CAPACITY`] published that no bundle was told of: id and length.
    untold: VecDeque<(u16, u32)>,
    /// Buffers used up, ever.
    used_up: u16,
    /// Where the kernel has put what, by the entry.
    filled: BTreeMap<u64, Filled>,
}

/// A buffer in the ring.
struct Buffer {
    id: u16,
    len: usize,
    /// Bytes that are used up.
    used: usize,
}

/// A part of a buffer that the kernel has filled.
struct Filled {
    id: u16,
    start: usize,
    len: usize,
    /// The buffer is the program's again.
    last: bool,
}

/// A page for the ring, and one for the buffers.
struct Page(NonNull<u8>);

impl Page {
    const LAYOUT: Layout = match Layout::from_size_align(2 * PAGE, PAGE) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    fn new() -> Self {
        // SAFETY: of a size that is not 0.
        let start = unsafe { alloc_zeroed(Self::LAYOUT) };
        Self(NonNull::new(start).unwrap_or_else(|| handle_alloc_error(Self::LAYOUT)))
    }

    fn ring(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.0, PAGE)
    }

    /// Where a buffer starts.
    fn buffer(&self, id: u16) -> *mut u8 {
        self.0.as_ptr().wrapping_add(PAGE + usize::from(id) * LEN)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: from `new`, with the same layout.
        unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) };
    }
}

impl Provided {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            incremental: config.incremental,
            prompt: !config.is_deferred(),
            ring: None,
            memory: Page::new(),
            free: (0..BUFFERS).collect(),
            added: VecDeque::new(),
            shown: VecDeque::new(),
            untold: VecDeque::new(),
            used_up: 0,
            filled: BTreeMap::new(),
        }
    }

    /// Adds up to `count` buffers of `len` bytes, as far as there are buffers and room.
    pub(crate) fn add(&mut self, registrar: &Registrar<'_>, count: u8, len: u8) {
        let len = usize::from(len).clamp(1, LEN);
        let flags = if self.incremental { BufRingFlags::INC } else { BufRingFlags::empty() };
        let ring = self.ring.get_or_insert_with(|| {
            let memory = self.memory.ring();
            // SAFETY: the page stays longer than the ring, which is closed before this is
            // dropped, and nothing else uses it.
            let ring = unsafe { registrar.register_buffer_ring_in(memory, GROUP, CAPACITY, flags) };
            ring.expect("the group is free")
        });
        for _ in 0..count {
            if self.added.len() + self.shown.len() == usize::from(CAPACITY) {
                return;
            }
            let Some(id) = self.free.pop_front() else { return };
            // SAFETY: memory of the buffer's own, which is looked at again when a completion has
            // told that it is done with.
            unsafe { ring.add(self.memory.buffer(id), u32::try_from(len).unwrap_or(0), id) };
            self.added.push_back(Buffer { id, len, used: 0 });
        }
    }

    /// Publishes what was added, together with the slots of completions taken if it is told to.
    pub(crate) fn publish<C: CqEntry, T>(
        &mut self,
        completions: Option<&mut CompletionQueue<'_, C, T>>,
    ) -> bool {
        let Some(ring) = &mut self.ring else { return false };
        if let Some(completions) = completions {
            ring.publish_with(completions);
        } else {
            assert_eq!(usize::from(ring.publish()), self.added.len(), "buffers new to the kernel");
        }
        let new = self
            .added
            .iter()
            .map(|buffer| (buffer.id, u32::try_from(buffer.len).expect("a short buffer")));
        self.untold.extend(new);
        while self.untold.len() > usize::from(CAPACITY) {
            self.untold.pop_front();
        }
        self.shown.append(&mut self.added);
        true
    }

    /// The kernel has posted the completion of a read into a provided buffer.
    pub(crate) fn posted(&mut self, origin: Origin, completion: &Completion) {
        let Kind::ReadProvided { len, .. } = origin.op.kind else { return };
        let id = completion.flags.contains(CqeFlags::BUFFER).then(|| completion.flags.bits() >> 16);
        let moved = match outcome(*completion) {
            Ok(moved) => moved,
            Err(errno) => {
                let none_left = errno == -Errno::NOBUFS.raw_os_error();
                let wrongly = none_left && self.prompt && !self.shown.is_empty();
                assert!(!wrongly, "there are buffers, and {origin:?} had none");
                assert_eq!(id, None);
                return;
            }
        };
        let buffer = self.shown.front_mut().expect("a buffer was shown");
        assert_eq!(id, Some(buffer.id.into()), "buffers are used in order");
        let left = buffer.len - buffer.used;
        let wanted = if len == 0 { left } else { left.min(len.into()) };
        assert_eq!(moved, wanted, "{origin:?} into {left} bytes");
        let start = buffer.used;
        buffer.used += moved;
        let more = self.incremental && buffer.used < buffer.len;
        assert_eq!(completion.flags.contains(CqeFlags::BUF_MORE), more);
        let filled = Filled { id: buffer.id, start, len: moved, last: !more };
        self.filled.insert(origin.user_data, filled);
        if !more {
            self.shown.pop_front();
            self.used_up = self.used_up.wrapping_add(1);
        }
    }

    /// The program has popped the completion of a read, or it was lost.
    pub(crate) fn popped(&mut self, origin: Origin) {
        let Kind::ReadProvided { at, .. } = origin.op.kind else { return };
        let Some(Filled { id, start, len, last }) = self.filled.remove(&origin.user_data) else {
            return;
        };
        let first = self.memory.buffer(id).wrapping_add(start).cast_const();
        // SAFETY: inside the buffer, which was zeroed, and of which the kernel does not use this
        // part any more.
        let bytes = unsafe { core::slice::from_raw_parts(first, len) };
        assert_eq!(bytes, read(at.into(), len), "what {origin:?} has read");
        if last {
            self.free.push_back(id);
        }
    }

    /// Asks which buffers a completion of `bytes` bytes has filled that names the `skip`th that
    /// was not told of, and compares.
    pub(crate) fn bundle(&mut self, skip: u8, bytes: u16) {
        let Some(ring) = &mut self.ring else { return };
        if self.incremental {
            // Not for such rings.
            return;
        }
        // Entries that were overwritten since are not there, be what is there published or not.
        let there = usize::from(CAPACITY) - self.added.len();
        let oldest = self.untold.len().saturating_sub(there);
        let mut visible = self.untold.iter().enumerate().skip(oldest);
        let ids = || visible.clone().map(|(_, (id, _))| *id);
        for id in (0..=BUFFERS).filter(|id| ids().all(|other| other != *id)) {
            assert_eq!(ring.bundle(id, bytes.into()).next(), None, "buffer {id} is not there");
        }
        let Some(first) = ids().nth(skip.into()) else { return };
        let mut left = u32::from(bytes);
        let mut expected = Vec::new();
        let named = visible.position(|(_, (id, _))| *id == first).expect("it is there");
        for (index, &(id, len)) in self.untold.iter().enumerate().skip(oldest + named) {
            if left == 0 {
                break;
            }
            expected.push((index, (id, len.min(left))));
            left -= len.min(left);
        }
        let told: Vec<_> = ring.bundle(first, bytes.into()).collect();
        assert!(told.iter().eq(expected.iter().map(|(_, share)| share)), "{told:?} {expected:?}");
        if let Some((last, _)) = expected.last() {
            self.untold.drain(..=last);
        }
    }

    /// Overwrites a part of the ring: a hostile other side. Nothing is compared from then on.
    pub(crate) fn scribble(&mut self, at: usize, bytes: &[u8; 16]) {
        let entry = at % usize::from(CAPACITY) * bytes.len();
        for (offset, byte) in bytes.iter().enumerate() {
            let to = self.memory.0.as_ptr().wrapping_add(entry + offset);
            // SAFETY: inside the page of the ring; nobody holds a reference to what is there.
            unsafe { to.write(*byte) };
        }
    }

    /// Asks which buffers a completion has filled, and looks only at how many it says.
    pub(crate) fn ask(&mut self, first: u16, bytes: u16) {
        if let Some(ring) = &mut self.ring {
            assert!(ring.bundle(first, bytes.into()).count() <= usize::from(CAPACITY));
        }
    }

    /// Compares the counts of this side.
    pub(crate) fn check(&self) {
        let Some(ring) = &self.ring else { return };
        assert_eq!((ring.capacity(), ring.group()), (CAPACITY, GROUP));
        let held = u16::try_from(self.shown.len() + self.added.len()).expect("few buffers");
        assert_eq!(ring.tail(), self.used_up.wrapping_add(held), "buffers ever added");
    }

    /// Compares the kernel's count. Nothing is on its way.
    pub(crate) fn check_head(&self, registrar: &Registrar<'_>) {
        if self.ring.is_some() {
            assert_eq!(registrar.buffer_ring_head(GROUP), Ok(self.used_up), "buffers ever used");
        }
    }
}
