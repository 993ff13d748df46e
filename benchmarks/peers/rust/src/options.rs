//! What the program is started with, and the connection that this makes. Nothing is sent here.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::json;

/// The argument of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    url: String,
    pub resource: String,
    #[serde(default)]
    pub mode: Mode,
    ca: Option<String>,
    token: Option<String>,
}

/// How the collection is followed.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A streaming list; managedFields are cleared.
    #[default]
    Streaming,
    /// All as it comes: a list in pages, whole objects.
    Plain,
    /// A list in pages; managedFields are cleared.
    Paged,
    /// A streaming list of metadata alone; managedFields are cleared.
    Metadata,
}

impl Options {
    /// A client, by way of the kubeconfig that would lead to the server.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "it", "cluster": {"server": self.url, "certificate-authority": self.ca}}],
            "users": [{"name": "it", "user": {"token": self.token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}
