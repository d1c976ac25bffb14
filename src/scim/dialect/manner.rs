//! What a dialect comes to: how one request is understood and answered, as behaviours that each have
//! a name.
//!
//! The configuration chooses a [`Dialect`] (a token's wins over its mount's, and that over the
//! tenant's); with the request's api-version and the tenant's settings it becomes a [`Manner`] at
//! once. Whoever reads a manner asks what is done, and knows nothing of dialects.

use std::sync::Arc;

use crate::scim::schema::AttributePath;

/// As whom the bridge speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 7643 and RFC 7644.
    #[default]
    Rfc,
    /// The SCIM API of the ActivID Appliance.
    Activid,
}

impl Dialect {
    /// Each with its name in the configuration.
    pub const NAMED: [(&'static str, Self); 2] = [("rfc", Self::Rfc), ("activid", Self::Activid)];
}

/// How many values one attribute of a user may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The attribute's canonical name.
    pub attribute: String,
    pub most: usize,
}

/// What a tenant decides of its manners; what is absent is as the dialect has it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub wildcards: Option<bool>,
    pub unquoted_values: Option<bool>,
    pub prefer_attributes: bool,
    /// Each in the place of the dialect's limit of that attribute.
    pub limits: Vec<Limit>,
    /// What a POST of a user must bring beside what schema and dialect ask for.
    pub required: Vec<AttributePath>,
    /// Whether any of those who are answered is a provisioning agent.
    pub agents: bool,
}

/// How one request is understood and answered.
#[expect(clippy::struct_excessive_bools, reason = "each is one behaviour, which stands for itself")]
#[derive(Clone, Debug, PartialEq)]
pub struct Manner {
    /// Its place among the tenant's manners: what is rendered, planned or remembered in one of them
    /// is kept under it.
    pub index: usize,

    /// The member of a list that holds the resources.
    pub list_member: &'static str,
    /// The media type of every message.
    pub media_type: &'static str,
    /// The HTTP status of a POST that created.
    pub created: u16,
    /// Whether errors carry an integer `errorCode`.
    pub error_codes: bool,
    /// Whether ids are shown as decimal numbers, `"0"` for whoever has no row; codes stay.
    pub numbers: bool,
    /// Whether `meta.version` is the bare version of the row, `"1"` for whoever has none, in place of
    /// the entity tag.
    pub bare_versions: bool,
    /// Whether a list tells its total also where it holds somebody who has no row.
    pub counts_unbound: bool,
    /// Whether the extensions, `roles` and `groups` of a user with a row are shown also where there is
    /// nothing in them.
    pub shows_empty: bool,
    /// Whether `UserAttribute` shows the attributes that mirror core ones without being asked.
    pub shows_mirrored: bool,
    /// Whether `groups` of a user tells those in which the user is through another group, too.
    pub shows_indirect_groups: bool,
    /// Whether only groups are shown as members of a group.
    pub subgroups_only: bool,
    /// Whether a device of a user is shown with its `friendlyName`.
    pub friendly_names: bool,

    /// Where `userName` comes from.
    pub names: Names,
    /// Whether `displayName` is made from the name, and nobody's to write.
    pub derives_display_name: bool,
    /// Whether a POST of a user must bring a name.
    pub requires_name: bool,
    /// What a POST of a user must bring beside that.
    pub required: Vec<AttributePath>,
    /// How many values attributes of a user may have; of others as many as there are.
    pub limits: Vec<Limit>,
    /// Whether `groups` of a user are written through the user; else they are passed over.
    pub groups_writable: bool,
    /// Whether a group or role that is posted with an `externalId` that can stand for an id gets it for
    /// its id.
    pub codes: bool,
    /// Whether a role that does not exist is refused; else it is a text like any other.
    pub known_roles_only: bool,
    /// Whether a POST may bind by `externalId` where the token does not say.
    pub binds: bool,
    /// Whether a PUT leaves extensions alone that it does not hold.
    pub sections_stand: bool,
    /// Whether a PUT of a user must hold `groups`.
    pub requires_groups: bool,

    /// How filters are read.
    pub language: Language,
    /// Whether `sortBy` counts; else it is passed over.
    pub sorts: bool,
    /// Whether a list over repositories has further pages by `startIndex`.
    pub pages_repositories: bool,
    /// Whether the store alone answers a filter on `userType` where no repository is asked.
    pub stored_user_types: bool,
    /// Whether `attributes` wins over `excludedAttributes`; else both together are refused.
    pub prefer_attributes: bool,
    /// Whether `/Users/0` is whoever `externalId` names.
    pub addresses_by_external_id: bool,
}

/// Where a user's `userName` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It is written, and required; `externalId` is optional.
    Written,
    /// It is `externalId`, which is required, and nobody's to write.
    ExternalId,
}

/// What filters may say beside RFC 7644.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// Strings without quotes.
    pub unquoted: bool,
    /// `*` in the value of `eq`, `sw`, `co` and `ew` stands for any characters.
    pub wildcards: bool,
    /// `groups` for `groups.value`, `role` for `roles.value`, and a name with a value of
    /// `UserAttribute` as one and the same attribute.
    pub aliases: bool,
}

impl Language {
    /// RFC 7644, and strings without quotes, which harm nobody.
    pub const PLAIN: Self = Self { unquoted: true, wildcards: false, aliases: false };
}

/// The manners of a tenant.
#[derive(Clone, Debug)]
pub struct Manners {
    rfc: Arc<Manner>,
    /// By api-version: below 2, below 4, below 7, and from there on.
    activid: [Arc<Manner>; 4],
    /// The same for provisioning agents.
    agents: [Arc<Manner>; 4],
    used: usize,
}

impl Manners {
    /// `spoken`: the dialects that anybody is answered in.
    pub fn new(settings: &Settings, spoken: impl IntoIterator<Item = Dialect>) -> Self {
        let several = spoken.into_iter().any(|dialect| dialect != Dialect::Rfc);
        let arranged = |mut manner: Manner| {
            manner.arrange(settings);
            Arc::new(manner)
        };
        Self {
            rfc: arranged(Manner::rfc()),
            activid: [1, 2, 3, 4].map(|index| arranged(Manner::activid(index))),
            agents: [1, 2, 3, 4].map(|index| arranged(Manner::activid(index).of_agents())),
            used: match (several, settings.agents) {
                (false, _) => 1,
                (true, false) => 5,
                (true, true) => 9,
            },
        }
    }

    /// The manner of a request; `api_version` is only asked where something depends on it.
    pub fn of(&self, dialect: Dialect, api_version: impl FnOnce() -> Option<u32>) -> &Arc<Manner> {
        match dialect {
            Dialect::Rfc => &self.rfc,
            Dialect::Activid => match api_version().unwrap_or_default() {
                ..2 => &self.activid[0],
                2..4 => &self.activid[1],
                4..7 => &self.activid[2],
                7.. => &self.activid[3],
            },
        }
    }

    /// The same manner, as a provisioning agent is answered in it.
    pub fn of_agents<'a>(&'a self, manner: &'a Arc<Manner>) -> &'a Arc<Manner> {
        let own = self.activid.iter().position(|one| one.index == manner.index);
        own.and_then(|at| self.agents.get(at)).unwrap_or(manner)
    }

    /// The one with this index; where there is none, the first.
    pub fn at(&self, index: usize) -> &Arc<Manner> {
        let mut further = self.activid.iter().chain(&self.agents);
        further.find(|manner| manner.index == index).unwrap_or(&self.rfc)
    }

    /// Whether anybody is shown numbers in the place of ids.
    pub fn numbers(&self) -> bool {
        self.used > 1
    }

    /// Above the index of every manner that anybody is answered in.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl Manner {
    /// RFC 7643 and RFC 7644.
    pub fn rfc() -> Self {
        Self {
            index: 0,
            list_member: "Resources",
            media_type: "application/scim+json",
            created: 201,
            error_codes: false,
            numbers: false,
            bare_versions: false,
            counts_unbound: true,
            shows_empty: false,
            shows_mirrored: false,
            shows_indirect_groups: true,
            subgroups_only: false,
            friendly_names: true,
            names: Names::Written,
            derives_display_name: false,
            requires_name: false,
            required: Vec::new(),
            limits: Vec::new(),
            groups_writable: false,
            codes: false,
            known_roles_only: false,
            binds: false,
            sections_stand: false,
            requires_groups: false,
            language: Language::PLAIN,
            sorts: true,
            pages_repositories: true,
            stored_user_types: true,
            prefer_attributes: false,
            addresses_by_external_id: false,
        }
    }

    /// The ActivID Appliance's; the index tells the api-version, as [`Manners`] orders them.
    fn activid(index: usize) -> Self {
        let limit = |(attribute, most): (&str, usize)| Limit { attribute: attribute.into(), most };
        let limits = [("emails", 1), ("phoneNumbers", 1), ("addresses", 4), ("groups", 1)];
        Self {
            index,
            list_member: "resources",
            media_type: "application/json+scim",
            created: 200,
            error_codes: true,
            numbers: true,
            bare_versions: true,
            counts_unbound: false,
            shows_empty: true,
            shows_mirrored: true,
            shows_indirect_groups: false,
            subgroups_only: true,
            // From 2 on.
            friendly_names: index >= 2,
            // From 4 on clients name their users.
            names: if index >= 3 { Names::Written } else { Names::ExternalId },
            derives_display_name: true,
            requires_name: true,
            required: Vec::new(),
            limits: limits.map(limit).into(),
            groups_writable: true,
            codes: true,
            known_roles_only: true,
            binds: true,
            sections_stand: true,
            requires_groups: true,
            language: Language { unquoted: true, wildcards: true, aliases: true },
            // From 7 on.
            sorts: index >= 4,
            pages_repositories: false,
            stored_user_types: false,
            prefer_attributes: false,
            addresses_by_external_id: true,
        }
    }

    /// A provisioning agent keeps users as members of its groups: it sees those whom it wrote.
    fn of_agents(self) -> Self {
        Self { index: self.index + 4, subgroups_only: false, ..self }
    }

    fn arrange(&mut self, settings: &Settings) {
        if let Some(wildcards) = settings.wildcards {
            self.language.wildcards = wildcards;
        }
        if let Some(unquoted) = settings.unquoted_values {
            self.language.unquoted = unquoted;
        }
        self.prefer_attributes |= settings.prefer_attributes;
        self.required.extend(settings.required.iter().cloned());
        for limit in &settings.limits {
            self.limits.retain(|other| other.attribute != limit.attribute);
            self.limits.push(limit.clone());
        }
    }

    /// How many values an attribute of a user may have, if that is bounded.
    pub fn limit(&self, attribute: &str) -> Option<usize> {
        self.limits.iter().find(|limit| limit.attribute == attribute).map(|limit| limit.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_version_decides_where_it_means_something() {
        let manners = Manners::new(&Settings::default(), [Dialect::Activid]);
        let of = |version| Arc::clone(manners.of(Dialect::Activid, || version));
        let told = |version| {
            let manner = of(version);
            (manner.friendly_names, manner.names == Names::Written, manner.sorts)
        };
        assert_eq!(told(None), (false, false, false));
        assert_eq!(told(Some(1)), (false, false, false));
        assert_eq!(told(Some(2)), (true, false, false));
        assert_eq!(told(Some(3)), (true, false, false));
        assert_eq!(told(Some(4)), (true, true, false));
        assert_eq!(told(Some(6)), (true, true, false));
        assert_eq!(told(Some(7)), (true, true, true));
        assert_eq!(told(Some(u32::MAX)), (true, true, true));
        let rfc = manners.of(Dialect::Rfc, || panic!("nothing depends on it"));
        assert_eq!(**rfc, Manner::rfc());
        let indexes: Vec<usize> = [None, Some(2), Some(4), Some(7)]
            .into_iter()
            .map(|version| of(version).index)
            .chain([rfc.index])
            .collect();
        assert_eq!(indexes, [1, 2, 3, 4, 0]);
        for index in indexes {
            let manner = manners.at(index);
            let agents = manners.of_agents(manner);
            assert_eq!(manner.index, index);
            assert_eq!(agents.index, if index == 0 { 0 } else { index + 4 });
            assert_eq!(manners.at(agents.index), agents);
            assert!(!agents.subgroups_only && agents.numbers == manner.numbers);
        }
        assert_eq!(manners.used(), 5);
        let agents = Settings { agents: true, ..Settings::default() };
        assert_eq!(Manners::new(&agents, [Dialect::Activid]).used(), 9);
        assert_eq!(Manners::new(&agents, [Dialect::Rfc]).used(), 1);
        assert_eq!(Manners::new(&Settings::default(), [Dialect::Rfc]).used(), 1);
    }

    #[test]
    fn a_tenant_decides_over_its_dialect() {
        let limit = |attribute: &str, most| Limit { attribute: attribute.to_owned(), most };
        let settings = Settings {
            wildcards: Some(false),
            unquoted_values: Some(false),
            prefer_attributes: true,
            limits: vec![limit("emails", 3), limit("roles", 2)],
            required: Vec::new(),
            agents: false,
        };
        let manners = Manners::new(&settings, [Dialect::Rfc, Dialect::Activid]);
        let activid = manners.of(Dialect::Activid, || None);
        let of = |attribute| activid.limit(attribute);
        assert_eq!((of("emails"), of("roles"), of("addresses")), (Some(3), Some(2), Some(4)));
        assert_eq!(of("photos"), None);
        assert!(!activid.language.wildcards && !activid.language.unquoted);
        assert!(activid.prefer_attributes && activid.language.aliases);
        let rfc = manners.of(Dialect::Rfc, || None);
        assert_eq!((rfc.limit("emails"), rfc.limit("groups")), (Some(3), None));
    }
}
