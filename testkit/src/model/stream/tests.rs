use roundtrip_core::lifecycle::RecordKey;

use super::*;

fn told(remembers: bool) -> Stream {
    let mut stream = Stream::new();
    stream.keeps(1_000, 500);
    if remembers {
        stream.remembers();
    }
    for now in [0, 2_000] {
        let key = RecordKey {
            client: "client".to_owned(),
            file: now.to_string(),
        };
        stream.tell(now, Rc::new(key), None, Some(Rc::new(Record::default())));
    }
    stream
}

#[test]
fn what_is_not_kept_any_more_is_not_read_but_may_be_recorded() {
    for remembers in [false, true] {
        let stream = told(remembers);
        assert_eq!(stream.all().len(), 1 + usize::from(remembers));
        let at = |from: &From| stream.locate(2_000, &id(0), from);
        assert_eq!(at(&From::Oldest), Ok(iterator(1, 2_000)));
        assert_eq!(
            stream.read(2_000, &id(0), &iterator(0, 2_000), 0).err(),
            Some(Missing::Trimmed)
        );
        let read = stream.read(2_000, &id(0), &iterator(1, 2_000), 3).unwrap();
        assert_eq!(read.news.len(), 1);
    }
}

#[test]
fn an_iterator_is_used_in_time_or_is_too_old() {
    let stream = told(false);
    let read = |made| stream.read(2_000, &id(0), &iterator(1, made), 0).err();
    assert_eq!(read(1_500), None);
    assert_eq!(read(1_499), Some(Missing::Expired));
}
