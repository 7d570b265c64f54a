//! Staleness and throughput over time, with what was broken: an SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::proof::figures::staleness;
use crate::proof::run::Outcome;

/// The width of a point, in seconds.
const STEP: f64 = 0.25;

pub fn draw(outcome: &Outcome, file: &Path) {
    let end = outcome.took as f64 / 1e6;
    let points = (end / STEP).ceil() as usize;
    let place = |micros: u64| ((micros as f64 / 1e6 / STEP) as usize).min(points - 1);
    let (mut oldest, mut answered) = (vec![0.0_f64; points], vec![0.0; points]);
    for (returned, old) in staleness(&outcome.history) {
        let oldest = &mut oldest[place(returned)];
        *oldest = oldest.max(old as f64 / 1000.0);
    }
    for call in outcome.noted.calls.iter().filter(|call| call.code.is_none()) {
        answered[place(call.returned)] += 1.0 / STEP;
    }
    let most = |values: &[f64]| values.iter().copied().fold(1.0, f64::max) * 1.1;
    let bound = outcome.history.bound as f64 / 1000.0;
    let root = SVGBackend::new(file, (1200, 640)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let (upper, lower) = root.split_vertically(340);
    let panels = [
        (upper, "the oldest that was shown, ms; the bound is 1000", &oldest, most(&oldest).max(bound * 1.1), RED),
        (lower, "requests answered per second", &answered, most(&answered), BLUE),
    ];
    for (number, (area, title, values, top, color)) in panels.into_iter().enumerate() {
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..end, 0.0..top)
            .unwrap();
        let whole = |value: &f64| format!("{value:.0}");
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .y_labels(6)
            .x_label_formatter(&whole)
            .y_label_formatter(&whole);
        mesh.x_desc(if number == 0 { "" } else { "seconds" }).draw().unwrap();
        for (turn, broken) in outcome.history.broken.iter().enumerate() {
            let (from, until) = (broken.from as f64 / 1e6, broken.until as f64 / 1e6);
            chart.draw_series([Rectangle::new([(from, 0.0), (until, top)], BLACK.mix(0.08).filled())]).unwrap();
            if number == 0 {
                // One above the other, or they would hide each other.
                let height = top * (0.98 - 0.055 * (turn % 6) as f64);
                // Within the picture.
                let left = from.min(end * 0.91);
                chart.draw_series([Text::new(broken.fault.clone(), (left, height), ("sans-serif", 12))]).unwrap();
            }
        }
        if number == 0 {
            chart.draw_series(LineSeries::new([(0.0, bound), (end, bound)], BLACK.mix(0.4))).unwrap();
        }
        let line = values.iter().enumerate().map(|(place, value)| (place as f64 * STEP, *value));
        chart.draw_series(AreaSeries::new(line, 0.0, color.mix(0.25)).border_style(color)).unwrap();
    }
    root.present().unwrap();
}
