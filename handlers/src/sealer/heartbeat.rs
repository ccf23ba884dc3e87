//! Heartbeats: while nothing else happens, an entry now and then says that the log lives, and is sealed like any other. Without
//! them nobody outside could tell an idle log from one that is held back.

use domain::events::{Digest, Event, LedgerHeartbeat, Time};
use ledger::{Actor, Ledger as _, Log as _, Nonce, StreamKey, Tip, UtcMillis};

use crate::acting;
use crate::commit::{ledger_decision, ledger_error};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::surroundings::Surroundings;

/// The name of the sealer as an actor.
const SEALER: &str = "sealer";

/// Appends a heartbeat if the newest entry is older than `idle_ms` and everything is sealed; whether it did. An empty log has
/// none; a clock that was set back makes it wait.
///
/// # Errors
/// What the ledger and reading the checkpoint say. An answer that is lost leaves a heartbeat or none; the next is not earlier.
pub async fn beat(store: &Store, surroundings: &dyn Surroundings, idle_ms: u64) -> Result<bool> {
    let failed = |error| ledger_error("append a heartbeat", error);
    let head = store.ledger.head().await.map_err(failed)?;
    let last = store.ledger.entries(head.size.saturating_sub(1), 1).await.map_err(failed)?;
    let Some(last) = last.first() else { return Ok(false) };
    let now_ms = surroundings.now_ms();
    if now_ms.saturating_sub(last.entry.header.recorded_at.unix_ms()) < idle_ms {
        return Ok(false);
    }
    let published = super::published(store.root(), store.ledger.origin())?;
    let Some((_, checkpoint)) = published.filter(|(_, checkpoint)| checkpoint.size == head.size) else {
        return Ok(false);
    };
    let id = acting::new_id(surroundings);
    let stream = store.keys.run_stream(&id.to_string());
    let event = Event {
        id: acting::new_id(surroundings),
        subject: stream,
        time: Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)),
        correlation_id: id,
        causation_id: None,
        data: LedgerHeartbeat { size: checkpoint.size, root: Digest(checkpoint.root.0) }.into(),
    };
    let actor = Actor::system(SEALER).ok_or_else(|| Error::broken("event_body", "name the sealer as an actor"))?;
    let decision = ledger_decision(id, &[event], None, actor)?;
    let (tip, nonce) = (Tip::empty(StreamKey(stream.0.0)), Nonce(surroundings.nonce()));
    store.ledger.append(&tip, &decision, UtcMillis::from_unix_ms(now_ms), nonce).await.map_err(failed)?;
    Ok(true)
}
