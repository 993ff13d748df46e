//! The handler: what runs for each event, once the store has it. It learns which object it was, and keeps the last.

use kube::ResourceExt;
use tokio::sync::watch;

use crate::digest::key;

/// What the handler has learnt, and what is waited for.
#[derive(Default)]
struct Seen {
    calls: u64,
    key: String,
    version: String,
    awaited: Option<String>,
}

/// One handler; shared by the task that calls it and the one that waits for it.
#[derive(Default)]
pub struct Handler(watch::Sender<Seen>);

impl Handler {
    /// Takes an object that was added, updated or deleted.
    pub fn call(&self, found: &impl ResourceExt) {
        // Whoever waits is woken for what is waited for alone: waking costs more than all the rest.
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

    /// Waits for a call with this resourceVersion; returns at once if it was the last one's. How many there were in all.
    pub async fn reach(&self, version: String) -> anyhow::Result<u64> {
        let mut news = self.0.subscribe();
        self.0
            .send_modify(|seen| seen.awaited = (seen.version != version).then_some(version));
        Ok(news.wait_for(|seen| seen.awaited.is_none()).await?.calls)
    }
}
