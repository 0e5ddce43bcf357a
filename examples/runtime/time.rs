//! Time: [`sleep`] and [`timeout`].

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io;

use ringbolt::Timespec;

use super::executor::Handle;
use super::op::{Held, Op};

/// Waits for some time.
pub(crate) async fn sleep(handle: &Handle, time: Duration) -> io::Result<()> {
    // The result is that the time is up.
    Op::new(handle).run(Held::Sleep(Timespec::from(time))).await?;
    Ok(())
}

/// What `future` returns, or `None` if it takes longer than `time`: then it is dropped.
pub(crate) async fn timeout<F: Future>(
    handle: &Handle,
    time: Duration,
    future: F,
) -> io::Result<Option<F::Output>> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(handle, time));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(Some(output)));
        }
        sleep.as_mut().poll(context).map(|slept| slept.map(|()| None))
    })
    .await
}
