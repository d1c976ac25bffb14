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
        let start = match &cursor.place {
            Place::Start => Start::Beginning,
            Place::At { key, id } => {
                let position = Position::at(key, id).ok_or_else(other_order)?;
                if back { Start::Before(position) } else { Start::After(position) }
            }
        };
        let first = matches!(start, Start::Beginning);
        let size = plan.page.count.max(1);
        let sort =
            Sort { path: plan.page.order.path.clone(), descending: plan.page.order.descending };
        let search = Search {
            type_name: &plan.type_name,
            filter: plan.stored_filter(),
            rows: Rows::All,
            sort: &sort,
            start,
            // One more tells whether there is more.
            limit: size + 1,
            count_total: total.is_none(),
        };
        let answer = self.store.search(&self.tenant, search).await?;
        if !answer.exact {
            return Ok(None);
        }
        let total = total.or(answer.total).unwrap_or_default();
        let (mut rows, mut positions) = (answer.rows, answer.positions);
        let more = rows.len() as u64 > size;
        if more {
            let extra = if back { 0 } else { rows.len() - 1 };
            rows.remove(extra);
            positions.remove(extra);
        }
        let place =
            |position: &Position| Place::At { key: position.key(), id: position.id().to_owned() };
        let ends = positions.first().zip(positions.last());
        let (before, after) = match ends {
            Some((first, last)) => (place(first), place(last)),
            // Whoever stood on that side is gone: what is left stands on the other.
            None if back => (Place::Start, Place::Start),
            None => (cursor.place.clone(), cursor.place.clone()),
        };
        let now = self.clock.now();
        let at = |direction, place| {
            let (query, list) = (cursor.query, List::Rows { total: Some(total) });
            let text = self.walks.seal.close(&Cursor { query, direction, list, place }, now);
            if text.len() > LONGEST { Err(too_long()) } else { Ok(text) }
        };
        let cursors = Cursors {
            next: (more || back).then(|| at(Direction::Forward, after)).transpose()?,
            previous: (if back { more } else { !first })
                .then(|| at(Direction::Backward, before))
                .transpose()?,
        };
        let people = rows.iter().map(|row| self.of_row(plan, row)).collect();
        Ok(Some(Listing::page(people, total, cursors, None)))
    }
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
