//! The steps of shipping one file, request by request.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reply of another kind than was asked for is none: the request failed"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use roundtrip_core::file::{Known, Stamp};
use roundtrip_core::job::{Job, Lane, LaneKind, Signed, Status};
use roundtrip_core::lifecycle::{self, attribute as a};
use roundtrip_core::names::JobKey;
use roundtrip_core::plan::{Codec, FORMAT, Outline};
use roundtrip_core::shard;
use roundtrip_core::upload::{Event, Fault, Step};

use super::Settings;
use super::disk::{Disk, content};
use crate::actors::outbox::{Clock, Fact, Outbox, Task};
use crate::model::bucket::Object;
use crate::model::names;
use crate::model::network::{Reply, Request};

/// A file being shipped, for as long as the process lives.
#[derive(Debug)]
pub(super) struct Shipment {
    key: JobKey,
    created: String,
    outline: Outline,
    /// Whether everything was sent, in this life of the process.
    sent: bool,
}

/// What of a job that is to be made is asked for first: whether what was sent ahead of it was swept since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Making {
    Begin,
    /// The first chunk.
    Chunk,
    /// The record, since there is no chunk.
    Record,
    Create,
}

/// One step under way.
#[derive(Debug)]
pub(super) struct Shipping {
    pub(super) path: PathBuf,
    pub(super) step: Step,
    stamp: Stamp,
    resume: Option<Known>,
    /// Chunks sent.
    sent: u64,
    asked: bool,
    making: Making,
}

impl Shipping {
    pub(super) fn new(path: PathBuf, step: Step, stamp: Stamp, resume: Option<Known>) -> Self {
        Self {
            path,
            step,
            stamp,
            resume,
            sent: 0,
            asked: false,
            making: Making::Begin,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "every step ends with its value")]
    fn done(&self) -> Option<Event> {
        Some(Event::Done(self.path.clone(), self.step.clone()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "every step ends with its value")]
    fn failed(&self, fault: Fault) -> Option<Event> {
        Some(Event::Failed(self.path.clone(), self.step.clone(), fault))
    }

    fn away(&self) -> Option<Event> {
        self.failed(Fault::Transient("the service did not answer".to_owned()))
    }

    /// Whether the file is as it was when it was taken.
    fn unchanged(&self, disk: &Disk) -> Result<(), Fault> {
        match disk.stamp(&self.path) {
            None => Err(Fault::Gone),
            Some(stamp) if !stamp.same_content(&self.stamp) => Err(Fault::Changed),
            Some(_) => Ok(()),
        }
    }

    /// Goes on; gives the event it ends with.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step touches disk, memory and network"
    )]
    pub(super) fn go(
        &mut self,
        settings: &Settings,
        disk: &mut Disk,
        shipments: &mut BTreeMap<PathBuf, Shipment>,
        clock: &mut Clock,
        out: &mut Outbox,
        task: Task,
        reply: Reply,
    ) -> Option<Event> {
        match self.step.clone() {
            Step::Begin => self.begin(settings, disk, shipments, clock, out),
            Step::Create => match shipments.get(&self.path) {
                Some(shipment) => self.create(settings, disk, shipment, clock, out, task, &reply),
                None => self.failed(Fault::Permanent("a step came before its beginning".to_owned())),
            },
            Step::Send => match shipments.get_mut(&self.path) {
                Some(shipment) => self.send(disk, shipment, out, task, &reply),
                None => self.failed(Fault::Permanent("a step came before its beginning".to_owned())),
            },
            Step::Commit => match shipments.get(&self.path) {
                Some(shipment) => {
                    let object = Object::Manifest {
                        state: content(&self.stamp),
                        abandoned: false,
                    };
                    self.put(shipment.key.manifest(), object, out, task, &reply)
                }
                None => self.failed(Fault::Permanent("a step came before its beginning".to_owned())),
            },
            Step::Remember => {
                if let Some(shipment) = shipments.get(&self.path) {
                    disk.sent(&shipment.key.file);
                }
                self.done()
            }
            Step::Abandon(_) => match self.key(settings, shipments) {
                Some(key) => self.abandon(&key, disk, out, task, reply),
                None => self.failed(Fault::Permanent("there is no job to give up".to_owned())),
            },
            Step::Forget => {
                if let Some(key) = self.key(settings, shipments) {
                    forget(disk, out, &key);
                }
                self.done()
            }
        }
    }

    fn key(&self, settings: &Settings, shipments: &BTreeMap<PathBuf, Shipment>) -> Option<JobKey> {
        let resumed = || {
            let file = self.resume.as_ref()?.file.clone();
            Some(JobKey {
                client: settings.id.clone(),
                file,
            })
        };
        shipments
            .get(&self.path)
            .map(|shipment| shipment.key.clone())
            .or_else(resumed)
    }

    fn begin(
        &mut self,
        settings: &Settings,
        disk: &mut Disk,
        shipments: &mut BTreeMap<PathBuf, Shipment>,
        clock: &mut Clock,
        out: &mut Outbox,
    ) -> Option<Event> {
        if let Err(fault) = self.unchanged(disk) {
            return self.failed(fault);
        }
        let (file, created) = match self.resume.clone() {
            Some(known) => (known.file, known.created),
            None => (
                names::file(clock.chance.bits(), clock.chance.bits()),
                names::iso(clock.now),
            ),
        };
        if !disk.announce(&self.path, &self.stamp, &file, &created) {
            return self.failed(Fault::Transient("in the ledger already".to_owned()));
        }
        let key = JobKey {
            client: settings.id.clone(),
            file,
        };
        out.facts.push(Fact::Announced {
            key: key.clone(),
            state: content(&self.stamp),
        });
        let outline = Outline {
            format: FORMAT,
            client: key.client.clone(),
            file: key.file.clone(),
            size: self.stamp.size,
            chunk_size: settings.upload.chunk_size,
            codec: Codec::None,
            name: None,
        };
        shipments.insert(
            self.path.clone(),
            Shipment {
                key,
                created,
                outline,
                sent: false,
            },
        );
        self.done()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step touches disk, memory and network"
    )]
    fn create(
        &mut self,
        settings: &Settings,
        disk: &Disk,
        shipment: &Shipment,
        clock: &Clock,
        out: &mut Outbox,
        task: Task,
        reply: &Reply,
    ) -> Option<Event> {
        let is_swept = match (self.making, reply) {
            (Making::Begin, _) if shipment.sent => {
                self.making = Making::Chunk;
                out.ask(task, Request::GetObject(shipment.key.chunk(0)));
                return None;
            }
            (Making::Chunk, Reply::Object(None)) => {
                self.making = Making::Record;
                out.ask(task, Request::Get(vec![shipment.key.clone()]));
                return None;
            }
            // A job that is there already may be done, and its chunks with it.
            (Making::Record, Reply::Records(records)) => records.is_empty(),
            (Making::Begin, _) | (Making::Chunk, Reply::Object(Some(_))) => false,
            (Making::Chunk | Making::Record, _) => return self.away(),
            (Making::Create, reply) => return self.created(shipment, reply),
        };
        if is_swept {
            return self.failed(Fault::Changed);
        }
        self.making = Making::Create;
        let job = job(settings, shipment, disk.ahead(&shipment.key.file), clock);
        out.ask(task, Request::Apply(Box::new(lifecycle::create(&job))));
        None
    }

    fn created(&self, shipment: &Shipment, reply: &Reply) -> Option<Event> {
        match reply {
            Reply::Made(_) => self.done(),
            Reply::Refused(Some(record)) if record.text(a::OUTLINE) == Some(&shipment.outline.text()) => {
                self.failed(Fault::Exists(record.status().unwrap_or(Status::Queued)))
            }
            Reply::Refused(_) => self.failed(Fault::Changed),
            _ => self.away(),
        }
    }

    fn send(
        &mut self,
        disk: &Disk,
        shipment: &mut Shipment,
        out: &mut Outbox,
        task: Task,
        reply: &Reply,
    ) -> Option<Event> {
        if std::mem::replace(&mut self.asked, true) {
            match reply {
                Reply::Done => self.sent += 1,
                _ => return self.away(),
            }
        }
        // Read piece by piece; with the last one it is proven that nothing changed since the first.
        if let Err(fault) = self.unchanged(disk) {
            return self.failed(fault);
        }
        if self.sent == shipment.outline.cut().chunks() {
            shipment.sent = true;
            return self.done();
        }
        let object = Object::Chunk(content(&self.stamp));
        out.ask(task, Request::Put(shipment.key.chunk(self.sent), object));
        None
    }

    fn put(
        &mut self,
        key: String,
        object: Object,
        out: &mut Outbox,
        task: Task,
        reply: &Reply,
    ) -> Option<Event> {
        if !std::mem::replace(&mut self.asked, true) {
            out.ask(task, Request::Put(key, object));
            return None;
        }
        match reply {
            Reply::Done => self.done(),
            _ => self.away(),
        }
    }

    /// Reads the record; tells its holder in a manifest, or deletes what was sent where there is no record.
    fn abandon(
        &mut self,
        key: &JobKey,
        disk: &mut Disk,
        out: &mut Outbox,
        task: Task,
        reply: Reply,
    ) -> Option<Event> {
        if !std::mem::replace(&mut self.asked, true) {
            out.ask(task, Request::Get(vec![key.clone()]));
            return None;
        }
        match reply {
            Reply::Records(records) => match records.first().map(|record| record.job()) {
                Some(Ok(job)) if job.cleaned.is_none() && has_outline(&job) => {
                    let object = Object::Manifest {
                        state: content(&self.stamp),
                        abandoned: true,
                    };
                    out.ask(task, Request::Put(key.manifest(), object));
                    return None;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    out.ask(task, Request::List(key.prefix()));
                    return None;
                }
            },
            Reply::Keys(keys) if !keys.is_empty() => {
                out.ask(task, Request::Delete(keys));
                return None;
            }
            Reply::Keys(_) | Reply::Done => {}
            _ => return self.away(),
        }
        forget(disk, out, key);
        self.done()
    }
}

/// Whether the record has the outline that its client signed.
fn has_outline(job: &Job) -> bool {
    let signed = job
        .outline
        .as_ref()
        .map(|outline| names::sign(&job.key.client, outline));
    signed.is_some() && signed == job.outline_signature
}

fn forget(disk: &mut Disk, out: &mut Outbox, key: &JobKey) {
    if disk.forget(&key.file) {
        out.facts.push(Fact::Forgot(key.clone()));
    }
}

/// The job as its client makes it.
fn job(settings: &Settings, shipment: &Shipment, ahead: u64, clock: &Clock) -> Job {
    let Shipment {
        key,
        created,
        outline,
        ..
    } = shipment;
    let chunks = outline.cut().chunks();
    let ahead = if settings.priority > 0 { shard::MANY } else { ahead };
    let signed = Signed {
        version: &settings.version,
        created,
        bucket: &settings.bucket,
        file: key.file.as_str(),
        chunks,
        client: key.client.as_str(),
    };
    let signature = names::sign(&key.client, &signed.text());
    let outline_text = outline.text();
    Job {
        key: key.clone(),
        status: Status::Queued,
        version: settings.version.clone(),
        created: created.clone(),
        created_at: names::moment(created),
        bucket: settings.bucket.clone(),
        chunks,
        signature,
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline_signature: Some(names::sign(&key.client, &outline_text)),
        outline: Some(outline_text),
        lane: Some(Lane {
            kind: LaneKind::Ready,
            shard: shard::of(key, settings.shards, ahead),
        }),
        due: Some(clock.now),
        priority: settings.priority,
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
    }
}
