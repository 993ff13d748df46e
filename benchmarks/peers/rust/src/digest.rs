//! The identity part of the digest in `benchmarks/harness/digest.py`. There is no content part: a typed object does not
//! keep everything that the server sent.

use kube::ResourceExt;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The number of objects, and the combination of their SHA-256.
#[derive(Serialize)]
pub struct Digest {
    objects: usize,
    identity: String,
}

/// Computes the digest of objects, in any order.
pub fn digest<K: ResourceExt>(objects: &[impl AsRef<K>]) -> Digest {
    let mut all = [0; 32];
    for found in objects {
        for (into, byte) in all.iter_mut().zip(Sha256::digest(identity(found.as_ref()))) {
            *into ^= byte;
        }
    }
    let identity = all.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest {
        objects: objects.len(),
        identity,
    }
}

/// Returns `namespace/name`, or the name if there is no namespace.
pub fn key(found: &impl ResourceExt) -> String {
    match found.namespace() {
        Some(namespace) => format!("{namespace}/{}", found.name_any()),
        None => found.name_any(),
    }
}

fn identity(found: &impl ResourceExt) -> String {
    let uid = found.uid().unwrap_or_default();
    let version = found.resource_version().unwrap_or_default();
    let mut text = format!("{}\n{uid}\n{version}\n", key(found));
    for (name, value) in found.labels() {
        text.extend([name, "=", value, "\n"]);
    }
    text
}
