//! `cargo xtask ci scope`

use serde::Serialize;

use crate::ci::event::{self, Base};
use crate::ci::git::Git;
use crate::ci::scope::{self, Question, Snapshot, Touched};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::github;
use crate::term::Style;

/// Say which members, languages and jobs a change touches, and why
///
/// The change is everything since the merge base of --base and --head; without --head, the working
/// tree with its untracked files, or in CI (CI=true) HEAD. Without --base, GitHub's event names it, else
/// it is origin/HEAD. A shallow clone is deepened until the merge base is there. Where there is none,
/// or nothing differs, everything is selected, and a warning says why.
///
/// Examples:
///   cargo xtask ci scope --base main                 # what the working tree touches
///   cargo xtask ci scope --base main --head HEAD     # what is committed
///   cargo xtask ci scope --base HEAD~3 --explain     # with the ways that lead there
///   cargo nextest run $(cargo xtask ci scope --print packages)
///   cargo xtask ci scope --github                    # to $GITHUB_OUTPUT
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Scope {
    /// What the change is compared with: a branch, a tag, a commit
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Where the change ends (default: the working tree; in CI: HEAD)
    #[arg(long, value_name = "REF")]
    head: Option<String>,
    /// Show the way from a changed file to each member, and what each file touches
    #[arg(long)]
    explain: bool,
    /// Print one fact alone
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["explain", "github"])]
    print: Option<Fact>,
    /// Hand the facts to later steps through $GITHUB_OUTPUT (printed where that is not set)
    #[arg(long)]
    github: bool,
}

/// What `--print` prints.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Fact {
    /// `--package NAME` for each member, or `--workspace`: for cargo
    Packages,
    /// For nextest's --filterset
    Filterset,
    /// Names, one a line
    Members,
    /// Names, one a line
    Languages,
    /// Names, one a line
    Jobs,
    /// A matrix for GitHub, JSON
    Matrix,
}

/// What was compared, and what came out.
#[derive(Serialize)]
struct Answer {
    /// What the change is compared with, as it was named; none where there was nothing to compare.
    base: Option<String>,
    /// Their last common commit.
    merge_base: Option<String>,
    /// Where the change ends; none: the working tree.
    head: Option<String>,
    #[serde(flatten)]
    scope: scope::Scope,
    /// For cargo.
    packages: String,
    /// For nextest.
    filterset: String,
    /// For GitHub.
    matrix: serde_json::Value,
}

impl Scope {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let answer = self.answer(cx)?;
        for reason in answer.scope.everything.iter().take(3) {
            cx.term.warn(&format!("everything is selected: {reason}"));
        }
        if answer.scope.everything.len() > 3 {
            let more = answer.scope.everything.len() - 3;
            cx.term.warn(&format!("... and for {more} more reasons"));
        }
        if self.github {
            answer.to_github(cx)?;
        }
        if let Some(fact) = self.print {
            cx.term.data(&answer.fact(fact))?;
        } else if cx.term.json() {
            cx.term.json_data(&answer)?;
        } else if !self.github || github::file(cx, "GITHUB_OUTPUT").is_some() {
            cx.term.data(&answer.render(cx, self.explain))?;
        }
        Ok(Exit::Done)
    }

    fn answer(&self, cx: &Cx) -> anyhow::Result<Answer> {
        let ci = &cx.config()?.ci;
        let git = Git::open(&cx.root)?;
        // A run of CI is about a commit: what a job has written beside it is no change.
        let named = self.head.as_deref().or(cx.ci().then_some("HEAD"));
        let head = match named {
            Some(revision) => Some(git.commit(revision)?.ok_or_else(|| {
                Fault::usage(format!(
                    "`{revision}` (of --head) is no commit that is here"
                ))
            })?),
            None => None,
        };
        let (after, includes) = git.snapshot(head.as_deref())?;
        let mut answer = Answer {
            base: None,
            merge_base: None,
            head: head.clone(),
            scope: scope::Scope::default(),
            packages: String::new(),
            filterset: String::new(),
            matrix: serde_json::Value::Null,
        };
        let scope = match self.base(cx, &git, head.as_deref())? {
            Ok(base) => {
                // Of a working tree, the commit below it has a history.
                let end = match &head {
                    Some(head) => head.clone(),
                    None => git.commit("HEAD")?.unwrap_or_default(),
                };
                let common = git.merge_base(&cx.term, &base, &end, cx.ci())?;
                answer.base = Some(base);
                match common {
                    Ok(common) => {
                        let changes = git.changes(&common, head.as_deref())?;
                        answer.merge_base = Some(common.clone());
                        narrow(
                            &git,
                            &common,
                            &Question {
                                ci,
                                base: &Snapshot::default(),
                                head: &after,
                                changes: &changes,
                                includes: &includes,
                            },
                        )?
                    }
                    Err(reason) => scope::everything(&reason, ci, &after.workspace)?,
                }
            }
            Err(reason) => scope::everything(&reason, ci, &after.workspace)?,
        };
        answer.packages = scope.packages().join(" ");
        answer.filterset = scope.filterset();
        answer.matrix = scope.matrix(ci);
        answer.scope = scope;
        Ok(answer)
    }

    /// What the change is compared with, or why that is nothing.
    fn base(
        &self,
        cx: &Cx,
        git: &Git,
        head: Option<&str>,
    ) -> anyhow::Result<Result<String, String>> {
        if let Some(base) = &self.base {
            return Ok(Ok(base.clone()));
        }
        let payload = match github::file(cx, "GITHUB_EVENT_PATH") {
            Some(path) => fsx::read_optional(path)?,
            None => None,
        };
        Ok(match event::base(&cx.env, payload.as_deref()) {
            Base::Commit(commit, who) => {
                cx.term.detail(&format!("compared with {who}"));
                Ok(commit)
            }
            Base::PullRequest { base, merge } => match (merge, head) {
                (Some(merge), Some(head)) if merge == head => {
                    let parents = git.parents(head)?;
                    Ok(match parents.as_slice() {
                        [first, _] => first.clone(),
                        _ => base,
                    })
                }
                _ => Ok(base),
            },
            Base::None(reason) => Err(reason),
            Base::Elsewhere => {
                let default = "origin/HEAD";
                if git.commit(default)?.is_none() {
                    return Err(Fault::usage("there is no `origin/HEAD` to compare with")
                        .hint("name what to compare with: `--base main`")
                        .into());
                }
                Ok(default.to_owned())
            }
        })
    }
}

/// What a change since this commit touches. A base that cannot be read narrows nothing.
fn narrow(git: &Git, base: &str, question: &Question<'_>) -> anyhow::Result<scope::Scope> {
    match git.snapshot(Some(base)) {
        Ok((before, _)) => Ok(scope::decide(&Question {
            base: &before,
            ..*question
        })?),
        Err(error) => {
            let reason = format!("the workspace at {} cannot be read: {error:#}", short(base));
            Ok(scope::everything(
                &reason,
                question.ci,
                &question.head.workspace,
            )?)
        }
    }
}

/// As many digits as git shows.
fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

impl Answer {
    fn names(items: &[scope::Named]) -> Vec<&str> {
        items.iter().map(|it| it.name.as_str()).collect()
    }

    fn fact(&self, fact: Fact) -> String {
        let lines = |names: Vec<&str>| names.iter().map(|name| format!("{name}\n")).collect();
        match fact {
            Fact::Packages => format!("{}\n", self.packages),
            Fact::Filterset => format!("{}\n", self.filterset),
            Fact::Members => lines(
                self.scope
                    .members
                    .iter()
                    .map(|it| it.name.as_str())
                    .collect(),
            ),
            Fact::Languages => lines(Answer::names(&self.scope.languages)),
            Fact::Jobs => lines(Answer::names(&self.scope.jobs)),
            Fact::Matrix => format!("{}\n", self.matrix),
        }
    }

    fn to_github(&self, cx: &Cx) -> anyhow::Result<()> {
        let members: Vec<&str> = self
            .scope
            .members
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        let everything = (!self.scope.everything.is_empty()).to_string();
        github::output(
            cx,
            &[
                ("everything", &everything),
                ("members", &serde_json::to_string(&members)?),
                ("packages", &self.packages),
                ("filterset", &self.filterset),
                (
                    "languages",
                    &serde_json::to_string(&Answer::names(&self.scope.languages))?,
                ),
                (
                    "jobs",
                    &serde_json::to_string(&Answer::names(&self.scope.jobs))?,
                ),
                ("matrix", &self.matrix.to_string()),
            ],
        )
    }

    fn render(&self, cx: &Cx, explain: bool) -> String {
        let scope = &self.scope;
        let bold = |text: &str| cx.term.paint(Style::Bold, text);
        let dim = |text: &str| cx.term.paint(Style::Dim, text);
        let mut text = String::new();
        if let (Some(base), Some(common)) = (&self.base, &self.merge_base) {
            let head = self.head.as_deref().map_or("the working tree", short);
            let n = scope.files.len();
            let files = if n == 1 {
                "file differs"
            } else {
                "files differ"
            };
            text.push_str(&format!(
                "{n} {files} between {base} (merge base {}) and {head}\n\n",
                short(common)
            ));
        }
        let title = format!("members ({} of {})", scope.members.len(), scope.of);
        section(
            &mut text,
            &bold(&title),
            scope
                .members
                .iter()
                .map(|it| (&it.name, self.why(it, explain))),
            &dim,
        );
        for (title, items) in [("languages", &scope.languages), ("jobs", &scope.jobs)] {
            let rows = items.iter().map(|it| (&it.name, vec![it.because.clone()]));
            section(&mut text, &bold(title), rows, &dim);
        }
        if explain {
            let rows = scope.files.iter().map(|it| {
                let touches = if it.touches.is_empty() {
                    "nothing".to_owned()
                } else {
                    it.touches.join(", ")
                };
                (&it.path, vec![touches])
            });
            section(&mut text, &bold("files"), rows, &dim);
        }
        text.push_str(&format!("{}    {}\n", bold("cargo"), self.packages));
        text.push_str(&format!("{}  {}\n", bold("nextest"), self.filterset));
        text
    }

    fn why(&self, member: &Touched, explain: bool) -> Vec<String> {
        if explain {
            self.scope.chain(member)
        } else {
            vec![member.because.clone()]
        }
    }
}

/// A title and its rows: a name, and one or more lines beside it.
fn section<'a>(
    text: &mut String,
    title: &str,
    rows: impl Iterator<Item = (&'a String, Vec<String>)>,
    dim: &impl Fn(&str) -> String,
) {
    let rows: Vec<(&String, Vec<String>)> = rows.collect();
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = longest.unwrap_or(0).min(40);
    text.push_str(title);
    text.push('\n');
    if rows.is_empty() {
        text.push_str(&format!("  {}\n", dim("none")));
    }
    for (name, lines) in rows {
        let mut name = name.as_str();
        for line in lines {
            text.push_str(&format!("  {name:width$}  {}\n", dim(&line)));
            name = "";
        }
    }
    text.push('\n');
}
