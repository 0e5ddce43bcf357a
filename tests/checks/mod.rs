//! Checks that take any bytes: what the fuzz targets run, and `properties/tests/all/bytes.rs`.
//!
//! A check is a module with two functions. `check` panics if the crate breaks a promise on an
//! input; any input is one, of any length. `seeds` are inputs to start from. A check stands in
//! [`ALL`] under the name of its target in `fuzz/fuzz_targets`.

#![allow(dead_code, reason = "each fuzz target uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed check")]

#[cfg(all(feature = "sim", feature = "owned"))]
pub(crate) mod buffers;
#[allow(clippy::duplicate_mod, reason = "scripts take their bytes apart by it, too")]
mod bytes;
pub(crate) mod encoding;
#[cfg(all(feature = "sim", feature = "owned"))]
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod message;
#[cfg(all(feature = "sim", feature = "owned"))]
#[path = "../script/mod.rs"]
pub(crate) mod script;
#[cfg(all(feature = "sim", feature = "owned"))]
pub(crate) mod setup;

/// An input, and a name for it.
pub(crate) type Seed = (String, Vec<u8>);

/// A check, and what to start it from.
pub(crate) struct Check {
    /// The name of the fuzz target.
    pub(crate) name: &'static str,
    /// Panics if the crate breaks a promise.
    pub(crate) check: fn(&[u8]),
    /// Inputs that reach far.
    pub(crate) seeds: fn() -> Vec<Seed>,
}

/// Every check there is.
pub(crate) const ALL: &[Check] = &[
    #[cfg(all(feature = "sim", feature = "owned"))]
    Check { name: "buffers", check: buffers::check, seeds: buffers::seeds },
    Check { name: "encoding", check: encoding::check, seeds: encoding::seeds },
    #[cfg(all(feature = "sim", feature = "owned"))]
    Check { name: "hostile", check: script::hostile::check, seeds: script::hostile_seeds::seeds },
    #[cfg(all(feature = "sim", feature = "owned"))]
    Check { name: "jobs", check: jobs::check, seeds: jobs::seeds },
    Check { name: "live", check: live::check, seeds: live::seeds },
    Check { name: "message", check: message::check, seeds: message::seeds },
    #[cfg(all(feature = "sim", feature = "owned"))]
    Check { name: "script", check: script::check, seeds: script::seeds::seeds },
    #[cfg(all(feature = "sim", feature = "owned"))]
    Check { name: "setup", check: setup::check, seeds: setup::seeds },
];

/// Those that need the simulated kernel: the features `sim` and `owned`.
pub(crate) const SIMULATED: [&str; 5] = ["buffers", "hostile", "jobs", "script", "setup"];
