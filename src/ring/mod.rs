//! The memory that is shared with the kernel.
//!
//! - [`layout`] checks the offsets of the parts.
//! - [`map`] holds the memory, and [`home`] records which process it belongs to.
//! - [`sq`] (with its [`cursor`]) and [`cq`] are this side's state of the two queues.
//! - [`bufs`] is this side's state of a ring of provided buffers.
//! - [`position`] has the counters, and [`order`] the memory orderings.
//!
//! Other modules decide what an entry means, and when to enter the kernel.

mod atomic;
pub(crate) mod bufs;
pub(crate) mod cq;
pub(crate) mod cursor;
pub(crate) mod home;
pub(crate) mod layout;
pub(crate) mod map;
mod order;
mod position;
pub(crate) mod push_error;
#[cfg(test)]
mod pushing;
pub(crate) mod sq;

#[cfg(all(loom, test))]
mod loom;
#[cfg(all(not(loom), test))]
mod tests;
