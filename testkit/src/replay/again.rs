//! Records that the stream tells again: each change of a record happens once.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::intake::Happening;

/// Records remembered, at most: beyond that the one that was told of first is forgotten.
const RECORDS_MAX: usize = 1 << 20;

/// Which changes were told of: the last one of each record, by a hash of its key.
#[derive(Debug, Default)]
pub struct Told {
    last: HashMap<u64, u128>,
    order: VecDeque<u64>,
}

impl Told {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this is told for the first time. The stream tells the changes of one record in their order, so that one
    /// with no greater place than the last was told before. What has no place is always new.
    pub fn is_new(&mut self, happening: &Happening) -> bool {
        let Some((client, file, place)) = happening.place() else {
            return true;
        };
        let mut hasher = DefaultHasher::new();
        (client, file).hash(&mut hasher);
        let hash = hasher.finish();
        let last = self.last.insert(hash, place);
        match last {
            Some(last) if place <= last => {
                self.last.insert(hash, last);
                return false;
            }
            Some(_) => {}
            None => self.order.push_back(hash),
        }
        if self.order.len() > RECORDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.last.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Reader;

    #[test]
    fn a_change_is_new_once_and_what_has_no_place_always() {
        let mut told = Told::new();
        let mut is_new = |file: &str, sequence: &str| {
            let text = format!(
                r#"{{"eventName":"REMOVE","dynamodb":{{"Keys":{{"client":{{"S":"c"}},"file":{{"S":"{file}"}}}}{sequence}}}}}"#
            );
            let mut entries = Reader::new(text.as_bytes()).map(|entry| Happening::read(&entry));
            told.is_new(&entries.next().unwrap().unwrap())
        };
        let place = |number: u128| format!(r#","SequenceNumber":"{number}""#);
        assert!(is_new("a", &place(7)) && !is_new("a", &place(7)));
        assert!(is_new("b", &place(7)), "another record");
        assert!(!is_new("a", &place(6)) && !is_new("a", &place(7)) && is_new("a", &place(8)));
        assert!(is_new("a", "") && is_new("a", ""));
    }
}
