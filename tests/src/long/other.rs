//! This program in another process, and what the system says of it.
//!
//! It does not: speak with it beyond its first line.
//!
//! Invariants: ended when dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The process.
pub struct Other {
    child: Child,
    /// The address behind its `ready`.
    pub address: String,
}

impl Other {
    /// Starts it and waits for `ready ADDR`.
    ///
    /// # Errors
    /// In words.
    pub fn start(words: &[&str]) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut child = Command::new(exe).args(words).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        out.read_line(&mut line).map_err(|e| e.to_string())?;
        let address = line.trim().strip_prefix("ready ").unwrap_or_default().to_owned();
        let other = Self { child, address };
        if other.address.is_empty() { Err(format!("the other process said {line:?}")) } else { Ok(other) }
    }

    /// A figure of the process's status, in kB.
    #[must_use]
    pub fn kilobytes(&self, name: &str) -> f64 {
        kilobytes_of(&self.child.id().to_string(), name)
    }

    /// CPU seconds so far.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let rest = stat.rsplit(')').next().unwrap_or_default();
        rest.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A figure of a process's status (`self` or its number), in kB.
#[must_use]
pub fn kilobytes_of(process: &str, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    line.and_then(|l| l.trim_start_matches(':').split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// This program in a process that ends by itself; the numbers that it said.
///
/// # Errors
/// What it said when it failed.
pub fn numbers_of(words: &[&str]) -> Result<Vec<f64>, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let out = Command::new(exe).args(words).output().map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&out.stdout).split_whitespace().filter_map(|w| w.parse().ok()).collect())
}

/// Says numbers to the process that started this one.
pub fn say(numbers: &[f64]) {
    println!("{}", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
}
