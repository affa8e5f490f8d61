//! What the functions are measured on: a class of a connected trainer, about to begin, with one who may come in.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::settings;
use local::stack::{Options, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::names;
use shared::random::Random;
use shared::secret::Secret;

use crate::Fault;
use crate::endpoint::Endpoint;

/// The secret of a deployment whose issuer signs with a shared secret, and that secret.
const HS256_SECRET_ID: &str = "live-classes/hs256";
const HS256_SECRET: &str = "a-shared-secret-of-at-least-32-bytes";
/// The door of a class opens ten minutes before it.
const STARTS_IN: SignedDuration = SignedDuration::from_mins(5);

/// How callers' tokens are signed.
#[derive(Clone, Copy)]
pub(crate) enum Issuer {
    /// By a secret that lies with the others: nobody else is asked.
    SharedSecret,
    /// By a key of a key set, which is fetched from the issuer: one more host.
    KeySet,
}

/// On how many hosts what a function calls lies.
#[derive(Clone, Copy)]
pub(crate) enum Hosts {
    /// One for everything, under P-256 certificates, the leaf's issued by the root: as the budget was measured.
    One,
    /// One for each service, since each costs a handshake of its own, under a chain of three RSA certificates: as it is
    /// on AWS.
    Each,
}

impl Hosts {
    /// By which name `tests/bench.sh` makes their certificates.
    fn certificates(self) -> &'static str {
        match self {
            Self::One => "short",
            Self::Each => "aws",
        }
    }
}

/// What a function is run in.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) issuer: Issuer,
    pub(crate) hosts: Hosts,
}

pub(crate) struct Scene {
    stack: Stack,
    http: reqwest::Client,
    everything: Endpoint,
    dynamodb: Endpoint,
    secrets: Endpoint,
    issuer: Endpoint,
    files: PathBuf,
    class: String,
    meeting: String,
    account: String,
    people: AtomicU64,
}

impl Scene {
    pub(crate) async fn set(files: &Path) -> Result<Self, Fault> {
        let options = Options {
            port: 0,
            data_dir: None,
            settings: Vec::new(),
            console_dir: None,
            cloud_only: false,
            clock: Clock::System,
            random: Random::System,
        };
        let stack = Stack::start(options).await?;
        let mut secrets = settings::secrets();
        secrets["auth_hs256_secret"] = json!(HS256_SECRET);
        stack.aws.set_secret(HS256_SECRET_ID, &secrets.to_string()).await?;
        let port = url::Url::parse(&stack.base_url)?.port().unwrap_or_default();
        let stack_at = SocketAddr::from(([127, 0, 0, 1], port));
        let before = |hosts: Hosts| Endpoint::before(stack_at, files, hosts.certificates());
        let mut scene = Self {
            http: shared::net::http_client("live-classes/bench")?,
            everything: before(Hosts::One).await?,
            dynamodb: before(Hosts::Each).await?,
            secrets: before(Hosts::Each).await?,
            issuer: before(Hosts::Each).await?,
            files: files.to_owned(),
            class: String::new(),
            meeting: String::new(),
            account: String::new(),
            people: AtomicU64::new(0),
            stack,
        };
        scene.schedule().await?;
        Ok(scene)
    }

    /// Connects the trainer's Zoom account, schedules the class, and lets its meeting begin.
    async fn schedule(&mut self) -> Result<(), Fault> {
        let trainer = self.token("trainer-1", "trainer", Issuer::KeySet)?;
        let redirect = json!({"redirect_uri": format!("{}/callback", self.stack.base_url)});
        let begun = self.ask(Method::POST, "/v1/zoom/authorize", &trainer, redirect).await?;
        let page = begun["authorize_url"].as_str().ok_or("no consent page")?;
        let form = self.http.post(page).header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body("decision=allow&account=app").send().await?;
        let location = answer.headers().get("location").ok_or("no way back")?.to_str()?;
        let back: Value = url::Url::parse(location)?
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), Value::from(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let connection = self.ask(Method::POST, "/v1/zoom/connect", &trainer, back).await?;
        let class = json!({
            "title": "Algebra I, the fractions", "audience_type": "course", "course_id": "course-1",
            "starts_at": now() + STARTS_IN, "timezone": "Europe/Berlin", "duration_minutes": 60,
        });
        let made = self.ask(Method::POST, "/v1/sessions", &trainer, class).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a text was expected");
        self.account = text(&connection["account_id"])?;
        self.class = text(&made["id"])?;
        self.meeting = text(&made["meeting"]["id"])?;
        let started = self.signed("meeting.started", json!({"start_time": now()}));
        self.stack.functions.invoke("webhook", started, Default::default()).await?;
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Value, Fault> {
        let url = format!("{}{path}", self.stack.base_url);
        let answer = self.http.request(method, url).bearer_auth(token).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Err(format!("{path}: {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn token(&self, sub: &str, role: &str, issuer: Issuer) -> Result<String, Fault> {
        let claims = json!({
            "iss": self.stack.base_url, "aud": settings::AUDIENCE, "sub": sub, "role": role, "name": sub,
            "iat": now().as_second(), "exp": (now() + SignedDuration::from_hours(8)).as_second(),
        });
        Ok(match issuer {
            Issuer::KeySet => local::issuer::Issuer::new(&self.stack.base_url)?
                .sign(&local::issuer::header(), &claims)?,
            Issuer::SharedSecret => {
                let key = EncodingKey::from_secret(HS256_SECRET.as_bytes());
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?
            }
        })
    }

    /// A function's environment: AWS and the issuer behind TLS, under a certificate of our own authority.
    pub(crate) fn environment(
        &self,
        function: &'static str,
        Setting { issuer, hosts }: Setting,
    ) -> Vec<(&'static str, String)> {
        let queue = |name: &str| self.stack.aws.queues().url(name);
        let mut environment = settings::environment(
            &self.stack.base_url,
            &queue("OutboxQueue"),
            &queue("OutboxDeadLetterQueue"),
        );
        let at = |own: &Endpoint, path: &str| match hosts {
            Hosts::One => format!("{}{path}", self.everything.url),
            Hosts::Each => format!("{}{path}", own.url),
        };
        let aws = |own: &Endpoint| at(own, local::calls::AWS_PATH);
        let jwks = at(&self.issuer, local::issuer::JWKS_PATH);
        let ca_bundle = self.files.join(format!("{}-root.pem", hosts.certificates()));
        let (secret, jwks) = match issuer {
            Issuer::SharedSecret => (HS256_SECRET_ID, String::new()),
            Issuer::KeySet => (settings::SECRET_ID, jwks),
        };
        let ours = [
            (names::AWS_CA_BUNDLE, ca_bundle.display().to_string()),
            (names::AWS_ENDPOINT_URL_DYNAMODB, aws(&self.dynamodb)),
            (names::AWS_ENDPOINT_URL_SECRETS_MANAGER, aws(&self.secrets)),
            (names::AWS_SESSION_TOKEN, "x".repeat(1_000)),
            (names::AWS_LAMBDA_FUNCTION_NAME, function.to_owned()),
            (names::AUTH_JWKS_URL, jwks),
            (names::CONFIG_SECRET_ID, secret.to_owned()),
        ];
        environment.retain(|(name, _)| ours.iter().all(|(other, _)| name != other));
        environment.extend(ours);
        environment
    }

    /// A student's click.
    pub(crate) fn click(&self, issuer: Issuer) -> Result<Value, Fault> {
        let token = self.token("student-1", "student", issuer)?;
        Ok(called("POST", &format!("/v1/sessions/{}/join", self.class), &token))
    }

    /// A trainer's list.
    pub(crate) fn list(&self, issuer: Issuer) -> Result<Value, Fault> {
        let token = self.token("trainer-1", "trainer", issuer)?;
        Ok(called("GET", "/v1/sessions", &token))
    }

    /// Zoom says that somebody came, each time somebody else.
    pub(crate) fn joined(&self) -> Value {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        let participant = json!({
            "user_id": "16778240", "user_name": "Ada Lovelace", "id": "", "email": "", "participant_user_id": "",
            "participant_uuid": format!("0A1B2C3D-4E5F-6071-8293-{number:012}"),
            "customer_key": "yjp5w3kmgvwq2q4xbz6yh4ciwe", "join_time": now(),
        });
        self.signed("meeting.participant_joined", json!({"participant": participant}))
    }

    fn signed(&self, name: &str, about: Value) -> Value {
        let mut object = json!({
            "id": self.meeting, "uuid": "4444AAAiAAAAAiAiAiiAii==", "host_id": "x1yCzABCDEfg23HiJKl4mN",
            "topic": "Algebra I, the fractions", "type": 2, "start_time": now(), "timezone": "Europe/Berlin", "duration": 60,
        });
        for (field, value) in about.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        let at = now();
        let body = json!({
            "event": name, "event_ts": at.as_millisecond(),
            "payload": {"account_id": self.account, "object": object},
        });
        let mut event = called("POST", "/", "");
        let body = body.to_string();
        let timestamp = at.as_second().to_string();
        let secret = Secret::new(settings::WEBHOOK_SECRET);
        event["headers"]["x-zm-signature"] =
            shared::zoom::webhook::sign(&secret, &timestamp, body.as_bytes()).into();
        event["headers"]["x-zm-request-timestamp"] = timestamp.into();
        event["body"] = body.into();
        event
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

/// A payload 2.0 event, with the headers that a browser and the gateway send.
fn called(method: &str, path: &str, token: &str) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "application/json", "accept-encoding": "gzip, deflate, br", "accept-language": "de,en;q=0.7",
            "content-type": "application/json", "host": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
            "origin": "https://platform.example", "referer": "https://platform.example/",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e", "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443", "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com", "domainPrefix": "abcdef1234",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "Mozilla/5.0"},
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": format!("{method} {path}"), "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000", "timeEpoch": 1_773_119_783_000_i64,
        },
        "isBase64Encoded": false,
    });
    if !token.is_empty() {
        event["headers"]["authorization"] = format!("Bearer {token}").into();
    }
    event
}
