//! A client of the recording: its jobs are files that the role would ship, and outcomes that it would collect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::collect::{self, Collect as Collector, Standing};
use roundtrip_core::file::{Sight, Stamp};
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::RecordKey;
use roundtrip_core::machine::{Decision, Machine as _, Reason};
use roundtrip_core::names::JobKey;
use roundtrip_core::plan::{Codec, Cut};
use roundtrip_core::upload::{self, Step, Upload};

use super::line::Outcome;
use super::table::Row;
use super::world::World;
use crate::pipelines::{CollectPipeline, UploadPipeline};

/// The pipeline that ships a client's files.
#[derive(Debug)]
pub(super) struct Ship {
    pub(super) name: String,
    pub(super) machine: Upload,
    chunk_size: u64,
    codec: Codec,
    /// Sizes of the files that are not shipped yet.
    files: BTreeMap<PathBuf, Stamp>,
    /// How many files wait, at most, and how often the others are looked for.
    waiting_max: usize,
    rescan: Duration,
    /// When they are looked for next; none while all have found a place.
    next_scan: Option<Timestamp>,
}

impl Ship {
    pub(super) fn new(name: &str, policy: &UploadPipeline) -> Self {
        Self {
            name: name.to_owned(),
            machine: Upload::new(policy.policy.clone()),
            chunk_size: policy.chunk_size.max(1),
            codec: policy.codec,
            files: BTreeMap::new(),
            waiting_max: policy.policy.intake.waiting_max,
            rescan: policy.rescan,
            next_scan: None,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.machine.wake_at().into_iter().chain(self.next_scan).min()
    }

    /// Time passed: what found no place may find one now.
    pub(super) fn tick(&mut self, world: &mut World) {
        if self.next_scan.is_some_and(|next| next <= world.now) {
            self.next_scan = None;
            let files: Vec<PathBuf> = self.files.keys().cloned().collect();
            for file in &files {
                self.see(world, file);
            }
            self.plan_scan(world);
        }
        self.machine.tick(world.at(&self.name, ""));
        self.pump(world);
    }

    fn plan_scan(&mut self, world: &World) {
        if self.files.len() > self.waiting_max && self.next_scan.is_none() {
            self.next_scan = Some(world.now + self.rescan);
        }
    }

    /// A file of this size is there: the one that was sent as this job.
    pub(super) fn sight(&mut self, world: &mut World, file: &str, size: u64) {
        let stamp = Stamp {
            size,
            modified: world.now,
            changed: world.now,
            identity: 0,
        };
        self.files.insert(PathBuf::from(file), stamp);
        self.see(world, Path::new(file));
        self.pump(world);
        self.plan_scan(world);
    }

    fn see(&mut self, world: &World, path: &Path) {
        let sight = match self.files.get(path) {
            Some(stamp) => Sight::File {
                stamp: stamp.clone(),
                busy: false,
            },
            None => Sight::Gone,
        };
        let event = upload::Event::Sighted {
            path: path.to_owned(),
            sight,
            known: None,
        };
        let at = world.at(&self.name, &path.to_string_lossy());
        self.machine.handle(at, event);
    }

    /// Does all that the machine asks for.
    pub(super) fn pump(&mut self, world: &mut World) {
        while let Some(Decision { action, reason }) = self.machine.poll_action() {
            match action {
                upload::Action::Look(path) => self.see(world, &path),
                upload::Action::Do {
                    path, step, stamp, ..
                } => {
                    let file = path.to_string_lossy().into_owned();
                    let (reason, chunks) = self.told(&step, stamp.size, reason);
                    world.say(&self.name, &file, step_name(&step), reason, Outcome::Done);
                    if let Some(line) = world.lines.last_mut() {
                        line.chunks = chunks;
                    }
                    let at = world.at(&self.name, &file);
                    self.machine.handle(at, upload::Event::Done(path, step));
                }
                upload::Action::Release(path) => {
                    self.files.remove(&path);
                }
                upload::Action::Report(path, what) => {
                    let file = path.to_string_lossy().into_owned();
                    world.say(&self.name, &file, "report", Reason::rule(what), Outcome::Done);
                }
                upload::Action::Scan => self
                    .machine
                    .handle(world.at(&self.name, ""), upload::Event::Scanned),
                upload::Action::Stop(_) => {}
            }
        }
    }

    /// Why a step is done, with what it takes: also how many chunks.
    fn told(&self, step: &Step, size: u64, reason: Reason) -> (Reason, Option<u64>) {
        match step {
            Step::Send => {
                let chunk_size = self.chunk_size;
                let chunks = Cut { size, chunk_size }.chunks();
                let codec = match self.codec {
                    Codec::Zstd => "zstd",
                    Codec::None => "none",
                };
                let (pieces, requests) = match chunks {
                    1 => ("chunk", "request"),
                    _ => ("chunks", "requests"),
                };
                let rule = format!(
                    "{}: {size} bytes in {chunks} {pieces} of up to {chunk_size} with codec {codec}, {chunks} {requests}",
                    reason.rule
                );
                (Reason::key(rule, "chunker.fixed.size"), Some(chunks))
            }
            Step::Begin | Step::Create | Step::Commit | Step::Remember | Step::Abandon(_) | Step::Forget => {
                (reason, None)
            }
        }
    }
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Begin => "begin",
        Step::Create => "create",
        Step::Send => "send",
        Step::Commit => "commit",
        Step::Remember => "remember",
        Step::Abandon(_) => "abandon",
        Step::Forget => "forget",
    }
}

/// The pipeline that collects a client's results.
#[derive(Debug)]
pub(super) struct Collect {
    pub(super) name: String,
    pub(super) machine: Collector,
    /// Jobs whose outcome is not here yet.
    outstanding: BTreeSet<JobKey>,
}

impl Collect {
    pub(super) fn new(name: &str, policy: &CollectPipeline, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            machine: Collector::new(policy.pace.since(now), policy.retry.clone()),
            outstanding: BTreeSet::new(),
        }
    }

    /// A job is under way.
    pub(super) fn await_outcome(&mut self, key: &JobKey) {
        self.outstanding.insert(key.clone());
    }

    /// Does all that the machine asks for.
    pub(super) fn pump(&mut self, world: &mut World) {
        while let Some(Decision { action, reason }) = self.machine.poll_action() {
            let (subject, event) = match action {
                collect::Action::Look { .. } => (String::new(), self.look(world)),
                collect::Action::DeliverResult(job) => {
                    let key = job.key;
                    (
                        key.file.to_string(),
                        self.deliver(world, key, "deliver-result", reason),
                    )
                }
                collect::Action::DeliverError(key, _) => (
                    key.file.to_string(),
                    self.deliver(world, key, "deliver-error", reason),
                ),
            };
            self.machine.handle(world.at(&self.name, &subject), event);
        }
    }

    fn deliver(&mut self, world: &mut World, key: JobKey, action: &str, reason: Reason) -> collect::Event {
        world.say(&self.name, key.file.as_str(), action, reason, Outcome::Done);
        world.collected(&RecordKey::from(&key));
        self.outstanding.remove(&key);
        collect::Event::Delivered(key)
    }

    fn look(&self, world: &World) -> collect::Event {
        let standing = |key: &JobKey| {
            let record = RecordKey::from(key);
            let here = world.table.get(&record).and_then(Row::job);
            Standing {
                key: key.clone(),
                job: here.or_else(|| world.outcome(&record)).cloned(),
            }
        };
        // Those under way ask for nothing: only those that are over are told of.
        let is_over = |standing: &Standing| standing.job.as_ref().is_none_or(|job| job.status.is_finished());
        let standings: Vec<Standing> = self.outstanding.iter().map(standing).filter(is_over).collect();
        let unanswered = standings.len() < self.outstanding.len();
        collect::Event::Found {
            standings,
            unanswered,
            next: None,
        }
    }
}

/// The size of the file a job was made for, as its client says; none for a foreign client's.
pub(super) fn size_of(job: &Job) -> Option<u64> {
    let text = job.outline.as_deref()?;
    let outline = roundtrip_core::plan::Outline::read(text, &job.key.client, &job.key.file, job.chunks);
    outline.ok().map(|outline| outline.size)
}
