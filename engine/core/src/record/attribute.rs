//! Attributes by name, as DynamoDB's JSON spells them: `{"status": {"S": "QUEUED"}}`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// More attributes than any record of ours has.
const ATTRIBUTES: usize = 16;

/// What a map or a list takes beside its values.
const NESTED_BYTES: usize = 3;

/// A record: attributes by name. What it is read from lends it its texts, where it holds them as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a>(
    /// In the order of their names, each of them once.
    Vec<(Cow<'a, str>, Attribute<'a>)>,
);

/// An attribute's value. Written and read as DynamoDB's JSON: `{"S": "text"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribute<'a> {
    /// A string.
    #[serde(rename = "S", borrow)]
    Text(Cow<'a, str>),
    /// A number, as its digits.
    #[serde(rename = "N", borrow)]
    Number(Cow<'a, str>),
    /// True or false.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Nothing.
    #[serde(rename = "NULL")]
    Null(bool),
    /// Attributes by name.
    #[serde(rename = "M", borrow)]
    Map(Record<'a>),
    /// Values in their order.
    #[serde(rename = "L", borrow)]
    List(Vec<Attribute<'a>>),
    /// A type that no record of ours has: bytes and sets. What they hold is not kept, only how much it is: so much filler
    /// is written in its place.
    #[serde(rename = "B", alias = "BS", alias = "SS", alias = "NS")]
    Opaque(Opaque),
}

/// In place of a value that is not kept: how many bytes it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opaque(pub usize);

impl<'a> Record<'a> {
    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attribute<'a>> {
        // There are few, most of their names differ in length, and that is seen at once.
        let mut attributes = self.0.iter();
        attributes
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Whether there is an attribute of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts a value in the place of what has this name.
    pub fn insert(&mut self, name: impl Into<Cow<'a, str>>, value: Attribute<'a>) {
        let name = name.into();
        match self.0.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Keeps only the attributes whose names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| is_wanted(name));
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether it has no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of the item, names included, at most: as DynamoDB counts them, with numbers as long as their digits.
    pub fn size_bytes(&self) -> usize {
        let sizes = self.0.iter().map(|(name, value)| name.len() + value.size_bytes());
        sizes.sum()
    }

    /// The same, with texts of its own.
    pub fn into_owned(self) -> Record<'static> {
        let own =
            |(name, value): (Cow<'_, str>, Attribute<'_>)| (name.into_owned().into(), value.into_owned());
        Record(self.0.into_iter().map(own).collect())
    }

    /// Attributes in any order; of several with one name the last counts.
    fn of(mut attributes: Vec<(Cow<'a, str>, Attribute<'a>)>) -> Self {
        if !attributes.is_sorted_by(|(one, _), (next, _)| one < next) {
            attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
            attributes.reverse();
            attributes.dedup_by(|(one, _), (other, _)| one == other);
            attributes.reverse();
        }
        Self(attributes)
    }
}

impl<'a> IntoIterator for Record<'a> {
    type Item = (Cow<'a, str>, Attribute<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, N: Into<Cow<'a, str>>> FromIterator<(N, Attribute<'a>)> for Record<'a> {
    fn from_iter<I: IntoIterator<Item = (N, Attribute<'a>)>>(attributes: I) -> Self {
        let named = attributes.into_iter().map(|(name, value)| (name.into(), value));
        Self::of(named.collect())
    }
}

impl<'a, N: Into<Cow<'a, str>>, const COUNT: usize> From<[(N, Attribute<'a>); COUNT]> for Record<'a> {
    fn from(attributes: [(N, Attribute<'a>); COUNT]) -> Self {
        attributes.into_iter().collect()
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Attributes)
    }
}

/// Reads a record.
struct Attributes;

/// A name that is lent where that is possible.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Attributes {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attributes")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Record<'de>, M::Error> {
        let mut attributes = Vec::with_capacity(ATTRIBUTES);
        while let Some((Name(name), value)) = map.next_entry()? {
            attributes.push((name, value));
        }
        Ok(Record::of(attributes))
    }
}

impl<'a> Attribute<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    pub fn number(number: impl fmt::Display) -> Self {
        Self::Number(number.to_string().into())
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_)
            | Self::Bool(_)
            | Self::Null(_)
            | Self::Map(_)
            | Self::List(_)
            | Self::Opaque(_) => None,
        }
    }

    /// The number, where it is a whole one, not below zero.
    pub fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            Self::Text(_)
            | Self::Bool(_)
            | Self::Null(_)
            | Self::Map(_)
            | Self::List(_)
            | Self::Opaque(_) => None,
        }
    }

    /// Whether it is true or false, where it says so.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(_)
            | Self::Number(_)
            | Self::Null(_)
            | Self::Map(_)
            | Self::List(_)
            | Self::Opaque(_) => None,
        }
    }

    /// The attributes, where it is a map.
    pub fn as_map(&self) -> Option<&Record<'a>> {
        match self {
            Self::Map(map) => Some(map),
            Self::Text(_)
            | Self::Number(_)
            | Self::Bool(_)
            | Self::Null(_)
            | Self::List(_)
            | Self::Opaque(_) => None,
        }
    }

    /// The values, where it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            Self::Text(_)
            | Self::Number(_)
            | Self::Bool(_)
            | Self::Null(_)
            | Self::Map(_)
            | Self::Opaque(_) => None,
        }
    }

    /// Bytes of the value, at most.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(digits) => digits.len() + 1,
            Self::Bool(_) | Self::Null(_) => 1,
            Self::Map(map) => NESTED_BYTES + map.size_bytes() + map.0.len(),
            Self::List(list) => NESTED_BYTES + list.iter().map(|value| value.size_bytes() + 1).sum::<usize>(),
            Self::Opaque(Opaque(bytes)) => *bytes,
        }
    }

    /// The same, with texts of its own.
    pub fn into_owned(self) -> Attribute<'static> {
        match self {
            Self::Text(text) => Attribute::Text(text.into_owned().into()),
            Self::Number(digits) => Attribute::Number(digits.into_owned().into()),
            Self::Bool(value) => Attribute::Bool(value),
            Self::Null(value) => Attribute::Null(value),
            Self::Map(map) => Attribute::Map(map.into_owned()),
            Self::List(list) => Attribute::List(list.into_iter().map(Attribute::into_owned).collect()),
            Self::Opaque(opaque) => Attribute::Opaque(opaque),
        }
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Nobody asks what it held, but a record that was too large stays so.
        serializer.serialize_str(&"A".repeat(self.0))
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let values = value
            .as_array()
            .map_or(std::slice::from_ref(&value), Vec::as_slice);
        let texts = values.iter().filter_map(serde_json::Value::as_str);
        Ok(Self(texts.map(str::len).sum()))
    }
}
