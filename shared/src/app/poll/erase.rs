//! Anonymizes the votes of a person who is erased. The votes keep counting.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::voter_in;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::id::{CourseId, UserId};
use crate::domain::poll::Poll;
use crate::domain::text::Email;
use crate::domain::vote::Voter;

/// Concurrent queries of courses, and then of votes.
const CONCURRENCY: usize = 16;

/// Anonymizes a person's votes in the sessions of the given courses and in those that invited one of the addresses.
/// Returns how many there were. It is safe to run again after an interruption.
pub async fn anonymize_votes(
    services: &Services,
    user: &UserId,
    courses: BTreeSet<CourseId>,
    addresses: &[Email],
) -> Result<usize, Error> {
    let of_courses: Vec<Vec<Poll>> = stream::iter(courses)
        .map(|course| async move { services.store.polls_of_course(&course).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut sessions = BTreeSet::new();
    for address in addresses {
        let invitations =
            services.store.invitations(address, Timestamp::MIN, Timestamp::MAX).await?;
        sessions.extend(invitations.into_iter().map(|invitation| invitation.session));
    }
    let sessions: Vec<_> = sessions.into_iter().collect();
    let of_sessions = services.store.polls_of_sessions(&sessions).await?;
    let votes: Vec<bool> = stream::iter(of_courses.into_iter().flatten().chain(of_sessions))
        .map(|poll| async move { anonymize_vote(services, user, &poll).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(votes.into_iter().filter(|was_there| *was_there).count())
}

async fn anonymize_vote(services: &Services, user: &UserId, poll: &Poll) -> Result<bool, Error> {
    let secrets = services.secrets.get(services.clock.now()).await?;
    let voter = match voter_in(&secrets, poll, user) {
        Ok(voter) => voter,
        // Without the sealing key, an anonymous vote can no longer be attributed to anyone.
        Err(Error::Internal(error)) => {
            tracing::warn!(event = "poll.key_lost", poll_id = %poll.id, %error);
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let forgotten = Voter::erased(services.random.bytes());
    Ok(services.store.anonymize_voter(poll, &voter, &forgotten).await?)
}
