//! What crosses to other clients and fetchers: keys, signatures, sealed results and the signed objects.
//!
//! The formats are fixed. Curve, cipher and hash come from published crates; this module only puts their
//! inputs and outputs into the form the wire asks for, and bounds everything it reads.

pub mod keys;
pub mod record;
pub mod seal;
pub mod signature;
pub mod signed;
