//! `.config/xtask.toml`: all that is specific to a workspace, typed.
//!
//! Unknown keys are errors with the near one suggested. The JSON Schema for editors
//! (`xtask/schema/xtask.schema.json`) is generated from these types; a test holds it current.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{self, Fault};
use crate::fsx;
use crate::glob;

pub mod lint;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Facts about the workspace itself.
    pub workspace: Workspace,
    /// The environment that `setup-env`, `env`, `exec` and the services compose.
    pub env: Env,
    /// The database that the workspace's services use.
    pub database: Option<Database>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Dependencies by what they are for, for `setup`.
    pub setup: BTreeMap<String, Setup>,
    /// Native extensions of other languages, for `build-extension`.
    pub extensions: BTreeMap<String, Extension>,
    /// Build products by language, for `clean-artifacts`.
    pub clean: BTreeMap<String, CleanRule>,
    /// Tools by name, for `doctor` and `make`.
    pub tools: BTreeMap<String, Tool>,
    /// What `make` sees to before it hands over to cargo-make.
    pub make: Make,
    /// The tests of each language: where their reports are.
    pub tests: BTreeMap<String, Tests>,
    /// What CI asks: what a change touches, and how tests split over runners.
    pub ci: Ci,
    /// What `tasks check` holds the task files to.
    pub lint: lint::Lint,
}

/// Facts about the workspace itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Workspace {
    /// A short name, for messages and for the names of databases.
    pub name: Option<String>,
}

/// The environment. Precedence: process > `.env` > layers > `ci` (when `CI=true`) > `defaults`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Env {
    /// Values that hold where nothing else says otherwise.
    pub defaults: BTreeMap<String, String>,
    /// Values that hold when `CI=true`.
    pub ci: BTreeMap<String, String>,
    /// The profile that is used where `--profile` names none.
    pub profile: Option<String>,
    /// Dotenv files of each profile, relative to the root, in order: the last wins.
    pub profiles: BTreeMap<String, Vec<PathBuf>>,
    /// Dotenv files of each target (`--target`), laid over the profile's.
    pub targets: BTreeMap<String, Vec<PathBuf>>,
    /// Variables that must have a value; `setup-env --check` and `doctor` report a missing one.
    pub required: Vec<String>,
}

/// The database of the workspace.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The variable that holds its URL.
    #[serde(default = "default_url_env")]
    pub url_env: String,
    /// The database's name in the embedded cluster.
    pub name: String,
    /// The role that owns it in the embedded cluster.
    pub role: String,
    /// Whether PGMQ must be there.
    #[serde(default)]
    pub pgmq: bool,
    /// The directory of sqlx migrations, relative to the root.
    pub migrations: Option<PathBuf>,
    /// Where the embedded cluster lives, if not under the target directory.
    pub data_dir: Option<PathBuf>,
    /// The directory of the crate `xtask-db`, relative to the root, where it is no member.
    pub xtask_db: Option<PathBuf>,
    /// Settings of the embedded server (`postgresql.conf` names and values).
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

fn default_url_env() -> String {
    "DATABASE_URL".to_owned()
}

/// How a service is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// By PostgreSQL's wire protocol, up to a query that ran. The endpoint is the database's URL.
    Postgres,
    /// By `GET <health>`: 2xx, and `"status": "healthy"` where JSON says a status.
    Http,
    /// By a connection.
    Tcp,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// How it is probed.
    pub kind: ServiceKind,
    /// Whether `check-services` fails when it is down (without this: a warning).
    #[serde(default)]
    pub required: bool,
    /// Whether it is meant where no name is given. Needs a `command`, unless it is a PostgreSQL.
    #[serde(default = "yes")]
    pub autostart: bool,
    /// The host that is probed.
    #[serde(default = "default_host")]
    pub host: String,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// The variable by which the port is chosen, by us and by the service.
    pub port_env: Option<String>,
    /// The path of its health endpoint.
    #[serde(default = "default_health")]
    pub health: String,
    /// Services that must be healthy before this one starts.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// How it is built: an argument list (`["cargo", "build", "-p", "x"]`).
    #[serde(default)]
    pub build: Vec<String>,
    /// How it is built for release; without it, `build` is used.
    #[serde(default)]
    pub build_release: Vec<String>,
    /// How it is run: an argument list. `{target}` is the target directory and `{profile}` is
    /// `debug` or `release`; a program is also found with the platform's suffix (`.exe`).
    #[serde(default)]
    pub command: Vec<String>,
    /// The directory to build and run in, relative to the root.
    #[serde(default)]
    pub directory: PathBuf,
    /// Variables for this service alone.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Seconds from its start until it must be healthy.
    #[serde(default = "default_ready_timeout")]
    pub ready_timeout: u64,
    /// Seconds that it has to end after it was asked to.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout: u64,
    /// Whether the port is opened by the command or by a process below it: then whoever else answers
    /// there is a stranger. `false` where a daemon opens it, as for `docker run --publish`.
    #[serde(default = "yes")]
    pub owns_port: bool,
}

fn yes() -> bool {
    true
}

fn default_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_health() -> String {
    "/health".to_owned()
}

fn default_ready_timeout() -> u64 {
    60
}

fn default_stop_timeout() -> u64 {
    10
}

/// How the dependencies of one part of the workspace are installed: only when something changed.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// Tools that must be there (`[tools]`); another version of one is a change.
    pub tools: Vec<String>,
    /// The directory to work in, relative to the root. All paths below are relative to it.
    pub directory: PathBuf,
    /// Files that say what is to be installed: manifests and lock files.
    pub inputs: Vec<PathBuf>,
    /// What has to be there afterwards. The first one keeps the note of the last success, if it is a
    /// directory: whoever removes it removes the note.
    pub outputs: Vec<PathBuf>,
    /// Argument lists that install, one after the other.
    pub commands: Vec<Vec<String>>,
}

/// A library that cargo builds, and another language loads.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The cargo package.
    pub package: String,
    /// The name of its `cdylib`, without prefix and suffix.
    pub library: String,
    /// Who loads it, which decides the suffix.
    pub kind: ExtensionKind,
    /// Where it is put, relative to the root, without the suffix.
    pub destination: PathBuf,
    /// Cargo features to build it with.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Who loads an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExtensionKind {
    /// Ruby's `require`: `.so`, on macOS `.bundle`.
    Ruby,
    /// Node's `require`: `.node`.
    Node,
    /// Python's `import`: `.so`, on Windows `.pyd`.
    Python,
}

/// Build products of one language.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CleanRule {
    /// Paths relative to the root (files or directories).
    pub paths: Vec<PathBuf>,
    /// Directories with these names, wherever they are in the workspace.
    pub directories: Vec<String>,
    /// Files with these names, wherever they are; one `*` matches any run of characters.
    pub files: Vec<String>,
    /// Directories below which names are looked for; the root without it.
    pub under: Vec<PathBuf>,
}

/// A tool.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tool {
    /// The program, if its name is not the tool's.
    pub program: Option<String>,
    /// How it tells its version; `["--version"]` without it.
    pub version_args: Vec<String>,
    /// The least version that works.
    pub min_version: Option<String>,
    /// The exact version that is installed when it is missing (crates only).
    pub version: Option<String>,
    /// The crate to install it from (`cargo binstall`, else `cargo install --locked`).
    #[serde(rename = "crate")]
    pub crate_name: Option<String>,
    /// What it is for, in a few words.
    pub purpose: Option<String>,
    /// Whether the workspace can do without it.
    pub optional: bool,
    /// The language that it belongs to. Where such a tool is missing, `parallel` skips the tasks that
    /// need it, loudly; with `CI=true` they fail.
    pub language: Option<String>,
    /// Directories that are searched before PATH, relative to the root.
    pub search: Vec<PathBuf>,
    /// The command that installs it, by package manager: `apt`, `dnf`, `brew`, `winget`, `any`.
    pub install: BTreeMap<String, String>,
}

/// What `make` sees to before it hands over to cargo-make.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Make {
    /// Tools that every task needs.
    pub tools: Vec<String>,
    /// Names for several tools at once, for `needs` and `wants`.
    pub sets: BTreeMap<String, Vec<String>>,
    /// Tools that tasks need, by task name; one `*` matches any run of characters.
    pub needs: BTreeMap<String, Vec<String>>,
    /// Tools that tasks can do without, by task name: `--yes` installs them.
    pub wants: BTreeMap<String, Vec<String>>,
}

impl Make {
    /// The tools of all patterns of `rules` (`needs` or `wants`) that a task matches, sets replaced by
    /// what is in them.
    pub fn tools_of<'a>(
        &'a self,
        rules: &'a BTreeMap<String, Vec<String>>,
        task: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        rules
            .iter()
            .filter(move |(pattern, _)| glob::matches(pattern, task))
            .flat_map(|(_, names)| names)
            .flat_map(|name| match self.sets.get(name) {
                Some(set) => set.as_slice(),
                None => std::slice::from_ref(name),
            })
            .map(String::as_str)
    }
}

/// The tests of one language.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tests {
    /// Its JUnit reports: paths relative to the root. `*` is any run of characters within a name,
    /// `**` any number of directories.
    pub junit: Vec<String>,
    /// The tasks that write them, as `parallel` runs them; one `*` matches any run of characters. One
    /// that ends well and wrote no report, or one without a test, has failed.
    pub tasks: Vec<String>,
    /// The directory that paths in those reports start from, relative to the root.
    pub directory: PathBuf,
}

/// What `cargo xtask ci` knows of the workspace beyond its crate graph.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Ci {
    /// Which files touch what. Paths are relative to the root, with `/`; `*` is any run of characters
    /// within a name, `**` any number of directories.
    pub scope: CiScope,
    /// Languages, by name, and what touches each.
    pub languages: BTreeMap<String, CiLanguage>,
    /// Jobs of the workflow, by name, and what each runs for.
    pub jobs: BTreeMap<String, CiJob>,
    /// How tests split over runners.
    pub shards: CiShards,
}

/// Which files touch what.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CiScope {
    /// Files that touch everything. `.cargo/`, `.config/` and `rust-toolchain` always do.
    pub everything: Vec<String>,
    /// Files that touch nothing by themselves. Rust sources, manifests and what a crate includes
    /// always touch their member.
    pub nothing: Vec<String>,
    /// What files touch, where the crate graph does not know it.
    pub rules: Vec<CiRule>,
    /// Members whose programs a member's tests run, by the tested one's name: as a dev-dependency.
    pub uses: BTreeMap<String, Vec<String>>,
}

/// What some files touch.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CiRule {
    /// The files.
    pub paths: Vec<String>,
    /// Members that they touch, with all that depends on them; `*` is any run of characters.
    pub members: Vec<String>,
    /// Languages that they touch.
    pub languages: Vec<String>,
}

/// What touches a language.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CiLanguage {
    /// Members that are of this language, by name; `*` is any run of characters.
    pub members: Vec<String>,
    /// Directories that are of this language, with the members in them. Their other files touch the
    /// language, but not the member.
    pub directories: Vec<String>,
}

/// When a job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CiWhen {
    /// When something that it names is touched.
    #[default]
    Touched,
    /// Always.
    Always,
}

/// What a job runs for: any of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CiJob {
    /// When it runs.
    pub when: CiWhen,
    /// Languages.
    pub languages: Vec<String>,
    /// Members, by name; `*` is any run of characters.
    pub members: Vec<String>,
    /// Changed files, whatever else they touch.
    pub paths: Vec<String>,
    /// Further values of its entry in the matrix.
    pub matrix: BTreeMap<String, String>,
}

/// How tests split over runners.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CiShards {
    /// JUnit reports of nextest, of earlier runs, by whose times the tests are balanced; patterns as
    /// in `[tests.LANGUAGE]`.
    pub times: Vec<String>,
}

impl Config {
    /// Reads and checks the file; an absent one is the empty configuration.
    ///
    /// # Errors
    /// Malformed TOML, an unknown key, a wrong type, or names that do not fit together: with file,
    /// line and column, and the near key where one was mistyped (exit 2).
    pub fn load(path: &Path) -> anyhow::Result<Config> {
        match fsx::read_optional(path)? {
            Some(text) => Ok(Config::parse(&text, &path.display().to_string())?),
            None => Ok(Config::default()),
        }
    }

    /// Parses the text; `name` is what errors call the file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, name: &str) -> Result<Config, Fault> {
        let config: Config = toml_edit::de::from_str(text).map_err(|error| {
            let place = match error.span() {
                Some(span) => place(text, span.start),
                None => String::new(),
            };
            let message = error.message().trim().to_owned();
            let fault = Fault::usage(format!("{name}{place}: {}", first_line(&message)));
            match suggestion(&message) {
                Some((word, near)) => fault.hint(format!("did you mean `{near}` for `{word}`?")),
                None => fault,
            }
        })?;
        config.check(name)?;
        Ok(config)
    }

    /// Names that refer to each other must exist.
    fn check(&self, name: &str) -> Result<(), Fault> {
        for (service, facts) in &self.services {
            check_service(service, facts, name)?;
            for needed in &facts.depends_on {
                if !self.services.contains_key(needed) {
                    return Err(unknown_name(
                        format!(
                            "{name}: service `{service}` depends on `{needed}`, which is no service"
                        ),
                        needed,
                        self.services.keys(),
                    ));
                }
            }
            let postgres = facts.kind == ServiceKind::Postgres;
            if !postgres && facts.port.is_none() && facts.port_env.is_none() {
                return Err(Fault::usage(format!(
                    "{name}: service `{service}` has neither `port` nor `port_env`"
                )));
            }
            if postgres && self.database.is_none() {
                return Err(Fault::usage(format!(
                    "{name}: service `{service}` is a PostgreSQL, but there is no [database]"
                )));
            }
        }
        if let Some(profile) = &self.env.profile
            && !self.env.profiles.contains_key(profile)
        {
            return Err(unknown_name(
                format!("{name}: [env] profile is `{profile}`, which [env.profiles] does not have"),
                profile,
                self.env.profiles.keys(),
            ));
        }
        self.check_ci(name)?;
        self.lint.check(name)?;
        for (language, tests) in &self.tests {
            for pattern in &tests.junit {
                check_pattern(pattern, &format!("{name}: [tests.{language}] junit"))?;
            }
        }
        let of_make = self
            .make
            .tools
            .iter()
            .chain(self.make.sets.values().flatten())
            .chain(
                self.make
                    .needs
                    .values()
                    .chain(self.make.wants.values())
                    .flatten()
                    .filter(|name| !self.make.sets.contains_key(*name)),
            )
            .map(|tool| ("[make]".to_owned(), tool));
        let of_setup = self.setup.iter().flat_map(|(part, setup)| {
            setup
                .tools
                .iter()
                .map(move |tool| (format!("[setup.{part}]"), tool))
        });
        for (table, tool) in of_make.chain(of_setup) {
            if !self.tools.contains_key(tool) {
                return Err(unknown_name(
                    format!("{name}: {table} names the tool `{tool}`, which [tools] does not have"),
                    tool,
                    self.tools.keys(),
                ));
            }
        }
        for (part, setup) in &self.setup {
            if setup.commands.iter().any(Vec::is_empty) {
                return Err(Fault::usage(format!(
                    "{name}: [setup.{part}] has an empty command"
                )));
            }
        }
        Ok(())
    }

    /// Patterns must be paths, and languages must exist.
    fn check_ci(&self, name: &str) -> Result<(), Fault> {
        let ci = &self.ci;
        let languages = |named: &[String], whose: &str| {
            let unknown = named.iter().find(|it| !ci.languages.contains_key(*it));
            unknown.map_or(Ok(()), |unknown| {
                Err(unknown_name(
                    format!(
                        "{name}: {whose} names the language `{unknown}`, which [ci.languages] does not have"
                    ),
                    unknown,
                    ci.languages.keys(),
                ))
            })
        };
        let patterns = |patterns: &[String], whose: &str| {
            // The repository may be larger than the workspace.
            let inside = |it: &String| it.trim_start_matches("../").to_owned();
            let mut all = patterns.iter().map(inside);
            all.try_for_each(|it| check_pattern(&it, &format!("{name}: {whose}")))
        };
        patterns(&ci.scope.everything, "[ci.scope] everything")?;
        patterns(&ci.scope.nothing, "[ci.scope] nothing")?;
        patterns(&ci.shards.times, "[ci.shards] times")?;
        for rule in &ci.scope.rules {
            let whose = format!("[[ci.scope.rules]] of {:?}", rule.paths);
            patterns(&rule.paths, &whose)?;
            languages(&rule.languages, &whose)?;
            if rule.paths.is_empty() {
                return Err(Fault::usage(format!(
                    "{name}: a [[ci.scope.rules]] has no `paths`"
                )));
            }
        }
        for (language, facts) in &ci.languages {
            patterns(
                &facts.directories,
                &format!("[ci.languages.{language}] directories"),
            )?;
        }
        for (job, facts) in &ci.jobs {
            let whose = format!("[ci.jobs.{job}]");
            patterns(&facts.paths, &whose)?;
            languages(&facts.languages, &whose)?;
            let idle =
                facts.languages.is_empty() && facts.members.is_empty() && facts.paths.is_empty();
            if facts.when == CiWhen::Touched && idle {
                return Err(Fault::usage(format!(
                    "{name}: nothing makes {whose} run: it has no languages, members or paths"
                ))
                .hint("`when = \"always\"` runs it for every change"));
            }
        }
        Ok(())
    }

    /// The tools that a task needs, by the patterns of `[make.needs]`: name and facts.
    pub fn tools_of<'a>(&'a self, task: &'a str) -> impl Iterator<Item = (&'a str, &'a Tool)> {
        self.make
            .tools_of(&self.make.needs, task)
            .filter_map(|name| Some((name, self.tools.get(name)?)))
    }

    /// The language whose tests a task runs, by `[tests.LANGUAGE] tasks`.
    #[must_use]
    pub fn tests_of(&self, task: &str) -> Option<(&str, &Tests)> {
        self.tests
            .iter()
            .find(|(_, tests)| tests.tasks.iter().any(|it| glob::matches(it, task)))
            .map(|(language, tests)| (language.as_str(), tests))
    }

    /// The service of this name.
    ///
    /// # Errors
    /// When there is none, with the near one and the list (exit 2).
    pub fn service(&self, name: &str) -> anyhow::Result<&Service> {
        self.services.get(name).ok_or_else(|| {
            unknown_name(
                format!("no service is called `{name}`"),
                name,
                self.services.keys(),
            )
            .into()
        })
    }
}

/// A service's name is that of a directory, too; its times are added to others.
fn check_service(service: &str, facts: &Service, name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !service.starts_with(|c: char| c.is_ascii_alphanumeric()) || !service.chars().all(plain) {
        return Err(
            Fault::usage(format!("{name}: `{service}` is no name for a service"))
                .hint("use letters, digits, `-`, `_` and `.`, and begin with a letter or digit"),
        );
    }
    for (key, seconds, least) in [
        ("ready_timeout", facts.ready_timeout, 1),
        ("stop_timeout", facts.stop_timeout, 0),
    ] {
        if !(least..=LONGEST).contains(&seconds) {
            return Err(Fault::usage(format!(
                "{name}: service `{service}` has {key} = {seconds}; it can be {least} to {LONGEST} seconds"
            )));
        }
    }
    Ok(())
}

/// A day: no timeout is longer.
const LONGEST: u64 = 86_400;

/// Patterns are paths below the root, with `/` on every platform.
fn check_pattern(pattern: &str, whose: &str) -> Result<(), Fault> {
    let wrong = if pattern.contains('\\') {
        "has a `\\`: write `/`, on Windows too"
    } else if pattern.contains(':')
        || pattern
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
    {
        "is no path below the root"
    } else {
        return Ok(());
    };
    Err(Fault::usage(format!("{whose}: `{pattern}` {wrong}")))
}

/// A usage error for a name that does not exist, with the near one or the list of those that do.
pub fn unknown_name<'a>(
    message: String,
    word: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Fault {
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    let fault = Fault::usage(message);
    match error::nearest(word, known.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => fault.hint("`.config/xtask.toml` names none yet"),
        None => fault.hint(format!("there are: {}", known.join(", "))),
    }
}

/// `:line:column` of a byte offset, both from 1; columns count characters.
pub(crate) fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!(":{line}:{column}")
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

/// The mistyped word and the near one in serde's "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> Option<(&str, &str)> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let (word, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    Some((word, error::nearest(word, known)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> (String, Option<String>) {
        let error = anyhow::Error::from(Config::parse(text, "xtask.toml").unwrap_err());
        assert_eq!(error::exit_of(&error), crate::exit::Exit::Usage);
        (error.to_string(), error::hint_of(&error).map(str::to_owned))
    }

    #[test]
    fn an_unknown_key_is_placed_and_the_near_one_suggested() {
        let (message, hint) = message("[services.a]\nkind = \"tcp\"\nprot = 1\n");
        assert!(
            message.starts_with("xtask.toml:3:1: unknown field `prot`"),
            "{message}"
        );
        assert_eq!(hint.as_deref(), Some("did you mean `port` for `prot`?"));
    }

    #[test]
    fn malformed_toml_is_placed() {
        let (message, _) = message("[env.defaults]\nA = \"x\nB = 1\n");
        assert!(message.starts_with("xtask.toml:2:"), "{message}");
    }

    #[test]
    fn names_must_fit_together() {
        let text = "[services.web]\nkind='tcp'\nport=1\ndepends_on=['dbb']\n[services.db]\nkind='tcp'\nport=2";
        let (said, hint) = message(text);
        assert!(said.contains("depends on `dbb`"), "{said}");
        assert_eq!(hint.as_deref(), Some("did you mean `db`?"));
        assert!(
            message("[services.db]\nkind='postgres'")
                .0
                .contains("no [database]")
        );
        assert!(
            message("[make]\ntools=['x']")
                .0
                .contains("[tools] does not have")
        );
    }

    #[test]
    fn a_service_has_a_plain_name_and_times_that_can_be_added() {
        for service in ["../../x", "a/b", "a b", ".x", "-x", "a\\\\b"] {
            let (said, _) = message(&format!("[services.\"{service}\"]\nkind='tcp'\nport=1"));
            assert!(said.contains("is no name for a service"), "{said}");
        }
        for line in ["stop_timeout=9223372036854775807", "ready_timeout=0"] {
            let (said, _) = message(&format!("[services.a]\nkind='tcp'\nport=1\n{line}"));
            assert!(said.contains("it can be"), "{said}");
        }
        assert!(Config::parse("[services.'a-1_b.c']\nkind='tcp'\nport=1", "x").is_ok());
    }

    #[test]
    fn patterns_stay_below_the_root() {
        for pattern in ["/x.xml", "../x", "a//b", "C:/x", "", "./a"] {
            let (said, _) = message(&format!("[tests.rust]\njunit=['{pattern}']"));
            assert!(said.contains("is no path below the root"), "{said}");
        }
        let (said, _) = message("[tests.rust]\njunit=['a\\b']");
        assert!(said.contains("write `/`"), "{said}");
        assert!(Config::parse("[tests.rust]\njunit=['target/**/*.xml']", "x").is_ok());
    }

    #[test]
    fn what_ci_names_must_exist_and_a_job_must_have_a_cause() {
        let (said, hint) = message("[ci.languages.rust]\n[ci.jobs.test]\nlanguages=['rusty']");
        assert!(
            said.contains("[ci.jobs.test] names the language `rusty`"),
            "{said}"
        );
        assert_eq!(hint.as_deref(), Some("did you mean `rust`?"));
        assert!(
            message("[ci.jobs.idle]")
                .0
                .contains("nothing makes [ci.jobs.idle] run")
        );
        assert!(
            message("[[ci.scope.rules]]\nmembers=['a']")
                .0
                .contains("no `paths`")
        );
        let (said, _) = message("[ci.scope]\nnothing=['/docs']");
        assert!(
            said.contains("[ci.scope] nothing: `/docs` is no path"),
            "{said}"
        );
        assert!(Config::parse("[ci.scope]\nnothing=['../other/**']", "x").is_ok());
        assert!(Config::parse("[ci.jobs.lint]\nwhen='always'", "x").is_ok());
    }

    #[test]
    fn the_schema_in_the_repository_is_current() {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Config)).unwrap() + "\n";
        let path = fsx::test_package().join("schema").join("xtask.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            fsx::atomic_write(&path, schema.as_bytes(), fsx::Access::Default).unwrap();
        }
        let kept = fsx::read_optional(&path).unwrap().unwrap_or_default();
        assert!(
            kept == schema,
            "the schema is out of date: run `UPDATE_SCHEMA=1 cargo nextest run -p xtask schema`"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Config::parse(&text, "x");
        }
    }
}
