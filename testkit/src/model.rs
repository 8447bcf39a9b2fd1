//! The world as the core's machines meet it: time, the jobs table, its stream, the bucket, the network, chance.

pub(crate) mod agenda;
pub(crate) mod bucket;
pub(crate) mod chance;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod services;
pub(crate) mod stream;
pub(crate) mod table;
