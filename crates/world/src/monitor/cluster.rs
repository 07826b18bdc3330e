//! Clusters that watch hosts: Pacemaker by its own tools, Consul by its agents.
//!
//! It must never take part in a cluster or change it, and never say anything about hosts while the cluster has no quorum.

use super::child;
use super::wire::Http;
use ostler_engine::monitor::matrix::{Matrix, Reach, Row};
use ostler_engine::monitor::peers::Seen;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long a cluster's tool may think.
const TOOL_LIMIT: Duration = Duration::from_secs(20);

/// How long a Consul agent may think.
const AGENT_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a matrix file.
const MATRIX_BYTES_MAX: u64 = 64 << 10;

/// A host as Pacemaker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whether it is there.
    pub seen: Seen,
    /// Whether, if it is gone, Pacemaker has fenced it.
    pub is_fenced: bool,
}

/// Hosts by name.
pub type Members = BTreeMap<String, Member>;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum NoView {
    /// The cluster cannot be asked.
    #[error("{0}")]
    NotAsked(String),
    /// The part of the cluster that we are in has no quorum.
    #[error("this part of the cluster has no quorum: nothing is said about other hosts")]
    NoQuorum,
    /// What it answered cannot be understood.
    #[error("the answer of {0} cannot be understood: {1}")]
    Odd(String, String),
}

/// Asks Pacemaker. `remotes_only` leaves full members out.
pub async fn pacemaker(remotes_only: bool) -> Result<Members, NoView> {
    let monitored =
        child::answer("crm_mon", &["--one-shot", "--inactive", "--output-as=xml"], TOOL_LIMIT).await;
    match monitored {
        Ok(answer) if answer.is_ok => read_crm_mon(&answer.output, remotes_only),
        // Tools from before 2.1 know only the short option.
        Ok(_) => match child::answer("crm_mon", &["-X"], TOOL_LIMIT).await {
            Ok(answer) if answer.is_ok => read_crm_mon(&answer.output, remotes_only),
            _ => from_cib().await,
        },
        Err(_) => from_cib().await,
    }
}

async fn from_cib() -> Result<Members, NoView> {
    let text = child::output("cibadmin", &["--query"], TOOL_LIMIT)
        .await
        .map_err(|error| NoView::NotAsked(format!("Pacemaker cannot be asked: {error}")))?;
    read_cib(&text)
}

fn parse<'a>(program: &str, text: &'a str) -> Result<roxmltree::Document<'a>, NoView> {
    // Tools print warnings before the document.
    let begin = text.find('<').unwrap_or(0);
    roxmltree::Document::parse(&text[begin..]).map_err(|error| NoView::Odd(program.into(), error.to_string()))
}

/// Reads what `crm_mon` prints as XML.
pub fn read_crm_mon(text: &str, remotes_only: bool) -> Result<Members, NoView> {
    let document = parse("crm_mon", text)?;
    let first = |name: &str| document.descendants().find(|node| node.has_tag_name(name));
    let has_quorum = first("current_dc").is_some_and(|dc| dc.attribute("with_quorum") == Some("true"));
    if !has_quorum {
        return Err(NoView::NoQuorum);
    }
    let fences = first("cluster_options").is_some_and(|options| {
        options.attribute("stonith-enabled").or(options.attribute("fencing-enabled")) == Some("true")
    });
    let nodes = first("nodes").ok_or_else(|| NoView::Odd("crm_mon".into(), "it lists no nodes".into()))?;
    let members = nodes.children().filter(|node| node.has_tag_name("node")).filter_map(|node| {
        let name = node.attribute("name")?;
        if remotes_only && node.attribute("type") != Some("remote") {
            return None;
        }
        let is = |key: &str| node.attribute(key) == Some("true");
        let seen = match node.attribute("online") {
            Some("true") if is("pending") => Seen::Unknown,
            Some("true") => Seen::Online,
            // Somebody works on it: whatever it does is meant.
            Some("false") if is("maintenance") => Seen::Unknown,
            Some("false") => Seen::Offline,
            _ => Seen::Unknown,
        };
        // An unclean node is one that Pacemaker has yet to fence.
        Some((name.to_owned(), Member { seen, is_fenced: fences && seen == Seen::Offline && !is("unclean") }))
    });
    Ok(members.collect())
}

/// Reads what `cibadmin --query` prints. It says nothing about fencing, and not much about remote nodes.
pub fn read_cib(text: &str) -> Result<Members, NoView> {
    let document = parse("cibadmin", text)?;
    if document.root_element().attribute("have-quorum") != Some("1") {
        return Err(NoView::NoQuorum);
    }
    let states = document.descendants().filter(|node| node.has_tag_name("node_state"));
    let members = states.filter_map(|state| {
        let name = state.attribute("uname")?;
        let seen = match state.attribute("crmd") {
            Some("online") => Seen::Online,
            Some("offline") => Seen::Offline,
            // Since 2.1.7 it is the time since when it is online, and 0 otherwise.
            Some(number) => match number.parse::<i64>() {
                Ok(since) if since > 0 => Seen::Online,
                Ok(_) => Seen::Offline,
                Err(_) => Seen::Unknown,
            },
            None => Seen::Unknown,
        };
        Some((name.to_owned(), Member { seen, is_fenced: false }))
    });
    Ok(members.collect())
}

/// What Consul's agents on some networks say about each host.
#[derive(Debug)]
pub struct Consul {
    http: Http,
    agents: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct ConsulMember {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Status")]
    status: i64,
}

impl Consul {
    /// With the address of one agent for each network.
    pub fn new(agents: Vec<(String, String)>) -> Result<Consul, NoView> {
        let http = Http::new(None).map_err(|error| NoView::NotAsked(error.to_string()))?;
        Ok(Consul { http, agents })
    }

    /// How each host is reached on each network, in the matrix's order. What an agent that does not answer would have
    /// said is unknown.
    pub async fn look(&self, matrix: &Matrix) -> (BTreeMap<String, Vec<Reach>>, Vec<NoView>) {
        let mut hosts: BTreeMap<String, Vec<Reach>> = BTreeMap::new();
        let mut silent = Vec::new();
        for (place, network) in matrix.networks.iter().enumerate() {
            let Some((_, agent)) = self.agents.iter().find(|(name, _)| name == network) else { continue };
            match self.ask(agent).await {
                Ok(members) => {
                    for (host, reach) in members {
                        let networks =
                            hosts.entry(host).or_insert_with(|| vec![Reach::Unknown; matrix.networks.len()]);
                        networks[place] = reach;
                    }
                }
                Err(error) => silent.push(error),
            }
        }
        (hosts, silent)
    }

    async fn ask(&self, agent: &str) -> Result<BTreeMap<String, Reach>, NoView> {
        let url = format!("http://{agent}/v1/agent/members");
        let answer = self.http.get(&url, AGENT_LIMIT).await.map_err(|error| {
            NoView::NotAsked(format!("the Consul agent {agent} does not answer: {error}"))
        })?;
        if answer.status != 200 {
            return Err(NoView::NotAsked(format!("the Consul agent {agent} answered {}", answer.status)));
        }
        read_members(&answer.body)
            .map_err(|error| NoView::Odd(format!("the Consul agent {agent}"), error.to_string()))
    }
}

fn read_members(bytes: &[u8]) -> Result<BTreeMap<String, Reach>, serde_json::Error> {
    let members: Vec<ConsulMember> = serde_json::from_slice(bytes)?;
    let reach = |status| match status {
        1 => Reach::Up,
        // Leaving and left: it said goodbye, so nothing failed.
        2 | 3 => Reach::Unknown,
        _ => Reach::Down,
    };
    Ok(members.into_iter().map(|member| (member.name, reach(member.status))).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatrixFile {
    sequence: Vec<String>,
    matrix: Vec<MatrixRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatrixRow {
    health: Vec<Health>,
    #[serde(default)]
    action: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Up,
    Down,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Recovery,
}

/// Reads a matrix in upstream's form; what is wrong with it, with its place.
pub fn read_matrix(path: &Path) -> Result<Matrix, String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MATRIX_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| format!("the matrix {} cannot be read: {error}", path.display()))?;
    parse_matrix(&text).map_err(|what| format!("{}: {what}", path.display()))
}

fn parse_matrix(text: &str) -> Result<Matrix, String> {
    let file: MatrixFile = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let count = file.sequence.len();
    let rows = file.matrix.into_iter().enumerate().map(|(number, row)| {
        if row.health.len() != count {
            return Err(format!(
                "row {} of the matrix has {} states for {count} networks",
                number + 1,
                row.health.len()
            ));
        }
        let up = row.health.iter().map(|health| matches!(health, Health::Up)).collect();
        Ok(Row { up, recover: row.action.iter().any(|Action::Recovery| true) })
    });
    Ok(Matrix { networks: file.sequence, rows: rows.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `crm_mon --output-as=xml` of Pacemaker 2.1.5 prints it, shortened.
    const CRM_MON: &str = r#"<pacemaker-result api-version="2.25" request="crm_mon --output-as=xml">
  <summary>
    <stack type="corosync" pacemakerd-state="running"/>
    <current_dc present="true" version="2.1.5" name="ctl1" id="1" with_quorum="true" mixed_version="false"/>
    <cluster_options stonith-enabled="true" symmetric-cluster="true" no-quorum-policy="stop"/>
  </summary>
  <nodes>
    <node name="ctl1" id="1" online="true" standby="false" pending="false" unclean="false" type="member"/>
    <node name="ctl2" id="2" online="false" standby="false" pending="false" unclean="true" type="member"/>
    <node name="cmp1" id="cmp1" online="true" pending="false" unclean="false" type="remote"/>
    <node name="cmp2" id="cmp2" online="false" pending="false" unclean="false" type="remote"/>
    <node name="cmp3" id="cmp3" online="true" pending="true" unclean="false" type="remote"/>
    <node name="cmp4" id="cmp4" online="false" maintenance="true" pending="false" unclean="false" type="remote"/>
  </nodes>
  <resources><resource id="cmp1" active="true"><node name="ctl1" id="1" cached="true"/></resource></resources>
  <status code="0" message="OK"/>
</pacemaker-result>"#;

    fn told(members: &Members) -> String {
        let told = members.iter().map(|(name, member)| {
            format!("{name} {:?}{}", member.seen, if member.is_fenced { " fenced" } else { "" })
        });
        told.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn pacemaker_is_understood() {
        assert_eq!(
            told(&read_crm_mon(CRM_MON, false).unwrap()),
            "cmp1 Online, cmp2 Offline fenced, cmp3 Unknown, cmp4 Unknown, ctl1 Online, ctl2 Offline"
        );
        assert_eq!(
            told(&read_crm_mon(CRM_MON, true).unwrap()),
            "cmp1 Online, cmp2 Offline fenced, cmp3 Unknown, cmp4 Unknown"
        );
    }

    #[test]
    fn without_fencing_nothing_is_proven() {
        let text = CRM_MON.replace("stonith-enabled=\"true\"", "stonith-enabled=\"false\"");
        assert!(told(&read_crm_mon(&text, true).unwrap()).contains("cmp2 Offline,"));
    }

    #[test]
    fn without_quorum_nothing_is_said() {
        let text = CRM_MON.replace("with_quorum=\"true\"", "with_quorum=\"false\"");
        assert!(matches!(read_crm_mon(&text, false), Err(NoView::NoQuorum)));
        assert!(matches!(read_cib("<cib have-quorum=\"0\"/>"), Err(NoView::NoQuorum)));
    }

    #[test]
    fn the_cluster_information_base_is_understood_in_words_and_in_numbers() {
        let text = r#"<cib have-quorum="1" dc-uuid="1"><configuration/><status>
            <node_state id="1" uname="a" in_ccm="true" crmd="online" join="member"/>
            <node_state id="2" uname="b" in_ccm="false" crmd="offline" join="down"/>
            <node_state id="3" uname="c" in_ccm="1795000000" crmd="1795000000" join="member"/>
            <node_state id="4" uname="d" in_ccm="0" crmd="0" join="down"/>
            <node_state id="5" uname="e" crmd="perhaps"/></status></cib>"#;
        assert_eq!(told(&read_cib(text).unwrap()), "a Online, b Offline, c Online, d Offline, e Unknown");
    }

    #[test]
    fn an_answer_that_is_no_document_is_an_error_and_no_panic() {
        for text in ["", "no cluster", "<a><b></a>", "é<"] {
            assert!(matches!(read_crm_mon(text, false), Err(NoView::Odd(..))), "{text}");
        }
    }

    #[test]
    fn members_of_consul_are_understood() {
        let text = br#"[{"Name":"a","Addr":"192.0.2.1","Status":1},{"Name":"b","Status":4},{"Name":"c","Status":3}]"#;
        let members = read_members(text).unwrap();
        assert_eq!(members.values().copied().collect::<Vec<_>>(), [Reach::Up, Reach::Down, Reach::Unknown]);
        assert!(read_members(b"{}").is_err());
    }

    #[test]
    fn a_matrix_in_upstreams_form_is_read() {
        let text = "---\nsequence: [manage, tenant, storage]\nmatrix:\n\
            \x20 - health: [up, up, up]\n    action: []\n  - health: [up, up, down]\n    action: [recovery]\n";
        let matrix = parse_matrix(text).unwrap();
        assert_eq!(matrix.networks, ["manage", "tenant", "storage"]);
        assert_eq!(matrix.rows[1], Row { up: vec![true, true, false], recover: true });
        for (find, replace, says) in [
            ("up, up, down", "up, down", "row 2 of the matrix has 2 states for 3 networks"),
            ("recovery", "recover", "recover"),
            ("up, up, down", "up, up, donw", "donw"),
        ] {
            let said = parse_matrix(&text.replacen(find, replace, 1)).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
