//! Who has a place at a door of the API. Nobody takes it from others by saying nothing, nor by beginning to say something:
//! the client that has been silent for longest, of those that wait for nothing, makes room for the next one, one address has
//! only its share, and a few places are for probes alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// For everybody.
    pub(super) all: usize,
    /// Of these, for one client.
    pub(super) share: usize,
    /// Besides, for probes.
    pub(super) probes: usize,
}

/// The places of one door. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room: Room,
    taken: Mutex<Taken>,
    /// Told whenever a place is free.
    left: Notify,
}

/// The places that are taken, by the order in which their clients came.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    clients: BTreeMap<u64, Client>,
}

#[derive(Debug)]
struct Client {
    /// Whose place it is: an address, or a user of this machine.
    of: String,
    kind: Kind,
    /// How many requests of it are being answered.
    busy: usize,
    /// When it came, was last heard or last answered, among all that were.
    since: u64,
    leave: watch::Sender<bool>,
}

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever is asked.
    Any,
    /// Probes, and nothing else.
    Probes,
}

/// A place at the door, for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    /// What it is for.
    pub(super) kind: Kind,
    leave: watch::Receiver<bool>,
}

/// A request that is being answered: whoever has one is not sent away.
#[derive(Debug)]
pub(super) struct Busy {
    places: Places,
    number: u64,
}

/// A body that is being read: until it is there its client waits for nothing, and makes room as one that asks for nothing.
#[derive(Debug)]
pub(super) struct Hearing {
    places: Places,
    number: u64,
}

impl Places {
    pub(super) fn new(room: Room) -> Self {
        Self(Arc::new(Shared { room, taken: Mutex::default(), left: Notify::new() }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a client, if there is one, or if somebody makes room who waits for nothing.
    pub(super) fn take(&self, of: String) -> Option<Place> {
        let room = self.0.room;
        let mut taken = self.taken();
        // Those that were sent away are gone in a moment; until then they take memory, too.
        if taken.clients.len() > 2 * (room.all + room.probes) {
            return None;
        }
        let kind = if taken.count(|client| client.of == of && client.kind == Kind::Any) >= room.share {
            taken.send_away(|client| client.of == of && client.kind == Kind::Any).then_some(Kind::Any)
        } else if taken.count(|client| client.kind == Kind::Any) >= room.all {
            taken.send_away(|client| client.kind == Kind::Any).then_some(Kind::Any)
        } else {
            Some(Kind::Any)
        };
        let kind = match kind {
            Some(kind) => kind,
            None if taken.count(|client| client.kind == Kind::Probes) < room.probes => Kind::Probes,
            None => taken.send_away(|client| client.kind == Kind::Probes).then_some(Kind::Probes)?,
        };
        let (leave, told) = watch::channel(false);
        let number = taken.turn();
        taken.clients.insert(number, Client { of, kind, busy: 0, since: number, leave });
        Some(Place { places: self.clone(), number, kind, leave: told })
    }

    /// Waits until nobody has a place any more.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.0.left.notified();
            if self.taken().clients.is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl Taken {
    /// How many there are that stay.
    fn count(&self, counts: impl Fn(&Client) -> bool) -> usize {
        self.clients.values().filter(|client| !*client.leave.borrow() && counts(client)).count()
    }

    /// Sends the one of these away that has been silent for longest, of those that wait for nothing.
    fn send_away(&self, may: impl Fn(&Client) -> bool) -> bool {
        let silent = self.clients.values().filter(|client| client.busy == 0 && !*client.leave.borrow());
        let oldest = silent.filter(|client| may(client)).min_by_key(|client| client.since);
        oldest.is_some_and(|client| !client.leave.send_replace(true))
    }

    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Place {
    /// A request is being answered, until what is returned is dropped.
    pub(super) fn busy(&self) -> Busy {
        if let Some(client) = self.places.taken().clients.get_mut(&self.number) {
            client.busy += 1;
        }
        Busy { places: self.places.clone(), number: self.number }
    }

    /// The body of a request is being read, until what is returned is dropped.
    pub(super) fn hears(&self) -> Hearing {
        let hearing = Hearing { places: self.places.clone(), number: self.number };
        hearing.note(|busy| busy.saturating_sub(1));
        hearing
    }

    /// Waits until somebody else needs the place.
    pub(super) async fn needed(&self) {
        let _ = self.leave.clone().wait_for(|leave| *leave).await; // A sender that is gone means the same.
    }
}

impl Places {
    /// A client was heard or answered.
    fn note(&self, number: u64, busy: impl FnOnce(usize) -> usize) {
        let mut taken = self.taken();
        let turn = taken.turn();
        if let Some(client) = taken.clients.get_mut(&number) {
            (client.busy, client.since) = (busy(client.busy), turn);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.places.note(self.number, |busy| busy.saturating_sub(1));
    }
}

impl Hearing {
    /// More of it has come.
    pub(super) fn more(&self) {
        self.note(|busy| busy);
    }

    fn note(&self, busy: impl FnOnce(usize) -> usize) {
        self.places.note(self.number, busy);
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.note(|busy| busy + 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().clients.remove(&self.number);
        self.places.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Place, Places, Room};
    use futures_util::FutureExt as _;

    fn places(all: usize, share: usize, probes: usize) -> Places {
        Places::new(Room { all, share, probes })
    }

    fn take(places: &Places, of: &str) -> Option<(Place, Kind)> {
        places.take(of.to_owned()).map(|place| {
            let kind = place.kind;
            (place, kind)
        })
    }

    fn is_needed(place: &(Place, Kind)) -> bool {
        place.0.needed().now_or_never().is_some()
    }

    #[test]
    fn who_has_been_silent_for_longest_makes_room() {
        let places = places(3, 3, 0);
        let inside: Vec<_> = ["a", "b", "c"].map(|of| take(&places, of).unwrap()).into();
        // The first was answered since.
        drop(inside[0].0.busy());
        let next = take(&places, "d").unwrap();
        assert_eq!(inside.iter().map(is_needed).collect::<Vec<_>>(), [false, true, false]);
        assert!(!is_needed(&next) && next.1 == Kind::Any);
    }

    #[test]
    fn who_is_answered_is_not_sent_away_and_then_only_probes_are_let_in() {
        let places = places(2, 2, 2);
        let inside: Vec<_> = ["a", "b"].map(|of| take(&places, of).unwrap()).into();
        let busy: Vec<_> = inside.iter().map(|place| place.0.busy()).collect();
        let probes: Vec<_> = ["c", "d"].map(|of| take(&places, of).unwrap()).into();
        assert!(probes.iter().all(|probe| probe.1 == Kind::Probes));
        // The oldest of those makes room too.
        assert_eq!(take(&places, "e").unwrap().1, Kind::Probes);
        assert_eq!(probes.iter().map(is_needed).collect::<Vec<_>>(), [true, false]);
        assert!(!inside.iter().any(is_needed));
        drop(busy);
        assert_eq!(take(&places, "f").unwrap().1, Kind::Any);
    }

    #[test]
    fn who_sends_a_body_makes_room_when_it_has_been_silent_for_longest() {
        let places = places(2, 2, 0);
        let inside: Vec<_> = ["a", "b"].map(|of| take(&places, of).unwrap()).into();
        let busy: Vec<_> = inside.iter().map(|place| place.0.busy()).collect();
        let mut hearing: Vec<_> = inside.iter().map(|place| place.0.hears()).collect();
        hearing[0].more();
        let third = take(&places, "c").unwrap();
        assert_eq!(inside.iter().map(is_needed).collect::<Vec<_>>(), [false, true]);
        // What has come whole is answered first.
        drop(hearing.swap_remove(0));
        let _answering = third.0.busy();
        assert!(take(&places, "d").is_none());
        drop((busy, hearing));
    }

    #[test]
    fn one_client_has_its_share() {
        let places = places(4, 2, 1);
        let mut inside: Vec<_> = (0..2).map(|_| take(&places, "a").unwrap()).collect();
        // Its own oldest makes room, nobody else's.
        inside.push(take(&places, "b").unwrap());
        inside.push(take(&places, "a").unwrap());
        assert_eq!(inside.iter().map(is_needed).collect::<Vec<_>>(), [true, false, false, false]);
        let busy: Vec<_> = inside.iter().map(|place| place.0.busy()).collect();
        let probe = take(&places, "a").unwrap();
        assert_eq!(probe.1, Kind::Probes);
        let _probing = probe.0.busy();
        assert!(take(&places, "a").is_none(), "everybody is busy");
        assert_eq!(take(&places, "c").unwrap().1, Kind::Any);
        drop(busy);
    }

    #[tokio::test]
    async fn whoever_goes_leaves_the_place_free() {
        let places = places(1, 1, 0);
        let place = take(&places, "a").unwrap();
        let busy = place.0.busy();
        assert!(take(&places, "b").is_none());
        let waits = places.clone();
        let waiting = tokio::spawn(async move { waits.empty().await });
        tokio::task::yield_now().await;
        drop(place);
        waiting.await.unwrap();
        drop(busy);
        assert_eq!(take(&places, "b").unwrap().1, Kind::Any);
    }

    #[test]
    fn those_that_go_are_bounded_too() {
        let places = places(2, 2, 1);
        let kept: Vec<_> = (0..100).filter_map(|n| take(&places, &n.to_string())).collect();
        assert!(kept.len() <= 7, "{}", kept.len());
    }
}
