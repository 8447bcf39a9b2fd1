//! One job from its first chunk to its result: arrival and analysis side by side.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reply of another kind than was asked for is none: the request failed"
)]

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::names::JobKey;
use roundtrip_core::plan::Outline;
use roundtrip_core::worker::{Ending, Event};

use super::Settings;
use crate::actors::outbox::{Clock, Outbox, Task};
use crate::model::bucket::Object;
use crate::model::names;
use crate::model::network::{Reply, Request, Verdict};

/// Waits between looks for an object that is not there yet, in milliseconds.
const LOOK_MS: i64 = 50;
const LOOK_MS_MAX: i64 = 2_000;

/// What is asked of the bucket now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The n-th chunk.
    Chunk(u64),
    /// The manifest, to see whether the client gave the job up; the chunk is still missing.
    Abandoned(u64),
    /// The manifest, to prove the file.
    Manifest,
    /// The result is being put.
    Result { state: u64 },
    /// Nothing: the file is here.
    Nothing,
}

/// One job under way.
#[derive(Debug)]
pub(super) struct Carry {
    job: Job,
    outline: Option<Outline>,
    asked: Asked,
    wait_ms: i64,
    /// When something came last, by the course of time.
    last_came: i64,
    /// The state of the file by its first chunk; none before it, or where chunks differ.
    state: Option<u64>,
    mixed: bool,
    proven: bool,
    engaged: bool,
    verdict: Option<Verdict>,
    /// News for the machine.
    pub(super) reports: Vec<Event>,
}

impl Carry {
    pub(super) fn new(job: Job) -> Self {
        Self {
            job,
            outline: None,
            asked: Asked::Chunk(0),
            wait_ms: LOOK_MS,
            last_came: 0,
            state: None,
            mixed: false,
            proven: false,
            engaged: false,
            verdict: None,
            reports: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> &JobKey {
        &self.job.key
    }

    /// Begins; an ending where the job cannot be begun.
    pub(super) fn begin(&mut self, clock: &Clock, out: &mut Outbox, task: Task) -> Option<Ending> {
        if let Some(text) = &self.job.outline {
            let JobKey { client, file } = &self.job.key;
            if self.job.outline_signature.as_deref() != Some(&*names::sign(client, text)) {
                let why = "the outline is not what its client signed";
                return Some(Ending::Refused(why.to_owned()));
            }
            match Outline::read(text, client, file, self.job.chunks) {
                Ok(outline) => self.outline = Some(outline),
                Err(error) => return Some(Ending::Refused(error.to_string())),
            }
        }
        self.last_came = clock.course;
        self.ask(out, task);
        None
    }

    /// The processor may have the file.
    pub(super) fn engage(&mut self, out: &mut Outbox, task: Task) {
        if !std::mem::replace(&mut self.engaged, true) {
            out.ask(task, Request::Analyse(self.state.unwrap_or_default()));
        }
    }

    fn ask(&self, out: &mut Outbox, task: Task) {
        match self.asked {
            Asked::Chunk(index) => out.ask(task, Request::GetObject(self.job.key.chunk(index))),
            Asked::Abandoned(_) | Asked::Manifest => {
                out.ask(task, Request::GetObject(self.job.key.manifest()));
            }
            Asked::Result { state } => {
                out.ask(task, Request::Put(self.job.key.results(), Object::Results(state)));
            }
            Asked::Nothing => {}
        }
    }

    pub(super) fn go(
        &mut self,
        settings: &Settings,
        clock: &Clock,
        out: &mut Outbox,
        task: Task,
        reply: Reply,
    ) -> Option<Ending> {
        match reply {
            Reply::Analysed(verdict) => self.analysed(out, task, verdict),
            Reply::Woken => {
                self.ask(out, task);
                None
            }
            Reply::Object(found) => self.came(settings, clock, out, task, found),
            Reply::Done => match self.asked {
                Asked::Result { .. } => Some(Ending::Result {
                    results: self.job.key.results(),
                    results_type: None,
                }),
                Asked::Chunk(_) | Asked::Abandoned(_) | Asked::Manifest | Asked::Nothing => None,
            },
            _ => Some(Ending::Fault("the service did not answer".to_owned())),
        }
    }

    fn came(
        &mut self,
        settings: &Settings,
        clock: &Clock,
        out: &mut Outbox,
        task: Task,
        found: Option<Object>,
    ) -> Option<Ending> {
        match (self.asked, found) {
            (Asked::Chunk(index), Some(Object::Chunk(state))) => {
                self.last_came = clock.course;
                self.wait_ms = LOOK_MS;
                self.mixed |= self.state.is_some_and(|first| first != state);
                self.state.get_or_insert(state);
                let next = index + 1;
                let size = self.outline.as_ref().map(|outline| outline.size);
                let here = match &self.outline {
                    Some(outline) => (next * outline.chunk_size).min(outline.size),
                    None => next,
                };
                self.reports.push(Event::Progressed {
                    key: self.job.key.clone(),
                    here,
                    size,
                });
                self.asked = if next < self.job.chunks {
                    Asked::Chunk(next)
                } else {
                    Asked::Manifest
                };
                self.ask(out, task);
                None
            }
            (Asked::Chunk(_), Some(_)) => Some(Ending::Refused("no chunk".to_owned())),
            (Asked::Chunk(index), None) if self.outline.is_some() => {
                self.asked = Asked::Abandoned(index);
                self.ask(out, task);
                None
            }
            (Asked::Abandoned(_) | Asked::Manifest, Some(Object::Manifest { abandoned: true, .. })) => {
                Some(Ending::Refused("the client gave the job up".to_owned()))
            }
            (Asked::Abandoned(index), _) => {
                self.asked = Asked::Chunk(index);
                self.wait(settings, clock, out, task)
            }
            (Asked::Manifest, Some(Object::Manifest { state, .. })) => {
                if self.mixed || self.state != Some(state) {
                    return Some(Ending::Refused("the file is not what the client sent".to_owned()));
                }
                self.arrived(out, task)
            }
            (Asked::Manifest, Some(_)) => Some(Ending::Refused("no manifest".to_owned())),
            // A foreign client sends none: its signed count of chunks is the proof.
            (Asked::Manifest, None) if self.outline.is_none() => self.arrived(out, task),
            (Asked::Chunk(_) | Asked::Manifest, None) => self.wait(settings, clock, out, task),
            (Asked::Result { .. } | Asked::Nothing, _) => None,
        }
    }

    fn wait(&mut self, settings: &Settings, clock: &Clock, out: &mut Outbox, task: Task) -> Option<Ending> {
        let waited = Timestamp(clock.course).since(Timestamp(self.last_came));
        if waited >= settings.analyse.worker.claim.stall {
            return Some(Ending::Stalled("chunks did not come".to_owned()));
        }
        out.sleep(task, self.wait_ms);
        self.wait_ms = (self.wait_ms * 2).min(LOOK_MS_MAX);
        None
    }

    fn arrived(&mut self, out: &mut Outbox, task: Task) -> Option<Ending> {
        self.asked = Asked::Nothing;
        self.proven = true;
        self.reports.push(Event::Arrived(self.job.key.clone()));
        match self.verdict {
            Some(verdict) => self.analysed(out, task, verdict),
            None => None,
        }
    }

    fn analysed(&mut self, out: &mut Outbox, task: Task, verdict: Verdict) -> Option<Ending> {
        match verdict {
            // An answer stands only for a proven file: its last byte is held back until then.
            Verdict::Result { .. } | Verdict::Unprocessable if !self.proven => {
                self.verdict = Some(verdict);
                None
            }
            Verdict::Result { large: true, .. } => {
                let state = self.state.unwrap_or_default();
                self.asked = Asked::Result { state };
                self.ask(out, task);
                None
            }
            Verdict::Result { .. } => Some(Ending::Result {
                results: format!("{:016x}", self.state.unwrap_or_default()),
                results_type: None,
            }),
            Verdict::Unprocessable => Some(Ending::JobFault("422".to_owned())),
            Verdict::Broken => Some(Ending::Failed {
                why: "500".to_owned(),
                after: None,
            }),
            Verdict::Hangs => Some(Ending::Failed {
                why: "no answer in time".to_owned(),
                after: None,
            }),
            Verdict::Away => Some(Ending::Away {
                why: "the processor is away".to_owned(),
                after: None,
            }),
        }
    }
}
