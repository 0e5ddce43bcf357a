//! Posts completions on the ring of another thread.
//!
//! Pushing a message is `unsafe`: it can post any user data, also that of an operation in flight,
//! whose memory the other thread would then take back too early. So the two agree on numbers that
//! nothing else on that ring has. To wake a thread that waits for jobs, no message is needed: see
//! `ringbolt::jobs::Waker`.

use std::io;
use std::sync::mpsc;
use std::thread;

use ringbolt::IoUring;
use ringbolt::ops::MsgRing;
use ringbolt::rustix::fd::{AsFd as _, OwnedFd};

/// The user data of messages. The receiver has no operation of its own.
const MESSAGE: u64 = 1;

const COUNT: i32 = 3;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let (name, named) = mpsc::channel();
    let receiver = thread::spawn(move || receive(&name));
    // Keeps the ring open, so that its number names no other file.
    let other = named.recv()?;

    let mut ring = IoUring::local(8)?;
    for number in 1..=COUNT {
        let entry = MsgRing::new(&other, number, MESSAGE).sqe(u64::from(number.unsigned_abs()));
        // SAFETY: `other` stays open until all has completed, and the receiver takes its
        // completions for nothing but messages.
        unsafe { ring.submission().push(entry) }?;
    }
    ring.wait_for(3)?;
    while let Some(cqe) = ring.completion().pop() {
        cqe.result()?;
    }
    receiver.join().map_err(|_| "the receiver has panicked")??;
    Ok(())
}

/// Says by which descriptor it is reached, and prints what comes.
fn receive(name: &mpsc::Sender<OwnedFd>) -> io::Result<()> {
    let mut ring = IoUring::local(8)?;
    name.send(ring.as_fd().try_clone_to_owned()?).map_err(io::Error::other)?;
    let mut received = 0;
    while received < COUNT {
        ring.wait_for(1)?;
        while let Some(cqe) = ring.completion().pop() {
            assert_eq!(cqe.user_data(), MESSAGE);
            println!("message {}", cqe.result()?);
            received += 1;
        }
    }
    Ok(())
}
