// The kinds of mails, in words.
export const MAILS = {
  scheduled: 'Invitation',
  updated: 'Change',
  cancelled: 'Cancellation',
  reminder_day_before: 'Reminder, a day before',
  reminder_hour_before: 'Reminder, an hour before',
  resent: 'Invitation, sent again',
  uninvited: 'Withdrawn invitation',
  reauth_required: 'Request to connect Zoom again',
  host_not_connected: 'Request to connect Zoom',
  meeting_deleted: 'News that the meeting was deleted',
  meeting_missing: 'News that there is no meeting yet',
  mail_returned: 'News that mails came back',
};
