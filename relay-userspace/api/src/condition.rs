//! ETag, If-Match and If-None-Match: who has read what is in force, and who has not.

use super::problem::{Kind, Problem};
use axum::http::{HeaderMap, HeaderValue, header};
use relay_control::desk::Expected;
use relay_control::tag;

/// A tag as it stands in ETag.
pub(super) fn etag(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tag of a list: that of the relays that came by the API, which is what a replacement is compared with, and that
/// of the file's, so that a list whose file has changed is another list.
pub(super) fn of_list(of_api: &str, of_file: impl IntoIterator<Item = String>) -> String {
    format!("{of_api}-{}", tag::of_tags(of_file.into_iter().collect()))
}

/// What a change of the whole set is compared with, if the tag is a list's or the set's own.
pub(super) fn of_set(expected: Expected) -> Expected {
    let cut = |tag: String| tag.split_once('-').map_or_else(|| tag.clone(), |(of_api, _)| of_api.to_owned());
    match expected {
        Expected::Tags(tags) => Expected::Tags(tags.into_iter().map(cut).collect()),
        other => other,
    }
}

/// What must be in force for a change to be made.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let if_match = read(headers, &header::IF_MATCH)?;
    let if_none_match = read(headers, &header::IF_NONE_MATCH)?;
    match (if_match, if_none_match) {
        (None, None) => Ok(Expected::Anything),
        (Some(Tags::Any), None) => Ok(Expected::Something),
        (Some(Tags::These(tags)), None) => {
            // Only strong tags are good for a change, and ours all are.
            Ok(Expected::Tags(tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.text).collect()))
        }
        (None, Some(Tags::Any)) => Ok(Expected::Nothing),
        (None, Some(Tags::These(_))) => {
            let detail =
                "If-None-Match takes * only in a change: to change what you have read, send its tag as If-Match";
            Err(Problem::malformed(detail))
        }
        (Some(_), Some(_)) => Err(Problem::malformed("If-Match and If-None-Match contradict each other: send one")),
    }
}

/// Refuses a condition where there is none to be met: ignored, it would be a change that was not to be made.
pub(super) fn unconditional(headers: &HeaderMap) -> Result<(), Problem> {
    match expected(headers)? {
        Expected::Anything => Ok(()),
        _ => Err(Problem::new(
            Kind::Malformed,
            "If-Match and If-None-Match are not known here: use PUT or DELETE with them",
        )),
    }
}

/// Whether the reader has this already.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> Result<bool, Problem> {
    Ok(match read(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => tags.iter().any(|known| known.text == tag),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    text: String,
}

fn read(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<Tags>, Problem> {
    let wrong = || Problem::malformed(format!("{name} is not *, and not tags in quotes with commas between"));
    let mut tags = Vec::new();
    let mut is_any = false;
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    for line in lines {
        for part in line.to_str().map_err(|_| wrong())?.split(',').map(str::trim) {
            if part == "*" {
                is_any = true;
                continue;
            }
            let (weak, quoted) = part.strip_prefix("W/").map_or((false, part), |quoted| (true, quoted));
            let text = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(wrong)?;
            tags.push(Tag { weak, text: text.to_owned() });
        }
    }
    match (is_any, tags.is_empty()) {
        (true, true) => Ok(Some(Tags::Any)),
        (false, false) => Ok(Some(Tags::These(tags))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::{expected, is_known, of_list, of_set};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use relay_control::desk::Expected;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn conditions_are_understood_or_refused() {
        let tags = |tags: &[&str]| Some(Expected::Tags(tags.iter().map(ToString::to_string).collect()));
        let check = |lines: &[(&'static str, &'static str)], wanted: Option<Expected>| {
            assert_eq!(expected(&headers(lines)).ok(), wanted, "{lines:?}");
        };
        check(&[], Some(Expected::Anything));
        check(&[("if-match", "*")], Some(Expected::Something));
        check(&[("if-none-match", "*")], Some(Expected::Nothing));
        check(&[("if-match", "\"a\"")], tags(&["a"]));
        check(&[("if-match", "\"a\" , \"b\"")], tags(&["a", "b"]));
        // A weak tag names nothing that can be changed, so nothing fits it.
        check(&[("if-match", "W/\"a\"")], tags(&[]));
        for wrong in ["a", "\"", "", "*, \"a\""] {
            check(&[("if-match", wrong)], None);
        }
        check(&[("if-none-match", "\"a\"")], None);
        check(&[("if-match", "*"), ("if-none-match", "*")], None);
    }

    #[test]
    fn a_reader_has_what_it_names() {
        let known = |line| is_known(&headers(&[("if-none-match", line)]), "a").unwrap();
        assert!(known("\"a\"") && known("W/\"a\"") && known("*") && known("\"b\", \"a\""));
        assert!(!known("\"b\""));
        assert!(!is_known(&headers(&[]), "a").unwrap());
    }

    #[test]
    fn the_tag_of_a_list_stands_for_the_set() {
        let list = of_list("abc", ["1".to_owned()]);
        assert_ne!(list, of_list("abc", ["2".to_owned()]));
        let set = |tag: &str| of_set(Expected::Tags(vec![tag.to_owned()]));
        assert_eq!(set(&list), Expected::Tags(vec!["abc".to_owned()]));
        assert_eq!(set("abc"), Expected::Tags(vec!["abc".to_owned()]));
    }
}
