//! Everything that can be asked, one line each: what stands here is served, and is in the document. The page beside it
//! is for people.

use super::problem::{Kind, Problem};
use super::shared::Api;
use super::{access, capture, changes, document, many, node, page, probe, relays, stream, whole};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(relays::list, relays::create, relays::replace, many::change, many::remove))
        .routes(routes!(relays::show, relays::put, relays::remove))
        .routes(routes!(relays::why))
        .routes(routes!(capture::capture))
        .routes(routes!(relays::enable))
        .routes(routes!(relays::disable))
        .routes(routes!(relays::mute))
        .routes(routes!(relays::unmute))
        .routes(routes!(relays::adopt))
        .routes(routes!(changes::list))
        .routes(routes!(changes::show))
        .routes(routes!(node::status))
        .routes(routes!(node::links))
        .routes(routes!(node::diff))
        .routes(routes!(whole::export))
        .routes(routes!(whole::import))
        .routes(routes!(stream::events))
        .routes(routes!(node::reload))
        .routes(routes!(node::restart))
        .routes(routes!(node::confirm))
        .routes(routes!(node::rollback))
        .routes(routes!(node::upgrade))
        .routes(routes!(node::log, node::set_log))
        .routes(routes!(probe::livez))
        .routes(routes!(probe::readyz))
        .routes(routes!(probe::healthz))
        .routes(routes!(probe::metrics))
        .routes(routes!(openapi))
        .routes(routes!(node::problem))
}

/// The document of all of them.
pub(super) fn described() -> OpenApi {
    all().into_openapi()
}

/// What answers.
pub(super) fn served(api: Api) -> Router {
    let (router, _) = all().split_for_parts();
    router
        .merge(page::router())
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(api.clone(), access::guard))
        // Bodies have bounds of their own, address by address.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

/// The document of this API: OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "node", responses((status = 200, body = serde_json::Value)))]
async fn openapi() -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, JSON)], document::text()).into_response()
}

async fn no_such_address() -> Problem {
    Problem::new(Kind::NoSuchAddress, "there is nothing at this address: /openapi.json lists all there are")
}

async fn no_such_method(method: Method) -> Problem {
    let method = method.as_str().chars().take(16).collect::<String>();
    Problem::new(Kind::NoSuchMethod, format!("{method} is not known at this address: Allow names what is"))
}
