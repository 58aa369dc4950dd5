//! The figures, for a terminal, for a program, and for the README.

use crate::figure::{Line, Verdict};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    /// One object a line.
    Json,
    Markdown,
}

impl Format {
    pub(crate) fn render(self, lines: &[Line]) -> Result<String, serde_json::Error> {
        match self {
            Format::Text => Ok(text(lines)),
            Format::Json => lines.iter().map(|line| Ok(serde_json::to_string(line)? + "\n")).collect(),
            Format::Markdown => Ok(markdown(lines)),
        }
    }
}

fn text(lines: &[Line]) -> String {
    let row = |[name, ottla, peer, peer_value, ratio, targets]: [&str; 6]| {
        format!("{name:<56} {ottla:>16} {peer:>12} {peer_value:>16} {ratio:>9}  {targets}")
            .trim_end()
            .to_owned()
            + "\n"
    };
    let mut report = row(["figure", "Ottla", "peer", "its value", "ratio", "target"]);
    for line in lines {
        let [ottla, peer_value] = [line.ottla, line.peer_value].map(|value| with_unit(value, line.unit));
        report += &row([line.name, &ottla, line.peer, &peer_value, &ratio(line), &targets(&line.targets)]);
    }
    report
}

/// One row a figure, one column a broker; beside a peer's value stands Ottla's share of it.
fn markdown(lines: &[Line]) -> String {
    let mut report = String::new();
    for (index, figure) in lines.chunk_by(|one, next| one.name == next.name).enumerate() {
        if index == 0 {
            report += &markdown_head(figure);
        }
        let [first, ..] = figure else { continue };
        report += &format!("| {} | **{}** |", first.name, with_unit(first.ottla, first.unit));
        for line in figure {
            report += &format!(" {} ({}) |", with_unit(line.peer_value, line.unit), ratio(line));
        }
        report += "\n";
    }
    report
}

fn markdown_head(figure: &[Line]) -> String {
    let peers: String = figure.iter().map(|line| format!(" {} |", line.peer)).collect();
    format!("| | Ottla |{peers}\n|---|---:|{}\n", "---:|".repeat(figure.len()))
}

fn with_unit(value: Option<f64>, unit: &str) -> String {
    match value {
        Some(value) if value >= 1000.0 => format!("{} {unit}", with_thousands(value)),
        Some(value) if value >= 10.0 => format!("{value:.1} {unit}"),
        Some(value) => format!("{value:.2} {unit}"),
        None => "fails".to_owned(),
    }
}

fn with_thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn ratio(line: &Line) -> String {
    match line.ratio {
        Some(ratio) if ratio < 0.01 => format!("{ratio:.4} ×"),
        Some(ratio) => format!("{ratio:.2} ×"),
        None => "–".to_owned(),
    }
}

fn targets(verdicts: &[Verdict]) -> String {
    let each = verdicts.iter().map(|Verdict { target, met }| {
        let word = if *met { "met" } else { "missed" };
        format!("{target} {word}")
    });
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            name: "broker CPU to produce",
            unit: "s",
            ottla: Some(0.5),
            peer: "kfake",
            peer_value: Some(1.0),
            ratio: Some(0.5),
            targets: vec![Verdict { target: "≤ 0.8 ×".to_owned(), met: true }],
        }
    }

    #[test]
    fn a_figure_beside_a_peer_is_one_line() {
        let json = Format::Json.render(&[line()]).unwrap();
        let object: serde_json::Value = serde_json::from_str(json.trim_end()).unwrap();
        assert_eq!((&object["ratio"], &object["targets"][0]["met"]), (&0.5.into(), &true.into()));
        assert_eq!(Format::Text.render(&[line()]).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_figure_is_one_row_of_the_table_whatever_the_peers() {
        let kafka = Line { peer: "Kafka 4.3.1", peer_value: Some(2345.6), ratio: Some(0.0002), ..line() };
        let table = Format::Markdown.render(&[kafka, line()]).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[0], "| | Ottla | Kafka 4.3.1 | kfake |");
        assert_eq!(rows[2], "| broker CPU to produce | **0.50 s** | 2,346 s (0.0002 ×) | 1.00 s (0.50 ×) |");
    }

    #[test]
    fn what_a_peer_cannot_do_is_said() {
        let failing = Line { peer_value: None, ratio: None, ..line() };
        let text = Format::Text.render(&[failing]).unwrap();
        assert!(text.contains("fails"), "{text}");
    }
}
