//! Parts in other languages: where they are, what they use, and what each action runs. Pure.
//!
//! Only what a part says of itself is taken: a formatter that its configuration names, a script that
//! its package has. What is not there gets no task.

use serde_json::Value;

use super::survey::Survey;
use super::{Kind, Note};

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Python,
    Ruby,
    TypeScript,
}

impl Language {
    /// In names of tasks and tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::Ruby => "ruby",
            Language::TypeScript => "typescript",
        }
    }

    /// For people.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Language::Python => "Python",
            Language::Ruby => "Ruby",
            Language::TypeScript => "TypeScript",
        }
    }
}

/// What an action runs in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) action: String,
    /// What it looks at, where the action has several: `types`.
    pub(super) sub: &'static str,
    /// Arguments of cargo; `{xtask}` is the alias.
    pub(super) args: Vec<String>,
}

impl Entry {
    /// The name of the base with this body.
    pub(super) fn base(&self, part: &Part) -> String {
        let sub = if self.sub.is_empty() {
            String::new()
        } else {
            format!("-{}", self.sub)
        };
        format!("base-{}-{}{sub}", part.language.word(), self.action)
    }

    /// What tells it from the others of its action in one directory.
    pub(super) fn suffix(&self, part: &Part, parts: usize) -> String {
        match (self.sub, parts) {
            ("", _) => part.language.word().to_owned(),
            (sub, 1) => sub.to_owned(),
            (sub, _) => format!("{}-{sub}", part.language.word()),
        }
    }
}

/// A directory with a package of another language.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) language: Language,
    /// Relative to the root; empty for the root itself.
    pub(super) directory: String,
    /// Its name in tasks and tables: the language, and the directory where there are several.
    pub(super) target: String,
    /// Tools of `[tools]` that it needs.
    pub(super) tools: Vec<&'static str>,
    pub(super) entries: Vec<Entry>,
    /// `[setup.TARGET]`: inputs, outputs, commands.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<&'static str>,
    pub(super) setup: Vec<Vec<String>>,
    /// Build products: paths below it, and names of directories and files.
    pub(super) products: Vec<&'static str>,
    pub(super) product_directories: Vec<&'static str>,
    /// The JUnit report that its tests write, relative to the root.
    pub(super) junit: Option<String>,
}

impl Part {
    fn new(language: Language, directory: &str, tools: &[&'static str]) -> Part {
        Part {
            language,
            directory: directory.to_owned(),
            target: language.word().to_owned(),
            tools: tools.to_vec(),
            entries: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            setup: Vec::new(),
            products: Vec::new(),
            product_directories: Vec::new(),
            junit: None,
        }
    }

    /// Runs a program in the workspace's environment, found by its suffix on every system.
    fn runs(&mut self, action: &str, sub: &'static str, words: &[&str]) {
        let args = ["{xtask}", "exec", "--"].iter().chain(words);
        self.entries.push(Entry {
            action: action.to_owned(),
            sub,
            args: args.map(|it| (*it).to_owned()).collect(),
        });
    }

    /// A subcommand of ours that takes the part's name.
    fn calls(&mut self, action: &str, command: &str) {
        self.entries.push(Entry {
            action: action.to_owned(),
            sub: "",
            args: vec![
                "{xtask}".to_owned(),
                command.to_owned(),
                self.target.clone(),
            ],
        });
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}

/// A file's path in a directory.
fn below(directory: &str, file: &str) -> String {
    if directory.is_empty() {
        file.to_owned()
    } else {
        format!("{directory}/{file}")
    }
}

/// The directories that hold a file of this name.
fn directories_of<'a>(survey: &'a Survey, file: &'a str) -> impl Iterator<Item = &'a str> {
    survey.names.iter().filter_map(move |path| {
        let directory = path.strip_suffix(file)?;
        match directory {
            "" => Some(""),
            _ => directory.strip_suffix('/'),
        }
    })
}

/// All parts, by language and directory, each with its target.
pub(super) fn find(survey: &Survey, notes: &mut Vec<Note>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut python: Vec<&str> = ["pyproject.toml", "setup.py", "requirements.txt"]
        .iter()
        .flat_map(|file| directories_of(survey, file))
        .collect();
    python.sort_unstable();
    python.dedup();
    for directory in outermost(&python) {
        parts.push(self::python(survey, directory));
    }
    let ruby: Vec<&str> = directories_of(survey, "Gemfile").collect();
    for directory in outermost(&ruby) {
        parts.push(self::ruby(survey, directory));
    }
    let node: Vec<&str> = directories_of(survey, "package.json").collect();
    for directory in outermost(&node) {
        match typescript(survey, directory) {
            Ok(part) => parts.push(part),
            Err(message) => notes.push(Note::new(
                Kind::Left,
                &below(directory, "package.json"),
                0,
                message,
            )),
        }
    }
    name(&mut parts);
    for part in &mut parts {
        if !part.setup.is_empty() {
            part.calls("setup", "setup");
        }
        if !part.products.is_empty() || !part.product_directories.is_empty() {
            part.calls("clean", "clean-artifacts");
        }
        let file = below(&part.directory, "");
        let actions: Vec<&str> = part.entries.iter().map(|it| it.action.as_str()).collect();
        let what = if actions.is_empty() {
            "no known tool or script, so no task".to_owned()
        } else {
            actions.join(", ")
        };
        notes.push(Note::new(
            Kind::Found,
            if file.is_empty() {
                "."
            } else {
                file.trim_end_matches('/')
            },
            0,
            format!("a {} part: {what}", part.language.shown()),
        ));
    }
    parts.retain(|part| !part.entries.is_empty());
    parts
}

/// What lies inside of another one belongs to it: a package of its workspace, an example.
fn outermost<'a>(directories: &[&'a str]) -> Vec<&'a str> {
    let inside = |directory: &&&str| {
        !directories.iter().copied().any(|outer| {
            **directory != outer
                && (outer.is_empty()
                    || directory
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.starts_with('/')))
        })
    };
    directories.iter().filter(inside).copied().collect()
}

fn name(parts: &mut [Part]) {
    for at in 0..parts.len() {
        let language = parts[at].language;
        let several = parts.iter().filter(|it| it.language == language).count() > 1;
        if several {
            let directory = parts[at].directory.replace(['/', '.', ' '], "-");
            parts[at].target = format!("{}-{directory}", language.word());
        }
    }
}

fn python(survey: &Survey, directory: &str) -> Part {
    let mut part = Part::new(Language::Python, directory, &["uv"]);
    let has = |file: &str| survey.names.contains(&below(directory, file));
    let text_of = |file: &str| {
        survey
            .files
            .get(&below(directory, file))
            .map_or("", String::as_str)
    };
    let requirements: Vec<String> = survey
        .names
        .iter()
        .filter_map(|path| path.strip_prefix(&below(directory, "")))
        .filter(|file| {
            file.starts_with("requirements") && file.ends_with(".txt") && !file.contains('/')
        })
        .map(str::to_owned)
        .collect();
    let project = text_of("pyproject.toml");
    let all: String = requirements
        .iter()
        .map(|it| text_of(it))
        .chain([project])
        .collect();
    let uses = |tool: &str| {
        all.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'))
            .any(|word| word == tool)
    };
    let managed = project.contains("[project]");
    part.inputs = if managed {
        let lock = has("uv.lock").then(|| "uv.lock".to_owned());
        ["pyproject.toml".to_owned()]
            .into_iter()
            .chain(lock)
            .collect()
    } else {
        requirements
    };
    if managed {
        let mut sync = vec!["uv", "sync", "--quiet"];
        if has("uv.lock") {
            sync.push("--locked");
        }
        part.setup = vec![owned(&sync)];
    } else if !part.inputs.is_empty() {
        let mut install = owned(&["uv", "pip", "install", "--quiet"]);
        for file in &part.inputs {
            install.extend(["--requirement".to_owned(), file.clone()]);
        }
        part.setup = vec![
            owned(&["uv", "venv", "--quiet", "--allow-existing"]),
            install,
        ];
    }
    if !part.setup.is_empty() {
        part.outputs = vec![".venv"];
    }
    let run = [
        "uv",
        "run",
        if managed { "--no-sync" } else { "--no-project" },
    ];
    let mut runs = |action: &str, sub, words: &[&str]| {
        part.runs(action, sub, &[&run[..], words].concat());
    };
    if uses("maturin") {
        runs("build", "", &["maturin", "develop", "--uv"]);
        runs(
            "build-release",
            "",
            &["maturin", "develop", "--uv", "--release"],
        );
    }
    if uses("ruff") || has("ruff.toml") || has(".ruff.toml") {
        runs("format", "", &["ruff", "format", "--check"]);
        runs("format-fix", "", &["ruff", "format"]);
        runs("lint", "", &["ruff", "check"]);
        runs("lint-fix", "", &["ruff", "check", "--fix"]);
    } else {
        if uses("black") {
            runs("format", "", &["black", "--check", "."]);
            runs("format-fix", "", &["black", "."]);
        }
        if uses("flake8") {
            runs("lint", "", &["flake8"]);
        }
    }
    if uses("mypy") {
        runs("lint", "types", &["mypy", "."]);
    }
    if uses("pytest") {
        let up = match directory {
            "" => String::new(),
            _ => "../".repeat(directory.split('/').count()),
        };
        let report = match directory {
            "" => "target/junit/python.xml".to_owned(),
            _ => format!("target/junit/python-{}.xml", directory.replace('/', "-")),
        };
        runs(
            "test",
            "",
            &["pytest", "--junitxml", &format!("{up}{report}")],
        );
        part.junit = Some(report);
    }
    part.products = vec![".venv"];
    part.product_directories = vec!["__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"];
    part
}

fn ruby(survey: &Survey, directory: &str) -> Part {
    let mut part = Part::new(Language::Ruby, directory, &["ruby", "bundle"]);
    let has = |file: &str| survey.names.contains(&below(directory, file));
    let within = |prefix: &str| {
        let prefix = below(directory, prefix);
        survey.names.iter().any(|path| path.starts_with(&prefix))
    };
    let gemfile = survey
        .files
        .get(&below(directory, "Gemfile"))
        .map_or("", String::as_str);
    part.inputs = vec!["Gemfile".to_owned()];
    let specs = survey
        .names
        .iter()
        .filter_map(|path| path.strip_prefix(&below(directory, "")))
        .filter(|file| file.ends_with(".gemspec") && !file.contains('/'));
    part.inputs.extend(specs.map(str::to_owned));
    part.outputs = vec!["Gemfile.lock"];
    part.setup = vec![owned(&["bundle", "install", "--quiet"])];
    if gemfile.contains("rubocop") || has(".rubocop.yml") {
        let rubocop = ["bundle", "exec", "rubocop"];
        part.runs(
            "format",
            "",
            &[&rubocop[..], &["--only", "Layout"]].concat(),
        );
        part.runs(
            "format-fix",
            "",
            &[&rubocop[..], &["--only", "Layout", "--autocorrect"]].concat(),
        );
        part.runs("lint", "", &rubocop);
        part.runs("lint-fix", "", &[&rubocop[..], &["--autocorrect"]].concat());
    }
    if within("spec/") {
        part.runs("test", "", &["bundle", "exec", "rspec"]);
    } else if within("test/") && has("Rakefile") {
        part.runs("test", "", &["bundle", "exec", "rake", "test"]);
    }
    part.products = vec![".bundle", "pkg"];
    part
}

/// The scripts of a package that each action may be, the first that is there.
const SCRIPTS: [(&str, &str, &[&str]); 9] = [
    ("build", "", &["build"]),
    (
        "format",
        "",
        &[
            "format:check",
            "check:format",
            "format-check",
            "fmt:check",
            "prettier:check",
        ],
    ),
    (
        "format-fix",
        "",
        &[
            "format:fix",
            "format:write",
            "fix:format",
            "format",
            "fmt",
            "prettier",
        ],
    ),
    ("lint", "", &["lint"]),
    (
        "lint",
        "types",
        &["typecheck", "type-check", "check-types", "types", "tsc"],
    ),
    ("lint-fix", "", &["lint:fix", "lint-fix", "fix:lint"]),
    ("test", "", &["test:unit", "test"]),
    ("test-e2e", "", &["test:e2e"]),
    ("run", "", &["start"]),
];

fn typescript(survey: &Survey, directory: &str) -> Result<Part, String> {
    let text = survey
        .files
        .get(&below(directory, "package.json"))
        .map_or("", String::as_str);
    let package: Value = serde_json::from_str(text)
        .map_err(|error| format!("is no JSON, so the part is left out: {error}"))?;
    let has = |file: &str| survey.names.contains(&below(directory, file));
    let (manager, lock, install): (&'static str, &str, &[&'static str]) = if has("pnpm-lock.yaml") {
        (
            "pnpm",
            "pnpm-lock.yaml",
            &["pnpm", "install", "--frozen-lockfile"],
        )
    } else if has("yarn.lock") {
        (
            "yarn",
            "yarn.lock",
            &["yarn", "install", "--frozen-lockfile"],
        )
    } else if has("bun.lock") {
        ("bun", "bun.lock", &["bun", "install", "--frozen-lockfile"])
    } else if has("bun.lockb") {
        ("bun", "bun.lockb", &["bun", "install", "--frozen-lockfile"])
    } else if has("package-lock.json") {
        (
            "npm",
            "package-lock.json",
            &["npm", "ci", "--no-audit", "--no-fund"],
        )
    } else {
        ("npm", "", &["npm", "install", "--no-audit", "--no-fund"])
    };
    let mut part = Part::new(Language::TypeScript, directory, &["node", manager]);
    if manager == "bun" {
        part.tools = vec!["bun"];
    }
    let depends = ["dependencies", "devDependencies", "workspaces"]
        .iter()
        .any(|key| {
            package
                .get(key)
                .is_some_and(|it| it.as_object().is_none_or(|it| !it.is_empty()))
        });
    if depends {
        part.inputs = vec!["package.json".to_owned()];
        if !lock.is_empty() {
            part.inputs.push(lock.to_owned());
        }
        part.outputs = vec!["node_modules"];
        part.setup = vec![owned(install)];
        part.products = vec!["node_modules"];
    }
    let script = |name: &str| {
        package
            .pointer(&format!("/scripts/{name}"))
            .and_then(Value::as_str)
    };
    for (action, sub, names) in SCRIPTS {
        let found = names.iter().find_map(|name| Some((name, script(name)?)));
        let Some((name, body)) = found else { continue };
        // What `npm init` writes is no test.
        if body.contains("no test specified") {
            continue;
        }
        // `format` in a name says nothing of whether it writes.
        let checks = body.contains("--check") || body.contains("-l ") || body.contains("--ci");
        let action = if action == "format-fix" && *name == "format" && checks {
            "format"
        } else {
            action
        };
        if part
            .entries
            .iter()
            .any(|it| it.action == action && it.sub == sub)
        {
            continue;
        }
        part.runs(action, sub, &[manager, "run", name]);
    }
    Ok(part)
}
