//! What is shipped, and what the reference says.

use roundtrip::dsl::check_file;
use roundtrip::dsl::spec::{SinkSpec, SourceSpec};

use super::*;

#[test]
fn what_is_shipped_is_sound() {
    let folders = ["pipelines", "roles"].map(|folder| top().join(folder).to_str().unwrap().to_owned());
    let output = roundtrip(&["check", &folders[0], &folders[1]]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout).replace(top().to_str().unwrap(), "");
    insta::assert_snapshot!(lines, @r"
    ok  /pipelines/admit.toml
    ok  /pipelines/analyse.toml  (left to the role or command line: `sink.processor` names no processor)
    ok  /pipelines/cleanup.toml
    ok  /pipelines/queue-length.toml
    ok  /pipelines/receive.toml  (left to the role or command line: `sink.directory.path` is not set)
    ok  /pipelines/restart-stalled.toml
    ok  /pipelines/sweep.toml
    ok  /pipelines/upload.toml  (left to the role or command line: `source.directory.path` is not set)
    ok  /roles/client.toml
    ok  /roles/fetcher.toml  (left to the role or command line: `sink.processor` names no processor)
    ok  /roles/watcher.toml
    ");
    for role in ["client", "watcher"] {
        load_role(role, &Layers::default()).unwrap();
    }
    load_role("fetcher", &set(&["analyse.sink.processor.builtin=fingerprint"])).unwrap();
    load_dry("fetcher", &Layers::default()).unwrap();
}

#[test]
fn init_writes_what_is_shipped_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    fs::create_dir(folder.path().join("roles")).unwrap();
    fs::write(folder.path().join("roles/client.toml"), "mine").unwrap();
    let output = roundtrip(&["init", path]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(text(&output.stdout).replace(path, "DIR"), @r"
    wrote  DIR/pipelines/upload.toml
    wrote  DIR/pipelines/receive.toml
    wrote  DIR/pipelines/analyse.toml
    wrote  DIR/pipelines/cleanup.toml
    wrote  DIR/pipelines/restart-stalled.toml
    wrote  DIR/pipelines/admit.toml
    wrote  DIR/pipelines/sweep.toml
    wrote  DIR/pipelines/queue-length.toml
    kept   DIR/roles/client.toml (it exists)
    wrote  DIR/roles/fetcher.toml
    wrote  DIR/roles/watcher.toml
    ");
    assert_eq!(
        fs::read_to_string(folder.path().join("roles/client.toml")).unwrap(),
        "mine"
    );
    let upload = fs::read_to_string(folder.path().join("pipelines/upload.toml")).unwrap();
    assert_eq!(
        upload,
        fs::read_to_string(top().join("pipelines/upload.toml")).unwrap()
    );
}

#[test]
fn the_readme_states_the_defaults() {
    let readme = fs::read_to_string(top().join("pipelines/README.md")).unwrap();
    let defaults = fs::read_to_string(top().join("engine/src/dsl/defaults.toml")).unwrap();
    let document = toml_edit::Document::parse(defaults).unwrap();
    for (table, values) in tables(document.as_table(), "") {
        let rows = section(&readme, &format!("### `[{table}]`"), "\n#");
        for (key, value) in values {
            let row = format!("| `{key}` | `{value}` |");
            assert!(rows.contains(&row), "pipelines/README.md: [{table}] lacks {row}");
        }
    }
}

/// The part of a text from a heading to the next.
fn section<'a>(text: &'a str, heading: &str, next: &str) -> &'a str {
    let Some(start) = text.find(heading) else {
        return "";
    };
    let body = &text[start + heading.len()..];
    &body[..body.find(next).unwrap_or(body.len())]
}

type Tables = Vec<(String, Vec<(String, String)>)>;

/// Every table with values, and the values as they are written.
fn tables(table: &toml_edit::Table, path: &str) -> Tables {
    let mut found = Vec::new();
    let mut values = Vec::new();
    for (key, item) in table {
        match item.as_table() {
            Some(inner) => found.extend(tables(inner, format!("{path}.{key}").trim_start_matches('.'))),
            None => values.push((key.to_owned(), written(item.as_value().unwrap()))),
        }
    }
    found.push((path.to_owned(), values));
    found
}

fn written(value: &toml_edit::Value) -> String {
    let mut bare = value.clone();
    bare.decor_mut().clear();
    bare.to_string()
}

#[test]
fn every_example_in_the_readme_loads() {
    let readme = fs::read_to_string(top().join("pipelines/README.md")).unwrap();
    let blocks: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let examples: Vec<&&str> = blocks
        .iter()
        .filter(|block| block.starts_with("name ="))
        .collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let lab = Lab::new(&[("example.toml", example)]);
        let faults = check_file(&lab.0.path().join("example.toml"));
        assert!(
            faults.faults.iter().all(|fault| fault.missing),
            "{example}\n{faults}"
        );
    }
}

#[test]
fn shipped_files_begin_with_their_schema() {
    for (folder, schema) in [("pipelines", "pipeline.json"), ("roles", "role.json")] {
        for file in toml_files(&top().join(folder)) {
            let first = fs::read_to_string(&file)
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned();
            assert_eq!(
                first,
                format!("#:schema ../engine/schema/{schema}"),
                "{}",
                file.display()
            );
        }
    }
}

#[test]
fn what_may_still_be_uploading_is_too_young_to_be_swept() {
    let profile = Layers {
        profile: Some("local".to_owned()),
        ..Layers::default()
    };
    for layers in [Layers::default(), profile] {
        let spec = load_role("watcher", &layers).unwrap();
        let SourceSpec::Objects(objects) = &spec.pipelines["sweep"].source else {
            panic!("no objects")
        };
        for pipeline in spec.pipelines.values() {
            let upload_max = match &pipeline.sink {
                SinkSpec::Admit(sink) => sink.upload_max,
                SinkSpec::Delete(sink) => sink.upload_max,
                SinkSpec::Jobs(_)
                | SinkSpec::Processor(_)
                | SinkSpec::Directory(_)
                | SinkSpec::Requeue
                | SinkSpec::Metrics(_)
                | SinkSpec::Sweep => continue,
            };
            assert!(objects.age_min > upload_max, "{}", pipeline.name);
        }
    }
}

#[test]
fn the_version_a_client_states_is_the_programs() {
    let spec = load_role("client", &Layers::default()).unwrap();
    let SinkSpec::Jobs(sink) = &spec.pipelines["upload"].sink else {
        panic!("no jobs")
    };
    assert_eq!(sink.version, env!("CARGO_PKG_VERSION"));
}
