//! Operations as futures: [`Op`].
//!
//! What an operation needs is moved into its [`Job`], which the ring keeps until the last
//! completion, whatever becomes of the future. A future that is dropped cancels its operation.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use ringbolt::Timespec;
use ringbolt::jobs::{Cause, Event, Key, Received, Slot};
use ringbolt::ops::{Accept, Group, Multi, Op as Entry, OpenAt, Read, Recv, Send, Timeout};
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::{RecvFlags, SendFlags};

use super::executor::Handle;

/// What the ring keeps for an operation.
pub(super) struct Job {
    pub(super) held: Held,
    inbox: Rc<Inbox>,
}

/// What an operation acts on and borrows from.
pub(crate) enum Held {
    Accept(Rc<TcpListener>),
    Receive(Rc<Slot>, Group),
    Send(Rc<Slot>, Data),
    Open(CString),
    Read(Rc<File>, Vec<u8>, u64),
    Sleep(Timespec),
}

/// What is sent.
pub(crate) enum Data {
    Received(Received),
    Bytes(Vec<u8>),
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Received(received) => received,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Everything is sent, or the send fails.
const WHOLE: SendFlags =
    SendFlags::NOSIGNAL.union(SendFlags::from_bits_retain(RecvFlags::WAITALL.bits()));

impl Job {
    /// The operations that go on.
    pub(super) fn multi(&self) -> Multi<'_> {
        match &self.held {
            Held::Accept(listener) => Accept::lent(&**listener).in_slot().multi(),
            Held::Receive(socket, group) => Recv::group(***socket, *group).multi(),
            _ => unreachable!("it completes once"),
        }
    }

    /// The operations that complete once.
    pub(super) fn once(&mut self) -> Entry<'_> {
        match &mut self.held {
            Held::Send(socket, data) => Send::lent(&**socket, &*data).flags(WHOLE).op(),
            Held::Open(path) => OpenAt::lent(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC).op(),
            Held::Read(file, into, offset) => Read::lent(&**file, into).offset(*offset).op(),
            Held::Sleep(time) => Timeout::lent(time).op(),
            Held::Accept(_) | Held::Receive(..) => unreachable!("it goes on"),
        }
    }
}

/// Where the completions of an operation wait for its future.
#[derive(Default)]
struct Inbox {
    completions: RefCell<VecDeque<Completion>>,
    waker: RefCell<Option<Waker>>,
    /// Whether the future is there.
    is_closed: Cell<bool>,
}

/// One completion, and what came with it.
pub(crate) struct Completion {
    pub(crate) result: Result<u32, Errno>,
    pub(crate) received: Option<Received>,
    pub(crate) slot: Option<Slot>,
    pub(crate) descriptor: Option<OwnedFd>,
    /// What the ring has kept, with the last completion.
    pub(crate) held: Option<Held>,
}

impl Completion {
    /// Puts a completion where its future finds it; drops it, if the future is gone.
    pub(super) fn deliver(mut event: Event<'_, 'static, 'static, Job>) {
        if event.inbox.is_closed.get() {
            // The next event drops what this one has.
            return;
        }
        let inbox = Rc::clone(&event.inbox);
        let mut completion = Self {
            result: event.result(),
            received: event.received(),
            slot: event.slot(),
            descriptor: event.descriptor(),
            held: None,
        };
        completion.held = event.finish().map(|job| job.held);
        inbox.completions.borrow_mut().push_back(completion);
        if let Some(waker) = &*inbox.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A way to run one operation at a time.
pub(crate) struct Op {
    handle: Handle,
    inbox: Rc<Inbox>,
    /// The operation in flight.
    key: Option<Key>,
}

/// Gives the operation up when it is dropped, unless it is done.
struct Running<'o>(&'o mut Op);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Op {
    pub(crate) fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), inbox: Rc::default(), key: None }
    }

    /// Runs an operation that completes once. If the future is dropped, so is the operation.
    pub(crate) async fn run(&mut self, held: Held) -> Result<Completion, Cause> {
        self.give_up();
        let mut held = Some(held);
        let running = Running(self);
        poll_fn(|context| running.0.poll(&mut held, context)).await
    }

    /// The next completion of an operation that goes on; starts it if it is not in flight. If the
    /// future is dropped, the operation goes on, and nothing is lost.
    pub(crate) async fn next(&mut self, held: impl Fn() -> Held) -> Result<Completion, Cause> {
        let mut held = Some(held()).filter(|_| !self.is_running());
        poll_fn(|context| self.poll(&mut held, context)).await
    }

    fn poll(
        &mut self,
        held: &mut Option<Held>,
        context: &Context<'_>,
    ) -> Poll<Result<Completion, Cause>> {
        if let Some(completion) = self.inbox.completions.borrow_mut().pop_front() {
            if completion.held.is_some() {
                self.key = None;
            }
            return Poll::Ready(Ok(completion));
        }
        self.inbox.listen(context.waker());
        if let Some(unstarted) = held.take() {
            let job = Job { held: unstarted, inbox: Rc::clone(&self.inbox) };
            match self.handle.start(job, context) {
                Ok(key) => self.key = Some(key),
                Err((job, Cause::NoPlace)) => *held = Some(job.held),
                Err((_, cause)) => return Poll::Ready(Err(cause)),
            }
        }
        Poll::Pending
    }

    /// Whether completions are there or will come.
    fn is_running(&self) -> bool {
        self.key.is_some()
    }

    /// How many completions wait to be looked at.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.completions.borrow().len()
    }

    /// Stops an operation that goes on. Completions that are there or on their way are not lost.
    pub(crate) fn stop(&self) {
        if let Some(key) = self.key {
            self.handle.cancel(key);
        }
    }

    /// Cancels what is in flight, and forgets it.
    fn give_up(&mut self) {
        if let Some(key) = self.key.take() {
            self.handle.cancel(key);
            core::mem::take(&mut self.inbox).is_closed.set(true);
        }
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Inbox {
    /// Notes who is to be woken. It is the same task most often.
    fn listen(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}
