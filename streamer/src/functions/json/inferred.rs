//! The types that JSON values have by themselves. Spark's `JsonInferSchema`.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::number::Number;
use super::options::JsonOptions;
use super::scanner::{Malformed, Scalar, Scanner};
use crate::schema::list_of;

const MAX_PRECISION: u8 = 38;
/// Of a BIGINT as a decimal.
const LONG_PRECISION: u8 = 20;

/// What a value can be, before types that nothing is known of become text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Inferred {
    /// Null or empty text, which says nothing.
    Unknown,
    Boolean,
    Long,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Double,
    Text,
    List(Box<Inferred>),
    Struct(BTreeMap<String, Inferred>),
}

impl Inferred {
    pub(super) fn read(scanner: &mut Scanner<'_>) -> std::result::Result<Inferred, Malformed> {
        match scanner.peek()? {
            b'{' => {
                let mut fields = BTreeMap::new();
                scanner.members(|scanner, name| {
                    let mut decoded = String::new();
                    name.append_to(&mut decoded)?;
                    fields.insert(decoded, Inferred::read(scanner)?);
                    Ok(())
                })?;
                Ok(Inferred::Struct(fields))
            }
            b'[' => {
                let mut element = Inferred::Unknown;
                scanner.elements(|scanner| {
                    let next = Inferred::read(scanner)?;
                    element = std::mem::replace(&mut element, Inferred::Unknown).or(next);
                    Ok(())
                })?;
                Ok(Inferred::List(Box::new(element)))
            }
            quote if quote == b'"' || scanner.is_quote(quote) => {
                let is_empty = scanner.string()?.text.is_empty();
                Ok(if is_empty { Inferred::Unknown } else { Inferred::Text })
            }
            _ => Ok(match scanner.scalar()? {
                Scalar::Null => Inferred::Unknown,
                Scalar::Boolean(_) => Inferred::Boolean,
                Scalar::Number(number) => Inferred::of_number(&number),
                Scalar::NonNumeric(_) => Inferred::Double,
            }),
        }
    }

    fn of_number(number: &Number<'_>) -> Inferred {
        if !number.is_integer {
            return Inferred::Double;
        }
        let digits = number.text.trim_start_matches('-').trim_start_matches('0').len();
        match (number.text.parse::<i64>(), u8::try_from(digits)) {
            (Ok(_), _) => Inferred::Long,
            (_, Ok(precision @ ..=MAX_PRECISION)) => Inferred::Decimal { precision, scale: 0 },
            _ => Inferred::Double,
        }
    }

    /// The type that holds the values of both.
    fn or(self, other: Inferred) -> Inferred {
        use Inferred::{Decimal, Double, List, Long, Struct, Text, Unknown};
        match (self, other) {
            (one, other) if one == other => one,
            (Unknown, known) | (known, Unknown) => known,
            (Long, Decimal { precision, scale }) | (Decimal { precision, scale }, Long) => {
                Decimal { precision: precision.max(LONG_PRECISION), scale }
            }
            (Decimal { precision: one, .. }, Decimal { precision: other, scale }) => {
                Decimal { precision: one.max(other), scale }
            }
            (Long | Decimal { .. } | Double, Long | Decimal { .. } | Double) => Double,
            (List(one), List(other)) => List(Box::new(one.or(*other))),
            (Struct(mut one), Struct(other)) => {
                for (name, field) in other {
                    let known = one.remove(&name).unwrap_or(Unknown);
                    one.insert(name, known.or(field));
                }
                Struct(one)
            }
            _ => Text,
        }
    }

    pub(super) fn data_type(&self) -> DataType {
        self.known().unwrap_or_else(|| match self {
            Inferred::Struct(_) => DataType::Struct(Fields::empty()),
            _ => DataType::Utf8,
        })
    }

    /// Objects without fields, and lists of them, are `None`.
    fn known(&self) -> Option<DataType> {
        Some(match self {
            Inferred::Unknown | Inferred::Text => DataType::Utf8,
            Inferred::Boolean => DataType::Boolean,
            Inferred::Long => DataType::Int64,
            Inferred::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Inferred::Double => DataType::Float64,
            Inferred::List(element) => list_of(element.known()?, true),
            Inferred::Struct(fields) => {
                let known = fields.iter().filter(|(name, _)| !name.is_empty());
                let known = known.filter_map(|(name, field)| Some(Field::new(name, field.known()?, true)));
                let known: Vec<_> = known.collect();
                return (!known.is_empty()).then(|| DataType::Struct(known.into()));
            }
        })
    }
}

/// The columns of records, found record by record.
#[derive(Debug)]
pub(crate) struct RecordSchema {
    record: Inferred,
}

impl RecordSchema {
    pub(crate) fn new() -> RecordSchema {
        RecordSchema { record: Inferred::Struct(BTreeMap::new()) }
    }

    /// `false` where the text is no record; an array has several.
    pub(crate) fn add(&mut self, text: &str, options: &JsonOptions) -> bool {
        let mut scanner = Scanner::new(text, options.dialect);
        let found = match Inferred::read(&mut scanner) {
            Ok(Inferred::List(element)) => *element,
            Ok(found) => found,
            Err(Malformed) => return false,
        };
        match found {
            Inferred::Unknown => true,
            Inferred::Struct(_) => {
                let known = std::mem::replace(&mut self.record, Inferred::Unknown);
                self.record = known.or(found);
                true
            }
            _ => false,
        }
    }

    /// In the order of their names.
    pub(crate) fn fields(&self) -> Fields {
        match self.record.data_type() {
            DataType::Struct(fields) => fields,
            _ => Fields::empty(),
        }
    }
}
