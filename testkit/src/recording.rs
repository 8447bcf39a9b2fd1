//! What happened to a table: its stream's records, read from and written to a text.

mod entry;
mod moment;
mod read;
mod redact;
mod write;

pub use entry::{Body, Entry, Header, Identity, Kind, Own, Verdict};
pub use read::{ReadError, Reader};
pub use redact::Redaction;
pub use write::Writer;

/// The version of the recordings that are written here; a reader refuses later ones.
pub const FORMAT: u32 = 1;
