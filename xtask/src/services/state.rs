//! What is remembered of services: one directory each below the state directory, with its state file,
//! the logs of its last runs, and who uses it.
//!
//! A state file is written before a service is started (an intent, without a process) and once more
//! when its process is known. Its seal covers every field and the workspace's own scope: a file that
//! was edited, cut off, or copied from elsewhere is not trusted. Nothing is lost with it: the mark in
//! the environment of the processes says whose they are.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::family::{self, Family, Known, MARK};
use crate::config::Config;
use crate::cx::Cx;
use crate::fsx;
use crate::hex;
use crate::lock::{self, Lock};
use crate::platform::{self, Process};

/// Logs of this many runs are kept.
const KEPT_LOGS: usize = 5;

/// What is remembered of a run of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    /// This run's own name; all that belongs to it carries it in the environment.
    pub(super) run: String,
    /// The process that was started, which leads its process group; none before the start.
    pub(super) pid: Option<u32>,
    /// When that process started, in the platform's terms.
    pub(super) start_time: Option<String>,
    /// The boot that the start time is counted from.
    pub(super) boot: String,
    /// The port that it was told.
    pub(super) port: Option<u16>,
    /// Its log.
    pub(super) log: PathBuf,
    /// When it was started, in seconds since 1970.
    pub(super) started_at: u64,
    /// Its program as it was then.
    pub(super) program: Option<Stamp>,
    /// How it ended, where somebody saw that: `exit code 3`.
    pub(super) ended: Option<String>,
}

impl Record {
    /// A run that is about to begin, now.
    pub(super) fn new(name: &str, run: String, port: Option<u16>, log: PathBuf) -> Record {
        Record {
            name: name.to_owned(),
            run,
            pid: None,
            start_time: None,
            boot: platform::boot(),
            port,
            log,
            started_at: now(),
            program: None,
            ended: None,
        }
    }

    /// The process that it names, if this boot has seen it start.
    fn known(&self) -> Option<Known<'_>> {
        Some(Known {
            pid: self.pid?,
            start: self.start_time.as_deref()?,
            run: &self.run,
        })
        .filter(|_| self.boot == platform::boot())
    }

    /// Whether its program has been replaced since it was started.
    pub(super) fn is_outdated(&self) -> bool {
        let program = self.program.as_ref();
        program.is_some_and(|then| Stamp::of(&then.path).is_some_and(|now| now != *then))
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    path: PathBuf,
    size: u64,
    modified_ns: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Stamp {
            path: path.to_path_buf(),
            size: metadata.len(),
            modified_ns: u64::try_from(modified.as_nanos()).ok()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    record: Record,
    seal: String,
}

/// The text of a state file.
fn seal(record: &Record, scope: &str) -> anyhow::Result<String> {
    let seal = digest(&[scope, &serde_json::to_string(record)?]);
    let record = record.clone();
    Ok(serde_json::to_string_pretty(&Sealed { record, seal })?)
}

/// What a state file says; `None` where it is not as it was written, here, for this service.
fn unseal(bytes: &[u8], scope: &str, name: &str) -> Option<Record> {
    let Sealed { record, seal } = serde_json::from_slice(bytes).ok()?;
    let expected = digest(&[scope, &serde_json::to_string(&record).ok()?]);
    (seal == expected && record.name == name).then_some(record)
}

/// 16 hexadecimal digits.
fn digest(parts: &[&str]) -> String {
    hex::encode(&hmac_sha256::Hash::hash(parts.join("\n").as_bytes())[..8])
}

/// What is known of a service at one moment.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) name: String,
    pub(super) record: Option<Record>,
    /// There is a state file, but not one to be trusted.
    pub(super) damaged: bool,
    pub(super) family: Family,
}

impl Sight {
    pub(super) fn leader(&self) -> Option<&Process> {
        self.family.leader.as_ref()
    }

    /// The port that it was told at its start, while it runs; else the one that it would be told now.
    pub(super) fn port(&self, configured: Option<u16>) -> Option<u16> {
        let told = self.leader().and(self.record.as_ref());
        told.and_then(|record| record.port).or(configured)
    }

    /// The run that its leader says it belongs to.
    pub(super) fn run(&self, scope: &str) -> Option<String> {
        let mark = self.leader()?.mark.as_ref()?;
        let run = mark.strip_prefix(&family::mark(scope, &self.name, ""))?;
        Some(run.to_owned())
    }

    /// Whether the process that the record names has ended, and another one has its number.
    pub(super) fn reused(&self) -> Option<u32> {
        let pid = self.record.as_ref()?.pid?;
        let lives = self.leader().is_some() || platform::start_time(pid).is_none();
        (!lives).then_some(pid)
    }
}

/// The directory of all that we remember of services.
#[derive(Clone, Debug)]
pub(super) struct Home {
    directory: PathBuf,
    /// Tells this workspace's services from those of others, in marks and seals.
    pub(super) scope: String,
}

impl Home {
    pub(super) fn of(cx: &Cx) -> Home {
        let directory = resolve(&cx.state_dir().join("services"));
        Home {
            scope: digest(&["xtask services", &directory.to_string_lossy()]),
            directory,
        }
    }

    /// Held while services are started or stopped: two calls at once take turns.
    pub(super) fn lock(&self, cx: &Cx) -> anyhow::Result<Lock> {
        let owner = self.directory.join("lock.owner");
        let pid = fs::read_to_string(&owner).unwrap_or_default();
        let who = match pid.trim() {
            "" => "starts or stops services".to_owned(),
            pid => format!("starts or stops services (pid {pid})"),
        };
        let lock = lock::take(cx, &self.directory.join("lock"), &who)?;
        // For whoever waits for us: a courtesy, so that a failure is none of ours.
        let _ = fs::write(owner, std::process::id().to_string());
        Ok(lock)
    }

    pub(super) fn service(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.service(name).join("state.json")
    }

    /// What the state file of a service says, and whether there is one that is not to be trusted.
    pub(super) fn read(&self, name: &str) -> (Option<Record>, bool) {
        match fs::read(self.record_path(name)) {
            Ok(bytes) => {
                let record = unseal(&bytes, &self.scope, name);
                let damaged = record.is_none();
                (record, damaged)
            }
            Err(error) => (None, error.kind() != std::io::ErrorKind::NotFound),
        }
    }

    pub(super) fn write(&self, record: &Record) -> anyhow::Result<()> {
        let text = seal(record, &self.scope)?;
        let path = self.record_path(&record.name);
        fsx::atomic_write(&path, text.as_bytes(), fsx::Access::Default)
    }

    pub(super) fn forget(&self, name: &str) {
        // One that stays names a process that has ended: harmless, and seen by `services status`.
        let _ = fs::remove_file(self.record_path(name));
        self.set_transient(name, false);
    }

    /// What is known of services, by one look at the process table.
    pub(super) fn look(&self, names: &[String]) -> Vec<Sight> {
        let table = platform::processes(MARK);
        names
            .iter()
            .map(|name| self.look_in(&table, name))
            .collect()
    }

    pub(super) fn look_at(&self, name: &str) -> Sight {
        self.look_in(&platform::processes(MARK), name)
    }

    pub(super) fn look_in(&self, table: &[Process], name: &str) -> Sight {
        let (record, damaged) = self.read(name);
        let known = record.as_ref().and_then(Record::known);
        let family = family::family(table, &self.scope, name, known, std::process::id());
        Sight {
            name: name.to_owned(),
            damaged,
            family,
            record,
        }
    }

    /// Services that run, or are remembered, and are not in the configuration any more.
    pub(super) fn unconfigured(&self, config: &Config) -> Vec<String> {
        let prefix = format!("{}/", self.scope);
        let table = platform::processes(MARK);
        let marked = table.iter().filter_map(|it| {
            let (name, _) = it.mark.as_ref()?.strip_prefix(&prefix)?.split_once('/')?;
            Some(name.to_owned())
        });
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let remembered = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| self.record_path(name).exists());
        let names: BTreeSet<String> = marked.chain(remembered).collect();
        let gone = names
            .into_iter()
            .filter(|name| !config.services.contains_key(name));
        gone.collect()
    }

    /// The logs of a service's last runs, the oldest first. They are numbered: clocks go back.
    pub(super) fn logs(&self, name: &str) -> Vec<(u64, PathBuf)> {
        let mut logs: Vec<(u64, PathBuf)> = fs::read_dir(self.service(name))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let file = entry.file_name();
                let number = file.to_str()?.strip_prefix("run-")?.strip_suffix(".log")?;
                Some((number.parse().ok()?, entry.path()))
            })
            .collect();
        logs.sort();
        logs
    }

    /// A log for a new run; the oldest go. Several processes append to it, and it may show passwords.
    pub(super) fn create_log(&self, name: &str) -> anyhow::Result<(PathBuf, File)> {
        fsx::create_dir_all(&self.service(name))?;
        let logs = self.logs(name);
        for (_, old) in logs.iter().rev().skip(KEPT_LOGS - 1) {
            let _ = fs::remove_file(old);
        }
        let number = logs.last().map_or(1, |(number, _)| number + 1);
        let path = self.service(name).join(format!("run-{number}.log"));
        let file = fsx::append(&path, fsx::Access::Private)?;
        Ok((path, file))
    }

    /// A service that is in use is not stopped by another run that had started it for its own command.
    /// The lease ends with its process, however that ends.
    pub(super) fn lease(&self, name: &str) -> anyhow::Result<File> {
        let file = self.lease_file(name)?;
        file.lock_shared()
            .with_context(|| format!("failed to lock the lease of `{name}`"))?;
        Ok(file)
    }

    pub(super) fn is_leased(&self, name: &str) -> bool {
        self.lease_file(name)
            .is_ok_and(|file| file.try_lock().is_err())
    }

    fn lease_file(&self, name: &str) -> anyhow::Result<File> {
        fsx::create_dir_all(&self.service(name))?;
        let path = self.service(name).join("lease");
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let opened = options.open(&path);
        opened.with_context(|| format!("failed to open `{}`", path.display()))
    }

    /// Whether a service was started for the time of a command, and is to end with the last that uses
    /// it.
    pub(super) fn is_transient(&self, name: &str) -> bool {
        self.service(name).join("transient").exists()
    }

    pub(super) fn set_transient(&self, name: &str, transient: bool) {
        let path = self.service(name).join("transient");
        // On a failure a service stays up that could have ended, or the other way round: both are seen.
        let _ = if transient {
            fsx::create_dir_all(&self.service(name)).and_then(|()| Ok(fs::write(path, "")?))
        } else {
            fs::remove_file(path).map_err(Into::into)
        };
    }
}

/// The path without links, as far as it is there: every way to write it gives the same scope.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            // Joined by parts: an empty rest would leave a separator behind.
            return rest.components().fold(real, |path, part| path.join(part));
        }
    }
    path.to_path_buf()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A name for a new run, that no other has.
pub(super) fn new_run(number: u64) -> String {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{number}-{:x}-{:x}", std::process::id(), clock.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            name: "web".to_owned(),
            run: "1".to_owned(),
            pid: Some(7),
            start_time: Some("70".to_owned()),
            boot: platform::boot(),
            port: Some(8080),
            log: PathBuf::from("run-1.log"),
            started_at: 5,
            program: None,
            ended: None,
        }
    }

    #[test]
    fn a_state_file_is_trusted_only_as_it_was_written_here() {
        let text = seal(&record(), "scope").unwrap();
        assert_eq!(unseal(text.as_bytes(), "scope", "web"), Some(record()));
        assert_eq!(unseal(text.as_bytes(), "another", "web"), None);
        assert_eq!(unseal(text.as_bytes(), "scope", "other"), None);
        for (from, to) in [("\"pid\": 7", "\"pid\": 8"), ("\"70\"", "\"71\"")] {
            assert!(text.contains(from));
            let edited = text.replace(from, to);
            assert_eq!(unseal(edited.as_bytes(), "scope", "web"), None, "{from}");
        }
        // Laid out anew by an editor, it still says the same.
        let compact: serde_json::Value = serde_json::from_str(&text).unwrap();
        let compact = compact.to_string();
        assert_eq!(unseal(compact.as_bytes(), "scope", "web"), Some(record()));
    }

    #[test]
    fn every_cut_of_a_state_file_is_damage_and_no_panic() {
        let text = seal(&record(), "scope").unwrap();
        for end in 0..text.len() {
            assert_eq!(unseal(&text.as_bytes()[..end], "scope", "web"), None);
        }
    }

    #[test]
    fn after_another_boot_a_record_names_nobody() {
        let mut record = record();
        assert!(record.known().is_some());
        record.boot = "another".to_owned();
        assert_eq!(record.known(), None);
    }

    #[test]
    fn a_program_that_was_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "1").unwrap();
        let mut record = record();
        record.program = Stamp::of(&path);
        assert!(!record.is_outdated());
        fs::write(&path, "22").unwrap();
        assert!(record.is_outdated());
        // One that is gone can be built by nobody but a start.
        fs::remove_file(&path).unwrap();
        assert!(!record.is_outdated());
    }

    #[cfg(unix)]
    #[test]
    fn every_way_to_write_a_path_gives_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let before = resolve(&link.join("a").join("b"));
        assert_eq!(before, real.join("a").join("b"));
        // The same before and after it is made, to the last byte.
        fs::create_dir_all(&before).unwrap();
        let after = resolve(&link.join("a").join("b"));
        assert_eq!(after.as_os_str(), before.as_os_str());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_pass(bytes in proptest::collection::vec(0u8.., 0..200)) {
            proptest::prop_assert_eq!(unseal(&bytes, "scope", "web"), None);
        }
    }
}
