//! A user's attributes as a manner shows them: the codes with what they mirror, and a `displayName`
//! that is made of the name.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Manner;
use crate::scim::display::display_name;
use crate::scim::mirror::{Mirror, Which, shown};
use crate::scim::projection::Projection;
use crate::scim::resource::Attributes;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::USER_ATTRIBUTE;

/// What is rendered of a user with these attributes. `owned` says whether a directory decides what a
/// mirrored code says, of an element of a list by its type.
pub fn presented<'a>(
    attributes: &'a Attributes,
    projection: &Projection,
    kind: &ResourceType,
    manner: &Manner,
    owned: &dyn Fn(&Mirror, Option<&str>) -> bool,
) -> Cow<'a, Attributes> {
    let asked = asks_for_codes(projection);
    let holds = attributes.contains_key(USER_ATTRIBUTE);
    let codes =
        (holds || asked || manner.shows_mirrored) && kind.extension(USER_ATTRIBUTE).is_some();
    if !codes && !manner.derives_display_name {
        return Cow::Borrowed(attributes);
    }
    let mut shown_as = attributes.clone();
    if codes {
        let which = if asked || manner.shows_mirrored { Which::All } else { Which::Own };
        let elements = shown(attributes, which, owned);
        if elements.is_empty() && !manner.shows_mirrored {
            shown_as.shift_remove(USER_ATTRIBUTE);
        } else {
            shown_as.insert(USER_ATTRIBUTE.to_owned(), json!({ "attributes": elements }));
        }
    }
    if manner.derives_display_name {
        match display_name(attributes) {
            Some(made) => {
                shown_as.insert("displayName".to_owned(), Value::from(made.as_ref()));
            }
            None => {
                shown_as.shift_remove("displayName");
            }
        }
    }
    Cow::Owned(shown_as)
}

/// Whether the extension is asked for by name.
fn asks_for_codes(projection: &Projection) -> bool {
    match projection {
        Projection::Only(paths) | Projection::Also(paths) => {
            paths.iter().any(|path| path.extension.as_deref() == Some(USER_ATTRIBUTE))
        }
        Projection::Default | Projection::Without(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Manners, Settings};
    use super::*;

    fn shown_as(manner: &Manner, projection: &Projection, user: &Value) -> Value {
        let kind = ResourceType::user(&[]);
        let owned = |mirror: &Mirror, _: Option<&str>| mirror.code == "LASTNAME";
        let attributes = user.as_object().unwrap();
        let shown = presented(attributes, projection, &kind, manner, &owned);
        Value::Object(shown.into_owned())
    }

    #[test]
    fn codes_are_shown_where_they_are_wanted() {
        let rfc = Manner::rfc();
        let manners = Manners::new(&Settings::default(), [Dialect::Activid]);
        let activid = manners.of(Dialect::Activid, || None);
        let user = json!({
            "userName": "jdoe", "displayName": "Babs", "name": { "familyName": "Doe" },
            (USER_ATTRIBUTE): { "attributes": [{ "name": "DOB", "value": "1980-08-01" }] },
        });
        let dob =
            json!({ "name": "DOB", "type": "string", "value": "1980-08-01", "readOnly": false });
        let last =
            json!({ "name": "LASTNAME", "type": "string", "value": "Doe", "readOnly": true });
        let plain = shown_as(&rfc, &Projection::Default, &user);
        assert_eq!(plain[USER_ATTRIBUTE]["attributes"], json!([dob]));
        assert_eq!(plain["displayName"], "Babs");
        let asked = Projection::Only(vec![ResourceType::user(&[]).resolve(USER_ATTRIBUTE)]);
        let both = json!([last, dob]);
        assert_eq!(shown_as(&rfc, &asked, &user)[USER_ATTRIBUTE]["attributes"], both);
        let shown = shown_as(activid, &Projection::Default, &user);
        assert_eq!(shown[USER_ATTRIBUTE]["attributes"], both);
        assert_eq!(shown["displayName"], "Doe");
        let nobody = json!({ "userName": "jdoe" });
        assert_eq!(shown_as(&rfc, &Projection::Default, &nobody), nobody);
        let empty = json!({ "userName": "jdoe", "displayName": "jdoe",
            (USER_ATTRIBUTE): { "attributes": [] } });
        assert_eq!(shown_as(activid, &Projection::Default, &nobody), empty);
    }
}
