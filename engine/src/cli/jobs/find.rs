//! Finds jobs for a person: over the lanes first, by a scan only where that is said.

use roundtrip_core::job::{Job, Lane, LaneKind};
use roundtrip_core::names::ClientId;

use super::{Desk, Wanted};
use crate::cli::output::say;
use crate::cloud::fault::Fault;
use crate::cloud::item::Item;
use crate::cloud::jobs::Page;
use crate::error::{Error, Result};

/// Records one request brings, at most.
const PAGE: u32 = 200;

/// Requests for one lane's shard or one client, at most.
const PAGES_MAX: usize = 1_000;

/// Requests of a scan, at most: each reads 1 MB of the table.
const SCAN_PAGES_MAX: usize = 100_000;

/// Jobs named when a beginning fits several.
const NAMED_MAX: usize = 5;

/// The lanes, in the order of a job's life.
pub(super) const LANES: [LaneKind; 3] = [LaneKind::Ready, LaneKind::Leased, LaneKind::Done];

/// Jobs that were found.
#[derive(Debug, Default)]
pub(super) struct Catch {
    pub(super) jobs: Vec<Job>,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl Catch {
    /// Takes the jobs of a page that fit; whether there is room for more.
    fn take(&mut self, page: Page, limit: usize, fits: &impl Fn(&Job) -> bool) -> Option<Item> {
        for job in page.records.into_iter().flatten().filter(fits) {
            if self.jobs.len() == limit {
                self.more = true;
                return None;
            }
            self.jobs.push(job);
        }
        page.next
    }
}

impl Desk {
    fn away(&self, fault: Fault) -> Error {
        fault.during(format!("cannot read the table `{}`", self.table))
    }

    /// Up to `limit` jobs that fit, of every shard of a lane, the longest due of each first.
    pub(super) async fn in_lane(
        &self,
        kind: LaneKind,
        limit: usize,
        fits: &impl Fn(&Job) -> bool,
    ) -> Result<Catch> {
        let mut found = Catch::default();
        for shard in 0..self.shards {
            let (mut part, mut from) = (Catch::default(), None);
            for _ in 0..PAGES_MAX {
                let page = self.jobs.lane(Lane { kind, shard }, PAGE, from).await;
                from = part.take(page.map_err(|fault| self.away(fault))?, limit, fits);
                if from.is_none() {
                    break;
                }
            }
            found.more |= part.more || from.is_some();
            found.jobs.append(&mut part.jobs);
        }
        Ok(found)
    }

    /// Up to `limit` jobs of a client that fit and whose file id begins with `prefix`.
    pub(super) async fn of_client(
        &self,
        client: &ClientId,
        prefix: &str,
        limit: usize,
        fits: &impl Fn(&Job) -> bool,
    ) -> Result<Catch> {
        let (mut found, mut from) = (Catch::default(), None);
        for _ in 0..PAGES_MAX {
            let page = self.jobs.of_client(client, prefix, from).await;
            from = found.take(page.map_err(|fault| self.away(fault))?, limit, fits);
            if from.is_none() {
                break;
            }
        }
        found.more |= from.is_some();
        Ok(found)
    }

    /// Up to `limit` jobs of the whole table that fit.
    pub(super) async fn scanned(&self, limit: usize, fits: &impl Fn(&Job) -> bool) -> Result<Catch> {
        say(&format!("scanning the table `{}`", self.table));
        let (mut found, mut from) = (Catch::default(), None);
        for _ in 0..SCAN_PAGES_MAX {
            let page = self.jobs.all(from).await;
            from = found.take(page.map_err(|fault| self.away(fault))?, limit, fits);
            if from.is_none() {
                break;
            }
        }
        found.more |= from.is_some();
        Ok(found)
    }

    /// The one job that is meant, read consistently.
    pub(super) async fn one(&self, wanted: &Wanted) -> Result<Job> {
        let file = if wanted.file.starts_with("file-") {
            wanted.file.clone()
        } else {
            format!("file-{}", wanted.file)
        };
        let client = wanted.client.as_deref().unwrap_or_default();
        let fits =
            |job: &Job| job.key.file.as_str().starts_with(&file) && begins(job.key.client.as_str(), client);
        let mut found = Vec::new();
        if let Ok(client) = ClientId::parse(client) {
            found = self.of_client(&client, &file, NAMED_MAX + 1, &fits).await?.jobs;
        } else {
            for kind in LANES {
                found.extend(self.in_lane(kind, NAMED_MAX + 1, &fits).await?.jobs);
            }
            if found.is_empty() {
                // Finished and cleaned, or a foreign client's: such a job is in no lane.
                found = self.scanned(NAMED_MAX + 1, &fits).await?.jobs;
            }
        }
        // A job that moved while the lanes were read may have been met twice.
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found.dedup_by(|one, other| one.key == other.key);
        let job = match found.as_slice() {
            [] => return Err(none(&wanted.file)),
            [job] => job,
            several => return Err(ambiguous(&wanted.file, several)),
        };
        let fresh = self.jobs.get(&job.key).await.map_err(|fault| self.away(fault))?;
        fresh.ok_or_else(|| none(&wanted.file))
    }
}

/// Whether a client id begins so, with or without `client-`.
pub(super) fn begins(client: &str, prefix: &str) -> bool {
    client.starts_with(prefix)
        || client
            .strip_prefix("client-")
            .is_some_and(|id| id.starts_with(prefix))
}

fn none(file: &str) -> Error {
    Error::usage(format!("there is no job `{}`", super::plain(file)))
        .hint("`roundtrip jobs list` shows the jobs of this table; look at --table and --shards")
}

fn ambiguous(file: &str, several: &[Job]) -> Error {
    let named: Vec<String> = several
        .iter()
        .take(NAMED_MAX)
        .map(|job| job.key.to_string())
        .collect();
    let rest = if several.len() > NAMED_MAX { ", ..." } else { "" };
    Error::usage(format!(
        "`{}` fits several jobs: {}{rest}",
        super::plain(file),
        named.join(", ")
    ))
    .hint("give more of the file id, or --client")
}
