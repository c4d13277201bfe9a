//! Processes and databases that end with the test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
#[cfg(unix)]
use std::process::ExitStatus;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tasker_client::Client;
use tasker_shared::{NewTask, TaskView};
use uuid::Uuid;
use xtask_db::TempDatabase;

/// Far longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn database_url() -> String {
    std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set; run `cargo xtask with-services -- cargo nextest run -p tasker-e2e` or `cargo xtask make test-e2e`",
    )
}

/// Every service chooses a free port.
const PORTS: [&str; 6] = [
    "ORCHESTRATION_PORT",
    "PYTHON_WORKER_PORT",
    "RUBY_WORKER_PORT",
    "RUST_WORKER_PORT",
    "TYPESCRIPT_WORKER_PORT",
    "WORKER_PORT",
];

/// A service process. Dropping it kills it.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
}

impl Service {
    /// Starts a service of this workspace's Rust on a free port and waits until it says where it
    /// listens.
    pub(crate) fn start(binary: &str, environment: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(find(binary)).envs(environment.iter().copied()))
    }

    /// The same for any command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let what = format!("{:?}", command.get_program());
        let mut child = command
            .envs(PORTS.map(|variable| (variable, "0")))
            .env_remove("TASKER_BIND_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let stdout = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let url = match receiver.recv_timeout(PATIENCE) {
            Ok(line) => line.rsplit(' ').next().unwrap().to_owned(),
            Err(_) => {
                child.kill().ok();
                panic!("{what} did not say where it listens: {:?}", child.wait());
            }
        };
        Self { child, url }
    }

    /// SIGKILL, or what comes next to it: no chance to clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    #[cfg(unix)]
    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url).unwrap()
    }

    /// Waits until `/health` is as wanted.
    pub(crate) async fn wait_health(&self, healthy: bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.client().health().await;
            match &answer {
                Ok((now, body)) if *now == healthy => return body.clone(),
                _ => assert!(
                    start.elapsed() < PATIENCE,
                    "{} is not so: {answer:?}",
                    self.url
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A binary of this workspace, built with the profile of this test.
pub(crate) fn find(binary: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/<profile>/deps/e2e-<hash>
    let directory = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = directory.join(format!("{binary}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "no {}; run `cargo build -p {binary}` first, or `cargo xtask make test-e2e`, which does",
        path.display()
    );
    path
}

/// A database with migrations, and services that a test may break.
pub(crate) struct World {
    // In this order: processes end before their database goes away.
    pub(crate) orchestration: Option<Service>,
    pub(crate) worker: Option<Service>,
    pub(crate) pool: PgPool,
    environment: Vec<(String, String)>,
    pub(crate) database: TempDatabase,
}

impl World {
    /// A fresh database, no services. The timings are short unless a test has its own.
    pub(crate) async fn new(own: &[(&str, &str)]) -> Self {
        let migrations = xtask_db::test_root().join("migrations");
        let database = TempDatabase::create(&database_url(), Some(&migrations))
            .await
            .unwrap();
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(3)
            .connect(database.url())
            .await
            .unwrap();
        let defaults = [
            ("DATABASE_URL", database.url()),
            ("TASKER_VISIBILITY_TIMEOUT_SECS", "2"),
            ("TASKER_RETRY_BASE_MS", "50"),
            ("TASKER_POLL_INTERVAL_MS", "1000"),
        ];
        let environment = defaults
            .iter()
            .chain(own)
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            orchestration: None,
            worker: None,
            pool,
            environment,
            database,
        }
    }

    /// A fresh database with both services, healthy.
    pub(crate) async fn started(own: &[(&str, &str)]) -> Self {
        let mut world = Self::new(own).await;
        world.start_orchestration().await;
        world.start_worker().await;
        world
    }

    fn start(&self, binary: &str) -> Service {
        self.spawn(&mut Command::new(find(binary)))
    }

    /// Starts a command with the environment of this world.
    pub(crate) fn spawn(&self, command: &mut Command) -> Service {
        let environment = self.environment.iter();
        Service::spawn(command.envs(environment.map(|(name, value)| (name, value))))
    }

    pub(crate) async fn start_orchestration(&mut self) {
        let service = self.start("tasker-orchestration");
        service.wait_health(true).await;
        self.orchestration = Some(service);
    }

    pub(crate) async fn start_worker(&mut self) {
        let service = self.start("tasker-worker-rust");
        service.wait_health(true).await;
        self.worker = Some(service);
    }

    pub(crate) fn client(&self) -> Client {
        self.orchestration.as_ref().unwrap().client()
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a count is reached.
    pub(crate) async fn wait_count(&self, sql: &str, wanted: i64) {
        let start = Instant::now();
        while self.count(sql).await < wanted {
            assert!(start.elapsed() < PATIENCE, "never {wanted}: {sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Both queues are empty, and as many messages as wanted were done with.
    pub(crate) async fn assert_queues(&self, steps: i64, results: i64) {
        assert_eq!(
            self.count("SELECT count(*) FROM pgmq.q_worker_rust_queue")
                .await,
            0
        );
        assert_eq!(
            self.count("SELECT count(*) FROM pgmq.q_orchestration_step_results")
                .await,
            0
        );
        assert_eq!(
            self.count("SELECT count(*) FROM pgmq.a_worker_rust_queue")
                .await,
            steps
        );
        assert_eq!(
            self.count("SELECT count(*) FROM pgmq.a_orchestration_step_results")
                .await,
            results
        );
    }
}

pub(crate) const EXECUTIONS: &str = "SELECT count(*) FROM reference.executions";
pub(crate) const EFFECTS: &str = "SELECT count(*) FROM reference.effects";

/// A task of namespace `rust`: (name, handler, parents, max_attempts).
pub(crate) fn task(context: Value, steps: &[(&str, &str, &[&str], u32)]) -> NewTask {
    let steps: Vec<Step> = steps
        .iter()
        .map(|(name, handler, parents, attempts)| (*name, "rust", *handler, *parents, *attempts))
        .collect();
    task_of(context, &steps)
}

/// (name, namespace, handler, parents, max_attempts).
pub(crate) type Step<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], u32);

/// A task of any namespaces.
pub(crate) fn task_of(context: Value, steps: &[Step]) -> NewTask {
    let steps: Vec<Value> = steps
        .iter()
        .map(|(name, namespace, handler, parents, attempts)| {
            json!({"name": name, "handler": handler, "namespace": namespace,
                   "depends_on": parents, "max_attempts": attempts})
        })
        .collect();
    let name = format!("e2e-{}", Uuid::new_v4());
    serde_json::from_value(json!({"name": name, "context": context, "steps": steps})).unwrap()
}

pub(crate) async fn run(client: &Client, new: &NewTask) -> TaskView {
    let submitted = client.submit(new).await.unwrap();
    client.wait(submitted.task_id, PATIENCE).await.unwrap()
}
