//! The report of a replay as a file.

use std::fs;
use std::path::Path;

use roundtrip_testkit::replay::{self, Effect};
use roundtrip_testkit::report::{Difference, Report, Timeline};

use crate::error::{Error, Result};

/// What differs, as the page shows it.
pub(super) fn difference(differences: &[replay::Difference], effects: &[Effect]) -> Difference {
    let mut lines = Vec::new();
    for difference in differences {
        lines.push(format!("@@ {} @@", difference.subject));
        let signed = difference.lines.iter();
        lines.extend(signed.map(|(side, line)| format!("{}{}", side.sign(), line.text())));
    }
    Difference {
        summary: effects.iter().map(|effect| effect.text.clone()).collect(),
        lines,
    }
}

/// Writes the page.
pub(super) fn write(
    file: &Path,
    title: &str,
    timeline: &Timeline,
    difference: Option<&Difference>,
) -> Result<()> {
    let report = Report {
        title,
        timeline,
        difference,
    };
    fs::write(file, report.page()).map_err(|error| {
        Error::failed(format!("cannot write the report {}", file.display()))
            .because(error)
            .hint("name a file in a folder that exists and has room")
    })
}
