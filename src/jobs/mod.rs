//! The safe front.

mod cancel;
mod chain;
mod drain;
mod event;
mod key;
mod owes;
#[cfg(feature = "alloc")]
mod owned;
mod place;
#[cfg(feature = "alloc")]
mod pool;
mod reap;
mod refused;
mod ring;
mod shutdown;
#[cfg(feature = "alloc")]
mod slot;
mod table;
mod user_data;
#[cfg(feature = "alloc")]
mod waker;

pub use event::{Done, Event};
pub use key::Key;
pub use place::Place;
#[cfg(feature = "alloc")]
pub use pool::Received;
pub use refused::{Cause, Refused};
pub use ring::SafeRing;
pub use shutdown::{StillRunning, Stopped};
#[cfg(feature = "alloc")]
pub use slot::Slot;
pub use table::{Jobs, OwnedJobs};
#[cfg(feature = "alloc")]
pub use waker::Waker;
