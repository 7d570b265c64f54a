//! Redis servers of a test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use redis::{Client, FromRedisValue, cmd};
use tempfile::TempDir;

use super::until;

/// A server on a port of its own, in a directory of its own. Gone when this is dropped, whatever state it is in.
pub struct Server {
    pub port: u16,
    pub directory: TempDir,
    arguments: Vec<String>,
    child: Child,
}

/// A port that nobody listens on, and nobody else here will be given: a server that was stopped finds its own free. None of
/// those that the system gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 100).unwrap() * 100;
    let ports = std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take(12_000).find(is_free).expect("a port is free")
}

pub fn arguments(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_, port| arguments(&["--port", &port.to_string()])).await
    }

    /// On a port that nobody else is to take meanwhile.
    pub async fn on(port: u16) -> Self {
        Self::try_on(port, arguments(&["--port", &port.to_string()]), tempfile::tempdir().unwrap()).await.unwrap()
    }

    /// With arguments that depend on its directory and its port.
    pub async fn with(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        // Somebody else may take a free port before the server does: then it ends at once.
        for _ in 0..10 {
            let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
            let arguments = arguments(directory.path(), port);
            if let Some(server) = Self::try_on(port, arguments, directory).await {
                return server;
            }
        }
        panic!("no redis-server starts");
    }

    async fn try_on(port: u16, arguments: Vec<String>, directory: TempDir) -> Option<Self> {
        let child = spawn(directory.path(), &arguments);
        let mut server = Self { port, directory, arguments, child };
        server.listens().await.then_some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Of those that it was started with.
    pub fn argument(&self, index: usize) -> String {
        self.arguments[index].clone()
    }

    /// Kills it, so that its port refuses connections.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, after it was stopped.
    pub async fn restart(&mut self) {
        self.child = spawn(self.directory.path(), &self.arguments);
        assert!(self.listens().await, "the port is taken");
    }

    /// Stops it in its tracks: its connections stay open and say nothing.
    pub async fn freeze(&self) {
        self.signal("-STOP");
        let status = format!("/proc/{}/status", self.child.id());
        let is_stopped = || std::fs::read_to_string(&status).unwrap().contains("State:\tT");
        until("the server is frozen", async || is_stopped()).await;
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks it directly.
    pub async fn ask<T: FromRedisValue>(&self, arguments: &[&str]) -> T {
        let client = Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = cmd(arguments[0]);
        command.arg(&arguments[1..]).query_async(&mut connection).await.unwrap()
    }

    /// Waits until it takes connections, or has ended.
    async fn listens(&mut self) -> bool {
        let mut ended = false;
        until("the server listens", async || {
            ended = self.child.try_wait().unwrap().is_some();
            ended || tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
        !ended
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
