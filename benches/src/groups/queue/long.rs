//! The cost after a thousand million operations is that at the start.

use std::time::Instant;

use ringbolt::IoUring;

use crate::contest::Contest;

use super::loops::{Batch, our_loop};
use super::{completion, read};

const BATCH: Batch = Batch { size: 256, entries: 256 };
const PARTS: usize = 10;

/// Fills and reaps 10^9 reads in ten parts (10^8 in a quick pass), and notes what an operation
/// took in each.
pub(super) fn run(contest: &mut Contest) {
    let name = "queue/long/256";
    if !contest.wants(name) {
        return;
    }
    let all = if contest.is_quick() { 100_000_000 } else { 1_000_000_000 };
    let ring = IoUring::new(BATCH.entries).expect("a ring");
    let mut work = our_loop(ring, BATCH, read, completion);
    let turns = all / PARTS as u64 / u64::from(BATCH.size);
    let mut cost = || {
        let start = Instant::now();
        work(turns);
        start.elapsed().as_nanos() as f64 / (turns * u64::from(BATCH.size)) as f64
    };
    let parts: [f64; PARTS] = core::array::from_fn(|_| cost());
    let parts: Vec<_> = parts.iter().map(|ns| format!("{ns:.2}")).collect();
    let told = parts.join(" ");
    contest.note(format!("{name}: ns for each of {all} operations, by tenths: {told}"));
}
