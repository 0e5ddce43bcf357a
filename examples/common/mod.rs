//! [`Engine`]: a ring that owns the memory which its operations use.
//!
//! The rule: memory goes when nothing is in flight, and not before. The engine counts the
//! entries pushed against their last completions. When it is dropped, on whatever way out, it
//! cancels what is in flight, reaps it, and unmaps the memory then; where the kernel does not
//! give something up, the memory is leaked, and stays valid for ever.
//!
//! The program never looks into the memory: bytes go from one file to another.

use core::ptr::NonNull;
use core::time::Duration;

use ringbolt::ops::{AsyncCancel, IoVec};
use ringbolt::register::FileSlot;
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use ringbolt::{Advice, Cqe, LocalIoUring, PushError, Sqe};

/// How often something is tried that the kernel refuses for now.
const TRIES: u32 = 1000;

/// How often and how long the end of what is in flight is waited for: 5 seconds in all.
const CANCEL_ROUNDS: u32 = 50;
const CANCEL_ROUND: Duration = Duration::from_millis(100);

/// What cancels carry: no operation of an example has this `user_data`.
const CANCEL: u64 = u64::MAX;

/// A ring with blocks of memory that live for longer than everything in flight.
#[derive(Debug)]
pub(crate) struct Engine {
    ring: LocalIoUring,
    memory: NonNull<u8>,
    blocks: usize,
    block_size: usize,
    /// Entries pushed whose last completion has not been popped.
    in_flight: u32,
}

impl Engine {
    /// Gives `ring` memory of `blocks` blocks with `block_size` bytes each, both at least 1.
    ///
    /// The ring should have room for all that is ever in flight at once: then neither of its
    /// queues overflows.
    pub(crate) fn new(ring: LocalIoUring, blocks: usize, block_size: usize) -> Result<Self, Errno> {
        assert!(blocks > 0);
        assert!(block_size > 0);
        let len = blocks.checked_mul(block_size).ok_or(Errno::NOMEM)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, wherever there is room: no memory in use is touched.
        let memory =
            unsafe { mmap_anonymous(core::ptr::null_mut(), len, access, MapFlags::PRIVATE) }?;
        let memory = NonNull::new(memory.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { ring, memory, blocks, block_size, in_flight: 0 })
    }

    /// Byte `at` of block `block`.
    pub(crate) fn block(&self, block: usize, at: u32) -> *mut u8 {
        assert!(block < self.blocks);
        let at = usize::try_from(at).expect("a block is smaller than the address space");
        assert!(at < self.block_size);
        // Inside the mapping, by the lines above.
        self.memory.as_ptr().wrapping_add(block * self.block_size + at)
    }

    /// Entries whose last completion has not been popped.
    #[allow(dead_code, reason = "echo counts for each connection")]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Makes each block a fixed buffer, with its own number for an index.
    #[allow(dead_code, reason = "cp registers its memory, cat and echo do not")]
    pub(crate) fn register_blocks(&self) -> Result<(), Errno> {
        let size = self.block_size;
        let vectors: Vec<_> =
            (0..self.blocks).map(|block| IoVec::new(self.block(block, 0), size)).collect();
        // SAFETY: the memory is unmapped by `drop` alone, after it has reaped everything in
        // flight and unregistered the buffers; the program itself does not access it.
        unsafe { self.ring.registrar().register_buffers(&vectors) }.map_err(Errno::from)
    }

    /// Makes `slots` the table of fixed files.
    #[allow(dead_code, reason = "cp registers its files, cat and echo do not")]
    pub(crate) fn register_files(&self, slots: &[FileSlot<'_>]) -> Result<(), Errno> {
        self.ring.registrar().register_files(slots).map_err(Errno::from)
    }

    /// Queues `chain`, all or nothing. No entry of it may ask for no completion.
    ///
    /// # Safety
    ///
    /// Until the last completion of an entry has been popped:
    ///
    /// - memory that it names lies in a block, which the engine keeps, or stays otherwise;
    /// - no other entry in flight uses a range that it lets the kernel write, unless it is
    ///   linked behind it;
    /// - descriptors that it names stay open, or their numbers are not used again.
    pub(crate) unsafe fn push(&mut self, chain: &[Sqe]) -> Result<(), Errno> {
        for _ in 0..TRIES {
            // SAFETY: blocks are kept until everything has been reaped, see `drop`; the rest is
            // the caller's promise.
            match unsafe { self.ring.submission().push_all(chain) } {
                Ok(()) => {
                    self.in_flight += u32::try_from(chain.len()).map_err(|_| Errno::OVERFLOW)?;
                    return Ok(());
                }
                // With SQPOLL, a completion can be there before its slot is free again.
                Err(PushError::Full(())) => self.make_room()?,
                Err(_) => return Err(Errno::INVAL),
            }
        }
        Err(Errno::BUSY)
    }

    fn make_room(&mut self) -> Result<(), Errno> {
        match self.ring.submit() {
            Ok(_) => self.ring.submission().wait_for_room(),
            Err(error) if error.advice() == Advice::Retry => {
                std::thread::sleep(Duration::from_millis(1));
                Ok(())
            }
            Err(error) => Err(error.errno),
        }
    }

    /// Submits what is queued, and waits until there may be a completion.
    pub(crate) fn submit_and_wait(&mut self) -> Result<(), Errno> {
        for _ in 0..TRIES {
            let Err(error) = self.ring.submit_and_wait(1) else { return Ok(()) };
            match error.errno {
                // A signal, or completions that are to be reaped first: the caller goes on.
                Errno::INTR | Errno::BUSY => return Ok(()),
                // Short of memory. What is in flight may give some back.
                Errno::AGAIN if self.ring.completion().is_empty() => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Errno::AGAIN => return Ok(()),
                errno => return Err(errno),
            }
        }
        Err(Errno::AGAIN)
    }

    /// Takes the next completion.
    pub(crate) fn pop(&mut self) -> Option<Cqe> {
        let cqe = self.ring.completion().pop()?;
        if !cqe.has_more() {
            self.in_flight -= 1;
        }
        Some(cqe)
    }

    /// Cancels what is in flight, and takes all completions. Whether nothing is left.
    pub(crate) fn quiesce(&mut self) -> bool {
        // What the kernel has never had.
        while self.ring.submission().pop_back().is_some() {
            self.in_flight -= 1;
        }
        for _ in 0..CANCEL_ROUNDS {
            while self.pop().is_some() {}
            if self.in_flight == 0 {
                return true;
            }
            let cancel = AsyncCancel::any().all().sqe(CANCEL);
            if self.ring.submission().push_safe(cancel).is_ok() {
                self.in_flight += 1;
            }
            let wait = self.ring.submit_and_wait_timeout(self.in_flight, CANCEL_ROUND);
            if wait.is_err_and(|error| error.advice() == Advice::Stop) {
                // An older kernel, which can neither cancel all nor wait for a time.
                return false;
            }
        }
        false
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.quiesce() {
            return; // The kernel may still write to the memory: it is leaked.
        }
        match self.ring.registrar().unregister_buffers().map_err(Errno::from) {
            // ENXIO: none were registered.
            Ok(()) | Err(Errno::NXIO) => {}
            Err(_) => return, // They may still be pinned: leaked, too.
        }
        // SAFETY:
        // 1. A mapping of this length, which `new` made and nobody else unmaps.
        // 2. Nobody uses it: no entry is in flight, no buffer registered, the program holds no
        //    reference into it, and no entry can be pushed from here on.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.blocks * self.block_size) };
    }
}
