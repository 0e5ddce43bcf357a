//! A signal that is sent to one thread again and again while it waits.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use ringbolt::SigSet;

/// The time between two signals.
const PACE: Duration = Duration::from_millis(6);

/// How often the signal below came.
pub(crate) static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn catch(_signal: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

/// The signal of these tests, as a set and as a number, with a handler that does not restart
/// calls. It is sent to single threads only, so that other tests never see it.
pub(crate) fn signal() -> (SigSet, libc::c_int) {
    let number = libc::SIGUSR1;
    // SAFETY: all zeros are no flags, an empty mask and no handler.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = catch;
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the handler only adds to an atomic number.
    let result = unsafe { libc::sigaction(number, &raw const action, core::ptr::null_mut()) };
    assert_eq!(result, 0);
    (SigSet(1 << (number - 1)), number)
}

/// Sends the signal to this thread for as long as `wait` takes, and returns what it returns.
pub(crate) fn under_fire<R>(wait: impl FnOnce() -> R) -> R {
    let (_, number) = signal();
    let over = AtomicBool::new(false);
    // A number: to another thread, a `pthread_t` cannot be sent where it is a pointer.
    // SAFETY: the call has no precondition.
    let process = unsafe { libc::getpid() };
    // SAFETY: as above.
    let thread = unsafe { libc::gettid() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // SAFETY: numbers only; the signal has a handler.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, number) };
                std::thread::sleep(PACE);
            }
        });
        let result = wait();
        over.store(true, Ordering::Relaxed);
        result
    })
}
