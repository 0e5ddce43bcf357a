//! The safe front.
