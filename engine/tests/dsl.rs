//! Pipelines and roles as a person writes them: what loads, what is refused, and with which words.

use roundtrip::dsl::{Layers, load_role};

#[test]
fn tmp() {
    for role in ["client", "fetcher", "watcher"] {
        match load_role(role, &Layers::default()) {
            Ok(spec) => println!("{spec:#?}"),
            Err(faults) => println!("{faults}"),
        }
    }
}
