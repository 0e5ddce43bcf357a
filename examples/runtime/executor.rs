//! Tasks, and the loop that polls them: [`Runtime`] and its [`Handle`]s.
//!
//! A task is polled when its waker was called. The loop polls what is ready, and then waits for
//! completions, which wake more tasks. A waker that is called on another thread wakes the loop,
//! too.

use core::cell::RefCell;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;
use std::thread::{self, ThreadId};

use ringbolt::jobs::{Cause, Key, OwnedJobs, SafeRing};
use ringbolt::ops::Group;
use ringbolt::rustix::process::{Resource, getrlimit};

use super::op::{Completion, Held, Job};

/// The bytes of a buffer that is received into.
const BUFFER: u32 = 4096;

/// A runtime of one thread. Dropping it drops its tasks.
pub(crate) struct Runtime {
    handle: Handle,
}

/// What tasks start operations and other tasks by.
#[derive(Clone)]
pub(crate) struct Handle {
    core: Rc<Core>,
}

struct Core {
    jobs: RefCell<OwnedJobs<Job>>,
    /// The buffers of all connections.
    group: Group,
    tasks: RefCell<Tasks>,
    ready: Arc<Ready>,
    /// Whoever could not start an operation because every place was taken.
    crowded: RefCell<VecDeque<Waker>>,
}

#[derive(Default)]
struct Tasks {
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
}

/// It is taken out of the table while it is polled.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

/// The tasks that are to be polled.
struct Ready {
    alarms: Mutex<Vec<Arc<Alarm>>>,
    thread: ThreadId,
    ring: ringbolt::jobs::Waker,
}

/// What the waker of a task refers to.
struct Alarm {
    /// The task; `None` is what `block_on` waits for.
    index: Option<usize>,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_ready.swap(true, Ordering::AcqRel) {
            return;
        }
        let alarms = &self.ready.alarms;
        alarms.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(self));
        if thread::current().id() != self.ready.thread {
            self.ready.ring.wake();
        }
    }
}

impl Runtime {
    /// A runtime with `places` for operations and `buffers` for what connections receive, of which
    /// each is shared by all tasks.
    pub(crate) fn new(places: u32, buffers: u16) -> io::Result<Self> {
        let mut jobs: OwnedJobs<Job> = SafeRing::new(places.min(1024))?.into_jobs(places);
        // As many slots as this process may have descriptors.
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
        jobs.reserve_files(places.min(limit))?;
        let group = jobs.provide(buffers, BUFFER)?;
        let (alarms, thread, ring) = (Mutex::default(), thread::current().id(), jobs.waker()?);
        let core = Core {
            jobs: RefCell::new(jobs),
            group,
            tasks: RefCell::default(),
            ready: Arc::new(Ready { alarms, thread, ring }),
            crowded: RefCell::default(),
        };
        Ok(Self { handle: Handle { core: Rc::new(core) } })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Polls `future` and all tasks until `future` is done. Tasks that are not done stay.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let core = &self.handle.core;
        let alarm = core.alarm(None);
        let waker = Waker::from(Arc::clone(&alarm));
        let mut future = pin!(future);
        alarm.wake();
        let mut batch = Vec::new();
        loop {
            core.ready.take(&mut batch);
            for alarm in batch.drain(..) {
                // Before it is polled: it may wake itself meanwhile.
                alarm.is_ready.store(false, Ordering::Release);
                if let Some(index) = alarm.index {
                    core.poll(index);
                } else if let Poll::Ready(output) =
                    future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Ok(output);
                }
            }
            core.bring_in()?;
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // They hold handles, which hold them. A destructor may spawn another.
        loop {
            let tasks = core::mem::take(&mut *self.handle.core.tasks.borrow_mut());
            if tasks.tasks.is_empty() {
                return;
            }
        }
    }
}

impl Ready {
    /// Swaps what is ready with an empty list.
    fn take(&self, batch: &mut Vec<Arc<Alarm>>) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        core::mem::swap(&mut *alarms, batch);
    }

    fn is_empty(&self) -> bool {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Core {
    fn alarm(&self, index: Option<usize>) -> Arc<Alarm> {
        let (is_ready, ready) = (AtomicBool::new(false), Arc::clone(&self.ready));
        Arc::new(Alarm { index, is_ready, ready })
    }

    fn poll(&self, index: usize) {
        // Wakers outlive their tasks: the number may be that of another one, or of none.
        let task = self.tasks.borrow_mut().tasks.get_mut(index).and_then(Option::take);
        let Some(mut task) = task else { return };
        let poll = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        let mut tasks = self.tasks.borrow_mut();
        if poll.is_pending() {
            if let Some(place) = tasks.tasks.get_mut(index) {
                *place = Some(task);
            }
        } else {
            tasks.free.push(index);
        }
    }

    /// Submits what was started, and waits for completions, unless a task is ready.
    fn bring_in(&self) -> io::Result<()> {
        let mut jobs = self.jobs.borrow_mut();
        if self.ready.is_empty() {
            match jobs.wait_next()? {
                Some(event) => Completion::deliver(event),
                // A waker on another thread.
                None => return Ok(()),
            }
        } else {
            jobs.submit_and_wait(0)?;
        }
        while let Some(event) = jobs.next() {
            Completion::deliver(event);
        }
        let mut crowded = self.crowded.borrow_mut();
        let room = usize::try_from(jobs.room()).unwrap_or(usize::MAX).min(crowded.len());
        crowded.drain(..room).for_each(Waker::wake);
        Ok(())
    }
}

impl Handle {
    /// Starts a task.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.core.tasks.borrow_mut();
        let index = tasks.free.pop().unwrap_or_else(|| {
            tasks.tasks.push(None);
            tasks.tasks.len() - 1
        });
        let alarm = self.core.alarm(Some(index));
        let waker = Waker::from(Arc::clone(&alarm));
        alarm.wake_by_ref();
        if let Some(place) = tasks.tasks.get_mut(index) {
            *place = Some(Task { future: Box::pin(future), waker });
        }
    }

    /// How many operations are in flight.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    pub(crate) fn in_flight(&self) -> u32 {
        self.core.jobs.borrow().len()
    }

    pub(crate) fn group(&self) -> Group {
        self.core.group
    }

    /// Starts an operation. If there is no place for it, the task is woken when there is one.
    pub(super) fn start(&self, job: Job, context: &Context<'_>) -> Result<Key, (Job, Cause)> {
        let mut jobs = self.core.jobs.borrow_mut();
        let started = match job.held {
            Held::Accept(_) | Held::Receive(..) => jobs.start_multi(job, Job::multi),
            _ => jobs.start(job, Job::once),
        };
        started.map_err(|refused| {
            if let Cause::NoPlace = refused.cause {
                self.core.crowded.borrow_mut().push_back(context.waker().clone());
            }
            (refused.value, refused.cause)
        })
    }

    /// Cancels an operation that nobody waits for. Its value stays until the last completion.
    pub(super) fn cancel(&self, key: Key) {
        // If this fails, the operation ends by itself, later.
        let _ = self.core.jobs.borrow_mut().cancel(key);
    }
}
