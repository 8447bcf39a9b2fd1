//! One self-contained page about a history: its jobs over time, the queue, and what another policy would change.

mod timeline;

use serde::Serialize;

use timeline::Life;
pub use timeline::Timeline;

const PAGE: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/page.css");
const SCRIPT: &str = include_str!("report/page.js");

/// What another policy would have decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Sentences for a person: "14 jobs would be restarted 10 min earlier".
    pub summary: Vec<String>,
    /// Lines of the unified difference, each with its sign.
    pub lines: Vec<String>,
}

/// What the page tells.
#[derive(Debug)]
pub struct Report<'a> {
    /// The page's title, such as the recording's name.
    pub title: &'a str,
    /// The jobs.
    pub timeline: &'a Timeline,
    /// The difference to another policy, where one was asked for.
    pub difference: Option<&'a Difference>,
}

/// The data of the page, as its script reads it.
#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    /// Milliseconds since 1970.
    from: i64,
    /// Milliseconds after `from`.
    span: i64,
    /// Names of the phases, in the order of their numbers.
    phases: Vec<&'static str>,
    /// Their whole names; a job says the number of its own.
    clients: Vec<&'a str>,
    jobs: Vec<Life<'a>>,
    difference: Option<&'a Difference>,
}

impl Report<'_> {
    /// What every page begins with: a file with another begin is no report, and is none to write over.
    pub const FIRST: &'static str = "<!doctype html>\n<!-- a report of roundtrip -->\n";

    /// The page. It loads nothing: it opens from a disk, a mail or a build's artefacts.
    pub fn page(&self) -> String {
        let (from, to) = self.timeline.span();
        let data = Data {
            title: self.title,
            from: from.0,
            span: to.0 - from.0,
            phases: timeline::Phase::ALL.map(timeline::Phase::as_str).to_vec(),
            clients: self.timeline.clients(),
            jobs: self.timeline.lives(),
            difference: self.difference,
        };
        let data = serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned());
        // Inside a script element nothing but its end tag, or the begin of a comment, ends JSON.
        let data = data.replace('<', "\\u003c");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;");
        let parts = [
            ("{{title}}", &*title),
            ("{{style}}", STYLE),
            ("{{script}}", SCRIPT),
            ("{{data}}", &*data),
        ];
        fill(PAGE, &parts)
    }
}

/// The template with its marks replaced, each once: what is put in is not looked through again.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut page =
        String::with_capacity(parts.iter().map(|(_, text)| text.len()).sum::<usize>() + template.len());
    let mut rest = template;
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests;
