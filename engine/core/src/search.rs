//! A search of the ready lanes: which pages are read, and which of the jobs in them are offered.
//!
//! Whoever searches does what each [`Step`] asks for, in a table, a simulated one or a recorded one, and reports it.

use std::collections::{BTreeMap, VecDeque};

use crate::at::{At, Timestamp};
use crate::claim::{ClaimPolicy, Malformed, Offer};
use crate::job::{Job, Lane, LaneKind, PRIORITY_MAX};

/// Pages a search reads of one shard, at most: a search must not take for ever. Where it stopped the next one goes on, so
/// that jobs that are not for us do not hide those behind them.
pub const PAGES_MAX: usize = 10;

/// What a search brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Jobs that may be claimed, or that are to be refused since they are not what their client signed.
    pub offers: Vec<Offer>,
    /// Records that are no jobs.
    pub malformed: Vec<Malformed>,
    /// The highest priority of all jobs that were read, whether they are offered or not.
    pub priority_seen: u8,
}

/// What a search needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<C> {
    /// A page of a lane, to be told by [`Search::page`]: jobs that are due, of no higher priority than this, the most
    /// urgent first and among equals the longest due first. Urgent ones may be given also where they are due later.
    Read {
        /// The lane.
        lane: Lane,
        /// The highest priority wanted.
        priority_max: u8,
        /// Where the page begins; at the beginning where none.
        from: Option<C>,
    },
    /// Whether a job is to be believed and, where [`ClaimPolicy::waits_for_upload`] says so, whether everything of it is
    /// there; to be told by [`Search::judged`]. The place of its record in the last page.
    Judge(usize),
    /// Nothing: it is over, and this is what it brought.
    Over(Findings),
}

/// What is read of a shard: the priorities up to this one.
#[derive(Clone, Copy, Debug)]
struct Pass {
    shard: u32,
    priority_max: u8,
}

/// A place in a lane from which the table goes on, among the priorities up to this one.
#[derive(Clone, Debug)]
pub struct Place<C> {
    priority_max: u8,
    /// At the beginning of those where none.
    from: Option<C>,
}

/// By shard, where searches stopped before the lane's end.
pub type Places<C> = BTreeMap<u32, Place<C>>;

/// A search under way; `C` is a place in a lane from which the table goes on.
#[derive(Clone, Debug)]
pub struct Search<C> {
    wanted: usize,
    /// What is still to be read, in order.
    passes: VecDeque<Pass>,
    from: Option<C>,
    /// Pages read in this pass.
    pages: usize,
    /// Where earlier searches stopped, and this one.
    places: Places<C>,
    /// When the last page was read.
    now: Timestamp,
    /// Places of jobs in the last page that are still to be judged, in order.
    accepted: VecDeque<usize>,
    found: Findings,
}

impl<C: Clone> Search<C> {
    /// For up to `wanted` jobs, in these shards of the ready lane one after the other: of each those up to
    /// `priority_max` first, and the rest only where they do not suffice.
    pub fn new(wanted: usize, priority_max: u8, shards: impl IntoIterator<Item = u32>) -> Self {
        let rest = (priority_max < PRIORITY_MAX).then_some(PRIORITY_MAX);
        let turns = [Some(priority_max), rest];
        let passes = shards.into_iter().flat_map(|shard| {
            let turns = turns.into_iter().flatten();
            turns.map(move |priority_max| Pass { shard, priority_max })
        });
        Self {
            wanted,
            passes: passes.collect(),
            from: None,
            pages: 0,
            places: Places::new(),
            now: Timestamp(0),
            accepted: VecDeque::new(),
            found: Findings::default(),
        }
    }

    /// The same search where an earlier one ended in these places: of each shard it reads the first page, where what is
    /// new and urgent stands, and goes on from there. Behind the lane's end the next one begins anew.
    #[must_use]
    pub fn going_on(self, places: Places<C>) -> Self {
        Self { places, ..self }
    }

    /// Where the next search may go on.
    pub fn into_places(self) -> Places<C> {
        self.places
    }

    /// What it needs next.
    pub fn step(&mut self) -> Step<C> {
        // Judging costs: no more than are wanted.
        let wants_more = self.found.offers.len() < self.wanted;
        match (self.accepted.pop_front(), self.passes.front()) {
            (Some(place), _) if wants_more => Step::Judge(place),
            (None, Some(&Pass { shard, priority_max })) if wants_more => Step::Read {
                lane: Lane {
                    kind: LaneKind::Ready,
                    shard,
                },
                priority_max,
                from: self.from.take(),
            },
            (Some(_) | None, _) => Step::Over(std::mem::take(&mut self.found)),
        }
    }

    /// The page it asked for, and where the next one begins; none at the lane's end. Many fetchers would chase the
    /// oldest job: those of the highest priority are offered from any of them on, as the chance of `at` has it.
    pub fn page<'a>(
        &mut self,
        at: At,
        claim: &ClaimPolicy,
        bucket: &str,
        records: impl IntoIterator<Item = Result<&'a Job, &'a Malformed>>,
        next: Option<C>,
    ) {
        self.now = at.now;
        // Of those with its priority, all behind one that is not due yet are not due either.
        let mut passed = None;
        let mut accepted: Vec<(usize, u8)> = Vec::new();
        for (place, record) in records.into_iter().enumerate() {
            let job = match record {
                Ok(job) => job,
                Err(malformed) => {
                    if !self.found.malformed.contains(malformed) {
                        self.found.malformed.push(malformed.clone());
                    }
                    continue;
                }
            };
            self.found.priority_seen = self.found.priority_seen.max(job.priority);
            if passed == Some(job.priority) {
                continue;
            }
            let waits = job.priority > 0 && job.due.is_some_and(|due| due > at.now);
            passed = waits.then_some(job.priority);
            if claim.accepts(job, bucket, at.now) && !self.offers(job) {
                accepted.push((place, job.priority));
            }
        }
        begin_anywhere(at, &mut accepted);
        self.accepted = accepted.into_iter().map(|(place, _)| place).collect();
        self.turn_page(passed, next);
    }

    fn turn_page(&mut self, passed: Option<u8>, next: Option<C>) {
        self.pages += 1;
        let Some(pass) = self.passes.front_mut() else {
            return;
        };
        let known = self.places.get(&pass.shard);
        let known = known.filter(|place| place.priority_max <= pass.priority_max);
        let Some(next) = next else {
            if known.is_some() {
                self.places.remove(&pass.shard);
            }
            return self.end_pass();
        };
        let place = match passed {
            // All that is behind waits as well: on with the next lower priority.
            Some(priority) => Place {
                priority_max: priority.saturating_sub(1),
                from: None,
            },
            None => Place {
                priority_max: pass.priority_max,
                from: Some(next),
            },
        };
        if self.pages >= PAGES_MAX {
            self.places.insert(pass.shard, place);
            return self.end_pass();
        }
        let known = known.filter(|known| self.pages == 1 && known.priority_max <= place.priority_max);
        let Place { priority_max, from } = known.cloned().unwrap_or(place);
        (pass.priority_max, self.from) = (priority_max, from);
    }

    fn end_pass(&mut self) {
        self.passes.pop_front();
        (self.from, self.pages) = (None, 0);
    }

    /// What became of the job it asked about. One that waits for its upload must not hide those behind it; one that is not
    /// to be believed is refused however that goes on.
    pub fn judged(&mut self, offer: Offer) {
        if offer.uploaded || offer.check(self.now).is_err() {
            self.found.offers.push(offer);
        }
    }

    /// Whether it offers this job already: what is read for those whose turn it is comes again with the rest.
    fn offers(&self, job: &Job) -> bool {
        self.found.offers.iter().any(|offer| offer.job.key == job.key)
    }
}

/// Turns the jobs of the highest priority, so that they begin with any of them.
fn begin_anywhere(at: At, jobs: &mut [(usize, u8)]) {
    let Some(&(_, priority)) = jobs.first() else {
        return;
    };
    let urgent = jobs.partition_point(|(_, of)| *of == priority);
    jobs[..urgent].rotate_left(at.any_of(urgent));
}

#[cfg(test)]
mod tests;
