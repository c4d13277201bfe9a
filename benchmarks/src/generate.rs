//! What pairs are run on: trees of files, workspaces of any size, servers that are well.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;

use crate::lab;

/// Files in one directory of a tree.
const PER_DIRECTORY: usize = 250;

/// The paths of a cargo target directory of `files` files, relative to it: many files in few directories.
pub fn target_tree(files: usize) -> impl Iterator<Item = PathBuf> {
    (0..files).map(|n| {
        let directory = n / PER_DIRECTORY;
        let kind = ["deps", "incremental", "build", "fingerprint"][directory % 4];
        [
            "debug",
            kind,
            &format!("part-{directory}"),
            &format!("file-{n}.o"),
        ]
        .iter()
        .collect()
    })
}

/// The paths of a Python tree with `files` compiled files in caches, as many directories deep as real
/// packages are, and a source file beside each tenth of them.
pub fn python_tree(files: usize) -> impl Iterator<Item = PathBuf> {
    (0..files).flat_map(|n| {
        let module = n / 10;
        let package: PathBuf = [
            "packages",
            &format!("a{}", module % 50),
            &format!("m{module}"),
        ]
        .iter()
        .collect();
        let source = n.is_multiple_of(10).then(|| package.join("source.py"));
        let cache = package.join("__pycache__").join(format!("x{n}.pyc"));
        source.into_iter().chain([cache])
    })
}

/// How many bytes the nth file has: between 64 and 4095, spread evenly, the same in each run.
#[must_use]
pub fn size_of(n: usize) -> usize {
    64 + n.wrapping_mul(2_654_435_761) % 4032
}

/// Writes the files of a tree, with more than one thread, and waits for the disk.
///
/// # Errors
/// When a file cannot be written.
pub fn grow(root: &Path, paths: impl Iterator<Item = PathBuf>) -> anyhow::Result<()> {
    let paths: Vec<PathBuf> = paths.collect();
    let content = vec![b'x'; 4096];
    let part = paths.len().div_ceil(4).max(1);
    thread::scope(|scope| {
        let writers: Vec<_> = paths
            .chunks(part)
            .enumerate()
            .map(|(chunk, paths)| {
                let content = &content;
                scope.spawn(move || -> anyhow::Result<()> {
                    let mut made = PathBuf::new();
                    for (n, path) in paths.iter().enumerate() {
                        let path = root.join(path);
                        let directory = path.parent().unwrap_or(root);
                        if made != directory {
                            fs::create_dir_all(directory)?;
                            made = directory.to_path_buf();
                        }
                        fs::write(&path, &content[..size_of(chunk * part + n)])
                            .with_context(|| format!("failed to write `{}`", path.display()))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for writer in writers {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer of the tree panicked"))??;
        }
        Ok(())
    })
}

/// The files of a workspace of `members` crates, each with a Makefile.toml of `tasks` tasks: path and
/// content. Each crate depends on the one at half its number, as layers do.
#[must_use]
pub fn workspace(members: usize, tasks: usize) -> Vec<(PathBuf, String)> {
    let names: Vec<String> = (0..members).map(|n| format!("member-{n}")).collect();
    let listed: Vec<String> = names
        .iter()
        .map(|name| format!("\"crates/{name}\""))
        .collect();
    let file = |path: &[&str], content: String| (path.iter().collect(), content);
    let mut files = vec![
        file(
            &["Cargo.toml"],
            format!(
                "[workspace]\nresolver = \"3\"\nmembers = [{}]\n",
                listed.join(", ")
            ),
        ),
        // Clean: it is the reading that is measured, not a terminal.
        file(
            &[".config", "xtask.toml"],
            "[lint]\nlevel = \"deny\"\nrequired = []\nshared = [\"base.toml\"]\n".to_owned(),
        ),
        file(
            &["base.toml"],
            "[config]\ndefault_to_workspace = false\nskip_core_tasks = true\n\
             skip_git_env_info = true\nskip_rust_env_info = true\nskip_crate_env_info = true\n\n\
             [tasks.base-cargo]\ndescription = \"Runs cargo\"\ncategory = \"Base\"\n\
             private = true\ninstall_crate = false\ncommand = \"cargo\"\n"
                .to_owned(),
        ),
        file(
            &["Makefile.toml"],
            "extend = \"base.toml\"\n\n[tasks.build]\nextend = \"base-cargo\"\n\
             description = \"Build\"\ncategory = \"Build\"\nprivate = false\nargs = [\"build\"]\n"
                .to_owned(),
        ),
    ];
    for (n, name) in names.iter().enumerate() {
        let needs = match n {
            0 => String::new(),
            n => format!("member-{} = {{ path = \"../member-{}\" }}\n", n / 2, n / 2),
        };
        files.push(file(
            &["crates", name, "Cargo.toml"],
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
                 [dependencies]\n{needs}"
            ),
        ));
        files.push(file(
            &["crates", name, "src", "lib.rs"],
            "//! Empty.\n".to_owned(),
        ));
        let mut makefile = "extend = \"../../base.toml\"\n".to_owned();
        for task in 0..tasks {
            let needs = match task {
                0 => String::new(),
                task => format!("dependencies = [\"build-{}\"]\n", task - 1),
            };
            makefile.push_str(&format!(
                "\n[tasks.build-{task}]\nextend = \"base-cargo\"\ndescription = \"Build part {task}\"\n\
                 category = \"Build\"\nprivate = false\n{needs}args = [\"build\", \"--package\", \"{name}\", \"--example\", \"part-{task}\"]\n"
            ));
        }
        files.push(file(&["crates", name, "Makefile.toml"], makefile));
    }
    files
}

/// Writes the files of [`workspace`] and commits them.
///
/// # Errors
/// When they cannot be written, or git fails.
pub fn write_workspace(root: &Path, members: usize, tasks: usize) -> anyhow::Result<()> {
    for (path, content) in workspace(members, tasks) {
        lab::write(&root.join(path), content)?;
    }
    lab::commit_all(root)
}

/// Servers on 127.0.0.1 that say that they are healthy, until the value is dropped.
pub struct Servers {
    /// Their ports.
    pub ports: Vec<u16>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts so many.
    ///
    /// # Errors
    /// When there are not enough ports.
    pub fn start(count: usize) -> anyhow::Result<Servers> {
        Servers::on(std::iter::repeat_n(0, count))
    }

    /// Starts one on each of these ports; 0 means any that is free.
    ///
    /// # Errors
    /// When somebody has one of them.
    pub fn on(ports: impl IntoIterator<Item = u16>) -> anyhow::Result<Servers> {
        let mut servers = Servers {
            ports: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for port in ports {
            let listener = TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("port {port} is not free"))?;
            servers.ports.push(listener.local_addr()?.port());
            let stop = Arc::clone(&servers.stop);
            servers.threads.push(thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    answer(stream);
                }
            }));
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for port in &self.ports {
            // Wakes the one who listens.
            drop(TcpStream::connect(("127.0.0.1", *port)));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream) {
    let body = r#"{"status":"healthy"}"#;
    let _ = stream.read(&mut [0; 4096]);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_files_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        grow(&dir.path().join("target"), target_tree(600)).unwrap();
        grow(dir.path(), python_tree(20)).unwrap();
        let found = xtask::fsx::files_matching(dir.path(), "**/*").unwrap();
        let with = |part: &str| found.iter().filter(|path| path.contains(part)).count();
        assert_eq!(with(".o"), 600);
        assert_eq!((with("__pycache__"), with("source.py")), (20, 2));
        let sizes: Vec<usize> = (0..1000).map(size_of).collect();
        assert!(sizes.iter().all(|size| (64..4096).contains(size)));
        assert!(sizes.iter().sum::<usize>() / 1000 > 1500, "not spread");
    }

    #[test]
    fn a_generated_workspace_is_one_to_cargo() {
        let dir = tempfile::tempdir().unwrap();
        write_workspace(dir.path(), 5, 3).unwrap();
        let mut command = std::process::Command::new(env!("CARGO"));
        command
            .args(["metadata", "--format-version", "1", "--offline", "--quiet"])
            .current_dir(dir.path());
        let metadata = xtask::proc::capture(&mut command).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        assert_eq!(metadata["workspace_members"].as_array().unwrap().len(), 5);
        let makefile = dir
            .path()
            .join("crates")
            .join("member-4")
            .join("Makefile.toml");
        let makefile: toml_edit::DocumentMut =
            fs::read_to_string(makefile).unwrap().parse().unwrap();
        assert_eq!(makefile["tasks"].as_table().unwrap().len(), 3);
    }

    #[test]
    fn servers_are_healthy_until_they_go() {
        let servers = Servers::start(3).unwrap();
        let ports = servers.ports.clone();
        let timeout = std::time::Duration::from_secs(5);
        for port in &ports {
            let finding = xtask::probe::http("127.0.0.1", *port, "/health", timeout);
            assert_eq!(finding, xtask::probe::Finding::Healthy);
        }
        drop(servers);
        assert!(ports.iter().all(|port| xtask::probe::port_is_free(*port)));
    }
}
