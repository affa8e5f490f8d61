//! The scene for the measurements: a session of a connected trainer that is about to start, and a student who may join.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::stack::{Options, Stack};
use local::{issuer, settings};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::names;
use shared::random::Random;
use shared::secret::Secret;

use crate::BoxError;
use crate::endpoint::Endpoint;

/// The secret of an issuer without a key set.
const HS256_SECRET: &str = "a-shared-secret-of-at-least-32-bytes";
/// The session starts in this time. Its join window opens ten minutes before the start.
const STARTS_IN: SignedDuration = SignedDuration::from_mins(5);

/// How callers' tokens are signed.
#[derive(Clone, Copy)]
pub(crate) enum Issuer {
    /// By a shared secret in the configuration: no further request.
    SharedSecret,
    /// By a key of a key set, which the function fetches from the issuer: one more host.
    KeySet,
}

/// The hosts of the services that a function calls.
#[derive(Clone, Copy)]
pub(crate) enum Hosts {
    /// One host for all services, with a P-256 certificate issued by the root. The budget was measured like this.
    One,
    /// One host for each service, each with a handshake of its own and a chain of three RSA certificates, like AWS.
    Each,
}

impl Hosts {
    /// Returns the name of the certificates that `tests/bench.sh` creates.
    fn certificates(self) -> &'static str {
        match self {
            Self::One => "short",
            Self::Each => "aws",
        }
    }
}

/// The environment of a measured function.
#[derive(Clone, Copy)]
pub(crate) struct FunctionSetting {
    pub(crate) issuer: Issuer,
    pub(crate) hosts: Hosts,
}

pub(crate) struct Scene {
    stack: Stack,
    http: reqwest::Client,
    all_services: Endpoint,
    dynamodb: Endpoint,
    secrets: Endpoint,
    issuer: Endpoint,
    files: PathBuf,
    session_id: String,
    meeting_id: String,
    account_id: String,
    participants: AtomicU64,
}

impl Scene {
    pub(crate) async fn prepare(files: &Path) -> Result<Self, BoxError> {
        let options = Options {
            port: 0,
            listen: std::net::Ipv4Addr::LOCALHOST.into(),
            data_dir: None,
            settings: Vec::new(),
            console_dir: None,
            seed: local::seed::SeedSource::School,
            cloud_only: false,
            clock: Clock::System,
            random: Random::System,
        };
        let stack = Stack::start(options).await?;
        let port = url::Url::parse(&stack.base_url)?.port().unwrap_or_default();
        let stack_at = SocketAddr::from(([127, 0, 0, 1], port));
        let before = |hosts: Hosts| Endpoint::in_front_of(stack_at, files, hosts.certificates());
        let mut scene = Self {
            http: shared::net::http_client("live-classes/bench")?,
            all_services: before(Hosts::One).await?,
            dynamodb: before(Hosts::Each).await?,
            secrets: before(Hosts::Each).await?,
            issuer: before(Hosts::Each).await?,
            files: files.to_owned(),
            session_id: String::new(),
            meeting_id: String::new(),
            account_id: String::new(),
            participants: AtomicU64::new(0),
            stack,
        };
        scene.schedule().await?;
        Ok(scene)
    }

    /// Connects the trainer's Zoom account, schedules the session and starts its meeting.
    async fn schedule(&mut self) -> Result<(), BoxError> {
        let trainer = self.token("trainer-1", "trainer", Issuer::KeySet)?;
        let redirect = json!({"redirect_uri": format!("{}/callback", self.stack.base_url)});
        let authorization =
            self.request(Method::POST, "/v1/zoom/authorize", &trainer, redirect).await?;
        let page = authorization["authorize_url"].as_str().ok_or("no consent page")?;
        let form = self.http.post(page).header("content-type", "application/x-www-form-urlencoded");
        let response = form.body("decision=allow&account=app").send().await?;
        let location =
            response.headers().get("location").ok_or("no redirect location")?.to_str()?;
        let back: Value = url::Url::parse(location)?
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), Value::from(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let connection = self.request(Method::POST, "/v1/zoom/connect", &trainer, back).await?;
        let session = json!({
            "title": "Algebra I, the fractions", "audience_type": "course", "course_id": "course-1",
            "starts_at": now() + STARTS_IN, "timezone": "Europe/Berlin", "duration_minutes": 60,
        });
        let created = self.request(Method::POST, "/v1/sessions", &trainer, session).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("expected a text");
        self.account_id = text(&connection["account_id"])?;
        self.session_id = text(&created["id"])?;
        self.meeting_id = text(&created["meeting"]["id"])?;
        let started = self.signed_event("meeting.started", json!({"start_time": now()}));
        self.stack.functions.invoke("webhook", started, Default::default()).await?;
        Ok(())
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Value, BoxError> {
        let url = format!("{}{path}", self.stack.base_url);
        let response = self.http.request(method, url).bearer_auth(token).json(&body).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            return Err(format!("{path}: {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn token(&self, sub: &str, role: &str, issuer: Issuer) -> Result<String, BoxError> {
        let claims = json!({
            "iss": self.stack.base_url, "aud": issuer::AUDIENCE, "sub": sub, "role": role, "name": sub,
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

    /// Stores the secret of the setting, and returns a function's environment, with AWS and the issuer behind TLS certificates
    /// of a local authority.
    pub(crate) async fn prepare_environment(
        &self,
        function: &'static str,
        FunctionSetting { issuer, hosts }: FunctionSetting,
    ) -> Result<Vec<(&'static str, String)>, BoxError> {
        let mut secrets = settings::secrets();
        // A function refuses to start with both a shared secret and a key set.
        if let Issuer::SharedSecret = issuer {
            secrets["auth_hs256_secret"] = json!(HS256_SECRET);
        }
        self.stack.aws.set_secret(settings::SECRET_ID, &secrets.to_string()).await?;
        let queue = |name: &str| self.stack.aws.queues().url(name);
        let mut environment = settings::environment(
            &self.stack.base_url,
            &queue("OutboxQueue"),
            &queue("OutboxBulkQueue"),
            &queue("OutboxDeadLetterQueue"),
            &queue("PaymentsQueue"),
        );
        let at = |own: &Endpoint, path: &str| match hosts {
            Hosts::One => format!("{}{path}", self.all_services.url),
            Hosts::Each => format!("{}{path}", own.url),
        };
        let aws = |own: &Endpoint| at(own, local::aws::calls::AWS_PATH);
        let jwks = at(&self.issuer, local::issuer::JWKS_PATH);
        let ca_bundle = self.files.join(format!("{}-root.pem", hosts.certificates()));
        let jwks = match issuer {
            Issuer::SharedSecret => String::new(),
            Issuer::KeySet => jwks,
        };
        let ours = [
            (names::AWS_CA_BUNDLE, ca_bundle.display().to_string()),
            (names::AWS_ENDPOINT_URL_DYNAMODB, aws(&self.dynamodb)),
            (names::AWS_ENDPOINT_URL_SECRETS_MANAGER, aws(&self.secrets)),
            (names::AWS_SESSION_TOKEN, "x".repeat(1_000)),
            (names::AWS_LAMBDA_FUNCTION_NAME, function.to_owned()),
            (names::AUTH_JWKS_URL, jwks),
            (names::CONFIG_SECRET_ID, settings::SECRET_ID.to_owned()),
        ];
        environment.retain(|(name, _)| ours.iter().all(|(other, _)| name != other));
        environment.extend(ours);
        Ok(environment)
    }

    /// Returns the join request of a student.
    pub(crate) fn join_request(&self, issuer: Issuer) -> Result<Value, BoxError> {
        let token = self.token("student-1", "student", issuer)?;
        Ok(http_event("POST", &format!("/v1/sessions/{}/join", self.session_id), &token))
    }

    /// Returns the list request of a trainer.
    pub(crate) fn list_request(&self, issuer: Issuer) -> Result<Value, BoxError> {
        let token = self.token("trainer-1", "trainer", issuer)?;
        Ok(http_event("GET", "/v1/sessions", &token))
    }

    /// Returns Zoom's event for a new participant.
    pub(crate) fn participant_joined_event(&self) -> Value {
        let number = self.participants.fetch_add(1, Ordering::Relaxed);
        let participant = json!({
            "user_id": "16778240", "user_name": "Ada Lovelace", "id": "", "email": "", "participant_user_id": "",
            "participant_uuid": format!("0A1B2C3D-4E5F-6071-8293-{number:012}"),
            "customer_key": "yjp5w3kmgvwq2q4xbz6yh4ciwe", "join_time": now(),
        });
        self.signed_event("meeting.participant_joined", json!({"participant": participant}))
    }

    fn signed_event(&self, name: &str, about: Value) -> Value {
        let mut object = json!({
            "id": self.meeting_id, "uuid": "4444AAAiAAAAAiAiAiiAii==", "host_id": "x1yCzABCDEfg23HiJKl4mN",
            "topic": "Algebra I, the fractions", "type": 2, "start_time": now(), "timezone": "Europe/Berlin", "duration": 60,
        });
        for (field, value) in about.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        let at = now();
        let body = json!({
            "event": name, "event_ts": at.as_millisecond(),
            "payload": {"account_id": self.account_id, "object": object},
        });
        let mut event = http_event("POST", "/", "");
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

/// Returns a payload 2.0 event with the headers of a browser and of the gateway.
fn http_event(method: &str, path: &str, token: &str) -> Value {
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
