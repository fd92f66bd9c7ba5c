//! The attempt of a copy: one endpoint that has room now, and its answer read to the end for nobody.

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::record::Fault;
use crate::relay::exchange::Ended;
use crate::relay::exchange::Progress;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Way;
use crate::shard::attempt::once;
use crate::shard::attempt::pick::Unpicked;
use crate::shard::entry::Entry;
use crate::snapshot::Format;
use crate::units::Moment;

impl<'w> Attempts<'w> {
    /// Of a copy; none: the version's upstream has no words for it.
    pub(in crate::shard) fn of_copy(
        shard: &'w Shard,
        world: &'w World,
        way: &Way<'_>,
        request: &Incoming,
        response: &mut Response,
    ) -> Option<Self> {
        let mut attempts = Self::bare(shard, world, way, request, clock::now());
        // Its client was never there, so none is waited for.
        attempts.progress = Progress { return_by: Moment::NEVER, ..Progress::default() };
        if attempts.upstream().format != Format::Events {
            attempts.translate(response, way, request).ok()?;
        }
        Some(attempts)
    }
}

/// Asks once; a second time only where the connection had ended before anybody could know.
pub(in crate::shard) async fn run_copy(
    attempts: &mut Attempts<'_>,
    way: &Way<'_>,
    (nobody, request, response): (&mut Client, &mut Incoming, &mut Response),
    entry: &mut Entry<'_>,
) -> Result<(), Fault> {
    let mut outcome = ask(attempts, way, (nobody, request, response), entry).await;
    if let Err(fault) = outcome
        && attempts.is_stale(fault)
    {
        attempts.is_fresh_wanted = true;
        outcome = ask(attempts, way, (nobody, request, response), entry).await;
    }
    outcome.map(|_| ())
}

async fn ask(
    attempts: &mut Attempts<'_>,
    way: &Way<'_>,
    (nobody, request, response): (&mut Client, &mut Incoming, &mut Response),
    entry: &mut Entry<'_>,
) -> Result<Ended, Fault> {
    // Places in a line are for those who are answered.
    let seated = once::seated(attempts).map_err(|why| match why {
        Unpicked::Down => Fault::NoEndpoint,
        Unpicked::Full => Fault::EndpointsFull,
    })?;
    attempts.count = attempts.count.saturating_add(1);
    let met = (&mut *nobody, &*request, &mut *response);
    let mut attempt = once::begin(attempts, way, seated, met, entry).await?;
    attempts.deadlines.attempt = attempts.deadline_at(way, attempt.endpoint, attempt.began);
    let met = (nobody, request, &mut *response);
    let ended = once::exchange(attempts, way, &mut attempt, met, entry).await;
    once::conclude(attempts, way, attempt, response, ended)
}
