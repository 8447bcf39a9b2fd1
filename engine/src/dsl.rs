//! Specs.
pub mod spec;
