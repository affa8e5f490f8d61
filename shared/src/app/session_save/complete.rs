//! Completes a draft: omitted fields get the trainer's defaults, and invited users get their addresses.

use jiff::Timestamp;

use crate::app::error::Error;
use crate::app::{Services, default_link};
use crate::domain::draft::{Completion, Draft, OpenDraft};
use crate::domain::id::UserId;
use crate::domain::session::Provider;
use crate::domain::session_defaults::SessionDefaults;

/// Returns the draft with the `defaults` of the trainer. `current` is the provider of the session that is edited.
pub(super) async fn complete_draft(
    services: &Services,
    open: &OpenDraft,
    trainer: &UserId,
    defaults: SessionDefaults,
    current: Option<Provider>,
    now: Timestamp,
) -> Result<Draft, Error> {
    let mut completion =
        Completion { defaults, current_provider: current, ..Completion::default() };
    if open.needs_default_link(&completion)
        && let Some(sealed) = &completion.defaults.join_url
    {
        let secrets = services.secrets.get(now).await?;
        completion.default_link = Some(default_link::open(sealed, trainer, secrets.keyring()?)?);
    }
    let invited = open.invited_users();
    if !invited.is_empty() {
        completion.users = services.store.directory_entries(&invited).await?;
    }
    Ok(open.complete(&completion)?)
}
