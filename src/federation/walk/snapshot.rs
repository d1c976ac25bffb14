//! Who is in a list, and in which order: keys alone, packed, so that a walk of a million people is
//! some tens of megabytes. Knows nothing of what the people look like.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::Range;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::cursor::Place;
use crate::federation::sort::compare;
use crate::scim::dialect::RepositoryReport;
use crate::scim::text::fold;

/// Longer keys are cut: whose keys agree so far are in the order of their ids.
const WIDEST: usize = 1024;

/// A list as it was when its walk began, for the time of the walk.
#[derive(Debug)]
pub(super) struct Snapshot {
    descending: bool,
    /// Keys and ids, one after another.
    bytes: Box<[u8]>,
    /// In order.
    items: Box<[Item]>,
    twins: Twins,
    made: Instant,
    /// Whether it holds somebody who had no row.
    pub(super) unbound: bool,
    /// How each repository answered when the list was made.
    pub(super) report: Vec<RepositoryReport>,
}

/// One resource of the list.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Where in the bytes its key begins, and behind it its id.
    start: u32,
    key: u16,
    id: u16,
    /// The internal key of its row; 0 for somebody of a directory, who may have one by now.
    row: i64,
}

/// Who somebody in the list is, to be read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who<'a> {
    /// A row of the store, by its internal key.
    Row(i64),
    /// Somebody of a directory, by the long id.
    Person(&'a str),
}

/// A list in the making.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    items: Vec<Drafted>,
    hasher: RandomState,
    bounds: Bounds,
}

/// How large one list may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) keys: u64,
    pub(super) bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Drafted {
    item: Item,
    /// Hash of the folded `userName`; 0 without one.
    name: u64,
    /// The repository's place in the configuration.
    at: Option<u16>,
    unbound: bool,
}

/// One resource, as it is found to be in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) key: &'a [u8],
    pub(super) id: &'a str,
    pub(super) row: Option<i64>,
    pub(super) name: Option<&'a str>,
    /// The repository whose person it is, by its place in the configuration.
    pub(super) at: Option<usize>,
    pub(super) unbound: bool,
}

/// A list has become too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Keys,
    Bytes,
}

impl Draft {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bytes: Vec::new(), items: Vec::new(), hasher: RandomState::default(), bounds }
    }

    /// Takes a resource into the list. One that is in it already, by its id, is found out at the end.
    pub(super) fn push(&mut self, found: &Found<'_>) -> Result<(), Full> {
        let key = &found.key[..found.key.len().min(WIDEST)];
        let weight = key.len() + found.id.len() + size_of::<Item>();
        if self.items.len() as u64 >= self.bounds.keys {
            return Err(Full::Keys);
        }
        let held = self.bytes.len() + self.items.len() * size_of::<Item>();
        let (Ok(start), Ok(id)) = (u32::try_from(self.bytes.len()), u16::try_from(found.id.len()))
        else {
            return Err(Full::Bytes);
        };
        if held + weight > self.bounds.bytes {
            return Err(Full::Bytes);
        }
        let name = found.name.map_or(0, |name| self.hasher.hash_one(&*fold(name)) | 1);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(found.id.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "no key is wider than WIDEST")]
        let item = Item { start, key: key.len() as u16, id, row: found.row.unwrap_or(0) };
        let at = found.at.and_then(|at| u16::try_from(at).ok());
        self.items.push(Drafted { item, name, at, unbound: found.unbound });
        Ok(())
    }

    /// Leaves out doubles.
    pub(super) fn dedup(&mut self) {
        let bytes = &self.bytes;
        // Bound ones first: whoever was bound while the list was made is in it as such.
        self.items.sort_unstable_by(|one, other| {
            let ids = one.item.id(bytes).cmp(other.item.id(bytes));
            ids.then(one.unbound.cmp(&other.unbound))
        });
        self.items.dedup_by(|one, other| one.item.id(bytes) == other.item.id(bytes));
    }

    /// Leaves out, of people with one `userName`, the later unbound ones.
    pub(super) fn only_first(&mut self) {
        // Bound ones first, then the repositories in the order of the configuration.
        self.items.sort_by_key(|drafted| (drafted.unbound, drafted.at));
        let mut names = HashSet::with_hasher(RandomState::default());
        self.items.retain(|one| {
            let first = one.name == 0 || names.insert(one.name);
            first || !one.unbound
        });
    }

    /// How many of the people belong to the repository.
    pub(super) fn found(&self, at: usize) -> u64 {
        self.items.iter().filter(|one| one.at.is_some_and(|place| usize::from(place) == at)).count()
            as u64
    }

    /// Whether only the repository knows one of them.
    pub(super) fn has_unbound(&self, at: usize) -> bool {
        let here = |one: &Drafted| one.at.is_some_and(|place| usize::from(place) == at);
        self.items.iter().any(|one| one.unbound && here(one))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The list, in order.
    pub(super) fn finish(self, descending: bool, report: Vec<RepositoryReport>) -> Snapshot {
        let Self { bytes, mut items, .. } = self;
        items.sort_unstable_by(|one, other| {
            compare(descending, one.item.position(&bytes), other.item.position(&bytes))
        });
        let twins = Twins::among(&items);
        let unbound = items.iter().any(|one| one.unbound);
        Snapshot {
            descending,
            // What doubles have left behind is not worth a copy of the rest.
            bytes: bytes.into_boxed_slice(),
            items: items.into_iter().map(|drafted| drafted.item).collect(),
            twins,
            made: Instant::now(),
            unbound,
            report,
        }
    }
}

/// Who shares the `userName` with others in the list.
#[derive(Debug)]
struct Twins {
    /// Their places, grouped.
    places: Box<[u32]>,
    /// For each of them, in order, which part of `places` is its group.
    groups: Box<[(u32, Range<u32>)]>,
}

impl Twins {
    fn among(items: &[Drafted]) -> Self {
        let named = (0u32..).zip(items).filter(|(_, one)| one.name != 0);
        let mut named: Vec<(u64, u32)> = named.map(|(place, one)| (one.name, place)).collect();
        named.sort_unstable();
        let (mut places, mut groups) = (Vec::new(), Vec::new());
        for group in named.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() > 1) {
            let start = places.len();
            places.extend(group.iter().map(|(_, place)| *place));
            #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 items")]
            let range = start as u32..places.len() as u32;
            groups.extend(group.iter().map(|(_, place)| (*place, range.clone())));
        }
        groups.sort_unstable_by_key(|(place, _)| *place);
        Self { places: places.into_boxed_slice(), groups: groups.into_boxed_slice() }
    }

    /// All of the group of a place, itself included.
    fn of(&self, place: u32) -> &[u32] {
        match self.groups.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(group) => {
                let Range { start, end } = self.groups[group].1;
                &self.places[start as usize..end as usize]
            }
            Err(_) => &[],
        }
    }
}

impl Snapshot {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// In bytes.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len()
            + size_of_val(&*self.items)
            + size_of_val(&*self.twins.places)
            + size_of_val(&*self.twins.groups)
            + 256
    }

    /// The first place after `place`.
    pub(super) fn after(&self, place: &Place) -> usize {
        let Place::At { key, id } = place else { return 0 };
        self.items.partition_point(|item| {
            compare(self.descending, item.position(&self.bytes), (key, id)).is_le()
        })
    }

    /// The first place that is not before `place`.
    pub(super) fn before(&self, place: &Place) -> usize {
        let Place::At { key, id } = place else { return 0 };
        self.items.partition_point(|item| {
            compare(self.descending, item.position(&self.bytes), (key, id)).is_lt()
        })
    }

    /// Who stands at a place, and where that is for a cursor.
    pub(super) fn who(&self, at: usize) -> Who<'_> {
        let item = &self.items[at];
        match item.row {
            0 => Who::Person(item.id(&self.bytes)),
            row => Who::Row(row),
        }
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let (key, id) = self.items[at].position(&self.bytes);
        Place::At { key: key.to_vec(), id: id.to_owned() }
    }

    /// The ids of others in the list who have the same `userName`.
    pub(super) fn namesakes(&self, at: usize) -> Vec<&str> {
        let Ok(place) = u32::try_from(at) else { return Vec::new() };
        let others = self.twins.of(place).iter().filter(|other| **other != place);
        others.map(|other| self.items[*other as usize].id(&self.bytes)).collect()
    }
}

impl Item {
    fn position<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a str) {
        let start = self.start as usize;
        (&bytes[start..start + usize::from(self.key)], self.id(bytes))
    }

    fn id<'a>(&self, bytes: &'a [u8]) -> &'a str {
        let start = self.start as usize + usize::from(self.key);
        let id = &bytes[start..start + usize::from(self.id)];
        // It was one when it was put there.
        std::str::from_utf8(id).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { keys: 1000, bytes: 1 << 20 };

    fn found<'a>(key: &'a str, id: &'a str, name: &'a str) -> Found<'a> {
        let (name, key) = (Some(name), key.as_bytes());
        Found { key, id, row: None, name, at: Some(0), unbound: true }
    }

    fn ids(snapshot: &Snapshot) -> Vec<String> {
        let id = |at| match snapshot.place(at) {
            Place::At { id, .. } => id,
            Place::Start => panic!("a place in the list"),
        };
        (0..snapshot.len()).map(id).collect()
    }

    #[test]
    fn a_walk_finds_its_place_again_though_somebody_is_gone() {
        let draft = |people: &[(&str, &str)]| {
            let mut draft = Draft::new(BOUNDS);
            for (key, id) in people {
                draft.push(&found(key, id, id)).unwrap();
            }
            draft.dedup();
            draft
        };
        let people = [("b", "r.2"), ("a", "r.4"), ("b", "r.1"), ("c", "r.0")];
        let first = draft(&people).finish(false, Vec::new());
        assert_eq!(ids(&first), ["r.4", "r.1", "r.2", "r.0"]);
        assert_eq!((first.after(&Place::Start), first.before(&Place::Start)), (0, 0));
        let place = first.place(1);
        assert_eq!((first.after(&place), first.before(&place)), (2, 1));
        // The person of the place is gone, and somebody else came before it.
        let again = draft(&[people[0], people[1], people[3], ("a", "r.5")]);
        let again = again.finish(false, Vec::new());
        assert_eq!(ids(&again), ["r.4", "r.5", "r.2", "r.0"]);
        assert_eq!((again.after(&place), again.before(&place)), (2, 2));
        let down = draft(&people).finish(true, Vec::new());
        assert_eq!(ids(&down), ["r.0", "r.1", "r.2", "r.4"]);
        assert_eq!((down.after(&place), down.before(&place)), (2, 1));
    }

    #[test]
    fn doubles_are_one_and_namesakes_know_each_other() {
        let mut draft = Draft::new(BOUNDS);
        let bound = |row, id| Found { unbound: false, row, ..found("a", id, "Anna") };
        draft.push(&found("a", "r.1", "anna")).unwrap();
        draft.push(&bound(Some(7), "r.1")).unwrap();
        draft.push(&Found { at: Some(1), ..found("a", "s.1", "ANNA") }).unwrap();
        draft.push(&Found { name: None, ..found("b", "r.2", "") }).unwrap();
        draft.push(&Found { name: None, ..found("b", "r.3", "") }).unwrap();
        draft.dedup();
        assert_eq!((draft.found(0), draft.found(1), draft.found(2)), (3, 1, 0));
        let snapshot = draft.finish(false, Vec::new());
        assert_eq!(ids(&snapshot), ["r.1", "s.1", "r.2", "r.3"]);
        assert_eq!((snapshot.who(0), snapshot.who(1)), (Who::Row(7), Who::Person("s.1")));
        assert_eq!(snapshot.namesakes(0), ["s.1"]);
        assert_eq!(snapshot.namesakes(1), ["r.1"]);
        assert!(snapshot.namesakes(2).is_empty());
    }

    #[test]
    fn of_one_name_the_bound_or_else_the_first_repository_s_stays() {
        let mut draft = Draft::new(BOUNDS);
        for (id, at, name, unbound) in [
            ("s.1", 1, "anna", true),
            ("r.1", 0, "Anna", true),
            ("s.2", 1, "bert", false),
            ("r.2", 0, "bert", true),
            ("r.3", 0, "bert", false),
        ] {
            draft.push(&Found { at: Some(at), unbound, ..found("a", id, name) }).unwrap();
        }
        draft.dedup();
        draft.only_first();
        assert_eq!(ids(&draft.finish(false, Vec::new())), ["r.1", "r.3", "s.2"]);
    }

    #[test]
    fn a_list_is_bounded_in_keys_and_bytes_and_weighs_what_it_holds() {
        let mut few = Draft::new(Bounds { keys: 2, ..BOUNDS });
        assert_eq!(few.push(&found("a", "r.1", "")), Ok(()));
        assert_eq!(few.push(&found("a", "r.2", "")), Ok(()));
        assert_eq!(few.push(&found("a", "r.3", "")), Err(Full::Keys));
        let long = "x".repeat(5000);
        let mut small =
            Draft::new(Bounds { bytes: 5 * (WIDEST + 3 + size_of::<Item>()), ..BOUNDS });
        let pushed: Vec<_> = (0..6).map(|_| small.push(&found(&long, "r.1", ""))).collect();
        assert_eq!(pushed.iter().filter(|pushed| pushed.is_ok()).count(), 5);
        assert_eq!(pushed[5], Err(Full::Bytes));
        let mut draft = Draft::new(Bounds { keys: u64::MAX, bytes: usize::MAX });
        for number in 0..100_000 {
            let id = format!("corp.{number:036}");
            draft.push(&found("somebody.with.a.name", &id, &id)).unwrap();
        }
        draft.dedup();
        let weight = draft.finish(false, Vec::new()).weight();
        assert!((7_000_000..8_500_000).contains(&weight), "{weight} bytes for 100,000 people");
    }
}
