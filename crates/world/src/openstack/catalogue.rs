//! Where a cloud's services are, as the token's catalogue says.
//!
//! It must never take an address of another region or interface because the wanted one is missing.

use super::clouds_yaml::Interface;
use super::error::ApiError;
use ostler_model::function::Offer;
use serde_json::Value;

/// A service of OpenStack as this program asks it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its type in the catalogue, and names that it had before.
    pub kinds: &'static [&'static str],
    /// The major version of its API.
    pub major: u16,
    /// The path of that version, where the catalogue names none.
    pub path: &'static str,
    /// Its name in the header of microversions.
    pub header: &'static str,
}

/// Servers and hypervisors.
pub(crate) const COMPUTE: Service =
    Service { kinds: &["compute"], major: 2, path: "/v2.1", header: "compute" };

/// What is left on each hypervisor.
pub(crate) const PLACEMENT: Service =
    Service { kinds: &["placement"], major: 1, path: "", header: "placement" };

/// Images.
pub(super) const IMAGE: Service = Service { kinds: &["image"], major: 2, path: "/v2", header: "image" };

/// Networks.
pub(super) const NETWORK: Service =
    Service { kinds: &["network"], major: 2, path: "/v2.0", header: "network" };

/// Volumes.
pub(super) const VOLUME: Service =
    Service { kinds: &["volumev3", "block-storage"], major: 3, path: "/v3", header: "volume" };

/// The services of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue(Vec<Listed>);

#[derive(Clone, Debug)]
struct Listed {
    kind: String,
    interface: String,
    region: Option<String>,
    url: String,
}

impl Catalogue {
    /// Reads the catalogue of a token's body; what is odd in it is left out.
    pub(super) fn read(body: &Value) -> Self {
        let services = body.pointer("/token/catalog").and_then(Value::as_array).into_iter().flatten();
        let listed = services.flat_map(|service| {
            let kind = service.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
            let endpoints = service.get("endpoints").and_then(Value::as_array).into_iter().flatten();
            endpoints.filter_map(move |endpoint| {
                let text = |key: &str| endpoint.get(key).and_then(Value::as_str).map(str::to_owned);
                Some(Listed {
                    kind: kind.clone(),
                    interface: text("interface")?,
                    region: text("region_id").or_else(|| text("region")),
                    url: text("url")?,
                })
            })
        });
        Self(listed.collect())
    }

    /// Every address.
    pub(super) fn all(&self) -> Vec<super::plain::Address> {
        let address = |listed: &Listed| super::plain::Address {
            kind: listed.kind.clone(),
            interface: listed.interface.clone(),
            region: listed.region.clone(),
            url: listed.url.clone(),
        };
        self.0.iter().map(address).collect()
    }

    /// The address of a service.
    pub(super) fn url(
        &self,
        service: &Service,
        interface: Interface,
        region: Option<&str>,
    ) -> Result<&str, ApiError> {
        let fits = |listed: &&Listed| {
            listed.interface == interface.as_str()
                && region.is_none_or(|region| listed.region.as_deref() == Some(region))
        };
        let found = service
            .kinds
            .iter()
            .find_map(|kind| self.0.iter().filter(fits).find(|listed| listed.kind == **kind));
        let kind = service.kinds.first().copied().unwrap_or_default();
        found.map(|listed| listed.url.as_str()).ok_or_else(|| ApiError::NoEndpoint {
            service: kind,
            interface: interface.as_str(),
            region: region.map(str::to_owned),
            there: self.there(service),
        })
    }

    /// Every service that has an address of this interface and region.
    pub(super) fn offers(&self, interface: Interface, region: Option<&str>) -> Vec<Offer> {
        let fits = |listed: &&Listed| {
            listed.interface == interface.as_str()
                && region.is_none_or(|region| listed.region.as_deref() == Some(region))
        };
        let offers = self.0.iter().filter(fits);
        offers.map(|listed| Offer { kind: listed.kind.clone(), url: listed.url.clone() }).collect()
    }

    fn there(&self, service: &Service) -> String {
        let mut there: Vec<String> = self
            .0
            .iter()
            .filter(|listed| service.kinds.contains(&listed.kind.as_str()))
            .map(|listed| {
                format!("{} in {}", listed.interface, listed.region.as_deref().unwrap_or("no region"))
            })
            .collect();
        if there.is_empty() {
            there = self.0.iter().map(|listed| format!("`{}`", listed.kind)).collect();
            there.sort();
            there.dedup();
        }
        if there.is_empty() { "nothing at all".to_owned() } else { there.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalogue() -> Catalogue {
        let endpoint = |interface: &str, region: &str, url: &str| json!({"interface": interface, "region": region, "region_id": region, "url": url});
        Catalogue::read(&json!({"token": {"catalog": [
            {"type": "compute", "endpoints": [
                endpoint("public", "north", "http://public.north"),
                endpoint("internal", "north", "http://internal.north"),
                endpoint("public", "south", "http://public.south"),
                {"interface": "admin"}, 7,
            ]},
            {"endpoints": null}, "odd",
        ]}}))
    }

    #[test]
    fn the_address_is_of_the_wanted_region_and_interface() {
        let catalogue = catalogue();
        let url = |interface, region| catalogue.url(&COMPUTE, interface, region).unwrap();
        assert_eq!(url(Interface::Public, None), "http://public.north");
        assert_eq!(url(Interface::Public, Some("south")), "http://public.south");
        assert_eq!(url(Interface::Internal, Some("north")), "http://internal.north");
    }

    #[test]
    fn what_is_missing_is_answered_with_what_there_is() {
        let text =
            |service, region| catalogue().url(service, Interface::Internal, region).unwrap_err().to_string();
        assert_eq!(
            text(&COMPUTE, Some("south")),
            "the catalogue has no internal address of `compute` in region `south`; \
             it has public in north, internal in north, public in south"
        );
        assert!(text(&PLACEMENT, None).ends_with("it has `compute`"));
        let nothing = Catalogue::read(&json!({"token": []}));
        let nothing = nothing.url(&COMPUTE, Interface::Public, None);
        assert!(nothing.unwrap_err().to_string().ends_with("it has nothing at all"));
    }
}
