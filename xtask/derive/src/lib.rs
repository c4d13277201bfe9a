//! The derives of `clap` and `serde`, as far as xtask uses them, without `syn`: what a build from nothing
//! waits for longest are those two crates' macros and the parser below them. The attributes and what they
//! do are theirs (docs.rs/clap, "Derive Reference"; serde.rs, "Attributes"); an attribute that is not known
//! here is an error that names it.

mod args;
mod de;
mod docs;
mod item;
mod ser;
mod words;

use proc_macro::TokenStream;

fn expand(input: TokenStream, make: fn(&item::Item) -> Result<String, String>) -> TokenStream {
    let code = item::Item::parse(input).and_then(|item| make(&item));
    let code = code.unwrap_or_else(|why| format!("::core::compile_error!({why:?});"));
    code.parse().unwrap_or_else(|error| {
        let why = format!("xtask-derive wrote what is no Rust ({error}): {code}");
        format!("::core::compile_error!({why:?});")
            .parse()
            .unwrap_or_default()
    })
}

/// Flags of a command line: a struct.
#[proc_macro_derive(Args, attributes(arg, command, group))]
pub fn args(input: TokenStream) -> TokenStream {
    expand(input, args::args)
}

/// A whole command line: a struct.
#[proc_macro_derive(Parser, attributes(arg, command, group))]
pub fn parser(input: TokenStream) -> TokenStream {
    expand(input, args::parser)
}

/// Commands: an enum.
#[proc_macro_derive(Subcommand, attributes(arg, command, group))]
pub fn subcommand(input: TokenStream) -> TokenStream {
    expand(input, args::subcommand)
}

/// Words: an enum of unit variants.
#[proc_macro_derive(ValueEnum, attributes(value))]
pub fn value_enum(input: TokenStream) -> TokenStream {
    expand(input, args::value_enum)
}

/// `serde_core::Serialize`.
#[proc_macro_derive(Serialize, attributes(serde))]
pub fn serialize(input: TokenStream) -> TokenStream {
    expand(input, ser::serialize)
}

/// `serde_core::Deserialize`.
#[proc_macro_derive(Deserialize, attributes(serde))]
pub fn deserialize(input: TokenStream) -> TokenStream {
    expand(input, de::deserialize)
}
