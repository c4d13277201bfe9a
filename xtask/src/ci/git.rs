//! git, asked for what differs and for files of commits. The only part of `ci` that runs a program.
//!
//! Plumbing output with NUL between records, so that no name and no setting of a user changes its
//! meaning. A user's settings that would are overridden.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::Context as _;

use super::includes;
use super::manifest::{Manifests, Workspace};
use super::scope::{Change, Include, Snapshot, Status};
use crate::error::Fault;
use crate::fsx;
use crate::platform;
use crate::proc;
use crate::term::Term;

/// How many commits the first deepening fetches; each further one twice as many.
const FIRST_DEEPENING: u32 = 50;
/// Where deepening ends: some hundred thousand commits are enough to say that there is no base.
const LAST_DEEPENING: u32 = 100_000;

/// The repository around a workspace.
#[derive(Debug)]
pub struct Git {
    /// The workspace's root.
    root: PathBuf,
    /// The root's path below the repository's top, with a `/` behind it; empty where they are one.
    prefix: String,
}

impl Git {
    /// Finds the repository.
    ///
    /// # Errors
    /// When git is missing, or the workspace lies in no repository.
    pub fn open(root: &Path) -> anyhow::Result<Git> {
        let mut git = Git {
            root: root.to_path_buf(),
            prefix: String::new(),
        };
        let prefix = git.text(&["rev-parse", "--show-prefix"])?;
        git.prefix = prefix.trim_end_matches(['\n', '\r']).to_owned();
        Ok(git)
    }

    /// The commit that a revision names, if it is here.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn commit(&self, revision: &str) -> anyhow::Result<Option<String>> {
        // What looks like an option names nothing; `--end-of-options` is younger than some gits.
        if revision.starts_with('-') {
            return Ok(None);
        }
        let commit = format!("{revision}^{{commit}}");
        let found = self.ask(&["rev-parse", "--verify", "--quiet", &commit])?;
        Ok(found.map(|text| text.trim().to_owned()))
    }

    /// The parents that a commit names, here or not.
    ///
    /// # Errors
    /// When git cannot be run, or the commit is not here.
    pub fn parents(&self, commit: &str) -> anyhow::Result<Vec<String>> {
        let text = self.text(&["cat-file", "commit", commit])?;
        let header = text.lines().take_while(|line| !line.is_empty());
        Ok(header
            .filter_map(|line| line.strip_prefix("parent "))
            .map(str::to_owned)
            .collect())
    }

    /// Whether history is cut off.
    fn is_shallow(&self) -> anyhow::Result<bool> {
        Ok(self.text(&["rev-parse", "--is-shallow-repository"])?.trim() == "true")
    }

    /// The commit that `head` and the revision `base` have in common, fetched where it is not here.
    /// `fetch`: whether the network may be asked for a base that is unknown; a shallow clone always is.
    ///
    /// # Errors
    /// When git cannot be run. In the inner result, in words, why there is no such commit.
    pub fn merge_base(
        &self,
        term: &Term,
        base: &str,
        head: &str,
        fetch: bool,
    ) -> anyhow::Result<Result<String, String>> {
        let mut depth = FIRST_DEEPENING;
        let mut asked = false;
        let mut fetched = String::new();
        loop {
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            let here = self.commit(base)?;
            if let Some(here) = &here
                && let Some(common) = self.trusted_merge_base(here, head)?
            {
                return Ok(Ok(common));
            }
            let lack = match here {
                None => format!("`{base}` is no commit that is here{fetched}"),
                Some(_) => format!(
                    "`{base}` and `{}` have no commit in common",
                    head.get(..12).unwrap_or(head)
                ),
            };
            if self.is_shallow()? {
                if depth > LAST_DEEPENING {
                    return Ok(Err(format!(
                        "{lack}, not even {LAST_DEEPENING} commits back"
                    )));
                }
                term.status(
                    "Deepening",
                    &format!("the shallow clone by {depth} commits"),
                );
                if let Err(error) = self.deepen(base, head, depth) {
                    return Ok(Err(format!("{lack}, and the clone is shallow: {error:#}")));
                }
                depth *= 2;
            } else if here.is_none() && fetch && !asked {
                asked = true;
                term.status("Fetching", &format!("`{base}`"));
                let fetch = |(remote, wanted): (String, String)| {
                    self.text(&["fetch", "--quiet", "--no-tags", &remote, &wanted])
                };
                if let Err(error) = self.remote_of(base).and_then(fetch) {
                    fetched = format!(", and cannot be fetched: {error:#}");
                }
            } else {
                return Ok(Err(lack));
            }
        }
    }

    /// The merge base, unless history is cut off where a nearer one could lie.
    fn trusted_merge_base(&self, base: &str, head: &str) -> anyhow::Result<Option<String>> {
        let Some(common) = self.ask(&["merge-base", base, head])? else {
            return Ok(None);
        };
        let common = common.trim().to_owned();
        // Where one contains the other, nothing can be nearer.
        if common == base || common == head || !self.is_shallow()? {
            return Ok(Some(common));
        }
        let file = self.text(&["rev-parse", "--git-path", "shallow"])?;
        let cut = fsx::read_optional(&self.root.join(file.trim()))?.unwrap_or_default();
        let cut: BTreeSet<&str> = cut.lines().collect();
        let range = format!("{base}...{head}");
        let between = self.text(&["rev-list", &range])?;
        Ok((!between.lines().any(|commit| cut.contains(commit))).then_some(common))
    }

    fn deepen(&self, base: &str, head: &str, depth: u32) -> anyhow::Result<()> {
        let (remote, wanted) = self.remote_of(base)?;
        let deepen = format!("--deepen={depth}");
        let fetch = ["fetch", "--quiet", "--no-tags", &deepen, &remote];
        // By name first: it fetches two histories and not every branch. A remote may not know a local
        // head, or refuse to serve commits by name.
        for refs in [&[wanted.as_str(), head][..], &[&wanted], &[]] {
            let fetched = self.text(&[&fetch[..], refs].concat());
            if fetched.is_ok() || refs.is_empty() {
                return fetched.map(|_| ());
            }
        }
        Ok(())
    }

    /// The remote to ask for a revision, and what to ask for. `origin/main` is `main` of `origin`, kept
    /// where git keeps it.
    fn remote_of(&self, revision: &str) -> anyhow::Result<(String, String)> {
        let remotes = self.text(&["remote"])?;
        let mut remotes = remotes.lines();
        if let Some((remote, branch)) = revision.split_once('/')
            && remotes.clone().any(|it| it == remote)
        {
            let refs = format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}");
            return Ok((remote.to_owned(), refs));
        }
        let origin = remotes.clone().find(|it| *it == "origin");
        let remote = origin
            .or_else(|| remotes.next())
            .ok_or_else(|| Fault::new("the repository has no remote"))?;
        // A name that is no commit here is a branch of theirs.
        let wanted = match self.commit(revision)? {
            Some(commit) => commit,
            None if revision.bytes().all(|byte| byte.is_ascii_hexdigit()) => revision.to_owned(),
            None => format!("+refs/heads/{revision}:refs/remotes/{remote}/{revision}"),
        };
        Ok((remote.to_owned(), wanted))
    }

    /// The files that differ between a commit and another, or the working tree with what is not tracked
    /// but not ignored either. Sorted; a renamed file is two.
    ///
    /// # Errors
    /// When git fails.
    pub fn changes(&self, base: &str, head: Option<&str>) -> anyhow::Result<Vec<Change>> {
        let mut args = vec![
            "diff",
            "--name-status",
            "-z",
            "--no-renames",
            "--no-relative",
            "--no-ext-diff",
            "--no-color",
            "--ignore-submodules=dirty",
            base,
        ];
        args.extend(head);
        args.push("--");
        let mut changes: BTreeMap<String, Status> = BTreeMap::new();
        for (path, status) in parse_name_status(&self.output(&args)?) {
            changes.insert(self.below_root(&path), status);
        }
        if head.is_none() {
            let top = self.text(&["rev-parse", "--show-toplevel"])?;
            let mut command = self.command(&["ls-files", "-z", "--others", "--exclude-standard"]);
            command.current_dir(top.trim_end_matches(['\n', '\r']));
            for path in records(&checked(&mut command)?) {
                changes.insert(self.below_root(&path), Status::Added);
            }
        }
        Ok(changes
            .into_iter()
            .map(|(path, status)| Change { path, status })
            .collect())
    }

    /// A path below the repository's top as one below the workspace's root.
    fn below_root(&self, path: &str) -> String {
        below(&self.prefix, path)
    }

    /// The workspace at a commit, or in the working tree, and what its sources include.
    ///
    /// # Errors
    /// When git fails, or a manifest is malformed.
    pub fn snapshot(&self, commit: Option<&str>) -> anyhow::Result<(Snapshot, Vec<Include>)> {
        let tree = match commit {
            Some(commit) => Tree::Commit(self.objects(commit)?),
            None => Tree::Files,
        };
        let mut manifests = self.read(&tree, &self.manifest_paths(&tree)?)?;
        let lock = manifests.remove("Cargo.lock");
        let workspace = Workspace::read(&manifests)?;
        let sources = self.read(&tree, &self.including_sources(commit)?)?;
        let mut included = Vec::new();
        for (source, text) in &sources {
            let Some(package) = workspace.owner(source) else {
                continue;
            };
            let directory = &workspace.packages[package].directory;
            for path in includes::find(source, directory, text) {
                included.push(Include {
                    path,
                    package,
                    source: source.clone(),
                });
            }
        }
        let snapshot = Snapshot {
            workspace,
            root: manifests.remove("Cargo.toml").unwrap_or_default(),
            lock,
        };
        Ok((snapshot, included))
    }

    fn manifest_paths(&self, tree: &Tree) -> anyhow::Result<Vec<String>> {
        let wanted = |path: &String| {
            path == "Cargo.lock" || path == "Cargo.toml" || path.ends_with("/Cargo.toml")
        };
        Ok(match tree {
            Tree::Commit(objects) => objects.keys().filter(|it| wanted(it)).cloned().collect(),
            Tree::Files => {
                let all = self.output(&[
                    "ls-files",
                    "-z",
                    "--cached",
                    "--others",
                    "--exclude-standard",
                    "--",
                    ":(glob)**/Cargo.toml",
                    ":(glob)Cargo.lock",
                ])?;
                records(&all).into_iter().filter(wanted).collect()
            }
        })
    }

    /// The sources that may include something, as `git grep` finds them.
    fn including_sources(&self, commit: Option<&str>) -> anyhow::Result<Vec<String>> {
        let mut args = vec![
            "grep",
            "--files-with-matches",
            "-z",
            "--no-color",
            "--no-recurse-submodules",
            "--extended-regexp",
        ];
        if commit.is_none() {
            args.push("--untracked");
        }
        args.extend(["-e", includes::PATTERN]);
        args.extend(commit);
        args.extend(["--", "*.rs"]);
        let mut command = self.command(&args);
        let output = proc::capture_any(&mut command)?;
        // 1 is "none".
        if !matches!(output.status.code(), Some(0 | 1)) {
            return Err(failed(&command, &output));
        }
        let before = commit.map_or_else(String::new, |commit| format!("{commit}:"));
        Ok(records(&output.stdout)
            .into_iter()
            .filter_map(|path| Some(path.strip_prefix(&before)?.to_owned()))
            .collect())
    }

    /// The files of a commit below the root, and the objects that hold them.
    fn objects(&self, commit: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let text = self.output(&["ls-tree", "-r", "-z", commit])?;
        Ok(records(&text)
            .into_iter()
            .filter_map(|record| {
                let (facts, path) = record.split_once('\t')?;
                let mut facts = facts.split(' ');
                let (mode, kind, object) = (facts.next()?, facts.next()?, facts.next()?);
                // A symbolic link's content is no file.
                (kind == "blob" && mode != "120000").then(|| (path.to_owned(), object.to_owned()))
            })
            .collect())
    }

    /// The texts of files; one that is not there is left out.
    fn read(&self, tree: &Tree, paths: &[String]) -> anyhow::Result<Manifests> {
        let Tree::Commit(objects) = tree else {
            let mut texts = Manifests::new();
            for path in paths {
                let file = path
                    .split('/')
                    .fold(self.root.clone(), |dir, part| dir.join(part));
                match std::fs::read(&file) {
                    Ok(bytes) => {
                        texts.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("failed to read `{}`", file.display()));
                    }
                }
            }
            return Ok(texts);
        };
        let wanted: Vec<(&String, &String)> = paths
            .iter()
            .filter_map(|path| objects.get_key_value(path))
            .collect();
        let request: String = wanted
            .iter()
            .map(|(_, object)| format!("{object}\n"))
            .collect();
        let mut command = self.command(&["cat-file", "--batch"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start `{}`", proc::display(&command)))?;
        let mut stdin = child.stdin.take().context("git has no stdin")?;
        // git answers while it is asked: both at once, or both would wait.
        let writer = thread::spawn(move || stdin.write_all(request.as_bytes()));
        let output = child.wait_with_output().context("failed to wait for git")?;
        let _ = writer.join();
        if !output.status.success() {
            return Err(failed(&command, &output));
        }
        let contents = parse_batch(&output.stdout).context("git's answer is cut off")?;
        Ok(wanted
            .into_iter()
            .zip(contents)
            .map(|((path, _), bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned()))
            .collect())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        // It may neither wait for a password, nor for a line that hangs, nor write the index.
        command
            .args([
                "-c",
                "http.lowSpeedLimit=1000",
                "-c",
                "http.lowSpeedTime=30",
            ])
            .args(args)
            .current_dir(&self.root)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn output(&self, args: &[&str]) -> anyhow::Result<Vec<u8>> {
        checked(&mut self.command(args))
    }

    fn text(&self, args: &[&str]) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.output(args)?).into_owned())
    }

    /// What git prints, or `None` where it ends with a failure: for questions whose answer may be no.
    fn ask(&self, args: &[&str]) -> anyhow::Result<Option<String>> {
        let output = proc::capture_any(&mut self.command(args))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status.success().then_some(text))
    }
}

/// Where files are read from.
enum Tree {
    /// A commit: each file's object.
    Commit(BTreeMap<String, String>),
    /// The working tree.
    Files,
}

fn checked(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = proc::capture_any(command)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed(command, &output))
    }
}

/// git's own words, without its help.
fn failed(command: &Command, output: &std::process::Output) -> anyhow::Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it says nothing");
    let verb = command
        .get_args()
        .nth(4)
        .unwrap_or_default()
        .to_string_lossy();
    Fault::new(format!("`git {verb}` failed: {}", said.trim())).into()
}

/// A path below the repository's top as one below the directory `prefix` of it (with a `/` behind it, or
/// empty).
pub(crate) fn below(prefix: &str, path: &str) -> String {
    if let Some(inside) = path.strip_prefix(prefix) {
        return inside.to_owned();
    }
    let mut up = prefix.trim_end_matches('/');
    let mut steps = String::from("../");
    loop {
        up = up.rsplit_once('/').map_or("", |(above, _)| above);
        match path
            .strip_prefix(up)
            .and_then(|rest| rest.strip_prefix('/'))
        {
            _ if up.is_empty() => return format!("{steps}{path}"),
            Some(rest) => return format!("{steps}{rest}"),
            None => steps.push_str("../"),
        }
    }
}

/// Records that end with NUL.
pub(crate) fn records(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
        .map(|record| String::from_utf8_lossy(record).into_owned())
        .collect()
}

/// What git prints with `-z`, as paths: they are bytes with `/` between the parts.
pub(crate) fn paths(bytes: &[u8]) -> impl Iterator<Item = PathBuf> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(platform::path_from_git)
}

/// `M`, NUL, path, NUL: what `git diff --name-status -z --no-renames` prints.
pub(crate) fn parse_name_status(bytes: &[u8]) -> Vec<(String, Status)> {
    let fields = records(bytes);
    fields
        .chunks_exact(2)
        .map(|pair| {
            let status = match pair[0].as_bytes().first() {
                Some(b'A') => Status::Added,
                Some(b'D') => Status::Deleted,
                _ => Status::Modified,
            };
            (pair[1].clone(), status)
        })
        .collect()
}

/// `OBJECT blob SIZE`, newline, the content, newline: what `git cat-file --batch` prints.
pub(crate) fn parse_batch(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut contents = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let header = std::str::from_utf8(&rest[..end]).ok()?;
        let size: usize = header.rsplit(' ').next()?.parse().ok()?;
        rest = rest.get(end + 1..)?;
        contents.push(rest.get(..size)?);
        rest = rest.get(size + 1..)?;
    }
    Some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_records_are_read_whatever_the_names() {
        let text = "M\0a b.rs\0A\0\u{fc}\n.md\0D\0x\ty\0T\0link\0".as_bytes();
        let read = parse_name_status(text);
        let expected = [
            ("a b.rs", Status::Modified),
            ("\u{fc}\n.md", Status::Added),
            ("x\ty", Status::Deleted),
            ("link", Status::Modified),
        ];
        assert_eq!(
            read,
            expected.map(|(path, status)| (path.to_owned(), status))
        );
        assert_eq!(parse_name_status(b""), []);
    }

    #[test]
    fn contents_of_a_batch_may_hold_anything() {
        let batch = b"abc blob 5\na\nb\n\0\ndef blob 0\n\n";
        assert_eq!(parse_batch(batch).unwrap(), [&b"a\nb\n\0"[..], b""]);
        assert_eq!(parse_batch(&batch[..batch.len() - 1]), None);
        assert_eq!(parse_batch(b"abc missing\n"), None);
    }

    #[test]
    fn paths_are_seen_from_the_workspaces_root() {
        let git = |prefix: &str| Git {
            root: PathBuf::new(),
            prefix: prefix.to_owned(),
        };
        for (prefix, path, expected) in [
            ("", "a/b", "a/b"),
            ("rust/", "rust/a", "a"),
            ("rust/", "web/a", "../web/a"),
            ("rust/", "rusty/a", "../rusty/a"),
            ("x/rust/", "x/web/a", "../web/a"),
            ("x/rust/", "web/a", "../../web/a"),
        ] {
            assert_eq!(git(prefix).below_root(path), expected, "{prefix} {path}");
        }
    }
}
