//! What ringbolt costs, and what io_uring gives and where it gives nothing.
//!
//! A [`Case`] is a piece of work that several contenders do, ringbolt among them. A
//! [`Contest`] lets them do it in turns, many short slices each, so that whatever else the
//! machine does meets all of them alike; what counts is the ratio within each round. The
//! [`groups`] make the cases; [`report`] turns what came out into tables and pictures.
//!
//! To add a group: a module in [`groups`] with `pub fn run(&mut Contest)`, and its name in the
//! list there.

pub mod clock;
pub mod contest;
pub mod count;
pub mod floor;
pub mod groups;
mod machine;
pub mod report;
pub mod spread;
mod tally;
pub mod view;

pub use clock::Spent;
pub use contest::{Case, Contest, Latencies, Who};

use std::path::Path;

/// Holds all groups that the command line asks for, and reports to `target` and to standard
/// output.
pub fn run(target: &Path) {
    let mut contest = Contest::from_args(target);
    for group in groups::ALL {
        group(&mut contest);
    }
    contest.finish();
}
