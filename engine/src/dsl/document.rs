//! A TOML text that knows where each of its values stands.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml_edit::Item;

use super::fault::{Fault, Origin, Spot};

/// The largest file that is read: 1 MiB, far more than a person writes.
const BYTES_MAX: u64 = 1 << 20;

/// A parsed TOML text.
#[derive(Debug)]
pub(super) struct Document {
    /// As the user named it.
    pub(super) path: String,
    /// Where it lies; none for one inside the binary.
    pub(super) file: Option<PathBuf>,
    text: Arc<str>,
    tree: toml_edit::Document<String>,
}

/// Where a key and its value stand, as byte ranges.
#[derive(Clone, Debug)]
struct Place {
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// Which part of `key = value` a fault points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The key, or the last name in a table's header.
    Key,
    /// The value.
    Value,
}

impl Document {
    /// Reads and parses a file.
    pub(super) fn read(file: &Path) -> Result<Self, Fault> {
        let path = file.display().to_string();
        let refused = |what: String| Fault {
            what,
            help: Some("name a TOML file that exists and that you may read".into()),
            origin: Origin::Named(path.clone()),
            missing: false,
            secret: false,
        };
        let mut text = String::new();
        let read = File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            // The parser takes its time over what is no TOML.
            Ok(bytes) if bytes as u64 > BYTES_MAX => Err(refused(format!(
                "{path} is no pipeline or role: it is larger than {BYTES_MAX} bytes"
            ))),
            Ok(_) => Self::parse(path, Some(file.to_owned()), text),
            Err(error) => Err(refused(format!("cannot read {path}: {error}"))),
        }
    }

    /// Parses a text.
    pub(super) fn parse(path: String, file: Option<PathBuf>, text: String) -> Result<Self, Fault> {
        let shared: Arc<str> = text.as_str().into();
        match toml_edit::Document::parse(text) {
            Ok(tree) => Ok(Self {
                path,
                file,
                text: shared,
                tree,
            }),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let (what, help) = explain(&shared, &span, error.message());
                Err(Fault {
                    what: format!("this is not TOML: {what}"),
                    help: Some(help),
                    origin: Origin::Text(Spot::new(path, shared, span)),
                    missing: false,
                    secret: false,
                })
            }
        }
    }

    /// Its values.
    pub(super) fn dict(&self) -> Dict {
        self.tree
            .iter()
            .filter_map(|(key, item)| Some((key.to_owned(), value(item)?)))
            .collect()
    }

    /// Whether it is a role and not a pipeline, told by its keys.
    pub(super) fn is_role(&self) -> bool {
        ["pipelines", "store", "identity", "stream", "profile"]
            .iter()
            .any(|key| self.tree.as_table().contains_key(key))
    }

    /// Whether it is a pipeline and not a role, told by its keys. Of a text that has neither's keys nobody can tell.
    pub(super) fn is_pipeline(&self) -> bool {
        let has = |key| self.tree.as_table().contains_key(key);
        !self.is_role() && ["source", "sink"].into_iter().any(has)
    }

    /// The names of a role's profiles.
    pub(super) fn profiles(&self) -> Vec<String> {
        let profiles = self.tree.as_table().get("profile").and_then(Item::as_table_like);
        profiles
            .map(|profiles| profiles.iter().map(|(name, _)| name.to_owned()).collect())
            .unwrap_or_default()
    }

    /// Where the longest known part of a key path stands.
    pub(super) fn spot(&self, path: &[String], part: Part) -> Spot {
        let known = (0..=path.len())
            .rev()
            .find_map(|length| Some((length, self.place(&path[..length])?)));
        let span = known.and_then(|(length, place)| {
            let whole = length == path.len();
            if part == Part::Value && whole {
                place.value.or(place.key)
            } else {
                place.key.or(place.value)
            }
        });
        let first = || {
            self.tree
                .as_table()
                .iter()
                .find_map(|(key, _)| self.tree.as_table().key(key)?.span())
        };
        Spot::new(
            &self.path,
            Arc::clone(&self.text),
            span.or_else(first).unwrap_or(0..0),
        )
    }

    fn place(&self, path: &[String]) -> Option<Place> {
        let mut item = self.tree.as_item();
        let mut place = None;
        for (index, name) in path.iter().enumerate() {
            if let Some((key, inner)) = item.as_table_like().and_then(|table| table.get_key_value(name)) {
                place = Some(Place {
                    key: key.span(),
                    value: inner.span(),
                });
                item = inner;
                continue;
            }
            // `pipelines = ["upload"]` is the short form of `[pipelines.upload]`; numbers are places in a list.
            let items = item.as_array()?;
            let element = name.parse().ok().and_then(|index: usize| items.get(index));
            let element = element.or_else(|| items.iter().find(|element| element.as_str() == Some(name)))?;
            return (index + 1 == path.len()).then(|| Place {
                key: element.span(),
                value: element.span(),
            });
        }
        place
    }
}

/// The parser's words, or better ones for what people do most.
fn explain(text: &str, span: &Range<usize>, message: &str) -> (String, String) {
    let before = text.get(..span.start).unwrap_or_default();
    let line = text
        .get(span.start..)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default();
    let word = line.split('#').next().unwrap_or_default().trim();
    if before.trim_end().ends_with('=') && word.starts_with(char::is_alphabetic) && !word.contains('"') {
        return (
            format!("the text {word} has no quotes"),
            format!("write it in double quotes: \"{word}\""),
        );
    }
    if message.contains("duplicate key") {
        let name = text.get(span.clone()).unwrap_or_default();
        return (format!("`{name}` is there twice"), "keep one of the two".into());
    }
    let what = message.lines().collect::<Vec<_>>().join(", ");
    (
        what,
        "TOML is `key = value`, texts in double quotes, and [tables]: see https://toml.io".into(),
    )
}

/// A TOML item as a value of the layers; none for an empty slot.
fn value(item: &Item) -> Option<Value> {
    match item {
        Item::None => None,
        Item::Value(inner) => Some(plain(inner)),
        Item::Table(table) => Some(
            table
                .iter()
                .filter_map(|(key, item)| Some((key.to_owned(), value(item)?)))
                .collect::<Dict>()
                .into(),
        ),
        Item::ArrayOfTables(tables) => Some(
            tables
                .iter()
                .map(|table| {
                    table
                        .iter()
                        .filter_map(|(key, item)| Some((key.to_owned(), value(item)?)))
                        .collect::<Dict>()
                })
                .map(Value::from)
                .collect::<Vec<_>>()
                .into(),
        ),
    }
}

/// A TOML value as a value of the layers.
pub(super) fn plain(inner: &toml_edit::Value) -> Value {
    match inner {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
        toml_edit::Value::Datetime(moment) => Value::from(moment.value().to_string()),
        toml_edit::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().into(),
        toml_edit::Value::InlineTable(table) => table
            .iter()
            .map(|(key, inner)| (key.to_owned(), plain(inner)))
            .collect::<Dict>()
            .into(),
    }
}
