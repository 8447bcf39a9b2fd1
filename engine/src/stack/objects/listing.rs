//! Listing: pages of keys in byte order, grouped by a delimiter where one is given.

use rusqlite::{Transaction, params};
use s3s::S3Result;
use s3s::dto::{CommonPrefix, EncodingType, Object};

use super::index::{require_bucket, timestamp};
use super::internal;

/// The most keys and groups on a page, as in S3.
const PAGE_MAX: i32 = 1000;

/// What to list.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) page_max: Option<i32>,
    /// The first key that may be listed, as bytes.
    pub(super) from: Vec<u8>,
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) groups: Vec<String>,
    /// The last key or group on the page, when there are more.
    pub(super) last: Option<String>,
    /// Where the next page starts.
    pub(super) next: Option<Vec<u8>>,
}

impl Query {
    /// The most entries on a page.
    pub(super) fn page_max(&self) -> i32 {
        self.page_max.unwrap_or(PAGE_MAX).clamp(0, PAGE_MAX)
    }
}

/// The first key after `key`.
pub(super) fn after(key: &str) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The first key after all that start with `prefix`.
pub(super) fn past(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    // UTF-8 has no byte 0xff, so this never overflows.
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    bytes
}

/// Lists one page.
pub(super) fn list(transaction: &Transaction<'_>, bucket: &str, query: &Query) -> S3Result<Page> {
    require_bucket(transaction, bucket)?;
    let page_max = usize::try_from(query.page_max()).unwrap_or_default();
    let mut page = Page::default();
    if page_max == 0 {
        return Ok(page);
    }
    let mut from = query.from.clone().max(query.prefix.as_bytes().to_vec());
    let mut last = None;
    while let Some(object) = first(transaction, bucket, &from)? {
        let key = object.key.clone().unwrap_or_default();
        if !key.starts_with(&query.prefix) {
            break;
        }
        if page.objects.len() + page.groups.len() == page_max {
            page.next = Some(from);
            page.last = last;
            break;
        }
        if let Some(group) = group(&key, query) {
            from = past(&group);
            last = Some(group.clone());
            page.groups.push(group);
        } else {
            from = after(&key);
            last = Some(key);
            page.objects.push(object);
        }
    }
    Ok(page)
}

/// The part of the key up to the delimiter behind the prefix.
fn group(key: &str, query: &Query) -> Option<String> {
    let delimiter = query
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty())?;
    let at = key[query.prefix.len()..].find(delimiter)?;
    Some(key[..query.prefix.len() + at + delimiter.len()].to_owned())
}

fn first(transaction: &Transaction<'_>, bucket: &str, from: &[u8]) -> S3Result<Option<Object>> {
    let mut statement = transaction
        .prepare_cached(
            "SELECT key, size, etag, modified FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT 1",
        )
        .map_err(internal)?;
    let mut rows = statement.query(params![bucket, from]).map_err(internal)?;
    let Some(row) = rows.next().map_err(internal)? else {
        return Ok(None);
    };
    let key: Vec<u8> = row.get(0).map_err(internal)?;
    Ok(Some(Object {
        key: Some(String::from_utf8(key).map_err(internal)?),
        size: Some(row.get(1).map_err(internal)?),
        e_tag: Some(s3s::dto::ETag::Strong(row.get(2).map_err(internal)?)),
        last_modified: Some(timestamp(row.get(3).map_err(internal)?)),
        ..Object::default()
    }))
}

/// The text as the listing shows it: percent-encoded where the request asks for that.
pub(super) fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    if encoding.map(EncodingType::as_str) != Some(EncodingType::URL) {
        return text;
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

impl Page {
    /// Encodes every key and group as the request asks for.
    pub(super) fn encode(&mut self, encoding: Option<&EncodingType>) {
        for object in &mut self.objects {
            object.key = object.key.take().map(|key| encoded(key, encoding));
        }
        for group in &mut self.groups {
            *group = encoded(std::mem::take(group), encoding);
        }
    }

    /// The groups as S3 writes them.
    pub(super) fn common_prefixes(&mut self) -> Option<Vec<CommonPrefix>> {
        let groups = std::mem::take(&mut self.groups);
        let prefixes: Vec<_> = groups
            .into_iter()
            .map(|prefix| CommonPrefix { prefix: Some(prefix) })
            .collect();
        (!prefixes.is_empty()).then_some(prefixes)
    }
}
