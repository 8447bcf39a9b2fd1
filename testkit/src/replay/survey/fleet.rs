//! Which fetchers a recording tells of, and from when until when each of them was there.

use std::collections::BTreeMap;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::Sighting;

/// For so long a fetcher that was heard of no more may still take the jobs it took when it was recorded: under another
/// role they may come later.
const CALLED_BACK_MAX: Duration = Duration::from_hours(1);

/// A fetcher of the recording.
#[derive(Clone, Debug)]
pub(in crate::replay) struct Fetcher {
    pub(in crate::replay) id: String,
    /// When it claimed first; where it never did, when it reported first.
    pub(in crate::replay) from: Timestamp,
    /// When it was last heard of, where it then went silent for good.
    pub(in crate::replay) until: Option<Timestamp>,
    /// When it was told to stop, or had ended.
    left: Option<Timestamp>,
    /// Its last write to a job; none where it never claimed.
    wrote: Option<Timestamp>,
    /// Its last report; none where its row is not in the recording.
    reported: Option<Sighting>,
    /// Until when each place of its processor was taken.
    places: Vec<Timestamp>,
}

impl Fetcher {
    /// One that was there from this moment on.
    pub(super) fn since(id: &str, from: Timestamp, analyses_max: usize) -> Self {
        Self {
            id: id.to_owned(),
            from,
            until: None,
            left: None,
            wrote: None,
            reported: None,
            places: vec![from; analyses_max],
        }
    }

    /// The fetcher of a recording that tells of none.
    pub(in crate::replay) fn unrecorded(from: Timestamp) -> Self {
        Self::since("processor-00000000-0000-0000-0000-000000000000", from, 1)
    }

    /// When it takes nothing more, not even what it took when it was recorded.
    pub(in crate::replay) fn leaves(&self) -> Option<Timestamp> {
        self.left.or(self.until.map(|until| until + CALLED_BACK_MAX))
    }

    /// Whether it went silent: it reports no more, or, where its reports are not in the recording, wrote nothing more
    /// before the lease of a job ended that it held.
    fn is_silent(&self, end: Timestamp, holds_until: Option<Timestamp>) -> bool {
        match self.reported {
            _ if self.left.is_some() => false,
            Some(report) => !report.is_alive(end),
            None => holds_until.is_some_and(|lease_ends| self.wrote < Some(lease_ends)),
        }
    }
}

/// The fetchers, by the numbers they are remembered by.
#[derive(Debug)]
pub(super) struct Fleet {
    /// How many files each of them gave to its processor at a time.
    analyses_max: usize,
    pub(super) fetchers: Vec<Fetcher>,
    numbers: BTreeMap<String, u32>,
}

impl Fleet {
    pub(super) fn new(analyses_max: usize) -> Self {
        Self {
            analyses_max: analyses_max.max(1),
            fetchers: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn get(&mut self, number: u32) -> Option<&mut Fetcher> {
        self.fetchers.get_mut(usize::try_from(number).ok()?)
    }

    /// The number of a fetcher that is heard of.
    fn number(&mut self, id: &str, at: Timestamp) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.fetchers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id.to_owned(), number);
        self.fetchers.push(Fetcher::since(id, at, self.analyses_max));
        number
    }

    /// It reported itself in its row; none where the row is gone, which a fetcher that ends takes away.
    pub(super) fn reported(&mut self, row: &str, at: Timestamp, report: Option<Sighting>) {
        let id = row.split('#').next().unwrap_or(row);
        let number = match report {
            Some(_) => self.number(id, at),
            None => self.numbers.get(id).copied().unwrap_or(u32::MAX),
        };
        let Some(fetcher) = self.get(number) else { return };
        match report {
            Some(Sighting { report_ms, .. }) => {
                fetcher.reported = Some(Sighting { seen: at, report_ms });
                fetcher.left = None;
            }
            None => fetcher.left = fetcher.left.or(Some(at)),
        }
    }

    /// It claimed a job: whatever was heard of it before, it was not told to stop. Its number.
    pub(super) fn claimed(&mut self, id: &str, at: Timestamp) -> u32 {
        let number = self.number(id, at);
        if let Some(fetcher) = self.get(number) {
            if fetcher.wrote.is_none() {
                fetcher.from = at;
            }
            fetcher.left = None;
        }
        self.wrote(number, at);
        number
    }

    /// It wrote to a job.
    pub(super) fn wrote(&mut self, number: u32, at: Timestamp) {
        if let Some(fetcher) = self.get(number) {
            fetcher.wrote = fetcher.wrote.max(Some(at));
        }
    }

    /// It gave a job back since it was told to stop.
    pub(super) fn stopped(&mut self, number: u32, at: Timestamp) {
        if let Some(fetcher) = self.get(number) {
            fetcher.left = Some(at);
        }
    }

    /// When the processor of a fetcher took a file that it was done with at `end`: not before the one ahead was done with.
    pub(super) fn began(&mut self, number: u32, downloaded: Timestamp, end: Timestamp) -> Timestamp {
        let first = self
            .get(number)
            .and_then(|fetcher| fetcher.places.iter_mut().min());
        let Some(place) = first else { return downloaded };
        let began = downloaded.max(*place).min(end);
        *place = end;
        began
    }

    /// The recording ended: who was not heard of again was lost. `lost`: the jobs that were taken from fetchers, and when
    /// their leases ended.
    pub(super) fn close(&mut self, end: Timestamp, lost: impl Iterator<Item = (u32, Option<Timestamp>)>) {
        let mut held: BTreeMap<u32, Timestamp> = BTreeMap::new();
        for (number, lease_ends) in lost {
            let until = held.entry(number).or_insert(Timestamp(i64::MIN));
            *until = lease_ends.map_or(*until, |ends| ends.max(*until));
        }
        for (number, fetcher) in (0..).zip(&mut self.fetchers) {
            if fetcher.is_silent(end, held.get(&number).copied()) {
                let reported = fetcher.reported.map(|report| report.seen);
                fetcher.until = fetcher.wrote.max(reported);
            }
        }
    }
}
