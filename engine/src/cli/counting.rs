//! Progress through a known number of things: a bar on a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{say, show_bar};

/// Time between plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// How far it is. Dropped, it leaves nothing on the terminal.
#[derive(Debug)]
pub(super) struct Counting {
    things: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Instant,
}

impl Counting {
    /// Through so many of these things, named in the plural.
    pub(super) fn begin(things: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let template = "{bar:24} {human_pos} of {human_len} {prefix}, {per_sec}, {eta} left";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_prefix(things);
            show_bar(Some(bar.clone()));
            bar
        });
        let now = Instant::now();
        Self {
            things,
            total,
            bar,
            begun: now,
            told: now,
        }
    }

    /// So many are done.
    pub(super) fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.told.elapsed() >= PLAIN_INTERVAL {
            self.told = Instant::now();
            say(&self.line(done, self.begun.elapsed()));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate for a person")]
    fn line(&self, done: u64, elapsed: Duration) -> String {
        let rate = done as f64 / elapsed.as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate;
        let left = Duration::try_from_secs_f64(left).map_or_else(
            |_| String::new(),
            |left| format!(", {:#} left", HumanDuration(left)),
        );
        format!("{done} of {} {}, {rate:.1}/s{left}", self.total, self.things)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            show_bar(None);
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        let counting = Counting::begin("seeds", 1_000);
        let line = |done| counting.line(done, Duration::from_secs(10));
        assert_eq!(line(250), "250 of 1000 seeds, 25.0/s, 30s left");
        assert_eq!(line(0), "0 of 1000 seeds, 0.0/s");
    }
}
