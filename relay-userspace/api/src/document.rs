//! The OpenAPI document, made from the code that answers.

use super::problem::Kind;
use super::routes;
use relay_config::model;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

const ABOUT: &str = "Changes relays on a running node, shows how it does, and tells what happens. Every change is \
     answered when it is in force on every lane, or refused with a problem document (RFC 9457) and nothing changed. By \
     TCP a change needs a token; by the Unix socket whoever may open it may change. See docs/api.md.";

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = routes::described();
    document.info = InfoBuilder::new()
        .title("MCR")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(None)
        .build();
    let tag = |(name, text): (&str, &str)| TagBuilder::new().name(name).description(Some(text)).build();
    let tags = [
        ("relays", "See and change relays."),
        ("changes", "What became of what was asked for."),
        ("node", "The node as a whole."),
        ("events", "What happens."),
        ("probes", "For load balancers, orchestrators and Prometheus."),
    ];
    document.tags = Some(tags.map(tag).into());
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("Needed by TCP only; its SHA-256 stands in http.tokens.")).build();
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(bearer).into());
    components.schemas.insert("Problem".to_owned(), model::Problem::schema());
    components.schemas.insert("Fault".to_owned(), model::Fault::schema());
    for (path, item) in &mut document.paths.paths {
        let sorts = [
            (&mut item.get, Sort::Look),
            (&mut item.post, Sort::Change),
            (&mut item.patch, Sort::Change),
            (&mut item.put, Sort::Conditional),
            (&mut item.delete, Sort::Conditional),
        ];
        for (operation, sort) in sorts {
            operation.iter_mut().for_each(|operation| describe(path, operation, sort));
        }
    }
    document
}

/// The document as it is served and kept in docs/openapi.json.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_pretty_json().unwrap_or_default() + "\n");
    &TEXT
}

fn is_selector(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.name == "selector")
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Look,
    Change,
    /// A change that can ask for what must be in force before.
    Conditional,
}

/// Adds what any request of this sort can be answered.
fn describe(path: &str, operation: &mut Operation, sort: Sort) {
    let is_write = sort != Sort::Look;
    let takes_token = is_write || path == super::capture::ROUTE;
    let body = operation.request_body.is_some();
    let chooses = operation.parameters.iter().flatten().any(is_selector);
    let of_relay = path.contains("{name}") || chooses;
    // Of several relays none is new.
    let makes = is_write && !chooses;
    let by_kind = |kind: &Kind| match kind {
        Kind::OtherHost => true,
        // Health and the document itself are made of nothing that could be missing.
        Kind::Failed | Kind::NoAnswer => path.starts_with("/api/") || path == "/metrics",
        Kind::Unavailable => is_write || matches!(path, "/api/v1/events" | "/api/v1/relays" | "/metrics"),
        // Whatever is asked, it must say for whom it is.
        Kind::Malformed => true,
        Kind::NoSuchRelay => of_relay,
        Kind::NoSuchChange => path.ends_with("/changes/{id}"),
        Kind::NoSuchAddress => path == "/problems/{kind}",
        Kind::NoSuchMethod => false,
        Kind::TokenNeeded | Kind::Forbidden | Kind::TooMany => takes_token,
        Kind::TooSlow | Kind::TooLong | Kind::NotJson => body,
        Kind::Invalid => is_write || path == "/api/v1/diff",
        Kind::DoesNotFit | Kind::OfFile | Kind::NotKept => is_write,
        Kind::Overtaken => is_write,
        Kind::Exists => makes,
        Kind::NotOfFile => path.ends_with("/adopt"),
        Kind::Changed => (sort == Sort::Conditional || chooses) && is_write && path.starts_with("/api/v1/relays"),
    };
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(by_kind).collect();
    for status in kinds.iter().map(|kind| kind.status()).collect::<BTreeSet<_>>() {
        let titles: BTreeSet<&str> =
            kinds.iter().filter(|kind| kind.status() == status).map(|kind| kind.title()).collect();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(titles.into_iter().collect::<Vec<_>>().join(" "))
            .content("application/problem+json", problem)
            .build();
        operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(|| response.into());
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            "As it was asked for.".clone_into(&mut response.description);
        }
    }
    if takes_token {
        let nobody = SecurityRequirement::default();
        operation.security = Some(vec![nobody, SecurityRequirement::new("token", [""; 0])]);
    }
}
