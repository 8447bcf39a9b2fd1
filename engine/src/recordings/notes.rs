//! What a reader notices about a recording that a replay of it cannot mend.

use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::names::RESERVED_PREFIX;
use roundtrip_testkit::recording::{Entry, Kind};

/// How far the moments of a recording go back where all is well: shards are read beside each other, and the stream tells
/// seconds.
const BACK: Duration = Duration::from_secs(10);

/// What was noticed so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    records: u64,
    latest: Option<Timestamp>,
    /// Records that come after later ones, and how much later those are at most.
    late: u64,
    late_by: Duration,
    /// Records that were told before.
    again: u64,
    /// Changes of jobs that do not tell the job as it was or as it is.
    blind: u64,
    /// Records whose keys are not those of a jobs table.
    foreign: u64,
}

impl Notes {
    /// Takes in a record; `is_new`: it was not told before.
    pub(super) fn take(&mut self, entry: &Entry<'_>, is_new: bool) {
        self.records += 1;
        if let Some(moment) = entry.moment() {
            let latest = self.latest.map_or(moment, |latest| latest.max(moment));
            let late_by = latest.since(moment);
            if late_by > BACK {
                self.late += 1;
                self.late_by = self.late_by.max(late_by);
            }
            self.latest = Some(latest);
        }
        if !is_new {
            self.again += 1;
            return;
        }
        if !entry.is_of_jobs_table() {
            self.foreign += 1;
            return;
        }
        let (before, after) = (&entry.body.before, &entry.body.after);
        let is_blind = match entry.kind {
            Kind::Insert => after.is_none(),
            Kind::Modify => before.is_none() || after.is_none(),
            Kind::Remove => before.is_none(),
        };
        self.blind += u64::from(is_blind && !entry.key().client.starts_with(RESERVED_PREFIX));
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// One of the records that were taken in was told before; false, as it is not kept.
    pub(super) fn again(&mut self) -> bool {
        self.again += 1;
        false
    }

    /// All that was read was put in order.
    pub(super) fn sorted(&mut self) {
        self.late = 0;
    }

    pub(super) fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.records == 0 {
            told.push("0 records: there is nothing to replay".to_owned());
        }
        if self.foreign > 0 {
            told.push(format!(
                "{} of {} records are not of a jobs table, since their keys are not `client` and `file`: they were \
                 left out",
                self.foreign, self.records
            ));
        }
        if self.again > 0 {
            told.push(format!(
                "{} of {} records are told again: each change happened once",
                self.again, self.records
            ));
        }
        if self.late > 0 {
            told.push(format!(
                "{} of {} records come after later ones, by up to {}: each was replayed when it came, and so the \
                 replay is wrong unless they are only told again. Records of several shards one after the other are \
                 put in order with --sort",
                self.late,
                self.records,
                humantime::format_duration(Duration::from_secs(self.late_by.as_secs()))
            ));
        }
        if self.blind > 0 {
            told.push(format!(
                "{} of {} records do not tell the job before and after the change: what they changed cannot be \
                 followed. The table's stream needs the view NEW_AND_OLD_IMAGES",
                self.blind, self.records
            ));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_testkit::recording::Reader;

    use super::*;

    fn told(records: &[(&str, i64, &str)]) -> Vec<String> {
        let mut notes = Notes::default();
        for (kind, second, images) in records {
            let text = format!(
                r#"{{"eventName":"{kind}","dynamodb":{{"ApproximateCreationDateTime":{second},"Keys":{{"client":{{"S":"c"}},"file":{{"S":"f"}}}}{images}}}}}"#
            );
            for entry in Reader::new(text.as_bytes()).entries() {
                notes.take(&entry.unwrap(), true);
            }
        }
        notes.told()
    }

    #[test]
    fn what_a_replay_cannot_mend_is_told() {
        let (new, both) = (r#","NewImage":{}"#, r#","NewImage":{},"OldImage":{}"#);
        let fine = [("INSERT", 100, new), ("MODIFY", 110, both), ("MODIFY", 100, both)];
        assert_eq!(told(&fine), [""; 0]);
        insta::assert_snapshot!(told(&[]).join("\n"), @"0 records: there is nothing to replay");
        let back = [
            ("INSERT", 5_000, new),
            ("MODIFY", 4_989, both),
            ("MODIFY", 100, both),
        ];
        insta::assert_snapshot!(told(&back).join("\n"), @"2 of 3 records come after later ones, by up to 1h 21m 40s: each was replayed when it came, and so the replay is wrong unless they are only told again. Records of several shards one after the other are put in order with --sort");
        let text =
            r#"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"7"}},"NewImage":{"id":{"S":"7"}}}}"#;
        let mut notes = Notes::default();
        for entry in Reader::new(text.as_bytes()).entries() {
            let entry = entry.unwrap();
            notes.take(&entry, true);
            notes.take(&entry, false);
        }
        insta::assert_snapshot!(notes.told().join("\n"), @"1 of 2 records are not of a jobs table, since their keys are not `client` and `file`: they were left out
1 of 2 records are told again: each change happened once");
        let blind = [("INSERT", 100, ""), ("MODIFY", 100, new), ("MODIFY", 100, both)];
        insta::assert_snapshot!(told(&blind).join("\n"), @"2 of 3 records do not tell the job before and after the change: what they changed cannot be followed. The table's stream needs the view NEW_AND_OLD_IMAGES");
    }
}
