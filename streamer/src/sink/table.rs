//! Tables as Spark's `Dataset.showString` draws them.

/// At least so wide is every column.
const MIN_COLUMN_WIDTH: usize = 3;

/// How much of a batch is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    pub rows: usize,
    /// Longer cells are cut and right-aligned cells drawn; `None` shows them whole and left-aligned.
    pub cell_chars: Option<usize>,
}

impl Default for TableLimits {
    fn default() -> TableLimits {
        TableLimits { rows: 20, cell_chars: Some(20) }
    }
}

/// Draws `header` and `rows`, of which there may be one more than the limit to tell that there are more.
pub fn show_string(header: &[String], mut rows: Vec<Vec<String>>, limits: TableLimits) -> String {
    let has_more = rows.len() > limits.rows;
    rows.truncate(limits.rows);
    for cell in rows.iter_mut().flatten() {
        *cell = shorten(&escape(cell), limits.cell_chars);
    }
    let header: Vec<_> = header.iter().map(|name| escape(name)).collect();
    let mut widths = vec![MIN_COLUMN_WIDTH; header.len()];
    for row in std::iter::once(&header).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = half_width(cell).max(*width);
        }
    }
    let separator: String =
        widths.iter().map(|width| format!("+{}", "-".repeat(*width))).collect::<String>() + "+\n";
    let align_right = limits.cell_chars.is_some();
    let mut table = separator.clone();
    push_row(&mut table, &header, &widths, align_right);
    table.push_str(&separator);
    for row in &rows {
        push_row(&mut table, row, &widths, align_right);
    }
    table.push_str(&separator);
    if has_more {
        let noun = if limits.rows == 1 { "row" } else { "rows" };
        table.push_str(&format!("only showing top {} {noun}", limits.rows));
    }
    table
}

fn push_row(table: &mut String, cells: &[String], widths: &[usize], align_right: bool) {
    for (cell, width) in cells.iter().zip(widths) {
        let padding = " ".repeat(width.saturating_sub(half_width(cell)));
        let (left, right) = if align_right { (padding.as_str(), "") } else { ("", padding.as_str()) };
        table.push_str(&format!("|{left}{cell}{right}"));
    }
    table.push_str("|\n");
}

/// Cuts a cell to `limit` UTF-16 units, the last three of them dots: Java's strings are counted so.
fn shorten(cell: &str, limit: Option<usize>) -> String {
    let units: Vec<u16> = cell.encode_utf16().collect();
    match limit {
        Some(limit) if units.len() > limit => {
            let dots = if limit < 4 { "" } else { "..." };
            let kept = units.get(..limit - dots.len()).unwrap_or_default();
            // Half of a surrogate pair is written as a question mark by Java.
            let text = char::decode_utf16(kept.iter().copied()).map(|unit| unit.unwrap_or('?'));
            text.chain(dots.chars()).collect()
        }
        _ => cell.to_owned(),
    }
}

/// Control characters would break the table.
fn escape(cell: &str) -> String {
    let mut escaped = String::with_capacity(cell.len());
    for character in cell.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{c}' => escaped.push_str("\\f"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{b}' => escaped.push_str("\\v"),
            '\u{7}' => escaped.push_str("\\a"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The columns that a text takes on a terminal, in Spark's count: two for characters of full width, and one for
/// each UTF-16 unit of all others.
fn half_width(text: &str) -> usize {
    text.chars().map(|character| if is_full_width(character) { 2 } else { character.len_utf16() }).sum()
}

fn is_full_width(character: char) -> bool {
    matches!(
        character,
        '\u{1100}'..='\u{115F}'
            | '\u{2E80}'..='\u{A4CF}'
            | '\u{AC00}'..='\u{D7A3}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{FE30}'..='\u{FE6F}'
            | '\u{FF00}'..='\u{FF60}'
            | '\u{FFE0}'..='\u{FFE6}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(header: &[&str], rows: &[&[&str]], limits: TableLimits) -> String {
        let owned = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        show_string(&owned(header), rows.iter().map(|row| owned(row)).collect(), limits)
    }

    // The tables below were printed by PySpark 4.1.1.

    #[test]
    fn full_width_characters_take_two_columns() {
        let rows: &[&[&str]] = &[&["全角文字と長い文字列の例です、二十文字を超える", "a", ""]];
        let expected = "\
+-------------------------------------+----+---+
|                                    v|全角|  x|
+-------------------------------------+----+---+
|全角文字と長い文字列の例です、二十...|   a|   |
+-------------------------------------+----+---+
";
        assert_eq!(show(&["v", "全角", "x"], rows, TableLimits::default()), expected);
    }

    #[test]
    fn long_cells_are_cut_at_twenty_utf16_units() {
        let rows: &[&[&str]] =
            &[&["abcdefghijklmnopqrst", "abcdefghijklmnopqrstu", "😀😀😀😀😀😀😀😀😀😀😀"]];
        let expected = "\
+--------------------+--------------------+--------------------+
|                 a20|                 a21|               emoji|
+--------------------+--------------------+--------------------+
|abcdefghijklmnopqrst|abcdefghijklmnopq...|😀😀😀😀😀😀😀😀?...|
+--------------------+--------------------+--------------------+
";
        assert_eq!(show(&["a20", "a21", "emoji"], rows, TableLimits::default()), expected);
    }

    #[test]
    fn more_rows_are_told_without_a_line_break_behind() {
        let limits = TableLimits { rows: 1, cell_chars: Some(20) };
        let expected = "+---+\n| id|\n+---+\n|  0|\n+---+\nonly showing top 1 row";
        assert_eq!(show(&["id"], &[&["0"], &["1"]], limits), expected);
        let none = TableLimits { rows: 0, cell_chars: Some(20) };
        assert_eq!(show(&["id"], &[&["0"]], none), "+---+\n| id|\n+---+\n+---+\nonly showing top 0 rows");
        assert_eq!(show(&["id"], &[], TableLimits::default()), "+---+\n| id|\n+---+\n+---+\n");
    }

    #[test]
    fn whole_cells_are_left_aligned_and_control_characters_escaped() {
        let limits = TableLimits { rows: 20, cell_chars: None };
        let expected = "\
+------------+-----------+
|s           |ctl        |
+------------+-----------+
|tab\\tnl\\nend|x\\a\\b\\v\\f\\r|
+------------+-----------+
";
        assert_eq!(show(&["s", "ctl"], &[&["tab\tnl\nend", "x\u{7}\u{8}\u{b}\u{c}\r"]], limits), expected);
    }
}
