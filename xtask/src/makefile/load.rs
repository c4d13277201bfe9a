//! Files and what they extend, each read once; all task files of a workspace, by several threads.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::merge::{self, Layer};
use super::parse::{ExtendRef, RelativeTo};
use super::task::Field;
use super::value::{Data, Value};
use super::{Definition, Makefile, Options, Problem, ProblemKind, Task, TaskFile};
use crate::fan_out::lock;
use crate::fsx;

/// Reads task files of one workspace, and keeps what was read.
#[derive(Debug)]
pub struct Loader {
    /// Paths are shown below it.
    root: PathBuf,
    options: Options,
    files: Mutex<HashMap<PathBuf, Arc<TaskFile>>>,
    layers: Mutex<HashMap<PathBuf, Arc<Layer>>>,
    /// Of lists of extended files, which many members have in common.
    lists: Mutex<HashMap<Vec<PathBuf>, Arc<Layer>>>,
    directories: Mutex<HashMap<PathBuf, PathBuf>>,
}

impl Loader {
    /// A loader for the workspace at `root`.
    #[must_use]
    pub fn new(root: &Path, options: Options) -> Loader {
        Loader {
            root: fsx::real(root),
            options,
            files: Mutex::default(),
            layers: Mutex::default(),
            lists: Mutex::default(),
            directories: Mutex::default(),
        }
    }

    /// What `cargo make` sees in a directory: its `Makefile.toml` (there may be none) with all that it
    /// extends, over what cargo-make itself brings.
    ///
    /// # Errors
    /// The first thing on which cargo-make would refuse the files.
    pub fn load(&self, directory: &Path) -> Result<Makefile, Problem> {
        self.load_file(directory, "Makefile.toml")
    }

    /// As [`Loader::load`], of a file with another name.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load_file(&self, directory: &Path, name: &str) -> Result<Makefile, Problem> {
        let path = directory.join(name);
        let mut stack = Vec::new();
        let (file, mut own) = if path.is_file() {
            let layer = self.layer(&path, &mut stack)?;
            (Some(self.file(&path)?), layer)
        } else {
            (None, Arc::default())
        };
        if let Some(over) = &self.options.workspace_makefile
            && over.is_file()
        {
            let over = self.layer(over, &mut Vec::new())?;
            own = Arc::new(merge::layers(&over, &own, false, &self.options)?);
        }
        let (mut merged, core_tasks) = over_core(&own, &self.options)?;
        if is_set(&merged, "load_cargo_aliases") {
            self.add_cargo_aliases(directory, &mut merged);
        }
        Ok(whole(merged, directory, file, core_tasks, &self.options))
    }

    /// Loads the directories with as many threads as pay, in their order.
    pub fn load_all<'a>(
        &self,
        directories: impl IntoIterator<Item = &'a Path>,
    ) -> Vec<Result<Arc<Makefile>, Problem>> {
        let directories: Vec<&Path> = directories.into_iter().collect();
        let results: Vec<OnceLock<_>> = directories.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let work = |limit: usize| {
            for _ in 0..limit {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(directory) = directories.get(at) else {
                    return;
                };
                let _ = results[at].set(self.load(directory).map(Arc::new));
            }
        };
        // The first ones bring in what all share, once.
        work(2);
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = available.min(directories.len() / 32).min(8);
        if threads > 1 {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| work(usize::MAX));
                }
            });
        }
        work(usize::MAX);
        results
            .into_iter()
            .filter_map(OnceLock::into_inner)
            .collect()
    }

    /// A file, parsed once. `path`: its directory has no links.
    ///
    /// # Errors
    /// As [`TaskFile::read`].
    pub fn file(&self, path: &Path) -> Result<Arc<TaskFile>, Problem> {
        if let Some(file) = lock(&self.files).get(path) {
            return Ok(file.clone());
        }
        let file = Arc::new(TaskFile::read(path, &self.shown(path))?);
        let mut files = lock(&self.files);
        Ok(files.entry(path.to_path_buf()).or_insert(file).clone())
    }

    /// All files that were read, sorted by path.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<TaskFile>> {
        let mut files: Vec<_> = lock(&self.files).values().cloned().collect();
        files.sort_by(|a, b| a.source.path.cmp(&b.source.path));
        files
    }

    /// As places call a path: below the root, with `/`.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let Ok(below) = path.strip_prefix(&self.root) else {
            return path.display().to_string();
        };
        let parts = below.iter().map(|part| part.to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    }

    /// The directory's real path, found once. The system follows `..` after links, so a path must not
    /// be shortened as text.
    fn real(&self, path: &Path) -> PathBuf {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return path.to_path_buf();
        };
        if let Some(real) = lock(&self.directories).get(directory) {
            return real.join(name);
        }
        let real = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_path_buf());
        lock(&self.directories).insert(directory.to_path_buf(), real.clone());
        real.join(name)
    }

    /// A file and all that it extends. `path` is as it was reached: where `relative` looks upwards,
    /// cargo-make walks along the text of it.
    fn layer(&self, path: &Path, stack: &mut Vec<PathBuf>) -> Result<Arc<Layer>, Problem> {
        let real = self.real(path);
        if let Some(layer) = lock(&self.layers).get(&real) {
            return Ok(layer.clone());
        }
        let file = self.file(&real)?;
        let own = merge::of_file(&file);
        let layer = if file.extends.is_empty() {
            Arc::new(own)
        } else {
            stack.push(real.clone());
            let directory = path.parent().unwrap_or(Path::new("."));
            let mut below = Vec::new();
            for extend in &file.extends {
                below.extend(self.extended(&file, directory, extend, stack)?);
            }
            let below = self.fold(below)?;
            stack.pop();
            Arc::new(merge::layers(&below, &own, false, &self.options)?)
        };
        if layer.depends_on_place {
            return Ok(layer);
        }
        let mut layers = lock(&self.layers);
        Ok(layers.entry(real).or_insert(layer).clone())
    }

    fn extended(
        &self,
        file: &TaskFile,
        directory: &Path,
        extend: &ExtendRef,
        stack: &mut Vec<PathBuf>,
    ) -> Result<Option<(PathBuf, Arc<Layer>)>, Problem> {
        let path = relative_to(directory, extend.relative).join(&extend.path);
        if !path.is_file() {
            if extend.optional {
                return Ok(None);
            }
            let shown = self.shown(&self.real(&path));
            let what = if path.is_dir() {
                "is a directory"
            } else {
                "is not there"
            };
            return Err(Problem::at(
                ProblemKind::MissingExtend,
                &file.source,
                extend.span,
                format!("extends `{shown}`, which {what}"),
            )
            .hint("mend the path, or say `{ path = …, optional = true }`"));
        }
        let real = self.real(&path);
        if let Some(at) = stack.iter().position(|it| *it == real) {
            let names = stack[at..].iter().chain([&real]);
            let names: Vec<String> = names.map(|it| self.shown(it)).collect();
            return Err(Problem::at(
                ProblemKind::ExtendCycle,
                &file.source,
                extend.span,
                format!(
                    "files extend each other in a circle: {}",
                    names.join(" -> ")
                ),
            )
            .hint(
                "take one `extend` of the circle out; cargo-make ends with a stack overflow on it",
            ));
        }
        let layer = self.layer(&path, stack)?;
        Ok(Some((real, layer)))
    }

    /// A list of extended files on top of each other, the least first.
    fn fold(&self, list: Vec<(PathBuf, Arc<Layer>)>) -> Result<Arc<Layer>, Problem> {
        if list.iter().any(|(_, layer)| layer.depends_on_place) {
            return self.fold_anew(&list);
        }
        let key: Vec<PathBuf> = list.iter().map(|(path, _)| path.clone()).collect();
        if let Some(layer) = lock(&self.lists).get(&key) {
            return Ok(layer.clone());
        }
        let layer = self.fold_anew(&list)?;
        Ok(lock(&self.lists).entry(key).or_insert(layer).clone())
    }

    fn fold_anew(&self, list: &[(PathBuf, Arc<Layer>)]) -> Result<Arc<Layer>, Problem> {
        let mut below = Arc::new(Layer::default());
        for (_, next) in list {
            below = Arc::new(merge::layers(&below, next, false, &self.options)?);
        }
        Ok(below)
    }

    /// `load_cargo_aliases`: a task for each alias of `.cargo/config.toml` that is no task yet.
    fn add_cargo_aliases(&self, directory: &Path, merged: &mut Layer) {
        let path = directory.join(".cargo").join("config.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return;
        };
        let Ok(document) = toml_edit::Document::parse(text.as_str()) else {
            return;
        };
        let source = super::Source::new(path.clone(), self.shown(&path), text.clone());
        let source = Arc::new(source);
        let aliases = document.get("alias").and_then(|it| it.as_table_like());
        for (name, _) in aliases.into_iter().flat_map(|it| it.iter()) {
            let key = aliases.and_then(|it| it.key(name)?.span()).unwrap_or(0..0);
            let task_name: Arc<str> = name.into();
            let mut task = Task {
                name: task_name.clone(),
                fields: super::Fields::default(),
                definitions: vec![Definition {
                    source: source.clone(),
                    key: key.clone().into(),
                }],
                located: None,
                extended: Vec::new(),
            };
            let values = [
                ("command", Data::String("cargo".into())),
                (
                    "args",
                    Data::Array(vec![Value::made(Data::String(name.into()))]),
                ),
                ("install_crate", Data::Boolean(false)),
            ];
            for (field, data) in values {
                if let Some(index) = super::task::index_of(field) {
                    let field = Field {
                        value: Arc::new(Value::made(data)),
                        key: key.clone().into(),
                        source: source.clone(),
                        task: task_name.clone(),
                        platform: false,
                    };
                    task.fields.set(index, field);
                }
            }
            merged
                .tasks
                .entry(task_name)
                .or_insert_with(|| Arc::new(task));
        }
    }
}

/// What a directory's own files say, over what cargo-make itself brings; and whether its core tasks are
/// among that.
fn over_core(own: &Layer, options: &Options) -> Result<(Layer, bool), Problem> {
    let mut merged = merge::layers(base(), own, false, options)?;
    let mut core_tasks = false;
    if !is_set(&merged, "skip_core_tasks") {
        match merged.config.get("modify_core_tasks").cloned() {
            None => {
                merged = merge::layers(core(), &merged, true, options)?;
                core_tasks = true;
            }
            Some(modify) => {
                let private = modify.value.get("private").and_then(Value::as_bool);
                let namespace = modify.value.get("namespace").and_then(Value::as_str);
                let (private, namespace) =
                    (private.unwrap_or(false), namespace.unwrap_or_default());
                // A table that modifies nothing leaves the core tasks out.
                if private || !namespace.is_empty() {
                    let mut core = core().clone();
                    merge::modify_core(&mut core, private, namespace);
                    merged = merge::layers(&core, own, false, options)?;
                    core_tasks = true;
                }
            }
        }
    }
    Ok((merged, core_tasks))
}

fn is_set(layer: &Layer, key: &str) -> bool {
    layer.config.get(key).and_then(|it| it.value.as_bool()) == Some(true)
}

/// The layer as what a directory sees.
fn whole(
    merged: Layer,
    directory: &Path,
    file: Option<Arc<TaskFile>>,
    core_tasks: bool,
    options: &Options,
) -> Makefile {
    let Layer {
        config,
        env,
        env_files,
        env_scripts,
        tasks,
        plugins,
        plugin_aliases,
        files,
        ..
    } = merged;
    let mut seen = std::collections::HashSet::new();
    let files = files
        .into_iter()
        .filter(|it| !it.source.is_internal() && seen.insert(it.source.path.clone()))
        .collect();
    Makefile {
        directory: directory.to_path_buf(),
        file,
        files,
        core_tasks,
        platform: options.platform,
        config,
        env,
        env_files,
        env_scripts,
        tasks,
        plugins,
        plugin_aliases,
    }
}

/// As [`Loader::load`], of files that are at hand, the least first: what they extend is not looked at.
/// Pure.
///
/// # Errors
/// As [`Loader::load`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn of_files(files: &[Arc<TaskFile>], options: &Options) -> Result<Makefile, Problem> {
    let mut own = Layer::default();
    for file in files {
        own = merge::layers(&own, &merge::of_file(file), false, options)?;
    }
    let (merged, core_tasks) = over_core(&own, options)?;
    let last = files.last().cloned();
    Ok(whole(merged, Path::new(""), last, core_tasks, options))
}

/// The directory that an `extend` is relative to, by cargo-make's own steps: upwards along the text of
/// the path, so that from `a/b/..` the next one up is `a/b`.
fn relative_to(directory: &Path, relative: RelativeTo) -> PathBuf {
    let upwards = |from: &Path, name: &str| {
        from.ancestors()
            .find(|it| it.join(name).exists())
            .map(Path::to_path_buf)
    };
    let found = match relative {
        RelativeTo::Makefile => None,
        RelativeTo::Git => upwards(directory, ".git"),
        RelativeTo::Crate => upwards(directory, "Cargo.toml"),
        RelativeTo::Workspace => upwards(directory, "Cargo.toml")
            .map(|it| upwards(&it.join(".."), "Cargo.toml").unwrap_or(it)),
    };
    found.unwrap_or_else(|| directory.to_path_buf())
}

fn internal(name: &str, text: &str) -> Layer {
    let shown = format!("cargo-make:{name}");
    match TaskFile::parse(PathBuf::new(), shown, text.to_owned()) {
        Ok(file) => merge::of_file(&Arc::new(file)),
        // A test holds that they parse.
        Err(_) => Layer::default(),
    }
}

/// What is underneath every task file.
fn base() -> &'static Layer {
    static BASE: OnceLock<Layer> = OnceLock::new();
    BASE.get_or_init(|| internal("base.toml", include_str!("base.toml")))
}

/// The tasks that cargo-make brings unless `skip_core_tasks` says no.
fn core() -> &'static Layer {
    static CORE: OnceLock<Layer> = OnceLock::new();
    CORE.get_or_init(|| internal("core.toml", include_str!("core.toml")))
}

/// A directory of the workspace with a task file, or a member of cargo's without one.
#[derive(Debug)]
pub struct Member {
    /// The cargo package's name; of a directory that is no package, the directory's below the root;
    /// of the root, `root`, unless it is a package.
    pub name: String,
    /// The directory.
    pub directory: PathBuf,
    /// The directory below the root, with `/`; empty for the root.
    pub shown: String,
    /// Whether cargo takes it for a member of the workspace.
    pub package: bool,
    /// Whether it has a `Makefile.toml`.
    pub has_makefile: bool,
    /// What `cargo make` sees there.
    pub makefile: Result<Arc<Makefile>, Problem>,
}

/// All task files of a workspace.
#[derive(Debug)]
pub struct Model {
    /// The workspace's root.
    pub root: PathBuf,
    /// The root first, then by directory.
    pub members: Vec<Member>,
    /// Every file that was read without a fault, sorted by path.
    pub files: Vec<Arc<TaskFile>>,
}

impl Model {
    /// Reads all task files of the workspace at `root`: of cargo's members, and of every other directory
    /// with a `Makefile.toml` that git does not ignore.
    ///
    /// # Errors
    /// When the workspace's manifests cannot be read. What is wrong with a task file stands in its
    /// [`Member::makefile`].
    pub fn load(root: &Path, options: Options) -> anyhow::Result<Model> {
        let loader = Loader::new(root, options);
        let places = super::discover::places(&loader.root)?;
        let directories: Vec<PathBuf> = places
            .iter()
            .map(|place| {
                let parts = place.directory.split('/').filter(|part| !part.is_empty());
                parts.fold(loader.root.clone(), |path, part| path.join(part))
            })
            .collect();
        let loaded = loader.load_all(directories.iter().map(PathBuf::as_path));
        let members = places
            .into_iter()
            .zip(directories)
            .zip(loaded)
            .map(|((place, directory), makefile)| Member {
                name: place.name,
                directory,
                shown: place.directory,
                package: place.package,
                has_makefile: place.makefile,
                makefile,
            })
            .collect();
        Ok(Model {
            files: loader.files(),
            root: loader.root,
            members,
        })
    }

    /// The names and directories (below the root, with `/`) of the members, without their task files.
    ///
    /// # Errors
    /// When the workspace's manifests cannot be read.
    pub fn directories(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
        let places = super::discover::places(root)?;
        Ok(places
            .into_iter()
            .map(|place| (place.name, place.directory))
            .collect())
    }

    /// The directory below the root whose tasks one means who stands in `from`: the nearest one upwards
    /// with a `Makefile.toml`, else the root.
    #[must_use]
    pub fn directory_at(root: &Path, from: &Path) -> PathBuf {
        let mut above = from.ancestors().take_while(|it| it.starts_with(root));
        let found = above.find(|it| it.join("Makefile.toml").is_file());
        found.unwrap_or(root).to_path_buf()
    }

    /// The member that a directory lies in: the nearest one upwards.
    #[must_use]
    pub fn member_at(&self, directory: &Path) -> Option<&Member> {
        let directory = directory.canonicalize().ok()?;
        self.members
            .iter()
            .filter(|member| directory.starts_with(&member.directory))
            .max_by_key(|member| member.directory.components().count())
    }

    /// The member of this name, or of this directory below the root.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        let named = self.members.iter().find(|member| member.name == name);
        named.or_else(|| self.members.iter().find(|member| member.shown == name))
    }

    /// The files that were read, by path.
    #[must_use]
    pub fn by_path(&self) -> BTreeMap<&Path, &Arc<TaskFile>> {
        let files = self.files.iter();
        files.map(|file| (&*file.source.path, file)).collect()
    }
}
