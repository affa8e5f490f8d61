//! The values of a trainer's sessions that a request leaves out.

use super::sealed::Sealed;
use super::session::Provider;
use super::settings::MeetingSettings;

/// A trainer's defaults, as the host platform's directory has them. Each one is used only where its field is allowed: the link
/// with a manual link, recording and settings on Zoom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionDefaults {
    pub provider: Option<Provider>,
    pub record_session: Option<bool>,
    pub settings: Option<MeetingSettings>,
    /// The link of sessions with provider `manual`, encrypted at rest.
    pub join_url: Option<Sealed>,
}
