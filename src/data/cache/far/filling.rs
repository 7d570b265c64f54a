//! Writes what was queued, in the background.

use std::sync::Arc;

use redis::{Cmd, cmd};
use tokio::sync::mpsc;

use super::connection::Connection;
use super::{Fill, Shared};

/// Most entries that are written at once.
const MOST_ENTRIES: usize = 256;
/// And about so many bytes of values: reads on the same connection wait for them to pass.
const MOST_BYTES: usize = 256 << 10;
/// So many times longer than for a read may be waited for what nobody waits for.
const PATIENCE: u32 = 10;

/// Writes until all handles are gone, and what they left in the queue.
pub(super) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Fill>) {
    let mut entries = Vec::with_capacity(MOST_ENTRIES);
    while queue.recv_many(&mut entries, MOST_ENTRIES).await > 0 {
        let (mut commands, mut bytes) = (Vec::with_capacity(entries.len()), 0);
        for entry in entries.drain(..) {
            bytes += entry.value.len();
            commands.push(set(&entry));
            if bytes >= MOST_BYTES {
                write(&shared, &commands, bytes).await;
                commands.clear();
                bytes = 0;
            }
        }
        if !commands.is_empty() {
            write(&shared, &commands, bytes).await;
        }
    }
}

async fn write(shared: &Shared, commands: &[Cmd], bytes: usize) {
    let request = |mut connection: Connection| async move { connection.write(commands).await };
    let written = shared.ask(&shared.meters.fill, shared.patience.saturating_mul(PATIENCE), request).await;
    if written.is_ok() {
        shared.meters.written.increment(bytes as u64);
    }
    shared.meters.dropped.increment(written.unwrap_or(commands.len()) as u64);
}

fn set(entry: &Fill) -> Cmd {
    let ttl = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut command = cmd("SET");
    command.arg(&entry.key).arg(&entry.value).arg("PX").arg(ttl);
    command
}
