//! The command line: one file a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{self, Exit, Result};

pub mod check;
mod counting;
pub mod fleet;
pub mod init;
pub mod job;
pub mod jobs;
pub mod keys;
pub mod local;
mod output;
mod process;
mod progress;
pub mod record;
pub mod replay;
pub mod results;
pub mod role;
pub mod setup;
pub mod simulate;
pub mod stack;
pub mod test;

/// The folder for what must survive a restart, where none is named.
pub(crate) const STATE_DEFAULT: &str = ".roundtrip";

/// What all commands have in common.
const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 a job or a check failed; 64 bad usage; 75 a service is away, try again later;
78 bad configuration. Results go to standard output, everything else to standard error.
ROUNDTRIP_LOG says what is logged: `info`, `debug`, or `roundtrip=debug,warn`.";

/// How a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Files out, results back.
#[derive(Debug, Parser)]
#[command(name = "roundtrip", version, about, max_term_width = 100, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole round trip on this machine: all three roles in one process
    Local(local::Arguments),
    /// S3, DynamoDB and Streams on 127.0.0.1, for several processes
    Stack(stack::Arguments),
    /// Makes table, index, stream, TTL and bucket at the configured endpoints
    Setup(setup::Arguments),
    /// Runs a role: a TOML file, or a shipped one (client, fetcher, watcher)
    Run(role::Arguments),
    /// Checks pipelines and roles offline
    Check(check::Arguments),
    /// Writes the shipped pipelines and roles into a folder for editing
    Init(init::Arguments),
    /// The core against a model of the services, with faults
    Simulate(simulate::Arguments),
    /// Looks at jobs and steers them
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Who is alive, with which version, holding what
    Fleet(fleet::Arguments),
    /// Writes the records of the table's stream into a file as they come
    Record(record::Arguments),
    /// What a role would decide on a recorded history
    Replay(replay::Arguments),
    /// Replays recordings and compares the decisions with the snapshots beside them
    Test(test::Arguments),
    /// Looks into one job record
    #[command(subcommand)]
    Job(job::Command),
    /// Handles sealed results
    #[command(subcommand)]
    Results(results::Command),
    /// Makes and shows the client's key
    #[command(subcommand)]
    Keys(keys::Command),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Printing to a closed terminal is no reason to fail.
            let _ = error.print();
            return ExitCode::from(exit.code());
        }
    };
    match run(arguments.command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            output::say(&error::render(&failure));
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Local(arguments) => local::run(&arguments),
        Command::Stack(arguments) => stack::run(arguments),
        Command::Setup(arguments) => setup::run(arguments),
        Command::Run(arguments) => role::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Init(arguments) => init::run(arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Jobs(command) => jobs::run(command),
        Command::Fleet(arguments) => fleet::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Job(command) => job::run(command),
        Command::Results(command) => results::run(command),
        Command::Keys(command) => keys::run(command),
    }
}
