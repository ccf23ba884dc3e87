//! The implementations of `Objects`: a folder, memory for tests, and a wrapper that makes any call fail.

pub mod beneath;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod faulty;
pub mod folder;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
pub mod stored;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::faulty::{Effect, FaultyObjects, Plan};
    use super::folder::FolderObjects;
    use super::memory::MemoryObjects;
    use crate::ports::objects::{Digest, Objects, OutputKey};

    fn folder_objects(root: &Path) -> FolderObjects {
        for name in ["processed", "staging"] {
            std::fs::create_dir_all(root.join(name)).expect("folder");
        }
        FolderObjects::new(root.join("processed"), root.join("staging"))
    }

    #[tokio::test]
    async fn memory_objects_keep_the_promises_of_the_port() {
        super::conformance::all(|| async { MemoryObjects::default() }).await;
    }

    #[tokio::test]
    async fn folder_objects_keep_the_promises_of_the_port() {
        let root = tempfile::tempdir().expect("temporary folder");
        let next = std::sync::atomic::AtomicU32::new(0);
        super::conformance::all(|| async {
            folder_objects(&root.path().join(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string()))
        })
        .await;
    }

    /// Stages and publishes, beginning again from the start after a failure, as a step does.
    async fn deliver(objects: &dyn Objects, key: &OutputKey) -> Result<(), crate::Error> {
        let stream = domain::ids::StreamId(domain::ids::KeyedHash([7; 16]));
        let mut staging = objects.stage(stream).await?;
        staging.write(b"bytes").await?;
        let token = staging.finish().await?;
        let digest = Digest(<sha2::Sha256 as sha2::Digest>::digest(b"bytes").into());
        objects.publish(&token, key, digest).await?;
        objects.discard(&token).await
    }

    #[tokio::test]
    async fn whichever_call_fails_kept_or_not_a_second_try_ends_the_same() {
        let key = OutputKey::of_uids("2.25.1", "2.25.2", "2.25.3");
        for effect in [Effect::Kept, Effect::NotKept] {
            for at in 0..5 {
                let root = tempfile::tempdir().expect("temporary folder");
                let plan = Plan::fail(at, effect);
                let objects = FaultyObjects::new(folder_objects(root.path()), plan.clone());
                deliver(&objects, &key).await.expect_err("the call that was told to fail");
                deliver(&objects, &key).await.expect("the second try");
                assert!(plan.calls() > at, "call {at} was made");
                let found = objects.digest(&key).await.expect("digest").expect("visible");
                assert_eq!(found.0, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(b"bytes")));
            }
        }
    }
}
