//! The witness over HTTP/1.1 (C2SP tlog-witness): bytes in, a decision of `state`, bytes out. Everything that a stranger can make
//! long, large or many has a limit. No TLS: it stands behind a proxy, and every message is authenticated by its signatures.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;

use super::request::BODY_BYTES_MAX;
use super::state::{Answer, Witness};

/// Where a log submits.
pub const SUBMIT: &str = "/add-checkpoint";
/// Where a monitor asks.
pub const STATE: &str = "/state";
/// Behind the SHA-256 of an origin in hex: its latest cosigned checkpoint.
const CHECKPOINT: &str = "/checkpoint";
/// Request line and headers together, in bytes.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// After a failed accept (no descriptor left) nothing is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; further ones wait in the queue of the system.
    pub connections_max: usize,
    /// From the end of the last answer to the end of the next request's headers.
    pub headers: Duration,
    /// From the headers to the end of the body.
    pub body: Duration,
    /// The whole life of a connection, whatever it does.
    pub connection: Duration,
    /// How long what was begun may go on once the witness or the connection is to end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            headers: Duration::from_secs(10),
            body: Duration::from_secs(10),
            connection: Duration::from_secs(120),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves until `stop` is ready; then no connection is accepted any more, and what was begun comes to its end.
///
/// # Errors
/// None of a single connection: those are logged and forgotten.
pub async fn serve(listener: TcpListener, witness: Arc<Witness>, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let (ending, end) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // Those that have ended are let go, so the set holds no more than there are places.
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (witness, end) = (Arc::clone(&witness), end.clone());
                connections.spawn(async move {
                    connection(stream, witness, limits, end).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a connection could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Each connection ends within its grace; this bounds the loop all the same.
    if time::timeout(limits.grace + limits.grace, ended).await.is_err() {
        tracing::warn!("connections were cut off at the end");
    }
}

async fn connection(stream: TcpStream, witness: Arc<Witness>, limits: Limits, mut end: watch::Receiver<bool>) {
    let service = service_fn(|request| answer(request, Arc::clone(&witness), limits));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.headers);
    builder.max_buf_size(HEADERS_BYTES_MAX).max_headers(HEADERS_MAX);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut served => return told(ended),
        _ = end.wait_for(|end| *end) => {}
        () = time::sleep(limits.connection) => {}
    }
    served.as_mut().graceful_shutdown();
    if let Ok(ended) = time::timeout(limits.grace, served).await {
        told(ended);
    }
}

/// What ended a connection is of interest to whoever debugs only.
fn told(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(timeout = error.is_timeout(), parse = error.is_parse(), "a connection ended early");
    }
}

async fn answer(
    request: Request<Incoming>,
    witness: Arc<Witness>,
    limits: Limits,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (is_get, is_post) = (request.method() == Method::GET, request.method() == Method::POST);
    Ok(match request.uri().path() {
        SUBMIT if is_post => submitted(request, witness, limits).await,
        STATE if is_get => worked(move || witness.state()).await,
        path if is_get && path.ends_with(CHECKPOINT) => {
            let origin_hash = path.trim_end_matches(CHECKPOINT).trim_start_matches('/').to_owned();
            worked(move || witness.checkpoint(&origin_hash)).await
        }
        SUBMIT => refused_method("POST"),
        STATE => refused_method("GET"),
        _ => plain(StatusCode::NOT_FOUND),
    })
}

async fn submitted(request: Request<Incoming>, witness: Arc<Witness>, limits: Limits) -> Response<Full<Bytes>> {
    let body = request.into_body();
    // A length that is said to be too large is refused before a byte of it is read.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = match time::timeout(limits.body, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return plain(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST),
        Ok(Ok(body)) => body.to_bytes(),
    };
    worked(move || witness.add_checkpoint(&body)).await
}

/// Lets the store work where waiting for a disk holds up no connection.
async fn worked(work: impl FnOnce() -> Answer + Send + 'static) -> Response<Full<Bytes>> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => response(answer),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let said = status.canonical_reason().unwrap_or_default().to_ascii_lowercase();
    response(Answer { status: status.as_u16(), content_type: "text/plain", body: format!("{said}\n").into_bytes() })
}

fn refused_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Binds the address and returns the listener with the address that it has.
///
/// # Errors
/// What the system says.
pub async fn listen(address: &str) -> io::Result<(TcpListener, std::net::SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
