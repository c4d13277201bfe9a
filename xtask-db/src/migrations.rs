//! Runs sqlx migrations from a directory, and says where one went wrong.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Serialize;
use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgPool};

use crate::error::{Error, sqlstate, words};
use crate::{Report, SetupOptions, Target, setup};

/// Where one migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationState {
    /// Applied, and the file is the one that was applied.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied, but the file was changed since.
    Modified,
    /// Applied, but the file is gone.
    Missing,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationStatus {
    /// The number that its file name starts with.
    pub version: i64,
    /// The rest of its file name.
    pub description: String,
    /// Where it stands.
    pub state: MigrationState,
}

/// All migrations of a directory against one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How many wait to be applied.
    pub pending: usize,
    /// Each of them, in order.
    pub migrations: Vec<MigrationStatus>,
}

/// Runs the migrations in a database that is there.
///
/// # Errors
/// When the database cannot be reached, or a migration fails.
pub async fn migrate(options: &SetupOptions) -> Result<Report, Error> {
    let target = Target::parse(&options.url)?;
    let connection = target
        .connect()
        .await
        .map_err(|error| target.unreachable(&error))?;
    sqlx::Connection::close(connection).await.ok();
    setup(&SetupOptions {
        pgmq: false,
        reset: false,
        admin_url: None,
        ..options.clone()
    })
    .await
}

/// Compares the directory with the database, and changes nothing.
///
/// # Errors
/// When the database cannot be reached, or the directory not be read.
pub async fn status(url: &str, directory: &Path) -> Result<Status, Error> {
    let target = Target::parse(url)?;
    check_directory(directory)?;
    let migrator = resolve(directory).await?;
    let connection = target
        .connect()
        .await
        .map_err(|error| target.unreachable(&error))?;
    sqlx::Connection::close(connection).await.ok();
    let pool = target.pool();
    let mut applied = applied(&pool).await?;
    pool.close().await;
    let mut migrations: Vec<MigrationStatus> = up_migrations(&migrator)
        .map(|migration| MigrationStatus {
            version: migration.version,
            description: migration.description.to_string(),
            state: match applied.remove(&migration.version) {
                None => MigrationState::Pending,
                Some((_, checksum)) if checksum == *migration.checksum => MigrationState::Applied,
                Some(_) => MigrationState::Modified,
            },
        })
        .collect();
    migrations.extend(
        applied
            .into_iter()
            .map(|(version, (description, _))| MigrationStatus {
                version,
                description,
                state: MigrationState::Missing,
            }),
    );
    migrations.sort_by_key(|migration| migration.version);
    let pending = migrations
        .iter()
        .filter(|migration| migration.state == MigrationState::Pending)
        .count();
    Ok(Status {
        pending,
        migrations,
    })
}

pub(crate) fn check_directory(directory: &Path) -> Result<(), Error> {
    if directory.is_dir() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "no migrations directory at `{}`",
        directory.display()
    ))
    .hint("name the directory of the .sql files with --migrations"))
}

/// (applied now, total)
pub(crate) async fn run(pool: &PgPool, directory: &Path) -> Result<(Vec<i64>, usize), Error> {
    let migrator = resolve(directory).await?;
    let before = applied(pool).await?;
    migrator
        .run(pool)
        .await
        .map_err(|error| explain(error, directory, &migrator))?;
    let versions: Vec<i64> = up_migrations(&migrator)
        .map(|migration| migration.version)
        .collect();
    let now = versions
        .iter()
        .copied()
        .filter(|version| !before.contains_key(version))
        .collect();
    Ok((now, versions.len()))
}

async fn resolve(directory: &Path) -> Result<Migrator, Error> {
    Migrator::new(directory).await.map_err(|error| {
        Error::usage(format!(
            "cannot read the migrations in `{}`: {error}",
            directory.display()
        ))
        .hint("a migration is named VERSION_description.sql, with a number for VERSION")
    })
}

fn up_migrations(migrator: &Migrator) -> impl Iterator<Item = &Migration> {
    migrator
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
}

type Applied = HashMap<i64, (String, Vec<u8>)>;

async fn applied(pool: &PgPool) -> Result<Applied, Error> {
    let rows: Result<Vec<(i64, String, Vec<u8>)>, sqlx::Error> =
        sqlx::query_as("SELECT version, description, checksum FROM _sqlx_migrations")
            .fetch_all(pool)
            .await;
    match rows {
        Ok(rows) => Ok(rows
            .into_iter()
            .map(|(version, description, checksum)| (version, (description, checksum)))
            .collect()),
        // No migration has ever run here.
        Err(error) if sqlstate(&error).as_deref() == Some("42P01") => Ok(HashMap::new()),
        Err(error) => Err(Error::failed(format!(
            "cannot read which migrations were applied: {}",
            words(&error)
        ))),
    }
}

fn explain(error: MigrateError, directory: &Path, migrator: &Migrator) -> Error {
    let file = |version: i64| {
        file_of(directory, version).unwrap_or_else(|| format!("migration {version}"))
    };
    match error {
        MigrateError::VersionMismatch(version) => Error::failed(format!(
            "`{}` was changed after it was applied to this database",
            file(version)
        ))
        .hint("restore the file and put the change into a new migration; a database that may be lost: xtask-db setup --reset"),
        MigrateError::VersionMissing(version) => Error::failed(format!(
            "migration {version} was applied to this database, but `{}` has no file of that number",
            directory.display()
        ))
        .hint("restore the file (another branch may have it); a database that may be lost: xtask-db setup --reset"),
        MigrateError::ExecuteMigration(inner, version) => {
            let sql = migrator
                .iter()
                .find(|migration| migration.version == version)
                .map(|migration| &migration.sql);
            let line = line_of(&inner, sql);
            Error::failed(format!("{}{line}: {}", file(version), words(&inner)))
                .hint("nothing of this migration was kept; correct the file and run it again")
        }
        MigrateError::Execute(inner) => {
            Error::failed(format!("cannot run the migrations: {}", words(&inner)))
        }
        other => Error::failed(format!("cannot run the migrations: {other}")),
    }
}

fn line_of(error: &sqlx::Error, sql: Option<&Cow<'static, str>>) -> String {
    let position = error
        .as_database_error()
        .and_then(|database| database.try_downcast_ref::<PgDatabaseError>())
        .and_then(PgDatabaseError::position);
    match (position, sql) {
        (Some(PgErrorPosition::Original(character)), Some(sql)) => {
            let before = sql.chars().take(character.saturating_sub(1));
            format!(":{}", before.filter(|&c| c == '\n').count() + 1)
        }
        _ => String::new(),
    }
}

fn file_of(directory: &Path, version: i64) -> Option<String> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let number: i64 = name.split('_').next()?.parse().ok()?;
        (number == version && !name.ends_with(".down.sql"))
            .then(|| entry.path().display().to_string())
    })
}
