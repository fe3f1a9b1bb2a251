//! Publishing: from a message to the outboxes of its topic's subscribers, here and on other workers.

use super::application::SendStatus;
use super::compression::Way;
use super::connection::Connection;
use super::log::LogRange;
use super::packing::{Copies, Outbound};
use super::state::State;
use super::table::SocketId;
use crate::backplane::{Framed, Stretch};

/// To whom of a topic's subscribers something goes.
struct Whom<'a> {
    except: Option<SocketId>,
    /// To these alone, in the order in which they are subscribed.
    only: Option<&'a [SocketId]>,
}

impl Whom<'_> {
    /// Whether the next subscriber is among them.
    #[inline]
    fn has_next(&mut self, next: SocketId) -> bool {
        match &mut self.only {
            None => Some(next) != self.except,
            Some(only) => match only.split_first() {
                Some((first, others)) if *first == next => {
                    *only = others;
                    true
                }
                _ => false,
            },
        }
    }
}

impl State {
    /// Publishes for an open socket, which is left out unless the server publishes to self.
    pub fn publish_from(&mut self, id: SocketId, topic: &str, message: &Outbound<'_>) -> SendStatus {
        if !self.table.find(id).is_some_and(Connection::is_sending) {
            return SendStatus::Dropped;
        }
        let except = (!self.options.publish_to_self).then_some(id);
        self.publish(topic, message, except)
    }

    /// Publishes to a topic: the message is framed once, and compressed once for each form that is needed, and each
    /// subscriber's outbox refers to it.
    pub fn publish(&mut self, topic: &str, message: &Outbound<'_>, except: Option<SocketId>) -> SendStatus {
        let elsewhere = self.publish_elsewhere(topic, message);
        self.out.counters.published.add(1);
        match self.deliver(topic, message, except) {
            Some(status) => status,
            None if elsewhere => SendStatus::Sent(message.payload.len()),
            None => SendStatus::Dropped,
        }
    }

    /// Hands the message to the workers that have subscribers; whether there are any.
    fn publish_elsewhere(&mut self, topic: &str, message: &Outbound<'_>) -> bool {
        if self.link.as_ref().is_none_or(|link| link.len() < 2) {
            return false;
        }
        match self.topics.count(topic) {
            Some(count) => self.pending.add(count, Some(self.worker), message),
            None => match self.topics.count_elsewhere(topic) {
                Some(count) => self.pending.add(&count, Some(self.worker), message),
                None => false,
            },
        }
    }

    /// Delivers one message to the subscribers here; `None` when there are none but `except`.
    pub fn deliver(&mut self, topic: &str, message: &Outbound<'_>, except: Option<SocketId>) -> Option<SendStatus> {
        self.deliver_to(topic, message, Whom { except, only: None }, None)
    }

    /// Delivers one message to some of the subscribers here. Its plain frame may be in the log already.
    fn deliver_to(
        &mut self,
        topic: &str,
        message: &Outbound<'_>,
        mut to: Whom<'_>,
        frame: Option<LogRange>,
    ) -> Option<SendStatus> {
        let limit = self.options.backpressure_limit;
        let subscribers = self.topics.subscribers(topic);
        if subscribers.is_empty() || (subscribers.len() == 1 && Some(subscribers[0].key) == to.except) {
            return None;
        }
        let (mut copies, packed) = (Copies::with_plain(frame, &mut self.out.log), self.out.is_packed(message));
        let (mut worst, mut delivered, mut dropped) = (SendStatus::Sent(message.payload.len()), 0, false);
        for subscriber in subscribers {
            if !to.has_next(subscriber.key) {
                continue;
            }
            let Some(connection) = self.table.find_mut(subscriber.key) else { continue };
            let status = self.out.deliver(connection, subscriber.key, message, packed, &mut copies, limit);
            if status.is_dropped() {
                dropped = true;
            } else {
                delivered += 1;
            }
            worst = worst.worst(status);
        }
        self.out.counters.messages_out.add(delivered);
        copies.release(&mut self.out.log);
        if dropped && self.options.close_on_backpressure_limit {
            self.close_over_limit(topic);
        }
        Some(worst)
    }

    /// Delivers what another worker's turn has published: a stretch is one piece for everybody who takes it as it is, so that a subscriber
    /// costs the same whether it is one message or a hundred. Nobody waits for an answer.
    pub fn deliver_stretch(&mut self, stretch: &Stretch<'_>) {
        if stretch.len() == 1 {
            for framed in stretch.iter() {
                let _ = self.deliver(stretch.topic, &framed.message, None);
            }
            return;
        }
        let limit = self.options.backpressure_limit;
        let packed = stretch.iter().any(|framed| self.out.is_packed(&framed.message));
        let (mut frames, mut taken, mut rest) = (None, 0, Vec::new());
        for subscriber in self.topics.subscribers(stretch.topic) {
            let Some(connection) = self.table.find_mut(subscriber.key) else { continue };
            let as_it_is = !packed || connection.compression.send == Way::Plain;
            if as_it_is && connection.admits(stretch.frames.len(), limit) {
                let frames = *frames.get_or_insert_with(|| self.out.append_stretch(stretch));
                self.out.deliver_stretch(connection, subscriber.key, frames);
                taken += stretch.len() as u64;
            } else {
                rest.push(subscriber.key);
            }
        }
        self.out.counters.messages_out.add(taken);
        if !rest.is_empty() {
            self.deliver_one_by_one(stretch, frames, &rest);
        }
        if let Some(frames) = frames {
            self.out.log.release(frames.chunk);
        }
    }

    /// Delivers a stretch to those who compress, or who may be over their limit before its end.
    fn deliver_one_by_one(&mut self, stretch: &Stretch<'_>, frames: Option<LogRange>, to: &[SocketId]) {
        let mut start = 0;
        for Framed { message, end } in stretch.iter() {
            let frame = frames.map(|frames| frames.part(start, end));
            start = end;
            let _ = self.deliver_to(stretch.topic, &message, Whom { except: None, only: Some(to) }, frame);
        }
    }

    /// Cuts off the subscribers of a topic that are over the limit.
    #[cold]
    fn close_over_limit(&mut self, topic: &str) {
        let limit = self.options.backpressure_limit;
        let over: Vec<_> = self.topics.subscribers(topic).iter().map(|subscriber| subscriber.key).collect();
        for id in over {
            if self.table.find(id).is_some_and(|connection| connection.queued() > limit) {
                self.dropped(id);
            }
        }
    }
}
