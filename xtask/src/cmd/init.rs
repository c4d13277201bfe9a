//! `cargo xtask init`

use std::io::{self, IsTerminal as _};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::cx::Cx;
use crate::diff;
use crate::error::Fault;
use crate::exit::Exit;
use crate::init::{self, Kind, Library, Note, Options, Plan};
use crate::term::Style;

/// Adopt the task layer in a workspace: show the plan as a diff, ask, write
///
/// Thin Makefile.toml files in the standard shape, an xtask crate of a few lines on this library, the
/// alias, nextest profiles, and .config/xtask.toml filled in with what is there: services of compose
/// files, the database and ports of .env files, parts in Python, Ruby and TypeScript. What is there
/// stays; a second run changes nothing.
///
/// Examples:
///   cargo xtask init ../theirs --dry-run
///   cargo xtask init ../theirs --yes
///   cargo xtask init ../theirs --xtask 'git+URL#tag=v1.0.0'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Init {
    /// Any directory of the workspace (default: where you stand)
    #[arg(value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Only show the plan
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Write without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Replace what is there and differs, too
    #[arg(long)]
    force: bool,
    /// Where the new crate finds this library: a directory, git+URL[#rev=X], or a version (default:
    /// the directory that this program was built from)
    #[arg(long, value_name = "SOURCE")]
    xtask: Option<String>,
    /// The new crate's directory, and the word after `cargo`
    #[arg(long, default_value = "xtask", value_name = "NAME")]
    name: String,
}

#[derive(Serialize)]
struct Report<'a> {
    root: &'a Path,
    written: bool,
    changes: Vec<&'a str>,
    notes: &'a [Note],
}

impl Init {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let directory = match &self.workspace {
            Some(directory) => cx.cwd.join(directory),
            None => cx.cwd.clone(),
        };
        if !directory.is_dir() {
            return Err(
                Fault::usage(format!("`{}` is not a directory", directory.display())).into(),
            );
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(fits) {
            return Err(
                Fault::usage(format!("`{}` is no name for a crate", self.name))
                    .hint("lowercase letters, digits and `-`")
                    .into(),
            );
        }
        let (root, survey) = init::survey::read(cx, &directory)?;
        let (library, place) = library(cx, self.xtask.as_deref(), &root.join(&self.name))?;
        let database = place.and_then(|it| Some(it.parent()?.join("xtask-db")));
        let options = Options {
            library,
            database_crate: database
                .filter(|it| it.join("Cargo.toml").is_file())
                .map(|it| relative(&root, &it)),
            name: self.name,
            force: self.force,
        };
        let mut plan = init::plan(&survey, &options)?;
        init::baseline::settle(&root, &survey, &mut plan)?;
        show(cx, &plan)?;
        let write =
            !plan.changes.is_empty() && !self.dry_run && (self.yes || confirmed(cx, &plan)?);
        if write {
            init::apply(&root, &plan.changes).inspect_err(|_| {
                cx.term
                    .hint("what was written is whole; run `init` again to finish");
            })?;
        }
        if cx.term.json() {
            cx.term.json_data(&Report {
                root: &root,
                written: write,
                changes: plan.changes.iter().map(|it| it.path.as_str()).collect(),
                notes: &plan.notes,
            })?;
        }
        if plan.changes.is_empty() {
            cx.term.status("Checked", "everything is there already");
        } else if write {
            cx.term
                .status("Wrote", &format!("{} files", plan.changes.len()));
            cx.term.hint(&format!(
                "next: `cargo {0} make format lint build test`; `.config/xtask.toml` has what was found",
                options.name
            ));
        } else {
            cx.term.status(
                "Planned",
                &format!(
                    "{} files; nothing was written (`--yes` writes)",
                    plan.changes.len()
                ),
            );
        }
        Ok(Exit::Done)
    }
}

/// The diff on stdout, the notes on stderr.
fn show(cx: &Cx, plan: &Plan) -> anyhow::Result<()> {
    if cx.term.json() {
        return Ok(());
    }
    for change in &plan.changes {
        let text = diff::unified(&change.path, change.old.as_deref(), &change.new);
        let painted: String = text
            .split_inclusive('\n')
            .map(|line| paint(cx, line))
            .collect();
        if !cx.term.stream(&painted)? {
            break;
        }
    }
    for note in &plan.notes {
        let (word, style) = match note.kind {
            Kind::Conflict => ("conflict", Style::Red),
            Kind::Untranslated => ("not translated", Style::Yellow),
            Kind::Left => ("left to you", Style::Yellow),
            Kind::Found => ("found", Style::Green),
        };
        cx.term.say(&format!(
            "{} {}: {}",
            cx.term.paint(style, &format!("{word}:")),
            note.place(),
            note.message
        ));
    }
    Ok(())
}

fn paint(cx: &Cx, line: &str) -> String {
    let style = match line.as_bytes().first() {
        Some(b'+') if line.starts_with("+++") => Style::Bold,
        Some(b'-') if line.starts_with("---") => Style::Bold,
        Some(b'+') => Style::Green,
        Some(b'-') => Style::Red,
        Some(b'@') => Style::Cyan,
        _ => return line.to_owned(),
    };
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |it| (it, "\n"));
    format!("{}{end}", cx.term.paint(style, line))
}

/// Asks; without a terminal the plan is only shown.
fn confirmed(cx: &Cx, plan: &Plan) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let files = plan.changes.len();
    cx.term.confirmed(&format!("\nWrite these {files} files?"))
}

/// What the user named, or the directory that this program was built from; and that directory.
fn library(
    cx: &Cx,
    source: Option<&str>,
    from: &Path,
) -> anyhow::Result<(Library, Option<PathBuf>)> {
    let at = |directory: &Path| {
        (
            Library::Path(relative(from, directory)),
            Some(directory.to_path_buf()),
        )
    };
    let Some(source) = source else {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        let in_cargo_home = cx
            .env
            .get("CARGO_HOME")
            .is_some_and(|it| built_from.starts_with(it))
            || std::env::home_dir().is_some_and(|it| built_from.starts_with(it.join(".cargo")));
        if built_from.join("Cargo.toml").is_file() && !in_cargo_home {
            return Ok(at(built_from));
        }
        return Err(
            Fault::usage("it is not known where the new crate finds this library")
                .hint("name it: `--xtask DIR`, `--xtask git+URL` or `--xtask VERSION`")
                .into(),
        );
    };
    if let Some(rest) = source.strip_prefix("git+") {
        let (url, part) = rest
            .split_once('#')
            .map_or((rest, None), |(url, part)| (url, Some(part)));
        let part = part.map(|it| it.split_once('=').unwrap_or(("rev", it)));
        if let Some((key, _)) = part.filter(|(key, _)| !["rev", "branch", "tag"].contains(key)) {
            return Err(
                Fault::usage(format!("`{key}` names nothing of a git repository"))
                    .hint("`#rev=…`, `#branch=…` or `#tag=…`")
                    .into(),
            );
        }
        let part = part.map(|(key, value)| (key.to_owned(), value.to_owned()));
        return Ok((Library::Git(url.to_owned(), part), None));
    }
    let directory = cx.cwd.join(source);
    if directory.is_dir() {
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
        if !manifest
            .lines()
            .any(|line| line.trim() == "name = \"xtask\"")
        {
            return Err(Fault::usage(format!(
                "`{}` is not the library's directory",
                directory.display()
            ))
            .hint("it is the directory `xtask` of a checkout, with its Cargo.toml")
            .into());
        }
        return Ok(at(&directory));
    }
    if source.starts_with(|c: char| c.is_ascii_digit() || "^=~<>*".contains(c))
        && !source.contains(['/', '\\'])
    {
        return Ok((Library::Version(source.to_owned()), None));
    }
    Err(Fault::usage(format!(
        "`{source}` is no directory, no `git+URL` and no version"
    ))
    .into())
}

/// The way from one directory to another, with `/`; the whole path where there is none, as between
/// drives.
fn relative(from: &Path, to: &Path) -> String {
    let real = |path: &Path| {
        // The new crate's directory may not be there yet.
        let parent = path.parent().and_then(|it| it.canonicalize().ok());
        let last = path.file_name();
        path.canonicalize()
            .ok()
            .or_else(|| Some(parent?.join(last?)))
            .unwrap_or_else(|| path.to_path_buf())
    };
    let (from, to) = (real(from), real(to));
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let name = |it: &Component<'_>| it.as_os_str().to_string_lossy().into_owned();
    // Over the root of the file system, the short way is the whole path.
    if shared <= 1 {
        let all: PathBuf = to.iter().collect();
        return all.display().to_string().replace('\\', "/");
    }
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    up.chain(to[shared..].iter().map(name))
        .collect::<Vec<_>>()
        .join("/")
}
