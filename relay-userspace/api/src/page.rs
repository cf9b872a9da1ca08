//! The page at `/`: the node as a person sees it in a browser. It asks what everybody may ask, and changes nothing.

use super::shared::Api;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

/// Its parts, and nothing but them: whatever else found its way into the page would neither run, load nor be sent.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A part of the page, as it is built in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

pub(super) const PARTS: [Part; 3] = [
    Part { path: "/", kind: "text/html; charset=utf-8", text: include_str!("page/page.html") },
    Part { path: "/page.css", kind: "text/css; charset=utf-8", text: include_str!("page/page.css") },
    Part { path: "/page.js", kind: "text/javascript; charset=utf-8", text: include_str!("page/page.js") },
];

/// The addresses of its parts. They are for people, so they are not in the document.
pub(super) fn router() -> Router<Api> {
    let add = |router: Router<Api>, part: Part| router.route(part.path, get(move || async move { part.answer() }));
    PARTS.into_iter().fold(Router::new(), add)
}

impl Part {
    fn answer(&self) -> Response {
        let headers: [(HeaderName, HeaderValue); 4] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            // A newer mcr brings another page, and its parts must fit each other.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.text).into_response()
    }
}
