//! From raw tables to specs: ranges, words and chains judged, every fault noted.

use std::path::PathBuf;
use std::time::Duration;

use roundtrip_core::stream::Start;

use super::document::Part;
use super::fault::Fault;
use super::layers::{Draft, Stack};
use super::raw;
use super::read::{Read, local, nearest};
use super::spec::{IdentitySpec, RoleSpec, StoreSpec, StreamSpec};
use super::tree::{KeyPath, extended};

mod notify;
mod pipeline;
mod policy;
mod role;
mod sink;
mod source;
mod value;

use value::At;

/// The shortest lease on a shard: within a third of it a request has to be answered.
const LEASE_MIN: Duration = Duration::from_secs(3);

/// DynamoDB answers about four reads a second of one shard.
const READ_EVERY_MIN: Duration = Duration::from_millis(250);

/// What every judge shares.
pub(super) struct Bench<'a> {
    stack: &'a Stack,
    refused: &'a [KeyPath],
    drafts: Vec<Draft>,
}

impl Bench<'_> {
    /// Whether something at or below this path was refused already.
    fn is_refused(&self, path: &[String]) -> bool {
        self.refused
            .iter()
            .any(|refused| refused.starts_with(path) || path.starts_with(refused))
    }

    /// Whether a key beside it was refused that was meant to be this one.
    fn is_misspelt(&self, table: &[String], name: &str) -> bool {
        self.refused.iter().any(|refused| {
            let beside = refused.split_last().filter(|(_, parent)| *parent == table);
            beside.is_some_and(|(last, _)| nearest(last, [name]).is_some())
        })
    }

    fn wrong(&mut self, path: KeyPath, part: Part, what: String, help: impl Into<String>) {
        self.drafts.push(Draft {
            path,
            part,
            what,
            help: Some(help.into()),
            missing: false,
            secret: false,
        });
    }
}

/// A role's spec, and everything that is wrong with it; the spec counts only where nothing is.
pub(super) fn role(read: Read, stack: &Stack, fallback_name: &str) -> (RoleSpec, Vec<Fault>) {
    let Read {
        role: raw,
        mut drafts,
        refused,
    } = read;
    let mut bench = Bench {
        stack,
        refused: &refused,
        drafts: Vec::new(),
    };
    let mut pipelines = std::collections::BTreeMap::new();
    for (name, raw) in raw.pipelines.unwrap_or_default() {
        let at = vec!["pipelines".to_owned(), name.clone()];
        // A pipeline without its file lacks everything: one fault is enough.
        if refused.contains(&at) {
            continue;
        }
        if let Some(spec) = pipeline::build(&mut bench, &at, &name, raw) {
            pipelines.insert(name, spec);
        }
    }
    let spec = RoleSpec {
        name: raw.name.unwrap_or_else(|| fallback_name.to_owned()),
        store: store(&mut bench, raw.store.unwrap_or_default()),
        identity: identity(&mut bench, raw.identity.unwrap_or_default()),
        stream: stream(&mut bench, raw.stream.unwrap_or_default()),
        pipelines,
    };
    role::check(&mut bench, &spec);
    drafts.append(&mut bench.drafts);
    (
        spec,
        drafts.into_iter().map(|draft| draft.placed(stack)).collect(),
    )
}

fn store(bench: &mut Bench<'_>, raw: raw::Store) -> StoreSpec {
    let mut at = At::new(bench, vec!["store".into()]);
    let bucket = raw.bucket.unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = bucket
        .bytes()
        .all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
        && bucket.bytes().next().is_some_and(plain)
        && bucket.bytes().last().is_some_and(plain)
        && (3..=63).contains(&bucket.len());
    if !fits {
        let help = "a bucket's name has 3 to 63 lower-case letters, digits, hyphens and dots, and begins and ends with a \
                    letter or digit";
        at.value_wrong("bucket", &format!("{bucket:?} cannot name a bucket"), help);
    }
    let table = raw.table.unwrap_or_default();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !table.bytes().all(letter) || !(3..=255).contains(&table.len()) {
        let help = "a table's name has 3 to 255 letters, digits, hyphens, underscores and dots";
        at.value_wrong("table", &format!("{table:?} cannot name a table"), help);
    }
    let shards = at.count("shards", raw.shards, 1..=1000);
    StoreSpec {
        bucket,
        table,
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
    }
}

fn identity(bench: &mut Bench<'_>, raw: raw::Identity) -> IdentitySpec {
    let mut at = At::new(bench, vec!["identity".into()]);
    let key = raw.key.unwrap_or_default();
    if key.contains("-----BEGIN") {
        at.secret(
            "key",
            "a key is no value of a role",
            "name the file that holds it: key = \"client.pem\"",
        );
    } else if key.trim().is_empty() {
        at.value_wrong(
            "key",
            "the path is empty",
            "name the file that holds the key: key = \"client.pem\"",
        );
    }
    IdentitySpec {
        key: PathBuf::from(key),
    }
}

fn stream(bench: &mut Bench<'_>, raw: raw::Stream) -> StreamSpec {
    let mut at = At::new(bench, vec!["stream".into()]);
    at.ordered(("interval", raw.interval), ("interval-max", raw.interval_max));
    let starts = [("oldest", Start::Oldest), ("newest", Start::Newest)];
    StreamSpec {
        lease: at.span("lease", raw.lease, LEASE_MIN),
        interval: at.span("interval", raw.interval, READ_EVERY_MIN),
        interval_max: at.span("interval-max", raw.interval_max, READ_EVERY_MIN),
        shards_max: at.number("shards-max", raw.shards_max, 1..=10_000),
        start: at.word("start", raw.start, &starts).unwrap_or(Start::Oldest),
    }
}

/// A value's path as `--set` takes it: `upload.source.directory.path`.
fn settable(path: &[String]) -> String {
    let skipped = usize::from(local(path).len() != path.len());
    path.get(skipped..).unwrap_or_default().join(".")
}

/// A path below another.
fn below(path: &[String], names: &[&str]) -> KeyPath {
    names
        .iter()
        .fold(path.to_vec(), |path, name| extended(&path, name))
}
