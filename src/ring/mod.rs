//! The memory that is shared with the kernel, and nothing else.
//!
//! [`layout`] checks where things are, [`map`] holds the memory and [`home`] knows whose it is,
//! [`sq`] (with its [`cursor`]) and [`cq`] are this side's state of the two queues and [`bufs`] of
//! a ring of provided buffers, [`position`] counts and [`order`] orders. What an entry means, and
//! when to enter the kernel, is not known here.

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
