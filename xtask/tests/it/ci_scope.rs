//! `cargo xtask ci scope` on synthetic histories: real repositories, one change each.

use std::path::Path;
use std::process::Command;

use crate::support::{Fixture, Run, cargo, root};

/// Edges of the fixture (`core` is renamed in `client`, inherited in `api`; cycles over dev edges):
///
/// ```text
/// client -> core      api -> core          api -build-> gen     app -> api, extra?, winlib (Windows)
/// core -dev-> client  client -dev-> api    api -dev-> client    e2e -dev-> client, e2e runs app
/// py -> core          extra -> patched (excluded)               solo, spare (no member): alone
/// ```
const FILES: [(&str, &str); 32] = [
    (
        "Cargo.toml",
        r#"[workspace]
resolver = "3"
members = ["api", "app", "client", "core", "extra", "gen", "solo", "tests/e2e", "winlib", "workers/*"]
exclude = ["vendor", "spare"]

[workspace.package]
edition = "2024"

[workspace.dependencies]
core = { path = "core" }
rand = "1"
serde = "1"

[workspace.lints.rust]
missing_docs = "warn"

[profile.dev]
debug = 1
"#,
    ),
    ("Cargo.lock", LOCK),
    (
        "core/Cargo.toml",
        "[package]\nname = 'core'\n[dependencies]\nserde.workspace = true\n[dev-dependencies]\nclient = { path = '../client' }\n",
    ),
    (
        "core/src/lib.rs",
        "#![doc = include_str!(\"../README.md\")]\n",
    ),
    ("core/README.md", "core\n"),
    (
        "client/Cargo.toml",
        "[package]\nname = 'client'\n[dependencies]\nbase = { path = '../core', package = 'core' }\n[dev-dependencies]\napi = { path = '../api' }\n",
    ),
    (
        "client/src/lib.rs",
        "pub const API: &str = include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../docs/api.md\"));\n",
    ),
    (
        "api/Cargo.toml",
        "[package]\nname = 'api'\n[dependencies]\ncore.workspace = true\n[build-dependencies]\ngen = { path = '../gen' }\n[dev-dependencies]\nclient = { path = '../client' }\nrand.workspace = true\n",
    ),
    ("api/src/lib.rs", "\n"),
    (
        "app/Cargo.toml",
        "[package]\nname = 'app'\n[dependencies]\napi = { path = '../api' }\nextra = { path = '../extra', optional = true }\n[target.'cfg(windows)'.dependencies]\nwinlib = { path = '../winlib' }\n",
    ),
    ("app/src/main.rs", "fn main() {}\n"),
    (
        "gen/Cargo.toml",
        "[package]\nname = 'gen'\n[lints]\nworkspace = true\n",
    ),
    ("gen/src/lib.rs", "\n"),
    (
        "extra/Cargo.toml",
        "[package]\nname = 'extra'\n[dependencies]\nlog = '1'\npatched = { path = '../vendor/patched' }\n",
    ),
    (
        "extra/src/lib.rs",
        "#[path = \"../../shared/clock.rs\"]\nmod clock;\n",
    ),
    ("shared/clock.rs", "\n"),
    ("winlib/Cargo.toml", "[package]\nname = 'winlib'\n"),
    ("winlib/src/lib.rs", "\n"),
    (
        "solo/Cargo.toml",
        "[package]\nname = 'solo'\nedition.workspace = true\n",
    ),
    (
        "solo/src/lib.rs",
        "// a file that is long enough to be found again under another name\n",
    ),
    ("solo/README.md", "solo\n"),
    ("spare/Cargo.toml", "[package]\nname = 'spare'\n"),
    ("spare/src/lib.rs", "\n"),
    ("vendor/patched/Cargo.toml", "[package]\nname = 'patched'\n"),
    ("vendor/patched/src/lib.rs", "\n"),
    (
        "tests/e2e/Cargo.toml",
        "[package]\nname = 'e2e'\n[dev-dependencies]\nclient = { path = '../../client' }\n",
    ),
    ("tests/e2e/tests/all.rs", "\n"),
    (
        "workers/py/Cargo.toml",
        "[package]\nname = 'py'\n[dependencies]\ncore = { workspace = true }\n",
    ),
    ("workers/py/src/lib.rs", "\n"),
    ("workers/py/py/worker.py", "\n"),
    ("workers/py/requirements.txt", "pytest\n"),
    ("docs/api.md", "api\n"),
];

const LOCK: &str = r#"version = 4

[[package]]
name = "api"
version = "0.1.0"
dependencies = ["client", "core", "gen", "rand"]

[[package]]
name = "core"
version = "0.1.0"
dependencies = ["client", "serde"]

[[package]]
name = "extra"
version = "0.1.0"
dependencies = ["log", "patched"]

[[package]]
name = "client"
version = "0.1.0"
dependencies = ["api", "core"]

[[package]]
name = "gen"
version = "0.1.0"

[[package]]
name = "patched"
version = "0.1.0"

[[package]]
name = "itoa"
version = "1.0.0"
source = "registry"
checksum = "1"

[[package]]
name = "log"
version = "1.0.0"
source = "registry"
checksum = "2"

[[package]]
name = "rand"
version = "1.0.0"
source = "registry"
checksum = "3"

[[package]]
name = "serde"
version = "1.0.0"
source = "registry"
checksum = "4"
dependencies = ["itoa"]
"#;

const CONFIG: &str = r#"
[ci.scope]
everything = ["make/**"]
nothing = ["docs/**", "**/*.md", "LICENSE"]
uses = { e2e = ["app"] }

[[ci.scope.rules]]
paths = ["migrations/**"]
members = ["app"]
languages = ["python"]

[[ci.scope.rules]]
paths = ["shared/**"]
members = ["ext*"]

[ci.languages.rust]
members = ["*"]

[ci.languages.python]
directories = ["workers/py"]

[ci.jobs.quality]
when = "always"

[ci.jobs.docs]
paths = ["**/*.md"]

[ci.jobs.rust]
languages = ["rust"]
matrix = { task = "test-rust" }

[ci.jobs.python]
languages = ["python"]

[ci.jobs.e2e]
members = ["e2e"]
"#;

/// What `core` reaches: all that depends on it, then tests.
const CORE: &str = "api app client core e2e py";
const ALL: &str = "*";

/// A repository whose branch `main` holds the fixture.
struct Repo {
    fixture: Fixture,
}

impl Repo {
    fn new() -> Repo {
        let repo = Repo {
            fixture: Fixture::new(CONFIG),
        };
        for (path, text) in FILES {
            repo.fixture.file(path, text);
        }
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit();
        repo.git(&["branch", "start"]);
        repo
    }

    fn git(&self, args: &[&str]) -> String {
        git(self.fixture.root(), args)
    }

    fn commit(&self) -> &Repo {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
        self
    }

    fn file(&self, path: &str, text: &str) -> &Repo {
        self.fixture.file(path, text);
        self
    }

    /// Appends a line to a file, made if need be.
    fn touch(&self, path: &str) -> &Repo {
        let old = std::fs::read_to_string(self.fixture.path(path)).unwrap_or_default();
        self.file(path, &format!("{old}\n"))
    }

    fn replace(&self, path: &str, from: &str, to: &str) -> &Repo {
        let old = std::fs::read_to_string(self.fixture.path(path)).expect("a file");
        assert!(old.contains(from), "{path} has no {from:?}");
        self.file(path, &old.replace(from, to))
    }

    fn rm(&self, path: &str) -> &Repo {
        self.git(&["rm", "-r", "--quiet", path]);
        self
    }

    fn mv(&self, from: &str, to: &str) -> &Repo {
        let parent = self.fixture.path(to);
        std::fs::create_dir_all(parent.parent().expect("a parent")).expect("directories");
        self.git(&["mv", from, to]);
        self
    }

    fn scope(&self, args: &[&str]) -> Run {
        let args = [&["ci", "scope"], args].concat();
        Run::of(&mut isolated(self.fixture.xtask(&args)))
    }
}

/// No setting of the machine's may play a part.
fn isolated(mut command: Command) -> Command {
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "no-such-file");
    command
}

fn git(directory: &Path, args: &[&str]) -> String {
    let mut command = isolated(Command::new("git"));
    let output = command
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(args)
        .current_dir(directory)
        .output()
        .expect("git starts");
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a run selected: members (`*` for everything), languages, jobs.
#[derive(Debug, PartialEq)]
struct Selected(String, String, String);

fn selected(run: &Run) -> Selected {
    let json = run.json();
    let names = |key: &str| {
        let items = json[key].as_array().expect("a list");
        let names: Vec<&str> = items
            .iter()
            .map(|it| it["name"].as_str().expect("a name"))
            .collect();
        names.join(" ")
    };
    let everything = !json["everything"].as_array().expect("a list").is_empty();
    assert_eq!(json["packages"] == "--workspace", everything, "{run}");
    assert_eq!(json["filterset"] == "all()", everything, "{run}");
    let members = if everything {
        ALL.to_owned()
    } else {
        names("members")
    };
    Selected(members, names("languages"), names("jobs"))
}

type Change = fn(&Repo);

/// A change, and what it touches: members, languages, jobs.
struct Row(
    &'static str,
    Change,
    &'static str,
    &'static str,
    &'static str,
);

/// Each row on a repository of its own.
fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for Row(name, change, members, languages, jobs) in rows {
        let repo = Repo::new();
        change(&repo);
        repo.commit();
        let run = repo
            .scope(&["--base", "start", "--head", "HEAD", "--format", "json"])
            .code(0);
        let expected = Selected(
            (*members).to_owned(),
            (*languages).to_owned(),
            (*jobs).to_owned(),
        );
        let found = selected(&run);
        if found != expected {
            wrong.push(format!(
                "{name}\n  expected {expected:?}\n  found    {found:?}\n{run}"
            ));
        }
        // Whatever selects everything says so, and why.
        if *members == ALL {
            assert!(
                run.stderr().contains("warning: everything is selected: "),
                "{name}\n{run}"
            );
        } else {
            assert_eq!(run.stderr(), "", "{name}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const RUST: &str = "rust";
const BOTH: &str = "python rust";
const NONE: &str = "";

#[rustfmt::skip] // A row is a line.
#[test]
fn the_graph_decides_who_is_reached() {
    check(&[
        Row("all that depends on a library, then tests", |r| { r.touch("core/src/lib.rs"); }, CORE, BOTH, "e2e python quality rust"),
        Row("a dev-dependency reaches tests, and no further", |r| { r.touch("client/src/lib.rs"); }, "api client core e2e", RUST, "e2e quality rust"),
        Row("a build dependency", |r| { r.touch("gen/src/lib.rs"); }, "api app client e2e gen", RUST, "e2e quality rust"),
        Row("the middle of the graph", |r| { r.touch("api/src/lib.rs"); }, "api app client e2e", RUST, "e2e quality rust"),
        Row("an optional dependency", |r| { r.touch("extra/src/lib.rs"); }, "app e2e extra", RUST, "e2e quality rust"),
        Row("a dependency of another platform", |r| { r.touch("winlib/src/lib.rs"); }, "app e2e winlib", RUST, "e2e quality rust"),
        Row("a path dependency that is no member", |r| { r.touch("vendor/patched/src/lib.rs"); }, "app e2e extra", RUST, "e2e quality rust"),
        Row("a member that nobody needs", |r| { r.touch("solo/src/lib.rs"); }, "solo", RUST, "quality rust"),
        Row("two members at once", |r| { r.touch("solo/src/lib.rs").touch("tests/e2e/tests/all.rs"); }, "e2e solo", RUST, "e2e quality rust"),
        Row("a program whose tests are elsewhere", |r| { r.touch("app/src/main.rs"); }, "app e2e", RUST, "e2e quality rust"),
    ]);
}

#[rustfmt::skip] // A row is a line.
#[test]
fn other_languages_and_documents() {
    check(&[
        Row("a file of another language, in a crate's directory", |r| { r.touch("workers/py/py/worker.py"); }, NONE, "python", "python quality"),
        Row("requirements.txt is no document", |r| { r.touch("workers/py/requirements.txt"); }, NONE, "python", "python quality"),
        Row("the crate of another language", |r| { r.touch("workers/py/src/lib.rs"); }, "py", BOTH, "python quality rust"),
        Row("its manifest", |r| { r.touch("workers/py/Cargo.toml"); }, "py", BOTH, "python quality rust"),
        Row("a deleted file of another language", |r| { r.rm("workers/py/requirements.txt"); }, NONE, "python", "python quality"),
        Row("a document", |r| { r.touch("docs/guide.md"); }, NONE, NONE, "docs quality"),
        Row("a document with a name of umlauts", |r| { r.touch("docs/Überblick.md"); }, NONE, NONE, "docs quality"),
        Row("a licence", |r| { r.touch("LICENSE"); }, NONE, NONE, "quality"),
        Row("a member's README that nobody includes", |r| { r.touch("solo/README.md"); }, NONE, NONE, "docs quality"),
        Row("a README that its crate includes", |r| { r.touch("core/README.md"); }, CORE, BOTH, "docs e2e python quality rust"),
        Row("a document that a crate embeds", |r| { r.touch("docs/api.md"); }, "api client core e2e", RUST, "docs e2e quality rust"),
        Row("a README next to a language's files", |r| { r.touch("workers/py/README.md"); }, NONE, NONE, "docs quality"),
        Row("data in a member", |r| { r.touch("solo/data.bin"); }, "solo", RUST, "quality rust"),
        Row("a source that a crate takes from elsewhere", |r| { r.touch("shared/clock.rs"); }, "app e2e extra", RUST, "e2e quality rust"),
        Row("a rule", |r| { r.touch("migrations/1.sql"); }, "app e2e", BOTH, "e2e python quality rust"),
    ]);
}

#[rustfmt::skip] // A row is a line.
#[test]
fn files_come_and_go_and_move() {
    check(&[
        Row("a deleted source", |r| { r.rm("api/src/lib.rs"); }, "api app client e2e", RUST, "e2e quality rust"),
        Row("renamed within a member", |r| { r.mv("solo/src/lib.rs", "solo/src/other.rs"); }, "solo", RUST, "quality rust"),
        Row("renamed from one member to another: both", |r| { r.mv("solo/src/lib.rs", "tests/e2e/src/lib.rs"); }, "e2e solo", RUST, "e2e quality rust"),
        Row("moved out of the documents", |r| { r.mv("docs/api.md", "solo/src/api.rs"); }, "api client core e2e solo", RUST, "docs e2e quality rust"),
        Row("a new source, names of umlauts", |r| { r.touch("solo/src/größe/mod.rs"); }, "solo", RUST, "quality rust"),
        Row("a removed member that nobody needed", |r| { r.rm("solo").replace("Cargo.toml", "\"solo\", ", ""); }, NONE, NONE, "docs quality"),
        Row("a removed member and who needed it", |r| { r.rm("winlib").replace("Cargo.toml", ", \"winlib\"", "").replace("app/Cargo.toml", "winlib = { path = '../winlib' }", ""); }, "app e2e", RUST, "e2e quality rust"),
        Row("a moved member", |r| { r.mv("winlib", "platform/winlib").replace("Cargo.toml", "\"winlib\"", "\"platform/winlib\"").replace("app/Cargo.toml", "../winlib", "../platform/winlib"); }, "app e2e winlib", RUST, "e2e quality rust"),
        Row("a renamed package", |r| { r.replace("winlib/Cargo.toml", "'winlib'", "'windows'").replace("app/Cargo.toml", "winlib = {", "winlib = { package = 'windows',"); }, "app e2e windows", RUST, "e2e quality rust"),
        Row("a new member, found by a wildcard", |r| { r.file("workers/rb/Cargo.toml", "[package]\nname = 'rb'\n").touch("workers/rb/src/lib.rs"); }, "rb", RUST, "quality rust"),
        Row("a member by a line alone, its files unchanged", |r| { r.replace("Cargo.toml", "\"vendor\", \"spare\"]", "\"vendor\"]").replace("Cargo.toml", "\"solo\",", "\"solo\", \"spare\","); }, "spare", RUST, "quality rust"),
        Row("a new dependency between members", |r| { r.replace("solo/Cargo.toml", "edition", "[dependencies]\ngen = { path = '../gen' }\n[package.metadata]\nedition"); }, "solo", RUST, "quality rust"),
        Row("thousands of files", |r| { (0..3000).for_each(|n| { r.file(&format!("solo/data/{}/{n}.txt", n % 50), "x"); }); }, "solo", RUST, "quality rust"),
    ]);
}

#[cfg(unix)]
#[rustfmt::skip] // A row is a line.
#[test]
fn modes_links_and_odd_names() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    check(&[
        Row("a mode alone", |r| { std::fs::set_permissions(r.fixture.path("solo/src/lib.rs"), PermissionsExt::from_mode(0o755)).unwrap() }, "solo", RUST, "quality rust"),
        Row("a file that became a link", |r| { let file = r.fixture.path("solo/README.md"); std::fs::remove_file(&file).unwrap(); symlink("../core/README.md", file).unwrap(); }, NONE, NONE, "docs quality"),
        Row("a name with a line feed, a tab, quotes and a backslash", |r| { r.touch("solo/src/a\nb\t\"c\"\\'d'.rs"); }, "solo", RUST, "quality rust"),
        Row("a name that looks like an option", |r| { r.touch("solo/--help"); }, "solo", RUST, "quality rust"),
    ]);
}

#[rustfmt::skip] // A row is a line.
#[test]
fn manifests_and_the_lock_file_are_compared_by_what_they_say() {
    check(&[
        Row("a comment in the root manifest", |r| { r.replace("Cargo.toml", "debug = 1", "debug = 1 # why"); }, NONE, NONE, "quality"),
        Row("a profile", |r| { r.replace("Cargo.toml", "debug = 1", "debug = 2"); }, ALL, BOTH, "docs e2e python quality rust"),
        Row("a shared dependency reaches its users", |r| { r.replace("Cargo.toml", "serde = \"1\"", "serde = { version = \"1\", features = [\"rc\"] }"); }, CORE, BOTH, "e2e python quality rust"),
        Row("a shared dependency of tests alone", |r| { r.replace("Cargo.toml", "rand = \"1\"", "rand = \"1.1\""); }, "api", RUST, "quality rust"),
        Row("what one member inherits", |r| { r.replace("Cargo.toml", "2024", "2021"); }, "solo", RUST, "quality rust"),
        Row("lints reach who is checked by them, and no further", |r| { r.replace("Cargo.toml", "\"warn\"", "\"deny\""); }, "gen", RUST, "quality rust"),
        Row("the resolver", |r| { r.replace("Cargo.toml", "\"3\"", "\"2\""); }, ALL, BOTH, "docs e2e python quality rust"),
        Row("a locked dependency", |r| { r.replace("Cargo.lock", "checksum = \"2\"", "checksum = \"5\""); }, "app e2e extra", RUST, "e2e quality rust"),
        Row("a locked dependency of tests", |r| { r.replace("Cargo.lock", "checksum = \"3\"", "checksum = \"5\""); }, "api", RUST, "quality rust"),
        Row("a dependency of a dependency", |r| { r.replace("Cargo.lock", "checksum = \"1\"", "checksum = \"5\""); }, CORE, BOTH, "e2e python quality rust"),
        Row("the lock file's format alone", |r| { r.replace("Cargo.lock", "version = 4", "version = 3"); }, NONE, NONE, "quality"),
        Row("a lock file that says nothing", |r| { r.file("Cargo.lock", "<<<<<<< ours\n"); }, ALL, BOTH, "docs e2e python quality rust"),
        Row("no lock file any more", |r| { r.rm("Cargo.lock"); }, ALL, BOTH, "docs e2e python quality rust"),
    ]);
}

#[rustfmt::skip] // A row is a line.
#[test]
fn what_is_not_known_touches_everything() {
    let all = |name, change| Row(name, change, ALL, BOTH, "docs e2e python quality rust");
    check(&[
        all("a file that no rule and no member knows", |r| {
            r.touch("new-thing/file");
        }),
        all("cargo's settings", |r| {
            r.touch(".cargo/config.toml");
        }),
        all("the toolchain", |r| {
            r.touch("rust-toolchain.toml");
        }),
        all("the settings of this tool", |r| {
            r.touch(".config/nextest.toml");
        }),
        all("what the configuration calls everything", |r| {
            r.touch("make/a/b.toml");
        }),
        all("an empty commit", |_| {}),
        all("a change that was taken back", |r| {
            r.touch("solo/src/lib.rs")
                .commit()
                .git(&["revert", "--no-edit", "HEAD"]);
        }),
        all("a member's files outside of it, and a document", |r| {
            r.touch("solo.rs").touch("docs/x.md");
        }),
    ]);
}

#[test]
fn only_the_branchs_own_commits_count() {
    let repo = Repo::new();
    repo.git(&["switch", "--quiet", "--create", "feature"]);
    repo.touch("solo/src/lib.rs").commit();
    repo.git(&["switch", "--quiet", "main"]);
    repo.touch("core/src/lib.rs").commit();
    let solo = Selected(
        "solo".to_owned(),
        "rust".to_owned(),
        "quality rust".to_owned(),
    );
    let json = ["--base", "main", "--head", "feature", "--format", "json"];
    assert_eq!(selected(&repo.scope(&json).code(0)), solo);
    // So it is when main was merged into the branch, whatever else main has by then.
    repo.git(&["switch", "--quiet", "feature"]);
    repo.git(&["merge", "--quiet", "--no-edit", "main"]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.touch("gen/src/lib.rs").commit();
    assert_eq!(selected(&repo.scope(&json).code(0)), solo);
}

#[test]
fn the_working_tree_counts_unless_a_head_is_named() {
    let repo = Repo::new();
    repo.file(".gitignore", "*.log\n").replace(
        ".config/xtask.toml",
        "\"LICENSE\"",
        "\"LICENSE\", \".gitignore\"",
    );
    repo.commit();
    repo.touch("solo/src/new.rs")
        .touch("noise.log")
        .touch("gen/src/lib.rs");
    repo.git(&["add", "gen"]);
    std::fs::remove_file(repo.fixture.path("tests/e2e/tests/all.rs")).unwrap();
    let members = |args: &[&str]| {
        selected(
            &repo
                .scope(&[&["--base", "HEAD", "--format", "json"], args].concat())
                .code(0),
        )
        .0
    };
    assert_eq!(members(&[]), "api app client e2e gen solo");
    // HEAD against itself is no difference: not silence, but everything.
    assert_eq!(members(&["--head", "HEAD"]), ALL);
    let mut command = isolated(
        repo.fixture
            .xtask(&["ci", "scope", "--base", "HEAD", "--format", "json"]),
    );
    let run = Run::of(command.env("CI", "true"))
        .code(0)
        .says("no file differs");
    assert_eq!(selected(&run).0, ALL);
}

#[test]
fn an_unknown_base_selects_everything_and_an_unknown_head_is_a_mistake() {
    let repo = Repo::new();
    repo.touch("solo/src/lib.rs").commit();
    let run = repo
        .scope(&["--base", "no-such-branch", "--format", "json"])
        .code(0);
    let run =
        run.says("warning: everything is selected: `no-such-branch` is no commit that is here");
    assert_eq!(selected(&run).0, ALL);
    let odd = repo
        .scope(&["--base=--output=x", "--format", "json"])
        .code(0);
    assert_eq!(selected(&odd).0, ALL);
    assert!(!repo.fixture.path("x").exists());
    repo.scope(&["--base", "main", "--head", "nowhere"])
        .code(2)
        .says("`nowhere` (of --head) is no commit");
    repo.scope(&[])
        .code(2)
        .says("origin/HEAD")
        .says("--base main");
    let unrelated = repo.git(&["commit-tree", "HEAD^{tree}", "-m", "x"]);
    repo.scope(&["--base", &unrelated])
        .code(0)
        .says("everything is selected")
        .says("have no commit in common");
}

#[test]
fn a_base_whose_manifests_are_broken_narrows_nothing() {
    let repo = Repo::new();
    repo.file("solo/Cargo.toml", "[package").commit();
    repo.git(&["branch", "broken"]);
    repo.file("solo/Cargo.toml", "[package]\nname = 'solo'\n")
        .commit();
    let run = repo
        .scope(&["--base", "broken", "--format", "json"])
        .code(0);
    assert_eq!(selected(&run.says("solo/Cargo.toml:1:")).0, ALL);
    repo.scope(&["--base", "main", "--head", "broken"])
        .code(2)
        .says("solo/Cargo.toml:1:");
}

#[test]
fn no_setting_of_a_user_changes_the_answer() {
    let repo = Repo::new();
    repo.touch("core/src/größe.rs")
        .mv("solo/src/lib.rs", "solo/src/b.rs");
    repo.commit().touch("gen/src/new.rs");
    let args = ["--base", "start", "--format", "json"];
    let before = repo.scope(&args).code(0);
    for (name, value) in [
        ("diff.noprefix", "true"),
        ("diff.relative", "true"),
        ("diff.renames", "copies"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.external", "false"),
        ("color.ui", "always"),
        ("core.quotePath", "true"),
        ("grep.patternType", "fixed"),
        ("submodule.recurse", "true"),
        ("status.showUntrackedFiles", "no"),
    ] {
        repo.git(&["config", name, value]);
    }
    let after = repo.scope(&args).code(0);
    assert_eq!(after.stdout(), before.stdout(), "{after}");
    // From a directory inside, too, and as often as one asks.
    let mut inside = isolated(
        repo.fixture
            .xtask(&["ci", "scope", "--base", "start", "--format", "json"]),
    );
    let inside = Run::of(inside.current_dir(repo.fixture.path("workers/py"))).code(0);
    assert_eq!(inside.stdout(), before.stdout());
}

#[test]
fn a_workspace_below_the_repositorys_top() {
    let repo = Repo::new();
    let top = tempfile::tempdir().unwrap();
    let inner = top.path().join("rust");
    git(top.path(), &["init", "--quiet", "--initial-branch=main"]);
    let clone = repo.fixture.root().display().to_string();
    git(top.path(), &["clone", "--quiet", &clone, "rust"]);
    std::fs::remove_dir_all(inner.join(".git")).unwrap();
    git(top.path(), &["add", "--all"]);
    git(top.path(), &["commit", "--quiet", "--message", "x"]);
    let members = || {
        let mut command = isolated(
            repo.fixture
                .xtask(&["ci", "scope", "--base", "HEAD", "--format", "json"]),
        );
        selected(&Run::of(command.current_dir(&inner)).code(0)).0
    };
    std::fs::write(inner.join("solo").join("new.rs"), "").unwrap();
    assert_eq!(members(), "solo");
    std::fs::write(top.path().join("web.js"), "").unwrap();
    assert_eq!(members(), ALL);
    let config = inner.join(".config").join("xtask.toml");
    let rule = "[[ci.scope.rules]]\npaths = ['../*.js']\nmembers = ['gen']\n[ci.scope]\n";
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[ci.scope]\n", rule)).unwrap();
    git(top.path(), &["add", "rust/.config"]);
    git(top.path(), &["commit", "--quiet", "--message", "x"]);
    assert_eq!(members(), "api app client e2e gen solo");
}

/// cargo's own reading of this repository's manifests is the oracle of ours.
#[test]
fn this_workspaces_graph_is_the_one_that_cargo_sees() {
    use std::collections::BTreeSet;
    use xtask::ci::git::Git;
    let root = &root();
    let mut command = cargo();
    let run = Run::of(
        command
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(root),
    );
    let metadata = run.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    let mut expected = BTreeSet::new();
    for package in list(&metadata["packages"]) {
        expected.insert(text(&package["name"]));
        for dependency in list(&package["dependencies"]) {
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            let local = if dependency["path"].is_string() {
                "here"
            } else {
                "elsewhere"
            };
            let name = text(&dependency["name"]);
            expected.insert(format!("{} {kind} {name} {local}", text(&package["name"])));
        }
    }
    let (snapshot, _) = Git::open(root).unwrap().snapshot(None).unwrap();
    let workspace = &snapshot.workspace;
    let mut found = BTreeSet::new();
    for index in workspace.members() {
        let package = &workspace.packages[index];
        let kind = |kind| format!("{kind:?}").to_lowercase();
        found.insert(package.name.clone());
        found.extend(package.dependencies.iter().map(|(on, how)| {
            format!(
                "{} {} {} here",
                package.name,
                kind(how),
                workspace.packages[*on].name
            )
        }));
        // Of one that is needed in two ways, we keep the stronger alone.
        found.extend(
            package
                .external
                .iter()
                .map(|(name, how)| format!("{} {} {name} elsewhere", package.name, kind(how))),
        );
    }
    let stronger = |edge: &String| {
        let parts: Vec<&str> = edge.split(' ').collect();
        parts.len() == 4
            && parts[3] == "elsewhere"
            && ["normal", "build"].iter().any(|kind| {
                *kind != parts[1]
                    && found.contains(&format!("{} {kind} {} elsewhere", parts[0], parts[2]))
            })
    };
    expected.retain(|edge| found.contains(edge) || !stronger(edge));
    assert_eq!(found, expected);
}

#[test]
fn names_in_the_configuration_must_exist() {
    let repo = Repo::new();
    repo.replace(
        ".config/xtask.toml",
        "members = [\"app\"]",
        "members = [\"ap\"]",
    );
    repo.scope(&["--base", "start"])
        .code(2)
        .says("names `ap`, which is no member")
        .says("did you mean `app`?");
}

#[test]
fn the_way_is_explained_and_facts_are_printed_one_by_one() {
    let repo = Repo::new();
    repo.touch("gen/src/lib.rs")
        .touch("gen/src/b.rs")
        .touch("docs/x.md")
        .commit();
    let run = repo
        .scope(&["--base", "start", "--explain", "--color", "never"])
        .code(0);
    for line in [
        "3 files differ between start (merge base ",
        "members (5 of 10)",
        "  app     it depends on api",
        "          api: it is built with gen",
        "          gen: `gen/src/b.rs` and 1 more of its files changed",
        "  client  its tests depend on api",
        "  e2e     its tests run app",
        "  docs/x.md       nothing",
        "cargo    --package api --package app --package client --package e2e --package gen\n",
        "nextest  package(=api) | package(=app) | package(=client) | package(=e2e) | package(=gen)\n",
    ] {
        assert!(run.stdout().contains(line), "{line:?}\n{run}");
    }
    let print = |what: &str| {
        repo.scope(&["--base", "start", "--print", what])
            .code(0)
            .stdout()
    };
    assert_eq!(print("members"), "api\napp\nclient\ne2e\ngen\n");
    assert_eq!(print("languages"), "rust\n");
    assert_eq!(print("jobs"), "docs\ne2e\nquality\nrust\n");
    assert_eq!(
        print("matrix"),
        "{\"include\":[{\"job\":\"docs\"},{\"job\":\"e2e\"},{\"job\":\"quality\"},{\"job\":\"rust\",\"task\":\"test-rust\"}]}\n"
    );
}

#[test]
fn later_steps_of_github_get_the_facts() {
    let repo = Repo::new();
    repo.touch("workers/py/py/worker.py").commit();
    let printed = repo
        .scope(&["--base", "start", "--github"])
        .code(0)
        .stdout();
    let line = |text: &str| {
        assert!(
            printed.lines().any(|line| line == text),
            "{text}\n{printed}"
        )
    };
    line("everything=false");
    line("members=[]");
    line("packages=");
    line("filterset=none()");
    line("languages=[\"python\"]");
    line("jobs=[\"python\",\"quality\"]");
    let output = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(output.path(), "earlier=1\n").unwrap();
    let mut command = isolated(
        repo.fixture
            .xtask(&["ci", "scope", "--base", "start", "--github"]),
    );
    Run::of(command.env("GITHUB_OUTPUT", output.path()))
        .code(0)
        .prints("members (0 of 10)");
    let text = std::fs::read_to_string(output.path()).unwrap();
    assert!(text.starts_with("earlier=1\n"), "{text}");
    assert!(
        text.contains("\nlanguages<<xtask_") && text.contains("\n[\"python\"]\n"),
        "{text}"
    );
}

/// A clone of `main` with `--depth 1`, of a repository where `main` and `feature` have parted long ago.
struct Shallow {
    origin: Repo,
    clone: tempfile::TempDir,
}

impl Shallow {
    fn new(branch: &str, commits: usize) -> Shallow {
        let origin = Repo::new();
        origin.git(&["switch", "--quiet", "--create", "feature"]);
        origin.touch("solo/src/lib.rs").commit();
        (0..commits)
            .for_each(|_| drop(origin.git(&["commit", "--quiet", "--allow-empty", "-m", "x"])));
        origin.git(&["switch", "--quiet", "main"]);
        origin.touch("core/src/lib.rs").commit();
        (0..commits)
            .for_each(|_| drop(origin.git(&["commit", "--quiet", "--allow-empty", "-m", "x"])));
        // What GitHub makes of a pull request.
        origin.git(&["switch", "--quiet", "--create", "merge"]);
        origin.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
        origin.git(&["switch", "--quiet", "main"]);
        let clone = tempfile::tempdir().unwrap();
        let shallow = Shallow { origin, clone };
        let url = shallow.url();
        git(
            shallow.clone.path(),
            &[
                "clone", "--quiet", "--depth", "1", "--branch", branch, &url, ".",
            ],
        );
        shallow
    }

    fn url(&self) -> String {
        let path = self
            .origin
            .fixture
            .root()
            .display()
            .to_string()
            .replace('\\', "/");
        format!("file:///{}", path.trim_start_matches('/'))
    }

    fn depth(&self) -> usize {
        git(self.clone.path(), &["rev-list", "--count", "HEAD"])
            .parse()
            .unwrap()
    }

    fn scope(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let args = [&["ci", "scope", "--format", "json"], args].concat();
        let mut command = isolated(self.origin.fixture.xtask(&args));
        command
            .current_dir(self.clone.path())
            .envs(env.iter().copied());
        Run::of(&mut command).code(0)
    }
}

#[test]
fn a_shallow_clone_is_deepened_until_the_merge_base_is_there() {
    let shallow = Shallow::new("feature", 120);
    assert_eq!(shallow.depth(), 1);
    let run = shallow.scope(
        &["--base", "origin/main", "--head", "HEAD"],
        &[("CI", "true")],
    );
    assert_eq!(selected(&run).0, "solo", "{run}");
    let run = run
        .says("Deepening the shallow clone by 50 commits")
        .says("by 100 commits");
    assert!(!run.stderr().contains("by 200"), "{run}");
    assert!(shallow.depth() > 120, "{}", shallow.depth());
}

/// A short way round makes an old common commit visible while the nearest is still cut off.
#[test]
fn a_merge_base_is_not_trusted_while_a_nearer_one_may_be_cut_off() {
    let origin = Repo::new();
    origin.git(&["switch", "--quiet", "--create", "side"]);
    origin.touch("winlib/src/lib.rs").commit();
    origin.git(&["switch", "--quiet", "main"]);
    origin.touch("core/src/lib.rs").commit();
    origin.git(&["branch", "feature"]);
    (0..60).for_each(|_| drop(origin.git(&["commit", "--quiet", "--allow-empty", "-m", "x"])));
    origin.git(&["merge", "--quiet", "--no-edit", "side"]);
    origin.git(&["switch", "--quiet", "feature"]);
    origin.touch("solo/src/lib.rs").commit();
    let clone = tempfile::tempdir().unwrap();
    let shallow = Shallow { origin, clone };
    let url = shallow.url();
    git(
        shallow.clone.path(),
        &[
            "clone",
            "--quiet",
            "--depth",
            "3",
            "--no-single-branch",
            "--branch",
            "feature",
            &url,
            ".",
        ],
    );
    let base = git(shallow.clone.path(), &["merge-base", "origin/main", "HEAD"]);
    let start = shallow.origin.git(&["rev-parse", "start"]);
    assert_eq!(base, start, "the clone shows the old one alone");
    let run = shallow.scope(&["--base", "origin/main", "--head", "HEAD"], &[]);
    assert_eq!(selected(&run).0, "solo", "{run}");
}

#[test]
fn a_pull_request_is_compared_with_what_it_is_merged_into() {
    let shallow = Shallow::new("merge", 60);
    let event = tempfile::NamedTempFile::new().unwrap();
    // The event may name a base that main has left behind since.
    let stale = shallow.origin.git(&["rev-parse", "main~30"]);
    std::fs::write(
        event.path(),
        format!("{{\"pull_request\":{{\"base\":{{\"sha\":\"{stale}\"}}}}}}"),
    )
    .unwrap();
    let merge = shallow.origin.git(&["rev-parse", "merge"]);
    let event = event.path().display().to_string();
    let env = [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_EVENT_PATH", event.as_str()),
        ("GITHUB_REF", "refs/pull/1/merge"),
        ("GITHUB_SHA", merge.as_str()),
        ("GITHUB_BASE_REF", "main"),
    ];
    let run = shallow.scope(&[], &env);
    assert_eq!(selected(&run).0, "solo", "{run}");
    assert_eq!(
        run.json()["merge_base"],
        shallow.origin.git(&["rev-parse", "main"]),
        "{run}"
    );
}

#[test]
fn a_push_is_compared_with_what_was_there_before() {
    let repo = Repo::new();
    let before = repo.git(&["rev-parse", "HEAD"]);
    repo.touch("gen/src/lib.rs")
        .commit()
        .touch("solo/src/lib.rs")
        .commit();
    let run = |before: &str| {
        let event = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(event.path(), format!("{{\"before\":\"{before}\"}}")).unwrap();
        let mut command = isolated(repo.fixture.xtask(&["ci", "scope", "--format", "json"]));
        command
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_NAME", "push")
            .env("GITHUB_EVENT_PATH", event.path());
        Run::of(&mut command).code(0)
    };
    assert_eq!(selected(&run(&before)).0, "api app client e2e gen solo");
    let first = run(&"0".repeat(40)).says("pushed for the first time");
    assert_eq!(selected(&first).0, ALL);
    // A forced push may have taken the commit away, and there is no remote to ask.
    let gone = run(&"1".repeat(40)).says("has no remote");
    assert_eq!(selected(&gone).0, ALL);
}

#[test]
fn without_a_network_everything_is_selected_and_the_reason_is_said() {
    let shallow = Shallow::new("feature", 3);
    git(
        shallow.clone.path(),
        &["remote", "set-url", "origin", "file:///no/such/place"],
    );
    let run = shallow.scope(&["--base", "origin/main", "--head", "HEAD"], &[]);
    assert_eq!(selected(&run).0, ALL);
    run.says("everything is selected: `origin/main` is no commit that is here, and the clone is shallow: `git fetch` failed");
}

#[test]
fn a_branch_that_is_not_here_is_fetched_in_ci_alone() {
    let shallow = Shallow::new("feature", 3);
    git(shallow.clone.path(), &["fetch", "--quiet", "--unshallow"]);
    let args = ["--base", "origin/main", "--head", "HEAD"];
    let at_home = shallow
        .scope(&args, &[])
        .says("`origin/main` is no commit that is here");
    assert_eq!(selected(&at_home).0, ALL);
    let in_ci = shallow
        .scope(&args, &[("CI", "true")])
        .says("Fetching `origin/main`");
    assert_eq!(selected(&in_ci).0, "solo");
}
