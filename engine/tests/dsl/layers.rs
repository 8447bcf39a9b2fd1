//! Which layer wins, and how pipelines go together.

use roundtrip::dsl::spec::{PipelineSpec, ProcessorKind, SinkSpec, SourceSpec};

use super::*;

fn inbox(pipeline: &PipelineSpec) -> &str {
    let SourceSpec::Directory(source) = &pipeline.source else {
        panic!("no folder: {pipeline:?}")
    };
    source.path.to_str().unwrap()
}

fn processor(role: &RoleSpec) -> &ProcessorKind {
    let SinkSpec::Processor(sink) = &role.pipelines["analyse"].sink else {
        panic!("no processor")
    };
    &sink.kind
}

#[test]
fn a_stronger_layer_wins() {
    let pipeline = "name = \"upload\"\n[source.directory]\npath = \"of-pipeline\"\n[chunker.fixed]\n[codec.zstd]\n\
                    [transport.s3]\n[sink.jobs]\n";
    let role = "name = \"client\"\n[pipelines.upload]\nsource.directory.path = \"of-role\"\n\
                [profile.lab.pipelines.upload]\nsource.directory.path = \"of-profile\"\n";
    let bare = "name = \"client\"\npipelines = [\"upload\"]\n";
    let lab = Lab::new(&[
        ("pipelines/upload.toml", pipeline),
        ("roles/client.toml", role),
        ("roles/bare.toml", bare),
    ]);
    let path =
        |role: &str, layers: &Layers| inbox(&lab.load(role, layers).unwrap().pipelines["upload"]).to_owned();

    assert_eq!(path("roles/bare.toml", &Layers::default()), "of-pipeline");
    assert_eq!(path("roles/client.toml", &Layers::default()), "of-role");
    let mut layers = Layers {
        profile: Some("lab".into()),
        ..Layers::default()
    };
    assert_eq!(path("roles/client.toml", &layers), "of-profile");
    layers.environment.push((
        "ROUNDTRIP_UPLOAD__SOURCE__DIRECTORY__PATH".into(),
        "of-environment".into(),
    ));
    assert_eq!(path("roles/client.toml", &layers), "of-environment");
    layers.set.push("upload.source.directory.path=of-set".into());
    assert_eq!(path("roles/client.toml", &layers), "of-set");
    layers
        .set
        .push("upload.source.directory.path=of-later-set".into());
    assert_eq!(path("roles/client.toml", &layers), "of-later-set");
}

#[test]
fn a_profile_may_be_chosen_by_the_environment() {
    let role = "name = \"client\"\n[pipelines.upload]\nsource.directory.path = \"a\"\n\
                [profile.lab.pipelines.upload]\nsource.directory.path = \"b\"\n";
    let lab = Lab::new(&[("client.toml", role)]);
    let spec = lab
        .load("client.toml", &environment(&[("ROUNDTRIP_PROFILE", "lab")]))
        .unwrap();
    assert_eq!(inbox(&spec.pipelines["upload"]), "b");
    assert_words!(
        "unknown-profile",
        lab.refusal("client.toml", &environment(&[("ROUNDTRIP_PROFILE", "lob")]))
    );
}

#[test]
fn bucket_and_table_of_the_environment_are_defaults() {
    let named = "name = \"w\"\npipelines = [\"cleanup\"]\n[store]\nbucket = \"of-role\"\n";
    let lab = Lab::new(&[("named.toml", named)]);
    let layers = environment(&[("ROUNDTRIP_BUCKET", "of-environment"), ("ROUNDTRIP_TABLE", "123")]);
    let spec = load_role("watcher", &Layers::default()).unwrap();
    assert_eq!(
        (spec.store.bucket.as_str(), spec.store.table.as_str()),
        ("roundtrip", "roundtrip-jobs")
    );
    let spec = load_role("watcher", &layers).unwrap();
    assert_eq!(
        (spec.store.bucket.as_str(), spec.store.table.as_str()),
        ("of-environment", "123")
    );
    assert_eq!(lab.load("named.toml", &layers).unwrap().store.bucket, "of-role");
    let layers = Layers {
        set: vec!["store.bucket=of-set".into()],
        ..layers
    };
    assert_eq!(lab.load("named.toml", &layers).unwrap().store.bucket, "of-set");
}

#[test]
fn a_stronger_layer_replaces_what_its_choice_excludes() {
    let role = "name = \"fetcher\"\n[pipelines.analyse]\nsink.processor.url = \"http://127.0.0.1:8000/\"\ncodec.none = {}\n";
    let lab = Lab::new(&[("fetcher.toml", role)]);
    let spec = lab
        .load(
            "fetcher.toml",
            &set(&["analyse.sink.processor.command=wc -c {file}"]),
        )
        .unwrap();
    let words = ["wc", "-c", "{file}"].map(str::to_owned).to_vec();
    assert_eq!(*processor(&spec), ProcessorKind::Command { command: words });
    assert_eq!(
        spec.pipelines["analyse"].codec.as_ref().map(|codec| codec.level),
        Some(0)
    );
    let spec = lab
        .load(
            "fetcher.toml",
            &set(&["analyse.sink.processor.builtin=fingerprint"]),
        )
        .unwrap();
    assert_eq!(*processor(&spec), ProcessorKind::Fingerprint);

    let spec = load_role(
        "watcher",
        &set(&["cleanup.source.jobs.every=1s", "cleanup.source.jobs.batch-max=7"]),
    );
    let SourceSpec::Jobs(source) = &spec.unwrap().pipelines["cleanup"].source else {
        panic!("no jobs")
    };
    assert_eq!(
        (
            source.interval.as_secs(),
            source.interval_max.as_secs(),
            source.batch_max
        ),
        (1, 1, 7)
    );
    let spec = load_role("watcher", &set(&["cleanup.source.jobs.interval=2s"])).unwrap();
    let SourceSpec::Jobs(source) = &spec.pipelines["cleanup"].source else {
        panic!("no jobs")
    };
    assert_eq!((source.interval.as_secs(), source.interval_max.as_secs()), (2, 5));
}

#[test]
fn a_value_is_toml_or_else_a_text() {
    let layers = set(&[
        "upload.source.directory.path=2024",
        "upload.source.directory.include=[\"*.tif\", \"*.png\"]",
        "upload.source.directory.exclude=*.tmp",
        "upload.source.directory.hidden=true",
        "upload.source.directory.settle=500ms",
        "upload.sink.jobs.version=\"2.5.21\"",
    ]);
    let spec = load_role("client", &layers).unwrap();
    let SourceSpec::Directory(source) = &spec.pipelines["upload"].source else {
        panic!("no folder")
    };
    assert_eq!(source.path, Path::new("2024"));
    assert_eq!(source.include, ["*.tif", "*.png"]);
    assert_eq!(source.exclude, ["*.tmp"]);
    assert!(source.hidden);
    assert_eq!(source.settle.as_millis(), 500);
}

#[test]
fn faults_of_the_command_line_and_the_environment_name_their_origin() {
    let mut layers = set(&[
        "upload.chunker.fixed.size=16",
        "upload.source.directory.files-max=many",
        "uplaod.source.directory.path=in",
        "upload.codec.zstd.lvl=3",
        "upload=in",
        "upload.source.directory.settle",
        "store.bucket=B",
    ]);
    layers.environment = environment(&[
        ("ROUNDTRIP_RECEIVE__SOURCE__RESULTS__INTERVAL", "5"),
        ("ROUNDTRIP_RECIEVE__SOURCE__RESULTS__INTERVAL", "5s"),
        ("ROUNDTRIP_ANALYSE__CLAIM__LEASE", "of another role"),
        ("ROUNDTRIP_STATE", "no value of a pipeline"),
    ])
    .environment;
    let faults = load_role("client", &layers).unwrap_err();
    assert_words!("command-line-and-environment", faults);
}

#[test]
fn one_pipeline_runs_twice_and_roles_mix_pipelines() {
    let role = "pipelines.cleanup = {}\n\
                [pipelines.scans]\nuse = \"upload\"\nsource.directory.path = \"scans\"\n\
                [pipelines.logs]\nuse = \"../my/logs.toml\"\nchunker.fixed.size = \"1 MiB\"\n";
    let logs =
        "[source.directory]\npath = \"logs\"\n[chunker.fixed]\n[codec.none]\n[transport.s3]\n[sink.jobs]\n";
    let lab = Lab::new(&[("roles/mixed.toml", role), ("my/logs.toml", logs)]);
    let spec = lab.load("roles/mixed.toml", &Layers::default()).unwrap();
    assert_eq!(spec.name, "mixed");
    assert_eq!(
        spec.pipelines.keys().collect::<Vec<_>>(),
        ["cleanup", "logs", "scans"]
    );
    assert_eq!(spec.pipelines["scans"].name, "scans");
    assert_eq!(inbox(&spec.pipelines["scans"]), "scans");
    assert_eq!(inbox(&spec.pipelines["logs"]), "logs");
}

#[test]
fn a_role_may_have_the_name_of_its_pipeline() {
    let role = "[pipelines.upload]\nsource.directory.path = \"in\"\n";
    let lab = Lab::new(&[("upload.toml", role)]);
    assert_eq!(
        inbox(&lab.load("upload.toml", &Layers::default()).unwrap().pipelines["upload"]),
        "in"
    );
}

#[test]
fn results_may_lie_in_the_inbox_where_they_are_excluded() {
    let mut layers = set(&[
        "upload.source.directory.path=./data",
        "receive.sink.directory.path=data/results",
    ]);
    assert!(load_role("client", &layers).is_err());
    layers
        .set
        .push("upload.source.directory.exclude=results/**".into());
    assert!(load_role("client", &layers).is_ok());
    let hidden = set(&[
        "upload.source.directory.path=data",
        "receive.sink.directory.path=data/.results",
    ]);
    assert!(load_role("client", &hidden).is_ok());
}

#[test]
fn a_sweep_before_admit_closes_is_only_taken_for_one_run() {
    let one_run = set(&["sweep.source.objects.age-min=0s"]);
    assert!(load_role("watcher", &one_run).is_ok());
    let limits = [
        "analyse.claim.in-flight-max=1",
        "analyse.sink.processor.builtin=fingerprint",
    ];
    assert!(
        load_role("fetcher", &set(&limits)).is_ok(),
        "a default is no limit that somebody wrote"
    );
}
