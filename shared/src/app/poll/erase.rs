//! Anonymizes the votes of a person who is erased. The votes keep counting.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::voter_in;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::poll::Poll;
use crate::domain::vote::Voter;

/// Concurrent queries of courses, and then of votes.
const CONCURRENCY: usize = 16;

/// Anonymizes a person's votes in these sessions and in those of these courses. Polls that were opened after the erasure are
/// left out, because the person has come back. Returns how many votes there were. It is safe to run again after an
/// interruption.
pub async fn anonymize_votes(
    services: &Services,
    user: &UserId,
    sessions: &[SessionId],
    courses: Vec<CourseId>,
    erased_at: Timestamp,
) -> Result<usize, Error> {
    let of_courses: Vec<Vec<Poll>> = stream::iter(courses)
        .map(|course| async move { services.store.polls_of_course(&course).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let of_sessions = services.store.polls_of_sessions(sessions).await?;
    let polls = of_courses.into_iter().flatten().chain(of_sessions);
    let polls = polls.filter(|poll| poll.opened_at <= erased_at);
    let votes: Vec<bool> = stream::iter(polls.collect::<Vec<_>>())
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
