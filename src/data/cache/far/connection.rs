//! Connections to one server, or to a cluster.

use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisResult, RetryMethod,
    Value,
};

use crate::data::secret::SecretUrl;

/// How long it may take to connect. No request waits for that long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Requests that may wait for a connection to take them, before those that come wait for room.
const BUFFER: usize = 512;
/// How often the client of a cluster follows a redirection, or asks another node, within one request.
const RETRIES: u32 = 2;
/// How long it waits before that, at most, in milliseconds.
const LONGEST_RETRY_WAIT: u64 = 5;

/// Where connections come from.
pub(super) enum Origin {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
}

/// A connection that many requests share, each a clone.
///
/// An answer is never taken for another's. Redis answers in the order of the requests, and the client keeps a queue of
/// all that were written, in that order: an answer goes to whoever is at the front. A request that is given up, because its
/// future was dropped (which is all that a timeout does), closes the channel of its answer but keeps its place; the answer
/// is then read and thrown away. One that was not written yet never is. See `PipelineSink::send_result` and `start_send`
/// in the client's `multiplexed_connection`. The client of a cluster puts an MGET together from those of its slots, and
/// refuses to if an answer is missing or too short (`combine_and_sort_array_results`).
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Origin {
    /// # Errors
    /// For a URL that is none of Redis.
    pub fn new(url: &SecretUrl, cluster: bool) -> RedisResult<Self> {
        // The client takes the process's choice. It fails if there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.expose().clone().into_connection_info()?;
        if !cluster {
            return Ok(Self::Server(Box::new(Client::open(info.set_tcp_settings(tcp))?)));
        }
        let builder = ClusterClient::builder([info])
            .tcp_settings(tcp)
            .connection_timeout(PATIENCE)
            // Of what it asks for itself, such as who has which slots. Requests have a patience of their own.
            .response_timeout(PATIENCE)
            .overall_response_timeout(None)
            .retries(RETRIES)
            .min_retry_wait(1)
            .max_retry_wait(LONGEST_RETRY_WAIT);
        Ok(Self::Cluster(Box::new(builder.build()?)))
    }

    pub async fn connect(&self) -> RedisResult<Connection> {
        match self {
            Self::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(BUFFER);
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
            }
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }

    /// Whether a broken connection stays so. That to a cluster repairs itself, node by node.
    pub fn is_one_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

impl Connection {
    pub async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(server) => server.req_packed_command(command).await,
            Self::Cluster(cluster) => cluster.req_packed_command(command).await,
        }?
        .extract_error()
    }

    /// Runs commands at once, and says how many were refused: in a pipeline, or each on its own where they may belong to
    /// different nodes.
    ///
    /// # Errors
    /// When a command was not answered, or a server is in no state to take any.
    pub async fn write(&mut self, commands: &[Cmd]) -> RedisResult<usize> {
        let answers: Vec<RedisResult<Value>> = match self {
            Self::Server(server) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                let answers = server.req_packed_commands(&pipeline, 0, commands.len()).await?;
                answers.into_iter().map(Value::extract_error).collect()
            }
            Self::Cluster(cluster) => {
                let ask = |command| {
                    let mut connection = Self::Cluster(cluster.clone());
                    async move { connection.ask(command).await }
                };
                join_all(commands.iter().map(ask)).await
            }
        };
        let mut refused = 0;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err(error) if is_refusal(&error) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }
}

/// Whether a server understood, and will not: its memory is full, the command is not allowed. It can be read all the same.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
        && matches!(error.retry_method(), RetryMethod::NoRetry)
}

/// What may be said of an error: those of a server repeat arguments, those of a value the value.
pub(super) fn cause(error: &RedisError) -> String {
    match (error.kind(), error.code()) {
        (ErrorKind::Io | ErrorKind::Client | ErrorKind::InvalidClientConfig, _) => error.to_string(),
        (_, Some(code)) => format!("{} ({code})", error.category()),
        (_, None) => error.category().to_owned(),
    }
}
