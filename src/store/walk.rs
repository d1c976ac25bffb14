//! The order of a list as runs of an index, and the statements that walk them.

use std::fmt::Write as _;

use super::condition::Condition;
use super::engine::{Datum, Query, Row};
use super::index::{Index, Place};
use super::{Position, Sort, StoreError, TypeName, UserType};

/// Forth in the order of the list, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Forth,
    Back,
}

/// A part of a list that one index holds in its order.
#[derive(Debug)]
pub(super) struct Run {
    /// Where its rows stand beside `resources r`, and what ties both together.
    held: Held,
    /// What of it is in this run.
    condition: String,
    keys: Keys,
    /// Whether it is sorted by the ids, which else only decide between equal ones.
    by_id: bool,
    /// Of all its positions.
    absent: bool,
    /// Of all its positions, where it has no keys.
    fold: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// In `resources r` itself.
    Row,
    /// In `attributes s`, at ordinal 0.
    Attribute,
}

/// What the rows of a run are sorted by before their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    None,
    /// Two columns of text.
    Text(&'static str, &'static str),
    Integer(&'static str),
}

/// A row of a list: its internal key, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub key: i64,
    pub position: Position,
}

/// The runs of a list in ascending order; `None` where the index does not hold it.
pub(super) fn runs(index: &Index, type_name: &TypeName, sort: &Sort) -> Option<Vec<Run>> {
    let run = |condition: &str, keys| Run {
        held: Held::Row,
        condition: condition.to_owned(),
        keys,
        by_id: false,
        absent: false,
        fold: "",
    };
    if !sort.path.known {
        // Nobody has it.
        return Some(vec![Run { absent: true, ..run("", Keys::None) }]);
    }
    Some(match index.sort_place(type_name, &sort.path)? {
        Place::Id => vec![Run { by_id: true, ..run("", Keys::None) }],
        Place::Created => vec![run("", Keys::Integer("r.created"))],
        Place::Modified => vec![run("", Keys::Integer("r.shown_modified"))],
        Place::UserType => UserType::ALL
            .iter()
            .zip(["0", "1", "2"])
            .map(|(user_type, fold)| Run {
                fold,
                ..run(&format!(" AND r.user_type = {}", user_type.number()), Keys::None)
            })
            .collect(),
        Place::Name => vec![
            run(" AND r.name_absent = 0", Keys::Text("r.name", "r.name_rest")),
            // All of it, so that the index is seen to be in the order of the ids.
            Run {
                absent: true,
                ..run(" AND r.name_absent = 1 AND r.name = '' AND r.name_rest = ''", Keys::None)
            },
        ],
        Place::Attribute(indexed) => {
            let held = |path: i64| format!(" AND s.path = {path} AND s.ordinal = 0");
            vec![
                Run {
                    held: Held::Attribute,
                    ..run(&held(indexed.native()), Keys::Text("s.fold", "s.rest"))
                },
                Run {
                    held: Held::Attribute,
                    absent: true,
                    ..run(
                        &format!("{} AND s.fold = '' AND s.rest = ''", held(indexed.absent())),
                        Keys::None,
                    )
                },
            ]
        }
        Place::Group(_) | Place::Member { .. } | Place::Owner { .. } => return None,
    })
}

impl Run {
    /// Whether the position is one of this run.
    pub(super) fn holds(&self, position: &Position) -> bool {
        self.absent == position.absent && (self.keys != Keys::None || self.fold == position.fold)
    }

    /// The direction of the ids where the keys rise or fall.
    pub(super) fn ids(&self, rising: bool, way: Way) -> Way {
        match (self.by_id, rising) {
            (false, _) => way,
            (true, true) => Way::Forth,
            (true, false) => Way::Back,
        }
    }

    pub(super) fn has_keys(&self) -> bool {
        self.keys != Keys::None
    }

    /// The rows from a position on: by their keys, rising or falling, then by their ids in the
    /// direction of the way.
    pub(super) fn query(
        &self,
        condition: &Condition,
        (rising, way): (bool, Way),
        from: Option<&Position>,
        offset: i64,
        limit: i64,
    ) -> Result<Query, StoreError> {
        let mut text = Text::new(self, condition);
        if let Some(from) = from {
            let id_sign = if way == Way::Forth { ">" } else { "<" };
            let sign = if rising { ">" } else { "<" };
            match self.keys {
                Keys::None => text.compare(&[self.id()], id_sign, vec![from.id.as_str().into()]),
                _ if sign == id_sign => {
                    let mut values = self.key_of(from)?;
                    values.push(from.id.as_str().into());
                    text.compare(&self.columns(), sign, values);
                }
                _ => {
                    text.sql.push_str(" AND (");
                    text.row(&self.key_columns(), sign, self.key_of(from)?);
                    text.sql.push_str(" OR ");
                    text.row(&self.key_columns(), "=", self.key_of(from)?);
                    text.compare(&[self.id()], id_sign, vec![from.id.as_str().into()]);
                    text.sql.push(')');
                }
            }
        }
        Ok(text.ordered(self, rising, way == Way::Forth, limit, offset))
    }

    /// The rows with the key of a position, by their ids, those after `id` in the direction of the
    /// way.
    pub(super) fn family(
        &self,
        condition: &Condition,
        of: &Position,
        id: Option<&str>,
        way: Way,
        limit: i64,
    ) -> Result<Query, StoreError> {
        let mut text = Text::new(self, condition);
        for (column, value) in self.key_columns().into_iter().zip(self.key_of(of)?) {
            text.compare(&[column], "=", vec![value]);
        }
        if let Some(id) = id {
            text.compare(&[self.id()], if way == Way::Forth { ">" } else { "<" }, vec![id.into()]);
        }
        let forth = way == Way::Forth;
        Ok(text.ordered(self, forth, forth, limit, 0))
    }

    /// The rows whose keys lie beyond that of a position, keys and ids in one direction.
    pub(super) fn stretch(
        &self,
        condition: &Condition,
        rising: bool,
        from: Option<&Position>,
        limit: i64,
    ) -> Result<Query, StoreError> {
        let mut text = Text::new(self, condition);
        if let Some(from) = from {
            let sign = if rising { ">" } else { "<" };
            text.compare(&self.key_columns(), sign, self.key_of(from)?);
        }
        Ok(text.ordered(self, rising, rising, limit, 0))
    }

    /// How many rows the run has.
    pub(super) fn counted(&self, condition: &Condition) -> Query {
        let Text { sql, values } = Text::new(self, condition);
        let sql = sql.replacen(&self.selected(), "COUNT(*)", 1);
        Query { sql: sql.into(), values }
    }

    /// A row as the statements select it.
    pub(super) fn step(&self, row: &mut Row) -> Result<Step, StoreError> {
        let (key, id) = (row.integer()?, row.text()?);
        let (fold, rest) = match self.keys {
            Keys::None => (self.fold.to_owned(), String::new()),
            Keys::Text(..) => (row.text()?, row.text()?),
            Keys::Integer(_) => (row.integer()?.to_string(), String::new()),
        };
        Ok(Step { key, position: Position { absent: self.absent, fold, rest, id } })
    }

    fn id(&self) -> &'static str {
        match self.held {
            Held::Row => "r.id",
            Held::Attribute => "s.id",
        }
    }

    fn key_columns(&self) -> Vec<&'static str> {
        match self.keys {
            Keys::None => Vec::new(),
            Keys::Text(fold, rest) => vec![fold, rest],
            Keys::Integer(column) => vec![column],
        }
    }

    fn columns(&self) -> Vec<&'static str> {
        let mut columns = self.key_columns();
        columns.push(self.id());
        columns
    }

    fn selected(&self) -> String {
        let mut selected = format!("r.key, {}", self.id());
        for column in self.key_columns() {
            selected.push_str(", ");
            selected.push_str(column);
        }
        selected
    }

    fn key_of(&self, position: &Position) -> Result<Vec<Datum>, StoreError> {
        Ok(match self.keys {
            Keys::None => Vec::new(),
            Keys::Text(..) => vec![position.fold.as_str().into(), position.rest.as_str().into()],
            Keys::Integer(_) => {
                let number: i64 = position.fold.parse().map_err(|_| {
                    StoreError::Database("a position of another list was given".to_owned())
                })?;
                vec![number.into()]
            }
        })
    }
}

/// A statement that grows.
struct Text {
    sql: String,
    values: Vec<Datum>,
}

impl Text {
    fn new(run: &Run, condition: &Condition) -> Self {
        let Condition { sql, values, candidates, .. } = condition;
        let from = match (run.held, candidates) {
            (Held::Row, _) => "resources r WHERE ".to_owned(),
            // The order of a CROSS JOIN is the one in which SQLite reads: along the index, or from
            // the candidates.
            (Held::Attribute, true) => {
                "resources r CROSS JOIN attributes s WHERE s.resource_key = r.key AND ".to_owned()
            }
            (Held::Attribute, false) => format!(
                "attributes s CROSS JOIN resources r \
                 WHERE s.tenant = {} AND s.resource_key = r.key AND ",
                super::condition::TENANT
            ),
        };
        Self {
            sql: format!("SELECT {} FROM {from}{sql}{}", run.selected(), run.condition),
            values: values.clone(),
        }
    }

    fn compare(&mut self, columns: &[&str], sign: &str, values: Vec<Datum>) {
        self.sql.push_str(" AND ");
        self.row(columns, sign, values);
    }

    fn row(&mut self, columns: &[&str], sign: &str, values: Vec<Datum>) {
        let first = self.values.len() + 1;
        self.values.extend(values);
        let names: Vec<_> = (first..=self.values.len()).map(|place| format!("${place}")).collect();
        // Writing to a String does not fail.
        let _ = match (columns, names.as_slice()) {
            ([column], [name]) => write!(self.sql, "{column} {sign} {name}"),
            _ => write!(self.sql, "({}) {sign} ({})", columns.join(", "), names.join(", ")),
        };
    }

    fn ordered(mut self, run: &Run, rising: bool, ids: bool, limit: i64, offset: i64) -> Query {
        let direction = |up| if up { "" } else { " DESC" };
        let keys =
            run.key_columns().into_iter().map(|column| format!("{column}{}", direction(rising)));
        let id = format!("{}{}", run.id(), direction(ids));
        let order: Vec<_> = keys.chain([id]).collect();
        self.values.push(limit.into());
        let _ = write!(self.sql, " ORDER BY {} LIMIT ${}", order.join(", "), self.values.len());
        if offset > 0 {
            self.values.push(offset.into());
            let _ = write!(self.sql, " OFFSET ${}", self.values.len());
        }
        Query { sql: self.sql.into(), values: self.values }
    }
}
