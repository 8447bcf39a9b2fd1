//! Runs many seeds, or tells one: `seeds COUNT [FIRST]`, `seeds --seed N`; `--fault KIND=RATE` sets a rate, `--shipped`
//! takes the waits as they are shipped.

use std::time::Instant;

use roundtrip_testkit::simulate::{Faults, Policies, Scenario, run, seeds, shrink};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut scenario = Scenario::default();
    if arguments.iter().any(|argument| argument == "--calm") {
        scenario.faults = Faults::none();
    }
    for (kind, rate) in arguments.iter().filter_map(|argument| argument.split_once('=')) {
        let kind = kind.parse().expect("a kind of fault");
        let rate = rate.parse().expect("a rate from 0 to 1");
        scenario.faults = scenario.faults.with(kind, rate);
    }
    if arguments.iter().any(|argument| argument == "--shipped") {
        scenario = scenario.under(Policies::shipped());
    }
    let numbers: Vec<u64> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    if arguments.iter().any(|argument| argument == "--seed") {
        let outcome = run(&scenario, numbers.first().copied().unwrap_or(1), true);
        for line in &outcome.trace {
            println!("{line}");
        }
        for breach in &outcome.breaches {
            println!("{breach}");
        }
        println!("{:#?}", outcome.statistics);
        return;
    }
    let count = numbers.first().copied().unwrap_or(1_000);
    let first = numbers.get(1).copied().unwrap_or(1);
    let begin = Instant::now();
    let found = seeds(&scenario, first, count, |_| true);
    let elapsed = begin.elapsed();
    println!(
        "{} seeds, {} jobs, {} faults, {} events in {:.1} s: {} seeds/s",
        found.seeds,
        found.jobs,
        found.faults,
        found.events,
        elapsed.as_secs_f64(),
        u128::from(found.seeds) * 1_000 / elapsed.as_millis().max(1)
    );
    if let Some(failed) = found.failed {
        println!("seed {} breaks a promise", failed.seed);
        if let Some(story) = shrink(&scenario, failed.seed) {
            print!("{}", story.text());
        }
        std::process::exit(1);
    }
}
