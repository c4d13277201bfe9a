//! Tasks whose steps run in four languages.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tasker_shared::{StepState, TaskState, TaskView};

use crate::support::{PATIENCE, Service, Step, World, run, task_of};

/// How a worker in another language is started: without a launcher in between, which would be what a
/// kill hits.
struct Language {
    namespace: &'static str,
    directory: &'static str,
    words: &'static [&'static str],
    /// What `cargo make build-…` has to have made.
    product: &'static str,
    /// How its handler `raises` fails.
    raises: &'static str,
}

const PYTHON: Language = Language {
    namespace: "python",
    directory: "workers/python",
    words: &[
        if cfg!(windows) {
            ".venv/Scripts/python.exe"
        } else {
            ".venv/bin/python"
        },
        "-m",
        "tasker_worker.reference",
    ],
    product: ".venv",
    raises: "ValueError: raises, as asked",
};

const RUBY: Language = Language {
    namespace: "ruby",
    directory: "workers/ruby",
    words: &["ruby", "-Ilib", "exe/tasker-worker-ruby"],
    product: "lib/tasker_worker",
    raises: "ArgumentError: raises, as asked",
};

const TYPESCRIPT: Language = Language {
    namespace: "typescript",
    directory: "workers/typescript",
    words: &["node", "dist/lib/main.js"],
    product: "dist",
    raises: "TypeError: raises, as asked",
};

const FOREIGN: [&Language; 3] = [&PYTHON, &RUBY, &TYPESCRIPT];

impl Language {
    async fn start(&self, world: &World) -> Service {
        let directory = xtask_db::test_root().join(self.directory);
        assert!(
            directory.join(self.product).exists(),
            "the {0} worker is not built: `cargo make build-{0}`, or `cargo xtask make test-e2e-polyglot`, which does",
            self.namespace
        );
        let program = match self.words[0] {
            path if path.contains('/') => directory.join(path),
            name => name.into(),
        };
        let mut command = Command::new(program);
        command.args(&self.words[1..]).current_dir(directory);
        let service = world.spawn(&mut command);
        service.wait_health(true).await;
        service
    }
}

async fn start_all(world: &World) -> Vec<Service> {
    let mut services = Vec::new();
    for language in FOREIGN {
        services.push(language.start(world).await);
    }
    services
}

fn result<'a>(task: &'a TaskView, step: &str) -> &'a Value {
    let step = task.step(step).unwrap();
    step.result
        .as_ref()
        .unwrap_or_else(|| panic!("no result: {step:?}"))
}

#[tokio::test]
async fn data_goes_through_all_languages_and_comes_back() {
    let world = World::started(&[]).await;
    let _workers = start_all(&world).await;
    let context = json!({
        "start": {"value": 2}, "python": {"value": 3}, "ruby": {"value": 4}, "typescript": {"value": 5},
        "note": "Grüße, 世界 🦀",
    });
    let steps: [Step; 6] = [
        ("start", "rust", "add", &[], 1),
        ("python", "python", "multiply", &["start"], 1),
        ("ruby", "ruby", "add", &["python"], 1),
        ("typescript", "typescript", "multiply", &["ruby"], 1),
        // Each of the three hands the text on as it was, next to what came before it.
        ("sum", "rust", "add", &["python", "ruby", "typescript"], 1),
        ("end", "rust", "echo", &["sum", "typescript"], 1),
    ];
    let done = run(&world.client(), &task_of(context.clone(), &steps)).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    let value = |step| result(&done, step)["value"].clone();
    assert_eq!(
        [
            value("start"),
            value("python"),
            value("ruby"),
            value("typescript"),
            value("sum")
        ],
        [json!(2), json!(6), json!(10), json!(50), json!(66)]
    );
    assert_eq!(
        result(&done, "end")["dependencies"]["typescript"]["value"],
        50
    );
    assert!(done.steps.iter().all(|step| step.attempts == 1), "{done:?}");
}

/// What JSON can hold comes out of each language as it went in.
#[tokio::test]
async fn every_language_hands_json_on_as_it_was() {
    let world = World::started(&[]).await;
    let _workers = start_all(&world).await;
    let context = json!({
        "text": "Grüße, 世界 🦀 \u{1}\"\\/", "": "no name", "nothing": null, "yes": true, "no": false,
        "numbers": [0, -1, 1.5, 1e300, 9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64],
        "deep": {"a": [{"b": [[], {}]}]},
    });
    let steps: [Step; 4] = [
        ("rust", "rust", "echo", &[], 1),
        ("python", "python", "echo", &["rust"], 1),
        ("ruby", "ruby", "echo", &["python"], 1),
        ("typescript", "typescript", "echo", &["ruby"], 1),
    ];
    let done = run(&world.client(), &task_of(context.clone(), &steps)).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    // An echo holds the one before it.
    let mut expected = json!({"context": context, "dependencies": {}});
    for (step, parent) in [
        ("rust", None),
        ("python", Some("rust")),
        ("ruby", Some("python")),
        ("typescript", Some("ruby")),
    ] {
        if let Some(parent) = parent {
            expected = json!({"context": context, "dependencies": {parent: expected}});
        }
        assert_eq!(result(&done, step), &expected, "{step}");
    }
}

#[tokio::test]
async fn every_language_retries_and_fails_with_its_reason() {
    let world = World::started(&[]).await;
    let _workers = start_all(&world).await;
    let client = world.client();
    let flaky: [Step; 4] = [
        ("rust", "rust", "flaky", &[], 3),
        ("python", "python", "flaky", &["rust"], 3),
        ("ruby", "ruby", "flaky", &["python"], 3),
        ("typescript", "typescript", "flaky", &["ruby"], 3),
    ];
    let done = run(&client, &task_of(json!({"fail_times": 2}), &flaky)).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    for step in &done.steps {
        assert_eq!(step.attempts, 3, "{step:?}");
        assert_eq!(step.result, Some(json!({"succeeded_at": 3})));
    }
    for language in FOREIGN {
        let namespace = language.namespace;
        for (handler, context, reason) in [
            (
                "raises",
                json!({}),
                format!("step `bad` failed after 2 attempts: {}", language.raises),
            ),
            (
                "always_fails",
                json!({"message": "no such account"}),
                "no such account".to_owned(),
            ),
            // What cannot succeed is tried once.
            (
                "sleep",
                json!({"sleep_ms": "long"}),
                "`sleep_ms` is".to_owned(),
            ),
            ("nosuch", json!({}), "no handler `nosuch`".to_owned()),
        ] {
            let steps: [Step; 2] = [
                ("bad", namespace, handler, &[], 2),
                ("after", "rust", "echo", &["bad"], 1),
            ];
            let done = run(&client, &task_of(context, &steps)).await;
            assert_eq!(done.state, TaskState::Failed, "{namespace} {handler}");
            let error = done.error.as_deref().unwrap_or_default();
            assert!(error.contains(&reason), "{namespace} {handler}: {error}");
            let attempts = if handler == "sleep" { 1 } else { 2 };
            assert_eq!(done.step("bad").unwrap().attempts, attempts, "{done:?}");
            assert_eq!(done.step("after").unwrap().state, StepState::Cancelled);
        }
    }
}

/// Waits until a worker has taken the step: its message is there, and invisible to others.
async fn wait_taken(world: &World, namespace: &str) {
    world
        .wait_count(
            &format!("SELECT count(*) FROM pgmq.q_worker_{namespace}_queue WHERE read_ct > 0"),
            1,
        )
        .await;
}

#[tokio::test]
async fn each_worker_killed_in_the_middle_of_a_task_loses_nothing() {
    let world = World::started(&[]).await;
    let mut workers = start_all(&world).await;
    let steps: [Step; 5] = [
        ("start", "rust", "add", &[], 1),
        ("python", "python", "sleep", &["start"], 1),
        ("ruby", "ruby", "sleep", &["python"], 1),
        ("typescript", "typescript", "sleep", &["ruby"], 1),
        ("end", "rust", "echo", &["typescript"], 1),
    ];
    let new = task_of(json!({"sleep_ms": 700, "start": {"value": 1}}), &steps);
    let id = world.client().submit(&new).await.unwrap().task_id;
    for (index, language) in FOREIGN.iter().enumerate() {
        wait_taken(&world, language.namespace).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        workers.remove(index).kill();
        workers.insert(index, language.start(&world).await);
    }
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    for step in &done.steps {
        assert_eq!(step.attempts, 1, "a kill is no failed try: {step:?}");
    }
    assert_eq!(
        result(&done, "end")["dependencies"]["typescript"]["slept_ms"],
        700
    );
    for language in FOREIGN {
        let namespace = language.namespace;
        let archived = format!("SELECT count(*) FROM pgmq.a_worker_{namespace}_queue");
        assert_eq!(world.count(&archived).await, 1, "{namespace}: one result");
        // The kill did hit the middle of the step.
        let reads = format!("SELECT read_ct::bigint FROM pgmq.a_worker_{namespace}_queue");
        assert_eq!(world.count(&reads).await, 2, "{namespace}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn each_worker_finishes_its_step_before_it_ends() {
    let world = World::started(&[]).await;
    for language in FOREIGN {
        let mut worker = language.start(&world).await;
        let namespace = language.namespace;
        let steps: [Step; 1] = [("only", namespace, "sleep", &[], 1)];
        let new = task_of(json!({"sleep_ms": 800}), &steps);
        let id = world.client().submit(&new).await.unwrap().task_id;
        wait_taken(&world, namespace).await;
        worker.terminate();
        assert_eq!(worker.exit_status().code(), Some(0), "{namespace}");
        let done = world.client().wait(id, PATIENCE).await.unwrap();
        assert_eq!(done.state, TaskState::Complete, "{namespace}: {done:?}");
        let reads = format!("SELECT read_ct::bigint FROM pgmq.a_worker_{namespace}_queue");
        assert_eq!(world.count(&reads).await, 1, "{namespace}: it ran once");
    }
}

/// Many steps of all languages at once: none is lost, none mixed up with another.
#[tokio::test]
async fn a_wide_task_joins_the_results_of_all_languages() {
    let world = World::started(&[]).await;
    let _workers = start_all(&world).await;
    let names: Vec<(String, &str)> = ["rust", "python", "ruby", "typescript"]
        .into_iter()
        .flat_map(|namespace| (0..8).map(move |n| (format!("{namespace}_{n}"), namespace)))
        .collect();
    let context: Value = names
        .iter()
        .enumerate()
        .map(|(n, (name, _))| (name.clone(), json!({"value": n})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let parents: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let mut steps: Vec<Step> = names
        .iter()
        .map(|(name, namespace)| (name.as_str(), *namespace, "add", [].as_slice(), 1))
        .collect();
    steps.push(("sum", "typescript", "add", &parents, 1));
    let done = run(&world.client(), &task_of(context, &steps)).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(result(&done, "sum")["value"], (0..32).sum::<i32>());
}
