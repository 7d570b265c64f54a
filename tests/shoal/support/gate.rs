//! A gate in front of a server: what goes through it can be cut, held up, slowed down, or led to another server.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

/// Forwards connections to a server until it is closed or dropped.
pub struct Gate {
    url: Url,
    flow: Arc<watch::Sender<Flow>>,
    task: JoinHandle<()>,
}

/// What a gate does with what comes.
#[derive(Clone, Debug, PartialEq)]
struct Flow {
    target: (String, u16),
    /// Connections are taken, and nothing goes through.
    frozen: bool,
    /// How long each answer is held up.
    delay: Duration,
    /// Grows when connections are cut.
    cuts: u32,
}

impl Gate {
    pub async fn open(server: Url) -> Self {
        Self::open_at(server, 0).await
    }

    /// The same on a port, where a gate was before.
    pub async fn open_at(server: Url, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut url = server.clone();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let flow = Flow { target: target(&server), frozen: false, delay: Duration::ZERO, cuts: 0 };
        let flow = Arc::new(watch::Sender::new(flow));
        let task = tokio::spawn({
            let flow = flow.clone();
            async move {
                // Dropped with the task, and the connections with it.
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let mut flow = flow.subscribe();
                    let cuts = flow.borrow_and_update().cuts;
                    connections.spawn(async move {
                        let mut cut = flow.clone();
                        tokio::select! {
                            _ = forward(client, flow) => {}
                            _ = cut.wait_for(|flow| flow.cuts != cuts) => {}
                        }
                    });
                }
            }
        });
        Self { url, flow, task }
    }

    /// The server's URL, through the gate.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Takes connections, and lets nothing through.
    pub fn freeze(&self) {
        self.flow.send_modify(|flow| flow.frozen = true);
    }

    pub fn thaw(&self) {
        self.flow.send_modify(|flow| flow.frozen = false);
    }

    /// Holds up each answer for so long.
    pub fn slow_down(&self, delay: Duration) {
        self.flow.send_modify(|flow| flow.delay = delay);
    }

    /// Cuts all connections, and leads new ones to another server.
    pub fn lead_to(&self, server: &Url) {
        self.flow.send_modify(|flow| {
            flow.target = target(server);
            flow.cuts += 1;
        });
    }

    /// Cuts all connections and takes no more.
    pub async fn close(self) {
        self.task.abort();
        // The connections end with it.
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn target(server: &Url) -> (String, u16) {
    (server.host_str().unwrap().to_owned(), server.port().unwrap())
}

async fn forward(client: TcpStream, mut flow: watch::Receiver<Flow>) -> std::io::Result<()> {
    let target = flow.wait_for(|flow| !flow.frozen).await.unwrap().target.clone();
    let server = TcpStream::connect(target).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::try_join!(pass(from_client, to_server, flow.clone(), false), pass(from_server, to_client, flow, true))?;
    Ok(())
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    is_answer: bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let delay = flow.wait_for(|flow| !flow.frozen).await.unwrap().delay;
        if is_answer && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
