//! Where tenants are mounted: from a request's path to the tenant's mount and the rest of the path.
//!
//! Knows nothing of what stands below a mount.

use std::cmp::Ordering;
use std::sync::Arc;

/// One base path of one tenant.
#[derive(Debug)]
pub struct Mount<T> {
    /// Position among the tenant's mounts; what is rendered for one mount is kept under it.
    pub index: usize,
    pub tenant: Arc<T>,
    /// What every `meta.location` and `$ref` begins with: the public URL and the base path,
    /// without a slash at the end.
    pub base: Arc<str>,
}

/// All base paths, as a tree of path segments.
#[derive(Debug)]
pub struct Mounts<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    mount: Option<Arc<Mount<T>>>,
    /// Sorted by name without regard to case.
    children: Vec<Child<T>>,
}

#[derive(Debug)]
struct Child<T> {
    name: Box<str>,
    /// Whether case counts: in a tenant's name it does, in literal segments it does not.
    exact: bool,
    node: Node<T>,
}

/// What can be mounted.
pub trait Mounted {
    fn name(&self) -> &str;

    /// Its base paths; in the one that is `/scim/{name}/v2` the case of the name counts.
    fn mounts(&self) -> &[String];
}

/// Why base paths cannot stand side by side.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountError {
    #[error(
        "the base path {path} of tenant \"{tenant}\" is taken by tenant \"{other}\" already; \
         remove it from the `mounts` of one of them"
    )]
    Taken { path: String, tenant: String, other: String },
    #[error(
        "the base path \"{path}\" of tenant \"{tenant}\" must begin with a slash and name at least \
         one segment, as in \"/scim/v2\""
    )]
    Malformed { path: String, tenant: String },
}

impl<T: Mounted> Mounts<T> {
    pub fn new(tenants: &[Arc<T>], public_url: &str) -> Result<Self, MountError> {
        let public_url = public_url.trim_end_matches('/');
        let mut mounts = Self::default();
        for tenant in tenants {
            let standard = format!("/scim/{}/v2", tenant.name());
            for (index, written) in tenant.mounts().iter().enumerate() {
                let path = written.trim_end_matches('/');
                let Some(inner) = path.strip_prefix('/').filter(|inner| well_formed(inner)) else {
                    return Err(MountError::Malformed {
                        path: written.clone(),
                        tenant: tenant.name().to_owned(),
                    });
                };
                let node = mounts.root.descend(inner, (path == standard).then_some(1));
                if let Some(other) = &node.mount {
                    return Err(MountError::Taken {
                        path: written.clone(),
                        tenant: tenant.name().to_owned(),
                        other: other.tenant.name().to_owned(),
                    });
                }
                let base = format!("{public_url}{path}").into();
                node.mount = Some(Arc::new(Mount { index, tenant: Arc::clone(tenant), base }));
            }
        }
        Ok(mounts)
    }
}

impl<T> Default for Mounts<T> {
    fn default() -> Self {
        Self { root: Node::new() }
    }
}

impl<T> Mounts<T> {
    /// The mount with the longest base path that `path` lies under, and what is left of `path`:
    /// empty, or beginning with a slash.
    pub fn find<'a>(&self, path: &'a str) -> Option<(&Arc<Mount<T>>, &'a str)> {
        self.root.find(path)
    }
}

fn well_formed(inner: &str) -> bool {
    inner.split('/').all(|segment| !segment.is_empty())
        && !inner.bytes().any(|byte| byte <= b' ' || matches!(byte, b'?' | b'#'))
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { mount: None, children: Vec::new() }
    }

    /// What is found at `rest`, or above it.
    fn find<'a>(&self, rest: &'a str) -> Option<(&Arc<Mount<T>>, &'a str)> {
        let here = self.mount.as_ref().map(|mount| (mount, rest));
        let Some(inner) = rest.strip_prefix('/') else { return here };
        let (segment, after) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
        let below = self
            .named(segment)
            .filter(|child| !child.exact || &*child.name == segment)
            .filter_map(|child| child.node.find(after))
            .min_by_key(|(_, rest)| rest.len());
        below.or(here)
    }

    /// The node at `inner`, made where it does not exist; `exact` is the place of the segment in
    /// which case counts.
    fn descend(&mut self, inner: &str, exact: Option<usize>) -> &mut Self {
        let mut node = self;
        for (place, name) in inner.split('/').enumerate() {
            let exact = exact == Some(place);
            // A tenant's name and a literal segment are two, also where both are written alike.
            let same = |child: &Child<T>| child.exact == exact && (!exact || &*child.name == name);
            let start = node.start(name);
            let found = node.named(name).position(same);
            if found.is_none() {
                let child = Child { name: name.into(), exact, node: Self::new() };
                node.children.insert(start, child);
            }
            node = &mut node.children[start + found.unwrap_or(0)].node;
        }
        node
    }

    /// The children that have this name in any case.
    fn named(&self, name: &str) -> impl Iterator<Item = &Child<T>> {
        let children = self.children.get(self.start(name)..).unwrap_or_default();
        children.iter().take_while(move |child| caseless(&child.name, name).is_eq())
    }

    /// The place of the first of them.
    fn start(&self, name: &str) -> usize {
        self.children.partition_point(|child| caseless(&child.name, name).is_lt())
    }
}

fn caseless(a: &str, b: &str) -> Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    a.bytes().map(lower).cmp(b.bytes().map(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Tenant(&'static str, Vec<String>);

    impl Mounted for Tenant {
        fn name(&self) -> &str {
            self.0
        }

        fn mounts(&self) -> &[String] {
            &self.1
        }
    }

    fn tenant(name: &'static str, further: &[&str]) -> Arc<Tenant> {
        let mut mounts = vec![format!("/scim/{name}/v2")];
        mounts.extend(further.iter().map(|&path| path.to_owned()));
        Arc::new(Tenant(name, mounts))
    }

    fn mounts(tenants: &[Arc<Tenant>]) -> Result<Mounts<Tenant>, MountError> {
        Mounts::new(tenants, "http://b.example/")
    }

    fn found<'a>(mounts: &Mounts<Tenant>, path: &'a str) -> Option<(usize, &'static str, &'a str)> {
        mounts.find(path).map(|(mount, rest)| (mount.index, mount.tenant.0, rest))
    }

    #[test]
    fn every_tenant_stands_at_its_own_path_and_at_further_ones() {
        let mounts = mounts(&[
            tenant("acme", &["/scim/v2", "/t/Acme/api/v1/scim/v2/"]),
            tenant("beta", &[]),
        ])
        .unwrap();
        assert_eq!(found(&mounts, "/scim/acme/v2"), Some((0, "acme", "")));
        assert_eq!(found(&mounts, "/scim/acme/v2/Users"), Some((0, "acme", "/Users")));
        assert_eq!(found(&mounts, "/SCIM/acme/V2/Users/x"), Some((0, "acme", "/Users/x")));
        assert_eq!(found(&mounts, "/scim/ACME/v2/Users"), None, "a tenant's name is exact");
        assert_eq!(found(&mounts, "/scim/v2/Users"), Some((1, "acme", "/Users")));
        assert_eq!(found(&mounts, "/T/aCME/api/v1/scim/v2/Me"), Some((2, "acme", "/Me")));
        assert_eq!(found(&mounts, "/scim/beta/v2/"), Some((0, "beta", "/")));
        for path in ["/scim/gamma/v2/Users", "/scim/acme/v3/Users", "/scim/acmex/v2", "/", "", "*"]
        {
            assert_eq!(found(&mounts, path), None, "{path}");
        }
        let (mount, _) = mounts.find("/t/acme/api/v1/scim/v2/Users").unwrap();
        assert_eq!(&*mount.base, "http://b.example/t/Acme/api/v1/scim/v2");
    }

    #[test]
    fn a_segment_like_a_tenants_name_is_not_that_name() {
        let acme = ["/scim/Acme/api", "/scim/acme/x/y", "/scim"];
        let mounts = mounts(&[tenant("acme", &acme), tenant("beta", &["/scim/ACME"])]).unwrap();
        for (path, expected) in [
            ("/scim/acme/v2/Users", (0, "acme", "/Users")),
            ("/scim/Acme/api/Users", (1, "acme", "/Users")),
            ("/scim/acme/api/Users", (1, "acme", "/Users")),
            ("/scim/ACME/X/y", (2, "acme", "")),
            ("/scim/ACME/v2/Users", (1, "beta", "/v2/Users")),
            ("/scim/acme/v3", (1, "beta", "/v3")),
            ("/scim/other", (3, "acme", "/other")),
        ] {
            assert_eq!(found(&mounts, path), Some(expected), "{path}");
        }
    }

    #[test]
    fn the_longest_base_path_wins() {
        let mounts = mounts(&[tenant("a", &["/x"]), tenant("b", &["/x/y"])]).unwrap();
        assert_eq!(found(&mounts, "/x/Users"), Some((1, "a", "/Users")));
        assert_eq!(found(&mounts, "/x/y/Users"), Some((1, "b", "/Users")));
        assert_eq!(found(&mounts, "/x/yy/Users"), Some((1, "a", "/yy/Users")));
    }

    #[test]
    fn a_base_path_belongs_to_one_tenant() {
        let twice = [tenant("a", &["/scim/v2"]), tenant("b", &["/SCIM/v2"])];
        let error = mounts(&twice).unwrap_err();
        assert!(matches!(error, MountError::Taken { .. }), "{error}");
        for path in ["scim/v2", "/", "", "/a//b", "/a?b"] {
            let error = mounts(&[tenant("a", &[path])]).unwrap_err();
            assert!(matches!(error, MountError::Malformed { .. }), "{path}: {error}");
        }
    }
}
