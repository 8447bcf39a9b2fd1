//! Faults: what is wrong in a pipeline or role, where it stands, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::error::Error;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, as a lower-case fragment.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
    /// Where it stands.
    pub origin: Origin,
    /// Whether it is only a value that a stronger layer may still give: a folder, a processor.
    pub missing: bool,
    /// Whether the value must not be shown: it seems to hold a secret.
    pub secret: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A place in a TOML text.
    Text(Spot),
    /// A layer that is no file: `--set analyse.claim.lease=5m`, `environment variable ROUNDTRIP_...`.
    Named(String),
}

/// A place in a TOML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file as the user named it, `<shipped>/pipelines/upload.toml` for one inside the binary.
    pub path: String,
    text: Arc<str>,
    span: Range<usize>,
}

impl Spot {
    /// A place by its byte range; a range that does not fit the text is cut to it.
    pub(super) fn new(path: impl Into<String>, text: Arc<str>, span: Range<usize>) -> Self {
        let start = floor(&text, span.start);
        let end = floor(&text, span.end).max(start);
        Self {
            path: path.into(),
            text,
            span: start..end,
        }
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// The byte at which it begins.
    pub(super) fn offset(&self) -> usize {
        self.span.start
    }
}

/// The nearest character boundary at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len()))
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Level::ERROR.primary_title(self.what.as_str());
        let mut group = match &self.origin {
            Origin::Text(spot) if self.secret => {
                let (line, column) = spot.line_and_column();
                title.element(annotate_snippets::Origin::path(format!(
                    "{}:{line}:{column}",
                    spot.path
                )))
            }
            Origin::Text(spot) => title.element(
                Snippet::source(&*spot.text)
                    .path(spot.path.as_str())
                    .annotation(AnnotationKind::Primary.span(spot.span.clone())),
            ),
            Origin::Named(name) => title.element(annotate_snippets::Origin::path(name.as_str())),
        };
        for line in self.help.iter().flat_map(|help| help.lines()) {
            group = group.element(Level::HELP.message(line));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

/// Everything that is wrong with a role or pipeline, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// What was loaded: `role roles/client.toml`.
    pub subject: String,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// Faults of a subject, sorted by where they stand, each once.
    pub(super) fn new(subject: impl Into<String>, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_cached_key(|fault| match &fault.origin {
            Origin::Text(spot) => (0, spot.path.clone(), spot.offset()),
            Origin::Named(name) => (1, name.clone(), 0),
        });
        faults.dedup();
        Self {
            subject: subject.into(),
            faults,
        }
    }

    /// These and others of the same subject.
    pub(super) fn and(mut self, mut others: Self) -> Self {
        self.faults.append(&mut others.faults);
        Self::new(self.subject, self.faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(
            f,
            "{} has {count} {}",
            self.subject,
            if count == 1 { "fault" } else { "faults" }
        )?;
        for fault in &self.faults {
            write!(f, "\n\n{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::config(faults.to_string())
    }
}
