//! The values that a run has measured, and their figures.

use std::collections::HashMap;

use super::engine::Engine;
use crate::figure::{Line, Target};

/// What one value of a measurement says.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) target: Option<Target>,
}

/// By measurement and engine, the values of the measurement's figures in their order.
#[derive(Debug, Default)]
pub(super) struct Samples {
    values: HashMap<(&'static str, Engine), Vec<f64>>,
}

impl Samples {
    pub(super) fn add(&mut self, measurement: &'static str, engine: Engine, values: Vec<f64>) {
        self.values.insert((measurement, engine), values);
    }

    pub(super) fn lines(&self, measurement: &'static str, figures: &'static [Figure]) -> Vec<Line> {
        let value = |engine, place: usize| self.values.get(&(measurement, engine))?.get(place).copied();
        let figures = figures.iter().enumerate();
        let line = |(place, figure): (usize, &Figure)| {
            let ottla = value(Engine::Ottla, place);
            let spark = (Engine::Spark.name(), value(Engine::Spark, place));
            let line = Line::beside((figure.name, figure.unit), ottla, spark);
            let verdict = figure.target.and_then(|target| target.own_verdict(figure.unit, ottla));
            Line { targets: verdict.into_iter().collect(), ..line }
        };
        figures.map(line).collect()
    }
}

/// Half of the values lie between the quarters; their mean is finer than the milliseconds that they are told in.
pub(super) fn mean_of_the_middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let quarter = values.len() / 4;
    let middle = values.get(quarter..values.len() - quarter).unwrap_or_default();
    mean(middle)
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_leaves_out_what_is_far_off() {
        assert_eq!(mean_of_the_middle(vec![3.0, 900.0, 4.0, 0.0, 3.0, 4.0, 3.0, 4.0]), 3.5);
        assert_eq!(mean_of_the_middle(vec![2.0]), 2.0);
    }

    #[test]
    fn an_engine_that_failed_has_no_value() {
        const FIGURES: &[Figure] = &[Figure { name: "CPU", unit: "s", target: Some(Target::Limit(3.0)) }];
        let mut samples = Samples::default();
        samples.add("filter", Engine::Ottla, vec![2.5]);
        let lines = samples.lines("filter", FIGURES);
        assert_eq!((lines[0].ottla, lines[0].peer_value), (Some(2.5), None));
        assert!(lines[0].targets[0].met);
    }
}
