//! Object keys as this store takes them.

use s3s::{S3Result, s3_error};

/// The longest segment: what a file system takes as a name.
const SEGMENT_BYTES_MAX: usize = 255;

/// The longest key, as in S3.
const KEY_BYTES_MAX: usize = 1024;

/// A key that means the same everywhere.
///
/// Inside this store any text would do, since a key names a row and never a path. But other stores and tools
/// map keys to paths, and there `a/../../b` leaves its bucket. What works here must be harmless there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// Takes a decoded key.
    ///
    /// # Errors
    /// `InvalidArgument` for a segment that is empty, `.`, `..` or over 255 bytes, for NUL, backslash, and a
    /// drive letter; `KeyTooLongError` over 1,024 bytes.
    pub(super) fn parse(text: impl Into<String>) -> S3Result<Self> {
        let text = text.into();
        if text.len() > KEY_BYTES_MAX {
            return Err(s3_error!(KeyTooLongError));
        }
        match fault(&text) {
            None => Ok(Self(text)),
            Some(fault) => Err(s3_error!(InvalidArgument, "the key {fault}")),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn fault(key: &str) -> Option<&'static str> {
    if key.contains('\0') {
        return Some("has a NUL");
    }
    if key.contains('\\') {
        return Some("has a backslash");
    }
    if let [letter, b':', ..] = key.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Some("starts with a drive letter");
    }
    key.split('/').find_map(|segment| match segment {
        "" => Some("has an empty segment"),
        "." | ".." => Some("has a segment `.` or `..`"),
        long if long.len() > SEGMENT_BYTES_MAX => Some("has a segment over 255 bytes"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_their_place_are_refused() {
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/..", "a/../b", "a/./b", "a\0b", "a\\b",
            "..\\a", "C:/a", "c:a",
        ] {
            assert!(Key::parse(key).is_err(), "{key:?}");
        }
        assert!(Key::parse("x".repeat(256)).is_err());
        assert!(Key::parse(["x"; 513].join("/")).is_err());
    }

    #[test]
    fn ordinary_keys_are_taken() {
        for key in [
            "a",
            "a/b",
            "...",
            "a/..b",
            ".hidden/x",
            "with space",
            "ü/日本",
            "ab:c",
            "line\nbreak",
            "%2e%2e/x",
        ] {
            assert!(Key::parse(key).is_ok(), "{key:?}");
        }
        assert!(Key::parse("x".repeat(255)).is_ok());
        let client = format!("client-04{}", "ab".repeat(64));
        assert!(
            Key::parse(format!(
                "{client}/file-0b9d3c51-6cf8-4d5e-9f65-9f4c2d1f6a11/manifest"
            ))
            .is_ok()
        );
    }
}
