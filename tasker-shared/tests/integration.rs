//! Health and readiness against a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

use std::time::{Duration, Instant};

use serde_json::Value;
use tasker_shared::health::{self, Health};
use tasker_shared::serve::{self, Shutdown};
use tasker_shared::{ServiceConfig, database};
use xtask_db::TempDatabase;

async fn temp() -> TempDatabase {
    let url = std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set; run `cargo xtask with-services postgres -- cargo nextest run -p tasker-shared` or `cargo xtask make test-integration`",
    );
    TempDatabase::create(&url, None).await.unwrap()
}

fn config(url: &str, startup_seconds: &str) -> ServiceConfig {
    ServiceConfig::from_lookup("TEST_PORT", 0, |name| match name {
        "DATABASE_URL" => Some(url.to_owned()),
        "TASKER_STARTUP_TIMEOUT_SECS" => Some(startup_seconds.to_owned()),
        _ => None,
    })
    .unwrap()
}

#[tokio::test]
async fn health_is_what_a_query_says() {
    let database = temp().await;
    let config = config(database.url(), "5");
    let pool = database::lazy_pool(&config, "test").unwrap();
    let health = Health::new("test", pool, "SELECT 1 FROM pgmq.meta");
    let listener = serve::bind("test", config.address, "TEST_PORT")
        .await
        .unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let shutdown = Shutdown::new();
    let server = serve::serve(listener, health::router(health.clone()), &shutdown);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async || {
        let response = client.get(&url).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };

    let (status, body) = get().await;
    assert_eq!(
        (status, &body["error"]),
        (503, &Value::from("starting or stopping"))
    );
    health.set_ready(true);
    let (status, body) = get().await;
    assert_eq!(
        (status, &body["status"], &body["service"]),
        (200, &"healthy".into(), &"test".into())
    );

    xtask_db::drop_database(database.url()).await.unwrap();
    let (status, body) = get().await;
    assert_eq!((status, &body["status"]), (503, &"unhealthy".into()));
    assert!(
        body["error"].as_str().unwrap().starts_with("database: "),
        "{body}"
    );

    shutdown.trigger();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_for_the_database_ends_with_the_reason() {
    let database = temp().await;
    database::wait_ready(&config(database.url(), "5"), "SELECT 1")
        .await
        .unwrap();

    let missing_table = config(database.url(), "1");
    let error = database::wait_ready(&missing_table, "SELECT 1 FROM tasker.steps")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("hint: run `cargo xtask setup-db`"),
        "{error}"
    );

    let refused = config("postgres://bob:s3cret@127.0.0.1:1/app", "0");
    let error = database::wait_ready(&refused, "SELECT 1")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("refused") && !error.contains("s3cret"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_or_role_is_not_waited_out() {
    let database = temp().await;
    let rest = database.url().split_once("://").unwrap().1;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let start = Instant::now();
    let wrong = config(
        &format!("postgres://nobody_of_that_name:s3cret@{host}"),
        "60",
    );
    let error = database::wait_ready(&wrong, "SELECT 1")
        .await
        .unwrap_err()
        .to_string();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(
        error.contains("correct user and password") && !error.contains("s3cret"),
        "{error}"
    );
}
