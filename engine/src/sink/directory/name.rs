//! The names of results: the file's own, and what is added to it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::sink::content;

/// What an error file's name ends with.
pub(super) const ERROR: &str = ".error.txt";

/// What a text result's name ends with.
const TEXT: &str = ".txt";

/// How a file's name ends whose text result would have the name of another file's error.
const LIKE_ERROR: &str = ".error";

/// Bytes of a file name, at most, on the file systems in use.
const NAME_BYTES_MAX: usize = 255;

/// Hex digits that tell shortened names apart.
const DIGITS: usize = 8;

/// What the name of the n-th sealed result ends with, from 1.
pub(super) fn sealed(number: u32) -> String {
    if number == 1 {
        ".sealed".to_owned()
    } else {
        format!(".sealed.{number}")
    }
}

/// The extension of a result: by its content type, else by what it looks like.
pub(super) fn extension(content_type: Option<&str>, body: &[u8]) -> &'static str {
    let content_type = content_type
        .or_else(|| content::of_result(body))
        .unwrap_or_default();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => ".json",
        _ if essence.ends_with("+json") => ".json",
        _ if essence.starts_with("text/") => TEXT,
        _ => ".bin",
    }
}

/// Where a file's results lie: below the results folder, never beside it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    stem: OsString,
}

impl Place {
    /// Takes the relative path of a file, as it lay in its folder.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let is_inside = file
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if let (true, Some(folder), Some(stem)) = (is_inside, file.parent(), file.file_name()) {
            return Ok(Self {
                folder: folder.to_owned(),
                stem: stem.to_owned(),
            });
        }
        let what = format!(
            "{} does not lead to a file inside the results folder",
            file.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }

    /// The name of a result with this extension.
    ///
    /// The text result of `x.error` would have the name of the error of `x`: it is called `x.error~.txt`, and so that
    /// no other has that name, that of `x.error~` is `x.error~~.txt`. Letters count as equal in either case, since to
    /// some file systems they are.
    pub(super) fn result(&self, extension: &str) -> OsString {
        let name = self.stem.to_string_lossy().to_ascii_lowercase();
        if extension == TEXT && name.trim_end_matches('~').ends_with(LIKE_ERROR) {
            self.name(&format!("~{extension}"))
        } else {
            self.name(extension)
        }
    }

    /// The file's name and a suffix; a name that would be too long is shortened, always in the same way.
    pub(super) fn name(&self, suffix: &str) -> OsString {
        let bytes = self.stem.as_encoded_bytes();
        let mut name = if bytes.len() + suffix.len() <= NAME_BYTES_MAX {
            self.stem.clone()
        } else {
            let digits = &hex::encode(Sha256::digest(bytes))[..DIGITS];
            let room = NAME_BYTES_MAX.saturating_sub(suffix.len() + 1 + DIGITS);
            let mut name = cut(&self.stem, room);
            name.push(format!("~{digits}"));
            name
        };
        name.push(suffix);
        name
    }
}

/// The first bytes of a name, at most `room`, ending between characters.
#[cfg(unix)]
fn cut(name: &OsStr, room: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = name.as_bytes();
    let is_inside_character = |end: usize| bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80);
    // A character has up to four bytes; in a name that is not UTF-8 any end is as good.
    let end = (room.saturating_sub(3)..=room)
        .rev()
        .find(|&end| !is_inside_character(end))
        .unwrap_or(room);
    OsStr::from_bytes(&bytes[..end.min(bytes.len())]).to_owned()
}

#[cfg(not(unix))]
fn cut(name: &OsStr, room: usize) -> OsString {
    let text = name.to_string_lossy();
    text[..text.floor_char_boundary(room)].into()
}
