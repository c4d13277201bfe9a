//! Each rule on two workspaces (`tests/fixtures/lint/RULE.txt`): one that triggers it and nothing else,
//! and a near miss that triggers nothing. What mends also has to leave the tasks as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::read::{self, Input};
use super::{Finding, Level, Levels, Report, rules};
use crate::config::Config;
use crate::fsx;
use crate::makefile::{Model, Options, Platform};
use crate::term::Term;

/// What fixtures say instead of the same five keys.
const CONFIG: &str = "config = { skip_core_tasks = true, default_to_workspace = false, skip_git_env_info = true, skip_rust_env_info = true, skip_crate_env_info = true }";

fn fixture(rule: &str) -> PathBuf {
    fsx::test_package()
        .join("tests")
        .join("fixtures")
        .join("lint")
        .join(format!("{rule}.txt"))
}

/// The `=== NAME` parts of a fixture.
fn parts(text: &str) -> BTreeMap<&str, &str> {
    text.split("=== ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .map(|(name, body)| (name.trim(), body))
        .collect()
}

/// A workspace from `--- FILE` parts.
fn workspace(body: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut files: BTreeMap<&str, String> = BTreeMap::from([
        (
            "Cargo.toml",
            "[package]\nname = \"x\"\nversion = \"0.0.0\"\n".to_owned(),
        ),
        (".config/xtask.toml", "[lint]\nrequired = []\n".to_owned()),
    ]);
    for part in body.split("--- ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        files.insert(name.trim(), text.replace("@config", CONFIG));
    }
    for (name, text) in files {
        fsx::atomic_write(
            &path_of(dir.path(), name),
            text.as_bytes(),
            fsx::Access::Default,
        )
        .unwrap();
    }
    dir
}

fn path_of(root: &Path, name: &str) -> PathBuf {
    name.split('/')
        .fold(root.to_path_buf(), |at, it| at.join(it))
}

fn config(root: &Path) -> Config {
    Config::load(&crate::workspace::config_path(root)).unwrap()
}

fn check(root: &Path) -> (Input, Report) {
    let input = read::read(root, &config(root)).unwrap();
    let report = super::check(&input.facts, &Levels::all(Level::Deny));
    (input, report)
}

fn shown(input: &Input, report: &Report) -> String {
    let mut out = report.human(&Term::plain());
    for problem in &input.problems {
        let _ = writeln!(out, "{problem}");
    }
    out
}

/// Every task file of a workspace, by name.
fn texts(root: &Path) -> BTreeMap<String, String> {
    fsx::files_matching(root, "**")
        .unwrap()
        .into_iter()
        .map(|name| {
            let text = fs::read_to_string(path_of(root, &name)).unwrap();
            (name, text)
        })
        .collect()
}

/// What the tasks come to, for each directory and task: its resolved fields.
fn resolved(root: &Path) -> BTreeMap<(String, String), BTreeMap<&'static str, String>> {
    let options = Options {
        platform: Platform::Linux,
        ..Options::default()
    };
    let model = Model::load(root, options).unwrap();
    let mut all = BTreeMap::new();
    for member in &model.members {
        let makefile = member.makefile.as_ref().unwrap();
        for name in makefile.tasks.keys() {
            let fields = match makefile.resolve(name) {
                Ok(task) => task
                    .fields
                    .iter()
                    .map(|(name, field)| (name, field.value.to_json().to_string()))
                    .collect(),
                Err(error) => BTreeMap::from([("error", error.to_string())]),
            };
            all.insert((member.shown.clone(), name.to_string()), fields);
        }
    }
    all
}

/// The fields that a rule's fix may change.
fn may_change(rule: &str) -> &'static [&'static str] {
    match rule {
        "public-base" | "private-inherited" => &["private"],
        "stranger-crate" => &["install_crate"],
        "missing-description" => &["description"],
        "missing-category" => &["category"],
        "deprecated-key" => &["force", "ignore_errors"],
        "duplicate-dependency" => &["dependencies"],
        "env-overrides-user" => &["env"],
        _ => &[],
    }
}

#[test]
fn each_rule_has_what_triggers_it_and_a_near_miss() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut faults = String::new();
    for rule in rules() {
        let name = rule.name;
        let Ok(text) = fs::read_to_string(fixture(name)) else {
            let _ = writeln!(faults, "{name}: no fixture");
            continue;
        };
        let text = text.replace("\r\n", "\n");
        let parts = parts(&text);
        let (Some(hit), Some(miss)) = (parts.get("hit"), parts.get("miss")) else {
            let _ = writeln!(faults, "{name}: needs `=== hit` and `=== miss`");
            continue;
        };
        let dir = workspace(hit);
        let (input, report) = check(dir.path());
        let said = shown(&input, &report);
        let found: BTreeSet<&str> = report.findings.iter().map(|it| it.rule).collect();
        if found != BTreeSet::from([name]) || !input.problems.is_empty() {
            let _ = writeln!(faults, "{name}: the hit triggers {found:?}\n{said}");
        }
        let mended = mend(name, &dir, &report, &mut faults);
        if rule.fixable != mended.is_some() {
            let _ = writeln!(faults, "{name}: `fixable` is {}", rule.fixable);
        }
        let miss_dir = workspace(miss);
        let (input, report) = check(miss_dir.path());
        if !report.findings.is_empty() || !input.problems.is_empty() {
            let all = shown(&input, &report);
            let _ = writeln!(faults, "{name}: the near miss triggers\n{all}");
        }
        let mut whole = format!("=== hit\n{hit}=== says\n{said}");
        if let Some(mended) = mended {
            let _ = write!(whole, "=== mended\n{mended}");
        }
        let _ = write!(whole, "=== miss\n{miss}");
        if whole != text {
            if update {
                fs::write(fixture(name), &whole).unwrap();
            } else {
                let _ = writeln!(
                    faults,
                    "{name}: says something else; `UPDATE_FIXTURES=1` writes it\n{whole}"
                );
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
    let names: BTreeSet<String> = rules().map(|it| format!("{}.txt", it.name)).collect();
    for entry in fs::read_dir(fixture("x").parent().unwrap()).unwrap() {
        let file = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(names.contains(&file), "{file} is of no rule");
    }
}

/// Mends the hit twice: the second time nothing changes, and what the tasks come to is as it was but
/// for what the rule is about. The changed files as text; none where nothing is mended.
fn mend(rule: &str, dir: &TempDir, report: &Report, faults: &mut String) -> Option<String> {
    let root = dir.path();
    report.fixes().next()?;
    let before = texts(root);
    let tasks = resolved(root);
    let levels = Levels::all(Level::Deny);
    let (_, input, _) = read::fix(root, &config(root), &levels).unwrap();
    assert!(input.problems.is_empty(), "{rule}: {:?}", input.problems);
    let once = texts(root);
    let (mended, _, report) = read::fix(root, &config(root), &levels).unwrap();
    if mended.fixes > 0 || texts(root) != once || report.fixes().next().is_some() {
        let _ = writeln!(faults, "{rule}: the second run of --fix changes something");
    }
    if report.findings.iter().any(|it| it.rule != rule) {
        let found = report.human(&Term::plain());
        let _ = writeln!(faults, "{rule}: mended, it triggers others\n{found}");
    }
    if rule != "misplaced-key" {
        let after = resolved(root);
        let strip = |all: &BTreeMap<_, BTreeMap<&'static str, String>>| {
            let mut all = all.clone();
            for fields in all.values_mut() {
                fields.retain(|name, _| !may_change(rule).contains(name));
            }
            all
        };
        if strip(&tasks) != strip(&after) {
            let _ = writeln!(faults, "{rule}: --fix changes what the tasks come to");
        }
    }
    let mut out = String::new();
    for (name, text) in once
        .iter()
        .filter(|(name, text)| before.get(*name) != Some(text))
    {
        let _ = write!(out, "--- {name}\n{text}");
    }
    Some(out)
}

/// Moved into [config], it was a file that cargo-make refuses (found by fuzzing).
#[test]
fn a_key_is_moved_only_where_it_may_stand() {
    for (value, fixes) in [("true", 1), ("{ a = true }", 0), ("[1]", 0), ("1", 0)] {
        let text = format!("--- Makefile.toml\nskip_core_tasks = {value}\n[config]\n");
        let (_, report) = check(workspace(&text).path());
        let named = |it: &&Finding| it.rule == "misplaced-key";
        let found: Vec<_> = report.findings.iter().filter(named).collect();
        let fixed = found.iter().filter(|it| it.fix.is_some()).count();
        assert_eq!((found.len(), fixed), (1, fixes), "{value}");
    }
}

#[test]
fn rules_have_names_and_words() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule.name;
        assert!(names.insert(name), "{name} stands twice");
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && name.len() <= 23,
            "{name}"
        );
        for words in [rule.what, rule.why, rule.mend] {
            assert!(
                !words.is_empty() && !words.ends_with('.'),
                "{name}: {words}"
            );
        }
    }
}

#[test]
fn the_list_of_rules_in_the_documents_is_current() {
    let text = super::docs::page();
    let package = fsx::test_package();
    let path = package.parent().unwrap().join("docs").join("task-rules.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fsx::atomic_write(&path, text.as_bytes(), fsx::Access::Default).unwrap();
    }
    let kept = fsx::read_optional(&path).unwrap().unwrap_or_default();
    assert!(
        kept.replace("\r\n", "\n") == text,
        "docs/task-rules.md is out of date: run `UPDATE_DOCS=1 cargo nextest run -p xtask rules`"
    );
}

#[test]
fn sarif_names_every_rule_and_place() {
    let text = fs::read_to_string(fixture("unused-allow")).unwrap();
    let dir = workspace(parts(&text)["hit"]);
    let (_, report) = check(dir.path());
    let sarif = report.sarif();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["rules"].as_array().unwrap().len(), rules().count());
    let results = run["results"].as_array().unwrap();
    assert_eq!(
        results.len(),
        report.findings.len() + report.suppressed.len()
    );
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        let region = &result["locations"][0]["physicalLocation"]["region"];
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(region[key].as_u64().unwrap() > 0, "{result}");
        }
    }
    let suppressed: Vec<_> = results
        .iter()
        .filter(|it| it.get("suppressions").is_some())
        .collect();
    assert_eq!(suppressed.len(), 1, "{sarif}");
    assert_eq!(
        suppressed[0]["suppressions"][0],
        serde_json::json!({ "kind": "inSource", "justification": "there is none" })
    );
}

#[test]
fn levels_come_from_the_rule_the_configuration_and_its_default() {
    let parse = |text: &str| Levels::new(&Config::parse(text, "x").unwrap().lint);
    let own = parse("");
    assert_eq!(own.of("undefined-task"), Level::Deny);
    assert_eq!(own.of("missing-category"), Level::Warn);
    let set = parse("[lint]\nlevel = 'warn'\n[lint.rules]\nmissing-category = 'off'");
    assert_eq!(set.of("undefined-task"), Level::Warn);
    assert_eq!(set.of("missing-category"), Level::Off);
    let one = own.only(&["missing-category".to_owned()]);
    assert_eq!(one.of("undefined-task"), Level::Off);
    assert_eq!(one.of("missing-category"), Level::Warn);
}

#[test]
fn a_rule_that_is_off_finds_nothing_and_its_comments_are_not_unused() {
    let text = fs::read_to_string(fixture("unused-allow")).unwrap();
    let dir = workspace(parts(&text)["hit"]);
    let input = read::read(dir.path(), &config(dir.path())).unwrap();
    let levels = Levels::all(Level::Deny).only(&["unused-allow".to_owned()]);
    let report = super::check(&input.facts, &levels);
    assert!(
        report.findings.is_empty(),
        "{}",
        report.human(&Term::plain())
    );
}

/// What cargo-make would refuse is said once, however many directories share it, with its place; the
/// rest is looked at all the same.
#[test]
fn files_that_cannot_be_read_give_one_clear_error_each() {
    let good = "@config\n[tasks.build]\ncategory = \"B\"\ncommand = \"make\"\n";
    for (files, kind) in [
        (
            "--- bad/Makefile.toml\n[tasks.x\n",
            "bad/Makefile.toml:1:9:",
        ),
        (
            "--- bad/Makefile.toml\nextend = \"a.toml\"\n--- bad/a.toml\nextend = \"b.toml\"\n--- bad/b.toml\nextend = \"a.toml\"\n",
            "in a circle: bad/a.toml -> bad/b.toml -> bad/a.toml",
        ),
        (
            "--- bad/Makefile.toml\nextend = \"gone.toml\"\n",
            "bad/Makefile.toml:1:10: extends `bad/gone.toml`, which is not there",
        ),
        (
            "--- bad/Makefile.toml\n[tasks.x]\nargs = 1\n",
            "bad/Makefile.toml:2:8: expected an array",
        ),
    ] {
        let dir = workspace(&format!("--- Makefile.toml\n{good}{files}"));
        let (input, report) = check(dir.path());
        let problems: Vec<String> = input.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(kind), "{problems:?}");
        let found: Vec<&str> = report.findings.iter().map(|it| it.rule).collect();
        assert_eq!(found, ["missing-description"], "{kind}");
    }
    let dir = workspace(&format!("--- Makefile.toml\n{good}"));
    for (bytes, says) in [
        (
            b"# \xff\n".to_vec(),
            "bad/Makefile.toml:1:3: this byte is not UTF-8",
        ),
        (
            vec![b'#'; 50 << 20],
            "bad/Makefile.toml: it has more than 4 MiB",
        ),
    ] {
        let path = path_of(dir.path(), "bad/Makefile.toml");
        fsx::atomic_write(&path, &bytes, fsx::Access::Default).unwrap();
        let (input, _) = check(dir.path());
        let problems: Vec<String> = input.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }
}

/// Tasks that are strange, but that cargo-make takes.
fn strange() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let name = prop_oneof![
        Just("build"),
        Just("test"),
        Just("base-a"),
        Just("base-b"),
        Just("lint-x"),
        Just("x-lint"),
        Just("\"odd name\""),
    ];
    let field = prop_oneof![
        Just("description = \"x\" # why"),
        Just("category = 'y'"),
        Just("private = true"),
        Just("private = false"),
        Just("force = true"),
        Just("extend = \"base-a\""),
        Just("extend = \"base-b\""),
        Just("command = \"cargo\""),
        Just("args = [\"sqlx\", \"${X}\"]"),
        Just("dependencies = [\"base-a\", \"test\", \"base-a\"]"),
        Just("dependencies = [\n  \"test\", # one\n  \"test\", # two\n]"),
        Just("env = { A = \"1\", B = \"ö\" }"),
        Just("condition = { env_set = [\"A\"] }"),
        Just("script = '''\n[[ a ]] # b\n'''"),
        Just("# xtask: allow(bash-in-sh): because\nclear = true"),
        Just("run_task = { name = [\"build\", \"test\"], fork = true, parallel = true }"),
        Just("linux_alias = \"test\""),
    ];
    let task = (name, prop::collection::vec(field, 0..6), any::<bool>());
    prop::collection::vec(task, 1..6).prop_map(|tasks| {
        let mut text = String::from("# Strange.\n@config\n");
        let mut inline = String::new();
        let mut names = BTreeSet::new();
        for (name, fields, in_line) in tasks {
            if !names.insert(name) {
                continue;
            }
            let mut keys = BTreeSet::new();
            let fields: Vec<&str> = fields
                .into_iter()
                .filter(|it| {
                    let line = it.lines().find(|line| !line.starts_with('#'));
                    keys.insert(line.and_then(|it| it.split(' ').next()))
                })
                .collect();
            let plain = |it: &&&str| !it.contains(['#', '\n']);
            if in_line {
                let fields: Vec<&str> = fields.iter().filter(plain).copied().collect();
                let _ = writeln!(inline, "{name} = {{ {} }} # end", fields.join(", "));
            } else {
                let _ = writeln!(text, "\n# About it.\n[tasks.{name}]\n{}", fields.join("\n"));
            }
        }
        format!("{text}\n[tasks]\n{inline}")
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Fixing ends, changes nothing the second time, keeps every comment, and what the tasks do.
    #[test]
    fn fixing_keeps_what_tasks_do(text in strange()) {
        let dir = workspace(&format!("--- Makefile.toml\n{text}"));
        let root = dir.path();
        let path = root.join("Makefile.toml");
        let before = fs::read_to_string(&path).unwrap();
        if !check(root).0.problems.is_empty() {
            return Ok(());
        }
        let tasks = resolved(root);
        let levels = Levels::all(Level::Deny);
        read::fix(root, &config(root), &levels).unwrap();
        let once = fs::read_to_string(&path).unwrap();
        let (mended, input, report) = read::fix(root, &config(root), &levels).unwrap();
        proptest::prop_assert!(input.problems.is_empty(), "{:?}\n{once}", input.problems);
        proptest::prop_assert_eq!(mended.fixes, 0);
        proptest::prop_assert!(report.fixes().next().is_none());
        proptest::prop_assert_eq!(&fs::read_to_string(&path).unwrap(), &once);
        let comments = |text: &str| -> BTreeSet<String> {
            super::suppress::comments(text)
                .into_iter()
                .map(|it| text[it].to_owned())
                .filter(|it| !it.contains("xtask: allow"))
                .collect()
        };
        // A line that is taken away takes the comment at its end along.
        let gone: Vec<String> = comments(&before).difference(&comments(&once)).cloned().collect();
        proptest::prop_assert!(gone.iter().all(|it| it == "# why" || it == "# two"), "{gone:?}\n{once}");
        let kept = |all: BTreeMap<(String, String), BTreeMap<&'static str, String>>| {
            let mut all = all;
            for fields in all.values_mut() {
                fields.retain(|name, _| {
                    !["private", "install_crate", "description", "category", "force", "ignore_errors", "dependencies", "env"]
                        .contains(name)
                });
            }
            all
        };
        proptest::prop_assert_eq!(kept(tasks), kept(resolved(root)));
    }

    #[test]
    fn any_text_gets_an_answer(text in "(\\[tasks\\.|\\]|\n|a|=|\"|'|#| xtask: allow\\(|env|\\{|\\}|extend|script|dependencies|,|ö){0,40}") {
        let dir = workspace(&format!("--- Makefile.toml\n{text}\n"));
        let (_, report) = check(dir.path());
        let _ = (report.human(&Term::plain()), report.github(), report.sarif());
    }
}
