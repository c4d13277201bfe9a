//! The whole command against a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use xtask_db::{PgmqState, SetupOptions, TempDatabase, setup};

fn server() -> String {
    std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set; run `cargo xtask with-services postgres -- cargo nextest run -p xtask-db` or `cargo xtask make test-integration`",
    )
}

/// A directory of migrations that goes away by itself.
struct Migrations(PathBuf);

impl Migrations {
    fn new(files: &[(&str, &str)]) -> Self {
        let unique = TempDatabase::name_only("postgres://127.0.0.1");
        let name = unique.url().rsplit('/').next().unwrap().to_owned();
        std::mem::forget(unique);
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let this = Self(directory);
        for (name, sql) in files {
            this.write(name, sql);
        }
        this
    }

    fn write(&self, name: &str, sql: &str) {
        fs::write(self.0.join(name), sql).unwrap();
    }
}

impl Drop for Migrations {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

const TABLE: (&str, &str) = (
    "1_table.sql",
    "CREATE TABLE things (id bigint PRIMARY KEY);",
);
const QUEUE: (&str, &str) = ("2_queue.sql", "SELECT pgmq.create('jobs');");

/// The binary under test. nextest says where it is, also where the tests came out of an archive.
fn program() -> PathBuf {
    std::env::var_os("NEXTEST_BIN_EXE_xtask-db")
        .map_or_else(|| env!("CARGO_BIN_EXE_xtask-db").into(), PathBuf::from)
}

fn xtask_db(url: &str, args: &[&str], directory: &Path) -> Output {
    Command::new(program())
        .args(args)
        .args(["--migrations".as_ref(), directory.as_os_str()])
        .env("DATABASE_URL", url)
        .env_remove("XTASK_DB_ADMIN_URL")
        .output()
        .unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error_of(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

#[test]
fn setup_creates_everything_and_a_second_run_changes_nothing() {
    let database = TempDatabase::name_only(&server());
    let migrations = Migrations::new(&[TABLE, QUEUE]);
    let first = json_of(&xtask_db(
        database.url(),
        &["setup", "--pgmq"],
        &migrations.0,
    ));
    assert_eq!(first["database_created"], true);
    assert_eq!(first["role_created"], false);
    assert!(
        ["sql", "extension"].contains(&first["pgmq"].as_str().unwrap()),
        "{first}"
    );
    assert!(
        first["pgmq_version"]
            .as_str()
            .unwrap()
            .starts_with(char::is_numeric)
    );
    assert_eq!(first["migrations_applied"], json!([1, 2]));
    assert_eq!(first["migrations_total"], 2);

    let second = json_of(&xtask_db(
        database.url(),
        &["setup", "--pgmq"],
        &migrations.0,
    ));
    assert_eq!(second["database_created"], false);
    assert_eq!(second["pgmq"], "present");
    assert_eq!(second["pgmq_version"], first["pgmq_version"]);
    assert_eq!(second["migrations_applied"], json!([]));
}

#[test]
fn processes_at_once_do_not_disturb_each_other() {
    let database = TempDatabase::name_only(&server());
    let migrations = Migrations::new(&[TABLE, QUEUE]);
    let reports: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| xtask_db(database.url(), &["setup", "--pgmq"], &migrations.0)))
            .collect();
        runs.into_iter()
            .map(|run| json_of(&run.join().unwrap()))
            .collect()
    });
    let count = |key: &str, value: Value| reports.iter().filter(|r| r[key] == value).count();
    assert_eq!(count("database_created", json!(true)), 1, "{reports:?}");
    assert_eq!(count("pgmq", json!("present")), 3, "{reports:?}");
    assert_eq!(count("migrations_applied", json!([1, 2])), 1, "{reports:?}");
}

#[test]
fn status_tells_applied_pending_modified_and_missing_apart() {
    let database = TempDatabase::name_only(&server());
    let migrations = Migrations::new(&[TABLE, ("2_other.sql", "SELECT 2;")]);
    json_of(&xtask_db(database.url(), &["setup"], &migrations.0));
    migrations.write("1_table.sql", "CREATE TABLE things (id bigint);");
    fs::remove_file(migrations.0.join("2_other.sql")).unwrap();
    migrations.write("3_new.sql", "SELECT 3;");
    let status = json_of(&xtask_db(database.url(), &["status"], &migrations.0));
    assert_eq!(status["pending"], 1);
    let states: Vec<&str> = status["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["modified", "missing", "pending"]);
}

#[test]
fn a_modified_or_missing_migration_is_named() {
    let database = TempDatabase::name_only(&server());
    let migrations = Migrations::new(&[TABLE]);
    json_of(&xtask_db(database.url(), &["setup"], &migrations.0));
    migrations.write("1_table.sql", "CREATE TABLE things (id bigint);");
    let modified = error_of(&xtask_db(database.url(), &["migrate"], &migrations.0), 1);
    assert!(
        modified.contains("1_table.sql` was changed") || modified.contains("1_table.sql"),
        "{modified}"
    );
    assert!(
        modified.contains("changed after it was applied"),
        "{modified}"
    );
    fs::remove_file(migrations.0.join("1_table.sql")).unwrap();
    let missing = error_of(&xtask_db(database.url(), &["migrate"], &migrations.0), 1);
    assert!(missing.contains("migration 1 was applied"), "{missing}");
    assert!(missing.contains("hint: "), "{missing}");
}

#[test]
fn a_failing_migration_is_told_with_file_and_line_and_leaves_nothing() {
    let database = TempDatabase::name_only(&server());
    let broken = "CREATE TABLE a (id bigint);\n\nCREATE TABLE b (id nosuchtype);\n";
    let migrations = Migrations::new(&[("1_broken.sql", broken)]);
    let error = error_of(&xtask_db(database.url(), &["setup"], &migrations.0), 1);
    assert!(error.contains("1_broken.sql:3: "), "{error}");
    assert!(error.contains("nosuchtype"), "{error}");
    migrations.write("1_broken.sql", "CREATE TABLE a (id bigint);");
    let report = json_of(&xtask_db(database.url(), &["setup"], &migrations.0));
    assert_eq!(report["migrations_applied"], json!([1]));
}

#[tokio::test]
async fn reset_starts_over_even_while_somebody_is_connected() {
    let database = TempDatabase::name_only(&server());
    let options = SetupOptions {
        url: database.url().into(),
        ..SetupOptions::default()
    };
    setup(&options).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query("CREATE TABLE leftover ()")
        .execute(&mut connection)
        .await
        .unwrap();
    let report = setup(&SetupOptions {
        reset: true,
        ..options
    })
    .await
    .unwrap();
    assert!(report.database_created);
    assert_eq!(report.pgmq, PgmqState::Skipped);
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let gone: bool = sqlx::query_scalar("SELECT to_regclass('leftover') IS NULL")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(gone);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_role_is_created_with_the_admin_url() {
    let admin_url = server();
    let database = TempDatabase::name_only(&admin_url);
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    let (scheme, rest) = database.url().split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let url = format!("{scheme}://{name}:it%27s@{host}");
    let options = SetupOptions {
        url: url.clone(),
        pgmq: true,
        ..SetupOptions::default()
    };

    if let Err(error) = setup(&options).await {
        assert!(error.to_string().contains("XTASK_DB_ADMIN_URL"), "{error}");
    }
    let with_admin = SetupOptions {
        admin_url: Some(admin_url.clone()),
        ..options
    };
    let report = setup(&with_admin).await.unwrap();
    assert!(report.role_created && report.database_created, "{report:?}");
    let again = setup(&with_admin).await.unwrap();
    assert!(!again.role_created && !again.database_created, "{again:?}");

    drop(database);
    let mut admin = PgConnection::connect(&admin_url).await.unwrap();
    sqlx::query(&format!("DROP ROLE \"{name}\""))
        .execute(&mut admin)
        .await
        .unwrap();
}

#[test]
fn errors_say_what_to_do_and_never_the_password() {
    let migrations = Migrations::new(&[TABLE]);
    let unreachable = "postgres://bob:s3cret@127.0.0.1:1/app";
    let error = error_of(&xtask_db(unreachable, &["setup"], &migrations.0), 1);
    assert!(
        error.contains("127.0.0.1:1/app") && error.contains("hint: "),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");

    let foreign = "postgres://bob:s3cret@db.invalid/app";
    let error = error_of(&xtask_db(foreign, &["setup", "--reset"], &migrations.0), 2);
    assert!(
        error.contains("refused to drop") && !error.contains("s3cret"),
        "{error}"
    );

    let error = error_of(
        &xtask_db(unreachable, &["setup"], &migrations.0.join("nowhere")),
        2,
    );
    assert!(error.contains("no migrations directory"), "{error}");

    let none = Command::new(program())
        .arg("setup")
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(error_of(&none, 2).contains("DATABASE_URL is not set"));
}

/// `"$user"` comes first in PostgreSQL's search path: a schema named like the role would hide the table of
/// applied migrations from the second run.
#[tokio::test]
async fn a_schema_named_like_the_role_hides_no_migration() {
    let temp = TempDatabase::name_only(&server());
    let mut maintenance = PgConnection::connect(&server()).await.unwrap();
    let (role,): (String,) = sqlx::query_as("SELECT current_user::text")
        .fetch_one(&mut maintenance)
        .await
        .unwrap();
    let schema = format!("CREATE SCHEMA \"{role}\";");
    let migrations = Migrations::new(&[("1_schema.sql", schema.as_str())]);
    let first = json_of(&xtask_db(temp.url(), &["setup"], &migrations.0));
    assert_eq!(first["migrations_applied"], json!([1]));
    migrations.write("2_more.sql", "SELECT 1;");
    let second = json_of(&xtask_db(temp.url(), &["setup"], &migrations.0));
    assert_eq!(second["migrations_applied"], json!([2]));
}
