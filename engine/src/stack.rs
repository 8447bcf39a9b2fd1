//! The embedded stack: S3, DynamoDB and Streams on 127.0.0.1, with all state in one folder.
//!
//! It needs no account and no other program, and everything talks to it through the AWS SDK, so the same
//! code runs against AWS. Every acknowledged write survives `kill -9`: both parts keep their records in
//! SQLite with a write-ahead log that is synced at each commit.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Result};

mod dynamodb;
mod objects;
mod s3;
mod state;

use objects::Objects;
use state::State;

/// How long [`Stack::stop`] waits for requests under way before it drops them.
pub const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where a stack listens and what it accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The URL of S3.
    pub s3: String,
    /// The URL of DynamoDB and of DynamoDB Streams.
    pub dynamodb: String,
    /// The region to sign for.
    pub region: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("s3", &self.s3)
            .field("dynamodb", &self.dynamodb)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// A running stack. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct Stack {
    endpoints: Endpoints,
    stop: DropGuard,
    s3: s3::Server,
    dynamodb: dynamodb::Server,
    // Held for its lock on the folder; released last.
    _state: State,
}

impl Stack {
    /// Starts on the state folder, which is made when it is not there.
    ///
    /// S3 listens on `port` and DynamoDB on the next one. Without a port both listen where they did last, so that what
    /// was told of them stays true, or else on free ones.
    /// Must run inside a Tokio runtime.
    ///
    /// # Errors
    /// Exit 75 when another stack holds the folder or a port is taken; exit 78 when the folder cannot be used.
    pub async fn start(folder: &Path, port: Option<u16>) -> Result<Self> {
        let folder = folder.to_path_buf();
        let opened = tokio::task::spawn_blocking(move || {
            let state = State::open(&folder)?;
            let objects = Objects::open(&state.s3())?;
            Ok::<_, Error>((state, objects))
        });
        let (state, objects) = opened
            .await
            .map_err(|error| Error::failed("the state folder could not be opened").because(error))??;
        let (s3_listener, dynamodb_listener) = listeners(port, state.ports()).await?;
        if let (Ok(s3), Ok(dynamodb)) = (s3_listener.local_addr(), dynamodb_listener.local_addr()) {
            state.remember_ports((s3.port(), dynamodb.port()));
        }
        let endpoints = Endpoints {
            s3: url(&s3_listener)?,
            dynamodb: url(&dynamodb_listener)?,
            region: "us-east-1".to_owned(),
            access_key: state.access_key.clone(),
            secret_key: state.secret_key.clone(),
        };
        let stop = CancellationToken::new();
        let dynamodb = dynamodb::Server::start(&state.dynamodb(), dynamodb_listener, stop.clone())?;
        let s3 = s3::Server::start(objects, s3_listener, &endpoints, stop.clone());
        tracing::debug!(?endpoints, "the embedded stack is up");
        Ok(Self {
            endpoints,
            stop: stop.drop_guard(),
            s3,
            dynamodb,
            _state: state,
        })
    }

    /// Where it listens and what it accepts.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Stops accepting, lets requests under way end within [`STOP_WAIT_MAX`], and closes the database.
    pub async fn stop(self) {
        drop(self.stop);
        tokio::join!(self.s3.stopped(), self.dynamodb.stopped());
    }
}

async fn listeners(port: Option<u16>, last: Option<(u16, u16)>) -> Result<(TcpListener, TcpListener)> {
    let (first, second) = match port {
        None | Some(0) => {
            if let Some((s3, dynamodb)) = last
                && let (Ok(s3), Ok(dynamodb)) = (listen(s3).await, listen(dynamodb).await)
            {
                return Ok((s3, dynamodb));
            }
            (0, 0)
        }
        Some(port) => {
            let next = port.checked_add(1).ok_or_else(|| {
                Error::usage(format!("port {port} leaves no next port for DynamoDB"))
                    .hint("use a port below 65535")
            })?;
            (port, next)
        }
    };
    Ok((listen(first).await?, listen(second).await?))
}

async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        Error::away(format!("cannot listen on {address}"))
            .because(error)
            .hint("choose another --port: S3 takes it, and DynamoDB the next one")
    })
}

fn url(listener: &TcpListener) -> Result<String> {
    let address = listener
        .local_addr()
        .map_err(|error| Error::away("a listener has no address").because(error))?;
    Ok(format!("http://{address}"))
}
