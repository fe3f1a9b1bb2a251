//! What was received and not yet asked for, in order, of all sockets together: lists in one block of memory, so that a socket at rest has
//! two numbers and no allocation.

use crate::buffer::Buffer;

/// What one receive brought.
#[derive(Debug)]
pub(super) enum Item {
    Bytes(Buffer),
    /// The end of the stream.
    End,
    /// The connection is lost, with this error.
    Lost(i32),
}

const NONE: u32 = u32::MAX;

/// A socket's list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

#[derive(Debug)]
struct Node {
    item: Option<Item>,
    next: u32,
}

/// All lists' items. Empty places form a list too.
#[derive(Debug)]
pub(super) struct Items {
    nodes: Vec<Node>,
    free: u32,
}

impl Default for Items {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: NONE }
    }
}

impl Items {
    pub(super) fn push(&mut self, list: &mut List, item: Item) {
        let node = Node { item: Some(item), next: NONE };
        let index = match self.nodes.get_mut(self.free as usize) {
            Some(place) => {
                let index = std::mem::replace(&mut self.free, place.next);
                *place = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        match self.nodes.get_mut(list.last as usize) {
            Some(last) => last.next = index,
            None => list.first = index,
        }
        list.last = index;
    }

    pub(super) fn pop(&mut self, list: &mut List) -> Option<Item> {
        let index = list.first;
        let node = self.nodes.get_mut(index as usize)?;
        let item = node.item.take();
        list.first = std::mem::replace(&mut node.next, self.free);
        if list.first == NONE {
            list.last = NONE;
        }
        self.free = index;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(item: Option<Item>) -> Option<i32> {
        match item {
            Some(Item::Lost(number)) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn lists_share_their_places_and_keep_their_order() {
        let mut items = Items::default();
        let mut lists = [List::default(); 3];
        for round in 0..3 {
            for value in 0..30 {
                items.push(&mut lists[value as usize % 3], Item::Lost(value));
            }
            for value in 0..30 {
                assert_eq!(number(items.pop(&mut lists[value as usize % 3])), Some(value), "round {round}");
            }
            assert!(lists.iter().all(List::is_empty));
            assert!(items.pop(&mut lists[0]).is_none());
        }
        assert_eq!(items.nodes.len(), 30, "places are used again");
    }
}
