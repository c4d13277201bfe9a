//! `serde`, which is `serde_core` and its derives, with ours in their place.

pub use serde_core::*;
pub use xtask_derive::{Deserialize, Serialize};

/// What the derives write leans on.
#[doc(hidden)]
pub mod __private {
    use std::fmt;

    use serde_core::de::DeserializeSeed;
    pub use serde_core::de::{EnumAccess, Error, IgnoredAny, MapAccess, VariantAccess, Visitor};
    use serde_core::ser::Impossible;
    pub use serde_core::ser::{SerializeMap, SerializeStruct};
    pub use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

    /// A field by its number, or another name.
    pub enum Either<T> {
        Field(usize),
        Other(T),
    }

    /// A field's name, as what the function makes of it. Its error are all names that there are.
    pub struct Key<F>(pub F);
    /// A variant's name, likewise.
    pub struct Name<F>(pub F);

    type Known<T> = Result<T, &'static [&'static str]>;

    impl<'de, T, F: FnOnce(&str) -> Known<T>> DeserializeSeed<'de> for Key<F> {
        type Value = T;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserializer.deserialize_identifier(self)
        }
    }

    impl<T, F: FnOnce(&str) -> Known<T>> Visitor<'_> for Key<F> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("field identifier")
        }
        fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
            (self.0)(name).map_err(|known| E::unknown_field(name, known))
        }
    }

    impl<'de, T, F: FnOnce(&str) -> Known<T>> DeserializeSeed<'de> for Name<F> {
        type Value = T;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserializer.deserialize_identifier(self)
        }
    }

    impl<T, F: FnOnce(&str) -> Known<T>> Visitor<'_> for Name<F> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("variant identifier")
        }
        fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
            (self.0)(name).map_err(|known| E::unknown_variant(name, known))
        }
    }

    /// Writes the fields of a value into a map that is open.
    pub struct FlatMapSerializer<'a, M>(pub &'a mut M);
    /// Its end: the map stays open.
    pub struct Flat<'a, M>(&'a mut M);

    impl<M: SerializeMap> SerializeStruct for Flat<'_, M> {
        type Ok = ();
        type Error = M::Error;
        fn serialize_field<T: ?Sized + Serialize>(
            &mut self,
            key: &'static str,
            value: &T,
        ) -> Result<(), M::Error> {
            self.0.serialize_entry(key, value)
        }
        fn end(self) -> Result<(), M::Error> {
            Ok(())
        }
    }

    impl<M: SerializeMap> SerializeMap for Flat<'_, M> {
        type Ok = ();
        type Error = M::Error;
        fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), M::Error> {
            self.0.serialize_key(key)
        }
        fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), M::Error> {
            self.0.serialize_value(value)
        }
        fn end(self) -> Result<(), M::Error> {
            Ok(())
        }
    }

    macro_rules! no {
        ($($name:ident($($ty:ty),*))*) => { $(
            fn $name(self, $(_: $ty),*) -> Result<(), M::Error> {
                Err(serde_core::ser::Error::custom("only what has names can be flattened"))
            }
        )* };
    }

    macro_rules! none {
        ($($name:ident($($ty:ty),*) -> $what:ident;)*) => { $(
            fn $name(self, $(_: $ty),*) -> Result<Self::$what, M::Error> {
                Err(serde_core::ser::Error::custom("only what has names can be flattened"))
            }
        )* };
    }

    impl<'a, M: SerializeMap> Serializer for FlatMapSerializer<'a, M> {
        type Ok = ();
        type Error = M::Error;
        type SerializeSeq = Impossible<(), M::Error>;
        type SerializeTuple = Impossible<(), M::Error>;
        type SerializeTupleStruct = Impossible<(), M::Error>;
        type SerializeTupleVariant = Impossible<(), M::Error>;
        type SerializeMap = Flat<'a, M>;
        type SerializeStruct = Flat<'a, M>;
        type SerializeStructVariant = Impossible<(), M::Error>;
        no! {
            serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
            serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_f32(f32)
            serialize_f64(f64) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
            serialize_unit() serialize_unit_struct(&'static str)
            serialize_unit_variant(&'static str, u32, &'static str)
        }
        none! {
            serialize_seq(Option<usize>) -> SerializeSeq;
            serialize_tuple(usize) -> SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
        }
        fn serialize_none(self) -> Result<(), M::Error> {
            Ok(())
        }
        fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), M::Error> {
            value.serialize(self)
        }
        fn serialize_newtype_struct<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<(), M::Error> {
            value.serialize(self)
        }
        fn serialize_newtype_variant<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            _: u32,
            name: &'static str,
            value: &T,
        ) -> Result<(), M::Error> {
            self.0.serialize_entry(name, value)
        }
        fn serialize_map(self, _: Option<usize>) -> Result<Flat<'a, M>, M::Error> {
            Ok(Flat(self.0))
        }
        fn serialize_struct(self, _: &'static str, _: usize) -> Result<Flat<'a, M>, M::Error> {
            Ok(Flat(self.0))
        }
    }
}
