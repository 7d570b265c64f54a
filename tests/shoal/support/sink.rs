//! A small SMTP server: it takes mails and keeps them, or refuses them, or lets its clients wait; in the clear or by TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What it lets in.
const USER: &str = "shop";
pub const PASSWORD: &str = "hunter2/ä";
const START_TLS: &str = "220 go on by TLS";

/// Listens until it is dropped, and its connections with it.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How it treats mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes them, and has each when this time has passed.
    Take(Duration),
    /// Answers to each recipient with this code.
    Refuse(u16),
    /// Reads, and holds all its answers back.
    Silent,
}

/// A mail that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    pub content: String,
    /// Whether it came by TLS.
    pub is_secret: bool,
}

/// Whether it speaks TLS.
pub enum Security {
    None,
    /// To whoever says STARTTLS; it takes passwords from nobody else.
    Offered(TlsAcceptor),
    /// From the first byte.
    Whole(TlsAcceptor),
}

struct Shared {
    security: Security,
    manner: watch::Sender<Manner>,
    /// Grows when connections are cut.
    cuts: watch::Sender<u32>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    connections: usize,
    /// By the `Message-ID`, each as often as it came.
    mails: HashMap<String, Vec<Taken>>,
}

impl Sink {
    /// On a free port, taking what comes, in the clear.
    pub async fn open() -> Self {
        Self::with(Security::None).await
    }

    /// The same, by TLS.
    pub async fn with(security: Security) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            security,
            manner: watch::Sender::new(Manner::Take(Duration::ZERO)),
            cuts: watch::Sender::new(0),
            kept: Mutex::default(),
        });
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                // Dropped with the task, and the connections with it.
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    shared.kept.lock().unwrap().connections += 1;
                    let (shared, mut cut) = (shared.clone(), shared.cuts.subscribe());
                    connections.spawn(async move {
                        tokio::select! {
                            _ = serve(client, &shared) => {}
                            _ = cut.changed() => {}
                        }
                    });
                }
            }
        });
        Self { address, shared, task }
    }

    /// For clients that come without a password.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    /// For clients with this password, as it stands in a URL.
    pub fn url_with(&self, password: &str) -> String {
        format!("{}://{USER}:{password}@{}", self.scheme(), self.address)
    }

    fn scheme(&self) -> &str {
        if matches!(self.shared.security, Security::Whole(_)) { "smtps" } else { "smtp" }
    }

    /// From the next answer on.
    pub fn behave(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Cuts all connections, and takes new ones.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.kept.lock().unwrap().connections
    }

    /// How many mails were taken, and how many different ones.
    pub fn counts(&self) -> (usize, usize) {
        let kept = self.shared.kept.lock().unwrap();
        (kept.mails.values().map(Vec::len).sum(), kept.mails.len())
    }

    /// The mails that came under a `Message-ID`, without its brackets.
    pub fn mails(&self, id: &str) -> Vec<Taken> {
        self.shared.kept.lock().unwrap().mails.get(id).cloned().unwrap_or_default()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    const GREETING: &str = "220 sink at your service";
    match &shared.security {
        Security::None => converse(client, Some(GREETING), false, shared).await.map(drop),
        Security::Offered(acceptor) => match converse(client, Some(GREETING), false, shared).await? {
            Some(client) => converse(acceptor.accept(client).await?, None, true, shared).await.map(drop),
            None => Ok(()),
        },
        Security::Whole(acceptor) => {
            converse(acceptor.accept(client).await?, Some(GREETING), true, shared).await.map(drop)
        }
    }
}

/// Answers command by command, whether they come one by one or all at once. The connection, if it is to go on by TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    client: S,
    greeting: Option<&str>,
    is_secret: bool,
    shared: &Shared,
) -> std::io::Result<Option<S>> {
    let mut client = BufReader::new(client);
    let mut manner = shared.manner.subscribe();
    let mut mail = None;
    let mut answer = greeting.map(str::to_owned);
    loop {
        if let Some(answer) = &answer {
            let _ = manner.wait_for(|manner| *manner != Manner::Silent).await;
            client.write_all(format!("{answer}\r\n").as_bytes()).await?;
            client.flush().await?;
        }
        let said = answer.as_deref().unwrap_or_default();
        if said == START_TLS {
            return Ok(Some(client.into_inner()));
        }
        if said.starts_with("221") {
            return Ok(None);
        }
        if said.starts_with("354") {
            let content = content(&mut client).await?;
            let Some(taken) = mail.take().map(|mail| Taken { content, ..mail }) else { return Ok(None) };
            let pace = match *manner.borrow() {
                Manner::Take(pace) => pace,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(pace).await;
            shared.keep(taken);
            answer = Some("250 taken".to_owned());
            continue;
        }
        let Some(line) = line(&mut client).await? else { return Ok(None) };
        answer = Some(shared.answer(&line, is_secret, &mut mail));
    }
}

impl Shared {
    fn answer(&self, line: &str, is_secret: bool, mail: &mut Option<Taken>) -> String {
        let offers_tls = matches!(self.security, Security::Offered(_)) && !is_secret;
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        let address = || rest.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match (verb.to_ascii_uppercase().as_str(), mail.as_mut()) {
            ("EHLO", _) if offers_tls => "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS",
            ("EHLO", _) => "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            ("HELO" | "NOOP", _) => "250 sink",
            ("RSET", _) => {
                *mail = None;
                "250 forgotten"
            }
            ("STARTTLS", None) if offers_tls => START_TLS,
            ("AUTH", _) if offers_tls => "538 not in the clear",
            ("AUTH", _) if rest == format!("PLAIN {}", STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))) => {
                "235 welcome"
            }
            // Some servers say what they have read.
            ("AUTH", _) => return format!("535 {line} is not right, nor is {PASSWORD}"),
            ("MAIL", None) => {
                *mail = Some(Taken { from: address(), to: Vec::new(), content: String::new(), is_secret });
                "250 go on"
            }
            ("RCPT", Some(mail)) => match *self.manner.borrow() {
                Manner::Refuse(code) => return format!("{code} not for {}", address()),
                _ => {
                    mail.to.push(address());
                    "250 go on"
                }
            },
            ("DATA", Some(mail)) if !mail.to.is_empty() => "354 go on",
            ("MAIL" | "RCPT" | "DATA", _) => "503 not now",
            ("QUIT", _) => "221 good-bye",
            _ => "500 what?",
        };
        answer.to_owned()
    }

    fn keep(&self, mail: Taken) {
        let id = mail.content.lines().find_map(|line| line.strip_prefix("Message-ID: <")?.strip_suffix('>'));
        let id = id.unwrap_or_default().to_owned();
        self.kept.lock().unwrap().mails.entry(id).or_default().push(mail);
    }
}

/// The next line without its end; nothing at the end of the connection.
async fn line(from: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = from.read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What comes up to the line with nothing but a dot, without the dots before others.
async fn content(from: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<String> {
    let mut content = String::new();
    while let Some(line) = line(from).await? {
        if line == "." {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
        content.push_str("\r\n");
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
