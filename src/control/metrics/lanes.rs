//! The samples of lanes: what was counted of requests, by model and upstream.

use std::sync::Arc;

use crate::control::metrics::LaneName;
use crate::control::metrics::text;
use crate::control::metrics::text::Labels;
use crate::control::metrics::text::seconds;
use crate::crossing::gauges::Page;
use crate::record::Chosen;
use crate::record::Fault;
use crate::record::counters::LANE_CELLS;
use crate::record::counters::LaneCell;
use crate::record::counters::LaneCounter;
use crate::record::histogram::Histogram;
use crate::record::status::StatusLabel;
use crate::units::LaneId;

/// The sums of one lane over all shards.
pub(super) struct Total {
    model: String,
    upstream: String,
    cells: Box<[u64; LANE_CELLS]>,
}

impl Total {
    pub(super) fn of(pages: &[Arc<Page>], lanes: &[Option<LaneId>]) -> Self {
        let mut cells = Box::new([0_u64; LANE_CELLS]);
        for page in pages {
            for &lane in lanes {
                for (sum, cell) in cells.iter_mut().zip(LaneCell::all()) {
                    *sum = sum.wrapping_add(page.load_lane(lane, cell));
                }
            }
        }
        Self { model: String::new(), upstream: String::new(), cells }
    }

    pub(super) fn load(&self, cell: impl Into<LaneCell>) -> u64 {
        self.cells[cell.into().index()]
    }

    pub(super) fn labels(&self) -> Labels {
        Labels::new().with("model", &self.model).with("upstream", &self.upstream)
    }

    /// OpenTelemetry's name for the model, ours for the upstream.
    pub(super) fn gen_ai_labels(&self) -> Labels {
        Labels::new().with("gen_ai_request_model", &self.model).with("upstream", &self.upstream)
    }
}

/// The sums of all named lanes. Lanes of the same name are one series: a name may come back with another number.
pub(super) fn totals(pages: &[Arc<Page>], names: &[LaneName]) -> Vec<Total> {
    let mut names: Vec<&LaneName> = names.iter().collect();
    names.sort();
    names
        .chunk_by(|one, next| one.model == next.model && one.upstream == next.upstream)
        .filter_map(|same| {
            let lanes: Vec<_> = same.iter().map(|name| Some(name.lane)).collect();
            let first = same.first()?;
            let (model, upstream) = (first.model.clone(), first.upstream.clone());
            Some(Total { model, upstream, ..Total::of(pages, &lanes) })
        })
        .collect()
}

pub(super) fn statuses(lane: &Total, name: &str, out: &mut String) {
    for status in StatusLabel::all() {
        let count = lane.load(status);
        if count > 0 {
            text::sample(out, name, &lane.labels().with("status", status.label()), count);
        }
    }
}

pub(super) fn faults(lane: &Total, name: &str, out: &mut String) {
    for &fault in Fault::ALL {
        let count = lane.load(fault);
        if count > 0 {
            let labels = lane.labels().with("fault", fault.label());
            text::sample(out, name, &labels.with("whose", fault.whose().label()), count);
        }
    }
}

pub(super) fn bytes(lane: &Total, name: &str, out: &mut String) {
    for (direction, counter) in [("up", LaneCounter::BytesUp), ("down", LaneCounter::BytesDown)] {
        let labels = lane.labels().with("direction", direction);
        text::sample(out, name, &labels, lane.load(counter));
    }
}

pub(super) fn fallbacks(lane: &Total, name: &str, out: &mut String) {
    for (reason, counter) in
        [("failed", LaneCounter::FellBack), ("too_long", LaneCounter::ContextFallbacks)]
    {
        text::sample(out, name, &lane.labels().with("reason", reason), lane.load(counter));
    }
}

/// Left out where none were counted: most models have one version.
pub(super) fn chosen(lane: &Total, name: &str, out: &mut String) {
    for &why in Chosen::ALL {
        let count = lane.load(why);
        if count > 0 {
            text::sample(out, name, &lane.labels().with("why", why.label()), count);
        }
    }
}

/// The two histograms of tokens, and what their tokens are called.
pub(super) const TOKEN_KINDS: [(&str, Histogram); 2] =
    [("input", Histogram::InputTokens), ("output", Histogram::OutputTokens)];

/// Left out where none were counted: not every upstream is a language model.
pub(super) fn tokens(lane: &Total, name: &str, out: &mut String) {
    for (kind, histogram) in TOKEN_KINDS {
        let count = lane.load(LaneCell::sum(histogram));
        if count > 0 {
            text::sample(out, name, &lane.labels().with("kind", kind), count);
        }
    }
}

pub(super) fn times(lane: &Total, histogram: Histogram, name: &str, out: &mut String) {
    let labels = || match histogram {
        Histogram::TimeToFirstToken | Histogram::Duration => lane.gen_ai_labels(),
        _ => lane.labels(),
    };
    buckets(lane, histogram, name, labels, seconds, out);
}

/// A histogram, left out while it is empty: a lane nobody uses would be 50 lines of zeroes.
pub(super) fn buckets(
    lane: &Total,
    histogram: Histogram,
    name: &str,
    labels: impl Fn() -> Labels,
    show: impl Fn(u64) -> String,
    out: &mut String,
) {
    let buckets = 0..=histogram.bounds().len();
    let count: u64 = buckets.map(|place| lane.load(LaneCell::bucket(histogram, place))).sum();
    if count == 0 {
        return;
    }
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    for (place, &bound) in histogram.bounds().iter().enumerate() {
        below += lane.load(LaneCell::bucket(histogram, place));
        text::sample(out, &bucket, &labels().with("le", &show(bound)), below);
    }
    text::sample(out, &bucket, &labels().with("le", "+Inf"), count);
    let sum = show(lane.load(LaneCell::sum(histogram)));
    text::sample(out, &format!("{name}_sum"), &labels(), sum);
    text::sample(out, &format!("{name}_count"), &labels(), count);
}
