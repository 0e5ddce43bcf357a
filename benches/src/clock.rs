//! The clocks: what a slice of work took.

use core::time::Duration;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// What a slice of work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Time on the wall.
    pub wall: Duration,
    /// CPU time, of whatever part of the work the case is about.
    pub cpu: Duration,
}

impl Spent {
    /// Does `work`, and measures it by the wall and by the CPU time of the whole process, its
    /// kernel threads for SQPOLL and blocking work included.
    pub fn by_process(work: impl FnOnce()) -> Self {
        let (cpu, wall) = (process_cpu(), Instant::now());
        work();
        Self { wall: wall.elapsed(), cpu: process_cpu().saturating_sub(cpu) }
    }
}

/// The CPU time of this process, with the threads that the kernel runs for its rings.
pub fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// The CPU time of the calling thread: for the server of a case whose clients do not count.
pub fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    // These clocks count from 0 upwards.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
