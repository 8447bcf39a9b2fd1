//! Tells what kind of content bytes are.

use serde::de::IgnoredAny;

/// JSON.
pub(super) const JSON: &str = "application/json";
/// Text in UTF-8.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The content type of a whole result by looking: a JSON object or array, text in UTF-8, or nothing known.
pub(super) fn of_result(body: &[u8]) -> Option<&'static str> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_json = matches!(first, Some(b'{' | b'[')) && serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if is_json {
        return Some(JSON);
    }
    (is_text(body) && std::str::from_utf8(body).is_ok()).then_some(TEXT)
}

/// The kind of a file by its first bytes, as a MIME type without parameters.
pub(super) fn of_head(head: &[u8]) -> &'static str {
    if head.is_empty() {
        return "application/x-empty";
    }
    match of_signature(head) {
        Some(kind) => kind,
        None if is_text(head) => "text/plain",
        None => "application/octet-stream",
    }
}

/// The kind of a file whose first bytes are those of a known format.
pub(super) fn of_signature(head: &[u8]) -> Option<&'static str> {
    // `infer` takes what follows a TIFF's header for part of its signature, and does not know BigTIFF.
    let is_tiff = [&b"II*\0"[..], b"MM\0*", b"II+\0", b"MM\0+"]
        .iter()
        .any(|magic| head.starts_with(magic));
    let is_raw = head.get(8..10) == Some(b"CR");
    if is_tiff && !is_raw {
        return Some("image/tiff");
    }
    infer::get(head).map(|kind| kind.mime_type())
}

/// Whether bytes are UTF-8, perhaps cut in its last character, without the control characters of binary files.
fn is_text(bytes: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    // Escape starts colours in logs; the others have no place in text.
    is_utf8
        && bytes
            .iter()
            .all(|byte| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_apart() {
        for (body, expected) in [
            (&b" {\"a\": [1, 2]}\n"[..], Some(JSON)),
            (b"[]", Some(JSON)),
            (b"42", Some(TEXT)),
            (b"{not json}", Some(TEXT)),
            (b"", Some(TEXT)),
            ("Zellen: 12 µm\n".as_bytes(), Some(TEXT)),
            (b"\x00\x01", None),
            (b"\xff\xfe", None),
            (b"cut \xc3", None),
        ] {
            assert_eq!(of_result(body), expected, "{body:?}");
        }
    }

    #[test]
    fn files_are_told_by_their_beginning() {
        for (head, expected) in [
            (&b""[..], "application/x-empty"),
            (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
            (b"II*\x00\x10\x27\x00\x00CS pixels", "image/tiff"),
            (b"MM\x00+\x00\x08\x00\x00", "image/tiff"),
            (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "image/x-canon-cr2"),
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"name;value\n", "text/plain"),
            (b"cut \xc3", "text/plain"),
            (b"a\x00b", "application/octet-stream"),
        ] {
            assert_eq!(of_head(head), expected, "{head:?}");
        }
    }
}
