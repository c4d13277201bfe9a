//! Command lines: `Args`, `Parser`, `Subcommand` and `ValueEnum`.

use crate::docs;
use crate::item::{Attributes, Field, Fields, Item, Kind, Meta, Variant, inside};
use crate::words;

const NAMES: &[&str] = &["arg", "command"];
const ALLOW: &str = "#[automatically_derived] #[allow(clippy::all, clippy::pedantic, clippy::nursery, unused_mut, unused_variables, unreachable_code)]";

pub(crate) fn parser(item: &Item) -> Result<String, String> {
    let metas = item.attributes.of(NAMES);
    let name = value(&metas, "name").unwrap_or_else(|| "env!(\"CARGO_PKG_NAME\")".to_owned());
    let (ty, generics, arguments) = (&item.name, &item.generics, &item.arguments);
    Ok(format!(
        "{} {ALLOW} impl {generics} ::clap::CommandFactory for {ty} {arguments} {{ \
         fn command() -> ::clap::Command {{ <Self as ::clap::Args>::augment_args(::clap::Command::new({name})) }} \
         fn command_for_update() -> ::clap::Command {{ <Self as ::clap::CommandFactory>::command() }} }} \
         {ALLOW} impl {generics} ::clap::Parser for {ty} {arguments} {{}}",
        args(item)?
    ))
}

pub(crate) fn args(item: &Item) -> Result<String, String> {
    let Kind::Struct(Fields::Named(fields)) = &item.kind else {
        return Err("flags are the named fields of a struct".to_owned());
    };
    let (ty, generics, arguments) = (&item.name, &item.generics, &item.arguments);
    let (before, after) = command_methods(&item.attributes)?;
    let (augment, read) = (augment(ty, fields)?, read(fields)?);
    Ok(format!(
        "{ALLOW} impl {generics} ::clap::FromArgMatches for {ty} {arguments} {{ \
         {FROM} \
         fn from_arg_matches_mut(matches: &mut ::clap::ArgMatches) -> ::core::result::Result<Self, ::clap::Error> {{ \
         Ok({ty} {{ {read} }}) }} }} \
         {ALLOW} impl {generics} ::clap::Args for {ty} {arguments} {{ \
         fn group_id() -> ::core::option::Option<::clap::Id> {{ Some(::clap::Id::from({ty:?})) }} \
         fn augment_args(command: ::clap::Command) -> ::clap::Command {{ \
         let mut command = command{before}; {augment} command{after} }} \
         fn augment_args_for_update(command: ::clap::Command) -> ::clap::Command {{ \
         <Self as ::clap::Args>::augment_args(command) }} }}"
    ))
}

/// What both kinds have in common.
const FROM: &str = "fn from_arg_matches(matches: &::clap::ArgMatches) -> ::core::result::Result<Self, ::clap::Error> { \
    <Self as ::clap::FromArgMatches>::from_arg_matches_mut(&mut matches.clone()) } \
    fn update_from_arg_matches(&mut self, matches: &::clap::ArgMatches) -> ::core::result::Result<(), ::clap::Error> { \
    *self = <Self as ::clap::FromArgMatches>::from_arg_matches(matches)?; Ok(()) }";

pub(crate) fn subcommand(item: &Item) -> Result<String, String> {
    let Kind::Enum(variants) = &item.kind else {
        return Err("commands are the variants of an enum".to_owned());
    };
    let (ty, generics, arguments) = (&item.name, &item.generics, &item.arguments);
    let (before, after) = command_methods(&item.attributes)?;
    let (mut augment, mut arms) = (String::new(), String::new());
    // What an enum within knows is its own.
    let (mut theirs, mut known) = (String::new(), "false".to_owned());
    for variant in variants {
        let metas = variant.attributes.of(NAMES);
        if let (true, Fields::Tuple(types)) = (has(&metas, "flatten"), &variant.fields) {
            let (inner, ident) = (types.join(","), &variant.name);
            augment.push_str(&format!(
                "command = <{inner} as ::clap::Subcommand>::augment_subcommands(command);"
            ));
            let knows = format!("<{inner} as ::clap::Subcommand>::has_subcommand(name)");
            theirs.push_str(&format!(
                "if matches.subcommand_name().is_some_and(|name| {knows}) {{ return Ok({ty}::{ident}( \
                 <{inner} as ::clap::FromArgMatches>::from_arg_matches_mut(matches)?)); }}"
            ));
            known.push_str(&format!(" || {knows}"));
            continue;
        }
        let name =
            value(&metas, "name").unwrap_or_else(|| format!("{:?}", words::kebab(&variant.name)));
        let (before, after) = command_methods(&variant.attributes)?;
        let ident = &variant.name;
        let (inner, make) = inner(ty, variant, &metas)?;
        augment.push_str(&format!(
            "command = command.subcommand({{ let mut command = ::clap::Command::new({name}){before}; {inner} command{after} }});"
        ));
        arms.push_str(&format!("{name} => Ok({ty}::{ident} {make}),"));
        known.push_str(&format!(" || name == {name}"));
    }
    Ok(format!(
        "{ALLOW} impl {generics} ::clap::FromArgMatches for {ty} {arguments} {{ \
         {FROM} \
         fn from_arg_matches_mut(matches: &mut ::clap::ArgMatches) -> ::core::result::Result<Self, ::clap::Error> {{ \
         {theirs} let Some((name, mut inner)) = matches.remove_subcommand() else {{ return Err(::clap::Error::raw( \
         ::clap::error::ErrorKind::MissingSubcommand, \"a command is required but one was not provided\")); }}; \
         let matches = &mut inner; \
         match name.as_str() {{ {arms} name => Err(::clap::Error::raw(::clap::error::ErrorKind::InvalidSubcommand, \
         format!(\"the command `{{name}}` was not recognized\"))) }} }} }} \
         {ALLOW} impl {generics} ::clap::Subcommand for {ty} {arguments} {{ \
         fn augment_subcommands(command: ::clap::Command) -> ::clap::Command {{ \
         let mut command = command{before}; {augment} command{after} }} \
         fn augment_subcommands_for_update(command: ::clap::Command) -> ::clap::Command {{ \
         <Self as ::clap::Subcommand>::augment_subcommands(command) }} \
         fn has_subcommand(name: &str) -> bool {{ {known} }} }}"
    ))
}

/// How a command's own flags are declared, and how its variant is made.
fn inner(ty: &str, variant: &Variant, metas: &[Meta]) -> Result<(String, String), String> {
    match &variant.fields {
        Fields::Unit => Ok(Default::default()),
        Fields::Named(fields) => {
            let augment = augment(&format!("{ty}{}", variant.name), fields)?;
            Ok((augment, format!("{{ {} }}", read(fields)?)))
        }
        Fields::Tuple(types) if types.len() == 1 => {
            let inner = &types[0];
            let augment = if has(metas, "subcommand") {
                nested(inner)
            } else {
                format!("command = <{inner} as ::clap::Args>::augment_args(command);")
            };
            Ok((
                augment,
                format!("(<{inner} as ::clap::FromArgMatches>::from_arg_matches_mut(matches)?)"),
            ))
        }
        Fields::Tuple(_) => Err(format!("`{}` has more than one field", variant.name)),
    }
}

fn nested(ty: &str) -> String {
    format!(
        "command = <{ty} as ::clap::Subcommand>::augment_subcommands(command)\
         .subcommand_required(true).arg_required_else_help(true);"
    )
}

/// What is said of a command before its flags are declared, and after that: an outer one has the last word.
fn command_methods(attributes: &Attributes) -> Result<(String, String), String> {
    let metas = attributes.of(NAMES);
    let mut before = String::new();
    let mut after = help(attributes, &metas, "about", "long_about");
    for meta in &metas {
        match (meta.word.as_str(), &meta.value) {
            ("name", Some(_)) | ("verbatim_doc_comment" | "subcommand" | "flatten", None) => {}
            ("version", None) => after.push_str(".version(env!(\"CARGO_PKG_VERSION\"))"),
            ("next_help_heading" | "next_display_order", Some(value)) => {
                before.push_str(&format!(".{}({value})", meta.word));
            }
            _ => after.push_str(&method(meta)?),
        }
    }
    Ok((before, after))
}

fn help(attributes: &Attributes, metas: &[Meta], short: &str, long: &str) -> String {
    match docs::help(&attributes.docs, has(metas, "verbatim_doc_comment")) {
        None => String::new(),
        Some((text, None)) => format!(".{short}({text:?}).{long}(None::<&'static str>)"),
        Some((text, Some(all))) => format!(".{short}({text:?}).{long}({all:?})"),
    }
}

/// Any other attribute is a method of the builder.
fn method(meta: &Meta) -> Result<String, String> {
    match &meta.value {
        Some(value) => Ok(format!(".{}({value})", meta.word)),
        None if meta.word.contains('(') => Ok(format!(".{}", meta.word)),
        None => Err(format!("xtask-derive does not know `{}`", meta.word)),
    }
}

fn has(metas: &[Meta], word: &str) -> bool {
    metas.iter().any(|it| it.word == word)
}

fn value(metas: &[Meta], word: &str) -> Option<String> {
    metas.iter().find(|it| it.word == word)?.value.clone()
}

/// What a field holds.
enum Holds<'a> {
    Flag,
    Maybe(&'a str),
    Many(&'a str),
    One(&'a str),
}

impl Holds<'_> {
    fn of(ty: &str) -> Holds<'_> {
        match (inside(ty, "Option"), inside(ty, "Vec")) {
            (Some(inner), _) => Holds::Maybe(inner),
            (_, Some(inner)) => Holds::Many(inner),
            _ if ty == "bool" => Holds::Flag,
            _ => Holds::One(ty),
        }
    }
}

fn augment(group: &str, fields: &[Field]) -> Result<String, String> {
    let mut code = String::new();
    let mut members = Vec::new();
    let mut flattened = false;
    for field in fields {
        let metas = field.attributes.of(NAMES);
        if has(&metas, "subcommand") {
            code.push_str(&nested(&field.ty));
        } else if has(&metas, "flatten") {
            flattened = true;
            code.push_str(&format!(
                "command = <{} as ::clap::Args>::augment_args(command);",
                field.ty
            ));
        } else {
            members.push(format!("{:?}", field.name));
            code.push_str(&format!("command = command.arg({});", arg(field, &metas)?));
        }
    }
    if flattened {
        members.clear();
    }
    let (count, members) = (members.len(), members.join(", "));
    Ok(format!(
        "command = command.group(::clap::ArgGroup::new({group:?}).multiple(true).args({{ \
         let members: [&'static str; {count}] = [{members}]; members }})); {code}"
    ))
}

fn arg(field: &Field, metas: &[Meta]) -> Result<String, String> {
    let holds = Holds::of(&field.ty);
    let positional = !metas
        .iter()
        .any(|it| ["short", "long"].contains(&it.word.as_str()));
    let (inner, action) = match holds {
        Holds::Flag => ("bool", "SetTrue"),
        Holds::Maybe(inner) | Holds::One(inner) => (inner, "Set"),
        Holds::Many(inner) => (inner, "Append"),
    };
    let action = value(metas, "action").unwrap_or_else(|| format!("::clap::ArgAction::{action}"));
    let parser =
        value(metas, "value_parser").unwrap_or_else(|| format!("::clap::value_parser!({inner})"));
    let mut code = format!(
        "::clap::Arg::new({:?}).value_name({:?})",
        field.name,
        words::screaming(&field.name)
    );
    match holds {
        Holds::Flag | Holds::One(_) => {
            let default = metas.iter().any(|it| it.word.starts_with("default_value"));
            code.push_str(&format!(
                ".required({} && {action}.takes_values())",
                !default
            ));
        }
        Holds::Many(_) if positional => code.push_str(".num_args(1..)"),
        Holds::Maybe(_) | Holds::Many(_) => {}
    }
    code.push_str(&format!(".value_parser({parser}).action({action})"));
    code.push_str(&help(&field.attributes, metas, "help", "long_help"));
    for meta in metas {
        match (meta.word.as_str(), &meta.value) {
            ("short", None) => code.push_str(&format!(
                ".short({:?})",
                field.name.chars().next().unwrap_or('_')
            )),
            ("long", None) => code.push_str(&format!(".long({:?})", words::kebab(&field.name))),
            ("value_enum" | "verbatim_doc_comment", None)
            | ("action" | "value_parser", Some(_)) => {}
            ("default_value_t", value) => {
                let value = value
                    .as_deref()
                    .unwrap_or("::core::default::Default::default()");
                let text = if has(metas, "value_enum") {
                    "::clap::ValueEnum::to_possible_value(&value).map_or_else(::std::string::String::new, |it| it.get_name().to_owned())"
                } else {
                    "::std::string::ToString::to_string(&value)"
                };
                code.push_str(&format!(
                    ".default_value({{ static TEXT: ::std::sync::OnceLock<::std::string::String> = ::std::sync::OnceLock::new(); \
                     let text: &'static str = TEXT.get_or_init(|| {{ let value: {inner} = {value}; {text} }}); text }})"
                ));
            }
            _ => code.push_str(&method(meta)?),
        }
    }
    Ok(code)
}

fn read(fields: &[Field]) -> Result<String, String> {
    let mut code = String::new();
    for field in fields {
        let (name, ty) = (&field.name, &field.ty);
        let metas = field.attributes.of(NAMES);
        let value = if has(&metas, "subcommand") || has(&metas, "flatten") {
            format!("<{ty} as ::clap::FromArgMatches>::from_arg_matches_mut(matches)?")
        } else {
            match Holds::of(ty) {
                Holds::Maybe(inner) => format!("matches.remove_one::<{inner}>({name:?})"),
                Holds::Many(inner) => format!(
                    "matches.remove_many::<{inner}>({name:?}).map(::core::iter::Iterator::collect).unwrap_or_default()"
                ),
                Holds::Flag | Holds::One(_) => format!(
                    "matches.remove_one::<{ty}>({name:?}).ok_or_else(|| ::clap::Error::raw( \
                     ::clap::error::ErrorKind::MissingRequiredArgument, {:?}))?",
                    format!("the following required argument was not provided: {name}")
                ),
            }
        };
        code.push_str(&format!("{name}: {value},"));
    }
    Ok(code)
}

pub(crate) fn value_enum(item: &Item) -> Result<String, String> {
    let Kind::Enum(variants) = &item.kind else {
        return Err("words are the variants of an enum".to_owned());
    };
    let ty = &item.name;
    let (mut all, mut arms) = (String::new(), String::new());
    for variant in variants {
        let metas = variant.attributes.of(&["value"]);
        let name =
            value(&metas, "name").unwrap_or_else(|| format!("{:?}", words::kebab(&variant.name)));
        let ident = &variant.name;
        let mut made = format!("::clap::builder::PossibleValue::new({name})");
        if let Some((text, _)) = docs::help(&variant.attributes.docs, false) {
            made.push_str(&format!(".help({text:?})"));
        }
        for meta in metas.iter().filter(|it| it.word != "name") {
            made.push_str(&method(meta)?);
        }
        all.push_str(&format!("{ty}::{ident},"));
        arms.push_str(&format!("{ty}::{ident} => Some({made}),"));
    }
    Ok(format!(
        "{ALLOW} impl ::clap::ValueEnum for {ty} {{ \
         fn value_variants<'a>() -> &'a [Self] {{ &[{all}] }} \
         fn to_possible_value(&self) -> ::core::option::Option<::clap::builder::PossibleValue> {{ match self {{ {arms} }} }} }}"
    ))
}
