//! Measures a fleet: `scale FETCHERS JOBS [SHARDS] [ANALYSIS_SECONDS_MAX] [RESULT_BYTES]`; prints JSON.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use roundtrip_testkit::simulate::{Prices, Scale, scale};

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let at = |index: usize, default: u64| numbers.get(index).copied().unwrap_or(default);
    let fetchers = usize::try_from(at(0, 100)).expect("fetchers fit the address space");
    let shards = u32::try_from(at(2, 8)).expect("at most 1,000 shards");
    let mut what = Scale::new(fetchers, at(1, 10_000)).with_shards(shards);
    what.analysis_max = Duration::from_secs(at(3, 60));
    what.result_bytes = usize::try_from(at(4, 1_024)).expect("a result fits the address space");
    let begin = Instant::now();
    let measured = scale(&what, Prices::default(), 1, |_| ());
    let text = serde_json::to_string_pretty(&measured).expect("numbers and texts");
    println!("{text}");
    eprintln!("{:.1} s", begin.elapsed().as_secs_f64());
    for fault in measured.faults() {
        eprintln!("{fault}");
    }
    ExitCode::from(u8::from(!measured.holds()))
}
