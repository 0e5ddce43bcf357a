//! The cases of `data/sqe.tsv`, made by the types of `ops`.

mod files;
mod net;
mod other;

use ringbolt::Sqe128;
use ringbolt::ops::{Fixed, Target};

/// A case's name, and its entry: of 64 bytes, widened with zeros, or of 128.
pub(crate) type Case = (&'static str, Sqe128);

/// The `user_data` of every entry in the file.
pub(crate) const TAG: u64 = 0x5eed_0000_0000_0001;
/// A `user_data` that the file's entries look for.
const OTHER: u64 = 0xabcd_ef01_2345_6789;
/// The file offset of the file's entries: one bit in each half.
const OFFSET: u64 = 0x1_0000_0001;
/// A length in the file's entries that 32 bits cannot hold.
const LONG: u64 = 0x2_0000_0003;
/// The descriptor that the file's entries act on.
pub(crate) const SEVEN: Target = Target::Fd(7);
/// The slot that the file's entries fill.
const SLOT: Fixed = Fixed(4);

/// Every case that a type makes.
pub(crate) fn all() -> Vec<Case> {
    [
        files::rw(),
        files::fs(),
        files::path(),
        files::range(),
        net::sockets(),
        net::messages(),
        net::commands(),
        other::waiting(),
        other::cancelling(),
        other::tables(),
        other::rings(),
    ]
    .concat()
}

/// A pointer of the file's.
fn at<T>(addr: usize) -> *mut T {
    core::ptr::without_provenance_mut(addr)
}

/// A case of 64 bytes.
fn case(name: &'static str, sqe: impl Into<Sqe128>) -> Case {
    (name, sqe.into())
}
