//! `Bodies`: where bodies lie that are too long for an item of the table (claim check).

use async_trait::async_trait;

use crate::{BodyHash, Error};

/// Bodies by their hash. The hash is over a fresh nonce and the body, so one name never means two bodies.
///
/// Every implementation promises: once `put` has answered, the body survives a crash and `get` finds it, in any process; a
/// `put` may be repeated; nothing is ever removed or replaced by another body. A body whose entry never came to stand is left
/// where it is: it is named by nothing. Who reads a body holds it against its hash.
#[async_trait]
pub trait Bodies: Send + Sync {
    /// Keeps a body under its hash.
    async fn put(&self, name: &BodyHash, body: &str) -> Result<(), Error>;

    /// Returns the body of that name, `None` if there is none.
    async fn get(&self, name: &BodyHash) -> Result<Option<String>, Error>;
}

/// Bodies in memory, for tests; clones share what they hold.
#[cfg(any(test, feature = "conformance"))]
#[derive(Clone, Debug, Default)]
pub struct MemoryBodies(std::sync::Arc<std::sync::Mutex<std::collections::HashMap<BodyHash, String>>>);

#[cfg(any(test, feature = "conformance"))]
#[async_trait]
impl Bodies for MemoryBodies {
    async fn put(&self, name: &BodyHash, body: &str) -> Result<(), Error> {
        self.0.lock().expect("no test panics while it holds this").entry(*name).or_insert_with(|| body.to_owned());
        Ok(())
    }

    async fn get(&self, name: &BodyHash) -> Result<Option<String>, Error> {
        Ok(self.0.lock().expect("no test panics while it holds this").get(name).cloned())
    }
}

/// Claims what every `Bodies` promises.
#[cfg(any(test, feature = "conformance"))]
pub async fn conformance(bodies: &impl Bodies) {
    let body = format!("[\"{}\"]", "\u{3c0}".repeat(400_000));
    let (name, other) = (crate::body_hash(&crate::Nonce([1; 16]), body.as_bytes()), BodyHash([2; 32]));
    assert_eq!(bodies.get(&name).await.expect("readable"), None, "nothing was put yet");
    for _ in 0..2 {
        bodies.put(&name, &body).await.expect("a put may be repeated");
        assert!(bodies.get(&name).await.expect("readable").as_ref() == Some(&body), "a body comes back as it was");
    }
    assert_eq!(bodies.get(&other).await.expect("readable"), None, "another name is another body");
}
