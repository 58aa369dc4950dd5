//! The form of a settings table: each line gives a struct its field, and the world its property.

use crate::config::value::{ConfigType, ConfigValue};

/// One property of a settings struct `S`.
pub struct Setting<S> {
    /// Kafka's property name.
    pub name: &'static str,
    pub config_type: ConfigType,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
    /// The value of its field, as it stands in a properties file; nothing where it is not set.
    pub text: fn(&S) -> Option<String>,
    set: fn(&mut S, &str) -> Result<(), Refused>,
}

/// A value that a setting refuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("Invalid value {value} for configuration {name}: expected {expected}")]
pub struct InvalidValue {
    pub name: String,
    pub value: String,
    pub expected: String,
}

/// What was expected instead.
pub(super) struct Refused(pub(super) String);

impl<S> Setting<S> {
    pub(super) const fn new(
        name: &'static str,
        config_type: ConfigType,
        doc: &'static str,
        text: fn(&S) -> Option<String>,
        set: fn(&mut S, &str) -> Result<(), Refused>,
    ) -> Setting<S> {
        Setting { name, config_type, doc, text, set }
    }

    /// Parses `value`, checks it and stores it.
    pub fn set(&self, settings: &mut S, value: &str) -> Result<(), InvalidValue> {
        (self.set)(settings, value.trim()).map_err(|Refused(expected)| InvalidValue {
            name: self.name.to_owned(),
            value: value.to_owned(),
            expected,
        })
    }
}

/// Parses a value and checks its range.
pub(super) fn parse<T: ConfigValue>(text: &str, allowed: &Allowed<T>) -> Result<T, Refused> {
    let value = T::parse(text).ok_or_else(|| Refused(T::EXPECTED.to_owned()))?;
    if (allowed.holds)(&value) {
        Ok(value)
    } else {
        Err(Refused(format!("{}, {}", T::EXPECTED, allowed.text)))
    }
}

/// The values of its type that a setting accepts.
pub(super) struct Allowed<T> {
    holds: fn(&T) -> bool,
    text: &'static str,
}

pub(super) const fn any<T>() -> Allowed<T> {
    Allowed { holds: |_| true, text: "" }
}

pub(super) const fn only<T>(holds: fn(&T) -> bool, text: &'static str) -> Allowed<T> {
    Allowed { holds, text }
}

/// Declares a settings struct, its defaults and its table from one list, a line a property:
/// `field: Type = default, "property.name", allowed values, "doc";`
macro_rules! settings {
    (
        $(#[$meta:meta])* pub struct $struct:ident, $(#[$table_meta:meta])* pub static $table:ident;
        $($field:ident: $type:ty = $default:expr, $name:literal, $allowed:expr, $doc:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $struct { $(#[doc = $doc] pub $field: $type,)* }

        impl Default for $struct {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        $(#[$table_meta])*
        pub static $table: &[$crate::config::Setting<$struct>] = &[$(
            $crate::config::Setting::new(
                $name,
                <$type as $crate::config::value::ConfigValue>::TYPE,
                $doc,
                |settings| $crate::config::value::ConfigValue::to_text(&settings.$field),
                |settings, text| {
                    settings.$field = $crate::config::table::parse(text, &$allowed)?;
                    Ok(())
                },
            ),
        )*];
    };
}

pub(super) use settings;
