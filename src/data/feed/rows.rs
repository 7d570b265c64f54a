//! What the log has told of rows that are often served, until it is known how they are at some position.

use std::collections::HashMap;

use crate::data::change::{Change, Image};
use crate::data::coherence::{Dependency, Fences};
use crate::data::mutant::{self, Mutant};
use crate::data::position::Position;
use crate::data::scalar::Scalar;

/// The most rows that wait; with more, none of them is kept anew.
const MOST_ROWS: usize = 10_000;

type ByTable<T> = HashMap<&'static str, HashMap<Scalar, T>>;

/// A row as it was at the end of the commit that changed it.
#[derive(Debug)]
struct Told {
    image: Image,
    at: Position,
}

/// Rows of the open transaction, and of those that were committed, each as it was told last.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// None of a row that is to be forgotten: it is gone, or has changed and is not often served any more.
    open: ByTable<Option<Image>>,
    committed: ByTable<Told>,
}

impl Rows {
    /// A transaction begins to be told; what was told of one that has not been committed never was.
    pub fn begin(&mut self) {
        self.open.clear();
    }

    /// The open transaction has changed a row, of the table with this key column, to this; `now` is there if it is often
    /// served.
    pub fn note(&mut self, change: &Change, key_column: &str, now: Option<Image>) {
        let [key] = &change.key[..] else { return };
        let before = change.old.as_ref().and_then(|old| old.get(key_column)).filter(|before| *before != key);
        if let Some(before) = before {
            self.changed(change.table, before, None);
        }
        self.changed(change.table, key, now);
    }

    fn changed(&mut self, table: &'static str, key: &Scalar, now: Option<Image>) {
        let is_known = self.committed.get(table).is_some_and(|rows| rows.contains_key(key))
            || self.open.get(table).is_some_and(|rows| rows.contains_key(key));
        if is_known || now.is_some() {
            self.open.entry(table).or_default().insert(key.clone(), now);
        }
    }

    /// The open transaction was committed, at this position.
    pub fn commit(&mut self, at: Position) {
        for (table, rows) in self.open.drain() {
            let committed = self.committed.entry(table).or_default();
            for (key, now) in rows {
                match now {
                    Some(image) => drop(committed.insert(key, Told { image, at })),
                    None => drop(committed.remove(&key)),
                }
            }
        }
        if self.committed.values().map(HashMap::len).sum::<usize>() > MOST_ROWS {
            self.committed.clear();
        }
    }

    /// Rows of committed transactions, by table, as they are at `position`, through where all is told. Those that somebody
    /// knows to have changed later stay until that is told, too. Those of commits up to the floor may be of before something
    /// that was not told, and are forgotten.
    pub fn take(&mut self, position: Position, fences: &Fences) -> Vec<(&'static str, Vec<Image>)> {
        let mut taken = Vec::new();
        let floor = fences.floor();
        for (table, rows) in &mut self.committed {
            rows.retain(|_, told| told.at > floor || mutant::is(Mutant::LateRow));
            let is_told = |key: &Scalar| fences.fence([Dependency::Row { table, key }.slot()]) <= position;
            let rows: Vec<_> = rows.extract_if(|key, _| is_told(key)).map(|(_, told)| told.image).collect();
            if !rows.is_empty() {
                taken.push((*table, rows));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: i64, name: &str) -> Image {
        [("id", Scalar::Int(id)), ("name", Scalar::Text(name.to_owned()))].into_iter().collect()
    }

    fn change(old: Option<Image>, new: Option<Image>) -> Change {
        let key = new.as_ref().or(old.as_ref()).and_then(|image| image.get("id")).cloned().into_iter().collect();
        Change { table: "users", key, old, new }
    }

    /// A commit that makes `old` to `new`, told as often served or not.
    fn commits(rows: &mut Rows, old: Option<Image>, new: Option<Image>, is_hot: bool) {
        rows.begin();
        let now = new.clone().filter(|_| is_hot);
        rows.note(&change(old, new), "id", now);
        rows.commit(Position(5));
    }

    fn taken(rows: &mut Rows) -> Vec<Image> {
        rows.take(Position(9), &Fences::default()).into_iter().flat_map(|(_, rows)| rows).collect()
    }

    #[test]
    fn what_was_told_last_counts() {
        let mut rows = Rows::default();
        commits(&mut rows, Some(image(1, "a")), Some(image(1, "b")), true);
        commits(&mut rows, Some(image(1, "b")), Some(image(1, "c")), true);
        assert_eq!(taken(&mut rows), [image(1, "c")]);
        assert!(taken(&mut rows).is_empty(), "it is taken once");
    }

    #[test]
    fn what_is_gone_moved_or_no_longer_served_is_forgotten() {
        let (a, b) = (image(1, "a"), image(1, "b"));
        for then in [None, Some(image(2, "b")), Some(image(1, "c"))] {
            let mut rows = Rows::default();
            commits(&mut rows, Some(a.clone()), Some(b.clone()), true);
            commits(&mut rows, Some(b.clone()), then, false);
            assert!(taken(&mut rows).is_empty());
        }
        let mut rows = Rows::default();
        commits(&mut rows, Some(a), Some(b.clone()), true);
        commits(&mut rows, Some(b), Some(image(2, "b")), true);
        assert_eq!(taken(&mut rows), [image(2, "b")], "under its new key alone");
    }

    #[test]
    fn what_is_not_committed_is_not_taken() {
        let mut rows = Rows::default();
        commits(&mut rows, Some(image(1, "a")), Some(image(1, "b")), true);
        rows.begin();
        rows.note(&change(Some(image(1, "b")), None), "id", None);
        assert_eq!(taken(&mut rows), [image(1, "b")], "as it was at the position that is told");
        rows.begin();
        rows.commit(Position(6));
        assert!(taken(&mut rows).is_empty());
    }

    #[test]
    fn what_is_known_to_have_changed_later_waits() {
        let (mut rows, fences) = (Rows::default(), Fences::default());
        commits(&mut rows, Some(image(1, "a")), Some(image(1, "b")), true);
        fences.raise([Dependency::Row { table: "users", key: &Scalar::Int(1) }.slot()], Position(10));
        assert!(rows.take(Position(9), &fences).is_empty());
        commits(&mut rows, Some(image(1, "b")), Some(image(1, "c")), true);
        assert_eq!(rows.take(Position(10), &fences), [("users", vec![image(1, "c")])]);
    }

    #[test]
    fn what_was_told_up_to_the_floor_is_forgotten() {
        for (floor, left) in [(4, 1), (5, 0)] {
            let (mut rows, fences) = (Rows::default(), Fences::default());
            commits(&mut rows, Some(image(1, "a")), Some(image(1, "b")), true);
            fences.raise_floor(Position(floor));
            assert_eq!(rows.take(Position(9), &fences).len(), left);
        }
    }

    #[test]
    fn what_is_told_late_of_before_the_floor_is_forgotten() {
        let (mut rows, fences) = (Rows::default(), Fences::default());
        // A table was written anew at 6, which was noticed before the log had told of 5.
        fences.raise_floor(Position(7));
        commits(&mut rows, Some(image(1, "a")), Some(image(1, "b")), true);
        assert!(rows.take(Position(9), &fences).is_empty());
        rows.begin();
        rows.note(&change(Some(image(1, "c")), Some(image(1, "d"))), "id", Some(image(1, "d")));
        rows.commit(Position(8));
        assert_eq!(rows.take(Position(9), &fences), [("users", vec![image(1, "d")])]);
    }
}
