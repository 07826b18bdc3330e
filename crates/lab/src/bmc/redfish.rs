//! Redfish in the parts that fencing needs: what a request asks for, and how answers look.
//!
//! Must never touch a node.

use hyper::Method;
use serde_json::{Value, json};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The root, for everybody.
    Root,
    /// The service for sessions.
    SessionService,
    /// A new session.
    LogIn { user: String, password: String },
    /// The end of a session.
    LogOut { session: String },
    /// All systems.
    Systems,
    /// One system.
    System { node: String },
    /// An order to one system.
    Reset { node: String, order: Order },
    /// Something that cannot be: status and message.
    Wrong { status: u16, message: String },
}

/// An order to a node's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    On,
    Off,
    ShutDown,
    Restart,
}

/// The orders by their names in Redfish.
const ORDERS: [(&str, Order); 6] = [
    ("On", Order::On),
    ("ForceOn", Order::On),
    ("ForceOff", Order::Off),
    ("GracefulShutdown", Order::ShutDown),
    ("ForceRestart", Order::Restart),
    ("PowerCycle", Order::Restart),
];

/// Understands a request.
pub(super) fn wish(method: &Method, path: &str, body: &[u8]) -> Wish {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    match (method, words.as_slice()) {
        (&Method::GET, ["redfish", "v1"]) => Wish::Root,
        (&Method::GET, ["redfish", "v1", "SessionService"]) => Wish::SessionService,
        (&Method::POST, ["redfish", "v1", "SessionService", "Sessions"]) => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            match (body["UserName"].as_str(), body["Password"].as_str()) {
                (Some(user), Some(password)) => {
                    Wish::LogIn { user: user.to_owned(), password: password.to_owned() }
                }
                _ => wrong(400, "a session needs UserName and Password"),
            }
        }
        (&Method::DELETE, ["redfish", "v1", "SessionService", "Sessions", session]) => {
            Wish::LogOut { session: (*session).to_owned() }
        }
        (&Method::GET, ["redfish", "v1", "Systems"]) => Wish::Systems,
        (&Method::GET, ["redfish", "v1", "Systems", node]) => Wish::System { node: (*node).to_owned() },
        (&Method::POST, ["redfish", "v1", "Systems", node, "Actions", "ComputerSystem.Reset"]) => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let name = body["ResetType"].as_str().unwrap_or_default();
            match ORDERS.iter().find(|(known, _)| *known == name) {
                Some((_, order)) => Wish::Reset { node: (*node).to_owned(), order: *order },
                None => wrong(
                    400,
                    &format!("ResetType must be one of {}", ORDERS.map(|(name, _)| name).join(", ")),
                ),
            }
        }
        (&Method::GET | &Method::POST | &Method::DELETE, _) => wrong(404, "there is no such resource"),
        _ => wrong(405, "the method is not allowed"),
    }
}

fn wrong(status: u16, message: &str) -> Wish {
    Wish::Wrong { status, message: message.to_owned() }
}

pub(super) fn root() -> Value {
    json!({
        "@odata.id": "/redfish/v1/",
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Id": "RootService",
        "Name": "Power controllers of an ostler lab",
        "RedfishVersion": "1.6.0",
        "Systems": { "@odata.id": "/redfish/v1/Systems" },
        "SessionService": { "@odata.id": "/redfish/v1/SessionService" },
        "Links": { "Sessions": { "@odata.id": "/redfish/v1/SessionService/Sessions" } },
    })
}

pub(super) fn session_service() -> Value {
    json!({
        "@odata.id": "/redfish/v1/SessionService",
        "@odata.type": "#SessionService.v1_1_6.SessionService",
        "Id": "SessionService",
        "Name": "Sessions",
        "ServiceEnabled": true,
        "Sessions": { "@odata.id": "/redfish/v1/SessionService/Sessions" },
    })
}

pub(super) fn session(id: &str, user: &str) -> Value {
    json!({
        "@odata.id": format!("/redfish/v1/SessionService/Sessions/{id}"),
        "@odata.type": "#Session.v1_2_1.Session",
        "Id": id,
        "Name": "Session",
        "UserName": user,
    })
}

pub(super) fn systems(nodes: &[&str]) -> Value {
    let members: Vec<Value> =
        nodes.iter().map(|node| json!({ "@odata.id": format!("/redfish/v1/Systems/{node}") })).collect();
    json!({
        "@odata.id": "/redfish/v1/Systems",
        "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
        "Name": "Computer systems",
        "Members@odata.count": members.len(),
        "Members": members,
    })
}

pub(super) fn system(node: &str, is_on: bool) -> Value {
    let here = format!("/redfish/v1/Systems/{node}");
    json!({
        "@odata.id": here,
        "@odata.type": "#ComputerSystem.v1_10_0.ComputerSystem",
        "Id": node,
        "Name": node,
        "HostName": node,
        "SystemType": "Virtual",
        "PowerState": if is_on { "On" } else { "Off" },
        "Status": { "State": if is_on { "Enabled" } else { "Disabled" }, "Health": "OK" },
        "Actions": { "#ComputerSystem.Reset": {
            "target": format!("{here}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ORDERS.map(|(name, _)| name),
        }},
    })
}

pub(super) fn error(message: &str) -> Value {
    json!({ "error": {
        "code": "Base.1.8.GeneralError",
        "message": message,
        "@Message.ExtendedInfo": [{ "@odata.type": "#Message.v1_0_8.Message", "MessageId": "Base.1.8.GeneralError", "Message": message }],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood() {
        let system = Wish::System { node: "cmp1".into() };
        assert_eq!(wish(&Method::GET, "/redfish/v1/Systems/cmp1", b""), system);
        assert_eq!(wish(&Method::GET, "/redfish/v1/Systems/cmp1/", b""), system);
        let reset = "/redfish/v1/Systems/cmp1/Actions/ComputerSystem.Reset";
        assert_eq!(
            wish(&Method::POST, reset, br#"{"ResetType": "ForceOff"}"#),
            Wish::Reset { node: "cmp1".into(), order: Order::Off }
        );
        for (method, path, body, status) in [
            (Method::POST, reset, "", 400),
            (Method::POST, reset, r#"{"ResetType": ["On"]}"#, 400),
            (Method::POST, "/redfish/v1/SessionService/Sessions", "[]", 400),
            (Method::GET, "/redfish/v2", "", 404),
            (Method::PATCH, "/redfish/v1/Systems/cmp1", "", 405),
        ] {
            let found = wish(&method, path, body.as_bytes());
            assert!(matches!(found, Wish::Wrong { status: seen, .. } if seen == status), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_system_says_where_orders_go() {
        let answer = system("cmp1", true);
        let target = answer["Actions"]["#ComputerSystem.Reset"]["target"].as_str().unwrap();
        assert!(matches!(
            wish(&Method::POST, target, br#"{"ResetType": "On"}"#),
            Wish::Reset { order: Order::On, .. }
        ));
        assert_eq!(answer["PowerState"], "On");
        assert_eq!(super::system("cmp1", false)["PowerState"], "Off");
    }
}
