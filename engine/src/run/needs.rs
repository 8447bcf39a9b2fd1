//! Which of the shared parts the pipelines of a role need.

use crate::dsl::spec::{PipelineSpec, SinkSpec, SourceSpec};

/// What a role's pipelines need of the parts they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// A key and a ledger: something is shipped or collected.
    pub(super) client: bool,
    /// A spool: something is analysed.
    pub(super) spool: bool,
}

impl Needs {
    /// What these pipelines need.
    pub(super) fn of<'a>(pipelines: impl Iterator<Item = &'a PipelineSpec>) -> Self {
        let mut needs = Self {
            client: false,
            spool: false,
        };
        for pipeline in pipelines {
            match (&pipeline.source, &pipeline.sink) {
                (SourceSpec::Directory(_) | SourceSpec::Results(_), _) => needs.client = true,
                (_, SinkSpec::Processor(_)) => needs.spool = true,
                (
                    SourceSpec::Jobs(_)
                    | SourceSpec::Foreign(_)
                    | SourceSpec::Lanes(_)
                    | SourceSpec::Objects(_),
                    _,
                ) => {}
            }
        }
        needs
    }
}
