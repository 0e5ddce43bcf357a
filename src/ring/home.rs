//! Which process a ring belongs to: the one that made it.
//!
//! Child processes do not inherit the memory of a ring, so its addresses may refer to other memory
//! there. [`Home`] distinguishes the processes with one load: it is a byte in a page that the
//! kernel clears in a child (`MADV_WIPEONFORK`, since Linux 4.14). A child that makes its own ring
//! sets the next byte of the page, so that the rings which it inherited still count as those of
//! another process.
//!
//! Processes that share their memory (`vfork(2)`, `CLONE_VM`) count as one process.

use core::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::order::{Latest, Mark};

/// The process that made something: a byte that is set in that process, and clear in every other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(&'static Mark);

/// How many bytes of the page are used, whatever the page size: the kernel rounds up.
const PAGE: usize = 4096;

/// The mark that was set last, by this process or one of its ancestors. Its page is never unmapped.
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
            // In a child the mark is cleared. The next mark of the page, if there is one, is free.
            let next = latest.and_then(next_on_page);
            let page = if next.is_none() { Some(wiped_page()?) } else { None };
            let first = page.map(|page| {
                // SAFETY: the page stays mapped forever, unless it is unmapped below, before
                // anything else has its address. It is all zeros, which are marks that are not set,
                // and is used only for marks.
                unsafe { page.as_ref() }
            });
            let Some(mark) = next.or(first) else { return Err(Errno::NOMEM) };
            mark.set();
            if LATEST.replace(latest, mark) {
                return Ok(Self(mark));
            }
            // Another thread set a mark first.
            if let Some(page) = page {
                // SAFETY: the page was mapped above, and nothing else has its address.
                let _ = unsafe { munmap(page.as_ptr().cast(), PAGE) };
            }
        }
    }

    /// Every process: for plain memory, of which a child has a copy.
    pub(crate) const fn every_process() -> Self {
        static EVERYWHERE: Mark = Mark::set_from_the_start();
        Self(&EVERYWHERE)
    }

    /// Whether the calling process is this one.
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
    // SAFETY: a byte of the page that contains `mark`, because it is not the first byte of a page;
    // the page stays mapped forever and is used only for marks.
    Some(unsafe { &*next })
}

/// Maps a page of zeros that the kernel clears again in a child, and that is never unmapped.
fn wiped_page() -> Result<NonNull<Mark>, Errno> {
    let (null, len) = (core::ptr::null_mut(), PAGE);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
    let start = unsafe { mmap_anonymous(null, len, protection, MapFlags::PRIVATE) }?;
    // SAFETY: the page was just mapped, whole.
    let wiped = unsafe { madvise(start, len, Advice::LinuxWipeOnFork) };
    if let Err(errno) = wiped {
        // SAFETY: the page was just mapped, and nothing else has its address.
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
    fn this_process_returns_the_same_mark_each_time() {
        let first = Home::this_process().unwrap();
        let second = Home::this_process().unwrap();
        assert!(first.is_here() && core::ptr::eq(first.0, second.0));
    }

    #[test]
    fn every_process_includes_the_calling_process() {
        assert!(Home::every_process().is_here());
    }
}
