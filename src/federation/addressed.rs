//! Who is meant by what stands for an id where ids are shown as numbers: a number in a filter, and
//! `0`, behind which stands whoever an `externalId` names.

use std::collections::HashMap;

use super::{Federation, Problem, RETRY_AFTER, View, demand};
use crate::caller::{Caller, Permission};
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::scim::schema::AttributePath;
use crate::scim::{Query, ResourceType};
use crate::store::RowKey;

impl Federation {
    /// Puts canonical ids into a filter where it names resources by their numbers; whether all that it
    /// names are known.
    pub async fn settle(&self, kind: &ResourceType, query: &mut Query) -> Result<bool, Problem> {
        let Some(filter) = &query.filter else { return Ok(true) };
        let mut numbers: HashMap<String, Option<String>> = HashMap::new();
        // A look at each leaf, none of which is replaced.
        let _ = filter.rewrite(&mut |leaf| {
            numbers.extend(number(leaf, kind).map(|number| (number.to_owned(), None)));
            None
        });
        if numbers.is_empty() {
            return Ok(true);
        }
        for (number, id) in &mut numbers {
            let stored = self.rows.find(RowKey::Id(number.clone()), false).await?;
            *id = stored.rows.first().map(|row| row.id.clone());
        }
        query.filter = Some(filter.rewrite(&mut |leaf| {
            let id = numbers.get(number(leaf, kind)?)?.as_deref()?;
            settled(leaf, id)
        }));
        Ok(numbers.values().all(Option::is_some))
    }

    /// The id of the one whose `externalId` this is, in the store or in a repository.
    ///
    /// # Errors
    /// [`Problem::Conflict`] where there are several; [`Problem::Unavailable`] where a repository that
    /// might hold another one does not answer.
    pub async fn person_named(
        &self,
        caller: &Caller,
        needs: Permission,
        external_id: &str,
        repository: Option<&str>,
        view: &View,
    ) -> Result<String, Problem> {
        demand(caller, needs)?;
        let is = |name: &str, text: &str| {
            let path = self.users().resolve(name);
            let value = Literal::String(Text::new(text, &path));
            Filter::Compare { path, operator: Operator::Eq, value }
        };
        let of = repository.map(|repository| is("userRepositoryId", repository));
        let filter = Filter::and([is("externalId", external_id)].into_iter().chain(of));
        let query = Query { filter: Some(filter), search_repositories: true, ..Query::default() };
        let plan = self.plan(self.users(), query);
        let listing = self.federated(&plan, view).await?;
        if let Some(line) = listing.report.iter().find(|line| !line.state.is_whole()) {
            return Err(Problem::Unavailable {
                detail: format!(
                    "The repository \"{}\" does not answer ({}), and may know somebody with this \
                     externalId; try again, or name another one by userRepositoryId.",
                    line.id,
                    line.state.name()
                ),
                retry_after: RETRY_AFTER,
                cause: None,
            });
        }
        match listing.resources.as_slice() {
            [person] => Ok(person.id.clone()),
            [] => Err(Problem::NotFound("There is no user with this externalId.".to_owned())),
            several => Err(Problem::Conflict(format!(
                "This externalId is that of {} users; name one by userRepositoryId, or by its id.",
                several.len()
            ))),
        }
    }
}

/// The number by which a comparison names a resource; of an authenticator, which is named by its
/// owner's, that one.
fn number<'f>(leaf: &'f Filter, kind: &ResourceType) -> Option<&'f str> {
    let Filter::Compare { path, operator: Operator::Eq | Operator::Ne, value } = leaf else {
        return None;
    };
    let Literal::String(text) = value else { return None };
    if !is_id(path, kind) {
        return None;
    }
    let number = text.written.split('.').next().unwrap_or_default();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

fn settled(leaf: &Filter, id: &str) -> Option<Filter> {
    let Filter::Compare { path, operator, value: Literal::String(text) } = leaf else {
        return None;
    };
    let rest = text.written.find('.').map_or("", |at| &text.written[at..]);
    let value = Literal::String(Text::new(format!("{id}{rest}"), path));
    Some(Filter::Compare { path: path.clone(), operator: *operator, value })
}

/// Whether the values at a path are ids: of the resource itself, or of others that it refers to.
fn is_id(path: &AttributePath, kind: &ResourceType) -> bool {
    let refers = || kind.holder(path).is_some_and(|one| one.sub_attribute("$ref").is_some());
    path.known && (path.text == "id" || path.sub.as_deref() == Some("value") && refers())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_where_ids_stand() {
        let kind = ResourceType::user(&[]);
        for (text, found) in [
            ("id eq \"10001\"", Some("10001")),
            ("groups eq \"7\"", Some("7")),
            ("groups.value ne \"7\"", Some("7")),
            ("urn:hid:scim:api:idp:2.0:UserDevice:devices.value eq \"9\"", Some("9")),
            (
                "urn:hid:scim:api:idp:2.0:UserAuthenticator:authenticators.value eq \"9.AT_OTP\"",
                Some("9"),
            ),
            ("id eq \"corp.1\"", None),
            ("id eq \"0190f0c0-5b2e\"", None),
            ("id sw \"1\"", None),
            ("externalId eq \"1\"", None),
            ("emails.value eq \"1\"", None),
        ] {
            assert_eq!(number(&Filter::parse(text, &kind).unwrap(), &kind), found, "{text}");
        }
        let leaf = Filter::parse("id eq \"9.AT_OTP\"", &kind).unwrap();
        assert_eq!(settled(&leaf, "corp.a").unwrap().to_string(), "id eq \"corp.a.AT_OTP\"");
    }
}
