//! `files`: small files opened, read and closed, many of them at a time, against `openat(2)`,
//! `read(2)` and `close(2)`.
//!
//! All that is needed is in the caches of the kernel, so that every operation completes when it
//! is submitted. Opening is most of the work, and costs everybody the same.

mod chains;
mod floors;
mod phases;
mod tree;

use rustix::fd::IntoRawFd;

use crate::contest::{Case, Contest, Who};
use tree::{Tree, Work};

/// Files to a batch.
const BATCHES: [u32; 3] = [1, 32, 128];

/// How ringbolt does it, and who does it the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Open, read and close of each file linked, on a fixed slot.
    Chain,
    /// First opens, then reads, then closes, on descriptors.
    Descriptors,
    /// The same on fixed slots, into a fixed buffer.
    Phases,
    /// The same, but the slots are emptied by one operation.
    Emptied,
}

const WAYS: [(&str, Way); 4] = [
    ("chain", Way::Chain),
    ("descriptors", Way::Descriptors),
    ("phases", Way::Phases),
    ("emptied", Way::Emptied),
];

/// Holds the group.
pub fn run(contest: &mut Contest) {
    let mut made: Option<Tree> = None;
    for (name, way) in WAYS {
        for batch in BATCHES {
            let Some(mut case) = contest.case("files", name, batch, batch) else { continue };
            let make = || Tree::new(contest.target()).expect("a directory of files");
            let tree = made.get_or_insert_with(make);
            enter(&mut case, way, tree, batch);
            enter_calls(&mut case, Work::new(tree, batch));
            if way == Way::Emptied && batch > 1 {
                case.headline();
            }
            contest.hold(case);
        }
    }
}

fn enter<'a>(case: &mut Case<'a>, way: Way, tree: &'a Tree, batch: u32) {
    let work = || Work::new(tree, batch);
    match way {
        Way::Chain => chains::enter_ours(case, work()),
        Way::Descriptors => phases::enter_descriptors(case, work()),
        Way::Phases => phases::enter_slots(case, work()),
        Way::Emptied => {
            phases::enter_emptied(case, work());
            floors::enter_floor(case, work());
            floors::enter_peer(case, work());
        }
    }
}

fn enter_calls<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    case.enter(Who::Calls, move |turns| {
        for _ in 0..turns {
            for n in 0..work.batch() {
                let path = work.next();
                let file = rustix::fs::openat(work.dir(), path, tree::FLAGS, tree::NO_MODE);
                let file = file.expect("a file");
                let read = rustix::io::read(&file, work.slice(n)).expect("a read");
                // SAFETY: nobody else has the descriptor.
                unsafe { rustix::io::close(file.into_raw_fd()) };
                work.find(n, i32::try_from(read).unwrap_or(-1));
            }
        }
        work.check(turns);
    });
}
