//! A reflector on kube-rs, as a controller has one, that obeys orders: those of `benchmarks/peers/__init__.py`, and
//!
//! ```text
//! versions    {}      Answers those of the compiler and of the crates that matter, by name.
//! ```
//!
//! An order that it does not know is answered `{"error": REASON}`; one that fails ends it, with the reason on stderr.

mod digest;
mod follow;
mod handler;
mod options;
mod peer;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::core::PartialObjectMeta;

use crate::options::{Mode, Options};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1).context("the options are missing")?;
    let options: Options = serde_json::from_str(&argument).context("the options are wrong")?;
    match (options.resource.as_str(), options.mode) {
        ("v1/pods", Mode::Metadata) => peer::obey::<PartialObjectMeta<Pod>>(options).await,
        ("v1/pods", _) => peer::obey::<Pod>(options).await,
        ("v1/namespaces", Mode::Metadata) => peer::obey::<PartialObjectMeta<Namespace>>(options).await,
        ("v1/namespaces", _) => peer::obey::<Namespace>(options).await,
        (other, _) => bail!("the resource is v1/pods or v1/namespaces, not {other}"),
    }
}
