//! The groups of cases. Each is a module; [`ALL`] is what `cargo bench` holds, in this order.

pub mod file;
pub mod files;
pub mod jobs;
pub mod net;
pub mod nop;
pub mod queue;
mod scratch;
pub mod timed;

use core::hint::black_box;

use crate::contest::Contest;

/// All groups.
pub const ALL: [fn(&mut Contest); 6] =
    [queue::run, nop::run, jobs::run, file::run, files::run, net::run];

/// After how many idle milliseconds an SQPOLL thread of a benchmark sleeps.
pub const SQPOLL_IDLE_MS: u32 = 2;

/// What every contender makes of its completions: as much as keeps the compiler from leaving
/// them unread, and shows in the end that all of them came and none failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest {
    sum: u64,
    failures: u64,
}

impl Digest {
    /// Takes a completion in.
    #[inline(always)]
    pub const fn add(&mut self, user_data: u64, result: i32) {
        self.sum = self.sum.wrapping_add(user_data);
        // As a program would: failure is rare, and dealt with elsewhere.
        if result < 0 {
            self.fail();
        }
    }

    #[cold]
    const fn fail(&mut self) {
        self.failures += 1;
    }

    /// Fails unless `turns` batches came whose user data are 0 to `batch - 1`, without error.
    pub fn check(self, turns: u64, batch: u32) {
        let each = u64::from(batch) * u64::from(batch.saturating_sub(1)) / 2;
        assert_eq!(black_box(self.sum), turns.wrapping_mul(each), "completions are missing");
        assert_eq!(self.failures, 0, "operations have failed");
    }
}
