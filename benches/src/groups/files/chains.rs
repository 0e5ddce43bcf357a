//! Linked entries: what is done to one file is a chain, and a batch of chains goes in at once.

use ringbolt::ops::{Close, DestSlot, Fixed, OpenAt, ReadFixed};

use super::phases::ring;
use super::tree::{FLAGS, LEN, Work};
use crate::contest::{Case, Who};

/// The completion is not of a read, whose user data is the number of the file.
const OTHER: u64 = 1 << 32;

/// Enters ringbolt, which takes a slot for each file of a batch.
pub(super) fn enter_ours<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let (batch, dir) = (work.batch(), work.dir());
    let entries = 3 * batch;
    let mut ring = ring(&work);
    case.enter(Who::Ringbolt, move |turns| {
        for _ in 0..turns {
            let mut submission = ring.submission();
            let mut chains = submission.reserve(entries as usize).expect("room");
            for n in 0..batch {
                let (slot, path) = (Fixed(n), work.next().as_ptr());
                let open = OpenAt::new(dir, path, FLAGS).fixed(DestSlot::At(slot)).sqe(OTHER);
                let read = ReadFixed::new(slot, work.buf(n), LEN, 0).offset(0).sqe(u64::from(n));
                let close = Close::fixed(slot).sqe(OTHER);
                for entry in [open.link(), read.link(), close.into()] {
                    // SAFETY: names, memory and slot are the work's until all have completed,
                    // below.
                    unsafe { chains.put(entry) }.expect("room");
                }
            }
            chains.commit().expect("whole chains");
            ring.submit_and_wait(entries).expect("completions");
            for cqe in ring.completion().drain() {
                if let Ok(n) = u32::try_from(cqe.user_data()) {
                    work.find(n, cqe.raw_result());
                } else {
                    assert!(cqe.raw_result() >= 0, "{cqe:?}");
                }
            }
        }
        work.check(turns);
    });
}
