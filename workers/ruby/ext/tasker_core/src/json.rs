//! JSON as Ruby's objects, and back. Strict on the way back: what would come out of the database as
//! something else is refused, and the reason says where it is.

use magnus::encoding::{EncodingCapable, RbEncoding};
use magnus::r_hash::ForEach;
use magnus::{
    Error, Float, Integer, IntoValue, RArray, RHash, RString, Ruby, Symbol, Value, prelude::*,
};
use serde_json::{Map, Number};

/// Readers stop at 100 levels (Ruby's) or 128 (Rust's), and messages and answers add a few of their own
/// around a result. What holds itself is deeper.
const DEEPEST: usize = 90;

/// Characters of a place that a reason shows.
const LONGEST_PLACE: usize = 60;

/// Makes Ruby's object of it: a `Hash` with `String` keys, an `Array`, and so on.
pub(crate) fn to_ruby(ruby: &Ruby, json: &serde_json::Value) -> Result<Value, Error> {
    Ok(match json {
        serde_json::Value::Null => ruby.qnil().as_value(),
        serde_json::Value::Bool(truth) => truth.into_value_with(ruby),
        serde_json::Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                number.into_value_with(ruby)
            } else if let Some(number) = number.as_u64() {
                number.into_value_with(ruby)
            } else {
                number.as_f64().into_value_with(ruby)
            }
        }
        serde_json::Value::String(text) => ruby.str_new(text).as_value(),
        serde_json::Value::Array(items) => {
            let array = ruby.ary_new_capa(items.len());
            for item in items {
                array.push(to_ruby(ruby, item)?)?;
            }
            array.as_value()
        }
        serde_json::Value::Object(fields) => object(ruby, fields)?.as_value(),
    })
}

/// Makes a `Hash` with `String` keys.
pub(crate) fn object<'a>(
    ruby: &Ruby,
    fields: impl IntoIterator<Item = (&'a String, &'a serde_json::Value)>,
) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for (key, value) in fields {
        hash.aset(ruby.str_new(key), to_ruby(ruby, value)?)?;
    }
    Ok(hash)
}

/// Why something is no JSON.
pub(crate) struct NotJson {
    /// As `.items[0].name`, empty for the whole.
    place: String,
    what: String,
}

impl NotJson {
    fn new(what: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            what: what.into(),
        }
    }

    fn below(self, part: &str) -> Self {
        Self {
            place: format!("{part}{}", self.place),
            what: self.what,
        }
    }
}

impl std::fmt::Display for NotJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place.trim_start_matches('.');
        match place.char_indices().nth(LONGEST_PLACE) {
            _ if place.is_empty() => write!(f, "it is {}", self.what),
            Some((end, _)) => write!(f, "`{}…` is {}", &place[..end], self.what),
            None => write!(f, "`{place}` is {}", self.what),
        }
    }
}

/// Makes JSON of `nil`, `true`, `false`, an `Integer` of 64 bits, a `Float`, a `String`, an `Array`, or
/// a `Hash` whose keys are `String`s or `Symbol`s.
///
/// # Errors
/// Anything else, somewhere in it.
pub(crate) fn from_ruby(ruby: &Ruby, value: Value) -> Result<serde_json::Value, NotJson> {
    convert(ruby, value, DEEPEST)
}

fn convert(ruby: &Ruby, value: Value, depth: usize) -> Result<serde_json::Value, NotJson> {
    if value.is_nil() {
        Ok(serde_json::Value::Null)
    } else if value.is_kind_of(ruby.class_true_class()) {
        Ok(serde_json::Value::Bool(true))
    } else if value.is_kind_of(ruby.class_false_class()) {
        Ok(serde_json::Value::Bool(false))
    } else if let Some(number) = Integer::from_value(value) {
        number
            .to_i64()
            .map(Number::from)
            .or_else(|_| number.to_u64().map(Number::from))
            .map(serde_json::Value::Number)
            .map_err(|_| NotJson::new("an Integer of more than 64 bits"))
    } else if let Some(number) = Float::from_value(value) {
        let number = number.to_f64();
        Number::from_f64(number)
            .map(serde_json::Value::Number)
            .ok_or_else(|| NotJson::new(if number.is_nan() { "NaN" } else { "infinite" }))
    } else if let Some(text) = RString::from_value(value) {
        string(text).map(serde_json::Value::String)
    } else if let Some(items) = RArray::from_value(value) {
        array(ruby, items, deeper(depth)?)
    } else if let Some(fields) = RHash::from_value(value) {
        hash(ruby, fields, deeper(depth)?)
    } else {
        Err(NotJson::new(instance(value)))
    }
}

fn deeper(depth: usize) -> Result<usize, NotJson> {
    depth
        .checked_sub(1)
        .ok_or_else(|| NotJson::new(format!("deeper than {DEEPEST} levels, or holds itself")))
}

fn array(ruby: &Ruby, items: RArray, depth: usize) -> Result<serde_json::Value, NotJson> {
    let mut json = Vec::with_capacity(items.len());
    for index in 0..items.len() {
        let at = |reason: NotJson| reason.below(&format!("[{index}]"));
        let item: Value = isize::try_from(index)
            .ok()
            .and_then(|index| items.entry(index).ok())
            .ok_or_else(|| at(NotJson::new("not there any more")))?;
        json.push(convert(ruby, item, depth).map_err(at)?);
    }
    Ok(serde_json::Value::Array(json))
}

fn hash(ruby: &Ruby, fields: RHash, depth: usize) -> Result<serde_json::Value, NotJson> {
    let mut json = Map::new();
    let mut fault = None;
    let walk = fields.foreach(|key: Value, value: Value| {
        let done = key_name(key).and_then(|name| {
            let at = |reason: NotJson| reason.below(&format!(".{name}"));
            let value = convert(ruby, value, depth).map_err(at)?;
            match json.insert(name.clone(), value) {
                None => Ok(()),
                Some(_) => Err(at(NotJson::new("there twice, as a String and as a Symbol"))),
            }
        });
        Ok(match done {
            Ok(()) => ForEach::Continue,
            Err(reason) => {
                fault = Some(reason);
                ForEach::Stop
            }
        })
    });
    match (fault, walk) {
        (Some(reason), _) => Err(reason),
        (None, Err(error)) => Err(NotJson::new(format!("a Hash that cannot be read: {error}"))),
        (None, Ok(())) => Ok(serde_json::Value::Object(json)),
    }
}

fn key_name(key: Value) -> Result<String, NotJson> {
    if let Some(text) = RString::from_value(key) {
        string(text)
    } else if let Some(symbol) = Symbol::from_value(key) {
        symbol
            .name()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| NotJson::new("a Hash with a key that is no UTF-8"))
    } else {
        Err(NotJson::new(format!(
            "a Hash with a key that is {}",
            instance(key)
        )))
    }
}

fn string(text: RString) -> Result<String, NotJson> {
    text.to_string().map_err(|_| {
        let encoding = RbEncoding::from(text.enc_get());
        NotJson::new(format!("a String ({}) that is no UTF-8", encoding.name()))
    })
}

/// `an instance of Time`.
fn instance(value: Value) -> String {
    // By Ruby's own record: an object's `class` method may be anything, or missing.
    format!("an instance of {}", value.class())
}
