//! `roundtrip keys`: makes and shows the client's key.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::print;
use super::{Format, STATE_DEFAULT};
use crate::error::{Exit, Result};
use crate::wire::keys::ClientKey;

/// The key's name in the state folder.
const KEY_FILE: &str = "client.pem";

/// Makes and shows the client's key.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a key where there is none and prints its client id; never replaces one
    New(Place),
    /// Prints the client id of a key
    Show {
        /// Where the key lies
        #[command(flatten)]
        place: Place,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// Where the key lies.
#[derive(Debug, Args)]
pub struct Place {
    /// The key's file: PKCS#8 PEM, mode 0600
    #[arg(long, value_name = "PATH", conflicts_with = "state")]
    key: Option<PathBuf>,
    /// The state folder, with the key in client.pem
    #[arg(long, value_name = "DIR", default_value = STATE_DEFAULT)]
    state: PathBuf,
}

impl Place {
    fn path(self) -> PathBuf {
        self.key.unwrap_or_else(|| self.state.join(KEY_FILE))
    }
}

pub(super) fn run(command: Command) -> Result<Exit> {
    let text = match command {
        Command::New(place) => ClientKey::create(&place.path())?.client_id().to_string(),
        Command::Show { place, format } => show(&place.path(), format)?,
    };
    print(format!("{text}\n").as_bytes())
}

fn show(path: &Path, format: Format) -> Result<String> {
    let key = ClientKey::load(path)?;
    let client = key.client_id().as_str();
    Ok(match format {
        Format::Text => client.to_owned(),
        Format::Json => json!({ "client": client, "key": path.display().to_string() }).to_string(),
    })
}
