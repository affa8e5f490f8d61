//! The calls for the past meetings of one session, with the token of its host.

use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::meeting::MeetingError;
use crate::app::zoom_access::with_token;
use crate::app::zoom_rate_limiter::{ZoomRateLimiter, account_of};
use crate::domain::hosting::Hosting;
use crate::domain::id::MeetingId;
use crate::domain::scope;
use crate::domain::session::Session;
use crate::domain::zoom_report::{InstanceReport, ROWS_LIMIT};
use crate::zoom::ZoomError;
use crate::zoom::lists::LIST_ATTEMPTS;
use crate::zoom::past_meetings::{PageOutcome, ParticipantList, PastInstance, PastInstanceTimes};

pub(super) struct PastMeetingCalls<'a> {
    tools: &'a Services,
    limiter: &'a mut ZoomRateLimiter,
    account: String,
    zoom_access: ZoomAccess,
    list: ParticipantList,
    /// The pseudonym of the host.
    host_user: Option<String>,
}

impl<'a> PastMeetingCalls<'a> {
    pub(super) async fn new(
        tools: &'a Services,
        limiter: &'a mut ZoomRateLimiter,
        session: &Session,
    ) -> Result<Self, Error> {
        let zoom_access = tools.host_access(&session.trainer, &session.meeting.host()).await?;
        let list = match session.meeting.hosting() {
            Hosting::Platform => ParticipantList::AccountReport,
            Hosting::Trainer => ParticipantList::PastMeeting,
        };
        let host_user = session.meeting.host_user.clone();
        Ok(Self { tools, limiter, account: account_of(session), zoom_access, list, host_user })
    }

    /// Returns the ended instances of a meeting. Empty if it was deleted or never ran.
    pub(super) async fn instances(
        &mut self,
        meeting: MeetingId,
    ) -> Result<Vec<PastInstance>, Error> {
        self.zoom_access.require_scope(scope::LIST_PAST_INSTANCES)?;
        let tools = self.tools;
        self.limiter.wait(&tools.clock, &self.account).await;
        let now = tools.clock.now();
        let listed: Result<_, MeetingError> = with_token!(tools, self.zoom_access, |access| found(
            tools.zoom.past_instances(access, meeting, now)
        ));
        Ok(listed?.unwrap_or_default())
    }

    /// Returns the times of an ended instance. `None` if Zoom does not know it.
    pub(super) async fn instance_times(
        &mut self,
        uuid: &str,
    ) -> Result<Option<PastInstanceTimes>, Error> {
        self.zoom_access.require_scope(scope::READ_PAST_MEETING)?;
        let tools = self.tools;
        self.limiter.wait(&tools.clock, &self.account).await;
        let now = tools.clock.now();
        let times: Result<_, MeetingError> = with_token!(tools, self.zoom_access, |access| found(
            tools.zoom.past_instance_times(access, uuid, now)
        ));
        Ok(times?)
    }

    /// Returns the list of the participants of an instance. `None` if the instance has not ended.
    pub(super) async fn participants(
        &mut self,
        uuid: &str,
    ) -> Result<Option<InstanceReport>, Error> {
        self.zoom_access.require_scope(match self.list {
            ParticipantList::PastMeeting => scope::LIST_PAST_PARTICIPANTS,
            ParticipantList::AccountReport => scope::REPORT_PARTICIPANTS,
        })?;
        for _ in 0..LIST_ATTEMPTS {
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = match self.page(uuid, &token).await? {
                    None => return Ok(None),
                    Some(PageOutcome::TokenExpired) => break,
                    Some(PageOutcome::Page(page)) => page,
                };
                rows.extend(page.rows);
                let is_last = page.next_page_token.is_empty();
                if is_last || rows.len() >= ROWS_LIMIT {
                    return Ok(Some(InstanceReport::from_rows(uuid, rows, is_last)));
                }
                token = page.next_page_token;
            }
        }
        Err(Error::busy("the page tokens of the list expire"))
    }

    async fn page(&mut self, uuid: &str, token: &str) -> Result<Option<PageOutcome>, Error> {
        let tools = self.tools;
        self.limiter.wait(&tools.clock, &self.account).await;
        let (list, host_user) = ((self.list, uuid), self.host_user.as_deref());
        let now = tools.clock.now();
        let page: Result<_, MeetingError> = with_token!(tools, self.zoom_access, |access| found(
            tools.zoom.participants_page(access, list, token, host_user, now)
        ));
        Ok(page?)
    }
}

/// Converts "not found" to `None`: a meeting that has not run or was deleted.
async fn found<T>(
    call: impl Future<Output = Result<T, ZoomError>>,
) -> Result<Option<T>, ZoomError> {
    match call.await {
        Ok(value) => Ok(Some(value)),
        Err(ZoomError::MeetingNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
