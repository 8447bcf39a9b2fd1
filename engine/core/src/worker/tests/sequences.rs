//! Any sequence of events: no panic, no spin, no unbounded queue.
