//! The commands of the binary.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shoal::app::explain::Question;
use shoal::app::{self, Failure, migrate};
use shoal::config::{Config, Flags};
use shoal::domain::import;
use shoal::jobs::Order;
use shoal::mail::{self, Shown};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A GraphQL backend that stays fast and never stale.
///
/// Without a command it serves. Without DATABASE_URL it makes an embedded SQLite database with demo data, so that
/// there is something to look at; GraphiQL is at the address it prints.
#[derive(Parser)]
#[command(
    version,
    after_help = "Settings come from shoal.toml, the environment and flags; the later wins. The environment:\n\
        \n  DATABASE_URL      the primary, postgres://user:password@host/database; without it an embedded SQLite\
        \n  REPLICA_URLS      its replicas, separated by commas, each one server\
        \n  REDIS_URL         the far cache tier, redis://host:port/\
        \n  SHOAL_LISTEN      where to listen (127.0.0.1:8000)\
        \n  SHOAL_DATA_DIR    directory of the embedded database (./data)\
        \n  DATABASE_URL_FILE and so on: a file that has the value\
        \n  SHOAL_GRAPHQL__MAX_PAGE_SIZE and so on: any setting that `shoal config` shows, as SHOAL_SECTION__NAME"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Read settings from this file instead of ./shoal.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the embedded database.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Clone, clap::Args)]
struct Serve {
    /// Where to listen: an address and a port; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Bring a database that is behind up to date first.
    #[arg(long)]
    migrate: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests (the default).
    Serve(Serve),
    /// Change the database's schema to fit this version, or show where it stands.
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// Load a directory of CSV files, one for each table: all of it or nothing.
    Import {
        /// The directory, with users.csv, posts.csv and so on.
        #[arg(value_name = "DIR", required_unless_present = "demo")]
        directory: Option<PathBuf>,
        /// Load the demo data that is built in.
        #[arg(long, conflicts_with = "directory")]
        demo: bool,
    },
    /// Run jobs, without answering requests.
    Worker,
    /// Look at jobs, or change what becomes of them.
    Jobs {
        #[command(subcommand)]
        order: Jobs,
    },
    /// Show what a query asks the databases, how they run it, and which index would mend that.
    Explain(Explain),
    /// Look at the databases and Redis: what is wrong with them, how that shows, and the command that mends it.
    Doctor {
        /// How many instances and workers share them.
        #[arg(long, default_value_t = 1)]
        instances: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the GraphQL schema.
    Schema {
        /// Instead compare it with ./schema.graphql, and fail if they differ.
        #[arg(long)]
        check: bool,
    },
    /// Look at what the shop writes to people.
    Mail {
        #[command(subcommand)]
        what: Mail,
    },
    /// Print the effective settings, secrets masked.
    Config,
    /// Ask the server that has these settings how it is; fails unless that is well. For containers.
    Probe {
        /// What to ask.
        #[arg(value_enum, default_value_t)]
        what: Probe,
        /// Ask the worker instead, where `jobs.probes` says.
        #[arg(long)]
        worker: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Probe {
    /// Whether it works.
    Livez,
    /// Whether requests are to be sent to it.
    #[default]
    Readyz,
    /// How each part is; this fails also where clients hardly notice.
    Health,
}

#[derive(clap::Args)]
struct Explain {
    /// The query; without it, and without a file, it is read from the standard input.
    #[arg(value_name = "QUERY", conflicts_with = "file")]
    query: Option<String>,
    /// Read the query from this file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its variables, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    variables: String,
    /// Which of several operations.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    fn question(self) -> Result<Question, Failure> {
        let query = match (self.query, self.file) {
            (Some(query), _) => query,
            (None, Some(file)) => {
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            (None, None) => std::io::read_to_string(std::io::stdin())?,
        };
        let variables = serde_json::from_str(&self.variables).map_err(|error| format!("--variables: {error}"))?;
        Ok(Question { query, operation: self.operation, variables })
    }
}

#[derive(Subcommand)]
enum Jobs {
    /// The latest.
    List {
        /// Only of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Only in this state: queued, running, done, dead or cancelled.
        #[arg(long)]
        state: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// All of one, as JSON.
    Show { id: i64 },
    /// Have a task done that stands by itself: retention.
    Add { task: String },
    /// Have one that is dead or cancelled tried again, or one that waits at once.
    Retry { id: i64 },
    /// End one that waits, or ask one that runs to end.
    Cancel { id: i64 },
    /// Remove those that ended some time ago, however they did.
    Purge {
        /// How many days ago.
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
}

impl From<Jobs> for Order {
    fn from(jobs: Jobs) -> Self {
        match jobs {
            Jobs::List { kind, state, limit } => Self::List { kind, state, limit },
            Jobs::Show { id } => Self::Show(id),
            Jobs::Add { task } => Self::Add(task),
            Jobs::Retry { id } => Self::Retry(id),
            Jobs::Cancel { id } => Self::Cancel(id),
            Jobs::Purge { days } => Self::Purge(days),
        }
    }
}

#[derive(Subcommand)]
enum Mail {
    /// Print a template with sample data, or all of them: subject and text.
    Preview {
        /// Its name; a wrong one lists those that there are.
        template: Option<String>,
        /// Nothing but its HTML.
        #[arg(long, requires = "template")]
        html: bool,
        /// Nothing but its text.
        #[arg(long, requires = "template", conflicts_with = "html")]
        text: bool,
    },
}

#[derive(Subcommand)]
enum Direction {
    /// Apply all pending migrations.
    Up,
    /// Revert the last migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// List the migrations and whether each is applied.
    Status,
}

fn main() -> ExitCode {
    // A page of a thousand rows takes milliseconds to resolve: sockets are looked at after 31 such, not after 61.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(31).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(error.into()),
    };
    match runtime.block_on(run(Cli::parse())) {
        Ok(code) => code,
        Err(error) => fail(error),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let Serve { mut listen, mut migrate } = cli.serve;
    let command = match cli.command {
        None => Command::Serve(Serve { listen, migrate }),
        // Before the command or behind it, a flag means the same.
        Some(Command::Serve(serve)) => {
            (listen, migrate) = (serve.listen.or(listen), serve.migrate || migrate);
            Command::Serve(Serve { listen, migrate })
        }
        Some(_) if listen.is_some() || migrate => return Err("--listen and --migrate are for `shoal serve`".into()),
        Some(other) => other,
    };
    let flags = Flags { file: cli.config, listen, data_dir: cli.data_dir };
    let config = Config::load(&flags)?;
    match command {
        Command::Serve(_) => app::serve(config, flags, migrate).await?,
        Command::Migrate { direction: Direction::Up } => list("applied", &migrate::up(&config).await?),
        Command::Migrate { direction: Direction::Down { steps } } => {
            list("reverted", &migrate::down(&config, steps).await?);
        }
        Command::Migrate { direction: Direction::Status } => print!("{}", migrate::status(&config).await?),
        Command::Import { directory, .. } => {
            app::import(config, directory.map_or(import::From::Demo, import::From::Directory)).await?
        }
        Command::Worker => app::work::work(config, flags).await?,
        Command::Jobs { order } => print!("{}", app::work::order(config, order.into()).await?),
        Command::Explain(explain) => return self::explain(config, explain).await,
        Command::Doctor { instances, json } => {
            let report = app::doctor::examine(config, instances).await?;
            print!("{}", if json { report.to_json() } else { report.to_text() });
            return Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Schema { check: false } => print!("{}", shoal::graphql::sdl()),
        Command::Schema { check: true } => return check_schema(),
        Command::Mail { what: Mail::Preview { template, html, text } } => {
            let shown = match (html, text) {
                (true, _) => Shown::Html,
                (_, true) => Shown::Text,
                _ => Shown::Letter,
            };
            print!("{}", mail::preview(&config.mail, template.as_deref(), shown)?);
        }
        Command::Config => print!("{}", config.to_toml()),
        Command::Probe { what, worker } => {
            let (status, said) = app::probe(&config, &format!("/{what:?}").to_lowercase(), worker).await?;
            println!("{said}");
            return Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn explain(config: Config, explain: Explain) -> Result<ExitCode, Failure> {
    let json = explain.json;
    let report = app::explain::explain(config, explain.question()?).await?;
    print!("{}", if json { report.to_json() } else { report.to_text() });
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(what: &str, migrations: &[String]) {
    if migrations.is_empty() {
        println!("nothing to do");
    }
    for migration in migrations {
        println!("{what:<8} {migration}");
    }
}

fn check_schema() -> Result<ExitCode, Failure> {
    let committed = std::fs::read_to_string("schema.graphql").map_err(|error| format!("schema.graphql: {error}"))?;
    if committed == shoal::graphql::sdl() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("schema.graphql is not the schema of this version: run `shoal schema > schema.graphql`");
    Ok(ExitCode::FAILURE)
}

fn fail(error: Failure) -> ExitCode {
    eprintln!("shoal: {error}");
    ExitCode::FAILURE
}
