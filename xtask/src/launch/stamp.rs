//! What a program was built from: sizes and times of files, and variables that change a build.
//!
//! A stamp lies beside its program, one for each set of variables. It is written only if every file is
//! older than the build that it speaks of; so what was edited while cargo worked is never taken for built.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::fsx::{self, Access};
use crate::hex;

const HEADER: &str = "xtask-stamp 1";
/// The coarsest clock of a file system (FAT).
const TICK: Duration = Duration::from_secs(2);

/// Variables that change what cargo builds, or with which cargo.
const VARIABLES: [&str; 9] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_HOME",
    "CARGO_INCREMENTAL",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];
const VARIABLE_PREFIXES: [&str; 5] = [
    "CARGO_BUILD_",
    "CARGO_PROFILE_",
    "CARGO_SOURCE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
];

/// The two names of cargo's configuration in a directory.
pub(super) fn configurations(directory: &Path) -> [PathBuf; 2] {
    let cargo = directory.join(".cargo");
    [cargo.join("config.toml"), cargo.join("config")]
}

/// What a program was built from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    root: String,
    /// The program itself.
    program: String,
    /// Files, and how they were: see [`state`]. One that was not there must not be there.
    inputs: Vec<(String, String)>,
}

impl Stamp {
    /// Of a program that cargo has just built, or found to be current, in the workspace at `root`. `since`
    /// is when cargo was asked. `None` where it cannot be told for sure from what.
    pub(super) fn of(root: &Path, program: &Path, since: SystemTime) -> Option<Stamp> {
        let inputs = inputs(root, program)?
            .into_iter()
            .map(|path| {
                let metadata = fs::metadata(&path).ok();
                let old = match metadata.as_ref().map(Metadata::modified) {
                    Some(modified) => modified.ok()? + TICK < since,
                    None => true,
                };
                let path = path.to_str().filter(|it| !it.contains('\n'))?;
                old.then(|| (path.to_owned(), state(metadata.as_ref())))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Stamp {
            root: root.to_str().filter(|it| !it.contains('\n'))?.to_owned(),
            program: state(fs::metadata(program).ok().as_ref()),
            inputs,
        })
    }

    /// Whether all is as it was.
    pub(super) fn holds(&self, root: &Path, program: &Path) -> bool {
        let now = |path: &Path| state(fs::metadata(path).ok().as_ref());
        root.to_str() == Some(&self.root)
            && now(program) == self.program
            && self.program != MISSING
            && self
                .inputs
                .iter()
                .all(|(path, then)| now(Path::new(path)) == *then)
    }

    /// The stamp of a program for the variables of this process.
    pub(super) fn read(program: &Path) -> Option<Stamp> {
        Stamp::parse(&fs::read_to_string(path_of(program)?).ok()?)
    }

    pub(super) fn write(&self, program: &Path) -> anyhow::Result<()> {
        if let Some(path) = path_of(program) {
            fsx::atomic_write(&path, self.render().as_bytes(), Access::Default)?;
        }
        Ok(())
    }

    /// Lines of `STATE PATH`; the last one says that the others are all there.
    fn render(&self) -> String {
        let mut text = format!("{HEADER}\n{} {}\n", self.program, self.root);
        for (path, state) in &self.inputs {
            text.push_str(&format!("{state} {path}\n"));
        }
        text.push_str("end\n");
        text
    }

    fn parse(text: &str) -> Option<Stamp> {
        let lines = text.strip_prefix(HEADER)?.strip_prefix('\n')?;
        let mut lines = lines
            .strip_suffix("end\n")?
            .split_terminator('\n')
            .map(|line| {
                let (state, path) = line.split_once(' ')?;
                Some((path.to_owned(), state.to_owned()))
            });
        let (root, program) = lines.next()??;
        Some(Stamp {
            root,
            program,
            inputs: lines.collect::<Option<_>>()?,
        })
    }
}

/// What [`state`] says of a file that is not there.
const MISSING: &str = "-";

/// A file's size and time of change, in one word.
fn state(metadata: Option<&Metadata>) -> String {
    let Some(metadata) = metadata else {
        return MISSING.to_owned();
    };
    let time = metadata
        .modified()
        .ok()
        .and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    // What has no time matches nothing that has one; it is never stamped.
    let time = time.map_or(0, |it| it.as_nanos());
    format!("{}:{time}", metadata.len())
}

/// One stamp for each set of variables: a task runner may set some that a person's shell does not.
fn path_of(program: &Path) -> Option<PathBuf> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.to_owned();
        let counts = VARIABLES.contains(&name.as_str())
            || VARIABLE_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        counts.then_some((name, value))
    });
    let mut hash = hmac_sha256::Hash::new();
    for (name, value) in variables.collect::<BTreeSet<_>>() {
        for word in [name.as_bytes(), value.as_encoded_bytes()] {
            hash.update(word.len().to_le_bytes());
            hash.update(word);
        }
    }
    let digest = hex::encode(&hash.finalize()[..8]);
    let name = program.file_stem()?.to_str()?;
    Some(program.with_file_name(format!("{name}-{digest}.stamp")))
}

/// Every file that may change what cargo would build; those, too, that are not there and could be.
fn inputs(root: &Path, program: &Path) -> Option<BTreeSet<PathBuf>> {
    let sources = dep_info(&fs::read_to_string(program.with_extension("d")).ok()?)?;
    let mut inputs = BTreeSet::from([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    for directory in sources
        .iter()
        .filter_map(|it| it.parent())
        .collect::<BTreeSet<_>>()
    {
        // Where its package begins.
        let package = directory
            .ancestors()
            .find(|it| it.join("Cargo.toml").is_file())?;
        inputs.extend([package.join("Cargo.toml"), package.join("build.rs")]);
    }
    inputs.extend(sources);
    let home = |variable: &str, name: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(name)))
    };
    let mut configured: Vec<PathBuf> = root.ancestors().flat_map(configurations).collect();
    let cargo = home("CARGO_HOME", ".cargo")?;
    configured.extend(["config.toml", "config"].map(|it| cargo.join(it)));
    for path in &configured {
        // Further files: nobody here follows them.
        if fs::read_to_string(path).is_ok_and(|text| text.contains("include")) {
            return None;
        }
    }
    inputs.extend(configured);
    for directory in root.ancestors() {
        inputs.extend(["rust-toolchain", "rust-toolchain.toml"].map(|it| directory.join(it)));
    }
    // The default toolchain, and those of directories.
    inputs.insert(home("RUSTUP_HOME", ".rustup")?.join("settings.toml"));
    inputs.insert(compiler(root)?);
    Some(inputs)
}

/// The compiler itself: an update replaces it.
fn compiler(root: &Path) -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let path = sysroot
        .join("bin")
        .join(format!("rustc{}", std::env::consts::EXE_SUFFIX));
    (output.status.success() && path.is_file()).then_some(path)
}

/// The files of cargo's `PROGRAM.d`: all sources of the package and of those that it has by path. One line
/// `TARGET: FILE FILE`, where a space in a name is `\ `. `None` if one of them is not absolute.
fn dep_info(text: &str) -> Option<Vec<PathBuf>> {
    let (_, files) = text.lines().next()?.split_once(": ")?;
    let mut found = Vec::new();
    let mut name = String::new();
    for word in files.split(' ') {
        match word.strip_suffix('\\') {
            Some(start) => {
                name.push_str(start);
                name.push(' ');
            }
            None => {
                name.push_str(word);
                found.push(PathBuf::from(std::mem::take(&mut name)));
            }
        }
    }
    found.retain(|it| !it.as_os_str().is_empty());
    (!found.is_empty() && found.iter().all(|it| it.is_absolute())).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    #[test]
    fn spaces_in_names_are_escaped() {
        let root = if cfg!(windows) { "C:\\" } else { "/" };
        let text = format!("{root}t: {root}a {root}b\\ c\\ d {root}e\n\n{root}a:\n");
        let expected: Vec<PathBuf> = ["a", "b c d", "e"]
            .iter()
            .map(|it| Path::new(root).join(it))
            .collect();
        assert_eq!(dep_info(&text), Some(expected));
        assert_eq!(dep_info("t: a\n"), None);
        assert_eq!(dep_info("t:\n"), None);
    }

    #[test]
    fn only_what_is_older_than_the_build_is_stamped() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (source, program) = (
            root.join("src").join("config.rs"),
            root.join("target").join("x"),
        );
        file(&root.join("Cargo.toml"), "");
        file(&source, "include_str!(\"x\")");
        file(&program, "program");
        file(
            &program.with_extension("d"),
            &format!("x: {}\n", source.display()),
        );
        for path in [&root.join("Cargo.toml"), &source] {
            age(path, 60);
        }
        let stamp = |since| Stamp::of(&root, &program, since);
        let now = SystemTime::now();
        let good = stamp(now).unwrap();
        assert!(good.holds(&root, &program));
        assert_eq!(stamp(now - Duration::from_secs(61)), None);
        age(&source, 1);
        assert_eq!(stamp(now), None);
        assert!(!good.holds(&root, &program));
        age(&source, 60);
        assert!(!good.holds(&root, &program), "the time is not the same");
        let good = stamp(now).unwrap();
        for new in [root.join("build.rs"), root.join("rust-toolchain")] {
            file(&new, "");
            assert!(!good.holds(&root, &program), "{}", new.display());
            fs::remove_file(new).unwrap();
            assert!(good.holds(&root, &program));
        }
        let config = root.join(".cargo").join("config.toml");
        file(&config, "include = 'x'");
        age(&config, 60);
        assert_eq!(stamp(now), None);
        fs::remove_file(config).unwrap();
        assert!(!good.holds(dir.path().parent().unwrap(), &program));
        file(&program, "another program");
        assert!(!good.holds(&root, &program));
        fs::remove_file(&program).unwrap();
        assert!(!good.holds(&root, &program));
    }

    proptest! {
        #[test]
        fn a_stamp_comes_back_whole_or_not_at_all(
            root in "/[a-z ]{0,9}",
            inputs in prop::collection::vec(("/[a-z éñ]{0,9}", "[0-9]{1,3}:[0-9]{1,9}"), 0..5),
            cut in any::<usize>(),
        ) {
            let stamp = Stamp { root, program: "1:2".to_owned(), inputs };
            let text = stamp.render();
            prop_assert_eq!(Stamp::parse(&text), Some(stamp));
            let part: String = text.chars().take(cut % text.chars().count()).collect();
            prop_assert_eq!(Stamp::parse(&part), None);
        }
    }
}
