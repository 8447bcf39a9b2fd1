//! The `roundtrip` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    roundtrip::cli::main()
}
