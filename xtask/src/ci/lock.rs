//! Two `Cargo.lock` files compared: which members' dependencies moved. Pure.
//!
//! A package of a registry or of git has moved when its entry is new or different, or when anything
//! that it depends on has. A member is reached when one of its own dependencies has moved; whether
//! that reaches its dependents, too, depends on what the member needs it for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::Deserialize;
use serde_json::Value;

use super::manifest::{Kind, Workspace};

/// What moved below a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What the member needs it for, the farthest-reaching use first.
    pub kind: Kind,
    /// `axum > hyper 1.2.0 -> 1.3.0`: the way from the member's own dependency to what moved.
    pub by: String,
}

/// What the comparison says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Members, by index, whose dependencies moved.
    pub moved: BTreeMap<usize, Moved>,
    /// Edges between packages of the repository that lead through packages from outside, by `[patch]`.
    pub edges: BTreeSet<(usize, usize, Kind)>,
}

/// Compares two lock files, as the head's workspace sees them. Members that only one of them has are
/// not looked at.
///
/// # Errors
/// In words why the two cannot be compared: then every member may be reached.
pub fn diff(base: &str, head: &str, workspace: &Workspace) -> Result<Diff, String> {
    let (base, head) = (Lock::read(base, "old")?, Lock::read(head, "new")?);
    if base.rest != head.rest {
        return Err("more than its packages differs".to_owned());
    }
    let known: HashMap<Key<'_>, usize> = (0..base.packages.len())
        .map(|index| (base.key(index), index))
        .collect();
    if [&base, &head].iter().any(|it| it.repeats()) {
        return Err(
            "a package stands in it twice, or two of the repository have one name".to_owned(),
        );
    }
    let base_of = |key: &Key<'_>| known.get(key).map(|index| &base.packages[*index]);
    // What changed by itself, then what stands on it: breadth first, so that ways are short.
    let mut way: HashMap<usize, Option<usize>> = HashMap::new();
    let mut queue = VecDeque::new();
    for (index, package) in head.packages.iter().enumerate() {
        let own = package.is_foreign()
            && base_of(&head.key(index)).is_none_or(|before| {
                // A dependency that is new to the whole file is found by itself, and leads here.
                let (had, has) = (base.keys(before), head.keys(package));
                before.checksum != package.checksum
                    || before.replace != package.replace
                    || has.difference(&had).any(|key| known.contains_key(key))
                    || had
                        .iter()
                        .any(|key| has.iter().all(|it| it.name != key.name))
            });
        if own {
            way.insert(index, None);
            queue.push_back(index);
        }
    }
    let dependents = head.dependents();
    while let Some(index) = queue.pop_front() {
        for above in &dependents[index] {
            if head.packages[*above].is_foreign() && !way.contains_key(above) {
                way.insert(*above, Some(index));
                queue.push_back(*above);
            }
        }
    }
    let mut diff = Diff {
        edges: head.detours(workspace),
        ..Diff::default()
    };
    for (entry, package) in head.packages.iter().enumerate() {
        let member = (!package.is_foreign())
            .then(|| workspace.named(&package.name))
            .flatten();
        let before = base_of(&head.key(entry));
        let (Some(member), Some(before)) = (member, before) else {
            continue;
        };
        let had = base.keys(before);
        let mut moved: Vec<Moved> = Vec::new();
        let external = &workspace.packages[member].external;
        for on in &package.on {
            let below = &head.packages[*on];
            if below.is_foreign() && (way.contains_key(on) || !had.contains(&head.key(*on))) {
                moved.push(Moved {
                    kind: external.get(&below.name).copied().unwrap_or(Kind::Normal),
                    by: head.way(*on, &way, &base),
                });
            }
        }
        let has = head.keys(package);
        for gone in had
            .iter()
            .filter(|key| !key.source.is_empty() && !has.contains(*key))
        {
            if !package
                .on
                .iter()
                .any(|on| head.packages[*on].name == gone.name)
            {
                moved.push(Moved {
                    kind: Kind::Normal,
                    by: format!("{} {} is gone", gone.name, gone.version),
                });
            }
        }
        if let Some(first) = moved.into_iter().min_by_key(|it| it.kind) {
            diff.moved.insert(member, first);
        }
    }
    Ok(diff)
}

/// What makes a package the same in both files. A package of the repository keeps its name when its
/// version changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key<'a> {
    name: &'a str,
    version: &'a str,
    source: &'a str,
}

#[derive(Deserialize)]
struct RawLock {
    #[serde(default)]
    package: Vec<RawPackage>,
    /// Of the format itself; cargo rewrites it when it is newer.
    #[serde(default)]
    version: Option<u32>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    replace: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

struct Lock {
    packages: Vec<Package>,
    rest: BTreeMap<String, Value>,
}

struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    replace: Option<String>,
    /// Its dependencies, by index.
    on: Vec<usize>,
}

impl Package {
    /// Whether it comes from a registry or from git.
    fn is_foreign(&self) -> bool {
        self.source.is_some()
    }
}

impl Lock {
    fn read(text: &str, which: &str) -> Result<Lock, String> {
        let raw: RawLock = toml_edit::de::from_str(text)
            .map_err(|error| format!("the {which} one is malformed: {}", error.message().trim()))?;
        if raw.version.is_some_and(|version| version > 4) {
            return Err(format!("the {which} one has a format newer than 4"));
        }
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, package) in raw.package.iter().enumerate() {
            by_name.entry(&package.name).or_default().push(index);
        }
        // `name`, `name version` or `name version (source)`: as much as tells it from the others.
        let resolve = |text: &str| {
            let mut parts = text.splitn(3, ' ');
            let name = parts.next().unwrap_or_default();
            let (version, source) = (parts.next(), parts.next());
            let fits = |index: &&usize| {
                let package = &raw.package[**index];
                version.is_none_or(|it| it == package.version)
                    && source.is_none_or(|it| {
                        let it = it.trim_start_matches('(').trim_end_matches(')');
                        package.source.as_deref() == Some(it)
                    })
            };
            by_name.get(name)?.iter().find(fits).copied()
        };
        let mut on = Vec::new();
        for package in &raw.package {
            let all: Option<Vec<usize>> =
                package.dependencies.iter().map(|it| resolve(it)).collect();
            on.push(all.ok_or_else(|| {
                format!(
                    "in the {which} one `{}` depends on what is not there",
                    package.name
                )
            })?);
        }
        let packages = raw.package.into_iter().zip(on).map(|(raw, on)| Package {
            name: raw.name,
            version: raw.version,
            source: raw.source,
            checksum: raw.checksum,
            replace: raw.replace,
            on,
        });
        Ok(Lock {
            packages: packages.collect(),
            rest: raw.rest,
        })
    }

    /// Whether two packages are one by their keys. Of a registry or of git, cargo refuses such a file; two
    /// of the repository with one name are told apart by their versions, but those change.
    fn repeats(&self) -> bool {
        let mut seen = BTreeSet::new();
        !(0..self.packages.len()).all(|index| seen.insert(self.key(index)))
    }

    fn key(&self, index: usize) -> Key<'_> {
        let package = &self.packages[index];
        let source = package.source.as_deref().unwrap_or_default();
        Key {
            name: &package.name,
            version: if source.is_empty() {
                ""
            } else {
                &package.version
            },
            source,
        }
    }

    fn keys(&self, package: &Package) -> BTreeSet<Key<'_>> {
        package.on.iter().map(|index| self.key(*index)).collect()
    }

    fn dependents(&self) -> Vec<Vec<usize>> {
        let mut reverse = vec![Vec::new(); self.packages.len()];
        for (index, package) in self.packages.iter().enumerate() {
            for on in &package.on {
                reverse[*on].push(index);
            }
        }
        reverse
    }

    /// Packages of the repository that foreign ones depend on, seen from the members above those.
    fn detours(&self, workspace: &Workspace) -> BTreeSet<(usize, usize, Kind)> {
        let dependents = self.dependents();
        let mut found = BTreeSet::new();
        for (index, package) in self.packages.iter().enumerate() {
            let Some(local) = (!package.is_foreign())
                .then(|| workspace.named(&package.name))
                .flatten()
            else {
                continue;
            };
            let mut seen = BTreeSet::new();
            let mut stack: Vec<usize> = dependents[index].clone();
            while let Some(above) = stack.pop() {
                if !self.packages[above].is_foreign() || !seen.insert(above) {
                    continue;
                }
                for user in &dependents[above] {
                    stack.push(*user);
                    let member = (!self.packages[*user].is_foreign())
                        .then(|| workspace.named(&self.packages[*user].name))
                        .flatten();
                    if let Some(member) = member.filter(|member| *member != local) {
                        let external = &workspace.packages[member].external;
                        let kind = external.get(&self.packages[above].name);
                        found.insert((member, local, kind.copied().unwrap_or(Kind::Normal)));
                    }
                }
            }
        }
        found
    }

    /// The way from a package to what moved below it.
    fn way(&self, from: usize, way: &HashMap<usize, Option<usize>>, base: &Lock) -> String {
        let mut names = Vec::new();
        let mut at = from;
        while let Some(Some(next)) = way.get(&at) {
            names.push(self.packages[at].name.clone());
            at = *next;
        }
        let package = &self.packages[at];
        // What it was before, where one version took another's place.
        let before: Vec<&str> = base
            .packages
            .iter()
            .filter(|it| it.name == package.name && it.is_foreign())
            .map(|it| it.version.as_str())
            .filter(|version| {
                let mut same = self.packages.iter().filter(|it| it.name == package.name);
                !same.any(|it| it.version == *version)
            })
            .collect();
        names.push(match before.as_slice() {
            [before] => format!("{} {before} -> {}", package.name, package.version),
            _ => format!("{} {}", package.name, package.version),
        });
        names.join(" > ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::manifest::Manifests;

    /// Found by a property test: such a file differed from itself.
    #[test]
    fn a_package_that_stands_there_twice_cannot_be_compared() {
        let package = "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"registry+y\"\n";
        let text = format!("version = 4\n{package}checksum = \"00\"\n{package}");
        assert!(diff(&text, &text, &Workspace::default()).is_err());
    }

    /// Found by fuzzing: one was compared with the other, and differed; or would not, where it did.
    #[test]
    fn packages_of_the_repository_with_one_name_cannot_be_compared() {
        let serde = "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\nsource = \"registry+y\"\n";
        let one = "[[package]]\nname = \"app\"\nversion = \"1.0.0\"\ndependencies = [\"serde\"]\n";
        let two = "[[package]]\nname = \"app\"\nversion = \"2.0.0\"\n";
        let text = format!("version = 4\n{one}{two}{serde}");
        assert!(diff(&text, &text, &workspace()).is_err());
    }

    /// `app` needs `axum`, `lib` and, for its tests, `rand`; `tool` builds with `cc`; `free` needs nothing.
    fn workspace() -> Workspace {
        let manifests: Manifests = [
            ("Cargo.toml", "[workspace]\nmembers = ['*']".to_owned()),
            ("app/Cargo.toml", "[package]\nname = 'app'\n[dependencies]\naxum = '1'\nlib = { path = '../lib' }\n[dev-dependencies]\nrand = '1'".to_owned()),
            ("lib/Cargo.toml", "[package]\nname = 'lib'\n[dependencies]\nserde = '1'".to_owned()),
            ("tool/Cargo.toml", "[package]\nname = 'tool'\n[build-dependencies]\ncc = '1'".to_owned()),
            ("free/Cargo.toml", "[package]\nname = 'free'".to_owned()),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text))
        .collect();
        Workspace::read(&manifests).unwrap()
    }

    /// `name version [> dependency, ...]`, one a line; `.` before the name: a package of the repository.
    fn lock(lines: &str) -> String {
        let mut text = String::from("version = 4\n");
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (package, on) = line.split_once(" > ").unwrap_or((line, ""));
            let (name, version) = package.split_once(' ').unwrap();
            let local = name.starts_with('.');
            text.push_str(&format!(
                "[[package]]\nname = \"{}\"\nversion = \"{version}\"\n",
                name.trim_start_matches('.')
            ));
            if !local {
                text.push_str("source = \"registry\"\n");
                text.push_str(&format!("checksum = \"{name}{version}\"\n"));
            }
            let on: Vec<String> = on
                .split(", ")
                .filter(|it| !it.is_empty())
                .map(|it| format!("\"{it}\""))
                .collect();
            text.push_str(&format!("dependencies = [{}]\n", on.join(", ")));
        }
        text
    }

    const BASE: &str = "
        .app 0.1.0 > axum, lib, rand
        .lib 0.1.0 > serde
        .tool 0.1.0 > cc
        .free 0.1.0
        axum 1.0.0 > hyper, serde
        hyper 1.2.0
        serde 1.0.0
        rand 1.0.0
        cc 1.0.0";

    fn moved(from: &str, to: &str) -> Vec<String> {
        assert!(from.is_empty() || BASE.contains(from), "{from}");
        let workspace = workspace();
        let head = if from.is_empty() {
            to.to_owned()
        } else {
            BASE.replace(from, to)
        };
        let diff = diff(&lock(BASE), &lock(&head), &workspace).unwrap();
        diff.moved
            .iter()
            .map(|(index, it)| {
                format!(
                    "{} {:?}: {}",
                    workspace.packages[*index].name, it.kind, it.by
                )
            })
            .collect()
    }

    #[test]
    fn only_members_above_what_moved_are_reached() {
        assert_eq!(moved("", BASE), [""; 0]);
        assert_eq!(
            moved("hyper 1.2.0", "hyper 1.3.0"),
            ["app Normal: axum > hyper 1.2.0 -> 1.3.0"]
        );
        assert_eq!(
            moved("serde 1.0.0", "serde 1.0.1"),
            [
                "app Normal: axum > serde 1.0.0 -> 1.0.1",
                "lib Normal: serde 1.0.0 -> 1.0.1"
            ]
        );
        assert_eq!(
            moved("rand 1.0.0", "rand 1.1.0"),
            ["app Dev: rand 1.0.0 -> 1.1.0"]
        );
        assert_eq!(
            moved("cc 1.0.0", "cc 1.0.1"),
            ["tool Build: cc 1.0.0 -> 1.0.1"]
        );
    }

    #[test]
    fn new_and_removed_dependencies_count_of_foreign_packages_too() {
        assert_eq!(
            moved("hyper 1.2.0", "hyper 1.2.0 > h2\nh2 0.4.0"),
            ["app Normal: axum > hyper > h2 0.4.0"]
        );
        assert_eq!(
            moved("> hyper, serde", "> hyper"),
            ["app Normal: axum 1.0.0"]
        );
        assert_eq!(
            moved("> serde", "> serde, log\nlog 1.0.0"),
            ["lib Normal: log 1.0.0"]
        );
        assert_eq!(
            moved(".tool 0.1.0 > cc", ".tool 0.1.0"),
            ["tool Normal: cc 1.0.0 is gone"]
        );
    }

    #[test]
    fn a_second_version_renames_dependencies_and_moves_only_its_users() {
        // With two versions of one package, cargo writes the version beside each use.
        let head = BASE
            .replace("rand 1.0.0", "rand 1.0.0 > serde 2.0.0\nserde 2.0.0")
            .replace("> hyper, serde", "> hyper, serde 1.0.0")
            .replace("> serde\n", "> serde 1.0.0\n");
        assert_eq!(moved("", &head), ["app Dev: rand > serde 2.0.0"]);
    }

    #[test]
    fn of_two_that_moved_the_farther_reaching_one_counts() {
        let head = BASE
            .replace("rand 1.0.0", "rand 1.1.0")
            .replace("axum 1.0.0", "axum 1.0.1");
        assert_eq!(moved("", &head), ["app Normal: axum 1.0.0 -> 1.0.1"]);
    }

    #[test]
    fn versions_of_members_and_members_of_one_side_are_no_move() {
        assert_eq!(moved(".lib 0.1.0", ".lib 0.2.0"), [""; 0]);
        assert_eq!(moved(".free 0.1.0", ""), [""; 0]);
        assert_eq!(
            moved(".free 0.1.0", ".free 0.1.0\n.new 0.1.0 > serde"),
            [""; 0]
        );
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let workspace = workspace();
        let base = lock(BASE);
        let why = |base: &str, head: &str| diff(base, head, &workspace).unwrap_err();
        assert!(why("[", &base).contains("the old one is malformed"));
        assert!(why(&base, "version = 9").contains("newer than 4"));
        assert!(why(&base, &base.replace("[\"hyper\"", "[\"nowhere\"")).contains("the new one"));
        let patched = format!("{base}[[patch.unused]]\nname = 'x'\nversion = '1'\n");
        assert!(why(&base, &patched).contains("more than its packages"));
        assert_eq!(
            diff(
                &base,
                &base.replace("version = 4\n", "version = 3\n"),
                &workspace
            ),
            Ok(Diff::default())
        );
    }

    #[test]
    fn a_patch_leads_through_foreign_packages() {
        let workspace = workspace();
        let base = lock(&BASE.replace("hyper 1.2.0", "hyper 1.2.0 > free"));
        let name = |index: &usize| workspace.packages[*index].name.as_str();
        let edges: Vec<_> = diff(&base, &base, &workspace)
            .unwrap()
            .edges
            .into_iter()
            .collect();
        let edges: Vec<_> = edges
            .iter()
            .map(|(a, b, kind)| (name(a), name(b), *kind))
            .collect();
        assert_eq!(edges, [("app", "free", Kind::Normal)]);
    }
}
