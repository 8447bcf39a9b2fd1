//! What a person expects of globs.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::dsl::spec::Watch;

fn filter(include: &[&str], exclude: &[&str], hidden: bool) -> Filter {
    let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
    Filter::new(&DirectorySource {
        path: PathBuf::from("inbox"),
        include: owned(include),
        exclude: owned(exclude),
        hidden,
        settle: Duration::ZERO,
        settle_max: Duration::ZERO,
        rescan: Duration::ZERO,
        watch: Watch::Poll,
        files_max: 1,
        waiting_max: 1,
    })
    .unwrap()
}

fn taken<'a>(filter: &Filter, paths: &[&'a str]) -> Vec<&'a str> {
    paths
        .iter()
        .copied()
        .filter(|path| filter.takes_file(Path::new(path)))
        .collect()
}

#[test]
fn everything_is_taken_unless_said_otherwise() {
    let paths = ["a.tif", "a/b/c", "with space/ü\n.tif"];
    for include in [&[][..], &["**"], &["**/*"], &["*"]] {
        assert_eq!(taken(&filter(include, &[], false), &paths), paths, "{include:?}");
    }
}

#[test]
fn a_glob_without_a_slash_means_any_depth() {
    let paths = ["a.tif", "x/y/a.TIF", "a.tiff", "a.tif/b.png"];
    assert_eq!(
        taken(&filter(&["*.tif"], &[], false), &paths),
        ["a.tif", "x/y/a.TIF"]
    );
    assert_eq!(
        taken(&filter(&["*.{tif,tiff}"], &[], false), &paths),
        ["a.tif", "x/y/a.TIF", "a.tiff"]
    );
}

#[test]
fn a_glob_with_a_slash_means_the_path() {
    let paths = ["a.tif", "x/a.tif", "x/y/a.tif", "z/x/a.tif"];
    assert_eq!(taken(&filter(&["/*.tif"], &[], false), &paths), ["a.tif"]);
    assert_eq!(taken(&filter(&["x/*.tif"], &[], false), &paths), ["x/a.tif"]);
    assert_eq!(
        taken(&filter(&["x/**/*.tif"], &[], false), &paths),
        ["x/a.tif", "x/y/a.tif"]
    );
    assert_eq!(
        taken(&filter(&["/x/"], &[], false), &paths),
        ["x/a.tif", "x/y/a.tif"]
    );
    assert_eq!(
        taken(&filter(&["x/"], &[], false), &paths),
        ["x/a.tif", "x/y/a.tif", "z/x/a.tif"]
    );
}

#[test]
fn to_leave_a_folder_leaves_all_that_is_in_it() {
    let paths = ["a.tif", "raw/a.tif", "raw/x/a.tif", "x/raw/a.tif"];
    for exclude in ["raw", "raw/", "**/raw/**"] {
        let filter = filter(&["*.tif"], &[exclude], false);
        assert_eq!(taken(&filter, &paths), ["a.tif"], "{exclude}");
        assert!(!filter.enters_folder(Path::new("x/raw")), "{exclude}");
    }
    for exclude in ["/raw", "raw/**", "raw/**/*"] {
        let filter = filter(&["*.tif"], &[exclude], false);
        assert_eq!(taken(&filter, &paths), ["a.tif", "x/raw/a.tif"], "{exclude}");
        assert!(!filter.enters_folder(Path::new("raw")), "{exclude}");
    }
    assert_eq!(
        taken(&filter(&[], &["raw/*"], false), &paths),
        ["a.tif", "x/raw/a.tif"]
    );
    assert_eq!(taken(&filter(&[], &["**"], false), &paths), [""; 0]);
}

#[test]
fn hidden_and_unfinished_names_are_left() {
    let paths = [
        ".hidden",
        ".git/config",
        "a/.b/c",
        "~$report.docx",
        "a.tmp",
        "a.PART",
        "a.partial",
        "a.crdownload",
        "a.filepart",
        "a.tif~",
        ".~lock.a.ods#",
        "Thumbs.db",
        "x/desktop.ini",
        "copy.part/a.tif",
    ];
    assert_eq!(taken(&filter(&[], &[], false), &paths), [""; 0]);
    assert_eq!(taken(&filter(&[], &[], true), &paths), paths);
    let plain = ["part", "tmp", "a.part1", "a~b", "thumbs.db.tif", "a..b"];
    assert_eq!(taken(&filter(&[], &[], false), &plain), plain);
}

#[cfg(unix)]
#[test]
fn a_name_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let name = Path::new(OsStr::from_bytes(b"x/\xff\n\xfe.tif"));
    assert!(filter(&["*.tif"], &[], false).takes_file(name));
    assert!(!filter(&[], &["*.tif"], false).takes_file(name));
}

#[test]
fn a_broken_glob_is_said() {
    let error = globs("include", &["a[".to_owned()]).unwrap_err();
    insta::assert_snapshot!(crate::error::render(&error), @r"
    Error: the glob `a[` in `include` of `source.directory` cannot be read
    Caused by: unclosed character class; missing ']'
    Hint: write `*` for any name, `**/` for any folders, `[ab]` for one of some characters, `{tif,png}` for either
    ");
}
