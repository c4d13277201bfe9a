//! The services under test: those that run already, or a set of our own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tasker_shared::types::TaskView;
use uuid::Uuid;
use xtask_db::TempDatabase;

/// Longer than anything here should take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A step for `POST /v1/tasks`, run by the Rust worker.
pub fn step(name: &str, handler: &str, depends_on: &[&str]) -> Value {
    json!({"name": name, "handler": handler, "namespace": "rust", "depends_on": depends_on})
}

/// A step that is tried at the most this often.
pub fn step_with_attempts(name: &str, handler: &str, max_attempts: u32) -> Value {
    let mut step = step(name, handler, &[]);
    step["max_attempts"] = max_attempts.into();
    step
}

/// The REST API of an orchestration service.
#[derive(Clone)]
pub struct Api {
    base: String,
    http: reqwest::Client,
}

impl Api {
    fn at(base: String) -> Api {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .expect("an HTTP client");
        Api { base, http }
    }

    /// The one that the task runner has started.
    pub fn running() -> Api {
        let base = std::env::var("ORCHESTRATION_URL").ok().filter(|url| !url.is_empty());
        Api::at(base.unwrap_or_else(|| {
            let port = std::env::var("ORCHESTRATION_PORT").unwrap_or_else(|_| "8080".to_owned());
            format!("http://127.0.0.1:{port}")
        }))
    }

    /// Any request: the status and the JSON body.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| {
            panic!(
                "{url} does not answer ({error}): are the services up? \
                 run `cargo xtask with-services -- cargo nextest run -p tasker-e2e`"
            )
        });
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Submits a task that must be accepted; its id.
    pub async fn submit(&self, name: &str, context: Value, steps: &[Value]) -> Uuid {
        let task = json!({"name": name, "context": context, "steps": steps});
        let (status, body) = self.request("POST", "/v1/tasks", Some(&task)).await;
        assert_eq!(status, 201, "{body}");
        let id = body["task_id"].as_str().expect("an id");
        id.parse().expect("a UUID")
    }

    /// The task as it is now.
    pub async fn task(&self, id: Uuid) -> TaskView {
        let (status, body) = self.request("GET", &format!("/v1/tasks/{id}"), None).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).expect("a task")
    }

    /// Waits until nothing about the task will change any more.
    pub async fn finished(&self, id: Uuid) -> TaskView {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id).await;
            if task.state.is_final() {
                return task;
            }
            assert!(Instant::now() < deadline, "not finished in {PATIENCE:?}: {task:#?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// The result of a step that has one.
#[track_caller]
pub fn result<'a>(task: &'a TaskView, step: &str) -> &'a Value {
    let step = task.step(step).unwrap_or_else(|| panic!("no step `{step}` in {task:#?}"));
    step.result.as_ref().unwrap_or_else(|| panic!("no result of `{}` in {task:#?}", step.name))
}

/// `DATABASE_URL`, or a failure that says what to do: never a skip.
pub fn database_url() -> String {
    std::env::var("DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "DATABASE_URL is not set; run `cargo xtask with-services -- cargo nextest run -p \
             tasker-e2e` or `cargo xtask make test-e2e`"
        )
    })
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// One service process; killed (SIGKILL) when the value ends.
pub struct Service {
    child: Child,
}

impl Service {
    /// SIGKILL: no cleanup, no goodbye.
    pub fn kill(mut self) {
        self.child.kill().expect("the process is ours to kill");
        self.child.wait().expect("the process has ended");
    }

    /// SIGTERM.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(status.expect("kill").success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Services of our own, on free ports, with a database of their own.
pub struct Stack {
    database: TempDatabase,
    /// The same database, for looking at what the services did.
    pub pool: PgPool,
    orchestration_port: u16,
    worker_port: u16,
    settings: Vec<(&'static str, &'static str)>,
}

impl Stack {
    /// A migrated database; no service runs yet. `settings` are variables of the services.
    pub async fn new(settings: &[(&'static str, &'static str)]) -> Stack {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let database = TempDatabase::create(&database_url(), Some(&root.join("migrations")))
            .await
            .unwrap_or_else(|error| panic!("no database of our own: {error}"));
        let pool = PgPool::connect(database.url()).await.expect("a connection");
        let (orchestration_port, worker_port) = (free_port(), free_port());
        let settings = settings.to_vec();
        Stack { database, pool, orchestration_port, worker_port, settings }
    }

    /// The API of our orchestration.
    pub fn api(&self) -> Api {
        Api::at(format!("http://127.0.0.1:{}", self.orchestration_port))
    }

    /// The URL of our database.
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// Starts an orchestration and waits until it is healthy.
    pub async fn orchestration(&self) -> Service {
        let service = self.spawn("tasker-orchestration", "ORCHESTRATION_PORT", self.orchestration_port);
        self.healthy(self.orchestration_port).await;
        service
    }

    /// Starts a Rust worker and waits until it is healthy.
    pub async fn worker(&self) -> Service {
        let service = self.spawn("tasker-worker-rust", "RUST_WORKER_PORT", self.worker_port);
        self.healthy(self.worker_port).await;
        service
    }

    /// The answer of our worker's or orchestration's health endpoint: 0 where there is none.
    pub async fn health(&self, port: u16) -> u16 {
        let url = format!("http://127.0.0.1:{port}/health");
        reqwest::get(url).await.map_or(0, |answer| answer.status().as_u16())
    }

    /// Both ports: orchestration, worker.
    pub fn ports(&self) -> (u16, u16) {
        (self.orchestration_port, self.worker_port)
    }

    async fn healthy(&self, port: u16) {
        eventually("healthy", async || self.health(port).await == 200).await;
    }

    fn spawn(&self, program: &str, port_variable: &str, port: u16) -> Service {
        let path = binary(program);
        let child = Command::new(&path)
            .env("DATABASE_URL", self.database.url())
            .env(port_variable, port.to_string())
            .env("RUST_LOG", "warn")
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`{}` does not start ({error}); run `cargo build --package {program}`",
                    path.display()
                )
            });
        Service { child }
    }

    /// How many rows a table of the effects has for a step.
    pub async fn count(&self, table: &str, step_id: Uuid) -> i64 {
        let query = format!("SELECT count(*) FROM tasker.{table} WHERE step_id = $1");
        sqlx::query_scalar(&query).bind(step_id).fetch_one(&self.pool).await.expect("a count")
    }

    /// How many messages a queue holds, the invisible ones too.
    pub async fn queue(&self, queue: &str) -> i64 {
        let query = format!("SELECT count(*) FROM pgmq.q_{queue}");
        sqlx::query_scalar(&query).fetch_one(&self.pool).await.expect("a count")
    }

    /// How many messages of a queue were archived.
    pub async fn archive(&self, queue: &str) -> i64 {
        let query = format!("SELECT count(*) FROM pgmq.a_{queue}");
        sqlx::query_scalar(&query).fetch_one(&self.pool).await.expect("a count")
    }
}

/// A program of this workspace, built beside this test.
fn binary(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    // target/<profile>/deps/e2e-<hash>
    let profile = test.parent().and_then(Path::parent).expect("a profile directory");
    profile.join(format!("{program}{}", std::env::consts::EXE_SUFFIX))
}

/// A port that nobody has now. Another process may take it before our service does; the service
/// then says so and ends, and the test fails with that.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
