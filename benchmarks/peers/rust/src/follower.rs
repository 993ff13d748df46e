//! The watch, its store, and the calls of the handler. It runs in its own task.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{Config, Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::handler::Handler;
use crate::options::Mode;

/// An object that can be followed, or its metadata.
pub trait Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Object for K {}

/// Follows a collection, and continues after errors. It ends with an error only before the initial state is complete:
/// retrying without end, as kube-rs does, cannot be measured.
pub async fn follow<K: Object>(api: Api<K>, mode: Mode, writer: Writer<K>, handler: Arc<Handler>) -> Result<(), Error> {
    let config = match mode {
        Mode::Streaming | Mode::Metadata => Config::default().streaming_lists(),
        Mode::Plain | Mode::Paged => Config::default(),
    };
    let prune = mode != Mode::Plain;
    let events = watcher(api, config)
        .default_backoff()
        .modify(|found| {
            if prune {
                found.managed_fields_mut().clear();
            }
        })
        .reflect(writer);
    let mut events = pin!(events);
    let mut complete = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(found) | Event::InitApply(found) | Event::Delete(found)) => handler.call(&found),
            Ok(Event::Init) => {}
            Ok(Event::InitDone) => complete = true,
            Err(error) if !complete => return Err(error),
            // The server's 410s are intended.
            Err(Error::WatchError(status)) if status.code == 410 => {}
            Err(error) => eprintln!("kube-rs: {error}"),
        }
    }
    Ok(())
}
