//! Who takes in what: by input and source.

use super::*;

#[test]
fn two_relays_cannot_have_one_input() {
    let compiled = compiled(&plan(vec![relay("a", "239.1.1.1", &[]), relay("b", "239.1.1.1", &[])]), &facts(), None);
    assert_eq!(compiled.refused, [Conflict::SameInput { first: name("a"), second: name("b"), source: None }]);
}

#[test]
fn two_relays_share_an_input_unless_their_sources_meet() {
    let with = |name: &str, sources: &[&str]| {
        let mut relay = relay(name, "239.1.1.1", &["239.2.1.1"]);
        relay.input.sources = sources.iter().map(|source| ip(source)).collect();
        relay
    };
    let refused = |relays: Vec<Relay>| compiled(&plan(relays), &facts(), None).refused;
    let (a, b) = (|| with("a", &["10.9.9.1", "10.9.9.2"]), |sources: &[&str]| with("b", sources));
    assert_eq!(refused(vec![a(), b(&["10.9.9.3"]), with("c", &["10.9.9.4"])]), []);
    let same = |source| Conflict::SameInput { first: name("a"), second: name("b"), source };
    assert_eq!(refused(vec![a(), b(&["10.9.9.3", "10.9.9.2"])]), [same(Some(ip("10.9.9.2")))]);
    assert_eq!(refused(vec![a(), b(&[])]), [same(None)]);
    assert_eq!(refused(vec![with("a", &[]), b(&["10.9.9.3"])]), [same(None)]);
    let texts = [same(None), same(Some(ip("10.9.9.2")))].map(|conflict| conflict.to_string());
    assert_eq!(
        texts,
        [
            "relay \"b\" takes in what relay \"a\" does: give \"a\" the outputs of both, or name different sources in both",
            "relay \"b\" takes in what relay \"a\" does from 10.9.9.2: name it in one of them, or give \"a\" the \
             outputs of both",
        ]
    );
}

/// Meters begin anew when another sender is named, and not when one more is.
#[test]
fn another_source_is_another_stream() {
    let epoch = |sources: &[&str], before: Option<&Table>| {
        let mut relay = relay("a", "239.1.1.1", &["239.2.1.1"]);
        relay.input.sources = sources.iter().map(|source| ip(source)).collect();
        let table = table(vec![relay], before);
        (table.entries[0].epoch, table)
    };
    let (first, before) = epoch(&["10.9.9.1"], None);
    assert_eq!(epoch(&["10.9.9.1", "10.9.9.2"], Some(&before)).0, first);
    assert_eq!(epoch(&[], Some(&before)).0, first);
    assert_ne!(epoch(&["10.9.9.2"], Some(&before)).0, first);
}

#[test]
fn joins_are_shared_and_any_source_wins() {
    let with = |name: &str, number: u16, sources: &[&str]| {
        let mut relay = relay(name, "239.1.1.1", &["239.2.1.1"]);
        relay.input = input("239.1.1.1", number);
        relay.input.sources = sources.iter().map(|source| ip(source)).collect();
        relay
    };
    let union = table(vec![with("a", 1, &["10.9.9.1"]), with("b", 2, &["10.9.9.2", "10.9.9.1"])], None);
    let join = &union.kernel.joins[&(1, ip("239.1.1.1"))];
    assert_eq!(join.sources.iter().copied().collect::<Vec<_>>(), [ip("10.9.9.1"), ip("10.9.9.2")]);
    assert_eq!((union.kernel.sources.len(), union.kernel.inputs.values().all(|v| v.has_sources == 1)), (3, true));
    let any = table(vec![with("a", 1, &["10.9.9.1"]), with("b", 2, &[]), with("c", 3, &["10.9.9.2"])], None);
    assert_eq!(any.kernel.joins[&(1, ip("239.1.1.1"))].sources.len(), 0);
}
