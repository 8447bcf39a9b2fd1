# One entry for each thing a person does. Every recipe is a plain command: CONTRIBUTING.md lists them too.

# List the recipes
default:
    @just --list

# Write every Rust file in the house's format
format:
    cargo fmt --all

# Warnings are errors, as in CI
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The Rust tests
test:
    cargo test --workspace

# The round trip of one large file: time, rate and peak memory
bench *arguments:
    python3 testkit/bench.py {{ arguments }}

# A fleet under faults for ten minutes, then judged (after `just ci`, which makes the virtual environment)
chaos *arguments:
    target/ci-venv/bin/python testkit/chaos {{ arguments }}

# What a job costs with 20 fetchers, and who has to wait (likewise)
load *arguments:
    target/ci-venv/bin/python testkit/fleet_load.py {{ arguments }}

# Licences, advisories and sources of the dependency tree (needs cargo-deny)
deny:
    cargo deny --workspace check

# Everything CI runs
ci:
    .ci/run
