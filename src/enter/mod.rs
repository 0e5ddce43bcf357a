//! `io_uring_enter(2)`: when it is called, with which flags and arguments, and what went wrong.

pub(crate) mod call;
pub(crate) mod enter_arg;
pub(crate) mod submit;
pub(crate) mod submit_error;
