//! `/zoom/oauth/authorize`: the consent page.
//!
//! The form selects the Zoom user who signs in: `account=app` (the app's own Zoom account, the default) or
//! `account=other` with its default user, or `user` with an e-mail address. An unknown address creates a user. A script
//! may add `licence=basic` or `licence=licensed`, which changes the user's licence.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use url::Url;
use url::form_urlencoded::parse;

use super::accounts::AccountChoice;
use super::context::Context;
use super::state::Code;
use super::{Zoom, ids};

/// Zoom: an authorisation code expires after 5 minutes.
const CODE_SECONDS: i64 = 5 * 60;

/// A valid authorisation request.
struct ConsentRequest {
    redirect_uri: String,
    state: Option<String>,
    challenge: Option<String>,
}

/// An error that is shown on the page, because the redirect URI cannot be trusted.
struct ConsentError(String);

impl IntoResponse for ConsentError {
    fn into_response(self) -> Response {
        let body = format!(
            "<h1>This app cannot be authorised</h1><p role=\"alert\">{}</p>",
            escape(&self.0)
        );
        (StatusCode::BAD_REQUEST, Html(page("Cannot authorise", &body))).into_response()
    }
}

pub(super) async fn show(State(zoom): State<Zoom>, RawQuery(query): RawQuery) -> Response {
    zoom.with_context(|context| {
        let request = context.read_request(query.as_deref().unwrap_or_default())?;
        Ok::<_, ConsentError>(Html(context.consent_page(&request)))
    })
    .into_response()
}

pub(super) async fn decide(
    State(zoom): State<Zoom>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    zoom.with_context(|context| {
        let request = context.read_request(query.as_deref().unwrap_or_default())?;
        context.decide(request, &body)
    })
    .into_response()
}

impl Context<'_> {
    fn read_request(&self, query: &str) -> Result<ConsentRequest, ConsentError> {
        let get = |key: &str| -> Result<Option<String>, ConsentError> {
            let mut values = parse(query.as_bytes()).filter(|(name, _)| name == key);
            let value = values.next().map(|(_, value)| value.into_owned());
            match values.next() {
                Some(_) => Err(ConsentError(format!("{key} was given twice."))),
                None => Ok(value),
            }
        };
        if get("client_id")?.as_deref() != Some(&self.config.client_id) {
            return Err(ConsentError("The client_id is unknown.".into()));
        }
        let redirect_uri = get("redirect_uri")?
            .filter(|uri| self.config.redirect_uris.contains(uri))
            .ok_or_else(|| ConsentError("The redirect_uri is not one of the app's.".into()))?;
        if get("response_type")?.as_deref() != Some("code") {
            return Err(ConsentError("The response_type must be code.".into()));
        }
        let challenge = get("code_challenge")?;
        if challenge.is_some() && get("code_challenge_method")?.as_deref() != Some("S256") {
            return Err(ConsentError("The code_challenge_method must be S256.".into()));
        }
        Ok(ConsentRequest { redirect_uri, state: get("state")?, challenge })
    }

    fn decide(&mut self, request: ConsentRequest, body: &[u8]) -> Result<Response, ConsentError> {
        let get = |key: &str| {
            let mut fields = parse(body).filter(|(name, value)| name == key && !value.is_empty());
            fields.next().map(|(_, value)| value.into_owned())
        };
        let outcome = match get("decision").as_deref() {
            Some("deny") => ("error", "access_denied".to_owned()),
            Some("allow") => {
                let choice = match get("account").as_deref() {
                    None | Some("app") => AccountChoice::App,
                    Some("other") => AccountChoice::Other,
                    Some(_) => return Err(ConsentError("The account is app or other.".into())),
                };
                let browser_user =
                    request.state.as_ref().and_then(|state| self.state.browsers.remove(state));
                let user_id = self.sign_in(choice, get("user").as_deref(), browser_user.as_deref());
                if let Some(licence) = get("licence") {
                    self.set_licence(&user_id, licence != "basic");
                }
                let code = ids::token(self.random);
                let code_grant = Code {
                    user_id,
                    scopes: self.granted_scopes(body),
                    redirect_uri: request.redirect_uri.clone(),
                    challenge: request.challenge,
                    expires_at: self.after(CODE_SECONDS),
                };
                self.state.codes.insert(code.clone(), code_grant);
                ("code", code)
            }
            _ => return Err(ConsentError("The decision is allow or deny.".into())),
        };
        let mut target = Url::parse(&request.redirect_uri)
            .map_err(|_| ConsentError("The redirect_uri is not an address.".into()))?;
        target.query_pairs_mut().append_pair(outcome.0, &outcome.1);
        if let Some(state) = &request.state {
            target.query_pairs_mut().append_pair("state", state);
        }
        Ok((StatusCode::FOUND, [(header::LOCATION, target.to_string())]).into_response())
    }

    /// Returns the scopes selected in the form, or all scopes of the app if a script omits the field.
    fn granted_scopes(&self, body: &[u8]) -> BTreeSet<String> {
        let app: BTreeSet<_> = self.config.app_scopes.iter().cloned().collect();
        let selected: Vec<_> = parse(body).filter(|(name, _)| name == "scopes").collect();
        if selected.is_empty() {
            return app;
        }
        let selected: BTreeSet<_> =
            selected.iter().flat_map(|(_, value)| value.split_whitespace()).collect();
        app.into_iter().filter(|scope| selected.contains(scope.as_str())).collect()
    }

    fn consent_page(&self, request: &ConsentRequest) -> String {
        let scopes: String = self
            .config
            .app_scopes
            .iter()
            .map(|scope| {
                let scope = escape(scope);
                format!(
                    "<p><label><input type=\"checkbox\" name=\"scopes\" value=\"{scope}\" checked> \
                     {scope}</label></p>"
                )
            })
            .collect();
        let body = format!(
            "<h1>Allow {client} to use your Zoom account?</h1>\
             <p>You will return to {target}.</p>\
             <form method=\"post\">\
             <fieldset><legend>Zoom account</legend>\
             <p><label><input type=\"radio\" name=\"account\" value=\"app\" checked> \
             Inside the app's own account</label></p>\
             <p><label><input type=\"radio\" name=\"account\" value=\"other\"> \
             Another account</label></p>\
             <p><label>E-mail address of the Zoom user (optional) \
             <input type=\"email\" name=\"user\" autocomplete=\"off\"></label></p>\
             </fieldset>\
             <fieldset><legend>What the app may do</legend>\
             <input type=\"hidden\" name=\"scopes\" value=\"\">{scopes}</fieldset>\
             <p><button name=\"decision\" value=\"allow\">Allow</button> \
             <button name=\"decision\" value=\"deny\">Deny</button></p>\
             </form>",
            client = escape(&self.config.client_id),
            target = escape(&request.redirect_uri),
        );
        page("Authorise an app", &body)
    }
}

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:15px/1.5 system-ui,sans-serif;margin:0;background:light-dark(#f4f5f8,#0e1117);color:light-dark(#161b26,#e9ecf2)}\
    main{max-width:30rem;margin:1.5rem auto;padding:1.25rem 1.5rem;border-radius:12px;background:light-dark(#fff,#171b23);\
    border:1px solid light-dark(#dde1e9,#2b3240)}\
    h1{font-size:1.3rem;line-height:1.3;margin:0 0 .5rem}p{margin:.35rem 0}\
    fieldset{border:0;padding:0;margin:1.1rem 0}legend{font-weight:600;padding:0 0 .3rem}\
    label{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}\
    input[type=email]{font:inherit;flex:1;min-height:2.3rem;padding:.3rem .6rem;border:1px solid #848d9c;border-radius:8px}\
    button{font:inherit;font-weight:600;min-height:2.5rem;padding:.4rem 1.1rem;border-radius:8px;cursor:pointer;\
    border:1px solid #848d9c;background:transparent;color:inherit}\
    button[value=allow]{background:#2b59c3;border-color:#2b59c3;color:#fff}\
    :focus-visible{outline:2.5px solid light-dark(#2b59c3,#8fb0ff);outline-offset:2px}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} – simulated Zoom</title>\
         <style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}
