//! What is looked for, claimed and refused.

use super::*;
use crate::fixture::wake;
use crate::job::Status;

#[test]
fn a_claim_that_is_won_is_worked_on() {
    let mut worker = worker();
    worker.tick(at(0));
    assert_eq!(short(&mut worker), ["look for 2"]);
    worker.handle(at(0), found([job(1)]));
    assert_eq!(short(&mut worker), ["claim 1"]);
    worker.handle(at(5), written(1, Write::Claim, won(1)));
    assert_eq!(short(&mut worker), ["fetch 1"]);
    worker.handle(at(9), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), ["downloaded 1", "engage 1"]);
    worker.handle(at(20), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker), ["complete 1"]);
    worker.handle(at(30), written(1, Write::Complete, done()));
    assert_eq!(short(&mut worker), ["look for 2"]);
}

/// Claims a job at this time and loses the claim to what the record holds.
fn claim_lost_to(worker: &mut Worker, now: At, record: Job) {
    worker.tick(now);
    worker.handle(now, found([job(1)]));
    worker.handle(
        now,
        written(1, Write::Claim, Outcome::Lost(Some(Box::new(record)))),
    );
}

#[test]
fn a_lost_claim_is_another_s_and_looks_become_rarer() {
    let mut worker = worker();
    claim_lost_to(&mut worker, at(0), claimed(1, "processor-2", LEASE));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
    // Two seconds less an eighth, as after a look that found nothing.
    worker.tick(at(1_749));
    assert_eq!(short(&mut worker), [] as [&str; 0]);
    worker.tick(at(1_750));
    assert_eq!(short(&mut worker), ["look for 2"]);
}

/// The request was repeated because its first answer was lost: the condition fails on our own claim.
#[test]
fn a_claim_lost_to_itself_is_won() {
    let mut worker = worker();
    claim_lost_to(&mut worker, at(0), claimed(1, PROCESSOR, LEASE));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1", "fetch 1"]);
}

/// A view of the lane from before our own claim offers a job that we have finished since.
#[test]
fn a_job_that_we_finished_is_not_taken_up_again() {
    for status in [Status::Completed, Status::Error, Status::Queued] {
        let mut worker = worker();
        let ours = Job {
            status,
            ..claimed(1, PROCESSOR, LEASE)
        };
        claim_lost_to(&mut worker, at(0), ours);
        assert_eq!(short(&mut worker), ["look for 2", "claim 1"], "{status:?}");
    }
}

/// Nobody works on an earlier claim of ours whose answer never came, but its lease may be near its end.
#[test]
fn an_earlier_claim_of_ours_is_left_to_the_watcher() {
    let mut worker = worker();
    claim_lost_to(&mut worker, at(1), claimed(1, PROCESSOR, LEASE));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
}

/// Two pipelines of one process: the claim of one must not pass for a repeated one of the other.
#[test]
fn a_claim_that_another_machine_of_the_same_processor_made_is_not_ours() {
    let mut workers = [worker(), worker()];
    for (ms, worker) in [3, 4].into_iter().zip(&mut workers) {
        worker.tick(at(ms));
        worker.handle(at(ms), found([job(1)]));
        assert_eq!(short(worker), ["look for 2", "claim 1"]);
    }
    let record = Job {
        assigned: Some(at(3).now),
        ..claimed(1, PROCESSOR, LEASE)
    };
    for (worker, wanted) in workers.iter_mut().zip([&["fetch 1"][..], &[]]) {
        let lost = Outcome::Lost(Some(Box::new(record.clone())));
        worker.handle(at(10), written(1, Write::Claim, lost));
        assert_eq!(short(worker), wanted);
    }
}

#[test]
fn a_claim_without_an_answer_is_left_to_the_watcher() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    short(&mut worker);
    worker.handle(at(1), written(1, Write::Claim, failed()));
    assert_eq!(short(&mut worker), Vec::<String>::new());
    assert!(
        worker.wake_at().unwrap() > at(1).now,
        "no claim is repeated at once"
    );
}

#[test]
fn no_more_jobs_are_held_than_the_policy_says() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found((1..=5).map(job)));
    // From a random one of the oldest on: with a jitter of one half, the third.
    assert_eq!(short(&mut worker), ["look for 2", "claim 3", "claim 4"]);
    assert_eq!(worker.wake_at(), None, "there is no room to look for");
    worker.handle(at(1), written(3, Write::Claim, failed()));
    worker.tick(at(5_000));
    assert_eq!(short(&mut worker), ["look for 1"]);
}

#[test]
fn a_job_offered_twice_is_claimed_once() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1), job(1)]));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
}

#[test]
fn jobs_that_are_not_for_us_are_left() {
    let version = |version: &str| Job {
        version: version.to_owned(),
        ..job(1)
    };
    let others = [
        version("3.0.0"),
        version("beta"),
        Job {
            bucket: "other".to_owned(),
            ..job(1)
        },
        Job {
            due: Some(at(1).now),
            ..job(1)
        },
        Job {
            processor: Some("theirs".to_owned()),
            ..job(1)
        },
        claimed(1, "theirs", LEASE),
    ];
    for other in others {
        let mut worker = worker();
        worker.tick(at(0));
        worker.handle(at(0), found([other.clone()]));
        assert_eq!(short(&mut worker), ["look for 2"], "{other:?}");
    }
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(
        at(1),
        found([Job {
            due: Some(at(1).now),
            ..job(1)
        }]),
    );
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"], "it is due now");
}

#[test]
fn a_job_waits_for_its_upload_where_the_policy_says() {
    let mut patient = policy();
    patient.claim.start = Start::Uploaded;
    let mut worker = with(patient);
    let coming = Offer {
        uploaded: false,
        ..offer(job(1))
    };
    worker.finish(at(0));
    worker.handle(at(0), offers([coming.clone()]));
    assert_eq!(short(&mut worker), ["look for 2"]);
    assert!(worker.is_idle(), "a job that is still on its way is not ready");
    worker.tick(at(1_000));
    worker.handle(
        at(1_000),
        offers([Offer {
            uploaded: true,
            ..coming
        }]),
    );
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
}

#[test]
fn a_job_from_the_future_is_refused_also_where_it_is_not_complete() {
    for start in [Start::Announced, Start::Uploaded] {
        let mut policy = policy();
        policy.claim.start = start;
        let mut worker = with(policy);
        worker.tick(at(0));
        let ahead = |file, ms: i64| Offer {
            uploaded: false,
            job: Job {
                created_at: Some(at(86_400_000 + ms).now),
                ..job(file)
            },
            ..offer(job(file))
        };
        let found = Event::Found(Findings {
            offers: vec![ahead(1, 1), ahead(2, 0)],
            ..Findings::default()
        });
        worker.handle(at(0), found);
        let done = short(&mut worker);
        assert_eq!(done[..2], ["look for 2", "refuse 1"], "{start:?}");
        assert_eq!(done.len() == 3, start == Start::Announced, "{done:?}");
    }
}

#[test]
fn a_forged_job_and_a_record_that_is_no_job_are_refused_once() {
    let mut worker = worker();
    let both = || {
        Event::Found(Findings {
            offers: vec![forged(1)],
            malformed: vec![malformed(2)],
            ..Findings::default()
        })
    };
    worker.finish(at(0));
    worker.handle(at(0), both());
    assert_eq!(short(&mut worker), ["look for 2", "refuse 2", "refuse 1"]);
    worker.tick(at(1_000));
    worker.handle(at(1_000), both());
    assert_eq!(short(&mut worker), ["look for 2"], "both are being refused");
    assert!(!worker.is_idle());
    // What could not be written is refused at a later look.
    worker.handle(at(1_100), written(1, Write::Refuse, failed()));
    worker.handle(at(1_100), written(2, Write::Refuse, done()));
    worker.tick(at(2_000));
    worker.handle(at(2_000), offers([forged(1)]));
    assert_eq!(short(&mut worker), ["look for 2", "refuse 1"]);
}

#[test]
fn refusals_under_way_are_bounded() {
    let mut worker = worker();
    worker.tick(at(0));
    let malformed = (0..500).map(malformed).collect();
    worker.handle(
        at(0),
        Event::Found(Findings {
            malformed,
            ..Findings::default()
        }),
    );
    assert_eq!(short(&mut worker).len(), 1 + REFUSING_MAX);
}

#[test]
fn looks_grow_rarer_while_there_is_nothing() {
    let mut worker = worker();
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..5 {
        worker.tick(at(now));
        assert_eq!(short(&mut worker), ["look for 2"]);
        worker.handle(at(now), found([]));
        assert!(wake(&mut worker, at(now)).is_empty());
        let next = worker.wake_at().unwrap().0 - START.0;
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits, [1_750, 3_500, 7_000, 7_000, 7_000]);
}

#[test]
fn a_round_ends_when_a_look_finds_nothing_and_nothing_is_held() {
    let mut worker = worker();
    worker.finish(at(0));
    assert!(!worker.is_idle());
    worker.handle(at(0), found([job(1)]));
    worker.handle(at(0), written(1, Write::Claim, won(1)));
    worker.tick(at(2_000));
    worker.handle(at(2_000), found([]));
    short(&mut worker);
    assert!(!worker.is_idle(), "a job is held");
    worker.handle(at(3_000), Event::Ended(key(1), result()));
    worker.handle(at(3_000), written(1, Write::Complete, done()));
    assert_eq!(short(&mut worker), ["complete 1", "look for 2"]);
    assert!(!worker.is_idle(), "a look is under way");
    worker.handle(at(3_100), Event::LookFailed("away".to_owned()));
    worker.tick(at(9_000));
    worker.handle(at(9_000), found([]));
    short(&mut worker);
    assert!(worker.is_idle());
}

#[test]
fn a_look_that_began_before_the_last_round_does_not_end_it() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.finish(at(0));
    worker.handle(at(0), found([]));
    assert_eq!(short(&mut worker), ["look for 2", "look for 2"]);
    assert!(!worker.is_idle());
    worker.handle(at(1), found([]));
    assert!(worker.is_idle());
}
