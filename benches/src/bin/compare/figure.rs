//! A figure: one metric of Ottla beside that of each peer, and what the project has set itself to reach.

use serde::Serialize;

use crate::peers::Peer;
use crate::sample::{Metric, Samples, Take};

/// What a figure is made of. A measurement lists those that its samples give.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) metric: Metric,
    pub(crate) take: Take,
    pub(crate) targets: &'static [Target],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Ottla's own value, in the figure's unit, is not above or not below.
    Limit(f64),
    Floor(f64),
    /// Ottla's value over the peer's.
    AtMost(f64, Peer),
    AtLeast(f64, Peer),
}

/// Ottla beside one peer: one line of a report.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ottla: Option<f64>,
    pub(crate) peer: &'static str,
    pub(crate) peer_value: Option<f64>,
    /// Ottla's value over the peer's.
    pub(crate) ratio: Option<f64>,
    pub(crate) targets: Vec<Verdict>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) target: String,
    pub(crate) met: bool,
}

impl Figure {
    /// The line that sets Ottla's samples beside those of `peer`.
    pub(crate) fn line(&self, samples: &Samples, peer: Peer) -> Line {
        let value = |of| samples.take(self.metric, of, self.take);
        let names = (self.name, self.unit);
        let mut line = Line::beside(names, value(Peer::Ottla), (peer.name(), value(peer)));
        let targets = self.targets.iter();
        line.targets =
            targets.filter_map(|target| target.verdict(self.unit, line.ottla, peer, line.ratio)).collect();
        line
    }
}

impl Line {
    /// Without targets.
    pub(crate) fn beside(
        (name, unit): (&'static str, &'static str),
        ottla: Option<f64>,
        (peer, peer_value): (&'static str, Option<f64>),
    ) -> Line {
        let ratio = ottla.zip(peer_value).map(|(ottla, peer_value)| ottla / peer_value);
        Line { name, unit, ottla, peer, peer_value, ratio, targets: Vec::new() }
    }
}

impl Target {
    /// `None` where the target is about another peer. A value that is missing has not met it.
    fn verdict(self, unit: &str, ottla: Option<f64>, peer: Peer, ratio: Option<f64>) -> Option<Verdict> {
        let (target, met) = match self {
            Target::Limit(_) | Target::Floor(_) => return self.own_verdict(unit, ottla),
            Target::AtMost(limit, of) if of == peer => {
                (format!("≤ {limit} ×"), ratio.is_some_and(|ratio| ratio <= limit))
            }
            Target::AtLeast(limit, of) if of == peer => {
                (format!("≥ {limit} ×"), ratio.is_some_and(|ratio| ratio >= limit))
            }
            Target::AtMost(..) | Target::AtLeast(..) => return None,
        };
        Some(Verdict { target, met })
    }

    /// `None` where the target is about a peer.
    pub(crate) fn own_verdict(self, unit: &str, ottla: Option<f64>) -> Option<Verdict> {
        let (target, met) = match self {
            Target::Limit(limit) => (format!("≤ {limit} {unit}"), ottla.is_some_and(|value| value <= limit)),
            Target::Floor(floor) => (format!("≥ {floor} {unit}"), ottla.is_some_and(|value| value >= floor)),
            Target::AtMost(..) | Target::AtLeast(..) => return None,
        };
        Some(Verdict { target, met })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Reading;

    const FIGURE: Figure = Figure {
        name: "CPU",
        unit: "s",
        metric: Metric::ProduceCpuSeconds,
        take: Take::Cold,
        targets: &[Target::Limit(0.5), Target::AtMost(0.5, Peer::Kafka)],
    };

    fn samples() -> Samples {
        let mut samples = Samples::default();
        samples.add(Peer::Ottla, Reading(Metric::ProduceCpuSeconds, 0.6));
        samples.add(Peer::Kafka, Reading(Metric::ProduceCpuSeconds, 2.0));
        samples
    }

    #[test]
    fn a_line_judges_its_own_and_its_peers_targets() {
        let line = FIGURE.line(&samples(), Peer::Kafka);
        assert_eq!(line.ratio, Some(0.3));
        let met: Vec<bool> = line.targets.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [false, true]);
    }

    #[test]
    fn a_peer_that_failed_has_no_ratio_and_no_target_of_another() {
        let line = FIGURE.line(&samples(), Peer::Kfake);
        assert_eq!((line.peer_value, line.ratio), (None, None));
        assert_eq!(line.targets.len(), 1);
    }
}
