//! Progress: a moving line on a terminal, plain lines elsewhere, outcomes on standard output.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Format;
use super::jobs::plain;
use super::output::{say, show_bar, tell};
use crate::error::Exit;
use crate::run::progress::{Counts, Note, Progress};

/// Time between looks at what is going on.
const TICK: Duration = Duration::from_millis(100);

/// Time between plain lines about files that take long.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Time between such lines in the log of a role.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Prints outcomes on standard output.
#[derive(Debug)]
pub(super) struct Outcomes {
    format: Format,
}

impl Outcomes {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    fn print(&self, note: &Note) {
        let line = match (self.format, note) {
            (Format::Text, Note::Done(file, result)) => format!("{} -> {}", text(file), text(result)),
            (Format::Text, Note::Failed(file, error_file, _)) => {
                format!("{} failed -> {}", text(file), text(error_file))
            }
            (Format::Json, Note::Done(file, result)) => {
                json!({ "file": file.to_string_lossy(), "result": result.to_string_lossy() }).to_string()
            }
            (Format::Json, Note::Failed(file, error_file, why)) => {
                let (file, error_file) = (file.to_string_lossy(), error_file.to_string_lossy());
                json!({ "file": file, "error": why, "error_file": error_file }).to_string()
            }
            (_, Note::Uploading(..) | Note::Uploaded(_) | Note::Analysing(_) | Note::Left(..)) => return,
        };
        tell(&line);
    }
}

/// A name on one line, whatever is in it.
fn text(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// Shows progress until it is ended.
pub(super) struct Watcher {
    ended: CancellationToken,
    task: JoinHandle<Counts>,
}

impl Watcher {
    /// Starts to show. `lines`: whether to tell of each file on standard error as well; a role that logs does not.
    pub(super) fn start(progress: Progress, outcomes: Outcomes, lines: bool) -> Self {
        let ended = CancellationToken::new();
        let until = ended.clone();
        let mut view = View::new(outcomes, lines);
        let task = tokio::spawn(async move {
            loop {
                let last = until.is_cancelled();
                view.show(&progress);
                if last {
                    view.end(&progress);
                    return progress.counts();
                }
                tokio::select! {
                    () = until.cancelled() => {}
                    () = tokio::time::sleep(TICK) => {}
                }
            }
        });
        Self { ended, task }
    }

    /// Shows the last of it and gives where everything stands.
    pub(super) async fn end(self) -> Counts {
        self.ended.cancel();
        self.task.await.unwrap_or_default()
    }
}

struct View {
    outcomes: Outcomes,
    lines: bool,
    /// Whether each result is seen twice if told on standard error as well.
    results_seen: bool,
    bar: Option<ProgressBar>,
    last_line: Instant,
    last_bytes: u64,
}

impl View {
    fn new(outcomes: Outcomes, lines: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (lines && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style());
            show_bar(Some(bar.clone()));
            bar
        });
        Self {
            outcomes,
            lines,
            results_seen: terminal && std::io::stdout().is_terminal(),
            bar,
            last_line: Instant::now(),
            last_bytes: 0,
        }
    }

    fn show(&mut self, progress: &Progress) {
        for note in progress.take_notes() {
            self.outcomes.print(&note);
            let told = self.results_seen && matches!(note, Note::Done(..));
            if self.lines
                && !told
                && let Some(line) = line(&note)
            {
                say(&line);
            }
        }
        let counts = progress.counts();
        match &self.bar {
            Some(bar) => {
                bar.set_length(counts.bytes_total);
                bar.set_position(counts.bytes_sent);
                bar.set_message(summary(&counts));
            }
            None => self.plain(&counts),
        }
    }

    /// Now and then a line, while something takes long.
    fn plain(&mut self, counts: &Counts) {
        let elapsed = self.last_line.elapsed();
        let interval = if self.lines { PLAIN_INTERVAL } else { LOG_INTERVAL };
        if elapsed < interval {
            return;
        }
        self.last_line = Instant::now();
        let sent = counts.bytes_sent.saturating_sub(self.last_bytes);
        self.last_bytes = counts.bytes_sent;
        if under_way(counts) == 0 {
            return;
        }
        let left = counts.bytes_total.saturating_sub(counts.bytes_sent);
        let bytes = match (left, sent) {
            (0, _) => String::new(),
            (_, 0) => format!("{} left, ", ByteSize(left)),
            (_, _) => {
                #[expect(clippy::cast_precision_loss, reason = "an estimate for a person")]
                let (rate, rest) = (sent as f64 / elapsed.as_secs_f64(), left as f64);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate is positive"
                )]
                let rate_bytes = ByteSize(rate as u64);
                format!(
                    "{} left at {rate_bytes}/s, {:.0} s to go, ",
                    ByteSize(left),
                    rest / rate
                )
            }
        };
        let text = format!("{bytes}{}", summary(counts));
        if self.lines {
            say(&text);
        } else {
            info!("{text}");
        }
    }

    fn end(&mut self, progress: &Progress) {
        if let Some(bar) = self.bar.take() {
            show_bar(None);
            bar.finish_and_clear();
        }
        if self.lines {
            say(&last(&progress.counts()));
        }
    }
}

/// Two lines: bytes with rate and time left, then the counts, cut off where the terminal ends.
fn style() -> ProgressStyle {
    let template = "{bar:24} {bytes}/{total_bytes} {bytes_per_sec}{left}\n{wide_msg}";
    let left = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        if state.len().is_some_and(|length| state.pos() < length) {
            // Writing to a line in memory does not fail.
            let _ = write!(text, " {:#} left", HumanDuration(state.eta()));
        }
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", left)
}

/// Files that have no outcome yet.
fn under_way(counts: &Counts) -> usize {
    counts.waiting + counts.uploading + counts.queued + counts.analysing
}

/// The last line: where everything stands when the program ends.
fn last(counts: &Counts) -> String {
    if *counts == Counts::default() {
        return "nothing to do: no file is new or changed since it was sent".to_owned();
    }
    let mut text = summary(counts);
    if under_way(counts) > 0 {
        text.push_str("; the next start goes on with the rest");
    }
    text
}

/// How a command ends that ran to where everything stands: what is stopped by hand has not failed, unless it
/// was asked to end by itself, `once` everything is done.
pub(super) fn exit(once: bool, counts: &Counts) -> Exit {
    let Counts {
        waiting,
        uploading,
        queued,
        analysing,
        failed,
        left,
        ..
    } = *counts;
    if !once {
        Exit::Done
    } else if failed > 0 || left > 0 {
        Exit::Failed
    } else if waiting + uploading + queued + analysing > 0 {
        Exit::TryAgain
    } else {
        Exit::Done
    }
}

fn line(note: &Note) -> Option<String> {
    match note {
        Note::Uploading(file, size) => Some(format!("uploading {} ({})", text(file), ByteSize(*size))),
        Note::Analysing(file) => Some(format!("analysing {}", text(file))),
        Note::Left(file, why) => Some(format!("not sent  {}: {}", text(file), first_line(why))),
        Note::Failed(file, _, why) => Some(format!("failed    {}: {}", text(file), first_line(why))),
        Note::Done(file, _) => Some(format!("done      {}", text(file))),
        Note::Uploaded(_) => None,
    }
}

/// What somebody else wrote, for a terminal.
fn first_line(text: &str) -> String {
    plain(text.lines().next().unwrap_or(text))
}

fn summary(counts: &Counts) -> String {
    let Counts {
        waiting,
        uploading,
        queued,
        analysing,
        done,
        failed,
        left,
        ..
    } = *counts;
    let mut text = format!(
        "{waiting} waiting, {uploading} uploading, {queued} queued, {analysing} analysing, {done} done"
    );
    for (count, what) in [(failed, "failed"), (left as u64, "not sent")] {
        if count > 0 {
            text.extend([", ", &count.to_string(), " ", what]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_processor_says_does_not_reach_the_terminal_as_it_is() {
        let (file, why) = (Path::new("a\u{1b}.tif"), "\u{1b}]0;x\u{7}no cells\nin it");
        let failed = Note::Failed(file.to_owned(), file.to_owned(), why.to_owned());
        assert_eq!(
            line(&failed).unwrap(),
            "failed    a\\u{1b}.tif: \\u{1b}]0;x\\u{7}no cells"
        );
        let left = Note::Left(file.to_owned(), why.to_owned());
        assert_eq!(
            line(&left).unwrap(),
            "not sent  a\\u{1b}.tif: \\u{1b}]0;x\\u{7}no cells"
        );
    }
}
