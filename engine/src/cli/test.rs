//! `roundtrip test`: replays recordings against roles and compares the decisions with the snapshots beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use roundtrip_testkit::replay::Settings;

use super::output::{Lines, say};
use crate::dsl::spec::RoleSpec;
use crate::dsl::{self, Layers};
use crate::error::{self, Error, Exit, Result};
use crate::replay;

/// Lines of a difference that are printed, at most.
const SHOWN_MAX: usize = 20;

/// What the names of snapshots end in.
const SNAPSHOT: &str = "decisions";

/// Arguments.
#[derive(Debug, Args)]
#[command(
    after_help = "The roles are taken as their files say: no environment variable ROUNDTRIP_... changes them, so that the \
                  decisions are the same on every machine. --set does."
)]
pub struct Arguments {
    /// A folder with recordings (*.jsonl, *.jsonl.zst), or one recording
    path: PathBuf,
    /// A role; else each role file of the folder, else the shipped watcher
    #[arg(long)]
    role: Vec<String>,
    /// Sets a value over all files of the roles
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Writes the decisions as the new snapshots; removes none
    #[arg(long)]
    accept: bool,
}

/// A role under the name that snapshots have it under.
struct Role {
    /// As it was named, for messages.
    from: String,
    name: String,
    spec: RoleSpec,
}

/// One recording against one role.
struct Case<'a> {
    recording: &'a Path,
    role: &'a Role,
    snapshot: PathBuf,
}

/// What came of a case.
enum Verdict {
    Same,
    Written,
    Missing,
    /// The lines that differ, with their signs.
    Differs(Vec<String>),
    /// There is nothing to compare.
    Failed(Error),
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let (folder, recordings) = recordings(&arguments.path)?;
    let roles = roles(arguments, &folder)?;
    let cases = cases(&recordings, &roles)?;
    let (mut failed, mut out) = (0, Lines::new(false));
    for case in &cases {
        let verdict = case.judge(arguments.accept);
        failed += usize::from(!matches!(verdict, Verdict::Same | Verdict::Written));
        // As they come: what follows may take long, or fail.
        out.line(told(case, &verdict).trim_end())?;
        out.flush()?;
    }
    if arguments.path.is_dir() {
        for snapshot in stale(&folder, &cases, arguments)? {
            failed += 1;
            let what =
                "no recording here and role of this call go with it: delete it, or name its role with --role";
            out.line(&format!("stale    {}: {what}", snapshot.display()))?;
        }
    }
    out.end()?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// What is said of a case.
fn told(case: &Case<'_>, verdict: &Verdict) -> String {
    let what = format!("{} ({})", case.recording.display(), case.role.name);
    match verdict {
        Verdict::Same => format!("ok       {what}\n"),
        Verdict::Written => format!("accepted {what}\n"),
        Verdict::Missing => format!("new      {what}: there is no snapshot yet; --accept writes it\n"),
        Verdict::Differs(lines) => {
            let mut text = format!("differs  {what}\n");
            let more = lines.len().saturating_sub(SHOWN_MAX);
            for line in lines.iter().take(SHOWN_MAX) {
                let _ = writeln!(text, "  {line}");
            }
            if more > 0 {
                let _ = writeln!(text, "  and {more} more lines");
            }
            text
        }
        Verdict::Failed(error) => {
            let why = error::render(error).replace('\n', "\n  ");
            format!("failed   {what}\n  {why}\n")
        }
    }
}

/// The recordings of a path, and the folder they lie in.
fn recordings(path: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    if !fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        return Ok((folder.unwrap_or(Path::new(".")).to_owned(), vec![path.to_owned()]));
    }
    let is_recording = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")
    };
    let mut recordings = files(path)?;
    recordings.retain(is_recording);
    if recordings.is_empty() {
        let what = format!("there is no recording in {}", path.display());
        return Err(Error::usage(what).hint("`roundtrip record --out FILE.jsonl` makes one"));
    }
    Ok((path.to_owned(), recordings))
}

/// What lies in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(unreadable(folder))?;
    let files = entries.map(|entry| Ok(entry.map_err(unreadable(folder))?.path()));
    let mut files = files.collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::usage(format!("{} cannot be read", path.display())).because(error)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|has| has == extension)
}

/// Settings of other programs, and what an editor keeps beside a file.
fn is_hidden(file: &Path) -> bool {
    let name = file.file_name();
    name.is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// The roles to replay. A file that is no pipeline has to be a role: one that is broken is never passed over.
fn roles(arguments: &Arguments, folder: &Path) -> Result<Vec<Role>> {
    let mut wanted = arguments.role.clone();
    if wanted.is_empty() {
        let beside = files(folder)?.into_iter();
        wanted = beside
            .filter(|file| has_extension(file, "toml") && !is_hidden(file) && !file.is_dir())
            .filter(|file| !dsl::is_pipeline(file))
            .map(|file| file.to_string_lossy().into_owned())
            .collect();
    }
    if wanted.is_empty() {
        wanted.push("watcher".to_owned());
        let folder = folder.display();
        say(&format!(
            "note: there is no role file in {folder}: this is about the shipped watcher"
        ));
    }
    // Without the environment: a snapshot is the same on every machine.
    let layers = Layers {
        set: arguments.set.clone(),
        ..Layers::default()
    };
    let wanted: Vec<(String, Layers)> = wanted.into_iter().map(|role| (role, layers.clone())).collect();
    let specs = dsl::load_dry_together(&wanted)?;
    let named = |((from, _), spec): ((String, Layers), RoleSpec)| {
        replay::role(&spec)?;
        let stem = Path::new(&from).file_stem();
        let name = stem.map_or_else(|| from.clone(), |stem| stem.to_string_lossy().into_owned());
        Ok(Role { from, name, spec })
    };
    wanted.into_iter().zip(specs).map(named).collect()
}

/// Every recording against every role, each with a snapshot of its own.
fn cases<'a>(recordings: &'a [PathBuf], roles: &'a [Role]) -> Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    let mut owners: BTreeMap<PathBuf, (&Path, &Role)> = BTreeMap::new();
    for recording in recordings {
        for role in roles {
            let snapshot = snapshot(recording, &role.name);
            if let Some((other, other_role)) = owners.insert(snapshot.clone(), (recording, role)) {
                let both = if other == recording {
                    format!("the roles {} and {}", other_role.from, role.from)
                } else {
                    format!("{} and {}", other.display(), recording.display())
                };
                let what = format!("{both} would share the snapshot {}", snapshot.display());
                return Err(Error::usage(what).hint("rename one of them, or leave one out"));
            }
            cases.push(Case {
                recording,
                role,
                snapshot,
            });
        }
    }
    Ok(cases)
}

/// A recording's path without what says its format.
fn stem(recording: &Path) -> String {
    let name = recording.to_string_lossy();
    name.trim_end_matches(".zst")
        .trim_end_matches(".jsonl")
        .to_owned()
}

fn snapshot(recording: &Path, role: &str) -> PathBuf {
    PathBuf::from(format!("{}.{role}.{SNAPSHOT}", stem(recording)))
}

/// Snapshots that nothing is held against any more: a test that was accepted once and is not made now.
fn stale(folder: &Path, cases: &[Case<'_>], arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let mut snapshots = files(folder)?;
    snapshots.retain(|file| has_extension(file, SNAPSHOT));
    // Where roles are named on the command line, those of the others are none of this call's business.
    let of_other_role = |file: &Path| {
        let name = file.to_string_lossy();
        let is_of = |case: &Case<'_>| name.starts_with(&(stem(case.recording) + "."));
        !arguments.role.is_empty() && cases.iter().any(is_of)
    };
    snapshots.retain(|file| !cases.iter().any(|case| case.snapshot == *file) && !of_other_role(file));
    Ok(snapshots)
}

impl Case<'_> {
    fn judge(&self, accept: bool) -> Verdict {
        self.try_to_judge(accept).unwrap_or_else(Verdict::Failed)
    }

    fn try_to_judge(&self, accept: bool) -> Result<Verdict> {
        let (decided, notes) = self.decided()?;
        if decided != self.decided()?.0 {
            let what = format!("two replays of {} do not agree", self.recording.display());
            return Err(Error::failed(what).hint("this is a fault of the program: please report it"));
        }
        for note in notes {
            say(&format!("note: {}: {note}", self.recording.display()));
        }
        let snapshot = self.snapshot.display();
        match fs::read_to_string(&self.snapshot) {
            // Version control may have changed the ends of the lines, which no person would see.
            Ok(expected) if expected.lines().eq(decided.lines()) => Ok(Verdict::Same),
            Ok(_) | Err(_) if accept => {
                fs::write(&self.snapshot, &decided).map_err(|error| {
                    Error::unwritable(format!("{snapshot} cannot be written")).because(error)
                })?;
                Ok(Verdict::Written)
            }
            Ok(expected) => Ok(Verdict::Differs(differing(&expected, &decided))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Verdict::Missing),
            Err(error) => Err(Error::failed(format!("{snapshot} cannot be read")).because(error)),
        }
    }

    /// The decisions, and what is to be known about them.
    fn decided(&self) -> Result<(String, Vec<String>)> {
        let (lines, summary, notes) =
            replay::decisions(&self.role.spec, Settings::default(), self.recording)?;
        if summary.records == 0 {
            return Err(Error::usage("there is no record in it").hint("take it out, or record anew"));
        }
        Ok((lines.iter().map(|line| line.text() + "\n").collect(), notes))
    }
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
