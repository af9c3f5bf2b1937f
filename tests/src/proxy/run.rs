//! Sockets around a [`Line`]: one that listens, and one upstream for each address that dials.
//!
//! It does not: listen or dial anywhere but where it was told; tests tell it loopback.
//!
//! Invariants: one thread owns all state, so that a command, a cut and a packet never cross; when the
//! [`Proxy`] is dropped its thread and sockets are gone.

use super::count::{Counts, Lost};
use super::line::{Event, Line};
use super::profile::{After, Profile, Way};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The largest UDP payload.
const PACKET_BYTES_MAX: usize = 65_536;
/// Packets from upstream that wait for the thread; the kernel keeps more.
const WAITING_MAX: usize = 4_096;
/// Far enough for "nothing is planned".
const IDLE: Duration = Duration::from_secs(3_600);

/// What a test tells a running proxy.
enum Command {
    Upstream(SocketAddr),
    Change(Box<Profile>),
    Shut(Way, bool),
    Cut(Duration, After),
    Rebind,
    Stop,
}

/// A running proxy; gone when dropped.
pub struct Proxy {
    listen: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    counts: Arc<Mutex<Counts>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When no socket or thread is to be had.
    pub fn start(profile: Profile, seed: u64, upstream: SocketAddr) -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), profile, seed, upstream)
    }

    /// Listens here.
    ///
    /// # Errors
    /// When no socket or thread is to be had.
    pub fn start_at(listen: SocketAddr, profile: Profile, seed: u64, upstream: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let listen = socket.local_addr()?;
        let (commands, taken) = mpsc::unbounded_channel();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shown = counts.clone();
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || {
            runtime.block_on(async move {
                match UdpSocket::from_std(socket) {
                    Ok(socket) => Server::new(socket, profile, seed, upstream, shown).run(taken).await,
                    Err(e) => eprintln!("the proxy's socket cannot be used: {e}"),
                }
            });
        })?;
        Ok(Self { listen, commands, counts, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// What it came to so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another relay address, for what is dialled from now on.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.tell(Command::Upstream(upstream));
    }

    /// Another profile from now on.
    pub fn change(&self, profile: Profile) {
        self.tell(Command::Change(Box::new(profile)));
    }

    /// Shuts (or opens) one direction: with one shut the link is half open.
    pub fn shut(&self, way: Way, shut: bool) {
        self.tell(Command::Shut(way, shut));
    }

    /// Cuts the link now, for this long.
    pub fn cut(&self, dark: Duration, after: After) {
        self.tell(Command::Cut(dark, after));
    }

    /// The NAT takes new ports now.
    pub fn rebind(&self) {
        self.tell(Command::Rebind);
    }

    fn tell(&self, command: Command) {
        // Fails only when the thread has ended, and then there is no link to tell.
        let _ = self.commands.send(command);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One address that dialled.
struct Flow {
    id: u64,
    client: SocketAddr,
    upstream: Arc<UdpSocket>,
    reader: AbortHandle,
    severed: bool,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A packet on the way. Ordered by arrival, then by when it came in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    out: Duration,
    number: u64,
    way: Way,
    flow: u64,
    bytes: Vec<u8>,
}

struct Server {
    socket: UdpSocket,
    upstream: SocketAddr,
    line: Line,
    began: Instant,
    flows: BTreeMap<u64, Flow>,
    flow_of: BTreeMap<SocketAddr, u64>,
    on_the_way: BinaryHeap<Reverse<Packet>>,
    number: u64,
    /// Packets from upstream: flow, the socket's number, bytes.
    from_above: mpsc::Receiver<(u64, Vec<u8>)>,
    above: mpsc::Sender<(u64, Vec<u8>)>,
    shown: Arc<Mutex<Counts>>,
}

impl Server {
    fn new(socket: UdpSocket, profile: Profile, seed: u64, upstream: SocketAddr, shown: Arc<Mutex<Counts>>) -> Self {
        let (above, from_above) = mpsc::channel(WAITING_MAX);
        Self {
            socket,
            upstream,
            line: Line::new(profile, seed),
            began: Instant::now(),
            flows: BTreeMap::new(),
            flow_of: BTreeMap::new(),
            on_the_way: BinaryHeap::new(),
            number: 0,
            from_above,
            above,
            shown,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            self.show();
            let due = self.on_the_way.peek().map_or(Duration::MAX, |Reverse(p)| p.out);
            let next = due.min(self.line.next_event()).min(self.now() + IDLE);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => return,
                    Some(command) => self.command(command).await,
                },
                () = tokio::time::sleep_until(self.began + next) => self.due().await,
                came = self.from_above.recv() => {
                    if let Some((flow, bytes)) = came {
                        self.take(Way::Down, flow, bytes);
                    }
                }
                came = self.socket.recv_from(&mut buffer) => {
                    // An ICMP answer to an earlier packet is the other program's end, not this one's.
                    if let Ok((n, client)) = came {
                        self.came_from_below(client, &buffer[..n]).await;
                    }
                }
            }
        }
    }

    fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != self.line.counts {
            shown.clone_from(&self.line.counts);
        }
    }

    async fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Upstream(to) => self.upstream = to,
            Command::Change(profile) => self.line.change(*profile, now),
            Command::Shut(way, shut) => self.line.shut(way, shut),
            Command::Cut(dark, after) => {
                let event = self.line.cut(now, dark, after);
                self.event(event).await;
            }
            Command::Rebind => {
                let event = self.line.rebind();
                self.event(event).await;
            }
            Command::Stop => {}
        }
    }

    /// Does what the clock says.
    async fn due(&mut self) {
        let now = self.now();
        while let Some(event) = self.line.tick(now) {
            self.event(event).await;
        }
        while self.on_the_way.peek().is_some_and(|Reverse(p)| p.out <= now) {
            let Some(Reverse(packet)) = self.on_the_way.pop() else { return };
            let (may, event) = self.line.carry(packet.way, now, packet.bytes.len());
            if let Some(flow) = self.flows.get(&packet.flow).filter(|_| may) {
                // Where nobody listens the packet is gone, as on any network.
                let _ = match packet.way {
                    Way::Up => flow.upstream.send(&packet.bytes).await,
                    Way::Down => self.socket.send_to(&packet.bytes, flow.client).await,
                };
            }
            if let Some(event) = event {
                self.event(event).await;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Cut(after) => {
                for Reverse(packet) in std::mem::take(&mut self.on_the_way) {
                    self.line.lose(packet.way, Lost::Cut);
                }
                match after {
                    After::Same => {}
                    After::Rebound => self.rebind().await,
                    After::Severed => self.flows.values_mut().for_each(|f| f.severed = true),
                }
            }
            Event::Rebind => self.rebind().await,
        }
    }

    /// Every flow leaves from a new port; its old one is closed.
    async fn rebind(&mut self) {
        let ids: Vec<u64> = self.flows.keys().copied().collect();
        for id in ids {
            match self.open(id).await {
                Ok((upstream, reader)) => {
                    if let Some(flow) = self.flows.get_mut(&id) {
                        flow.reader.abort();
                        flow.upstream = upstream;
                        flow.reader = reader;
                    }
                }
                Err(e) => eprintln!("the proxy cannot take a new port: {e}"),
            }
        }
    }

    async fn came_from_below(&mut self, client: SocketAddr, bytes: &[u8]) {
        let id = match self.flow_of.get(&client) {
            Some(id) => *id,
            None => {
                let id = self.flow_of.len() as u64;
                match self.open(id).await {
                    Ok((upstream, reader)) => {
                        self.flows.insert(id, Flow { id, client, upstream, reader, severed: false });
                        self.flow_of.insert(client, id);
                        self.line.counts.flows += 1;
                        self.line.counts.new_leg();
                    }
                    Err(e) => {
                        eprintln!("the proxy cannot open a socket: {e}");
                        return;
                    }
                }
                id
            }
        };
        self.take(Way::Up, id, bytes.to_vec());
    }

    /// A socket towards the relay, with a task that reads it.
    async fn open(&self, id: u64) -> io::Result<(Arc<UdpSocket>, AbortHandle)> {
        let any = if self.upstream.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.upstream).await?;
        let socket = Arc::new(socket);
        let (reading, above) = (socket.clone(), self.above.clone());
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; PACKET_BYTES_MAX];
            loop {
                match reading.recv(&mut buffer).await {
                    Ok(n) => {
                        if above.send((id, buffer[..n].to_vec())).await.is_err() {
                            return;
                        }
                    }
                    // "Nobody listens there" says nothing about the next packet.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(_) => return,
                }
            }
        });
        Ok((socket, task.abort_handle()))
    }

    fn take(&mut self, way: Way, id: u64, bytes: Vec<u8>) {
        let now = self.now();
        let Some(flow) = self.flows.get_mut(&id) else { return };
        debug_assert_eq!(flow.id, id);
        if flow.severed && way == Way::Up && opens(&bytes) {
            flow.severed = false;
        }
        let severed = flow.severed;
        let out = self.line.offer(way, now, bytes.len());
        if severed && out[0].is_some() {
            self.line.lose(way, Lost::Severed);
            return;
        }
        for out in out.into_iter().flatten() {
            self.number += 1;
            self.on_the_way.push(Reverse(Packet { out, number: self.number, way, flow: id, bytes: bytes.clone() }));
        }
    }
}

/// Whether a packet opens a QUIC connection: a long header of type Initial.
fn opens(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|b| b & 0xf0 == 0xc0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as Plain;

    /// Two plain sockets with a proxy between them.
    fn pair(profile: Profile) -> (Plain, Plain, Proxy) {
        let relay = Plain::bind("127.0.0.1:0").unwrap();
        let child = Plain::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(profile, 1, relay.local_addr().unwrap()).unwrap();
        child.connect(proxy.listen()).unwrap();
        for socket in [&relay, &child] {
            // A bound for giving up, not a wait.
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        (child, relay, proxy)
    }

    fn receive(socket: &Plain) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2_048];
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..n].to_vec(), from)
    }

    #[test]
    fn packets_pass_both_ways_and_a_new_port_leaves_the_old_one_dead() {
        let (child, relay, proxy) = pair(Profile::clean());
        child.send(b"one").unwrap();
        let (first, old) = receive(&relay);
        assert_eq!(first, b"one");
        relay.send_to(b"answer", old).unwrap();
        assert_eq!(receive(&child).0, b"answer");
        proxy.rebind();
        child.send(b"two").unwrap();
        let (second, new) = receive(&relay);
        assert_eq!(second, b"two");
        assert_ne!(old, new);
        relay.send_to(b"lost", old).unwrap();
        relay.send_to(b"seen", new).unwrap();
        assert_eq!(receive(&child).0, b"seen");
        let counts = proxy.counts();
        assert_eq!((counts.up.carried, counts.flows, counts.rebinds), (2, 1, 1), "{counts}");
    }

    #[test]
    fn a_severed_flow_passes_again_only_with_what_opens_a_connection() {
        let (child, relay, proxy) = pair(Profile::clean());
        child.send(&[0x40, 1]).unwrap();
        receive(&relay);
        proxy.cut(Duration::ZERO, After::Severed);
        child.send(&[0x40, 2]).unwrap();
        child.send(&[0xc3, 3]).unwrap();
        child.send(&[0x40, 4]).unwrap();
        assert_eq!((receive(&relay).0, receive(&relay).0), (vec![0xc3, 3], vec![0x40, 4]));
        assert_eq!(proxy.counts().lost(Lost::Severed), 1);
    }

    #[test]
    fn a_half_open_link_carries_one_way_until_it_heals() {
        let (child, relay, proxy) = pair(Profile::clean());
        proxy.shut(Way::Down, true);
        child.send(b"up").unwrap();
        let (_, at) = receive(&relay);
        relay.send_to(b"into nothing", at).unwrap();
        while proxy.counts().lost(Lost::Shut) == 0 {
            std::thread::yield_now();
        }
        proxy.shut(Way::Down, false);
        relay.send_to(b"down", at).unwrap();
        assert_eq!(receive(&child).0, b"down");
    }
}
