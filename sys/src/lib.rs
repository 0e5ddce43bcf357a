//! The Linux io_uring ABI, whole and current, and its three system calls: no libc, no C, no
//! bindgen.
//!
//! This crate defines the interface between the kernel and a program: the numbers, the flag words
//! and the structures, as of Linux 7.3. It does not map rings, order memory accesses or own
//! descriptors; the `ringbolt` crate does that, and re-exports this one.
//!
//! - **System calls**: [`io_uring_setup`], [`io_uring_enter`], [`io_uring_register`].
//! - **Structures** have their C names and the C names of their fields. C's unions without names
//!   are fields and types here, such as [`sqe_addr`] in [`io_uring_sqe::addr`]. Start every
//!   structure from its `ZEROED`: the kernel refuses reserved fields that are not zero.
//! - **Codes**, such as [`Opcode`] and [`RegisterOp`], are numbers with named constants.
//! - **Flags**, such as [`SetupFlags`] and [`SqeFlags`], are [`bitflags`] types.
//! - **Single numbers**, such as [`IORING_OFF_SQES`], are constants with their C names.
//!
//! Searching the docs for a C name, such as `IORING_OP_READ`, finds the item of this crate.
//!
//! # Newer and older kernels
//!
//! The kernel adds to its sets, so all of them are open: a code without a name and a bit without a
//! name are ordinary values, in both directions. The docs of each constant name the first kernel
//! that had it. The version of the running kernel does not determine what it supports, because
//! fixes and features are backported to older versions: ask with [`RegisterOp::REGISTER_QUERY`] or
//! [`RegisterOp::REGISTER_PROBE`], or try.
//!
//! # Pointers
//!
//! Where C has a `__u64` that holds an address, this crate has a [`SharedPtr`]: it has the same
//! size, and is still a pointer for the compiler and for Miri. If the same field can also hold a
//! number, a union has an arm for it.
//!
//! # Layout
//!
//! Whenever this crate is built, sizes, alignments and offsets are compared with numbers from
//! compiled C, so that `cargo check --target` is a test of the ABI. No structure has padding, and
//! no way of writing a structure leaves a byte of it undefined.
//!
//! # What is not here
//!
//! - `mock_file.h`, the interface of the kernel's test driver.
//! - Constants that io_uring shares with other system calls, such as `O_*`, `AT_*`, `MSG_*`,
//!   `STATX_*`: rustix and libc have them. [`RwFlags`] and [`Futex2Flags`] are here because newer
//!   ones are missing there.
//!
//! # Platforms
//!
//! Linux on x86_64, x86, aarch64, arm, riscv64, loongarch64 and s390x, and on powerpc64 with Rust
//! 1.95 or newer. On any other target the crate does not compile; the error message says why.

#![no_std]

#[cfg(test)]
extern crate std;

mod bpf_filter;
mod codes;
mod consts;
mod flags;
mod layout;
mod opcode;
mod open_set;
mod ptr;
mod query;
mod register;
mod register_op;
mod ring;
mod sqe;
mod syscall;
#[cfg(test)]
mod tests;
mod zcrx;

pub use self::bpf_filter::*;
pub use self::codes::*;
pub use self::consts::*;
pub use self::flags::*;
pub use self::opcode::Opcode;
pub use self::open_set::KernelVersion;
pub use self::ptr::SharedPtr;
pub use self::query::*;
pub use self::register::*;
pub use self::register_op::RegisterOp;
pub use self::ring::*;
pub use self::sqe::*;
pub use self::syscall::{
    RawErrno, SIGSET_BYTES, io_uring_enter, io_uring_register, io_uring_setup,
};
pub use self::zcrx::*;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
