//! What went wrong, as a problem document (RFC 9457), in the words of the command line.

use super::denied::Denied;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relay_config::model;
use relay_config::{ConfigError, Errors};
use relay_control::desk::Refusal;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $status:ident;)*) => {
        /// What kind of problem. Names are stable: programs match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[doc = $doc])+ $kind,)* }

        impl Kind {
            /// All kinds.
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The stable name.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The kind in words.
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),+).trim_ascii(),)* }
            }

            /// The status of the answer.
            pub(super) const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }
        }
    };
}

kinds! {
    /// The request cannot be understood.
    Malformed = "malformed", BAD_REQUEST;
    /// This needs a token over TCP.
    TokenNeeded = "token-needed", UNAUTHORIZED;
    /// This is not allowed here.
    Forbidden = "forbidden", FORBIDDEN;
    /// There is no such relay.
    NoSuchRelay = "no-such-relay", NOT_FOUND;
    /// There is no such change.
    NoSuchChange = "no-such-change", NOT_FOUND;
    /// There is nothing at this address.
    NoSuchAddress = "no-such-address", NOT_FOUND;
    /// This cannot be done at this address.
    NoSuchMethod = "no-such-method", METHOD_NOT_ALLOWED;
    /// The request did not come in time.
    TooSlow = "too-slow", REQUEST_TIMEOUT;
    /// It does not fit this node.
    DoesNotFit = "does-not-fit", CONFLICT;
    /// There is such a relay already.
    Exists = "exists", CONFLICT;
    /// The relay stands in the configuration file.
    OfFile = "of-file", CONFLICT;
    /// The relay does not stand in the configuration file.
    NotOfFile = "not-of-file", CONFLICT;
    /// A relay was silenced meanwhile, and this would undo it.
    Overtaken = "overtaken", CONFLICT;
    /// What is in force is not what was expected.
    Changed = "changed", PRECONDITION_FAILED;
    /// The body is too long.
    TooLong = "too-long", PAYLOAD_TOO_LARGE;
    /// The body is not JSON.
    NotJson = "not-json", UNSUPPORTED_MEDIA_TYPE;
    /// The request was meant for another host.
    OtherHost = "other-host", MISDIRECTED_REQUEST;
    /// What was asked for is wrong.
    Invalid = "invalid", UNPROCESSABLE_ENTITY;
    /// There are too many of these at once.
    TooMany = "too-many", TOO_MANY_REQUESTS;
    /// It could not be carried out.
    Failed = "failed", INTERNAL_SERVER_ERROR;
    /// It could not be kept.
    NotKept = "not-kept", INTERNAL_SERVER_ERROR;
    /// It cannot be done now.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE;
    /// There was no answer in time.
    NoAnswer = "no-answer", GATEWAY_TIMEOUT;
}

/// What goes out instead of what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<model::Fault>,
    tag: Option<String>,
    /// Whose token it is that is not for this.
    token: Option<String>,
    change: Option<u64>,
}

impl Kind {
    /// Whether it says that somebody may not have what they asked for.
    const fn is_denial(self) -> bool {
        matches!(self, Self::TokenNeeded | Self::Forbidden | Self::OtherHost | Self::TooMany)
    }
}

impl Problem {
    /// A problem, and what is wrong here and what to do.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), tag: None, token: None, change: None }
    }

    /// A token that is known, and not for this.
    pub(super) fn of_token(kind: Kind, detail: impl Into<String>, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::new(kind, detail) }
    }

    /// The status of the answer.
    #[cfg(test)]
    pub(super) const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The same, of the change of that number.
    pub(super) const fn of_change(mut self, id: u64) -> Self {
        self.change = Some(id);
        self
    }

    /// What goes over the wire.
    pub(super) fn document(self) -> model::Problem {
        model::Problem {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.title().trim_end_matches('.').to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail,
            change: self.change,
            errors: self.errors,
        }
    }

    /// A request that cannot be understood.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }
}

impl From<Errors> for Problem {
    fn from(errors: Errors) -> Self {
        let fault = |error: &ConfigError| model::Fault {
            place: errors.place(error),
            key: error.key.clone(),
            problem: error.problem.clone(),
            remedy: error.remedy.clone(),
        };
        let faults: Vec<_> = errors.errors.iter().map(fault).collect();
        let detail = match faults.as_slice() {
            [fault] => fault.to_string(),
            [first, rest @ ..] => format!("{first} (and {} more: see errors)", rest.len()),
            [] => String::new(),
        };
        Self { errors: faults, ..Self::new(Kind::Invalid, detail) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Invalid(errors) => return errors.into(),
            Refusal::Changed { ref tag } => {
                let tag = tag.clone();
                return Self { tag, ..Self::new(Kind::Changed, refusal.to_string()) };
            }
            Refusal::Twice(_) => Kind::Invalid,
            Refusal::Conflict(_) => Kind::DoesNotFit,
            Refusal::NotFound(_) | Refusal::NoneMeant(_) => Kind::NoSuchRelay,
            Refusal::Exists(_) => Kind::Exists,
            Refusal::OfFile { .. } => Kind::OfFile,
            Refusal::NotOfFile { .. } => Kind::NotOfFile,
            Refusal::Overtaken { .. } => Kind::Overtaken,
            Refusal::Failed(_) => Kind::Failed,
            Refusal::NotKept { .. } | Refusal::InDoubt { .. } => Kind::NotKept,
            Refusal::Unavailable(_) => Kind::Unavailable,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, tag) = (self.kind, self.tag.clone());
        let denied = kind.is_denial().then(|| Denied { detail: self.detail.clone(), token: self.token.clone() });
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match kind {
            Kind::TokenNeeded => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mcr\""));
            }
            Kind::TooMany | Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(format!("\"{tag}\"")).ok()) {
            headers.insert(header::ETAG, tag);
        }
        let mut answer = (kind.status(), headers, Body::from(body)).into_response();
        if let Some(denied) = denied {
            answer.extensions_mut().insert(denied);
        }
        answer
    }
}
