//! `roundtrip test`: replays recordings against roles and compares the decisions with the snapshots beside them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use roundtrip_testkit::replay::Settings;

use super::output::print;
use crate::dsl::spec::RoleSpec;
use crate::dsl::{self, Layers};
use crate::error::{Error, Exit, Result};
use crate::replay;

/// Lines of a difference that are printed, at most.
const SHOWN_MAX: usize = 20;

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder with recordings (*.jsonl, *.jsonl.zst), or one recording
    path: PathBuf,
    /// A role; else each role file of the folder, else the shipped watcher
    #[arg(long)]
    role: Vec<String>,
    /// Sets a value over all files of the roles
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Writes the decisions as the new snapshots
    #[arg(long)]
    accept: bool,
}

/// What came of one recording and one role.
enum Verdict {
    Same,
    Written,
    Missing,
    /// The lines that differ, with their signs.
    Differs(Vec<String>),
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let (folder, recordings) = recordings(&arguments.path)?;
    let roles = roles(arguments, &folder)?;
    let (mut text, mut failed) = (String::new(), 0);
    for recording in &recordings {
        for (name, spec) in &roles {
            let verdict = judge(recording, name, spec, arguments.accept)?;
            let what = format!("{} ({name})", recording.display());
            let _ = match verdict {
                Verdict::Same => writeln!(text, "ok       {what}"),
                Verdict::Written => writeln!(text, "accepted {what}"),
                Verdict::Missing => {
                    failed += 1;
                    writeln!(
                        text,
                        "new      {what}: there is no snapshot yet; --accept writes it"
                    )
                }
                Verdict::Differs(lines) => {
                    failed += 1;
                    let _ = writeln!(text, "differs  {what}");
                    for line in lines.iter().take(SHOWN_MAX) {
                        let _ = writeln!(text, "  {line}");
                    }
                    match lines.len().saturating_sub(SHOWN_MAX) {
                        0 => Ok(()),
                        more => writeln!(text, "  and {more} more lines"),
                    }
                }
            };
        }
    }
    print(text.as_bytes())?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// The recordings of a path, and the folder they lie in.
fn recordings(path: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let unreadable =
        |error: io::Error| Error::usage(format!("{} cannot be read", path.display())).because(error);
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        return Ok((folder, vec![path.to_owned()]));
    }
    let is_recording = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")
    };
    let mut recordings = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        recordings.push(entry.map_err(unreadable)?.path());
    }
    recordings.retain(is_recording);
    recordings.sort();
    if recordings.is_empty() {
        let what = format!("there is no recording in {}", path.display());
        return Err(Error::usage(what).hint("`roundtrip record --out FILE.jsonl` makes one"));
    }
    Ok((path.to_owned(), recordings))
}

/// The roles to replay, by the name a snapshot has them under.
fn roles(arguments: &Arguments, folder: &Path) -> Result<Vec<(String, RoleSpec)>> {
    let mut wanted = arguments.role.clone();
    if wanted.is_empty() {
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            folder
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        wanted = files
            .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
            .filter(|file| dsl::is_role(file))
            .map(|file| file.to_string_lossy().into_owned())
            .collect();
        wanted.sort();
    }
    if wanted.is_empty() {
        wanted.push("watcher".to_owned());
    }
    let named = |role: String| {
        let spec = dsl::load_role(&role, &Layers::of_process(None, arguments.set.clone()))?;
        let name = Path::new(&role)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        Ok((name.unwrap_or(role), spec))
    };
    wanted.into_iter().map(named).collect()
}

fn judge(recording: &Path, role: &str, spec: &RoleSpec, accept: bool) -> Result<Verdict> {
    let decided = decided(spec, recording)?;
    if decided != self::decided(spec, recording)? {
        let what = format!("two replays of {} do not agree", recording.display());
        return Err(Error::failed(what).hint("this is a fault of the program: please report it"));
    }
    let name = recording.to_string_lossy();
    let name = name.trim_end_matches(".zst").trim_end_matches(".jsonl");
    let snapshot = PathBuf::from(format!("{name}.{role}.decisions"));
    let unwritable =
        |error: io::Error| Error::failed(format!("{} cannot be written", snapshot.display())).because(error);
    match fs::read_to_string(&snapshot) {
        Ok(expected) if expected == decided => Ok(Verdict::Same),
        Ok(_) | Err(_) if accept => {
            fs::write(&snapshot, &decided).map_err(unwritable)?;
            Ok(Verdict::Written)
        }
        Ok(expected) => Ok(Verdict::Differs(differing(&expected, &decided))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Verdict::Missing),
        Err(error) => Err(Error::failed(format!("{} cannot be read", snapshot.display())).because(error)),
    }
}

/// The decisions, and what is to be known about them.
fn decided(spec: &RoleSpec, recording: &Path) -> Result<(String, Vec<String>)> {
    let (lines, _, notes) = replay::decisions(spec, Settings::default(), recording)?;
    Ok((lines.iter().map(|line| line.text() + "\n").collect(), notes))
}

/// The lines between what both texts begin and end with.
fn differing(expected: &str, decided: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), decided.lines().collect());
    let head = std::iter::zip(&old, &new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = std::iter::zip(old.iter().rev(), new.iter().rev());
    let tail = tail.take_while(|(old, new)| old == new).count();
    let gone = old[..old.len() - tail].iter().map(|line| format!("-{line}"));
    gone.chain(new[..new.len() - tail].iter().map(|line| format!("+{line}")))
        .collect()
}
