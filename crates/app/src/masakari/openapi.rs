//! The description of the API for programs, kept by hand beside what it describes.
//!
//! A test holds it to the routes, the policy and the objects that are really sent. It must never describe what is not
//! answered.

/// The document, OpenAPI 3.
pub const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use super::DOCUMENT;
    use crate::masakari::routes::ROUTES;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_describes_exactly_the_routes_with_their_rules() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let parts = path.trim_start_matches("/v1/").split('/');
            let parts: Vec<&str> = parts.map(|part| if part.starts_with('{') { "*" } else { part }).collect();
            for (method, operation) in methods.as_object().unwrap() {
                let rule = operation["x-policy"].as_str().unwrap().to_owned();
                described.insert((method.to_uppercase(), parts.join("/"), rule));
            }
        }
        let routes = ROUTES
            .iter()
            .map(|route| (route.method.to_owned(), route.path.to_owned(), route.rule.to_owned()));
        assert_eq!(described, routes.collect::<BTreeSet<_>>());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in DOCUMENT.split("\"$ref\": \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let name = reference.trim_start_matches("#/components/schemas/");
            assert!(schemas.contains_key(name), "{reference}");
        }
    }
}
