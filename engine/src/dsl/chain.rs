//! Chains: stages typed by what they take and give, so that only stages that fit make a pipeline.
//!
//! From what the source gives, each stage leads on to what the next one takes. A pipeline holds exactly the
//! stages that lead from its source to its sink: one that is missing is named, one that is of no use too.

use roundtrip_core::job::LaneKind;

use super::spec::{SinkSpec, SourceSpec};

mod thing;

pub use thing::Thing;

/// A stage between source and sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// `[claim]`
    Claim,
    /// `[transport.s3]`
    Transport,
    /// `[codec.*]`
    Codec,
    /// `[chunker.*]`
    Chunker,
}

impl Link {
    const ALL: [Self; 4] = [Self::Claim, Self::Transport, Self::Codec, Self::Chunker];

    /// The table a person adds to have it.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Claim => "[claim]",
            Self::Transport => "[transport.s3]",
            Self::Codec => "[codec.zstd]",
            Self::Chunker => "[chunker.fixed]",
        }
    }

    /// The table's first name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Transport => "transport",
            Self::Codec => "codec",
            Self::Chunker => "chunker",
        }
    }

    /// What it takes and what it gives, writing and reading.
    const fn types(self) -> &'static [(Thing, Thing)] {
        match self {
            Self::Claim => &[(Thing::Job, Thing::HeldJob)],
            Self::Chunker => &[(Thing::File, Thing::Pieces), (Thing::HeldPieces, Thing::HeldFile)],
            Self::Codec => &[
                (Thing::Pieces, Thing::Chunks),
                (Thing::HeldChunks, Thing::HeldPieces),
            ],
            Self::Transport => &[
                (Thing::Chunks, Thing::StoredFile),
                (Thing::HeldJob, Thing::HeldChunks),
                (Thing::StoredResult, Thing::Result),
                (Thing::DoneJob, Thing::DoneObjects),
                (Thing::Listing, Thing::ListedObjects),
            ],
        }
    }

    /// What it makes of a thing.
    fn step(self, from: Thing) -> Option<Thing> {
        self.types()
            .iter()
            .find(|(takes, _)| *takes == from)
            .map(|(_, gives)| *gives)
    }
}

/// Either end of a chain.
pub trait End {
    /// Its table: `source.jobs`.
    fn table(&self) -> &'static str;

    /// What it gives as a source, or takes as a sink.
    fn thing(&self) -> Thing;
}

impl End for SourceSpec {
    fn table(&self) -> &'static str {
        match self {
            Self::Directory(_) => "source.directory",
            Self::Jobs(_) => "source.jobs",
            Self::Results(_) => "source.results",
            Self::Foreign(_) => "source.foreign",
            Self::Lanes(_) => "source.lanes",
            Self::Objects(_) => "source.objects",
        }
    }

    fn thing(&self) -> Thing {
        match self {
            Self::Directory(_) => Thing::File,
            Self::Jobs(source) => match source.lane {
                LaneKind::Ready => Thing::Job,
                LaneKind::Leased => Thing::LostJob,
                LaneKind::Done => Thing::DoneJob,
            },
            Self::Results(_) => Thing::StoredResult,
            Self::Foreign(_) => Thing::ForeignJob,
            Self::Lanes(_) => Thing::Counts,
            Self::Objects(_) => Thing::Listing,
        }
    }
}

impl End for SinkSpec {
    fn table(&self) -> &'static str {
        match self {
            Self::Jobs(_) => "sink.jobs",
            Self::Processor(_) => "sink.processor",
            Self::Directory(_) => "sink.directory",
            Self::Delete(_) => "sink.delete",
            Self::Requeue => "sink.requeue",
            Self::Admit(_) => "sink.admit",
            Self::Metrics(_) => "sink.metrics",
            Self::Sweep => "sink.sweep",
        }
    }

    fn thing(&self) -> Thing {
        match self {
            Self::Jobs(_) => Thing::StoredFile,
            Self::Processor(_) => Thing::HeldFile,
            Self::Directory(_) => Thing::Result,
            Self::Delete(_) => Thing::DoneObjects,
            Self::Requeue => Thing::LostJob,
            Self::Admit(_) => Thing::ForeignJob,
            Self::Metrics(_) => Thing::Counts,
            Self::Sweep => Thing::ListedObjects,
        }
    }
}

/// The sinks that try again, by the name of their table.
pub(super) const RETRYING_SINKS: [&str; 5] = ["jobs", "processor", "requeue", "metrics", "sweep"];

/// Whether a sink has a use for `[retry]`.
pub(super) fn retries(sink: &SinkSpec) -> bool {
    match sink {
        SinkSpec::Jobs(_)
        | SinkSpec::Processor(_)
        | SinkSpec::Requeue
        | SinkSpec::Metrics(_)
        | SinkSpec::Sweep => true,
        SinkSpec::Directory(_) | SinkSpec::Delete(_) | SinkSpec::Admit(_) => false,
    }
}

/// Where a source leads that wants to be fixed.
const SOURCES: [(&str, Thing); 8] = [
    ("[source.directory]", Thing::File),
    ("[source.jobs] with lane = \"ready\"", Thing::Job),
    ("[source.jobs] with lane = \"leased\"", Thing::LostJob),
    ("[source.jobs] with lane = \"done\"", Thing::DoneJob),
    ("[source.results]", Thing::StoredResult),
    ("[source.foreign]", Thing::ForeignJob),
    ("[source.lanes]", Thing::Counts),
    ("[source.objects]", Thing::Listing),
];

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Stages are missing between source and sink.
    Missing {
        /// In the order of the chain.
        links: Vec<Link>,
        /// What the sink takes.
        takes: Thing,
        /// What comes to it as the chain stands.
        gives: Thing,
    },
    /// No stages lead from this source to this sink.
    Apart {
        /// What the sink takes.
        takes: Thing,
        /// What the source gives.
        gives: Thing,
        /// The source that would lead there.
        instead: &'static str,
    },
    /// A stage the chain has no use for.
    Useless(Link),
}

/// Holds the stages between a source and a sink against what the two need.
pub fn check(source: &impl End, sink: &impl End, present: &[Link]) -> Vec<Misfit> {
    let (gives, takes) = (source.thing(), sink.thing());
    let Some(needed) = path(gives, takes) else {
        let fitting = SOURCES.iter().find(|(_, thing)| path(*thing, takes).is_some());
        let instead = fitting.map_or("another source", |(table, _)| table);
        return vec![Misfit::Apart {
            takes,
            gives,
            instead,
        }];
    };
    let links: Vec<Link> = needed
        .iter()
        .copied()
        .filter(|link| !present.contains(link))
        .collect();
    let useless = present
        .iter()
        .copied()
        .filter(|link| !needed.contains(link))
        .map(Misfit::Useless);
    let missing = (!links.is_empty()).then_some(Misfit::Missing { links, takes, gives });
    missing.into_iter().chain(useless).collect()
}

/// The stages that lead from one thing to another, in order; each thing has at most one stage that takes it.
fn path(from: Thing, to: Thing) -> Option<Vec<Link>> {
    let mut links = Vec::new();
    let mut thing = from;
    while thing != to {
        let (link, next) = Link::ALL
            .into_iter()
            .find_map(|link| Some((link, link.step(thing)?)))?;
        links.push(link);
        thing = next;
    }
    Some(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_that_leads_somewhere() {
        let sinks = [
            ("jobs", Thing::StoredFile),
            ("processor", Thing::HeldFile),
            ("directory", Thing::Result),
            ("delete", Thing::DoneObjects),
            ("requeue", Thing::LostJob),
            ("admit", Thing::ForeignJob),
            ("metrics", Thing::Counts),
            ("sweep", Thing::ListedObjects),
        ];
        let mut chains = Vec::new();
        for (source, gives) in SOURCES {
            for (sink, takes) in sinks {
                let Some(links) = path(gives, takes) else { continue };
                let stages: Vec<&str> = links.into_iter().map(Link::name).collect();
                chains.push(format!("{source} -> ({}) -> {sink}", stages.join(", ")));
            }
        }
        insta::assert_snapshot!(chains.join("\n"), @r#"
        [source.directory] -> (chunker, codec, transport) -> jobs
        [source.jobs] with lane = "ready" -> (claim, transport, codec, chunker) -> processor
        [source.jobs] with lane = "leased" -> () -> requeue
        [source.jobs] with lane = "done" -> (transport) -> delete
        [source.results] -> (transport) -> directory
        [source.foreign] -> () -> admit
        [source.lanes] -> () -> metrics
        [source.objects] -> (transport) -> sweep
        "#);
    }

    #[test]
    fn no_thing_is_taken_by_two_stages() {
        let mut taken: Vec<Thing> = Link::ALL
            .iter()
            .flat_map(|link| link.types())
            .map(|(takes, _)| *takes)
            .collect();
        let all = taken.len();
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), all);
    }
}
