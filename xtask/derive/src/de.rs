//! `Deserialize`.

use crate::item::{Field, Fields, Item, Kind, inside};
use crate::ser::Serde;

const SKIP: &str = "__serde::Either::Other(_) => { let _: __serde::IgnoredAny = __serde::MapAccess::next_value(&mut map)?; }";

pub(crate) fn deserialize(item: &Item) -> Result<String, String> {
    let own = Serde::of(&item.attributes)?;
    let body = match &item.kind {
        Kind::Struct(Fields::Named(fields)) => named(item, fields, &own)?,
        Kind::Struct(Fields::Tuple(types)) if types.len() == 1 => {
            format!(
                "__serde::Deserialize::deserialize(deserializer).map({})",
                item.name
            )
        }
        Kind::Struct(_) => return Err("xtask-derive does not deserialize this struct".to_owned()),
        Kind::Enum(variants) => {
            let (mut arms, mut names) = (String::new(), String::new());
            for variant in variants {
                if !matches!(variant.fields, Fields::Unit) {
                    return Err(format!(
                        "xtask-derive does not deserialize `{}`",
                        variant.name
                    ));
                }
                let name = Serde::of(&variant.attributes)?.name(&variant.name, &own)?;
                arms.push_str(&format!("{name:?} => Ok({}::{}),", item.name, variant.name));
                names.push_str(&format!("{name:?},"));
            }
            units(&item.name, &arms, &names)
        }
    };
    let (ty, arguments) = (&item.name, &item.arguments);
    if !item.generics.is_empty() {
        return Err(format!("xtask-derive deserializes nothing generic: `{ty}`"));
    }
    Ok(format!(
        "const _: () = {{ use ::serde::__private as __serde; #[automatically_derived] #[allow(clippy::all, clippy::pedantic)] \
         impl<'de> __serde::Deserialize<'de> for {ty} {arguments} {{ \
         fn deserialize<__D: __serde::Deserializer<'de>>(deserializer: __D) \
         -> ::core::result::Result<Self, __D::Error> {{ {body} }} }} }};"
    ))
}

/// An enum of words.
fn units(ty: &str, arms: &str, names: &str) -> String {
    let expected = format!("variant of {ty}");
    format!(
        "const WORDS: &[&str] = &[{names}]; struct Word; \
         impl<'de> __serde::Visitor<'de> for Word {{ type Value = {ty}; \
         fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{ f.write_str({expected:?}) }} \
         fn visit_enum<__A: __serde::EnumAccess<'de>>(self, access: __A) -> ::core::result::Result<{ty}, __A::Error> {{ \
         let (word, variant) = __serde::EnumAccess::variant_seed(access, __serde::Name(|name: &str| match name {{ {arms} _ => Err(WORDS) }}))?; \
         __serde::VariantAccess::unit_variant(variant)?; Ok(word) }} }} \
         __serde::Deserializer::deserialize_enum(deserializer, {ty:?}, WORDS, Word)"
    )
}

fn named(item: &Item, fields: &[Field], own: &Serde) -> Result<String, String> {
    let ty = &item.name;
    let (mut names, mut keys, mut lets, mut arms, mut made) = (
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    );
    let mut rest = false;
    if own.default.is_some() {
        lets.push_str(&format!(
            "let default: {ty} = ::core::default::Default::default();"
        ));
    }
    for (n, field) in fields.iter().enumerate() {
        let serde = Serde::of(&field.attributes)?;
        let (ident, inner) = (&field.name, &field.ty);
        if serde.flatten {
            if own.deny_unknown_fields || inside(inner, "BTreeMap").is_none() {
                return Err(format!(
                    "xtask-derive puts what is left into a BTreeMap alone: `{ident}`"
                ));
            }
            lets.push_str(&format!(
                "let mut rest: {inner} = ::core::default::Default::default();"
            ));
            made.push_str(&format!("{ident}: rest,"));
            rest = true;
            continue;
        }
        let name = serde.name(ident, own)?;
        let missing = match (
            &serde.default,
            own.default.is_some(),
            inside(inner, "Option"),
        ) {
            (Some(Some(path)), _, _) => format!("{path}()"),
            (Some(None), _, _) => "::core::default::Default::default()".to_owned(),
            (None, true, _) => format!("default.{ident}"),
            (None, false, Some(_)) => "None".to_owned(),
            (None, false, None) if serde.skip => "::core::default::Default::default()".to_owned(),
            (None, false, None) => format!("return Err(__serde::Error::missing_field({name:?}))"),
        };
        if serde.skip {
            made.push_str(&format!("{ident}: {missing},"));
            continue;
        }
        names.push_str(&format!("{name:?},"));
        keys.push_str(&format!(
            "{name:?} => Ok(__serde::Either::Field({n}usize)),"
        ));
        lets.push_str(&format!(
            "let mut field{n}: ::core::option::Option<{inner}> = None;"
        ));
        arms.push_str(&format!(
            "__serde::Either::Field({n}usize) => {{ if field{n}.is_some() {{ return Err(__serde::Error::duplicate_field({name:?})); }} \
             field{n} = Some(__serde::MapAccess::next_value(&mut map)?); }}"
        ));
        made.push_str(&format!(
            "{ident}: match field{n} {{ Some(it) => it, None => {missing} }},"
        ));
    }
    // A name that is none of ours: an error, the key of what is left, or nothing.
    let (unknown, other) = match (own.deny_unknown_fields, rest) {
        (true, _) => ("Err(FIELDS)", SKIP),
        (false, true) => (
            "Ok(__serde::Either::Other(name.into()))",
            "__serde::Either::Other(name) => { rest.insert(name, __serde::MapAccess::next_value(&mut map)?); }",
        ),
        (false, false) => ("Ok(__serde::Either::Other(()))", SKIP),
    };
    let kept = if rest { "::std::string::String" } else { "()" };
    let expected = format!("struct {ty}");
    Ok(format!(
        "const FIELDS: &[&str] = &[{names}]; struct Fields; \
         impl<'de> __serde::Visitor<'de> for Fields {{ type Value = {ty}; \
         fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{ f.write_str({expected:?}) }} \
         fn visit_map<__A: __serde::MapAccess<'de>>(self, mut map: __A) -> ::core::result::Result<{ty}, __A::Error> {{ \
         {lets} \
         while let Some(key) = __serde::MapAccess::next_key_seed(&mut map, __serde::Key(|name: &str| -> ::core::result::Result<__serde::Either<{kept}>, &'static [&'static str]> {{ match name {{ {keys} _ => {unknown} }} }}))? {{ \
         match key {{ {arms} {other} __serde::Either::Field(_) => {{}} }} }} \
         Ok({ty} {{ {made} }}) }} }} \
         __serde::Deserializer::deserialize_struct(deserializer, {ty:?}, FIELDS, Fields)"
    ))
}
