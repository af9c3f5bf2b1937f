//! A thin wire: carries UDP between one branch and its relay at a village's rate, and can fall silent.
//!
//! It does not: look at what it carries.

use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a datagram on its way up costs in time: about 60 kB a second, a good day on 2G.
const PACE: Duration = Duration::from_millis(20);

/// The wire; dropped, it is gone.
pub struct Wire {
    /// Where the branch sends to.
    pub address: SocketAddr,
    silent: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Lays a wire to a relay.
    ///
    /// # Errors
    /// When no port of loopback is free.
    pub async fn lay(relay: SocketAddr) -> Result<Self> {
        let below = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let above = UdpSocket::bind(("127.0.0.1", 0)).await?;
        above.connect(relay).await?;
        let address = below.local_addr()?;
        let (silent, is_silent) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
            let mut branch: Option<SocketAddr> = None;
            let mut pace = tokio::time::interval(PACE);
            // Time that nobody used is not saved up.
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    got = below.recv_from(&mut up) => if let Ok((n, from)) = got {
                        branch = Some(from);
                        pace.tick().await;
                        let passes = !*is_silent.borrow();
                        if passes {
                            let _ = above.send(&up[..n]).await;
                        }
                    },
                    got = above.recv(&mut down) => if let (Ok(n), Some(to)) = (got, branch) {
                        let passes = !*is_silent.borrow();
                        if passes {
                            let _ = below.send_to(&down[..n], to).await;
                        }
                    },
                }
            }
        });
        Ok(Self { address, silent, task })
    }

    /// From now on nothing passes.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}
