//! What is refused, and with which words.

use roundtrip::dsl::{Layers, load_role};

use super::*;

#[test]
fn each_invalid_file_is_refused_in_these_words() {
    for file in toml_files(&data().join("invalid")) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let output = roundtrip(&["check", &format!("invalid/{name}.toml")]);
        assert_eq!(output.status.code(), Some(78), "{name}");
        assert_eq!(text(&output.stdout), "", "{name}");
        assert_words!(name, text(&output.stderr));
    }
}

#[test]
fn a_fetcher_without_a_processor_is_told_how_to_name_one() {
    let faults = load_role("fetcher", &Layers::default()).unwrap_err();
    insta::assert_snapshot!(faults, @r#"
    role <shipped>/roles/fetcher.toml has 1 fault

    error: `sink.processor` names no processor
      --> <shipped>/pipelines/analyse.toml:27:7
       |
    27 | [sink.processor]
       |       ^^^^^^^^^
       |
       = help: set one: --set analyse.sink.processor.url=http://127.0.0.1:8000/ or --set analyse.sink.processor.command="analyse {file}" or --set analyse.sink.processor.builtin=fingerprint
       = help: in a role: sink.processor.url = "http://127.0.0.1:8000/" below the pipeline's table
    "#);
}

#[test]
fn check_exits_with_64_for_what_does_not_exist() {
    let output = roundtrip(&["check", "no-such-file.toml"]);
    assert_eq!(output.status.code(), Some(64));
    insta::assert_snapshot!(text(&output.stderr), @r"
    Error: no-such-file.toml does not exist
    Hint: name TOML files or folders of them; `roundtrip init DIR` writes the shipped ones
    ");
}

#[test]
fn check_tells_programs_in_json() {
    let output = roundtrip(&["check", "--format", "json", "invalid/mistyped-key.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(text(&output.stderr), "");
    assert_words!("check-json", text(&output.stdout));
}

#[test]
fn faults_of_several_files_come_together() {
    let lab = Lab::new(&[
        (
            "pipelines/upload.toml",
            "name = \"upload\"\n[source.directory]\nsettle = 2\n[sink.jobs]\n[codec.zstd]\n",
        ),
        ("pipelines/receive.toml", "name = \"receive\"\n[source.results\n"),
        (
            "roles/client.toml",
            "name = \"client\"\n[pipelines.upload]\ncodec.zstd.level = 23\n[pipelines.receive]\n",
        ),
    ]);
    assert_words!(
        "several-files",
        lab.refusal("roles/client.toml", &Layers::default())
    );
}

#[test]
fn a_role_that_is_not_there_is_refused() {
    assert_words!(
        "unknown-role",
        load_role("fetchr", &Layers::default()).unwrap_err()
    );
    assert_words!(
        "unreadable-role",
        load_role("no/such/role.toml", &Layers::default()).unwrap_err()
    );
}
