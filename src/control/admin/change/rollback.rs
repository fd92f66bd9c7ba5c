//! Back to the file as it was when an earlier snapshot was built.

use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Incoming;

use super::Refused;
use super::apply;
use super::apply::Done;
use super::apply::Scene;
use super::ask;
use crate::control::admin::Answer;
use crate::control::state::Shared;
use crate::control::watch::Published;

/// Where it is asked for.
pub(super) const PATH: &str = "/admin/rollback";

/// Goes back, and says what came of it; `who` asks.
pub(super) async fn answer(request: Request<Incoming>, shared: &Shared, who: String) -> Answer {
    if request.method() != Method::POST {
        return super::only("POST");
    }
    let query = request.uri().query().unwrap_or_default();
    let done = match number(query) {
        Err(refused) => Err(refused),
        Ok(to) => {
            let fields = request.headers().clone();
            // It goes on to its end if the client leaves: half of it is none.
            let rolling = tokio::spawn(roll_back(shared.clone(), to, who.clone(), fields));
            rolling.await.map_err(super::stopping).flatten()
        }
    };
    match done {
        Ok(done) => super::changed(&done, None),
        Err(refused) => refused.audited(&who, &format!("POST {PATH}?{query}")),
    }
}

/// Which snapshot is gone back to: `?to=NUMBER`, and nothing else.
fn number(query: &str) -> Result<u64, Refused> {
    let number = query.strip_prefix("to=").and_then(|number| number.parse().ok());
    let why = "which snapshot? write ?to=NUMBER, of one that /admin/history lists";
    number.ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, why))
}

/// Writes the text that snapshot `to` was built from, and has it served. What sources find and registries hold stays as it is.
///
/// # Errors
/// Why not: all is as it was.
async fn roll_back(
    shared: Shared,
    to: u64,
    who: String,
    fields: HeaderMap,
) -> Result<Done, Refused> {
    let remote = Scene::now(&shared)?.remote;
    let _alone = remote.alone().await;
    let scene = Scene::now(&shared)?;
    let number = scene.state.snapshot.number;
    ask::may_change(&fields, number)?;
    let path = scene.path()?;
    let wanted = wanted(&scene, to)?;
    if *wanted.text == *scene.text {
        let why = format!(
            "the file is as it was for snapshot {to}: what differs now was found by sources, or is kept in registries, and \
             changes there"
        );
        return Err(Refused::new(StatusCode::CONFLICT, why));
    }
    let cause = format!("{who}: rolled back to snapshot {to}");
    let number = apply::replace(&scene, &path, &wanted.text, cause).await?;
    let kept = format!("the file {}", scene.name);
    tracing::info!(who, to, kept, number, "rolled back by the admin API");
    apply::adopted(&shared, number).await;
    let item = format!("the file as of snapshot {to}").into();
    Ok(Done { number, is_changed: true, is_new: false, is_taken_up: true, kept, item })
}

fn wanted(scene: &Scene, to: u64) -> Result<&Published, Refused> {
    let history = &scene.state.history;
    history.iter().find(|published| published.number == to).ok_or_else(|| {
        let first = history.front().map_or(0, |published| published.number);
        let why = format!("snapshot {to} is not remembered: those from {first} on are");
        Refused::new(StatusCode::NOT_FOUND, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_needed_and_nothing_else() {
        assert_eq!(number("to=12"), Ok(12));
        for query in ["", "to", "to=", "to=x", "to=-1", "to=1&force=true", "of=1"] {
            assert!(number(query).is_err(), "{query}");
        }
    }
}
