//! Ending everything that is in flight: at the end of a scope, when jobs are dropped, and by
//! [`Jobs::shutdown`].
//!
//! Places are given up only when nothing is in flight from them (J5). So the drain takes back what
//! the kernel has not seen, cancels the rest, again and again, since what is linked behind a
//! cancelled entry may start and a worker may be busy, and waits until every place has come back.
//! No code of the program runs in the meantime: values are dropped afterwards.

use core::mem::ManuallyDrop;
use core::time::Duration;

use rustix::io::Errno;

use crate::enter::submit_error::{Advice, SubmitError};
use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::AsyncCancel;
use crate::ring::sq::Sq;
use crate::uring::closing::now;

use super::place::Place;
use super::ring::Inner;
use super::table::{Jobs, NONE};
use super::user_data::{self, Control, TURN};

/// The first pause between two cancellations, and the longest.
pub(super) const PAUSES: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_millis(100));

/// Why a drain has ended before everything had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undrained {
    /// The time is up.
    Late,
    /// It cannot be known any more what is in flight.
    Unknown(Errno),
}

impl<T, Th, S, C> Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Ends everything that is in flight, in at most `timeout` if there is one. Afterwards every
    /// place is idle, and has its value if it is taken.
    pub(super) fn drain(&mut self, timeout: Option<Duration>) -> Result<(), Undrained> {
        // The value of the shown event stays in its place: it is dropped with the others.
        self.settle_debts();
        self.shown = NONE;
        self.take_unsent_back(self.inner.ring.enter.is_polled());
        let deadline = timeout.map(|timeout| now().saturating_add(timeout));
        let (mut pause, longest) = PAUSES;
        loop {
            let left = self.reap();
            if left == 0 {
                return Ok(());
            }
            if self.has_quiet && left == self.count_cut() {
                return Err(Undrained::Unknown(Errno::NOMEM));
            }
            // The ring is fresh, and only its jobs use it: each loss is one of theirs.
            if self.inner.ring.cq.overflow() != 0 {
                return Err(Undrained::Unknown(Errno::BADR));
            }
            let left = deadline.map(|deadline| deadline.saturating_sub(now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Undrained::Late);
            }
            self.cancel_everything();
            let submitted = self.inner.ring.submit();
            self.look_for_cut();
            if submitted.is_err_and(|error| error.errno == Errno::OWNERDEAD) {
                // There is no polling thread any more that could take an entry.
                self.take_unsent_back(false);
            }
            can_go_on(submitted)?;
            if self.reap() == 0 {
                return Ok(());
            }
            self.inner.ring.pause(left.map_or(pause, |left| pause.min(left)));
            pause = pause.saturating_mul(2).min(longest);
        }
    }

    /// Takes the entries back that the kernel has not seen: their operations were not started.
    /// `polled` says that a thread of the kernel may be taking them.
    fn take_unsent_back(&mut self, polled: bool) {
        let (start, len) = (self.places(), self.count);
        let inner = &mut *self.inner;
        let sq: &mut Sq<S> = &mut inner.ring.sq;
        #[cfg(feature = "alloc")]
        let owned = &mut inner.owned;
        sq.take_unsent(polled, |entry| {
            let user_data = entry.as_sqe().user_data();
            match Control::of(user_data) {
                #[cfg(feature = "alloc")]
                Some(control) => owned.was_not_sent(control, entry.as_sqe()),
                #[cfg(not(feature = "alloc"))]
                Some(_) => {}
                None if user_data::place(user_data) < len => {
                    // SAFETY: less than `len`, so inside the allocation.
                    let place = unsafe { start.add(user_data::place(user_data) as usize) };
                    // SAFETY: as in `Jobs::place`.
                    was_not_sent(unsafe { place.as_ref() }, user_data);
                }
                None => {}
            }
        });
    }

    /// Notes all completions that have come. Returns how many places are in flight.
    fn reap(&mut self) -> usize {
        loop {
            // An error is not lost: the next submission returns it, too.
            let _ = self.inner.ring.get_events();
            let mut came = false;
            while let Some(completion) = self.inner.ring.cq.take_batched() {
                came = true;
                let cqe = completion.as_cqe();
                let _ = self.settle(cqe.user_data(), cqe.raw_result(), cqe.flags());
                self.settle_debts();
            }
            if !came {
                return (0..self.count).filter(|index| !self.place(*index).is_idle()).count();
            }
        }
    }

    /// Queues a cancellation of everything or, before Linux 5.19, of each operation in flight, as
    /// far as there is room.
    fn cancel_everything(&mut self) {
        if !self.inner.no_cancel_all {
            let entry = AsyncCancel::any().sqe(Control::CancelAll.user_data());
            self.inner.push_control(entry);
            return;
        }
        for index in 0..self.count {
            let place = self.place(index);
            if place.is_idle() {
                continue;
            }
            if place.chain.links.get() > 0 {
                self.cancel_links(place);
            } else {
                self.push_cancel(place.user_data.get());
            }
        }
    }

    /// Drops the values of all places, which are idle. A value whose destructor panics does not
    /// keep the others from being dropped; another panic meanwhile aborts.
    pub(super) fn drop_values(&mut self) {
        self.shown = NONE;
        let mut rest = Rest { jobs: self, index: 0 };
        rest.drop_them();
    }
}

/// The values from `index` on, which are dropped in any case.
struct Rest<'j, 'scope, 'env, T, Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> {
    jobs: &'j mut Jobs<'scope, 'env, T, Th, S, C>,
    index: u32,
}

impl<T, Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> Rest<'_, '_, '_, T, Th, S, C> {
    fn drop_them(&mut self) {
        while self.index < self.jobs.count {
            let index = self.index;
            self.index += 1;
            let place = self.jobs.place(index);
            if place.is_taken() {
                if place.chain.links.get() > 0 {
                    self.jobs.end_chain(place);
                }
                drop(self.jobs.take_value(place));
            }
        }
    }
}

impl<T, Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> Drop for Rest<'_, '_, '_, T, Th, S, C> {
    fn drop(&mut self) {
        self.drop_them();
    }
}

/// Whether a drain can go on after a submission.
fn can_go_on(submitted: Result<u32, SubmitError>) -> Result<(), Undrained> {
    match submitted {
        Err(SubmitError { errno: Errno::BADR, .. }) => Err(Undrained::Unknown(Errno::BADR)),
        // The kernel ends what a dead polling thread has submitted, and its completions come.
        Err(SubmitError { errno: Errno::OWNERDEAD, .. }) => Ok(()),
        // A thread that enters the ring for the first time needs memory, which may come back.
        Err(SubmitError { errno: Errno::NOMEM, .. }) => Ok(()),
        Err(error) if error.advice() == Advice::Stop => Err(Undrained::Unknown(error.errno)),
        _ => Ok(()),
    }
}

/// An entry has been taken back before the kernel saw it: it is as if it had been cancelled.
fn was_not_sent<T>(place: &Place<T>, user_data: u64) {
    let base = user_data::plain(user_data);
    if user_data::plain(place.user_data.get()) != base {
        return;
    }
    let is_over = match user_data::link(user_data) {
        0 => true,
        // Of a quiet chain the first link comes first, and nothing of it was started; or the kernel
        // has the links before this one.
        nth if place.chain.quiet.get() => {
            place.chain.cut.set(nth > 1);
            nth == 1
        }
        nth => place.chain.completes(nth - 1, -Errno::CANCELED.raw_os_error()),
    };
    if is_over {
        place.user_data.set(base.wrapping_add(TURN));
    }
}

/// The jobs of a scope, which end with it.
pub(super) struct AtEnd<'h, 'scope, 'env, T, Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> {
    pub(super) jobs: ManuallyDrop<Jobs<'scope, 'env, T, Th, S, C>>,
    /// Where the ring goes back to.
    pub(super) home: &'h mut Option<Inner<Th, S, C>>,
}

impl<T, Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> Drop for AtEnd<'_, '_, '_, T, Th, S, C> {
    fn drop(&mut self) {
        let is_here = self.jobs.inner.is_here();
        if is_here {
            if let Err(undrained) = self.jobs.drain(None) {
                // The kernel may write to what the scope has borrowed: it must not end.
                abort(undrained);
            }
            self.jobs.inner.end_scope();
        }
        // SAFETY: the jobs are not used after this, except by `Home`, which does not use the ring.
        let inner = unsafe { ManuallyDrop::take(&mut self.jobs.inner) };
        *self.home = Some(inner);
        if is_here {
            self.jobs.drop_values();
        }
    }
}

impl<T, Th, S, C> Drop for Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn drop(&mut self) {
        if self.inner.is_here() && self.drain(None).is_err() {
            // The kernel may write to the values: they are leaked, and the ring with them.
            return;
        }
        self.end();
    }
}

/// Ends the process at once: no code of the program runs, and nothing unwinds (J5).
fn abort(undrained: Undrained) -> ! {
    /// Aborts if anything unwinds on the way.
    struct Armed;

    impl Drop for Armed {
        fn drop(&mut self) {
            stop();
        }
    }

    let _armed = Armed;
    report(undrained);
    stop()
}

/// Says why, as far as somebody listens.
#[cfg(feature = "std")]
fn report(undrained: Undrained) {
    use std::io::Write as _;

    let errno = match undrained {
        Undrained::Late => Errno::TIME,
        Undrained::Unknown(errno) => errno,
    };
    // Not `eprintln!`, which panics when standard error is full or closed.
    let _ = writeln!(
        std::io::stderr(),
        "ringbolt: the operations of a scope cannot be ended ({}): the process is aborted, since \
         the kernel may still write to its memory",
        crate::entry::explain::ErrnoText(errno),
    );
}

/// Says why: there is nobody to say it to.
#[cfg(not(feature = "std"))]
const fn report(_: Undrained) {}

#[cfg(feature = "std")]
fn stop() -> ! {
    std::process::abort();
}

/// A panic does not unwind out of a function of C: the process is aborted.
#[cfg(not(feature = "std"))]
extern "C" fn stop() -> ! {
    panic!("the operations of a scope cannot be ended");
}

/// For entries of any width: what an entry of the front's own was for.
#[cfg(feature = "alloc")]
impl super::owned::Owned {
    /// An entry of the front's own was taken back before the kernel saw it.
    fn was_not_sent(&mut self, control: Control, entry: &crate::entry::Sqe) {
        match control {
            Control::Close => self.empty(entry.file_index().wrapping_sub(1)),
            Control::Wake => self.disarm(),
            Control::Cancel | Control::CancelAll => {}
        }
    }
}
