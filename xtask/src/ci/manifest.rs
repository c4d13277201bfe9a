//! The workspace's manifests, as far as the crate graph needs them. Pure.
//!
//! They are read here and not by `cargo metadata`, because the graph is wanted of two commits of which
//! at most one is checked out. The rules are cargo's: globs and `exclude`, path dependencies inside
//! of the root that are members by themselves, renamed, optional and target dependencies, what is
//! inherited from the root, and paths of `[patch]`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::{Map, Value};

use crate::error::Fault;
use crate::glob;

/// The text of each `Cargo.toml`, by its path below the root.
pub type Manifests = BTreeMap<String, String>;

/// How one package depends on another, the farthest-reaching first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `[dependencies]`.
    Normal,
    /// `[build-dependencies]`.
    Build,
    /// `[dev-dependencies]`: of the package's own tests, never of what depends on it.
    Dev,
}

/// What a member may take from the root manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inherited {
    /// The key of `[workspace.dependencies]`.
    Dependency(String),
    /// The key of `[workspace.package]`.
    Package(String),
    /// `[workspace.lints]`.
    Lints,
}

impl std::fmt::Display for Inherited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Inherited::Dependency(name) => write!(f, "`{name}`"),
            Inherited::Package(key) => write!(f, "`package.{key}`"),
            Inherited::Lints => f.write_str("`lints`"),
        }
    }
}

/// A package of the repository.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its directory below the root, with `/`; empty for the root itself.
    pub directory: String,
    /// Whether cargo takes it for a member. Excluded path dependencies are packages without.
    pub member: bool,
    /// Packages of the repository that it depends on, by their index.
    pub dependencies: BTreeSet<(usize, Kind)>,
    /// Other packages that it depends on, by name.
    pub external: BTreeMap<String, Kind>,
    /// What it takes from the root manifest, and for what.
    pub inherited: BTreeMap<Inherited, Kind>,
}

/// The packages of a repository, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// All of them.
    pub packages: Vec<Package>,
    by_directory: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

impl Workspace {
    /// Reads the workspace that the manifest `Cargo.toml` is the root of.
    ///
    /// # Errors
    /// When a manifest is malformed, or `members` names what is not there.
    pub fn read(manifests: &Manifests) -> Result<Workspace, Fault> {
        let text = manifests
            .get("Cargo.toml")
            .ok_or_else(|| Fault::usage("there is no `Cargo.toml` at the root"))?;
        let root = Root::read(text, manifests)?;
        let found = root.discover(manifests)?;
        Ok(Workspace::link(found))
    }

    /// The package of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The package that a file belongs to: the one in the nearest directory above it. Of a root
    /// package that is only what cargo itself looks for there; the rest of the root is the workspace's.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<usize> {
        let mut directory = path;
        while let Some((above, _)) = directory.rsplit_once('/') {
            if let Some(index) = self.by_directory.get(above) {
                return Some(*index);
            }
            directory = above;
        }
        let first = path.split('/').next().unwrap_or(path);
        let cargos = matches!(
            first,
            "src" | "tests" | "examples" | "benches" | "build.rs" | "Cargo.toml"
        );
        cargos.then(|| self.by_directory.get("").copied()).flatten()
    }

    /// The members' indices.
    pub fn members(&self) -> impl Iterator<Item = usize> {
        (0..self.packages.len()).filter(|index| self.packages[*index].member)
    }

    /// Packages that depend on each package, and how.
    #[must_use]
    pub fn dependents(&self) -> Vec<Vec<(usize, Kind)>> {
        let mut reverse = vec![Vec::new(); self.packages.len()];
        for (index, package) in self.packages.iter().enumerate() {
            for (on, kind) in &package.dependencies {
                reverse[*on].push((index, *kind));
            }
        }
        reverse
    }

    /// Turns directories into indices.
    fn link(found: BTreeMap<String, Found>) -> Workspace {
        let mut found: Vec<(String, Found)> = found.into_iter().collect();
        found.sort_by(|a, b| (&a.1.name, &a.0).cmp(&(&b.1.name, &b.0)));
        let by_directory: HashMap<String, usize> = found
            .iter()
            .enumerate()
            .map(|(index, (directory, _))| (directory.clone(), index))
            .collect();
        let packages: Vec<Package> = found
            .into_iter()
            .map(|(directory, it)| Package {
                dependencies: it
                    .local
                    .into_iter()
                    .filter_map(|(on, kind)| Some((*by_directory.get(&on)?, kind)))
                    .collect(),
                name: it.name,
                directory,
                member: it.member,
                external: it.external,
                inherited: it.inherited,
            })
            .collect();
        let by_name = packages
            .iter()
            .enumerate()
            .map(|(index, package)| (package.name.clone(), index))
            .collect();
        Workspace {
            packages,
            by_directory,
            by_name,
        }
    }

    /// A workspace of members with these dependencies, for tests of what works on the graph.
    #[cfg(test)]
    pub(crate) fn of(members: &[(&str, &[(&str, Kind)])]) -> Workspace {
        let found = members.iter().map(|(name, on)| {
            let found = Found {
                name: (*name).to_owned(),
                member: true,
                local: on
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), *kind))
                    .collect(),
                external: BTreeMap::new(),
                inherited: BTreeMap::new(),
            };
            ((*name).to_owned(), found)
        });
        Workspace::link(found.collect())
    }
}

/// A package while directories are still its dependencies' names.
struct Found {
    name: String,
    member: bool,
    local: BTreeSet<(String, Kind)>,
    external: BTreeMap<String, Kind>,
    inherited: BTreeMap<Inherited, Kind>,
}

/// The root manifest.
struct Root {
    value: Value,
    members: BTreeSet<String>,
    /// Literal entries of `members`, which win over `exclude`.
    explicit: Vec<String>,
    excluded: Vec<String>,
    /// Packages that `[patch]` finds in a directory.
    patches: BTreeMap<String, String>,
}

impl Root {
    fn read(text: &str, manifests: &Manifests) -> Result<Root, Fault> {
        let value = parse(text, "Cargo.toml")?;
        let workspace = value.get("workspace");
        let list = |key: &str| -> Vec<&str> {
            workspace
                .and_then(|it| it.get(key)?.as_array())
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let outside = |path: &str| {
            Fault::usage(format!(
                "Cargo.toml: `{path}` of `members` lies outside of the root"
            ))
        };
        let mut members = BTreeSet::new();
        let mut explicit = Vec::new();
        for pattern in list("members") {
            let normal = join("", pattern).ok_or_else(|| outside(pattern))?;
            if pattern.contains(['?', '[']) {
                return Err(Fault::usage(format!(
                    "Cargo.toml: `{pattern}` of `members`: of wildcards only `*` is understood"
                )));
            }
            if !pattern.contains('*') {
                if !manifests.contains_key(&manifest_of(&normal)) {
                    return Err(Fault::usage(format!(
                        "Cargo.toml: the member `{normal}` has no Cargo.toml that git knows"
                    )));
                }
                explicit.push(normal.clone());
                members.insert(normal);
                continue;
            }
            let directories = manifests
                .keys()
                .filter_map(|it| it.strip_suffix("/Cargo.toml"));
            members.extend(
                directories
                    .filter(|it| glob::matches_path(&normal, it))
                    .map(str::to_owned),
            );
        }
        let excluded = list("exclude")
            .into_iter()
            .filter_map(|path| join("", path))
            .collect();
        let patches = value
            .get("patch")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::values)
            .filter_map(Value::as_object)
            .flatten()
            .filter_map(|(key, spec)| {
                let path = join("", spec.get("path")?.as_str()?)?;
                let name = spec.get("package").and_then(Value::as_str).unwrap_or(key);
                Some((name.to_owned(), path))
            })
            .collect();
        let mut root = Root {
            value,
            members,
            explicit,
            excluded,
            patches,
        };
        root.members = std::mem::take(&mut root.members)
            .into_iter()
            .filter(|directory| !root.is_excluded(directory))
            .collect();
        if root.value.get("package").is_some() {
            root.members.insert(String::new());
        }
        Ok(root)
    }

    fn is_excluded(&self, directory: &str) -> bool {
        let below = |above: &String| is_below(directory, above);
        self.excluded.iter().any(below) && !self.explicit.iter().any(below)
    }

    /// The members, and what they find by paths.
    fn discover(&self, manifests: &Manifests) -> Result<BTreeMap<String, Found>, Fault> {
        let mut found = BTreeMap::new();
        let mut queue: VecDeque<String> = self.members.iter().cloned().collect();
        while let Some(directory) = queue.pop_front() {
            if found.contains_key(&directory) {
                continue;
            }
            let file = manifest_of(&directory);
            let Some(text) = manifests.get(&file) else {
                continue; // A path that git does not know is none that a change can touch.
            };
            let value = parse(text, &file)?;
            let Some(package) = self.package(&directory, &value) else {
                continue;
            };
            queue.extend(package.local.iter().map(|(directory, _)| directory.clone()));
            found.insert(directory, package);
        }
        Ok(found)
    }

    fn package(&self, directory: &str, manifest: &Value) -> Option<Found> {
        let package = manifest.get("package")?;
        let own_root = !directory.is_empty() && manifest.get("workspace").is_some();
        let mut found = Found {
            name: package.get("name")?.as_str()?.to_owned(),
            member: !own_root && !self.is_excluded(directory),
            local: BTreeSet::new(),
            external: BTreeMap::new(),
            inherited: BTreeMap::new(),
        };
        for (key, value) in package.as_object().into_iter().flatten() {
            if inherits(value) {
                found
                    .inherited
                    .insert(Inherited::Package(key.clone()), Kind::Normal);
            }
        }
        if manifest.get("lints").is_some_and(inherits) {
            // What a member is checked by is no business of what depends on it.
            found.inherited.insert(Inherited::Lints, Kind::Dev);
        }
        for (kind, key, spec) in dependencies(manifest) {
            // Only members' development dependencies are ever built.
            if kind == Kind::Dev && !found.member {
                continue;
            }
            let strongest = |slot: &mut Kind| *slot = kind.min(*slot);
            let (spec, from) = if inherits(spec) {
                found
                    .inherited
                    .entry(Inherited::Dependency(key.clone()))
                    .and_modify(strongest)
                    .or_insert(kind);
                let shared = self.value.pointer("/workspace/dependencies");
                (shared.and_then(|it| it.get(key)).unwrap_or(spec), "")
            } else {
                (spec, directory)
            };
            let name = spec.get("package").and_then(Value::as_str).unwrap_or(key);
            let path = match spec.get("path").and_then(Value::as_str) {
                Some(path) => join(from, path),
                None => self.patches.get(name).cloned(),
            };
            match path {
                Some(path) => {
                    found.local.insert((path, kind));
                }
                None => {
                    found
                        .external
                        .entry(name.to_owned())
                        .and_modify(strongest)
                        .or_insert(kind);
                }
            }
        }
        Some(found)
    }
}

/// What differs between two root manifests.
#[derive(Debug, Default, PartialEq)]
pub struct RootDiff {
    /// Keys that reach every member.
    pub everything: Vec<String>,
    /// What members may inherit.
    pub inherited: BTreeSet<Inherited>,
    /// Whether the root's own package differs.
    pub package: bool,
}

/// Compares two root manifests by what they say; comments and layout are no difference. Which
/// packages are members is compared by [`Workspace::read`], not here.
///
/// # Errors
/// When one is malformed.
pub fn diff_roots(base: &str, head: &str) -> Result<RootDiff, Fault> {
    let (base, head) = (parse(base, "Cargo.toml")?, parse(head, "Cargo.toml")?);
    let mut diff = RootDiff::default();
    for key in differing(Some(&base), Some(&head)) {
        match key {
            "workspace" => {
                let (base, head) = (base.get(key), head.get(key));
                for key in differing(base, head) {
                    let inner = || {
                        differing(
                            base.and_then(|it| it.get(key)),
                            head.and_then(|it| it.get(key)),
                        )
                    };
                    match key {
                        "members" | "exclude" | "default-members" => {}
                        "dependencies" => diff.inherited.extend(
                            inner()
                                .into_iter()
                                .map(|key| Inherited::Dependency(key.to_owned())),
                        ),
                        "package" => diff.inherited.extend(
                            inner()
                                .into_iter()
                                .map(|key| Inherited::Package(key.to_owned())),
                        ),
                        "lints" => {
                            diff.inherited.insert(Inherited::Lints);
                        }
                        other => diff.everything.push(format!("[workspace] {other}")),
                    }
                }
            }
            "package" | "lib" | "bin" | "example" | "test" | "bench" | "features" | "lints"
            | "badges" | "dependencies" | "dev-dependencies" | "dev_dependencies"
            | "build-dependencies" | "build_dependencies" | "target" => diff.package = true,
            other => diff.everything.push(format!("[{other}]")),
        }
    }
    Ok(diff)
}

/// The keys by which two tables differ.
fn differing<'a>(base: Option<&'a Value>, head: Option<&'a Value>) -> BTreeSet<&'a str> {
    let keys = |value: Option<&'a Value>| {
        value
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
    };
    keys(base)
        .chain(keys(head))
        .map(String::as_str)
        .filter(|key| base.and_then(|it| it.get(*key)) != head.and_then(|it| it.get(*key)))
        .collect()
}

/// Every dependency of a manifest: kind, key, specification.
fn dependencies(manifest: &Value) -> impl Iterator<Item = (Kind, &String, &Value)> {
    const TABLES: [(&str, Kind); 5] = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Build),
        ("build_dependencies", Kind::Build),
        ("dev-dependencies", Kind::Dev),
        ("dev_dependencies", Kind::Dev),
    ];
    let targets = manifest
        .get("target")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values);
    std::iter::once(manifest).chain(targets).flat_map(|scope| {
        TABLES.iter().flat_map(move |(name, kind)| {
            scope
                .get(name)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(key, spec)| (*kind, key, spec))
        })
    })
}

fn inherits(value: &Value) -> bool {
    value.get("workspace") == Some(&Value::Bool(true))
}

fn parse(text: &str, name: &str) -> Result<Value, Fault> {
    toml_edit::de::from_str(text).map_err(|error| {
        let reason = error
            .message()
            .lines()
            .next()
            .unwrap_or("malformed")
            .to_owned();
        let place = error
            .span()
            .map_or_else(String::new, |span| crate::config::place(text, span.start));
        Fault::usage(format!("{name}{place}: {reason}"))
    })
}

fn manifest_of(directory: &str) -> String {
    if directory.is_empty() {
        "Cargo.toml".to_owned()
    } else {
        format!("{directory}/Cargo.toml")
    }
}

/// Whether a directory is another one or lies in it.
fn is_below(directory: &str, above: &str) -> bool {
    directory
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || above.is_empty())
}

/// A path as seen from a directory, without `.` and `..`; `None` where it leaves the root.
pub(crate) fn join(directory: &str, path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    if path.starts_with('/') || path.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifests(files: &[(&str, &str)]) -> Manifests {
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn read(files: &[(&str, &str)]) -> Workspace {
        Workspace::read(&manifests(files)).unwrap()
    }

    /// `a -normal-> b` for each edge.
    fn edges(workspace: &Workspace) -> Vec<String> {
        let of = |package: &Package| {
            let name = package.name.clone();
            package
                .dependencies
                .iter()
                .map(|(on, kind)| {
                    let kind = format!("{kind:?}").to_lowercase();
                    format!("{name} -{kind}-> {}", workspace.packages[*on].name)
                })
                .collect::<Vec<_>>()
        };
        workspace.packages.iter().flat_map(of).collect()
    }

    fn members(workspace: &Workspace) -> Vec<&str> {
        workspace
            .members()
            .map(|index| workspace.packages[index].name.as_str())
            .collect()
    }

    #[test]
    fn dependencies_of_every_kind_and_spelling() {
        let workspace = read(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = ['crates/*', './odd/', 'x-*/**']\n[workspace.dependencies]\n\
                 b = { path = 'crates/b', version = '1' }\nshort = { path = 'crates/c', package = 'c' }\nserde = '1'",
            ),
            (
                "crates/a/Cargo.toml",
                "[package]\nname = 'a'\nedition.workspace = true\n[lints]\nworkspace = true\n\
                 [dependencies]\nb.workspace = true\nserde = { workspace = true, features = ['x'] }\n\
                 [dev-dependencies]\nrenamed = { path = '../c', package = 'c' }\nserde.workspace = true\n\
                 [build-dependencies]\nd = { path = '../../odd', optional = true }\n\
                 [target.'cfg(unix)'.dependencies]\ne = { path = '../../x-1/deep/e' }\n\
                 [target.x86_64-pc-windows-msvc.dev_dependencies]\nshort = { workspace = true }",
            ),
            ("crates/b/Cargo.toml", "[package]\nname = 'b'"),
            ("crates/c/Cargo.toml", "[package]\nname = 'c'"),
            ("odd/Cargo.toml", "[package]\nname = 'd'"),
            ("x-1/deep/e/Cargo.toml", "[package]\nname = 'e'"),
            ("elsewhere/Cargo.toml", "[package]\nname = 'f'"),
        ]);
        assert_eq!(members(&workspace), ["a", "b", "c", "d", "e"]);
        assert_eq!(
            edges(&workspace),
            [
                "a -normal-> b",
                "a -dev-> c",
                "a -build-> d",
                "a -normal-> e"
            ]
        );
        let a = &workspace.packages[0];
        assert_eq!(
            a.external,
            BTreeMap::from([("serde".to_owned(), Kind::Normal)])
        );
        let dependency = |key: &str| Inherited::Dependency(key.to_owned());
        assert_eq!(
            a.inherited,
            BTreeMap::from([
                (dependency("b"), Kind::Normal),
                (dependency("serde"), Kind::Normal),
                (dependency("short"), Kind::Dev),
                (Inherited::Package("edition".to_owned()), Kind::Normal),
                (Inherited::Lints, Kind::Dev),
            ])
        );
    }

    #[test]
    fn paths_make_members_unless_excluded_and_patches_make_edges() {
        let workspace = read(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = ['a']\nexclude = ['vendor', 'a/tests']\n\
                 [patch.crates-io]\nv = { path = 'vendor/v' }\n[package]\nname = 'root'\n[dependencies]\na = { path = 'a' }",
            ),
            (
                "a/Cargo.toml",
                "[package]\nname = 'a'\n[dependencies]\nv = '1'\nauto = { path = '../auto' }\ngone = { path = '../gone' }\nout = { path = '../../out' }",
            ),
            ("auto/Cargo.toml", "[package]\nname = 'auto'"),
            (
                "vendor/v/Cargo.toml",
                "[package]\nname = 'v'\n[dev-dependencies]\nauto = { path = '../../auto' }",
            ),
            ("vendor/unused/Cargo.toml", "[package]\nname = 'unused'"),
            ("other/Cargo.toml", "[workspace]\n[package]\nname = 'other'"),
        ]);
        assert_eq!(members(&workspace), ["a", "auto", "root"]);
        assert_eq!(
            edges(&workspace),
            ["a -normal-> auto", "a -normal-> v", "root -normal-> a"]
        );
        let owner = |path: &str| {
            workspace
                .owner(path)
                .map(|it| workspace.packages[it].name.as_str())
        };
        for (path, expected) in [
            ("a/src/lib.rs", Some("a")),
            ("a/tests/x/y", Some("a")),
            ("ab/src/lib.rs", None),
            ("src/lib.rs", Some("root")),
            ("build.rs", Some("root")),
            ("other/src/lib.rs", None),
            (".github/x", None),
            ("vendor/v/src/lib.rs", Some("v")),
        ] {
            assert_eq!(owner(path), expected, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_placed() {
        let said =
            |files: &[(&str, &str)]| Workspace::read(&manifests(files)).unwrap_err().to_string();
        assert!(said(&[]).contains("no `Cargo.toml`"));
        let root = ("Cargo.toml", "[workspace]\nmembers = ['a']");
        assert!(said(&[root]).contains("member `a` has no Cargo.toml"));
        let broken = said(&[root, ("a/Cargo.toml", "[package]\nname = ")]);
        assert!(broken.starts_with("a/Cargo.toml:2:"), "{broken}");
        assert!(said(&[("Cargo.toml", "[workspace]\nmembers = ['a?']")]).contains("only `*`"));
        assert!(said(&[("Cargo.toml", "[workspace]\nmembers = ['../a']")]).contains("outside"));
    }

    #[test]
    fn roots_differ_by_what_they_say() {
        let base = "[workspace]\nmembers = ['a']\n[workspace.dependencies]\nserde = '1'\nlog = '0.4'\n\
                    [workspace.package]\nedition = '2021'\n[workspace.lints.rust]\nx = 'warn'\n[profile.dev]\ndebug = 1";
        let diff = |from: &str, to: &str| diff_roots(base, &base.replace(from, to)).unwrap();
        assert_eq!(diff("debug = 1", "debug = 1 # why"), RootDiff::default());
        assert_eq!(diff("'a'", "'b'"), RootDiff::default());
        let inherited = |it: Inherited| RootDiff {
            inherited: BTreeSet::from([it]),
            ..RootDiff::default()
        };
        assert_eq!(
            diff(
                "serde = '1'",
                "serde = { version = '1', features = ['derive'] }"
            ),
            inherited(Inherited::Dependency("serde".to_owned()))
        );
        assert_eq!(
            diff("log = '0.4'", ""),
            inherited(Inherited::Dependency("log".to_owned()))
        );
        assert_eq!(
            diff("2021", "2024"),
            inherited(Inherited::Package("edition".to_owned()))
        );
        assert_eq!(diff("warn", "deny"), inherited(Inherited::Lints));
        assert_eq!(diff("debug = 1", "debug = 2").everything, ["[profile]"]);
        assert_eq!(
            diff("members", "resolver = '3'\nmembers").everything,
            ["[workspace] resolver"]
        );
        assert!(diff("[profile.dev]\ndebug", "[dependencies]\na").package);
        assert!(diff_roots("[", "").is_err());
    }

    #[test]
    fn paths_are_joined_without_leaving_the_root() {
        for (directory, path, expected) in [
            ("a/b", "../c", Some("a/c")),
            ("a", "..", Some("")),
            ("a", "../..", None),
            ("", "./x/", Some("x")),
            ("a", "..\\b", Some("b")),
            ("a", "/x", None),
            ("a", "C:/x", None),
        ] {
            assert_eq!(
                join(directory, path).as_deref(),
                expected,
                "{directory} {path}"
            );
        }
    }
}
