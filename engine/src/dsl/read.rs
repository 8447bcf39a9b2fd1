//! From merged layers to raw tables: serde stops at the first fault, this goes on until it has them all.

use std::collections::BTreeMap;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};

use super::assemble::defaults;
use super::document::Part;
use super::layers::{Draft, Stack};
use super::raw;
use super::tree::{KeyPath, extended, find, remove, slot};

/// The parts of a pipeline whose tables name a kind.
pub(super) const STAGES: [&str; 5] = ["source", "chunker", "codec", "transport", "sink"];

/// What came out of reading.
#[derive(Debug)]
pub(super) struct Read {
    /// The values that could be read.
    pub(super) role: raw::Role,
    /// What could not.
    pub(super) drafts: Vec<Draft>,
    /// Where something was taken out: what is missing below is no fault of its own.
    pub(super) refused: Vec<KeyPath>,
}

/// Reads the merged layers but for what was `lost` already; a value that cannot be read is noted and taken
/// out, until the rest can.
pub(super) fn read(mut values: Dict, stack: &Stack, lost: Vec<KeyPath>) -> Read {
    let mut drafts = Vec::new();
    let mut refused = lost;
    for path in lists_for_tables(&values) {
        let (what, help) = no_table(&path, "a list");
        drafts.push(Draft {
            path: path.clone(),
            part: Part::Key,
            what,
            help: Some(help),
            missing: false,
            secret: false,
        });
        remove(&mut values, &path);
        refused.push(path);
    }
    let mut as_text: BTreeMap<KeyPath, Draft> = BTreeMap::new();
    loop {
        let error = match Value::from(values.clone()).deserialize::<raw::Role>() {
            Ok(role) => {
                return Read {
                    role,
                    drafts,
                    refused,
                };
            }
            Err(error) => error,
        };
        let draft = describe(&error);
        // A value given as text that reads as a TOML number may have been meant as a text: 2024 is a folder.
        if let (Some(text), None) = (stack.given_as_text(&error.path), as_text.get(&error.path))
            && let Some(value) = slot(&mut values, &error.path).filter(|value| value.as_dict().is_none())
        {
            *value = Value::from(text);
            as_text.insert(error.path, draft);
            continue;
        }
        drafts.push(as_text.get(&error.path).cloned().unwrap_or(draft));
        // An item of a list goes with its list. Each turn takes something out, so this ends.
        let prefixes = (1..=error.path.len()).rev().map(|length| &error.path[..length]);
        match prefixes.into_iter().find(|path| remove(&mut values, path)) {
            Some(path) => refused.push(path.to_vec()),
            None => {
                return Read {
                    role: raw::Role::default(),
                    drafts,
                    refused,
                };
            }
        }
    }
}

/// Where a list stands in place of a table: serde would take its items for the table's values.
fn lists_for_tables(values: &Dict) -> Vec<KeyPath> {
    let mut found = Vec::new();
    let mut tables: Vec<KeyPath> = ["store", "identity", "stream", "pipelines"]
        .map(|name| vec![name.to_owned()])
        .to_vec();
    while let Some(path) = tables.pop() {
        match find(values, &path) {
            Some(Value::Array(..)) => found.push(path),
            Some(Value::Dict(_, inner)) => {
                let names = inner.keys().map(String::as_str);
                let holds_tables = match path.as_slice() {
                    [first] => first == "pipelines",
                    [_, _] => true,
                    [_, _, stage] => STAGES.contains(&stage.as_str()) || stage == "notify",
                    _ => false,
                };
                tables.extend(names.filter(|_| holds_tables).map(|name| extended(&path, name)));
            }
            Some(_) | None => {}
        }
    }
    found
}

fn no_table(path: &[String], found: &str) -> (String, String) {
    let name = shown(path);
    let help = match local(path) {
        [stage] if STAGES.contains(&stage.as_str()) => {
            format!("write a table that names its kind: [{stage}.KIND]")
        }
        [first, _] if first == "notify" => {
            "a threshold is a table by a name of its own: [notify.ready-high]".to_owned()
        }
        _ => format!("write a table: [{name}]"),
    };
    (format!("`{name}` must be a table, not {found}"), help)
}

/// A value's path as written in its pipeline's file: without `pipelines` and the pipeline's name.
pub(super) fn local(path: &[String]) -> &[String] {
    match path {
        [first, _, rest @ ..] if first == "pipelines" && !rest.is_empty() => rest,
        _ => path,
    }
}

/// A value's path as a person writes it: `claim.lease`.
pub(super) fn shown(path: &[String]) -> String {
    local(path).join(".")
}

fn describe(error: &figment::Error) -> Draft {
    let path = error.path.clone();
    let (part, what, help) = match &error.kind {
        Kind::UnknownField(name, known) => {
            let (what, help) = unknown(&path, name, known);
            (Part::Key, what, Some(help))
        }
        Kind::Message(text) => {
            let (what, help) = text
                .split_once('\n')
                .map_or((text.as_str(), None), |(what, help)| (what, Some(help)));
            (
                Part::Value,
                format!("`{}`: {what}", shown(&path)),
                help.map(str::to_owned),
            )
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let (what, help) = mistyped(&path, actual, expected);
            (Part::Value, what, help)
        }
        other @ (Kind::InvalidLength(..)
        | Kind::UnknownVariant(..)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..)) => (Part::Value, format!("`{}`: {other}", shown(&path)), None),
    };
    Draft {
        path,
        part,
        what,
        help,
        missing: false,
        secret: false,
    }
}

fn mistyped(path: &[String], actual: &Actual, expected: &str) -> (String, Option<String>) {
    let name = shown(path);
    let found = match actual {
        Actual::Bool(flag) => flag.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("the text {text:?}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other @ (Actual::Char(_)
        | Actual::Bytes(_)
        | Actual::Unit
        | Actual::Option
        | Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_)) => other.to_string(),
    };
    if expected.starts_with("struct ") || expected == "a map" {
        let (what, help) = no_table(path, &found);
        return (what, Some(help));
    }
    let (expected, help) = match expected {
        "a boolean" => ("true or false, without quotes", None),
        "a whole number, without quotes" => {
            let text = if let Actual::Str(text) = actual {
                text.trim()
            } else {
                ""
            };
            let number = text.parse::<u64>().ok();
            (
                "a whole number",
                number.map(|number| format!("write it without quotes: {number}")),
            )
        }
        "a string" => (
            "a text",
            matches!(actual, Actual::Signed(_) | Actual::Float(_))
                .then(|| format!("write it in quotes: \"{found}\"")),
        ),
        other => (other, None),
    };
    (format!("`{name}` must be {expected}, not {found}"), help)
}

fn unknown(path: &[String], name: &str, known: &[&str]) -> (String, String) {
    let table = local(path).split_last().map_or(&[][..], |(_, table)| table);
    let in_pipeline = path.first().is_some_and(|first| first == "pipelines");
    let joined = table.join(".");
    let what = match table {
        [] if in_pipeline => format!("a pipeline has no `{name}`"),
        [] => format!("a role has no `{name}`"),
        [stage] if STAGES.contains(&stage.as_str()) => format!("there is no {stage} of the kind `{name}`"),
        _ => format!("`{name}` is not a key of [{joined}]"),
    };
    let is_kind = table.len() == 1 && STAGES.contains(&joined.as_str());
    let spelled = |key: &str| {
        if is_kind {
            format!("[{joined}.{key}]")
        } else {
            format!("`{key}`")
        }
    };
    let all = known
        .iter()
        .map(|key| spelled(key))
        .collect::<Vec<_>>()
        .join(", ");
    let list = match known {
        [] => format!("[{joined}] has no keys"),
        _ => format!("known here: {all}"),
    };
    let places = elsewhere(name);
    let belongs = (!places.is_empty()).then(|| format!("`{name}` is a key of {}", places.join(" and ")));
    let hint = belongs.or_else(|| {
        let near = nearest(name, known.iter().copied())?;
        Some(format!("did you mean {}?", spelled(near)))
    });
    let hint = hint.or_else(|| {
        let misplaced = table.is_empty() && !in_pipeline;
        misplaced.then(|| "what overrides a pipeline stands below [pipelines.NAME]".to_owned())
    });
    let help = hint.map_or_else(|| list.clone(), |hint| format!("{hint}\n{list}"));
    (what, help)
}

/// The tables that have a key of this name.
fn elsewhere(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (table, values) in defaults() {
        for (kind, value) in values.into_dict().unwrap_or_default() {
            if kind == name {
                found.push(format!("[{table}]"));
            }
            if value.into_dict().is_some_and(|values| values.contains_key(name)) {
                found.push(format!("[{table}.{kind}]"));
            }
        }
    }
    found
}

/// The known name that is close enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&wanted, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}
