//! The picture a run leaves behind: its losses, and its learning rate below, as an SVG file.

mod axis;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use self::axis::Axis;
use crate::error::Result;
use crate::run::History;
use crate::view::axis::{rounded, scientific_label, ticks};
use crate::view::curve::{Curve, CurvePoint};
use crate::view::format::thousands;
use crate::view::scale::Scale;

const SIZE: (u32, u32) = (960, 600);
/// Units of the drawing to a pixel: plotters rounds to whole units, and curves would have steps otherwise.
const UNIT: i32 = 4;
/// Height of the part below, for the learning rate.
const RATE_HEIGHT: i32 = 170;
const HEADER_HEIGHT: i32 = 52;

const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GREY: RGBColor = RGBColor(0x6e, 0x77, 0x81);
const GRID: RGBColor = RGBColor(0xea, 0xee, 0xf2);
const AXIS: RGBColor = RGBColor(0xc0, 0xc7, 0xce);
const TRAIN: RGBColor = RGBColor(0x21, 0x71, 0xb5);
const VALID: RGBColor = RGBColor(0xe0, 0x7b, 0x1f);
const FLOOR: RGBColor = RGBColor(0x2d, 0x93, 0x4c);

/// The smoothed line averages over this part of the run on both sides.
const SMOOTHNESS: usize = 80;
/// Marks of the losses.
const MOST_MARKS: usize = 8;
/// Validation losses beyond this number are a line without markers.
const MOST_MARKERS: usize = 60;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), Box<dyn Error>>;

/// Draws the curves of a run to `path`: losses in nats per token and learning rates, each by step.
///
/// `floor` is a loss that no model can beat. Values that are not finite are left out, and long curves are thinned
/// to a few thousand points.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if the file cannot be written.
pub(crate) fn loss_svg(path: &Path, title: &str, history: &History, floor: Option<f64>) -> Result<()> {
    let losses = Losses {
        train: history.train_losses().collect(),
        valid: history.valid_losses().collect(),
        floor: floor.filter(|floor| floor.is_finite()),
    };
    let picture = picture(title, &losses, &history.learning_rates().collect())
        .map_err(|error| crate::Error::io(path)(io::Error::other(error.to_string())))?;
    Ok(kiln_model::write_file(path, picture)?)
}

/// The picture as SVG.
fn picture(title: &str, losses: &Losses, rates: &Curve) -> Result<String, Box<dyn Error>> {
    let mut picture = String::new();
    draw(&mut picture, title, losses, rates)?;
    let size = |unit: u32| format!(r#"<svg width="{}" height="{}""#, SIZE.0 * unit, SIZE.1 * unit);
    Ok(picture.replacen(&size(UNIT as u32), &size(1), 1))
}

const fn px(pixels: i32) -> i32 {
    pixels * UNIT
}

struct Losses {
    train: Curve,
    valid: Curve,
    floor: Option<f64>,
}

fn draw(picture: &mut String, title: &str, losses: &Losses, rates: &Curve) -> Drawn {
    let drawn = (SIZE.0 * UNIT as u32, SIZE.1 * UNIT as u32);
    let root = SVGBackend::with_string(picture, drawn).into_drawing_area();
    root.fill(&WHITE)?;
    let (header, body) = root.split_vertically(px(HEADER_HEIGHT));
    draw_header(&header, title, losses)?;
    let steps = [&losses.train, &losses.valid, rates].into_iter().flat_map(Curve::points).map(|p| p.step);
    let Some((first, last)) = range(steps) else {
        let style = (FONT, px(16)).into_font().color(&GREY).pos(Pos::new(HPos::Center, VPos::Center));
        body.draw(&Text::new("no steps yet", (px(SIZE.0 as i32 / 2), px(200)), style))?;
        return Ok(root.present()?);
    };
    let first = if first < 0.05 * last { 0.0 } else { first };
    let steps = first..last.max(first + 1.0);
    if rates.is_empty() {
        draw_losses(&body, losses, steps)?;
    } else {
        let (above, below) = body.split_vertically(px(SIZE.1 as i32 - HEADER_HEIGHT - RATE_HEIGHT));
        draw_losses(&above, losses, steps.clone())?;
        draw_rates(&below, rates, steps)?;
    }
    Ok(root.present()?)
}

/// The title at the left, what the colours mean at the right.
fn draw_header(area: &Area, title: &str, losses: &Losses) -> Drawn {
    let anchor = Pos::new(HPos::Left, VPos::Center);
    let bold =
        FontDesc::new(FontFamily::Name(FONT), f64::from(px(19)), FontStyle::Bold).color(&INK).pos(anchor);
    area.draw(&Text::new(title.to_owned(), (px(24), px(28)), bold))?;
    let label = (FONT, px(14)).into_font().color(&GREY).pos(anchor);
    let entries = [
        ("training", 88, TRAIN, !losses.train.is_empty()),
        ("validation", 98, VALID, !losses.valid.is_empty()),
        ("floor", 66, FLOOR, losses.floor.is_some()),
    ];
    let shown = entries.iter().filter(|(.., shown)| *shown);
    let mut x = SIZE.0 as i32 - 20 - shown.clone().map(|(_, width, ..)| width).sum::<i32>();
    for (name, width, color, _) in shown {
        let line = vec![(px(x), px(28)), (px(x + 18), px(28))];
        if *name == "floor" {
            for x in (x..x + 18).step_by(6) {
                let dot = vec![(px(x), px(28)), (px(x + 2), px(28))];
                area.draw(&PathElement::new(dot, color.stroke_width(px(2) as u32)))?;
            }
        } else {
            area.draw(&PathElement::new(line, color.stroke_width(px(2) as u32)))?;
        }
        if *name == "validation" {
            area.draw(&Circle::new((px(x + 9), px(28)), px(3), color.filled()))?;
        }
        area.draw(&Text::new((*name).to_owned(), (px(x + 24), px(28)), label.clone()))?;
        x += width;
    }
    Ok(())
}

fn draw_losses(area: &Area, losses: &Losses, steps: Range<f64>) -> Drawn {
    let train: Vec<_> = losses.train.points().collect();
    let valid: Vec<(f64, f64)> = losses.valid.points().map(|p| (p.step, p.value)).collect();
    let smooth = smoothed(&train);
    let shown = smooth.iter().map(|p| p.1).chain(valid.iter().map(|p| p.1)).chain(losses.floor);
    let Some((lowest, highest)) = range(shown) else { return Ok(()) };
    let scale = Scale::between(lowest, highest);
    let (low, high) = (scale.place(lowest), scale.place(highest));
    let margin = (high - low).max(1e-3) * 0.05;
    let (low, high) = (low - margin, high + margin);
    let marks = scale.marks(low, high, MOST_MARKS).into_iter().map(|mark| scale.place(mark)).collect();
    let name = match scale {
        Scale::Linear => "loss in nats per token",
        Scale::Logarithmic => "loss in nats per token, logarithmic scale",
    };
    let label = |y: &f64| rounded(scale.value(*y)).to_string();
    let mut chart = axes(area, steps.clone(), low..high, marks, &label, name)?;

    let place = |step, loss| (step, scale.place(loss));
    let raw = train.iter().map(|p| place(p.step, p.value.max(f64::MIN_POSITIVE)));
    // What sticks out is drawn at the edge: a single bad step must not set the scale.
    let raw = raw.map(|(step, y)| (step, y.clamp(low, high)));
    chart.draw_series(LineSeries::new(raw, TRAIN.mix(0.22).stroke_width(px(1) as u32)))?;
    if let Some(floor) = losses.floor {
        let ends = [place(steps.start, floor), place(steps.end, floor)];
        chart.draw_series(DashedLineSeries::new(ends, px(2), px(4), FLOOR.stroke_width(px(2) as u32)))?;
    }
    let smooth = smooth.iter().map(|p| place(p.0, p.1));
    chart.draw_series(LineSeries::new(smooth, TRAIN.stroke_width(px(2) as u32)))?;
    chart.draw_series(LineSeries::new(
        valid.iter().map(|p| place(p.0, p.1)),
        VALID.stroke_width(px(2) as u32),
    ))?;
    if valid.len() <= MOST_MARKERS {
        let marker = |p: &(f64, f64)| Circle::new(place(p.0, p.1), px(3), VALID.filled());
        chart.draw_series(valid.iter().map(marker))?;
    }
    Ok(())
}

/// The mean over as many points before as after each, so that the line does not trail behind its points; at
/// the end, where the curve is flat and noisy, over those that there are.
fn smoothed(points: &[CurvePoint]) -> Vec<(f64, f64)> {
    let mean = |(i, point): (usize, &CurvePoint)| {
        let reach = (points.len() / SMOOTHNESS).min(i);
        let near = &points[i - reach..(i + reach + 1).min(points.len())];
        (point.step, near.iter().map(|p| p.value / near.len() as f64).sum())
    };
    points.iter().enumerate().map(mean).collect()
}

fn draw_rates(area: &Area, rates: &Curve, steps: Range<f64>) -> Drawn {
    let Some((_, highest)) = range(rates.points().map(|p| p.value)) else { return Ok(()) };
    let high = if highest > 0.0 { highest * 1.08 } else { 1.0 };
    let label = |rate: &f64| scientific_label(*rate);
    let mut chart = axes(area, steps, 0.0..high, ticks(0.0, high, 3), &label, "learning rate")?;
    let line = rates.points().map(|p| (p.step, p.value));
    chart.draw_series(LineSeries::new(line, GREY.stroke_width(px(2) as u32)))?;
    Ok(())
}

/// A chart with its grid, its axes and its name at the top left.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    steps: Range<f64>,
    values: Range<f64>,
    marks: Vec<f64>,
    label: &dyn Fn(&f64) -> String,
    name: &str,
) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let text = (FONT, px(13)).into_font().color(&GREY);
    area.draw(&Text::new(name.to_owned(), (px(24), px(2)), text.clone()))?;
    let step_marks = ticks(steps.start, steps.end, 9);
    let mut chart = ChartBuilder::on(area)
        .margin_top(px(26))
        .margin_right(px(28))
        .margin_left(px(8))
        .x_label_area_size(px(30))
        .y_label_area_size(px(52))
        .build_cartesian_2d(Axis { range: steps, marks: step_marks }, Axis { range: values, marks })?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .set_all_tick_mark_size(px(4))
        .bold_line_style(GRID.stroke_width(px(1) as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(AXIS.stroke_width(px(1) as u32))
        .label_style(text)
        .x_label_formatter(&|step| thousands(*step as u64))
        .y_label_formatter(label)
        .draw()?;
    Ok(chart)
}

/// Least and greatest of what is finite.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|x| x.is_finite()).fold(None, |range, x| match range {
        None => Some((x, x)),
        Some((low, high)) => Some((low.min(x), high.max(x))),
    })
}
