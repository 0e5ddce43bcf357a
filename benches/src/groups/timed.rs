//! Batches of NOPs, as in the group `nop`, with a time limit on each wait. For the count of
//! instructions: in time, the kernel's timer hides what the binding takes.

use core::time::Duration;

use io_uring::types;
use ringbolt::sys::{EnterFlags, SharedPtr, io_uring_getevents_arg};
use ringbolt::{EnterArg, Timespec, WaitArg};

use crate::contest::Case;
use crate::groups::nop::{LOCAL, enter_floor, enter_ours, enter_peer};

/// How a wait is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// By the method for it.
    Timeout,
    /// By an argument, with flags of the caller's.
    With,
}

impl Call {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Timeout, Self::With];

    /// The variant of the case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::With => "with",
        }
    }
}

/// Longer than any wait takes.
const LIMIT: Duration = Duration::from_secs(3600);

/// Enters the contenders that submit `batch` entries and wait for them, for an hour at most.
pub fn enter(case: &mut Case<'_>, call: Call, batch: u32) {
    match call {
        Call::Timeout => enter_ours(case, LOCAL, batch, |queue, want| {
            queue.submit_and_wait_timeout(want, LIMIT).expect("completions");
        }),
        Call::With => enter_ours(case, LOCAL, batch, |queue, want| {
            let limit = Timespec::from(LIMIT);
            let wait = EnterArg::Wait(WaitArg { timeout: Some(&limit), ..WaitArg::default() });
            queue.submit_with(want, EnterFlags::empty(), wait).expect("completions");
        }),
    }
    enter_floor(case, LOCAL, batch, |floor, want| {
        let limit = Timespec::from(LIMIT);
        let arg =
            io_uring_getevents_arg { ts: SharedPtr::new(&limit), ..io_uring_getevents_arg::ZEROED };
        floor.enter_with(want, want, &arg).expect("completions");
    });
    enter_peer(case, LOCAL, batch, |submitter, want| {
        let limit = types::Timespec::from(LIMIT);
        let args = types::SubmitArgs::new().timespec(&limit);
        submitter.submit_with_args(want, &args).expect("completions");
    });
}
