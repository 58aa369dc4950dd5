//! What all checks together say.

use std::fmt;

use crate::{CHECKS, Check, Finding, History};

/// How many records a sentence names before it only counts them.
const NAMED: usize = 3;

/// The judgement of a history. Shown, it is one sentence.
#[derive(Debug)]
pub struct Verdict {
    pub acked: usize,
    pub deliveries: usize,
    /// The checks that found something, in the order of [`CHECKS`].
    pub faults: Vec<(&'static Check, Vec<Finding>)>,
}

impl Verdict {
    pub fn of(history: &History) -> Verdict {
        let faults = CHECKS.iter().map(|check| (check, (check.run)(history)));
        Verdict {
            acked: history.acked().count(),
            deliveries: history.deliveries().count(),
            faults: faults.filter(|(_, findings)| !findings.is_empty()).collect(),
        }
    }

    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            return write!(
                f,
                "All {} acknowledged records were delivered unharmed, in {} deliveries.",
                self.acked, self.deliveries
            );
        }
        for (at, (check, findings)) in self.faults.iter().enumerate() {
            let were = if findings.len() == 1 { "was" } else { "were" };
            match at {
                0 => write!(
                    f,
                    "{} of {} acknowledged records {were} {}: ",
                    findings.len(),
                    self.acked,
                    check.verb
                )?,
                _ => write!(f, "; {} {were} {}: ", findings.len(), check.verb)?,
            }
            let names: Vec<&str> =
                findings.iter().take(NAMED).map(|finding| finding.record.as_str()).collect();
            f.write_str(&names.join(", "))?;
            if findings.len() > NAMED {
                write!(f, " and {} more", findings.len() - NAMED)?;
            }
        }
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::planted::{delivery, in_order, send};

    #[test]
    fn a_good_run_says_so() {
        let history: History = ["a", "b"].into_iter().map(send).chain(in_order(&["a", "b"])).collect();
        let verdict = Verdict::of(&history);
        assert!(verdict.is_good());
        assert_eq!(
            verdict.to_string(),
            "All 2 acknowledged records were delivered unharmed, in 2 deliveries."
        );
    }

    #[test]
    fn one_sentence_says_what_was_lost_and_what_else_is_wrong() {
        let sends = ["a", "b", "c", "d", "e", "f"].into_iter().map(send);
        let history: History = sends.chain([delivery("c", 0, "f"), delivery("c", 1, "a")]).collect();
        assert_eq!(
            Verdict::of(&history).to_string(),
            "4 of 6 acknowledged records were lost: b of t-0, c of t-0, d of t-0 and 1 more; 1 was delivered out of \
             order: a of t-0."
        );
    }
}
