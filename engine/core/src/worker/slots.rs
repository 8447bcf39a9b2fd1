//! Which job is fetched and which the processor has: downloads and analyses have limits of their own.

use super::held::{Handed, Held, Stage};
use super::{Action, Worker};
use crate::at::At;
use crate::machine::Reason;
use crate::names::JobKey;

impl Worker {
    /// How many more jobs may be claimed: each is held and downloaded from then on.
    pub(super) fn free(&self) -> usize {
        let claim = &self.policy.claim;
        let room = self.member.as_ref().map_or(claim.in_flight_max, |member| {
            member.health().room(claim.in_flight_max)
        });
        let downloads = self.held.values().filter(|held| held.is_downloading()).count();
        room.saturating_sub(self.held.len())
            .min(claim.downloads_max.saturating_sub(downloads))
    }

    /// Hands files to the processor as far as it has room: first those that are wholly here, in the order they came,
    /// so that none waits for ever; then those whose rest is expected in time. The others wait under their leases.
    pub(super) fn engage_some(&mut self, at: At) {
        let analyses_max = self.policy.claim.analyses_max;
        let mut analyses = self.held.values().filter(|held| held.is_analysed()).count();
        for key in self.candidates(at) {
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            if analyses >= analyses_max {
                held.handed = Handed::Waits;
                continue;
            }
            analyses += 1;
            held.stage = Stage::Engaged;
            let before = std::mem::replace(&mut held.handed, Handed::Over);
            let reason = match (before == Handed::Waits, held.arrived) {
                (true, _) => Reason::key("the processor has room for it", "claim.analyses-max"),
                (false, Some(_)) => Reason::key("the whole file is here", "claim.feed"),
                (false, None) => Reason::key("the rest is expected in time", "claim.feed"),
            };
            self.decide(Action::Engage(key), reason);
        }
    }

    /// Jobs that the processor may have, the first to be taken first.
    fn candidates(&self, at: At) -> Vec<JobKey> {
        let claim = &self.policy.claim;
        let rank = |held: &Held| match (&held.stage, held.arrived, held.progress) {
            (Stage::Fetching { .. }, _, _) if held.stopped => None,
            (Stage::Fetching { .. }, Some(arrived), _) => Some((false, arrived)),
            (Stage::Fetching { since }, None, Some((here, size)))
                if claim.engages(here, size, at.now.since(*since)) =>
            {
                Some((true, *since))
            }
            (
                Stage::Fetching { .. }
                | Stage::Claiming { .. }
                | Stage::Engaged
                | Stage::Committing { .. }
                | Stage::Dropped,
                _,
                _,
            ) => None,
        };
        let mut ranked: Vec<_> = self
            .held
            .iter()
            .filter_map(|(key, held)| Some((rank(held)?, key.clone())))
            .collect();
        ranked.sort();
        ranked.into_iter().map(|(_, key)| key).collect()
    }
}
