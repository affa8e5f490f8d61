//! The building blocks of handlers, from which each handler's `Deps` are created.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::edge::Authenticator;
use crate::app::outbox_sweep::DEFAULT_RATE_PER_SECOND;
use crate::app::{HostingSettings, Services};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::JoinMode;
use crate::domain::attendance::{AttendanceRules, Threshold};
use crate::domain::hosting::HostingPolicy;
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::reconciliation::RecordingDays;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::Zone;
use crate::mail::{Brand, Ses};
use crate::queue::{OutboxQueue, PaymentQueue, SqsQueue};
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::zoom::Zoom;

/// One HTTP client and one AWS configuration, from which a function's clients are created.
#[derive(Debug)]
pub struct CommonDeps {
    pub(super) env: Env,
    pub(super) http: reqwest::Client,
    aws: Aws,
    random: Random,
}

impl CommonDeps {
    pub(super) fn new(env: &Env, random: &Random) -> Result<Self, ConfigError> {
        let function = env.optional(names::AWS_LAMBDA_FUNCTION_NAME);
        let name = format!("live-classes/{}", function.as_deref().unwrap_or("local"));
        let http = crate::net::http_client_with_ca_bundle(env, &name)?;
        let aws = Aws::new(env, &http)?;
        Ok(Self { env: env.clone(), http, aws, random: random.clone() })
    }

    pub(super) fn secrets(&self) -> Result<Arc<Secrets>, ConfigError> {
        let id = self.env.required(names::CONFIG_SECRET_ID)?;
        Ok(Arc::new(Secrets::new(self.aws.secrets_manager(), id)))
    }

    pub(super) fn store(&self) -> Result<Store, ConfigError> {
        Store::without_tokens(self.aws.dynamodb(), &self.env, self.random.clone())
    }

    /// Creates the client that sends wake-ups to the outbox queue.
    pub(super) fn queue(&self) -> Result<SqsQueue, ConfigError> {
        SqsQueue::new(self.aws.clone(), &self.env)
    }

    /// Creates the client that starts the steps of payments, if the deployment has its queue.
    pub(super) fn payment_queue(&self) -> Option<PaymentQueue> {
        PaymentQueue::new(self.aws.clone(), &self.env)
    }

    pub(super) fn outbox(&self) -> Result<OutboxQueue, ConfigError> {
        OutboxQueue::new(self.aws.sqs(), &self.env, self.random.clone())
    }

    pub(super) fn ses(&self, mail: &MailSettings) -> Ses {
        let configuration_set = mail.configuration_set.clone();
        Ses::new(self.aws.ses(), mail.brand.from.clone(), configuration_set)
    }

    /// Creates the dependencies of the use cases that call Zoom.
    pub(super) fn services(
        &self,
        secrets: &Arc<Secrets>,
        clock: &Clock,
    ) -> Result<Services, ConfigError> {
        Ok(Services {
            store: Store::with_tokens(self.aws.dynamodb(), &self.env, self.random.clone())?,
            zoom: Zoom::new(&self.env, self.http.clone(), self.random.clone())?,
            secrets: secrets.clone(),
            queue: self.queue()?,
            hosting: hosting_settings(&self.env)?,
            clock: clock.clone(),
            random: self.random.clone(),
        })
    }
}

/// Logs a setting that is missing or wrong.
pub(super) fn log_incomplete(error: &ConfigError) {
    tracing::error!(event = "config.incomplete", name = error.name(), %error);
}

/// Warms up a function while its sandbox starts, when Lambda provides a full CPU whatever the memory size: loads the
/// secret and the issuer's keys, and reads one item to open the connection. The first event loads the rest.
pub(super) async fn warm(
    store: &Store,
    secrets: &Secrets,
    authenticator: Option<&Authenticator>,
    now: Timestamp,
) {
    let keys = async {
        if let Some(authenticator) = authenticator {
            authenticator.warm(now).await;
        }
    };
    let _ = tokio::join!(secrets.get(now), store.warm(), keys);
}

/// The service that sends mails.
#[derive(Clone, Debug)]
pub(super) enum MailProvider {
    Ses,
    ZeptoMail(Url),
}

/// The mail settings that are not secret.
#[derive(Clone, Debug)]
pub(super) struct MailSettings {
    pub(super) brand: Brand,
    pub(super) provider: MailProvider,
    /// The configuration set of SES.
    pub(super) configuration_set: Option<String>,
    pub(super) rate_per_second: u32,
}

/// The highest configurable rate, above the capacity of a single run.
const MAIL_RATE_LIMIT_PER_SECOND: u32 = 1000;

impl MailSettings {
    pub(super) fn read(env: &Env) -> Result<Self, ConfigError> {
        let brand = Brand::read(env);
        let configuration_set = env.optional(names::MAIL_CONFIGURATION_SET);
        let provider = env.optional(names::MAIL_PROVIDER);
        let address = env.url(names::ZEPTOMAIL_API_URL);
        let rate = env.parsed(names::MAIL_RATE_PER_SECOND, DEFAULT_RATE_PER_SECOND);
        let provider = match provider.as_deref() {
            None | Some("ses") => MailProvider::Ses,
            Some("zeptomail") => MailProvider::ZeptoMail(address?),
            Some(_) => {
                return Err(ConfigError::invalid(names::MAIL_PROVIDER, "must be ses or zeptomail"));
            }
        };
        let rate_per_second = rate?;
        if !(1..=MAIL_RATE_LIMIT_PER_SECOND).contains(&rate_per_second) {
            return Err(ConfigError::invalid(
                names::MAIL_RATE_PER_SECOND,
                "must be from 1 to 1000",
            ));
        }
        Ok(Self { brand: brand?, provider, configuration_set, rate_per_second })
    }
}

/// Reads the join window settings. The defaults are published in the API.
pub(super) fn join_window_settings(env: &Env) -> Result<JoinWindowSettings, ConfigError> {
    let default = JoinWindowSettings::default();
    let minutes = |name, default| {
        let minutes = env.parsed(name, default)?;
        if (0..=JoinWindowSettings::LIMIT_MINUTES).contains(&minutes) {
            Ok(minutes)
        } else {
            Err(ConfigError::invalid(name, "must be from 0 to 1440"))
        }
    };
    Ok(JoinWindowSettings {
        trainer_lead_minutes: minutes(
            names::JOIN_OWNER_BEFORE_MINUTES,
            default.trainer_lead_minutes,
        )?,
        student_lead_minutes: minutes(
            names::JOIN_INVITED_BEFORE_MINUTES,
            default.student_lead_minutes,
        )?,
        closing_minutes: minutes(names::JOIN_AFTER_END_MINUTES, default.closing_minutes)?,
    })
}

/// Reads the time zone of classes without one.
pub(super) fn default_zone(env: &Env) -> Result<Zone, ConfigError> {
    let zone = Zone::parse(&env.required(names::DEFAULT_TIMEZONE)?);
    zone.map_err(|error| ConfigError::invalid(names::DEFAULT_TIMEZONE, error))
}

/// Reads how long before the start a pending meeting is made.
pub(super) fn meeting_lead(env: &Env) -> Result<MeetingLead, ConfigError> {
    let days = env.parsed(names::MEETING_AHEAD_DAYS, MeetingLead::DEFAULT_DAYS)?;
    let invalid = || ConfigError::invalid(names::MEETING_AHEAD_DAYS, "must be from 1 to 730");
    MeetingLead::from_days(days).ok_or_else(invalid)
}

/// Reads for how many days after a session its recordings are compared with Zoom's.
pub(super) fn recording_days(env: &Env) -> Result<RecordingDays, ConfigError> {
    let days = env.parsed(names::RECORDING_SYNC_DAYS, RecordingDays::DEFAULT_DAYS)?;
    let invalid = || ConfigError::invalid(names::RECORDING_SYNC_DAYS, "must be from 1 to 30");
    RecordingDays::from_days(days).ok_or_else(invalid)
}

/// Reads which Zoom account hosts the meetings. By default, every trainer connects one.
pub(super) fn hosting_settings(env: &Env) -> Result<HostingSettings, ConfigError> {
    Ok(HostingSettings {
        policy: env.parsed(names::ZOOM_HOSTING, HostingPolicy::default())?,
        app_account: env.optional(names::ZOOM_APP_ACCOUNT_ID),
        join_mode: join_mode(env)?,
    })
}

/// Reads the join mode. The default chooses a join method per session.
pub(super) fn join_mode(env: &Env) -> Result<JoinMode, ConfigError> {
    env.parsed(names::JOIN_MODE, JoinMode::Auto)
}

/// The longest delay that an operator may tolerate: one day.
const LATE_LIMIT_MINUTES: i64 = 24 * 60;

/// Reads the share of a session from which a person counts as present, and the minutes from which they are late.
pub(super) fn attendance_rules(env: &Env) -> Result<AttendanceRules, ConfigError> {
    const PERCENT: &str = names::ATTENDANCE_PRESENT_PERCENT;
    const LATE: &str = names::ATTENDANCE_LATE_MINUTES;
    let default = AttendanceRules::default();
    let threshold = match env.optional(PERCENT) {
        None => default.threshold,
        Some(text) => {
            let percent = text.trim().parse().ok().and_then(Threshold::new);
            percent.ok_or_else(|| {
                ConfigError::invalid(PERCENT, "must be a whole number from 1 to 100")
            })?
        }
    };
    let late_minutes = env.parsed(LATE, default.late_minutes)?;
    if !(0..=LATE_LIMIT_MINUTES).contains(&late_minutes) {
        return Err(ConfigError::invalid(LATE, "must be from 0 to 1440"));
    }
    Ok(AttendanceRules { threshold, late_minutes })
}
