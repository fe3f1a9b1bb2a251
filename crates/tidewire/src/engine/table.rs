//! The generation table: where a worker keeps its connections.
//!
//! A [`SocketId`] is an index and a generation, so an id that outlives its connection finds nothing, never a stranger.
//! Entries live in pages that are taken and released whole: a table that held a hundred thousand connections gives the
//! memory back when they are gone. Lower pages fill first, so that the higher ones empty.

use std::collections::BTreeSet;

/// Names one connection of one worker, for as long as the worker lives: no later connection gets the same id.
///
/// ```
/// use tidewire::engine::SocketId;
/// # fn handler(ws: &tidewire::Ws<()>) {
/// let number = ws.id().to_bits();
/// assert_eq!(SocketId::from_bits(number), ws.id());
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// The id as one number, for the kernel's events and for other languages.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The inverse of [`SocketId::to_bits`]. A number that never was an id finds no socket.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// The place in the table: unique among the living, used again after them.
    pub(crate) const fn index(self) -> u32 {
        self.index
    }
}

const PAGE: usize = 64;
const NONE: u8 = u8::MAX;

#[derive(Debug)]
pub(crate) struct Table<T> {
    pages: Vec<Page<T>>,
    /// Pages with room, lowest first.
    open: BTreeSet<u32>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    entries: Option<Box<[Entry<T>; PAGE]>>,
    /// Where generations start when the page is taken again.
    floor: u32,
    used: u8,
    first_free: u8,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    next_free: u8,
    value: Option<T>,
}

impl<T> Page<T> {
    fn take_entries(&mut self) -> &mut [Entry<T>; PAGE] {
        let floor = self.floor;
        self.entries.get_or_insert_with(|| {
            self.first_free = 0;
            Box::new(std::array::from_fn(|i| Entry {
                generation: floor,
                next_free: if i + 1 == PAGE { NONE } else { i as u8 + 1 },
                value: None,
            }))
        })
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: BTreeSet::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// The size of a place in a page.
    #[cfg(test)]
    pub fn entry_size() -> usize {
        size_of::<Entry<T>>()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts a value in and gives its id.
    pub fn insert(&mut self, value: T) -> SocketId {
        let number = match self.open.first() {
            Some(&number) => number,
            None => {
                self.pages.push(Page { entries: None, floor: 0, used: 0, first_free: 0 });
                let number = self.pages.len() as u32 - 1;
                self.open.insert(number);
                number
            }
        };
        let page = &mut self.pages[number as usize];
        page.take_entries();
        let at = page.first_free as usize;
        page.used += 1;
        let entry = &mut page.take_entries()[at];
        let (generation, next_free) = (entry.generation, entry.next_free);
        entry.value = Some(value);
        page.first_free = next_free;
        if next_free == NONE {
            self.open.remove(&number);
        }
        self.len += 1;
        SocketId { index: number * PAGE as u32 + at as u32, generation }
    }

    /// Takes a value out; its id finds nothing from now on.
    pub fn remove(&mut self, id: SocketId) -> Option<T> {
        let (number, at) = (id.index as usize / PAGE, id.index as usize % PAGE);
        let page = self.pages.get_mut(number)?;
        let first_free = page.first_free;
        let entry = page.entries.as_deref_mut()?.get_mut(at)?;
        if entry.generation != id.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.next_free = first_free;
        page.floor = page.floor.max(entry.generation);
        page.first_free = at as u8;
        page.used -= 1;
        self.len -= 1;
        self.open.insert(number as u32);
        if page.used == 0 && self.open.range(..number as u32).next().is_some() {
            // Lower pages have room: this one will not be needed soon.
            page.entries = None;
        }
        Some(value)
    }

    #[inline]
    pub fn find(&self, id: SocketId) -> Option<&T> {
        let entry = self.pages.get(id.index as usize / PAGE)?.entries.as_deref()?.get(id.index as usize % PAGE)?;
        if entry.generation == id.generation { entry.value.as_ref() } else { None }
    }

    #[inline]
    pub fn find_mut(&mut self, id: SocketId) -> Option<&mut T> {
        let entry = self.pages.get_mut(id.index as usize / PAGE)?.entries.as_deref_mut()?.get_mut(id.index as usize % PAGE)?;
        if entry.generation == id.generation { entry.value.as_mut() } else { None }
    }

    /// The id of whoever is at a place now.
    pub fn id_at(&self, index: u32) -> Option<SocketId> {
        let entry = self.pages.get(index as usize / PAGE)?.entries.as_deref()?.get(index as usize % PAGE)?;
        entry.value.as_ref().map(|_| SocketId { index, generation: entry.generation })
    }

    /// The ids of all that are here.
    pub fn ids(&self) -> impl Iterator<Item = SocketId> + '_ {
        self.pages.iter().enumerate().flat_map(|(number, page)| {
            page.entries
                .iter()
                .flat_map(|entries| entries.iter().enumerate())
                .filter(|(_, entry)| entry.value.is_some())
                .map(move |(at, entry)| SocketId { index: (number * PAGE + at) as u32, generation: entry.generation })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut table = Table::default();
        let a = table.insert("a");
        assert_eq!(table.remove(a), Some("a"));
        let b = table.insert("b");
        assert_eq!(a.index(), b.index());
        assert_eq!((table.find(a), table.find(b)), (None, Some(&"b")));
        assert_eq!(table.remove(a), None);
        assert_eq!(SocketId::from_bits(b.to_bits()), b);
    }

    #[test]
    fn pages_are_given_back_and_their_old_ids_stay_dead() {
        let mut table = Table::default();
        let ids: Vec<_> = (0..1000).map(|i| table.insert(i)).collect();
        assert_eq!(table.ids().collect::<Vec<_>>(), ids);
        for id in &ids {
            table.remove(*id);
        }
        assert_eq!(table.len(), 0);
        assert!(table.pages.iter().filter(|page| page.entries.is_some()).count() <= 2);
        let again: Vec<_> = (0..1000).map(|i| table.insert(i)).collect();
        assert!(ids.iter().all(|id| table.find(*id).is_none()));
        assert!(again.iter().all(|id| table.find(*id).is_some()));
    }
}
