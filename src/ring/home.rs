//! Which process a ring belongs to: the one that made it.
//!
//! The memory of a ring is kept out of child processes, so its addresses may be other memory there.
//! [`Home`] tells the processes apart for the price of one load: it is a byte in a page that the
//! kernel wipes in a child (`MADV_WIPEONFORK`, since Linux 4.14). A child that makes a ring of its
//! own marks the next byte of the page, so that the rings it inherited stay foreign.
//!
//! Processes that share their memory (`vfork(2)`, `CLONE_VM`) are one process here.

use core::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::order::{Latest, Mark};

/// The process that made something: a byte that is set there, and clear in every other process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(&'static Mark);

/// Bytes of a page that are used, of any size of pages: the kernel rounds up.
const PAGE: usize = 4096;

/// The mark that was set last, by this process or one that it descends from. The page around it is
/// never unmapped.
static LATEST: Latest = Latest::none();

impl Home {
    /// This process.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)` and `madvise(2)`, for the first ring of a process.
    pub(crate) fn this_process() -> Result<Self, Errno> {
        loop {
            let latest = LATEST.get();
            if let Some(mark) = latest {
                if mark.is_set() {
                    return Ok(Self(mark));
                }
            }
            // In a child the mark is wiped. The next one of the page is free, if there is one.
            let next = latest.and_then(next_on_page);
            let page = if next.is_none() { Some(wiped_page()?) } else { None };
            let first = page.map(|page| {
                // SAFETY: the page stays mapped for good, unless nobody was told of it (below). It
                // is all zeros, which are marks that are not set, and is used only as marks.
                unsafe { page.as_ref() }
            });
            let Some(mark) = next.or(first) else { return Err(Errno::NOMEM) };
            mark.set();
            if LATEST.replace(latest, mark) {
                return Ok(Self(mark));
            }
            // Another thread was quicker.
            if let Some(page) = page {
                // SAFETY: the page was mapped above, and nobody else has its address.
                let _ = unsafe { munmap(page.as_ptr().cast(), PAGE) };
            }
        }
    }

    /// Every process: for what lies in plain memory, of which a child has a copy.
    #[cfg(any(feature = "sim", test))]
    pub(crate) const fn every_process() -> Self {
        static EVERYWHERE: Mark = Mark::set_from_the_start();
        Self(&EVERYWHERE)
    }

    /// Whether this is the process.
    #[inline(always)]
    pub(crate) fn is_here(self) -> bool {
        self.0.is_set()
    }
}

/// The mark after `mark`, on the same page.
fn next_on_page(mark: &'static Mark) -> Option<&'static Mark> {
    let next = core::ptr::from_ref(mark).wrapping_add(1);
    if next.addr() % PAGE == 0 {
        return None;
    }
    // SAFETY: a byte of the page that `mark` lies in, as it does not begin another one; the page
    // stays mapped for good and is used only as marks.
    Some(unsafe { &*next })
}

/// A page of zeros that is zeros again in a child, and stays mapped for good.
fn wiped_page() -> Result<NonNull<Mark>, Errno> {
    let (null, len) = (core::ptr::null_mut(), PAGE);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
    let start = unsafe { mmap_anonymous(null, len, protection, MapFlags::PRIVATE) }?;
    // SAFETY: the page was just mapped, whole.
    let wiped = unsafe { madvise(start, len, Advice::LinuxWipeOnFork) };
    if let Err(errno) = wiped {
        // SAFETY: the page was just mapped, and nobody has its address.
        let _ = unsafe { munmap(start, len) };
        return Err(errno);
    }
    NonNull::new(start.cast()).ok_or(Errno::NOMEM)
}

#[cfg(test)]
mod tests {
    use super::Home;

    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn a_process_is_the_same_one_each_time() {
        let first = Home::this_process().unwrap();
        let second = Home::this_process().unwrap();
        assert!(first.is_here() && core::ptr::eq(first.0, second.0));
    }

    #[test]
    fn what_lies_in_plain_memory_is_at_home_everywhere() {
        assert!(Home::every_process().is_here());
    }
}
