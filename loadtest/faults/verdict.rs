//! Whether a phase kept what was promised: pure.

use crate::faults::measure::Figures;
use crate::faults::plan::Phase;
use crate::faults::plan::Promises;

/// What was not kept, each in a sentence; nothing, if all was.
#[must_use]
pub fn broken(promises: &Promises, phase: &Phase, figures: &Figures) -> Vec<String> {
    let mut broken = Vec::new();
    if figures.hideable > 0 {
        broken.push(format!("{} failures reached clients before a byte did", figures.hideable));
    }
    if figures.mid_answer > 0 && !phase.breaks_answers {
        broken.push(format!("{} answers broke that the fault does not break", figures.mid_answer));
    }
    if figures.queued > 0 {
        let queued = figures.queued;
        broken
            .push(format!("{queued} requests waited for the tester: more connections are needed"));
    }
    match figures.attempts_per_request {
        None => broken.push("there was no request".to_owned()),
        Some(attempts) if attempts > promises.attempts_per_request => {
            let most = promises.attempts_per_request;
            broken.push(format!("{attempts:.3} attempts for each request, above {most}"));
        }
        Some(_) => {}
    }
    percentile(promises, figures, &mut broken);
    if figures.recovered_ms.is_none() {
        broken.push("the endpoint was well again and was not used again".to_owned());
    }
    broken
}

fn percentile(promises: &Promises, figures: &Figures, broken: &mut Vec<String>) {
    let Some(before) = figures.p99_before_ms else {
        broken.push("nothing was answered before the fault".to_owned());
        return;
    };
    let limit = before * promises.p99_factor;
    let patience = f64::from(promises.p99_back_ms);
    let latest = figures.ejected_ms.unwrap_or(0.0) + patience;
    let since = if figures.ejected_ms.is_some() { "the ejection" } else { "the fault's start" };
    match figures.back_ms {
        None => broken.push(format!("p99 did not come back below {limit:.0} ms for a second")),
        Some(back) if back > latest => {
            let late = back - (latest - patience);
            broken.push(format!("p99 was back {late:.0} ms after {since}, above {patience} ms"));
        }
        Some(_) => {}
    }
    match figures.p99_settled_ms {
        None => broken.push(format!("nothing was answered from {patience} ms after {since} on")),
        Some(settled) if settled > limit => broken.push(format!(
            "p99 from {patience} ms after {since} to its end was {settled:.0} ms, above {limit:.0}"
        )),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::plan::Fault;

    const PROMISES: Promises =
        Promises { attempts_per_request: 1.2, p99_factor: 1.5, p99_back_ms: 1000, bucket_ms: 250 };

    fn good() -> Figures {
        Figures {
            requests: 1000,
            attempts_per_request: Some(1.2),
            p99_before_ms: Some(40.0),
            p99_settled_ms: Some(60.0),
            ejected_ms: Some(300.0),
            back_ms: Some(1250.0),
            recovered_ms: Some(3000.0),
            ..Figures::default()
        }
    }

    fn judge(figures: &Figures, breaks_answers: bool) -> String {
        let phase = Phase { name: "x".to_owned(), fault: Fault::Refused, breaks_answers };
        broken(&PROMISES, &phase, figures).join("; ")
    }

    #[test]
    fn what_is_kept_is_kept() {
        assert_eq!(judge(&good(), false), "");
        assert_eq!(judge(&Figures { mid_answer: 9, ..good() }, true), "");
        // Nobody was ejected: then it must be back within a second of the fault's start.
        assert_eq!(
            judge(&Figures { ejected_ms: None, back_ms: Some(1000.0), ..good() }, false),
            ""
        );
    }

    #[test]
    fn each_promise_can_be_broken() {
        for (figures, words) in [
            (Figures { hideable: 1, ..good() }, "1 failures reached clients"),
            (Figures { mid_answer: 2, ..good() }, "2 answers broke"),
            (Figures { queued: 3, ..good() }, "3 requests waited for the tester"),
            (Figures { attempts_per_request: Some(1.21), ..good() }, "1.210 attempts"),
            (Figures { attempts_per_request: None, ..good() }, "no request"),
            (Figures { p99_before_ms: None, ..good() }, "before the fault"),
            (Figures { back_ms: None, ..good() }, "did not come back below 60 ms"),
            (Figures { back_ms: Some(1500.0), ..good() }, "1200 ms after the ejection"),
            (Figures { ejected_ms: None, ..good() }, "1250 ms after the fault's start"),
            (Figures { p99_settled_ms: Some(61.0), ..good() }, "was 61 ms"),
            (Figures { p99_settled_ms: None, ..good() }, "nothing was answered"),
            (Figures { recovered_ms: None, ..good() }, "not used again"),
        ] {
            let said = judge(&figures, false);
            assert!(said.contains(words), "{said:?} {words:?}");
        }
    }
}
