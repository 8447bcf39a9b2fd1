//! Readers against a model of the stream and of the leases, with lost answers, pauses, deaths and splits.
//!
//! Whatever happens: no two of them read a shard at the same time, every record is told of, and none of a child
//! before all of its parents.

use proptest::prelude::*;

use super::*;

/// When records stop coming; after it everything is left to settle.
const LOAD_MS: i64 = 300_000;
const END_MS: i64 = 900_000;

/// A random number generator (splitmix64): one seed is one history.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn ms(&mut self, limit: u64) -> i64 {
        i64::try_from(self.below(limit)).unwrap()
    }
}

/// A shard of the model.
struct Source {
    id: String,
    parent: Option<String>,
    records: Vec<u64>,
    closed: bool,
}

/// One reader process.
struct Process {
    name: String,
    machine: Reader,
    paused_until: i64,
    dead: bool,
}

enum Step {
    /// A request reaches the services.
    Effect(Action),
    /// Its answer comes back.
    Answer(Event),
}

struct World {
    chance: Chance,
    now: i64,
    queue: BTreeMap<(i64, u64), (usize, Step)>,
    queued: u64,
    sources: Vec<Source>,
    rows: BTreeMap<String, Lease>,
    processes: Vec<Process>,
    /// Reads sent that have not reached the stream yet: shard to process.
    reading: BTreeMap<String, usize>,
    told: BTreeSet<u64>,
    records: u64,
    taken_over: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let source = |id: &str| Source {
            id: id.to_owned(),
            parent: None,
            records: Vec::new(),
            closed: false,
        };
        let mut world = Self {
            chance: Chance(seed),
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            sources: vec![source("s0"), source("s1")],
            rows: BTreeMap::new(),
            processes: Vec::new(),
            reading: BTreeMap::new(),
            told: BTreeSet::new(),
            records: 0,
            taken_over: 0,
        };
        world.start();
        world.start();
        world
    }

    fn start(&mut self) {
        let name = format!("reader-{}", self.processes.len());
        self.processes.push(Process {
            machine: Reader::new(policy(&name)),
            name,
            paused_until: 0,
            dead: false,
        });
    }

    fn at(&mut self) -> At {
        let jitter = f64::from(u32::try_from(self.chance.below(1_000)).unwrap()) / 1_000.0;
        At {
            now: Timestamp(self.now),
            jitter,
        }
    }

    fn push(&mut self, when: i64, process: usize, step: Step) {
        self.queued += 1;
        self.queue.insert((when, self.queued), (process, step));
    }

    /// Sends what a process decided.
    fn send(&mut self, process: usize) {
        while let Some(Decision { action, .. }) = self.processes[process].machine.poll_action() {
            match &action {
                Action::Report { .. } | Action::Reconcile => continue,
                Action::Read { shard, .. } => {
                    let other = self.reading.insert(shard.clone(), process);
                    assert_eq!(other, None, "two readers on {shard} at {}", self.now);
                }
                Action::Describe { .. }
                | Action::ListLeases
                | Action::Take { .. }
                | Action::Renew { .. }
                | Action::Release { .. }
                | Action::Locate { .. } => {}
            }
            let delay = 1 + self.chance.ms(if self.chance.0.is_multiple_of(10) {
                4_900
            } else {
                50
            });
            self.push(self.now + delay, process, Step::Effect(action));
        }
    }

    /// A request reaches the services: what they answer.
    fn effect(&mut self, process: usize, action: Action) -> Option<Event> {
        let name = self.processes[process].name.clone();
        let lost = self.chance.below(20) == 0;
        match action {
            Action::Describe { after } => {
                // Pages of two.
                let begin = after.map_or(0, |after| {
                    1 + self.sources.iter().position(|source| source.id == after).unwrap()
                });
                let page: Vec<_> = self.sources[begin..].iter().take(2).collect();
                let next = (begin + 2 < self.sources.len()).then(|| page[1].id.clone());
                let shards = page
                    .iter()
                    .map(|source| shard(&source.id, source.parent.as_deref()))
                    .collect();
                Some(if lost {
                    Event::SurveyFailed("lost".into())
                } else {
                    Event::Described { shards, next }
                })
            }
            Action::ListLeases => Some(Event::Listed(self.rows.values().cloned().collect())),
            Action::Take { shard, seen, until } => {
                if self.rows.get(&shard) != seen.as_ref() {
                    return Some(Event::Lost(shard));
                }
                let place = seen.as_ref().and_then(|row| row.place.clone());
                if let Some(holder) = seen.and_then(|row| row.holder)
                    && holder != name
                {
                    self.taken_over += 1;
                }
                self.rows
                    .insert(shard.clone(), row(&shard, Some(&name), until.0, place.clone()));
                Some(answered(lost, shard, |shard| Event::Taken(shard, place)))
            }
            Action::Renew {
                shard, until, place, ..
            } => Some(self.write(&name, lost, shard, Some(until), place)),
            Action::Release { shard, place, .. } => Some(self.write(&name, lost, shard, None, place)),
            Action::Locate { shard, from } => {
                let row = &self.rows[&shard];
                if let (From::Oldest, Some(Place::After(at)), Some(holder)) = (&from, &row.place, &row.holder)
                {
                    assert_ne!(
                        *holder, name,
                        "{shard} was read up to {at}: its holder begins there"
                    );
                }
                let begin = match from {
                    From::After(sequence) => 1 + sequence.parse::<usize>().unwrap(),
                    From::Oldest | From::Newest => 0,
                };
                Some(if lost {
                    Event::Throttled(shard)
                } else {
                    Event::Located(shard, begin.to_string())
                })
            }
            Action::Read { shard, iterator } => {
                self.reading.remove(&shard);
                if lost {
                    let kind = self.chance.below(3);
                    return Some(match kind {
                        0 => Event::Expired(shard),
                        1 => Event::Throttled(shard),
                        _ => Event::Failed(shard, "lost".into()),
                    });
                }
                let batch = self.read(&shard, iterator.parse().unwrap());
                Some(Event::Read(shard, batch))
            }
            Action::Report { .. } | Action::Reconcile => None,
        }
    }

    fn read(&mut self, id: &str, begin: usize) -> Batch {
        let source = self.sources.iter().find(|source| source.id == id).unwrap();
        if let Some(parent) = &source.parent {
            let parent = self.sources.iter().find(|other| other.id == *parent).unwrap();
            let read = parent.records.iter().all(|record| self.told.contains(record));
            assert!(read, "{id} before the end of its parent");
        }
        let records: Vec<u64> = source.records.iter().skip(begin).take(10).copied().collect();
        let end = begin + records.len();
        let next = (!source.closed || end < source.records.len()).then(|| end.to_string());
        self.told.extend(&records);
        Batch {
            news: records.len(),
            last: (end > begin).then(|| (end - 1).to_string()),
            bad: Vec::new(),
            next,
        }
    }

    fn write(
        &mut self,
        name: &str,
        lost: bool,
        shard: String,
        until: Option<Timestamp>,
        place: Option<Place>,
    ) -> Event {
        let row = self.rows.get_mut(&shard).unwrap();
        if row.holder.as_deref() != Some(name) {
            return Event::Lost(shard);
        }
        row.place = place.or(row.place.take());
        match until {
            Some(until) => row.until = until,
            None => row.holder = None,
        }
        answered(
            lost,
            shard,
            if until.is_some() {
                Event::Kept
            } else {
                Event::Released
            },
        )
    }

    /// What happens by itself: records, splits, pauses, deaths.
    fn happen(&mut self) {
        let open: Vec<usize> = (0..self.sources.len())
            .filter(|n| !self.sources[*n].closed)
            .collect();
        let one = open[usize::try_from(self.chance.below(open.len() as u64)).unwrap()];
        match self.chance.below(100) {
            0..60 => {
                for _ in 0..self.chance.below(30) {
                    self.records += 1;
                    self.sources[one].records.push(self.records);
                }
            }
            60..63 if self.sources.len() < 24 => {
                self.sources[one].closed = true;
                let parent = Some(self.sources[one].id.clone());
                for _ in 0..=self.chance.below(2) {
                    self.sources.push(Source {
                        id: format!("s{}", self.sources.len()),
                        parent: parent.clone(),
                        records: Vec::new(),
                        closed: false,
                    });
                }
            }
            63..66 => {
                let process = usize::try_from(self.chance.below(self.processes.len() as u64)).unwrap();
                self.processes[process].paused_until = self.now + self.chance.ms(60_000);
            }
            66 => {
                let alive: Vec<usize> = (0..self.processes.len())
                    .filter(|n| !self.processes[*n].dead)
                    .collect();
                let process = alive[usize::try_from(self.chance.below(alive.len() as u64)).unwrap()];
                self.processes[process].dead = true;
                self.start();
            }
            _ => {}
        }
    }

    fn run(&mut self) {
        let mut next_happening = 0;
        while self.now < END_MS {
            if self.now >= next_happening && self.now < LOAD_MS {
                self.happen();
                next_happening = self.now + self.chance.ms(2_000);
            }
            for process in 0..self.processes.len() {
                if !self.processes[process].dead && self.processes[process].paused_until <= self.now {
                    let at = self.at();
                    self.processes[process].machine.tick(at);
                    self.send(process);
                }
            }
            while let Some(entry) = self.queue.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (process, step) = entry.remove();
                self.step(process, step);
            }
            let wakes = self
                .processes
                .iter()
                .filter(|process| !process.dead)
                .filter_map(|process| Some(process.machine.wake_at()?.0.max(process.paused_until)));
            let next = wakes
                .chain(self.queue.keys().next().map(|(when, _)| *when))
                .chain((self.now < LOAD_MS).then_some(next_happening));
            self.now = next.min().unwrap_or(END_MS).max(self.now + 1);
        }
    }

    fn step(&mut self, process: usize, step: Step) {
        match step {
            Step::Effect(action) => {
                if let Some(event) = self.effect(process, action) {
                    let delay = 1 + self.chance.ms(50);
                    self.push(self.now + delay, process, Step::Answer(event));
                }
            }
            Step::Answer(event) => {
                let Process {
                    dead, paused_until, ..
                } = self.processes[process];
                if dead {
                    return;
                }
                if paused_until > self.now {
                    return self.push(paused_until, process, Step::Answer(event));
                }
                let at = self.at();
                self.processes[process].machine.handle(at, event);
                self.send(process);
            }
        }
    }
}

fn answered(lost: bool, shard: String, event: impl FnOnce(String) -> Event) -> Event {
    if lost {
        Event::WriteFailed(shard, "lost".into())
    } else {
        event(shard)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn one_reader_a_shard_and_every_record(seed in any::<u64>()) {
        let mut world = World::new(seed);
        world.run();
        let missing: Vec<u64> = (1..=world.records).filter(|record| !world.told.contains(record)).collect();
        prop_assert!(missing.is_empty(), "{} of {} records were never told of", missing.len(), world.records);
        let ended = |source: &&Source| world.rows[&source.id].place == Some(Place::End);
        let closed = world.sources.iter().filter(|source| source.closed);
        prop_assert!(closed.clone().all(|source| ended(&source)), "a closed shard was not finished");
    }
}

#[test]
fn a_shard_is_taken_over_when_its_reader_dies() {
    let taken_over: u32 = (0..8)
        .map(|seed| {
            let mut world = World::new(seed);
            world.run();
            world.taken_over
        })
        .sum();
    assert!(taken_over >= 8, "{taken_over}");
}
