//! An image, a flavor, a network, and instances to try things on, all made through the APIs as a user makes them.
//!
//! Must never report instances as there before Nova says that they are ACTIVE.

use super::api::{Api, GLANCE, NEUTRON, NOVA, text_at};
use super::emulator::Boot;
use crate::error::LabError;
use crate::progress::Teller;
use crate::wait::{Seen, until};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// How long each instance may take, all being made at once on a busy machine.
const EACH: Duration = Duration::from_secs(20);
/// How long making them may take besides.
const BESIDES: Duration = Duration::from_secs(120);
/// What the kernel of a real guest is told: its console is the one that Nova shows.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=1";
/// How many seconds a real guest gets to shut down: it does not listen, and what it writes is on its disk at once.
const SHUTDOWN_SECONDS: &str = "2";
/// The image's content: nobody boots it, a real guest writes on it.
const BLANK: usize = 64 << 10;
/// How many instances a lab is filled with at most: Nova takes about four CPU seconds for each.
pub(crate) const INSTANCES_LIMIT: u16 = 500;

/// Makes image, flavor and network, so that instances can be made.
///
/// Real guests boot what is given here; their disk is as blank as the others'.
pub(crate) async fn prepare(api: &Api, boot: Option<&Boot>, teller: &Teller<'_>) -> Result<Ready, LabError> {
    let mut about =
        json!({ "name": "blank", "disk_format": "raw", "container_format": "bare", "visibility": "public" });
    if let Some(boot) = boot {
        for (property, name, form, path) in [
            ("kernel_id", "kernel", "aki", &boot.kernel),
            ("ramdisk_id", "initramfs", "ari", &boot.initramfs),
        ] {
            let content = std::fs::read(path).map_err(LabError::file("reading", path))?;
            let part = json!({ "name": name, "disk_format": form, "container_format": form, "visibility": "public" });
            about[property] = image(api, &part, content).await?.into();
        }
        about["os_command_line"] = COMMAND_LINE.into();
        about["os_shutdown_timeout"] = SHUTDOWN_SECONDS.into();
    }
    let image = image(api, &about, vec![0; BLANK]).await?;
    let flavor = json!({ "flavor": { "name": "tiny", "vcpus": 1, "ram": 128, "disk": 1 } });
    let flavor = text_at(&api.post(NOVA, "/v2.1/flavors", &flavor).await?, "/flavor/id")?;
    let network = json!({ "network": { "name": "lab", "shared": true } });
    let network = text_at(&api.post(NEUTRON, "/v2.0/networks", &network).await?, "/network/id")?;
    let subnet = json!({ "subnet": {
        "network_id": network, "ip_version": 4, "cidr": "10.0.0.0/16", "enable_dhcp": false, "gateway_ip": null,
    }});
    api.post(NEUTRON, "/v2.0/subnets", &subnet).await?;
    teller.tell("cluster", "there are an image, a flavor and a network");
    Ok(Ready { image, flavor, network })
}

/// Makes an image; its identity.
async fn image(api: &Api, about: &Value, content: Vec<u8>) -> Result<String, LabError> {
    let image = text_at(&api.post(GLANCE, "/v2/images", about).await?, "/id")?;
    let path = format!("/v2/images/{image}/file");
    let sent = api.send(Method::PUT, GLANCE, &path, "application/octet-stream", Bytes::from(content)).await?;
    match sent.status {
        204 => Ok(image),
        status => Err(LabError::Service {
            what: format!("uploading the image {}", about["name"]),
            why: format!("HTTP {status}: {}", sent.body),
        }),
    }
}

/// What instances are made of, where it has been made already.
pub(crate) async fn found(api: &Api) -> Result<Ready, LabError> {
    let first = async |port: u16, path: &str, pointer: &str| text_at(&api.get(port, path).await?, pointer);
    Ok(Ready {
        image: first(GLANCE, "/v2/images?name=blank", "/images/0/id").await?,
        flavor: first(NOVA, "/v2.1/flavors", "/flavors/0/id").await?,
        network: first(NEUTRON, "/v2.0/networks?name=lab", "/networks/0/id").await?,
    })
}

/// What instances are made of.
pub(crate) struct Ready {
    image: String,
    flavor: String,
    network: String,
}

/// Makes instances named `vm-1` and so on, spread by the scheduler, and waits until they are ACTIVE.
pub(crate) async fn make(
    api: &Api,
    ready: &Ready,
    count: u16,
    with_ports: bool,
    teller: &Teller<'_>,
) -> Result<(), LabError> {
    if count == 0 {
        return Ok(());
    }
    let networks = match with_ports {
        true => json!([{ "uuid": ready.network }]),
        false => json!("none"),
    };
    let server = json!({ "server": {
        "name": "vm", "imageRef": ready.image, "flavorRef": ready.flavor, "networks": networks,
        "min_count": count, "max_count": count,
    }});
    api.post(NOVA, "/v2.1/servers", &server).await?;
    let todo =
        "ask the cloud: `ostler lab ssh ctl1 -- '. /root/openrc; openstack server list --all-projects'`";
    let limit = BESIDES + EACH * u32::from(count);
    until(format!("{count} instances"), todo, limit, async || match servers(api).await {
        Ok(servers) => {
            let of = |state: &str| servers.iter().filter(|server| server["status"] == state).count();
            match (of("ACTIVE"), of("ERROR")) {
                (active, _) if active >= usize::from(count) => Seen::Holds(Ok(())),
                (active, 0) => Seen::NotYet(format!("{active} of {count} ACTIVE")),
                (active, failed) => {
                    let says = fault(api, &servers).await;
                    Seen::Holds(Err(LabError::Service {
                        what: format!("making {count} instances"),
                        why: format!("{failed} ended in ERROR, {active} are ACTIVE; nova says: {says}"),
                    }))
                }
            }
        }
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await??;
    teller.tell("cluster", format!("{count} instances are ACTIVE"));
    Ok(())
}

async fn servers(api: &Api) -> Result<Vec<Value>, LabError> {
    let answer = api.get(NOVA, "/v2.1/servers/detail?all_tenants=1").await?;
    Ok(answer["servers"].as_array().cloned().unwrap_or_default())
}

/// What Nova says of the first instance that failed: a list has it not always.
async fn fault(api: &Api, servers: &[Value]) -> String {
    let failed = servers.iter().find(|server| server["status"] == "ERROR");
    let Some(id) = failed.and_then(|server| server["id"].as_str()) else { return "nothing".to_owned() };
    match api.get(NOVA, &format!("/v2.1/servers/{id}")).await {
        Ok(answer) => answer["server"]["fault"]["message"].as_str().unwrap_or("nothing").to_owned(),
        Err(error) => error.to_string(),
    }
}
