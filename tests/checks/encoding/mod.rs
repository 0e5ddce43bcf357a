//! Entries, and the bytes that the kernel gets to see.
//!
//! Every typed operation, with any arguments, against [`want::Want`], an encoder of its own that
//! knows nothing but the kernel's offsets: an argument in the wrong place is seen, and so is one
//! in a field that the operation does not use, which the kernel would refuse. Then entries and
//! completions of any bytes: what is read is what is there, what is set is what is read, nothing
//! else changes, and everything can be printed.

mod entries;
mod files;
mod net;
mod other;
mod print;
mod want;

use core::fmt::Debug;
use std::os::fd::AsFd;

use ringbolt::rustix::fd::BorrowedFd;
use ringbolt::rustix::fs::CWD;
use ringbolt::{Sqe, Sqe128, SqeMixed};

use self::want::Want;
use super::Seed;
use super::bytes::Bytes;

/// An entry that an operation made of some arguments, and the bytes that it has to have.
pub(crate) struct Made {
    printed: String,
    entry: Sqe128,
    want: Want,
}

impl Made {
    fn new(op: &dyn Debug, entry: impl Into<Sqe128>, want: Want) -> Self {
        Self { printed: format!("{op:?}"), entry: entry.into(), want }
    }
}

/// Makes an entry with the `user_data` given.
type Make = fn(&mut Bytes<'_>, u64) -> Made;

/// Each operation, and some in more than one way.
fn operations() -> Vec<Make> {
    [files::TRANSFERS, files::FILES, files::PATHS, net::SOCKETS, net::MESSAGES]
        .into_iter()
        .chain([net::COMMANDS, other::WAITING, other::TABLES, other::RINGS])
        .flatten()
        .copied()
        .collect()
}

pub(crate) fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let operations = operations();
    let make = operations[usize::from(bytes.u16()) % operations.len()];
    let user_data = bytes.u64();
    let Made { printed, entry, want } = make(&mut bytes, user_data);
    want.expect(&entry, &printed);
    let mut expected = want.bytes;
    let sqe = entries::with_common(entry.sqe, &mut expected, &mut bytes);
    assert_eq!(sqe.to_bytes()[..], expected[..64], "{printed} and its common fields");
    let wide = Sqe128 { sqe, payload: entry.payload };
    for shape in [&sqe as &dyn Debug, &wide, &SqeMixed::from(sqe), &SqeMixed::from(wide)] {
        assert!(format!("{shape:?}").contains(&format!("{:?}", sqe.opcode())), "{shape:?}");
    }
    entries::fields(&mut bytes);
    entries::safe(&mut bytes);
    entries::completions(bytes.array());
    print::anything(bytes.u64());
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for at in 0..u16::try_from(operations().len()).expect("a short list") {
        // No argument like another, all bits, and none.
        let counting: Vec<u8> = (1..=240).collect();
        for (name, rest) in [("counting", counting), ("ones", vec![255; 240]), ("zeros", vec![])] {
            let input = [at.to_le_bytes().to_vec(), rest].concat();
            seeds.push((format!("op_{at}_{name}"), input));
        }
    }
    seeds
}

/// The codes that the operations make, by their numbers.
pub(crate) fn opcodes() -> Vec<u8> {
    let made = |make: Make| make(&mut Bytes::new(&[]), 0).entry.sqe.opcode().as_raw();
    operations().into_iter().map(made).collect()
}

/// A pointer to anywhere. Nothing reads through it.
fn pointer<T>(bytes: &mut Bytes<'_>) -> *mut T {
    core::ptr::without_provenance_mut(bytes.usize())
}

/// The address of a pointer, as wide as the kernel has it.
fn address<T>(pointer: *const T) -> u64 {
    u64::try_from(pointer.addr()).expect("addresses have at most 64 bits")
}

/// Directories, by number: the working directory, or one of a few that stay open.
fn directory(bytes: &mut Bytes<'_>) -> BorrowedFd<'static> {
    let files = files::opened();
    files.get(usize::from(bytes.below(4))).map_or(CWD, AsFd::as_fd)
}

/// The entry with 64 bytes of zeros behind it.
fn widened(sqe: impl Into<Sqe>) -> Sqe128 {
    Sqe128::from(sqe.into())
}
