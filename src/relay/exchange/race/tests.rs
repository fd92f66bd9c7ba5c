//! Two connections and one request: the first that answers is run, and nothing is lost of what it said.

use super::Ahead;
use crate::record::Fault;
use crate::relay::exchange::Ended;
use crate::relay::exchange::Judged;
use crate::relay::exchange::tests::Asking;
use crate::relay::exchange::tests::OK;
use crate::relay::exchange::tests::answer;
use crate::relay::exchange::tests::link;
use crate::relay::exchange::tests::ms;
use crate::relay::exchange::tests::on_both_drivers;
use crate::relay::upload::Upload;
use crate::ring::clock;
use crate::units::Moment;
use crate::upstream::Link;

async fn race(
    asking: &mut Asking,
    link: &mut Link,
    upload: &mut Upload,
    rival: &mut Link,
) -> Result<Ahead, Fault> {
    let (mut exchange, request) = asking.exchange(link);
    exchange.race(upload, request, &[], rival).await
}

#[test]
fn the_first_of_two_that_answers_is_run_or_the_one_that_is_left() {
    for (ahead, is_link) in [
        (Ahead::Link, true),
        (Ahead::LinkAlone(None), true),
        (Ahead::Rival, false),
        (Ahead::RivalAlone(None), false),
    ] {
        on_both_drivers(move || async move {
            let mut asking = Asking::begin(Judged::Withhold, 3).await;
            asking.deadlines.hedge_at = clock::now();
            let (mut first, first_far) = link().await;
            let mut first_upload = asking.upload(&mut first);
            let ended = asking.run(&mut first, &mut first_upload).await;
            assert_eq!(ended, Ok(Ended::HedgeDue));
            asking.deadlines.hedge_at = Moment::NEVER;
            let (mut second, second_far) = link().await;
            let mut second_upload = asking.upload(&mut second);
            let (winner, loser) =
                if is_link { (second_far, first_far) } else { (first_far, second_far) };
            let (mut answering, mut silent) = (Some(winner), Some(loser));
            match ahead {
                Ahead::Link | Ahead::Rival => answer(answering.take().unwrap(), &[OK]),
                Ahead::LinkAlone(_) | Ahead::RivalAlone(_) => drop(silent.take()),
            }
            let met = race(&mut asking, &mut second, &mut second_upload, &mut first).await;
            assert_eq!(met, Ok(ahead));
            assert!(asking.is_intact() && asking.progress.first_byte.is_none());
            answering.into_iter().for_each(|far| answer(far, &[OK]));
            let ended = if is_link {
                asking.run(&mut second, &mut second_upload).await
            } else {
                asking.run(&mut first, &mut first_upload).await
            };
            assert_eq!(ended, Ok(Ended::Done));
            asking.down("fine").await;
            drop(silent);
        });
    }
}

#[test]
fn a_race_that_nobody_wins_ends_in_time() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        let ((mut first, _first_far), (mut second, _second_far)) = (link().await, link().await);
        let mut upload = asking.upload(&mut first);
        asking.deadlines.hedge_at = clock::now();
        assert_eq!(asking.run(&mut first, &mut upload).await, Ok(Ended::HedgeDue));
        let mut upload = asking.upload(&mut second);
        asking.deadlines.attempt = clock::now().after(ms(20));
        let ended = race(&mut asking, &mut second, &mut upload, &mut first).await;
        assert_eq!(ended, Err(Fault::AttemptTimedOut));
    });
}

#[test]
fn a_client_that_leaves_ends_a_race() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        let ((mut first, _first_far), (mut second, _second_far)) = (link().await, link().await);
        let mut upload = asking.upload(&mut second);
        let (_, another) = link().await;
        std::mem::replace(&mut asking.near, another).reset();
        let ended = race(&mut asking, &mut second, &mut upload, &mut first).await;
        assert_eq!(ended, Err(Fault::ClientGone));
    });
}
