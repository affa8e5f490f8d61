//! The licences that are assigned, and those that will be needed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::app::error::Error;
use crate::domain::id::UserId;
use crate::domain::licence::{FORECAST_DAYS, HostedClass, LicenceNeed, forecast};
use crate::domain::platform_host::{HeldLicence, LicenceMode, PlatformHost};
use crate::store::Store;

/// The licences of the platform's own account.
#[derive(Clone, Debug)]
pub struct LicenceOverview {
    /// `None` if neither the setting nor an answer of Zoom has named it.
    pub limit: Option<u32>,
    pub assigned: u32,
    /// The hosts that have a licence, by trainer.
    pub held: Vec<(UserId, HeldLicence)>,
    pub forecast: Vec<LicenceNeed>,
}

/// Reads the overview. The lists are eventually consistent.
pub async fn overview(store: &Store, now: Timestamp) -> Result<LicenceOverview, Error> {
    let until = now.saturating_add(SignedDuration::from_hours(24 * FORECAST_DAYS)).unwrap_or(now);
    let (pool, settings, licensed, classes) = futures::try_join!(
        store.licence_pool(),
        store.settings(),
        store.licensed_hosts(),
        store.hosted_classes(now, until)
    )?;
    let trainers = classes.iter().map(|class| &class.trainer);
    let mut hosts = store.platform_hosts_of(trainers).await?;
    for host in licensed {
        hosts.entry(host.trainer.clone()).or_insert(host);
    }
    let forecast = forecast_of(&hosts, &classes, now);
    let held = hosts.into_iter().filter_map(|(trainer, host)| Some((trainer, host.held?)));
    Ok(LicenceOverview {
        limit: pool.limit(settings.licence_limit),
        assigned: pool.assigned(),
        held: held.collect(),
        forecast,
    })
}

/// Returns the forecast for these hosts. Classes of hosts without a lease are left out.
pub(in crate::app) fn forecast_of(
    hosts: &BTreeMap<UserId, PlatformHost>,
    classes: &[HostedClass],
    now: Timestamp,
) -> Vec<LicenceNeed> {
    let is_permanent =
        |host: &&PlatformHost| host.licence == LicenceMode::Permanent && host.held.is_some();
    let permanent = hosts.values().filter(is_permanent).count();
    let held = hosts.values().filter(|host| host.licence != LicenceMode::Permanent);
    let held = held.filter_map(|host| Some((&host.trainer, host.held.as_ref()?.until?)));
    let is_leased = |class: &&HostedClass| {
        hosts.get(&class.trainer).is_some_and(|host| {
            host.licence == LicenceMode::Leased && host.active_user() == Some(&class.user)
        })
    };
    forecast(permanent, held, classes.iter().filter(is_leased), now)
}
