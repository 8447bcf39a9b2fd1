//! Progress: a moving line on a terminal, plain lines elsewhere, outcomes on standard output.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Format;
use crate::error::Exit;
use crate::run::progress::{Counts, Note, Progress};

/// Time between looks at what is going on.
const TICK: Duration = Duration::from_millis(100);

/// Time between plain lines about files that take long.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

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
        // Nobody may be reading any more: the files are what counts.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// A name on one line, whatever is in it.
fn text(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|char| {
            if char.is_control() {
                char.escape_default().collect::<Vec<_>>()
            } else {
                vec![char]
            }
        })
        .collect()
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
    bar: Option<ProgressBar>,
    last_line: Instant,
    last_bytes: u64,
}

impl View {
    fn new(outcomes: Outcomes, lines: bool) -> Self {
        let bar = (lines && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(
                "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            outcomes,
            lines,
            bar,
            last_line: Instant::now(),
            last_bytes: 0,
        }
    }

    fn show(&mut self, progress: &Progress) {
        for note in progress.take_notes() {
            match &self.bar {
                Some(bar) => bar.suspend(|| self.outcomes.print(&note)),
                None => self.outcomes.print(&note),
            }
            if self.lines
                && let Some(line) = line(&note)
            {
                self.say(&line);
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

    fn say(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Now and then a line, while something takes long.
    fn plain(&mut self, counts: &Counts) {
        let elapsed = self.last_line.elapsed();
        if !self.lines || elapsed < PLAIN_INTERVAL {
            return;
        }
        self.last_line = Instant::now();
        let sent = counts.bytes_sent.saturating_sub(self.last_bytes);
        self.last_bytes = counts.bytes_sent;
        if counts.uploading + counts.queued + counts.analysing + counts.waiting == 0 {
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
        eprintln!("{bytes}{}", summary(counts));
    }

    fn end(&mut self, progress: &Progress) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.lines {
            eprintln!("{}", summary(&progress.counts()));
        }
    }
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
        Note::Left(file, why) => Some(format!("not sent  {}: {why}", text(file))),
        Note::Failed(file, _, why) => Some(format!(
            "failed    {}: {}",
            text(file),
            why.lines().next().unwrap_or(why)
        )),
        Note::Done(file, _) => Some(format!("done      {}", text(file))),
        Note::Uploaded(_) => None,
    }
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
