//! Gets PGMQ into a database: as an extension where the server has it, else by its SQL.

use serde::Serialize;
use sqlx::postgres::PgPool;

use crate::SetupOptions;
use crate::error::{Error, sqlstate, words};

/// How PGMQ came to be in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PgmqState {
    /// `CREATE EXTENSION` installed it.
    Extension,
    /// The SQL that the `pgmq` crate carries installed or upgraded it.
    Sql,
    /// It was there.
    Present,
    /// Nobody asked for it.
    Skipped,
}

pub(crate) async fn ensure(
    pool: &PgPool,
    options: &SetupOptions,
) -> Result<(PgmqState, Option<String>), Error> {
    let failed =
        |error: sqlx::Error| Error::failed(format!("cannot look for PGMQ: {}", words(&error)));
    if let Some(version) = extension_version(pool).await.map_err(failed)? {
        return Ok((PgmqState::Present, Some(version)));
    }
    let by_sql: bool =
        sqlx::query_scalar("SELECT to_regclass('pgmq.__pgmq_migrations') IS NOT NULL")
            .fetch_one(pool)
            .await
            .map_err(failed)?;
    if by_sql {
        let before = sql_version(pool).await?;
        install_sql(pool).await?;
        let after = sql_version(pool).await?;
        let state = if before == after {
            PgmqState::Present
        } else {
            PgmqState::Sql
        };
        return Ok((state, after));
    }
    // Installed by other means, of which nothing is known: it is left as it is.
    let by_hand: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                        WHERE n.nspname = 'pgmq' AND p.proname = 'send')",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    if by_hand {
        return Ok((PgmqState::Present, None));
    }
    let available: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq')",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    if available {
        options.say("installing PGMQ as an extension");
        match sqlx::query("CREATE EXTENSION IF NOT EXISTS pgmq")
            .execute(pool)
            .await
        {
            Ok(_) => {
                let version = extension_version(pool).await.map_err(failed)?;
                return Ok((PgmqState::Extension, version));
            }
            // The role may not create extensions; plain SQL needs no such right.
            Err(error) if sqlstate(&error).as_deref() == Some("42501") => {}
            Err(error) => {
                return Err(Error::failed(format!(
                    "CREATE EXTENSION pgmq failed: {}",
                    words(&error)
                )));
            }
        }
    }
    options.say("installing PGMQ from the SQL of the pgmq crate");
    install_sql(pool).await?;
    Ok((PgmqState::Sql, sql_version(pool).await?))
}

async fn extension_version(pool: &PgPool) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT extversion FROM pg_extension WHERE extname = 'pgmq'")
        .fetch_optional(pool)
        .await
}

async fn install_sql(pool: &PgPool) -> Result<(), Error> {
    ::pgmq::install::install_sql_from_embedded(pool)
        .await
        .map_err(|error| Error::failed(format!("cannot install PGMQ's SQL: {error}")))
}

async fn sql_version(pool: &PgPool) -> Result<Option<String>, Error> {
    ::pgmq::install::installed_version(pool)
        .await
        .map(|version| version.map(|version| version.to_string()))
        .map_err(|error| Error::failed(format!("cannot read PGMQ's version: {error}")))
}
