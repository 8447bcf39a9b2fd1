//! Roles for simulation: one pipeline of each kind, of the roles that are named and else of the shipped ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roundtrip_core::caretaker::Duty;
use roundtrip_testkit::pipelines::Pipeline;
use roundtrip_testkit::simulate::{Policies, VERSION};

use crate::dsl::spec::{ManifestNeed, PipelineSpec, RoleSpec, SinkSpec, SourceSpec, Watch};
use crate::dsl::{self, Layers};
use crate::error::{Error, Result};
use crate::pipelines;
use crate::run::policy;

/// Between them they have a pipeline of each kind.
const SHIPPED: [&str; 3] = ["client", "fetcher", "watcher"];

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The policies of its pipelines.
    pub policies: Policies,
    /// Which pipelines these are, in a line.
    pub origin: String,
    /// What the roles say and no simulation plays, each in a line.
    pub left_out: Vec<String>,
}

/// A pipeline that is simulated, and the role it is from.
struct Chosen<'a> {
    role: &'a str,
    name: &'a str,
    spec: &'a PipelineSpec,
    of: &'a RoleSpec,
}

/// Roles as they are named on a command line, and what lies over them. Of a kind that no role has, the shipped pipeline
/// is taken: as it is shipped, but for what `--set` says of it and of none of the roles' own.
///
/// # Errors
/// A role that cannot be loaded, two pipelines of one kind, roles that have other numbers of shards, or a `--set` of a
/// shipped pipeline whose place another has taken.
pub fn simulated(roles: &[String], layers: &Layers) -> Result<Simulated> {
    let mut own = Vec::new();
    for role in roles {
        own.extend(dsl::pipelines_of(role, layers)?);
    }
    let mut shipped = Layers {
        set: layers.set.clone(),
        ..Layers::default()
    };
    shipped
        .set
        .retain(|assignment| !own.iter().any(|name| name == pipeline_of(assignment)));
    let named = roles.iter().map(|role| (role.clone(), layers.clone()));
    let all: Vec<(String, Layers)> = named
        .chain(SHIPPED.map(|role| (role.to_owned(), shipped.clone())))
        .collect();
    let specs = dsl::load_dry_together(&all)?;
    let origins: Vec<String> = roles
        .iter()
        .cloned()
        .chain(SHIPPED.map(|role| format!("the shipped {role}")))
        .collect();

    let mut chosen: BTreeMap<&'static str, Chosen<'_>> = BTreeMap::new();
    // Every pipeline of these is replaced: the shipped roles have one of each kind.
    let mut policies = Policies::shipped();
    for (number, (spec, role)) in specs.iter().zip(&origins).enumerate() {
        for (name, pipeline) in &spec.pipelines {
            let part = pipelines::pipeline(pipeline, spec)?;
            let kind = kind(&part);
            if let Some(other) = chosen.get(kind) {
                if number < roles.len() {
                    return Err(twice(kind, (other.name, other.role), (name, role)));
                }
                replaced(&layers.set, name, other)?;
                continue;
            }
            put(&mut policies, part);
            chosen.insert(
                kind,
                Chosen {
                    role,
                    name,
                    spec: pipeline,
                    of: spec,
                },
            );
        }
    }
    let policies = policies.with_shards(shards(&specs, &origins, roles.len())?);
    Ok(Simulated {
        policies: reading(policies, &chosen),
        origin: origin(&chosen, &origins, &layers.set),
        left_out: chosen.values().flat_map(left_out).collect(),
    })
}

/// What a pipeline does: there is one of each kind.
const fn kind(pipeline: &Pipeline) -> &'static str {
    match pipeline {
        Pipeline::Upload(_) => "ship files",
        Pipeline::Collect(_) => "collect results",
        Pipeline::Analyse(_) => "claim jobs",
        Pipeline::Care(care) => match care.duty {
            Duty::Clean { .. } => "clean up",
            Duty::Requeue(_) => "give lost jobs to others",
            Duty::Admit { .. } => "admit foreign jobs",
        },
        Pipeline::Sweep(_) => "sweep the bucket",
        Pipeline::Queue(_) => "tell the queue's length",
    }
}

fn put(policies: &mut Policies, pipeline: Pipeline) {
    match pipeline {
        Pipeline::Upload(upload) => policies.upload = upload,
        Pipeline::Collect(collect) => policies.collect = collect,
        Pipeline::Analyse(analyse) => policies.analyse = *analyse,
        Pipeline::Care(care) => match care.duty {
            Duty::Clean { .. } => policies.clean = care,
            Duty::Requeue(_) => policies.requeue = care,
            Duty::Admit { .. } => policies.admit = care,
        },
        Pipeline::Sweep(sweep) => policies.sweep = sweep,
        Pipeline::Queue(queue) => policies.queue = queue,
    }
}

fn twice(kind: &str, (one, of): (&str, &str), (other, of_other): (&str, &str)) -> Error {
    let which = if of == of_other {
        format!("`{one}` and `{other}` of {of}")
    } else {
        format!("`{one}` of {of} and `{other}` of {of_other}")
    };
    Error::usage(format!("{which} both {kind}")).hint(
        "a simulation plays one pipeline of each kind: take one out of a copy of its role, and name that",
    )
}

/// The pipeline that `--set` speaks of.
fn pipeline_of(assignment: &str) -> &str {
    let keys = assignment.strip_prefix("pipelines.").unwrap_or(assignment);
    keys.split('.').next().unwrap_or_default().trim()
}

/// Whether something was set of a shipped pipeline that is not played.
fn replaced(set: &[String], name: &str, by: &Chosen<'_>) -> Result<()> {
    match set.iter().find(|assignment| pipeline_of(assignment) == name) {
        Some(assignment) if by.name != name => Err(Error::usage(format!(
            "--set {assignment}: the shipped `{name}` is not simulated, `{}` of {} takes its place",
            by.name, by.role
        ))
        .hint(format!("set it of `{}`", by.name))),
        Some(_) | None => Ok(()),
    }
}

/// The number of shards: every role on a table has the same.
fn shards(specs: &[RoleSpec], origins: &[String], named: usize) -> Result<u32> {
    let mut known: Option<(u32, &str)> = None;
    for (spec, role) in specs.iter().zip(origins).take(named.max(1)) {
        let shards = spec.store.shards;
        match known {
            Some((other, of)) if other != shards => {
                let what = format!("`store.shards` is {other} in {of} and {shards} in {role}");
                return Err(Error::usage(what)
                    .hint("every role on a table has the same number of shards: --set store.shards=N sets it for all"));
            }
            Some(_) => {}
            None => known = Some((shards, role)),
        }
    }
    Ok(known.map_or(1, |(shards, _)| shards))
}

/// The stream is read as the role says whose pipelines hear of it.
fn reading(mut policies: Policies, chosen: &BTreeMap<&'static str, Chosen<'_>>) -> Policies {
    let hears = |chosen: &&Chosen<'_>| match &chosen.spec.source {
        SourceSpec::Jobs(source) => source.stream,
        SourceSpec::Foreign(source) => source.stream,
        SourceSpec::Directory(_) | SourceSpec::Results(_) | SourceSpec::Lanes(_) | SourceSpec::Objects(_) => {
            false
        }
    };
    let mut hearing = chosen.values().filter(hears);
    let first = hearing
        .clone()
        .find(|chosen| !chosen.role.starts_with("the shipped "));
    if let Some(chosen) = first.or_else(|| hearing.next()) {
        policies.stream = policy::stream(&chosen.of.stream, "");
    }
    policies
}

/// `analyse of my.toml; receive, upload of the shipped client; ...`
fn origin(chosen: &BTreeMap<&'static str, Chosen<'_>>, origins: &[String], set: &[String]) -> String {
    let mut text = String::new();
    for role in origins {
        let mut names: Vec<&str> = chosen
            .values()
            .filter(|chosen| chosen.role == role)
            .map(|chosen| chosen.name)
            .collect();
        names.sort_unstable();
        if !names.is_empty() {
            let between = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{between}{} of {role}", names.join(", "));
        }
    }
    for assignment in set {
        let _ = write!(text, "; --set {assignment}");
    }
    text
}

/// What a pipeline says and no simulation plays.
fn left_out(chosen: &Chosen<'_>) -> Vec<String> {
    let Chosen { role, name, spec, .. } = chosen;
    let mut left = Vec::new();
    let mut note = |key: &str, instead: &str| left.push(format!("{key} of `{name}` of {role}: {instead}"));
    if !spec.notify.is_empty() {
        note("[notify]", "nobody is told");
    }
    if let Some(claim) = &spec.claim {
        if claim.manifest == ManifestNeed::Required {
            note("claim.manifest", "jobs of foreign clients are taken");
        }
        if claim.versions.is_some() {
            note("claim.versions", &format!("every client states {VERSION}"));
        }
    }
    match &spec.source {
        SourceSpec::Directory(source) if source.watch == Watch::Poll => {
            note("source.directory.watch", "changes are noticed");
        }
        SourceSpec::Directory(_)
        | SourceSpec::Jobs(_)
        | SourceSpec::Results(_)
        | SourceSpec::Foreign(_)
        | SourceSpec::Lanes(_)
        | SourceSpec::Objects(_) => {}
    }
    match &spec.sink {
        SinkSpec::Jobs(sink) if sink.priority > 0 => {
            note("sink.jobs.priority", "one client in three is urgent");
        }
        SinkSpec::Jobs(_)
        | SinkSpec::Processor(_)
        | SinkSpec::Directory(_)
        | SinkSpec::Delete(_)
        | SinkSpec::Requeue
        | SinkSpec::Admit(_)
        | SinkSpec::Metrics(_)
        | SinkSpec::Sweep => {}
    }
    left
}

#[cfg(test)]
mod tests;
