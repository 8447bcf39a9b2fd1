//! Roles for replay: the specs of a role with the very policies that production decides by.

mod unjudged;

use std::path::Path;

use roundtrip_core::job::Job;
use roundtrip_testkit::replay::{Line, Replay, Role, Settings, Summary, Survey};

use crate::dsl::spec::RoleSpec;
use crate::error::Result;
use crate::pipelines;
use crate::recordings::{self, Source};
use crate::source::lanes;

pub use unjudged::unjudged;

/// A role as replay plays it.
pub fn role(spec: &RoleSpec) -> Result<Role> {
    let pipelines = spec.pipelines.iter();
    let pipelines =
        pipelines.map(|(name, pipeline)| Ok((name.clone(), pipelines::pipeline(pipeline, spec)?)));
    Ok(Role {
        name: spec.name.clone(),
        shards: spec.store.shards,
        news_after: spec.stream.interval,
        pipelines: pipelines.collect::<Result<_>>()?,
    })
}

/// The replay of a role on a recording, which a role that claims jobs needs to be read beforehand. `recorded`: the role of
/// the recording's fetchers, where that is another.
pub fn start(
    spec: &RoleSpec,
    recorded: Option<&RoleSpec>,
    settings: Settings,
    recording: &Source,
) -> Result<Replay> {
    let role = role(spec)?;
    let analyses_max = match recorded {
        Some(recorded) => self::role(recorded)?.analyses_max(),
        None => role.analyses_max(),
    };
    let needs_survey = role.needs_survey();
    let replay = Replay::new(role, settings, verify);
    if !needs_survey {
        return Ok(replay);
    }
    recording.keep()?;
    let mut survey = Survey::new(analyses_max);
    for happening in recording.open()? {
        survey.take(happening.map_err(|error| recordings::unreadable(recording.path(), error))?);
    }
    Ok(replay.with(survey))
}

/// The decisions a role takes on a recording, and what is to be known about that.
pub fn decisions(
    spec: &RoleSpec,
    settings: Settings,
    recording: &Path,
) -> Result<(Vec<Line>, Summary, Vec<String>)> {
    let source = Source::new(recording);
    let mut replay = start(spec, None, settings, &source)?;
    let mut lines = Vec::new();
    let mut happenings = source.open()?;
    for happening in &mut happenings {
        replay.happen(happening.map_err(|error| recordings::unreadable(recording, error))?);
        lines.append(&mut replay.lines());
    }
    replay.finish();
    lines.append(&mut replay.lines());
    Ok((lines, replay.summary().clone(), happenings.notes()))
}

/// Whether a record is what its client signed: what replay asks where a recording does not say.
pub fn verify(job: &Job) -> Result<(), String> {
    lanes::verified(job)
}
