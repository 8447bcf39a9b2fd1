use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::claim::{Feed, Start};
use crate::fixture::{START, at, job};
use crate::lifecycle::RecordKey;

const BUCKET: &str = "lab";

fn claim(start: Start) -> ClaimPolicy {
    let second = Duration::from_secs(1);
    ClaimPolicy {
        versions: None,
        start,
        feed: Feed::Complete,
        in_flight_max: 1,
        downloads_max: 1,
        analyses_max: 1,
        lease: second,
        heartbeat: second,
        stall: second,
        upload_max: second,
        drain: second,
    }
}

/// The ready lanes, in whose order a table keeps them, and what is asked of whoever has them.
struct Table {
    shards: Vec<Vec<Result<Job, Malformed>>>,
    page: usize,
    /// Files that are not uploaded.
    on_their_way: BTreeSet<String>,
    /// Files that are not what their client signed.
    forged: BTreeSet<String>,
    claim: ClaimPolicy,
    /// Where searches stopped.
    places: Places<usize>,
    /// `read SHARD up to PRIORITY from PLACE` and `judge FILE`, as they were asked for.
    asked: Vec<String>,
}

impl Table {
    fn new(page: usize, jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut jobs: Vec<Job> = jobs.into_iter().collect();
        jobs.sort_by_key(|job| (Reverse(job.priority), job.due));
        Self {
            shards: vec![jobs.into_iter().map(Ok).collect()],
            page,
            on_their_way: BTreeSet::new(),
            forged: BTreeSet::new(),
            claim: claim(Start::Announced),
            places: Places::new(),
            asked: Vec::new(),
        }
    }

    fn search(&mut self, at: At, wanted: usize, priority_max: u8) -> Findings {
        let shards = 0..u32::try_from(self.shards.len()).unwrap();
        let places = std::mem::take(&mut self.places);
        let mut search = Search::new(wanted, priority_max, shards).going_on(places);
        let mut page = Vec::new();
        loop {
            match search.step() {
                Step::Read {
                    lane,
                    priority_max,
                    from,
                } => {
                    let begin: usize = from.unwrap_or(0);
                    let line = format!("read {} up to {priority_max} from {begin}", lane.shard);
                    self.asked.push(line);
                    let records = self.shards[lane.shard as usize].iter().filter(|record| {
                        let job = record.as_ref().ok();
                        job.is_none_or(|job| {
                            job.priority <= priority_max && (job.priority > 0 || job.due <= Some(at.now))
                        })
                    });
                    let rest: Vec<_> = records.skip(begin).cloned().collect();
                    let next = (rest.len() > self.page).then_some(begin + self.page);
                    page = rest.into_iter().take(self.page).collect();
                    search.page(at, &self.claim, BUCKET, page.iter().map(Result::as_ref), next);
                }
                Step::Judge(place) => {
                    let job = page[place].clone().unwrap();
                    let file = job.key.file.to_string();
                    self.asked.push(format!("judge {}", number(&job)));
                    let forged = self.forged.contains(&file);
                    search.judged(Offer {
                        signature: if forged { Err("forged".to_owned()) } else { Ok(()) },
                        uploaded: !self.on_their_way.contains(&file),
                        job,
                    });
                }
                Step::Over(findings) => {
                    self.places = search.into_places();
                    return findings;
                }
            }
        }
    }

    /// The numbers of the files it offers.
    fn offers(&mut self, at: At, wanted: usize, priority_max: u8) -> Vec<u32> {
        let found = self.search(at, wanted, priority_max);
        found.offers.iter().map(|offer| number(&offer.job)).collect()
    }
}

fn number(job: &Job) -> u32 {
    let file = job.key.file.to_string();
    file.rsplit('-').next().unwrap().parse().unwrap()
}

/// A job of this priority that is due so many milliseconds after the start.
fn due(file: u32, priority: u8, ms: i64) -> Job {
    let due = Some(Timestamp(START.0 + ms));
    Job {
        due,
        priority,
        ..job(file)
    }
}

fn jittered(ms: i64, jitter: f64) -> At {
    At { jitter, ..at(ms) }
}

#[test]
fn the_most_urgent_come_first_and_among_them_any() {
    let jobs = || {
        [
            due(1, 5, 0),
            due(2, 5, 1),
            due(3, 5, 2),
            due(4, 0, 0),
            due(5, 0, 1),
        ]
    };
    for (jitter, offers) in [
        (0.0, [1, 2, 3, 4, 5]),
        (0.5, [2, 3, 1, 4, 5]),
        (0.99, [3, 1, 2, 4, 5]),
    ] {
        let mut table = Table::new(10, jobs());
        assert_eq!(
            table.offers(jittered(10, jitter), 9, PRIORITY_MAX),
            offers,
            "{jitter}"
        );
    }
}

#[test]
fn those_whose_turn_it_is_come_first_and_the_rest_only_where_they_do_not_suffice() {
    let jobs = || [due(1, 5, 0), due(2, 3, 0), due(3, 0, 0)];
    let at = jittered(10, 0.0);
    assert_eq!(Table::new(10, jobs()).offers(at, 2, 3), [2, 3]);
    let mut table = Table::new(10, jobs());
    assert_eq!(table.offers(at, 3, 3), [2, 3, 1], "each once");
    let reads: Vec<_> = table
        .asked
        .iter()
        .filter(|line| line.starts_with("read"))
        .collect();
    assert_eq!(reads, ["read 0 up to 3 from 0", "read 0 up to 9 from 0"]);
}

#[test]
fn no_more_is_read_or_judged_than_is_wanted() {
    let mut table = Table::new(2, (1..=9).map(|file| due(file, 0, i64::from(file))));
    table.shards.push(vec![Ok(due(10, 0, 0))]);
    assert_eq!(table.offers(jittered(10, 0.0), 1, PRIORITY_MAX), [1]);
    assert_eq!(table.asked, ["read 0 up to 9 from 0", "judge 1"]);
    table.asked.clear();
    assert_eq!(table.offers(jittered(10, 0.0), 0, PRIORITY_MAX), [0; 0]);
    assert!(table.asked.is_empty(), "{:?}", table.asked);
}

/// Of equal priority all behind one that is not due yet are not due either: they are passed over.
#[test]
fn urgent_jobs_in_their_backoff_hide_nobody() {
    let waiting = (100..200).map(|file| due(file, 9, 60_000));
    let mut table = Table::new(2, waiting.chain([due(1, 5, 0), due(2, 0, 0)]));
    let found = table.search(at(10), 2, PRIORITY_MAX);
    assert_eq!(found.priority_seen, 9);
    assert_eq!(found.offers.len(), 2);
    let reads = [
        "read 0 up to 9 from 0",
        "read 0 up to 8 from 0",
        "judge 1",
        "judge 2",
    ];
    assert_eq!(table.asked, reads);
    // At the moment itself a job is due.
    let mut table = Table::new(2, [due(1, 9, 60_000)]);
    assert_eq!(table.offers(at(59_999), 1, PRIORITY_MAX), [0; 0]);
    assert_eq!(table.offers(at(60_000), 1, PRIORITY_MAX), [1]);
}

#[test]
fn a_shard_is_read_up_to_its_tenth_page() {
    let others = |count| {
        let bucket = "another".to_owned();
        let other = move |file| Job {
            bucket: bucket.clone(),
            ..due(file, 9, 0)
        };
        (100..100 + count).map(other)
    };
    let pages = u32::try_from(PAGES_MAX).unwrap();
    for (hidden, offers) in [(2 * pages - 1, vec![1]), (2 * pages, vec![])] {
        let mut table = Table::new(2, others(hidden).chain([due(1, 0, 0)]));
        assert_eq!(table.offers(at(10), 1, PRIORITY_MAX), offers, "{hidden}");
        // The next shard is read all the same.
        table.shards.push(vec![Ok(due(2, 0, 0))]);
        assert!(table.offers(at(10), 2, PRIORITY_MAX).contains(&2));
    }
}

/// So many jobs of another bucket, before all others.
fn others(count: u32, priority: u8) -> impl Iterator<Item = Job> {
    (100..100 + count).map(move |file| Job {
        bucket: "another".to_owned(),
        ..due(file, priority, i64::from(file) - 2_000)
    })
}

/// How many searches for one job it takes to find this one.
fn searches(table: &mut Table, wanted: u32, at: At, priority_max: u8) -> Option<usize> {
    (1..100).find(|_| table.offers(at, 1, priority_max).contains(&wanted))
}

#[test]
fn what_stands_behind_many_others_is_found_by_later_searches() {
    let mut table = Table::new(25, others(1_000, 0).chain([due(1, 0, 0)]));
    assert_eq!(searches(&mut table, 1, at(10), PRIORITY_MAX), Some(5));
    // The first page and nine others each: ten, nine more, nine more, nine more, and the rest.
    let first = table.asked.iter().filter(|line| line.ends_with("from 0")).count();
    assert_eq!(
        (first, table.asked.len()),
        (5, 10 + 10 + 10 + 10 + 5 + 1),
        "{:#?}",
        table.asked
    );
    assert_eq!(
        table.offers(at(10), 1, PRIORITY_MAX),
        [0; 0],
        "from the beginning again"
    );
    assert_eq!(searches(&mut table, 1, at(10), PRIORITY_MAX), Some(4));
}

#[test]
fn what_is_new_and_urgent_is_found_meanwhile() {
    let mut table = Table::new(25, others(1_000, 0));
    for _ in 0..2 {
        assert_eq!(table.offers(at(10), 1, PRIORITY_MAX), [0; 0]);
    }
    table.shards[0].insert(0, Ok(due(1, 9, 0)));
    assert_eq!(table.offers(at(10), 1, PRIORITY_MAX), [1]);
}

/// Each shard has a place of its own; behind its end it begins anew, and so do its jobs.
#[test]
fn every_shard_goes_on_by_itself() {
    let mut table = Table::new(25, others(300, 0).chain([due(1, 0, 0), due(2, 0, 1)]));
    table
        .shards
        .push(others(600, 0).chain([due(3, 0, 0)]).map(Ok).collect());
    assert_eq!(table.offers(at(10), 3, PRIORITY_MAX), [0; 0]);
    let mut offers = || table.offers(jittered(10, 0.0), 3, PRIORITY_MAX);
    assert_eq!(offers(), [1, 2]);
    assert_eq!(offers(), [3], "the first shard is at its beginning");
    assert_eq!(offers(), [1, 2]);
}

#[test]
fn urgent_jobs_for_others_hide_nobody_for_long() {
    for priority_max in [7, 8, PRIORITY_MAX] {
        for waiting in [0, 3_600_000] {
            let urgent = others(600, 9).map(|job| Job {
                due: job.due.map(|due| Timestamp(due.0 + waiting)),
                ..job
            });
            let mut table = Table::new(25, urgent.chain([due(1, 7, 0), due(2, 0, 0)]));
            let found = searches(&mut table, 1, at(10), priority_max);
            assert!(
                found.is_some_and(|count| count <= 4),
                "{priority_max} {waiting} {found:?}"
            );
        }
    }
}

/// It is refused, and that must not wait for an upload that need not come.
#[test]
fn a_job_from_the_future_is_told_of_before_it_is_uploaded() {
    let day = 86_400_000;
    let ahead = |file, ms: i64| Job {
        created_at: Some(Timestamp(START.0 + day + ms)),
        ..due(file, 0, i64::from(file))
    };
    let mut table = Table::new(10, [ahead(1, 10), ahead(2, 11)]);
    table.claim = claim(Start::Uploaded);
    for file in [1, 2] {
        table.on_their_way.insert(job(file).key.file.to_string());
    }
    assert_eq!(table.offers(jittered(10, 0.0), 9, PRIORITY_MAX), [2]);
}

#[test]
fn a_job_on_its_way_hides_nobody_and_a_forged_one_is_told_of() {
    let mut table = Table::new(10, (1..=4).map(|file| due(file, 0, i64::from(file))));
    table.claim = claim(Start::Uploaded);
    for file in [1, 2] {
        table.on_their_way.insert(job(file).key.file.to_string());
    }
    table.forged.insert(job(2).key.file.to_string());
    assert_eq!(table.offers(jittered(10, 0.0), 2, PRIORITY_MAX), [2, 3]);
}

#[test]
fn only_an_honest_job_is_asked_for_its_upload() {
    let forged = || Err("forged".to_owned());
    assert!(claim(Start::Uploaded).waits_for_upload(&Ok(())));
    assert!(!claim(Start::Uploaded).waits_for_upload(&forged()));
    assert!(!claim(Start::Announced).waits_for_upload(&Ok(())));
}

#[test]
fn what_is_no_job_is_told_of_once() {
    let mut table = Table::new(1, [due(1, 0, 0)]);
    let malformed = Malformed {
        key: RecordKey::from(&job(7).key),
        why: "`chunks` is missing".to_owned(),
        ..Malformed::default()
    };
    table.shards[0].push(Err(malformed.clone()));
    let found = table.search(at(10), 9, 4);
    assert_eq!(found.malformed, [malformed]);
    assert_eq!(found.offers.len(), 1);
}

proptest! {
    /// Whatever lies in the lanes: a search that wants all offers each job that is due once, and no other.
    #[test]
    fn all_that_is_due_is_found_once(
        jobs in prop::collection::vec((0..3_u8, -5..5_i64, 0..2_usize), 0..18),
        page in 2..20_usize,
        priority_max in 0..=PRIORITY_MAX,
        jitter in 0.0..1.0,
    ) {
        let jobs: Vec<_> = (1..).zip(jobs).collect();
        let of = |wanted: usize| {
            let those = jobs.iter().filter(move |(_, (_, _, shard))| *shard == wanted);
            those.map(|(file, (priority, ms, _))| due(*file, 4 * priority, *ms)).collect::<Vec<_>>()
        };
        let mut table = Table::new(page, of(0));
        table.shards.extend(Table::new(page, of(1)).shards);
        let mut offers = table.offers(jittered(0, jitter), 100, priority_max);
        offers.sort_unstable();
        let due: Vec<u32> = jobs.iter().filter(|(_, (_, ms, _))| *ms <= 0).map(|(file, _)| *file).collect();
        prop_assert_eq!(offers, due);
    }
}
