//! Making the votes of a person who is erased nobody's. What they voted goes on counting.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::voter;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::vote::Voter;
use crate::domain::id::{CourseId, UserId};
use crate::domain::poll::Poll;
use crate::domain::text::Email;

/// Courses, and then votes, that are looked for at once.
const AT_ONCE: usize = 16;

/// Forgets whose votes were a person's, in the classes of courses that they were in and in those that invited one of their
/// addresses; answers how many there were. Doing it again finds none, so that an erasing that was cut off can be run
/// again.
pub async fn forget(
    tools: &Services,
    user: &UserId,
    courses: BTreeSet<CourseId>,
    addresses: &[Email],
) -> Result<usize, Error> {
    let of_courses: Vec<Vec<Poll>> = stream::iter(courses)
        .map(|course| async move { tools.store.polls_of_course(&course).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut sessions = BTreeSet::new();
    for address in addresses {
        let invitations = tools.store.invitations(address, Timestamp::MIN, Timestamp::MAX).await?;
        sessions.extend(invitations.into_iter().map(|invitation| invitation.session));
    }
    let sessions: Vec<_> = sessions.into_iter().collect();
    let of_sessions = tools.store.polls_of(&sessions).await?;
    let votes: Vec<bool> = stream::iter(of_courses.into_iter().flatten().chain(of_sessions))
        .map(|poll| async move { forget_vote(tools, user, &poll).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(votes.into_iter().filter(|was_there| *was_there).count())
}

async fn forget_vote(tools: &Services, user: &UserId, poll: &Poll) -> Result<bool, Error> {
    let secrets = tools.secrets.get(tools.clock.now()).await?;
    let voter = match voter(&secrets, poll, user) {
        Ok(voter) => voter,
        // Without the key that it was sealed with nobody can tell any more whose an anonymous vote was.
        Err(Error::Internal(error)) => {
            tracing::warn!(event = "poll.key_lost", poll_id = %poll.id, %error);
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let forgotten = Voter::forgotten(tools.random.bytes());
    Ok(tools.store.forget_voter(poll, &voter, &forgotten).await?)
}
