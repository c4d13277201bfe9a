//! Queues and wake-ups against a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

use std::time::{Duration, Instant};

use pgmq_notify::{Depth, Listener, Queue, QueueName, Wake};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use xtask_db::TempDatabase;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    number: u32,
}

const LONG: Duration = Duration::from_secs(30);

async fn fixture() -> (TempDatabase, PgPool, Queue<Job>) {
    let url = std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set; run `cargo xtask with-services postgres -- cargo nextest run -p pgmq-notify` or `cargo xtask make test-integration`",
    );
    let database = TempDatabase::create(&url, None).await.unwrap();
    let pool = PgPool::connect(database.url()).await.unwrap();
    let queue = Queue::new(QueueName::new("jobs").unwrap());
    queue.create(&pool).await.unwrap();
    (database, pool, queue)
}

async fn send(pool: &PgPool, queue: &Queue<Job>, number: u32) -> i64 {
    queue
        .send(&mut pool.acquire().await.unwrap(), &Job { number })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_message_is_read_once_and_archived_once() {
    let (_database, pool, queue) = fixture().await;
    queue.create(&pool).await.unwrap();
    let id = send(&pool, &queue, 7).await;
    let read = queue.read(&pool, LONG, 10).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].id, read[0].read_count), (id, 1));
    assert_eq!(*read[0].body.as_ref().unwrap(), Job { number: 7 });
    assert!(
        queue.read(&pool, LONG, 10).await.unwrap().is_empty(),
        "hidden from other readers"
    );
    assert!(queue.archive(&pool, id).await.unwrap());
    assert!(
        !queue.archive(&pool, id).await.unwrap(),
        "the second one is told"
    );
    let depth = queue.depth(&pool).await.unwrap();
    assert_eq!(
        depth,
        Depth {
            total: 0,
            visible: 0,
            archived: 1
        }
    );
}

#[tokio::test]
async fn a_message_of_a_dead_reader_comes_back() {
    let (_database, pool, queue) = fixture().await;
    send(&pool, &queue, 1).await;
    queue.read(&pool, Duration::from_secs(1), 1).await.unwrap();
    let next = queue.next_visible(&pool).await.unwrap().unwrap();
    assert!(
        next > Duration::ZERO && next <= Duration::from_secs(1),
        "{next:?}"
    );
    tokio::time::sleep(next + Duration::from_millis(50)).await;
    let again = queue.read(&pool, LONG, 1).await.unwrap();
    assert_eq!(again[0].read_count, 2);
    assert!(
        queue
            .set_visibility(&pool, again[0].id, LONG)
            .await
            .unwrap()
    );
    assert!(!queue.set_visibility(&pool, 999, LONG).await.unwrap());
}

#[tokio::test]
async fn a_rolled_back_send_leaves_nothing_and_wakes_nobody() {
    let (_database, pool, queue) = fixture().await;
    let listener = Listener::start(pool.clone(), queue.name());
    assert_eq!(
        listener.wait(LONG).await,
        Wake::Notified,
        "once when it listens"
    );
    let mut transaction = pool.begin().await.unwrap();
    queue
        .send(&mut transaction, &Job { number: 1 })
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(
        listener.wait(Duration::from_millis(300)).await,
        Wake::Polled
    );
    assert_eq!(queue.depth(&pool).await.unwrap().total, 0);
    assert_eq!(queue.next_visible(&pool).await.unwrap(), None);
}

#[tokio::test]
async fn a_send_wakes_the_reader_at_its_commit() {
    let (_database, pool, queue) = fixture().await;
    let listener = Listener::start(pool.clone(), queue.name());
    listener.wait(LONG).await;
    let start = Instant::now();
    let mut transaction = pool.begin().await.unwrap();
    queue
        .send(&mut transaction, &Job { number: 1 })
        .await
        .unwrap();
    assert_eq!(
        listener.wait(Duration::from_millis(200)).await,
        Wake::Polled,
        "not before"
    );
    transaction.commit().await.unwrap();
    assert_eq!(listener.wait(LONG).await, Wake::Notified);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_listener_survives_the_loss_of_its_connection() {
    let (_database, pool, queue) = fixture().await;
    let listener = Listener::start(pool.clone(), queue.name());
    listener.wait(LONG).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(listener.wait(LONG).await, Wake::Notified, "it is back");
    send(&pool, &queue, 1).await;
    assert_eq!(listener.wait(LONG).await, Wake::Notified);
}

#[tokio::test]
async fn a_delayed_message_is_invisible_until_its_time() {
    let (_database, pool, queue) = fixture().await;
    let mut connection = pool.acquire().await.unwrap();
    let delay = Duration::from_millis(400);
    queue
        .send_delayed(&mut connection, &Job { number: 1 }, delay)
        .await
        .unwrap();
    assert!(queue.read(&pool, LONG, 1).await.unwrap().is_empty());
    let depth = queue.depth(&pool).await.unwrap();
    assert_eq!((depth.total, depth.visible), (1, 0));
    tokio::time::sleep(queue.next_visible(&pool).await.unwrap().unwrap()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(queue.read(&pool, LONG, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_of_another_shape_can_be_put_away() {
    let (_database, pool, queue) = fixture().await;
    sqlx::query("SELECT pgmq.send('jobs', '{\"number\": \"seven\"}')")
        .execute(&pool)
        .await
        .unwrap();
    let read = queue.read(&pool, LONG, 1).await.unwrap();
    assert!(read[0].body.is_err());
    assert!(queue.archive(&pool, read[0].id).await.unwrap());
}

#[tokio::test]
async fn a_missing_queue_is_told_from_other_errors() {
    let (_database, pool, _) = fixture().await;
    let other: Queue<Job> = Queue::new(QueueName::new("nowhere").unwrap());
    let error = other.read(&pool, LONG, 1).await.unwrap_err();
    assert!(error.is_missing_queue(), "{error}");
    assert!(error.to_string().contains("`nowhere`"));
}
