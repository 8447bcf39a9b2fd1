//! Short, printable parts of what a processor said, for error texts.

/// The first `chars_max` characters as one printable text.
pub(super) fn start(bytes: &[u8], chars_max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().take(chars_max).map(printable).collect()
}

/// The last `chars_max` characters as one printable text.
pub(in crate::sink) fn end(bytes: &[u8], chars_max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(chars_max);
    text.chars().skip(skipped).map(printable).collect()
}

/// Line ends and tabs stay; other control characters could steer a terminal.
fn printable(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(start(b"\n bad \x1b[31mimage\xff\n", 12), "bad \u{fffd}[31mima");
        assert_eq!(end(b"line 1\nline 2\n", 8), "1\nline 2");
        assert_eq!(end("äöü".as_bytes(), 2), "öü");
    }
}
