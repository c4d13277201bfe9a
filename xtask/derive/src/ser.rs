//! `Serialize`.

use crate::item::{Attributes, Field, Fields, Item, Kind, unquote};
use crate::words;

const CORE: &str = "::serde::__private";

/// What serde's attributes say of a field, a variant or a type.
#[derive(Default)]
pub(crate) struct Serde {
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<String>,
    /// `Some(None)` is the type's own default.
    pub(crate) default: Option<Option<String>>,
    pub(crate) flatten: bool,
    pub(crate) skip: bool,
    pub(crate) skip_serializing_if: Option<String>,
    pub(crate) deny_unknown_fields: bool,
    pub(crate) transparent: bool,
    pub(crate) borrow: bool,
}

impl Serde {
    pub(crate) fn of(attributes: &Attributes) -> Result<Serde, String> {
        let mut it = Serde::default();
        for meta in attributes.of(&["serde"]) {
            let value = meta.value.as_deref().map(unquote).transpose()?;
            match (meta.word.as_str(), value) {
                ("rename", Some(name)) => it.rename = Some(name),
                ("rename_all", Some(rule)) => it.rename_all = Some(rule),
                ("default", path) => it.default = Some(path),
                ("flatten", None) => it.flatten = true,
                ("skip", None) => it.skip = true,
                ("skip_serializing_if", Some(path)) => it.skip_serializing_if = Some(path),
                ("deny_unknown_fields", None) => it.deny_unknown_fields = true,
                ("transparent", None) => it.transparent = true,
                ("borrow", None) => it.borrow = true,
                (word, _) => return Err(format!("xtask-derive does not know #[serde({word})]")),
            }
        }
        Ok(it)
    }

    /// How a field or variant is written; `rule` is what its type says.
    pub(crate) fn name(&self, name: &str, rule: &Serde) -> Result<String, String> {
        match (&self.rename, &rule.rename_all) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(rule)) => words::rename(name, rule),
            (None, None) => Ok(name.trim_start_matches("r#").to_owned()),
        }
    }
}

pub(crate) fn serialize(item: &Item) -> Result<String, String> {
    let own = Serde::of(&item.attributes)?;
    let body = match &item.kind {
        Kind::Struct(Fields::Named(fields)) => named(&item.name, fields, &own)?,
        Kind::Struct(Fields::Tuple(types)) if types.len() == 1 && own.transparent => {
            "__serde::Serialize::serialize(&self.0, serializer)".to_owned()
        }
        Kind::Struct(Fields::Tuple(types)) if types.len() == 1 => {
            format!(
                "__serde::Serializer::serialize_newtype_struct(serializer, {:?}, &self.0)",
                item.name
            )
        }
        Kind::Struct(_) => return Err("xtask-derive does not serialize this struct".to_owned()),
        Kind::Enum(variants) => {
            let mut arms = String::new();
            for (n, variant) in variants.iter().enumerate() {
                let name = Serde::of(&variant.attributes)?.name(&variant.name, &own)?;
                let (ty, ident) = (&item.name, &variant.name);
                match &variant.fields {
                    Fields::Unit => arms.push_str(&format!(
                        "{ty}::{ident} => __serde::Serializer::serialize_unit_variant(serializer, {ty:?}, {n}u32, {name:?}),"
                    )),
                    Fields::Tuple(types) if types.len() == 1 => arms.push_str(&format!(
                        "{ty}::{ident}(it) => __serde::Serializer::serialize_newtype_variant(serializer, {ty:?}, {n}u32, {name:?}, it),"
                    )),
                    _ => return Err(format!("xtask-derive does not serialize `{ident}`")),
                }
            }
            format!("match self {{ {arms} }}")
        }
    };
    let (generics, name, arguments) = (&item.generics, &item.name, &item.arguments);
    Ok(format!(
        "const _: () = {{ use {CORE} as __serde; #[automatically_derived] \
         impl {generics} __serde::Serialize for {name} {arguments} {{ \
         fn serialize<__S: __serde::Serializer>(&self, serializer: __S) \
         -> ::core::result::Result<__S::Ok, __S::Error> {{ {body} }} }} }};"
    ))
}

fn named(name: &str, fields: &[Field], own: &Serde) -> Result<String, String> {
    let mut parts = Vec::new();
    for field in fields {
        let serde = Serde::of(&field.attributes)?;
        if !serde.skip {
            parts.push((field, serde));
        }
    }
    // What is flattened has no number of fields that is known here.
    let map = parts.iter().any(|(_, serde)| serde.flatten);
    let mut code = String::new();
    if map {
        code.push_str("let mut state = __serde::Serializer::serialize_map(serializer, None)?;");
    } else {
        let mut count = format!("{}usize", 0);
        for (field, serde) in &parts {
            match &serde.skip_serializing_if {
                Some(path) => {
                    count.push_str(&format!(" + usize::from(!{path}(&self.{}))", field.name))
                }
                None => count.push_str(" + 1"),
            }
        }
        code.push_str(&format!(
            "let mut state = __serde::Serializer::serialize_struct(serializer, {name:?}, {count})?;"
        ));
    }
    for (field, serde) in &parts {
        let (ident, key) = (&field.name, serde.name(&field.name, own)?);
        let one = match (serde.flatten, map) {
            (true, _) => format!(
                "__serde::Serialize::serialize(&self.{ident}, __serde::FlatMapSerializer(&mut state))?;"
            ),
            (_, true) => format!(
                "__serde::SerializeMap::serialize_entry(&mut state, {key:?}, &self.{ident})?;"
            ),
            (_, false) => {
                format!(
                    "__serde::SerializeStruct::serialize_field(&mut state, {key:?}, &self.{ident})?;"
                )
            }
        };
        match &serde.skip_serializing_if {
            Some(path) if map => code.push_str(&format!("if !{path}(&self.{ident}) {{ {one} }}")),
            Some(path) => code.push_str(&format!(
                "if {path}(&self.{ident}) {{ __serde::SerializeStruct::skip_field(&mut state, {key:?})?; }} else {{ {one} }}"
            )),
            None => code.push_str(&one),
        }
    }
    let end = if map {
        "SerializeMap"
    } else {
        "SerializeStruct"
    };
    code.push_str(&format!("__serde::{end}::end(state)"));
    Ok(code)
}
