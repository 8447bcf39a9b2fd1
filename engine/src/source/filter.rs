//! Which names of a folder are taken: globs, and the names of hidden and unfinished files.

use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::dsl::spec::DirectorySource;
use crate::error::{Error, Result};

/// The names that are taken.
///
/// Globs are matched against the path relative to the folder, without regard to case. `*` stays within one name, `**`
/// spans folders; a glob without `/` means a name at any depth, one that starts with `/` means the top.
#[derive(Debug)]
pub(super) struct Filter {
    include: GlobSet,
    exclude: GlobSet,
    prune: GlobSet,
    hidden: bool,
}

impl Filter {
    pub(super) fn new(spec: &DirectorySource) -> Result<Self> {
        let all = ["**".to_owned()];
        let include: &[String] = if spec.include.is_empty() {
            &all
        } else {
            &spec.include
        };
        // To leave all that is in a folder is to leave the folder.
        let folders: Vec<_> = spec.exclude.iter().map(|glob| folder_of(glob)).collect();
        Ok(Self {
            include: globs("include", include)?,
            exclude: globs("exclude", &spec.exclude)?,
            prune: globs("exclude", &folders)?,
            hidden: spec.hidden,
        })
    }

    /// Whether the file is taken, all the folders it lies in considered.
    pub(super) fn takes_file(&self, relative: &Path) -> bool {
        self.takes_entry(relative) && relative.parent().is_none_or(|folder| self.enters_folder(folder))
    }

    /// Whether the file is taken, where the folders it lies in were found fit to enter.
    pub(super) fn takes_entry(&self, relative: &Path) -> bool {
        let candidate = Candidate::new(relative);
        self.include.is_match_candidate(&candidate)
            && !self.exclude.is_match_candidate(&candidate)
            && self.takes_name(relative)
    }

    /// Whether anything in the folder can be taken; the folder itself is the empty path.
    pub(super) fn enters_folder(&self, relative: &Path) -> bool {
        relative
            .ancestors()
            .filter(|folder| !folder.as_os_str().is_empty())
            .all(|folder| !self.prune.is_match(folder) && self.takes_name(folder))
    }

    fn takes_name(&self, relative: &Path) -> bool {
        self.hidden
            || relative
                .file_name()
                .is_none_or(|name| !is_hidden(name.as_encoded_bytes()))
    }
}

fn folder_of(glob: &str) -> String {
    let glob = glob.trim_end_matches('/');
    let folder = glob.strip_suffix("/**").or_else(|| glob.strip_suffix("/**/*"));
    match folder {
        // The slash that went away said that it is a path.
        Some(folder) if !folder.is_empty() && folder != "**" => format!("/{folder}"),
        Some(_) | None => glob.to_owned(),
    }
}

fn globs(key: &str, globs: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for text in globs {
        let glob = GlobBuilder::new(&spelled_out(text))
            .literal_separator(true)
            .case_insensitive(true)
            .build();
        set.add(glob.map_err(|error| refused(key, text, &error))?);
    }
    set.build()
        .map_err(|error| refused(key, &globs.join(", "), &error))
}

fn spelled_out(glob: &str) -> String {
    let everything = if glob.ends_with('/') { "**" } else { "" };
    let anywhere = if glob.trim_end_matches('/').contains('/') {
        ""
    } else {
        "**/"
    };
    format!(
        "{anywhere}{}{everything}",
        glob.strip_prefix("./").unwrap_or(glob).trim_start_matches('/')
    )
}

fn refused(key: &str, glob: &str, error: &globset::Error) -> Error {
    Error::config(format!("the glob `{glob}` in `{key}` of `source.directory` cannot be read"))
        .because(error.kind().to_string())
        .hint("write `*` for any name, `**/` for any folders, `[ab]` for one of some characters, `{tif,png}` for either")
}

/// Names that are hidden, that a program uses while it writes, or that a desktop leaves behind.
fn is_hidden(name: &[u8]) -> bool {
    const SUFFIXES: [&[u8]; 6] = [b".tmp", b".part", b".partial", b".crdownload", b".filepart", b"~"];
    const NAMES: [&[u8]; 2] = [b"thumbs.db", b"desktop.ini"];

    let name = name.to_ascii_lowercase();
    name.starts_with(b".")
        || name.starts_with(b"~$")
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || NAMES.contains(&name.as_slice())
}

#[cfg(test)]
mod tests;
