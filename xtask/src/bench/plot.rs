//! A row's figures as bars, in SVG.

use std::fmt::Write as _;

use super::results::Measured;
use super::rows::Row;
use super::samples::Spread;

const WIDTH: f64 = 760.0;
/// Where bars begin and how far the longest reaches.
const LEFT: f64 = 190.0;
const LONGEST: f64 = 450.0;
const BAR: f64 = 18.0;
const STEP: f64 = 26.0;
const TOP: f64 = 44.0;

/// Colours of text, of our bars and of others', by day and by night.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}.dim{fill:#59636e}\
rect{fill:#8c959f}.ours{fill:#0969da}.back{fill:#ffffff}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}rect{fill:#656c76}.ours{fill:#4493f8}.back{fill:#0d1117}}";

/// The picture: a bar for the median of each server, a line from the least to the most.
pub fn svg(row: &Row, measured: &Measured) -> String {
    let bars: Vec<_> =
        measured.servers.iter().filter_map(|(who, samples)| Some((*who, Spread::of(samples.figures.iter().copied())?))).collect();
    let most = bars.iter().map(|(_, spread)| spread.most).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + STEP * bars.len() as f64 + 10.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text class=\"title\" x=\"12\" y=\"24\">{}\
         <tspan class=\"dim\" font-weight=\"400\"> - {}, less is better</tspan></text>\n",
        escaped(row.title),
        escaped(row.figure.unit()),
    );
    for (index, (who, spread)) in bars.iter().enumerate() {
        let top = TOP + STEP * index as f64;
        let (middle, length) = (top + BAR / 2.0, |value: f64| LONGEST * value / most);
        let class = if who.is_ours() { " class=\"ours\"" } else { "" };
        let _ = writeln!(
            picture,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect{class} x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{BAR}\" rx=\"2\"/><path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#d1242f\" stroke-width=\"1.5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            middle + 4.5,
            escaped(who.name()),
            length(spread.median).max(1.0),
            LEFT + length(spread.least),
            LEFT + length(spread.most),
            LEFT + length(spread.most) + 8.0,
            middle + 4.5,
            escaped(&row.figure.written(spread.median)),
        );
    }
    picture + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::super::rows;
    use super::*;

    #[test]
    fn every_server_has_a_bar_as_long_as_its_figure() {
        let picture = svg(rows::named("echo-32").unwrap(), &measured());
        // 4 and 41 of at most 42.
        for part in
            [">bare</text>", "width=\"42.9\"", "class=\"ours\" x=\"190\"", ">tidewire</text>", "width=\"439.3\"", ">41.00</text>"]
        {
            assert!(picture.contains(part), "{part} is missing in {picture}");
        }
        assert_eq!(picture.matches("<rect").count(), 4);
        assert_eq!(escaped("a<b & c>d"), "a&lt;b &amp; c&gt;d");
    }
}
