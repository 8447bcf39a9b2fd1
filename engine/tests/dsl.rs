//! Pipelines and roles as a person writes them: what loads, what is refused, and with which words.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use roundtrip::dsl::spec::RoleSpec;
use roundtrip::dsl::{Faults, Layers, load_dry, load_role};

/// The `roundtrip` binary, started in the tests' data folder without variables of ours.
fn roundtrip(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROUNDTRIP_"))
    {
        command.env_remove(name);
    }
    command.current_dir(data()).args(arguments).output().unwrap()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dsl")
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// A role and pipelines in a folder of their own.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, role: &str, layers: &Layers) -> Result<RoleSpec, Faults> {
        load_role(self.0.path().join(role).to_str().unwrap(), layers)
    }

    /// What a person reads, with the folder's name taken out.
    fn refusal(&self, role: &str, layers: &Layers) -> String {
        let faults = self.load(role, layers).unwrap_err().to_string();
        faults.replace(self.0.path().to_str().unwrap(), "<lab>")
    }
}

/// Compares with a snapshot beside the invalid files.
macro_rules! assert_words {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => "snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

fn set(assignments: &[&str]) -> Layers {
    Layers {
        set: assignments.iter().map(|&text| text.to_owned()).collect(),
        ..Layers::default()
    }
}

fn environment(variables: &[(&str, &str)]) -> Layers {
    let environment = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Layers {
        environment,
        ..Layers::default()
    }
}

#[path = "dsl/layers.rs"]
mod layers;
#[path = "dsl/refusals.rs"]
mod refusals;
#[path = "dsl/shipped.rs"]
mod shipped;
