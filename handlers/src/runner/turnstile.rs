//! The order of delivery: of objects with one output key the lowest received is delivered, whatever the number of workers
//! (DESIGN §3). An object may pass once every lower one has shown its key or ended, and every lower one with its key has ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::ports::objects::OutputKey;

/// The place of an object in the order of receipt.
pub type Place = u64;

#[derive(Debug, Default)]
struct State {
    /// Admitted, and neither identified nor ended.
    unknown: BTreeSet<Place>,
    /// The key of each identified object that has not ended.
    keys: HashMap<Place, OutputKey>,
    /// The same, the other way round.
    places: HashMap<OutputKey, BTreeSet<Place>>,
    waiting: BTreeMap<Place, oneshot::Sender<()>>,
    stopped: bool,
}

/// Lets objects pass to delivery in order. Holds as many places as there are objects in flight.
#[derive(Debug, Default)]
pub struct Turnstile {
    state: Mutex<State>,
}

impl Turnstile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits an object. Called in ascending order of place, before any higher one is admitted.
    pub fn admit(&self, place: Place) {
        self.state().unknown.insert(place);
    }

    /// Notes under which key an admitted object would be delivered.
    pub fn identify(&self, place: Place, key: &OutputKey) {
        let mut state = self.state();
        if state.unknown.remove(&place) {
            state.keys.insert(place, key.clone());
            state.places.entry(key.clone()).or_default().insert(place);
            state.wake_below_first_unknown();
        }
    }

    /// Notes that an object has ended, in whatever way.
    pub fn leave(&self, place: Place) {
        let mut state = self.state();
        if state.unknown.remove(&place) {
            state.wake_below_first_unknown();
        }
        let Some(key) = state.keys.remove(&place) else { return };
        let Some(places) = state.places.get_mut(&key) else { return };
        places.remove(&place);
        match places.first().copied() {
            Some(next) => state.wake(next),
            None => drop(state.places.remove(&key)),
        }
    }

    /// Lets nobody pass any more: an object that had to be let go of without an end may be a lower one of the same key.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        for (_, wake) in std::mem::take(&mut state.waiting) {
            wake.send(()).ok();
        }
    }

    /// Waits until the object may be delivered; `false` if it may not be in this run. Never waits for a higher place, so
    /// the lowest always passes.
    #[must_use]
    pub async fn pass(&self, place: Place) -> bool {
        loop {
            let woken = {
                let mut state = self.state();
                if state.stopped || state.may_pass(place) {
                    return !state.stopped;
                }
                let (wake, woken) = oneshot::channel();
                state.waiting.insert(place, wake);
                woken
            };
            // A dropped sender means that the place was asked for twice; look again either way.
            woken.await.ok();
        }
    }
}

impl State {
    fn may_pass(&self, place: Place) -> bool {
        let all_lower_known = self.unknown.first().is_none_or(|first| *first >= place);
        let key = self.keys.get(&place);
        let first_of_key = key.and_then(|key| self.places.get(key)).and_then(BTreeSet::first);
        all_lower_known && first_of_key.is_none_or(|first| *first == place)
    }

    fn wake(&mut self, place: Place) {
        if let Some(wake) = self.waiting.remove(&place) {
            wake.send(()).ok();
        }
    }

    /// Those above the first unknown place cannot pass yet and sleep on.
    fn wake_below_first_unknown(&mut self) {
        let first = self.unknown.first().copied().unwrap_or(Place::MAX);
        while self.waiting.first_key_value().is_some_and(|(place, _)| *place <= first) {
            if let Some((_, wake)) = self.waiting.pop_first() {
                wake.send(()).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn key(number: u32) -> OutputKey {
        OutputKey::of_uids("2.25.1", "2.25.2", &format!("2.25.{number}"))
    }

    #[test]
    fn an_object_waits_until_every_lower_one_has_shown_its_key() {
        let turnstile = Turnstile::default();
        (0..3).for_each(|place| turnstile.admit(place));
        turnstile.identify(2, &key(2));
        assert!(turnstile.pass(2).now_or_never().is_none());
        turnstile.identify(0, &key(0));
        turnstile.leave(1);
        assert!(turnstile.pass(2).now_or_never().is_some());
    }

    #[test]
    fn of_one_key_the_lowest_passes_and_the_next_waits_for_its_end() {
        let turnstile = Turnstile::default();
        (0..3).for_each(|place| {
            turnstile.admit(place);
            turnstile.identify(place, &key(7));
        });
        assert!(turnstile.pass(0).now_or_never().is_some());
        assert!(turnstile.pass(1).now_or_never().is_none());
        turnstile.leave(0);
        assert!(turnstile.pass(1).now_or_never().is_some());
        assert!(turnstile.pass(2).now_or_never().is_none());
        turnstile.leave(1);
        assert!(turnstile.pass(2).now_or_never().is_some());
    }

    #[test]
    fn after_a_stop_nobody_passes_even_when_the_lower_one_leaves() {
        let turnstile = Turnstile::default();
        (0..2).for_each(|place| turnstile.admit(place));
        turnstile.identify(1, &key(1));
        turnstile.stop();
        turnstile.leave(0);
        assert_eq!(turnstile.pass(1).now_or_never(), Some(false));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_when_its_turn_comes() {
        let turnstile = std::sync::Arc::new(Turnstile::default());
        let mut order = Vec::new();
        (0..64).for_each(|place| turnstile.admit(place));
        let (done, mut passed) = tokio::sync::mpsc::unbounded_channel();
        for place in (0..64).rev() {
            let (turnstile, done) = (turnstile.clone(), done.clone());
            tokio::spawn(async move {
                turnstile.identify(place, &key(u32::try_from(place % 3).expect("small")));
                assert!(turnstile.pass(place).await);
                done.send(place).expect("the test listens");
                turnstile.leave(place);
            });
        }
        drop(done);
        while let Some(place) = passed.recv().await {
            order.push(place);
        }
        assert_eq!(order.len(), 64);
        for rest in 0..3 {
            let of_key: Vec<_> = order.iter().filter(|place| *place % 3 == rest).collect();
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
    }
}
