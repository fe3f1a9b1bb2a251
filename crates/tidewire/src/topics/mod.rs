//! Topics: who is subscribed to what, on one worker. This room knows names and subscribers, no sockets.
//!
//! A subscriber is known by a key of the caller's choice; its subscriptions are kept here under a [`MemberId`]. Both
//! directions are indexed, so that subscribing, unsubscribing and leaving cost the same in a room of two and of a hundred
//! thousand. How many subscribers a topic has on all workers together is kept in [`counts`].

pub(crate) mod counts;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, hash_map::EntryRef};

use counts::{Counts, TopicCount};

/// Where a subscriber's subscriptions are; [`MemberId::NONE`] while it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberId(u32);

impl MemberId {
    pub const NONE: Self = Self(u32::MAX);
}

/// Why a subscription was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The subscriber has as many subscriptions as it may.
    TooMany,
}

/// One subscriber of a topic.
#[derive(Debug)]
pub(crate) struct Subscriber<K> {
    pub key: K,
    member: u32,
    /// The place of this topic in the member's list.
    entry: u32,
}

#[derive(Debug)]
struct Topic<K> {
    count: Arc<TopicCount>,
    subscribers: Vec<Subscriber<K>>,
}

#[derive(Debug, Default)]
struct Member {
    /// In the order of subscribing, but for what was unsubscribed in between.
    entries: Vec<Entry>,
    /// Topic -> place in `entries`, once there are many.
    index: HashMap<u32, u32, RandomState>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    topic: u32,
    /// The place of this member in the topic's list.
    place: u32,
}

impl Member {
    /// Up to here a list is searched from end to end.
    const LINEAR: usize = 16;

    fn find(&self, topic: u32) -> Option<u32> {
        if self.index.is_empty() {
            self.entries.iter().position(|entry| entry.topic == topic).map(|at| at as u32)
        } else {
            self.index.get(&topic).copied()
        }
    }

    fn push(&mut self, entry: Entry) -> u32 {
        let at = self.entries.len() as u32;
        self.entries.push(entry);
        if !self.index.is_empty() {
            self.index.insert(entry.topic, at);
        } else if self.entries.len() > Self::LINEAR {
            self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.topic, at as u32)).collect();
        }
        at
    }
}

#[derive(Debug)]
pub(crate) struct Topics<K> {
    names: HashMap<Arc<str>, u32, RandomState>,
    topics: Vec<Topic<K>>,
    free_topics: Vec<u32>,
    members: Vec<Member>,
    free_members: Vec<u32>,
    counts: Arc<Counts>,
    /// Which worker this is, in the counts.
    worker: usize,
}

impl<K: Copy> Topics<K> {
    pub fn new(counts: Arc<Counts>, worker: usize) -> Self {
        Self {
            names: HashMap::default(),
            topics: Vec::new(),
            free_topics: Vec::new(),
            members: Vec::new(),
            free_members: Vec::new(),
            counts,
            worker,
        }
    }

    /// Subscribes; `Ok(false)` when it was subscribed already.
    pub fn subscribe(&mut self, member: &mut MemberId, key: K, name: &str, limit: usize) -> Result<bool, Refused> {
        if self.is_subscribed(*member, name) {
            return Ok(false);
        }
        if self.len(*member) >= limit {
            return Err(Refused::TooMany);
        }
        let topic_id = self.topic(name);
        let member_id = self.member(member);
        let topic = &mut self.topics[topic_id as usize];
        let place = topic.subscribers.len() as u32;
        let entry = self.members[member_id as usize].push(Entry { topic: topic_id, place });
        topic.subscribers.push(Subscriber { key, member: member_id, entry });
        topic.count.add();
        Ok(true)
    }

    fn topic(&mut self, name: &str) -> u32 {
        match self.names.entry_ref(name) {
            EntryRef::Occupied(found) => *found.get(),
            EntryRef::Vacant(vacant) => {
                let count = self.counts.share(name, self.worker);
                let topic = Topic { count, subscribers: Vec::new() };
                let id = match self.free_topics.pop() {
                    Some(id) => {
                        self.topics[id as usize] = topic;
                        id
                    }
                    None => {
                        self.topics.push(topic);
                        self.topics.len() as u32 - 1
                    }
                };
                vacant.insert_with_key(self.topics[id as usize].count.name().clone(), id);
                id
            }
        }
    }

    fn member(&mut self, member: &mut MemberId) -> u32 {
        if *member == MemberId::NONE {
            *member = MemberId(self.free_members.pop().unwrap_or_else(|| {
                self.members.push(Member::default());
                self.members.len() as u32 - 1
            }));
        }
        member.0
    }

    /// Unsubscribes; `false` when it was not subscribed.
    pub fn unsubscribe(&mut self, member: &mut MemberId, name: &str) -> bool {
        let Some(&topic) = self.names.get(name) else { return false };
        let Some(entry) = self.members.get(member.0 as usize).and_then(|found| found.find(topic)) else { return false };
        self.remove_entry(member.0, entry);
        if self.members[member.0 as usize].entries.is_empty() {
            self.release_member(member);
        }
        true
    }

    /// Unsubscribes from everything.
    pub fn leave(&mut self, member: &mut MemberId) {
        if *member == MemberId::NONE {
            return;
        }
        while let Some(last) = self.members[member.0 as usize].entries.len().checked_sub(1) {
            self.remove_entry(member.0, last as u32);
        }
        self.release_member(member);
    }

    fn release_member(&mut self, member: &mut MemberId) {
        self.members[member.0 as usize] = Member::default();
        self.free_members.push(member.0);
        *member = MemberId::NONE;
        if self.free_members.len() == self.members.len() {
            // Nobody is subscribed to anything: give the memory back.
            self.members = Vec::new();
            self.free_members = Vec::new();
        }
    }

    /// Removes one entry of a member and its counterpart in the topic, and mends the places of the two that take their places.
    fn remove_entry(&mut self, member: u32, at: u32) {
        let owner = &mut self.members[member as usize];
        let Entry { topic: topic_id, place } = owner.entries.swap_remove(at as usize);
        if !owner.index.is_empty() {
            owner.index.remove(&topic_id);
        }
        if let Some(&moved) = owner.entries.get(at as usize) {
            if !owner.index.is_empty() {
                owner.index.insert(moved.topic, at);
            }
            self.topics[moved.topic as usize].subscribers[moved.place as usize].entry = at;
        }
        let topic = &mut self.topics[topic_id as usize];
        topic.subscribers.swap_remove(place as usize);
        if let Some(moved) = topic.subscribers.get(place as usize) {
            self.members[moved.member as usize].entries[moved.entry as usize].place = place;
        }
        topic.count.remove();
        if topic.subscribers.is_empty() {
            topic.subscribers = Vec::new();
            self.names.remove(&**topic.count.name());
            self.counts.unshare(&topic.count, self.worker);
            self.free_topics.push(topic_id);
            if self.names.is_empty() {
                self.topics = Vec::new();
                self.free_topics = Vec::new();
                self.names.shrink_to_fit();
            }
        }
    }

    pub fn is_subscribed(&self, member: MemberId, name: &str) -> bool {
        let Some(member) = self.members.get(member.0 as usize) else { return false };
        self.names.get(name).is_some_and(|topic| member.find(*topic).is_some())
    }

    fn len(&self, member: MemberId) -> usize {
        self.members.get(member.0 as usize).map_or(0, |member| member.entries.len())
    }

    /// The names of a member's topics.
    pub fn names(&self, member: MemberId) -> Vec<Arc<str>> {
        let entries = self.members.get(member.0 as usize).map_or(&[][..], |member| &member.entries);
        entries.iter().map(|entry| self.topics[entry.topic as usize].count.name().clone()).collect()
    }

    /// Who is subscribed here.
    #[inline]
    pub fn subscribers(&self, name: &str) -> &[Subscriber<K>] {
        self.names.get(name).map_or(&[], |topic| &self.topics[*topic as usize].subscribers)
    }

    /// The count of a topic over all workers, if anybody is subscribed here.
    #[inline]
    pub fn count(&self, name: &str) -> Option<&Arc<TopicCount>> {
        self.names.get(name).map(|topic| &self.topics[*topic as usize].count)
    }

    /// The same, if anybody is subscribed anywhere: under a lock.
    pub fn count_elsewhere(&self, name: &str) -> Option<Arc<TopicCount>> {
        self.counts.find(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn room() -> (Arc<Counts>, Topics<u32>) {
        let counts = Arc::<Counts>::default();
        (counts.clone(), Topics::new(counts, 0))
    }

    fn keys(topics: &Topics<u32>, name: &str) -> BTreeSet<u32> {
        topics.subscribers(name).iter().map(|subscriber| subscriber.key).collect()
    }

    #[test]
    fn subscribing_is_idempotent_and_bounded() {
        let (counts, mut topics) = room();
        let mut member = MemberId::NONE;
        assert_eq!(topics.subscribe(&mut member, 1, "a", 2), Ok(true));
        assert_eq!(topics.subscribe(&mut member, 1, "a", 2), Ok(false));
        assert_eq!(topics.subscribe(&mut member, 1, "b", 2), Ok(true));
        assert_eq!(topics.subscribe(&mut member, 1, "c", 2), Err(Refused::TooMany));
        assert_eq!(topics.subscribe(&mut member, 1, "b", 2), Ok(false), "at the limit, what is there stays there");
        assert!(topics.unsubscribe(&mut member, "a") && !topics.unsubscribe(&mut member, "a"));
        topics.leave(&mut member);
        assert_eq!((member, counts.find("b").is_none()), (MemberId::NONE, true));
    }

    #[test]
    fn both_directions_agree_after_any_sequence() {
        // A model: the set of (member, topic) pairs, driven by a small generator of numbers.
        let (_, mut topics) = room();
        let mut members = [MemberId::NONE; 20];
        let mut model = BTreeSet::new();
        let mut state = 7_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (who, topic) = ((state >> 24) % 20, (state >> 12) % 40);
            let name = topic.to_string();
            match state % 16 {
                0 => {
                    topics.leave(&mut members[who as usize]);
                    model.retain(|(member, _)| *member != who);
                }
                1..=6 => assert_eq!(topics.unsubscribe(&mut members[who as usize], &name), model.remove(&(who, topic))),
                _ => {
                    let added = topics.subscribe(&mut members[who as usize], who, &name, usize::MAX);
                    assert_eq!(added, Ok(model.insert((who, topic))));
                }
            }
            let expected: BTreeSet<_> = model.iter().filter(|(_, t)| *t == topic).map(|(member, _)| *member).collect();
            assert_eq!(keys(&topics, &name), expected);
            let mine: BTreeSet<_> = topics.names(members[who as usize]).iter().map(|name| name.to_string()).collect();
            let expected: BTreeSet<_> = model.iter().filter(|(m, _)| *m == who).map(|(_, topic)| topic.to_string()).collect();
            assert_eq!(mine, expected);
        }
    }

    #[test]
    fn a_hundred_thousand_leave_as_fast_as_they_come() {
        let (counts, mut topics) = room();
        let mut members = vec![MemberId::NONE; 100_000];
        for (key, member) in members.iter_mut().enumerate() {
            assert_eq!(topics.subscribe(member, key as u32, "all", 10), Ok(true));
        }
        assert_eq!(counts.find("all").map(|count| count.total()), Some(100_000));
        for member in &mut members {
            topics.leave(member);
        }
        assert!(topics.subscribers("all").is_empty() && counts.find("all").is_none());
        assert!(topics.topics.capacity() == 0 && topics.members.capacity() == 0, "the memory is given back");
    }
}
