//! The picture of a study: how many stories have the word, and how many of them are sound, by strength.

use anyhow::{Result, anyhow};
use kiln_inference::{Figures, StudyResult};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 460);
const FONT: &str = "Helvetica, Arial, sans-serif";

/// Okabe and Ito's colours, which all eyes tell apart, and a brown.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// Two charts side by side, a line for each way that was measured at several strengths.
pub fn svg(result: &StudyResult) -> Result<String> {
    let mut picture = String::new();
    draw(&mut picture, result).map_err(|error| anyhow!("drawing the curve: {error}"))?;
    Ok(picture)
}

fn draw(picture: &mut String, result: &StudyResult) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(SIZE.0 as i32 / 2);
    let title = |what: &str| format!("{what}, by strength");
    chart(&left, &title(&format!("stories with \"{}\"", result.word)), result, false, |figures| {
        Some(figures.with_word)
    })?;
    chart(&right, &title("sound stories with it"), result, true, |figures| figures.sound_with_word)?;
    Ok(root.present()?)
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    result: &StudyResult,
    legend: bool,
    share: impl Fn(&Figures) -> Option<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut arms: Vec<&str> = Vec::new();
    let several = |arm: &str| result.arms.iter().filter(|figures| figures.arm == arm).count() > 1;
    for figures in result.arms.iter().filter(|figures| several(figures.arm)) {
        if !arms.contains(&figures.arm) {
            arms.push(figures.arm);
        }
    }
    let strongest = result.arms.iter().map(|figures| f64::from(figures.strength)).fold(0.1, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, (FONT, 17))
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..strongest * 1.02, 0.0..1.02)?;
    chart
        .configure_mesh()
        .x_desc("strength, in mean norms of the residual stream")
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
        .label_style((FONT, 12))
        .draw()?;
    for (arm, colour) in arms.into_iter().zip(COLOURS.iter().cycle()) {
        let start = share(&result.unsteered).map(|share| (0.0, share));
        let of_arm = result.arms.iter().filter(|figures| figures.arm == arm);
        let points = of_arm.filter_map(|figures| Some((f64::from(figures.strength), share(figures)?)));
        let points: Vec<(f64, f64)> = start.into_iter().chain(points).collect();
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(arm)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    if legend {
        chart
            .configure_series_labels()
            .label_font((FONT, 12))
            .background_style(WHITE.mix(0.85))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
    }
    Ok(())
}
