//! Writes to standard output through a ring, without std and without an allocator: jobs of a scope,
//! whose places are on the stack. The C library starts the program, and copies memory.
//!
//! ```sh
//! cargo run --release --manifest-path examples/no_std/Cargo.toml
//! ```
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Write;
use ringbolt::rustix::fd::BorrowedFd;

const TEXT: &[u8] = b"hello from a ring without std\n";

#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Core was compiled to unwind, and names what std has for that. Nothing calls it: panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the C library calls. The name is taken by no other function: std, which has one, is not
/// there.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(hello() != Some(TEXT.len()))
}

/// Writes the text, and returns how many bytes were written.
fn hello() -> Option<usize> {
    // SAFETY: whoever starts the program opens its standard output, and nothing closes it.
    let stdout = unsafe { BorrowedFd::borrow_raw(1) };
    let mut ring = SafeRing::new(2).ok()?;
    let written = ring.scope(&mut [Place::new()], |jobs| {
        jobs.start((), |()| Write::lent(stdout, TEXT).op()).ok()?;
        jobs.wait_next().ok()??.result().ok()
    });
    usize::try_from(written?).ok()
}
