//! `roundtrip check`: pipelines and roles, offline.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use walkdir::WalkDir;

use super::Format;
use super::output::{print, say, tell};
use crate::dsl::fault::Origin;
use crate::dsl::{self, Fault, Faults};
use crate::error::{Error, Exit, Result};

/// Arguments of `roundtrip check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Pipelines and roles, and folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How to say what was found: lines `ok  path` on standard output with faults on standard error, or one JSON
    /// document on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// One file as JSON tells it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    path: String,
    ok: bool,
    faults: Vec<Finding<'a>>,
    /// What a stronger layer still has to give: no fault of a file that is checked alone.
    unset: Vec<Finding<'a>>,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    message: &'a str,
    help: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    origin: Option<&'a str>,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments { paths, format } = arguments;
    let files = files(paths)?;
    let mut checked = Vec::new();
    for file in files {
        let faults = dsl::check_file(&file);
        checked.push((file, faults));
    }
    match format {
        Format::Text => checked
            .iter()
            .for_each(|(file, faults)| report_text(file, faults)),
        Format::Json => {
            let reports: Vec<Report<'_>> = checked
                .iter()
                .map(|(file, faults)| report(file, faults))
                .collect();
            let text =
                serde_json::to_string_pretty(&reports).map_err(|error| Error::failed(error.to_string()))?;
            print(format!("{text}\n").as_bytes())?;
        }
    }
    let wrong = checked
        .iter()
        .any(|(_, faults)| faults.faults.iter().any(|fault| !fault.missing));
    Ok(if wrong { Exit::Config } else { Exit::Done })
}

/// The files to check: those named, and every TOML file of the folders named.
fn files(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.exists() {
            return Err(Error::usage(format!("{} does not exist", path.display()))
                .hint("name TOML files or folders of them; `roundtrip init DIR` writes the shipped ones"));
        }
        if path.is_file() {
            files.push(path);
            continue;
        }
        let before = files.len();
        for entry in WalkDir::new(&path).sort_by_file_name() {
            let entry = entry
                .map_err(|error| Error::config(format!("cannot read {}", path.display())).because(error))?;
            let is_toml = entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "toml");
            if is_toml && entry.path().is_file() {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            return Err(Error::usage(format!("{} holds no TOML file", path.display()))
                .hint("name a folder of pipelines and roles; `roundtrip init DIR` writes the shipped ones"));
        }
    }
    Ok(files)
}

fn report_text(file: &Path, faults: &Faults) {
    let (unset, wrong): (Vec<&Fault>, Vec<&Fault>) = faults.faults.iter().partition(|fault| fault.missing);
    if wrong.is_empty() {
        let unset = unset
            .iter()
            .map(|fault| fault.what.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let left = if unset.is_empty() {
            unset
        } else {
            format!("  (left to the role or command line: {unset})")
        };
        tell(&format!("ok  {}{left}", file.display()));
        return;
    }
    for fault in wrong {
        say(&format!("{fault}\n"));
    }
}

fn report<'a>(file: &Path, faults: &'a Faults) -> Report<'a> {
    let (unset, wrong): (Vec<&Fault>, Vec<&Fault>) = faults.faults.iter().partition(|fault| fault.missing);
    let lines = |faults: Vec<&'a Fault>| faults.into_iter().map(line).collect();
    Report {
        path: file.display().to_string(),
        ok: wrong.is_empty(),
        faults: lines(wrong),
        unset: lines(unset),
    }
}

fn line(fault: &Fault) -> Finding<'_> {
    let (message, help) = (fault.what.as_str(), fault.help.as_deref());
    match &fault.origin {
        Origin::Text(spot) => {
            let (line, column) = spot.line_and_column();
            Finding {
                message,
                help,
                file: Some(&spot.path),
                line: Some(line),
                column: Some(column),
                origin: None,
            }
        }
        Origin::Named(name) => Finding {
            message,
            help,
            file: None,
            line: None,
            column: None,
            origin: Some(name),
        },
    }
}
