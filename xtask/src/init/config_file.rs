//! `.config/xtask.toml`: what was found, as the facts of the workspace. Pure.
//!
//! A password is never copied: of a database's URL only its name and role are.

use std::fmt::Write as _;

use super::compose::{self, Port};
use super::parts::{self, Part};
use super::taskfile::quoted;
use super::{Kind, Note, Options, Plan, Survey, tasks};
use crate::config;
use crate::env_file;
use crate::error::Fault;
use crate::nextest_config;
use crate::postgres::url::DbUrl;

/// The compose files that are looked for, the first that is there.
const COMPOSE: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];
/// Dotenv files that show what there is to set, and no profile's.
const EXAMPLES: [&str; 5] = [".example", ".sample", ".template", ".dist", ".local"];

/// A database.
#[derive(Clone, Debug)]
pub(super) struct Database {
    name: String,
    role: String,
    variable: String,
    pgmq: bool,
    migrations: Option<String>,
}

/// A service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    name: String,
    kind: &'static str,
    port: Option<Port>,
    health: Option<String>,
    depends_on: Vec<String>,
    /// How it is built and run; empty for PostgreSQL, which we bring.
    build: Vec<String>,
    command: Vec<String>,
    owns_port: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) parts: Vec<Part>,
    pub(super) services: Vec<Service>,
    pub(super) database: Option<Database>,
    /// The name of the service that is the database.
    pub(super) database_service: String,
    /// The directory of the new crate.
    pub(super) crate_directory: String,
    profiles: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn find(survey: &Survey, options: &Options, plan: &mut Plan) -> Facts {
        let mut facts = Facts {
            parts: parts::find(survey, &mut plan.notes),
            services: Vec::new(),
            database: None,
            database_service: "postgres".to_owned(),
            crate_directory: options.name.clone(),
            profiles: Vec::new(),
        };
        facts.read_env(survey, &mut plan.notes);
        facts.read_compose(survey, &mut plan.notes);
        if let Some(database) = &mut facts.database {
            database.pgmq |= survey
                .files
                .iter()
                .any(|(path, text)| path.ends_with("Cargo.toml") && mentions(text, "pgmq"));
            database.migrations = migrations(survey);
            if options.database_crate.is_none() {
                plan.note(
                    Kind::Left,
                    super::CONFIG,
                    0,
                    "`setup-db` builds the crate `xtask-db`, which is found beside the library where that is a directory: \
                     name it in `[database] xtask_db`",
                );
            }
            if !facts.services.iter().any(|it| it.kind == "postgres") {
                let service = Service::new(&facts.database_service, "postgres");
                facts.services.insert(0, service);
            }
        }
        facts.read_ports(survey, &mut plan.notes);
        facts
    }

    /// The database by its URL, and the profiles that have a file.
    fn read_env(&mut self, survey: &Survey, notes: &mut Vec<Note>) {
        let files = survey
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(".env"));
        for (path, text) in files {
            let assignments = match env_file::parse(text) {
                Ok(assignments) => assignments,
                Err(error) => {
                    notes.push(Note::new(
                        Kind::Left,
                        path,
                        error.line,
                        "is no dotenv file as it is read here",
                    ));
                    continue;
                }
            };
            let suffix = path.trim_start_matches(".env");
            if !suffix.is_empty() && !EXAMPLES.contains(&suffix) {
                let profile = suffix.trim_start_matches('.').to_owned();
                notes.push(Note::new(
                    Kind::Found,
                    path,
                    0,
                    format!("the profile `{profile}`"),
                ));
                self.profiles.push((profile, path.clone()));
            }
            for (name, line) in assignments.iter().map(|it| (it.name.as_str(), it.line)) {
                let url = env_file::get(text, name)
                    .filter(|it| it.starts_with("postgres"))
                    .and_then(|it| DbUrl::parse(&it).ok());
                let Some(url) = url
                    .filter(|_| name.ends_with("DATABASE_URL") || name.ends_with("POSTGRES_URL"))
                else {
                    continue;
                };
                if self
                    .database
                    .as_ref()
                    .is_some_and(|it| it.variable == "DATABASE_URL" || name != "DATABASE_URL")
                {
                    continue;
                }
                notes.push(Note::new(
                    Kind::Found,
                    path,
                    line,
                    format!("the database `{}` of `{}` ({name})", url.database, url.user),
                ));
                self.database = Some(Database {
                    name: url.database,
                    role: url.user,
                    variable: name.to_owned(),
                    pgmq: false,
                    migrations: None,
                });
            }
        }
    }

    fn read_compose(&mut self, survey: &Survey, notes: &mut Vec<Note>) {
        let Some((file, text)) = COMPOSE
            .iter()
            .find_map(|it| Some((*it, survey.files.get(*it)?)))
        else {
            return;
        };
        let found = match compose::services(text) {
            Ok(found) => found,
            Err((line, why)) => {
                notes.push(Note::new(
                    Kind::Left,
                    file,
                    line,
                    format!("not understood, so no service was taken from it: {why}"),
                ));
                return;
            }
        };
        for it in &found {
            if !it.known {
                notes.push(Note::new(
                    Kind::Left,
                    file,
                    it.line,
                    format!("service `{}` has an alias, a merge, a tag or a range of ports, which are not read here", it.name),
                ));
            }
            let image = it.image.as_deref().unwrap_or("");
            let postgres = [
                "postgres",
                "postgis",
                "pgvector",
                "timescale",
                "pgmq",
                "pg1",
            ]
            .iter()
            .any(|word| image.contains(word));
            if postgres {
                self.postgres(it, image, file, notes);
                continue;
            }
            let Some(port) = it.ports.first() else {
                notes.push(Note::new(
                    Kind::Left,
                    file,
                    it.line,
                    format!(
                        "service `{}` publishes no port that is known, so it cannot be probed",
                        it.name
                    ),
                ));
                continue;
            };
            notes.push(Note::new(
                Kind::Found,
                file,
                it.line,
                format!("the service `{}` on port {}", it.name, port.published),
            ));
            self.services.push(Service {
                port: Some(port.clone()),
                health: it.health.clone(),
                depends_on: it.depends_on.clone(),
                command: [
                    "docker",
                    "compose",
                    "--file",
                    file,
                    "up",
                    "--no-deps",
                    &it.name,
                ]
                .map(str::to_owned)
                .to_vec(),
                owns_port: false,
                ..Service::new(&it.name, if it.health.is_some() { "http" } else { "tcp" })
            });
        }
        let names: Vec<String> = self.services.iter().map(|it| it.name.clone()).collect();
        for service in &mut self.services {
            service.depends_on.retain(|it| names.contains(it));
        }
    }

    fn postgres(&mut self, it: &compose::Service, image: &str, file: &str, notes: &mut Vec<Note>) {
        if self.services.iter().any(|it| it.kind == "postgres") {
            notes.push(Note::new(
                Kind::Left,
                file,
                it.line,
                format!(
                    "service `{}` is a second PostgreSQL, and a workspace has one database",
                    it.name
                ),
            ));
            return;
        }
        let literal = |name: &str| {
            let found = it
                .environment
                .iter()
                .find(|(key, value)| key == name && !value.contains('$'));
            found.map(|it| it.1.clone())
        };
        let role = literal("POSTGRES_USER").unwrap_or_else(|| "postgres".to_owned());
        let name = literal("POSTGRES_DB").unwrap_or_else(|| role.clone());
        notes.push(Note::new(
            Kind::Found,
            file,
            it.line,
            format!("a PostgreSQL, `{}`", it.name),
        ));
        self.database_service.clone_from(&it.name);
        let database = self.database.get_or_insert_with(|| Database {
            name,
            role,
            variable: "DATABASE_URL".to_owned(),
            pgmq: false,
            migrations: None,
        });
        database.pgmq |= image.contains("pgmq");
        self.services.insert(0, Service::new(&it.name, "postgres"));
    }

    /// `API_PORT=8080` beside a program called `api`: a service.
    fn read_ports(&mut self, survey: &Survey, notes: &mut Vec<Note>) {
        let programs: Vec<(&str, &str)> = survey
            .members
            .iter()
            .flat_map(|it| {
                it.programs
                    .iter()
                    .map(|program| (it.name.as_str(), program.as_str()))
            })
            .collect();
        let files: Vec<(&String, &String)> = survey
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(".env"))
            .collect();
        for (path, text) in files {
            for assignment in env_file::parse(text).unwrap_or_default() {
                let name = assignment.name.as_str();
                let Some(stem) = name.strip_suffix("PORT") else {
                    continue;
                };
                let Some(port) = env_file::get(text, name).and_then(|it| it.parse().ok()) else {
                    continue;
                };
                let word = stem.trim_end_matches('_').to_lowercase().replace('_', "-");
                let named = |program: &&(&str, &str)| program.1.replace('_', "-") == word;
                let only = word.is_empty() && programs.len() == 1;
                let found = programs
                    .iter()
                    .find(named)
                    .or(programs.first().filter(|_| only));
                let Some((package, program)) = found else {
                    continue;
                };
                if self.services.iter().any(|it| it.name == *program) {
                    continue;
                }
                notes.push(Note::new(
                    Kind::Found,
                    path,
                    assignment.line,
                    format!("the service `{program}` on port {port} ({name})"),
                ));
                let depends_on = self
                    .database
                    .iter()
                    .map(|_| self.database_service.clone())
                    .collect();
                self.services.push(Service {
                    port: Some(Port {
                        published: port,
                        variable: Some(name.to_owned()),
                        target: port,
                    }),
                    depends_on,
                    build: ["cargo", "build", "--package", package]
                        .map(str::to_owned)
                        .to_vec(),
                    command: vec![format!("{{target}}/{{profile}}/{program}")],
                    ..Service::new(program, "tcp")
                });
            }
        }
    }

    /// The text of the file.
    pub(super) fn render(&self, survey: &Survey, options: &Options) -> String {
        let mut text = format!(
            "{MARK}{} init` filled it in once, and it is yours now.\n\n\
             [workspace]\nname = {}\n\n[env.defaults]\nRUST_BACKTRACE = \"1\"\n\n\
             [env.ci]\nCARGO_INCREMENTAL = \"0\"\nCARGO_TERM_COLOR = \"always\"\n",
            options.name,
            quoted(&survey.name)
        );
        if !self.profiles.is_empty() {
            text.push_str("\n[env.profiles]\n");
            for (profile, file) in &self.profiles {
                let _ = writeln!(text, "{} = [{}]", key(profile), quoted(file));
            }
        }
        if let Some(database) = &self.database {
            database.render(options, &mut text);
        }
        for service in &self.services {
            service.render(&mut text);
        }
        for part in &self.parts {
            render_part(part, &mut text);
        }
        text.push_str("\n[clean.rust]\npaths = [\"target\"]\n");
        text.push_str(TOOLS);
        for (language, table) in LANGUAGE_TOOLS {
            let used = self.parts.iter().any(|it| it.tools.contains(&language));
            if used {
                text.push_str(table);
            }
        }
        text.push_str(MAKE);
        for (pattern, tools) in tasks::needs(self) {
            let _ = writeln!(text, "{} = {}", quoted(&pattern), list(&tools));
        }
        if !self.parts.is_empty() {
            text.push_str(
                "\n# JUnit, for `ci report` and the summaries of `parallel`: a test task that tested nothing has failed.\n\
                 [tests.rust]\njunit = [\"target/nextest/*/junit.xml\"]\ntasks = [\"test-rust\", \"ci-test-rust\"]\n",
            );
        } else {
            text.push_str("\n[tests.rust]\njunit = [\"target/nextest/*/junit.xml\"]\ntasks = [\"test\", \"ci-test-rust\"]\n");
        }
        for part in &self.parts {
            let Some(junit) = &part.junit else { continue };
            let _ = write!(
                text,
                "\n[tests.{}]\njunit = [{}]\ntasks = [{}]\n",
                part.target,
                quoted(junit),
                quoted(&format!("test-{}", part.target))
            );
            if !part.directory.is_empty() {
                let _ = writeln!(text, "directory = {}", quoted(&part.directory));
            }
        }
        text.push_str(LINT);
        text
    }
}

/// How the file begins that we wrote, and a person goes on with.
pub(super) const MARK: &str = "# All that is specific to this workspace. `cargo ";

const LINT: &str = r#"
# `tasks check` holds the task files to this. What was here before says at its place what it is allowed.
[lint]
level = "deny"
# A member without tests has no `test`: one that ran nothing would fail.
required = ["build", "clean", "format", "lint"]
entry_points = ["default", "ci-*", "check-services", "setup-*"]
names = ["default", "ci-*", "check-services"]
"#;

const TOOLS: &str = r#"
[tools.cargo]
purpose = "builds everything"
version_args = ["--version"]
min_version = "1.89"
install.any = "rustup toolchain install stable"

[tools.cargo-make]
program = "cargo-make"
version_args = ["make", "--version"]
min_version = "0.37.20"
version = "0.37.24"
crate = "cargo-make"
purpose = "runs the tasks of Makefile.toml"

[tools.cargo-nextest]
program = "cargo-nextest"
version_args = ["nextest", "--version"]
min_version = "0.9.127"
version = "0.9.143"
crate = "cargo-nextest"
purpose = "runs the Rust tests"
"#;

/// A tool of a language, and its table. With `language`, `parallel` goes without, loudly.
const LANGUAGE_TOOLS: [(&str, &str); 8] = [
    (
        "uv",
        r#"
[tools.uv]
language = "python"
optional = true
purpose = "Python: interpreter, environment, packages"
install = { any = "pip install uv", apt = "pipx install uv", dnf = "dnf install uv", brew = "brew install uv", winget = "winget install astral-sh.uv" }
"#,
    ),
    (
        "ruby",
        r#"
[tools.ruby]
language = "ruby"
optional = true
install = { apt = "apt-get install ruby", dnf = "dnf install ruby", brew = "brew install ruby" }
"#,
    ),
    (
        "bundle",
        r#"
[tools.bundle]
language = "ruby"
optional = true
purpose = "Ruby: gems"
install = { apt = "apt-get install ruby-bundler", dnf = "dnf install rubygem-bundler", brew = "brew install ruby" }
"#,
    ),
    (
        "node",
        r#"
[tools.node]
language = "typescript"
optional = true
install = { apt = "apt-get install nodejs", dnf = "dnf install nodejs", brew = "brew install node", winget = "winget install OpenJS.NodeJS.LTS" }
"#,
    ),
    (
        "npm",
        r#"
[tools.npm]
language = "typescript"
optional = true
install = { apt = "apt-get install npm", dnf = "dnf install nodejs-npm", brew = "brew install node", winget = "winget install OpenJS.NodeJS.LTS" }
"#,
    ),
    (
        "pnpm",
        "\n[tools.pnpm]\nlanguage = \"typescript\"\noptional = true\ninstall.any = \"npm install --global pnpm\"\n",
    ),
    (
        "yarn",
        "\n[tools.yarn]\nlanguage = \"typescript\"\noptional = true\ninstall.any = \"npm install --global yarn\"\n",
    ),
    (
        "bun",
        "\n[tools.bun]\nlanguage = \"typescript\"\noptional = true\ninstall.any = \"npm install --global bun\"\n",
    ),
];

const MAKE: &str = r#"
[make]
tools = ["cargo-make"]

[make.needs]
"test*" = ["cargo-nextest"]
"ci-*" = ["cargo-nextest"]
"setup-nextest*" = ["cargo-nextest"]
"#;

impl Database {
    fn render(&self, options: &Options, text: &mut String) {
        let _ = write!(
            text,
            "\n[database]\nname = {}\nrole = {}\n",
            quoted(&self.name),
            quoted(&self.role)
        );
        if self.variable != "DATABASE_URL" {
            let _ = writeln!(text, "url_env = {}", quoted(&self.variable));
        }
        if self.pgmq {
            text.push_str("pgmq = true\n");
        }
        if let Some(migrations) = &self.migrations {
            let _ = writeln!(text, "migrations = {}", quoted(migrations));
        }
        if let Some(directory) = &options.database_crate {
            let _ = writeln!(text, "xtask_db = {}", quoted(directory));
        }
    }
}

impl Service {
    fn new(name: &str, kind: &'static str) -> Service {
        Service {
            name: name.to_owned(),
            kind,
            port: None,
            health: None,
            depends_on: Vec::new(),
            build: Vec::new(),
            command: Vec::new(),
            owns_port: true,
        }
    }

    fn render(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n[services.{}]\nkind = \"{}\"\n",
            key(&self.name),
            self.kind
        );
        if self.kind == "postgres" {
            text.push_str("required = true\n");
            return;
        }
        // Nobody asked for it to be started by every `with-services`.
        text.push_str("autostart = false\n");
        if let Some(port) = &self.port {
            let _ = writeln!(text, "port = {}", port.published);
            if let Some(variable) = &port.variable {
                let _ = writeln!(text, "port_env = {}", quoted(variable));
            }
        }
        if let Some(health) = &self.health {
            let _ = writeln!(text, "health = {}", quoted(health));
        }
        if !self.owns_port {
            text.push_str("owns_port = false\n");
        }
        for (key, words) in [
            ("depends_on", &self.depends_on),
            ("build", &self.build),
            ("command", &self.command),
        ] {
            if !words.is_empty() {
                let _ = writeln!(text, "{key} = {}", list(words));
            }
        }
    }
}

fn render_part(part: &Part, text: &mut String) {
    let below = |path: &str| match part.directory.as_str() {
        "" => path.to_owned(),
        directory => format!("{directory}/{path}"),
    };
    if !part.setup.is_empty() {
        let tools: Vec<String> = part.tools.iter().map(|it| (*it).to_owned()).collect();
        let outputs: Vec<String> = part.outputs.iter().map(|it| (*it).to_owned()).collect();
        let commands: Vec<String> = part.setup.iter().map(|it| list(it)).collect();
        let _ = write!(
            text,
            "\n[setup.{}]\ntools = {}\n",
            part.target,
            list(&tools)
        );
        if !part.directory.is_empty() {
            let _ = writeln!(text, "directory = {}", quoted(&part.directory));
        }
        let _ = write!(
            text,
            "inputs = {}\noutputs = {}\ncommands = [{}]\n",
            list(&part.inputs),
            list(&outputs),
            commands.join(", ")
        );
    }
    if part.products.is_empty() && part.product_directories.is_empty() {
        return;
    }
    let paths: Vec<String> = part.products.iter().map(|it| below(it)).collect();
    let _ = write!(
        text,
        "\n[clean.{}]\npaths = {}\n",
        part.target,
        list(&paths)
    );
    if !part.product_directories.is_empty() {
        let names: Vec<String> = part
            .product_directories
            .iter()
            .map(|it| (*it).to_owned())
            .collect();
        let _ = writeln!(text, "directories = {}", list(&names));
        if !part.directory.is_empty() {
            let _ = writeln!(text, "under = [{}]", quoted(&part.directory));
        }
    }
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|it| quoted(it)).collect();
    format!("[{}]", items.join(", "))
}

/// A key of TOML, in quotes where it needs them.
fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { quoted(name) }
}

/// Whether a manifest names a crate.
fn mentions(text: &str, word: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        line.strip_prefix(word)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
    })
}

/// The directory of sqlx migrations: `0001_name.sql` and the like, in it directly.
fn migrations(survey: &Survey) -> Option<String> {
    let mut found: Vec<&str> = survey
        .names
        .iter()
        .filter_map(|path| {
            let (directory, file) = path.rsplit_once('/')?;
            let (version, rest) = file.split_once('_')?;
            let fits = directory.ends_with("migrations")
                && !version.is_empty()
                && version.bytes().all(|it| it.is_ascii_digit())
                && rest.ends_with(".sql");
            fits.then_some(directory)
        })
        .collect();
    found.dedup();
    found.sort_by_key(|it| it.len());
    found.first().map(|it| (*it).to_owned())
}

/// `.config/nextest.toml` with the three profiles.
pub(super) fn nextest(survey: &Survey, notes: &mut Vec<Note>) -> Result<String, Fault> {
    let path = ".config/nextest.toml";
    let text = survey.files.get(path).map_or("", String::as_str);
    let bad = |error: toml_edit::TomlError| {
        let place = error
            .span()
            .map_or_else(String::new, |it| config::place(text, it.start));
        Fault::usage(format!("{path}{place}: {}", error.message().trim()))
    };
    for fault in nextest_config::faults(text).map_err(bad)? {
        notes.push(Note::new(
            Kind::Left,
            path,
            0,
            format!("{}: {}", fault.key, fault.message),
        ));
    }
    Ok(nextest_config::complete(text).map_err(bad)?.text)
}
