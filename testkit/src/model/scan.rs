//! A scan of the whole table, page by page: it reads finished records too, those included that left the memory.

use std::collections::BTreeMap;

use roundtrip_core::lifecycle::RecordKey;

/// Bytes one page reads, at most.
const PAGE_BYTES: u64 = 1 << 20;

/// Into so many parts the files of a client are divided, by the first four digits of their ids, which are random.
const PARTS: u64 = 1 << 16;

/// Bytes of the records that are in the table until their time to live ends and in memory no more, by client.
#[derive(Debug, Default)]
pub(crate) struct Retained(BTreeMap<String, u64>);

impl Retained {
    /// A record leaves the memory.
    pub(crate) fn keep(&mut self, key: &RecordKey, bytes: usize) {
        *self.0.entry(key.client.clone()).or_default() += bytes as u64;
    }

    /// How much a page reads that begins behind a key, and up to which key; none where it reads to the end. `others` are
    /// the partitions of what is in memory, with its bytes.
    pub(crate) fn page<'a>(
        &'a self,
        others: impl Iterator<Item = (&'a str, usize)>,
        from: Option<&RecordKey>,
    ) -> (u64, Option<RecordKey>) {
        let mut all: BTreeMap<&str, u64> = self.0.iter().map(|(client, bytes)| (&**client, *bytes)).collect();
        for (client, bytes) in others {
            *all.entry(client).or_default() += bytes as u64;
        }
        let (first, behind) = from.map_or(("", 0), |key| (key.client.as_str(), part(&key.file)));
        let mut read = 0;
        for (client, bytes) in all.range(first..) {
            let begin = if *client == first { behind } else { 0 };
            let rest = bytes * (PARTS - begin) / PARTS;
            let room = PAGE_BYTES - read;
            // However large a part is, the next page begins further on.
            let end = begin + (room * PARTS / (*bytes).max(1)).max(1);
            if rest > room && end < PARTS {
                let client = (*client).to_owned();
                let file = format!("file-{end:04x}");
                return (PAGE_BYTES, Some(RecordKey { client, file }));
            }
            read += rest.min(room);
        }
        (read, None)
    }
}

/// Which part of its client's files one is in.
fn part(file: &str) -> u64 {
    let digits = file.get(5..9).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_ten_and_a_half_pages_is_read_in_eleven_and_every_byte_once() {
        let mut retained = Retained::default();
        let of = |client: &str| RecordKey {
            client: client.to_owned(),
            file: String::new(),
        };
        retained.keep(&of("client-a"), (7 << 20) + (1 << 19));
        retained.keep(&of("client-b"), 1 << 20);
        retained.keep(&of("client-c"), 100);
        let others = || [("client-b", 1 << 20), ("roundtrip#fleet", 1 << 20)].into_iter();
        let (mut pages, mut bytes, mut from) = (0, 0, None);
        loop {
            let (read, end) = retained.page(others(), from.as_ref());
            (pages, bytes) = (pages + 1, bytes + read);
            if end.is_none() {
                break;
            }
            assert!(end > from, "{end:?} comes behind {from:?}");
            from = end;
        }
        let wanted = (10 << 20) + (1 << 19) + 100;
        assert_eq!(pages, 11);
        assert!(bytes.abs_diff(wanted) < 2_000, "{bytes} of {wanted}");
    }

    #[test]
    fn a_client_whose_parts_are_larger_than_a_page_is_read_to_its_end() {
        let mut retained = Retained::default();
        let at = |file: &str| RecordKey {
            client: "client-a".to_owned(),
            file: file.to_owned(),
        };
        retained.keep(&at(""), 1 << 40);
        let end = |file: &str| retained.page(std::iter::empty(), Some(&at(file))).1;
        assert_eq!(end("file-fffe"), Some(at("file-ffff")));
        assert_eq!(end("file-ffff"), None);
    }
}
