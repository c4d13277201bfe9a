//! What a change touches: members, languages, jobs, and why. Pure.
//!
//! Each changed file touches what its rules say, and what it belongs to: a member, a language's
//! directory, or where nothing is known of it, everything. Members spread over the crate graph: to all
//! that needs them in normal and build dependencies, however far, then one step over development
//! dependencies, because these reach a member's own tests and nothing else. So a cycle over
//! development dependencies neither fails nor selects too much.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

use super::lock;
use super::manifest::{self, Inherited, Kind, Workspace};
use crate::config::{self, Ci, CiLanguage, CiWhen};
use crate::error::Fault;
use crate::glob;

/// Files that touch everything in any workspace: they change how all of it is built or tested.
const EVERYTHING: [&str; 4] = [
    ".cargo/**",
    ".config/**",
    "rust-toolchain",
    "rust-toolchain.toml",
];

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is new.
    Added,
    /// Its content, its mode or its type is another.
    Modified,
    /// It is gone.
    Deleted,
}

/// A changed file. A renamed one is two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path below the root, with `/`; `../` leads to the rest of a larger repository.
    pub path: String,
    /// How it differs.
    pub status: Status,
}

/// The workspace at one end of a change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Its packages.
    pub workspace: Workspace,
    /// The text of its root manifest.
    pub root: String,
    /// The text of its `Cargo.lock`.
    pub lock: Option<String>,
}

/// A file that a source compiles in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The file, or a directory of which all counts.
    pub path: String,
    /// The package that does, at the head.
    pub package: usize,
    /// The source that says so.
    pub source: String,
}

/// All that the answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What the configuration adds to the graph.
    pub ci: &'a Ci,
    /// Before the change.
    pub base: &'a Snapshot,
    /// After it.
    pub head: &'a Snapshot,
    /// The files that differ.
    pub changes: &'a [Change],
    /// What sources of the head compile in.
    pub includes: &'a [Include],
}

/// What a change touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Why everything is touched; empty where the change was narrowed down.
    pub everything: Vec<String>,
    /// The members, by name.
    pub members: Vec<Touched>,
    /// How many members there are.
    pub of: usize,
    /// The languages, by name.
    pub languages: Vec<Named>,
    /// The jobs, by name.
    pub jobs: Vec<Named>,
    /// What each changed file touches by itself.
    pub files: Vec<Effect>,
}

/// A member that is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Its name.
    pub name: String,
    /// Its directory below the root.
    pub directory: String,
    /// The member or package that it was reached through; none where it changed itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Why.
    pub because: String,
}

/// A language or a job that is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Why.
    pub because: String,
}

/// What a changed file touches by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The file.
    pub path: String,
    /// How it differs.
    pub status: Status,
    /// What it touches, in words; empty for nothing.
    pub touches: Vec<String>,
}

/// Decides what a change touches.
///
/// # Errors
/// When the configuration names a member that the head does not have (exit 2).
pub fn decide(question: &Question<'_>) -> Result<Scope, Fault> {
    check_names(question.ci, &question.head.workspace)?;
    let mut work = Work::new(question);
    for change in question.changes {
        work.file(change);
    }
    work.new_members();
    if question.changes.is_empty() {
        work.everything.push("no file differs".to_owned());
    }
    Ok(work.finish())
}

/// The answer where a change cannot be known.
///
/// # Errors
/// As [`decide`].
pub fn everything(reason: &str, ci: &Ci, head: &Workspace) -> Result<Scope, Fault> {
    check_names(ci, head)?;
    Ok(select(ci, head, vec![reason.to_owned()], Found::default()))
}

impl Scope {
    /// The members for cargo's command line: `--workspace`, or `--package` and a name for each.
    #[must_use]
    pub fn packages(&self) -> Vec<&str> {
        if !self.everything.is_empty() {
            return vec!["--workspace"];
        }
        self.members
            .iter()
            .flat_map(|member| ["--package", member.name.as_str()])
            .collect()
    }

    /// The members as a filterset of nextest.
    #[must_use]
    pub fn filterset(&self) -> String {
        if !self.everything.is_empty() {
            return "all()".to_owned();
        }
        if self.members.is_empty() {
            return "none()".to_owned();
        }
        let each = self
            .members
            .iter()
            .map(|it| format!("package(={})", it.name));
        each.collect::<Vec<_>>().join(" | ")
    }

    /// The jobs as a matrix of GitHub: one entry a job, with the values that the configuration adds.
    #[must_use]
    pub fn matrix(&self, ci: &Ci) -> Value {
        let include: Vec<Value> = self
            .jobs
            .iter()
            .map(|job| {
                let mut entry = serde_json::Map::new();
                let more = ci.jobs.get(&job.name).map(|it| &it.matrix);
                for (key, value) in more.into_iter().flatten() {
                    entry.insert(key.clone(), json!(value));
                }
                entry.insert("job".to_owned(), json!(job.name));
                Value::Object(entry)
            })
            .collect();
        json!({ "include": include })
    }

    /// The way from what changed to a member, one sentence a step. Of a long way, both ends.
    #[must_use]
    pub fn chain(&self, member: &Touched) -> Vec<String> {
        const LONGEST: usize = 12;
        let by_name: HashMap<&str, &Touched> = self
            .members
            .iter()
            .map(|it| (it.name.as_str(), it))
            .collect();
        let mut steps = vec![member.because.clone()];
        let mut at = member;
        while let Some(next) = at.via.as_deref().and_then(|via| by_name.get(via)) {
            steps.push(format!("{}: {}", next.name, next.because));
            at = next;
        }
        if steps.len() > LONGEST {
            let left_out = steps.len() - LONGEST;
            steps.splice(
                LONGEST / 2..LONGEST / 2 + left_out,
                [format!("... {left_out} steps ...")],
            );
        }
        steps
    }
}

/// How a package was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It changed itself.
    Start,
    /// It depends on this package.
    Depends(usize, Kind),
    /// Its tests run this package's programs.
    Uses(usize),
}

/// Spreads over the graph what changed. `dependents`: who depends on each package, and how. `uses`:
/// pairs of a package and one whose programs its tests run. `starts` changed for everybody, `alone`
/// only for themselves.
#[must_use]
pub fn spread(
    dependents: &[Vec<(usize, Kind)>],
    uses: &[(usize, usize)],
    starts: &BTreeSet<usize>,
    alone: &BTreeSet<usize>,
) -> BTreeMap<usize, Step> {
    let mut reached: BTreeMap<usize, Step> = starts.iter().map(|it| (*it, Step::Start)).collect();
    let mut queue: VecDeque<usize> = starts.iter().copied().collect();
    while let Some(on) = queue.pop_front() {
        for (user, kind) in &dependents[on] {
            if *kind != Kind::Dev && !reached.contains_key(user) {
                reached.insert(*user, Step::Depends(on, *kind));
                queue.push_back(*user);
            }
        }
    }
    // From here on nothing goes further: these are the packages' own tests.
    let mut tests: BTreeMap<usize, Step> = alone.iter().map(|it| (*it, Step::Start)).collect();
    for on in reached.keys() {
        for (user, kind) in &dependents[*on] {
            if *kind == Kind::Dev {
                tests.entry(*user).or_insert(Step::Depends(*on, Kind::Dev));
            }
        }
    }
    for (user, used) in uses {
        if reached.contains_key(used) {
            tests.entry(*user).or_insert(Step::Uses(*used));
        }
    }
    for (user, step) in tests {
        reached.entry(user).or_insert(step);
    }
    reached
}

/// Why a package changed.
#[derive(Default)]
struct Cause {
    files: Vec<String>,
    others: Vec<String>,
}

impl Cause {
    fn say(&self) -> String {
        let mut parts = Vec::new();
        if let Some(first) = self.files.first() {
            parts.push(match self.files.len() {
                1 => format!("`{first}` changed"),
                n => format!("`{first}` and {} more of its files changed", n - 1),
            });
        }
        parts.extend(self.others.iter().take(3).cloned());
        if self.others.len() > 3 {
            parts.push(format!("and {} more", self.others.len() - 3));
        }
        parts.join("; ")
    }
}

/// What is known when every file was looked at.
#[derive(Default)]
struct Found {
    steps: BTreeMap<usize, Step>,
    causes: BTreeMap<usize, Cause>,
    languages: BTreeMap<String, String>,
    files: Vec<Effect>,
}

struct Work<'a> {
    question: &'a Question<'a>,
    head: &'a Workspace,
    base: &'a Workspace,
    base_dependents: Vec<Vec<(usize, Kind)>>,
    included: HashMap<&'a str, Vec<&'a Include>>,
    everything: Vec<String>,
    starts: BTreeSet<usize>,
    alone: BTreeSet<usize>,
    /// Edges that only the lock file knows.
    detours: BTreeSet<(usize, usize, Kind)>,
    found: Found,
}

impl<'a> Work<'a> {
    fn new(question: &'a Question<'a>) -> Work<'a> {
        let mut included: HashMap<&str, Vec<&Include>> = HashMap::new();
        for include in question.includes {
            included.entry(&include.path).or_default().push(include);
        }
        let mut work = Work {
            question,
            head: &question.head.workspace,
            base: &question.base.workspace,
            base_dependents: question.base.workspace.dependents(),
            included,
            everything: Vec::new(),
            starts: BTreeSet::new(),
            alone: BTreeSet::new(),
            detours: BTreeSet::new(),
            found: Found::default(),
        };
        let head = question.head;
        if let (Some(lock), true) = (&head.lock, head.root.contains("patch"))
            && let Ok(diff) = lock::diff(lock, lock, &head.workspace)
        {
            work.detours = diff.edges;
        }
        work
    }

    fn file(&mut self, change: &Change) {
        let path = change.path.as_str();
        let mut touches = Vec::new();
        let scope = &self.question.ci.scope;
        let everything = EVERYTHING
            .into_iter()
            .chain(scope.everything.iter().map(String::as_str))
            .find(|pattern| glob::matches_path(pattern, path));
        if let Some(pattern) = everything {
            let reason = if pattern == path {
                format!("`{path}` changed")
            } else {
                format!("`{path}` changed (`{pattern}`)")
            };
            self.all(reason, &mut touches);
        } else {
            self.includes(path, &mut touches);
            match path {
                "Cargo.toml" => self.root(&mut touches),
                "Cargo.lock" => self.lock(&mut touches),
                _ => {}
            }
            let ruled = self.rules(path, &mut touches);
            let owned = self.owners(change, ruled, &mut touches);
            let known = ruled || owned || matches!(path, "Cargo.toml" | "Cargo.lock");
            if !known {
                let reason = format!("`{path}` changed, of which no rule and no member is known");
                self.all(reason, &mut touches);
            }
        }
        touches.sort();
        touches.dedup();
        self.found.files.push(Effect {
            path: path.to_owned(),
            status: change.status,
            touches,
        });
    }

    fn all(&mut self, reason: String, touches: &mut Vec<String>) {
        self.everything.push(reason);
        touches.push("everything".to_owned());
    }

    /// What the configuration says of a file beyond what it belongs to. Whether it says anything.
    fn rules(&mut self, path: &str, touches: &mut Vec<String>) -> bool {
        let rules = &self.question.ci.scope.rules;
        let mut any = false;
        for rule in rules.iter().filter(|rule| matches_any(&rule.paths, path)) {
            any = true;
            let members = self.head.members();
            let named: Vec<usize> = members
                .filter(|index| names_any(&rule.members, &self.head.packages[*index].name))
                .collect();
            for index in named {
                self.start(
                    index,
                    Kind::Normal,
                    Why::Other(format!("a rule: `{path}` changed")),
                    touches,
                );
            }
            for language in &rule.languages {
                self.language(language, format!("a rule: `{path}` changed"), touches);
            }
        }
        any
    }

    /// What a file belongs to. Whether anything is known of it.
    fn owners(&mut self, change: &Change, ruled: bool, touches: &mut Vec<String>) -> bool {
        let path = change.path.as_str();
        let head = (change.status != Status::Deleted)
            .then(|| self.head.owner(path))
            .flatten();
        let base = (change.status != Status::Added)
            .then(|| self.base.owner(path))
            .flatten();
        let rust = path.ends_with(".rs") || path.ends_with("Cargo.toml");
        let rust = rust && (head.is_some() || base.is_some());
        let mut known = false;
        if !rust {
            if matches_any(&self.question.ci.scope.nothing, path) {
                return true;
            }
            for (name, language) in &self.question.ci.languages {
                if is_of_directories(language, path) {
                    known = true;
                    self.language(name, format!("`{path}` changed"), touches);
                }
            }
            if known || ruled {
                return true;
            }
        }
        // The root manifest is compared, not owned.
        if path == "Cargo.toml" {
            return true;
        }
        if let Some(index) = head {
            known = true;
            self.start(index, Kind::Normal, Why::File(path), touches);
        }
        if let Some(before) = base {
            known = true;
            let name = self.base.packages[before].name.clone();
            match self.head.named(&name) {
                Some(index) if Some(index) == head => {}
                Some(index) => self.start(index, Kind::Normal, Why::File(path), touches),
                None => self.removed(before, &name, touches),
            }
        }
        known
    }

    /// A file of a package that is gone: what depended on it has lost something.
    fn removed(&mut self, before: usize, name: &str, touches: &mut Vec<String>) {
        touches.push(format!("the removed `{name}`"));
        for (user, kind) in self.base_dependents[before].clone() {
            if let Some(index) = self.head.named(&self.base.packages[user].name) {
                let why = format!("it depended on `{name}`, which is gone");
                self.start(index, kind, Why::Other(why), &mut Vec::new());
            }
        }
    }

    /// Packages that compile the file in.
    fn includes(&mut self, path: &str, touches: &mut Vec<String>) {
        let mut at = Some(path);
        while let Some(part) = at {
            for include in self.included.get(part).cloned().unwrap_or_default() {
                if self.head.owner(path) != Some(include.package) || !path.ends_with(".rs") {
                    let why = format!("`{}` includes `{part}`, which changed", include.source);
                    self.start(include.package, Kind::Normal, Why::Other(why), touches);
                }
            }
            at = part.rsplit_once('/').map(|(above, _)| above);
        }
    }

    fn root(&mut self, touches: &mut Vec<String>) {
        let (base, head) = (&self.question.base.root, &self.question.head.root);
        let diff = match manifest::diff_roots(base, head) {
            Ok(diff) => diff,
            Err(error) => return self.all(error.to_string(), touches),
        };
        for key in &diff.everything {
            self.all(format!("`{key}` of the root Cargo.toml changed"), touches);
        }
        if diff.package
            && let Some(index) = self.head.owner("Cargo.toml")
        {
            self.start(index, Kind::Normal, Why::File("Cargo.toml"), touches);
        }
        for (index, package) in self.head.packages.iter().enumerate() {
            let changed = package
                .inherited
                .iter()
                .filter(|(key, _)| diff.inherited.contains(key));
            let changed: Vec<(&Inherited, Kind)> =
                changed.map(|(key, kind)| (key, *kind)).collect();
            let Some(kind) = changed.iter().map(|it| it.1).min() else {
                continue;
            };
            let names: Vec<String> = changed.iter().map(|it| it.0.to_string()).collect();
            let why = format!("what it inherits changed: {}", names.join(", "));
            self.start(index, kind, Why::Other(why), touches);
        }
    }

    fn lock(&mut self, touches: &mut Vec<String>) {
        let (Some(base), Some(head)) = (&self.question.base.lock, &self.question.head.lock) else {
            return self.all("Cargo.lock is new or gone".to_owned(), touches);
        };
        match lock::diff(base, head, self.head) {
            Ok(diff) => {
                for (index, moved) in diff.moved {
                    let why = format!("in Cargo.lock: {}", moved.by);
                    self.start(index, moved.kind, Why::Other(why), touches);
                }
            }
            Err(reason) => {
                self.all(
                    format!("Cargo.lock changed and cannot be compared: {reason}"),
                    touches,
                );
            }
        }
    }

    /// Packages that were no members before: their files need not have changed.
    fn new_members(&mut self) {
        for index in self.head.members() {
            let name = &self.head.packages[index].name;
            let before = self.base.named(name);
            if !before.is_some_and(|it| self.base.packages[it].member) {
                self.start(
                    index,
                    Kind::Normal,
                    Why::Other("it is new".to_owned()),
                    &mut Vec::new(),
                );
            }
        }
    }

    fn start(&mut self, index: usize, kind: Kind, why: Why<'_>, touches: &mut Vec<String>) {
        let package = &self.head.packages[index];
        let what = if package.member { "member" } else { "package" };
        touches.push(format!("{what} {}", package.name));
        let cause = self.found.causes.entry(index).or_default();
        match why {
            Why::File(path) => cause.files.push(path.to_owned()),
            Why::Other(text) if !cause.others.contains(&text) => cause.others.push(text),
            Why::Other(_) => {}
        }
        if kind == Kind::Dev {
            self.alone.insert(index);
        } else {
            self.starts.insert(index);
        }
    }

    fn language(&mut self, name: &str, why: String, touches: &mut Vec<String>) {
        touches.push(format!("language {name}"));
        self.found.languages.entry(name.to_owned()).or_insert(why);
    }

    fn finish(mut self) -> Scope {
        let mut dependents = self.head.dependents();
        for (user, on, kind) in &self.detours {
            dependents[*on].push((*user, *kind));
        }
        let mut uses = Vec::new();
        for (user, used) in &self.question.ci.scope.uses {
            if let Some(user) = self.head.named(user) {
                let named = self.head.members();
                uses.extend(
                    named
                        .filter(|it| names_any(used, &self.head.packages[*it].name))
                        .map(|used| (user, used)),
                );
            }
        }
        self.found.steps = spread(&dependents, &uses, &self.starts, &self.alone);
        select(self.question.ci, self.head, self.everything, self.found)
    }
}

enum Why<'a> {
    File(&'a str),
    Other(String),
}

/// Members, languages and jobs of what was found.
fn select(ci: &Ci, head: &Workspace, everything: Vec<String>, found: Found) -> Scope {
    let all = !everything.is_empty();
    let name_of = |index: usize| head.packages[index].name.clone();
    let mut scope = Scope {
        of: head.members().count(),
        everything,
        files: found.files,
        ..Scope::default()
    };
    for index in head.members() {
        let package = &head.packages[index];
        let (via, because) = match found.steps.get(&index) {
            Some(Step::Start) => {
                let cause = found.causes.get(&index);
                (None, cause.map_or_else(String::new, Cause::say))
            }
            Some(Step::Depends(on, kind)) => {
                let how = match kind {
                    Kind::Normal => "it depends on",
                    Kind::Build => "it is built with",
                    Kind::Dev => "its tests depend on",
                };
                (Some(name_of(*on)), format!("{how} {}", name_of(*on)))
            }
            Some(Step::Uses(on)) => (
                Some(name_of(*on)),
                format!("its tests run {}", name_of(*on)),
            ),
            None if all => (None, "everything is touched".to_owned()),
            None => continue,
        };
        scope.members.push(Touched {
            name: package.name.clone(),
            directory: package.directory.clone(),
            via,
            because,
        });
    }
    for (name, language) in &ci.languages {
        let member = scope.members.iter().find(|it| {
            names_any(&language.members, &it.name)
                || is_of_directories(language, &format!("{}/", it.directory))
        });
        let because = match (found.languages.get(name), member) {
            (Some(why), _) => why.clone(),
            (None, Some(member)) => format!("{} is touched", member.name),
            (None, None) if all => "everything is touched".to_owned(),
            (None, None) => continue,
        };
        scope.languages.push(Named {
            name: name.clone(),
            because,
        });
    }
    for (name, job) in &ci.jobs {
        let language = scope
            .languages
            .iter()
            .find(|it| job.languages.contains(&it.name));
        let member = scope
            .members
            .iter()
            .find(|it| names_any(&job.members, &it.name));
        let file = scope
            .files
            .iter()
            .find(|it| matches_any(&job.paths, &it.path));
        let because = match (job.when, language, member, file) {
            (CiWhen::Always, ..) => "it always runs".to_owned(),
            (_, Some(language), ..) => format!("language {} is touched", language.name),
            (_, _, Some(member), _) => format!("{} is touched", member.name),
            (.., Some(file)) => format!("`{}` changed", file.path),
            _ if all => "everything is touched".to_owned(),
            _ => continue,
        };
        scope.jobs.push(Named {
            name: name.clone(),
            because,
        });
    }
    scope
}

fn matches_any(patterns: &[String], path: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| glob::matches_path(pattern, path))
}

fn names_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| glob::matches(pattern, name))
}

/// Whether a path lies in one of a language's directories.
fn is_of_directories(language: &CiLanguage, path: &str) -> bool {
    language.directories.iter().any(|directory| {
        path.strip_prefix(directory.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'))
    })
}

/// Members that the configuration names, without wildcards, must be there: a mistyped name would
/// touch nothing, in silence.
fn check_names(ci: &Ci, head: &Workspace) -> Result<(), Fault> {
    let known: Vec<String> = head
        .members()
        .map(|it| head.packages[it].name.clone())
        .collect();
    let rules = ci.scope.rules.iter().flat_map(|it| &it.members);
    let uses = ci
        .scope
        .uses
        .iter()
        .flat_map(|(user, used)| std::iter::once(user).chain(used));
    let languages = ci.languages.values().flat_map(|it| &it.members);
    let jobs = ci.jobs.values().flat_map(|it| &it.members);
    let mut all = rules.chain(uses).chain(languages).chain(jobs);
    match all.find(|name| !name.contains('*') && !known.contains(name)) {
        Some(name) => Err(config::unknown_name(
            format!(
                "[ci] of .config/xtask.toml names `{name}`, which is no member of the workspace"
            ),
            name,
            &known,
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word: who reaches a start over normal and build edges, whatever the
    /// way; then who has a dev edge to one of these, or runs it.
    fn naive(
        edges: &[(usize, usize, Kind)],
        uses: &[(usize, usize)],
        starts: &BTreeSet<usize>,
        alone: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let mut closure = starts.clone();
        loop {
            let before = closure.len();
            for (user, on, kind) in edges {
                if *kind != Kind::Dev && closure.contains(on) {
                    closure.insert(*user);
                }
            }
            if closure.len() == before {
                break;
            }
        }
        let dev = edges
            .iter()
            .filter(|(_, on, kind)| *kind == Kind::Dev && closure.contains(on));
        let runs = uses.iter().filter(|(_, used)| closure.contains(used));
        let mut all: BTreeSet<usize> = dev.map(|it| it.0).chain(runs.map(|it| it.0)).collect();
        all.extend(alone);
        all.extend(closure);
        all
    }

    fn dependents(n: usize, edges: &[(usize, usize, Kind)]) -> Vec<Vec<(usize, Kind)>> {
        let mut reverse = vec![Vec::new(); n];
        for (user, on, kind) in edges {
            reverse[*on].push((*user, *kind));
        }
        reverse
    }

    const N: usize = 9;

    fn edges() -> impl Strategy<Value = Vec<(usize, usize, Kind)>> {
        let kind = prop_oneof![Just(Kind::Normal), Just(Kind::Build), Just(Kind::Dev)];
        prop::collection::vec((0..N, 0..N, kind), 0..20)
    }

    proptest! {
        #[test]
        fn the_graph_spreads_as_it_is_defined(
            edges in edges(),
            uses in prop::collection::vec((0..N, 0..N), 0..3),
            starts in prop::collection::btree_set(0..N, 0..3),
            alone in prop::collection::btree_set(0..N, 0..2),
        ) {
            let reached = spread(&dependents(N, &edges), &uses, &starts, &alone);
            let expected = naive(&edges, &uses, &starts, &alone);
            prop_assert_eq!(reached.keys().copied().collect::<BTreeSet<_>>(), expected);
            // Every step is an edge that there is, and all ways lead back to a start.
            for (index, step) in &reached {
                match step {
                    Step::Start => prop_assert!(starts.contains(index) || alone.contains(index)),
                    Step::Depends(on, kind) => prop_assert!(edges.contains(&(*index, *on, *kind))),
                    Step::Uses(on) => prop_assert!(uses.contains(&(*index, *on))),
                }
                let mut at = *index;
                for _ in 0..=N {
                    match reached[&at] {
                        Step::Start => break,
                        Step::Depends(on, _) | Step::Uses(on) => at = on,
                    }
                }
                prop_assert!(reached[&at] == Step::Start, "a way in a circle");
            }
        }

        #[test]
        fn the_order_of_edges_plays_no_part_in_who_is_reached(
            edges in edges().prop_shuffle(),
            start in 0..N,
        ) {
            let starts = BTreeSet::from([start]);
            let mut sorted = edges.clone();
            sorted.sort();
            let reached = |edges: &[_]| {
                spread(&dependents(N, edges), &[], &starts, &BTreeSet::new()).into_keys().collect::<Vec<_>>()
            };
            prop_assert_eq!(reached(&edges), reached(&sorted));
        }
    }

    /// What the field's tools get wrong: one refuses the cycle, another follows it all the way round.
    #[test]
    fn a_cycle_over_dev_dependencies_does_no_harm() {
        let workspace = Workspace::of(&[
            ("client", &[("shared", Kind::Normal)]),
            ("core", &[("client", Kind::Dev)]),
            ("runtime", &[("core", Kind::Normal)]),
            ("shared", &[("core", Kind::Dev)]),
            ("server", &[("shared", Kind::Normal), ("client", Kind::Dev)]),
        ]);
        let touched = |name: &str| {
            let start = BTreeSet::from([workspace.named(name).unwrap()]);
            let reached = spread(&workspace.dependents(), &[], &start, &BTreeSet::new());
            let names = reached
                .keys()
                .map(|it| workspace.packages[*it].name.as_str());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(touched("core"), "core runtime shared");
        assert_eq!(touched("client"), "client core server");
        assert_eq!(touched("shared"), "client core server shared");
    }

    fn file(path: String) -> Change {
        Change {
            path,
            status: Status::Modified,
        }
    }

    /// A line of a thousand members, each on the one before, and a thousand files in each tenth: a
    /// quadratic step anywhere would be felt by whoever runs the tests.
    #[test]
    fn a_thousand_members_and_a_hundred_thousand_files() {
        let names: Vec<String> = (0..1000).map(|n| format!("member-{n:04}")).collect();
        let edges: Vec<Vec<(&str, Kind)>> = (0..1000_usize)
            .map(|n| match n.checked_sub(1) {
                Some(before) => vec![(names[before].as_str(), Kind::Normal)],
                None => vec![(names[999].as_str(), Kind::Dev)],
            })
            .collect();
        let members: Vec<(&str, &[(&str, Kind)])> = names
            .iter()
            .zip(&edges)
            .map(|(name, on)| (name.as_str(), on.as_slice()))
            .collect();
        let snapshot = Snapshot {
            workspace: Workspace::of(&members),
            ..Snapshot::default()
        };
        let changes: Vec<Change> = (0..100_000)
            .map(|n| file(format!("member-{:04}/src/f{n}.rs", 500 + n % 100)))
            .collect();
        let mut ci = Ci::default();
        ci.scope.nothing = vec!["docs/**".to_owned(), "**/*.md".to_owned()];
        let scope = decide(&Question {
            ci: &ci,
            base: &snapshot,
            head: &snapshot,
            changes: &changes,
            includes: &[],
        })
        .unwrap();
        assert_eq!(scope.everything, [""; 0]);
        // 500 to 999, and the first, whose tests lean on the last.
        assert_eq!((scope.members.len(), scope.of), (501, 1000));
        assert_eq!(scope.members[0].because, "its tests depend on member-0999");
        let chain = scope.chain(&scope.members[0]);
        assert_eq!(chain.len(), 13);
        assert_eq!(chain[6], "... 390 steps ...");
        assert!(
            chain[12].starts_with("member-0599: `member-0599/src/f"),
            "{chain:?}"
        );
        assert_eq!(scope.filterset().matches(" | ").count(), 500);
    }

    #[test]
    fn a_member_that_everything_selects_keeps_its_own_reason() {
        let snapshot = Snapshot {
            workspace: Workspace::of(&[("a", &[]), ("b", &[])]),
            ..Snapshot::default()
        };
        let scope = decide(&Question {
            ci: &Ci::default(),
            base: &snapshot,
            head: &snapshot,
            changes: &[
                file("a/x".to_owned()),
                file(".cargo/config.toml".to_owned()),
            ],
            includes: &[],
        })
        .unwrap();
        assert_eq!(
            scope.everything,
            ["`.cargo/config.toml` changed (`.cargo/**`)"]
        );
        let because: Vec<&str> = scope.members.iter().map(|it| it.because.as_str()).collect();
        assert_eq!(because, ["`a/x` changed", "everything is touched"]);
    }
}
