//! The ring of provided buffers of a script, and its model.

use core::alloc::Layout;
use core::mem::offset_of;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::{BTreeMap, VecDeque};

use ringbolt::register::{BufferRing, BufferRingFull, Registrar};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, CqeFlags, io_uring_buf, io_uring_cqe};
use ringbolt::{CompletionQueue, CqEntry, Cqe};

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
    /// Completions that were popped and that the ring was not told of, oldest first.
    unreported: VecDeque<(Cqe, Filled)>,
    /// Buffers that were added and whose completions were not reported.
    out: u16,
    /// A completion was lost: its buffer is never reported, and takes up its place.
    has_lost: bool,
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
    /// All of the buffer is filled.
    full: bool,
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
            unreported: VecDeque::new(),
            out: 0,
            has_lost: false,
            used_up: 0,
            filled: BTreeMap::new(),
        }
    }

    /// The ring, which is registered when it is first asked for.
    fn ring(&mut self, registrar: &Registrar<'_>) -> &mut BufferRing {
        let flags = if self.incremental { BufRingFlags::INC } else { BufRingFlags::empty() };
        let memory = self.memory.ring();
        self.ring.get_or_insert_with(|| {
            // SAFETY: the page stays longer than the ring, which is closed before this is
            // dropped, and nothing else uses it.
            let ring = unsafe { registrar.register_buffer_ring_in(memory, GROUP, CAPACITY, flags) };
            ring.expect("the group is free")
        })
    }

    /// Adds up to `count` buffers of `len` bytes, as far as there are buffers. The ring refuses
    /// those that it has no place for.
    pub(crate) fn add(&mut self, registrar: &Registrar<'_>, count: u8, len: u8) {
        let len = usize::from(len).clamp(1, LEN);
        for _ in 0..count {
            if self.has_lost && self.out < CAPACITY {
                // Debug builds may take an id for one that is in the ring.
                return;
            }
            let Some(&id) = self.free.front() else { return };
            let added = self.add_one(registrar, id, len);
            if self.out == CAPACITY {
                assert_eq!(added, Err(BufferRingFull), "no place is left");
                return;
            }
            assert_eq!(added, Ok(()), "{} of {CAPACITY} are out", self.out);
            self.free.pop_front();
            self.out += 1;
            self.added.push_back(Buffer { id, len, used: 0 });
        }
    }

    fn add_one(
        &mut self,
        registrar: &Registrar<'_>,
        id: u16,
        len: usize,
    ) -> Result<(), BufferRingFull> {
        let start = self.memory.buffer(id);
        let len = u32::try_from(len).expect("a short buffer");
        // SAFETY: memory of the buffer's own, which is looked at again when a completion has told
        // that it is done with.
        unsafe { self.ring(registrar).add(start, len, id) }
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
        let full = moved == buffer.len;
        let filled = Filled { id: buffer.id, start, len: moved, last: !more, full };
        self.filled.insert(origin.user_data, filled);
        if !more {
            self.shown.pop_front();
            self.used_up = self.used_up.wrapping_add(1);
        }
    }

    /// A completion was lost, maybe of a read into a provided buffer.
    pub(crate) fn lost(&mut self, origin: Origin) {
        self.has_lost |= self.filled.remove(&origin.user_data).is_some();
    }

    /// The program has popped a completion, maybe of a read into a provided buffer.
    pub(crate) fn popped(&mut self, origin: Origin, completion: &Completion) {
        let Kind::ReadProvided { at, .. } = origin.op.kind else { return };
        let Some(filled) = self.filled.remove(&origin.user_data) else { return };
        let first = self.memory.buffer(filled.id).wrapping_add(filled.start).cast_const();
        // SAFETY: inside the buffer, which was zeroed, and of which the kernel does not use this
        // part any more.
        let bytes = unsafe { core::slice::from_raw_parts(first, filled.len) };
        assert_eq!(bytes, read(at.into(), filled.len), "what {origin:?} has read");
        let Completion { user_data, result: res, flags, .. } = *completion;
        let cqe = Cqe::from_raw(io_uring_cqe { user_data, res, flags, ..io_uring_cqe::ZEROED });
        self.unreported.push_back((cqe, filled));
    }

    /// Reports up to `count` completions, one by one.
    pub(crate) fn reclaim(&mut self, count: u8) {
        for _ in 0..count {
            let Some((cqe, Filled { id, last, .. })) = self.unreported.pop_front() else { return };
            let ring = self.ring.as_mut().expect("a buffer of it was used");
            assert_eq!(ring.reclaim(&cqe), last.then_some(id), "{cqe:?}");
            if last {
                self.give_back(id);
            }
        }
    }

    /// A buffer is the program's again.
    fn give_back(&mut self, id: u16) {
        self.free.push_back(id);
        self.out -= 1;
    }

    /// Reports up to `count` completions together, as if they were the one of a bundle, and
    /// compares the buffers. The first `part` of these are taken from one iteration, which is then
    /// left, and the others from another.
    pub(crate) fn bundle(&mut self, count: u8, part: u8) {
        // Not for incremental rings.
        let Some(ring) = self.ring.as_mut().filter(|_| !self.incremental) else { return };
        let shown = self.shown.iter().map(|buffer| buffer.id);
        let popped = self.unreported.iter().map(|(_, filled)| filled.id);
        let posted = self.filled.values().map(|filled| filled.id);
        let in_ring: Vec<_> = shown.chain(popped).chain(posted).collect();
        for id in (0..=BUFFERS).filter(|id| !self.has_lost && !in_ring.contains(id)) {
            assert_eq!(ring.bundle(id, 1).next(), None, "buffer {id} is not there");
        }
        let mut shares = Vec::new();
        while shares.len() < count.into() {
            let Some((_, Filled { id, len, full, .. })) = self.unreported.pop_front() else {
                break;
            };
            shares.push((id, u32::try_from(len).expect("a short buffer")));
            if !full {
                // A bundle ends in such a buffer.
                break;
            }
        }
        let (one, two) = shares.split_at(usize::from(part).min(shares.len()));
        let bytes = |shares: &[(u16, u32)]| shares.iter().map(|(_, len)| len).sum::<u32>();
        if let Some((first, _)) = one.first() {
            let told: Vec<_> = ring.bundle(*first, bytes(&shares)).take(one.len()).collect();
            assert_eq!(told, one, "the first part of {shares:?}");
        }
        if let Some((first, _)) = two.first() {
            let told: Vec<_> = ring.bundle(*first, bytes(two)).collect();
            assert_eq!(told, two, "the rest of {shares:?}");
        }
        shares.into_iter().for_each(|(id, _)| self.give_back(id));
    }

    /// Adds buffers to the ring of a hostile other side. Nothing is compared.
    pub(crate) fn add_blindly(&mut self, registrar: &Registrar<'_>, count: u8, len: u8) {
        let len = usize::from(len).clamp(1, LEN);
        for _ in 0..count {
            // Not one that is in the ring, by what the other side has written there.
            let ids = self.ids();
            let id =
                (0..BUFFERS).find(|id| !ids.contains(id)).expect("more than there are entries");
            if self.add_one(registrar, id, len).is_ok() {
                self.added.push_back(Buffer { id, len, used: 0 });
            }
        }
    }

    /// The ids in the entries of the ring.
    fn ids(&self) -> Vec<u16> {
        let id = |entry: usize| {
            let at = entry * size_of::<io_uring_buf>() + offset_of!(io_uring_buf, bid);
            let bid = self.memory.0.as_ptr().wrapping_add(at).cast::<u16>();
            // SAFETY: inside the page of the ring, which was zeroed, and aligned in an entry.
            unsafe { bid.read() }
        };
        (0..usize::from(CAPACITY)).map(id).collect()
    }

    /// Reports a completion of a hostile other side, which may name any buffer.
    pub(crate) fn reclaim_blindly(&mut self, cqe: &impl CqEntry) {
        // More completions than buffers are an error that debug builds see.
        if let Some(ring) = self.ring.as_mut().filter(|ring| !ring.is_empty()) {
            let left = ring.len() - 1;
            let reclaimed = ring.reclaim(cqe);
            assert_eq!(ring.len() == left, reclaimed.is_some());
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
        assert_eq!((ring.len(), ring.is_empty()), (self.out, self.out == 0), "buffers out");
    }

    /// Compares the kernel's count. Nothing is on its way.
    pub(crate) fn check_head(&self, registrar: &Registrar<'_>) {
        if self.ring.is_some() {
            assert_eq!(registrar.buffer_ring_head(GROUP), Ok(self.used_up), "buffers ever used");
        }
    }
}
