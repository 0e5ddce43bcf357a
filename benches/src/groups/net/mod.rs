//! `net`: messages of 64 bytes, to itself over pipes and socket pairs, and over TCP to a server
//! that sends them back.
//!
//! So small a message costs the kernel little. What counts is how often it is called, how it
//! tells what is ready, and how much it does for one entry.

mod channels;
mod echo;
mod echo_peer;
mod echo_rings;
mod load;
mod messages;
mod rings;
mod watch;

use core::cell::Cell;

use ringbolt::LocalIoUring;
use ringbolt::register::BufferRing;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::contest::Contest;

/// What is sent at once.
pub(super) type Message = [u8; 64];

/// Its length in bytes.
const LEN: u32 = 64;

/// The group of provided buffers.
const GROUP: u16 = 0;

/// What an entry completes with that is to complete without a word.
const FAILED: u64 = u64::MAX;

/// Holds the group.
pub fn run(contest: &mut Contest) {
    channels::run(contest);
    echo::run(contest);
}

/// Room for `count` messages, which the kernel reads and writes while the program holds it.
///
/// It stays for ever: a ring that is closed lets go of what is in flight some time later.
fn room(count: usize) -> &'static [Cell<Message>] {
    Box::leak(vec![Cell::new([0; 64]); count].into_boxed_slice())
}

/// Waits again when a wait was ended by a signal, or because the process was stopped for a while.
#[inline(always)]
fn patiently<T>(mut wait: impl FnMut() -> Result<T, Errno>) -> T {
    for _ in 0..1000 {
        match wait() {
            Err(Errno::INTR) => {}
            ended => return ended.expect("a wait that ends well"),
        }
    }
    panic!("every wait is interrupted");
}

/// Submits, and waits for `want` completions; for fewer when interrupted.
#[inline(always)]
fn wait_ours(ring: &mut LocalIoUring, want: u32) {
    patiently(|| ring.submit_and_wait(want).map_err(|error| error.errno));
}

/// The same of the io-uring crate.
#[inline(always)]
fn wait_theirs(submitter: &io_uring::Submitter<'_>, want: u32) {
    let errno = |error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    patiently(|| submitter.submit_and_wait(want as usize).map_err(errno));
}

/// How a reply is sent whose room is to be used again as soon as it is submitted: whole and at
/// once, or it fails. Nothing of it is left to do when the submit has returned.
const fn reply_flags() -> SendFlags {
    // The flag is one of both directions, and has a name in the other.
    let whole = SendFlags::from_bits_retain(RecvFlags::WAITALL.bits());
    SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL).union(whole)
}

/// Adds a buffer of `room` to those that the kernel picks from; it sees it when published.
///
/// # Safety
///
/// Nothing in flight uses the buffer, and nobody touches it until a completion names it.
#[inline(always)]
unsafe fn provide(buffers: &mut BufferRing, room: &'static [Cell<Message>], id: u16) {
    let start = room.get(usize::from(id)).expect("one of them").as_ptr().cast();
    // SAFETY: so long, and there for ever; the rest is the caller's promise.
    unsafe { buffers.add(start, LEN, id) }.expect("a place in the ring");
}
