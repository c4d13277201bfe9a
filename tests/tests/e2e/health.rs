//! `/health` tells the truth.

use xtask_db::{SetupOptions, drop_database, setup};

use crate::support::{PATIENCE, Service, World, find, run, task};

#[tokio::test]
async fn health_follows_the_database_away_and_back() {
    let world = World::started(&[]).await;
    let (orchestration, worker) = (
        world.orchestration.as_ref().unwrap(),
        world.worker.as_ref().unwrap(),
    );
    let body = orchestration.wait_health(true).await;
    assert_eq!(body["status"], "healthy");

    drop_database(world.database.url()).await.unwrap();
    let body = orchestration.wait_health(false).await;
    assert_eq!(body["status"], "unhealthy");
    assert!(
        body["error"].as_str().unwrap().contains("database"),
        "{body}"
    );
    worker.wait_health(false).await;

    let migrations = xtask_db::test_root().join("migrations");
    setup(&SetupOptions {
        url: world.database.url().into(),
        pgmq: true,
        migrations: Some(migrations),
        ..SetupOptions::default()
    })
    .await
    .unwrap();
    orchestration.wait_health(true).await;
    worker.wait_health(true).await;
    let done = run(
        &world.client(),
        &task(serde_json::json!({}), &[("a", "echo", &[], 1)]),
    )
    .await;
    assert!(done.error.is_none(), "they work again, too: {done:?}");
}

#[tokio::test]
async fn a_taken_port_ends_the_start_with_its_number() {
    let world = World::new(&[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (binary, variable) in [
        ("tasker-orchestration", "ORCHESTRATION_PORT"),
        ("tasker-worker-rust", "RUST_WORKER_PORT"),
        ("tasker-worker", "WORKER_PORT"),
    ] {
        let output = std::process::Command::new(find(binary))
            .env("DATABASE_URL", world.database.url())
            .env(variable, &port)
            .env_remove("TASKER_BIND_ADDRESS")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("port {port} is in use")) && stderr.contains(variable),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn a_service_waits_for_its_database_but_not_for_ever() {
    let url = "postgres://bob:s3cret@127.0.0.1:1/app";
    let output = std::process::Command::new(find("tasker-orchestration"))
        .envs([
            ("DATABASE_URL", url),
            ("ORCHESTRATION_PORT", "0"),
            ("TASKER_STARTUP_TIMEOUT_SECS", "1"),
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("refused") && !stderr.contains("s3cret"),
        "{stderr}"
    );

    // One that is there from the second moment on is fine.
    let world = World::new(&[]).await;
    drop_database(world.database.url()).await.unwrap();
    let service = Service::start(
        "tasker-orchestration",
        &[
            ("DATABASE_URL", world.database.url()),
            (
                "TASKER_STARTUP_TIMEOUT_SECS",
                &PATIENCE.as_secs().to_string(),
            ),
        ],
    );
    service.wait_health(false).await;
    let migrations = xtask_db::test_root().join("migrations");
    setup(&SetupOptions {
        url: world.database.url().into(),
        pgmq: true,
        migrations: Some(migrations),
        ..SetupOptions::default()
    })
    .await
    .unwrap();
    service.wait_health(true).await;
}
