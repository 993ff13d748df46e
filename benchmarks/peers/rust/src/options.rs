//! The program's options, and the client that they describe. Sends no request.

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

/// The way to follow the collection.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A streaming list; managedFields are cleared.
    #[default]
    Streaming,
    /// kube-rs' defaults: a list in pages, whole objects.
    Plain,
    /// A list in pages; managedFields are cleared.
    Paged,
    /// A streaming list of metadata only; managedFields are cleared.
    Metadata,
}

impl Options {
    /// Creates a client from a kubeconfig that names the server.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "server", "cluster": {"server": self.url, "certificate-authority": self.ca}}],
            "users": [{"name": "server", "user": {"token": self.token}}],
            "contexts": [{"name": "server", "context": {"cluster": "server", "user": "server"}}],
            "current-context": "server",
        }))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}
