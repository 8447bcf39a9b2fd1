mod folder;
mod rounds;
mod steps;

use super::*;
use crate::file::Shipping;
use crate::fixture::{actions, at, key, retry, seconds};

fn policy(announce: Announce) -> UploadPolicy {
    UploadPolicy {
        intake: IntakePolicy {
            settle: seconds(2),
            settle_max: seconds(10),
            waiting_max: 3,
        },
        files_max: 2,
        announce,
        retry: retry(3),
    }
}

fn upload() -> Upload {
    Upload::new(policy(Announce::First))
}

/// The n-th state of a file.
fn stamp(n: u64) -> Stamp {
    Stamp {
        size: n,
        modified: Timestamp(0),
        changed: Timestamp(0),
        identity: 1,
    }
}

fn known(n: u64, shipping: Shipping) -> Known {
    Known {
        stamp: stamp(n),
        file: key(1).file,
        created: "1970-01-01T00:16:40.000Z".to_owned(),
        shipping,
    }
}

/// A file was seen in its n-th state.
fn seen(path: &str, n: u64, known: Option<Known>) -> Event {
    Event::Sighted {
        path: path.into(),
        sight: Sight::File {
            stamp: stamp(n),
            busy: false,
        },
        known,
    }
}

fn gone(path: &str, known: Option<Known>) -> Event {
    Event::Sighted {
        path: path.into(),
        sight: Sight::Gone,
        known,
    }
}

fn unreadable(path: &str, why: &str) -> Event {
    Event::Sighted {
        path: path.into(),
        sight: Sight::Unreadable(why.to_owned()),
        known: None,
    }
}

fn done(path: &str, step: Step) -> Event {
    Event::Done(path.into(), step)
}

fn failed(path: &str, step: Step, fault: Fault) -> Event {
    Event::Failed(path.into(), step, fault)
}

/// Lets a file come to rest, so that it is taken two seconds after `from`.
fn settled(upload: &mut Upload, from: i64, path: &str, n: u64, known: Option<Known>) {
    upload.handle(at(from), seen(path, n, known.clone()));
    upload.handle(at(from + 2_000), seen(path, n, known));
}

fn step_name(step: &Step) -> String {
    match step {
        Step::Begin => "begin".to_owned(),
        Step::Create => "create".to_owned(),
        Step::Send => "send".to_owned(),
        Step::Commit => "commit".to_owned(),
        Step::Remember => "remember".to_owned(),
        Step::Abandon(why) => format!("abandon ({why})"),
        Step::Forget => "forget".to_owned(),
    }
}

fn brief(action: &Action) -> String {
    match action {
        Action::Look(path) => format!("look at {}", path.display()),
        Action::Scan => "scan".to_owned(),
        Action::Do { path, step, .. } => format!("{} {}", path.display(), step_name(step)),
        Action::Stop(path) => format!("stop {}", path.display()),
        Action::Report(path, why) => format!("report {}: {why}", path.display()),
        Action::Release(path) => format!("release {}", path.display()),
    }
}

/// Actions in short.
fn short(upload: &mut Upload) -> Vec<String> {
    actions(upload).iter().map(brief).collect()
}

const NOTHING: [&str; 0] = [];
