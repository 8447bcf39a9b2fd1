//! The bucket: whole objects by key, read after write, no atomicity across keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use roundtrip_core::at::Timestamp;
use roundtrip_core::caretaker::{Extent, Swept};
use roundtrip_core::names::JobKey;
use roundtrip_core::sweep;

/// What an object holds, as far as the model cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// A piece of a file in this state.
    Chunk(u64),
    /// The client's word on the whole file in this state, or that it gave the job up.
    Manifest { state: u64, abandoned: bool },
    /// A sealed result over a file in this state.
    Results(u64),
}

/// Objects by key.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    objects: BTreeMap<String, (Object, i64)>,
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) lists: u64,
    pub(crate) deletes: u64,
}

impl Bucket {
    pub(crate) fn put(&mut self, now: i64, key: String, object: Object) {
        self.puts += 1;
        self.objects.insert(key, (object, now));
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&Object> {
        self.gets += 1;
        self.objects.get(key).map(|(object, _)| object)
    }

    pub(crate) fn delete(&mut self, key: &str) -> bool {
        self.deletes += 1;
        self.objects.remove(key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The keys of a job's objects.
    pub(crate) fn list(&mut self, prefix: &str) -> Vec<String> {
        self.lists += 1;
        self.under(prefix)
    }

    pub(crate) fn under(&self, prefix: &str) -> Vec<String> {
        let from = self.objects.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// A page of the whole bucket behind a key, and behind which key the next begins.
    pub(crate) fn page(
        &mut self,
        after: Option<String>,
        limit: usize,
    ) -> (Vec<sweep::Object>, Option<String>) {
        self.lists += 1;
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.objects.range((begin, Bound::Unbounded)).take(limit);
        let page: Vec<sweep::Object> = page
            .map(|(key, (_, modified))| sweep::Object {
                key: key.clone(),
                size: 1,
                modified: Timestamp(*modified),
            })
            .collect();
        let next = (page.len() == limit)
            .then(|| page.last().map(|object| object.key.clone()))
            .flatten();
        (page, next)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }
}

/// Which of these objects a sweep takes, and what it tells of them.
pub(crate) fn swept(key: &JobKey, extent: Extent, keys: Vec<String>) -> (Vec<String>, Swept) {
    let (manifest, results) = (key.manifest(), key.results());
    let keys: Vec<String> = keys
        .into_iter()
        .filter(|key| extent == Extent::All || *key != results)
        .collect();
    let swept = Swept {
        objects: keys.len() as u64,
        manifest: keys.contains(&manifest),
    };
    (keys, swept)
}
