//! The embedded database: for one process at a time, and filled with the demo data when it is new.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::{Failure, migrate};
use crate::config::Config;
use crate::data::Databases;
use crate::domain::import::{self, From};
use crate::progress::Bar;

/// The right to use an embedded database. Ends with the process, however that ends.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// The lock of the configured database, if that is an embedded one.
    pub fn of(config: &Config) -> Result<Option<Self>, Failure> {
        let embedded = config.database.url.is_none();
        embedded.then(|| Self::take(&config.database.data_dir)).transpose()
    }

    /// # Errors
    /// When another process has it.
    pub fn take(data_dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(data_dir)
            .map_err(|error| format!("cannot make the data directory {}: {error}", data_dir.display()))?;
        let path = data_dir.join("shoal.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("the embedded database in {} is in use by another process", data_dir.display()).into())
            }
            Err(TryLockError::Error(error)) => Err(format!("cannot lock {}: {error}", path.display()).into()),
        }
    }
}

/// Whether the embedded database is meant and not there yet. One whose creation broke off does not count.
pub fn is_new(config: &Config) -> bool {
    let data_dir = &config.database.data_dir;
    config.database.url.is_none() && (!data_dir.join("shoal.db").exists() || data_dir.join("shoal.new").exists())
}

/// Makes the database and imports what it begins with.
pub async fn create(config: &Config, from: From) -> Result<(), Failure> {
    let data_dir = &config.database.data_dir;
    tracing::info!("making an embedded database in {}", data_dir.display());
    // While the mark is there, what is in the directory is not yet a database.
    let mark = data_dir.join("shoal.new");
    File::create(&mark)?;
    for leftover in ["shoal.db", "shoal.db-wal", "shoal.db-shm"] {
        match std::fs::remove_file(data_dir.join(leftover)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    migrate::apply(config).await?;
    if let From::Demo = from {
        // Whose the data are goes where they go.
        std::fs::write(data_dir.join("NOTICE"), import::demo_notice())?;
    }
    import(config, from).await?;
    std::fs::remove_file(mark)?;
    Ok(())
}

/// Imports into the configured database, with a progress bar.
pub async fn import(config: &Config, from: From) -> Result<(), Failure> {
    let databases = Databases::open(&config.database.unhurried()).await?;
    let report = import::run(&databases, from, &Bar::default()).await;
    databases.close().await;
    tracing::info!("{}", report?);
    Ok(())
}
