//! Judges single values: ranges and words.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Bench, settable};
use crate::dsl::document::Part;
use crate::dsl::layers::Draft;
use crate::dsl::read::{nearest, shown};
use crate::dsl::tree::{KeyPath, extended};
use crate::dsl::units::{Count, Rate, Size, Span, show_size, show_span};

/// No time in a pipeline is longer than ten years.
const LONGEST: Duration = Duration::from_hours(3_650 * 24);

/// No wait that repeats is shorter: a loop has to rest.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// A table whose values are judged.
pub(super) struct At<'b, 'a> {
    pub(super) bench: &'b mut Bench<'a>,
    pub(super) path: KeyPath,
}

impl<'b, 'a> At<'b, 'a> {
    pub(super) fn new(bench: &'b mut Bench<'a>, path: KeyPath) -> Self {
        Self { bench, path }
    }

    /// Notes that a value is wrong.
    pub(super) fn value_wrong(&mut self, key: &str, what: &str, help: &str) {
        let path = extended(&self.path, key);
        if !self.bench.is_refused(&path) {
            self.bench.wrong(
                path.clone(),
                Part::Value,
                format!("`{}`: {what}", shown(&path)),
                help,
            );
        }
    }

    /// Notes that a value seems to hold a secret, without showing it.
    pub(super) fn secret(&mut self, key: &str, what: &str, help: &str) {
        self.value_wrong(key, what, help);
        if let Some(draft) = self.bench.drafts.last_mut() {
            draft.secret = true;
        }
    }

    /// Notes that a value which a stronger layer may give is not there yet.
    pub(super) fn missing(&mut self, key: &str, example: &str) {
        let path = extended(&self.path, key);
        if self.bench.is_refused(&path) {
            return;
        }
        let name = shown(&path);
        let given = settable(&path);
        let help = format!(
            "set it in the role ({name} = {example} below the pipeline's table), or with --set {given}={}",
            example.trim_matches('"')
        );
        let what = format!("`{name}` is not set");
        self.bench.drafts.push(Draft {
            path,
            part: Part::Value,
            what,
            help: Some(help),
            missing: true,
            secret: false,
        });
    }

    /// Notes that nobody says which processor.
    pub(super) fn missing_processor(&mut self) {
        let keys = ["url", "command", "builtin"];
        if keys
            .iter()
            .any(|key| self.bench.is_refused(&extended(&self.path, key)))
        {
            return;
        }
        let given = settable(&self.path);
        let help = format!(
            "set one: --set {given}.url=http://127.0.0.1:8000/ or --set {given}.command=\"analyse {{file}}\" or \
             --set {given}.builtin=fingerprint\nin a role: {}.url = \"http://127.0.0.1:8000/\" below the pipeline's table",
            shown(&self.path)
        );
        let what = format!("`{}` names no processor", shown(&self.path));
        self.bench.drafts.push(Draft {
            path: self.path.clone(),
            part: Part::Key,
            what,
            help: Some(help),
            missing: true,
            secret: false,
        });
    }

    /// Notes that a threshold does not say who is told.
    pub(super) fn nobody_told(&mut self, keys: &[&str]) {
        let refused = |key: &&str| self.bench.is_refused(&extended(&self.path, key));
        if keys.iter().any(refused) {
            return;
        }
        let what = format!("`{}` says nobody to tell", shown(&self.path));
        let help = "add one of webhook = \"https://...\", webhook-env, command, sns, or log = \"warn\"";
        self.bench.wrong(self.path.clone(), Part::Key, what, help);
    }

    /// A whole number within limits.
    pub(super) fn count(&mut self, key: &str, value: Option<Count>, limits: RangeInclusive<u64>) -> u64 {
        let Some(Count(value)) = value else {
            return *limits.start();
        };
        if !limits.contains(&value) {
            let help = format!("choose {} to {}", limits.start(), limits.end());
            self.value_wrong(key, &format!("{value} is out of range"), &help);
        }
        value
    }

    /// [`Self::count`] for something that is held in memory.
    pub(super) fn number(&mut self, key: &str, value: Option<Count>, limits: RangeInclusive<u64>) -> usize {
        usize::try_from(self.count(key, value, limits)).unwrap_or(usize::MAX)
    }

    /// [`Self::count`] for something the services take as 32 bits.
    pub(super) fn number32(&mut self, key: &str, value: Option<Count>, limits: RangeInclusive<u64>) -> u32 {
        u32::try_from(self.count(key, value, limits)).unwrap_or(u32::MAX)
    }

    /// A size within limits.
    pub(super) fn size(&mut self, key: &str, value: Option<Size>, limits: RangeInclusive<u64>) -> u64 {
        let Some(Size(value)) = value else {
            return *limits.start();
        };
        if !limits.contains(&value) {
            let help = format!(
                "choose {} to {}",
                show_size(*limits.start()),
                show_size(*limits.end())
            );
            self.value_wrong(key, &format!("{} is out of range", show_size(value)), &help);
        }
        value
    }

    /// A number within limits.
    pub(super) fn rate(&mut self, key: &str, value: Option<Rate>, limits: RangeInclusive<f64>) -> f64 {
        let Some(Rate(value)) = value else {
            return *limits.start();
        };
        if !limits.contains(&value) {
            let help = format!("choose {} to {}", limits.start(), limits.end());
            self.value_wrong(key, &format!("{value} is out of range"), &help);
        }
        value
    }

    /// A time, at least `min`.
    pub(super) fn span(&mut self, key: &str, value: Option<Span>, min: Duration) -> Duration {
        let Some(Span(value)) = value else { return min };
        if value < min || value > LONGEST {
            let help = format!("choose {} to {}", show_span(min), show_span(LONGEST));
            self.value_wrong(key, &format!("{} is out of range", show_span(value)), &help);
        }
        value
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        value: Option<String>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let value = value?;
        let found = words.iter().find(|(word, _)| *word == value);
        if found.is_none() {
            let all = words
                .iter()
                .map(|(word, _)| format!("{word:?}"))
                .collect::<Vec<_>>()
                .join(" or ");
            let near = nearest(&value, words.iter().map(|(word, _)| *word));
            let near = near
                .map(|near| format!("did you mean {near:?}? "))
                .unwrap_or_default();
            self.value_wrong(
                key,
                &format!("{value:?} is not known"),
                &format!("{near}write {all}"),
            );
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Two times of which the first must not be longer than the second.
    pub(super) fn ordered(&mut self, shorter: (&str, Option<Span>), longer: (&str, Option<Span>)) {
        if let ((low, Some(Span(first))), (high, Some(Span(second)))) = (shorter, longer)
            && first > second
        {
            let what = format!(
                "{} is longer than `{high}` ({})",
                show_span(first),
                show_span(second)
            );
            self.between(low, &what, high, &format!("shorten `{low}` or lengthen `{high}`"));
        }
    }

    /// Whether nobody but the built-in defaults gives this value.
    pub(super) fn is_default(&self, key: &str) -> bool {
        self.bench.stack.is_default(&extended(&self.path, key))
    }

    /// Notes that two values do not fit, at the one that somebody chose.
    pub(super) fn between(&mut self, key: &str, what: &str, other: &str, help: &str) {
        let (path, beside) = (extended(&self.path, key), extended(&self.path, other));
        let what = format!("`{}`: {what}", shown(&path));
        let at = if self.bench.stack.is_default(&path) {
            beside
        } else {
            path
        };
        self.bench.wrong(at, Part::Value, what, help);
    }
}
