//! S3: the s3s protocol server, with a graceful end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::objects::Objects;
use super::{Endpoints, STOP_WAIT_MAX};

/// More connections than this wait in the listener's queue.
const CONNECTIONS_MAX: usize = 512;

/// A client that has not sent its headers by then is disconnected.
const HEADER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Serves until the stack stops.
#[derive(Debug)]
pub(super) struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Serves the objects.
    pub(super) fn start(
        objects: Objects,
        listener: TcpListener,
        endpoints: &Endpoints,
        stop: CancellationToken,
    ) -> Self {
        let mut builder = S3ServiceBuilder::new(objects);
        builder.set_auth(SimpleAuth::from_single(
            endpoints.access_key.clone(),
            endpoints.secret_key.clone(),
        ));
        let task = tokio::spawn(accept(listener, builder.build(), stop));
        Self { task }
    }

    /// Waits until every connection has ended.
    pub(super) async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "S3 ended");
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let abandon = CancellationToken::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(abandon.clone().run_until_cancelled_owned(async move {
                    serve(stream, service, stop).await;
                    drop(place);
                }));
            }
            Err(error) => {
                // Out of file descriptors, most likely: try again, but not in a tight loop.
                tracing::warn!(%error, "S3 could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(STOP_WAIT_MAX, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "S3 requests still under way are dropped"
        );
        abandon.cancel();
        connections.wait().await;
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve(stream: TcpStream, service: S3Service, stop: CancellationToken) {
    // Small answers should not wait for more bytes to come.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let service = service.clone();
        async move {
            let answer = service.call(request.map(s3s::Body::from)).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| refused(&error)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an S3 connection ended early");
    }
}

fn refused(error: &s3s::HttpError) -> s3s::HttpResponse {
    tracing::warn!(?error, "an S3 request could not be answered");
    let mut response = s3s::HttpResponse::new(s3s::Body::empty());
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
