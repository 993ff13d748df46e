//! A reflector on kube-rs, as a controller has one, that carries out the commands of `benchmarks/peers/__init__.py`.
//!
//! It answers an unknown command with `{"error": REASON}`. A command that fails ends the program, with the reason on
//! stderr.

mod digest;
mod follower;
mod handler;
mod options;
mod peer;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::core::PartialObjectMeta;

use crate::options::{Mode, Options};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let argument = std::env::args()
        .nth(1)
        .context("expected one argument, a JSON object")?;
    let options: Options = serde_json::from_str(&argument).context("the argument is not valid")?;
    match (options.resource.as_str(), options.mode) {
        ("v1/pods", Mode::Metadata) => peer::run::<PartialObjectMeta<Pod>>(options).await,
        ("v1/pods", _) => peer::run::<Pod>(options).await,
        ("v1/namespaces", Mode::Metadata) => peer::run::<PartialObjectMeta<Namespace>>(options).await,
        ("v1/namespaces", _) => peer::run::<Namespace>(options).await,
        ("v1/events", Mode::Metadata) => peer::run::<PartialObjectMeta<Event>>(options).await,
        ("v1/events", _) => peer::run::<Event>(options).await,
        (other, _) => bail!("`{other}` is not supported: expected v1/pods, v1/namespaces or v1/events"),
    }
}
