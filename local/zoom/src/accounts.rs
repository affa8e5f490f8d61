//! Zoom accounts and their users: sign-in, creation, and the account's rules for both.

use super::apps::App;
use super::context::Context;
use super::ids;
use super::licences::{BASIC, LICENSED};
use super::responses::ApiError;
use super::scopes::Category;
use super::settings::{Plan, UserRules};
use super::state::{User, UserOrigin, UserStatus};
use super::user_refusals::{FOREIGN_USER, refusal};

/// Default users of the consent page.
pub const APP_USER: &str = "trainer@app.zoom.test";
pub const OTHER_USER: &str = "trainer@other.zoom.test";

/// The account outside the app's own account.
pub const OTHER_ACCOUNT: &str = "other-zoom-account";

/// The owner of the Server-to-Server app's account.
const OWNER: &str = "owner@app.zoom.test";

/// Zoom: an invitation expires after 30 days.
const INVITATION_SECONDS: i64 = 30 * 24 * 3600;

/// The Zoom account on the consent page: the app's own or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountChoice {
    App,
    Other,
}

/// The details of a user to create.
#[derive(Clone, Debug)]
pub(super) struct NewUser {
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) display_name: Option<String>,
    pub(super) licence: i64,
    pub(super) origin: UserOrigin,
}

impl NewUser {
    pub(super) fn named(email: &str, first_name: &str, licence: i64, origin: UserOrigin) -> Self {
        Self {
            email: email.to_owned(),
            first_name: first_name.to_owned(),
            last_name: String::new(),
            display_name: None,
            licence,
            origin,
        }
    }
}

impl Context<'_> {
    /// Creates the default user of each account.
    pub(super) fn create_default_users(&mut self) {
        for choice in [AccountChoice::App, AccountChoice::Other] {
            self.sign_in(choice, None, None);
        }
        self.create_owner();
    }

    /// Creates the owner of the Server-to-Server app's account if there is none.
    pub(super) fn create_owner(&mut self) {
        let Some(app) = &self.config.server_app else { return };
        let account_id = app.account_id.clone();
        if self.owner(&account_id).is_none() {
            let owner = NewUser::named(OWNER, "Owner", LICENSED, UserOrigin::SelfRegistered);
            let id = self.add_user(&account_id, owner);
            if let Some(owner) = self.state.users.get_mut(&id) {
                owner.owner = true;
            }
        }
    }

    pub(super) fn owner(&self, account_id: &str) -> Option<&User> {
        self.state.users.values().find(|user| user.owner && user.account_id == account_id)
    }

    pub(super) fn account_id(&self, choice: AccountChoice) -> String {
        match choice {
            AccountChoice::App => self.config.app_account_id.clone(),
            AccountChoice::Other => OTHER_ACCOUNT.to_owned(),
        }
    }

    /// Returns the id of the account `app` or `other`. Any other text is an id.
    pub(super) fn account_named(&self, name: &str) -> String {
        match name {
            "app" => self.account_id(AccountChoice::App),
            "other" => self.account_id(AccountChoice::Other),
            id => id.to_owned(),
        }
    }

    pub(super) fn user_rules(&self, account_id: &str) -> UserRules {
        let account = self.state.accounts.get(account_id);
        account.map(|account| account.users.clone()).unwrap_or_default()
    }

    pub(super) fn user_with_email(&self, email: &str) -> Option<&User> {
        self.state.users.values().find(|user| user.email.eq_ignore_ascii_case(email))
    }

    /// Returns the user with this e-mail address, or the person's own user in the account, or the default user. Creates
    /// a missing user. An existing user stays in their account.
    pub(super) fn sign_in(
        &mut self,
        choice: AccountChoice,
        email: Option<&str>,
        person: Option<&str>,
    ) -> String {
        let own_address = |default: &str| match (person, default.split_once('@')) {
            (Some(person), Some((_, domain))) => format!("{person}@{domain}"),
            _ => default.to_owned(),
        };
        let email = match (email, choice) {
            (Some(email), _) => email.to_owned(),
            (None, AccountChoice::App) => own_address(APP_USER),
            (None, AccountChoice::Other) => own_address(OTHER_USER),
        };
        if let Some(user) = self.user_with_email(&email) {
            let id = user.id.clone();
            // Zoom: people who sign in have activated their user.
            self.accept_invitation(&id);
            return id;
        }
        let name = email.split('@').next().unwrap_or(&email);
        let user = NewUser::named(&email, name, LICENSED, UserOrigin::SelfRegistered);
        let account_id = self.account_id(choice);
        self.add_user(&account_id, user)
    }

    pub(super) fn add_user(&mut self, account_id: &str, new_user: NewUser) -> String {
        let id = ids::user_id(self.random);
        self.account(account_id);
        let user = User {
            id: id.clone(),
            account_id: account_id.to_owned(),
            email: new_user.email,
            first_name: new_user.first_name,
            last_name: new_user.last_name,
            licence: new_user.licence,
            timezone: "UTC".to_owned(),
            created_at: self.now,
            active: true,
            origin: new_user.origin,
            invited_until: None,
            owner: false,
            chosen_name: new_user.display_name,
        };
        self.state.users.insert(id.clone(), user);
        id
    }

    /// Creates a user as the API does. A user with the action `create` is pending until they accept the invitation.
    pub(super) fn create_user(&mut self, account_id: &str, new_user: NewUser) -> String {
        let origin = new_user.origin;
        let id = self.add_user(account_id, new_user);
        if origin == UserOrigin::Create {
            let end = self.after(INVITATION_SECONDS);
            if let Some(user) = self.state.users.get_mut(&id) {
                user.invited_until = Some(end);
            }
        }
        self.emit_user_created(&id);
        if self.user_rules(account_id).accept_invitations {
            self.accept_invitation(&id);
        }
        id
    }

    /// Accepts the user's invitation. Returns false if there is no valid one.
    pub(super) fn accept_invitation(&mut self, user_id: &str) -> bool {
        let now = self.now;
        let Some(user) = self.state.users.get_mut(user_id) else { return false };
        if user.status(now) != UserStatus::Pending {
            return false;
        }
        (user.invited_until, user.created_at) = (None, now);
        self.emit_invitation_accepted(user_id);
        true
    }

    /// Accepts all invitations to the account.
    pub(super) fn accept_invitations(&mut self, account_id: &str) {
        let users = self.state.users.values().filter(|user| user.account_id == account_id);
        let ids: Vec<_> = users.map(|user| user.id.clone()).collect();
        for id in ids {
            self.accept_invitation(&id);
        }
    }

    /// Checks whether the account may create the user. Zoom documents the codes, but not the order of the checks.
    pub(super) fn check_new_user(
        &mut self,
        account_id: &str,
        new_user: &NewUser,
    ) -> Result<(), ApiError> {
        let rules = self.user_rules(account_id);
        let email = new_user.email.as_str();
        if !self.is_paid(account_id) {
            return Err(ApiError::paid_accounts_only(account_id));
        }
        if let Some(code) = rules.refuse_creation {
            return Err(refusal(code, email));
        }
        let domain = match email.split_once('@') {
            Some((name, domain)) if !name.is_empty() && domain.contains('.') => domain,
            _ => return Err(ApiError::invalid_field("email", "Invalid field.")),
        };
        let is_in = |domains: &std::collections::BTreeSet<String>| {
            domains.iter().any(|listed| listed.eq_ignore_ascii_case(domain))
        };
        let names = [&new_user.first_name, &new_user.last_name];
        check_names(&rules, names.into_iter().chain(new_user.display_name.as_ref()))?;
        self.remove_expired_invitation(email);
        if let Some(existing) = self.user_with_email(email) {
            let code = match existing.account_id == account_id {
                true => 1005,
                false => rules.foreign_user_code.unwrap_or_else(|| self.draw(FOREIGN_USER)),
            };
            return Err(refusal(code, email));
        }
        let code = match new_user.origin {
            _ if is_in(&rules.unsafe_domains) => 11321,
            _ if is_in(&rules.blocked_domains) => 1107,
            _ if !rules.limited_domains.is_empty() && !is_in(&rules.limited_domains) => 1116,
            UserOrigin::AutoCreate if rules.managed_domains.is_empty() => 200,
            UserOrigin::AutoCreate if !is_in(&rules.managed_domains) => 1116,
            UserOrigin::SsoCreate if !rules.sso => 2002,
            UserOrigin::CustCreate if !rules.isv => 200,
            _ => return Ok(()),
        };
        Err(refusal(code, email))
    }

    /// An expired invitation does not prevent a new one.
    fn remove_expired_invitation(&mut self, email: &str) {
        let now = self.now;
        self.state.users.retain(|_, user| {
            !(user.email.eq_ignore_ascii_case(email) && user.status(now) == UserStatus::Expired)
        });
    }

    /// Zoom: the number of invitations per UTC day depends on the account's plan. Other actions are not limited.
    pub(super) fn count_invitation(&mut self, account_id: &str) -> Result<(), ApiError> {
        const BASIC_INVITATIONS: u32 = 50;
        const PRO_INVITATIONS: u32 = 1_500;
        const BUSINESS_INVITATIONS: u32 = 10_000;
        let plan = self.account(account_id).plan;
        let limit = self.user_rules(account_id).daily_invitations.unwrap_or(match plan {
            Plan::Basic => BASIC_INVITATIONS,
            Plan::Pro => PRO_INVITATIONS,
            Plan::Business => BUSINESS_INVITATIONS,
        });
        let today = self.today();
        let count = match self.state.daily_invitations.get(account_id) {
            Some((day, count)) if *day == today => *count,
            _ => 0,
        };
        if count >= limit {
            return Err(self.daily_limit_reached(Category::Light, limit, "invitations"));
        }
        self.state.daily_invitations.insert(account_id.to_owned(), (today, count + 1));
        Ok(())
    }

    /// Moves a user who leaves the account to an account of their own. Zoom: it has no paid plan.
    pub(super) fn move_to_own_account(&mut self, user_id: &str) {
        let account_id = ids::user_id(self.random);
        self.account(&account_id).plan = Plan::Basic;
        if let Some(user) = self.state.users.get_mut(user_id) {
            user.account_id = account_id;
            user.licence = BASIC;
            user.active = true;
            user.origin = UserOrigin::SelfRegistered;
        }
    }

    /// Returns the apps that get the events of a user.
    ///
    /// Zoom: an app gets the events of the users who authorised it, and a Server-to-Server app those of its account.
    /// Accounts without a Server-to-Server app send all events to the user app, even after a user removed it.
    pub(super) fn apps_of(&self, user: &User) -> Vec<App> {
        let is_served =
            self.config.server_app.as_ref().is_some_and(|app| app.account_id == user.account_id);
        if !is_served {
            return vec![App::User];
        }
        let settings = &self.state.settings;
        let has_grant = self.state.grants.contains_key(&user.id);
        let server = settings.server_app.active && (!has_grant || settings.webhooks.both_apps);
        let apps = [(App::User, has_grant), (App::Server, server)];
        apps.into_iter().filter(|(_, gets)| *gets).map(|(app, _)| app).collect()
    }

    /// Returns one of the values.
    pub(super) fn draw<const N: usize>(&self, values: [u32; N]) -> u32 {
        let count = u64::try_from(N).unwrap_or(1).max(1);
        let index = usize::try_from(self.random.below(count)).unwrap_or(0);
        values.get(index).copied().unwrap_or_default()
    }
}

/// Zoom: a name with a word that Zoom or the account forbids is refused.
pub(super) fn check_names<'n>(
    rules: &UserRules,
    names: impl Iterator<Item = &'n String>,
) -> Result<(), ApiError> {
    for name in names.map(|name| name.to_lowercase()) {
        for word in &rules.refused_words {
            if name.split_whitespace().any(|part| part == word.to_lowercase()) {
                return Err(refusal(300, word));
            }
        }
    }
    Ok(())
}
