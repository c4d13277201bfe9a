//! A health endpoint that looks: 503 while the database is gone, 200 when it is back.

use xtask_db::{SetupOptions, drop_database, setup};

use crate::support::{Stack, eventually};

#[tokio::test]
async fn the_endpoints_follow_the_database() {
    let stack = Stack::new(&[]).await;
    let _orchestration = stack.orchestration().await;
    let _worker = stack.worker().await;
    let (orchestration, worker) = stack.ports();

    drop_database(stack.database_url()).await.unwrap();
    for port in [orchestration, worker] {
        eventually("503 without a database", async || stack.health(port).await == 503).await;
    }

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let options = SetupOptions {
        url: stack.database_url().to_owned(),
        migrations: Some(root.join("migrations")),
        pgmq: true,
        ..SetupOptions::default()
    };
    setup(&options).await.unwrap();
    for port in [orchestration, worker] {
        eventually("200 when it is back", async || stack.health(port).await == 200).await;
    }
}
