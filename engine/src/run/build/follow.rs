//! What reads the table's stream, and who follows it.

use super::Running;
use crate::cloud::Clients;
use crate::cloud::leases::Leases;
use crate::cloud::streams::Streams;
use crate::dsl::spec::RoleSpec;
use crate::run::feed::{Feed, Follower, feed};
use crate::run::parts::Parts;
use crate::run::policy;
use crate::run::stream::reader;
use crate::source::news::Interest;

pub(super) fn follow(interest: Interest, followers: &mut Vec<Follower>) -> Feed {
    let (follower, feed) = feed(interest);
    followers.push(follower);
    feed
}

/// The reader of the table's stream, for the pipelines that follow it; none where there are none.
pub(in crate::run) fn follow_stream(
    spec: &RoleSpec,
    clients: &Clients,
    parts: &Parts,
    followers: Vec<Follower>,
) -> Option<Running> {
    if followers.is_empty() {
        return None;
    }
    let policy = policy::stream(&spec.stream, &parts.processor);
    let table = &spec.store.table;
    let streams = Streams::new(clients.streams.clone(), clients.dynamodb.clone(), table);
    let leases = Leases::new(clients.dynamodb.clone(), table, &policy.reader);
    let (machine, world) = reader(policy, streams, leases, parts.jobs.clone(), followers);
    Some(Running::of("stream", (machine, world)))
}
