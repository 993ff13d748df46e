//! The watch, the store behind it, and the handler called for each event. It is polled in a task of its own.

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

/// An object that can be followed: pods, namespaces, and the metadata alone of either.
pub trait Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Object for K {}

/// Follows a collection, through errors and relists too. It ends with the error that kept the first state from being
/// complete: by itself it would try for ever, and nothing can be measured of that.
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
            // Of what the server is ordered to do there is nothing to tell.
            Err(Error::WatchError(status)) if status.code == 410 => {}
            Err(error) => eprintln!("kube-rs: {error}"),
        }
    }
    Ok(())
}
