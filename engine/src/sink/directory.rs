//! Results as files.
