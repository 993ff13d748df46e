//! The commands and their state. Each is done before the next is read.

use std::sync::Arc;

use anyhow::{Context, bail};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::task::JoinSet;

use crate::digest::digest;
use crate::follower::{Object, follow};
use crate::handler::Handler;
use crate::options::Options;

#[derive(Deserialize)]
#[serde(tag = "do", content = "with", rename_all = "lowercase")]
enum Command {
    Connect {},
    Sync {},
    Reach { version: String },
    Digest {},
    Versions {},
}

/// Carries out commands until standard input ends.
pub async fn run<K: Object>(options: Options) -> anyhow::Result<()> {
    let mut peer = Peer::<K> {
        options,
        client: None,
        store: None,
        handler: Arc::default(),
        following: JoinSet::new(),
    };
    let mut commands = BufReader::new(stdin()).lines();
    let mut answers = stdout();
    while let Some(line) = commands.next_line().await? {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => peer.carry_out(command).await?,
            Err(error) => json!({"error": error.to_string()}),
        };
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
        answers.flush().await?;
    }
    // Otherwise it may log that its connection ended.
    peer.following.shutdown().await;
    Ok(())
}

struct Peer<K: Object> {
    options: Options,
    client: Option<Client>,
    store: Option<Store<K>>,
    handler: Arc<Handler>,
    following: JoinSet<Result<(), watcher::Error>>,
}

impl<K: Object> Peer<K> {
    async fn carry_out(&mut self, command: Command) -> anyhow::Result<Value> {
        match command {
            Command::Connect {} => self.client = Some(self.options.client().await?),
            Command::Sync {} => self.sync().await?,
            Command::Reach { version } => return Ok(json!(self.handler.reach(version).await?)),
            Command::Digest {} => {
                let store = self.store.as_ref().context("sync comes before digest")?;
                return Ok(json!(digest(&store.state())));
            }
            Command::Versions {} => return Ok(versions()),
        }
        Ok(Value::Null)
    }

    async fn sync(&mut self) -> anyhow::Result<()> {
        let client = self.client.clone().context("connect comes before sync")?;
        let (store, writer) = reflector::store();
        let api = Api::all(client);
        self.following
            .spawn(follow(api, self.options.mode, writer, self.handler.clone()));
        if store.wait_until_ready().await.is_err() {
            // The watch has ended, with its error.
            while let Some(ended) = self.following.join_next().await {
                ended??;
            }
            bail!("the watch ended");
        }
        self.store = Some(store);
        Ok(())
    }
}

fn versions() -> Value {
    let mut versions = json!({
        "rustc": env!("VERSION_RUSTC"),
        "kube": env!("VERSION_KUBE"),
        "k8s-openapi": env!("VERSION_K8S_OPENAPI"),
    });
    if cfg!(feature = "jemalloc") {
        versions["tikv-jemallocator"] = json!(env!("VERSION_TIKV_JEMALLOCATOR"));
    }
    versions
}
