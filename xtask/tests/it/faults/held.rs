//! What must hold after every fault, as functions.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::living;

/// From how many bytes on a file is a program.
const LARGE: u64 = 1 << 20;

/// The files below a directory with what is in them (a link: what it says), by their paths with `/`.
/// Left out is what others write: `target` (see [`no_lock_is_held`] and [`state_is_whole`] for our part
/// of it), `.git`, `cache` and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot(BTreeMap<String, Vec<u8>>);

impl Snapshot {
    pub(super) fn of(root: &Path) -> Snapshot {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files);
        Snapshot(files)
    }

    /// Without the URL of the embedded PostgreSQL in `.env`, which is another one for each cluster; it
    /// must be whole.
    #[track_caller]
    pub(super) fn without_url(mut self) -> Snapshot {
        if let Some(text) = self.0.get_mut(".env") {
            let whole = String::from_utf8(text.clone()).unwrap();
            assert!(whole.ends_with('\n'), "{whole}");
            // The comment beside it says which value was ours.
            let all = whole.lines().filter(|it| !it.starts_with("# xtask: "));
            let lines = all.map(|line| match line.split_once("://") {
                Some((name, url)) => {
                    assert!(url.ends_with("/shop"), "{line}");
                    name
                }
                None => line,
            });
            *text = lines.collect::<Vec<_>>().join("\n").into_bytes();
        }
        self
    }

    /// The names of temporary files of `fsx::atomic_write`.
    pub(super) fn temporaries(&self) -> Vec<&str> {
        let all = self.0.keys().map(String::as_str);
        all.filter(|it| is_temporary(it)).collect()
    }
}

/// What is in a file; of a large one, its size and its end.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut content = Vec::new();
    if size > LARGE {
        content.extend_from_slice(size.to_string().as_bytes());
        file.seek(io::SeekFrom::End(-4096))?;
    }
    file.read_to_end(&mut content)?;
    Ok(content)
}

fn is_temporary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with('.') && name.ends_with(".tmp")
}

fn collect(root: &Path, shown: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(shown)).into_iter().flatten() {
        // What vanishes meanwhile was not there.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = match shown {
            "" => name.clone(),
            shown => format!("{shown}/{name}"),
        };
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if !(shown.is_empty() && ["target", ".git", "cache"].contains(&name.as_str())) {
                collect(root, &path, files);
            }
        } else if kind.is_symlink() {
            let to = fs::read_link(entry.path()).unwrap_or_default();
            files.insert(path, to.as_os_str().as_encoded_bytes().to_vec());
        } else if !name.ends_with(".log")
            && let Ok(content) = content(&entry.path())
        {
            files.insert(path, content);
        }
    }
}

/// Every file has its old content or the one that a whole run gives it. Temporary files may be there:
/// whoever was killed could not remove them; the next run does ([`nothing_is_left_lying`]).
#[track_caller]
pub(super) fn nothing_half_written(
    now: &Snapshot,
    before: &Snapshot,
    whole: &Snapshot,
    when: &str,
) {
    for (path, content) in &now.0 {
        let known = [before, whole].map(|it| it.0.get(path));
        assert!(
            known.contains(&Some(content)) || is_temporary(path),
            "{when}: `{path}` is neither old nor new:\n{}",
            String::from_utf8_lossy(content)
        );
    }
    for path in before.0.keys().filter(|it| !now.0.contains_key(*it)) {
        let gone = !whole.0.contains_key(path);
        assert!(gone, "{when}: `{path}` is gone");
    }
}

/// No temporary file of ours is left anywhere below, our state below `target` included.
#[track_caller]
pub(super) fn nothing_is_left_lying(root: &Path, when: &str) {
    let mut found = Snapshot::of(root);
    found.0.extend(Snapshot::of(&state_of(root)).0);
    assert_eq!(found.temporaries(), Vec::<&str>::new(), "{when}");
}

fn state_of(root: &Path) -> PathBuf {
    root.join("target").join("xtask")
}

/// What we remember below `target/xtask` can be read.
#[track_caller]
pub(super) fn state_is_whole(root: &Path, when: &str) {
    for (path, content) in Snapshot::of(&state_of(root)).0 {
        if path.ends_with(".json") && !is_temporary(&path) {
            let read: Result<serde_json::Value, _> = serde_json::from_slice(&content);
            assert!(read.is_ok(), "{when}: `{path}` is {read:?}");
        }
    }
}

/// Nobody holds one of the locks below `target/xtask`.
#[track_caller]
pub(super) fn no_lock_is_held(root: &Path, when: &str) {
    let state = state_of(root);
    let all = Snapshot::of(&state).0;
    let is_lock =
        |path: &&String| *path == "lock" || path.ends_with("/lock") || path.ends_with(".lock");
    for path in all.keys().filter(is_lock) {
        let Ok(file) = File::options().write(true).open(state.join(path)) else {
            continue;
        };
        assert!(file.try_lock().is_ok(), "{when}: `{path}` is still held");
    }
}

/// No process with this mark (`NAME=VALUE` of `support::mark`) is left, after what is on its way out
/// has had `patience` to go.
#[track_caller]
pub(super) fn no_process_left(mark: &str, patience: Duration, when: &str) {
    let since = Instant::now();
    loop {
        let left = living(mark);
        if left.is_empty() {
            return;
        }
        let line = |pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!(
                "{pid} {}",
                String::from_utf8_lossy(&words).replace('\0', " ")
            )
        };
        let shown: Vec<String> = left.iter().map(line).collect();
        assert!(since.elapsed() < patience, "{when}: {shown:?} still run");
        thread::sleep(Duration::from_millis(10));
    }
}
