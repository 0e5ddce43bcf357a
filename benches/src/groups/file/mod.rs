//! `file`: reads of one file, from the page cache and from the disk, against `pread(2)`.

mod blocks;
mod cached;
mod direct;
mod readers;

use crate::contest::Contest;

/// Holds the group.
pub fn run(contest: &mut Contest) {
    cached::run(contest);
    direct::run(contest);
}
