//! Whatever the services answer, a reader rests: it never spins.

use proptest::prelude::*;

use super::*;

/// How the services answer, chosen by a number.
fn answer(action: &Action, choice: u8) -> Option<Event> {
    let failed = |shard: &String| Event::Failed(shard.clone(), "away".into());
    let event = match action {
        Action::Describe { .. } | Action::ListLeases if choice.is_multiple_of(5) => {
            Event::SurveyFailed("away".into())
        }
        Action::Describe { .. } => Event::Described {
            shards: vec![shard("p", None), shard("c", Some("p")), shard("s", None)],
            next: choice.is_multiple_of(7).then(|| "s".into()),
        },
        Action::ListLeases => Event::Listed(Vec::new()),
        Action::Take { shard, .. } | Action::Renew { shard, .. } | Action::Release { shard, .. }
            if choice.is_multiple_of(4) =>
        {
            Event::Lost(shard.clone())
        }
        Action::Take { shard, .. } | Action::Renew { shard, .. } | Action::Release { shard, .. }
            if choice % 4 == 1 =>
        {
            Event::WriteFailed(shard.clone(), "away".into())
        }
        Action::Take { shard, .. } => Event::Taken(shard.clone(), None),
        Action::Renew { shard, .. } => Event::Kept(shard.clone()),
        Action::Release { shard, .. } => Event::Released(shard.clone()),
        Action::Locate { shard, .. } => match choice % 6 {
            0 => Event::Trimmed(shard.clone()),
            1 => Event::Gone(shard.clone()),
            2 => Event::Throttled(shard.clone()),
            3 => failed(shard),
            _ => Event::Located(shard.clone(), "i".into()),
        },
        Action::Read { shard, .. } => match choice % 8 {
            0 => Event::Trimmed(shard.clone()),
            1 => Event::Gone(shard.clone()),
            2 => Event::Throttled(shard.clone()),
            3 => failed(shard),
            4 => Event::Expired(shard.clone()),
            5 => Event::Read(shard.clone(), batch(9, Some("9"), None)),
            _ => Event::Read(shard.clone(), batch(usize::from(choice), Some("9"), Some("i"))),
        },
        Action::Report { .. } | Action::Reconcile => return None,
    };
    Some(event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reader_never_spins(choices in prop::collection::vec(any::<u8>(), 400), always in any::<Option<u8>>()) {
        let mut reader = Reader::new(policy("me"));
        let (mut now, mut asked) = (0, 0_u32);
        let mut choices = choices.into_iter().cycle();
        let at = |now, choice: u8| At { now: Timestamp(now), jitter: f64::from(choice) / 256.0 };
        while now < 60_000 {
            reader.tick(at(now, choices.next().unwrap_or(0)));
            while let Some(Decision { action, .. }) = reader.poll_action() {
                asked += 1;
                prop_assert!(asked < 10_000, "spins at {now}: {action:?}");
                let choice = always.or_else(|| choices.next()).unwrap_or(0);
                if let Some(event) = answer(&action, choice) {
                    reader.handle(at(now, choice), event);
                }
            }
            let wake = reader.wake_at();
            prop_assert!(wake.is_none_or(|wake| wake.0 > now), "woken at {wake:?}, now {now}");
            now = wake.map_or(60_000, |wake| wake.0);
        }
        // Three shards at four reads a second, each with an iterator, and two writes a second besides surveys.
        prop_assert!(asked < 60 * (3 * 8 + 12), "{asked} requests in a minute");
    }
}
