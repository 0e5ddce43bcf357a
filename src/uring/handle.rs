//! How a ring is referred to: by its descriptor, its registered index, or both.
#![forbid(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::enter::call::Simulated;
use crate::enter::submit::Submitter;
use crate::register::{self, Registrar};
use crate::ring::home::Home;
use crate::ring::layout::Layout;
use crate::ring::map::{Memory, Reservation};
use crate::sys::{EnterFlags, io_uring_params};

/// What set-up returned to refer to the ring.
#[derive(Debug)]
pub(crate) enum RingFd {
    /// A descriptor.
    Owned(OwnedFd),
    /// An index registered with the thread; there is no descriptor.
    Index(i32),
    /// A ring of the simulated kernel.
    Simulated(Simulated),
}

/// A reference to a ring, released when dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    fd: RingFd,
    /// The index under which the descriptor is registered, if it is.
    registered: Option<i32>,
    /// The process that made the ring.
    home: Home,
}

impl Handle {
    /// A reference to a ring that was made by the process `home`.
    pub(crate) const fn new(fd: RingFd, home: Home) -> Self {
        Self { fd, registered: None, home }
    }

    /// The process that made the ring.
    #[inline(always)]
    pub(crate) const fn home(&self) -> Home {
        self.home
    }

    /// The descriptor, if there is one.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.fd {
            RingFd::Owned(fd) => Some(fd.as_fd()),
            RingFd::Index(_) => None,
            RingFd::Simulated(ring) => Some(ring.descriptor()),
        }
    }

    /// The registered index, if there is one.
    pub(crate) fn index(&self) -> Option<i32> {
        match &self.fd {
            RingFd::Owned(_) => self.registered,
            RingFd::Index(index) => Some(*index),
            RingFd::Simulated(_) => None,
        }
    }

    /// Has a simulated kernel post true completions alone. One that runs does so anyway.
    pub(crate) fn keep_honest(&self) {
        if let RingFd::Simulated(ring) = self.fd {
            ring.keep_honest();
        }
    }

    /// Returns what is needed to enter the kernel for this ring.
    pub(crate) fn enter(&self, params: &io_uring_params) -> Submitter {
        let (fd, base) = match (&self.fd, self.index()) {
            (RingFd::Owned(fd), None) => (fd.as_raw_fd(), EnterFlags::empty()),
            (RingFd::Index(index), _) => (*index, EnterFlags::REGISTERED_RING),
            (_, Some(index)) => (index, EnterFlags::REGISTERED_RING),
            (RingFd::Simulated(ring), None) => (ring.number(), EnterFlags::empty()),
        };
        Submitter::new(fd, base, params.flags, params.features)
    }

    /// Returns the registrar of this ring.
    pub(crate) fn registrar(&self) -> Registrar<'_> {
        match &self.fd {
            RingFd::Owned(fd) => Registrar::new(fd.as_fd(), self.home),
            RingFd::Index(index) => Registrar::of_index(*index, self.home),
            RingFd::Simulated(ring) => Registrar::of_simulated(*ring, self.home),
        }
    }

    /// Maps the queues.
    pub(crate) fn map(&self, layout: Layout) -> Result<Memory, Errno> {
        match &self.fd {
            RingFd::Owned(fd) => Memory::map(fd.as_fd(), layout),
            // Without a descriptor nothing can be mapped: such rings are in memory that the caller
            // provided.
            RingFd::Index(_) => Err(Errno::BADF),
            RingFd::Simulated(ring) => Memory::provided(ring.map()?, layout).ok_or(Errno::INVAL),
        }
    }

    /// Reserves addresses for queues of these lengths in bytes, until just before they are mapped.
    pub(crate) fn reserve(&self, rings: usize, sqes: usize) -> Result<Option<Reservation>, Errno> {
        match &self.fd {
            RingFd::Owned(_) | RingFd::Index(_) => Memory::reserve(rings, sqes).map(Some),
            // Its memory is allocated already.
            RingFd::Simulated(_) => Ok(None),
        }
    }

    /// Registers the descriptor with this thread; from then on the index is used for the ring.
    pub(crate) fn register(&mut self) -> Result<(), Errno> {
        if !self.home.is_here() {
            return Err(Errno::CHILD);
        }
        let (RingFd::Owned(fd), None) = (&self.fd, self.registered) else { return Ok(()) };
        self.registered = Some(register::register_ring_fd(fd.as_fd())?);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The index is released first: a slot that is not freed keeps the ring alive. In a child
        // process the index refers to another ring or to none.
        if let (Some(index), true) = (self.index(), self.home.is_here()) {
            // Fails only if the index was freed when its thread ended.
            let _ = register::unregister_ring_fd(self.registrar(), index);
        }
        if let RingFd::Simulated(ring) = self.fd {
            ring.close();
        }
    }
}
