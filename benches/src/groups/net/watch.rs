//! Readiness, as an event loop is told of it: level-triggered, by epoll.

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::patiently;

/// The most events that one look for them brings.
const EVENTS: usize = 1024;

/// An epoll instance that tells where there is something to read.
pub(super) struct Watch {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Watch {
    /// Watches `files`.
    pub(super) fn new(files: &[OwnedFd]) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, file) in (0..).zip(files) {
            let data = epoll::EventData::new_u64(index);
            epoll::add(&epoll, file, data, epoll::EventFlags::IN)?;
        }
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    /// Waits until there is something, and tells the indices of the files that have it.
    #[inline(always)]
    pub(super) fn ready(&mut self) -> impl Iterator<Item = usize> {
        let Self { epoll, events } = self;
        patiently(|| {
            events.clear();
            epoll::wait(&*epoll, spare_capacity(events), None)
        });
        // An index was a `usize` before.
        events.iter().map(|event| usize::try_from(event.data.u64()).unwrap_or(usize::MAX))
    }
}
