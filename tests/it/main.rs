//! Integration tests. Every test starts its own local stack with a manual clock and sends requests as the host
//! platform, a user or Zoom. All tests share one binary, so that it is linked once.

#![expect(clippy::expect_used, reason = "a test fails at the first unexpected value")]

mod functions;
mod log;
mod support;
mod variation;
mod world;
mod zoom_session;

mod attendance;
mod audience;
mod authentication;
mod calendar_addresses;
mod cancel;
mod config;
mod connect;
mod directory;
mod edit;
mod ending;
mod enrollments;
mod grants;
mod hosts;
mod idempotency;
mod join;
mod large_meeting;
mod late_answers;
mod live_session;
mod local_stack;
mod mail;
mod mail_relevance;
mod metrics;
mod notification_channels;
mod notifications;
mod openapi;
mod outbox;
mod outbox_crash;
mod outbox_faults;
mod outbox_load;
mod outbox_order;
mod persistence;
mod platform_hosting;
mod poll;
mod price;
mod reads;
mod recipient_states;
mod recognition;
mod recordings;
mod reminders;
mod repair;
mod requests;
mod resend;
mod save;
mod smoke;
mod sweep_idempotency;
mod tidy;
mod timeline;
mod token;
mod unknown_outcome;
mod unreadable;
mod urgency;
mod usage;
mod webhook;
mod zone_rules;
mod zoom_examples;
mod zoom_spec;
