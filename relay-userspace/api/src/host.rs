//! For whom a request is meant: the rules of HTTP for the line Host, and those that keep a browser's stranger out.

use super::problem::{Kind, Problem};
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version};
use std::net::IpAddr;

/// Refuses a request that does not say, or says twice, for whom it is (RFC 9112, 3.2). Whoever stands between, a proxy or a
/// cache, could understand it otherwise than this end does. Gives the name that it is for. Behind a Unix socket there is no
/// host to name, and the line may be empty.
pub(super) fn check_target(parts: &Parts, is_unix: bool) -> Result<Option<Authority>, Problem> {
    let mut lines = parts.headers.get_all(header::HOST).iter();
    let (first, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Problem::malformed("there are two lines Host: send one"));
    }
    let Some(line) = first else {
        if parts.version == Version::HTTP_11 {
            return Err(Problem::malformed("the line Host is missing: send it, as HTTP/1.1 asks"));
        }
        return Ok(parts.uri.authority().cloned());
    };
    let wrong = || Problem::malformed("Host is no host: send a name or an address, and a port if there is one");
    let text = line.to_str().map_err(|_| wrong())?;
    let host = match text {
        "" if is_unix => None,
        text if text.contains('@') => return Err(wrong()),
        text => Some(text.parse::<Authority>().map_err(|_| wrong())?),
    };
    if let Some(of_address) = parts.uri.authority()
        && !host.as_ref().is_some_and(|host| host.as_str().eq_ignore_ascii_case(of_address.as_str()))
    {
        return Err(Problem::malformed("the address of the request names another host than the line Host: send one"));
    }
    Ok(host)
}

/// A name that a stranger's name server made to mean this machine gets no answer. Machines that are to be reached by
/// name are not reached at their loopback address.
pub(super) fn check_is_local(host: Option<&Authority>) -> Result<(), Problem> {
    // Only HTTP/1.0 leaves it out, which no browser speaks.
    let Some(host) = host else { return Ok(()) };
    let name = host.host().to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if address.is_ok() || name == "localhost" || name.ends_with(".localhost") {
        return Ok(());
    }
    let detail = "here only localhost and plain addresses are answered to: use http://127.0.0.1, or let the proxy send that as Host";
    Err(Problem::new(Kind::OtherHost, detail))
}

/// A browser says from which page a change comes. A change that comes from another's page is no wish of its user.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let of_other_site = text(&SITE).is_some_and(|site| site != "same-origin" && site != "none");
    let of_other_origin = text(&header::ORIGIN).is_some_and(|origin| {
        let page = origin.split_once("://").map(|(_, authority)| authority.to_owned());
        page.is_none() || page != text(&header::HOST)
    });
    if of_other_site || of_other_origin {
        let detail =
            "this change comes from the page of another site: changes are made from here or from no page at all";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_is_local, check_origin, check_target};
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

    /// What is made of a request with these lines Host: the host, or the kind of problem.
    fn target(uri: &str, version: Version, hosts: &[&str], is_unix: bool) -> Result<String, u16> {
        let mut request = Request::get(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let host = check_target(&parts, is_unix).map_err(|problem| problem.status().as_u16())?;
        Ok(host.map(|host| host.to_string()).unwrap_or_default())
    }

    #[test]
    fn a_request_says_once_for_whom_it_is() {
        let target = |hosts: &[&str]| target("/healthz", Version::HTTP_11, hosts, false);
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9280", "[::1]:9280", "node-1.example", "10.0.0.1"] {
            assert_eq!(target(&[host]).as_deref(), Ok(host));
        }
        let wrong: [&[&str]; 8] =
            [&[], &["a", "a"], &["a", "b"], &[""], &["a b"], &["a, b"], &["someone@a"], &["http://a"]];
        for hosts in wrong {
            assert_eq!(target(hosts), Err(400), "{hosts:?}");
        }
    }

    #[test]
    fn older_clients_and_those_behind_a_unix_socket_need_name_nobody() {
        assert_eq!(target("/", Version::HTTP_10, &[], false).as_deref(), Ok(""));
        assert_eq!(target("/", Version::HTTP_11, &[""], true).as_deref(), Ok(""));
        assert_eq!(target("/", Version::HTTP_11, &[], true), Err(400));
    }

    #[test]
    fn an_address_with_a_host_names_the_same_as_the_line() {
        let target = |hosts: &[&str]| target("http://Node:9280/", Version::HTTP_11, hosts, false);
        assert_eq!(target(&["node:9280"]).as_deref(), Ok("node:9280"));
        for host in ["node", "node:9281", "other:9280"] {
            assert_eq!(target(&[host]), Err(400), "{host}");
        }
    }

    #[test]
    fn at_the_loopback_address_a_name_from_outside_is_nobodys() {
        let check = |host: &str| check_is_local(Some(&host.parse().unwrap())).is_ok();
        for host in
            ["127.0.0.1:9280", "127.0.0.1", "[::1]:9280", "localhost", "LOCALHOST:1", "mcr.localhost:9280", "10.0.0.1"]
        {
            assert!(check(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9280", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!check(host), "{host}");
        }
        assert!(check_is_local(None).is_ok());
    }

    #[test]
    fn a_page_changes_only_what_it_came_from() {
        let check = |lines: &[(&'static str, &'static str)]| {
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            check_origin(&lines.iter().map(line).collect::<HeaderMap>()).is_ok()
        };
        assert!(check(&[("host", "a:1")]));
        assert!(check(&[("host", "a:1"), ("origin", "http://A:1")]));
        assert!(check(&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")]));
        assert!(!check(&[("host", "a:1"), ("origin", "http://b:1")]));
        assert!(!check(&[("host", "a:1"), ("origin", "null")]));
        assert!(!check(&[("origin", "http://a:1")]));
        assert!(!check(&[("host", "a:1"), ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("host", "a:1"), ("sec-fetch-site", "same-site")]));
    }
}
