//! The same types with our derives and with those of clap and serde: they must not differ in anything
//! that can be seen. One thing is left out on purpose: a struct is never read from a sequence.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(dead_code, reason = "what is parsed is looked at by its Debug")]

use std::collections::BTreeMap;

macro_rules! command_line {
    ($name:ident, $args:path, $parser:path, $subcommand:path, $value:path) => {
        mod $name {
            use std::path::PathBuf;

            /// A program.
            #[derive(Debug, $parser)]
            #[command(name = "cargo it", bin_name = "cargo it", version, propagate_version = false)]
            pub(crate) struct Cli<Own: clap::Subcommand> {
                #[command(flatten)]
                global: Global,
                #[command(subcommand)]
                command: Any<Own>,
            }

            #[derive(Debug, $subcommand)]
            enum Any<Own: clap::Subcommand> {
                /// Within
                #[command(flatten)]
                Within(Command),
                #[command(flatten)]
                Own(Own),
            }

            #[derive(Debug, $subcommand)]
            pub(crate) enum Own {
                /// Of one's own
                Mine {
                    #[arg(long)]
                    x: bool,
                },
            }

            #[derive(Debug, $subcommand)]
            pub(crate) enum None {}

            /// Flags of every command.
            #[derive(Clone, Debug, Default, $args)]
            #[command(next_help_heading = "Global options")]
            struct Global {
                /// How results are written
                #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
                format: Format,
                /// Say more (repeat for more)
                #[arg(short, long, global = true, action = clap::ArgAction::Count)]
                verbose: u8,
                /// Run there
                #[arg(short = 'C', global = true, value_name = "DIR")]
                directory: Option<PathBuf>,
            }

            #[derive(Clone, Copy, Debug, Default, $value)]
            enum Format {
                /// For people.
                #[default]
                Human,
                #[value(name = "machine", alias = "json")]
                ForMachines,
            }

            #[derive(Debug, $subcommand)]
            enum Command {
                Check(CheckThings),
                /// Start what is named. It waits.
                ///
                /// With names, those; without, all. They
                /// start in turn...
                #[command(visible_alias = "go")]
                StartAll {
                    /// What
                    names: Vec<String>,
                    #[arg(long, conflicts_with = "names")]
                    all: bool,
                    #[arg(last = true, value_name = "ARGS")]
                    rest: Vec<String>,
                },
                /// Nothing
                #[command(hide = true)]
                Nothing,
                Nested(Nested),
            }

            /// Check "things", \ all at once
            ///
            /// Examples:
            ///   cargo it check
            ///     cargo it check --of 3
            #[derive(Debug, $args)]
            #[command(verbatim_doc_comment)]
            struct CheckThings {
                /// Names
                #[arg(required = true, value_name = "NAME")]
                some_names: Vec<String>,
                #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
                of: u16,
                /// Long.
                ///
                /// Longer.
                #[arg(short = 'n', long = "number-of", default_value_t = 50)]
                lines: usize,
                #[arg(long, default_value = "ci")]
                profile: String,
                #[arg(long, conflicts_with_all = ["profile", "lines"])]
                exclude: Vec<PathBuf>,
                #[arg(long, value_enum)]
                print: Option<Format>,
            }

            #[derive(Debug, $args)]
            struct Nested {
                #[command(subcommand)]
                inner: Inner,
            }

            #[derive(Debug, $subcommand)]
            enum Inner {
                /// One
                One,
                /// Two
                Two(Global),
            }
        }
    };
}

command_line!(
    ours,
    xtask_derive::Args,
    xtask_derive::Parser,
    xtask_derive::Subcommand,
    xtask_derive::ValueEnum
);
command_line!(
    real,
    clap::Args,
    clap::Parser,
    clap::Subcommand,
    clap::ValueEnum
);

fn parsed<T: clap::Parser + std::fmt::Debug>(line: &str) -> String {
    let words = std::iter::once("cargo-it").chain(line.split_whitespace());
    match T::try_parse_from(words) {
        Ok(cli) => format!("{cli:?}"),
        Err(error) => format!("{:?} {error}", error.kind()),
    }
}

#[test]
fn a_command_line_is_read_and_explained_as_by_clap() {
    for line in [
        "",
        "help",
        "--help",
        "-h",
        "--version",
        "-V",
        "check --help",
        "check -h",
        "help check",
        "start-all --help",
        "start-all -h",
        "go a b",
        "go --all",
        "go a --all",
        "start-all a -- -x --y",
        "nothing",
        "nothing --version",
        "nested",
        "nested -h",
        "nested one",
        "nested two -vvv -C d",
        "nested three",
        "check",
        "check a --of 3",
        "check a b --of 3 -n 4 --print human",
        "check a --of 0",
        "check a --of 257",
        "check a --of x",
        "check --of 3",
        "check a",
        "check a --of 1 --exclude b --exclude c",
        "check a --of 1 --exclude b --profile x",
        "check a --of 1 --print no",
        "-v check a --of 1 --format json",
        "--format machine nothing -v",
        "chekc",
        "--nothing",
        "check a --of 1 --numer-of 2",
        "check a --of 1 --profile",
        "-C x -v nothing -v",
        "mine --x",
        "mine -h",
    ] {
        assert_eq!(
            parsed::<ours::Cli<ours::Own>>(line),
            parsed::<real::Cli<real::Own>>(line),
            "{line}"
        );
        assert_eq!(
            parsed::<ours::Cli<ours::None>>(line),
            parsed::<real::Cli<real::None>>(line),
            "{line}"
        );
    }
}

macro_rules! data {
    ($name:ident, $serialize:path, $deserialize:path, { $($krate:tt)* }) => {
        mod $name {
            use std::collections::BTreeMap;

            #[derive(Clone, Debug, Default, $serialize, $deserialize)]
            #[serde(deny_unknown_fields, default $($krate)*)]
            pub(crate) struct Strict {
                pub(crate) name: String,
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) port: Option<u16>,
                #[serde(rename = "crate")]
                pub(crate) package: String,
                #[serde(default = "fifty")]
                pub(crate) lines: u32,
                pub(crate) kinds: Vec<Kind>,
                #[serde(skip)]
                pub(crate) ours: u8,
                pub(crate) r#type: BTreeMap<String, f64>,
            }

            fn fifty() -> u32 {
                50
            }

            #[derive(Clone, Copy, Debug, PartialEq, Eq, $serialize, $deserialize)]
            #[serde(rename_all = "snake_case" $($krate)*)]
            pub(crate) enum Kind {
                Http,
                TcpAndMore,
                #[serde(rename = "x-y")]
                Other,
            }

            #[derive(Debug, $serialize, $deserialize)]
            #[serde(rename_all = "kebab-case" $($krate)*)]
            pub(crate) struct Loose {
                pub(crate) one_name: String,
                pub(crate) maybe: Option<Strict>,
                #[serde(default)]
                pub(crate) number: i64,
                #[serde(flatten)]
                pub(crate) rest: BTreeMap<String, serde_json::Value>,
            }

            #[derive(Debug, $serialize, $deserialize)]
            #[serde(default $($krate)*)]
            pub(crate) struct Few {
                pub(crate) a: bool,
                pub(crate) b: Wrapped,
            }

            impl Default for Few {
                fn default() -> Few {
                    Few { a: true, b: Wrapped(7) }
                }
            }

            #[derive(Debug, $serialize, $deserialize)]
            #[serde(rename_all = "lowercase" $($krate)*)]
            pub(crate) struct Wrapped(pub(crate) u8);

            #[derive(Debug, $serialize)]
            #[serde(rename_all = "lowercase" $($krate)*)]
            pub(crate) enum Either<'a> {
                Nothing,
                Some(&'a str),
            }

            #[derive(Debug, $serialize)]
            #[serde(rename_all = "lowercase" $($krate)*)]
            pub(crate) struct Report<'a> {
                pub(crate) passed: bool,
                #[serde(flatten)]
                pub(crate) strict: &'a Strict,
                #[serde(skip_serializing_if = "str::is_empty")]
                pub(crate) hint: &'a str,
                pub(crate) either: Vec<Either<'a>>,
            }

            pub(crate) fn report(strict: &Strict, hint: &str) -> String {
                let report = Report {
                    passed: true,
                    strict,
                    hint,
                    either: vec![Either::Nothing, Either::Some("x")],
                };
                serde_json::to_string(&report).unwrap()
            }
        }
    };
}

data!(own, serde::Serialize, serde::Deserialize, {});
data!(original, theirs::Serialize, theirs::Deserialize, { , crate = "theirs" });

fn read<T: for<'a> serde::Deserialize<'a> + serde::Serialize + std::fmt::Debug>(
    text: &str,
) -> String {
    match serde_json::from_str::<T>(text) {
        Ok(it) => format!("{it:?} {}", serde_json::to_string_pretty(&it).unwrap()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn data_is_read_and_written_as_by_serde() {
    for text in [
        "{}",
        "1",
        "null",
        r#""http""#,
        r#""no""#,
        r#"{"a": false}"#,
        r#"{"b": 300}"#,
        r#"{"b": 3, "c": 1}"#,
        r#"{"name": "n", "port": 1, "crate": "c", "kinds": ["http", "tcp_and_more", "x-y"], "type": {"a": 1.5}}"#,
        r#"{"name": "n", "port": null, "lines": 3}"#,
        r#"{"package": "x"}"#,
        r#"{"ours": 1}"#,
        r#"{"kinds": ["Http"]}"#,
        r#"{"name": "n", "name": "m"}"#,
        r#"{"name": 1}"#,
        r#"{"kinds": [1]}"#,
        r#"{"kinds": [{"http": null}]}"#,
        r#"{"kinds": [{"http": 1}]}"#,
        r#"{"one-name": "x"}"#,
        r#"{"one-name": "x", "maybe": {"port": 70000}}"#,
        r#"{"one-name": "x", "maybe": {"lines": 1}, "number": -1, "more": [1, {"a": null}], "z": 2}"#,
        r#"{"one-name": "x", "maybe": null, "number": "1"}"#,
        r#"{"one_name": "x"}"#,
        r#"{"maybe": {}}"#,
    ] {
        assert_eq!(
            read::<own::Strict>(text),
            read::<original::Strict>(text),
            "Strict {text}"
        );
        assert_eq!(
            read::<own::Kind>(text),
            read::<original::Kind>(text),
            "Kind {text}"
        );
        assert_eq!(
            read::<own::Few>(text),
            read::<original::Few>(text),
            "Few {text}"
        );
        assert_eq!(
            read::<own::Wrapped>(text),
            read::<original::Wrapped>(text),
            "Wrapped {text}"
        );
        assert_eq!(
            read::<own::Loose>(text),
            read::<original::Loose>(text),
            "Loose {text}"
        );
    }
    let (own, original) = (own::Strict::default(), original::Strict::default());
    for hint in ["", "x"] {
        assert_eq!(own::report(&own, hint), original::report(&original, hint));
    }
}

#[test]
fn what_is_left_keeps_its_values() {
    let loose: own::Loose = serde_json::from_str(r#"{"one-name": "", "x": 1, "y": []}"#).unwrap();
    let expected = BTreeMap::from([
        ("x".to_owned(), 1.into()),
        ("y".to_owned(), serde_json::json!([])),
    ]);
    assert_eq!(loose.rest, expected);
}
