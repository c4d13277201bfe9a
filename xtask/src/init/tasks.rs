//! The task files of a workspace in the standard shape: one for the root, one for each member and each
//! part in another language, and the shared ones, which hold what is used and nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::config_file::Facts;
use super::parts::{Entry, Part};
use super::survey::{Member, Survey};
use super::taskfile::{Task, TaskFile};

pub(super) const BASES: &str = "cargo-make/base-tasks.toml";
const TESTS: &str = "cargo-make/test-tasks.toml";
const CI: &str = "cargo-make/ci-integration.toml";

/// What Rust's tests are called to that need a database.
pub(super) const INTEGRATION: &str = "integration";

const SETTINGS: &str = r#"[config]
default_to_workspace = false
skip_core_tasks = true
# What cargo-make would look up at each start, and no task here needs.
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true

[env]
# `NEXTEST_PROFILE=ci cargo make test` runs with the profile ci.
NEXTEST_PROFILE = { value = "default", condition = { env_not_set = ["NEXTEST_PROFILE"] } }
"#;

/// All task files, what is extended before what extends it.
pub(super) fn files(survey: &Survey, options: &Options, facts: &Facts) -> Vec<TaskFile> {
    let words = Words {
        survey,
        options,
        facts,
    };
    let mut files: Vec<TaskFile> = directories(survey, facts)
        .into_iter()
        .map(|directory| words.directory(&directory))
        .collect();
    let mut shared = vec![words.tests(), words.ci()];
    let root = words.root(&shared);
    let used: BTreeSet<String> = files
        .iter()
        .chain(&shared)
        .chain([&root])
        .flat_map(TaskFile::bases)
        .map(str::to_owned)
        .collect();
    let mut all = vec![words.bases(&used)];
    all.append(&mut shared);
    all.append(&mut files);
    all.push(root);
    let bases: BTreeMap<String, (String, &'static str)> = all[0]
        .tasks
        .iter()
        .map(|it| (it.name.clone(), (it.description.clone(), it.category)))
        .collect();
    for task in all.iter_mut().flat_map(|it| &mut it.tasks) {
        task.inherits = bases.get(&task.extend).cloned().unwrap_or_default();
    }
    all
}

/// The directories below the root that get a task file.
fn directories(survey: &Survey, facts: &Facts) -> BTreeSet<String> {
    let members = survey.members.iter().map(|it| it.directory.clone());
    let parts = facts.parts.iter().map(|it| it.directory.clone());
    let mut all: BTreeSet<String> = members.chain(parts).filter(|it| !it.is_empty()).collect();
    all.insert(facts.crate_directory.clone());
    all
}

/// What an action is, and what kind: for descriptions and categories.
fn words_of(action: &str) -> (&'static str, &'static str) {
    match action {
        "build" => ("Build", "Build"),
        "build-release" => ("Build, optimised", "Build"),
        "clean" => ("Remove build products", "Maintenance"),
        "format" => ("Check the formatting", "Quality"),
        "format-fix" => ("Mend the formatting", "Quality"),
        "lint" => ("Run the linters", "Quality"),
        "lint-fix" => ("Mend what linters can mend", "Quality"),
        "test" => ("Run the tests that need no services", "Test"),
        "test-integration" => (
            "Run the tests that need a real PostgreSQL, and bring one",
            "Test",
        ),
        "test-docs" => ("Run the documentation tests", "Test"),
        "run" => ("Run the program in the foreground", "Development"),
        "setup" => ("Fetch the dependencies", "Setup"),
        _ => ("", ""),
    }
}

/// Every action, in the order in which files have them.
const ACTIONS: [&str; 12] = [
    "build",
    "build-release",
    "clean",
    "format",
    "format-fix",
    "lint",
    "lint-fix",
    "setup",
    "test",
    "test-integration",
    "test-docs",
    "run",
];

/// The base of an action of a Rust member.
fn rust_base(action: &str) -> &'static str {
    match action {
        "build" => "base-rust-build",
        "build-release" => "base-rust-build-release",
        "clean" => "base-rust-clean",
        "format" => "base-rust-format",
        "format-fix" => "base-rust-format-fix",
        "lint" => "base-rust-lint",
        "lint-fix" => "base-rust-lint-fix",
        "setup" => "base-rust-setup",
        "test" => "base-rust-test",
        "test-integration" => "base-rust-test-integration",
        "test-docs" => "base-rust-test-docs",
        _ => "base-rust-run",
    }
}

struct Words<'a> {
    survey: &'a Survey,
    options: &'a Options,
    facts: &'a Facts,
}

impl Words<'_> {
    fn xtask<'b>(&'b self, words: &[&'b str]) -> Vec<&'b str> {
        let mut all = vec![self.options.name.as_str()];
        all.extend(words);
        all
    }

    fn database(&self) -> bool {
        self.facts.database.is_some()
    }

    /// The actions that make sense for a member.
    fn actions(&self, member: &Member) -> Vec<&'static str> {
        let fits = |action: &&&str| match **action {
            "test" => member.unit_tests || (member.integration_tests && !self.database()),
            "test-integration" => member.integration_tests && self.database(),
            "test-docs" => member.documented,
            "run" => member.programs.len() == 1,
            _ => true,
        };
        ACTIONS.iter().filter(fits).copied().collect()
    }

    /// The file of one directory below the root.
    fn directory(&self, directory: &str) -> TaskFile {
        let up = "../".repeat(directory.split('/').count());
        let own = Member {
            name: self.options.package(),
            directory: directory.to_owned(),
            ..Member::default()
        };
        let member = self
            .survey
            .members
            .iter()
            .find(|it| it.directory == directory)
            .or((directory == self.facts.crate_directory).then_some(&own));
        let parts: Vec<&Part> = self
            .facts
            .parts
            .iter()
            .filter(|it| it.directory == directory)
            .collect();
        let mut tasks = Vec::new();
        for action in ACTIONS {
            // What the directory has under this action: one, or several that it stands for.
            let mut several: Vec<(String, Task)> = Vec::new();
            if member.is_some_and(|it| self.actions(it).contains(&action)) {
                several.push(("rust".to_owned(), Task::new("", rust_base(action))));
            }
            for part in &parts {
                for entry in part.entries.iter().filter(|it| it.action == action) {
                    several.push((entry.suffix(part, parts.len()), self.entry(part, entry)));
                }
            }
            // What one language fetches or removes is the other's business, too.
            let (text, category) = words_of(action);
            match several.len() {
                0 => {}
                1 => tasks.extend(several.into_iter().map(|(_, mut task)| {
                    action.clone_into(&mut task.name);
                    task
                })),
                _ => {
                    let mut names = Vec::new();
                    for (suffix, mut task) in several {
                        task.name = format!("{action}-{suffix}");
                        names.push(task.name.clone());
                        tasks.push(task);
                    }
                    tasks.push(
                        Task::new(action, "")
                            .says(format!("{text}: every language"), category)
                            .needs(names),
                    );
                }
            }
        }
        TaskFile {
            path: format!("{directory}/Makefile.toml"),
            header: "",
            extend: vec![format!("{up}{BASES}")],
            settings: member.map_or_else(String::new, |it| {
                format!("[env]\nCRATE_NAME = \"{}\"\n", it.name)
            }),
            tasks,
            ..TaskFile::default()
        }
    }

    /// A task of another language's part.
    fn entry(&self, part: &Part, entry: &Entry) -> Task {
        let (text, category) = words_of(&entry.action);
        let mut all = self
            .facts
            .parts
            .iter()
            .flat_map(|it| it.entries.iter().map(move |entry| (it, entry)));
        let first = all.find(|(it, other)| {
            it.language == part.language && other.action == entry.action && other.sub == entry.sub
        });
        // The first one's body is the base's; another body is its own.
        match first {
            Some((_, first)) if first.args == entry.args => Task::new("", entry.base(part)),
            _ => Task::new("", "base-cargo")
                .says(format!("{text} ({})", part.language.shown()), category)
                .args(self.part_args(entry)),
        }
    }

    /// `{xtask}` is the alias.
    fn part_args(&self, entry: &Entry) -> Vec<String> {
        let named = |it: &String| it.replace("{xtask}", &self.options.name);
        entry.args.iter().map(named).collect()
    }

    /// The bases that are used, and what they extend.
    fn bases(&self, used: &BTreeSet<String>) -> TaskFile {
        let mut tasks = vec![
            Task {
                command: "cargo",
                ..Task::new("base-cargo", "")
            }
            .says("Runs cargo", "Base")
            .base()
            .comment("Without `install_crate = false`, a missing `cargo X` would be \"installed\" from a stranger's crate."),
        ];
        let package = ["--package", "${CRATE_NAME}"];
        for action in ACTIONS {
            let base = rust_base(action);
            if !used.contains(base) {
                continue;
            }
            let (mut text, category) = words_of(action);
            let args: Vec<&str> = match action {
                "build" => vec!["build", package[0], package[1]],
                "build-release" => vec!["build", "--release", package[0], package[1]],
                "clean" => vec!["clean", package[0], package[1]],
                "format" => vec!["fmt", package[0], package[1], "--", "--check"],
                "format-fix" => vec!["fmt", package[0], package[1]],
                "lint" => {
                    text = "Run clippy; a warning is an error";
                    vec![
                        "clippy",
                        package[0],
                        package[1],
                        "--all-targets",
                        "--",
                        "-D",
                        "warnings",
                    ]
                }
                "lint-fix" => {
                    text = "Mend what clippy can mend";
                    vec![
                        "clippy",
                        package[0],
                        package[1],
                        "--all-targets",
                        "--fix",
                        "--allow-dirty",
                        "--allow-staged",
                    ]
                }
                "setup" => vec!["fetch"],
                "test" => {
                    text = "Run the tests that need no services (nextest)";
                    let mut args = vec![
                        "nextest",
                        "run",
                        package[0],
                        package[1],
                        "--profile",
                        "${NEXTEST_PROFILE}",
                    ];
                    args.extend(self.without_integration());
                    args
                }
                "test-integration" => self.xtask(&[
                    "with-services",
                    &self.facts.database_service,
                    "--",
                    "cargo",
                    "nextest",
                    "run",
                    package[0],
                    package[1],
                    "--profile",
                    "${NEXTEST_PROFILE}",
                    "--filterset",
                    "binary(integration)",
                ]),
                "test-docs" => {
                    text = "Run the documentation tests (cargo test: nextest cannot)";
                    vec!["test", "--doc", package[0], package[1]]
                }
                _ => vec!["run", package[0], package[1], "--", "${@}"],
            };
            tasks.push(
                Task::new(base, "base-cargo")
                    .says(text, category)
                    .args(args)
                    .base(),
            );
        }
        let mut known = BTreeSet::new();
        for part in &self.facts.parts {
            for entry in &part.entries {
                let Some(base) = Some(entry.base(part)).filter(|it| used.contains(it)) else {
                    continue;
                };
                if known.insert(base.clone()) {
                    let (text, category) = words_of(&entry.action);
                    tasks.push(
                        Task::new(base, "base-cargo")
                            .says(format!("{text} ({})", part.language.shown()), category)
                            .args(self.part_args(entry))
                            .base(),
                    );
                }
            }
        }
        TaskFile {
            path: BASES.to_owned(),
            header: "The bodies that the root and every member share: base, then language, then member, no deeper.\nA base is private; a task that extends one says `private = false`, because that is inherited too.",
            extend: Vec::new(),
            settings: SETTINGS.to_owned(),
            tasks,
            ..TaskFile::default()
        }
    }

    fn without_integration(&self) -> Vec<&'static str> {
        if self.database() && self.survey.members.iter().any(|it| it.integration_tests) {
            vec!["--filterset", "not binary(integration)"]
        } else {
            Vec::new()
        }
    }

    /// What means all of the user's Rust crates at the root. Without a root package, cargo's default
    /// members are meant, which never have the new crate; with one, plain `cargo build` would be that
    /// package alone.
    fn scope(&self) -> Vec<String> {
        let root_package = self.survey.members.iter().any(|it| it.directory.is_empty());
        if root_package && !self.survey.has_default_members {
            ["--workspace", "--exclude", &self.options.package()]
                .map(str::to_owned)
                .to_vec()
        } else {
            Vec::new()
        }
    }

    fn with_scope(&self, before: &[&str], after: &[&str]) -> Vec<String> {
        let owned = |it: &&str| (*it).to_owned();
        let mut all: Vec<String> = before.iter().map(owned).collect();
        all.extend(self.scope());
        all.extend(after.iter().map(owned));
        all
    }

    fn tests(&self) -> TaskFile {
        let mut tasks = vec![
            Task::new("setup-nextest-profile", "base-cargo")
                .says(
                    "Make sure that nextest has the profiles default, ci and local",
                    "Setup",
                )
                .args(self.xtask(&["setup-nextest"])),
        ];
        if !self.facts.services.is_empty() || self.database() {
            tasks.push(
                Task::new("check-services", "base-cargo")
                    .says(
                        "Probe the services; fails when a required one is down",
                        "Development",
                    )
                    .args(self.xtask(&["check-services", "${@}"])),
            );
        }
        let name = if self.facts.parts.is_empty() {
            "test"
        } else {
            "test-rust"
        };
        let test = |name: &str, text: &str, category: &'static str, profile: &str| {
            let mut after = vec!["--profile", profile];
            after.extend(self.without_integration());
            Task::new(name, "base-cargo")
                .says(text, category)
                .needs(["setup-nextest-profile"])
                .args(self.with_scope(&["nextest", "run"], &after))
        };
        tasks.push(test(
            name,
            "Run the Rust tests that need no services, in one run",
            "Test",
            "${NEXTEST_PROFILE}",
        ));
        tasks.push(test(
            "ci-test-rust",
            "Run the Rust tests that need no services, with JUnit",
            "CI",
            "ci",
        ));
        if self.survey.members.iter().any(|it| it.documented) {
            tasks.push(
                Task::new("test-docs", "base-cargo")
                    .says(
                        "Run the documentation tests (cargo test: nextest cannot)",
                        "Test",
                    )
                    .args(self.with_scope(&["test", "--doc"], &[])),
            );
        }
        if self.database() && self.survey.members.iter().any(|it| it.integration_tests) {
            let before = self.xtask(&[
                "with-services",
                &self.facts.database_service,
                "--",
                "cargo",
                "nextest",
                "run",
            ]);
            tasks.push(
                Task::new("test-integration", "base-cargo")
                    .says(
                        "Run the integration tests against a real PostgreSQL, and bring one",
                        "Test",
                    )
                    .needs(["setup-nextest-profile"])
                    .args(self.with_scope(
                        &before,
                        &[
                            "--profile",
                            "${NEXTEST_PROFILE}",
                            "--filterset",
                            "binary(integration)",
                        ],
                    )),
            );
        }
        TaskFile {
            path: TESTS.to_owned(),
            header: "Tests of the whole workspace, and what they stand on. A prerequisite that is missing fails:\nnothing here is skipped by a condition.",
            extend: Vec::new(),
            settings: String::new(),
            tasks,
            ..TaskFile::default()
        }
    }

    fn ci(&self) -> TaskFile {
        let mut tests = vec!["ci-test-rust".to_owned()];
        tests.extend(
            self.targets("test")
                .into_iter()
                .filter(|it| it != "test-rust"),
        );
        TaskFile {
            path: CI.to_owned(),
            header: "What CI jobs call: the same lines work at home.",
            extend: Vec::new(),
            settings: String::new(),
            tasks: vec![
                Task::new("ci-code-quality", "")
                    .says("Run all quality checks", "CI")
                    .needs(["format", "lint"]),
                Task::new("ci-report", "base-cargo")
                    .says("Sum up the JUnit reports", "CI")
                    .args(self.xtask(&["ci", "report", "${@}"])),
                Task::new("ci-flow", "")
                    .says("The whole of CI, one stage after the other", "CI")
                    .needs(
                        ["setup", "ci-code-quality", "build"]
                            .map(str::to_owned)
                            .into_iter()
                            .chain(tests)
                            .chain(["ci-report".to_owned()]),
                    ),
            ],
            ..TaskFile::default()
        }
    }

    /// The names of an action's tasks at the root, by target.
    fn targets(&self, action: &str) -> Vec<String> {
        let mut names = Vec::new();
        if rust_at_root(action) {
            names.push(format!("{action}-rust"));
        }
        names.extend(self.parts_at_root(action).map(|task| task.name));
        names
    }

    /// The root's tasks for parts in other languages: bodies for those in the root itself, the way
    /// there for the others.
    fn parts_at_root<'b>(&'b self, action: &'b str) -> impl Iterator<Item = Task> + 'b {
        let (text, category) = words_of(action);
        self.facts.parts.iter().flat_map(move |part| {
            let entries: Vec<&Entry> = part
                .entries
                .iter()
                .filter(|it| it.action == action)
                .collect();
            if !part.directory.is_empty() {
                // The directory's own action runs all that it stands for.
                let delegate = Task::new(format!("{action}-{}", part.target), "base-cargo")
                    .says(format!("{text}: {}", part.directory), category)
                    .within(&part.directory)
                    .args(["make", action]);
                return if entries.is_empty() {
                    Vec::new()
                } else {
                    vec![delegate]
                };
            }
            let tasks = entries.into_iter().map(|entry| {
                let mut task = self.entry(part, entry);
                let sub = if entry.sub.is_empty() {
                    String::new()
                } else {
                    format!("-{}", entry.sub)
                };
                task.name = format!("{action}-{}{sub}", part.target);
                task
            });
            tasks.collect()
        })
    }

    fn root(&self, shared: &[TaskFile]) -> TaskFile {
        let mut tasks = Vec::new();
        let several = !self.facts.parts.is_empty();
        for action in ACTIONS {
            let (text, category) = words_of(action);
            let rust = self.rust_action(action);
            if !several {
                tasks.extend(rust);
                continue;
            }
            let targets = self.targets(action);
            // The tests of Rust stand in a shared file, under the name of their language.
            if self.parts_at_root(action).next().is_none() && action != "test" {
                tasks.extend(rust);
                continue;
            }
            if action == "clean" {
                tasks.extend(rust);
            } else {
                let mut args = vec!["parallel"];
                // Only what reads alone runs side by side.
                if !matches!(action, "format" | "lint") {
                    args.extend(["--jobs", "1"]);
                }
                if action == "test" {
                    args.push("--keep-going");
                }
                let args = self.xtask(&args).into_iter().map(str::to_owned);
                tasks.push(
                    Task::new(action, "base-cargo")
                        .says(format!("{text}: every language"), category)
                        .args(args.chain(targets)),
                );
                tasks.extend(rust.map(|mut task| {
                    task.name = format!("{action}-rust");
                    task
                }));
                tasks.extend(self.parts_at_root(action));
            }
        }
        if self.database() {
            tasks.push(
                Task::new("setup-system", "base-cargo")
                    .says("Get a PostgreSQL, its database and the migrations", "Setup")
                    .args(self.xtask(&["setup-db"])),
            );
        }
        tasks.push(
            Task::new("setup-tools", "base-cargo")
                .says("Check every tool that the workspace needs", "Setup")
                .args(self.xtask(&["doctor", "${@}"])),
        );
        TaskFile {
            path: "Makefile.toml".to_owned(),
            header: "The root: delegates, and holds no logic. `cargo make --list-all-steps` shows what there is.",
            extend: [BASES.to_owned()]
                .into_iter()
                .chain(shared.iter().map(|it| it.path.clone()))
                .collect(),
            settings: String::new(),
            tasks,
            ..TaskFile::default()
        }
    }

    /// An action over all Rust crates; the tests are in the shared file.
    fn rust_action(&self, action: &str) -> Option<Task> {
        let (mut text, category) = words_of(action);
        if action == "setup" {
            // The same for one and for all.
            return Some(Task::new(action, rust_base(action)));
        }
        let args = match action {
            "build" => self.with_scope(&["build"], &[]),
            "build-release" => self.with_scope(&["build", "--release"], &[]),
            "clean" => self
                .xtask(&["clean-artifacts", "${@}"])
                .into_iter()
                .map(str::to_owned)
                .collect(),
            // At the root, cargo fmt means all members; `--all` would go on to path dependencies.
            "format" => ["fmt", "--", "--check"].map(str::to_owned).to_vec(),
            "format-fix" => vec!["fmt".to_owned()],
            "lint" => {
                text = "Run clippy; a warning is an error";
                self.with_scope(&["clippy"], &["--all-targets", "--", "-D", "warnings"])
            }
            "lint-fix" => {
                text = "Mend what clippy can mend";
                self.with_scope(
                    &["clippy"],
                    &["--all-targets", "--fix", "--allow-dirty", "--allow-staged"],
                )
            }
            "run" => {
                let package = self
                    .survey
                    .members
                    .iter()
                    .find(|it| it.directory.is_empty())?;
                (package.programs.len() == 1).then(|| {
                    ["run", "--package", &package.name, "--", "${@}"]
                        .map(str::to_owned)
                        .to_vec()
                })?
            }
            _ => return None,
        };
        Some(
            Task::new(action, "base-cargo")
                .says(text, category)
                .args(args),
        )
    }
}

/// Whether all Rust crates have this action at the root.
fn rust_at_root(action: &str) -> bool {
    !matches!(action, "test-integration" | "test-docs" | "run")
}

/// Tasks by the parts that they belong to, for `[make.needs]`.
pub(super) fn needs(facts: &Facts) -> BTreeMap<String, Vec<String>> {
    facts
        .parts
        .iter()
        .filter(|part| !part.tools.is_empty())
        .map(|part| {
            let names = part.tools.iter().map(|it| (*it).to_owned()).collect();
            (format!("*-{}*", part.target), names)
        })
        .collect()
}
