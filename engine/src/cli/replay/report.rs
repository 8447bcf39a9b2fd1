//! The report of a replay as a file.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
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

/// Where the page is written: a file that is not there yet, or an earlier report.
pub(super) struct Target<'a> {
    /// As the user named it.
    named: &'a Path,
    recording: &'a Path,
}

impl<'a> Target<'a> {
    /// A file that may be written, or replaced by the page. Asked before the replay, which may take its time.
    pub(super) fn new(named: &'a Path, recording: &'a Path) -> Result<Self> {
        if named == Path::new("-") {
            let what = "the report is a file, and not for standard output, where the decisions go";
            return Err(Error::usage(what).hint("name a file with --report"));
        }
        let folder = named.parent().filter(|folder| *folder != Path::new(""));
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let what = format!(
                "the report {} cannot be written: there is no folder {}",
                named.display(),
                folder.display()
            );
            return Err(Error::usage(what).hint("make the folder, or name another file with --report"));
        }
        let target = Self { named, recording };
        target.may_be_written()?;
        Ok(target)
    }

    /// Writes the page: the file is the earlier report or the new one at every moment, never a part.
    pub(super) fn write(
        &self,
        title: &str,
        timeline: &Timeline,
        difference: Option<&Difference>,
    ) -> Result<()> {
        let report = Report {
            title,
            timeline,
            difference,
        };
        // Somebody may have put another file there meanwhile.
        self.may_be_written()?;
        self.replace(&report.page()).map_err(|error| {
            // The error itself names a file that lived for a moment only.
            Error::unwritable(format!("cannot write the report {}", self.named.display()))
                .because(io::Error::from(error.kind()))
                .hint("name a file in a folder that exists and has room")
        })
    }

    fn replace(&self, page: &str) -> io::Result<()> {
        // A link stays one: what it names is replaced.
        let path = fs::canonicalize(self.named).unwrap_or_else(|_| self.named.to_owned());
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let mut options = tempfile::Builder::new();
        options.prefix(".").suffix(".partial");
        // A report is made to be shown to others; the mask of the process says to whom.
        #[cfg(unix)]
        options.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(
            0o666,
        ));
        let mut file = options.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        if let Ok(earlier) = fs::metadata(&path) {
            file.as_file().set_permissions(earlier.permissions())?;
        }
        file.write_all(page.as_bytes())?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    fn may_be_written(&self) -> Result<()> {
        let refused = |what: &str| {
            let what = format!(
                "the report cannot be written over {}, {what}",
                self.named.display()
            );
            Err(Error::usage(what)
                .hint("name another file with --report: only an earlier report is replaced"))
        };
        // What else is wrong with the path is told when it is written.
        let Ok(there) = fs::metadata(self.named) else {
            return Ok(());
        };
        if is_same(self.named, self.recording) {
            return refused("which is the recording");
        }
        if !there.is_file() {
            return refused("which is no file");
        }
        match is_replaceable(self.named) {
            Ok(true) => Ok(()),
            Ok(false) => refused("which is no report"),
            Err(error) => refused(&format!("which cannot be read: {error}")),
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// Whether a file is an earlier report, or empty.
fn is_replaceable(file: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    let length = Report::FIRST.len() as u64;
    File::open(file)?.take(length).read_to_end(&mut first)?;
    Ok(first.is_empty() || first == Report::FIRST.as_bytes())
}
