//! The recorded course of every job: what happens as it did, later, or not at all.

use std::collections::VecDeque;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, Status};
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::machine::Reason;

use super::World;
use crate::replay::agenda::Plan;
use crate::replay::course::{self, Act, Chance, Recorded};
use crate::replay::line::{Outcome, RECORDING};
use crate::replay::table::Row;

/// A job whose recorded course goes on later than it did.
#[derive(Debug, Default)]
pub(super) struct Course {
    shift_ms: i64,
    pub(super) waiting: VecDeque<Recorded>,
}

impl World {
    /// A change comes from the recording.
    pub(in crate::replay) fn hear(&mut self, recorded: Recorded) {
        if !self.strict && recorded.is_played_by(self.plays) && !self.is_of_recorded_claim(&recorded) {
            self.leave_out(&recorded);
            return;
        }
        if let Some(course) = self.courses.get_mut(&recorded.key) {
            if !course.waiting.is_empty() {
                course.waiting.push_back(recorded);
                return;
            }
            let at = Timestamp(recorded.at.0.saturating_add(course.shift_ms));
            if at > self.now {
                return self.plan(at, Plan::Play(Box::new(recorded)));
            }
        }
        self.play(recorded);
    }

    /// Whether it is about a claim that was made before the recording began, or over another's: whoever holds the job is not
    /// played, and keeps, ends or loses it as it did.
    fn is_of_recorded_claim(&mut self, recorded: &Recorded) -> bool {
        if !self.plays.claim || !recorded.is_of_a_claim() || (self.plays.requeue && recorded.is_a_loss()) {
            return false;
        }
        self.seed_row(recorded);
        self.table
            .get(&recorded.key)
            .is_some_and(|row| row.held_as_recorded && row.job().is_some_and(is_held))
    }

    /// The role makes such writes itself: from here on its history counts, not the recorded one.
    fn leave_out(&mut self, recorded: &Recorded) {
        self.seed_row(recorded);
        self.table.change(&recorded.key, |row| {
            row.ours = true;
            row.sequence = recorded.sequence;
        });
    }

    /// A job that was there before the recording began.
    fn seed_row(&mut self, recorded: &Recorded) {
        let is_known = self.table.get(&recorded.key).is_some() || self.gone.contains(&recorded.key);
        if let (false, Some(before)) = (is_known, &recorded.before) {
            let row = Row {
                held_as_recorded: is_held(before),
                job: Ok(before.clone()),
                place: None,
                signature: recorded.verdict.clone(),
                sequence: 0,
                ours: false,
            };
            self.table.put(&recorded.key, row);
        }
    }

    /// A recorded change happens, unless one before it waits.
    pub(in crate::replay) fn play_in_turn(&mut self, recorded: Recorded) {
        match self.courses.get_mut(&recorded.key) {
            Some(course) if !course.waiting.is_empty() => course.waiting.push_back(recorded),
            Some(_) | None => self.play(recorded),
        }
    }

    /// A recorded change happens, if it still can.
    pub(in crate::replay) fn play(&mut self, recorded: Recorded) {
        let key = recorded.key.clone();
        if recorded.act == Act::Deleted {
            if let Some(row) = self.table.get(&key) {
                if let (Some(timeline), Some(job)) = (&mut self.timeline, row.job()) {
                    timeline.removed(self.now, &job.key);
                }
                self.forget(&key);
            }
            return;
        }
        self.seed_row(&recorded);
        let Some(row) = self.table.get(&key) else {
            let is_new = recorded.act == Act::Write(Write::Create) || !self.gone.contains(&key);
            if is_new {
                self.overwrite(recorded, None);
            } else {
                self.trace(&recorded, "refused: the job was cleaned before".to_owned());
            }
            return;
        };
        let before = row.job().cloned();
        let (true, false, Some(job)) = (row.ours, self.strict, &before) else {
            return self.overwrite(recorded, before);
        };
        match course::chance(job, &recorded, self.now, self.plays) {
            Chance::Now => self.enact(&recorded, before),
            Chance::Later(when) => {
                let file = recorded.key.file.clone();
                let why = "waits: the job is not yet where it was then";
                self.say(
                    RECORDING,
                    &file,
                    recorded.act.as_str(),
                    Reason::rule(why),
                    Outcome::Trace,
                );
                self.courses
                    .entry(key.clone())
                    .or_default()
                    .waiting
                    .push_back(recorded);
                if let Some(when) = when {
                    self.plan(when, Plan::Resume(key));
                }
            }
            Chance::Never(why) => self.trace(&recorded, format!("refused: {why}")),
        }
    }

    /// The record becomes what the recording says.
    fn overwrite(&mut self, recorded: Recorded, before: Option<Job>) {
        let Some(job) = recorded.after else { return };
        let known = self.table.get(&recorded.key);
        let still_signed = known.and_then(|row| Some((row.job()?, job.as_ref().ok()?, &row.signature)));
        let signature = match (recorded.verdict, still_signed) {
            (Some(verdict), _) => Some(verdict),
            (None, Some((was, is, known))) if was.is_signed_alike(is) => known.clone(),
            (None, _) => None,
        };
        let place = recorded.place;
        let row = Row {
            held_as_recorded: job.as_ref().is_ok_and(is_held),
            job,
            place,
            signature,
            sequence: recorded.sequence,
            ours: known.is_some_and(|row| row.ours),
        };
        self.table.put(&recorded.key, row);
        self.changed(before, &recorded.key);
    }

    /// A recorded change happens to a job that the role has written to.
    fn enact(&mut self, recorded: &Recorded, before: Option<Job>) {
        let shift_ms = self.now.0.saturating_sub(recorded.at.0).max(0);
        self.table.change(&recorded.key, |row| {
            row.sequence = row.sequence.max(recorded.sequence);
            if let (Ok(job), Some(was), Some(Ok(is))) = (&mut row.job, &recorded.before, &recorded.after) {
                row.held_as_recorded |= is_held(is) && was.processor != is.processor;
                course::enact(job, was, is, shift_ms);
            }
        });
        self.changed(before, &recorded.key);
    }

    /// A recorded change that waited is tried again, and with it all that follows.
    pub(in crate::replay) fn resume(&mut self, key: &RecordKey) {
        let Some(course) = self.courses.get_mut(key) else {
            return;
        };
        let Some(recorded) = course.waiting.pop_front() else {
            return;
        };
        let job = self.table.get(key).and_then(Row::job);
        let chance = job.map(|job| course::chance(job, &recorded, self.now, self.plays));
        if let Some(Chance::Later(when)) = chance {
            course.waiting.push_front(recorded);
            if let Some(when) = when {
                self.plan(when, Plan::Resume(key.clone()));
            }
            return;
        }
        let shift_ms = self.now.0.saturating_sub(recorded.at.0).max(0);
        course.shift_ms = shift_ms;
        let rest = std::mem::take(&mut course.waiting);
        self.play(recorded);
        for recorded in rest {
            let at = Timestamp(recorded.at.0.saturating_add(shift_ms));
            self.plan(at, Plan::Play(Box::new(recorded)));
        }
    }

    /// The recording is over and the last moment has come: what could not happen is told.
    pub(in crate::replay) fn close(&mut self) {
        let mut waiting: Vec<Recorded> = self
            .courses
            .drain()
            .flat_map(|(_, course)| course.waiting)
            .collect();
        waiting.sort_by(|one, other| (&one.key, one.at).cmp(&(&other.key, other.at)));
        for recorded in waiting {
            self.trace(&recorded, "it still waits at the end".to_owned());
        }
    }

    pub(super) fn trace(&mut self, recorded: &Recorded, reason: String) {
        // A fetcher that lost its claim sends a heartbeat at most once more.
        if recorded.act != Act::Write(Write::Heartbeat) {
            let action = recorded.act.as_str();
            self.say(
                RECORDING,
                &recorded.key.file,
                action,
                Reason::rule(reason),
                Outcome::Trace,
            );
        }
    }
}

fn is_held(job: &Job) -> bool {
    job.status == Status::Processing
}
