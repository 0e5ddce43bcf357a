//! Three ways to end an operation that would not end by itself: a time limit of its own, a wait
//! with a time limit, and cancellation by name.
#![forbid(unsafe_code)]

use core::time::Duration;
use std::os::unix::net::UnixStream;

use ringbolt::Timespec;
use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{LinkTimeout, Op, Recv};
use ringbolt::rustix::io::Errno;

/// A receive from a peer that sends nothing.
struct Receive {
    socket: UnixStream,
    bytes: [u8; 64],
    limit: Timespec,
}

impl Receive {
    fn receive(&mut self) -> Op<'_> {
        Recv::lent(&self.socket, &mut self.bytes).op()
    }

    /// The second operation ends the first one when its time is over.
    fn receive_with_limit(&mut self) -> [Op<'_>; 2] {
        let receive = Recv::lent(&self.socket, &mut self.bytes).op();
        [receive, LinkTimeout::lent(&self.limit).op()]
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let (socket, _silent) = UnixStream::pair()?;
    let mut jobs: OwnedJobs<Receive> = SafeRing::new(8)?.into_jobs(1);

    let receive = Receive { socket, bytes: [0; 64], limit: Timespec::new(0, 10_000_000) };
    jobs.start_chain(receive, Receive::receive_with_limit)?;
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!(done.result_of(0), Err(Errno::CANCELED));
    assert_eq!(done.result_of(1), Err(Errno::TIME));
    println!("its own time limit has ended it");

    let key = done.key();
    done.restart(Receive::receive)?;
    // A wait that ends does not end the operation.
    jobs.submit_and_wait_timeout(1, Duration::from_millis(10))?;
    assert!(jobs.next().is_none());
    println!("nothing has come in time");

    jobs.cancel(key)?;
    // The event says how it ended: data that came first would be in it.
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!(done.result(), Err(Errno::CANCELED));
    println!("it was cancelled");
    Ok(())
}
