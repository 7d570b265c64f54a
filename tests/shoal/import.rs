//! CSV files on their way into a database.

mod refusals;

use std::path::Path;
use std::sync::Mutex;

use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use shoal::data::Databases;
use shoal::data::bulk::Progress;
use shoal::data::databases::{PoolSettings, Settings};
use shoal::domain::import::{self, From, Report};
use tempfile::TempDir;

use crate::support::{Backend, Database};

crate::on_both!(
    the_demo_data_are_imported,
    rows_that_are_there_stay,
    fields_mean_the_same_on_both_databases,
    many_rows_are_streamed,
    an_import_that_is_dropped_leaves_nothing,
);

const USERS: &str = "id,email,name,role,active,created_at,updated_at\n\
    1,ann@example.invalid,Ann,author,true,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z\n\
    2,ben@example.invalid,Ben,customer,true,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z\n";
const TABLES: [&str; 8] = ["users", "posts", "comments", "tags", "post_tags", "products", "orders", "order_items"];

/// An empty database and a directory with files for it.
struct Given {
    databases: Databases,
    files: TempDir,
    _database: Database,
}

impl Given {
    async fn files(backend: Backend, files: &[(&str, &[u8])]) -> Self {
        let database = Database::empty(backend).await;
        let environment = database.environment();
        let of = |wanted: &str| environment.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let settings = Settings {
            url: of("DATABASE_URL").map(|url| url.parse().unwrap()),
            replicas: Vec::new(),
            data_dir: of("SHOAL_DATA_DIR").unwrap_or_default().into(),
            pool: PoolSettings { size: 2, statement_timeout_ms: 1_000, ..PoolSettings::default() },
            ..Settings::default()
        };
        let given = Self {
            databases: Databases::open(&settings).await.unwrap(),
            files: TempDir::new().unwrap(),
            _database: database,
        };
        files.iter().for_each(|(name, content)| given.write(name, content));
        given
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.files.path().join(name), content).unwrap();
    }

    fn path(&self) -> &Path {
        self.files.path()
    }

    /// Imports `files`, which must be refused; what the operator reads. Nothing may be imported.
    async fn refusal(&self, files: &[(&str, &[u8])]) -> String {
        files.iter().for_each(|(name, content)| self.write(name, content));
        let refusal = self.import().await.map(|report| report.to_string()).unwrap_err();
        files.iter().for_each(|(name, _)| std::fs::remove_file(self.path().join(name)).unwrap());
        for table in TABLES {
            assert_eq!(self.count(table).await, 0, "rows in {table} after: {refusal}");
        }
        refusal
    }

    async fn import(&self) -> Result<Report, String> {
        let report = import::run(&self.databases, From::Directory(self.path().into()), &()).await;
        report.map_err(|error| error.to_string().replace(&format!("{}/", self.path().display()), ""))
    }

    async fn text(&self, sql: &str) -> String {
        let writer = self.databases.writer();
        let sql = format!("select cast(({sql}) as text) as answer");
        let row = writer.query_one_raw(Statement::from_string(writer.get_database_backend(), sql)).await.unwrap();
        row.unwrap().try_get("", "answer").unwrap()
    }

    async fn execute(&self, sql: &str) {
        self.databases.writer().execute_unprepared(sql).await.unwrap();
    }

    async fn count(&self, table: &str) -> u64 {
        self.text(&format!("select count(*) from {table}")).await.parse().unwrap()
    }
}

async fn the_demo_data_are_imported(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    let report = import::run(&given.databases, From::Demo, &()).await.unwrap();
    let expected = [234, 300, 4_851, 37, 574, 4_540, 841, 7_959];
    for ((loaded, table), rows) in report.loaded.iter().zip(TABLES).zip(expected) {
        assert_eq!((loaded.table, loaded.rows), (table, rows));
        assert_eq!(given.count(table).await, rows, "{table}");
    }
    assert!(report.to_string().starts_with("imported 19336 rows into 8 tables in "), "{report}");

    // Instants are what the server itself would have written.
    let user = entity::user::Entity::find_by_id(1).one(given.databases.writer()).await.unwrap().unwrap();
    assert_eq!(user.created_at.to_rfc3339(), "2017-01-02T19:45:36+00:00");
    if backend == Backend::Sqlite {
        assert_eq!(given.text("select created_at from users where id = 1").await, "2017-01-02T19:45:36+00:00");
    }
    // Ids go on.
    given.execute("insert into tags (name) values ('new')").await;
    assert_eq!(given.text("select id from tags where name = 'new'").await, "38");
    // Plans are made with statistics, also of what triggers have filled.
    let statistics = match backend {
        Backend::Postgres => "select count(distinct tablename) from pg_stats where tablename in",
        Backend::Sqlite => "select count(distinct tbl) from sqlite_stat1 where tbl in",
    };
    assert_eq!(given.text(&format!("{statistics} ('users', 'order_items', 'product_buyers')")).await, "3");
}

async fn rows_that_are_there_stay(backend: Backend) {
    let given = Given::files(backend, &[("users.csv", USERS.as_bytes())]).await;
    given.import().await.unwrap();
    let again = given.import().await.unwrap_err();
    assert!(again.starts_with("users.csv, line 2: id=1 already exists"), "{again}");
    assert_eq!(given.count("users").await, 2);

    // Ids that were given out are not given out again, whatever is imported.
    given.execute("insert into tags (name) values ('a'), ('b'), ('c')").await;
    given.execute("delete from tags").await;
    given.write("users.csv", USERS.lines().next().unwrap().as_bytes());
    given.write("tags.csv", b"id,name\n1,x\n");
    given.import().await.unwrap();
    given.execute("insert into tags (name) values ('d')").await;
    assert_eq!(given.text("select id from tags where name = 'd'").await, "4");
}

async fn fields_mean_the_same_on_both_databases(backend: Backend) {
    let users = "\u{feff}active,name,email,id,role\r\n\
        T,\"of two\nlines, \"\"quoted\"\"\",a\"b,\"@example.invalid,007,admin\r\n\
        0,\u{1f30a},c@example.invalid,+8,admin";
    let posts = "id,author_id,title,body,status,published_at,created_at\n\
        1,8,One,,draft,,2026-01-02 00:00:00.1234567+05:30\n\
        2,8,Two,\"\",published,2026-01-02T00:00:00.5Z,2026-01-02T00:00:00Z\n";
    let files = [("users.csv", users.as_bytes()), ("posts.csv", posts.as_bytes()), ("tags.csv", b"name,id")];
    let given = Given::files(backend, &files).await;
    let report = given.import().await.unwrap();
    let rows: Vec<_> = report.loaded.iter().map(|table| (table.table, table.rows)).collect();
    assert_eq!(rows, [("users", 2), ("posts", 2), ("tags", 0)]);
    assert_eq!(report.loaded[1].bytes, posts.len() as u64);
    assert_eq!(report.missing, ["comments", "post_tags", "products", "orders", "order_items"]);

    let writer = given.databases.writer();
    let user = entity::user::Entity::find_by_id(7).one(writer).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.email.as_str()), ("of two\nlines, \"quoted\"", "ab,@example.invalid"));
    assert!(user.active);
    let user = entity::user::Entity::find_by_id(8).one(writer).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.active), ("\u{1f30a}", false));
    let post = entity::post::Entity::find_by_id(1).one(writer).await.unwrap().unwrap();
    assert_eq!((post.body.as_str(), post.published_at), ("", None));
    assert_eq!(post.created_at.to_rfc3339(), "2026-01-01T18:30:00.123457+00:00");
    let post = entity::post::Entity::find_by_id(2).one(writer).await.unwrap().unwrap();
    assert_eq!(post.published_at.map(|at| at.to_rfc3339()).as_deref(), Some("2026-01-02T00:00:00.500+00:00"));
}

#[derive(Default)]
struct Sums(Mutex<(u64, u64, u64, Vec<String>)>);

impl Progress for Sums {
    fn starts(&self, bytes: u64) {
        self.0.lock().unwrap().0 = bytes;
    }

    fn table(&self, name: &str) {
        self.0.lock().unwrap().3.push(name.to_owned());
    }

    fn advanced(&self, rows: u64, bytes: u64) {
        let mut sums = self.0.lock().unwrap();
        sums.1 += bytes;
        sums.2 += rows;
    }

    fn settles(&self) {
        self.0.lock().unwrap().3.push("settles".to_owned());
    }
}

async fn many_rows_are_streamed(backend: Backend) {
    const ROWS: u64 = 20_000;
    // Lines that end in CR LF, a text of two lines in each: COPY's own count of lines is another one.
    let post = |id: u64, body: &str| format!("{id},1,\"of two\nlines\",\"{body}é\",draft\r\n");
    let rows: String = (1..=ROWS).map(|id| post(id, &"x".repeat(100))).collect();
    let posts = format!("id,author_id,title,body,status\r\n{rows}");
    let users = ("users.csv", USERS.as_bytes());
    let given = Given::files(backend, &[users, ("posts.csv", posts.as_bytes())]).await;
    let sums = Sums::default();
    let report = import::run(&given.databases, From::Directory(given.path().into()), &sums).await.unwrap();
    assert_eq!(report.loaded[1].rows, ROWS);
    assert_eq!(given.count("posts").await, ROWS);
    let bytes = (USERS.len() + posts.len()) as u64;
    let events = ["users", "posts", "settles"].map(str::to_owned).to_vec();
    assert_eq!(sums.0.into_inner().unwrap(), (bytes, bytes, ROWS + 2, events));

    // Far from where a chunk or an insert begins, below a text that is longer than either.
    let more = format!("{posts}{}{}", post(ROWS + 1, &"y".repeat(5 << 20)), post(77, "z"));
    let given = Given::files(backend, &[]).await;
    let refusal = given.refusal(&[users, ("posts.csv", more.as_bytes())]).await;
    let expected = format!("posts.csv, line {}: id=77 already exists", 2 * (ROWS + 1) + 2);
    assert!(refusal.starts_with(&expected), "{refusal}");
}

#[tokio::test]
async fn a_file_may_take_longer_than_a_statement() {
    let given = Given::files(Backend::Postgres, &[("tags.csv", b"id,name\n1,x\n")]).await;
    given
        .execute(
            "create function slow() returns trigger language plpgsql as
             $$ begin perform pg_sleep(1.5); return new; end $$;
             create trigger slow before insert on tags for each row execute function slow()",
        )
        .await;
    given.import().await.unwrap();
    assert_eq!(given.count("tags").await, 1);
}

async fn an_import_that_is_dropped_leaves_nothing(backend: Backend) {
    struct Tell(tokio::sync::Notify);
    impl Progress for Tell {
        fn table(&self, name: &str) {
            if name == "comments" {
                self.0.notify_one();
            }
        }
    }
    let given = Given::files(backend, &[]).await;
    let tell = Tell(tokio::sync::Notify::new());
    tokio::select! {
        biased;
        () = tell.0.notified() => {}
        report = import::run(&given.databases, From::Demo, &tell) => panic!("not dropped in time: {report:?}"),
    }
    assert_eq!(given.count("users").await, 0);
    import::run(&given.databases, From::Demo, &()).await.unwrap();
    assert_eq!(given.count("users").await, 234);
}
