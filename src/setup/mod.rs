//! `io_uring_setup(2)`: from what a program asks for to a ring, or to the reason why there is none.

pub(crate) mod build_error;
pub(crate) mod builder;
pub(crate) mod capabilities;
pub(crate) mod disabled;
mod flags;
pub(crate) mod resize;
