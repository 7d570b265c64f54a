//! Shoal: a GraphQL backend that stays fast and never stale.
//!
//! # Code map
//!
//! ```text
//! entity/      one table per file: columns, relations, nothing else
//! migration/   one step per file; runs on PostgreSQL and SQLite
//! src/
//!   main       a table of commands
//!   app        the one place where parts are built and joined; start-up and shutdown
//!     embedded   the database that comes along: its lock, its demo data
//!     migrate    one process at a time brings a database up to date
//!     stop, reload   SIGTERM and SIGHUP
//!     explain, doctor   what a query asks and how it is run; what is wrong with databases and Redis
//!     work       jobs: beside a server, in a process of their own, by hand
//!   config     defaults < shoal.toml < environment < flags      environment  itself, or files; changes  between two
//!   telemetry  logs, metrics and traces       progress  a bar for imports
//!   http       GraphQL over HTTP, probes, metrics, GraphiQL from the binary
//!     ask        of a server of this machine, what probes ask
//!     serve, activity   connections, each watched: bounded in number and in time       tls      of the server's own port
//!     around     what is done for all requests: named, counted, timed, traced             door     who is turned away before that
//!     accept, params, body, uploads   what may come in      origins, address   from whose pages, and from where
//!     write, refusal, cache           what goes out         socket, sse, multipart, streams   subscriptions
//!   graphql    the graph: one file for each resource, and
//!     mutation    what can be changed, one file for each resource; all that is wrong with an input, at once
//!     connection  Relay connections, once for all lists     resource  what a resolver may ask for
//!     context     what lives as long as a request            execute   runs one, answers it, or subscribes;
//!                                                                      admission: how many at once, knee: how many are worth it
//!     subscription  what can be subscribed to
//!     documents   parsed documents                           error     codes, and what clients never see
//!     guard       how large a document may be, judged before that costs anything
//!     price       what executing it may cost, by page sizes and weights
//!     prepare     what is found out of a request before it is executed: what is asked, of which table of types
//!     policy, shown, note   for how long and for whom an answer may be kept, as declared and as found; what is noted of it
//!     federation  the graph as one of several that a gateway joins
//!     budget      how many statements operations may cost
//!     persisted   documents that a request only names: by their hash, or of a manifest
//!     root        roots whose fields fail by themselves
//!   jobs       runs what is to be done outside of requests: workers, leases, schedules, dead letters
//!   domain     rules that span rows, each change a value
//!     import      files into all tables, or products from one that was sent: products, upsert, upload
//!     user, post, product, order                             text      texts that keep their rules
//!     job         what is to be done outside of requests, born in the transaction that causes it
//!     refusal     why a rule forbids a change
//!   mail       what the shop writes to people, and the way to them: settings, letter, templates, money, message
//!     smtp, files   a server, or where there is none           smtp/origin   where it is, and as whom we come
//!     smtp/trust   who may vouch for it
//!   data       for any entity; names no table
//!     record     a row with a primary key     list       whose rows, in which orders an index serves
//!     condition  a test of a column           page       what may be asked of a list; cursors
//!     scalar     a value of a column          sql        text and parameters for both databases
//!     find       one statement per batch: rows, columns, pages, counts, aggregates
//!     fetch      from wherever a value may come: near, far, a database; one flight for equal loads
//!     cache      the tiers, what they keep and for how long       declared, table  what a change touches
//!     coherence  stamp and fence: the rule, pure                  feed   the log of the primary: raises fences, keeps hot rows anew
//!     events     who hears of what was committed         texts, quota   texts by their hash, and what each client
//!                                                        may ask for, kept in Redis for all instances
//!     loader     batching within a request, dispatched at quiescence
//!     databases  primary and replicas: begin(), read(needs); who is how far, who answers
//!       slow, explain   statements that take too long, and how servers run them
//!     plan       what a plan lacks             catalogue   the indexes that there are, and that are declared
//!     doctor     what is wrong with databases and Redis
//!     position   places in a history, and the tokens that carry them
//!     write      a transaction on the primary, once under its key, and who hears of it
//!     hints      which rows may be worth a look, for whoever works on them, here and elsewhere
//!     ledger     what a request cost, and whose it is          bulk       CSV into tables, or read as a sheet
//!     trace      where in a trace something happens, if it is traced
//!     mutant     rules that a test leaves out, to see that it is noticed
//!     current    what may change while the process runs        host       memory and files that it may have
//!     secret     URLs whose passwords, and texts, that never show     thread  work that no request may keep waiting
//!     pause      the one way to let time pass, where there is nothing to wait for
//! ```
//!
//! # Invariants
//!
//! - Arrows run one way: `main → app → http → graphql → domain → data`, `http → jobs → domain`. `entity` is never used by `data`, `migration` only
//!   by `app`. A test holds them.
//! - `mail` stands beside `domain`: it gets values, and knows no table and no graph.
//! - Only `http` knows axum routes and bodies, only `config` reads the environment, only `data` knows Redis and SQL, only `mail` SMTP.
//! - No resolver chooses a database or runs a statement: it names what it needs, and gets it batched.
//! - Nothing is written but by a work of the domain, in one transaction on the primary, together with its answer under
//!   an idempotency key. What was not committed, nobody hears of.
//! - A job's row is the truth; what Redis says of it is a hint.
//! - A request costs at most two statements per level and field, whatever the number of rows.
//! - A statement's text depends on the shape of what is asked, never on values or on the number of keys.
//! - No bulky column is read that was not asked for; nothing selects `*`.
//! - A client never sees a cause, a SQL text or a path; the log has them, under the request's id.
//! - Replicas are opened read-only.
//! - What comes from a tier passed the rule of `coherence` for the request that gets it; a payload never comes from one.
//! - What is not declared is not cached, and neither is a table whose changes are not all told.
//! - A read shows what its client has done, by its token, and whatever is older than the bound; or it says that it cannot
//!   know. A position is only compared with those of its universe.

pub mod app;
pub mod config;
pub mod data;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod jobs;
pub mod mail;
mod progress;
pub mod telemetry;
