//! One history: processes, services and what happens between them, in virtual time.

mod beginning;
mod bulk;
mod clocks;
mod ending;
mod forging;
mod others;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;

use roundtrip_core::at::Timestamp;
use roundtrip_core::lifecycle::Write;

use super::faults::Striking;
use super::{Fault, Outcome, Policies, Scenario};
use crate::actors::outbox::{Outbox, Task};
use crate::model::agenda::Agenda;
use crate::model::chance::Chance;
use crate::model::network::{Reply, Request, Verdict};
use crate::model::services::{Caller, Effect, Services};
use crate::promises::{Judge, Writer};
pub use beginning::VERSION;
use bulk::Bulk;
pub(super) use bulk::measure;
use others::Other;
use process::Process;

/// When every history begins: 2026-01-05T08:00:00Z, a Monday.
pub(super) const START: i64 = 1_767_600_000_000;

/// How far a clock may be off, in milliseconds.
const SKEW_MAX: i64 = 2_000;

/// Things one history may consist of, at most: one that goes on without end is found out.
const EVENTS_MAX: u64 = 3_000_000;

/// The last records are waited for until they go, where that is no longer than this.
const EXPIRY_AWAITED: i64 = 600_000;

/// How long after a job ended as an error an operator has it taken again, at most.
const OPERATOR_MS_MAX: i64 = 2_000;

/// What is planned.
#[derive(Debug)]
enum Step {
    Wake {
        process: usize,
        incarnation: u32,
    },
    Arrive(Box<Message>),
    Answer {
        process: usize,
        incarnation: u32,
        task: Task,
        reply: Box<Reply>,
    },
    Start(usize),
    /// A file is written, or written anew.
    File {
        client: usize,
        path: PathBuf,
    },
    Gone {
        client: usize,
        path: PathBuf,
    },
    /// One of the jobs that come by the thousand.
    Bulk,
    /// Its client makes a request again.
    Again(Box<Request>),
    /// Somebody else writes to the table.
    Other(Box<Other>),
    /// The services tidy up, and the stream may split.
    Service,
}

/// A request on its way.
#[derive(Debug)]
struct Message {
    process: usize,
    incarnation: u32,
    name: String,
    /// Its sender's clock, as it was when it was sent.
    now: Timestamp,
    sent: i64,
    task: Task,
    request: Request,
    /// The answer does not come, or it came already.
    unanswered: bool,
    /// The sender dies between the effect and the answer.
    fatal: bool,
}

/// The world of one history.
struct World<'a> {
    scenario: &'a Scenario,
    /// Those of the scenario, as this seed draws them.
    policies: Policies,
    now: i64,
    agenda: Agenda<Step>,
    chance: Chance,
    striking: Striking,
    services: Services,
    processes: Vec<Process>,
    judge: Judge,
    out: Outbox,
    events: u64,
    requests: u64,
    decisions: u64,
    trace: Option<Vec<String>>,
    /// Files whose content makes every processor fail, by what it says.
    natures: BTreeMap<u64, Verdict>,
    /// Files still to come or to change.
    coming: usize,
    seed: u64,
    events_max: u64,
    /// When a record or an object was last written.
    stirred: i64,
    /// Until when everything stands still.
    still_until: i64,
    /// Whether it ends when a promise breaks.
    ends_broken: bool,
    bulk: Option<Bulk>,
}

/// Runs one history. With `trace` it tells what happened, line by line; without, it is faster.
pub fn run(scenario: &Scenario, seed: u64, trace: bool) -> Outcome {
    let mut world = World::new(scenario, seed, trace);
    world.go(|_| ());
    world.conclude(seed)
}

/// Runs one history until a promise breaks.
pub(super) fn run_to_breach(scenario: &Scenario, seed: u64) -> Outcome {
    let mut world = World::new(scenario, seed, false);
    world.ends_broken = true;
    world.go(|_| ());
    world.conclude(seed)
}

impl World<'_> {
    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", self.now - START, what()));
        }
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.striking.strikes(self.now, fault);
        if strikes && self.trace.is_some() {
            let number = self.striking.struck();
            self.say(|| format!("fault {number}: {fault:?}"));
        }
        strikes
    }

    /// Lets it happen; `look` sees the world after each event.
    fn go(&mut self, mut look: impl FnMut(&Self)) {
        let faults_end = self.striking.until;
        let patience = i64::try_from(self.scenario.patience().as_millis()).unwrap_or(i64::MAX);
        let end = faults_end.saturating_add(patience);
        while let Some((when, step)) = self.agenda.next() {
            let when = when.max(self.still_until);
            if when > end || self.events >= self.events_max {
                break;
            }
            self.now = when;
            self.events += 1;
            self.step(step);
            look(self);
            if self.ends_broken && !self.judge.breaches.is_empty() {
                break;
            }
            if when > faults_end
                && self.coming == 0
                && self.judge.is_quiet()
                && self.services.bucket.is_empty()
                && self.is_settled()
                && !self.services.is_to_expire(self.now + EXPIRY_AWAITED)
            {
                break;
            }
            self.leap(faults_end);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wake { process, incarnation } => self.wake(process, incarnation),
            Step::Arrive(message) => self.arrive(*message),
            Step::Answer {
                process,
                incarnation,
                task,
                reply,
            } => self.answer(process, incarnation, task, reply),
            Step::Start(process) => self.start(process),
            Step::File { client, path } => self.file(client, path),
            Step::Gone { client, path } => self.gone(client, path),
            Step::Bulk => self.bulk(),
            Step::Again(request) => self.again(*request),
            Step::Other(other) => self.other(*other),
            Step::Service => self.service(),
        }
    }

    fn service(&mut self) {
        if self.bulk.is_none() {
            for (key, record) in self.services.expire(self.now) {
                self.say(|| format!("the record of {} is deleted: its time has ended", key.file));
                self.judge.expired(self.now, &key, &record);
            }
        }
        if self.strikes(Fault::Split) {
            let (chosen, children) = (self.chance.below(4), 1 + self.chance.below(2));
            self.services.stream.split(self.now, chosen, children);
        }
        self.agenda.plan(self.now + 10_000, Step::Service);
    }

    fn latency(&mut self) -> i64 {
        let slow = self.strikes(Fault::Slow);
        self.chance.between(2, if slow { 10_000 } else { 40 })
    }

    /// Sends a request, with whatever happens to it.
    fn send(&mut self, process: usize, task: Task, request: Request) {
        self.requests += 1;
        self.counted(&request);
        let sender = &self.processes[process];
        let (incarnation, name, now) = (sender.incarnation, sender.name(), sender.now(self.now));
        if let Request::Analyse(state) = request {
            return self.analyse(process, task, state);
        }
        let latency = self.latency();
        let timeout = self.now + self.chance.between(1_000, 8_000);
        if self.strikes(Fault::LostRequest) {
            let reply = Box::new(Reply::Failed);
            self.agenda.plan(
                timeout,
                Step::Answer {
                    process,
                    incarnation,
                    task,
                    reply,
                },
            );
            return;
        }
        let writes = request.writes();
        let fatal = self.strikes(Fault::Crash);
        let unanswered = !fatal && self.strikes(Fault::LostAnswer);
        if writes && self.strikes(Fault::Doubled) {
            let lease = i64::try_from(self.policies.analyse.worker.claim.lease.as_millis()).unwrap_or(0);
            let late = self.chance.between(1, lease * 2);
            let again = Message {
                process,
                incarnation,
                name: name.clone(),
                now,
                sent: self.now,
                task: 0,
                request: request.clone(),
                unanswered: true,
                fatal: false,
            };
            self.agenda
                .plan(self.now + latency + late, Step::Arrive(Box::new(again)));
        }
        if unanswered {
            let reply = Box::new(Reply::Failed);
            let when = timeout.max(self.now + latency + 1);
            self.agenda.plan(
                when,
                Step::Answer {
                    process,
                    incarnation,
                    task,
                    reply,
                },
            );
        }
        let message = Message {
            process,
            incarnation,
            name,
            now,
            sent: self.now,
            task,
            request,
            unanswered,
            fatal,
        };
        self.agenda
            .plan(self.now + latency, Step::Arrive(Box::new(message)));
    }

    fn analyse(&mut self, process: usize, task: Task, state: u64) {
        let incarnation = self.processes[process].incarnation;
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let longest = ms(self.scenario.analysis_max);
        let mut takes = self.chance.between(longest / 100 + 1, longest.max(2));
        let large = self.strikes(Fault::LargeResult);
        let verdict = if let Some(nature) = self.natures.get(&state) {
            *nature
        } else if self.strikes(Fault::Away) {
            Verdict::Away
        } else if self.strikes(Fault::Hangs) {
            takes = ms(self.policies.analyse.timeout);
            Verdict::Hangs
        } else if self.strikes(Fault::Broken) {
            Verdict::Broken
        } else {
            Verdict::Result { state, large }
        };
        let reply = Box::new(Reply::Analysed(verdict));
        self.agenda.plan(
            self.now + takes,
            Step::Answer {
                process,
                incarnation,
                task,
                reply,
            },
        );
    }

    /// A request reaches the services.
    fn arrive(&mut self, message: Message) {
        let Message {
            process,
            incarnation,
            name,
            now,
            sent,
            task,
            request,
            unanswered,
            fatal,
        } = message;
        let reply = if self.strikes(Fault::Throttled) {
            Reply::Throttled
        } else {
            let late = self.strikes(Fault::IndexLag);
            let lag = self.chance.between(0, if late { 5_000 } else { 20 });
            let again = if self.strikes(Fault::Again) { 3 } else { 0 };
            let what = request.name();
            let (reply, effect) =
                self.services
                    .serve(self.now, Caller { name: &name, now }, request, lag, again);
            if let Some(effect) = effect {
                let writer = Writer {
                    process,
                    incarnation,
                    name: &name,
                    sent,
                };
                self.judge.sent_at(now);
                self.judged(writer, what, &effect);
            }
            reply
        };
        if fatal {
            self.crash(process, incarnation);
        } else if !unanswered {
            let when = self.now + self.latency();
            let reply = Box::new(reply);
            self.agenda.plan(
                when,
                Step::Answer {
                    process,
                    incarnation,
                    task,
                    reply,
                },
            );
        }
    }

    /// The checkers see what a request changed.
    fn judged(&mut self, writer: Writer<'_>, what: &str, effect: &Effect) {
        // What is kept is only looked at again later.
        if !matches!(effect, Effect::Wrote { change, .. } if change.write == Write::Keep) {
            self.stirred = self.now;
        }
        match effect {
            Effect::Wrote {
                change,
                before,
                after,
            } => {
                self.made_bulk(change);
                self.say(|| format!("{} made {what} of {}", short(writer.name), change.key.file));
                self.judge
                    .wrote(self.now, writer, change, before.as_deref(), after);
                // An operator who sees an error has the job taken again at once, while a watcher cleans it.
                let is_error = matches!(change.write, Write::Fail | Write::GiveUp);
                if is_error && self.strikes(Fault::Requeued) {
                    self.coming += 1;
                    let when = self.now + self.chance.between(0, OPERATOR_MS_MAX);
                    let requeue = Other::Requeue(Some(change.key.clone()));
                    self.agenda.plan(when, Step::Other(Box::new(requeue)));
                }
            }
            Effect::Put(key) => {
                self.say(|| format!("{} put {}", short(writer.name), key.get(138..).unwrap_or(key)));
                self.judge.put(self.now, key, &self.services);
            }
            Effect::Deleted(keys) => {
                let first = keys
                    .first()
                    .and_then(|key| key.get(138..))
                    .unwrap_or_default()
                    .to_owned();
                self.say(|| {
                    format!(
                        "{} deleted {} objects, first {first}",
                        short(writer.name),
                        keys.len()
                    )
                });
                self.judge.deleted(self.now, writer, keys, &self.services);
            }
        }
    }
}

/// A name a person can read.
fn short(name: &str) -> &str {
    match name.strip_prefix("client-") {
        Some(digits) => digits.get(126..).unwrap_or(digits),
        None => name,
    }
}
