//! What keystone must know of a cloud: the services, where they are, and the accounts by which they act.
//!
//! Must never change what is there already, so that it can be run again.

use super::api::{Api, KEYSTONE, text_at};
use super::catalogue::Part;
use crate::error::LabError;
use crate::secrets::Secrets;
use crate::settings::Ground;
use futures_util::future::{try_join, try_join_all};
use hyper::Method;
use serde_json::{Value, json};

/// Name, type, port and path of each service.
const SERVICES: [(&str, &str, u16, &str); 5] = [
    ("placement", "placement", 8778, ""),
    ("glance", "image", 9292, ""),
    ("neutron", "network", 9696, ""),
    ("nova", "compute", 8774, "/v2.1"),
    ("masakari", "instance-ha", 15868, "/v1/%(tenant_id)s"),
];

/// Registers services, endpoints and accounts.
pub(crate) async fn register(api: &Api, ground: &Ground, secrets: &Secrets) -> Result<(), LabError> {
    let project = json!({ "project": { "name": "service", "domain_id": "default" } });
    let project = text_at(&api.post(KEYSTONE, "/v3/projects", &project).await?, "/project/id")?;
    let roles = api.get(KEYSTONE, "/v3/roles").await?;
    let admin = role(api, &roles, "admin").await?;
    let service = role(api, &roles, "service").await?;
    let wanted = SERVICES
        .into_iter()
        .filter(|(name, ..)| *name != "masakari" || ground.parts.contains(&Part::Masakari));
    let (admin, service, project) = (&admin, &service, &project);
    try_join_all(wanted.map(|(name, kind, port, path)| async move {
        try_join(
            account(api, name, project, [admin, service], secrets),
            endpoints(api, name, kind, format!("http://{}:{port}{path}", ground.virtual_address)),
        )
        .await
    }))
    .await
    .map(drop)
}

async fn role(api: &Api, roles: &Value, name: &str) -> Result<String, LabError> {
    let known = roles["roles"].as_array().into_iter().flatten().find(|role| role["name"] == name);
    match known.and_then(|role| role["id"].as_str()) {
        Some(id) => Ok(id.to_owned()),
        None => {
            let made = api.post(KEYSTONE, "/v3/roles", &json!({ "role": { "name": name } })).await?;
            text_at(&made, "/role/id")
        }
    }
}

async fn account(
    api: &Api,
    name: &str,
    project: &str,
    roles: [&String; 2],
    secrets: &Secrets,
) -> Result<(), LabError> {
    let user = json!({ "user": {
        "name": name, "domain_id": "default", "password": secrets.service.reveal(), "default_project_id": project,
    }});
    let user = text_at(&api.post(KEYSTONE, "/v3/users", &user).await?, "/user/id")?;
    for role in roles {
        let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
        api.expect(Method::PUT, KEYSTONE, &path, None).await?;
    }
    Ok(())
}

async fn endpoints(api: &Api, name: &str, kind: &str, url: String) -> Result<(), LabError> {
    let service = json!({ "service": { "name": name, "type": kind } });
    let service = text_at(&api.post(KEYSTONE, "/v3/services", &service).await?, "/service/id")?;
    for interface in ["public", "internal", "admin"] {
        let endpoint = json!({ "endpoint": {
            "service_id": service, "interface": interface, "url": url, "region_id": "RegionOne",
        }});
        api.post(KEYSTONE, "/v3/endpoints", &endpoint).await?;
    }
    Ok(())
}
