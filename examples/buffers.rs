//! Receives with one operation into buffers that the kernel takes from a pool.
//!
//! Each completion names a buffer. It goes back to the kernel when its `Received` is dropped.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{Group, Multi, Recv};

struct Incoming {
    socket: UnixStream,
    group: Group,
}

impl Incoming {
    fn receive(&self) -> Multi<'_> {
        Recv::group(&self.socket, self.group).multi()
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut jobs: OwnedJobs<Incoming> = SafeRing::new(8)?.into_jobs(1);
    // Two buffers are enough for any number of messages, as long as they are given back.
    let group = jobs.provide(2, 4096)?;
    let (socket, mut peer) = UnixStream::pair()?;
    jobs.start_multi(Incoming { socket, group }, Incoming::receive)?;

    for message in ["one", "two", "three"] {
        peer.write_all(message.as_bytes())?;
        let mut event = jobs.wait_next()?.ok_or("no event")?;
        event.result()?;
        let received = event.received().ok_or("no buffer")?;
        println!("{}", String::from_utf8_lossy(&received));
        // The kernel may end it early, as when the completion queue was full.
        if let Some(done) = event.done() {
            done.restart_multi(Incoming::receive)?;
        }
    }

    drop(peer);
    // At the end of the stream the job is over, and gives its value back.
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!(done.result(), Ok(0));
    println!("the end");
    Ok(())
}
