//! `roundtrip replay`: the decisions a role takes on a recorded history.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_testkit::replay::{Compared, Comparison, Line, Replay, Settings};
use serde_json::json;

use super::Format;
use super::output::{Lines, say};
use crate::dsl::shipped::Shipped;
use crate::dsl::spec::RoleSpec;
use crate::dsl::{self, Layers, Values};
use crate::error::{Error, Exit, Result};
use crate::recordings::{self, Recording, Source};
use crate::replay;
use report::Target;

mod report;

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A recording: of `roundtrip record`, of `aws dynamodbstreams get-records`, or Lambda's events, also
    /// compressed (.zst); - for standard input
    recording: PathBuf,
    /// Puts the records in order first, up to 1 GiB of them: for those of several shards one after the other
    #[arg(long)]
    sort: bool,
    /// The role: a TOML file, or a shipped one (client, fetcher, watcher)
    #[arg(long)]
    role: String,
    /// Another role, or the same one before a change: prints only the decisions that differ
    #[arg(long, value_name = "OLD")]
    against: Option<String>,
    /// Sets a value over all files of the role, for example restart-stalled.retry.attempts-max=3
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The profile of the role files to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Until when records are taken and schedules fired, for example 2026-01-31T12:00:00Z; else ten minutes after the
    /// last record
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Keeps the recorded course: what the role would write is told and not done
    #[arg(long)]
    strict: bool,
    /// What the jitter of waits is made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Draws what became of the jobs, and what differs, as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// With --against: decisions that have moved by less than this are counted, not listed
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration, requires = "against")]
    moves_min: Duration,
    /// How decisions are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            strict: self.strict,
            until: self.until,
            seed: self.seed,
        }
    }

    /// What a report is called: the recording and the roles, with what lies over their files.
    fn title(&self) -> String {
        let mut title = format!("{} with {}", self.recording.display(), called(&self.role));
        for set in &self.set {
            title.push_str(" --set ");
            title.push_str(&shown(set));
        }
        if let Some(old) = &self.against {
            title.push_str(" against ");
            title.push_str(&called(old));
        }
        if let Some(profile) = &self.profile {
            title.push_str(", --profile ");
            title.push_str(profile);
        }
        if self.strict {
            title.push_str(", --strict");
        }
        title
    }

    fn target(&self) -> Result<Option<Target<'_>>> {
        let target = self.report.as_deref();
        target.map(|file| Target::new(file, &self.recording)).transpose()
    }

    /// A role; `set` lies over the one that is asked about, not over the one it is compared with.
    fn load(&self, role: &str, set: Vec<String>) -> Result<(RoleSpec, Values)> {
        let layers = Layers::of_process(self.profile.clone(), set);
        Ok((dsl::load_dry(role, &layers)?, dsl::values(role, &layers)?))
    }

    fn print(&self, out: &mut Lines, lines: &[Line]) -> Result<()> {
        lines.iter().try_for_each(|line| match self.format {
            Format::Text => out.line(&line.text()),
            Format::Json => out.line(&line.json()),
        })
    }

    fn replay(&self, spec: &RoleSpec, recorded: Option<&RoleSpec>, source: &Source) -> Result<Replay> {
        replay::start(spec, recorded, self.settings(), source)
    }
}

/// A role as a report names it.
fn called(role: &str) -> String {
    match Shipped::role(role) {
        Some(_) => format!("the shipped {role}"),
        None => role.to_owned(),
    }
}

/// A value of `--set` as a report shows it. Reports are handed round, and what follows the host of an address may be
/// all that keeps others from writing to it.
fn shown(set: &str) -> String {
    let Some((before, address)) = set.split_once("://") else {
        return set.to_owned();
    };
    let host = address.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let cut = if address.ends_with(host) { "" } else { "/…" };
    format!("{before}://{host}{cut}")
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let target = arguments.target()?;
    let (spec, values) = arguments.load(&arguments.role, arguments.set.clone())?;
    let source = Source::new(&arguments.recording).sorted(arguments.sort);
    let against = arguments.against.as_ref();
    let against = against.map(|old| Ok::<_, Error>((old, arguments.load(old, Vec::new())?)));
    let against = against.transpose()?;
    let recorded = against.as_ref().map(|(_, (old, _))| old);
    let mut new = arguments.replay(&spec, recorded, &source)?;
    if arguments.report.is_some() {
        new = new.with_timeline();
    }
    match against {
        None => tell(arguments, &source, target, new),
        Some((old, (old_spec, old_values))) => {
            for key in replay::unjudged((&old_spec, &old_values), (&spec, &values)) {
                say(&format!(
                    "note: {key} differs; no recording tells what comes of that, and so no replay does"
                ));
            }
            let old_replay = arguments.replay(&old_spec, None, &source)?;
            compare(arguments, &source, target, (old, old_replay), new)
        }
    }
}

/// Prints the decisions.
fn tell(
    arguments: &Arguments,
    source: &Source,
    target: Option<Target<'_>>,
    mut replay: Replay,
) -> Result<Exit> {
    let mut out = Lines::new(target.is_some());
    let mut recording = source.open()?;
    for happening in &mut recording {
        let happening = happening.map_err(|error| recordings::unreadable(&arguments.recording, error))?;
        replay.happen(happening);
        arguments.print(&mut out, &replay.lines())?;
        if out.is_left() && target.is_none() {
            return Ok(Exit::Done);
        }
    }
    while replay.go_on() {
        arguments.print(&mut out, &replay.lines())?;
        if out.is_left() && target.is_none() {
            return Ok(Exit::Done);
        }
    }
    arguments.print(&mut out, &replay.lines())?;
    let printed = out.end();
    note(&recording, arguments, replay.summary().end.is_none());
    if let (Some(target), Some(timeline)) = (target, replay.timeline()) {
        target.write(&arguments.title(), timeline, None)?;
    }
    printed?;
    Ok(Exit::Done)
}

/// Prints the decisions that differ, and what that means.
fn compare(
    arguments: &Arguments,
    source: &Source,
    target: Option<Target<'_>>,
    old: (&str, Replay),
    new: Replay,
) -> Result<Exit> {
    let (old_name, old) = old;
    let mut comparison = Comparison::new(old, new, arguments.moves_min);
    let mut recording = source.open()?;
    for happening in &mut recording {
        comparison.happen(happening.map_err(|error| recordings::unreadable(&arguments.recording, error))?);
    }
    let compared = comparison.finish();
    if compared.records == 0 {
        note(&recording, arguments, false);
        return Err(nothing_compared(arguments, &recording));
    }
    let (differences, effects, differs) = (&compared.differences, &compared.effects, compared.differs());
    let mut out = Lines::new(target.is_some());
    if let (Some(target), Some(timeline)) = (target, comparison.timeline()) {
        let difference = report::difference(differences, effects);
        target.write(&arguments.title(), timeline, Some(&difference))?;
    }
    let print = || -> Result<()> {
        match arguments.format {
            Format::Text if !differs => {
                out.line("no decision differs")?;
                still_open(&compared).iter().try_for_each(|open| out.line(open))?;
            }
            Format::Text => {
                out.line(&format!("--- {old_name}"))?;
                out.line(&format!("+++ {}", arguments.role))?;
                for difference in differences {
                    out.line(&format!("@@ {} @@", difference.subject))?;
                    for (side, line) in &difference.lines {
                        out.line(&format!("{}{}", side.sign(), line.text()))?;
                    }
                }
                out.line("")?;
                for effect in effects {
                    out.line(&effect.text)?;
                }
                still_open(&compared).iter().try_for_each(|open| out.line(open))?;
            }
            Format::Json => {
                for (side, line) in differences.iter().flat_map(|difference| &difference.lines) {
                    let (side, line) = (side.sign(), line.json());
                    out.line(&format!("{{\"side\":\"{side}\",\"decision\":{line}}}"))?;
                }
                let effects: Vec<_> = effects
                    .iter()
                    .map(|effect| json!({"count": effect.count, "text": effect.text}))
                    .collect();
                let both = |(old, new): (usize, usize)| json!({"old": old, "new": new});
                let (open, uncleaned) = (both(compared.open), both(compared.uncleaned));
                let told =
                    json!({"differs": differs, "effects": effects, "open": open, "uncleaned": uncleaned});
                out.line(&told.to_string())?;
            }
        }
        out.end()
    };
    print()?;
    note(&recording, arguments, false);
    Ok(if differs { Exit::Failed } else { Exit::Done })
}

/// A change that no recorded job was held against is not shown to be harmless.
fn nothing_compared(arguments: &Arguments, recording: &Recording) -> Error {
    let file = arguments.recording.display();
    let hint = match (recording.records(), arguments.until) {
        (0, _) => "record a running table: roundtrip record --out FILE",
        (_, Some(_)) => "name a later moment with --until",
        (_, None) => "name a recording of a jobs table",
    };
    let what = lack(recording, arguments);
    Error::usage(format!("nothing was compared: {file} {what}")).hint(hint)
}

/// What a recording lacks of which nothing can be replayed.
fn lack(recording: &Recording, arguments: &Arguments) -> &'static str {
    match (recording.records(), arguments.until) {
        (0, _) => "is empty",
        (_, Some(_)) => "tells of no job before --until",
        (_, None) => "tells of no job",
    }
}

/// What a comparison says of jobs whose end it does not see.
fn still_open(compared: &Compared) -> Vec<String> {
    let end = compared.end.map(iso::write).unwrap_or_default();
    let tell = |(old, new): (usize, usize), one: &str, many: &str| {
        let jobs = if new == 1 { one } else { many };
        format!("{new} {jobs} when the replay ends, {end} ({old} under the old role): --until goes on")
    };
    let (open, uncleaned) = (compared.open, compared.uncleaned);
    let open = (open != (0, 0)).then(|| tell(open, "job is still open", "jobs are still open"));
    let one = "finished job is not cleaned yet";
    let uncleaned =
        (uncleaned.0 != uncleaned.1).then(|| tell(uncleaned, one, "finished jobs are not cleaned yet"));
    open.into_iter().chain(uncleaned).collect()
}

/// Says what is to be known about the recording; `is_empty`: nothing of it was replayed.
fn note(recording: &Recording, arguments: &Arguments, is_empty: bool) {
    for note in recording.notes() {
        say(&format!("note: {note}"));
    }
    if is_empty && recording.records() > 0 {
        say(&format!(
            "note: nothing was replayed: the recording {}",
            lack(recording, arguments)
        ));
    }
}

/// A moment of the command line.
fn moment(text: &str) -> Result<Timestamp, String> {
    iso::read(text).ok_or_else(|| "an ISO 8601 time with its offset, such as 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_up_to_its_host() {
        for (set, expected) in [
            (
                "restart-stalled.retry.attempts-max=3",
                "restart-stalled.retry.attempts-max=3",
            ),
            (
                "queue-length.notify.any.webhook=https://hooks.example.org/T0/secret",
                "queue-length.notify.any.webhook=https://hooks.example.org/…",
            ),
            ("a.url=http://user:word@host:80?key=1", "a.url=http://host:80/…"),
            ("a.url=http://host", "a.url=http://host"),
        ] {
            assert_eq!(shown(set), expected);
        }
    }
}
