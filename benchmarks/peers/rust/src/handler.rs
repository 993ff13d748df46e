//! The handler, called for each event after the store has applied it. It keeps the key and version of the last object.

use kube::ResourceExt;
use tokio::sync::watch;

use crate::digest::key;

/// The calls so far, and the version that `reach` waits for.
#[derive(Default)]
struct Seen {
    calls: u64,
    key: String,
    version: String,
    awaited: Option<String>,
}

/// The handler, shared by the task that calls it and the task that waits for it.
#[derive(Default)]
pub struct Handler(watch::Sender<Seen>);

impl Handler {
    /// Handles an object that was added, updated or deleted.
    pub fn call(&self, found: &impl ResourceExt) {
        // Wakes the waiting task only for the awaited version: waking costs more than everything else here.
        self.0.send_if_modified(|seen| {
            seen.calls += 1;
            seen.key = key(found);
            seen.version = found.resource_version().unwrap_or_default();
            let reached = seen.awaited.as_ref() == Some(&seen.version);
            if reached {
                seen.awaited = None;
            }
            reached
        });
    }

    /// Waits for a call with this resourceVersion, unless the last call had it. Returns the number of calls so far.
    pub async fn reach(&self, version: String) -> anyhow::Result<u64> {
        let mut seen = self.0.subscribe();
        self.0
            .send_modify(|seen| seen.awaited = (seen.version != version).then_some(version));
        Ok(seen.wait_for(|seen| seen.awaited.is_none()).await?.calls)
    }
}
