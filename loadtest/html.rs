//! The page with plots: one file, no scripts, nothing loaded from elsewhere.

use std::fmt::Write as _;

use crate::report::Report;
use crate::runner::Outcome;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 44.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b", "#555555"];
/// Shares of values at which the plots have a line: 0, 50, 90, 99, 99.9, 99.99 %.
const SHARES: [(f64, &str); 6] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let machine = &report.machine;
    let mut page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Ringway load test</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}}\
         table{{border-collapse:collapse}}td,th{{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}}\
         td:first-child,th:first-child{{text-align:left}}svg{{margin:0 1em 1em 0}}\
         .void{{background:#fdd}}</style>\
         <h1>Ringway load test</h1><p>{} \u{d7} {}, kernel {}, TCP {}, load {}, commit {}</p>",
        machine.cpus,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.congestion),
        escape(&machine.load),
        escape(&machine.commit)
    );
    if !report.is_clean {
        page.push_str(
            "<p class=\"void\"><b>Not every run was clean: its figures are void.</b></p>",
        );
    }
    for plan in &report.plans {
        let outcomes: Vec<&Outcome> =
            report.outcomes.iter().filter(|outcome| outcome.plan == plan.name).collect();
        let _infallible =
            write!(page, "<h2>{}</h2><p>{}</p>", escape(&plan.name), escape(&plan.what));
        table(&outcomes, &mut page);
        for (what, title) in [
            ("latency", "from the intended start to the end of the answer"),
            ("first", "from the intended start to the first event or byte"),
            ("relay", "from the mock's write of an event to its arrival"),
            ("gap", "between neighbouring events"),
        ] {
            plot(&outcomes, what, title, &mut page);
        }
    }
    page
}

fn table(outcomes: &[&Outcome], page: &mut String) {
    page.push_str(
        "<table><tr><th>through<th>requests/s<th>events/s<th>CPU us/request<th>CPU us/event\
         <th>latency p50<th>p99 us<th>relay p50<th>p99 us<th>RSS KiB/open<th>clean</tr>",
    );
    for outcome in outcomes {
        let cost = outcome.cost.as_ref();
        let _infallible = write!(
            page,
            "<tr{}><td>{}<td>{:.0}<td>{:.0}<td>{:.2}<td>{:.2}<td>{:.0}<td>{:.0}<td>{:.0}<td>{:.0}<td>{:.2}<td>{}</tr>",
            if outcome.is_clean { "" } else { " class=\"void\"" },
            escape(&outcome.through),
            outcome.requests_per_second,
            outcome.events_per_second,
            cost.map_or(0.0, |cost| cost.us_per_request),
            cost.map_or(0.0, |cost| cost.us_per_event),
            outcome.latency_us.p50,
            outcome.latency_us.p99,
            outcome.relay_us.p50,
            outcome.relay_us.p99,
            cost.map_or(0.0, |cost| cost.rss_kib_per_open),
            if outcome.is_clean { "yes" } else { "NO" }
        );
    }
    page.push_str("</table>");
}

/// A curve per outcome: share of values (upwards, in nines) over time (to the right, in powers of ten).
fn plot(outcomes: &[&Outcome], what: &str, title: &str, page: &mut String) {
    let curves: Vec<(&str, &Vec<(f64, f64)>)> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.through.as_str(), outcome.curves.get(what)?)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let times = || curves.iter().flat_map(|(_, points)| points.iter()).map(|(_, us)| us.max(1.0));
    let (Some(least), Some(most)) = (times().reduce(f64::min), times().reduce(f64::max)) else {
        return;
    };
    let (low, high) = (least.log10().floor(), (most.log10() + 0.01).ceil());
    let x = |us: f64| MARGIN + (us.max(1.0).log10() - low) / (high - low) * (WIDTH - MARGIN - 10.0);
    let y = |share: f64| HEIGHT - 24.0 - nines(share) / 4.0 * (HEIGHT - 44.0);
    let _infallible = write!(
        page,
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"11\" fill=\"#444\"><text x=\"{MARGIN}\" y=\"12\">{what}: {title}</text>"
    );
    for (share, label) in SHARES {
        let _infallible = write!(
            page,
            "<line x1=\"{MARGIN}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#eee\"/><text x=\"0\" y=\"{0:.1}\">{label}</text>",
            y(share)
        );
    }
    let mut power = low;
    while power <= high {
        let us = 10f64.powf(power);
        let _infallible = write!(
            page,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"20\" y2=\"{1}\" stroke=\"#eee\"/><text x=\"{0:.1}\" y=\"{2}\">{3}</text>",
            x(us),
            HEIGHT - 24.0,
            HEIGHT - 8.0,
            time(us)
        );
        power += 1.0;
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, points) in curves {
        let known = names.iter().position(|known| *known == name);
        let number = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        let colour = COLOURS[number % COLOURS.len()];
        let line: Vec<String> =
            points.iter().map(|(share, us)| format!("{:.1},{:.1}", x(*us), y(*share))).collect();
        let _infallible = write!(
            page,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
            line.join(" ")
        );
        if known.is_none() {
            let _infallible = write!(
                page,
                "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
                WIDTH - 120.0,
                30.0 + 13.0 * f64::from(u32::try_from(number).unwrap_or(0)),
                escape(name)
            );
        }
    }
    page.push_str("</svg>");
}

/// How many nines a share has, at most four.
fn nines(share: f64) -> f64 {
    (-(1.0 - share).max(0.0001).log10()).min(4.0)
}

fn time(us: f64) -> String {
    if us >= 1e6 {
        format!("{:.0} s", us / 1e6)
    } else if us >= 1e3 {
        format!("{:.0} ms", us / 1e3)
    } else {
        format!("{us:.0} us")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
