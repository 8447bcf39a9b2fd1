//! The language of pipelines and roles: TOML in layers becomes specs that are valid by construction.
//!
//! Loading goes through three types: raw tables as they are written, specs as they are meant, and the running
//! parts, which are made elsewhere. All faults are gathered, each with its place and what to do about it.
//! Folders named in a TOML file or by `--set` are relative to the current working directory; `use` paths are
//! relative to the role file.

use std::collections::BTreeMap;
use std::path::Path;

mod assemble;
mod build;
pub mod chain;
mod document;
pub mod fault;
mod layers;
mod raw;
mod read;
pub mod shipped;
pub mod spec;
mod tree;
mod units;
mod words;

pub use fault::{Fault, Faults};
use spec::RoleSpec;

/// The values of a role by their keys.
pub type Values = BTreeMap<String, figment::value::Value>;

/// What lies over the files of a role, weakest first: a profile, the environment, `--set`.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The profile asked for on the command line; else `ROUNDTRIP_PROFILE`.
    pub profile: Option<String>,
    /// `PIPELINE.SECTION.KEY=VALUE`, as given with `--set`.
    pub set: Vec<String>,
    /// Environment variables; those that do not begin with `ROUNDTRIP_` do not matter.
    pub environment: Vec<(String, String)>,
}

impl Layers {
    /// The layers of a command line in the environment of this process.
    pub fn of_process(profile: Option<String>, set: Vec<String>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let ours = |(name, _): &(String, String)| name.starts_with("ROUNDTRIP_");
        Self {
            profile,
            set,
            environment: std::env::vars_os().filter_map(text).filter(ours).collect(),
        }
    }

    /// The profile that counts, and where it was named.
    fn profile(&self) -> Option<(String, String)> {
        let asked = self
            .profile
            .as_ref()
            .map(|name| (name.clone(), format!("--profile {name}")));
        asked.or_else(|| {
            let set = self
                .environment
                .iter()
                .find(|(name, value)| name == "ROUNDTRIP_PROFILE" && !value.is_empty())?;
            Some((set.1.clone(), "environment variable ROUNDTRIP_PROFILE".into()))
        })
    }
}

/// Loads a role: a TOML file, or the name of a shipped one.
pub fn load_role(name_or_path: &str, layers: &Layers) -> Result<RoleSpec, Faults> {
    let (spec, faults) = judge(assemble::role(find(name_or_path)?, layers, &[]));
    if faults.faults.is_empty() {
        Ok(spec)
    } else {
        Err(faults)
    }
}

/// Loads a role of which nothing is run, only decided: a processor or a folder that is not named yet is no fault.
/// Such a folder is empty, such a processor the built-in one.
pub fn load_dry(name_or_path: &str, layers: &Layers) -> Result<RoleSpec, Faults> {
    load_dry_beside(name_or_path, layers, &[])
}

/// The values of a role under its layers, by their keys: `upload.chunker.fixed.size`, `store.bucket`. Of what is wrong with
/// the role only that it cannot be found is a fault here.
pub fn values(name_or_path: &str, layers: &Layers) -> Result<Values, Faults> {
    Ok(assemble::role(find(name_or_path)?, layers, &[]).by_key())
}

/// `together`: the pipelines of all roles that are loaded with it, its own among them.
fn load_dry_beside(name_or_path: &str, layers: &Layers, together: &[String]) -> Result<RoleSpec, Faults> {
    let (spec, mut faults) = judge(assemble::role(find(name_or_path)?, layers, together));
    faults.faults.retain(|fault| !fault.missing);
    if faults.faults.is_empty() {
        Ok(spec)
    } else {
        Err(faults)
    }
}

/// Loads several roles as [`load_dry`] does, each under its layers. What `--set` says of a pipeline is for the roles
/// that have it, and a fault where none has.
pub fn load_dry_together(roles: &[(String, Layers)]) -> Result<Vec<RoleSpec>, Faults> {
    let mut together: Vec<String> = Vec::new();
    for (role, layers) in roles {
        together.extend(pipelines_of(role, layers)?);
    }
    together.sort();
    together.dedup();
    let load = |(role, layers): &(String, Layers)| load_dry_beside(role, layers, &together);
    roles.iter().map(load).collect()
}

/// The names of a role's pipelines, whatever else is wrong with it.
pub fn pipelines_of(name_or_path: &str, layers: &Layers) -> Result<Vec<String>, Faults> {
    let unset = Layers {
        set: Vec::new(),
        ..layers.clone()
    };
    Ok(assemble::role(find(name_or_path)?, &unset, &[]).pipelines())
}

fn find(name_or_path: &str) -> Result<document::Document, Faults> {
    assemble::find_role(name_or_path)
        .map_err(|fault| Faults::new(format!("role {name_or_path}"), vec![fault]))
}

/// Whether a TOML file is meant as a pipeline, not as a role, whatever else may be wrong with it.
pub fn is_pipeline(file: &Path) -> bool {
    document::Document::read(file).is_ok_and(|document| document.is_pipeline())
}

/// Checks a file: a role where it lists pipelines, else a pipeline. What a stronger layer may still give is
/// among the faults, marked as missing.
pub fn check_file(file: &Path) -> Faults {
    let document = match document::Document::read(file) {
        Ok(document) => document,
        Err(fault) => return Faults::new(file.display().to_string(), vec![fault]),
    };
    if !document.is_role() {
        return judge(assemble::pipeline(document)).1;
    }
    // What a profile says counts only when it is chosen: each is tried once.
    let profiles = document.profiles();
    let (_, mut faults) = judge(assemble::role(document, &Layers::default(), &[]));
    for profile in profiles {
        if let Ok(document) = document::Document::read(file) {
            let layers = Layers {
                profile: Some(profile),
                ..Layers::default()
            };
            faults = faults.and(judge(assemble::role(document, &layers, &[])).1);
        }
    }
    faults
}

fn judge(assembly: assemble::Assembly) -> (RoleSpec, Faults) {
    let assemble::Assembly {
        subject,
        fallback_name,
        stack,
        values,
        mut faults,
        lost,
    } = assembly;
    let read = read::read(values, &stack, lost);
    let (spec, mut more) = build::role(read, &stack, &fallback_name);
    faults.append(&mut more);
    (spec, Faults::new(subject, faults))
}
