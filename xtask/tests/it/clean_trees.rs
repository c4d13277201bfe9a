//! What `cargo xtask clean-artifacts` may remove, on generated trees: a model on plain data says what goes,
//! and everything else, in the workspace and around it, has to be there afterwards byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use crate::support::{Fixture, Run};

const RULES: &str = "[clean.a]\npaths = [\"target\", \"pkg/target\", \"sub/dist\"]\n\
    [clean.b]\ndirectories = [\"__pycache__\", \"dist\"]\nfiles = [\"*.pyc\"]\n";
/// What the rules above name.
const PATHS: [&str; 3] = ["target", "pkg/target", "sub/dist"];
const DIRECTORIES: [&[u8]; 2] = [b"__pycache__", b"dist"];
const SUFFIX: &[u8] = b".pyc";

/// Names that mean something, and names that are hard to write down.
const NAMES: [&[u8]; 14] = [
    b"target",
    b"pkg",
    b"sub",
    b"__pycache__",
    b"dist",
    b"a",
    b"b",
    b"x.pyc",
    b".env",
    b".env.local",
    b"\xff\xfe",
    b"a b\n'\"",
    "ä".as_bytes(),
    b"-rf",
];

#[derive(Clone, Debug)]
enum Kind {
    Directory {
        read_only: bool,
    },
    File {
        tracked: bool,
    },
    Link {
        to: LinkTo,
        tracked: bool,
    },
    /// One more name of a file outside, or of one inside.
    HardLink {
        outside: bool,
    },
    /// A directory that is another repository: with a directory `.git`, or with a file, as a worktree.
    Repository {
        file: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum LinkTo {
    Outside,
    OutsideFile,
    Upwards,
    Itself,
    Nowhere,
    Source,
}

type Item = (Vec<usize>, Kind);

fn item() -> impl Strategy<Value = Item> {
    let link = prop_oneof![
        Just(LinkTo::Outside),
        Just(LinkTo::OutsideFile),
        Just(LinkTo::Upwards),
        Just(LinkTo::Itself),
        Just(LinkTo::Nowhere),
        Just(LinkTo::Source),
    ];
    let kind = prop_oneof![
        2 => any::<bool>().prop_map(|read_only| Kind::Directory { read_only }),
        6 => prop::bool::weighted(0.2).prop_map(|tracked| Kind::File { tracked }),
        2 => (link, prop::bool::weighted(0.2)).prop_map(|(to, tracked)| Kind::Link { to, tracked }),
        1 => any::<bool>().prop_map(|outside| Kind::HardLink { outside }),
        1 => any::<bool>().prop_map(|file| Kind::Repository { file }),
    ];
    // Half of them where products are.
    let start = prop_oneof![
        Just(vec![0]),
        Just(vec![1, 0]),
        Just(vec![2, 4]),
        Just(vec![]),
        Just(vec![])
    ];
    let rest = prop::collection::vec(0..NAMES.len(), 1..4);
    ((start, rest), kind).prop_map(|((mut path, rest), kind)| {
        path.extend(rest);
        (path, kind)
    })
}

/// A tree as plain data: what each path is, without following links.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
}

/// Everything below a directory, by its path relative to that.
fn look(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let mode = metadata.permissions().mode();
            let node = if metadata.is_dir() {
                open.push(path.clone());
                Node::Directory(mode)
            } else if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap())
            } else {
                Node::File(mode, fs::read(&path).unwrap())
            };
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), node);
        }
    }
    found
}

/// What was made.
struct Tree {
    fixture: Fixture,
    /// Around the workspace: nothing may change there.
    outside: tempfile::TempDir,
    tracked: BTreeSet<PathBuf>,
}

impl Tree {
    /// Makes the items, in their order; what has no place any more is left out.
    fn new(items: &[Item]) -> Tree {
        let tree = Tree {
            fixture: Fixture::new(RULES),
            outside: tempfile::tempdir().unwrap(),
            tracked: BTreeSet::new(),
        };
        let outside = tree.outside.path();
        fs::create_dir_all(outside.join("__pycache__").join("dist")).unwrap();
        for file in ["precious", "__pycache__/x.pyc", "__pycache__/dist/y"] {
            fs::write(outside.join(file), format!("outside {file}")).unwrap();
        }
        tree.fixture.file("src/lib.rs", "source");
        tree.fixture.file(".gitignore", "target\n*.pyc\n");
        tree.fixture.git();
        tree.grow(items)
    }

    fn grow(mut self, items: &[Item]) -> Tree {
        let root = self.fixture.root().to_path_buf();
        let outside = self.outside.path().to_path_buf();
        let mut wanted = Vec::new();
        let mut read_only = Vec::new();
        for (number, (names, kind)) in items.iter().enumerate() {
            let relative: PathBuf = names
                .iter()
                .map(|it| OsStr::from_bytes(NAMES[*it]))
                .collect();
            let path = root.join(&relative);
            let parent = path.parent().unwrap();
            // `create_dir_all` would follow a link.
            let real = |it: &Path| it.symlink_metadata().is_ok_and(|it| it.is_dir());
            let ways = parent.ancestors().take_while(|it| *it != root);
            let blocked = ways
                .clone()
                .any(|it| it.symlink_metadata().is_ok() && !real(it));
            if blocked || path.symlink_metadata().is_ok() {
                continue;
            }
            fs::create_dir_all(parent).unwrap();
            let foreign = ways.clone().any(|it| it.join(".git").exists());
            match kind {
                Kind::Directory { read_only: is } => {
                    fs::create_dir(&path).unwrap();
                    if *is {
                        read_only.push(path);
                    }
                }
                Kind::File { tracked } => {
                    fs::write(&path, format!("{number}")).unwrap();
                    if *tracked && !foreign {
                        wanted.push(relative);
                    }
                }
                Kind::Link { to, tracked } => {
                    let to = match to {
                        LinkTo::Outside => outside.clone(),
                        LinkTo::OutsideFile => outside.join("precious"),
                        LinkTo::Upwards => PathBuf::from("../.."),
                        LinkTo::Itself => PathBuf::from(path.file_name().unwrap()),
                        LinkTo::Nowhere => PathBuf::from("nowhere"),
                        LinkTo::Source => root.join("src"),
                    };
                    symlink(to, &path).unwrap();
                    if *tracked && !foreign {
                        wanted.push(relative);
                    }
                }
                Kind::HardLink {
                    outside: from_outside,
                } => {
                    let from = if *from_outside {
                        outside.join("precious")
                    } else {
                        root.join("src").join("lib.rs")
                    };
                    fs::hard_link(from, &path).unwrap();
                }
                Kind::Repository { file } => {
                    fs::create_dir(&path).unwrap();
                    if *file {
                        fs::write(path.join(".git"), "gitdir: nowhere\n").unwrap();
                    } else {
                        fs::create_dir(path.join(".git")).unwrap();
                        fs::write(path.join(".git").join("HEAD"), "ref: x\n").unwrap();
                    }
                }
            }
        }
        // A later item may have made a repository around an earlier file: git would not take that.
        wanted.retain(|it| {
            let mut ways = it.ancestors().skip(1);
            !ways.any(|way| way != Path::new("") && root.join(way).join(".git").exists())
        });
        git_add(&root, &wanted);
        self.tracked.extend(wanted);
        self.tracked.extend(
            [
                "src/lib.rs",
                ".gitignore",
                "Cargo.toml",
                ".config/xtask.toml",
            ]
            .map(PathBuf::from),
        );
        for path in read_only {
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
        }
        self
    }

    fn root(&self) -> &Path {
        self.fixture.root()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // For whoever is not root, so that the directory can be removed.
        for (path, node) in look(self.root()) {
            if let Node::Directory(mode) = node
                && mode & 0o200 == 0
            {
                let _ =
                    fs::set_permissions(self.root().join(path), fs::Permissions::from_mode(0o755));
            }
        }
    }
}

fn git_add(root: &Path, paths: &[PathBuf]) {
    if paths.is_empty() {
        return;
    }
    let mut git = Command::new("git")
        .args(["--literal-pathspecs", "add", "--force"])
        .args(["--pathspec-from-file=-", "--pathspec-file-nul"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = git.stdin.take().unwrap();
    for path in paths {
        input.write_all(path.as_os_str().as_bytes()).unwrap();
        input.write_all(b"\0").unwrap();
    }
    drop(input);
    assert!(git.wait().unwrap().success(), "git add {paths:?}");
}

/// The model: which paths go. It knows the rules, the tree, and what git tracks; nothing of how it is done.
fn goes(tree: &BTreeMap<PathBuf, Node>, tracked: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let is_directory = |path: &Path| matches!(tree.get(path), Some(Node::Directory(_)));
    let is_repository = |path: &Path| is_directory(path) && tree.contains_key(&path.join(".git"));
    let parts = |path: &Path| -> Vec<PathBuf> {
        let mut ways: Vec<PathBuf> = path.ancestors().map(Path::to_path_buf).collect();
        ways.pop(); // The root itself.
        ways
    };
    let named = |path: &Path| {
        let name = path.file_name().unwrap().as_bytes();
        match &tree[path] {
            Node::File(..) => name.ends_with(SUFFIX),
            Node::Directory(_) | Node::Link(_) => DIRECTORIES.contains(&name),
        }
    };
    // Names are looked for neither in `.git` nor in other repositories; a path is a path.
    let visible = |path: &Path| {
        parts(path)[1..]
            .iter()
            .all(|way| way.file_name() != Some(OsStr::new(".git")) && !is_repository(way))
            && path.file_name() != Some(OsStr::new(".git"))
    };
    let product = |path: &Path| {
        parts(path)
            .iter()
            .any(|way| PATHS.iter().any(|it| way == Path::new(it)) || (named(way) && visible(way)))
    };
    let kept = |path: &Path| {
        parts(path).iter().any(|way| {
            let name = way.file_name().unwrap().as_bytes();
            let dotenv = name == b".env" || name.starts_with(b".env.");
            // Above a product, another repository says what it tracks; in it, it stays whole.
            tracked.contains(way) || (product(way) && (dotenv || is_repository(way)))
        })
    };
    let mut goes = BTreeSet::new();
    // The deepest first: a directory goes if all in it does.
    for path in tree.keys().rev() {
        let mut below = tree.range(path.clone()..).skip(1);
        let below = below.by_ref().take_while(|(it, _)| it.starts_with(path));
        let all_below = below.map(|(it, _)| it).all(|it| goes.contains(it));
        if product(path) && !kept(path) && all_below {
            goes.insert(path.clone());
        }
    }
    goes
}

/// What JSON can say of a path.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What the command says that it removes, or would, and how many files.
fn removed(run: &Run) -> (BTreeSet<String>, u64) {
    let json = run.json();
    let reports = json.as_array().unwrap();
    let mut paths = BTreeSet::new();
    let mut files = 0;
    for report in reports {
        files += report["files"].as_u64().unwrap();
        for path in report["removed"].as_array().unwrap() {
            assert!(
                paths.insert(path.as_str().unwrap().to_owned()),
                "twice: {path}"
            );
        }
    }
    (paths, files)
}

fn is_root() -> bool {
    xtask::platform::is_root()
}

/// The exit code with which all is refused: a path of the rules leads through what is no directory (2), or
/// into a repository that git cannot read (1).
fn refusal(tree: &Tree, before: &BTreeMap<PathBuf, Node>) -> Option<i32> {
    let ways = ["pkg", "sub"].map(Path::new);
    let broken = |way: &&Path| matches!(before.get(&way.join(".git")), Some(Node::File(..)));
    if ways.iter().any(broken) {
        return Some(1);
    }
    let leads = |way: &&Path| {
        let no_directory = matches!(before.get(*way), Some(Node::File(..) | Node::Link(_)));
        no_directory && tree.root().join(way).exists()
    };
    ways.iter().any(leads).then_some(2)
}

fn check(items: &[Item]) {
    let tree = Tree::new(items);
    let (before, outside) = (look(tree.root()), look(tree.outside.path()));
    if let Some(code) = refusal(&tree, &before) {
        tree.fixture.run(&["clean-artifacts"]).code(code);
        assert_eq!(look(tree.root()), before, "it was refused");
        assert_eq!(look(tree.outside.path()), outside);
        return;
    }
    let goes = goes(&before, &tree.tracked);

    let dry = tree
        .fixture
        .run(&["--format", "json", "clean-artifacts", "--dry-run"])
        .code(0);
    assert_eq!(look(tree.root()), before, "a dry run changes nothing");
    let (would, would_files) = removed(&dry);

    let run = tree.fixture.run(&["--format", "json", "clean-artifacts"]);
    let after = look(tree.root());
    assert_eq!(look(tree.outside.path()), outside, "outside\n{run}");
    let stays = before.iter().filter(|(path, _)| !goes.contains(*path));
    let stays: BTreeMap<_, _> = stays
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect();
    for (path, node) in &stays {
        assert_eq!(after.get(path), Some(node), "{path:?} had to stay\n{run}");
    }
    // Whoever is not root cannot empty a directory that is read-only, and says so.
    let read_only = goes.iter().any(|path| {
        matches!(before[path], Node::Directory(mode) if mode & 0o200 == 0)
            && goes.iter().any(|it| it.parent() == Some(path))
    });
    if read_only && !is_root() {
        run.code(1).says("failed to remove");
        return;
    }
    let run = run.code(0);
    assert_eq!(after, stays, "{run}");
    let (did, did_files) = removed(&run);
    assert_eq!(
        (&would, would_files),
        (&did, did_files),
        "what a dry run says is what goes"
    );
    // What is said covers what has gone, and nothing else.
    let said: BTreeSet<&PathBuf> = before
        .keys()
        .filter(|path| path.ancestors().any(|it| did.contains(&shown(it))))
        .collect();
    assert_eq!(said, goes.iter().collect(), "{run}");
    let files = goes
        .iter()
        .filter(|it| !matches!(before[*it], Node::Directory(_)));
    assert_eq!(did_files, files.count() as u64, "{run}");
    // A second run finds nothing more.
    let again = tree
        .fixture
        .run(&["--format", "json", "clean-artifacts"])
        .code(0);
    assert_eq!(removed(&again).0, BTreeSet::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_the_model_says_goes_and_nothing_else(items in prop::collection::vec(item(), 0..40)) {
        check(&items);
    }
}

/// What the properties lean on: that generated trees hold each kind of thing, inside of products.
#[test]
fn the_trees_have_what_can_go_wrong() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..48 {
        let items = prop::collection::vec(item(), 0..40);
        let items = items.new_tree(&mut runner).unwrap().current();
        let tree = Tree::new(&items);
        let before = look(tree.root());
        let goes = goes(&before, &tree.tracked);
        let products = before.iter().filter(|(path, _)| path.starts_with("target"));
        for (path, node) in products {
            let fate = if goes.contains(path) { "goes" } else { "stays" };
            let kind = match node {
                Node::Directory(mode) if mode & 0o200 == 0 => "read-only directory",
                Node::Directory(_) => "directory",
                Node::File(..) if tree.tracked.contains(path) => "tracked file",
                Node::File(..) => "file",
                Node::Link(_) if tree.tracked.contains(path) => "tracked link",
                Node::Link(_) => "link",
            };
            seen.insert(format!("{kind} {fate}"));
            if path.ends_with(".git") {
                seen.insert(format!("repository {fate}"));
            }
            if path.as_os_str().as_bytes().contains(&0xff) {
                seen.insert(format!("odd name {fate}"));
            }
        }
    }
    for expected in [
        "directory goes",
        "directory stays",
        "file goes",
        "file stays",
        "link goes",
        "link stays",
        "odd name goes",
        "odd name stays",
        "read-only directory goes",
        "repository stays",
        "tracked file stays",
        "tracked link stays",
    ] {
        assert!(seen.contains(expected), "no `{expected}` in {seen:?}");
    }
    assert!(!seen.contains("tracked file goes") && !seen.contains("repository goes"));
}
