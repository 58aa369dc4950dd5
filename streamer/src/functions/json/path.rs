//! Spark's JSON paths over JSON text, without building a tree of it: what a path does not lead to is skipped.
//!
//! Broken JSON has no values.

use super::scanner::{Dialect, Malformed, Scanner};
use super::string::RawString;

/// `$.carrier`, `$.legs[0]['from city']`, `$.legs[*].to`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    /// `[*]`
    Elements,
    /// `.*`, which Spark reads and never finds.
    Nothing,
}

impl JsonPath {
    /// `None` for a text that is no path: nothing is found by it.
    pub(super) fn parse(text: &str) -> Option<JsonPath> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = parse_step(rest)?;
            steps.push(step);
            rest = behind;
        }
        Some(JsonPath(steps))
    }

    /// Appends what the path leads to and says whether there is such a thing.
    pub(super) fn evaluate(&self, json: &str, found: &mut String) -> bool {
        find(&mut Scanner::new(json, Dialect::STANDARD), &self.0, Style::Raw, found).unwrap_or(false)
    }
}

fn parse_step(text: &str) -> Option<(Step, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, rest) = name.split_at(end);
        return match name {
            "" => None,
            "*" => Some((Step::Nothing, rest)),
            name => Some((Step::Field(name.to_owned()), rest)),
        };
    }
    let inner = text.strip_prefix('[')?;
    if let Some(quoted) = inner.strip_prefix('\'') {
        let (name, rest) = quoted.split_once("']")?;
        return Some((Step::Field(name.to_owned()), rest));
    }
    let (index, rest) = inner.split_once(']')?;
    let step = if index == "*" { Step::Elements } else { Step::Index(index.parse().ok()?) };
    Some((step, rest))
}

/// How a found text is written: as it is, or inside of an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Raw,
    Quoted,
}

fn find(
    scanner: &mut Scanner<'_>,
    path: &[Step],
    style: Style,
    found: &mut String,
) -> Result<bool, Malformed> {
    match (scanner.peek()?, path) {
        (b'"' | b'\'', []) if style == Style::Raw => {
            scanner.string()?.append_to(found)?;
            Ok(true)
        }
        (_, []) => scanner.copy(found).map(|()| true),
        (b'{', [Step::Field(name), rest @ ..]) => find_field(scanner, name, rest, style, found),
        (b'[', [Step::Index(index), rest @ ..]) => find_element(scanner, *index, rest, style, found),
        (b'[', [Step::Elements, rest @ ..]) => find_elements(scanner, rest, style, found),
        _ => scanner.skip().map(|()| false),
    }
}

/// The first member of that name that leads to something.
fn find_field(
    scanner: &mut Scanner<'_>,
    name: &str,
    path: &[Step],
    style: Style,
    found: &mut String,
) -> Result<bool, Malformed> {
    let mut is_found = false;
    scanner.members(|scanner, member| {
        let is_wanted = !is_found && is_named(member, name)? && !scanner.is_at_null();
        if !is_wanted {
            return scanner.skip();
        }
        is_found = find(scanner, path, style, found)?;
        Ok(())
    })?;
    Ok(is_found)
}

fn find_element(
    scanner: &mut Scanner<'_>,
    wanted: usize,
    path: &[Step],
    style: Style,
    found: &mut String,
) -> Result<bool, Malformed> {
    let (mut index, mut is_found) = (0, false);
    scanner.elements(|scanner| {
        let is_wanted = index == wanted;
        index += 1;
        if !is_wanted {
            return scanner.skip();
        }
        is_found = find(scanner, path, style, found)?;
        Ok(())
    })?;
    Ok(is_found)
}

/// All elements that lead to something, as an array; alone, one stands without the brackets.
fn find_elements(
    scanner: &mut Scanner<'_>,
    path: &[Step],
    style: Style,
    found: &mut String,
) -> Result<bool, Malformed> {
    let start = found.len();
    let mut count = 0;
    scanner.elements(|scanner| {
        let before = found.len();
        found.push(if count == 0 { '[' } else { ',' });
        match find(scanner, path, Style::Quoted, found)? {
            true => count += 1,
            false => found.truncate(before),
        }
        Ok(())
    })?;
    match (count, style) {
        (0, Style::Raw) => {}
        (1, Style::Raw) => drop(found.remove(start)),
        (0, Style::Quoted) => found.push_str("[]"),
        _ => found.push(']'),
    }
    Ok(count > 0 || style == Style::Quoted)
}

fn is_named(member: RawString<'_>, name: &str) -> Result<bool, Malformed> {
    member.with(&mut String::new(), |text| text == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(json: &str, path: &str) -> Option<String> {
        let mut found = String::new();
        JsonPath::parse(path)?.evaluate(json, &mut found).then_some(found)
    }

    // What is expected below was answered by Spark 4.1.1.

    #[test]
    fn paths_lead_where_spark_s_lead() {
        let json = r#"{"a":1,"b":"x\u00fc","c":null,"d":1.50,"e":{"f":[1,{"g":true}]},"h h":"sp","arr":[{"k":1},{"k":2}]}"#;
        for (path, found) in [
            ("$.a", Some("1")),
            ("$.b", Some("xü")),
            ("$.c", None),
            ("$.d", Some("1.5")),
            ("$.e", Some(r#"{"f":[1,{"g":true}]}"#)),
            ("$.e.f[0]", Some("1")),
            ("$.e.f[1].g", Some("true")),
            ("$.e.f", Some(r#"[1,{"g":true}]"#)),
            ("$['h h']", Some("sp")),
            ("$.zz", None),
            (
                "$",
                Some(
                    r#"{"a":1,"b":"xü","c":null,"d":1.5,"e":{"f":[1,{"g":true}]},"h h":"sp","arr":[{"k":1},{"k":2}]}"#,
                ),
            ),
            ("a", None),
            ("$.arr[*].k", Some("[1,2]")),
            ("$.arr[*]", Some(r#"[{"k":1},{"k":2}]"#)),
            ("$.arr.k", None),
            ("$.arr[0]", Some(r#"{"k":1}"#)),
            ("$.e.*", None),
            ("$.e.f[*]", Some(r#"[1,{"g":true}]"#)),
            ("$.arr[1].k", Some("2")),
            ("$.A", None),
            ("$['a']", Some("1")),
            ("$.e['f'][1]['g']", Some("true")),
            ("$.a.b", None),
            ("$..a", None),
            ("$.", None),
        ] {
            assert_eq!(get(json, path).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn json_is_as_broken_as_spark_takes_it_for() {
        for (json, a, all) in [
            ("{bad", None, None),
            ("[1,2]", None, Some("[1,2]")),
            ("'x'", None, Some("x")),
            ("1", None, Some("1")),
            ("\"s\"", None, Some("s")),
            ("null", None, Some("null")),
            ("{\"a\":1} trailing", Some("1"), Some("{\"a\":1}")),
            ("{'a':1}", Some("1"), Some("{\"a\":1}")),
            ("{\"a\":1e3}", Some("1000.0"), Some("{\"a\":1000.0}")),
            (
                "{\"a\":123456789012345678901234567890}",
                Some("123456789012345678901234567890"),
                Some("{\"a\":123456789012345678901234567890}"),
            ),
            ("{\"a\":\"\"}", Some(""), Some("{\"a\":\"\"}")),
            ("{\"a\":1,\"a\":2}", Some("1"), Some("{\"a\":1,\"a\":2}")),
            ("{\"a\":-0.0}", Some("-0.0"), Some("{\"a\":-0.0}")),
            ("{\"a\":\"x\\n\"}", Some("x\n"), Some("{\"a\":\"x\\n\"}")),
            ("", None, None),
            ("{\"a\": {\"b\" : 1}}", Some("{\"b\":1}"), Some("{\"a\":{\"b\":1}}")),
            ("{\"a\":1.0E5,", None, None),
            ("{\"a\":NaN}", None, None),
            ("{\"a\":null,\"a\":5}", Some("5"), Some("{\"a\":null,\"a\":5}")),
        ] {
            assert_eq!(get(json, "$.a").as_deref(), a, "{json}");
            assert_eq!(get(json, "$").as_deref(), all, "{json}");
        }
    }

    #[test]
    fn json_that_is_too_deep_is_broken_not_a_crash() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(get(&deep, "$.a"), None);
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_finds(a in any::<String>(), n in any::<i64>()) {
            let json = serde_json::json!({"x": [n, {"k\"": a}], "a": a}).to_string();
            prop_assert_eq!(get(&json, "$.a"), Some(a.clone()));
            prop_assert_eq!(get(&json, "$.x[1]['k\"']"), Some(a));
            prop_assert_eq!(get(&json, "$.x[0]"), Some(n.to_string()));
        }

        #[test]
        fn no_text_makes_it_panic(json in "[\\[\\]{}\"'\\\\,:a0-9.eu \\PC]{0,60}") {
            get(&json, "$.a[0]");
            get(&json, "$[*]");
        }
    }
}
