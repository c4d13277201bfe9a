//! The removal of many files and directories at once.

use std::io;
use std::path::PathBuf;

/// One thing to remove.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// Its path, relative to the root.
    pub path: PathBuf,
    /// Whether it is a directory, to be removed with all in it.
    pub directory: bool,
}

/// What is gone already is what was wanted.
fn or_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "interrupted")
}

#[cfg(unix)]
pub use unix::remove_all;
#[cfg(windows)]
pub use windows::remove_all;

#[cfg(unix)]
mod unix {
    use std::collections::VecDeque;
    use std::ffi::{CStr, CString, OsStr};
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::{Component, Path};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
    use std::thread;

    use nix::dir::{Dir, Type};
    use nix::errno::Errno;
    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
    use nix::unistd::{UnlinkatFlags, unlinkat};

    use super::{Doomed, interrupted, or_gone};
    use crate::fan_out::lock;

    /// More than processors: a file system may wait for its disk with each file (ext4 with `discard` and without
    /// a journal does), or for its network, and then only more of them are quicker. Where none waits they cost
    /// nothing: in memory, 100,000 files take two processors 0.8 s with 2 threads and with 8.
    const THREADS: usize = 8;

    /// Removes files and directories below `root`, each with all in it, with several threads. The results are in
    /// the order of `doomed`; what is not there counts as removed.
    ///
    /// Every step is taken from an open directory and follows no link and no mount: not even one that is
    /// put in a directory's place meanwhile can lead the removal elsewhere. The link itself is removed then;
    /// a mount stays, with what is in it, and is a failure.
    pub fn remove_all(root: &Path, doomed: &[Doomed]) -> Vec<io::Result<()>> {
        // It was looked at under its real path: a link in its place is another directory.
        let mut options = File::options();
        options
            .read(true)
            .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits());
        let root = match options.open(root) {
            Ok(root) => Arc::new(OwnedFd::from(root)),
            Err(error) => {
                let failed = |_| Err(io::Error::new(error.kind(), error.to_string()));
                return doomed.iter().map(failed).collect();
            }
        };
        let work = Work {
            doomed,
            root,
            queue: Mutex::new(Queue {
                tasks: (0..doomed.len()).map(Task::Root).collect(),
                busy: 0,
            }),
            changed: Condvar::new(),
            failures: Mutex::new(doomed.iter().map(|_| None).collect()),
        };
        thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(|| work.run());
            }
            work.run();
        });
        let failures = work.failures.into_inner();
        failures
            .unwrap_or_else(PoisonError::into_inner)
            .into_iter()
            .map(|failure| failure.map_or(Ok(()), Err))
            .collect()
    }

    struct Work<'a> {
        doomed: &'a [Doomed],
        root: Arc<OwnedFd>,
        queue: Mutex<Queue>,
        changed: Condvar,
        /// The first failure of each root.
        failures: Mutex<Vec<Option<io::Error>>>,
    }

    struct Queue {
        tasks: VecDeque<Task>,
        /// How many threads may still add tasks.
        busy: usize,
    }

    enum Task {
        Root(usize),
        Directory(Arc<Node>),
    }

    /// A directory that goes when all in it has gone.
    struct Node {
        root: usize,
        parent: Parent,
        name: CString,
        fd: OnceLock<OwnedFd>,
        /// Its own listing and its directories that are not done yet.
        open: AtomicUsize,
    }

    enum Parent {
        /// A directory that stays.
        Stays(Arc<OwnedFd>),
        Goes(Arc<Node>),
    }

    impl Work<'_> {
        fn run(&self) {
            while let Some(task) = self.next() {
                match task {
                    _ if crate::platform::interrupted() => self.fail(task.root(), interrupted()),
                    Task::Root(root) => {
                        if let Err(error) = self.start(root) {
                            self.fail(root, error);
                        }
                    }
                    Task::Directory(node) => self.empty(&node),
                }
                let mut queue = lock(&self.queue);
                queue.busy -= 1;
                if queue.busy == 0 && queue.tasks.is_empty() {
                    self.changed.notify_all();
                }
            }
        }

        /// The next task; `None` when there is none, and none can come.
        fn next(&self) -> Option<Task> {
            let mut queue = lock(&self.queue);
            loop {
                // The newest first: then few directories are open at once.
                if let Some(task) = queue.tasks.pop_back() {
                    queue.busy += 1;
                    return Some(task);
                }
                if queue.busy == 0 {
                    return None;
                }
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }

        fn push(&self, tasks: impl IntoIterator<Item = Task>) {
            lock(&self.queue).tasks.extend(tasks);
            self.changed.notify_all();
        }

        fn fail(&self, root: usize, error: io::Error) {
            lock(&self.failures)[root].get_or_insert(error);
        }

        /// Goes down to the parent of one of the doomed, step by step.
        fn start(&self, root: usize) -> io::Result<()> {
            let doomed = &self.doomed[root];
            let mut names = Vec::new();
            for part in doomed.path.components() {
                match part {
                    Component::Normal(name) => names.push(c_string(name)?),
                    _ => return Err(io::Error::other("the path does not lead downwards")),
                }
            }
            let Some(name) = names.pop() else {
                return Err(io::Error::other("the path is empty"));
            };
            let mut parent = Arc::clone(&self.root);
            for step in names {
                match open(&parent, &step) {
                    Ok(fd) => parent = Arc::new(fd),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            if !doomed.directory {
                return or_gone(unlink(&parent, &name).map_err(Into::into));
            }
            let parent = Parent::Stays(parent);
            self.push([Task::Directory(Node::new(root, parent, name))]);
            Ok(())
        }

        /// Removes the files of a directory, and leaves its directories to whoever has time.
        fn empty(&self, node: &Arc<Node>) {
            match node.list() {
                Ok(Listing::Entries(files, directories)) => {
                    node.open.fetch_add(directories.len(), Ordering::SeqCst);
                    self.push(directories.into_iter().map(|name| {
                        let parent = Parent::Goes(Arc::clone(node));
                        Task::Directory(Node::new(node.root, parent, name))
                    }));
                    for name in files {
                        if crate::platform::interrupted() {
                            self.fail(node.root, interrupted());
                            break;
                        }
                        let removed = unlink(node.fd(), &name);
                        if let Err(error) = or_gone(removed.map_err(Into::into)) {
                            self.fail(node.root, error);
                        }
                    }
                }
                Ok(Listing::NoDirectory) => {
                    let removed = unlink(node.parent_fd(), &node.name);
                    if let Err(error) = or_gone(removed.map_err(Into::into)) {
                        self.fail(node.root, error);
                    }
                }
                Err(error) => self.fail(node.root, error),
            }
            self.done(node);
        }

        /// Removes a directory when nothing in it is under way, and then perhaps its parent.
        fn done(&self, node: &Arc<Node>) {
            let mut node = node;
            while node.open.fetch_sub(1, Ordering::SeqCst) == 1 {
                if node.fd.get().is_some() {
                    let removed = unlinkat(
                        node.parent_fd(),
                        node.name.as_c_str(),
                        UnlinkatFlags::RemoveDir,
                    );
                    if let Err(error) = or_gone(removed.map_err(Into::into)) {
                        self.fail(node.root, error);
                    }
                }
                match &node.parent {
                    Parent::Goes(parent) => node = parent,
                    Parent::Stays(_) => return,
                }
            }
        }
    }

    impl Task {
        fn root(&self) -> usize {
            match self {
                Task::Root(root) => *root,
                Task::Directory(node) => node.root,
            }
        }
    }

    enum Listing {
        /// Names of files (links are files), and of directories.
        Entries(Vec<CString>, Vec<CString>),
        /// It is no directory any more, or is not there.
        NoDirectory,
    }

    impl Node {
        fn new(root: usize, parent: Parent, name: CString) -> Arc<Node> {
            Arc::new(Node {
                root,
                parent,
                name,
                fd: OnceLock::new(),
                open: AtomicUsize::new(1),
            })
        }

        /// Its parent, which is open as long as it waits for this one.
        fn parent_fd(&self) -> &OwnedFd {
            match &self.parent {
                Parent::Stays(fd) => fd,
                Parent::Goes(node) => node.fd(),
            }
        }

        /// Itself. Only asked for after [`Node::list`] has opened it.
        fn fd(&self) -> &OwnedFd {
            match self.fd.get() {
                Some(fd) => fd,
                None => unreachable!("a directory was listed before it was opened"),
            }
        }

        fn list(&self) -> io::Result<Listing> {
            let fd = match open(self.parent_fd(), &self.name) {
                Ok(fd) => fd,
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    // ELOOP: a link (FreeBSD says EMLINK).
                    Some(Errno::ENOTDIR | Errno::ELOOP | Errno::EMLINK | Errno::ENOENT) => {
                        return Ok(Listing::NoDirectory);
                    }
                    _ => return Err(error),
                },
            };
            let listed = fd.try_clone()?;
            let fd = self.fd.get_or_init(|| fd);
            let (mut files, mut directories) = (Vec::new(), Vec::new());
            for entry in Dir::from_fd(listed)?.iter() {
                let entry = entry?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                if is_directory(fd, name, entry.file_type()) {
                    directories.push(name.to_owned());
                } else {
                    files.push(name.to_owned());
                }
            }
            Ok(Listing::Entries(files, directories))
        }
    }

    /// Some file systems do not say what an entry is.
    fn is_directory(fd: &OwnedFd, name: &CStr, kind: Option<Type>) -> bool {
        match kind {
            Some(kind) => kind == Type::Directory,
            None => fstatat(fd, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()),
        }
    }

    fn open(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open_here(parent, name, flags) {
            Err(Errno::EXDEV) => Err(io::Error::other(
                "something else is mounted there, which stays: unmount it first",
            )),
            other => other.map_err(Into::into),
        }
    }

    /// EXDEV for a mount. Linux tells one from a directory even where both are of one file system.
    #[cfg(target_os = "linux")]
    fn open_here(parent: &OwnedFd, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
        use nix::fcntl::{OpenHow, ResolveFlag, openat2};
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_NO_XDEV);
        match openat2(parent, name, how) {
            // Before Linux 5.6, or forbidden by a container of that time.
            Err(Errno::ENOSYS | Errno::EPERM) => open_on_device(parent, name, flags),
            other => other,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_here(parent: &OwnedFd, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
        open_on_device(parent, name, flags)
    }

    /// EXDEV for another file system.
    fn open_on_device(parent: &OwnedFd, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
        let fd = openat(parent, name, flags, Mode::empty())?;
        if fstat(&fd)?.st_dev == fstat(parent)?.st_dev {
            Ok(fd)
        } else {
            Err(Errno::EXDEV)
        }
    }

    fn unlink(parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)
    }

    fn c_string(name: &OsStr) -> io::Result<CString> {
        CString::new(name.as_bytes()).map_err(|_| io::Error::other("a name with a zero byte"))
    }

    /// Also in the way of old systems.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_mount_is_no_directory_to_go_into() {
        let root = OwnedFd::from(File::open("/").unwrap());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        for name in [c"proc", c"etc"] {
            let expected = (name == c"proc").then_some(Errno::EXDEV);
            assert_eq!(open_here(&root, name, flags).err(), expected);
            assert_eq!(open_on_device(&root, name, flags).err(), expected);
        }
        let error = open(&root, c"proc").unwrap_err().to_string();
        assert!(error.contains("something else is mounted there"), "{error}");
    }
}

#[cfg(windows)]
mod windows {
    use std::fs::{self, File};
    use std::io;
    use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::{Component, Path, PathBuf};

    use super::{Doomed, interrupted, or_gone};

    /// From "File Attribute Constants", "CreateFileW" and its sharing modes.
    const ATTRIBUTE_DIRECTORY: u32 = 0x10;
    const ATTRIBUTE_REPARSE_POINT: u32 = 0x400;
    const BACKUP_SEMANTICS: u32 = 0x0200_0000;
    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    const SHARE_READ_AND_WRITE: u32 = 0x3;

    /// Removes files and directories below `root`, each with all in it. The results are in the order of
    /// `doomed`; what is not there counts as removed.
    ///
    /// No link, junction or mount is followed. The directories above each of the doomed are held open
    /// meanwhile, and shared with nobody who would rename or delete: nothing can take their place. Below,
    /// `std` goes from open directory to open directory.
    pub fn remove_all(root: &Path, doomed: &[Doomed]) -> Vec<io::Result<()>> {
        doomed
            .iter()
            .map(|it| {
                if crate::platform::interrupted() {
                    return Err(interrupted());
                }
                or_gone(remove(root, it))
            })
            .collect()
    }

    fn remove(root: &Path, doomed: &Doomed) -> io::Result<()> {
        let mut names = Vec::new();
        for part in doomed.path.components() {
            match part {
                Component::Normal(name) => names.push(name),
                _ => return Err(io::Error::other("the path does not lead downwards")),
            }
        }
        let Some(name) = names.pop() else {
            return Err(io::Error::other("the path is empty"));
        };
        let mut held = Vec::new();
        let mut path: PathBuf = root.to_path_buf();
        for step in names {
            path.push(step);
            held.push(hold(&path)?);
        }
        path.push(name);
        let attributes = fs::symlink_metadata(&path)?.file_attributes();
        if attributes & ATTRIBUTE_DIRECTORY == 0 {
            fs::remove_file(&path)
        } else if attributes & ATTRIBUTE_REPARSE_POINT != 0 {
            // The link itself; what it leads to stays.
            fs::remove_dir(&path)
        } else if doomed.directory {
            fs::remove_dir_all(&path)
        } else {
            Err(io::ErrorKind::IsADirectory.into())
        }
    }

    fn hold(directory: &Path) -> io::Result<File> {
        let held = File::options()
            .read(true)
            .share_mode(SHARE_READ_AND_WRITE)
            .custom_flags(BACKUP_SEMANTICS | OPEN_REPARSE_POINT)
            .open(directory)?;
        let attributes = held.metadata()?.file_attributes();
        if attributes & ATTRIBUTE_REPARSE_POINT != 0 {
            return Err(io::Error::other("a link is on the way"));
        }
        if attributes & ATTRIBUTE_DIRECTORY == 0 {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    #[cfg(unix)]
    use std::os::unix::fs::symlink;
    /// Wine says that it has made a link, and has made none.
    #[cfg(windows)]
    fn symlink(target: &Path, link: impl AsRef<Path>) -> std::io::Result<()> {
        std::os::windows::fs::symlink_dir(target, &link)?;
        match link.as_ref().symlink_metadata()?.is_symlink() {
            true => Ok(()),
            false => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    fn doomed(path: &str, directory: bool) -> Doomed {
        let path = path.split('/').collect();
        Doomed { path, directory }
    }

    #[test]
    fn trees_and_files_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for a in 0..20 {
            for b in 0..10 {
                write(&root.join(format!("target/{a}/x/{b}/file")));
                write(&root.join(format!("target/{a}/{b}.o")));
            }
        }
        fs::create_dir(root.join("target").join("empty")).unwrap();
        write(&root.join("a/one"));
        write(&root.join("a/two"));
        let results = remove_all(
            root,
            &[
                doomed("target", true),
                doomed("a/one", false),
                doomed("gone", true),
                doomed("gone/deep/file", false),
            ],
        );
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(!root.join("target").exists() && !root.join("a/one").exists());
        assert!(root.join("a/two").exists());
    }

    #[test]
    fn no_path_leads_upwards() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        write(&dir.path().join("precious"));
        for path in ["../precious", "..", "."] {
            assert!(
                remove_all(&root, &[doomed(path, false)])[0].is_err(),
                "{path}"
            );
        }
        assert!(dir.path().join("precious").exists());
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        write(&outside.join("precious"));
        write(&root.join("target/file"));
        symlink(&outside, root.join("target").join("inner")).unwrap();
        // Both were directories when they were planned.
        symlink(&outside, root.join("swapped")).unwrap();
        symlink(&outside, root.join("parent")).unwrap();
        let results = remove_all(
            &root,
            &[
                doomed("target", true),
                doomed("swapped", true),
                doomed("parent/precious", false),
            ],
        );
        assert!(results[0].is_ok() && results[1].is_ok(), "{results:?}");
        assert!(results[2].is_err(), "its parent is a link");
        assert!(outside.join("precious").exists());
        assert!(!root.join("target").exists());
        assert!(root.join("swapped").symlink_metadata().is_err());
    }

    /// A link takes a directory's place again and again while the tree is removed.
    #[test]
    fn a_link_that_appears_meanwhile_leads_nowhere() {
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for n in 0..50 {
            write(&outside.join(format!("{n}/precious")));
        }
        let (stop, links) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let victim = root.join("target").join("7");
                while !stop.load(Ordering::SeqCst) {
                    let _ = fs::rename(&victim, root.join("aside"));
                    links.fetch_add(symlink(&outside, &victim).is_ok().into(), Ordering::SeqCst);
                    let _ = fs::remove_file(&victim);
                    // A link to a directory, where those are another kind.
                    let _ = fs::remove_dir(&victim);
                    let _ = fs::rename(root.join("aside"), &victim);
                }
            });
            for _ in 0..30 {
                for n in 0..50 {
                    let path = root.join(format!("target/{n}/file"));
                    if let Some(parent) = path.parent() {
                        let _ = fs::create_dir_all(parent);
                    }
                    // Not through the link that may stand there.
                    if n != 7 {
                        fs::write(path, "x").unwrap();
                    }
                }
                // It may fail, where a directory comes back; it may not go astray.
                let _ = remove_all(&root, &[doomed("target", true)]);
            }
            stop.store(true, Ordering::SeqCst);
        });
        assert!(links.into_inner() > 0, "there never was a link");
        for n in 0..50 {
            assert!(outside.join(format!("{n}/precious")).exists(), "{n}");
        }
    }

    /// A junction is a link that anybody may make, and that `is_symlink` does not always know.
    #[cfg(windows)]
    #[test]
    fn no_junction_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        write(&outside.join("precious"));
        write(&root.join("target").join("file"));
        for link in [
            root.join("target").join("inner"),
            root.join("swapped"),
            root.join("parent"),
        ] {
            let mut command = std::process::Command::new("cmd");
            command
                .args(["/c", "mklink", "/J"])
                .arg(&link)
                .arg(&outside);
            assert!(command.output().unwrap().status.success(), "mklink /J");
            assert!(link.join("precious").exists(), "there is no junction");
        }
        let results = remove_all(
            &root,
            &[
                doomed("target", true),
                doomed("swapped", true),
                doomed("parent/precious", false),
            ],
        );
        assert!(results[0].is_ok() && results[1].is_ok(), "{results:?}");
        assert!(results[2].is_err(), "its parent is a junction");
        assert!(outside.join("precious").exists());
        assert!(!root.join("target").exists() && !root.join("swapped").exists());
    }

    #[test]
    fn a_failure_is_reported_for_what_it_is_about() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("file"));
        write(&dir.path().join("fine/file"));
        let results = remove_all(
            dir.path(),
            &[doomed("file/below", true), doomed("fine", true)],
        );
        assert!(results[0].is_err(), "{results:?}");
        assert!(results[1].is_ok() && !dir.path().join("fine").exists());
        assert!(dir.path().join("file").exists());
    }
}
