//! Queries about the kernel's capabilities, which need no ring.

use core::fmt;

use crate::entry::errno::errno_of;
use crate::sys::{
    QueryOp, RegisterOp, SharedPtr, io_uring_query_hdr, io_uring_query_opcode, io_uring_query_scq,
    io_uring_query_zcrx, io_uring_query_zcrx_event,
};

use super::{RegisterError, register, size};

/// An answer that [`query`] can ask for. Sealed.
pub trait Answer: Copy + fmt::Debug + private::Sealed {
    /// The query that has this answer.
    const QUESTION: QueryOp;
}

mod private {
    /// Implemented only here: the kernel fills in an answer, so every bit pattern must be valid for
    /// it.
    pub trait Sealed: Default {}
    impl Sealed for super::io_uring_query_opcode {}
    impl Sealed for super::io_uring_query_zcrx {}
    impl Sealed for super::io_uring_query_zcrx_event {}
    impl Sealed for super::io_uring_query_scq {}
}

/// How many operations and which flags the kernel knows. Since Linux 6.18.
impl Answer for io_uring_query_opcode {
    const QUESTION: QueryOp = QueryOp::OPCODES;
}

/// The capabilities of zero-copy receive. Since Linux 6.19.
impl Answer for io_uring_query_zcrx {
    const QUESTION: QueryOp = QueryOp::ZCRX;
}

/// The events that zero-copy receive can report. Since Linux 7.2.
impl Answer for io_uring_query_zcrx_event {
    const QUESTION: QueryOp = QueryOp::ZCRX_EVENT;
}

/// How memory for the rings must be laid out. Since Linux 6.19.
impl Answer for io_uring_query_scq {
    const QUESTION: QueryOp = QueryOp::SCQ;
}

/// Asks the kernel about its capabilities. `IORING_REGISTER_QUERY` without a ring, since Linux
/// 6.18.
///
/// Fields of the answer that an older kernel does not know are 0.
///
/// ```
/// use ringbolt::{register::query, sys::io_uring_query_opcode};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// match query::<io_uring_query_opcode>() {
///     Ok(answer) => println!("{} operations", answer.nr_request_opcodes),
///     Err(error) => eprintln!("{error}"), // Before Linux 6.18.
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `EINVAL` if the kernel has no queries, `EOPNOTSUPP` if it does not have this one.
#[doc(alias = "IORING_REGISTER_QUERY")]
pub fn query<A: Answer>() -> Result<A, RegisterError> {
    let op = RegisterOp::REGISTER_QUERY;
    let refused = |errno| RegisterError { op, errno };
    let mut answer = A::default();
    let mut question = io_uring_query_hdr {
        query_data: SharedPtr::from_mut(&raw mut answer),
        query_op: A::QUESTION,
        size: size::<A>(),
        ..io_uring_query_hdr::ZEROED
    };
    let arg = (&raw mut question).cast();
    // SAFETY: one query, which points to an answer of the given size; both are valid for reads and
    // writes during the call.
    unsafe { register(-1, op, arg, 0) }.map_err(refused)?;
    if question.result < 0 {
        return Err(refused(errno_of(question.result)));
    }
    Ok(answer)
}
