//! What a kernel can do, asked without a ring.

use core::fmt;

use crate::errno::errno_of;
use crate::sys::{
    QueryOp, RegisterOp, SharedPtr, io_uring_query_hdr, io_uring_query_opcode, io_uring_query_scq,
    io_uring_query_zcrx, io_uring_query_zcrx_event,
};

use super::{RegisterError, register, size};

/// The answers that [`query`] can ask for. Sealed.
pub trait Answer: Copy + fmt::Debug + private::Sealed {
    /// The question.
    const QUESTION: QueryOp;
}

mod private {
    /// Implemented here only: the kernel fills an answer in, whose bytes may then be anything.
    pub trait Sealed: Default {}
    impl Sealed for super::io_uring_query_opcode {}
    impl Sealed for super::io_uring_query_zcrx {}
    impl Sealed for super::io_uring_query_zcrx_event {}
    impl Sealed for super::io_uring_query_scq {}
}

/// How many operations there are, and which flags. Since Linux 6.18.
impl Answer for io_uring_query_opcode {
    const QUESTION: QueryOp = QueryOp::OPCODES;
}

/// What zero-copy receiving can do. Since Linux 6.19.
impl Answer for io_uring_query_zcrx {
    const QUESTION: QueryOp = QueryOp::ZCRX;
}

/// What zero-copy receiving can tell. Since Linux 7.2.
impl Answer for io_uring_query_zcrx_event {
    const QUESTION: QueryOp = QueryOp::ZCRX_EVENT;
}

/// How memory for the rings has to be laid out. Since Linux 6.19.
impl Answer for io_uring_query_scq {
    const QUESTION: QueryOp = QueryOp::SCQ;
}

/// Asks the kernel a question about itself. `IORING_REGISTER_QUERY` without a ring, since Linux
/// 6.18.
///
/// An older kernel that knows fewer fields leaves the others 0.
///
/// # Errors
///
/// `EINVAL` if this kernel cannot be asked, `EOPNOTSUPP` if not this.
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
    // SAFETY: one question, which points to an answer of the size that it says; both valid for
    // reads and writes during the call.
    unsafe { register(-1, op, arg, 0) }.map_err(refused)?;
    if question.result < 0 {
        return Err(refused(errno_of(question.result)));
    }
    Ok(answer)
}
