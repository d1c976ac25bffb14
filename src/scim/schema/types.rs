//! All resource types of a tenant: the shipped ones, and what configured documents add (RFC 7643
//! sections 5 to 7).

use std::sync::Arc;

use super::documents::{self, Content, Document, Misfit, TypeDocument};
use super::standard::{self, SHIPPED, ShippedType};
use super::{ResourceType, Schema};

/// Endpoints that are no resource type's, and names that discovery itself has.
const RESERVED_ENDPOINTS: [&str; 5] =
    ["/Bulk", "/Me", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"];
const RESERVED_NAMES: [&str; 3] = ["Schema", "ResourceType", "ServiceProviderConfig"];

/// The resource types of one tenant, the shipped ones first: `User`, `Group`, and what else there is.
#[derive(Clone, Debug)]
pub struct ResourceTypes {
    all: Vec<Arc<ResourceType>>,
    user: Arc<ResourceType>,
}

impl ResourceTypes {
    /// The shipped types as they are.
    pub fn shipped() -> Self {
        let as_shipped = |shipped: &ShippedType| {
            shipped.with(shipped.extensions().map(|schema| (Arc::new(schema), false)).collect())
        };
        Self::of(SHIPPED.iter().map(as_shipped).collect())
    }

    /// The shipped ones with what these files add, each the text of one: a Schema that no
    /// ResourceType names is an extension of `User`; a ResourceType that is named like a shipped one adds
    /// its extensions to that one; any other is a type of its own. A Schema with the URN of a shipped
    /// extension replaces it, and what only repeats a shipped schema adds nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, with the file and the place in it.
    pub fn read<T: AsRef<str>>(files: &[T]) -> Result<Self, Misfit> {
        let mut documents = Vec::new();
        for (file, text) in files.iter().enumerate() {
            documents.extend(documents::read(file, text.as_ref())?);
        }
        let schemas = schemas(&documents)?;
        let types = types(&documents)?;
        let mut reader = Reader { schemas, further: Vec::new() };
        let mut shipped: Vec<Vec<(Arc<Schema>, bool)>> =
            SHIPPED.iter().map(|shipped| extensions(shipped, &reader.schemas)).collect();
        for (document, written) in &types {
            let place = SHIPPED.iter().position(|one| written.name.eq_ignore_ascii_case(one.name));
            if let Some(place) = place {
                reader.extend(document, written, &SHIPPED[place], &mut shipped[place])?;
            } else {
                let made = reader.make(document, written)?;
                reader.further.push(made);
            }
        }
        for schema in &reader.schemas {
            let is_known = shipped.iter().flatten().any(|(known, _)| known.id == schema.id);
            if !is_known && !names(&types, &schema.id) {
                shipped[0].push((Arc::clone(schema), false));
            }
        }
        let shipped = SHIPPED.iter().zip(shipped).map(|(one, extensions)| one.with(extensions));
        Ok(Self::of(shipped.chain(reader.further).collect()))
    }

    /// The first is the users'.
    fn of(all: Vec<ResourceType>) -> Self {
        let all: Vec<Arc<ResourceType>> = all.into_iter().map(Arc::new).collect();
        Self { user: Arc::clone(&all[0]), all }
    }

    /// The same with these as the policies that there are: discovery tells them.
    #[must_use]
    pub fn with_policies(self, policies: &[String]) -> Self {
        let told = |schema: &Arc<Schema>| -> Arc<Schema> {
            let holder = match schema.id.as_str() {
                standard::AUTHENTICATOR => "policy",
                standard::USER_AUTHENTICATOR => "authenticators",
                _ => return Arc::clone(schema),
            };
            let mut schema = Schema::clone(schema);
            let holder = schema.attributes.iter_mut().find(|attribute| attribute.name == holder);
            let parts = holder.into_iter().flat_map(|holder| &mut holder.sub_attributes);
            for part in parts.filter(|part| part.name == "value" || part.name == "display") {
                part.canonical_values = policies.to_vec();
            }
            Arc::new(schema)
        };
        let with = |kind: &Arc<ResourceType>| {
            let ResourceType { name, endpoint, description, schema, extensions, .. } =
                kind.as_ref();
            let extensions =
                extensions.iter().map(|(schema, required)| (told(schema), *required)).collect();
            ResourceType::new(name, endpoint, description, told(schema), extensions)
        };
        if policies.is_empty() { self } else { Self::of(self.all.iter().map(with).collect()) }
    }

    /// Every one: the shipped ones, `User` and `Group` first, then in the order of the documents.
    pub fn all(&self) -> &[Arc<ResourceType>] {
        &self.all
    }

    pub fn user(&self) -> &Arc<ResourceType> {
        &self.user
    }
}

/// The schemas that the documents bring; none of them twice, none that must stay as it ships.
fn schemas(documents: &[Document]) -> Result<Vec<Arc<Schema>>, Misfit> {
    let mut schemas: Vec<Arc<Schema>> = Vec::new();
    for document in documents {
        let Content::Schema(schema) = &document.content else { continue };
        if let Some(shipped) = standard::any_case(&schema.id) {
            if repeats(&shipped, schema) {
                continue;
            }
            if !standard::is_lent(&shipped.id) {
                return Err(document.misfit(
                    ".id",
                    format!("\"{}\" is a schema that ships with the program", shipped.id),
                    "leave it as it is, and write an extension with a URN of its own",
                ));
            }
        }
        if schemas.iter().any(|other| other.id.eq_ignore_ascii_case(&schema.id)) {
            return Err(document.misfit(
                ".id",
                format!("there is a schema \"{}\" already", schema.id),
                "give every schema a URN of its own, and every file once",
            ));
        }
        schemas.push(Arc::new(schema.clone()));
    }
    Ok(schemas)
}

/// Whether a document says of a shipped schema what it is, as an export does.
fn repeats(shipped: &Schema, written: &Schema) -> bool {
    let attributes = |schema: &Schema| serde_json::to_value(&schema.attributes).ok();
    attributes(shipped) == attributes(written)
}

/// The ResourceType documents; no name and no endpoint twice.
fn types(documents: &[Document]) -> Result<Vec<(&Document, &TypeDocument)>, Misfit> {
    let mut types: Vec<(&Document, &TypeDocument)> = Vec::new();
    for document in documents {
        let Content::Type(written) = &document.content else { continue };
        if RESERVED_NAMES.iter().any(|name| name.eq_ignore_ascii_case(&written.name)) {
            return Err(document.misfit(
                ".name",
                format!("\"{}\" is a name of discovery itself", written.name),
                "choose another name",
            ));
        }
        if types.iter().any(|(_, other)| other.name.eq_ignore_ascii_case(&written.name)) {
            return Err(document.misfit(
                ".name",
                format!("there is a resource type \"{}\" already", written.name),
                "describe every resource type once",
            ));
        }
        types.push((document, written));
    }
    Ok(types)
}

/// Whether a ResourceType document names this schema.
fn names(types: &[(&Document, &TypeDocument)], urn: &str) -> bool {
    types.iter().any(|(_, written)| {
        let core = written.schema.as_deref();
        let extensions = written.extensions.iter().map(|(urn, _)| urn.as_str());
        core.into_iter().chain(extensions).any(|named| named.eq_ignore_ascii_case(urn))
    })
}

/// The extensions with which a type ships, or what is configured in their place.
fn extensions(shipped: &ShippedType, schemas: &[Arc<Schema>]) -> Vec<(Arc<Schema>, bool)> {
    shipped
        .extensions()
        .map(|shipped| {
            let own = schemas.iter().find(|own| own.id.eq_ignore_ascii_case(&shipped.id)).cloned();
            (own.unwrap_or_else(|| Arc::new(shipped)), false)
        })
        .collect()
}

struct Reader {
    schemas: Vec<Arc<Schema>>,
    further: Vec<ResourceType>,
}

impl Reader {
    /// A document about a shipped type: it may add extensions, and repeat the rest.
    fn extend(
        &self,
        document: &Document,
        written: &TypeDocument,
        shipped: &ShippedType,
        extensions: &mut Vec<(Arc<Schema>, bool)>,
    ) -> Result<(), Misfit> {
        let (name, endpoint, core) = (&written.name, shipped.endpoint, shipped.core);
        if let Some(other) = written.endpoint.as_ref().filter(|other| *other != endpoint) {
            return Err(document.misfit(
                ".endpoint",
                format!("{name} is at {endpoint}, not at {other}"),
                &format!("write \"{endpoint}\", or leave it out"),
            ));
        }
        let is_core = |other: &&String| other.eq_ignore_ascii_case(core);
        if let Some(other) = written.schema.as_ref().filter(|other| !is_core(other)) {
            return Err(document.misfit(
                ".schema",
                format!("{name} has the schema {core}, not {other}"),
                "leave it out, and name yours among schemaExtensions",
            ));
        }
        for (index, (urn, required)) in written.extensions.iter().enumerate() {
            let place = format!(".schemaExtensions[{index}].schema");
            let schema = self.schema(document, urn, &place)?;
            let known = extensions.iter_mut().find(|(known, _)| known.id == schema.id);
            match known {
                Some((_, known)) => *known = *required,
                None => extensions.push((schema, *required)),
            }
        }
        Ok(())
    }

    /// A type of its own.
    fn make(&self, document: &Document, written: &TypeDocument) -> Result<ResourceType, Misfit> {
        let name = &written.name;
        let missing = |member: &str, example: &str| {
            let place = format!(".{member}");
            document.misfit(
                &place,
                "is missing".to_owned(),
                &format!("write for example {example}"),
            )
        };
        let endpoint =
            written.endpoint.as_ref().ok_or_else(|| missing("endpoint", "\"/Badges\""))?;
        let taken = RESERVED_ENDPOINTS
            .into_iter()
            .chain(self.further.iter().map(|other| other.endpoint.as_str()))
            .any(|taken| taken.eq_ignore_ascii_case(endpoint));
        if taken || SHIPPED.iter().any(|shipped| shipped.is_at(endpoint)) {
            return Err(document.misfit(
                ".endpoint",
                format!("{endpoint} is there already"),
                "choose an endpoint that nothing else has",
            ));
        }
        let urn = written
            .schema
            .as_ref()
            .ok_or_else(|| missing("schema", "the URN of a schema of these files"))?;
        let schema = self.schema(document, urn, ".schema")?;
        for attribute in &schema.attributes {
            // RFC 7643 section 3.1: every resource has them, and no schema defines them anew.
            let common = ["schemas", "id", "externalId", "meta"];
            if common.iter().any(|common| common.eq_ignore_ascii_case(&attribute.name)) {
                return Err(document.misfit(
                    ".schema",
                    format!("{urn} defines {}, which every resource has", attribute.name),
                    "leave that attribute out of the schema",
                ));
            }
        }
        let mut extensions = Vec::with_capacity(written.extensions.len());
        for (index, (urn, required)) in written.extensions.iter().enumerate() {
            let place = format!(".schemaExtensions[{index}].schema");
            let extension = self.schema(document, urn, &place)?;
            if extension.id == schema.id {
                return Err(document.misfit(
                    &place,
                    format!("{urn} is the schema of {name} itself"),
                    "leave it out here",
                ));
            }
            extensions.push((extension, *required));
        }
        let description = written.description.as_deref().unwrap_or_default();
        Ok(ResourceType::new(name, endpoint, description, schema, extensions))
    }

    /// A schema of the files or a shipped one.
    fn schema(&self, document: &Document, urn: &str, place: &str) -> Result<Arc<Schema>, Misfit> {
        let own = self.schemas.iter().find(|own| own.id.eq_ignore_ascii_case(urn));
        if let Some(own) = own {
            return Ok(Arc::clone(own));
        }
        match standard::any_case(urn) {
            Some(shipped) if standard::is_lent(&shipped.id) => Ok(Arc::new(shipped)),
            Some(shipped) => Err(document.misfit(
                place,
                format!("{} is for the type that ships with it", shipped.id),
                "name a schema of your own",
            )),
            None => {
                Err(document.misfit(place, format!("there is no schema \"{urn}\""), &self.remedy()))
            }
        }
    }

    fn remedy(&self) -> String {
        let known: Vec<&str> = self.schemas.iter().map(|own| own.id.as_str()).collect();
        match known.as_slice() {
            [] => "name it among tenant.schemas, as a file with its Schema document".to_owned(),
            known => format!("these files have {}", known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
