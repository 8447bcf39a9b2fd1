//! Values in tables, by the names that lead to them.

use figment::value::{Dict, Value};

/// The names that lead to a value: `pipelines`, `upload`, `source`, `directory`, `path`.
pub(super) type KeyPath = Vec<String>;

/// A path with one more name.
pub(super) fn extended(path: &[String], name: &str) -> KeyPath {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Values put into the tables of a path.
pub(super) fn mounted(values: Dict, path: &[String]) -> Dict {
    path.iter().rev().fold(values, |inner, name| {
        Dict::from([(name.clone(), Value::from(inner))])
    })
}

/// The value at a path; none for the empty path.
pub(super) fn find<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = values.get(first)?;
    let mut rest = rest;
    // Numbers are places in a list.
    while let (Value::Array(_, items), Some((index, below))) = (value, rest.split_first()) {
        (value, rest) = (items.get(index.parse::<usize>().ok()?)?, below);
    }
    if rest.is_empty() {
        Some(value)
    } else {
        find(value.as_dict()?, rest)
    }
}

/// The table at a path; the whole for the empty path.
pub(super) fn table<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Dict> {
    if path.is_empty() {
        Some(values)
    } else {
        find(values, path)?.as_dict()
    }
}

/// The names in the table at a path.
pub(super) fn names(values: &Dict, path: &[String]) -> Vec<String> {
    table(values, path)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

/// The slot of a value, to change it.
pub(super) fn slot<'a>(values: &'a mut Dict, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let value = values.get_mut(first)?;
    match (rest, value) {
        ([], value) => Some(value),
        (rest, Value::Dict(_, inner)) => slot(inner, rest),
        _ => None,
    }
}

/// Takes a value out; whether there was one.
pub(super) fn remove(values: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [name] => values.remove(name).is_some(),
        [name, rest @ ..] => match values.get_mut(name) {
            Some(Value::Dict(_, inner)) => remove(inner, rest),
            _ => false,
        },
    }
}
