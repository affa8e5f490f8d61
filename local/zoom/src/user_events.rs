//! The bodies of Zoom's webhooks about users.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::licences::BASIC;
use super::state::{User, UserOrigin};

impl Context<'_> {
    /// Activates or deactivates a user and emits the event. Zoom: a deactivated user loses the licence.
    pub(super) fn set_active(&mut self, user_id: &str, active: bool) {
        let Some(user) = self.state.users.get_mut(user_id) else { return };
        user.active = active;
        if !active && user.origin != UserOrigin::SelfRegistered {
            user.licence = BASIC;
        }
        let user = user.clone();
        let event = if active { "user.activated" } else { "user.deactivated" };
        self.emit_user_event(event, &user, json!({ "object": user_fields(&user) }));
    }

    pub(super) fn emit_user_created(&mut self, user_id: &str) {
        let Some(user) = self.state.users.get(user_id).cloned() else { return };
        let mut object = user_fields(&user);
        object.insert("display_name".into(), user.display_name().into());
        let creation_type = match user.origin {
            UserOrigin::SelfRegistered | UserOrigin::Create => "create",
            UserOrigin::AutoCreate => "autoCreate",
            UserOrigin::CustCreate => "custCreate",
            UserOrigin::SsoCreate => "ssoCreate",
        };
        let payload = json!({ "creation_type": creation_type, "object": object });
        self.emit_user_event("user.created", &user, payload);
    }

    /// Zoom: this event has no operator, because the user accepts the invitation.
    pub(super) fn emit_invitation_accepted(&mut self, user_id: &str) {
        let Some(user) = self.state.users.get(user_id).cloned() else { return };
        let payload = json!({ "account_id": user.account_id, "object": user_fields(&user) });
        self.enqueue_user_webhook(
            "user.invitation_accepted",
            &user,
            &self.event_body("user.invitation_accepted", payload),
        );
    }

    /// Emits the changed fields of a user with their new and old values. Without a change there is no event.
    pub(super) fn emit_user_updated(&mut self, before: &User) {
        let Some(user) = self.state.users.get(&before.id).cloned() else { return };
        let (mut object, mut old_object) = (Map::new(), Map::new());
        let (new, old) = (changeable_fields(&user), changeable_fields(before));
        for (name, value) in new {
            if old.get(&name) != Some(&value) {
                old_object.insert(name.clone(), old.get(&name).cloned().unwrap_or_default());
                object.insert(name, value);
            }
        }
        if object.is_empty() {
            return;
        }
        for part in [&mut object, &mut old_object] {
            part.insert("id".into(), user.id.clone().into());
        }
        let payload = json!({
            "object": object,
            "old_object": old_object,
            "time_stamp": self.now.as_millisecond(),
        });
        self.emit_user_event("user.updated", &user, payload);
    }

    /// Emits that the user left the account, from which the event comes.
    pub(super) fn emit_user_removed(&mut self, event: &str, user: &User) {
        self.emit_user_event(event, user, json!({ "object": user_fields(user) }));
    }

    fn emit_user_event(&mut self, event: &str, user: &User, mut payload: Value) {
        let operator = self.owner(&user.account_id).unwrap_or(user);
        payload["account_id"] = user.account_id.clone().into();
        payload["operator"] = operator.email.clone().into();
        payload["operator_id"] = operator.id.clone().into();
        let body = self.event_body(event, payload);
        self.enqueue_user_webhook(event, user, &body);
    }

    fn event_body(&self, event: &str, payload: Value) -> Value {
        json!({ "event": event, "event_ts": self.now.as_millisecond(), "payload": payload })
    }
}

fn user_fields(user: &User) -> Map<String, Value> {
    let fields = json!({
        "id": user.id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "type": user.licence,
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn changeable_fields(user: &User) -> Map<String, Value> {
    let fields = json!({
        "first_name": user.first_name,
        "last_name": user.last_name,
        "display_name": user.display_name(),
        "type": user.licence,
        "timezone": user.timezone,
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}
