//! A gate in front of a server, which can be closed.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

/// Forwards connections to a server until it is closed or dropped.
pub struct Gate {
    url: Url,
    task: JoinHandle<()>,
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
        let target = (server.host_str().unwrap().to_owned(), server.port().unwrap());
        let task = tokio::spawn(async move {
            // Dropped with the task, and the connections with it.
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, task }
    }

    /// The server's URL, through the gate.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Cuts all connections and takes no more.
    pub async fn close(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}
