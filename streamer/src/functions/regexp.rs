//! Functions with a regular expression that DataFusion lacks, or has with other rules: `split`, `regexp_extract`,
//! `regexp_replace`, `regexp_substr`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, ListBuilder, StringArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use crate::schema::{list_of, sql_type};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Split,
    Extract,
    Replace,
    Substr,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regexp {
    kind: Kind,
    signature: Signature,
}

pub(super) fn all() -> impl Iterator<Item = ScalarUDF> {
    let kinds = [Kind::Split, Kind::Extract, Kind::Replace, Kind::Substr];
    kinds.into_iter().map(|kind| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Regexp { kind, signature })
    })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Split => "split",
            Kind::Extract => "regexp_extract",
            Kind::Replace => "regexp_replace",
            Kind::Substr => "regexp_substr",
        }
    }

    /// The types of all arguments, and how many of them have to be there.
    fn arguments(self) -> (&'static [DataType], usize) {
        const TEXT: DataType = DataType::Utf8;
        match self {
            Kind::Split => (&[TEXT, TEXT, DataType::Int64], 2),
            Kind::Extract => (&[TEXT, TEXT, DataType::Int64], 2),
            Kind::Replace => (&[TEXT, TEXT, TEXT], 3),
            Kind::Substr => (&[TEXT, TEXT], 2),
        }
    }
}

impl ScalarUDFImpl for Regexp {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (all, least) = self.kind.arguments();
        if !(least..=all.len()).contains(&types.len()) {
            return plan_err!(
                "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `{}` requires {least} to {} parameters but the actual number is \
                 {}. SQLSTATE: 42605",
                self.name(),
                all.len(),
                types.len()
            );
        }
        if let Some(nested) = types.iter().find(|found| found.is_nested()) {
            return plan_err!(
                "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] Cannot resolve \"{}\" due to data type mismatch: a parameter \
                 requires the \"STRING\" type, however it has the type \"{}\". SQLSTATE: 42K09",
                self.name(),
                sql_type(nested)
            );
        }
        Ok(all.iter().take(types.len()).cloned().collect())
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Split => list_of(DataType::Utf8, true),
            _ => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|argument| argument.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let [texts, patterns, rest @ ..] = arrays.as_slice() else {
            return internal_err!("{} takes two arguments or more", self.name());
        };
        let (texts, patterns) = (texts.as_string::<i32>(), patterns.as_string::<i32>());
        let rest = rest.first();
        let number = |default| {
            let given = rest.map(|rest| rest.as_primitive::<Int64Type>().clone());
            given.unwrap_or_else(|| Int64Array::from_value(default, rows))
        };
        let found: ArrayRef = match (self.kind, rest) {
            (Kind::Split, _) => split(texts, patterns, &number(-1))?,
            (Kind::Extract, _) => extract(texts, patterns, &number(1))?,
            (Kind::Replace, Some(by)) => replace(texts, patterns, by.as_string::<i32>())?,
            (Kind::Replace, None) => return internal_err!("regexp_replace takes three arguments"),
            (Kind::Substr, _) => substr(texts, patterns)?,
        };
        Ok(ColumnarValue::Array(found))
    }
}

/// The pattern is nearly always one literal for all rows.
#[derive(Default)]
struct Patterns(Option<(String, Regex)>);

impl Patterns {
    fn of(&mut self, function: &str, pattern: &str) -> Result<&Regex> {
        if self.0.as_ref().is_none_or(|(known, _)| known != pattern) {
            match Regex::new(pattern) {
                Ok(regex) => self.0 = Some((pattern.to_owned(), regex)),
                Err(_) => {
                    return exec_err!(
                        "[INVALID_PARAMETER_VALUE.PATTERN] The value of parameter(s) `regexp` in `{function}` is invalid: \
                         '{pattern}'. SQLSTATE: 22023"
                    );
                }
            }
        }
        match &self.0 {
            Some((_, regex)) => Ok(regex),
            None => internal_err!("a pattern that has been read is not there"),
        }
    }
}

/// With a limit above 0, at most so many parts; else all of them, also empty ones at the end.
fn split(texts: &StringArray, patterns: &StringArray, limits: &Int64Array) -> Result<ArrayRef> {
    let element = Field::new("element", DataType::Utf8, true);
    let (mut known, mut lists) =
        (Patterns::default(), ListBuilder::new(StringBuilder::new()).with_field(element));
    for ((text, pattern), limit) in texts.iter().zip(patterns).zip(limits) {
        let (Some(text), Some(pattern), Some(limit)) = (text, pattern, limit) else {
            lists.append_null();
            continue;
        };
        let most = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let regex = known.of("split", pattern)?;
        let mut begin = 0;
        // What is empty and stands at the very beginning or end separates nothing.
        let separators = regex
            .find_iter(text)
            .filter(|found| !found.is_empty() || (1..text.len()).contains(&found.start()));
        for separator in separators.take(most - 1) {
            lists.values().append_value(text.get(begin..separator.start()).unwrap_or_default());
            begin = separator.end();
        }
        lists.values().append_value(text.get(begin..).unwrap_or_default());
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// A group of the first match; empty where there is none.
fn extract(texts: &StringArray, patterns: &StringArray, groups: &Int64Array) -> Result<ArrayRef> {
    let (mut known, mut found) = (Patterns::default(), StringBuilder::new());
    for ((text, pattern), group) in texts.iter().zip(patterns).zip(groups) {
        let (Some(text), Some(pattern), Some(group)) = (text, pattern, group) else {
            found.append_null();
            continue;
        };
        let regex = known.of("regexp_extract", pattern)?;
        let groups = regex.captures_len();
        let Some(place) = usize::try_from(group).ok().filter(|group| *group < groups) else {
            return exec_err!(
                "[INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX] The value of parameter(s) `idx` in `regexp_extract` is \
                 invalid: Expects group index between 0 and {}, but got {group}. SQLSTATE: 22023",
                groups - 1
            );
        };
        let captures = regex.captures(text);
        let group = captures.as_ref().and_then(|captures| captures.get(place));
        found.append_value(group.map_or("", |group| group.as_str()));
    }
    Ok(Arc::new(found.finish()))
}

fn replace(texts: &StringArray, patterns: &StringArray, by: &StringArray) -> Result<ArrayRef> {
    let (mut known, mut replaced) = (Patterns::default(), StringBuilder::new());
    for ((text, pattern), by) in texts.iter().zip(patterns).zip(by) {
        match (text, pattern, by) {
            (Some(text), Some(pattern), Some(by)) => {
                let regex = known.of("regexp_replace", pattern)?;
                replaced.append_value(regex.replace_all(text, replacement(by, regex.captures_len())));
            }
            _ => replaced.append_null(),
        }
    }
    Ok(Arc::new(replaced.finish()))
}

/// Java's replacement as one of the `regex` crate: `$1` is a group of as many digits as there are groups, a backslash makes
/// the next character plain.
fn replacement(java: &str, groups: usize) -> String {
    let mut out = String::with_capacity(java.len());
    let mut rest = java.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some('$') | None => out.push_str("$$"),
                Some(plain) => out.push(plain),
            },
            '$' => {
                let mut group = 0_usize;
                while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if group > 0 && longer >= groups {
                        break;
                    }
                    group = longer;
                    rest.next();
                }
                out.push_str(&format!("${{{group}}}"));
            }
            plain => out.push(plain),
        }
    }
    out
}

fn substr(texts: &StringArray, patterns: &StringArray) -> Result<ArrayRef> {
    let (mut known, mut found) = (Patterns::default(), StringBuilder::new());
    for (text, pattern) in texts.iter().zip(patterns) {
        match (text, pattern) {
            (Some(text), Some(pattern)) => {
                let regex = known.of("regexp_substr", pattern)?;
                found.append_option(regex.find(text).map(|found| found.as_str()));
            }
            _ => found.append_null(),
        }
    }
    Ok(Arc::new(found.finish()))
}
