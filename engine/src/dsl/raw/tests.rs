//! The raw tables against the reference, the defaults and the schemas: a key added here has to be told there.

use std::fs;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::value::{Dict, Value};

use crate::dsl::{Layers, load_role};

/// The parts of a role that are no pipeline.
const SHARED: [&str; 3] = ["store", "identity", "stream"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap()
}

fn owned(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// Every key there is, asked of the raw tables themselves: an unknown key is refused with the known ones.
fn keys() -> Vec<String> {
    fn walk(path: &[String], found: &mut Vec<String>) {
        for name in known(path) {
            let inner: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
            if is_table(&inner) {
                walk(&inner, found);
            }
            found.push(inner.join("."));
        }
    }
    let mut found = Vec::new();
    walk(&[], &mut found);
    for shared in SHARED {
        walk(&owned(shared), &mut found);
        found.push(shared.to_owned());
    }
    assert!(found.len() > 80, "{found:?}");
    found
}

/// What the raw tables say to a key they cannot know.
fn probe(path: &[String]) -> Kind {
    let mut values = Dict::from([("?".to_owned(), Value::from(0))]);
    for name in path.iter().rev() {
        values = Dict::from([(name.clone(), values.into())]);
    }
    let values = Value::from(values);
    if path.first().is_some_and(|first| SHARED.contains(&first.as_str())) {
        values.deserialize::<super::Role>().unwrap_err().kind
    } else {
        values.deserialize::<super::Pipeline>().unwrap_err().kind
    }
}

fn known(path: &[String]) -> Vec<&'static str> {
    let Kind::UnknownField(_, known) = probe(path) else {
        panic!("{path:?} is no table")
    };
    known.to_vec()
}

fn is_table(path: &[String]) -> bool {
    matches!(probe(path), Kind::UnknownField(..))
}

/// The part of a text from a heading to the next.
fn section<'a>(text: &'a str, heading: &str, next: &str) -> &'a str {
    let Some(start) = text.find(heading) else {
        return "";
    };
    let body = &text[start + heading.len()..];
    &body[..body.find(next).unwrap_or(body.len())]
}

#[test]
fn the_reference_and_the_defaults_name_every_key() {
    let (readme, defaults) = (read("pipelines/README.md"), read("engine/src/dsl/defaults.toml"));
    for key in keys() {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        if table.is_empty() || is_table(&owned(&key)) {
            continue;
        }
        let rows = section(&readme, &format!("### `[{table}]`"), "\n#");
        assert!(
            rows.contains(&format!("\n| `{name}` |")),
            "pipelines/README.md does not name {key}"
        );
        let lines = section(&defaults, &format!("\n[{table}]"), "\n[");
        assert!(
            lines.contains(&format!("{name} = ")),
            "engine/src/dsl/defaults.toml does not name {key}"
        );
    }
}

#[test]
fn the_schemas_know_every_key_and_no_other() {
    let parse = |path: &str| -> serde_json::Value { serde_json::from_str(&read(path)).unwrap() };
    let (pipeline, role) = (
        parse("engine/schema/pipeline.json"),
        parse("engine/schema/role.json"),
    );
    let mut told = schema_keys(&pipeline, "");
    for shared in SHARED {
        told.push(shared.to_owned());
        told.extend(schema_keys(&role["$defs"][shared], shared));
    }
    let mut keys = keys();
    keys.sort();
    told.sort();
    assert_eq!(told, keys);
    let overrides = &role["$defs"]["pipelines"]["additionalProperties"]["properties"];
    for name in known(&[]).into_iter().filter(|name| *name != "name") {
        assert_eq!(
            overrides[name]["$ref"],
            format!("pipeline.json#/properties/{name}")
        );
    }
}

fn schema_keys(schema: &serde_json::Value, path: &str) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, inner) in properties {
        let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
        found.extend(schema_keys(inner, &path));
        found.push(path);
    }
    found
}

#[test]
fn whatever_a_key_is_set_to_loading_ends() {
    let values = [
        "3",
        "-1.5",
        "true",
        "\"x\"",
        "[1]",
        "[[1], \"2\"]",
        "{ x = 1 }",
        "[{ x = 1 }]",
        "1979-05-27",
        "",
    ];
    for key in keys() {
        for value in values {
            let shared = SHARED.iter().any(|shared| key.starts_with(shared));
            let assignment = if shared {
                format!("{key}={value}")
            } else {
                format!("upload.{key}={value}")
            };
            let layers = Layers {
                set: vec![assignment.clone()],
                ..Layers::default()
            };
            if let Err(faults) = load_role("client", &layers) {
                assert!(
                    !faults.faults.is_empty() && faults.faults.len() < 20,
                    "{assignment}: {faults}"
                );
            }
        }
    }
}
