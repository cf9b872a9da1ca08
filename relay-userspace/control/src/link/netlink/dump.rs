//! Lists that the kernel gives in several pieces. What changes between two pieces can leave out an entry that was there all
//! the while; the kernel marks what follows, and the list is asked for again.

use super::{LinkError, Netlink};
use futures_util::{Stream, StreamExt as _};
use rtnetlink::Error;
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use std::io;
use std::pin::pin;

/// A list that has changed so often while it was given is unknown. Each takes a millisecond where it is long.
const TRIES: u32 = 20;

type Answer = NetlinkMessage<RouteNetlinkMessage>;

impl Netlink {
    /// What the kernel has of a kind, as it was at one moment. `of` takes what is wanted of each entry.
    pub(super) async fn list<T>(
        &self,
        what: &'static str,
        question: RouteNetlinkMessage,
        of: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, LinkError> {
        let ask = || {
            let mut request = NetlinkMessage::from(question.clone());
            request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
            self.handle.clone().request(request)
        };
        whole(what, ask, of).await
    }
}

/// Asks until the answer was not interrupted.
async fn whole<T, S: Stream<Item = Answer>>(
    what: &'static str,
    mut ask: impl FnMut() -> Result<S, Error>,
    of: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> Result<Vec<T>, LinkError> {
    for _ in 0..TRIES {
        let answers = ask().map_err(|error| LinkError::new(what, error))?;
        if let Some(list) = uninterrupted(what, answers, &of).await? {
            return Ok(list);
        }
    }
    Err(LinkError::NoAnswer { what, text: format!("{TRIES} times something changed before the list was whole") })
}

/// The list, unless something changed between two pieces of it.
async fn uninterrupted<T>(
    what: &'static str,
    answers: impl Stream<Item = Answer>,
    of: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> Result<Option<Vec<T>>, LinkError> {
    let mut answers = pin!(answers);
    let (mut list, mut is_interrupted) = (Vec::new(), false);
    while let Some(answer) = answers.next().await {
        is_interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
        match answer.payload {
            NetlinkPayload::InnerMessage(entry) => list.extend(of(entry)),
            NetlinkPayload::Done(done) if done.code < 0 => {
                return Err(LinkError::Refused { what, source: io::Error::from_raw_os_error(-done.code) });
            }
            NetlinkPayload::Done(_) => return Ok((!is_interrupted).then_some(list)),
            NetlinkPayload::Error(error) => return Err(LinkError::Refused { what, source: error.to_io() }),
            other => return Err(LinkError::NoAnswer { what, text: format!("{other:?}") }),
        }
    }
    Err(LinkError::NoAnswer { what, text: "the list breaks off".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Answer, TRIES, whole};
    use crate::link::netlink::LinkError;
    use futures_util::stream;
    use rtnetlink::packet_core::{DoneMessage, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NetlinkHeader, NetlinkPayload};
    use rtnetlink::packet_route::RouteNetlinkMessage;
    use rtnetlink::packet_route::link::LinkMessage;

    fn answer(flags: u16, payload: NetlinkPayload<RouteNetlinkMessage>) -> Answer {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_MULTIPART | flags;
        Answer::new(header, payload)
    }

    fn link(index: u32, flags: u16) -> Answer {
        let mut link = LinkMessage::default();
        link.header.index = index;
        answer(flags, NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)))
    }

    fn done(flags: u16) -> Answer {
        answer(flags, NetlinkPayload::Done(DoneMessage::default()))
    }

    /// Asks a kernel that gives these answers, one after the other; the indices of links, and how often it was asked.
    async fn asked(lists: Vec<Vec<Answer>>) -> (Result<Vec<u32>, LinkError>, usize) {
        let mut asked = 0;
        let ask = || {
            asked += 1;
            Ok(stream::iter(lists[(asked - 1).min(lists.len() - 1)].clone()))
        };
        let index = |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
            _ => None,
        };
        (whole("list links", ask, index).await, asked)
    }

    #[tokio::test]
    async fn a_list_that_was_interrupted_is_asked_for_again() {
        let all = || vec![link(1, 0), link(2, 0), link(3, 0), done(0)];
        let (list, n) = asked(vec![all()]).await;
        assert_eq!((list.unwrap(), n), (vec![1, 2, 3], 1));
        // The second is left out, and what follows is marked; be it the end alone.
        let in_the_middle = vec![link(1, 0), link(3, NLM_F_DUMP_INTR), done(NLM_F_DUMP_INTR)];
        let at_the_end = vec![link(1, 0), done(NLM_F_DUMP_INTR)];
        let (list, n) = asked(vec![in_the_middle, at_the_end, all()]).await;
        assert_eq!((list.unwrap(), n), (vec![1, 2, 3], 3));
    }

    #[tokio::test]
    async fn what_is_never_whole_is_unknown() {
        let (list, n) = asked(vec![vec![link(1, NLM_F_DUMP_INTR), done(0)]]).await;
        assert!(matches!(list, Err(LinkError::NoAnswer { .. })), "{list:?}");
        assert_eq!(n, TRIES as usize);
        let (list, n) = asked(vec![vec![link(1, 0)]]).await;
        assert!(matches!(list, Err(LinkError::NoAnswer { .. })), "it breaks off: {list:?}");
        assert_eq!(n, 1);
    }
}
