//! How an import goes, for whoever started it: a bar where there is a terminal, else a log line per table.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::data::bulk::Progress;

/// One bar for a whole import, by bytes; it vanishes when it is dropped.
pub struct Bar {
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    started: Instant,
    /// Rows of all tables.
    rows: u64,
    table: Option<Table>,
}

struct Table {
    name: String,
    started: Instant,
    rows: u64,
    bytes: u64,
}

impl Default for Bar {
    fn default() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let template = "{prefix:12} {wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, state: Mutex::new(State { started: Instant::now(), rows: 0, table: None }) }
    }
}

impl Progress for Bar {
    fn starts(&self, bytes: u64) {
        self.bar.set_length(bytes);
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(100));
        }
        self.lock().started = Instant::now();
    }

    fn table(&self, name: &str) {
        self.ends_table();
        self.bar.set_prefix(name.to_owned());
        self.lock().table = Some(Table { name: name.to_owned(), started: Instant::now(), rows: 0, bytes: 0 });
    }

    fn advanced(&self, rows: u64, bytes: u64) {
        self.bar.inc(bytes);
        let mut state = self.lock();
        state.rows += rows;
        if let Some(table) = &mut state.table {
            table.rows += rows;
            table.bytes += bytes;
        }
        let rate = state.rows as f64 / state.started.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} rows, {}/s", HumanCount(state.rows), HumanCount(rate as u64)));
    }

    fn settles(&self) {
        self.ends_table();
        self.bar.set_prefix("committing");
    }
}

impl Bar {
    fn ends_table(&self) {
        let Some(Table { name, started, rows, bytes }) = self.lock().table.take() else {
            return;
        };
        if self.bar.is_hidden() {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(rows, bytes, "{name}: {:.0} rows/s", rows as f64 / seconds.max(0.001));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
