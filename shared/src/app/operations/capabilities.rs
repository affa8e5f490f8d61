//! Reads the capabilities of a caller in one batch.

use jiff::Timestamp;

use crate::app::error::Error;
use crate::domain::caller::{Caller, Role};
use crate::domain::capabilities::{Capabilities, CapabilitySources};
use crate::domain::hosting::HostingPolicy;
use crate::domain::platform_host::PlatformHost;
use crate::domain::time::utc_month;
use crate::store::Store;
use crate::store::schema::ItemKey;

/// Returns the capabilities of the caller. Only a trainer's depend on more than the settings.
pub async fn load(
    store: &Store,
    policy: HostingPolicy,
    caller: &Caller,
    now: Timestamp,
) -> Result<Capabilities, Error> {
    let month = utc_month(now);
    let mut keys = vec![ItemKey::Settings];
    if caller.has_role(Role::Trainer) {
        keys.push(ItemKey::User(&caller.id));
        keys.push(ItemKey::Month { user: &caller.id, month: &month });
        if policy == HostingPolicy::Both {
            keys.push(ItemKey::PlatformHost(&caller.id));
        }
    }
    let mut found = store.batch_get(&keys).await?;
    let host = found.platform_host(&caller.id)?;
    let sources = CapabilitySources {
        settings: found.settings()?,
        user: found.user(&caller.id)?,
        has_active_host: host.as_ref().and_then(PlatformHost::active_user).is_some(),
        used_this_month: found.sessions_in_month(&caller.id, &month)?,
    };
    Ok(Capabilities::decide(caller, policy, sources))
}
