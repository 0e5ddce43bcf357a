//! The parts of the differential tests: scripts, and those who perform them.

pub(crate) mod memory;
pub(crate) mod performer;
pub(crate) mod plan;
pub(crate) mod script;
