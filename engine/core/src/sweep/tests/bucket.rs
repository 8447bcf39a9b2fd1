//! Sweeps against a model of bucket and table.

use super::*;
use crate::fixture::live;

/// An object of the model.
#[derive(Clone, Debug)]
struct Thing {
    key: String,
    age_ms: i64,
    needed: bool,
    /// Whether its job has no record.
    unknown: bool,
}

/// Which jobs there are: one of each standing, by the file's number.
fn standing(file: u32) -> Standing {
    match file % 6 {
        0 => Standing::Missing,
        1 => Standing::Known(Box::new(job(file))),
        2 => Standing::Known(Box::new(cleaned(file, Status::Error))),
        3 => Standing::Known(Box::new(completed(file))),
        4 => Standing::Unreadable,
        _ => Standing::Known(Box::new(cleaned(file, Status::Completed))),
    }
}

fn thing() -> impl Strategy<Value = Thing> {
    let age = prop_oneof![0..AGE_MIN_MS, Just(AGE_MIN_MS), AGE_MIN_MS + 1..10 * AGE_MIN_MS];
    (0_u32..40, 0_u64..6, age, proptest::bool::weighted(0.1)).prop_map(|(file, part, age_ms, strange)| {
        let job = key(file);
        let name = match part {
            0 => job.manifest(),
            1 => job.results(),
            index => job.chunk(index),
        };
        let gone = age_ms > AGE_MIN_MS && !strange && matches!(file % 6, 0 | 2 | 5);
        Thing {
            key: if strange { format!("{name}.bak") } else { name },
            age_ms,
            needed: !gone,
            unknown: file.is_multiple_of(6),
        }
    })
}

proptest! {
    /// The clock stands still, so that exactly those go that are old and that nobody needs; the requests in
    /// `broken` fail, whichever they are, and more than one sweep may be needed then.
    #[test]
    fn exactly_what_is_old_and_needed_by_nobody_goes(
        things in proptest::collection::vec(thing(), 0..60),
        page_size in 1_usize..20,
        pages_max in 1_u32..4,
        named in prop_oneof![3 => Just(Some("jobs")), 1 => Just(None), 1 => Just(Some("other"))],
        broken in proptest::collection::btree_set(1_usize..80, 0..40),
    ) {
        let mut bucket: BTreeMap<String, Thing> =
            things.into_iter().map(|thing| (thing.key.clone(), thing)).collect();
        for thing in bucket.values_mut() {
            thing.needed |= named == Some("other") || named.is_none() && thing.unknown;
        }
        let wanted: Vec<String> =
            bucket.values().filter(|thing| thing.needed).map(|thing| thing.key.clone()).collect();
        let (mut sweep, mut requests) = (sweep(pages_max), 0);
        live(&mut sweep, seconds(15_000), |now, action| {
            requests += 1;
            let fails = broken.contains(&requests);
            Some(match action {
                Action::AskOwner if fails => Event::OwnerFailed("away".to_owned()),
                Action::AskOwner => owner(named),
                Action::List { .. } if fails => Event::ListFailed("away".to_owned()),
                Action::List { after } => {
                    let rest = bucket.values().filter(|thing| after.as_ref().is_none_or(|after| thing.key > *after));
                    let mut page: Vec<Object> = rest
                        .map(|thing| object(thing.key.clone(), Timestamp(now.now.0 - thing.age_ms)))
                        .take(page_size + 1)
                        .collect();
                    let more = page.len() > page_size;
                    page.truncate(page_size);
                    let next = page.last().map(|object| object.key.clone()).filter(|_| more);
                    Event::Listed { objects: page, next }
                }
                Action::Ask(_) if fails => Event::AskFailed("away".to_owned()),
                Action::Ask(jobs) => {
                    assert!(jobs.len() <= page_size);
                    let file = |job: &JobKey| {
                        let name = job.file.as_str();
                        name[name.len() - 6..].parse::<u32>().unwrap()
                    };
                    Event::Answered(jobs.into_iter().map(|job| (job.clone(), standing(file(&job)))).collect())
                }
                Action::Delete(objects) if fails => Event::DeleteFailed(objects.len() as u64, "away".to_owned()),
                Action::Delete(objects) => {
                    for object in &objects {
                        let thing = bucket.remove(&object.key).expect("it was listed");
                        assert!(!thing.needed, "{thing:?} is needed");
                        assert!(thing.age_ms > AGE_MIN_MS);
                    }
                    Event::Deleted(objects.len() as u64)
                }
                Action::Refuse { .. } => {
                    assert_eq!(named, Some("other"));
                    return None;
                }
                Action::Spare(_) => {
                    assert_eq!(named, None);
                    return None;
                }
                Action::Report(_) => return None,
            })
        });
        prop_assert_eq!(bucket.into_keys().collect::<Vec<_>>(), wanted);
    }
}
