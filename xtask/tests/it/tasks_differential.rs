//! Our model of task files against the real cargo-make: what it merges (its own debug words say so),
//! and the steps that it plans, over trees of files that are written by hand, one for each piece of its
//! semantics, and generated ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value as Json, json};
use xtask::makefile::{Loader, Makefile, Options, ProblemKind, Step, Task, Unplanned};

mod cases;
mod debug;
mod generate;

/// A tree of files; `=== PATH` begins each (`=== LINK -> TARGET` is a symbolic link). The task file is `Makefile.toml`, or the one in `directory`.
pub(super) struct Tree {
    name: String,
    files: String,
    directory: &'static str,
    /// A file that lies under the task file: `CARGO_MAKE_WORKSPACE_MAKEFILE`.
    under: Option<&'static str>,
    expected: Expected,
}

/// What both must say of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    /// Each task's body is the same.
    Same,
    /// Neither reads the files.
    Refused(ProblemKind),
    /// The files are read, but there is no plan for `task`.
    NoPlan(&'static str),
}

/// The task that depends on all others, so that one plan shows every body, of private ones too.
const ALL: &str = "zz-all";

fn cargo_make(directory: &Path, under: Option<&Path>, args: &[&str]) -> (bool, String, String) {
    let mut command = crate::support::cargo();
    command
        .args(["make", "--disable-check-for-updates"])
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null());
    // Nothing of a cargo-make that may run this test.
    crate::support::clear_env(&mut command);
    if let Some(under) = under {
        command.env("CARGO_MAKE_WORKSPACE_MAKEFILE", under);
    }
    // Of its own: the scripts that two of them write at once might have one name.
    for name in ["TMPDIR", "TEMP", "TMP"] {
        command.env(name, directory);
    }
    let output = command.output().expect("cargo starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        !err.contains("no such command"),
        "cargo-make is missing (`cargo xtask make build` installs it): {err}"
    );
    (output.status.success(), out, err)
}

impl Tree {
    fn write(&self, root: &Path) -> PathBuf {
        let mut file = None;
        let mut contents: BTreeMap<String, String> = BTreeMap::new();
        for line in self.files.lines() {
            if let Some(path) = line.strip_prefix("=== ") {
                file = Some(path.trim().to_owned());
                contents.entry(path.trim().to_owned()).or_default();
            } else if let Some(file) = &file {
                let content = contents.entry(file.clone()).or_default();
                content.push_str(line);
                content.push('\n');
            }
        }
        let below = |path: &str| {
            let parts = path.split('/');
            parts.fold(root.to_path_buf(), |at, it| at.join(it))
        };
        for (path, content) in &contents {
            #[cfg(unix)]
            if let Some((link, target)) = path.split_once(" -> ") {
                std::os::unix::fs::symlink(target, below(link)).unwrap();
                continue;
            }
            let path = below(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root.join(self.directory)
    }

    /// What differs, if something does.
    fn compare(&self) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let here = self.write(&root);
        let under = self.under.map(|file| root.join(file));
        let options = || Options {
            process_env: ["PATH".to_owned()].into(),
            workspace_makefile: under.clone(),
            ..Options::default()
        };
        let load = || Loader::new(&root, options()).load(&here);
        match (self.expected, load()) {
            (Expected::Refused(kind), Err(problem)) if problem.kind == kind => {
                let (done, out, err) = cargo_make(&here, None, &["--print-steps", "empty"]);
                return if done {
                    Err(format!("cargo-make takes it:\n{out}{err}"))
                } else {
                    Ok(())
                };
            }
            (Expected::Refused(_), result) => {
                return Err(format!("not refused as it should be: {result:?}"));
            }
            (_, Err(problem)) => return Err(format!("refused: {problem}")),
            (Expected::NoPlan(task), Ok(makefile)) => {
                let plan = makefile.plan(task);
                let (done, out, err) = cargo_make(
                    &here,
                    under.as_deref(),
                    &["--print-steps", "--no-workspace", task],
                );
                return match plan {
                    Err(_) if !done => Ok(()),
                    plan => Err(format!("we: {plan:?}\ncargo-make: {done}\n{out}{err}")),
                };
            }
            (Expected::Same, Ok(makefile)) => add_all(&here, &makefile),
        }
        let makefile = load().map_err(|problem| format!("with `{ALL}`: {problem}"))?;
        let (done, out, err) = cargo_make(
            &here,
            under.as_deref(),
            &[
                "--loglevel",
                "verbose",
                "--print-steps",
                "--no-workspace",
                ALL,
            ],
        );
        if !done {
            return Err(format!("cargo-make fails: {err}\n{}", tail(&out)));
        }
        if !makefile.core_tasks || makefile.config.contains_key("modify_core_tasks") {
            let merged = debug::after(&out, "Loaded merged config: ")?;
            differ("merged", &our_config(&makefile), &merged)?;
        } else {
            let (done, listed, err) = cargo_make(
                &here,
                under.as_deref(),
                &["--loglevel", "error", "--list-all-steps"],
            );
            if !done {
                return Err(format!("cargo-make does not list: {err}"));
            }
            let ours = our_list(&makefile);
            if ours != listed {
                return Err(format!("list: we\n{ours}\ncargo-make\n{listed}"));
            }
        }
        let plan = debug::after(&out, "\nExecutionPlan ").map_err(|it| it + &tail(&out))?;
        let steps = makefile.plan(ALL).map_err(|it| it.to_string())?;
        let ours = json!({ "steps": steps.iter().map(our_step).collect::<Vec<_>>() });
        differ("plan", &ours, &plan)
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Adds the task that depends on all others, those of cargo-make itself too where they are few or named.
fn add_all(directory: &Path, makefile: &Makefile) {
    let names: Vec<String> = makefile
        .tasks
        .keys()
        .map(|name| format!("{:?}", &**name))
        .collect();
    let path = directory.join("Makefile.toml");
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    text.push_str(&format!(
        "\n[tasks.{ALL}]\ndependencies = [{}]\n",
        names.join(", ")
    ));
    std::fs::write(path, text).unwrap();
}

/// The first path at which two values differ.
fn differ(path: &str, ours: &Json, theirs: &Json) -> Result<(), String> {
    match (ours, theirs) {
        // Scripts and addresses of cargo-make's own tasks are not in our copy of them.
        (Json::String(cut), Json::String(_)) if cut == "…" => Ok(()),
        (Json::Array(cut), Json::Array(_)) if *cut == [json!("…")] => Ok(()),
        (Json::Object(a), Json::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(&path, a, b)?,
                    (a, b) => return Err(format!("{path}: we {a:?}, cargo-make {b:?}")),
                }
            }
            Ok(())
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .try_for_each(|(n, (a, b))| differ(&format!("{path}[{n}]"), a, b)),
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!("{path}:\n  we         {a}\n  cargo-make {b}")),
    }
}

/// A value as cargo-make's types hold it: `test_arg` is always a list.
fn normal(value: &Json) -> Json {
    match value {
        Json::Array(all) => all.iter().map(normal).collect(),
        Json::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("test_arg", Json::String(_)) => json!([value]),
                    ("unstable_features", _) => json!(["CtrlCHandling"]),
                    _ => normal(value),
                };
                (key.clone(), value)
            })
            .collect(),
        other => other.clone(),
    }
}

fn our_task(task: &Task) -> Json {
    let mut fields: Map<String, Json> = task
        .fields
        .iter()
        .map(|(name, field)| (name.to_owned(), normal(&field.value.to_json())))
        .collect();
    if let Some(source) = &task.located {
        let path = source.path.canonicalize().unwrap();
        let env = fields.entry("env").or_insert_with(|| json!({}));
        let env = env.as_object_mut().unwrap();
        let text = |path: &Path| Json::from(path.display().to_string());
        env.insert(
            "CARGO_MAKE_CURRENT_TASK_INITIAL_MAKEFILE".into(),
            text(&path),
        );
        env.insert(
            "CARGO_MAKE_CURRENT_TASK_INITIAL_MAKEFILE_DIRECTORY".into(),
            text(path.parent().unwrap()),
        );
    }
    Json::Object(fields)
}

fn our_step(step: &Step) -> Json {
    let config = match (&step.task, &step.path) {
        (Some(task), _) => our_task(task),
        (None, path) => {
            let task = step.name.strip_suffix("_proxy").unwrap();
            json!({ "cwd": path, "command": "cargo", "args": [
                "make", "--disable-check-for-updates", "--no-on-error", "--loglevel=verbose",
                "--profile=development", "--allow-private", "--makefile", "Makefile.toml", task,
            ] })
        }
    };
    json!({ "name": step.name, "config": config })
}

fn our_config(makefile: &Makefile) -> Json {
    let map = |fields: &BTreeMap<std::sync::Arc<str>, xtask::makefile::Field>| {
        let pairs = fields.iter();
        pairs
            .map(|(name, field)| (name.to_string(), field.value.to_json()))
            .collect::<Map<String, Json>>()
    };
    let env_files: Vec<Json> = makefile
        .env_files
        .iter()
        .map(|field| {
            let base = field.source.path.canonicalize().unwrap();
            let base = base.parent().unwrap().display().to_string();
            match field.value.to_json() {
                Json::Object(mut info) => {
                    info.entry("base_path").or_insert(base.into());
                    Json::Object(info)
                }
                path => json!({ "path": path, "base_path": base }),
            }
        })
        .collect();
    let scripts: Vec<Json> = makefile
        .env_scripts
        .iter()
        .map(|field| field.value.to_json())
        .collect();
    let tasks: Map<String, Json> = makefile
        .tasks
        .iter()
        .map(|(name, task)| (name.to_string(), our_task(task)))
        .collect();
    let mut config = json!({
        "config": normal(&Json::Object(map(&makefile.config))),
        "env_files": env_files,
        "env": map(&makefile.env),
        "env_scripts": scripts,
        "tasks": tasks,
    });
    if !makefile.plugins.is_empty() || !makefile.plugin_aliases.is_empty() {
        let mut plugins = json!({ "plugins": map(&makefile.plugins) });
        if !makefile.plugin_aliases.is_empty() {
            plugins["aliases"] = Json::Object(map(&makefile.plugin_aliases));
        }
        config["plugins"] = plugins;
    }
    config
}

/// `cargo make --list-all-steps`, from our model.
fn our_list(makefile: &Makefile) -> String {
    type Listed = BTreeMap<String, (String, Vec<String>)>;
    let mut categories: BTreeMap<String, Listed> = BTreeMap::new();
    for name in makefile.tasks.keys() {
        let task = makefile.resolve(name).unwrap();
        if task.is_private() {
            continue;
        }
        let category = task.category().unwrap_or("No Category").to_owned();
        let listed = categories.entry(category).or_default();
        let entry = listed.entry(task.name.to_string()).or_default();
        if *task.name != **name {
            entry.1.push(name.to_string());
            continue;
        }
        let mut text = task.description().unwrap_or("No Description.").to_owned();
        if let Some(field) = task.get("deprecated") {
            match (field.value.as_bool(), field.value.as_str()) {
                (Some(true), _) => text.push_str(" (deprecated)"),
                (_, Some(message)) => text.push_str(&format!(" (deprecated - {message})")),
                _ => {}
            }
        }
        entry.0 = text;
    }
    let mut list = String::new();
    for (category, tasks) in categories {
        list.push_str(&format!("{category}\n----------\n"));
        for (name, (text, aliases)) in tasks {
            let aliases = match aliases.as_slice() {
                [] => String::new(),
                names => format!(" [aliases: {}]", names.join(", ")),
            };
            list.push_str(&format!("{name} - {text}{aliases}\n"));
        }
        list.push('\n');
    }
    list
}

/// Compares trees, as many at a time as there are processors.
fn all_agree(trees: &[Tree]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(tree) = trees.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = tree.compare() {
                        let files = &tree.files;
                        let all = format!("--- {}\n{why}\n--- files\n{files}", tree.name);
                        wrong.lock().unwrap().push(all);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} trees differ:\n{}",
        wrong.len(),
        trees.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_piece_of_the_semantics_is_as_in_cargo_make() {
    let trees = cases::trees();
    assert!(trees.len() >= 60, "{} trees", trees.len());
    all_agree(&trees);
}

#[test]
fn generated_trees_are_as_in_cargo_make() {
    let trees: Vec<Tree> = (0..40).map(generate::tree).collect();
    all_agree(&trees);
}

/// The trees are worth something only if a difference is seen.
#[test]
fn a_difference_is_seen() {
    let task = |text: &str| {
        debug::parse(&format!(
            "Task {{ command: Some(\"a\"), args: Some([\"{text}\"]), env: None }}"
        ))
        .unwrap()
    };
    let ours = json!({ "command": "a", "args": ["x"] });
    assert_eq!(differ("t", &ours, &task("x")), Ok(()));
    assert!(
        differ("t", &ours, &task("y"))
            .unwrap_err()
            .contains("t.args[0]")
    );
    assert!(differ("t", &json!({ "command": "a" }), &task("x")).is_err());
}

/// On these cargo-make itself ends with a stack overflow: we say what is wrong.
#[test]
fn circles_that_crash_cargo_make_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("Makefile.toml"),
        "[config]\nskip_core_tasks = true\n\
         [tasks]\na = { dependencies = ['b'] }\nb = { dependencies = ['a'] }\n\
         x = { extend = 'y' }\ny = { extend = 'x' }\n",
    )
    .unwrap();
    let makefile = Loader::new(dir.path(), Options::default())
        .load(dir.path())
        .unwrap();
    let cycle = makefile.plan("a").unwrap_err();
    assert_eq!(
        cycle,
        Unplanned::Cycle(vec!["a".into(), "b".into(), "a".into()])
    );
    let cycle = makefile.plan("x").unwrap_err().to_string();
    assert_eq!(cycle, "`extend` leads in a circle: x -> y -> x");
}
