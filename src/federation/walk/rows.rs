//! One page of a list that the store alone puts together and orders: it goes on behind the last row
//! that was shown, and nothing is kept between two pages.

use super::cursor::{Cursor, Direction, List, Place};
use crate::federation::listing::{Cursors, Listing};
use crate::federation::plan::Plan;
use crate::federation::{Federation, Problem, too_many};
use crate::scim::{ErrorKind, ScimError};
use crate::store::{Position, Rows, Search, Sort, Start};

/// What a query string takes.
const LONGEST: usize = 4096;

impl Federation {
    /// The page at a cursor; `None` where SQL alone can tell neither who is in the list nor its
    /// order.
    pub(super) async fn page_of_rows(
        &self,
        plan: &Plan,
        cursor: &Cursor,
    ) -> Result<Option<Listing>, Problem> {
        let List::Rows { total } = cursor.list else { return Ok(None) };
        let back = cursor.direction == Direction::Backward;
        let position = match &cursor.place {
            Place::Start => None,
            Place::At { key, id } => Some(position(key, id).ok_or_else(other_order)?),
        };
        let start = match &position {
            None => Start::Offset(0),
            Some(position) if back => Start::Before(position),
            Some(position) => Start::After(position),
        };
        let size = plan.page.count.max(1);
        let sort =
            Sort { path: plan.page.order.path.clone(), descending: plan.page.order.descending };
        let filter = self.stored_filter(plan);
        let search = Search {
            type_name: &plan.type_name,
            filter: filter.as_deref(),
            rows: Rows::All,
            sort: &sort,
            start,
            limit: size,
            count_total: total.is_none(),
            owned: plan.owned,
        };
        let answer = self.store.search(&self.tenant, search).await?;
        if !answer.exact {
            return Ok(None);
        }
        let total = total.or(answer.total).unwrap_or_default();
        let more = answer.more;
        let (before, after) = match (answer.first, answer.last) {
            (Some(first), Some(last)) => (place(first), place(last)),
            // Whoever stood on that side is gone: what is left stands on the other.
            _ if back => (Place::Start, Place::Start),
            _ => (cursor.place.clone(), cursor.place.clone()),
        };
        let now = self.clock.now();
        let at = |direction, place| {
            let (query, list) = (cursor.query, List::Rows { total: Some(total) });
            let text = self.walks.seal.close(&Cursor { query, direction, list, place }, now);
            if text.len() > LONGEST { Err(too_long()) } else { Ok(text) }
        };
        let cursors = Cursors {
            next: (more || back).then(|| at(Direction::Forward, after)).transpose()?,
            previous: (if back { more } else { position.is_some() })
                .then(|| at(Direction::Backward, before))
                .transpose()?,
        };
        let people = self.as_stored(plan, &answer.rows, false).await?;
        Ok(Some(Listing::page(people, total, cursors, None)))
    }
}

/// A position as a cursor carries it: `absent | length of fold | fold | rest`, beside the id.
fn place(position: Position) -> Place {
    let Position { absent, fold, rest, id } = position;
    let mut key = vec![u8::from(absent)];
    key.extend(u32::try_from(fold.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend(fold.as_bytes());
    key.extend(rest.as_bytes());
    Place::At { key, id }
}

fn position(key: &[u8], id: &str) -> Option<Position> {
    let (&absent, rest) = key.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (fold, rest) = rest.split_at_checked(length)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Position { absent: absent != 0, fold: text(fold)?, rest: text(rest)?, id: id.to_owned() })
}

/// The index was another one when the cursor was given.
pub(super) fn other_order() -> Problem {
    Problem::Scim(ScimError::new(
        ErrorKind::InvalidCursor,
        "the cursor is of a time when this list was ordered in another way; begin anew with an \
         empty cursor",
    ))
}

fn too_long() -> Problem {
    too_many(
        "a value that this list is sorted by is too long to go on from; sort by another attribute",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was_given() {
        for (absent, fold, rest) in [(false, "straße", ""), (true, "", ""), (false, "a", "ab")] {
            let [fold, rest, id] = [fold, rest, "corp.1"].map(str::to_owned);
            let given = Position { absent, fold, rest, id };
            let Place::At { key, id } = place(given.clone()) else { panic!("a place") };
            assert_eq!(position(&key, &id), Some(given));
        }
        assert_eq!(position(&[], "x"), None);
        assert_eq!(position(&[0, 0, 0, 0, 9, b'x'], "x"), None);
    }
}
