//! Asks, before any test of a program runs, whether this host lets a program make a ring. Where it
//! does not, the program says so in one line and ends: its tests would all fail for that reason.

use core::ffi::c_int;
use std::io::Write as _;

use ringbolt::IoUring;
use ringbolt::sys::{self, io_uring_params};

/// What runs before `main`.
#[used]
// SAFETY: the section is one of pointers to functions without arguments that the C library calls
// once, before `main`, in the only thread; and this is one.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(why) = refusal().or_else(shortage) else { return };
    let wish = std::env::var("RINGBOLT_NO_SKIP").unwrap_or_default();
    let is_failure = !matches!(wish.as_str(), "" | "0");
    let mut line = format!("skipped: all tests of this program: {why}");
    if is_failure {
        line = format!("{line}, and RINGBOLT_NO_SKIP is {wish}");
    }
    let _ = writeln!(std::io::stdout(), "{line}");
    std::process::exit(i32::from(is_failure));
}

/// Why no ring can be made on this host, if none can.
fn refusal() -> Option<String> {
    // In a copy of this process: a filter may kill whoever asks.
    // SAFETY: the process has one thread, so that the copy is whole.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        let mut params = io_uring_params::ZEROED;
        // SAFETY: `params` is valid for reads and writes, and names no memory.
        let answer = unsafe { sys::io_uring_setup(1, &mut params) };
        // SAFETY: nothing of the copy's is left to be done.
        unsafe { libc::_exit(c_int::from(answer.is_err())) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, or no process if there is none, and a number to be written.
    let ended = unsafe { libc::waitpid(copy, &raw mut status, 0) };
    if ended == copy && libc::WIFSIGNALED(status) {
        return Some(format!("a filter kills who calls io_uring_setup (status {status:#x})"));
    }
    if ended == copy && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return None;
    }
    IoUring::new(1).err().map(|error| error.to_string())
}

/// Why the rings of tests that run side by side find no room, where this host lets its users lock
/// less memory than Linux does by default.
fn shortage() -> Option<String> {
    const DEFAULT: libc::rlim_t = 8 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit that the kernel writes during the call.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    // SAFETY: the call has no precondition.
    let is_root = unsafe { libc::geteuid() } == 0;
    let is_short = asked == 0 && limit.rlim_cur < DEFAULT && !is_root;
    is_short.then(|| format!("{} bytes of locked memory, of {DEFAULT} (ulimit -l)", limit.rlim_cur))
}
