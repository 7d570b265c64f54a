//! Mails as files, for whoever has no server: one each, under its id.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt;

/// A directory of mails that nobody else may read. It is made with the first mail.
pub struct Files {
    directory: PathBuf,
    /// How many were begun.
    begun: AtomicU64,
}

impl Files {
    pub fn below(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("mail"), begun: AtomicU64::new(0) }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a mail in the place of an earlier one with this id. A file that is there is there whole.
    pub async fn keep(&self, id: &str, mail: &[u8]) -> io::Result<()> {
        let directory = self.directory.clone();
        let made = move || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        tokio::task::spawn_blocking(made).await??;
        // The same mail may be written by several at once.
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let draft = self.directory.join(format!(".{id}.{}-{begun}", std::process::id()));
        let kept = match write(&draft, mail).await {
            Ok(()) => fs::rename(&draft, self.directory.join(format!("{id}.eml"))).await,
            Err(error) => Err(error),
        };
        if kept.is_err() {
            let _ = fs::remove_file(&draft).await;
        }
        kept
    }
}

async fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).await?;
    file.write_all(bytes).await?;
    file.sync_all().await
}
