//! A branch as a process of its own: the process, and the handle that the demo has on it. They talk in
//! lines of JSON, one answer a request.
//!
//! It does not: know what the demo is about.
//!
//! Invariants: a branch ends when its input does, so none outlives the demo; a handle that is dropped
//! ends its process and waits for it.

use super::node::{Kind, Node, PATIENCE};
use anyhow::{Context as _, Result, anyhow};
use sampan_node::replica::Replica;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use tokio::sync::mpsc;

/// The process of one branch: answers until its input ends.
///
/// # Errors
/// When its runtime or its folder fails.
pub fn serve(dir: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut node = match dir.exists() {
        true => Some(Node::of(Kind::Branch, dir, Replica::open(dir, &Default::default())?)),
        false => None,
    };
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = match runtime.block_on(answer(dir, &mut node, request)) {
            Ok(value) => json!({ "ok": value }),
            Err(error) => {
                eprintln!("{error:#}");
                json!({ "error": format!("{error:#}") })
            }
        };
        println!("{answer}");
    }
    if let Some(mut node) = node {
        runtime.block_on(node.close())?;
    }
    Ok(())
}

async fn answer(dir: &Path, node: &mut Option<Node>, request: Value) -> Result<Value> {
    eprintln!("{}", request["do"].as_str().unwrap_or_default());
    if request["do"] == "join" {
        *node = Some(Node::join(Kind::Branch, dir, request["ticket"].as_str().unwrap_or_default())?);
        return Ok(Value::Null);
    }
    let node = node.as_mut().context("this branch has not joined yet")?;
    match request["do"].as_str() {
        Some("open") => node.open().await.map(|()| Value::Null),
        Some("close") => node.close().await.map(|()| Value::Null),
        Some("sync") => {
            let relay = request["relay"].as_str().map(str::to_owned);
            Ok(serde_json::to_value(node.sync(relay, |state| eprintln!("{state:?}")).await?)?)
        }
        _ => node.ask(request).await,
    }
}

/// The demo's handle on a branch process.
pub struct Branch {
    /// Its folder.
    pub path: PathBuf,
    /// Where its process writes what went wrong.
    pub log: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    answers: mpsc::UnboundedReceiver<String>,
}

/// An error of one branch, with its log.
#[derive(Debug)]
pub struct BranchError {
    /// The log.
    pub log: PathBuf,
    /// What it said.
    pub what: String,
}

impl std::fmt::Display for BranchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for BranchError {}

impl Branch {
    /// Starts the process for a folder, which may not be there yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(path: &Path, log: &Path) -> Result<Self> {
        let errors = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--branch")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("the process of a branch could not be started")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no output of the branch")?;
        let (sender, answers) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { path: path.to_owned(), log: log.to_owned(), child, input, answers })
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// [`BranchError`] when the process is gone.
    pub fn send(&mut self, request: &Value) -> Result<()> {
        let input = self.input.as_mut();
        let sent = input.map(|i| writeln!(i, "{request}").and_then(|()| i.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.failed("its process has ended".into())),
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`BranchError`] with what the branch said.
    pub async fn ask(&mut self, request: Value) -> Result<Value> {
        self.send(&request)?;
        let line = match tokio::time::timeout(PATIENCE, self.answers.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => return Err(self.failed(format!("its process ended during '{}'", request["do"]))),
            Err(_) => return Err(self.failed(format!("no answer to {} in {PATIENCE:?}", request["do"]))),
        };
        let mut answer: Value = serde_json::from_str(&line).map_err(|e| anyhow!("{line}: {e}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(self.failed(error.to_owned())),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.input = None;
        // It may have ended by itself: then there is nothing to end, and waiting returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// An error of this branch.
    #[must_use]
    pub fn failed(&self, what: String) -> anyhow::Error {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        anyhow::Error::new(BranchError { log: self.log.clone(), what: format!("{name}: {what}") })
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.kill();
    }
}
