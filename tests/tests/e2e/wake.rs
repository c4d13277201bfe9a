//! Steps do not wait for the next poll.

use std::time::{Duration, Instant};

use serde_json::json;
use tasker_shared::TaskState;

use crate::support::{World, run, task};

#[tokio::test]
async fn notifications_wake_everybody_long_before_the_next_poll() {
    let world = World::started(&[("TASKER_POLL_INTERVAL_MS", "30000")]).await;
    let chain: &[(&str, &str, &[&str], u32)] = &[
        ("a", "echo", &[], 1),
        ("b", "echo", &["a"], 1),
        ("c", "flaky", &["b"], 2),
    ];
    // The first run finds the loops wherever they are; the second finds them asleep.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let start = Instant::now();
        let done = run(&world.client(), &task(json!({}), chain)).await;
        assert_eq!(done.state, TaskState::Complete, "{done:?}");
        // Three steps, eight wake-ups, one pause before a second try.
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}
