//! A ring in use: [`IoUring`], its halves, and how it ends.

pub(crate) mod closing;
pub(crate) mod completion;
pub(crate) mod handle;
mod io_uring;
#[cfg(feature = "owned")]
pub(crate) mod owned;
pub(crate) mod submission;
pub(crate) mod thread;
pub(crate) mod together;
mod waiting;

pub use io_uring::{IoUring, LocalIoUring};
