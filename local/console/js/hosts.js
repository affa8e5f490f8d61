// Texts about hosts in the platform's own Zoom account, for the platform and for trainers.
export const HOST_STATES = {
  requested: ['info', 'Requested'],
  invited: ['warn', 'Invited'],
  active: ['good', 'Active'],
  failed: ['bad', 'Failed'],
  removed: ['quiet', 'Removed'],
};

const REASONS = {
  exists_elsewhere:
    'The address belongs to a Zoom user of another account. Leave that account at Zoom, or use another address.',
  not_found: 'The platform’s Zoom account has no user with this address.',
  no_licence: 'All licences of the platform’s Zoom account are assigned. We try again every hour.',
  user_limit: 'The platform’s Zoom account has as many users as it may have. We try again every hour.',
  address_refused: 'Zoom does not accept the address.',
  name_refused: 'Zoom does not accept the person’s name.',
  not_allowed:
    'The platform’s Zoom account does not allow this. Its app may lack a permission, or the account does not ' +
    'manage the domain.',
  account_not_paid: 'The platform’s Zoom account has no paid plan.',
  invitation_expired: 'The invitation was not accepted within 30 days. Request the host again to send another one.',
  gone_at_zoom: 'The user was removed from the account at Zoom.',
  daily_limit: 'Zoom sends no more invitations today. We try again tomorrow.',
  zoom_unavailable: 'Zoom does not answer. We try again.',
  zoom_rejected: 'Zoom refused for a reason that we do not know. The log has its code.',
};

/** Returns a reason of the API as a sentence. */
export const reasonText = (reason) => (reason ? REASONS[reason] || `The reason is ${reason}.` : '');

/**
 * Returns the most licences that are needed at the same time on each day of the forecast, as `{from, to, needed, at}`.
 * Each entry of the forecast holds until the next one, and the last one until the end of the week.
 */
export function busiestByDay(forecast, nextMidnight, end) {
  const steps = forecast.map((entry, n) => ({
    from: new Date(entry.at).getTime(),
    to: n + 1 < forecast.length ? new Date(forecast[n + 1].at).getTime() : end,
    needed: entry.needed,
  }));
  const days = [];
  for (let from = steps[0]?.from ?? end; from < end; ) {
    const to = Math.min(nextMidnight(from), end);
    const within = steps.filter((step) => step.from < to && step.to > from);
    const most = within.reduce((best, step) => (step.needed > best.needed ? step : best), { needed: 0, from });
    days.push({ from, to, needed: most.needed, at: Math.max(most.from, from) });
    from = to;
  }
  return days;
}
