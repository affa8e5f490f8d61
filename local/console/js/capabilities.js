// The features, limits and settings that apply to a person, as the API reports them.
import { html } from './ui.js';
import { api } from './api.js';
import { useLoad } from './load.js';
import { Empty, Icon, Note } from './parts/basic.js';

export const useCapabilities = (as) =>
  useLoad(`capabilities ${as}`, () => api(as).get('/v1/me/capabilities'), { every: 60_000 });

const REASONS = {
  feature_disabled: [
    'Live classes are switched off',
    'Planned classes can still be joined and cancelled. Please ask the platform when live classes return.',
  ],
  plan_required: [
    'Your plan has no live classes',
    'Planned classes can still be joined and cancelled. Please ask the platform for a plan with live classes.',
  ],
};

/** A page or a note about a disabled feature, or nothing. */
export function FeatureOff({ of, page = false }) {
  if (!of || of.live_classes.enabled) return null;
  const [title, text] = REASONS[of.live_classes.reason] || REASONS.feature_disabled;
  return page
    ? html`<${Empty} icon="video" title=${title}>${text}<//>`
    : html`<${Note} tone="warn" title=${title}><p>${text}</p><//>`;
}

/** The limits of the plan, with the classes that remain in the month. */
export function PlanLimits({ of }) {
  if (!of?.live_classes.enabled) return null;
  const { limits, used } = of.plan;
  const left = limits.sessions_per_month === null ? null : Math.max(0, limits.sessions_per_month - used);
  const words = [
    left !== null && `${left} of ${limits.sessions_per_month} classes left this month`,
    limits.max_duration_minutes !== null && `at most ${limits.max_duration_minutes} minutes each`,
    limits.max_invitees !== null && `at most ${limits.max_invitees} people by e-mail`,
    !limits.recording && 'no recording',
  ].filter(Boolean);
  return (
    words.length > 0 &&
    html`<p class="fine plan-limits"><${Icon} name="calendar" size=${15} /> Your plan: ${words.join(', ')}.</p>`
  );
}

/** Whether a class of this duration is allowed. */
export const allowsDuration = (of, minutes) => (of?.plan.limits.max_duration_minutes ?? Infinity) >= minutes;

/** Whether people can be invited by address. */
export const allowsInvitees = (of) => of?.plan.limits.max_invitees !== 0;
